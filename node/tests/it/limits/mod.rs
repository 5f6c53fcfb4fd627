//! Each limit of the settings: what happens at it, and the counter that tells.

mod node;
mod packets;
mod queue;
mod refused;
mod retained;
mod session;

use micro_mq_actors::metrics::LedgerTotals;
use micro_mq_core::ledger::DropReason;
use mqtt_codec::ProtocolVersion::V5;
use mqtt_codec::{Connect, QoS, ReasonCode};

use crate::harness::{TestNode, durable};

fn dropped(ledger: &LedgerTotals, reason: DropReason) -> u64 {
    ledger.dropped.iter().find(|(other, _)| *other == reason).map_or(0, |(_, count)| *count)
}

/// A session that is offline and subscribed to `t`.
async fn offline_subscriber(node: &TestNode, qos: QoS) {
    let (mut subscriber, _) = node.connect_with(durable(V5, "subscriber")).await;
    subscriber.subscribe("t", qos).await;
    subscriber.vanish().await;
}

pub(crate) async fn refused(node: &TestNode, connect: Connect, reason: ReasonCode) {
    let mut client = node.open(connect.version).await;
    assert_eq!(client.handshake(connect).await.reason_code, reason);
    client.expect_closed().await;
}
