//! MQTT 3.1.1, statement by statement: bytes in, bytes out.

mod connack;
mod connect;
mod connect_flags;
mod flags;
mod keep_alive;
mod packet_identifiers;
mod publish;
mod qos;
mod retained;
mod session;
mod strings;
mod subscribe;
mod topics;
mod transient_error;
mod unsubscribe;
mod wills;

use mqtt_codec::ProtocolVersion::V311;

use crate::harness::{Client, TestNode};

/// Connect flags.
const CLEAN: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_QOS_1: u8 = 0x08;
const WILL_QOS_2: u8 = 0x10;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;

/// CONNACK: accepted, without and with a session that was there.
const ACCEPTED: &[u8] = b"\x20\x02\x00\x00";
const RESUMED: &[u8] = b"\x20\x02\x01\x00";
const PINGREQ: &[u8] = b"\xc0\x00";
const PINGRESP: &[u8] = b"\xd0\x00";
const DISCONNECT: &[u8] = b"\xe0\x00";

/// A control packet: first byte, remaining length, and what it spans.
fn packet(first_byte: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first_byte];
    let mut length = body.len();
    loop {
        let more = length >= 0x80;
        bytes.push((length % 0x80) as u8 | if more { 0x80 } else { 0 });
        length /= 0x80;
        if !more {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

/// Two bytes of length and what they span: a string or a payload field of CONNECT.
fn field(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a length of two bytes");
    [&length.to_be_bytes(), content].concat()
}

/// CONNECT with a keep alive of a minute and these fields as its payload.
fn connect(flags: u8, fields: &[&[u8]]) -> Vec<u8> {
    let payload: Vec<u8> = fields.iter().flat_map(|content| field(content)).collect();
    packet(0x10, &[b"\x00\x04MQTT\x04", &[flags][..], b"\x00\x3c", &payload].concat())
}

/// PUBLISH; the lower half of the first byte is DUP, QoS and RETAIN.
fn publish(first_byte: u8, topic: &str, identifier: Option<u16>, payload: &str) -> Vec<u8> {
    let identifier = identifier.map(u16::to_be_bytes);
    let identifier = identifier.as_ref().map_or(&[][..], |bytes| bytes);
    packet(first_byte, &[&field(topic.as_bytes()), identifier, payload.as_bytes()].concat())
}

/// SUBSCRIBE with topic filters and the QoS asked for.
fn subscribe(identifier: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    let filters = filters.iter().flat_map(|(name, qos)| [field(name.as_bytes()), vec![*qos]].concat());
    packet(0x82, &[&identifier.to_be_bytes()[..], &filters.collect::<Vec<_>>()].concat())
}

/// UNSUBSCRIBE.
fn unsubscribe(identifier: u16, filters: &[&str]) -> Vec<u8> {
    let filters = filters.iter().flat_map(|name| field(name.as_bytes()));
    packet(0xa2, &[&identifier.to_be_bytes()[..], &filters.collect::<Vec<_>>()].concat())
}

/// PUBACK, PUBREC, PUBREL (with its bit) and PUBCOMP, SUBACK aside: a first byte and a packet identifier.
fn ack(first_byte: u8, identifier: u16) -> Vec<u8> {
    packet(first_byte, &identifier.to_be_bytes())
}

const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;

/// A network connection that has sent nothing.
async fn open(node: &TestNode) -> Client {
    node.open(V311).await
}

/// A client that sent this CONNECT and was answered this CONNACK.
async fn join_with(node: &TestNode, connect: &[u8], connack: &[u8]) -> Client {
    let mut client = open(node).await;
    client.send_bytes(connect).await;
    client.expect_bytes(connack).await;
    client
}

/// A client with clean session 1.
async fn join(node: &TestNode, client_identifier: &str) -> Client {
    join_with(node, &connect(CLEAN, &[client_identifier.as_bytes()]), ACCEPTED).await
}

/// A client with clean session 0, and what its CONNACK is to be.
async fn join_durable(node: &TestNode, client_identifier: &str, connack: &[u8]) -> Client {
    join_with(node, &connect(0, &[client_identifier.as_bytes()]), connack).await
}

/// Sends a SUBSCRIBE for one topic filter, which is granted.
async fn subscribed(client: &mut Client, filter: &str, qos: u8) {
    client.send_bytes(&subscribe(10, &[(filter, qos)])).await;
    client.expect_bytes(&[0x90, 3, 0, 10, qos]).await;
}

/// These bytes are answered by nothing but the end of the network connection.
async fn expect_closed_by(mut client: Client, bytes: &[u8]) {
    client.send_bytes(bytes).await;
    client.expect_closed().await;
}
