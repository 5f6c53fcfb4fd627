//! CONNECTs that are refused (chapters 3.1.4, 3.2.2): told so in one CONNACK without a session, closed, and nothing is
//! left of them.

use auth_actor::{AuthSettings, ProviderKind};
use micro_mq_core::settings::Settings;
use mqtt_codec::{Disconnect, Packet, QoS, ReasonCode};

use super::bytes::{V5, connect_packet, packet, properties, refuses_connect, string, user_property};
use crate::harness::{Client, TestNode, connect, durable, on_node, on_nodes, publish, settings};

const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;

/// A node that refuses most of what can be refused.
fn strict() -> Settings {
    let mut strict = settings();
    strict.mqtt.maximum_qos = 1;
    strict.mqtt.retain_available = false;
    strict.mqtt.topic_levels_max = 3;
    strict.mqtt.check_payload_format = true;
    strict.mqtt.user_properties_max = 3;
    strict.mqtt.publish_properties_bytes_max = 100;
    strict.mqtt.maximum_packet_size_bytes = 1000;
    strict
}

/// A will on the topic that the tests listen to.
fn will(list: &[u8], topic: &str, payload: impl AsRef<[u8]>) -> Vec<u8> {
    [properties(list), string(topic), string(payload)].concat()
}

/// CONNECTs of a client, all with a will and refused by a [`strict`] node, and the reason code. They begin a session
/// anew or resume it.
fn refused(client_identifier: &str, clean_start: u8) -> Vec<(Vec<u8>, u8)> {
    let with = |flags: u8, list: &[u8], will: Vec<u8>| {
        let payload = [string(client_identifier), will].concat();
        connect_packet(flags | WILL | clean_start, &[b"\x11\x00\x00\x00\x64", list].concat(), &payload)
    };
    let last_words = || will(b"", "will", "gone");
    let mut of_version_6 = with(0, b"", last_words());
    of_version_6[8] = 6;
    let large = [&b"\x03\x00\x64"[..], &[b'x'; 100]].concat();
    vec![
        (with(0x01, b"", last_words()), 0x81),
        (with(0x18, b"", last_words()), 0x81),
        (with(0, b"\x21\x00\x00", last_words()), 0x82),
        (with(0, b"\x21\x00\x01\x21\x00\x01", last_words()), 0x82),
        (of_version_6, 0x84),
        (with(0, b"", will(b"", "$SYS/will", "gone")), 0x87),
        (with(0, b"\x15\x00\x05OTHER", last_words()), 0x8c),
        (with(0, b"", will(b"", "will/#", "gone")), 0x90),
        (with(0, b"", will(b"", "a/b/c/d", "gone")), 0x90),
        (with(0, b"", will(b"", "will", vec![b'x'; 1000])), 0x95),
        (with(0, &user_property("n", "v").repeat(4), last_words()), 0x97),
        (with(0, b"", will(&large, "will", "gone")), 0x97),
        (with(0, b"", will(b"\x01\x01", "will", b"\xff")), 0x99),
        (with(0x20, b"", last_words()), 0x9a),
        (with(0x10, b"", last_words()), 0x9b),
    ]
}

async fn heir(node: &TestNode) -> Client {
    let mut heir = node.connect(V5, "heir").await;
    heir.subscribe("#", QoS::AtLeastOnce).await;
    heir
}

/// [MQTT-3.1.4-2] [MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT-3.2.2-8] [MQTT-4.13.2-1] Each reason for which a CONNECT is
/// refused: told in CONNACK, session present 0, closed. No session begins, none ends, and no will is published.
#[test]
fn leave_nothing_behind() {
    on_nodes(strict(), async |node| {
        let mut heir = heir(node).await;
        for clean_start in [0, CLEAN_START] {
            for (bytes, reason) in refused("new", clean_start) {
                refuses_connect(node, &bytes, reason).await;
            }
        }
        heir.expect_nothing().await;
        node.until("the heir's", |seen| seen.sessions.sessions == 1).await;
        assert!(!node.connect_with(durable(V5, "new")).await.1.session_present);
    });
}

/// [MQTT-3.2.2-6] The same with a session that is offline: it stays, and so does what waits for it.
#[test]
fn do_not_touch_a_session_that_is_offline() {
    on_nodes(strict(), async |node| {
        let (mut client, _) = node.connect_with(durable(V5, "away")).await;
        client.subscribe("t", QoS::AtLeastOnce).await;
        client.disconnect().await;
        let mut other = node.connect(V5, "other").await;
        other.publish("t", QoS::AtLeastOnce, "waits").await;
        for clean_start in [0, CLEAN_START] {
            for (bytes, reason) in refused("away", clean_start) {
                refuses_connect(node, &bytes, reason).await;
            }
        }
        let mut client = node.resume(durable(V5, "away")).await;
        client.take_payload("waits").await;
        client.expect_nothing().await;
    });
}

/// [MQTT-3.1.4-2] The same with a session that is online: nobody takes it over.
#[test]
fn take_nothing_over() {
    on_nodes(strict(), async |node| {
        let mut client = node.connect(V5, "here").await;
        client.subscribe("t", QoS::AtLeastOnce).await;
        for clean_start in [0, CLEAN_START] {
            for (bytes, reason) in refused("here", clean_start) {
                refuses_connect(node, &bytes, reason).await;
            }
        }
        client.publish("t", QoS::AtLeastOnce, "still here").await;
        client.take_payload("still here").await;
        client.expect_nothing().await;
        assert_eq!(node.counter("takeovers"), 0);
    });
}

/// [MQTT-3.1.4-6] What comes right behind a CONNECT that is refused is not processed, at whatever it was refused.
#[test]
fn nothing_behind_them_is_processed() {
    on_nodes(strict(), async |node| {
        let mut heir = heir(node).await;
        let behind = [
            Packet::Publish(publish("t", QoS::AtMostOnce, "never")),
            Packet::Publish(publish("t", QoS::AtLeastOnce, "never")),
            Packet::PingReq,
            Packet::Disconnect(Disconnect::new(ReasonCode::DisconnectWithWillMessage)),
        ];
        let behind: Vec<u8> = behind.iter().flat_map(|packet| heir.encoded(packet)).collect();
        for (bytes, reason) in refused("new", CLEAN_START) {
            refuses_connect(node, &[&bytes[..], &behind].concat(), reason).await;
        }
        heir.expect_nothing().await;
        node.until("the heir's", |seen| seen.sessions.sessions == 1).await;
    });
}

/// [MQTT-3.1.2-24] [MQTT-3.2.2-19] [MQTT-3.2.2-20] A CONNACK says no more than fits what the client takes. One that
/// takes less than a refusal, or less than what has to be said to it, is closed without a word; whoever has its client
/// identifier stays, and so does that session.
#[test]
fn fit_the_maximum_packet_size() {
    on_nodes(strict(), async |node| {
        let mut heir = heir(node).await;
        let mut client = node.connect_with(durable(V5, "here")).await.0;
        client.subscribe("here", QoS::AtLeastOnce).await;
        for clean_start in [0, CLEAN_START] {
            for size in 1..=5 {
                let list = [0x27, 0, 0, 0, size];
                let payload = |will: &[u8]| [&string("here")[..], will].concat();
                let bad_will = will(b"", "$SYS/will", "gone");
                let refused = connect_packet(WILL | clean_start, &list, &payload(&bad_will));
                let told = (size == 5).then_some(0x87);
                refuses_connect(node, &refused, told).await;
                // Correct, but there is no room for what an acceptance says.
                let accepted =
                    connect_packet(WILL | clean_start, &list, &payload(&will(b"", "will", "gone")));
                refuses_connect(node, &accepted, None).await;
            }
        }
        client.publish("here", QoS::AtLeastOnce, "still here").await;
        client.take_payload("still here").await;
        heir.take_payload("still here").await;
        heir.expect_nothing().await;
        client.disconnect().await;
        node.resume(durable(V5, "here")).await.disconnect().await;
        assert_eq!(node.counter("takeovers"), 0);
    });
}

/// [MQTT-3.1.4-2] [MQTT-3.2.2-6] A node that has no place for another session refuses those that would need one. Who
/// has one keeps it, whether it is resumed, begun anew or taken over.
#[test]
fn of_a_node_that_is_full() {
    const QUOTA_EXCEEDED: u8 = 0x97;
    let mut full = settings();
    full.session.sessions_max = 3;
    on_nodes(full, async |node| {
        let mut heir = heir(node).await;
        node.connect_with(durable(V5, "away")).await.0.disconnect().await;
        let mut here = node.connect(V5, "here").await;
        for clean_start in [0, CLEAN_START] {
            for _ in 0..3 {
                let payload = [string("new"), will(b"", "will", "gone")].concat();
                refuses_connect(node, &connect_packet(WILL | clean_start, b"", &payload), QUOTA_EXCEEDED)
                    .await;
            }
        }
        node.resume(durable(V5, "away")).await.disconnect().await;
        for clean_start in [true, false, true] {
            let mut again = connect(V5, "here");
            again.clean_start = clean_start;
            let (next, _) = node.connect_with(again).await;
            here.expect_disconnect(ReasonCode::SessionTakenOver).await;
            here = next;
            let mut anew = durable(V5, "away");
            anew.clean_start = clean_start;
            node.connect_with(anew).await.0.disconnect().await;
        }
        here.disconnect().await;
        node.until("there is a place", |seen| seen.sessions.sessions == 2).await;
        node.connect(V5, "new").await.disconnect().await;
        heir.expect_nothing().await;
    });
}

/// [MQTT-3.1.4-2] [MQTT-3.2.2-7] Authentication that fails.
#[test]
fn of_a_client_that_may_not_connect() {
    actix_rt::System::new().block_on(async {
        let auth =
            AuthSettings { provider: ProviderKind::Mock, mock_allow: false, ..AuthSettings::default() };
        let node = TestNode::start_with(3, settings(), auth).await;
        for flags in [0, CLEAN_START, 0x80, 0xc0] {
            let payload = [&string("new")[..], &string("user"), &string("secret")];
            let fields = 1 + usize::from(flags >> 6 & 1) + usize::from(flags >> 7);
            let bytes = connect_packet(flags, b"", &payload[..fields].concat());
            let mut client = node.open(V5).await;
            client.send_bytes(&[bytes, packet(0xc0, b"")].concat()).await;
            let answer = client.next_frame_or_end().await.expect("a CONNACK");
            assert_eq!((&answer[..3], answer[4]), (&b"\x20\x03\x00"[..], 0));
            assert!([0x86, 0x87].contains(&answer[3]), "{answer:02x?}");
            client.expect_closed().await;
        }
        node.stop().await;
    });
}

/// [MQTT-3.14.0-1] Whatever is refused before it was accepted is not told in a DISCONNECT.
#[test]
fn are_never_told_in_disconnect() {
    on_node(1, strict(), async |node| {
        let wrong = refused("new", CLEAN_START).into_iter().map(|(bytes, _)| bytes);
        for bytes in wrong.chain([packet(0xe0, b""), packet(0x30, b"\x00\x01a\x00")]) {
            let mut client = node.open(V5).await;
            client.send_bytes(&bytes).await;
            while let Some(frame) = client.next_frame_or_end().await {
                assert_eq!(frame[0], 0x20, "{frame:02x?} in answer to {bytes:02x?}");
            }
        }
    });
}
