//! Who gets what is published, and what its publisher is told.

use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use mqtt_codec::{Packet, SubscriptionOptions};

use super::workers::Workers;
use crate::ids::SessionKey;
use crate::message::Publication;
use crate::settings::Settings;
use crate::subscriptions::Subscription;
use crate::testing::{options, publication};

fn workers() -> (Workers, SessionKey) {
    let mut workers = Workers::with_tries(Settings::default());
    let publisher = workers.connect("publisher", 0);
    (workers, publisher)
}

fn subscribed(identifier: u32, options: SubscriptionOptions) -> Subscription {
    Subscription { options, identifier }
}

/// Publishes in a row to one topic name, and others, come to whoever has a filter that matches, at both workers, each in
/// order.
#[test]
fn a_run_comes_to_all_that_match_in_order() {
    let (mut workers, publisher) = workers();
    let (near, far) = (workers.connect("near", 0), workers.connect_at(1, "far", 0));
    let none = workers.connect("none", 0);
    workers.subscribe(near, &["a/+"]);
    workers.subscribe(far, &["a/b", "c"]);
    workers.subscribe(none, &["a/b/c", "$SYS/#"]);
    workers.settle();
    let publications: Vec<Publication<'_>> = [("a/b", "1"), ("a/b", "2"), ("c", "3"), ("a/b", "4")]
        .map(|(topic, payload)| publication(topic, payload, AtMostOnce))
        .into();
    workers.publish(publisher, &publications);
    workers.settle();
    assert_eq!(workers.read(near), ["a/b=1", "a/b=2", "a/b=4"]);
    assert_eq!(workers.read(far), ["a/b=1", "a/b=2", "c=3", "a/b=4"]);
    assert!(workers.read(none).is_empty() && workers.read(publisher).is_empty());
    let ledgers = workers.states.each_ref().map(|state| {
        let ledger = &state.ledger;
        (ledger.published.get(), ledger.unmatched.get(), ledger.matched.get())
    });
    assert_eq!(ledgers, [(4, 0, 3), (0, 0, 4)]);
}

/// [MQTT-3.8.3-3] What a client publishes does not come back by a subscription with No Local.
#[test]
fn no_local_keeps_from_the_publisher_what_is_its_own() {
    let (mut workers, publisher) = workers();
    let other = workers.connect("other", 0);
    let no_local = subscribed(0, SubscriptionOptions { no_local: true, ..options(AtMostOnce) });
    workers.subscribe_with(publisher, &["t"], no_local);
    workers.subscribe_with(other, &["t"], no_local);
    workers.settle();
    workers.publish(publisher, &[publication("t", "x", AtLeastOnce)]);
    workers.settle();
    assert_eq!(workers.read(publisher), ["PUBACK 1 0x00"]);
    assert_eq!(workers.read(other), ["t=x"]);
}

/// [MQTT-3.3.4-4] Overlapping subscriptions bring one copy each, or, where they are merged, one with the highest QoS and
/// all identifiers.
#[test]
fn overlapping_subscriptions_bring_copies_or_are_merged() {
    for (merge, expected) in [
        (false, vec![(AtMostOnce, vec![5]), (AtLeastOnce, vec![6])]),
        (true, vec![(AtLeastOnce, vec![5, 6])]),
    ] {
        let mut settings = Settings::default();
        settings.mqtt.merge_overlapping_subscriptions = merge;
        let mut workers = Workers::with_tries(settings);
        let (publisher, client) = (workers.connect("publisher", 0), workers.connect("client", 0));
        workers.subscribe_with(client, &["t/+"], subscribed(5, options(AtMostOnce)));
        workers.subscribe_with(client, &["t/#"], subscribed(6, options(AtLeastOnce)));
        workers.settle();
        workers.publish(publisher, &[publication("t/1", "x", ExactlyOnce)]);
        workers.settle();
        let mut copies: Vec<_> = workers
            .packets(client)
            .into_iter()
            .map(|packet| match packet {
                Packet::Publish(publish) => {
                    let mut identifiers = publish.properties.subscription_identifiers;
                    identifiers.sort_unstable();
                    (publish.qos, identifiers)
                }
                other => panic!("{other:?}"),
            })
            .collect();
        copies.sort();
        assert_eq!(copies, expected, "merged: {merge}");
    }
}

/// 0x10 says that no worker has a subscriber; whoever matches, here or at the other worker, makes it 0x00. The answers
/// leave in the order of the publishes [MQTT-4.6.0-2].
#[test]
fn a_publish_that_nobody_wants_is_answered_so_in_its_turn() {
    let (mut workers, publisher) = workers();
    let (near, far) = (workers.connect("near", 0), workers.connect_at(1, "far", 0));
    workers.subscribe(near, &["near"]);
    workers.subscribe(far, &["far"]);
    workers.settle();
    let topics = ["far", "nowhere", "near", "$share/near", "far"];
    let publications = topics.map(|topic| publication(topic, "x", AtLeastOnce));
    workers.publish(publisher, &publications);
    workers.settle();
    let answers = ["1 0x00", "2 0x10", "3 0x00", "4 0x10", "5 0x00"].map(|answer| format!("PUBACK {answer}"));
    assert_eq!(workers.read(publisher), answers);
    assert_eq!(workers.own().ledger.unmatched.get(), 2);
    // Nothing here has a match, and so nothing is routed here; it is answered all the same.
    workers.publish(publisher, &[publication("nowhere", "x", AtLeastOnce)]);
    workers.settle();
    assert_eq!(workers.read(publisher), ["PUBACK 1 0x10"]);
    assert_eq!((workers.own().ledger.published.get(), workers.own().ledger.unmatched.get()), (6, 3));
}

/// A fan-out to very many stops within what a turn may cost, and goes on where it was.
#[test]
fn a_fan_out_goes_on_in_the_next_turn() {
    const SUBSCRIBERS: usize = 1000;
    let mut settings = Settings::default();
    settings.node.deliveries_per_turn = 300;
    let mut workers = Workers::with_tries(settings);
    let publisher = workers.connect("publisher", 0);
    for number in 0..SUBSCRIBERS {
        let client = workers.connect(&format!("client-{number}"), 0);
        workers.subscribe(client, &["t"]);
    }
    workers.settle();
    workers.publish(publisher, &[publication("t", "x", AtLeastOnce)]);
    workers.carry_out();
    let mut made = Vec::new();
    while made.last() != Some(&(SUBSCRIBERS as u64)) {
        assert!(workers.read(publisher).is_empty(), "it is answered when all have it");
        assert!(made.len() < SUBSCRIBERS, "it goes on");
        workers.turn(0);
        made.push(workers.own().ledger.matched.get());
    }
    assert!(made.len() >= 4 && made[0] <= 300, "{made:?}");
    assert_eq!(workers.read(publisher), ["PUBACK 1 0x00"]);
}
