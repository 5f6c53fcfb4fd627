//! Packets from bytes and to bytes, as a connection does it. Counts are for one packet.

use std::hint::black_box;
use std::num::NonZeroU32;

use bytes::Bytes;
use mqtt_codec::{
    Ack, Connect, Limits, Packet, PacketIdentifier, PacketType, ProtocolVersion, Publish, PublishFrame,
    PublishProperties, QoS, ReasonCode, Sender, Subscribe, SubscriptionFilter, TopicName, Will, decode_body,
    encode, encode_ack, read_header,
};

use crate::Case;
use crate::counted::count;

use ProtocolVersion::{V5, V311};

pub(crate) const CASES: &[Case] = &[
    Case { name: "codec/decode-publish-3.1.1", run: || decoded(&publish(), V311) },
    Case { name: "codec/decode-publish-5.0", run: || decoded(&publish_with_properties(), V5) },
    Case { name: "codec/encode-publish-3.1.1", run: || encoded_publish(V311) },
    Case { name: "codec/encode-publish-5.0", run: || encoded_publish(V5) },
    Case { name: "codec/decode-connect-3.1.1", run: || decoded(&connect(V311), V311) },
    Case { name: "codec/decode-connect-5.0", run: || decoded(&connect(V5), V5) },
    Case { name: "codec/encode-connect-5.0", run: || encoded(&connect(V5), V5) },
    Case { name: "codec/decode-subscribe-3.1.1", run: || decoded(&subscribe(None), V311) },
    Case { name: "codec/decode-subscribe-5.0", run: || decoded(&subscribe(NonZeroU32::new(7)), V5) },
    Case { name: "codec/encode-subscribe-5.0", run: || encoded(&subscribe(NonZeroU32::new(7)), V5) },
    Case { name: "codec/decode-puback-3.1.1", run: || decoded(&puback(), V311) },
    Case { name: "codec/decode-puback-5.0", run: || decoded(&puback(), V5) },
    Case { name: "codec/encode-puback-3.1.1", run: || encoded_puback(V311) },
    Case { name: "codec/encode-puback-5.0", run: || encoded_puback(V5) },
];

/// Packets of one batch.
const BATCH: usize = 64;
/// Batches, so that what the allocator does now and then is spread.
const BATCHES: usize = 50;
const TOPIC: &str = "building/17/room/4/temperature";
const PAYLOAD: [u8; 64] = [b'p'; 64];

fn identifier(index: usize) -> PacketIdentifier {
    PacketIdentifier::new(index as u16 + 1).expect("above 0")
}

fn publish() -> Packet {
    Packet::Publish(Publish {
        qos: QoS::AtLeastOnce,
        dup: false,
        retain: false,
        topic: TOPIC.to_owned(),
        packet_identifier: Some(PacketIdentifier::MIN),
        payload: Bytes::from_static(&PAYLOAD),
        properties: PublishProperties::default(),
    })
}

fn publish_with_properties() -> Packet {
    let Packet::Publish(mut publish) = publish() else { unreachable!("it is one") };
    publish.properties = PublishProperties {
        message_expiry_interval: Some(60),
        content_type: Some("text/plain".to_owned()),
        user_properties: vec![("unit".to_owned(), "celsius".to_owned())],
        ..PublishProperties::default()
    };
    Packet::Publish(publish)
}

fn connect(version: ProtocolVersion) -> Packet {
    let mut connect = Connect::new(version, "meter-4711");
    connect.keep_alive = 60;
    connect.user_name = Some("meter".to_owned());
    connect.password = Some(Bytes::from_static(b"secret"));
    connect.will = Some(Will {
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: TopicName::new("building/17/gone").expect("it is a topic name"),
        payload: Bytes::from_static(b"gone"),
        delay_interval: 0,
        properties: PublishProperties::default(),
    });
    if version == V5 {
        connect.properties.session_expiry_interval = Some(3600);
    }
    Packet::Connect(Box::new(connect))
}

fn subscribe(subscription_identifier: Option<NonZeroU32>) -> Packet {
    let filters = ["building/17/#", "building/+/room/4/temperature", TOPIC, "$share/group/building/+/alarm"];
    let filter = |filter: &str| SubscriptionFilter::parse(filter).expect("it is a topic filter");
    Packet::Subscribe(Subscribe {
        packet_identifier: PacketIdentifier::MIN,
        subscription_identifier,
        user_properties: Vec::new(),
        filters: filters.map(|text| (filter(text), QoS::AtLeastOnce.into())).into(),
    })
}

fn puback() -> Packet {
    Packet::PubAck(Ack::new(PacketIdentifier::MIN, ReasonCode::Success))
}

/// Decodes a batch of this packet.
fn decoded(packet: &Packet, version: ProtocolVersion) -> usize {
    let mut bytes = Vec::new();
    for _ in 0..BATCH {
        encode(packet, version, u32::MAX, &mut bytes).expect("it can be encoded");
    }
    let limits = Limits::default();
    let decode_batch = || {
        let (mut rest, mut packets) = (black_box(&bytes[..]), 0);
        while let Some(header) = read_header(rest, &limits).expect("it has a header") {
            let (frame, behind) = rest.split_at(header.frame_bytes());
            let body = &frame[header.header_bytes.into()..];
            let packet = decode_body(header, body, version, Sender::Client, &limits);
            black_box(&packet.expect("it can be decoded"));
            rest = behind;
            packets += 1;
        }
        packets
    };
    decode_batch();
    count(|| (0..BATCHES).map(|_| decode_batch()).sum())
}

/// Fills an empty buffer with a batch, again and again; all but the first time it has grown before.
fn filled(mut write: impl FnMut(usize, &mut Vec<u8>)) -> usize {
    let mut out = Vec::new();
    let mut write_batch = || {
        out.clear();
        (0..BATCH).for_each(|index| write(index, &mut out));
        black_box(&out);
    };
    write_batch();
    count(|| (0..BATCHES).for_each(|_| write_batch()));
    BATCH * BATCHES
}

fn encoded(packet: &Packet, version: ProtocolVersion) -> usize {
    filled(|_, out| encode(black_box(packet), version, u32::MAX, out).expect("it can be encoded"))
}

/// As it is written to a subscriber.
fn encoded_publish(version: ProtocolVersion) -> usize {
    let frame = PublishFrame {
        version,
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: TOPIC,
        packet_identifier: None,
        topic_alias: None,
        message_expiry_interval: Some(60),
        subscription_identifiers: &[7],
        forwarded_properties: b"\x03\x00\x0atext/plain",
        payload_bytes: PAYLOAD.len(),
    };
    filled(|index, out| {
        let frame = PublishFrame { packet_identifier: Some(identifier(index)), ..frame };
        black_box(frame).encode_head(out);
        out.extend_from_slice(&PAYLOAD);
    })
}

fn encoded_puback(version: ProtocolVersion) -> usize {
    filled(|index, out| {
        encode_ack(PacketType::PubAck, version, identifier(index), ReasonCode::Success, out);
    })
}
