//! Packets of 5.0 byte by byte, right and wrong, and what the node makes of them.

use mqtt_codec::ProtocolVersion;

use crate::harness::{Client, TestNode};

pub(super) const V5: ProtocolVersion = ProtocolVersion::V5;

pub(super) const MALFORMED: u8 = 0x81;
pub(super) const PROTOCOL_ERROR: u8 = 0x82;

// === fields ===

/// A variable byte integer in as few bytes as possible.
pub(super) fn variable(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let more = if value > 0x7f { 0x80 } else { 0 };
        bytes.push((value & 0x7f) as u8 | more);
        value >>= 7;
        if value == 0 {
            return bytes;
        }
    }
}

/// A string or binary data with its length, whatever the content.
pub(super) fn string(content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let length = u16::try_from(content.len()).expect("two bytes of length");
    [&length.to_be_bytes()[..], content].concat()
}

/// Properties with their length.
pub(super) fn properties(list: &[u8]) -> Vec<u8> {
    [&variable(list.len())[..], list].concat()
}

/// A user property.
pub(super) fn user_property(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    [&b"\x26"[..], &string(name), &string(value)].concat()
}

// === packets ===

/// A packet with the remaining length that its body has.
pub(super) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first][..], &variable(body.len()), body].concat()
}

/// A CONNECT without keep alive.
pub(super) fn connect_packet(flags: u8, list: &[u8], payload: &[u8]) -> Vec<u8> {
    packet(0x10, &[&b"\x00\x04MQTT\x05"[..], &[flags, 0, 0], &properties(list), payload].concat())
}

/// The packets that a client sends with properties. `Will` is a CONNECT with properties of its will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Connect,
    Will,
    Publish,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Subscribe,
    Unsubscribe,
    Disconnect,
    Auth,
}

impl Kind {
    pub(super) const ALL: [Self; 11] = [
        Self::Connect,
        Self::Will,
        Self::Publish,
        Self::PubAck,
        Self::PubRec,
        Self::PubRel,
        Self::PubComp,
        Self::Subscribe,
        Self::Unsubscribe,
        Self::Disconnect,
        Self::Auth,
    ];

    /// Whether it is the first packet of a network connection.
    pub(super) fn is_first(self) -> bool {
        matches!(self, Self::Connect | Self::Will)
    }

    /// The first byte, and what stands before and behind the properties of an otherwise correct packet.
    pub(super) fn around(self) -> (u8, Vec<u8>, Vec<u8>) {
        let clean_connect = |flags| [&b"\x00\x04MQTT\x05"[..], &[flags, 0, 0]].concat();
        let (first, before, behind) = match self {
            Self::Connect => (0x10, clean_connect(0x02), string("raw")),
            Self::Will => {
                let before = [&clean_connect(0x06)[..], &properties(b""), &string("raw")].concat();
                (0x10, before, [string("will"), string("gone")].concat())
            }
            Self::Publish => (0x30, string("a"), b"x".to_vec()),
            Self::PubAck => (0x40, b"\x00\x09\x00".to_vec(), Vec::new()),
            Self::PubRec => (0x50, b"\x00\x09\x00".to_vec(), Vec::new()),
            Self::PubRel => (0x62, b"\x00\x09\x00".to_vec(), Vec::new()),
            Self::PubComp => (0x70, b"\x00\x09\x00".to_vec(), Vec::new()),
            Self::Subscribe => (0x82, b"\x00\x09".to_vec(), [&string("b")[..], b"\x00"].concat()),
            Self::Unsubscribe => (0xa2, b"\x00\x09".to_vec(), string("b")),
            Self::Disconnect => (0xe0, b"\x00".to_vec(), Vec::new()),
            Self::Auth => (0xf0, b"\x18".to_vec(), Vec::new()),
        };
        (first, before, behind)
    }

    /// An otherwise correct packet with these properties.
    pub(super) fn with(self, list: &[u8]) -> Vec<u8> {
        self.with_encoded(&properties(list))
    }

    /// The same, with their length as given.
    pub(super) fn with_encoded(self, properties: &[u8]) -> Vec<u8> {
        let (first, before, behind) = self.around();
        packet(first, &[&before[..], properties, &behind].concat())
    }
}

// === what becomes of them ===

/// A client that connected, was told so, and has sent nothing more.
pub(super) async fn connected(node: &TestNode) -> Client {
    node.connect(V5, "raw").await
}

/// The node ends the network connection; answers the reason code of its DISCONNECT.
pub(super) async fn reason_of_end(client: &mut Client, context: &str) -> u8 {
    let frame = client.next_frame_or_end().await;
    let frame = frame.unwrap_or_else(|| panic!("{context}: closed without a word"));
    assert_eq!(frame[0], 0xe0, "{context}: {frame:02x?} in place of a DISCONNECT");
    client.expect_closed().await;
    frame[2]
}

/// A connected client that sends this is told this reason code in DISCONNECT, and closed.
pub(super) async fn refuses(node: &TestNode, bytes: &[u8], reason: u8) {
    let mut client = connected(node).await;
    client.send_bytes(bytes).await;
    let context = format!("{bytes:02x?}");
    let told = reason_of_end(&mut client, &context).await;
    assert_eq!(told, reason, "0x{told:02x} in place of 0x{reason:02x}: {context}");
}

/// A connected client may send this and goes on. Answers what the node sent in return.
pub(super) async fn accepts(node: &TestNode, bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut client = connected(node).await;
    client.send_bytes(bytes).await;
    client.send_bytes(b"\xc0\x00").await;
    let (mut frames, mut ponged) = (Vec::new(), false);
    // What answers an acknowledged publish may come behind the PINGRESP.
    let answers = matches!(bytes[0] & 0xf6, 0x32 | 0x34 | 0x82 | 0xa2);
    while !ponged || (answers && frames.is_empty()) {
        let frame = client.next_frame_or_end().await;
        let frame = frame.unwrap_or_else(|| panic!("closed without a word: {bytes:02x?}"));
        match frame[0] {
            0xd0 => ponged = true,
            0xe0 => panic!("{frame:02x?} in answer to {bytes:02x?}"),
            _ => frames.push(frame),
        }
    }
    client.disconnect().await;
    frames
}

/// A network connection that begins with this is told this reason code in CONNACK, without a session, and closed;
/// without a reason code it is closed without a word.
pub(super) async fn refuses_connect(node: &TestNode, bytes: &[u8], reason: impl Into<Option<u8>>) {
    let mut client = node.open(V5).await;
    client.send_bytes(bytes).await;
    let frame = client.next_frame_or_end().await;
    let expected = reason.into().map(|reason| vec![0x20, 3, 0, reason, 0]);
    assert_eq!(frame, expected, "in answer to {bytes:02x?}");
    if frame.is_some() {
        client.expect_closed().await;
    }
}

/// A network connection may begin with this.
pub(super) async fn accepts_connect(node: &TestNode, bytes: &[u8]) {
    let mut client = node.open(V5).await;
    client.send_bytes(bytes).await;
    let frame = client.next_frame_or_end().await;
    let frame = frame.unwrap_or_else(|| panic!("closed without a word: {bytes:02x?}"));
    assert_eq!((frame[0], frame[3]), (0x20, 0), "{frame:02x?} in answer to {bytes:02x?}");
    client.ping().await;
    client.disconnect().await;
}

/// What [`refuses`] and [`refuses_connect`] say, by what it is.
pub(super) async fn refuses_kind(node: &TestNode, kind: Kind, bytes: &[u8], reason: u8) {
    if kind.is_first() {
        refuses_connect(node, bytes, reason).await;
    } else {
        refuses(node, bytes, reason).await;
    }
}

/// What [`accepts`] and [`accepts_connect`] say, by what it is. A DISCONNECT is taken by being obeyed, and an AUTH by
/// being refused for what it is about.
pub(super) async fn accepts_kind(node: &TestNode, kind: Kind, bytes: &[u8]) {
    match kind {
        Kind::Connect | Kind::Will => accepts_connect(node, bytes).await,
        Kind::Disconnect => {
            let mut client = connected(node).await;
            client.send_bytes(bytes).await;
            client.expect_closed().await;
        }
        Kind::Auth => refuses(node, bytes, PROTOCOL_ERROR).await,
        _ => drop(accepts(node, bytes).await),
    }
}
