//! DISCONNECT (chapter 3.14), from either end.

use mqtt_codec::{Packet, QoS, ReasonCode};

use super::bytes::{
    Kind, MALFORMED, PROTOCOL_ERROR, V5, accepts_kind, connect_packet, connected, packet, properties,
    refuses, string, user_property,
};
use crate::harness::{Client, connect, durable, on_nodes, publish, settings, will};

/// What a client may say.
const OF_A_CLIENT: [u8; 14] =
    [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];

/// What a server may say.
const OF_A_SERVER: [u8; 28] = [
    0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97,
    0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
];

/// The DISCONNECT of the node, and that nothing follows it.
async fn told(client: &mut Client) -> Vec<u8> {
    let frame = loop {
        let frame = client.next_frame_or_end().await.expect("a DISCONNECT");
        if frame[0] == 0xe0 {
            break frame;
        }
    };
    client.expect_closed().await;
    frame
}

/// [MQTT-3.14.2-1] [MQTT-3.14.2-2] [MQTT-3.14.4-1] [MQTT-3.14.4-2] [MQTT-4.13.1-1] [MQTT-4.13.2-1] What the node says
/// as it ends a network connection: a reason code of DISCONNECT, at most a reason string, never a session expiry
/// interval. It is the last packet, even with publishes, subscriptions and pings behind the cause; these are not
/// processed, and the node closes.
#[test]
fn of_the_node() {
    let mut strict = settings();
    strict.mqtt.maximum_qos = 1;
    strict.mqtt.retain_available = false;
    strict.mqtt.receive_maximum = 2;
    strict.mqtt.check_payload_format = true;
    strict.mqtt.user_properties_max = 3;
    strict.mqtt.maximum_packet_size_bytes = 1000;
    strict.mqtt.subscription_identifiers_available = false;
    on_nodes(strict, async |node| {
        let mut other = node.connect(V5, "other").await;
        other.subscribe("#", QoS::AtMostOnce).await;
        let causes = [
            (MALFORMED, packet(0xc1, b"")),
            (PROTOCOL_ERROR, connect_packet(0x02, b"", &string("raw"))),
            (PROTOCOL_ERROR, packet(0x82, b"\x00\x01\x00")),
            (0x8f, packet(0xa2, b"\x00\x01\x00\x00\x02a#")),
            (0x90, packet(0x30, b"\x00\x01#\x00")),
            (0x94, packet(0x30, b"\x00\x01t\x03\x23\xff\xff")),
            (0x95, packet(0x30, &[0; 1000])),
            (0x97, Kind::Publish.with(&user_property("n", "v").repeat(4))),
            (0x99, packet(0x30, b"\x00\x01t\x02\x01\x01\xff")),
            (0x9a, packet(0x31, b"\x00\x01t\x00x")),
            (0x9b, packet(0x34, b"\x00\x01t\x00\x01\x00x")),
            (0xa1, Kind::Subscribe.with(b"\x0b\x01")),
        ];
        for (reason, cause) in causes {
            let mut client = connected(node).await;
            client.subscribe("t", QoS::AtMostOnce).await;
            let behind = [
                client.encoded(&Packet::Publish(publish("t", QoS::AtMostOnce, "behind"))),
                client.encoded(&Packet::Publish(publish("t", QoS::AtLeastOnce, "behind"))),
                packet(0x82, b"\x00\x07\x00\x00\x01b\x00"),
                packet(0xc0, b""),
            ];
            client.send_bytes(&[cause.clone(), behind.concat()].concat()).await;
            let frame = client.next_frame_or_end().await.expect("a DISCONNECT");
            assert_eq!((frame[0], frame[2]), (0xe0, reason), "{frame:02x?} after {cause:02x?}");
            client.expect_closed().await;
            assert!(OF_A_SERVER.contains(&reason));
            judge_properties(&frame);
        }
        other.expect_nothing().await;
        // By another client, and by one that is gone.
        let mut first = connected(node).await;
        let second = connected(node).await;
        let frame = told(&mut first).await;
        assert_eq!(frame[2], 0x8e);
        judge_properties(&frame);
        second.disconnect().await;
    });
}

/// At most a reason string.
fn judge_properties(frame: &[u8]) {
    assert_eq!(usize::from(frame[1]), frame.len() - 2);
    assert_eq!(usize::from(frame[3]), frame.len() - 4, "the property length: {frame:02x?}");
    if frame[3] > 0 {
        let length = usize::from(u16::from_be_bytes([frame[5], frame[6]]));
        assert_eq!((frame[4], length), (0x1f, frame.len() - 7), "a reason string alone: {frame:02x?}");
    }
}

/// [MQTT-3.14.2-1] Every byte in place of the reason code of a client: those that it may not use are errors.
#[test]
fn reason_codes_of_the_client() {
    on_nodes(settings(), async |node| {
        for reason in 0..=255 {
            for bytes in [packet(0xe0, &[reason]), packet(0xe0, &[reason, 0])] {
                if OF_A_CLIENT.contains(&reason) {
                    accepts_kind(node, Kind::Disconnect, &bytes).await;
                } else {
                    refuses(node, &bytes, PROTOCOL_ERROR).await;
                }
            }
        }
    });
}

/// [MQTT-3.14.4-3] [MQTT-3.1.2-8] [MQTT-3.1.2-10] Which reason codes remove the will: 0x00, said or left out, alone.
#[test]
fn removes_the_will() {
    on_nodes(settings(), async |node| {
        let mut heir = node.connect(V5, "heir").await;
        heir.subscribe("will", QoS::AtLeastOnce).await;
        let mortal = || {
            let mut mortal = connect(V5, "mortal");
            mortal.will = Some(will("will", QoS::AtLeastOnce, "gone"));
            mortal
        };
        for bytes in [packet(0xe0, b""), packet(0xe0, b"\x00"), packet(0xe0, b"\x00\x00")] {
            let (mut client, _) = node.connect_with(mortal()).await;
            client.send_bytes(&bytes).await;
            client.expect_closed().await;
            heir.expect_nothing().await;
        }
        for reason in OF_A_CLIENT.into_iter().filter(|reason| *reason != 0) {
            let (mut client, _) = node.connect_with(mortal()).await;
            client.send_bytes(&packet(0xe0, &[reason])).await;
            client.expect_closed().await;
            heir.take_payload("gone").await;
            heir.expect_nothing().await;
        }
    });
}

/// Whatever stands behind the DISCONNECT of a client is not looked at: not packets, and not what is none. The node
/// closes without a word, and the will that was removed stays so. [MQTT-3.14.4-3]
#[test]
fn nothing_behind_it_is_processed() {
    on_nodes(settings(), async |node| {
        let mut heir = node.connect(V5, "heir").await;
        heir.subscribe("#", QoS::AtLeastOnce).await;
        for behind in [
            packet(0x30, b"\x00\x01t\x00x"),
            packet(0x31, b"\x00\x01t\x00x"),
            packet(0x32, b"\x00\x01t\x00\x01\x00x"),
            packet(0x34, b"\x00\x01t\x00\x01\x00x"),
            packet(0x82, b"\x00\x01\x00\x00\x01t\x00"),
            packet(0xa2, b"\x00\x01\x00\x00\x01t"),
            packet(0x62, b"\x00\x01"),
            packet(0xc0, b""),
            packet(0xe0, b"\x04"),
            packet(0xe0, &[&b"\x00"[..], &properties(b"\x11\x00\x00\x00\x64")].concat()),
            connect_packet(0x02, b"", &string("mortal")),
            connect_packet(0x02, b"", &string("other")),
            b"\x00\x00".to_vec(),
            b"\x30\xff\xff\xff\xff\x7f".to_vec(),
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            vec![0xff; 100_000],
        ] {
            let mut mortal = connect(V5, "mortal");
            mortal.will = Some(will("will", QoS::AtLeastOnce, "gone"));
            let (mut client, _) = node.connect_with(mortal).await;
            client.send_bytes(&[packet(0xe0, b""), behind].concat()).await;
            client.expect_closed().await;
        }
        heir.expect_nothing().await;
        node.until_online(1).await;
        node.until("1 session", |seen| seen.sessions.sessions == 1).await;
        let mut late = node.connect(V5, "late").await;
        late.subscribe("t", QoS::AtMostOnce).await;
        late.expect_nothing().await;
    });
}

/// [MQTT-3.1.2-23] [MQTT-4.1.0-2] A session expiry interval in DISCONNECT counts from then on; after 0 in CONNECT it is
/// an error, and there is no session to keep.
#[test]
fn session_expiry_interval() {
    on_nodes(settings(), async |node| {
        let (mut client, _) = node.connect_with(durable(V5, "changes")).await;
        client.send_bytes(&packet(0xe0, b"\x00\x05\x11\x00\x00\x00\x00")).await;
        client.expect_closed().await;
        node.settle().await;
        let (mut client, answer) = node.connect_with(durable(V5, "changes")).await;
        assert!(!answer.session_present);
        client.send_bytes(&packet(0xe0, b"\x00\x05\x11\x00\x00\x0e\x10")).await;
        client.expect_closed().await;
        node.resume(durable(V5, "changes")).await.disconnect().await;
        refuses(node, &packet(0xe0, b"\x00\x05\x11\x00\x00\x00\x01"), PROTOCOL_ERROR).await;
        let (client, answer) = node.connect_with(durable(V5, "raw")).await;
        assert_eq!((answer.session_present, answer.reason_code), (false, ReasonCode::Success));
        client.disconnect().await;
    });
}
