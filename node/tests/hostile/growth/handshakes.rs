//! What is begun and not ended before a client is let in, and what is remembered of one that was.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use mqtt_codec::{Packet, ProtocolVersion, QoS};

use super::means::{Held, clean};
use crate::harness::{Program, REQUEST, WebSocket, Wire, bytes_of, connect, publish, until};

/// Users and rules for those attacks that need any.
pub(super) const USERS: &str = concat!("auth.file=", env!("CARGO_TARGET_TMPDIR"), "/growth-users.toml");

/// Writes them: one user, who may do everything.
pub(super) fn write_users() {
    let file = USERS.split_once('=').expect("a setting").1;
    std::fs::write(
        file,
        "default = \"allow\"\n\n[[rule]]\npermission = \"deny\"\naction = \"all\"\ntopic = \"denied\"\n",
    )
    .expect("a file");
    let mut passwd = Command::new(env!("CARGO_BIN_EXE_micro-mq"))
        .args(["passwd", file, "user", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    passwd.stdin.take().expect("it is piped").write_all(b"password").expect("it reads");
    assert!(passwd.wait().expect("it ends").success());
}

/// A certificate, for those that speak TLS.
pub(super) const TLS: &[&str] = &[
    concat!("listener.tcp.tls_certificate=", env!("CARGO_TARGET_TMPDIR"), "/growth-certificate.pem"),
    concat!("listener.tcp.tls_key=", env!("CARGO_TARGET_TMPDIR"), "/growth-key.pem"),
];

/// Writes it.
pub(super) fn write_certificate() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    for (setting, text) in TLS.iter().zip([made.cert.pem(), made.signing_key.serialize_pem()]) {
        let file = setting.split_once('=').expect("a setting").1;
        std::fs::write(file, text).expect("a file");
        // A key that others may read is refused.
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).expect("its owner");
    }
}

const MANY: usize = 500;

fn until_open(program: &Program, wanted: usize) {
    until("all are accepted", || match program.figures().get("connections") {
        seen if seen >= wanted as u64 => Ok(()),
        seen => Err(format!("{seen} connections")),
    });
}

/// CONNECTs whose end does not come, as large as each may be beside what all may have.
pub(super) fn connects(program: &Program, held: &mut Held) {
    let mut whole = connect(ProtocolVersion::V5, "client");
    whole.password = Some(vec![b'x'; 15_000].into());
    whole.user_name = Some("user".into());
    let bytes = bytes_of(&Packet::Connect(Box::new(whole)), ProtocolVersion::V5);
    for _ in 0..MANY {
        let mut client = TcpStream::connect(program.tcp).expect("a listener");
        client.write_all(&bytes[..bytes.len() - 1]).expect("an open socket");
        held.keep(client);
    }
    until_open(program, MANY);
}

/// Handshakes of TLS that bring as much as they may, and whose end does not come.
pub(super) fn tls(program: &Program, held: &mut Held) {
    // A client's hello of 60 KiB.
    let hello = [&b"\x01\x00\xf0\x00\x03\x03"[..], &[0; 23_000]].concat();
    let record = |part: &[u8]| [&b"\x16\x03\x01"[..], &(part.len() as u16).to_be_bytes(), part].concat();
    let begun: Vec<u8> = hello.chunks(0x4000).flat_map(record).collect();
    for _ in 0..MANY {
        let mut client = TcpStream::connect(program.tcp).expect("a listener");
        client.write_all(&begun).expect("an open socket");
        held.keep(client);
    }
    until_open(program, MANY);
    assert_eq!(program.figures().get("tls_handshakes_failed_total"), 0);
}

/// Requests whose end does not come, and WebSockets on which nothing does.
pub(super) fn upgrades(program: &Program, held: &mut Held) {
    let request = REQUEST.strip_suffix("\r\n").expect("it ends with an empty line");
    for _ in 0..MANY / 2 {
        let mut client = TcpStream::connect(program.websocket).expect("a listener");
        client.write_all(request.as_bytes()).expect("an open socket");
        client.write_all(format!("X: {}", "x".repeat(2000)).as_bytes()).expect("an open socket");
        held.keep(client);
        held.keep(WebSocket::open(program.websocket));
    }
    until_open(program, MANY);
}

/// Exchanges of authentication of which the first message was sent alone, as long as it may be.
pub(super) fn exchanges(program: &Program, held: &mut Held) {
    let first = format!("n,,n=user,r=nonce{}", "x".repeat(4000));
    for number in 0..MANY {
        let mut connect = connect(ProtocolVersion::V5, &format!("client-{number}"));
        connect.properties.authentication_method = Some("SCRAM-SHA-256".into());
        connect.properties.authentication_data = Some(first.clone().into_bytes().into());
        let mut client = Wire::open(program.tcp, ProtocolVersion::V5);
        client.send(&Packet::Connect(Box::new(connect)));
        match client.next() {
            Some(Packet::Auth(_)) => held.keep(client),
            other => panic!("in place of an AUTH: {other:?}"),
        }
    }
}

/// More topic names than are remembered, as long as they may be.
pub(super) fn permissions(program: &Program, held: &mut Held) {
    let mut connect = connect(ProtocolVersion::V5, "client");
    connect.user_name = Some("user".into());
    connect.password = Some(b"password".to_vec().into());
    let mut client = Wire::client(program.tcp, connect);
    for number in 1..=1000 {
        client.send(&publish(&format!("{number}/{}", "x".repeat(60_000)), QoS::AtLeastOnce, number, b""));
        client.until(|packet| matches!(packet, Packet::PubAck(_)));
    }
    held.keep(client);
}

/// Publishes for which there is no room on the way to the tries: one client asks for very many copies of them.
pub(super) fn held_up_batches(program: &Program, held: &mut Held) {
    const PUBLISHERS: usize = 60;
    let mut slow = clean(program, "slow");
    let filters: Vec<String> = (0..1 << 10)
        .map(|bits: u32| {
            (0..10).map(|at| if bits >> at & 1 == 0 { "+/" } else { "a/" }).collect::<String>() + "#"
        })
        .collect();
    assert!(super::means::subscribe_to(&mut slow, &filters));
    held.keep(slow);
    let topic = "a/".repeat(11);
    let some: Vec<u8> = (0..1000)
        .flat_map(|_| bytes_of(&publish(&topic, QoS::AtMostOnce, 0, &[b'x'; 1000]), ProtocolVersion::V5))
        .collect();
    for number in 0..PUBLISHERS {
        let mut publisher = clean(program, &format!("publisher-{number}"));
        publisher.stream.set_nonblocking(true).expect("an open socket");
        // As much as the node takes.
        let _ = publisher.stream.write(&some);
        held.keep(publisher);
    }
    until("publishers are not read", || match program.figures().get("between_workers_full_total") {
        0 => Err("all are read".to_owned()),
        _ => Ok(()),
    });
}
