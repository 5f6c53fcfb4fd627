//! Topic names and topic filters.

use mqtt_codec::{Packet, ProtocolVersion, QoS};

use super::means::{Held, clean, subscribe_to};
use crate::harness::{Program, bytes_of, publish, subscribe, until};

/// Subscribes to these, until the node refuses.
fn filters(program: &Program, held: &mut Held, in_packet: usize, name: impl Fn(usize) -> String) {
    let mut client = clean(program, "client");
    let mut number = 0;
    loop {
        let some: Vec<String> = (number..number + in_packet).map(&name).collect();
        number += in_packet;
        if !subscribe_to(&mut client, &some) {
            break;
        }
    }
    until("it is counted", || match program.figures().get("subscriptions_full_total") {
        0 => Err("0".to_owned()),
        _ => Ok(()),
    });
    held.keep(client);
}

pub(super) fn short_filters(program: &Program, held: &mut Held) {
    filters(program, held, 1000, |number| format!("{number}"));
}

pub(super) fn long_filters(program: &Program, held: &mut Held) {
    filters(program, held, 4, |number| format!("{number}/{}", "x".repeat(65_000)));
}

pub(super) fn deep_filters(program: &Program, held: &mut Held) {
    filters(program, held, 100, |number| format!("{number}{}", "/+".repeat(199)));
}

pub(super) fn groups(program: &Program, held: &mut Held) {
    filters(program, held, 1000, |number| format!("$share/{number}/+/{number}"));
}

pub(super) fn filters_that_go(program: &Program, held: &mut Held) {
    let mut client = clean(program, "client");
    for number in 0..300 {
        let some: Vec<String> = (0..100).map(|at| format!("{number}/{at}/#")).collect();
        assert!(subscribe_to(&mut client, &some));
        client.send(&Packet::Unsubscribe(mqtt_codec::Unsubscribe {
            packet_identifier: mqtt_codec::PacketIdentifier::MIN,
            user_properties: Vec::new(),
            filters: some.iter().map(|filter| crate::harness::filter(filter)).collect(),
        }));
        client.until(|packet| matches!(packet, Packet::UnsubAck(_)));
    }
    held.keep(client);
}

/// It asks for what is never found, and is sent retained publishes under long topic names meanwhile.
pub(super) fn beside_replays(program: &Program, held: &mut Held) {
    let (mut client, mut publisher) = (clean(program, "client"), clean(program, "publisher"));
    retain(&mut publisher, 3000, |number| format!("r/{number}"));
    assert!(subscribe_to(&mut client, &["x/#"]));
    let many =
        (0..20).flat_map(|_| bytes_of(&subscribe(&["r/+/none"], QoS::AtMostOnce), ProtocolVersion::V5));
    let (many, padding) = (many.collect::<Vec<u8>>(), "z".repeat(60_000));
    for number in 0..1000 {
        assert!(client.send_bytes(&many));
        let mut packet = publish(&format!("x/{number}/{padding}"), QoS::AtLeastOnce, 1, b"");
        if let Packet::Publish(publish) = &mut packet {
            publish.retain = true;
        }
        publisher.send(&packet);
        publisher.until(|packet| matches!(packet, Packet::PubAck(_)));
        for _ in 0..20 {
            client.until(|packet| matches!(packet, Packet::SubAck(_)));
        }
    }
    held.keep((client, publisher));
}

/// Each of them has gone on behind a long topic name: the filters all match, and the client does not read.
pub(super) fn pending_replays(program: &Program, held: &mut Held) {
    const LEVELS: usize = 11;
    let (mut client, mut publisher) = (clean(program, "client"), clean(program, "publisher"));
    let padding = "z".repeat(20_000);
    retain(&mut publisher, 30, |number| format!("{}{number}/{padding}", "a/".repeat(LEVELS)));
    let before = program.resident_bytes();
    for number in 0..1 << LEVELS {
        let levels = (0..LEVELS).map(|level| if number >> level & 1 == 0 { "+/" } else { "a/" });
        let filter = levels.collect::<String>() + "#";
        let packet = subscribe(&[filter], QoS::AtMostOnce);
        assert!(client.send_bytes(&bytes_of(&packet, ProtocolVersion::V5)));
    }
    until("all are in force", || {
        let subscriptions = program.figures().get("subscriptions");
        if subscriptions == 1 << LEVELS { Ok(()) } else { Err(format!("{subscriptions}")) }
    });
    let grew = program.resident_bytes().saturating_sub(before);
    assert!(grew < 24 * 1024 * 1024, "{grew} bytes beside what is retained");
    held.keep((client, publisher));
}

/// The same topic filters again and again, each time with what is retained for them; it does not wait for answers.
pub(super) fn pipelined_replays(program: &Program, held: &mut Held) {
    let (mut client, mut publisher) = (clean(program, "client"), clean(program, "publisher"));
    retain(&mut publisher, 1, |_| "retained".to_owned());
    let filters: Vec<String> = (0..8000).map(|number| format!("{number}/#")).collect();
    let packet = bytes_of(&subscribe(&filters, QoS::AtMostOnce), ProtocolVersion::V5);
    for _ in 0..64 {
        assert!(client.send_bytes(&packet));
    }
    for _ in 0..64 {
        client.until(|packet| matches!(packet, Packet::SubAck(_)));
    }
    held.keep((client, publisher));
}

fn retain(publisher: &mut crate::harness::Wire, count: usize, topic: impl Fn(usize) -> String) {
    for number in 0..count {
        let mut packet = publish(&topic(number), QoS::AtLeastOnce, 1, b"v");
        if let Packet::Publish(publish) = &mut packet {
            publish.retain = true;
        }
        publisher.send(&packet);
        publisher.until(|packet| matches!(packet, Packet::PubAck(_)));
    }
}

/// All that may be set, in both directions, with the longest topic names.
pub(super) fn aliases(program: &Program, held: &mut Held) {
    let mut connect = crate::harness::connect(ProtocolVersion::V5, "client");
    connect.properties.topic_alias_maximum = Some(u16::MAX);
    let mut client = crate::harness::Wire::client(program.tcp, connect);
    assert!(subscribe_to(&mut client, &["#"]));
    for alias in 1..=64u16 {
        let mut packet = publish(&format!("{alias}/{}", "x".repeat(65_000)), QoS::AtMostOnce, 0, b"x");
        if let Packet::Publish(publish) = &mut packet {
            publish.properties.topic_alias = alias.try_into().ok();
        }
        client.send(&packet);
        client.until(|packet| matches!(packet, Packet::Publish(_)));
    }
    held.keep(client);
}
