//! Packets of each type, as fast as they can be sent.

use mqtt_codec::{Ack, Disconnect, Packet, PacketIdentifier, ProtocolVersion, QoS, ReasonCode, Unsubscribe};

use crate::harness::{
    Program, Scale, Sent, Turn, Wire, bytes_of, connect, filter, ordeal, publish, subscribe,
};

const PACKETS: usize = 100_000;
const PER_WRITE: usize = 200;
const CLIENTS: usize = 4;

/// Sends a packet again and again by several clients, who read what is answered. None is closed for it.
fn storm(version: ProtocolVersion, packet: &Packet) {
    let program = Program::start(&[]);
    let many = bytes_of(packet, version).repeat(PER_WRITE);
    ordeal(&program, |scale: Scale| {
        let mut sent = Sent::default();
        let mut clients: Vec<(Wire, std::thread::JoinHandle<()>)> = (0..CLIENTS)
            .map(|number| {
                let client = Wire::client(program.tcp, connect(version, &format!("storm-{number}")));
                let reader = client.stream.try_clone().expect("an open socket");
                (client, std::thread::spawn(move || drain(reader)))
            })
            .collect();
        for number in 0..scale.of(PACKETS) / PER_WRITE {
            assert!(clients[number % CLIENTS].0.send_bytes(&many), "it was closed");
            sent.add(PER_WRITE, many.len());
        }
        for (mut client, reader) in clients {
            // Closed by itself alone: behind all of it, DISCONNECT is understood.
            client.send(&Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
            reader.join().expect("it is read to its end");
        }
        sent
    });
    let seen = program.figures();
    assert_eq!(seen.get("protocol_errors_total"), 0);
    // Nobody was closed for anything else than DISCONNECT.
    assert_eq!(
        seen.sum("connections_ended_total"),
        seen.get("connections_ended_total{reason_code=\"0x00\"}"),
        "{seen:?}"
    );
    program.stop();
}

fn drain(mut stream: std::net::TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    while std::io::Read::read(&mut stream, &mut buffer).is_ok_and(|read| read > 0) {}
}

fn ack() -> Ack {
    Ack::new(PacketIdentifier::new(4711).expect("not 0"), ReasonCode::Success)
}

#[test]
fn of_pingreq() {
    let _turn = Turn::take();
    storm(ProtocolVersion::V311, &Packet::PingReq);
}

#[test]
fn of_publish() {
    let _turn = Turn::take();
    storm(ProtocolVersion::V5, &publish("storm/x", QoS::AtMostOnce, 0, &[b'x'; 64]));
}

#[test]
fn of_publish_with_qos_1() {
    let _turn = Turn::take();
    storm(ProtocolVersion::V311, &publish("storm/x", QoS::AtLeastOnce, 7, &[b'x'; 64]));
}

#[test]
fn of_publish_with_qos_2_and_one_identifier() {
    let _turn = Turn::take();
    storm(ProtocolVersion::V311, &publish("storm/x", QoS::ExactlyOnce, 7, &[b'x'; 64]));
}

/// An unknown packet identifier never closes a connection.
#[test]
fn of_puback_to_nothing() {
    let _turn = Turn::take();
    storm(ProtocolVersion::V5, &Packet::PubAck(ack()));
}

#[test]
fn of_pubrec_to_nothing() {
    let _turn = Turn::take();
    storm(ProtocolVersion::V5, &Packet::PubRec(ack()));
}

#[test]
fn of_pubrel_to_nothing() {
    let _turn = Turn::take();
    storm(ProtocolVersion::V311, &Packet::PubRel(ack()));
}

#[test]
fn of_pubcomp_to_nothing() {
    let _turn = Turn::take();
    storm(ProtocolVersion::V311, &Packet::PubComp(ack()));
}

#[test]
fn of_subscribe() {
    let _turn = Turn::take();
    storm(ProtocolVersion::V5, &subscribe(&["storm/+/x", "storm/y"], QoS::AtLeastOnce));
}

#[test]
fn of_unsubscribe_from_nothing() {
    let _turn = Turn::take();
    storm(
        ProtocolVersion::V5,
        &Packet::Unsubscribe(Unsubscribe {
            packet_identifier: PacketIdentifier::MIN,
            user_properties: Vec::new(),
            filters: vec![filter("storm/+/x"), filter("storm/y")],
        }),
    );
}

/// Filters come and go, a few thousand at a time.
#[test]
fn of_filters_that_come_and_go() {
    let _turn = Turn::take();
    let program = Program::start(&[]);
    let filters: Vec<String> = (0..4000).map(|number| format!("churn/{number}/+/x")).collect();
    ordeal(&program, |scale: Scale| {
        let mut client = Wire::client(program.tcp, connect(ProtocolVersion::V5, "churn"));
        for _ in 0..scale.of(10) {
            client.send(&subscribe(&filters, QoS::AtLeastOnce));
            client.until(|packet| matches!(packet, Packet::SubAck(_)));
            client.send(&Packet::Unsubscribe(Unsubscribe {
                packet_identifier: PacketIdentifier::MIN,
                user_properties: Vec::new(),
                filters: filters.iter().map(|text| filter(text)).collect(),
            }));
            client.until(|packet| matches!(packet, Packet::UnsubAck(_)));
        }
        program.until_figure("subscriptions", 4);
        Sent::default()
    });
    program.stop();
}

/// CONNECT, DISCONNECT, again and again.
#[test]
fn of_connect_and_disconnect() {
    let _turn = Turn::take();
    let program = Program::start(&[]);
    ordeal(&program, |scale: Scale| {
        for number in 0..scale.of(3000) {
            let mut client =
                Wire::client(program.tcp, connect(ProtocolVersion::V5, &format!("coming-{}", number % 100)));
            client.send(&Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
            client.expect_end();
        }
        Sent::default()
    });
    program.stop();
}

/// Packets that only a server sends, a second CONNECT, and an AUTH without a method end the connection, with 0x82.
#[test]
fn of_packets_that_are_wrong() {
    let _turn = Turn::take();
    let program = Program::start(&[]);
    let version = ProtocolVersion::V5;
    let wrong: [&[u8]; 4] = [
        &[0xd0, 0],
        &[0x90, 4, 0, 1, 0, 0],
        &bytes_of(&Packet::Connect(Box::new(connect(version, "again"))), version),
        &[0xf0, 0],
    ];
    ordeal(&program, |scale: Scale| {
        let ended = "connections_ended_total{reason_code=\"0x82\"}";
        let (before, count) = (program.figures(), scale.of(500));
        for _ in 0..count {
            for bytes in wrong {
                let mut client = Wire::client(program.tcp, connect(version, "wrong"));
                client.send_bytes(bytes);
                client.expect_end();
            }
        }
        program.until_grown(&before, ended, (count * wrong.len()) as u64);
        Sent::default()
    });
    program.stop();
}
