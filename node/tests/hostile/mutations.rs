//! Packets of each version and type, with a few bytes that are not what they were.

use std::io::{Read, Write};
use std::net::Shutdown;

use mqtt_codec::{
    Ack, Auth, AuthProperties, Connect, Disconnect, Packet, PacketIdentifier, PayloadFormat, ProtocolVersion,
    Publish, PublishProperties, QoS, ReasonCode, Subscribe, SubscriptionFilter, SubscriptionOptions,
    TopicName, Unsubscribe, Will,
};

use crate::harness::{
    Frame, Program, Random, Scale, Sent, Turn, WebSocket, Wire, bytes_of, connect, ordeal, seed, until,
};

const MUTATED: usize = 100_000;
/// Packets of one network connection, at most.
const PACKETS_MAX: usize = 16;

/// Sessions that a mutation made durable end soon, so that memory can be compared.
const SETTINGS: &[&str] =
    &["mqtt.session_expiry_interval_max_seconds=1", "session.retained_messages_max=100"];

fn properties(version: ProtocolVersion) -> PublishProperties {
    match version {
        ProtocolVersion::V5 => PublishProperties {
            payload_format_indicator: Some(PayloadFormat::Utf8),
            message_expiry_interval: Some(1),
            topic_alias: 3.try_into().ok(),
            response_topic: Some("mutated/answer".to_owned()),
            correlation_data: Some(b"0123456789".to_vec().into()),
            content_type: Some("text/plain".to_owned()),
            user_properties: vec![("name".to_owned(), "value".to_owned()); 3],
            ..PublishProperties::default()
        },
        _ => PublishProperties::default(),
    }
}

fn full_connect(version: ProtocolVersion) -> Connect {
    let will = Will {
        qos: QoS::AtLeastOnce,
        retain: true,
        topic: TopicName::new("mutated/will").expect("a topic name"),
        payload: b"will".to_vec().into(),
        delay_interval: 0,
        properties: PublishProperties { topic_alias: None, ..properties(version) },
    };
    let mut connect = Connect {
        keep_alive: 10,
        user_name: Some("user".to_owned()),
        password: Some(b"password".to_vec().into()),
        will: Some(will),
        ..connect(version, "mutated")
    };
    if version == ProtocolVersion::V5 {
        connect.properties.receive_maximum = 10.try_into().ok();
        connect.properties.maximum_packet_size = 1000.try_into().ok();
        connect.properties.topic_alias_maximum = Some(5);
        connect.properties.user_properties = vec![("name".to_owned(), "value".to_owned())];
    }
    connect
}

/// One packet of each type that a client sends, and some that it must not.
fn packets(version: ProtocolVersion) -> Vec<Vec<u8>> {
    let identifier = PacketIdentifier::new(7).expect("not 0");
    let is_5 = version == ProtocolVersion::V5;
    let publish = |qos, retain| {
        Packet::Publish(Publish {
            dup: false,
            qos,
            retain,
            topic: "mutated/topic/name".to_owned(),
            packet_identifier: Some(identifier).filter(|_| qos > QoS::AtMostOnce),
            properties: properties(version),
            payload: b"payload".to_vec().into(),
        })
    };
    let ack = || Ack::new(identifier, ReasonCode::Success);
    let filters = ["mutated/#", "mutated/+/name", "$share/group/mutated/topic"];
    let filters = filters.map(|filter| SubscriptionFilter::parse(filter).expect("a topic filter"));
    let options = |qos: QoS| SubscriptionOptions::from(qos);
    let subscribe = Subscribe {
        packet_identifier: identifier,
        subscription_identifier: std::num::NonZeroU32::new(9).filter(|_| is_5),
        user_properties: Vec::new(),
        filters: filters.iter().map(|filter| (filter.clone(), options(QoS::ExactlyOnce))).collect(),
    };
    let unsubscribe =
        Unsubscribe { packet_identifier: identifier, user_properties: Vec::new(), filters: filters.to_vec() };
    let mut packets = vec![
        Packet::Connect(Box::new(full_connect(version))),
        publish(QoS::AtMostOnce, false),
        publish(QoS::AtLeastOnce, true),
        publish(QoS::ExactlyOnce, false),
        Packet::PubAck(ack()),
        Packet::PubRec(ack()),
        Packet::PubRel(ack()),
        Packet::PubComp(ack()),
        Packet::Subscribe(subscribe),
        Packet::Unsubscribe(unsubscribe),
        Packet::PingReq,
        Packet::Disconnect(Disconnect::new(ReasonCode::Success)),
        Packet::PingResp,
    ];
    if is_5 {
        packets.push(Packet::Auth(Auth {
            reason_code: ReasonCode::ReAuthenticate,
            properties: AuthProperties {
                authentication_method: Some("SCRAM-SHA-256".to_owned()),
                authentication_data: Some(b"data".to_vec().into()),
                ..AuthProperties::default()
            },
        }));
    }
    packets.iter().map(|packet| bytes_of(packet, version)).collect()
}

fn mutate(bytes: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        match random.below(9) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.byte(),
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            3 => bytes.insert(at, random.byte()),
            4 => bytes.truncate(at + 1),
            5 => {
                // A length that says more, or less.
                let at = 1.min(bytes.len() - 1);
                bytes[at] = bytes[at].wrapping_add(random.byte() % 9).wrapping_sub(4);
            }
            6 => {
                let end = at + random.below(bytes.len() - at);
                bytes.drain(at..end);
            }
            7 => {
                let end = at + random.below(bytes.len() - at);
                let twice = bytes[at..end].to_vec();
                bytes.splice(at..at, twice);
            }
            _ => {
                let other = &others[random.below(others.len())];
                bytes.truncate(at + 1);
                bytes.extend_from_slice(&other[random.below(other.len())..]);
            }
        }
    }
}

/// Packets of one network connection: mostly behind a CONNECT that is accepted.
fn sequence(
    random: &mut Random,
    by_version: &[(ProtocolVersion, Vec<Vec<u8>>)],
    number: usize,
) -> Vec<Vec<u8>> {
    let (version, packets) = &by_version[random.below(by_version.len())];
    let mut sequence = Vec::new();
    if !random.one_in(4) {
        let name = format!("mutated-{}", number % 50);
        sequence.push(bytes_of(&Packet::Connect(Box::new(connect(*version, &name))), *version));
    }
    for _ in 0..=random.below(PACKETS_MAX) {
        let mut bytes = packets[random.below(packets.len())].clone();
        mutate(&mut bytes, packets, random);
        sequence.push(bytes);
    }
    sequence
}

fn mutated(program: &Program, send: impl Fn(&[Vec<u8>], &mut Random) + Sync) {
    let seed = seed();
    let versions = [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5];
    let by_version = versions.map(|version| (version, packets(version)));
    let mut random = Random::new(seed);
    let mut number = 0;
    ordeal(program, |scale: Scale| {
        let (count, mut sent) = (scale.of(MUTATED), 0);
        while sent < count {
            let sequence = sequence(&mut random, &by_version, number);
            sent += sequence.len();
            number += 1;
            send(&sequence, &mut random);
        }
        // Those that are durable end.
        until("sessions end", || {
            let seen = program.figures().get("sessions");
            if seen <= 4 { Ok(()) } else { Err(format!("{seen} sessions")) }
        });
        Sent::default()
    });
    // Each network connection that was taken in has ended, and each end has its reason.
    until("each end has its reason", || {
        let seen = program.figures();
        let began = seen.get("connects_accepted_total") + seen.get("connects_refused_total");
        let ended = seen.sum("connections_ended_total");
        if ended == began { Ok(()) } else { Err(format!("{began} began, {ended} ended")) }
    });
    assert!(program.figures().get("protocol_errors_total") > 0);
}

#[test]
fn mutated_packets_over_tcp() {
    let _turn = Turn::take();
    let program = Program::start(SETTINGS);
    mutated(&program, |sequence, random| {
        let mut wire = Wire::open(program.tcp, ProtocolVersion::V5);
        let bytes = sequence.concat();
        // Now and then in two pieces, wherever they part.
        let at = if random.one_in(4) { random.below(bytes.len()) } else { bytes.len() };
        let whole = wire.send_bytes(&bytes[..at]) && wire.send_bytes(&bytes[at..]);
        // It may be closed before the end is sent.
        if whole {
            let _ = wire.stream.shutdown(Shutdown::Write);
        }
        wire.expect_end();
    });
    program.stop();
}

#[test]
fn mutated_packets_over_websocket() {
    let _turn = Turn::take();
    let program = Program::start(SETTINGS);
    mutated(&program, |sequence, random| {
        let mut socket = WebSocket::open(program.websocket);
        let mut bytes = Vec::new();
        for packet in sequence {
            // In one message, in two, or in two frames of one.
            let at = if random.one_in(4) { random.below(packet.len()) } else { 0 };
            let begins = if random.one_in(2) { 0x82 } else { 0x02 };
            let goes_on = if begins == 0x02 { 0x80 } else { 0x82 };
            match at {
                0 => bytes.extend(Frame::binary(packet).bytes()),
                _ => {
                    bytes.extend(Frame::new(begins, &packet[..at]).bytes());
                    bytes.extend(Frame::new(goes_on, &packet[at..]).bytes());
                }
            }
        }
        if socket.stream.write_all(&bytes).is_ok() {
            let _ = socket.stream.shutdown(Shutdown::Write);
        }
        let mut rest = Vec::new();
        // It may be reset, which is an end as well.
        let _ = socket.stream.read_to_end(&mut rest);
    });
    program.stop();
}
