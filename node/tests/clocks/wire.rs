//! A client of which a test sees every packet.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mqtt_codec::{
    Ack, ConnAck, Connect, Disconnect, Limits, Packet, PacketIdentifier, ProtocolVersion, Publish,
    PublishProperties, QoS, ReasonCode, Sender, Subscribe, SubscriptionFilter, TopicName, Will, decode,
    encode,
};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::DEADLINE;

/// Connections from one loopback address.
const CONNECTIONS_PER_SOURCE: usize = 2_000;

/// A network connection from one of several loopback addresses, which `number` decides.
pub(crate) async fn open(address: SocketAddr, number: usize) -> TcpStream {
    let source = Ipv4Addr::new(127, 0, 0, 2 + (number / CONNECTIONS_PER_SOURCE) as u8);
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((source, 0))).expect("a port");
    let stream = timeout(DEADLINE, socket.connect(address)).await.expect("in time").expect("a listener");
    stream.set_nodelay(true).expect("an open socket");
    stream
}

/// Writes all of it.
pub(crate) async fn write(stream: &TcpStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        timeout(DEADLINE, stream.writable()).await.expect("written in time").expect("an open socket");
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("the network connection is over: {error}"),
        }
    }
}

/// Appends what comes next. False at the end of the network connection.
pub(crate) async fn read(stream: &TcpStream, received: &mut Vec<u8>) -> bool {
    loop {
        timeout(DEADLINE, stream.readable()).await.expect("in time").expect("an open socket");
        let mut buffer = [0; 4096];
        match stream.try_read(&mut buffer) {
            Ok(0) => return false,
            Ok(read) => {
                received.extend_from_slice(&buffer[..read]);
                return true;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
            Err(error) => panic!("the network connection broke: {error}"),
        }
    }
}

/// A CONNECT of 5.0 that keeps its session for so many seconds, and none without.
pub(crate) fn connect(client_identifier: &str, expiry_seconds: u32) -> Connect {
    let mut connect = Connect::new(ProtocolVersion::V5, client_identifier);
    connect.clean_start = expiry_seconds == 0;
    connect.properties.session_expiry_interval = Some(expiry_seconds);
    connect
}

/// A will of QoS 1 with this delay.
pub(crate) fn will(topic: &str, delay: Duration) -> Will {
    Will {
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: TopicName::new(topic).expect("a topic name"),
        payload: "gone".into(),
        delay_interval: delay.as_secs() as u32,
        properties: PublishProperties::default(),
    }
}

/// The identifier with this number.
pub(crate) fn identifier(number: usize) -> Option<PacketIdentifier> {
    PacketIdentifier::new((number % usize::from(u16::MAX)) as u16 + 1)
}

/// A PUBLISH of QoS 1.
pub(crate) fn publish(topic: &str, number: usize, expiry: Option<Duration>) -> Packet {
    Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: topic.to_owned(),
        packet_identifier: identifier(number),
        properties: PublishProperties {
            message_expiry_interval: expiry.map(|expiry| expiry.as_secs() as u32),
            ..PublishProperties::default()
        },
        payload: "tick".into(),
    })
}

/// A client whose CONNECT was accepted.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    version: ProtocolVersion,
    received: Vec<u8>,
}

impl Wire {
    /// Connects, and answers with the CONNACK as well.
    pub(crate) async fn connect(address: SocketAddr, number: usize, connect: Connect) -> (Self, ConnAck) {
        let stream = open(address, number).await;
        let mut wire = Self { stream, version: connect.version, received: Vec::new() };
        wire.send(&Packet::Connect(Box::new(connect))).await;
        match wire.next().await {
            Some(Packet::ConnAck(answer)) if !answer.reason_code.is_error() => (wire, *answer),
            other => panic!("in place of a CONNACK: {other:?}"),
        }
    }

    pub(crate) async fn send(&self, packet: &Packet) {
        let mut bytes = Vec::new();
        encode(packet, self.version, u32::MAX, &mut bytes).expect("a packet of this version");
        write(&self.stream, &bytes).await;
    }

    /// The next packet; none at the end of the network connection.
    pub(crate) async fn next(&mut self) -> Option<Packet> {
        let limits = Limits { allow_control_characters: true, ..Limits::default() };
        loop {
            let decoded = decode(&self.received, self.version, Sender::Server, &limits);
            if let Some((packet, used)) = decoded.expect("a packet of a server") {
                let packet = packet.into_owned();
                self.received.drain(..used);
                return Some(packet);
            }
            if !read(&self.stream, &mut self.received).await {
                return None;
            }
        }
    }

    /// Subscribes with QoS 1.
    pub(crate) async fn subscribe(&mut self, filter: &str) {
        self.send(&Packet::Subscribe(Subscribe {
            packet_identifier: PacketIdentifier::MIN,
            subscription_identifier: None,
            user_properties: Vec::new(),
            filters: vec![(
                SubscriptionFilter::parse(filter).expect("a topic filter"),
                QoS::AtLeastOnce.into(),
            )],
        }))
        .await;
        loop {
            match self.next().await.expect("an open network connection") {
                Packet::SubAck(_) => return,
                Packet::Publish(_) => {}
                other => panic!("in place of a SUBACK: {other:?}"),
            }
        }
    }

    /// Publishes, and waits for the PUBACK.
    pub(crate) async fn publish(&mut self, topic: &str, number: usize, expiry: Option<Duration>) {
        self.send(&publish(topic, number, expiry)).await;
        let answer = self.next().await;
        assert!(matches!(answer, Some(Packet::PubAck(_))), "in place of a PUBACK: {answer:?}");
    }

    pub(crate) async fn acknowledge(&self, publish: &Publish) {
        let packet_identifier = publish.packet_identifier.expect("QoS 1");
        self.send(&Packet::PubAck(Ack::new(packet_identifier, ReasonCode::Success))).await;
    }

    /// The PUBLISH that waits for this client, if one does. The answer to PINGREQ may come before what there is room
    /// for since the same turn of the connection, but not before what there was room for in an earlier turn.
    pub(crate) async fn waiting(&mut self) -> Option<Publish> {
        let mut found = None;
        for _turn in 0..2 {
            self.send(&Packet::PingReq).await;
            loop {
                match self.next().await.expect("an open network connection") {
                    Packet::Publish(publish) => {
                        self.acknowledge(&publish).await;
                        found = Some(publish);
                    }
                    Packet::PingResp => break,
                    other => panic!("in place of a PINGRESP: {other:?}"),
                }
            }
        }
        found
    }

    /// Says good-bye; in 5.0 the session expiry interval of CONNECT stays.
    pub(crate) async fn disconnect(mut self) {
        self.send(&Packet::Disconnect(Disconnect::new(ReasonCode::Success))).await;
        while self.next().await.is_some() {}
    }
}
