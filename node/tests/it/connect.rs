//! CONNECT and what it is answered.

use std::num::NonZeroU32;

use mqtt_codec::{Connect, Packet, ProtocolVersion, QoS, ReasonCode};

use crate::harness::{
    Client, connect, durable, identifier, on_node, on_nodes, options, publish, settings, subscribe_packet,
    will,
};

const VERSIONS: [ProtocolVersion; 3] = [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5];
const V311: ProtocolVersion = ProtocolVersion::V311;
const V5: ProtocolVersion = ProtocolVersion::V5;

/// [MQTT-3.1.4-5] A correct CONNECT is acknowledged by a CONNACK with return code 0, whatever the version.
#[test]
fn every_version_is_accepted() {
    on_nodes(settings(), async |node| {
        for version in VERSIONS {
            let mut client = node.connect(version, "every-version").await;
            client.subscribe("a/b", QoS::ExactlyOnce).await;
            assert_eq!(client.publish("a/b", QoS::AtLeastOnce, "hello").await, ReasonCode::Success);
            client.take_payload("hello").await;
            client.expect_nothing().await;
            client.disconnect().await;
        }
    });
}

/// The bytes of 3.1, with its own protocol name, and the two bytes of its CONNACK.
#[test]
fn mqtt_3_1_on_the_wire() {
    on_nodes(settings(), async |node| {
        let mut client = node.open(ProtocolVersion::V31).await;
        client.send_bytes(b"\x10\x11\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x03old").await;
        client.expect_bytes(b"\x20\x02\x00\x00").await;
        client.ping().await;
    });
}

/// A bridge of mosquitto sets the highest bit of the protocol level. It gets the RETAIN flag as published, and nothing
/// back that it published itself.
#[test]
fn bridges_are_accepted() {
    on_nodes(settings(), async |node| {
        for version in [ProtocolVersion::V31, V311] {
            let (mut bridge, _) =
                node.connect_with(Connect { bridge: true, ..connect(version, "bridge") }).await;
            let topic = format!("bridged/{version:?}");
            bridge.subscribe(&topic, QoS::AtMostOnce).await;
            bridge.publish(&topic, QoS::AtLeastOnce, "own").await;
            bridge.expect_nothing().await;
            let mut other = node.connect(V5, "other").await;
            let mut retained = publish(&topic, QoS::AtLeastOnce, "kept");
            retained.retain = true;
            other.publish_packet(retained).await;
            assert!(bridge.expect_payload("kept").await.retain);
        }
    });
}

/// [MQTT-3.2.2-2] [MQTT-3.2.2-3] Session present says whether there was a session to resume;
/// [MQTT-3.1.2-4] [MQTT-3.1.2-5] a clean start removes it with its subscriptions.
#[test]
fn session_present() {
    on_nodes(settings(), async |node| {
        for version in VERSIONS {
            let (mut client, answer) = node.connect_with(durable(version, "present")).await;
            assert!(!answer.session_present, "{version:?}: nothing to resume");
            client.subscribe("present/x", QoS::AtLeastOnce).await;
            client.disconnect().await;

            let mut client = node.resume(durable(version, "present")).await;
            client.publish("present/x", QoS::AtLeastOnce, "still subscribed").await;
            client.take_payload("still subscribed").await;
            client.disconnect().await;

            let (mut client, answer) = node.connect_with(connect(version, "present")).await;
            assert!(!answer.session_present, "{version:?}: clean start");
            client.publish("present/x", QoS::AtLeastOnce, "not subscribed").await;
            client.expect_nothing().await;
            client.disconnect().await;

            let (client, answer) = node.connect_with(durable(version, "present")).await;
            assert!(!answer.session_present, "{version:?}: a clean session leaves none");
            client.disconnect().await;
            node.connect(version, "present").await.disconnect().await;
        }
    });
}

/// [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16] An empty client identifier gets one assigned, which 5.0 is told and
/// can come back with.
#[test]
fn assigned_client_identifier() {
    on_nodes(settings(), async |node| {
        let mut seen = Vec::new();
        for _ in 0..5 {
            let (mut client, answer) = node.connect_with(durable(V5, "")).await;
            let assigned = answer.properties.assigned_client_identifier.expect("an assigned identifier");
            assert!(!assigned.is_empty() && !seen.contains(&assigned), "{assigned}");
            client.subscribe("assigned", QoS::AtMostOnce).await;
            client.disconnect().await;
            let (client, answer) = node.connect_with(durable(V5, &assigned)).await;
            assert!(answer.session_present);
            assert_eq!(answer.properties.assigned_client_identifier, None);
            client.disconnect().await;
            seen.push(assigned);
        }
        let (mut first, _) = node.connect_with(connect(V311, "")).await;
        let (mut second, _) = node.connect_with(connect(V311, "")).await;
        first.ping().await;
        second.ping().await;
    });
}

/// [MQTT311-3.1.3-8] Without a client identifier there is no session to keep, return code 2; 3.1 always asks for
/// one.
#[test]
fn empty_client_identifier_refused() {
    on_nodes(settings(), async |node| {
        for connect in
            [durable(V311, ""), durable(ProtocolVersion::V31, ""), connect(ProtocolVersion::V31, "")]
        {
            let mut client = node.open(connect.version).await;
            client.send(Packet::Connect(Box::new(connect))).await;
            client.expect_bytes(b"\x20\x02\x00\x02").await;
            client.expect_closed().await;
        }
        node.until_counters([("connects_refused", 3)]).await;
    });
}

/// Client identifiers of any length and letters.
#[test]
fn unusual_client_identifiers() {
    on_nodes(settings(), async |node| {
        for name in [
            "with spaces and /slashes/+#".to_owned(),
            "żółć ☃ 名前".to_owned(),
            "x".repeat(200),
            "y".repeat(65_535),
        ] {
            for version in VERSIONS {
                node.connect(version, &name).await.ping().await;
            }
        }
    });
}

/// [MQTT-3.1.2-2] An unsupported protocol level: 0x84 to 5.0 and above, return code 1 to what is below.
#[test]
fn unsupported_protocol_level() {
    on_nodes(settings(), async |node| {
        let mut client = node.open(V5).await;
        client.send_bytes(b"\x10\x0e\x00\x04MQTT\x06\x02\x00\x3c\x00\x00\x01x").await;
        client.expect_bytes(b"\x20\x03\x00\x84\x00").await;
        client.expect_closed().await;
        let mut client = node.open(V311).await;
        client.send_bytes(b"\x10\x0d\x00\x04MQTT\x02\x02\x00\x3c\x00\x01x").await;
        client.expect_bytes(b"\x20\x02\x00\x01").await;
        client.expect_closed().await;
    });
}

/// [MQTT-3.1.2-1] Another protocol name is not answered.
#[test]
fn wrong_protocol_name() {
    on_nodes(settings(), async |node| {
        let mut client = node.open(V5).await;
        client.send_bytes(b"\x10\x0e\x00\x04HTTP\x05\x02\x00\x3c\x00\x00\x01x").await;
        client.expect_closed().await;
    });
}

/// [MQTT-3.1.2-3] The reserved flag: 5.0 is told that it is malformed, 3.1.1 has no return code for it.
#[test]
fn malformed_connect() {
    on_nodes(settings(), async |node| {
        let mut client = node.open(V5).await;
        client.send_bytes(b"\x10\x0e\x00\x04MQTT\x05\x03\x00\x3c\x00\x00\x01x").await;
        client.expect_bytes(b"\x20\x03\x00\x81\x00").await;
        client.expect_closed().await;
        let mut client = node.open(V311).await;
        client.send_bytes(b"\x10\x0d\x00\x04MQTT\x04\x03\x00\x3c\x00\x01x").await;
        client.expect_closed().await;
    });
}

/// [MQTT-3.1.4-6] After a refusal nothing is processed that the client sent behind its CONNECT.
#[test]
fn nothing_is_processed_after_a_refusal() {
    on_nodes(settings(), async |node| {
        let mut subscriber = node.connect(V5, "subscriber").await;
        subscriber.subscribe("#", QoS::AtMostOnce).await;
        let mut refused = node.open(V311).await;
        refused
            .send_all(&[
                Packet::Connect(Box::new(durable(V311, ""))),
                Packet::Publish(publish("refused", QoS::AtMostOnce, "never")),
                Packet::PingReq,
            ])
            .await;
        refused.expect_bytes(b"\x20\x02\x00\x02").await;
        refused.expect_closed().await;
        subscriber.expect_nothing().await;

        // Refused by the will it brought.
        let mut refused = node.open(V5).await;
        let with_will =
            Connect { will: Some(will("$SYS/x", QoS::AtMostOnce, "never")), ..connect(V5, "will") };
        refused
            .send_all(&[
                Packet::Connect(Box::new(with_will)),
                Packet::Publish(publish("refused", QoS::AtLeastOnce, "never")),
            ])
            .await;
        assert_eq!(refused.expect_connack().await.reason_code, ReasonCode::NotAuthorized);
        refused.expect_closed().await;
        subscriber.expect_nothing().await;
        node.until("1 session", |seen| seen.sessions.sessions == 1).await;
    });
}

/// [MQTT-3.1.0-1] The first packet is a CONNECT, or the network connection is closed without an answer.
#[test]
fn first_packet_is_not_a_connect() {
    on_nodes(settings(), async |node| {
        for bytes in
            [&b"\xc0\x00"[..], b"\x30\x05\x00\x01ahi", b"\x00\x00", b"GET / HTTP/1.1\r\n\r\n", b"\xff"]
        {
            let mut client = node.open(V311).await;
            client.send_bytes(bytes).await;
            client.expect_closed().await;
        }
    });
}

/// [MQTT-3.1.0-2] A second CONNECT is a protocol error, and ends the network connection.
#[test]
fn second_connect() {
    on_nodes(settings(), async |node| {
        for version in VERSIONS {
            let mut client = node.connect(version, "twice").await;
            client.send(Packet::Connect(Box::new(connect(version, "twice")))).await;
            client.expect_disconnect(ReasonCode::ProtocolError).await;
            let mut client = node.open(version).await;
            let connect = Packet::Connect(Box::new(connect(version, "twice")));
            client.send_all(&[connect.clone(), connect]).await;
            assert_eq!(client.expect_connack().await.reason_code, ReasonCode::Success);
            client.expect_disconnect(ReasonCode::ProtocolError).await;
        }
    });
}

fn eager(version: ProtocolVersion) -> [Packet; 6] {
    [
        Packet::Connect(Box::new(connect(version, "eager"))),
        Packet::Subscribe(subscribe_packet(identifier(1), &[("eager", options(QoS::AtMostOnce))])),
        Packet::Publish(publish("eager", QoS::AtMostOnce, "1")),
        Packet::Publish(publish("eager", QoS::AtMostOnce, "2")),
        Packet::PingReq,
        Packet::Publish(publish("eager", QoS::AtMostOnce, "3")),
    ]
}

async fn expect_eager(client: &mut Client) {
    assert_eq!(client.expect_connack().await.reason_code, ReasonCode::Success);
    let (mut payloads, mut others) = (Vec::new(), Vec::new());
    while payloads.len() < 3 || others.len() < 2 {
        match client.next().await {
            Packet::Publish(publish) => payloads.push(publish.payload.to_vec()),
            other => others.push(other),
        }
    }
    assert_eq!(payloads, [b"1", b"2", b"3"]);
    assert!(others.iter().any(|packet| matches!(packet, Packet::SubAck(_))), "{others:?}");
    assert!(others.contains(&Packet::PingResp), "{others:?}");
}

/// [MQTT-3.1.4-6] Clients may send packets right behind CONNECT; they are processed in order.
#[test]
fn packets_right_behind_connect() {
    on_nodes(settings(), async |node| {
        for version in VERSIONS {
            let mut client = node.open(version).await;
            client.send_all(&eager(version)).await;
            expect_eager(&mut client).await;
            client.expect_nothing().await;
            client.disconnect().await;
        }
    });
}

/// Packets are what counts, not how many bytes of them come at a time.
#[test]
fn one_byte_at_a_time() {
    on_nodes(settings(), async |node| {
        for version in VERSIONS {
            let mut client = node.open(version).await;
            let bytes: Vec<u8> = eager(version).iter().flat_map(|packet| client.encoded(packet)).collect();
            for byte in bytes {
                client.send_bytes(&[byte]).await;
                // Lets the node's threads see it alone, more often than not.
                tokio::task::yield_now().await;
            }
            expect_eager(&mut client).await;
            client.disconnect().await;
        }
    });
}

/// A network connection without a complete CONNECT is closed after `connect_timeout_ms`; a complete one is not.
#[test]
fn connect_timeout() {
    let mut settings = settings();
    settings.node.connect_timeout_ms = 200;
    on_nodes(settings, async |node| {
        let mut connected = node.connect(V5, "in-time").await;
        let mut silent = node.open(V5).await;
        let mut slow = node.open(V5).await;
        slow.send_bytes(b"\x10\x0e\x00\x04MQTT\x05").await;
        silent.expect_closed().await;
        slow.expect_closed().await;
        node.until_counters([("connect_timeouts", 2)]).await;
        connected.ping().await;
    });
}

/// A client that connects long before it says anything is noticed, and taken in when it does.
#[test]
fn late_connect() {
    on_nodes(settings(), async |node| {
        let mut late = node.open(V5).await;
        node.until("it is noticed", |seen| seen.connections == 1).await;
        late.handshake(connect(V5, "late")).await;
        late.ping().await;
        late.disconnect().await;
    });
}

/// [MQTT-3.1.2-24] A client whose maximum packet size has no room for its CONNACK is sent none.
#[test]
fn connack_that_does_not_fit() {
    on_nodes(settings(), async |node| {
        let mut client = node.open(V5).await;
        let mut tiny = durable(V5, "tiny");
        tiny.properties.maximum_packet_size = NonZeroU32::new(5);
        client.send(Packet::Connect(Box::new(tiny))).await;
        client.expect_closed().await;
        node.until("no session is left", |seen| seen.sessions.sessions == 0 && seen.connections == 0).await;
    });
}

/// What the node announces to 5.0 unasked, by default.
#[test]
fn announced_by_default() {
    on_node(1, settings(), async |node| {
        let (_client, answer) = node.connect_with(connect(V5, "told")).await;
        let told = answer.properties;
        assert_eq!(told.receive_maximum.map(|max| max.get()), Some(1024));
        assert_eq!(told.maximum_packet_size.map(|max| max.get()), Some(16 * 1024 * 1024));
        assert_eq!(told.topic_alias_maximum, Some(64));
        assert_eq!(told.maximum_qos, None);
        assert_eq!(told.retain_available, None);
        assert_eq!(told.session_expiry_interval, None);
        assert_eq!(told.server_keep_alive, None);
        assert_eq!(told.response_information, None);
        assert!(told.user_properties.is_empty());
    });
}

/// Request and response information [MQTT-3.1.2-28]: only where it was asked for and is configured.
#[test]
fn response_information() {
    let mut settings = settings();
    settings.mqtt.response_information = "responses/%c/".to_owned();
    on_node(1, settings, async |node| {
        let mut asking = connect(V5, "asking");
        asking.properties.request_response_information = Some(true);
        let (_client, answer) = node.connect_with(asking).await;
        assert_eq!(answer.properties.response_information.as_deref(), Some("responses/asking/"));
        let (_client, answer) = node.connect_with(connect(V5, "not-asking")).await;
        assert_eq!(answer.properties.response_information, None);
    });
}

/// [MQTT-3.1.2-29] A client that does not want problem information gets no reason string in a SUBACK.
#[test]
fn problem_information() {
    let mut settings = settings();
    settings.mqtt.shared_subscription_available = false;
    on_node(1, settings, async |node| {
        for (wanted, told) in [(None, true), (Some(true), true), (Some(false), false)] {
            let mut asking = connect(V5, "asking");
            asking.properties.request_problem_information = wanted;
            let (mut client, _) = node.connect_with(asking).await;
            let subscribe = subscribe_packet(identifier(1), &[("$share/a/b", options(QoS::AtMostOnce))]);
            let answer = client.subscribe_packet(subscribe).await;
            assert_eq!(answer.reason_codes, [ReasonCode::SharedSubscriptionsNotSupported]);
            assert_eq!(answer.properties.is_some_and(|properties| properties.reason_string.is_some()), told);
            client.disconnect().await;
        }
    });
}

/// Five hundred clients within a moment.
#[test]
fn many_connections_at_once() {
    on_nodes(settings(), async |node| {
        let mut clients = Vec::new();
        for number in 0..500 {
            let version = VERSIONS[number % VERSIONS.len()];
            let mut client = node.open(version).await;
            client.send(Packet::Connect(Box::new(connect(version, &format!("many-{number}"))))).await;
            clients.push(client);
        }
        for client in &mut clients {
            assert_eq!(client.expect_connack().await.reason_code, ReasonCode::Success);
        }
        node.until_online(500).await;
    });
}
