//! Errors of the node itself.

use auth_actor::AuthSettings;
use micro_mq_actors::messages::{ForTrie, Takes};
use micro_mq_core::routing::{InjectPanic, ToTrie};

use super::{ACCEPTED, PUBACK, RESUMED, ack, expect_closed_by, join, join_durable, publish, subscribed};
use crate::harness::{TestNode, settings};

/// [MQTT311-4.8.0-2] If the node fails at a PUBLISH by an error of its own, here a panic amid its routing, the network
/// connection ends and nothing is acknowledged: the client does not wait in vain, and sends again when it is back.
#[test]
fn ends_the_network_connection() {
    actix_rt::System::new().block_on(async {
        let node = TestNode::start_with(1, settings(), AuthSettings::default()).await;
        let mut subscribers = Vec::new();
        for name in ["one", "two", "three"] {
            let mut subscriber = join(&node, name).await;
            subscribed(&mut subscriber, "t", 0).await;
            subscribers.push(subscriber);
        }
        let publisher = join_durable(&node, "publisher", ACCEPTED).await;
        let trie = node.shared().peers[0].trie.addr().unwrap();
        trie.send(ForTrie(ToTrie::Panic(InjectPanic::InBatch))).await.unwrap();
        expect_closed_by(publisher, &publish(0x32, "t", Some(1), "x")).await;
        let mut publisher = join_durable(&node, "publisher", RESUMED).await;
        publisher.send_bytes(&publish(0x3a, "t", Some(1), "x")).await;
        publisher.expect_bytes(&ack(PUBACK, 1)).await;
        publisher.send_bytes(&publish(0x30, "t", None, "end")).await;
        for subscriber in &mut subscribers {
            // One of them had it before the panic.
            let mut copies = 0;
            while subscriber.expect_publish().await.payload.as_ref() == b"x" {
                copies += 1;
            }
            assert!((1..=2).contains(&copies), "{copies} copies");
        }
        node.stop_after_restarts(1).await;
    });
}
