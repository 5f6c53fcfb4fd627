//! A client of the program that blocks, packet by packet. Every wait has a deadline.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use mqtt_codec::{Limits, Packet, ProtocolVersion, QoS, ReasonCode, Sender, decode, encode};

use crate::harness::{DEADLINE, identifier, options, publish, subscribe_packet};

/// One of 5.0.
pub(crate) struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Wire {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self { stream, received: Vec::new() }
    }

    pub(crate) fn send(&mut self, packet: &Packet) {
        let mut bytes = Vec::new();
        encode(packet, ProtocolVersion::V5, u32::MAX, &mut bytes).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    pub(crate) fn next(&mut self) -> Packet {
        loop {
            let decoded = decode(&self.received, ProtocolVersion::V5, Sender::Server, &Limits::default());
            if let Some((packet, used)) = decoded.unwrap() {
                let packet = packet.into_owned();
                self.received.drain(..used);
                return packet;
            }
            let mut bytes = [0; 4096];
            let read = self.stream.read(&mut bytes).unwrap();
            assert!(read > 0, "the end");
            self.received.extend_from_slice(&bytes[..read]);
        }
    }

    /// Publishes with QoS 1; what the PUBACK says.
    pub(crate) fn published(&mut self, topic: &str) -> ReasonCode {
        let mut packet = publish(topic, QoS::AtLeastOnce, "");
        packet.packet_identifier = Some(identifier(7));
        self.send(&Packet::Publish(packet));
        match self.next() {
            Packet::PubAck(answer) => answer.reason_code,
            other => panic!("{other:?}"),
        }
    }

    /// Subscribes to one topic filter; what the SUBACK says.
    pub(crate) fn subscribed(&mut self, filter: &str) -> ReasonCode {
        self.send(&Packet::Subscribe(subscribe_packet(identifier(1), &[(filter, options(QoS::AtMostOnce))])));
        match self.next() {
            Packet::SubAck(answer) => answer.reason_codes[0],
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn expect_disconnect(&mut self, reason: ReasonCode) {
        match self.next() {
            Packet::Disconnect(told) => assert_eq!(told.reason_code, reason),
            other => panic!("{other:?}"),
        }
    }
}
