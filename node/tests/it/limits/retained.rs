//! Retained messages.

use mqtt_codec::ProtocolVersion::V5;
use mqtt_codec::Publish;
use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce};

use crate::harness::{on_nodes, publish, settings};

/// `retained_messages_max`: a further one is delivered and not kept; replacing and removing stays possible.
#[test]
fn retained_messages() {
    let mut limited = settings();
    limited.session.retained_messages_max = 2;
    on_nodes(limited, async |node| {
        let mut client = node.connect(V5, "client").await;
        client.subscribe("#", AtMostOnce).await;
        for (topic, payload) in [("a", "1"), ("b", "1"), ("c", "1"), ("a", "2")] {
            client.publish_packet(Publish { retain: true, ..publish(topic, AtMostOnce, payload) }).await;
            client.expect_payload(payload).await;
        }
        let kept = node.until("they are kept", |seen| seen.retained.refused == 1).await.retained;
        assert_eq!(kept.messages, 2);
        let mut other = node.connect(V5, "other").await;
        other.subscribe("#", AtMostOnce).await;
        assert_eq!(other.expect_payload("2").await.topic, "a");
        assert_eq!(other.expect_payload("1").await.topic, "b");
        other.expect_nothing().await;
        assert!(
            node.running().admin_source().prometheus().await.unwrap().contains("retained_refused_total 1")
        );
    });
}

/// `retained_bytes_max`: the same by bytes.
#[test]
fn retained_bytes() {
    let mut limited = settings();
    limited.session.retained_bytes_max = 3000;
    on_nodes(limited, async |node| {
        let mut client = node.connect(V5, "client").await;
        for topic in ["a", "b", "c"] {
            let message = publish(topic, AtLeastOnce, &"x".repeat(1200));
            client.publish_packet(Publish { retain: true, ..message }).await;
        }
        let kept = node.until("they are kept", |seen| seen.retained.refused == 1).await.retained;
        assert_eq!(kept.messages, 2);
        assert!((2400..=3000).contains(&kept.bytes), "{kept:?}");
        client.publish_packet(Publish { retain: true, ..publish("a", AtLeastOnce, "") }).await;
        client.publish_packet(Publish { retain: true, ..publish("c", AtLeastOnce, "small") }).await;
        node.until("the last is kept", |seen| seen.retained.messages == 2 && seen.retained.refused == 1)
            .await;
    });
}
