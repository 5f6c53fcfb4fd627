//! `MqttCodec` as `tokio_util` uses it.

use bytes::{Bytes, BytesMut};
use mqtt_codec::{
    Ack, CodecError, Connect, DecodeError, EncodeError, Limits, MqttCodec, Packet, PacketIdentifier,
    PacketType, ProtocolVersion, Publish, PublishProperties, QoS, ReasonCode, Sender,
};
use proptest::prelude::*;
use tokio_util::codec::{Decoder, Encoder};

use crate::{
    arbitrary::packet,
    feed::{VERSIONS, framed},
};

/// A server learns the version from what it decodes, a client from what it encodes.
#[test]
fn version_is_learned_from_connect() {
    for version in VERSIONS {
        let mut client = MqttCodec::new(None, Sender::Server, Limits::default());
        let mut server = MqttCodec::new(None, Sender::Client, Limits::default());
        assert_eq!((client.version(), server.version()), (None, None));
        let connect = Packet::Connect(Box::new(Connect::new(version, "client")));
        let mut wire = BytesMut::new();
        client.encode(&connect, &mut wire).unwrap();
        assert_eq!(client.version(), Some(version));
        assert_eq!(server.decode(&mut wire).unwrap(), Some(connect));
        assert_eq!(server.version(), Some(version));
        let ack = Packet::PubAck(Ack::new(PacketIdentifier::MIN, ReasonCode::Success));
        server.encode(ack.clone(), &mut wire).unwrap();
        assert_eq!(client.decode(&mut wire).unwrap(), Some(ack));
        assert!(wire.is_empty());
    }
}

/// [MQTT-3.1.0-1]
#[test]
fn connect_comes_first() {
    let mut codec = MqttCodec::new(None, Sender::Client, Limits::default());
    let packet_type = PacketType::PingReq;
    let error = codec.decode(&mut BytesMut::from(&b"\xc0\x00"[..])).unwrap_err();
    let unknown = DecodeError::VersionUnknown { packet_type };
    assert!(matches!(error, CodecError::Decode(found) if found == unknown), "{error}");
    assert_eq!(unknown.reason_code(), ReasonCode::ProtocolError);
    let error = codec.encode(Packet::PingResp, &mut BytesMut::new()).unwrap_err();
    let packet_type = PacketType::PingResp;
    let unknown = EncodeError::VersionUnknown { packet_type };
    assert!(matches!(error, CodecError::Encode(found) if found == unknown), "{error}");
    codec.set_version(ProtocolVersion::V5);
    assert!(codec.encode(Packet::PingResp, &mut BytesMut::new()).is_ok());
}

/// A peer that only announces a large packet makes nobody hold memory for it; one that sends it does, piece by piece.
#[test]
fn room_is_made_as_bytes_arrive() {
    let mut codec = MqttCodec::new(Some(ProtocolVersion::V311), Sender::Client, Limits::default());
    let frame = framed(0x30, &[b"\0\x01t", &vec![7; 1_000_000][..]].concat());
    let mut received = BytesMut::from(&frame[..10]);
    assert_eq!(codec.decode(&mut received).unwrap(), None);
    let room = received.capacity() - received.len();
    assert!((64 * 1024..256 * 1024).contains(&room), "{room}");
    // Of the last bytes just those that are missing.
    let mut received = BytesMut::from(&frame[..frame.len() - 1]);
    assert_eq!(codec.decode(&mut received).unwrap(), None);
    received.extend_from_slice(&frame[frame.len() - 1..]);
    assert!(codec.decode(&mut received).unwrap().is_some());
}

#[test]
fn payload_shares_the_read_buffer() {
    let payload = vec![7; 100_000];
    let frame = framed(0x30, &[b"\0\x01t", &payload[..]].concat());
    let mut received = BytesMut::from(&frame[..]);
    let place = received.as_ptr_range();
    let mut codec = MqttCodec::new(Some(ProtocolVersion::V311), Sender::Client, Limits::default());
    let Some(Packet::Publish(publish)) = codec.decode(&mut received).unwrap() else { panic!("no PUBLISH") };
    assert_eq!(publish.payload, payload);
    assert!(place.contains(&publish.payload.as_ptr()), "the payload was copied");
}

#[test]
fn maximum_packet_size_of_the_peer() {
    let mut codec = MqttCodec::new(Some(ProtocolVersion::V5), Sender::Client, Limits::default());
    codec.set_maximum_packet_size(20);
    let packet = Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "t".to_owned(),
        packet_identifier: None,
        properties: PublishProperties::default(),
        payload: Bytes::from_static(&[0; 30]),
    });
    let mut out = BytesMut::new();
    let error = codec.encode(&packet, &mut out).unwrap_err();
    assert!(
        matches!(error, CodecError::Encode(EncodeError::PacketTooLarge { bytes: 36, limit: 20 })),
        "{error}"
    );
    assert!(out.is_empty());
}

proptest! {
    /// Packets one behind the other come out one by one.
    #[test]
    fn stream_of_packets((packet, version, sender) in packet(), count in 1usize..4) {
        let mut encoder = MqttCodec::new(Some(version), sender, Limits::default());
        let mut wire = BytesMut::new();
        for _ in 0..count {
            encoder.encode(&packet, &mut wire).unwrap();
        }
        let mut decoder = MqttCodec::new(Some(version), sender, Limits::default());
        for _ in 0..count {
            let decoded = decoder.decode(&mut wire).unwrap();
            prop_assert_eq!(decoded.as_ref(), Some(&packet));
        }
        prop_assert!(decoder.decode(&mut wire).unwrap().is_none());
        prop_assert!(wire.is_empty());
    }
}
