//! Network connections that say little, slowly or without end.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use mqtt_codec::{Packet, ProtocolVersion, QoS};

use crate::harness::{
    DEADLINE, Program, Scale, Sent, Turn, WebSocket, Wire, bytes_of, connect, ordeal, publish, until,
};

/// Nothing is ever said on them, or a byte now and then: all are closed in time, and counted.
#[test]
fn half_open_connections() {
    let _turn = Turn::take();
    let program = Program::start(&["node.connect_timeout_ms=1500"]);
    let bytes =
        bytes_of(&Packet::Connect(Box::new(connect(ProtocolVersion::V5, "slow"))), ProtocolVersion::V5);
    ordeal(&program, |scale: Scale| {
        let (before, count) = (program.figures(), scale.of(500));
        let began = Instant::now();
        let open = |address| TcpStream::connect(address).expect("a listener");
        let silent: Vec<TcpStream> =
            (0..count).flat_map(|_| [open(program.tcp), open(program.websocket)]).collect();
        let mut slow: Vec<TcpStream> = (0..count).map(|_| open(program.tcp)).collect();
        let mut slow_sockets: Vec<WebSocket> =
            (0..count / 5).map(|_| WebSocket::open(program.websocket)).collect();
        for at in 0..bytes.len() - 1 {
            if began.elapsed() > Duration::from_millis(2500) {
                break;
            }
            for stream in slow.iter_mut().chain(slow_sockets.iter_mut().map(|socket| &mut socket.stream)) {
                // What goes to the WebSockets is no frame, and as slow.
                let _ = stream.write_all(&bytes[at..at + 1]);
            }
            // The attacker's pace.
            sleep(Duration::from_millis(250));
        }
        program.until_connections(4);
        let refused = "websocket_refused_total{reason=\"protocol_error\"}";
        until("all are counted", || {
            let seen = program.figures();
            let (timeouts, wrong) =
                (seen.grew(&before, "connect_timeouts_total"), seen.grew(&before, refused));
            let is_right = timeouts + wrong == (3 * count + count / 5) as u64;
            if is_right { Ok(()) } else { Err(format!("{timeouts} timeouts, {wrong} wrong")) }
        });
        drop((silent, slow));
        Sent::default()
    });
    program.stop();
}

/// CONNECTs as large as packets may be, that never end. What all of them may hold together is bounded.
#[test]
fn connects_that_never_end() {
    let _turn = Turn::take();
    let settings = ["node.connect_timeout_ms=3000", "node.incomplete_packets_bytes_max=67108864"];
    let program = Program::start(&settings);
    ordeal(&program, |scale: Scale| {
        let before = program.figures();
        // A CONNECT of 16 MiB less a little, of user properties.
        let mut begun = vec![0x10, 0xf0, 0xff, 0xff, 0x07];
        begun.extend(b"\x00\x04MQTT\x05\x02\x00\x00\xe0\xff\xff\x07");
        let property = [&b"\x26\x00\x01x\xff\x00"[..], &[b'y'; 0xff00]].concat();
        let mut clients: Vec<TcpStream> = (0..scale.of(100))
            .map(|_| {
                let mut client = TcpStream::connect(program.tcp).expect("a listener");
                client.set_nonblocking(true).expect("an open socket");
                client.write_all(&begun).expect("sent");
                client
            })
            .collect();
        let began = Instant::now();
        let mut most = 0;
        while began.elapsed() < Duration::from_millis(1000) {
            for client in &mut clients {
                // What finds no room, or no one, is left.
                let _ = client.write(&property);
            }
            most = most.max(program.resident_bytes());
        }
        // Of 1.6 GiB: 64 MiB, what grew out of its place, and what the allocator has not given back.
        assert!(most < 400 * 1024 * 1024, "{most} bytes of memory");
        drop(clients);
        program.until_connections(4);
        let after = program.figures();
        let full = after.grew(&before, "incomplete_packets_full_total");
        assert!(scale == Scale::Warm || full > 0, "none was closed for what it holds");
        Sent::default()
    });
    program.stop();
}

/// A client that was accepted, and then sends a byte of a large packet now and then: that is no sign of life.
#[test]
fn a_packet_that_never_ends_does_not_keep_a_client_alive() {
    let _turn = Turn::take();
    let program = Program::start(&[]);
    let packet = bytes_of(&publish("slow", QoS::AtMostOnce, 0, &[b'x'; 1000]), ProtocolVersion::V5);
    ordeal(&program, |scale: Scale| {
        let (before, count) = (program.figures(), scale.of(200));
        let began = Instant::now();
        let mut clients: Vec<Wire> = (0..count)
            .map(|number| {
                let mut connect = connect(ProtocolVersion::V5, &format!("slow-{number}"));
                connect.keep_alive = 1;
                Wire::client(program.tcp, connect)
            })
            .collect();
        for byte in &packet {
            if began.elapsed() > Duration::from_millis(2500) {
                break;
            }
            for client in &mut clients {
                client.send_bytes(&[*byte]);
            }
            // The attacker's pace.
            sleep(Duration::from_millis(100));
        }
        program.until_grown(&before, "keep_alive_timeouts_total", count as u64);
        Sent::default()
    });
    program.stop();
}

/// As many connections as there may be, and more: those beyond are closed as they are accepted, the others served.
#[test]
fn connections_beyond_the_limit() {
    let _turn = Turn::take();
    // The honest clients, and 196.
    let program = Program::start(&["node.connections_max=200"]);
    ordeal(&program, |scale: Scale| {
        let (before, count) = (program.figures(), scale.of(2000));
        let held: Vec<TcpStream> =
            (0..196).map(|_| TcpStream::connect(program.tcp).expect("a listener")).collect();
        until("all places are taken", || {
            let open = program.figures().get("connections");
            if open == 200 { Ok(()) } else { Err(format!("{open} connections")) }
        });
        for _ in 0..count {
            let mut client = TcpStream::connect(program.tcp).expect("a listener");
            client.set_read_timeout(Some(DEADLINE)).expect("an open socket");
            client.write_all(&[0x10]).expect("sent");
            // What it sent is not read, so it may be told by a reset.
            match client.read(&mut [0]) {
                Ok(0) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
                other => panic!("{other:?}"),
            }
        }
        program.until_grown(&before, "connections_full_total", count as u64);
        drop(held);
        program.until_connections(4);
        Sent::default()
    });
    program.stop();
}
