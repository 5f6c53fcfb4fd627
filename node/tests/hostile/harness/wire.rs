//! A network connection of which every byte is in the scenario's hand.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use mqtt_codec::{
    Connect, Limits, Packet, PacketIdentifier, ProtocolVersion, Publish, PublishProperties, QoS, Sender,
    Subscribe, SubscriptionFilter, decode, encode,
};

use super::DEADLINE;

/// The bytes of a packet.
#[track_caller]
pub(crate) fn bytes_of(packet: &Packet, version: ProtocolVersion) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(packet, version, u32::MAX, &mut bytes).expect("a packet of this version");
    bytes
}

/// A CONNECT that starts clean.
pub(crate) fn connect(version: ProtocolVersion, client_identifier: &str) -> Connect {
    Connect::new(version, client_identifier)
}

/// A PUBLISH; above QoS 0 with this packet identifier.
pub(crate) fn publish(topic: &str, qos: QoS, identifier: u16, payload: &[u8]) -> Packet {
    Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        topic: topic.to_owned(),
        packet_identifier: PacketIdentifier::new(identifier).filter(|_| qos > QoS::AtMostOnce),
        properties: PublishProperties::default(),
        payload: payload.to_vec().into(),
    })
}

/// A SUBSCRIBE to all of these filters, with one QoS.
#[track_caller]
pub(crate) fn subscribe<F: AsRef<str>>(filters: &[F], qos: QoS) -> Packet {
    let parsed = |text: &F| filter(text.as_ref());
    Packet::Subscribe(Subscribe {
        packet_identifier: PacketIdentifier::MIN,
        subscription_identifier: None,
        user_properties: Vec::new(),
        filters: filters.iter().map(|filter| (parsed(filter), qos.into())).collect(),
    })
}

/// A topic filter, shared or not.
#[track_caller]
pub(crate) fn filter(text: &str) -> SubscriptionFilter {
    SubscriptionFilter::parse(text).expect("a topic filter")
}

/// See the module.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    pub(crate) version: ProtocolVersion,
    received: Vec<u8>,
}

impl Wire {
    pub(crate) fn open(address: SocketAddr, version: ProtocolVersion) -> Self {
        let stream = TcpStream::connect(address).expect("a listener");
        stream.set_nodelay(true).expect("an open socket");
        stream.set_read_timeout(Some(DEADLINE)).expect("an open socket");
        stream.set_write_timeout(Some(DEADLINE)).expect("an open socket");
        Self { stream, version, received: Vec::new() }
    }

    /// A client whose CONNECT was accepted.
    #[track_caller]
    pub(crate) fn client(address: SocketAddr, connect: Connect) -> Self {
        let mut wire = Self::open(address, connect.version);
        wire.send(&Packet::Connect(Box::new(connect)));
        match wire.next() {
            Some(Packet::ConnAck(answer)) if !answer.reason_code.is_error() => wire,
            other => panic!("in place of a CONNACK: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, packet: &Packet) {
        let bytes = bytes_of(packet, self.version);
        self.stream.write_all(&bytes).expect("an open connection");
    }

    /// Sends bytes. False if the other end has closed.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// The next packet; none at the end of the network connection.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Option<Packet> {
        let limits = Limits { allow_control_characters: true, ..Limits::default() };
        loop {
            let decoded = decode(&self.received, self.version, Sender::Server, &limits);
            if let Some((packet, used)) = decoded.expect("a packet of a server") {
                let packet = packet.into_owned();
                self.received.drain(..used);
                return Some(packet);
            }
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(read) => self.received.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came in time: {error}"),
            }
        }
    }

    /// The next packet of which `wanted` says so, whatever comes before.
    #[track_caller]
    pub(crate) fn until(&mut self, wanted: impl Fn(&Packet) -> bool) -> Packet {
        loop {
            let packet = self.next().expect("the network connection ended");
            if wanted(&packet) {
                return packet;
            }
        }
    }

    /// Everything that was sent before has been stepped through: PINGREQ is answered in its turn.
    #[track_caller]
    pub(crate) fn ping(&mut self) {
        self.send(&Packet::PingReq);
        self.until(|packet| *packet == Packet::PingResp);
    }

    /// Reads until the other end closes, and answers with what came.
    #[track_caller]
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.received);
        match self.stream.read_to_end(&mut bytes) {
            Ok(_) => bytes,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => bytes,
            Err(error) => panic!("it is not closed: {error}"),
        }
    }

    /// Waits until the other end closes.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        self.read_to_end();
    }
}
