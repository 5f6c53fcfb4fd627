//! SUBSCRIBE and UNSUBSCRIBE.

use std::num::NonZeroU32;

use ProtocolVersion::V5;
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use ReasonCode::{
    GrantedQoS1, GrantedQoS2, NoSubscriptionExisted, QuotaExceeded, SharedSubscriptionsNotSupported,
    SubscriptionIdentifiersNotSupported, Success, TopicFilterInvalid, WildcardSubscriptionsNotSupported,
};
use mqtt_codec::{
    Connect, Packet, ProtocolVersion, QoS, ReasonCode, RetainHandling, Subscribe, SubscriptionFilter,
    SubscriptionOptions, Unsubscribe,
};

use crate::moment::Moment;
use crate::protocol::Stepped;
use crate::protocol::effects::{COST_OF_PACKET, Granted, SubscriptionChange};
use crate::protocol::tests::Client;
use crate::session::{Replay, ReplayPlace};
use crate::subscriptions::Subscription;
use crate::testing::{id, options};

fn subscribe_with(filters: &[(&str, SubscriptionOptions)], identifier: u32) -> Packet {
    let parsed = |filter: &&str| SubscriptionFilter::parse(filter).unwrap();
    Packet::Subscribe(Subscribe {
        packet_identifier: id(5),
        subscription_identifier: NonZeroU32::new(identifier),
        user_properties: Vec::new(),
        filters: filters.iter().map(|(filter, options)| (parsed(filter), *options)).collect(),
    })
}

fn subscribe(filters: &[(&str, QoS)]) -> Packet {
    let with_options: Vec<_> = filters.iter().map(|(filter, qos)| (*filter, options(*qos))).collect();
    subscribe_with(&with_options, 0)
}

/// What the last SUBSCRIBE asked for: the reasons of its SUBACK, what was granted, and the reason string.
#[track_caller]
fn outcome(client: &Client) -> (&[ReasonCode], &[Granted], Option<&str>) {
    match &client.fx.changes[..] {
        [SubscriptionChange::Subscribe { packet_identifier, granted, reasons, reason_string }] => {
            assert_eq!(*packet_identifier, id(5));
            (reasons, granted, reason_string.as_deref())
        }
        other => panic!("{other:?}"),
    }
}

/// [MQTT-3.8.4-6] [MQTT-3.9.3-1] A reason per filter, in their order, with the QoS granted.
#[test]
fn a_reason_per_filter() {
    let mut client = Client::with(&Connect::new(V5, "c"), |settings| settings.mqtt.topic_levels_max = 2);
    let filters = [("a", AtMostOnce), ("b/c/d", ExactlyOnce), ("b/+", AtLeastOnce), ("#", ExactlyOnce)];
    assert_eq!(client.send(&subscribe(&filters)), Ok(Stepped::Done));
    let (reasons, granted, reason_string) = outcome(&client);
    assert_eq!(reasons, [Success, TopicFilterInvalid, GrantedQoS1, GrantedQoS2]);
    assert_eq!(granted.iter().map(|granted| &*granted.filter).collect::<Vec<_>>(), ["a", "b/+", "#"]);
    assert!(reason_string.is_some_and(|text| text.starts_with("b/c/d: ")), "{reason_string:?}");
    assert_eq!(client.counter("topic_levels_exceeded"), 1);
    let held = &client.session.subscriptions;
    assert_eq!((held.len(), held.get("#").unwrap().options.qos), (3, ExactlyOnce));
}

/// [MQTT-3.2.2-10] No QoS above the node's maximum is granted.
#[test]
fn maximum_qos() {
    for (maximum, expected) in [(0, Success), (1, GrantedQoS1), (2, GrantedQoS2)] {
        let mut client = Client::with(&Connect::new(V5, "c"), |settings| settings.mqtt.maximum_qos = maximum);
        client.send(&subscribe(&[("a", ExactlyOnce)])).unwrap();
        assert_eq!(outcome(&client).0, [expected]);
        assert_eq!(outcome(&client).1[0].subscription.options.qos as u8, maximum);
    }
}

/// [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] Which subscriptions are sent retained messages.
#[test]
fn retain_handling() {
    use RetainHandling::{DoNotSend, SendAtSubscribe, SendIfNew};
    for (retain_handling, filter, expected) in [
        (SendAtSubscribe, "a", [true, true]),
        (SendIfNew, "a", [true, false]),
        (DoNotSend, "a", [false, false]),
        (SendAtSubscribe, "$share/g/a", [false, false]),
    ] {
        let mut client = Client::new(V5);
        let options = SubscriptionOptions { retain_handling, ..SubscriptionOptions::default() };
        for replay in expected {
            client.send(&subscribe_with(&[(filter, options)], 0)).unwrap();
            assert_eq!(outcome(&client).1[0].replay, replay, "{retain_handling:?} {filter}");
        }
    }
    let mut client = Client::with(&Connect::new(V5, "c"), |settings| settings.mqtt.retain_available = false);
    client.send(&subscribe(&[("a", AtMostOnce)])).unwrap();
    assert!(!outcome(&client).1[0].replay);
}

/// [MQTT-3.8.4-3] A subscription to the same filter takes the place of the earlier one, its identifier too.
#[test]
fn a_subscription_is_replaced() {
    let mut client = Client::new(V5);
    client.send(&subscribe_with(&[("a", options(AtLeastOnce))], 7)).unwrap();
    assert_eq!(
        *client.session.subscriptions.get("a").unwrap(),
        Subscription { options: options(AtLeastOnce), identifier: 7 }
    );
    client.send(&subscribe_with(&[("a", options(ExactlyOnce))], 0)).unwrap();
    assert_eq!(
        *client.session.subscriptions.get("a").unwrap(),
        Subscription { options: options(ExactlyOnce), identifier: 0 }
    );
    assert_eq!(client.session.subscriptions.len(), 1);
}

/// [MQTT-3.2.2-11] What the node does not offer is refused, the rest granted.
#[test]
fn what_is_not_offered() {
    let mut client = Client::with(&Connect::new(V5, "c"), |settings| {
        settings.mqtt.shared_subscription_available = false;
        settings.mqtt.wildcard_subscription_available = false;
        settings.mqtt.subscription_identifiers_available = false;
    });
    let filters = [("a", AtMostOnce), ("a/+", AtMostOnce), ("$share/g/a", AtMostOnce)];
    client.send(&subscribe(&filters)).unwrap();
    let expected = [Success, WildcardSubscriptionsNotSupported, SharedSubscriptionsNotSupported];
    assert_eq!(outcome(&client).0, expected);
    let numbered = subscribe_with(&[("a", options(AtMostOnce))], 1);
    assert_eq!(client.refused(&numbered), SubscriptionIdentifiersNotSupported);
    let mut generous = Client::new(V5);
    generous.send(&subscribe(&filters)).unwrap();
    let (reasons, granted, reason_string) = outcome(&generous);
    assert_eq!((reasons, granted.len(), reason_string), (&[Success; 3][..], 3, None));
}

/// Levels are counted in the filter that a shared one holds, up to just the limit.
#[test]
fn levels() {
    let mut client = Client::with(&Connect::new(V5, "c"), |settings| settings.mqtt.topic_levels_max = 3);
    let filters =
        [("a/b/c", AtMostOnce), ("a/b/c/d", AtMostOnce), ("$share/g/a/b/#", AtMostOnce), ("//", AtMostOnce)];
    client.send(&subscribe(&filters)).unwrap();
    assert_eq!(outcome(&client).0, [Success, TopicFilterInvalid, Success, Success]);
}

/// A client holds just so many subscriptions; one more is refused, a replacement is not.
#[test]
fn subscriptions_are_bounded() {
    let mut client =
        Client::with(&Connect::new(V5, "c"), |settings| settings.session.subscriptions_per_client_max = 2);
    client
        .send(&subscribe(&[("a", AtMostOnce), ("b", AtMostOnce), ("c", AtMostOnce), ("a", AtLeastOnce)]))
        .unwrap();
    assert_eq!(outcome(&client).0, [Success, Success, QuotaExceeded, GrantedQoS1]);
    assert_eq!(client.counter("subscriptions_full"), 1);
    assert_eq!(client.session.subscriptions.len(), 2);
}

/// What subscriptions cost is bounded too: each its text, and so much for itself and for each of its levels. It is paid
/// back by UNSUBSCRIBE.
#[test]
fn the_bytes_of_subscriptions_are_bounded() {
    for (filter, levels) in [("a", 1), ("a/b", 2), ("//////", 7), ("$share/g/a", 3)] {
        let group = if filter.starts_with("$share/") { 1280 } else { 0 };
        let cost = filter.len() + 128 + 64 * levels + group;
        for (room, expected) in [(cost, GrantedQoS1), (cost - 1, QuotaExceeded)] {
            let mut client = Client::with(&Connect::new(V5, "c"), |settings| {
                settings.session.subscription_bytes_per_client_max = room;
            });
            for _ in 0..2 {
                client.send(&subscribe(&[(filter, AtLeastOnce)])).unwrap();
                assert_eq!(outcome(&client).0, [expected], "{filter} {room}");
            }
            let filters = vec![SubscriptionFilter::parse(filter).unwrap()];
            let unsubscribe = Unsubscribe { packet_identifier: id(6), user_properties: Vec::new(), filters };
            client.send(&Packet::Unsubscribe(unsubscribe)).unwrap();
            client.send(&subscribe(&[(filter, AtLeastOnce)])).unwrap();
            assert_eq!(outcome(&client).0, [expected], "{filter} {room}");
        }
    }
}

/// A change of subscriptions costs its connection's turn more than another packet, and each of its filters as much as one.
#[test]
fn changes_cost_a_turn() {
    let filters = ["a", "b", "c", "d"];
    for unsubscribes in [false, true] {
        let cost = |count: usize| {
            let mut client = Client::new(V5);
            let packet = if unsubscribes {
                let filters =
                    filters[..count].iter().map(|filter| SubscriptionFilter::parse(filter).unwrap());
                let filters = filters.collect();
                Packet::Unsubscribe(Unsubscribe {
                    packet_identifier: id(6),
                    user_properties: Vec::new(),
                    filters,
                })
            } else {
                subscribe(&filters.map(|filter| (filter, AtMostOnce))[..count])
            };
            client.send(&packet).unwrap();
            let once = client.fx.cost;
            client.send_more(&packet).unwrap();
            assert_eq!(client.fx.cost, 2 * once);
            once
        };
        assert_eq!(cost(2) - cost(1), COST_OF_PACKET);
        assert_eq!(cost(4) - cost(2), 2 * COST_OF_PACKET);
        assert!(cost(1) > 2 * COST_OF_PACKET);
    }
}

/// [MQTT-3.1.2-29] A client that wants no problem information gets no reason string.
#[test]
fn problem_information() {
    for (wanted, expected) in [(None, true), (Some(true), true), (Some(false), false)] {
        let mut connect = Connect::new(V5, "c");
        connect.properties.request_problem_information = wanted;
        let mut client = Client::with(&connect, |settings| settings.mqtt.topic_levels_max = 1);
        client.send(&subscribe(&[("a/b", AtMostOnce)])).unwrap();
        assert_eq!(outcome(&client).2.is_some(), expected, "{wanted:?}");
    }
}

/// A bridge of mosquitto wants RETAIN as published, and nothing back that it published itself; nobody else is given
/// what it did not ask for.
#[test]
fn bridges() {
    for bridge in [true, false] {
        let mut connect = Connect::new(ProtocolVersion::V311, "c");
        connect.bridge = bridge;
        let mut client = Client::with(&connect, |_| {});
        client.send(&subscribe(&[("a", AtMostOnce)])).unwrap();
        let options = client.session.subscriptions.get("a").unwrap().options;
        assert_eq!((options.retain_as_published, options.no_local), (bridge, bridge));
    }
}

/// [MQTT-3.10.4-4] [MQTT-3.11.3-1] UNSUBSCRIBE says of each filter whether there was such a subscription, character by
/// character.
#[test]
fn unsubscribe() {
    let mut client = Client::new(V5);
    client.send(&subscribe(&[("a", AtMostOnce), ("$share/g/b", AtMostOnce), ("c", AtMostOnce)])).unwrap();
    let subscription = *client.session.subscriptions.get("a").unwrap();
    let replays = client.session.replays.get_or_insert_default();
    for filter in ["a", "c"] {
        replays.pending.push_back(Replay {
            filter: filter.into(),
            subscription,
            after: None,
            since: Moment::default(),
            turn: ReplayPlace::default(),
        });
    }
    replays.pending.answer_all();
    let filters = ["A", "a", "b", "$share/g/b", "a"].map(|filter| SubscriptionFilter::parse(filter).unwrap());
    let unsubscribe =
        Unsubscribe { packet_identifier: id(6), user_properties: Vec::new(), filters: filters.to_vec() };
    assert_eq!(client.send(&Packet::Unsubscribe(unsubscribe)), Ok(Stepped::Done));
    let [SubscriptionChange::Unsubscribe { packet_identifier, filters, reasons }] = &client.fx.changes[..]
    else {
        panic!("{:?}", client.fx.changes)
    };
    assert_eq!(*packet_identifier, id(6));
    assert_eq!(filters.iter().map(|filter| &**filter).collect::<Vec<_>>(), ["a", "$share/g/b"]);
    let none = NoSubscriptionExisted;
    assert_eq!(*reasons, [none, Success, none, Success, none]);
    assert_eq!(client.session.subscriptions.keys().map(|filter| &**filter).collect::<Vec<_>>(), ["c"]);
    // Its retained messages are not sent any more.
    let pending = &client.session.replays.as_ref().unwrap().pending;
    assert_eq!(pending.iter().map(|replay| &*replay.filter).collect::<Vec<_>>(), ["c"]);
}
