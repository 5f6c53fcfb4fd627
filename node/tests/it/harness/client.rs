//! A client of which a test sees every packet.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix_rt::time::{sleep, timeout};
use micro_mq_actors::worker::NodeShared;
use mqtt_codec::{
    Ack, ConnAck, Connect, Disconnect, Limits, Packet, PacketIdentifier, ProtocolVersion, Publish, QoS,
    ReasonCode, Sender, SubAck, Subscribe, SubscriptionOptions, UnsubAck, Unsubscribe, decode, encode,
    read_header,
};
use tokio::net::TcpStream;

use super::node::{LOOK_INTERVAL, settle};
use super::{DEADLINE, filter, options, publish, subscribe_packet};

/// One network connection. It acknowledges nothing by itself.
pub(crate) struct Client {
    stream: TcpStream,
    version: ProtocolVersion,
    received: Vec<u8>,
    /// Packets that came before an answer that was waited for, in order.
    aside: VecDeque<Packet>,
    last_identifier: u16,
    shared: Arc<NodeShared>,
}

impl Client {
    pub(crate) async fn open(address: SocketAddr, version: ProtocolVersion, shared: Arc<NodeShared>) -> Self {
        let stream =
            timeout(DEADLINE, TcpStream::connect(address)).await.expect("in time").expect("a listener");
        stream.set_nodelay(true).expect("an open socket");
        Self { stream, version, received: Vec::new(), aside: VecDeque::new(), last_identifier: 0, shared }
    }

    /// A packet identifier that was not used for long.
    pub(crate) fn next_identifier(&mut self) -> PacketIdentifier {
        self.last_identifier = self.last_identifier % u16::MAX + 1;
        super::identifier(self.last_identifier)
    }

    // === sending ===

    pub(crate) async fn send_bytes(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            timeout(DEADLINE, self.stream.writable())
                .await
                .expect("written in time")
                .expect("an open socket");
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("the network connection is over: {error}"),
            }
        }
    }

    /// The packet as this client would send it.
    pub(crate) fn encoded(&self, packet: &Packet) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(packet, self.version, u32::MAX, &mut bytes).expect("a packet of this version");
        bytes
    }

    pub(crate) async fn send(&mut self, packet: Packet) {
        self.send_bytes(&self.encoded(&packet)).await;
    }

    /// Sends packets in one write.
    pub(crate) async fn send_all(&mut self, packets: &[Packet]) {
        let bytes: Vec<u8> = packets.iter().flat_map(|packet| self.encoded(packet)).collect();
        self.send_bytes(&bytes).await;
    }

    // === receiving ===

    /// Reads once more. False at the end of the network connection.
    async fn read(&mut self) -> bool {
        loop {
            let ready = timeout(DEADLINE, self.stream.readable()).await;
            ready.unwrap_or_else(|_| panic!("nothing came in time")).expect("an open socket");
            let mut buffer = [0; 64 * 1024];
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return false,
                Ok(read) => {
                    self.received.extend_from_slice(&buffer[..read]);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
                Err(error) => panic!("the network connection broke: {error}"),
            }
        }
    }

    fn take_packet(&mut self) -> Option<Packet> {
        let limits = Limits { allow_control_characters: true, ..Limits::default() };
        let decoded = decode(&self.received, self.version, Sender::Server, &limits);
        let (packet, used) = decoded.unwrap_or_else(|error| panic!("{error}: {:02x?}", self.received))?;
        let packet = packet.into_owned();
        self.received.drain(..used);
        Some(packet)
    }

    /// The next packet; none at the end of the network connection.
    pub(crate) async fn next_or_end(&mut self) -> Option<Packet> {
        match self.aside.pop_front() {
            Some(packet) => Some(packet),
            None => self.receive().await,
        }
    }

    async fn receive(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = self.take_packet() {
                return Some(packet);
            }
            if !self.read().await {
                assert!(self.received.is_empty(), "ended within a packet: {:02x?}", self.received);
                return None;
            }
        }
    }

    /// The next packet.
    pub(crate) async fn next(&mut self) -> Packet {
        self.next_or_end().await.expect("the network connection ended")
    }

    /// The answer to what this client just sent; what comes before it is kept for later.
    async fn answer(&mut self, is_answer: impl Fn(&Packet) -> bool) -> Packet {
        let mut before = Vec::new();
        loop {
            let Some(packet) = self.receive().await else {
                panic!("ended without the answer, after {before:?}")
            };
            if is_answer(&packet) {
                self.aside.extend(before);
                return packet;
            }
            before.push(packet);
        }
    }

    pub(crate) async fn expect(&mut self, expected: Packet) {
        assert_eq!(self.next().await, expected);
    }

    /// The next bytes, as they are on the wire.
    pub(crate) async fn expect_bytes(&mut self, expected: &[u8]) {
        assert!(self.aside.is_empty(), "packets came before: {:?}", self.aside);
        while self.received.len() < expected.len() && self.read().await {}
        let got = self.received.len().min(expected.len());
        assert_eq!(&self.received[..got], expected);
        self.received.drain(..got);
    }

    /// The next packet as it is on the wire; none at the end of the network connection.
    pub(crate) async fn next_frame_or_end(&mut self) -> Option<Vec<u8>> {
        assert!(self.aside.is_empty(), "packets came before: {:?}", self.aside);
        loop {
            let header = read_header(&self.received, &Limits::default());
            let header = header.unwrap_or_else(|error| panic!("{error}: {:02x?}", self.received));
            if let Some(bytes) = header.map(|header| header.frame_bytes())
                && bytes <= self.received.len()
            {
                return Some(self.received.drain(..bytes).collect());
            }
            if !self.read().await {
                assert!(self.received.is_empty(), "ended within a packet: {:02x?}", self.received);
                return None;
            }
        }
    }

    /// The next bytes are these packets, in whatever order they came.
    pub(crate) async fn expect_bytes_in_any_order(&mut self, expected: &[&[u8]]) {
        assert!(self.aside.is_empty(), "packets came before: {:?}", self.aside);
        let mut missing = expected.to_vec();
        while !missing.is_empty() {
            if let Some(at) = missing.iter().position(|packet| self.received.starts_with(packet)) {
                self.received.drain(..missing.swap_remove(at).len());
            } else {
                let is_begun = missing.iter().any(|packet| packet.starts_with(&self.received));
                assert!(is_begun && self.read().await, "{:02x?} in place of {missing:02x?}", self.received);
            }
        }
    }

    pub(crate) async fn expect_connack(&mut self) -> ConnAck {
        match self.next().await {
            Packet::ConnAck(answer) => *answer,
            other => panic!("{other:?} in place of a CONNACK"),
        }
    }

    pub(crate) async fn expect_publish(&mut self) -> Publish {
        match self.next().await {
            Packet::Publish(publish) => publish,
            other => panic!("{other:?} in place of a PUBLISH"),
        }
    }

    /// The next packet is a PUBLISH with this payload.
    pub(crate) async fn expect_payload(&mut self, payload: &str) -> Publish {
        let publish = self.expect_publish().await;
        assert_eq!(String::from_utf8_lossy(&publish.payload), payload);
        publish
    }

    /// The next packet is a PUBLISH with this payload; QoS 1 and 2 are acknowledged to the end.
    pub(crate) async fn take_payload(&mut self, payload: &str) -> Publish {
        let publish = self.expect_payload(payload).await;
        self.acknowledge(&publish).await;
        publish
    }

    /// The node ends the network connection without another packet.
    pub(crate) async fn expect_closed(&mut self) {
        let packet = self.next_or_end().await;
        assert!(packet.is_none(), "{packet:?} in place of the end");
    }

    /// The node ends the network connection for this reason, which only 5.0 is told.
    pub(crate) async fn expect_disconnect(&mut self, reason: ReasonCode) {
        if self.version == ProtocolVersion::V5 {
            match self.next().await {
                Packet::Disconnect(disconnect) => {
                    assert_eq!(disconnect.reason_code, reason, "{disconnect:?}")
                }
                other => panic!("{other:?} in place of a DISCONNECT"),
            }
        }
        self.expect_closed().await;
    }

    /// Nothing is on its way to this client: what was sent between actors before has arrived, and the next packet
    /// answers a PINGREQ.
    pub(crate) async fn expect_nothing(&mut self) {
        let shared = Arc::clone(&self.shared);
        timeout(DEADLINE, settle(&shared)).await.expect("the actors answer in time");
        self.ping().await;
    }

    /// The same of a client that is not read, and would get no PINGRESP.
    pub(crate) async fn expect_silence(&mut self) {
        let shared = Arc::clone(&self.shared);
        timeout(DEADLINE, settle(&shared)).await.expect("the actors answer in time");
        assert!(self.aside.is_empty() && self.received.is_empty(), "packets came before");
        let came = self.stream.try_read(&mut [0; 1]);
        assert!(came.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "{came:?}");
    }

    /// PINGREQ, and PINGRESP as the next packet.
    pub(crate) async fn ping(&mut self) {
        assert!(self.aside.is_empty(), "packets came before: {:?}", self.aside);
        self.send(Packet::PingReq).await;
        self.expect(Packet::PingResp).await;
    }

    // === whole exchanges ===

    /// CONNECT and the CONNACK, whatever it says.
    pub(crate) async fn handshake(&mut self, connect: Connect) -> ConnAck {
        self.version = connect.version;
        self.send(Packet::Connect(Box::new(connect))).await;
        self.expect_connack().await
    }

    /// Subscribes with a QoS, which must be granted.
    pub(crate) async fn subscribe(&mut self, name: &str, qos: QoS) {
        self.subscribe_with(name, options(qos)).await;
    }

    /// Subscribes with options, whose QoS must be granted.
    pub(crate) async fn subscribe_with(&mut self, name: &str, options: SubscriptionOptions) {
        let identifier = self.next_identifier();
        let answer = self.subscribe_packet(subscribe_packet(identifier, &[(name, options)])).await;
        assert_eq!(
            answer.reason_codes.iter().map(|code| *code as u8).collect::<Vec<_>>(),
            [options.qos as u8]
        );
    }

    /// SUBSCRIBE and the SUBACK, whatever it says.
    pub(crate) async fn subscribe_packet(&mut self, subscribe: Subscribe) -> SubAck {
        let identifier = subscribe.packet_identifier;
        self.send(Packet::Subscribe(subscribe)).await;
        match self.answer(|packet| matches!(packet, Packet::SubAck(_))).await {
            Packet::SubAck(answer) if answer.packet_identifier == identifier => answer,
            other => panic!("{other:?} in place of the SUBACK of {identifier:?}"),
        }
    }

    /// UNSUBSCRIBE and the UNSUBACK, whatever it says.
    pub(crate) async fn unsubscribe(&mut self, names: &[&str]) -> UnsubAck {
        let packet_identifier = self.next_identifier();
        let filters = names.iter().map(|name| filter(name)).collect();
        self.send(Packet::Unsubscribe(Unsubscribe {
            packet_identifier,
            user_properties: Vec::new(),
            filters,
        }))
        .await;
        match self.answer(|packet| matches!(packet, Packet::UnsubAck(_))).await {
            Packet::UnsubAck(answer) if answer.packet_identifier == packet_identifier => answer,
            other => panic!("{other:?} in place of the UNSUBACK of {packet_identifier:?}"),
        }
    }

    /// Publishes, to the last acknowledgement. Answers the reason code of PUBACK or PUBREC.
    pub(crate) async fn publish(&mut self, topic: &str, qos: QoS, payload: &str) -> ReasonCode {
        self.publish_packet(publish(topic, qos, payload)).await
    }

    /// The same; the packet identifier is chosen here.
    pub(crate) async fn publish_packet(&mut self, mut publish: Publish) -> ReasonCode {
        if publish.qos == QoS::AtMostOnce {
            self.send(Packet::Publish(publish)).await;
            return ReasonCode::Success;
        }
        let identifier = self.next_identifier();
        publish.packet_identifier = Some(identifier);
        let qos = publish.qos;
        self.send(Packet::Publish(publish)).await;
        let packet = self
            .answer(|packet| match packet {
                Packet::PubAck(ack) => qos == QoS::AtLeastOnce && ack.packet_identifier == identifier,
                Packet::PubRec(ack) => qos == QoS::ExactlyOnce && ack.packet_identifier == identifier,
                _ => false,
            })
            .await;
        let reason = match packet {
            Packet::PubAck(ack) | Packet::PubRec(ack) => ack.reason_code,
            _ => unreachable!("not taken as the answer"),
        };
        if qos == QoS::ExactlyOnce && !reason.is_error() {
            self.send(Packet::PubRel(Ack::new(identifier, ReasonCode::Success))).await;
            let complete = Packet::PubComp(Ack::new(identifier, ReasonCode::Success));
            self.answer(|packet| *packet == complete).await;
        }
        reason
    }

    /// Acknowledges a message from the node: PUBACK; or PUBREC, and PUBCOMP for the PUBREL that comes next.
    pub(crate) async fn acknowledge(&mut self, publish: &Publish) {
        let Some(identifier) = publish.packet_identifier else { return };
        let ack = Ack::new(identifier, ReasonCode::Success);
        if publish.qos == QoS::AtLeastOnce {
            self.send(Packet::PubAck(ack)).await;
            return;
        }
        self.send(Packet::PubRec(ack.clone())).await;
        let release = Packet::PubRel(ack.clone());
        self.answer(|packet| *packet == release).await;
        self.send(Packet::PubComp(ack)).await;
    }

    /// DISCONNECT; the node closes.
    pub(crate) async fn disconnect(self) {
        self.disconnect_with(Disconnect::new(ReasonCode::Success)).await;
    }

    pub(crate) async fn disconnect_with(mut self, disconnect: Disconnect) {
        self.send(Packet::Disconnect(disconnect)).await;
        self.expect_closed().await;
    }

    /// Closes the socket without a word, and waits until the node has dealt with that. No other client of the node may
    /// come or go meanwhile.
    pub(crate) async fn vanish(self) {
        let Self { stream, shared, .. } = self;
        let before = shared.connections.load(Ordering::Relaxed);
        drop(stream);
        let noticed = async {
            while shared.connections.load(Ordering::Relaxed) >= before {
                sleep(LOOK_INTERVAL).await;
            }
            settle(&shared).await;
        };
        timeout(DEADLINE, noticed).await.expect("the node notices in time");
    }
}
