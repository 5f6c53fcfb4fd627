//! Packets, messages of WebSocket and HTTP requests that are not through, and wills.

use std::io::Write;
use std::net::TcpStream;

use mqtt_codec::{Packet, ProtocolVersion, PublishProperties, QoS, TopicName, Will};

use super::means::{Held, clean, durable};
use crate::harness::{Program, WebSocket, Wire};

/// All of a packet of 16 MiB but its end.
pub(super) fn in_part(program: &Program, held: &mut Held) {
    let mut client = clean(program, "client");
    assert!(client.send_bytes(&[0x30, 0xf0, 0xff, 0xff, 0x07, 0, 1, b't', 0]));
    assert!(client.send_bytes(&vec![b'x'; 0x00ff_ff00]));
    held.keep(client);
    // Whatever it sent is read when others are answered.
    clean(program, "other").ping();
}

pub(super) fn fragments(program: &Program, held: &mut Held) {
    let mut socket = WebSocket::open(program.websocket);
    let fragment = |first: u8, payload: &[u8]| {
        let mut frame = vec![first, 0x80 | 126];
        frame.extend((payload.len() as u16).to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(payload);
        frame
    };
    let mut all = fragment(0x02, &[0x10, 0xf0, 0xff, 0xff, 0x07]);
    (0..2000).for_each(|_| all.extend(fragment(0x00, &[b'x'; 4])));
    (0..500).for_each(|_| all.extend(fragment(0x00, &[b'x'; 16_000])));
    // The node may close it amid that.
    let _ = socket.stream.write_all(&all);
    held.keep(socket);
    clean(program, "other").ping();
}

pub(super) fn http(program: &Program, held: &mut Held) {
    let requests: Vec<TcpStream> = (0..64)
        .filter_map(|_| {
            let mut stream = TcpStream::connect(program.admin).ok()?;
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n").ok()?;
            for number in 0..100 {
                // The node may close it amid that.
                let _ = stream.write_all(format!("X-{number}: {}\r\n", "x".repeat(4000)).as_bytes());
            }
            Some(stream)
        })
        .collect();
    held.keep(requests);
    clean(program, "other").ping();
}

/// As large as wills may be: topic name and payload have 64 KiB each.
pub(super) fn wills(program: &Program, held: &mut Held) {
    const SESSIONS: u64 = 600;
    let mut refused = 0;
    for number in 0..SESSIONS {
        let mut connect = durable(&format!("client-{number}"));
        connect.will = Some(Will {
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: TopicName::new(&"t".repeat(65_000)).expect("a topic name"),
            payload: vec![b'x'; 65_000].into(),
            delay_interval: 3600,
            properties: PublishProperties::default(),
        });
        let mut client = Wire::open(program.tcp, ProtocolVersion::V5);
        client.send(&Packet::Connect(Box::new(connect)));
        match client.next() {
            Some(Packet::ConnAck(answer)) => refused += u64::from(answer.reason_code.is_error()),
            other => panic!("in place of a CONNACK: {other:?}"),
        }
        held.keep(client);
    }
    program.until_figure("wills_full_total", refused);
    assert!((SESSIONS / 3..SESSIONS / 2 + 100).contains(&refused), "{refused} were refused");
}
