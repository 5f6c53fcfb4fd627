//! Enhanced authentication (chapters 3.15, 4.12), byte by byte where it matters.

use std::num::NonZeroU32;

use mqtt_codec::QoS::AtLeastOnce;
use mqtt_codec::{Packet, ReasonCode};

use super::bytes::{MALFORMED, PROTOCOL_ERROR, V5, packet, properties, reason_of_end, string, user_property};
use crate::auth::{Guarded, PASSWORD, auth, auth_data, on_guarded_nodes, scram_connect};
use crate::harness::Client;
use crate::scram_client::ScramClient;

const METHOD: &str = "SCRAM-SHA-256";

/// A client that sent its CONNECT and was asked for more; and what it would answer.
async fn asked(guarded: &Guarded) -> (Client, Vec<u8>) {
    let scram = ScramClient::new(METHOD, "ann", PASSWORD);
    let mut client = guarded.node.open(V5).await;
    client.send(Packet::Connect(Box::new(scram_connect(METHOD, scram.first())))).await;
    let challenge = auth_data(&mut client, ReasonCode::ContinueAuthentication, METHOD).await;
    (client, scram.last(&challenge).0)
}

/// A client that authenticated itself so.
async fn authenticated(guarded: &Guarded) -> Client {
    let (mut client, last) = asked(guarded).await;
    client.send(auth(ReasonCode::ContinueAuthentication, METHOD, last)).await;
    assert_eq!(client.expect_connack().await.reason_code, ReasonCode::Success);
    client
}

fn method(name: &str) -> Vec<u8> {
    [&b"\x15"[..], &string(name)].concat()
}

/// [MQTT-3.15.2-1] [MQTT-4.12.0-2] [MQTT-4.12.0-5] AUTH of the node: 0x18 while it needs more, 0x00 when a
/// re-authentication is done, with the authentication method of CONNECT. A CONNACK that accepts has it too.
#[test]
fn of_the_node() {
    on_guarded_nodes(async |guarded| {
        let scram = ScramClient::new(METHOD, "ann", PASSWORD);
        let mut client = guarded.node.open(V5).await;
        client.send(Packet::Connect(Box::new(scram_connect(METHOD, scram.first())))).await;
        let frame = client.next_frame_or_end().await.expect("an AUTH");
        let method = method(METHOD);
        assert_eq!((frame[0], frame[2]), (0xf0, 0x18), "{frame:02x?}");
        assert_eq!(frame[4..4 + method.len()], method);
        let challenge = &frame[4 + method.len() + 3..];
        client.send(auth(ReasonCode::ContinueAuthentication, METHOD, scram.last(challenge).0)).await;
        let frame = client.next_frame_or_end().await.expect("a CONNACK");
        assert_eq!((frame[0], frame[3]), (0x20, 0));
        assert!(frame.windows(method.len()).any(|part| part == method), "{frame:02x?}");

        client.send(auth(ReasonCode::ReAuthenticate, METHOD, scram.first())).await;
        let frame = client.next_frame_or_end().await.expect("an AUTH");
        assert_eq!((frame[0], frame[2]), (0xf0, 0x18));
        assert_eq!(frame[4..4 + method.len()], method);
        let challenge = &frame[4 + method.len() + 3..];
        client.send(auth(ReasonCode::ContinueAuthentication, METHOD, scram.last(challenge).0)).await;
        let frame = client.next_frame_or_end().await.expect("an AUTH");
        assert_eq!((frame[0], frame[2]), (0xf0, 0x00));
        assert_eq!(frame[4..4 + method.len()], method);
    });
}

/// [MQTT-4.12.0-3] [MQTT-4.12.0-4] [MQTT-4.12.0-5] What answers the node before the CONNACK is an AUTH with 0x18 and
/// the authentication method of CONNECT; anything else is refused, in CONNACK.
#[test]
fn wrong_answers_before_connack() {
    on_guarded_nodes(async |guarded| {
        let wrong = [
            (PROTOCOL_ERROR, packet(0xf0, &[&b"\x19"[..], &properties(&method(METHOD))].concat())),
            (PROTOCOL_ERROR, packet(0xf0, &[&b"\x00"[..], &properties(&method(METHOD))].concat())),
            (PROTOCOL_ERROR, packet(0xf0, &[&b"\x80"[..], &properties(&method(METHOD))].concat())),
            (PROTOCOL_ERROR, packet(0xf0, &[&b"\x18"[..], &properties(&method("SCRAM-SHA-512"))].concat())),
            (PROTOCOL_ERROR, packet(0xf0, &[&b"\x18"[..], &properties(&method(""))].concat())),
            (PROTOCOL_ERROR, packet(0xf0, b"\x18\x00")),
            (PROTOCOL_ERROR, packet(0xf0, b"")),
            (MALFORMED, packet(0xf1, &[&b"\x18"[..], &properties(&method(METHOD))].concat())),
            (PROTOCOL_ERROR, packet(0x30, b"\x00\x01t\x00")),
            (PROTOCOL_ERROR, packet(0x82, b"\x00\x01\x00\x00\x01t\x00")),
            (PROTOCOL_ERROR, packet(0xc0, b"")),
        ];
        for (reason, bytes) in wrong {
            let (mut client, _) = asked(guarded).await;
            client.send_bytes(&bytes).await;
            client.expect_bytes(&[0x20, 3, 0, reason, 0]).await;
            client.expect_closed().await;
        }
        guarded.node.until("0 sessions", |seen| seen.sessions.sessions == 0).await;
    });
}

/// [MQTT-4.12.0-4] A proof that is wrong, cut, or of another exchange.
#[test]
fn wrong_proofs() {
    on_guarded_nodes(async |guarded| {
        let (_other, of_another) = asked(guarded).await;
        for last in [b"".to_vec(), b"c=biws".to_vec(), vec![0xff; 100], of_another] {
            let (mut client, _) = asked(guarded).await;
            client.send(auth(ReasonCode::ContinueAuthentication, METHOD, last)).await;
            let answer = client.expect_connack().await;
            assert!(answer.reason_code.is_error() && !answer.session_present, "{answer:?}");
            client.expect_closed().await;
        }
    });
}

/// [MQTT-3.1.4-6] A client that leaves while it is asked, or authenticates itself in vain, leaves nothing behind; nor
/// does what stands behind its AUTH.
#[test]
fn leaves_nothing_behind() {
    on_guarded_nodes(async |guarded| {
        let mut listener = guarded.connect(V5, "listener", "ann").await;
        listener.subscribe("of/ann/x", AtLeastOnce).await;
        let publish = packet(0x32, &[&string("of/ann/x")[..], b"\x00\x01\x00x"].concat());
        let (mut client, _) = asked(guarded).await;
        let wrong = client.encoded(&auth(ReasonCode::ContinueAuthentication, METHOD, b"wrong".to_vec()));
        client.send_bytes(&[wrong, publish].concat()).await;
        assert!(client.expect_connack().await.reason_code.is_error());
        client.expect_closed().await;
        // DISCONNECT is allowed at this point, and so is silence.
        let (mut client, _) = asked(guarded).await;
        client.send_bytes(b"\xe0\x00").await;
        client.expect_closed().await;
        let (client, _) = asked(guarded).await;
        drop(client);
        listener.expect_nothing().await;
        guarded.node.until("1 session", |seen| seen.sessions.sessions == 1).await;
    });
}

/// [MQTT-4.12.0-6] [MQTT-4.12.0-7] Without an authentication method in CONNECT the node sends no AUTH, and takes none.
#[test]
fn not_without_a_method() {
    on_guarded_nodes(async |guarded| {
        for reason in [0x18, 0x19] {
            let mut client = guarded.connect(V5, "plain", "ann").await;
            let list = properties(&[&method(METHOD)[..], b"\x16\x00\x01d"].concat());
            client.send_bytes(&packet(0xf0, &[&[reason][..], &list].concat())).await;
            assert_eq!(reason_of_end(&mut client, "AUTH").await, PROTOCOL_ERROR);
        }
    });
}

/// [MQTT-4.12.1-2] [MQTT-3.15.2-1] [MQTT-4.12.0-5] A re-authentication that goes wrong ends the network connection:
/// another method, no method, a reason code that a client does not use, two beginnings at once, an answer to no
/// question.
#[test]
fn wrong_reauthentications() {
    on_guarded_nodes(async |guarded| {
        let with = |reason: u8, list: &[u8]| packet(0xf0, &[&[reason][..], &properties(list)].concat());
        let right = method(METHOD);
        let mut wrong = vec![
            with(0x19, b""),
            with(0x19, &method("SCRAM-SHA-512")),
            with(0x19, &method("scram-sha-256")),
            with(0x18, &right),
        ];
        let others = [0x00, 0x01, 0x04, 0x10, 0x17, 0x1a, 0x80, 0x82, 0x87, 0x8c, 0xff];
        wrong.extend(others.map(|reason| with(reason, &right)));
        for bytes in wrong {
            let mut client = authenticated(guarded).await;
            client.send_bytes(&bytes).await;
            let told = reason_of_end(&mut client, &format!("{bytes:02x?}")).await;
            assert!([PROTOCOL_ERROR, 0x87].contains(&told), "0x{told:02x} after {bytes:02x?}");
        }
        let mut client = authenticated(guarded).await;
        let scram = ScramClient::new(METHOD, "ann", PASSWORD);
        let begins = client.encoded(&auth(ReasonCode::ReAuthenticate, METHOD, scram.first()));
        client.send_bytes(&[begins.clone(), begins].concat()).await;
        loop {
            let frame = client.next_frame_or_end().await.expect("a DISCONNECT");
            if frame[0] == 0xe0 {
                assert_eq!(frame[2], PROTOCOL_ERROR);
                break;
            }
        }
        client.expect_closed().await;
    });
}

/// [MQTT-3.15.2-2] [MQTT-3.15.2-3] [MQTT-3.1.2-24] AUTH of the node has neither a reason string nor user properties,
/// even for a client that sends both; one that is too large for the client is not sent.
#[test]
fn within_the_maximum_packet_size() {
    on_guarded_nodes(async |guarded| {
        let scram = ScramClient::new(METHOD, "ann", PASSWORD);
        let mut size = 0;
        for maximum in [u32::MAX, 1000, 0, 60, 5] {
            // The third takes exactly what the first was sent.
            let maximum = if maximum == 0 { size } else { maximum };
            let mut client = guarded.node.open(V5).await;
            let mut connect = scram_connect(METHOD, scram.first());
            connect.properties.maximum_packet_size = NonZeroU32::new(maximum);
            connect.properties.user_properties = crate::harness::user_properties(&[("a", "b")]);
            client.send(Packet::Connect(Box::new(connect))).await;
            let frame = client.next_frame_or_end().await.expect("an answer");
            assert!(frame.len() <= maximum as usize, "{} bytes to {maximum}", frame.len());
            if maximum < size {
                assert_eq!(frame, [0x20, 3, 0, 0x95, 0]);
                client.expect_closed().await;
                continue;
            }
            size = frame.len() as u32;
            let data = usize::from(u16::from_be_bytes([frame[21], frame[22]]));
            assert_eq!(
                frame.len(),
                4 + method(METHOD).len() + 3 + data,
                "method and data alone: {frame:02x?}"
            );
        }
        // A reason string and user properties of the client do no harm.
        let (mut client, last) = asked(guarded).await;
        let list = [
            &method(METHOD)[..],
            b"\x1f",
            &string("here you are"),
            &user_property("a", "b"),
            b"\x16",
            &string(last),
        ];
        client.send_bytes(&packet(0xf0, &[&b"\x18"[..], &properties(&list.concat())].concat())).await;
        assert_eq!(client.expect_connack().await.reason_code, ReasonCode::Success);
    });
}

/// [MQTT-4.12.0-1] Authentication methods that there are not, near misses included.
#[test]
fn unknown_methods() {
    const BAD_AUTHENTICATION_METHOD: ReasonCode = ReasonCode::BadAuthenticationMethod;
    on_guarded_nodes(async |guarded| {
        for name in ["", "PLAIN", "scram-sha-256", "SCRAM-SHA-1", "SCRAM-SHA-256 ", "SCRAM-SHA-256-PLUS"] {
            let mut client = guarded.node.open(V5).await;
            let answer = client.handshake(scram_connect(name, b"n,,n=ann,r=x".to_vec())).await;
            assert_eq!(answer.reason_code, BAD_AUTHENTICATION_METHOD, "{name:?}");
            client.expect_closed().await;
        }
        let mut client = guarded.connect(V5, "plain", "ann").await;
        client.send_bytes(b"\xf0\x00").await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
    });
}
