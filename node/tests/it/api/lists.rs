//! Lists of what a node has.

use mqtt_codec::ProtocolVersion::{V5, V311};
use mqtt_codec::{Packet, QoS};

use super::Admin;
use crate::harness::{Client, TestNode, durable, on_nodes, options, publish, settings, subscribe_packet};

async fn retain(client: &mut Client, topic: &str, payload: &str) {
    client
        .send(Packet::Publish(mqtt_codec::Publish {
            retain: true,
            ..publish(topic, QoS::AtLeastOnce, payload)
        }))
        .await;
    assert!(matches!(client.next().await, Packet::PubAck(_)));
}

async fn offline(node: &TestNode, name: &str, filter: &str) {
    let (mut client, _) = node.connect_with(durable(V5, name)).await;
    client.subscribe(filter, QoS::AtLeastOnce).await;
    let online = node.snapshot().await.sessions.online;
    drop(client);
    node.until_online(online - 1).await;
}

#[test]
fn clients_and_sessions_are_listed_filtered_and_sorted() {
    on_nodes(settings(), async |node| {
        let admin = Admin::of(node);
        assert_eq!(admin.get("/api/v1/clients")["items"], serde_json::json!([]));
        offline(node, "away", "news").await;
        let mut first = node.connect(V5, "a 1/x").await;
        let _second = node.connect(V311, "a2").await;
        let _third = node.connect(V5, "b").await;
        for filter in ["t/1", "t/2", "news"] {
            first.subscribe(filter, QoS::ExactlyOnce).await;
        }
        first.send(Packet::Publish(publish("news", QoS::AtLeastOnce, "hello"))).await;
        first.expect_payload("hello").await;
        let column = |query: &str| admin.column(&format!("/api/v1/{query}"), "client_identifier");
        assert_eq!(column("clients"), ["a 1/x", "a2", "b"]);
        assert_eq!(column("sessions"), ["a 1/x", "a2", "away", "b"]);
        assert_eq!(column("sessions?online=false"), ["away"]);
        assert_eq!(column("sessions?prefix=a&order=desc"), ["away", "a2", "a 1/x"]);
        assert_eq!(column("clients?sort=subscriptions&order=desc&limit=1"), ["a 1/x"]);
        assert_eq!(column("clients?client_identifier=b&client_identifier=a2"), ["a2", "b"]);
        assert_eq!(column("clients?protocol_version=3.1.1"), ["a2"]);
        assert_eq!(column("sessions?durable=true"), ["away"]);
        assert_eq!(column("sessions?queued_min=1&online=false"), ["away"]);
        for limit in 1..=4 {
            let all = admin.column_of_all(&format!("/api/v1/sessions?limit={limit}"), "client_identifier");
            assert_eq!(all, ["a 1/x", "a2", "away", "b"], "{limit}");
            let by_other = format!("/api/v1/sessions?sort=subscriptions&order=desc&limit={limit}");
            let all = admin.column_of_all(&by_other, "client_identifier");
            assert_eq!(all, ["a 1/x", "away", "b", "a2"], "{limit}");
        }
        let one = admin.get("/api/v1/clients/a%201%2Fx");
        assert_eq!((&one["protocol_version"], &one["subscriptions"]), (&"5.0".into(), &3.into()), "{one}");
        let away = admin.get("/api/v1/clients/away");
        assert_eq!(
            (&away["online"], &away["queued"], &away["matched"]),
            (&false.into(), &1.into(), &1.into())
        );
        assert!(away["expires_in_seconds"].as_f64().is_some_and(|seconds| seconds > 3000.0), "{away}");
    });
}

#[test]
fn subscriptions_groups_and_topics_are_listed() {
    on_nodes(settings(), async |node| {
        let admin = Admin::of(node);
        let mut first = node.connect(V5, "one").await;
        for filter in ["a/+", "a/b", "#", "$share/g/a/#", "x/y/z"] {
            first.subscribe(filter, QoS::AtLeastOnce).await;
        }
        let mut second = node.connect(V5, "two").await;
        for filter in ["$share/g/a/#", "x/+"] {
            second.subscribe(filter, QoS::AtMostOnce).await;
        }
        offline(node, "away", "$share/h/a/b").await;
        // Nobody is there to take it: it waits in its group.
        second.send(Packet::Publish(publish("a/b", QoS::AtLeastOnce, "waits"))).await;
        node.settle().await;
        let filters = |query: &str| admin.column(&format!("/api/v1/subscriptions{query}"), "filter");
        assert_eq!(filters("?client_identifier=two"), ["$share/g/a/#", "x/+"]);
        assert_eq!(filters("?matches=a%2Fb&client_identifier=one"), ["#", "$share/g/a/#", "a/+", "a/b"]);
        assert_eq!(filters("?matches=q"), ["#"]);
        assert_eq!(filters("?sort=filter&prefix=x&order=desc"), ["x/y/z", "x/+"]);
        assert_eq!(filters("?share=h"), ["$share/h/a/b"]);
        assert_eq!(filters("?shared=true&qos=0"), ["$share/g/a/#"]);
        assert_eq!(admin.column_of_all("/api/v1/subscriptions?limit=3", "filter").len(), 8);

        let groups = admin.get("/api/v1/groups?sort=members&order=desc");
        let seen: Vec<_> = groups["items"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|group| {
                (group["full_filter"].as_str(), group["members"].as_u64(), group["members_online"].as_u64())
            })
            .collect();
        let expected = [(Some("$share/g/a/#"), Some(2), Some(2)), (Some("$share/h/a/b"), Some(1), Some(0))];
        assert_eq!(seen, expected);
        assert_eq!(admin.column("/api/v1/groups?queued_min=1", "share"), ["h"]);

        let mut publisher = node.connect(V5, "publisher").await;
        retain(&mut publisher, "a/kept", "1").await;
        retain(&mut publisher, "x/y", "22").await;
        let topics = |query: &str| admin.column(&format!("/api/v1/topics{query}"), "topic");
        assert_eq!(topics(""), ["#", "a/#", "a/+", "a/b", "a/kept", "x/+", "x/y", "x/y/z"]);
        assert_eq!(topics("?retained=true"), ["a/kept", "x/y"]);
        assert_eq!(topics("?wildcard=true&prefix=a"), ["a/#", "a/+"]);
        assert_eq!(topics("?sort=subscriptions&order=desc&limit=2"), ["a/b", "a/#"]);
        for order in ["asc", "desc"] {
            let all = admin.column_of_all(&format!("/api/v1/topics?limit=3&order={order}"), "topic");
            assert_eq!(all.len(), 8, "{all:?}");
        }
        let level = |query: &str| admin.column(&format!("/api/v1/topics/tree{query}"), "level");
        assert_eq!(level(""), ["#", "a", "x"]);
        assert_eq!(level("?parent=x"), ["+", "y"]);
        let y = &admin.get("/api/v1/topics/tree?parent=x")["items"][1];
        let counts = ["subscriptions", "subscriptions_below", "retained_below"].map(|name| y[name].as_u64());
        assert_eq!((counts, &y["has_children"]), ([Some(0), Some(1), Some(1)], &true.into()), "{y}");

        let retained = |query: &str| admin.column(&format!("/api/v1/retained{query}"), "topic");
        assert_eq!(retained(""), ["a/kept", "x/y"]);
        assert_eq!(retained("?filter=x%2F%23"), ["x/y"]);
        assert_eq!(admin.column_of_all("/api/v1/retained?limit=1", "topic"), ["a/kept", "x/y"]);
    });
}

/// However many subscriptions one client has, pages show each of them once.
#[test]
fn many_subscriptions_are_listed_once_each() {
    on_nodes(settings(), async |node| {
        let admin = Admin::of(node);
        let mut client = node.connect(V5, "many").await;
        let names: Vec<String> = (0..2000).map(|number| format!("t/{number:04}")).collect();
        let shared: Vec<String> = (0..600).map(|number| format!("$share/g/{number:04}")).collect();
        for part in names.chunks(500).chain(shared.chunks(300)) {
            let filters: Vec<_> = part.iter().map(|name| (name.as_str(), options(QoS::AtMostOnce))).collect();
            let identifier = client.next_identifier();
            client.send(Packet::Subscribe(subscribe_packet(identifier, &filters))).await;
            assert!(matches!(client.next().await, Packet::SubAck(_)));
        }
        let mut expected = [shared, names].concat();
        assert_eq!(admin.column_of_all("/api/v1/subscriptions?limit=700", "filter"), expected);
        expected.reverse();
        let all = admin.column_of_all("/api/v1/subscriptions?limit=900&sort=filter&order=desc", "filter");
        assert_eq!(all, expected);
        assert_eq!(admin.column_of_all("/api/v1/groups?limit=250", "full_filter").len(), 600);
    });
}

#[test]
fn the_node_its_listeners_and_actors_are_listed() {
    on_nodes(settings(), async |node| {
        let admin = Admin::of(node);
        let _client = node.connect(V5, "x").await;
        let nodes = admin.get("/api/v1/nodes");
        let own = &nodes["items"][0];
        assert_eq!((&own["ready"], &own["sessions_online"]), (&true.into(), &1.into()), "{nodes}");
        assert_eq!(own["workers"], node.shared().peers.len(), "{nodes}");
        assert_eq!(admin.column("/api/v1/listeners?name=tcp", "address"), [node.address().to_string()]);
        let tries = admin.get("/api/v1/actors?kind=topic_trie");
        assert_eq!(tries["items"].as_array().map(Vec::len), Some(node.shared().peers.len()), "{tries}");
        assert_eq!(admin.column("/api/v1/actors?kind=retained", "kind"), ["retained"]);
        assert_eq!(admin.get("/api/v1/ledger")["balanced"], true);
    });
}
