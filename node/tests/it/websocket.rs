//! MQTT over WebSocket [MQTT-6.0.0-1 to 4], byte by byte as a browser would send it.

use std::io::ErrorKind;

use actix_rt::time::timeout;
use micro_mq_actors::{AllowedOrigins, PacketsPerFrame, WebSocketOptions};
use mqtt_codec::ProtocolVersion::{V5, V31, V311};
use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce};
use mqtt_codec::{Limits, Packet, ProtocolVersion, Publish, ReasonCode, Sender, decode, encode};
use tokio::net::TcpStream;

use crate::harness::{
    DEADLINE, TestNode, connect, identifier, on_nodes, options, publish, settings, subscribe_packet,
};

const FINAL: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A WebSocket of which a test sees every frame.
struct WebSocket {
    stream: TcpStream,
    received: Vec<u8>,
    version: ProtocolVersion,
}

impl WebSocket {
    async fn open(node: &TestNode) -> Self {
        let stream = TcpStream::connect(node.websocket_address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, received: Vec::new(), version: V5 }
    }

    /// Upgraded with a sub-protocol.
    async fn upgraded(node: &TestNode, sub_protocol: &str) -> Self {
        let mut socket = Self::open(node).await;
        socket.request("/mqtt", sub_protocol).await;
        let answer = socket.http_answer().await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        // Of RFC 6455, section 1.3.
        assert!(
            answer.to_lowercase().contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
            "{answer}"
        );
        socket
    }

    /// An MQTT connection over it.
    async fn connected(node: &TestNode, version: ProtocolVersion, client_identifier: &str) -> Self {
        let mut socket = Self::upgraded(node, "mqtt").await;
        socket.version = version;
        socket.send_packets(&[Packet::Connect(Box::new(connect(version, client_identifier)))]).await;
        match socket.next().await {
            Packet::ConnAck(answer) => assert_eq!(answer.reason_code, ReasonCode::Success),
            other => panic!("{other:?} in place of a CONNACK"),
        }
        socket
    }

    async fn request(&mut self, path: &str, sub_protocol: &str) {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: {sub_protocol}\r\n\r\n"
        );
        self.send_bytes(request.as_bytes()).await;
    }

    /// The request of a browser, with more headers.
    async fn request_by(&mut self, host: &str, headers: &str) {
        let request = format!(
            "GET /mqtt HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: mqtt\r\n{headers}\r\n"
        );
        self.send_bytes(request.as_bytes()).await;
    }

    async fn send_bytes(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            timeout(DEADLINE, self.stream.writable()).await.unwrap().unwrap();
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
    }

    /// False at the end of the connection.
    async fn read(&mut self) -> bool {
        loop {
            timeout(DEADLINE, self.stream.readable()).await.expect("something comes in time").unwrap();
            let mut buffer = [0; 64 * 1024];
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return false,
                Ok(read) => {
                    self.received.extend_from_slice(&buffer[..read]);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
    }

    /// The head of an HTTP answer.
    async fn http_answer(&mut self) -> String {
        loop {
            if let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = self.received.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(self.read().await, "no answer");
        }
    }

    async fn send_frame(&mut self, first_byte: u8, payload: &[u8]) {
        self.send_bytes(&frame(first_byte, payload)).await;
    }

    /// Packets in one binary frame.
    async fn send_packets(&mut self, packets: &[Packet]) {
        let bytes = self.encoded(packets);
        self.send_frame(FINAL | BINARY, &bytes).await;
    }

    fn encoded(&self, packets: &[Packet]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for packet in packets {
            encode(packet, self.version, u32::MAX, &mut bytes).unwrap();
        }
        bytes
    }

    /// The next frame: opcode and payload. Frames of a server are not masked.
    async fn next_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((opcode, payload, used)) = parse(&self.received) {
                self.received.drain(..used);
                return Some((opcode, payload));
            }
            if !self.read().await {
                return None;
            }
        }
    }

    /// The next MQTT packet, which is alone in its frame.
    async fn next(&mut self) -> Packet {
        match self.next_frame().await {
            Some((BINARY, payload)) => match &self.decoded(&payload)[..] {
                [packet] => packet.clone(),
                others => panic!("{others:?} in one frame"),
            },
            other => panic!("{other:?} in place of a binary frame"),
        }
    }

    /// The packets of a frame, each of which is whole.
    fn decoded(&self, mut frame: &[u8]) -> Vec<Packet> {
        let mut packets = Vec::new();
        while !frame.is_empty() {
            let decoded = decode(frame, self.version, Sender::Server, &Limits::default()).unwrap();
            let (packet, used) = decoded.expect("a whole packet");
            packets.push(packet.into_owned());
            frame = &frame[used..];
        }
        packets
    }

    /// A close frame with this code, and the end.
    async fn expect_close(&mut self, code: u16) {
        loop {
            match self.next_frame().await.expect("a close frame") {
                (CLOSE, payload) => {
                    assert_eq!(payload, code.to_be_bytes());
                    break;
                }
                (BINARY, _) => {}
                other => panic!("{other:?} in place of a close frame"),
            }
        }
        assert!(self.next_frame().await.is_none());
    }
}

/// A frame as a client sends it.
fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first_byte];
    match payload.len() {
        length @ ..126 => frame.push(0x80 | length as u8),
        length @ 126..65536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn parse(bytes: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let (opcode, short) = (bytes.first()? & 0x0f, *bytes.get(1)?);
    let (head, length) = match short {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap()) as usize),
        length => (2, usize::from(length)),
    };
    Some((opcode, bytes.get(head..head + length)?.to_vec(), head + length))
}

/// [MQTT-6.0.0-4] [MQTT311-6.0.0-4] `mqtt`, which 3.1 clients call `mqttv3.1`; the one chosen is told.
#[test]
fn sub_protocols() {
    on_nodes(settings(), async |node| {
        for (offered, chosen) in [("mqtt", "mqtt"), ("mqttv3.1", "mqttv3.1"), ("other, mqtt", "mqtt")] {
            let mut socket = WebSocket::open(node).await;
            socket.request("/mqtt", offered).await;
            let answer = socket.http_answer().await.to_lowercase();
            assert!(answer.contains(&format!("sec-websocket-protocol: {chosen}\r\n")), "{answer}");
        }
        let mut socket = WebSocket::open(node).await;
        socket.request("/mqtt", "other").await;
        assert!(socket.http_answer().await.starts_with("HTTP/1.1 400 "));
    });
}

/// No WebSocket elsewhere than at the path of the listener.
#[test]
fn wrong_path() {
    on_nodes(settings(), async |node| {
        let mut socket = WebSocket::open(node).await;
        socket.request("/", "mqtt").await;
        assert!(socket.http_answer().await.starts_with("HTTP/1.1 404 "));
    });
}

/// [MQTT-6.0.0-2] [MQTT311-6.0.0-2] Packets and frames of a client need not coincide, in either way.
#[test]
fn packets_and_frames_need_not_coincide() {
    on_nodes(settings(), async |node| {
        for (index, version) in [V31, V311, V5].into_iter().enumerate() {
            let mut socket = WebSocket::upgraded(node, "mqtt").await;
            socket.version = version;
            let name = format!("client {index}");
            // All in one frame, sent right behind each other.
            let packets = [
                Packet::Connect(Box::new(connect(version, &name))),
                Packet::Subscribe(subscribe_packet(identifier(1), &[("t", options(AtMostOnce))])),
                Packet::Publish(publish("t", AtLeastOnce, "one")),
                Packet::PingReq,
            ];
            socket.send_packets(&packets).await;
            match socket.next().await {
                Packet::ConnAck(answer) => assert_eq!(answer.reason_code, ReasonCode::Success),
                other => panic!("{other:?} in place of a CONNACK"),
            }
            let mut kinds = Vec::new();
            for _ in 0..4 {
                kinds.push(format!("{:?}", socket.next().await.packet_type()));
            }
            kinds.sort();
            assert_eq!(kinds, ["PingResp", "PubAck", "Publish", "SubAck"]);
            // One packet over several messages and over the fragments of one message, with a ping in between.
            let bytes = socket.encoded(&[Packet::Publish(publish("t", AtMostOnce, &"x".repeat(1000)))]);
            socket.send_frame(FINAL | BINARY, &bytes[..1]).await;
            socket.send_frame(FINAL | BINARY, b"").await;
            socket.send_frame(BINARY, &bytes[1..10]).await;
            socket.send_frame(FINAL | PING, b"still there").await;
            socket.send_frame(CONTINUATION, &bytes[10..500]).await;
            socket.send_frame(FINAL | CONTINUATION, &bytes[500..]).await;
            assert_eq!(socket.next_frame().await, Some((PONG, b"still there".to_vec())));
            match socket.next().await {
                Packet::Publish(Publish { payload, .. }) => assert_eq!(payload.len(), 1000),
                other => panic!("{other:?} in place of a PUBLISH"),
            }
        }
    });
}

/// Many clients read the first packet of a frame alone: each that the node sends has its own, however many it sends
/// together, short and long ones.
#[test]
fn a_packet_per_frame() {
    on_nodes(settings(), async |node| {
        let mut publisher = node.connect(V5, "publisher").await;
        let payloads: Vec<String> = [0, 1, 100, 110, 1000, 2000, 70_000, 300_000]
            .into_iter()
            .map(|size| "x".repeat(size + 1))
            .collect();
        for (index, payload) in payloads.iter().enumerate() {
            let mut message = publish(&format!("retained/{index}"), AtMostOnce, payload);
            message.retain = true;
            publisher.send(Packet::Publish(message)).await;
        }
        publisher.ping().await;
        for version in [V31, V311, V5] {
            let mut socket = WebSocket::connected(node, version, "browser").await;
            let filters = [("retained/#", options(AtMostOnce)), ("live", options(AtLeastOnce))];
            let subscribe = Packet::Subscribe(subscribe_packet(identifier(1), &filters));
            socket.send_packets(&[subscribe, Packet::PingReq, Packet::PingReq, Packet::PingReq]).await;
            let mut sizes = Vec::new();
            let mut others = Vec::new();
            while sizes.len() < payloads.len() || others.len() < 4 {
                match socket.next().await {
                    Packet::Publish(Publish { payload, .. }) => sizes.push(payload.len()),
                    other => others.push(other),
                }
            }
            assert_eq!(sizes, payloads.iter().map(String::len).collect::<Vec<_>>());
            let pings = others.iter().filter(|packet| **packet == Packet::PingResp).count();
            assert_eq!((pings, others.len()), (3, 4), "{others:?}");
            let messages = (1..=200).map(|number| {
                let mut message = publish("live", AtLeastOnce, &format!("{number}"));
                message.packet_identifier = Some(identifier(number));
                Packet::Publish(message)
            });
            publisher.send_all(&messages.collect::<Vec<_>>()).await;
            for number in 1..=200 {
                match socket.next().await {
                    Packet::Publish(publish) => assert_eq!(publish.payload, number.to_string()),
                    other => panic!("{other:?} in place of a PUBLISH"),
                }
            }
            for number in 1..=200 {
                publisher
                    .expect(Packet::PubAck(mqtt_codec::Ack::new(identifier(number), ReasonCode::Success)))
                    .await;
            }
        }
    });
}

/// With the listener's key, what is sent together shares a frame.
#[test]
fn many_packets_per_frame() {
    actix_rt::System::new().block_on(async {
        let options =
            WebSocketOptions { packets_per_frame: PacketsPerFrame::Many, ..WebSocketOptions::default() };
        let node = TestNode::start_with_websocket(options).await;
        let mut socket = WebSocket::connected(&node, V5, "browser").await;
        socket.send_packets(&vec![Packet::PingReq; 10]).await;
        let (_, payload) = socket.next_frame().await.expect("a frame");
        assert_eq!(socket.decoded(&payload), vec![Packet::PingResp; 10]);
        node.stop().await;
    });
}

/// A browser says which page it is at: by default one of the same host may connect, and on loopback none whose name only
/// leads there. Who is no browser says nothing.
#[test]
fn web_pages() {
    const FORBIDDEN: ReasonCode = ReasonCode::NotAuthorized;
    const ACCEPTED: ReasonCode = ReasonCode::Success;
    // A browser tells its page nothing of a refusal in HTTP: the CONNECT is refused.
    let check = async |node: &TestNode, origin: &str, host: &str, expected: ReasonCode| {
        for version in [V31, V311, V5] {
            let mut socket = WebSocket::open(node).await;
            socket.request_by(host, &format!("Origin: {origin}\r\n")).await;
            let answer = socket.http_answer().await;
            assert!(answer.starts_with("HTTP/1.1 101 "), "{origin} asks {host}: {answer}");
            socket.version = version;
            socket.send_packets(&[Packet::Connect(Box::new(connect(version, "page")))]).await;
            let Packet::ConnAck(answer) = socket.next().await else { panic!("no CONNACK") };
            assert_eq!(answer.reason_code, expected, "{origin} asks {host}");
            if expected == FORBIDDEN {
                let words = (version == V5).then(|| {
                    format!(
                        "web pages of {origin:?} may not connect: they are not among the origins of this listener"
                    )
                });
                assert_eq!(answer.properties.reason_string, words);
                socket.expect_close(1000).await;
            }
        }
    };
    on_nodes(settings(), async |node| {
        let port = node.websocket_address().port();
        check(node, "http://localhost:3000", &format!("localhost:{port}"), ACCEPTED).await;
        check(node, "https://127.0.0.1", &format!("127.0.0.1:{port}"), ACCEPTED).await;
        check(node, "http://example.org", &format!("localhost:{port}"), FORBIDDEN).await;
        check(node, "http://rebinding.example", &format!("rebinding.example:{port}"), FORBIDDEN).await;
        check(node, "null", "localhost", FORBIDDEN).await;
    });
    actix_rt::System::new().block_on(async {
        for (origins, admitted, refused) in [
            (&["https://example.org"][..], "https://example.org", "http://localhost"),
            (&["same_host", "null"], "null", "https://example.org"),
        ] {
            let origins = AllowedOrigins::of(origins.iter().copied()).unwrap();
            let node =
                TestNode::start_with_websocket(WebSocketOptions { origins, ..WebSocketOptions::default() })
                    .await;
            check(&node, admitted, "localhost", ACCEPTED).await;
            check(&node, refused, "localhost", FORBIDDEN).await;
            node.stop().await;
        }
        let origins = AllowedOrigins::of(["any"]).unwrap();
        let node =
            TestNode::start_with_websocket(WebSocketOptions { origins, ..WebSocketOptions::default() }).await;
        for origin in ["http://rebinding.example", "null", "https://example.org"] {
            check(&node, origin, "rebinding.example", ACCEPTED).await;
        }
        node.stop().await;
    });
}

/// Every byte in a frame of its own, and every frame byte by byte.
#[test]
fn byte_by_byte() {
    on_nodes(settings(), async |node| {
        let mut socket = WebSocket::upgraded(node, "mqtt").await;
        let bytes = socket.encoded(&[Packet::Connect(Box::new(connect(V5, "client"))), Packet::PingReq]);
        for byte in bytes {
            for byte in frame(FINAL | BINARY, &[byte]) {
                socket.send_bytes(&[byte]).await;
            }
        }
        assert!(matches!(socket.next().await, Packet::ConnAck(_)));
        assert_eq!(socket.next().await, Packet::PingResp);
    });
}

/// [MQTT-4.2-1] Messages go between WebSocket and TCP, large ones too.
#[test]
fn large_messages_between_websocket_and_tcp() {
    on_nodes(settings(), async |node| {
        let mut socket = WebSocket::connected(node, V5, "browser").await;
        let mut client = node.connect(V311, "client").await;
        let subscribe = Packet::Subscribe(subscribe_packet(identifier(1), &[("down", options(AtMostOnce))]));
        socket.send_packets(&[subscribe]).await;
        assert!(matches!(socket.next().await, Packet::SubAck(_)));
        client.subscribe("up", AtMostOnce).await;
        let payload = "x".repeat(3 * 1024 * 1024);
        socket.send_packets(&[Packet::Publish(publish("up", AtMostOnce, &payload))]).await;
        assert_eq!(client.expect_publish().await.payload.len(), payload.len());
        client.publish("down", AtLeastOnce, &payload).await;
        match socket.next().await {
            Packet::Publish(publish) => assert_eq!(publish.payload.len(), payload.len()),
            other => panic!("{other:?} in place of a PUBLISH"),
        }
    });
}

/// [MQTT-6.0.0-1] [MQTT311-6.0.0-1] Anything but binary frames closes the connection, before the CONNECT and after it.
#[test]
fn text_closes() {
    on_nodes(settings(), async |node| {
        let mut socket = WebSocket::upgraded(node, "mqtt").await;
        socket.send_frame(FINAL | TEXT, b"hello").await;
        socket.expect_close(1003).await;
        for version in [V31, V311, V5] {
            let mut socket = WebSocket::connected(node, version, "client").await;
            // Though what it holds is text and a PUBLISH of 3.x.
            socket.send_frame(FINAL | TEXT, b"\x30\x04\x00\x01tm").await;
            socket.expect_close(1003).await;
        }
    });
}

/// A close frame ends the network connection as a closed socket does; after a DISCONNECT the node says goodbye itself.
#[test]
fn close_frames() {
    on_nodes(settings(), async |node| {
        let mut socket = WebSocket::connected(node, V5, "client").await;
        socket.send_frame(FINAL | CLOSE, &1001u16.to_be_bytes()).await;
        socket.expect_close(1001).await;
        let mut socket = WebSocket::connected(node, V5, "client").await;
        socket.send_packets(&[Packet::Disconnect(mqtt_codec::Disconnect::new(ReasonCode::Success))]).await;
        socket.expect_close(1000).await;
        node.until("both are gone", |seen| seen.connections == 0).await;
    });
}

/// A client that is taken over is told so in an MQTT packet, then in a close frame.
#[test]
fn takeover() {
    on_nodes(settings(), async |node| {
        let mut socket = WebSocket::connected(node, V5, "client").await;
        let mut client = node.connect(V5, "client").await;
        match socket.next().await {
            Packet::Disconnect(told) => assert_eq!(told.reason_code, ReasonCode::SessionTakenOver),
            other => panic!("{other:?} in place of a DISCONNECT"),
        }
        socket.expect_close(1000).await;
        client.ping().await;
    });
}
