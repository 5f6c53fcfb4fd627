//! MQTT over TLS, directly and under a WebSocket, against the program.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use mqtt_codec::{Connect, Limits, Packet, ProtocolVersion, QoS, ReasonCode, Sender, decode, encode};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use tempfile::TempDir;

use crate::cli::{Running, output};
use crate::harness::{DEADLINE, connect, identifier, options, publish, subscribe_packet};

/// A certificate of localhost, and its key, in files.
struct Certificate {
    folder: TempDir,
    der: CertificateDer<'static>,
}

impl Certificate {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(folder.path().join("certificate.pem"), cert.pem()).unwrap();
        fs::write(folder.path().join("key.pem"), signing_key.serialize_pem()).unwrap();
        fs::set_permissions(folder.path().join("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
        Self { folder, der: cert.der().clone() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What has a listener use them.
    fn arguments(&self, listener: &str) -> Vec<String> {
        ["certificate", "key"]
            .iter()
            .flat_map(|what| {
                let file = self.file(&format!("{what}.pem"));
                ["--set".to_owned(), format!("listener.{listener}.tls_{what}={}", file.display())]
            })
            .collect()
    }
}

/// A node whose two listeners have TLS, with two workers, so that connections move from one to the other.
fn start(certificate: &Certificate) -> Running {
    let mut arguments = vec!["--set".to_owned(), "node.workers=2".to_owned()];
    arguments.extend(certificate.arguments("tcp"));
    arguments.extend(certificate.arguments("websocket"));
    Running::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A client that trusts the certificate, and blocks.
struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
    received: Vec<u8>,
}

impl Client {
    fn open(
        address: SocketAddr,
        certificate: &Certificate,
        version: &'static SupportedProtocolVersion,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect_timeout(&address, DEADLINE).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.set_write_timeout(Some(DEADLINE)).unwrap();
        Self { stream: StreamOwned::new(session, socket), received: Vec::new() }
    }

    fn send(&mut self, packet: Packet) {
        let mut bytes = Vec::new();
        encode(&packet, ProtocolVersion::V5, u32::MAX, &mut bytes).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    fn next(&mut self) -> Packet {
        loop {
            let limits = Limits::default();
            if let Some((packet, used)) =
                decode(&self.received, ProtocolVersion::V5, Sender::Server, &limits).unwrap()
            {
                let packet = packet.into_owned();
                self.received.drain(..used);
                return packet;
            }
            let mut bytes = vec![0; 64 * 1024];
            let read = self.stream.read(&mut bytes).unwrap();
            assert!(read > 0, "the end");
            self.received.extend_from_slice(&bytes[..read]);
        }
    }

    fn connect(&mut self, connect: Connect) {
        self.send(Packet::Connect(Box::new(connect)));
        assert!(matches!(self.next(), Packet::ConnAck(answer) if answer.reason_code == ReasonCode::Success));
    }
}

#[test]
fn large_messages_go_both_ways_in_both_versions_whatever_the_home() {
    let certificate = Certificate::make();
    let node = start(&certificate);
    let payload: String = (0..300_000).map(|number| format!("{number:07}")).collect();
    for (name, version) in [("a", &TLS12), ("b", &TLS13), ("c", &TLS12), ("d", &TLS13)] {
        let mut client = Client::open(node.address("tcp"), &certificate, version);
        client.connect(connect(ProtocolVersion::V5, name));
        client.send(Packet::Subscribe(subscribe_packet(identifier(1), &[(name, options(QoS::AtMostOnce))])));
        assert!(matches!(client.next(), Packet::SubAck(_)));
        for _ in 0..3 {
            client.send(Packet::Publish(publish(name, QoS::AtMostOnce, &payload)));
            match client.next() {
                Packet::Publish(publish) => assert!(publish.payload == payload.as_bytes(), "{name}"),
                other => panic!("{other:?}"),
            }
        }
    }
    node.until_metric("micro_mq_tls_handshakes_total", 4);
}

#[test]
fn a_takeover_tells_the_old_network_connection_and_closes_its_session() {
    let certificate = Certificate::make();
    let node = start(&certificate);
    let mut old = Client::open(node.address("tcp"), &certificate, &TLS13);
    old.connect(connect(ProtocolVersion::V5, "one"));
    let mut new = Client::open(node.address("tcp"), &certificate, &TLS13);
    new.connect(connect(ProtocolVersion::V5, "one"));
    match old.next() {
        Packet::Disconnect(disconnect) => assert_eq!(disconnect.reason_code, ReasonCode::SessionTakenOver),
        other => panic!("{other:?}"),
    }
    // Without close_notify this would be an error.
    assert_eq!(old.stream.read(&mut [0; 16]).unwrap(), 0);
}

#[test]
fn a_plain_client_is_turned_away_and_counted() {
    let certificate = Certificate::make();
    let node = start(&certificate);
    let mut socket = TcpStream::connect_timeout(&node.address("tcp"), DEADLINE).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.write_all(b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03one").unwrap();
    // An alert, perhaps, and the end, or a reset: no CONNACK.
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    assert_ne!(answer.first(), Some(&0x20));
    node.until_metric("micro_mq_tls_handshakes_failed_total", 1);
}

/// A handshake message that is longer than what is sent of it: beyond 24 KiB the client is sent away, and counted.
#[test]
fn a_handshake_without_an_end_is_ended() {
    let certificate = Certificate::make();
    let node = start(&certificate);
    let mut socket = TcpStream::connect_timeout(&node.address("tcp"), DEADLINE).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let hello = [&b"\x01\x00\xf0\x00\x03\x03"[..], &[0; 26_000]].concat();
    for record in hello.chunks(0x4000) {
        let head = [&b"\x16\x03\x01"[..], &(record.len() as u16).to_be_bytes()].concat();
        // The last of it may find nobody.
        let _ = socket.write_all(&[&head, record].concat());
    }
    // The end, or a reset.
    let _ = socket.read_to_end(&mut Vec::new());
    node.until_metric("micro_mq_tls_handshakes_failed_total", 1);
    assert_eq!(node.metric("micro_mq_connect_timeouts_total"), 0);
}

/// More handshakes than a worker goes on with at a time: all have their turn.
#[test]
fn many_handshakes_at_once_are_through() {
    const CLIENTS: usize = 40;
    let certificate = Certificate::make();
    let node = start(&certificate);
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (certificate, address) = (&certificate, node.address("tcp"));
            scope.spawn(move || {
                let version = if number % 2 == 0 { &TLS12 } else { &TLS13 };
                let mut client = Client::open(address, certificate, version);
                client.connect(connect(ProtocolVersion::V5, &format!("client-{number}")));
            });
        }
    });
    node.until_metric("micro_mq_tls_handshakes_total", CLIENTS as u64);
}

#[test]
fn a_websocket_opens_over_tls() {
    let certificate = Certificate::make();
    let node = start(&certificate);
    let mut client = Client::open(node.address("websocket"), &certificate, &TLS13);
    let request = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Protocol: mqtt\r\n\r\n";
    client.stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    // A binary frame whose mask is 0.
    client.stream.write_all(b"\x82\x91\0\0\0\0\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03one").unwrap();
    let mut frame = [0; 6];
    client.stream.read_exact(&mut frame).unwrap();
    assert_eq!(frame, *b"\x82\x04\x20\x02\x00\x00");
}

#[track_caller]
fn check_refused(arguments: &[String], expected: &str) {
    let arguments: Vec<&str> =
        std::iter::once("check-config").chain(arguments.iter().map(String::as_str)).collect();
    let output = output(&arguments, "");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(expected), "{said}");
}

#[test]
fn what_is_wrong_with_files_is_said_with_key_and_file() {
    let (certificate, other) = (Certificate::make(), Certificate::make());
    let arguments = certificate.arguments("tcp");
    check_refused(&arguments[..2], "listener.tcp.tls_key: must be set when tls_certificate is");
    check_refused(&arguments[2..], "listener.tcp.tls_certificate: must be set when tls_key is");
    let mixed = [&arguments[..2], &other.arguments("tcp")[2..]].concat();
    check_refused(&mixed, "key.pem: does not go with");
    fs::set_permissions(certificate.file("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    check_refused(&arguments, "key.pem: others may read it");
    fs::remove_file(certificate.file("key.pem")).unwrap();
    check_refused(&arguments, "listener.tcp.tls_key: ");
    fs::write(certificate.file("certificate.pem"), "nothing").unwrap();
    check_refused(&arguments, "certificate.pem: no certificate in it (PEM)");
}
