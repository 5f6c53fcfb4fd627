//! `[node]`: connections.

use mqtt_codec::ProtocolVersion::V5;

use crate::harness::{on_node, on_nodes, settings};

/// `connections_max`: one more is closed before its CONNECT; a place that becomes free can be taken.
#[test]
fn connections() {
    let mut limited = settings();
    limited.node.connections_max = 2;
    on_nodes(limited, async |node| {
        let first = node.connect(V5, "first").await;
        let _silent = node.open(V5).await;
        node.until("both are accepted", |seen| seen.connections == 2).await;
        node.open(V5).await.expect_closed().await;
        node.until_counters([("connections_full", 1)]).await;
        first.disconnect().await;
        node.until("a place is free", |seen| seen.connections == 1).await;
        node.connect(V5, "second").await.disconnect().await;
    });
}

/// `connect_timeout_ms`: a network connection without a complete CONNECT is closed, however slowly it goes on sending.
#[test]
fn connect_timeout() {
    let mut limited = settings();
    limited.node.connect_timeout_ms = 200;
    on_node(1, limited, async |node| {
        let mut silent = node.open(V5).await;
        let mut begun = node.open(V5).await;
        begun.send_bytes(b"\x10\x10\x00\x04MQTT").await;
        let mut connected = node.connect(V5, "connected").await;
        silent.expect_closed().await;
        begun.expect_closed().await;
        connected.ping().await;
        node.until_counters([("connect_timeouts", 2)]).await;
    });
}
