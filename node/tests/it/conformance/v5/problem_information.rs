//! Reason strings and user properties (chapters 2.2.2, 3.1.2.11.7): where the node says more than it must, and to whom.

use std::num::NonZeroU32;

use mqtt_codec::{Connect, ReasonCode};

use super::bytes::{V5, packet, properties, string};
use crate::harness::{Client, TestNode, connect, on_nodes, settings};

/// A node that refuses shared subscriptions, and says so.
fn on_strict_nodes(test: impl AsyncFn(&TestNode) + Sync) {
    let mut strict = settings();
    strict.mqtt.shared_subscription_available = false;
    on_nodes(strict, test);
}

fn limited(maximum_packet_size: u32) -> Connect {
    let mut connect = connect(V5, "limited");
    connect.properties.maximum_packet_size = NonZeroU32::new(maximum_packet_size);
    connect
}

/// The next packet, which is no larger than the client takes.
async fn frame(client: &mut Client, maximum: u32) -> Vec<u8> {
    let frame = client.next_frame_or_end().await.expect("a packet");
    assert!(frame.len() <= maximum as usize, "{} bytes to {maximum}: {frame:02x?}", frame.len());
    frame
}

/// Sizes from what the CONNACK takes, over those that cut off a reason string, to those that do not.
const SIZES: std::ops::Range<u32> = 18..120;

/// [MQTT-3.9.2-1] [MQTT-3.9.2-2] A SUBACK says why something was refused, unless it would become too large for the
/// client; it has no user properties.
#[test]
fn of_suback() {
    on_strict_nodes(async |node| {
        let mut explained = Vec::new();
        for maximum in SIZES {
            let (mut client, _) = node.connect_with(limited(maximum)).await;
            client.send_bytes(b"\x82\x0e\x00\x01\x00\x00\x08$share/a\x00").await;
            client.expect_disconnect(ReasonCode::TopicFilterInvalid).await;
            let (mut client, _) = node.connect_with(limited(maximum)).await;
            let filter = string("$share/g/a");
            client.send_bytes(&packet(0x82, &[&b"\x00\x01\x00"[..], &filter, b"\x00"].concat())).await;
            let answer = frame(&mut client, maximum).await;
            assert_eq!((answer[0], answer.last()), (0x90, Some(&0x9e)));
            if answer[4] == 0 {
                assert_eq!(answer, b"\x90\x04\x00\x01\x00\x9e");
            } else {
                let length = usize::from(u16::from_be_bytes([answer[6], answer[7]]));
                assert_eq!((answer[5], usize::from(answer[4])), (0x1f, 3 + length), "{answer:02x?}");
                explained.push((maximum as usize, answer.len()));
            }
            client.disconnect().await;
        }
        let (smallest, bytes) = explained[0];
        assert_eq!(smallest, bytes, "explained as soon as there is room");
        assert_eq!(explained.len(), (SIZES.end as usize) - smallest, "and from then on");
    });
}

/// [MQTT-3.14.2-3] [MQTT-3.14.2-4] The same of DISCONNECT.
#[test]
fn of_disconnect() {
    on_strict_nodes(async |node| {
        let mut explained = Vec::new();
        for maximum in SIZES {
            let (mut client, _) = node.connect_with(limited(maximum)).await;
            client.send_bytes(b"\x82\x03\x00\x01\x00").await;
            let told = frame(&mut client, maximum).await;
            client.expect_closed().await;
            assert_eq!((told[0], told[2]), (0xe0, 0x82));
            if told[3] == 0 {
                assert_eq!(told.len(), 4);
            } else {
                let length = usize::from(u16::from_be_bytes([told[5], told[6]]));
                assert_eq!((told[4], usize::from(told[3])), (0x1f, 3 + length), "{told:02x?}");
                explained.push((maximum as usize, told.len()));
            }
        }
        let (smallest, bytes) = explained[0];
        assert_eq!(smallest, bytes, "explained as soon as there is room");
        assert_eq!(explained.len(), (SIZES.end as usize) - smallest, "and from then on");
    });
}

/// [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2]
/// [MQTT-3.7.2-3] [MQTT-3.11.2-1] [MQTT-3.11.2-2] The other acknowledgements have neither, whatever they tell, so that
/// they fit the client that takes least.
#[test]
fn of_other_acknowledgements() {
    on_strict_nodes(async |node| {
        for maximum in [18, 1000, 0] {
            let (mut client, _) = node.connect_with(limited(maximum)).await;
            let list = properties(&[&b"\x1f"[..], &string("why")].concat());
            for (bytes, answer) in [
                (packet(0x32, b"\x00\x01t\x00\x01\x00x"), &b"\x40\x03\x00\x01\x10"[..]),
                (packet(0x34, b"\x00\x01t\x00\x01\x00x"), b"\x50\x03\x00\x01\x10"),
                (packet(0x62, b"\x00\x01"), b"\x70\x02\x00\x01"),
                (packet(0x62, &[&b"\x00\x01\x92"[..], &list].concat()), b"\x70\x03\x00\x01\x92"),
                (packet(0x50, &[&b"\x00\x02\x00"[..], &list].concat()), b"\x62\x03\x00\x02\x92"),
                (packet(0x32, b"\x00\x06$SYS/x\x00\x01\x00x"), b"\x40\x03\x00\x01\x87"),
                (packet(0x34, b"\x00\x06$SYS/x\x00\x01\x00x"), b"\x50\x03\x00\x01\x87"),
                (packet(0xa2, b"\x00\x03\x00\x00\x01t"), b"\xb0\x04\x00\x03\x00\x11"),
                (packet(0xc0, b""), b"\xd0\x00"),
            ] {
                client.send_bytes(&bytes).await;
                client.expect_bytes(answer).await;
            }
            client.disconnect().await;
        }
    });
}

/// [MQTT-3.1.2-29] A client that asks for no problem information gets reason strings in CONNACK and DISCONNECT at most,
/// and user properties in a PUBLISH as ever.
#[test]
fn not_asked_for() {
    on_strict_nodes(async |node| {
        for (wanted, explained) in [(None, true), (Some(true), true), (Some(false), false)] {
            let mut asking = connect(V5, "asking");
            asking.properties.request_problem_information = wanted;
            let (mut client, _) = node.connect_with(asking).await;
            let filters = [&string("$share/g/a")[..], b"\x00", &string("t"), b"\x00"].concat();
            client.send_bytes(&packet(0x82, &[&b"\x00\x01\x00"[..], &filters].concat())).await;
            let answer = client.next_frame_or_end().await.expect("a SUBACK");
            assert_eq!(answer[4] > 0, explained, "{answer:02x?}");
            for (bytes, answer) in [
                (packet(0x34, b"\x00\x06$SYS/x\x00\x01\x00x"), &b"\x50\x03\x00\x01\x87"[..]),
                (packet(0x32, b"\x00\x06$SYS/x\x00\x01\x00x"), b"\x40\x03\x00\x01\x87"),
                (packet(0x62, b"\x00\x09"), b"\x70\x03\x00\x09\x92"),
                (packet(0x50, b"\x00\x09"), b"\x62\x03\x00\x09\x92"),
                (packet(0xa2, b"\x00\x03\x00\x00\x01u"), b"\xb0\x04\x00\x03\x00\x11"),
            ] {
                client.send_bytes(&bytes).await;
                client.expect_bytes(answer).await;
            }
            let publish = packet(0x30, b"\x00\x01t\x07\x26\x00\x01n\x00\x01vx");
            client.send_bytes(&publish).await;
            client.expect_bytes(&publish).await;
            client.disconnect().await;
        }
    });
}

/// [MQTT-3.1.2-24] An answer that the client does not take, bare as it may be, is not sent: the network connection ends
/// with 0x95, since the client would wait for it for ever. One byte less, and it is sent.
#[test]
fn answers_that_do_not_fit() {
    const MAXIMUM: usize = 100;
    on_strict_nodes(async |node| {
        for (fits, count) in [(true, MAXIMUM - 5), (false, MAXIMUM - 4)] {
            let (mut client, _) = node.connect_with(limited(MAXIMUM as u32)).await;
            let filters = b"\x00\x01t\x02".repeat(count);
            client.send_bytes(&packet(0x82, &[&b"\x00\x01\x00"[..], &filters].concat())).await;
            if fits {
                let answer = frame(&mut client, MAXIMUM as u32).await;
                assert_eq!((answer[0], answer.len()), (0x90, MAXIMUM));
            } else {
                client.expect_disconnect(ReasonCode::PacketTooLarge).await;
            }
            let (mut client, _) = node.connect_with(limited(MAXIMUM as u32)).await;
            let filters = b"\x00\x01t".repeat(count);
            client.send_bytes(&packet(0xa2, &[&b"\x00\x01\x00"[..], &filters].concat())).await;
            if fits {
                let answer = frame(&mut client, MAXIMUM as u32).await;
                assert_eq!((answer[0], answer.len()), (0xb0, MAXIMUM));
                client.disconnect().await;
            } else {
                client.expect_disconnect(ReasonCode::PacketTooLarge).await;
            }
        }
    });
}
