//! CONNACK (chapter 3.2) of a CONNECT that is accepted.

use mqtt_codec::{Packet, QoS, ReasonCode};

use super::bytes::{V5, connect_packet, string};
use crate::harness::{durable, identifier, on_nodes, options, publish, settings, subscribe_packet};

const KEPT: &[u8] = b"\x11\x00\x00\x0e\x10";

/// [MQTT-3.1.4-5] [MQTT-3.2.2-1] [MQTT-3.2.2-2] [MQTT-3.2.2-3] The flags are 0 or 1, and the reason code is 0x00,
/// whether there was a session or not, and whether it goes on or not.
#[test]
fn flags_and_reason_code() {
    on_nodes(settings(), async |node| {
        for (clean_start, session_present) in
            [(0, 0), (0, 1), (0, 1), (0x02, 0), (0, 1), (0x02, 0), (0x02, 0)]
        {
            let mut client = node.open(V5).await;
            client.send_bytes(&connect_packet(clean_start, KEPT, &string("same"))).await;
            let answer = client.next_frame_or_end().await.expect("a CONNACK");
            assert_eq!((answer[0], usize::from(answer[1])), (0x20, answer.len() - 2));
            assert_eq!(&answer[2..4], [session_present, 0], "{answer:02x?}");
            client.disconnect().await;
        }
    });
}

/// [MQTT-3.1.4-5] [MQTT-3.2.2-1] [MQTT-2.2.2-1] All of its bytes, by default: receive maximum, maximum packet size and
/// topic alias maximum, and what the node gives that the client did not ask for.
#[test]
fn byte_for_byte() {
    const LIMITS: &[u8] = b"\x21\x04\x00\x27\x01\x00\x00\x00";
    const ALIASES: &[u8] = b"\x22\x00\x40";
    let mut bounded = settings();
    bounded.mqtt.session_expiry_interval_max_seconds = 60;
    bounded.mqtt.server_keep_alive_seconds = 30;
    on_nodes(bounded, async |node| {
        for (list, keep_alive, before, behind) in [
            (&b"\x11\x00\x00\x00\x3c"[..], 30, &b""[..], &b""[..]),
            (b"", 10, b"", b""),
            (b"", 0, b"", b"\x13\x00\x1e"),
            (b"\x11\x00\x00\x00\x3d", 31, b"\x11\x00\x00\x00\x3c", b"\x13\x00\x1e"),
            (b"\x11\xff\xff\xff\xff", 30, b"\x11\x00\x00\x00\x3c", b""),
        ] {
            let mut connect = connect_packet(0x02, list, &string("told"));
            connect[11] = keep_alive;
            let mut client = node.open(V5).await;
            client.send_bytes(&connect).await;
            let list = [before, LIMITS, ALIASES, behind].concat();
            let expected = [&[0x20, list.len() as u8 + 3, 0, 0, list.len() as u8][..], &list].concat();
            client.expect_bytes(&expected).await;
            client.disconnect().await;
        }
    });
}

/// [MQTT-3.2.0-1] [MQTT-3.2.0-2] CONNACK comes first and once, though messages wait for the session, retained ones are
/// asked for and packets stand right behind CONNECT.
#[test]
fn comes_first_and_once() {
    on_nodes(settings(), async |node| {
        let (mut client, _) = node.connect_with(durable(V5, "busy")).await;
        client.subscribe("t", QoS::ExactlyOnce).await;
        client.disconnect().await;
        let mut publisher = node.connect(V5, "publisher").await;
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            publisher.publish("t", qos, "waits").await;
        }
        let mut retained = publish("r", QoS::AtLeastOnce, "kept");
        retained.retain = true;
        publisher.publish_packet(retained).await;
        for _ in 0..10 {
            let mut client = node.open(V5).await;
            client
                .send_all(&[
                    Packet::Connect(Box::new(durable(V5, "busy"))),
                    Packet::PingReq,
                    Packet::Subscribe(subscribe_packet(identifier(1), &[("r", options(QoS::AtMostOnce))])),
                    Packet::Publish(publish("t", QoS::AtMostOnce, "mine")),
                ])
                .await;
            let first = client.next_frame_or_end().await.expect("a CONNACK");
            assert_eq!(first[0], 0x20, "{first:02x?}");
            // PINGRESP, SUBACK, two that waited, one retained and the own.
            for _ in 0..6 {
                let frame = client.next_frame_or_end().await.expect("more");
                assert_ne!(frame[0], 0x20, "{frame:02x?}");
            }
            client.expect_nothing().await;
            client.vanish().await;
        }
    });
}

/// [MQTT-3.1.2-28] Response information only to those who ask, not to those who say 0 or nothing.
#[test]
fn response_information() {
    let mut settings = settings();
    settings.mqtt.response_information = "answers/".to_owned();
    on_nodes(settings, async |node| {
        const RESPONSE_INFORMATION: &[u8] = b"\x1a\x00\x08answers/";
        for (list, told) in [(&b""[..], false), (b"\x19\x00", false), (b"\x19\x01", true)] {
            let mut client = node.open(V5).await;
            client.send_bytes(&connect_packet(0x02, list, &string("asks"))).await;
            let answer = client.next_frame_or_end().await.expect("a CONNACK");
            let is_told = answer.windows(RESPONSE_INFORMATION.len()).any(|part| part == RESPONSE_INFORMATION);
            assert_eq!(is_told, told, "{answer:02x?}");
            client.disconnect().await;
        }
    });
}

/// [MQTT-4.12.0-6] No authentication method in CONNECT, and none in CONNACK, user name and password or not.
#[test]
fn no_authentication_method() {
    on_nodes(settings(), async |node| {
        let mut plain = node.connect_with(durable(V5, "plain")).await.1;
        assert_eq!(plain.properties.authentication_method.take(), None);
        let mut named = durable(V5, "named");
        named.user_name = Some("user".to_owned());
        named.password = Some(b"secret".to_vec().into());
        let answer = node.connect_with(named).await.1;
        assert_eq!(answer.reason_code, ReasonCode::Success);
        assert_eq!(answer.properties.authentication_method, None);
        assert_eq!(answer.properties.authentication_data, None);
    });
}
