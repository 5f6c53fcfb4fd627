//! `[session]`: messages that wait for a session.

use std::num::NonZeroU16;

use micro_mq_core::ledger::DropReason;
use micro_mq_core::settings::QueueOverflow;
use mqtt_codec::ProtocolVersion::V5;
use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use mqtt_codec::ReasonCode;

use super::{dropped, offline_subscriber};
use crate::harness::{connect, durable, on_node, on_nodes, publish, settings};

/// `queue_messages_max` with `drop_newest`: the first ones are kept.
#[test]
fn queue_keeps_the_oldest() {
    let mut limited = settings();
    limited.session.queue_messages_max = 3;
    on_nodes(limited, async |node| {
        offline_subscriber(node, AtLeastOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        for number in 0..10 {
            assert_eq!(publisher.publish("t", AtLeastOnce, &number.to_string()).await, ReasonCode::Success);
        }
        assert_eq!(dropped(&node.balanced_ledger().await, DropReason::QueueFull), 7);
        let mut subscriber = node.resume(durable(V5, "subscriber")).await;
        for payload in ["0", "1", "2"] {
            subscriber.take_payload(payload).await;
        }
        subscriber.expect_nothing().await;
    });
}

/// `queue_messages_max` with `drop_oldest`: the last ones are kept.
#[test]
fn queue_keeps_the_newest() {
    let mut limited = settings();
    limited.session.queue_messages_max = 3;
    limited.session.queue_overflow = QueueOverflow::DropOldest;
    on_nodes(limited, async |node| {
        offline_subscriber(node, ExactlyOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        for number in 0..10 {
            publisher.publish("t", ExactlyOnce, &number.to_string()).await;
        }
        assert_eq!(dropped(&node.balanced_ledger().await, DropReason::QueueFull), 7);
        let mut subscriber = node.resume(durable(V5, "subscriber")).await;
        for payload in ["7", "8", "9"] {
            subscriber.take_payload(payload).await;
        }
        subscriber.expect_nothing().await;
    });
}

/// `queue_bytes_max`: bytes count as messages do, and those of one client are its own.
#[test]
fn queue_bytes() {
    for overflow in [QueueOverflow::DropNewest, QueueOverflow::DropOldest] {
        let mut limited = settings();
        limited.session.queue_bytes_max = 10_000;
        limited.session.queue_overflow = overflow;
        on_nodes(limited, async |node| {
            offline_subscriber(node, AtLeastOnce).await;
            let mut publisher = node.connect(V5, "publisher").await;
            for number in 0..10 {
                publisher.publish("t", AtLeastOnce, &format!("{number}{}", "x".repeat(2999))).await;
            }
            let ledger = node.balanced_ledger().await;
            assert_eq!((ledger.queued, dropped(&ledger, DropReason::QueueFull)), (3, 7));
            let mut subscriber = node.resume(durable(V5, "subscriber")).await;
            let first = if overflow == QueueOverflow::DropNewest { 0 } else { 7 };
            for number in first..first + 3 {
                let publish = subscriber.expect_publish().await;
                subscriber.acknowledge(&publish).await;
                assert_eq!(publish.payload[0], b'0' + number);
            }
            subscriber.expect_nothing().await;
        });
    }
}

/// `clean_queue_bytes_max`: the same for a session that ends with its connection, beside what is in flight.
#[test]
fn queue_bytes_of_a_clean_session() {
    let mut limited = settings();
    limited.session.clean_queue_bytes_max = 10_000;
    on_nodes(limited, async |node| {
        let mut slow = connect(V5, "slow");
        slow.properties.receive_maximum = NonZeroU16::new(1);
        let (mut subscriber, _) = node.connect_with(slow).await;
        subscriber.subscribe("t", AtLeastOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        for number in 0..10 {
            publisher.publish("t", AtLeastOnce, &format!("{number}{}", "x".repeat(2999))).await;
        }
        let ledger = node.balanced_ledger().await;
        assert_eq!((ledger.queued, dropped(&ledger, DropReason::QueueFull)), (4, 6));
        for number in 0..4 {
            let publish = subscriber.expect_publish().await;
            subscriber.acknowledge(&publish).await;
            assert_eq!(publish.payload[0], b'0' + number);
        }
        subscriber.expect_nothing().await;
    });
}

/// Messages that expired in the queue make room before one that lives is dropped.
#[test]
fn expired_messages_make_room_in_the_queue() {
    let mut limited = settings();
    limited.session.queue_messages_max = 2;
    on_node(1, limited, async |node| {
        offline_subscriber(node, AtLeastOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        for _ in 0..2 {
            let mut message = publish("t", AtLeastOnce, "short-lived");
            message.properties.message_expiry_interval = Some(1);
            publisher.publish_packet(message).await;
        }
        // What is to be seen is that time passes.
        actix_rt::time::sleep(std::time::Duration::from_millis(1100)).await;
        publisher.publish("t", AtLeastOnce, "lasting").await;
        let ledger = node.balanced_ledger().await;
        assert_eq!((ledger.queued, dropped(&ledger, DropReason::Expired)), (1, 2));
        node.resume(durable(V5, "subscriber")).await.take_payload("lasting").await;
    });
}

/// `queue_qos0_offline`: QoS 0 waits as well, and what comes later stays behind it.
#[test]
fn qos_0_in_the_queue_keeps_its_order() {
    let mut queueing = settings();
    queueing.session.queue_qos0_offline = true;
    queueing.session.inflight_max = 1;
    on_nodes(queueing, async |node| {
        offline_subscriber(node, AtLeastOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        publisher.publish("t", AtLeastOnce, "0").await;
        publisher.publish("t", AtLeastOnce, "1").await;
        publisher.publish("t", AtMostOnce, "2").await;
        publisher.ping().await;
        node.settle().await;
        let mut subscriber = node.resume(durable(V5, "subscriber")).await;
        let first = subscriber.expect_payload("0").await;
        // "1" waits for the acknowledgement of "0", and "2" behind it.
        publisher.publish("t", AtMostOnce, "3").await;
        publisher.ping().await;
        subscriber.expect_nothing().await;
        subscriber.acknowledge(&first).await;
        for payload in ["1", "2", "3"] {
            subscriber.take_payload(payload).await;
        }
        subscriber.expect_nothing().await;
    });
}
