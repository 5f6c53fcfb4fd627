//! CONNACK: what it says, and when there is none.

use super::{
    ACCEPTED, CLEAN, PINGREQ, PINGRESP, RESUMED, WILL, WILL_QOS_2, WILL_RETAIN, connect, expect_closed_by,
    join_durable, join_with, open, publish, subscribe,
};
use crate::harness::{on_node, on_nodes, settings};

/// [MQTT311-3.2.0-1] [MQTT311-3.1.4-4] The first bytes to a client are those of the CONNACK, however much stands behind
/// its CONNECT and whatever waits for its session.
#[test]
fn comes_first() {
    on_nodes(settings(), async |node| {
        let behind = [subscribe(1, &[("t", 1)]), PINGREQ.to_vec()].concat();
        let bytes = [connect(0, &[b"hasty"]), behind].concat();
        let mut client = join_with(node, &bytes, ACCEPTED).await;
        client.expect_bytes_in_any_order(&[b"\x90\x03\x00\x01\x01", PINGRESP]).await;
        client.disconnect().await;
        let mut publisher = join_durable(node, "publisher", ACCEPTED).await;
        publisher.send_bytes(&publish(0x32, "t", Some(1), "waits")).await;
        publisher.expect_bytes(b"\x40\x02\x00\x01").await;
        let mut client = join_durable(node, "hasty", RESUMED).await;
        client.expect_bytes(&publish(0x32, "t", Some(1), "waits")).await;
    });
}

/// [MQTT311-3.2.2-1] [MQTT311-3.2.2-2] [MQTT311-3.2.2-3] [MQTT311-3.1.4-3] Session present is 1 for clean session 0 with
/// a session that was kept, and in no other case.
#[test]
fn session_present() {
    on_nodes(settings(), async |node| {
        let kept = connect(0, &[b"present"]);
        let clean = connect(CLEAN, &[b"present"]);
        for (bytes, answer) in [
            (&clean, ACCEPTED),
            (&kept, ACCEPTED),
            (&kept, RESUMED),
            (&kept, RESUMED),
            (&clean, ACCEPTED),
            (&clean, ACCEPTED),
            (&kept, ACCEPTED),
            (&kept, RESUMED),
        ] {
            join_with(node, bytes, answer).await.disconnect().await;
        }
        // The same by takeover.
        let mut connections = Vec::new();
        for (bytes, answer) in [(&kept, RESUMED), (&clean, ACCEPTED), (&kept, ACCEPTED), (&kept, RESUMED)] {
            connections.push(join_with(node, bytes, answer).await);
        }
    });
}

/// [MQTT311-3.2.2-4] [MQTT311-3.2.2-5] A refusal says session present 0, though there is a session, which stays; then
/// the network connection ends.
#[test]
fn refusals() {
    on_nodes(settings(), async |node| {
        join_durable(node, "kept", ACCEPTED).await.disconnect().await;
        // Nobody may publish to $SYS, not even by a will.
        let forbidden = connect(WILL, &[b"kept", b"$SYS/x", b"m"]);
        let mut client = join_with(node, &forbidden, b"\x20\x02\x00\x05").await;
        client.expect_closed().await;
        join_durable(node, "kept", RESUMED).await;
    });
}

/// [MQTT311-3.2.2-6] Where no return code says what is wrong, there is no CONNACK: a will of a QoS, with RETAIN, or with
/// more levels than the node admits.
#[test]
fn no_connack_where_no_return_code_fits() {
    let mut limited = settings();
    limited.mqtt.maximum_qos = 1;
    limited.mqtt.retain_available = false;
    limited.mqtt.topic_levels_max = 3;
    on_node(1, limited, async |node| {
        for (flags, topic) in [(WILL_QOS_2, &b"a/b/c"[..]), (WILL_RETAIN, b"a/b/c"), (0, b"a/b/c/d")] {
            let bytes = connect(CLEAN | WILL | flags, &[b"x", topic, b"m"]);
            expect_closed_by(open(node).await, &bytes).await;
        }
        join_with(node, &connect(CLEAN | WILL, &[b"x", b"a/b/c", b"m"]), ACCEPTED).await;
        node.until_counters([("connects_refused", 3)]).await;
    });
}
