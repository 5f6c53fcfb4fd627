//! One client that is the only member of very many shared groups.

use mqtt_codec::{Packet, PacketIdentifier, ProtocolVersion, QoS};

use crate::harness::{Program, Scale, Sent, Turn, Wire, connect, ordeal, publish, subscribe, until};

const GROUPS: usize = 2_000;

/// Each message waits once for each group; the client leaves with one of them sent, and all others go back at once.
#[test]
fn very_many_groups_that_give_back_at_once() {
    let _turn = Turn::take();
    let program = Program::start(&[]);
    let filters: Vec<String> = (0..GROUPS).map(|number| format!("$share/group-{number}/groups/x")).collect();
    ordeal(&program, |scale: Scale| {
        let (before, count) = (program.figures(), scale.of(GROUPS));
        let mut asked = connect(ProtocolVersion::V5, "member");
        asked.properties.receive_maximum = 1.try_into().ok();
        let mut member = Wire::client(program.tcp, asked);
        for some in filters[..count].chunks(100) {
            member.send(&subscribe(some, QoS::AtLeastOnce));
            member.until(|packet| matches!(packet, Packet::SubAck(_)));
        }
        let mut publisher = Wire::client(program.tcp, connect(ProtocolVersion::V5, "to-groups"));
        publisher.send(&publish("groups/x", QoS::AtLeastOnce, PacketIdentifier::MIN.get(), b"x"));
        publisher.until(|packet| matches!(packet, Packet::PubAck(_)));
        until("each group has it", || {
            let matched = program.figures().grew(&before, "messages_matched_total");
            if matched >= count as u64 { Ok(()) } else { Err(format!("{matched} matched")) }
        });
        drop(member);
        until("all went back, and nobody takes it", || {
            let dropped = "messages_dropped_total{reason=\"shared_group_empty\"}";
            let gone = program.figures().grew(&before, dropped);
            // The one that was sent is given back too, unless it was acknowledged, which it was not.
            if gone == count as u64 { Ok(()) } else { Err(format!("{gone} of {count}")) }
        });
        Sent::default()
    });
    program.until_figure("shared_subscriptions", 0);
    program.stop();
}
