//! Many who get everything, and those who do not read what they get.

use std::io::Read;

use mqtt_codec::{Connect, Disconnect, Packet, ProtocolVersion, Publish, QoS, ReasonCode};

use crate::harness::{
    Program, Scale, Sent, Turn, Wire, bytes_of, connect, ordeal, publish, subscribe, until,
};

fn subscriber(program: &Program, connect: Connect, filter: &str, qos: QoS) -> Wire {
    let mut client = Wire::client(program.tcp, connect);
    client.send(&subscribe(&[filter], qos));
    client.until(|packet| matches!(packet, Packet::SubAck(_)));
    client
}

/// A thousand clients that subscribe to `#`, read it, and are published to.
#[test]
fn a_thousand_subscribers_to_everything() {
    let _turn = Turn::take();
    let program = Program::start(&[]);
    ordeal(&program, |scale: Scale| {
        let (before, count) = (program.figures(), scale.of(1000));
        let mut subscribers: Vec<Wire> = (0..count)
            .map(|number| {
                let connect = connect(ProtocolVersion::V5, &format!("everything-{number}"));
                subscriber(&program, connect, "#", QoS::AtMostOnce)
            })
            .collect();
        for subscriber in &subscribers {
            subscriber.stream.set_nonblocking(true).expect("an open socket");
        }
        let mut publisher = Wire::client(program.tcp, connect(ProtocolVersion::V5, "to-everybody"));
        let (messages, mut buffer) = (scale.of(100), vec![0; 64 * 1024]);
        for _ in 0..messages {
            publisher.send(&publish("everybody/x", QoS::AtMostOnce, 0, &[b'x'; 200]));
        }
        let wanted = (count * messages) as u64;
        until("all is delivered", || {
            for subscriber in &mut subscribers {
                // What is not there yet comes later.
                let _ = subscriber.stream.read(&mut buffer);
            }
            let delivered = program.figures().grew(&before, "messages_delivered_total");
            let dropped = program.figures().sum("messages_dropped_total");
            if delivered >= wanted {
                Ok(())
            } else {
                Err(format!("{delivered} of {wanted}, {dropped} dropped"))
            }
        });
        Sent::default()
    });
    program.stop();
}

/// Subscribers that read nothing: of QoS 0, 1 and 2, clean and persistent, with a window of one, of large payloads.
#[test]
fn slow_readers_of_every_kind() {
    let _turn = Turn::take();
    let program = Program::start(&["session.queue_bytes_max=4194304"]);
    ordeal(&program, |scale: Scale| {
        let mut readers = Vec::new();
        for number in 0..scale.of(8) {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                for expiry in [None, Some(60)] {
                    let mut connect = connect(
                        ProtocolVersion::V5,
                        &format!("slow-{number}-{}-{}", qos as u8, expiry.is_some()),
                    );
                    connect.properties.session_expiry_interval = expiry;
                    connect.properties.receive_maximum = [None, 1.try_into().ok()][number % 2];
                    readers.push(subscriber(&program, connect, "slow/#", qos));
                }
            }
        }
        let mut publisher = Wire::client(program.tcp, connect(ProtocolVersion::V311, "to-slow"));
        for (size, count) in [(100, scale.of(20_000)), (100_000, scale.of(100))] {
            let one = publish("slow/x", QoS::AtMostOnce, 0, &vec![b'x'; size]);
            let bytes = bytes_of(&one, ProtocolVersion::V311);
            for _ in 0..count {
                assert!(publisher.send_bytes(&bytes));
            }
            let Packet::Publish(message) = one else { unreachable!() };
            let sure = Publish {
                qos: QoS::AtLeastOnce,
                packet_identifier: Some(mqtt_codec::PacketIdentifier::MIN),
                ..message
            };
            for _ in 0..count / 10 {
                publisher.send(&Packet::Publish(sure.clone()));
                publisher.until(|packet| matches!(packet, Packet::PubAck(_)));
            }
        }
        publisher.ping();
        program.balanced_ledger();
        let most = 64 * 1024 * 1024 + readers.len() * 6 * 1024 * 1024;
        assert!(program.resident_bytes() < most, "{} bytes", program.resident_bytes());
        // They come back to end their sessions.
        for reader in readers {
            drop(reader);
        }
        program.until_connections(5);
        for number in 0..scale.of(8) {
            for qos in 0..3 {
                let mut wire = Wire::client(
                    program.tcp,
                    connect(ProtocolVersion::V5, &format!("slow-{number}-{qos}-true")),
                );
                wire.send(&Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
                wire.expect_end();
            }
        }
        drop(publisher);
        Sent::default()
    });
    program.stop();
}

/// Retained messages up to the limits of their number and of their bytes, and beyond.
#[test]
fn retained_messages_to_the_limit() {
    let _turn = Turn::take();
    const MESSAGES: u64 = 5_000;
    let program =
        Program::start(&["session.retained_messages_max=5000", "session.retained_bytes_max=1000000"]);
    let retained = |topic: &str, payload: &[u8]| {
        let Packet::Publish(message) = publish(topic, QoS::AtMostOnce, 0, payload) else { unreachable!() };
        bytes_of(&Packet::Publish(Publish { retain: true, ..message }), ProtocolVersion::V5)
    };
    ordeal(&program, |_: Scale| {
        let before = program.figures();
        let mut client = Wire::client(program.tcp, connect(ProtocolVersion::V5, "retainer"));
        let mut seen_refused = 0;
        for number in 0..MESSAGES + 1000 {
            assert!(client.send_bytes(&retained(&format!("retained/{number}"), b"x")));
        }
        client.ping();
        until("the limit of messages", || {
            let figures = program.figures();
            seen_refused = figures.grew(&before, "retained_refused_total");
            let is_full = figures.get("retained_messages") == MESSAGES && seen_refused == 1000;
            if is_full { Ok(()) } else { Err(format!("{seen_refused} refused")) }
        });
        // What outgrows the bytes is refused, and what it was to replace stays.
        for number in 0..20 {
            assert!(client.send_bytes(&retained(&format!("retained/{number}"), &[b'y'; 60_000])));
        }
        client.ping();
        until("the limit of bytes", || {
            let bytes = program.figures().get("retained_bytes");
            let refused = program.figures().grew(&before, "retained_refused_total");
            if bytes <= 1_000_000 && refused > 1000 { Ok(()) } else { Err(format!("{bytes} bytes")) }
        });
        // Subscribers that ask for all of them, and leave.
        for number in 0..20 {
            let connect = connect(ProtocolVersion::V5, &format!("asks-{number}"));
            drop(subscriber(&program, connect, "#", QoS::AtMostOnce));
        }
        for number in 0..MESSAGES + 1000 {
            assert!(client.send_bytes(&retained(&format!("retained/{number}"), b"")));
        }
        until("none is left", || {
            let left = program.figures().get("retained_messages");
            if left == 0 { Ok(()) } else { Err(format!("{left} left")) }
        });
        Sent::default()
    });
    program.stop();
}
