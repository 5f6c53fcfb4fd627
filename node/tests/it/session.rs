//! Sessions outlive network connections: how long, for whom, and what is sent again.

use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use actix_rt::time::sleep;
use mqtt_codec::{
    Ack, Connect, Disconnect, DisconnectProperties, Packet, ProtocolVersion, Publish, QoS, ReasonCode,
};

use crate::harness::{Client, TestNode, connect, durable, identifier, on_nodes, publish, settings};

const V31: ProtocolVersion = ProtocolVersion::V31;
const V311: ProtocolVersion = ProtocolVersion::V311;
const V5: ProtocolVersion = ProtocolVersion::V5;

fn expiring(client_identifier: &str, seconds: u32) -> Connect {
    let mut connect = durable(V5, client_identifier);
    connect.properties.session_expiry_interval = Some(seconds);
    connect
}

async fn is_present(node: &TestNode, connect: Connect) -> bool {
    let (client, answer) = node.connect_with(connect).await;
    client.disconnect().await;
    answer.session_present
}

/// [MQTT-3.1.2-23] [MQTT-4.1.0-2] A session is kept for its session expiry interval, and not longer.
#[test]
fn expires_after_its_interval() {
    on_nodes(settings(), async |node| {
        let (mut client, _) = node.connect_with(expiring("short", 1)).await;
        client.subscribe("x", QoS::AtLeastOnce).await;
        client.disconnect().await;
        let mut other = node.connect(V5, "other").await;
        assert_eq!(other.publish("x", QoS::AtLeastOnce, "waits").await, ReasonCode::Success);
        let mut client = node.resume(expiring("short", 1)).await;
        client.take_payload("waits").await;
        client.disconnect().await;
        let parted = Instant::now();
        node.until("the session is gone", |seen| seen.sessions.sessions == 1).await;
        assert!(parted.elapsed() >= Duration::from_millis(900), "gone after {:?}", parted.elapsed());
        assert_eq!(other.publish("x", QoS::AtLeastOnce, "nobody").await, ReasonCode::NoMatchingSubscribers);
        assert!(!is_present(node, expiring("short", 1)).await);
        assert!(node.counter("sessions_expired") >= 1);
    });
}

/// [MQTT-4.1.0-2] A session expiry interval of 0, or none: the session ends with its network connection.
#[test]
fn interval_0_ends_with_the_network_connection() {
    on_nodes(settings(), async |node| {
        for absent in [true, false] {
            let mut connect = expiring("zero", 0);
            if absent {
                connect.properties.session_expiry_interval = None;
            }
            let (mut client, _) = node.connect_with(connect.clone()).await;
            client.subscribe("x", QoS::AtLeastOnce).await;
            client.vanish().await;
            assert_eq!(node.snapshot().await.sessions.sessions, 0);
            assert!(!is_present(node, connect).await);
        }
    });
}

/// A longer interval than the node admits is shortened, and the client is told. It holds for 3.1 and 3.1.1 with clean
/// session 0 too.
#[test]
fn interval_is_capped_and_announced() {
    let mut settings = settings();
    settings.mqtt.session_expiry_interval_max_seconds = 1;
    on_nodes(settings, async |node| {
        let (client, answer) = node.connect_with(expiring("long", u32::MAX)).await;
        assert_eq!(answer.properties.session_expiry_interval, Some(1));
        client.disconnect().await;
        let (client, answer) = node.connect_with(expiring("exact", 1)).await;
        assert_eq!(answer.properties.session_expiry_interval, None);
        client.disconnect().await;
        let (client, _) = node.connect_with(durable(V311, "old")).await;
        client.disconnect().await;
        let (client, _) = node.connect_with(durable(V31, "oldest")).await;
        // Asks for more at the end: capped as well.
        client.disconnect().await;
        let (client, _) = node.connect_with(expiring("at-disconnect", 1)).await;
        client.disconnect_with(disconnect(Some(1_000_000))).await;
        assert_eq!(node.snapshot().await.sessions.sessions, 5);
        node.until("all sessions are gone", |seen| seen.sessions.sessions == 0).await;
    });
}

fn disconnect(session_expiry_interval: Option<u32>) -> Disconnect {
    let properties = DisconnectProperties { session_expiry_interval, ..DisconnectProperties::default() };
    Disconnect { reason_code: ReasonCode::Success, properties }
}

/// DISCONNECT changes the session expiry interval, but not from 0.
#[test]
fn interval_changed_at_disconnect() {
    on_nodes(settings(), async |node| {
        let (client, _) = node.connect_with(expiring("changes", 3600)).await;
        client.disconnect_with(disconnect(Some(0))).await;
        node.settle().await;
        assert!(!is_present(node, expiring("changes", 1)).await);
        let (client, _) = node.connect_with(expiring("changes", 1)).await;
        client.disconnect_with(disconnect(Some(3600))).await;
        // What is tested is that time passes: more than the first interval.
        sleep(Duration::from_millis(1300)).await;
        assert!(is_present(node, expiring("changes", 3600)).await);

        let mut client = node.connect(V5, "from-0").await;
        client.send(Packet::Disconnect(disconnect(Some(10)))).await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
        node.settle().await;
        assert!(!is_present(node, connect(V5, "from-0")).await);
    });
}

/// A session may be resumed with another version of the protocol, with its subscriptions and what waits for it.
#[test]
fn survives_a_change_of_version() {
    on_nodes(settings(), async |node| {
        let mut publisher = node.connect(V5, "publisher").await;
        let (mut client, _) = node.connect_with(durable(V31, "changing")).await;
        client.subscribe("v/+", QoS::ExactlyOnce).await;
        client.disconnect().await;
        for (round, version) in [V5, V311, V5, V31, V311].into_iter().enumerate() {
            let payload = round.to_string();
            let mut message = publish("v/1", QoS::ExactlyOnce, &payload);
            message.properties.content_type = Some("text/plain".to_owned());
            publisher.publish_packet(message).await;
            let mut client = node.resume(durable(version, "changing")).await;
            let got = client.take_payload(&payload).await;
            assert_eq!(got.properties.content_type.is_some(), version == V5);
            client.expect_nothing().await;
            client.disconnect().await;
        }
    });
}

/// [MQTT-3.1.4-3] A second network connection with the same client identifier takes the session over; the first is told
/// (0x8E) and closed.
#[test]
fn takeover() {
    on_nodes(settings(), async |node| {
        for first_version in [V31, V311, V5] {
            for second_version in [V311, V5] {
                for keeps in [false, true] {
                    let connect =
                        |version| if keeps { durable(version, "same") } else { connect(version, "same") };
                    let (mut first, _) = node.connect_with(connect(first_version)).await;
                    first.subscribe("taken", QoS::AtLeastOnce).await;
                    let (mut second, answer) = node.connect_with(connect(second_version)).await;
                    assert_eq!(answer.session_present, keeps);
                    first.expect_disconnect(ReasonCode::SessionTakenOver).await;
                    second.publish("taken", QoS::AtLeastOnce, "mine").await;
                    if keeps {
                        second.take_payload("mine").await;
                    }
                    second.expect_nothing().await;
                    second.disconnect().await;
                    node.connect(V5, "same").await.disconnect().await;
                }
            }
        }
        assert_eq!(node.counter("takeovers"), 12);
    });
}

/// A hundred network connections race for one client identifier: in the end one holds the session, and each of the
/// others was told so.
#[test]
fn a_hundred_race_for_one_client_identifier() {
    on_nodes(settings(), async |node| {
        let (mut first, _) = node.connect_with(durable(V5, "prize")).await;
        first.subscribe("prize", QoS::AtLeastOnce).await;
        first.disconnect().await;
        let mut racers = Vec::new();
        for _ in 0..100 {
            let mut racer = node.open(V5).await;
            racer.send(Packet::Connect(Box::new(durable(V5, "prize")))).await;
            racers.push(racer);
        }
        for racer in &mut racers {
            let answer = racer.expect_connack().await;
            assert_eq!((answer.reason_code, answer.session_present), (ReasonCode::Success, true));
        }
        let seen = node.until("one is left", |seen| seen.connections == 1).await;
        assert_eq!((seen.sessions.sessions, seen.sessions.online, seen.sessions.subscriptions), (1, 1, 1));
        let mut publisher = node.connect(V5, "publisher").await;
        assert_eq!(publisher.publish("prize", QoS::AtLeastOnce, "won").await, ReasonCode::Success);
        let mut winners = 0;
        for racer in &mut racers {
            match racer.next().await {
                Packet::Publish(publish) => {
                    racer.acknowledge(&publish).await;
                    racer.expect_nothing().await;
                    winners += 1;
                }
                Packet::Disconnect(disconnect) => {
                    assert_eq!(disconnect.reason_code, ReasonCode::SessionTakenOver);
                    racer.expect_closed().await;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(winners, 1);
        assert_eq!(node.counter("takeovers"), 99);
    });
}

/// A session with messages 0 to 5 sent and unacknowledged (QoS 1 and 2 in turn); answers their packet identifiers.
async fn with_six_in_flight(node: &TestNode, version: ProtocolVersion) -> Vec<u16> {
    let (mut client, _) = node.connect_with(durable(version, "resuming")).await;
    client.subscribe("r", QoS::ExactlyOnce).await;
    let mut publisher = node.connect(V5, "publisher").await;
    for number in 0..6 {
        let qos = if number % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        publisher.publish("r", qos, &number.to_string()).await;
    }
    let mut identifiers = Vec::new();
    for number in 0..6 {
        let publish = client.expect_payload(&number.to_string()).await;
        assert!(!publish.dup);
        identifiers.push(publish.packet_identifier.expect("QoS 1 or 2").get());
    }
    // 3 is half done: the PUBREL is owed.
    let ack = Ack::new(identifier(identifiers[3]), ReasonCode::Success);
    client.send(Packet::PubRec(ack.clone())).await;
    client.expect(Packet::PubRel(ack)).await;
    client.vanish().await;
    identifiers
}

/// [MQTT-3.3.1-1] [MQTT-4.3.2-3] [MQTT-4.3.3-3] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.4.0-1] On resumption, and only
/// then, what is unacknowledged is sent again: with the same packet identifiers, in the order first sent, PUBLISH with
/// DUP, or the PUBREL. New messages come behind.
#[test]
fn resends_on_resumption() {
    on_nodes(settings(), async |node| {
        for version in [V31, V311, V5] {
            let identifiers = with_six_in_flight(node, version).await;
            let mut publisher = node.connect(V5, "publisher").await;
            publisher.publish("r", QoS::AtLeastOnce, "new").await;
            let mut client = node.resume(durable(version, "resuming")).await;
            for (number, packet_identifier) in identifiers.iter().enumerate() {
                let packet_identifier = identifier(*packet_identifier);
                if number == 3 {
                    client.expect(Packet::PubRel(Ack::new(packet_identifier, ReasonCode::Success))).await;
                    continue;
                }
                let publish = client.expect_payload(&number.to_string()).await;
                assert!(publish.dup, "{number}");
                assert_eq!(publish.packet_identifier, Some(packet_identifier));
            }
            let new = client.expect_payload("new").await;
            assert!(!new.dup);
            assert!(!identifiers.contains(&new.packet_identifier.expect("QoS 1").get()));
            client.expect_nothing().await;
            for number in [0, 2, 4] {
                let ack = Ack::new(identifier(identifiers[number]), ReasonCode::Success);
                client.send(Packet::PubAck(ack)).await;
            }
            client.acknowledge(&new).await;
            for number in [1, 5] {
                let ack = Ack::new(identifier(identifiers[number]), ReasonCode::Success);
                client.send(Packet::PubRec(ack.clone())).await;
                client.expect(Packet::PubRel(ack.clone())).await;
                client.send(Packet::PubComp(ack)).await;
            }
            let ack = Ack::new(identifier(identifiers[3]), ReasonCode::Success);
            client.send(Packet::PubComp(ack)).await;
            client.ping().await;
            assert_eq!(node.snapshot().await.ledger.queued, 0);
            client.disconnect().await;
            let mut client = node.resume(durable(version, "resuming")).await;
            client.expect_nothing().await;
            client.disconnect().await;
            node.connect(version, "resuming").await.disconnect().await;
        }
    });
}

/// [MQTT-3.3.4-9] [MQTT-3.3.4-10] The receive maximum of the new network connection holds for what is sent again, too.
#[test]
fn resumption_obeys_the_receive_maximum() {
    on_nodes(settings(), async |node| {
        let identifiers = with_six_in_flight(node, V5).await;
        let mut resuming = durable(V5, "resuming");
        resuming.properties.receive_maximum = NonZeroU16::new(2);
        let mut client = node.resume(resuming).await;
        let mut publisher = node.connect(V5, "publisher").await;
        publisher.publish("r", QoS::AtLeastOnce, "new").await;
        let first = client.expect_payload("0").await;
        let second = client.expect_payload("1").await;
        // No PUBREL waits for room, but the message that it stands for takes some.
        let ack = Ack::new(identifier(identifiers[3]), ReasonCode::Success);
        client.expect(Packet::PubRel(ack.clone())).await;
        client.expect_nothing().await;
        client.acknowledge(&first).await;
        client.expect_nothing().await;
        client.acknowledge(&second).await;
        let third = client.expect_payload("2").await;
        client.expect_nothing().await;
        client.send(Packet::PubComp(ack)).await;
        client.acknowledge(&third).await;
        client.take_payload("4").await;
        client.take_payload("5").await;
        client.take_payload("new").await;
        client.expect_nothing().await;
    });
}

/// [MQTT-4.3.3-10] [MQTT-4.3.3-12] A client that comes back with DUP publishes of QoS 2 gets them routed once, whatever the node still knew.
#[test]
fn incoming_qos_2_survives_the_network_connection() {
    on_nodes(settings(), async |node| {
        let mut subscriber = node.connect(V5, "subscriber").await;
        subscriber.subscribe("once", QoS::ExactlyOnce).await;
        for version in [V31, V311, V5] {
            let (mut client, _) = node.connect_with(durable(version, "sender")).await;
            let mut message = publish("once", QoS::ExactlyOnce, "a");
            message.packet_identifier = Some(identifier(7));
            client.send(Packet::Publish(message.clone())).await;
            client.expect(Packet::PubRec(Ack::new(identifier(7), ReasonCode::Success))).await;
            subscriber.take_payload("a").await;
            client.vanish().await;
            let mut client = node.resume(durable(version, "sender")).await;
            message.dup = true;
            client.send(Packet::Publish(message.clone())).await;
            client.expect(Packet::PubRec(Ack::new(identifier(7), ReasonCode::Success))).await;
            subscriber.expect_nothing().await;
            client.send(Packet::PubRel(Ack::new(identifier(7), ReasonCode::Success))).await;
            client.expect(Packet::PubComp(Ack::new(identifier(7), ReasonCode::Success))).await;
            // Released: the packet identifier stands for a new message now.
            message.dup = false;
            client.send(Packet::Publish(message)).await;
            client.expect(Packet::PubRec(Ack::new(identifier(7), ReasonCode::Success))).await;
            subscriber.take_payload("a").await;
            client.disconnect().await;
            node.connect(version, "sender").await.disconnect().await;
        }
    });
}

async fn offline_with_qos_0(node: &TestNode) -> Client {
    let (mut client, _) = node.connect_with(durable(V311, "away")).await;
    client.subscribe("a", QoS::ExactlyOnce).await;
    client.subscribe("b", QoS::AtMostOnce).await;
    client.disconnect().await;
    let mut publisher = node.connect(V5, "publisher").await;
    publisher.publish("a", QoS::AtLeastOnce, "1").await;
    publisher.publish("a", QoS::AtMostOnce, "2").await;
    publisher.publish("b", QoS::ExactlyOnce, "3").await;
    publisher.publish("a", QoS::ExactlyOnce, "4").await;
    node.resume(durable(V311, "away")).await
}

/// QoS 0 for a session that is offline is dropped, and counted so.
#[test]
fn qos_0_is_not_kept_for_offline_sessions() {
    on_nodes(settings(), async |node| {
        let mut client = offline_with_qos_0(node).await;
        client.take_payload("1").await;
        client.take_payload("4").await;
        client.expect_nothing().await;
        let ledger = node.balanced_ledger().await;
        let offline =
            ledger.dropped.iter().find(|(reason, _)| reason.label() == "offline").expect("a reason");
        assert_eq!(offline.1, 2);
    });
}

/// With `queue_qos0_offline` it waits with the others, in order.
#[test]
fn qos_0_is_kept_if_asked_for() {
    let mut settings = settings();
    settings.session.queue_qos0_offline = true;
    on_nodes(settings, async |node| {
        let mut client = offline_with_qos_0(node).await;
        client.take_payload("1").await;
        assert_eq!(client.take_payload("2").await.qos, QoS::AtMostOnce);
        assert_eq!(client.take_payload("3").await.qos, QoS::AtMostOnce);
        client.take_payload("4").await;
        client.expect_nothing().await;
        assert_eq!(node.balanced_ledger().await.dropped_total(), 0);
    });
}

/// Thousands of messages wait for a session, and come in the order of their publisher.
#[test]
fn a_long_queue_comes_in_order() {
    on_nodes(settings(), async |node| {
        let (mut client, _) = node.connect_with(durable(V5, "patient")).await;
        client.subscribe("long/#", QoS::AtLeastOnce).await;
        client.disconnect().await;
        let mut publisher = node.connect(V5, "publisher").await;
        const COUNT: u16 = 3000;
        for chunk in (1..=COUNT).collect::<Vec<_>>().chunks(500) {
            let packets: Vec<_> = chunk
                .iter()
                .map(|number| {
                    let mut message = publish("long/x", QoS::AtLeastOnce, &number.to_string());
                    message.packet_identifier = Some(identifier(*number));
                    Packet::Publish(message)
                })
                .collect();
            publisher.send_all(&packets).await;
            for number in chunk {
                publisher.expect(Packet::PubAck(Ack::new(identifier(*number), ReasonCode::Success))).await;
            }
        }
        let mut resuming = durable(V5, "patient");
        resuming.properties.receive_maximum = NonZeroU16::new(10);
        let mut client = node.resume(resuming).await;
        for number in 1..=COUNT {
            client.take_payload(&number.to_string()).await;
        }
        client.expect_nothing().await;
    });
}

/// A session is taken over from a client that does not read: what stands in its outbox is not lost for QoS 1 and 2,
/// which come to the new network connection in order and once.
#[test]
fn takeover_from_a_client_that_does_not_read() {
    let mut settings = settings();
    settings.node.outbox_bytes_max = 256 * 1024;
    on_nodes(settings, async |node| {
        const COUNT: u32 = 1500;
        let (mut stuck, _) = node.connect_with(durable(V5, "stuck")).await;
        stuck.subscribe("big", QoS::ExactlyOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        let padding = ".".repeat(8000);
        for number in 0..COUNT {
            let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][number as usize % 3];
            publisher.publish("big", qos, &format!("{number}{padding}")).await;
        }
        let mut second = node.resume(durable(V5, "stuck")).await;
        for number in (0..COUNT).filter(|number| number % 3 != 0) {
            let got = second.expect_publish().await;
            let text = String::from_utf8(got.payload.to_vec()).expect("text");
            assert_eq!(text.trim_end_matches('.'), number.to_string());
            second.acknowledge(&got).await;
        }
        second.expect_nothing().await;
        drop(stuck);
        let ledger = node.balanced_ledger().await;
        assert_eq!((ledger.matched, ledger.queued), (u64::from(COUNT), 0));
    });
}

/// 4294967295 means never, where the node admits it.
#[test]
fn never_expires() {
    let mut settings = settings();
    settings.mqtt.session_expiry_interval_max_seconds = u32::MAX;
    on_nodes(settings, async |node| {
        for connect in [expiring("for-ever", u32::MAX), durable(V311, "for-ever")] {
            let (client, answer) = node.connect_with(connect).await;
            assert_eq!(answer.properties.session_expiry_interval, None);
            client.vanish().await;
        }
        node.resume(expiring("for-ever", u32::MAX - 1)).await.vanish().await;
        assert!(is_present(node, expiring("for-ever", 1)).await);
    });
}

/// [MQTT-2.2.1-4] More messages than there are packet identifiers, while the oldest stays unacknowledged: none is used
/// twice at a time.
#[test]
fn packet_identifiers_wrap_around() {
    on_nodes(settings(), async |node| {
        const COUNT: u32 = 66_000;
        let mut client = node.connect(V5, "wrapping").await;
        client.subscribe("w", QoS::AtLeastOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        publisher.publish("w", QoS::AtLeastOnce, "held").await;
        let held = client.expect_payload("held").await;
        const BATCH: u32 = 1000;
        for _ in 0..COUNT / BATCH {
            let packets: Vec<_> = (1..=BATCH as u16)
                .map(|number| {
                    let packet_identifier = Some(identifier(number));
                    Packet::Publish(Publish { packet_identifier, ..publish("w", QoS::AtLeastOnce, "x") })
                })
                .collect();
            publisher.send_all(&packets).await;
            let mut acks = Vec::new();
            for _ in 0..BATCH {
                let got = client.expect_publish().await;
                assert_ne!(got.packet_identifier, held.packet_identifier);
                let ack = Ack::new(got.packet_identifier.expect("QoS 1"), ReasonCode::Success);
                acks.push(Packet::PubAck(ack));
            }
            client.send_all(&acks).await;
            for number in 1..=BATCH as u16 {
                publisher.expect(Packet::PubAck(Ack::new(identifier(number), ReasonCode::Success))).await;
            }
        }
        client.acknowledge(&held).await;
        client.ping().await;
        assert_eq!(node.snapshot().await.ledger.queued, 0);
    });
}
