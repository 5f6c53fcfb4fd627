//! Clients that show certificates, and what changes while a node runs: by the program, with the certificates that it makes.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use mqtt_codec::{Limits, Packet, ProtocolVersion, ReasonCode, Sender, decode, encode};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use tempfile::TempDir;

use crate::cli::{Running, output};
use crate::harness::{DEADLINE, connect};

/// A folder that `micro-mq certificates` writes to.
struct Authority(TempDir);

impl Authority {
    fn make(arguments: &[&str]) -> Self {
        let authority = Self(tempfile::tempdir().unwrap());
        authority.write(arguments);
        authority
    }

    fn write(&self, arguments: &[&str]) {
        let output = output(&[&["certificates", self.0.path().to_str().unwrap()], arguments].concat(), "");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn node(&self, more: &[&str]) -> Running {
        let mut arguments = vec!["--set".to_owned(), "node.workers=2".to_owned()];
        for (key, file) in [("certificate", "server.pem"), ("key", "server-key.pem")] {
            arguments.push("--set".to_owned());
            arguments.push(format!("listener.tcp.tls_{key}={}", self.file(file).display()));
        }
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        Running::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// One that asks for certificates of this CA.
    fn asking_node(&self, whether: &str) -> Running {
        let settings = [
            format!("listener.tcp.tls_client_certificates={whether}"),
            format!("listener.tcp.tls_client_ca={}", self.file("ca.pem").display()),
            format!("listener.tcp.tls_crl={}", self.file("crl.pem").display()),
        ];
        let arguments: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        self.node(&arguments)
    }

    fn config(&self, client: Option<&str>, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.file("ca.pem")).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        match client {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain = vec![CertificateDer::from_pem_file(self.file(&format!("{name}.pem"))).unwrap()];
                let key = PrivateKeyDer::from_pem_file(self.file(&format!("{name}-key.pem"))).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        }
    }

    /// A client that has its CONNACK; none if it is turned away.
    fn client(&self, node: &Running, certificate: Option<&str>) -> Option<Client> {
        Client::open(node, self.config(certificate, &[&TLS13, &TLS12]), certificate.unwrap_or("nobody"))
    }
}

struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
    received: Vec<u8>,
}

impl Client {
    fn open(node: &Running, config: ClientConfig, client_identifier: &str) -> Option<Self> {
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect_timeout(&node.address("tcp"), DEADLINE).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut client = Self { stream: StreamOwned::new(session, socket), received: Vec::new() };
        let connect = Packet::Connect(Box::new(connect(ProtocolVersion::V5, client_identifier)));
        client.send(&connect)?;
        match client.next()? {
            Packet::ConnAck(answer) => assert_eq!(answer.reason_code, ReasonCode::Success),
            other => panic!("{other:?}"),
        }
        Some(client)
    }

    fn send(&mut self, packet: &Packet) -> Option<()> {
        let mut bytes = Vec::new();
        encode(packet, ProtocolVersion::V5, u32::MAX, &mut bytes).unwrap();
        self.stream.write_all(&bytes).ok()
    }

    /// The next packet; none at the end.
    fn next(&mut self) -> Option<Packet> {
        loop {
            let decoded =
                decode(&self.received, ProtocolVersion::V5, Sender::Server, &Limits::default()).unwrap();
            if let Some((packet, used)) = decoded {
                let packet = packet.into_owned();
                self.received.drain(..used);
                return Some(packet);
            }
            let mut bytes = [0; 1024];
            let read = self.stream.read(&mut bytes).ok().filter(|read| *read > 0)?;
            self.received.extend_from_slice(&bytes[..read]);
        }
    }

    fn is_answered(&mut self) -> bool {
        self.send(&Packet::PingReq).is_some() && matches!(self.next(), Some(Packet::PingResp))
    }

    /// What the server has shown.
    fn shown(&self) -> CertificateDer<'static> {
        self.stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
    }
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < DEADLINE, "not in time: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn who_has_to_show_a_certificate_is_let_in_with_one_of_the_ca_alone() {
    let ours = Authority::make(&["--server", "localhost", "--client", "ann"]);
    let theirs = Authority::make(&["--client", "eve"]);
    let node = ours.asking_node("required");
    assert!(ours.client(&node, Some("ann")).unwrap().is_answered());
    assert!(ours.client(&node, None).is_none());
    fs::copy(theirs.file("eve.pem"), ours.file("eve.pem")).unwrap();
    fs::copy(theirs.file("eve-key.pem"), ours.file("eve-key.pem")).unwrap();
    assert!(ours.client(&node, Some("eve")).is_none());
    node.until_metric("micro_mq_tls_handshakes_failed_total", 2);
}

#[test]
fn who_may_show_a_certificate_is_let_in_without() {
    let authority = Authority::make(&["--server", "localhost", "--client", "ann"]);
    authority.write(&["--revoke", "ann"]);
    let node = authority.asking_node("optional");
    assert!(authority.client(&node, None).unwrap().is_answered());
    assert!(authority.client(&node, Some("ann")).is_none(), "one that is wrong is none");
}

/// Both versions of TLS, since each resumes in its own way: the same configuration of the client is used again.
#[test]
fn a_certificate_that_is_revoked_ends_its_connection_and_does_not_come_back() {
    let authority = Authority::make(&["--server", "localhost", "--client", "ann", "--client", "bob"]);
    let node = authority.asking_node("required");
    let configs: Vec<ClientConfig> =
        [&TLS12, &TLS13].map(|version| authority.config(Some("ann"), &[version])).into();
    let mut open = Vec::new();
    for (config, name) in configs.iter().zip(["ann-12", "ann-13"]) {
        open.push(Client::open(&node, config.clone(), name).unwrap());
    }
    let mut bob = authority.client(&node, Some("bob")).unwrap();
    authority.write(&["--revoke", "ann"]);
    for client in &mut open {
        match client.next() {
            Some(Packet::Disconnect(told)) => assert_eq!(told.reason_code, ReasonCode::NotAuthorized),
            other => panic!("{other:?}"),
        }
    }
    for config in configs {
        assert!(Client::open(&node, config, "again").is_none());
    }
    assert!(bob.is_answered());
    node.until_metric("micro_mq_connections_withdrawn_total", 2);
}

#[test]
fn a_new_certificate_is_in_force_by_itself_and_drops_nobody() {
    let authority = Authority::make(&["--server", "localhost"]);
    let node = authority.node(&[]);
    let mut old = Client::open(&node, authority.config(None, &[&TLS13]), "old").unwrap();
    let shown = old.shown();
    authority.write(&["--server", "localhost", "--replace"]);
    until("the new certificate", || authority.client(&node, None).unwrap().shown() != shown);
    assert!(old.is_answered());
}

#[test]
fn what_cannot_be_used_leaves_what_was_there_in_force_and_sighup_reads_anew() {
    let authority = Authority::make(&["--server", "localhost"]);
    let node = authority.node(&[]);
    let shown = authority.client(&node, None).unwrap().shown();
    fs::write(authority.file("server.pem"), "nothing").unwrap();
    node.signal("-HUP");
    // What comes behind is read behind.
    assert!(authority.client(&node, None).unwrap().shown() == shown);
    authority.write(&["--server", "localhost", "--replace"]);
    node.signal("-HUP");
    until("the new certificate", || authority.client(&node, None).unwrap().shown() != shown);
}

#[test]
fn the_oldest_version_is_that_of_the_listener() {
    let authority = Authority::make(&["--server", "localhost"]);
    let node = authority.node(&["--set", "listener.tcp.tls_version_min=1.3"]);
    assert!(Client::open(&node, authority.config(None, &[&TLS12]), "old").is_none());
    assert!(Client::open(&node, authority.config(None, &[&TLS13]), "new").is_some());
}

#[track_caller]
fn check_refused(arguments: &[&str], expected: &str) {
    let output = output(&[&["check-config"], arguments].concat(), "");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(expected), "{said}");
}

#[test]
fn keys_that_need_each_other_are_said() {
    check_refused(
        &["--set", "listener.tcp.tls_client_certificates=required"],
        "listener.tcp.tls_client_ca: must be set when tls_client_certificates is not \"none\"",
    );
    check_refused(
        &["--set", "listener.tcp.tls_version_min=1.3"],
        "listener.tcp.tls_version_min: means something with tls_certificate alone",
    );
    check_refused(&["--set", "listener.tcp.tls_crl=crl.pem"], "listener.tcp.tls_crl: means something with");
}

#[test]
fn certificates_are_not_replaced_unasked_and_their_names_stay_in_the_folder() {
    let authority = Authority::make(&["--server", "localhost", "--client", "ann"]);
    let folder = authority.0.path().to_str().unwrap();
    let before = fs::read(authority.file("server.pem")).unwrap();
    for wrong in [["--server", "localhost"], ["--client", "../eve"], ["--client", "ca"], ["--revoke", "eve"]]
    {
        assert!(!output(&[&["certificates", folder], &wrong[..]].concat(), "").status.success(), "{wrong:?}");
    }
    assert_eq!(fs::read(authority.file("server.pem")).unwrap(), before);
}
