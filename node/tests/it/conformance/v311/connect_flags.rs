//! The connect flags and the payload that they announce. Each CONNECT that is refused stands beside one that differs in
//! what is tested alone, and is accepted.

use super::{
    ACCEPTED, CLEAN, PASSWORD, USER_NAME, WILL, WILL_QOS_1, WILL_QOS_2, WILL_RETAIN, connect,
    expect_closed_by, join_with, open, packet,
};
use crate::harness::{TestNode, on_nodes, settings};

async fn accepted(node: &TestNode, flags: u8, fields: &[&[u8]]) {
    join_with(node, &connect(flags, fields), ACCEPTED).await.disconnect().await;
}

/// Not even a CONNACK.
async fn refused(node: &TestNode, flags: u8, fields: &[&[u8]]) {
    expect_closed_by(open(node).await, &connect(flags, fields)).await;
}

/// [MQTT311-3.1.2-3] [MQTT311-3.1.4-1] The reserved flag.
#[test]
fn reserved_flag() {
    on_nodes(settings(), async |node| {
        accepted(node, CLEAN, &[b"x"]).await;
        refused(node, CLEAN | 1, &[b"x"]).await;
        refused(node, 1, &[b"x"]).await;
        refused(node, CLEAN | 1 | WILL, &[b"x", b"t", b"m"]).await;
    });
}

/// [MQTT311-3.1.2-9] [MQTT311-3.1.2-14] With a will: topic and message have to be there, and its QoS is not 3.
#[test]
fn will_flag_set() {
    on_nodes(settings(), async |node| {
        for qos in [0, WILL_QOS_1, WILL_QOS_2] {
            for retain in [0, WILL_RETAIN] {
                accepted(node, CLEAN | WILL | qos | retain, &[b"x", b"t", b"m"]).await;
                refused(node, CLEAN | WILL | qos | retain, &[b"x", b"t"]).await;
                refused(node, CLEAN | WILL | qos | retain, &[b"x"]).await;
            }
        }
        // A will message may be empty, its topic may not.
        accepted(node, CLEAN | WILL, &[b"x", b"t", b""]).await;
        refused(node, CLEAN | WILL, &[b"x", b"", b"m"]).await;
        refused(node, CLEAN | WILL | WILL_QOS_1 | WILL_QOS_2, &[b"x", b"t", b"m"]).await;
        refused(node, CLEAN | WILL | WILL_QOS_1 | WILL_QOS_2 | WILL_RETAIN, &[b"x", b"t", b"m"]).await;
    });
}

/// [MQTT311-3.1.2-11] [MQTT311-3.1.2-13] [MQTT311-3.1.2-15] Without a will: no QoS, no RETAIN, nothing in the payload.
#[test]
fn will_flag_not_set() {
    on_nodes(settings(), async |node| {
        accepted(node, CLEAN, &[b"x"]).await;
        for flags in [WILL_QOS_1, WILL_QOS_2, WILL_QOS_1 | WILL_QOS_2, WILL_RETAIN, WILL_QOS_1 | WILL_RETAIN]
        {
            refused(node, CLEAN | flags, &[b"x"]).await;
        }
        refused(node, CLEAN, &[b"x", b"t", b"m"]).await;
    });
}

/// [MQTT311-3.1.2-18] [MQTT311-3.1.2-19] The user name is there if its flag says so, and only then.
#[test]
fn user_name_flag() {
    on_nodes(settings(), async |node| {
        accepted(node, CLEAN | USER_NAME, &[b"x", b"ann"]).await;
        accepted(node, CLEAN | USER_NAME, &[b"x", b""]).await;
        refused(node, CLEAN, &[b"x", b"ann"]).await;
        refused(node, CLEAN | USER_NAME, &[b"x"]).await;
    });
}

/// [MQTT311-3.1.2-20] [MQTT311-3.1.2-21] The password is there if its flag says so, and only then.
#[test]
fn password_flag() {
    on_nodes(settings(), async |node| {
        accepted(node, CLEAN | USER_NAME | PASSWORD, &[b"x", b"ann", b"secret"]).await;
        accepted(node, CLEAN | USER_NAME | PASSWORD, &[b"x", b"ann", b""]).await;
        // A password is any bytes.
        accepted(node, CLEAN | USER_NAME | PASSWORD, &[b"x", b"ann", b"\x00\xff\xc0"]).await;
        refused(node, CLEAN | USER_NAME, &[b"x", b"ann", b"secret"]).await;
        refused(node, CLEAN | USER_NAME | PASSWORD, &[b"x", b"ann"]).await;
    });
}

/// [MQTT311-3.1.2-22] A password needs a user name.
#[test]
fn password_without_user_name() {
    on_nodes(settings(), async |node| {
        refused(node, CLEAN | PASSWORD, &[b"x", b"secret"]).await;
        refused(node, CLEAN | PASSWORD, &[b"x", b"ann", b"secret"]).await;
        accepted(node, CLEAN | USER_NAME | PASSWORD, &[b"x", b"ann", b"secret"]).await;
    });
}

/// [MQTT311-3.1.3-1] [MQTT311-3.1.3-3] Client identifier, will topic, will message, user name, password: the only order
/// in which these fields make sense, shown by fields that fit one place alone.
#[test]
fn order_of_the_payload() {
    on_nodes(settings(), async |node| {
        let all = CLEAN | WILL | USER_NAME | PASSWORD;
        let (identifier, topic, message, user, password) =
            (&b"name+of/x"[..], &b"topic"[..], &b"\xff\x01"[..], &b"user#"[..], &b"\xfe"[..]);
        accepted(node, all, &[identifier, topic, message, user, password]).await;
        // A client identifier may hold wildcards, a will topic may not; message and password need not be text.
        for wrong in [
            [topic, identifier, message, user, password],
            [message, topic, identifier, user, password],
            [identifier, topic, user, message, password],
            [user, topic, identifier, password, message],
            [identifier, topic, user, password, message],
        ] {
            refused(node, all, &wrong).await;
        }
        // Nothing at all, not even an empty client identifier.
        refused(node, CLEAN, &[]).await;
        accepted(node, CLEAN, &[b""]).await;
    });
}

/// [MQTT311-3.1.4-1] A CONNECT that ends too early or too late, or has wrong bits in its fixed header, is closed without
/// a CONNACK.
#[test]
fn connects_of_the_wrong_form() {
    on_nodes(settings(), async |node| {
        let body = b"\x00\x04MQTT\x04\x02\x00\x3c\x00\x03abc";
        let _right = join_with(node, &packet(0x10, body), ACCEPTED).await;
        for length in 0..body.len() {
            expect_closed_by(open(node).await, &packet(0x10, &body[..length])).await;
        }
        expect_closed_by(open(node).await, &packet(0x10, &[&body[..], b"\x00"].concat())).await;
        for flags in 1..16 {
            expect_closed_by(open(node).await, &packet(0x10 | flags, body)).await;
        }
        node.until("1 session", |seen| seen.sessions.sessions == 1).await;
    });
}
