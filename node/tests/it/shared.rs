//! Shared subscriptions [MQTT-4.8.2]: each message to one member of each group, over one worker and over three.

use std::collections::{BTreeMap, BTreeSet};

use micro_mq_core::settings::{Settings, SharedStrategy};
use mqtt_codec::ProtocolVersion::{V5, V31, V311};
use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use mqtt_codec::{Ack, Packet, Publish, QoS, ReasonCode, SubscriptionOptions};

use crate::harness::{
    Client, TestNode, durable, identifier, on_node, on_nodes, options, publish, settings, subscribe_packet,
};

fn with_strategy(strategy: SharedStrategy) -> Settings {
    let mut settings = settings();
    settings.session.shared_strategy = strategy;
    settings
}

/// Members of one group, all with this QoS.
async fn members(node: &TestNode, count: usize, filter: &str, qos: QoS) -> Vec<Client> {
    let mut members = Vec::new();
    for index in 0..count {
        let mut member = node.connect(V5, &format!("member {index}")).await;
        member.subscribe(filter, qos).await;
        members.push(member);
    }
    members
}

/// All payloads on their way to a client, acknowledged.
async fn payloads(node: &TestNode, client: &mut Client) -> Vec<String> {
    let mut payloads = Vec::new();
    node.settle().await;
    client.send(Packet::PingReq).await;
    loop {
        match client.next().await {
            Packet::Publish(publish) => {
                let identifier = publish.packet_identifier;
                payloads.push(String::from_utf8(publish.payload.to_vec()).unwrap());
                if publish.qos == AtLeastOnce {
                    client.send(Packet::PubAck(Ack::new(identifier.unwrap(), ReasonCode::Success))).await;
                }
            }
            Packet::PingResp => return payloads,
            other => panic!("{other:?} in place of a PUBLISH"),
        }
    }
}

fn numbered(count: usize) -> BTreeSet<String> {
    (0..count).map(|number| number.to_string()).collect()
}

/// Each message to exactly one member, and with round robin as many to each.
#[test]
fn each_message_to_one_member() {
    on_nodes(settings(), async |node| {
        let mut members = members(node, 4, "$share/g/t/+", AtLeastOnce).await;
        let mut publishers = Vec::new();
        for index in 0..3 {
            publishers.push(node.connect(V5, &format!("publisher {index}")).await);
        }
        for number in 0..60 {
            let topic = format!("t/{}", number % 7);
            let reason = publishers[number % 3].publish(&topic, AtLeastOnce, &number.to_string()).await;
            assert_eq!(reason, ReasonCode::Success);
        }
        let mut all = BTreeSet::new();
        for member in &mut members {
            let got = payloads(node, member).await;
            assert_eq!(got.len(), 15);
            for payload in got {
                assert!(all.insert(payload), "twice");
            }
        }
        assert_eq!(all, numbered(60));
    });
}

/// A group is share name and filter together; each group gets each message, and so do plain subscriptions. Before 5.0
/// it works the same way.
#[test]
fn each_group_and_each_plain_subscription_gets_the_message() {
    on_nodes(settings(), async |node| {
        let mut clients = Vec::new();
        for (index, filters) in [
            &["$share/a/t/#"][..],
            &["$share/b/t/#"],
            &["$share/a/t/+"],
            &["t/#"],
            &["t/1", "$share/a/t/1", "$share/b/t/1"],
        ]
        .iter()
        .enumerate()
        {
            let mut client = node.connect([V311, V31, V5][index % 3], &format!("client {index}")).await;
            for filter in *filters {
                client.subscribe(filter, AtLeastOnce).await;
            }
            clients.push((client, filters.len()));
        }
        let mut publisher = node.connect(V311, "publisher").await;
        publisher.publish("t/1", AtLeastOnce, "m").await;
        for (client, copies) in &mut clients {
            assert_eq!(payloads(node, client).await, vec!["m"; *copies]);
        }
    });
}

/// Options and subscription identifier of the member count; no local is no option of a shared subscription
/// [MQTT-3.8.3-4].
#[test]
fn the_members_own_options_count() {
    on_nodes(settings(), async |node| {
        let mut member = node.connect(V5, "member").await;
        let as_published = SubscriptionOptions { retain_as_published: true, ..options(AtMostOnce) };
        let mut subscribe = subscribe_packet(identifier(9), &[("$share/g/t", as_published)]);
        subscribe.subscription_identifier = 77.try_into().ok();
        member.subscribe_packet(subscribe).await;
        let mut publisher = node.connect(V5, "publisher").await;
        publisher.publish_packet(Publish { retain: true, ..publish("t", ExactlyOnce, "m") }).await;
        let got = member.expect_payload("m").await;
        assert_eq!((got.qos, got.retain), (AtMostOnce, true));
        assert_eq!(got.properties.subscription_identifiers, [77]);

        // The same, handed over by a group whose home is another worker: with three, one of these is.
        for index in 0..6 {
            let filter = format!("$share/g{index}/u");
            let mut subscribe = subscribe_packet(identifier(10 + index), &[(&filter, options(AtLeastOnce))]);
            subscribe.subscription_identifier = u32::from(100 + index).try_into().ok();
            member.subscribe_packet(subscribe).await;
        }
        publisher.publish("u", ExactlyOnce, "m").await;
        let mut identifiers = BTreeSet::new();
        for _ in 0..6 {
            let got = member.take_payload("m").await;
            assert_eq!((got.qos, got.retain), (AtLeastOnce, false));
            identifiers.extend(got.properties.subscription_identifiers);
        }
        assert_eq!(identifiers, (100..106).collect());

        let no_local = SubscriptionOptions { no_local: true, ..options(AtMostOnce) };
        let subscribe = subscribe_packet(identifier(50), &[("$share/g/t", no_local)]);
        member.send(Packet::Subscribe(subscribe)).await;
        member.expect_disconnect(ReasonCode::ProtocolError).await;
    });
}

/// Retained messages are not sent for shared subscriptions (section 4.8.2).
#[test]
fn no_retained_messages() {
    on_nodes(settings(), async |node| {
        let mut publisher = node.connect(V5, "publisher").await;
        publisher.publish_packet(Publish { retain: true, ..publish("t", AtLeastOnce, "kept") }).await;
        let mut member = node.connect(V5, "member").await;
        member.subscribe("$share/g/t", AtLeastOnce).await;
        member.expect_nothing().await;
        publisher.publish("t", AtLeastOnce, "live").await;
        member.take_payload("live").await;
    });
}

// === strategies ===

/// One publisher's messages, or one topic's, go to one member; several of them spread.
#[test]
fn hashes_keep_to_a_member() {
    for strategy in [SharedStrategy::HashClient, SharedStrategy::HashTopic] {
        on_nodes(with_strategy(strategy), async |node| {
            let mut members = members(node, 3, "$share/g/t/#", AtMostOnce).await;
            for index in 0..24 {
                let mut publisher = node.connect(V5, &format!("publisher {index}")).await;
                for other in 0..5 {
                    let (topic, key) = match strategy {
                        SharedStrategy::HashClient => (format!("t/{index}/{other}"), index),
                        _ => (format!("t/{other}"), other),
                    };
                    publisher.publish(&topic, AtLeastOnce, &key.to_string()).await;
                }
                publisher.disconnect().await;
            }
            let mut holders: BTreeMap<String, usize> = BTreeMap::new();
            let mut busy = 0;
            for (index, member) in members.iter_mut().enumerate() {
                let got: BTreeSet<String> = payloads(node, member).await.into_iter().collect();
                busy += usize::from(!got.is_empty());
                for key in got {
                    assert_eq!(holders.insert(key, index), None, "{strategy:?}: two members for one key");
                }
            }
            assert!(busy > 1, "{strategy:?}: all to one member");
        });
    }
}

/// The same member until it goes.
#[test]
fn sticky_keeps_to_a_member_until_it_goes() {
    on_nodes(with_strategy(SharedStrategy::Sticky), async |node| {
        let mut members = members(node, 3, "$share/g/t", AtLeastOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        while !members.is_empty() {
            for number in 0..6 {
                publisher.publish("t", AtLeastOnce, &number.to_string()).await;
            }
            let mut holder = None;
            for (index, member) in members.iter_mut().enumerate() {
                let got = payloads(node, member).await;
                if !got.is_empty() {
                    assert_eq!(got.len(), 6);
                    assert_eq!(holder.replace(index), None, "two members");
                }
            }
            members.remove(holder.expect("one has it")).vanish().await;
        }
    });
}

/// A member that acknowledges nothing gets less than one that does.
#[test]
fn least_inflight_spares_the_busy() {
    on_nodes(with_strategy(SharedStrategy::LeastInflight), async |node| {
        let mut members = members(node, 2, "$share/g/t", AtLeastOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        let mut quick = members.pop().unwrap();
        let mut got = 0;
        for number in 0..40 {
            publisher.publish("t", AtLeastOnce, &number.to_string()).await;
            got += payloads(node, &mut quick).await.len();
            node.settle().await;
        }
        assert!(got >= 30, "{got} of 40 to the member that acknowledges");
    });
}

// === members that are not there ===

/// Members online first; with none online, the message waits for one whose session lasts.
#[test]
fn members_online_come_first_and_with_none_the_message_waits() {
    on_nodes(settings(), async |node| {
        let mut publisher = node.connect(V5, "publisher").await;
        let (mut lasting, _) = node.connect_with(durable(V311, "lasting")).await;
        lasting.subscribe("$share/g/t", AtLeastOnce).await;
        let mut brief = node.connect(V5, "brief").await;
        brief.subscribe("$share/g/t", AtLeastOnce).await;
        lasting.vanish().await;
        for number in 0..5 {
            assert_eq!(publisher.publish("t", AtLeastOnce, &number.to_string()).await, ReasonCode::Success);
            brief.take_payload(&number.to_string()).await;
        }
        brief.vanish().await;
        for number in 5..10 {
            assert_eq!(publisher.publish("t", AtLeastOnce, &number.to_string()).await, ReasonCode::Success);
        }
        node.until("5 messages are queued", |seen| seen.ledger.queued == 5).await;
        let mut lasting = node.resume(durable(V311, "lasting")).await;
        for number in 5..10 {
            lasting.take_payload(&number.to_string()).await;
        }
        lasting.expect_nothing().await;
    });
}

/// With only members whose sessions ended with their network connections, nobody is left to wait for.
#[test]
fn nothing_waits_for_a_group_that_is_gone() {
    on_nodes(settings(), async |node| {
        let mut publisher = node.connect(V5, "publisher").await;
        let mut member = node.connect(V5, "member").await;
        member.subscribe("$share/g/t", AtLeastOnce).await;
        publisher.publish("t", AtLeastOnce, "unacknowledged").await;
        member.expect_payload("unacknowledged").await;
        member.vanish().await;
        assert_eq!(publisher.publish("t", AtLeastOnce, "m").await, ReasonCode::NoMatchingSubscribers);
        let ledger = node.balanced_ledger().await;
        assert_eq!((ledger.matched, ledger.delivered, ledger.queued), (1, 0, 0));
    });
}

/// QoS 1 that was not acknowledged, and what was not sent at all, goes to another member when one goes, whether its
/// session lasts or not.
#[test]
fn what_a_member_did_not_acknowledge_goes_to_another() {
    on_nodes(settings(), async |node| {
        for connect in [durable(V5, "leaving"), crate::harness::connect(V5, "leaving")] {
            let mut connect = connect;
            connect.properties.receive_maximum = 3.try_into().ok();
            let (mut leaving, _) = node.connect_with(connect).await;
            leaving.subscribe("$share/g/t", AtLeastOnce).await;
            let mut publisher = node.connect(V5, "publisher").await;
            for number in 0..8 {
                publisher.publish("t", AtLeastOnce, &number.to_string()).await;
            }
            leaving.take_payload("0").await;
            for number in 1..4 {
                leaving.expect_payload(&number.to_string()).await;
            }
            leaving.expect_nothing().await;
            let mut staying = node.connect(V311, "staying").await;
            staying.subscribe("$share/g/t", AtLeastOnce).await;
            staying.expect_nothing().await;
            leaving.vanish().await;
            let mut got: Vec<String> = payloads(node, &mut staying).await;
            got.sort();
            assert_eq!(got, ["1", "2", "3", "4", "5", "6", "7"]);
            staying.disconnect().await;
            publisher.disconnect().await;
            let mut cleaning = node.connect(V5, "leaving").await;
            cleaning.expect_nothing().await;
            cleaning.disconnect().await;
        }
        let ledger = node.balanced_ledger().await;
        assert_eq!((ledger.matched, ledger.delivered, ledger.queued), (16, 16, 0));
    });
}

/// [MQTT-4.8.2-4] A QoS 2 message that was sent stays with its session until that returns, even with others online.
#[test]
fn qos_2_that_was_sent_stays_with_its_session() {
    on_nodes(settings(), async |node| {
        let (mut leaving, _) = node.connect_with(durable(V5, "leaving")).await;
        leaving.subscribe("$share/g/t", ExactlyOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        publisher.publish("t", ExactlyOnce, "two").await;
        publisher.publish("t", AtLeastOnce, "one").await;
        let sent = leaving.expect_payload("two").await;
        leaving.expect_payload("one").await;
        let mut staying = node.connect(V5, "staying").await;
        staying.subscribe("$share/g/t", ExactlyOnce).await;
        leaving.vanish().await;
        assert_eq!(payloads(node, &mut staying).await, ["one"]);
        let mut leaving = node.resume(durable(V5, "leaving")).await;
        let again = leaving.take_payload("two").await;
        assert_eq!((again.packet_identifier, again.dup), (sent.packet_identifier, true));
        staying.expect_nothing().await;
        leaving.expect_nothing().await;
    });
}

/// [MQTT-4.8.2-5] If that session ends instead, the QoS 2 message goes to nobody else.
#[test]
fn qos_2_that_was_sent_ends_with_its_session() {
    on_nodes(settings(), async |node| {
        let (mut leaving, _) = node.connect_with(durable(V5, "leaving")).await;
        leaving.subscribe("$share/g/t", ExactlyOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        publisher.publish("t", ExactlyOnce, "two").await;
        leaving.expect_payload("two").await;
        let mut staying = node.connect(V5, "staying").await;
        staying.subscribe("$share/g/t", ExactlyOnce).await;
        leaving.vanish().await;
        node.connect(V5, "leaving").await.disconnect().await;
        staying.expect_nothing().await;
        let ledger = node.balanced_ledger().await;
        assert_eq!((ledger.matched, ledger.delivered, ledger.dropped_total()), (1, 0, 1));
    });
}

/// [MQTT-4.8.2-6] A message that a member refuses with an error is discarded.
#[test]
fn what_a_member_refuses_goes_to_nobody_else() {
    on_nodes(settings(), async |node| {
        let mut members = members(node, 2, "$share/g/t", ExactlyOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        for (number, qos) in [AtLeastOnce, ExactlyOnce, AtLeastOnce, ExactlyOnce].into_iter().enumerate() {
            publisher.publish("t", qos, &number.to_string()).await;
        }
        for member in &mut members {
            for _ in 0..2 {
                let publish = member.expect_publish().await;
                let ack = Ack::new(publish.packet_identifier.unwrap(), ReasonCode::UnspecifiedError);
                member
                    .send(if publish.qos == AtLeastOnce { Packet::PubAck(ack) } else { Packet::PubRec(ack) })
                    .await;
            }
        }
        for member in &mut members {
            member.expect_nothing().await;
        }
        let ledger = node.balanced_ledger().await;
        assert_eq!((ledger.matched, ledger.delivered, ledger.queued, ledger.dropped_total()), (4, 0, 0, 4));
    });
}

/// A member whose session is about to end takes nothing along: while members come and go, whatever is published with
/// QoS 1 reaches one that stays.
#[test]
fn nothing_is_lost_while_members_come_and_go() {
    on_nodes(settings(), async |node| {
        let mut staying = node.connect(V5, "staying").await;
        staying.subscribe("$share/g/t", AtLeastOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        let mut all = BTreeSet::new();
        for round in 0..40 {
            let mut brief = node.connect(V5, &format!("brief {}", round % 4)).await;
            brief.subscribe("$share/g/t", AtLeastOnce).await;
            let packets: Vec<Packet> = (0..10u16)
                .map(|number| {
                    let packet_identifier = Some(identifier(1000 + number));
                    let message = publish("t", AtLeastOnce, &(round * 10 + number).to_string());
                    Packet::Publish(Publish { packet_identifier, ..message })
                })
                .collect();
            publisher.send_all(&packets).await;
            drop(brief);
            for _ in 0..10 {
                match publisher.next().await {
                    Packet::PubAck(ack) => assert_eq!(ack.reason_code, ReasonCode::Success),
                    other => panic!("{other:?} in place of a PUBACK"),
                }
            }
            all.extend(payloads(node, &mut staying).await);
        }
        node.until_online(2).await;
        all.extend(payloads(node, &mut staying).await);
        assert_eq!(all, numbered(400));
    });
}

/// A full member is passed over for one that has room.
#[test]
fn a_full_member_is_passed_over() {
    let mut small = settings();
    small.session.queue_messages_max = 2;
    on_node(1, small, async |node| {
        let mut narrow = crate::harness::connect(V5, "narrow");
        narrow.properties.receive_maximum = 1.try_into().ok();
        let (mut narrow, _) = node.connect_with(narrow).await;
        narrow.subscribe("$share/g/t", AtLeastOnce).await;
        let mut wide = node.connect(V5, "wide").await;
        wide.subscribe("$share/g/t", AtLeastOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        for number in 0..20 {
            publisher.publish("t", AtLeastOnce, &number.to_string()).await;
        }
        assert_eq!(payloads(node, &mut wide).await.len(), 17);
        narrow.expect_publish().await;
        assert_eq!(node.balanced_ledger().await.dropped_total(), 0);
    });
}
