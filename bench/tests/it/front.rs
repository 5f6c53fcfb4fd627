//! What stands before a broker that speaks plain TCP: TLS, or WebSocket. Two threads for each connection.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use rustls::{
    ServerConfig, ServerConnection,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// Bytes passed on at once; odd, so that frames and records end anywhere.
const PIECE: usize = 1021;

/// The certificate of [`tls`], which is its own authority.
pub(crate) fn certificate() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "tls", "certificate.pem"].iter().collect()
}

/// Takes TLS off what goes to `broker`.
pub(crate) fn tls(broker: SocketAddr) -> SocketAddr {
    let certificate = CertificateDer::from_pem_file(certificate()).expect("the certificate is PEM");
    let key = PrivateKeyDer::from_pem_file(certificate_key()).expect("the key is PEM");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring knows them")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("they belong together");
    let config = Arc::new(config);
    listen(move |client| {
        let session = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
        let session = Arc::new(Mutex::new(session));
        let server = TcpStream::connect(broker)?;
        let (to_client, from_server) = (client.try_clone()?, server.try_clone()?);
        let writing = Arc::clone(&session);
        thread::spawn(move || seal(from_server, to_client, &writing));
        unseal(client, server, &session)
    })
}

/// Takes WebSocket off what goes to `broker`, and pings each client once.
pub(crate) fn websocket(broker: SocketAddr, path: &'static str) -> SocketAddr {
    listen(move |mut client| {
        let mut server = TcpStream::connect(broker)?;
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte)?;
            request.push(byte[0]);
        }
        let asked = format!("GET {path} HTTP/1.1\r\n");
        if !request.starts_with(asked.as_bytes()) {
            return client.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n");
        }
        // The answer to the one key that the generator uses; a ping follows at once.
        let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
                      Sec-WebSocket-Protocol: mqtt\r\n\r\n\u{9}";
        let mut answer = answer.as_bytes().to_vec();
        *answer.last_mut().expect("it is not empty") = 0x89;
        answer.extend_from_slice(&[2, b'h', b'i']);
        client.write_all(&answer)?;
        let (to_client, from_server) = (client.try_clone()?, server.try_clone()?);
        thread::spawn(move || frame(from_server, to_client));
        unframe(client, &mut server)
    })
}

fn certificate_key() -> PathBuf {
    certificate().with_file_name("key.pem")
}

fn listen(serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
    let address = listener.local_addr().expect("it is bound");
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            // A connection ends when either side closes it.
            thread::spawn(move || stream.set_nodelay(true).and_then(|()| serve(stream)));
        }
    });
    address
}

fn seal(mut server: TcpStream, mut client: TcpStream, session: &Mutex<ServerConnection>) -> io::Result<()> {
    let mut buffer = [0; PIECE];
    loop {
        let count = server.read(&mut buffer)?;
        let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
        if count == 0 {
            session.send_close_notify();
        }
        session.writer().write_all(&buffer[..count])?;
        while session.wants_write() {
            session.write_tls(&mut client)?;
        }
        if count == 0 {
            return client.shutdown(Shutdown::Both);
        }
    }
}

fn unseal(mut client: TcpStream, mut server: TcpStream, session: &Mutex<ServerConnection>) -> io::Result<()> {
    let mut buffer = [0; PIECE];
    loop {
        let count = client.read(&mut buffer)?;
        if count == 0 {
            return server.shutdown(Shutdown::Both);
        }
        let mut plain = Vec::new();
        {
            let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                session.read_tls(&mut rest)?;
                session.process_new_packets().map_err(io::Error::other)?;
                let mut piece = [0; PIECE];
                while let Ok(more @ 1..) = session.reader().read(&mut piece) {
                    plain.extend_from_slice(&piece[..more]);
                }
            }
            while session.wants_write() {
                session.write_tls(&mut client)?;
            }
        }
        server.write_all(&plain)?;
    }
}

fn frame(mut server: TcpStream, mut client: TcpStream) -> io::Result<()> {
    let mut buffer = [0; PIECE];
    loop {
        let count = server.read(&mut buffer)?;
        if count == 0 {
            return client.shutdown(Shutdown::Both);
        }
        let [high, low] = (count as u16).to_be_bytes();
        let head: &[u8] = if count < 126 { &[0x82, low] } else { &[0x82, 126, high, low] };
        client.write_all(&[head, &buffer[..count]].concat())?;
    }
}

fn unframe(mut client: TcpStream, server: &mut TcpStream) -> io::Result<()> {
    loop {
        let mut head = [0; 2];
        if client.read_exact(&mut head).is_err() {
            return server.shutdown(Shutdown::Both);
        }
        let length = match head[1] & 0x7F {
            126 => {
                let mut length = [0; 2];
                client.read_exact(&mut length)?;
                u16::from_be_bytes(length).into()
            }
            127 => {
                let mut length = [0; 8];
                client.read_exact(&mut length)?;
                u64::from_be_bytes(length)
            }
            length => length.into(),
        };
        let mut mask = [0; 4];
        client.read_exact(&mut mask)?;
        let mut payload = vec![0; length as usize];
        client.read_exact(&mut payload)?;
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        match head[0] {
            0x82 => server.write_all(&payload)?,
            0x8A if payload == b"hi" => {}
            other => panic!("a frame that begins with {other:#x}"),
        }
    }
}
