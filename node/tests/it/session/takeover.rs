//! A session is taken over by another network connection.

use mqtt_codec::{Packet, QoS, ReasonCode};

use super::{V5, V31, V311};
use crate::harness::{connect, durable, on_nodes, settings};

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
        node.until_counters([("takeovers", 12)]).await;
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
        node.until_counters([("takeovers", 99)]).await;
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
        // What is acknowledged may still be on its way to the session's worker, and QoS 0 of that would come to the new one.
        node.settle().await;
        node.until("all has arrived", |seen| seen.between_workers == 0).await;
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
