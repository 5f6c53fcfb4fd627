//! A client that blocks, for tests of the program: it speaks to a process, not to actors.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use mqtt_codec::{
    Connect, Limits, Packet, PacketIdentifier, ProtocolVersion, QoS, ReasonCode, Sender, Subscribe, decode,
    encode,
};

use crate::harness::{DEADLINE, filter, options};

/// See the module. Every wait has a deadline.
pub(crate) struct BlockingClient {
    stream: TcpStream,
    received: Vec<u8>,
    version: ProtocolVersion,
}

impl BlockingClient {
    /// Connects; none if the node closes the network connection without an answer.
    pub(crate) fn try_connect(address: SocketAddr, connect: Connect) -> Option<Self> {
        let mut client = Self::open(address, connect);
        match client.next_or_end()? {
            Packet::ConnAck(answer) => assert_eq!(answer.reason_code, ReasonCode::Success),
            other => panic!("{other:?}"),
        }
        Some(client)
    }

    /// Sends its CONNECT.
    fn open(address: SocketAddr, connect: Connect) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE).expect("a listener");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        let mut client = Self { stream, received: Vec::new(), version: connect.version };
        client.send(Packet::Connect(Box::new(connect)));
        client
    }

    /// The reason code of the CONNACK of a CONNECT that is refused.
    pub(crate) fn refused(address: SocketAddr, connect: Connect) -> ReasonCode {
        let mut client = Self::open(address, connect);
        match client.next_or_end() {
            Some(Packet::ConnAck(answer)) => answer.reason_code,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn connect(address: SocketAddr, connect: Connect) -> Self {
        Self::try_connect(address, connect).expect("a CONNACK")
    }

    /// To an end that is closed it sends nothing.
    pub(crate) fn send(&mut self, packet: Packet) {
        let mut bytes = Vec::new();
        encode(&packet, self.version, u32::MAX, &mut bytes).expect("a packet");
        let _ = self.stream.write_all(&bytes);
    }

    /// The next packet; none at the end of the network connection.
    pub(crate) fn next_or_end(&mut self) -> Option<Packet> {
        loop {
            let decoded = decode(&self.received, self.version, Sender::Server, &Limits::default());
            if let Some((packet, used)) = decoded.expect("what a node may send") {
                let packet = packet.into_owned();
                self.received.drain(..used);
                return Some(packet);
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(read) => self.received.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn subscribe(&mut self, name: &str) {
        self.send(Packet::Subscribe(Subscribe {
            packet_identifier: PacketIdentifier::MIN,
            subscription_identifier: None,
            user_properties: Vec::new(),
            filters: vec![(filter(name), options(QoS::AtMostOnce))],
        }));
        assert!(matches!(self.next_or_end(), Some(Packet::SubAck(_))));
    }

    pub(crate) fn ping(&mut self) {
        self.send(Packet::PingReq);
        assert_eq!(self.next_or_end(), Some(Packet::PingResp));
    }

    /// The payload of the next packet, a PUBLISH.
    pub(crate) fn expect_payload(&mut self, payload: &str) {
        match self.next_or_end() {
            Some(Packet::Publish(publish)) => assert_eq!(publish.payload, payload.as_bytes()),
            other => panic!("{other:?}"),
        }
    }
}
