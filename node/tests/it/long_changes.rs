//! SUBSCRIBE and UNSUBSCRIBE of so many topic filters that they are carried out a piece at a time: from outside they are
//! one packet with one answer.

use micro_mq_actors::stats::ActorKind;
use mqtt_codec::ProtocolVersion::{V5, V311};
use mqtt_codec::QoS::AtMostOnce;
use mqtt_codec::{Packet, Publish, ReasonCode, SubscriptionFilter, Unsubscribe};

use crate::harness::{
    TestNode, connect, durable, on_node, on_nodes, options, publish, settings, subscribe_packet,
};

const FILTERS: usize = 8192;
/// A piece has no more.
const PIECE: u64 = 128;

fn filter(number: usize) -> String {
    format!("many/{number}")
}

/// What the worker's tries handled.
async fn handled(node: &TestNode) -> u64 {
    let snapshot = node.snapshot().await;
    let tries = snapshot.actors.iter().filter(|(kind, _)| *kind == ActorKind::TopicTrie);
    tries.map(|(_, figures)| figures.handled).sum()
}

/// [MQTT-3.8.4-2] [MQTT-3.8.4-6] [MQTT-3.10.4-4] One SUBACK and one UNSUBACK, with a reason code for each filter in its
/// place; what stands behind the packet is done behind it, and what is retained comes.
#[test]
fn they_are_answered_as_one() {
    on_nodes(settings(), async |node| {
        let mut publisher = node.connect(V5, "publisher").await;
        for number in [0, FILTERS - 2] {
            let retained = Publish { retain: true, ..publish(&filter(number), AtMostOnce, "retained") };
            publisher.publish_packet(retained).await;
        }
        publisher.ping().await;
        for version in [V311, V5] {
            let mut client = node.connect(version, "client").await;
            let deep = "x/".repeat(200);
            let names: Vec<String> = (0..FILTERS)
                .map(|number| if number == 5000 { deep.clone() } else { filter(number) })
                .collect();
            let wanted: Vec<_> = names.iter().map(|name| (name.as_str(), options(AtMostOnce))).collect();
            let identifier = client.next_identifier();
            let before = handled(node).await;
            let behind = Packet::Publish(publish(&filter(FILTERS - 1), AtMostOnce, "behind"));
            client.send_all(&[Packet::Subscribe(subscribe_packet(identifier, &wanted)), behind]).await;
            let Packet::SubAck(answer) = client.next().await else { panic!("not a SUBACK") };
            assert_eq!((answer.packet_identifier, answer.reason_codes.len()), (identifier, FILTERS));
            let refused: Vec<usize> = (0..FILTERS).filter(|at| answer.reason_codes[*at].is_error()).collect();
            assert_eq!(refused, [5000]);
            let mut payloads = Vec::new();
            for _ in 0..3 {
                let message = client.expect_publish().await;
                payloads.push(String::from_utf8(message.payload.to_vec()).unwrap());
            }
            payloads.sort();
            assert_eq!(payloads, ["behind", "retained", "retained"]);
            // A piece is one message to a trie, and others have their turns between two.
            assert!(handled(node).await - before >= FILTERS as u64 / PIECE);

            let mut parsed: Vec<SubscriptionFilter> =
                names.iter().map(|name| name.parse().unwrap()).collect();
            parsed[5000] = "nothing".parse().unwrap();
            let identifier = client.next_identifier();
            let unsubscribe =
                Unsubscribe { packet_identifier: identifier, user_properties: Vec::new(), filters: parsed };
            client.send(Packet::Unsubscribe(unsubscribe)).await;
            let Packet::UnsubAck(answer) = client.next().await else { panic!("not an UNSUBACK") };
            assert_eq!(answer.packet_identifier, identifier);
            if version == V5 {
                let none: Vec<usize> =
                    (0..FILTERS).filter(|at| answer.reason_codes[*at] != ReasonCode::Success).collect();
                assert_eq!((answer.reason_codes.len(), none), (FILTERS, vec![5000]));
            }
            client.ping().await;
            client.disconnect().await;
            node.until("0 subscriptions", |seen| seen.sessions.subscriptions == 0).await;
        }
    });
}

/// Nothing of a packet is carried out that is malformed at its end.
#[test]
fn a_malformed_one_changes_nothing() {
    on_node(2, settings(), async |node| {
        let (mut client, _) = node.connect_with(durable(V5, "client")).await;
        let names: Vec<String> = (0..FILTERS).map(filter).collect();
        let wanted: Vec<_> = names.iter().map(|name| (name.as_str(), options(AtMostOnce))).collect();
        let identifier = client.next_identifier();
        let mut bytes = client.encoded(&Packet::Subscribe(subscribe_packet(identifier, &wanted)));
        *bytes.last_mut().unwrap() = 3;
        client.send_bytes(&bytes).await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
        let (mut client, answer) = node.connect_with(durable(V5, "client")).await;
        assert!(answer.session_present);
        node.until("0 subscriptions", |seen| seen.sessions.subscriptions == 0).await;
        client.ping().await;
        client.disconnect().await;
    });
}

/// The connection may end amid one: the session has what was carried out, and is whole.
#[test]
fn one_may_be_cut_off() {
    on_node(2, settings(), async |node| {
        let names: Vec<String> = (0..FILTERS).map(filter).collect();
        let wanted: Vec<_> = names.iter().map(|name| (name.as_str(), options(AtMostOnce))).collect();
        for _ in 0..3 {
            let mut client = node.connect(V5, "client").await;
            let identifier = client.next_identifier();
            client.send(Packet::Subscribe(subscribe_packet(identifier, &wanted))).await;
            // It takes over, and ends, whatever of the packet is done by then.
            let (mut next, _) = node.connect_with(connect(V5, "client")).await;
            client.vanish().await;
            next.ping().await;
            next.disconnect().await;
        }
        node.until("no subscription is left", |snapshot| snapshot.sessions.subscriptions == 0).await;
    });
}
