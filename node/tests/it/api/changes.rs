//! What operators change.

use mqtt_codec::ProtocolVersion::V5;
use mqtt_codec::{Packet, QoS, ReasonCode};

use super::Admin;
use crate::harness::{durable, on_nodes, publish, settings, will};

#[test]
fn clients_are_disconnected_one_or_by_conditions_after_a_count() {
    on_nodes(settings(), async |node| {
        let admin = Admin::of(node);
        let mut watcher = node.connect(V5, "watcher").await;
        watcher.subscribe("gone", QoS::AtMostOnce).await;
        let mut connect = durable(V5, "one");
        connect.will = Some(will("gone", QoS::AtMostOnce, "one is gone"));
        let (mut one, _) = node.connect_with(connect).await;
        assert_eq!(admin.send("DELETE", "/api/v1/clients/one", "").status, 204);
        one.expect_disconnect(ReasonCode::AdministrativeAction).await;
        watcher.expect_payload("one is gone").await;
        admin.send("DELETE", "/api/v1/clients/one", "").problem(409);
        admin.send("DELETE", "/api/v1/clients/nobody", "").problem(404);
        assert_eq!(admin.get("/api/v1/clients/one")["online"], false);

        let mut many = Vec::new();
        for number in 0..5 {
            many.push(node.connect(V5, &format!("many-{number}")).await);
        }
        let kick = |body: &str| admin.send("POST", "/api/v1/kick", body);
        kick("{}").problem(422);
        kick(r#"{"dry_run": false}"#).problem(422);
        kick(r#"{"colour": "blue"}"#).problem(422);
        kick(r#"{"prefix""#).problem(400);
        assert_eq!(kick(r#"{"prefix": "many-"}"#).json()["count"], 5);
        many[0].ping().await;
        assert_eq!(kick(r#"{"prefix": "many-", "dry_run": false}"#).json()["count"], 5);
        for client in &mut many {
            client.expect_disconnect(ReasonCode::AdministrativeAction).await;
        }
        watcher.ping().await;
    });
}

#[test]
fn sessions_are_discarded_online_and_offline() {
    on_nodes(settings(), async |node| {
        let admin = Admin::of(node);
        for is_online in [false, true] {
            let (mut client, _) = node.connect_with(durable(V5, "it")).await;
            client.subscribe("t", QoS::AtLeastOnce).await;
            let client = Some(client).filter(|_| is_online);
            node.until_online(usize::from(is_online)).await;
            assert_eq!(admin.send("DELETE", "/api/v1/sessions/it", "").status, 204);
            if let Some(mut client) = client {
                client.expect_disconnect(ReasonCode::AdministrativeAction).await;
            }
            node.until("the session is gone", |seen| seen.sessions.sessions == 0).await;
            admin.send("DELETE", "/api/v1/sessions/it", "").problem(404);
            let (client, answer) = node.connect_with(durable(V5, "it")).await;
            assert!(!answer.session_present);
            drop(client);
            node.until_online(0).await;
            assert_eq!(admin.send("DELETE", "/api/v1/sessions/it", "").status, 204);
        }
    });
}

#[test]
fn clients_are_subscribed_and_unsubscribed_and_messages_published() {
    on_nodes(settings(), async |node| {
        let admin = Admin::of(node);
        let mut client = node.connect(V5, "c/1").await;
        let path = "/api/v1/clients/c%2F1/subscriptions";
        let subscribed = admin.send("POST", path, r#"{"filter": "a/+", "qos": 1}"#).json();
        assert_eq!(subscribed, serde_json::json!({"filter": "a/+", "qos": 1, "replaced": false}));
        let subscribed = admin.send("POST", path, r#"{"filter": "$share/g/b"}"#).json();
        assert_eq!(subscribed["replaced"], false);
        for wrong in [r#"{"filter": "a#"}"#, r#"{"filter": "a", "qos": 3}"#, "{}", r#"{"filter": ""}"#] {
            admin.send("POST", path, wrong).problem(422);
        }
        admin.send("POST", "/api/v1/clients/nobody/subscriptions", r#"{"filter": "a"}"#).problem(404);

        let message = r#"{"topic": "a/b", "payload": "hello", "qos": 1}"#;
        let published = admin.send("POST", "/api/v1/messages", message).json();
        assert_eq!(
            (&published["matched"], &published["subscribers"][0]["filter"]),
            (&1.into(), &"a/+".into())
        );
        let got = client.take_payload("hello").await;
        assert_eq!((got.topic.as_str(), got.qos), ("a/b", QoS::AtLeastOnce));
        admin.send("POST", "/api/v1/messages", r#"{"topic": "b", "payload_base64": "aGk="}"#).json();
        client.expect_payload("hi").await;
        for wrong in [
            r#"{"topic": "a/#"}"#,
            r#"{"topic": "a", "qos": 3}"#,
            r#"{"topic": "a", "payload": "x", "payload_base64": "eA=="}"#,
            r#"{"topic": "a", "payload_base64": "!"}"#,
        ] {
            admin.send("POST", "/api/v1/messages", wrong).problem(422);
        }

        assert_eq!(admin.send("DELETE", &format!("{path}?filter=a%2F%2B"), "").status, 204);
        admin.send("DELETE", &format!("{path}?filter=a%2F%2B"), "").problem(404);
        admin.send("DELETE", path, "").problem(400);
        let published = admin.send("POST", "/api/v1/messages", message).json();
        assert_eq!(published["matched"], 0);
        client.expect_nothing().await;
        assert_eq!(admin.column("/api/v1/subscriptions", "filter"), ["$share/g/b"]);
    });
}

#[test]
fn retained_messages_are_read_and_deleted() {
    on_nodes(settings(), async |node| {
        let admin = Admin::of(node);
        for number in 0..150 {
            let body = format!(r#"{{"topic": "r/{number:03}", "payload": "{number}", "retain": true}}"#);
            assert_eq!(admin.send("POST", "/api/v1/messages", &body).status, 200);
        }
        let message = admin.get("/api/v1/retained/message?topic=r%2F007");
        assert_eq!((&message["payload"], &message["payload_base64"]), (&"7".into(), &"Nw==".into()));
        assert_eq!(admin.send("DELETE", "/api/v1/retained/message?topic=r%2F007", "").status, 204);
        admin.send("DELETE", "/api/v1/retained/message?topic=r%2F007", "").problem(404);
        admin.send("GET", "/api/v1/retained/message?topic=r%2F007", "").problem(404);
        let delete = |body: &str| admin.send("POST", "/api/v1/retained/delete", body);
        delete(r#"{"filter": "r#"}"#).problem(422);
        assert_eq!(delete(r#"{"filter": "r/#"}"#).json()["count"], 149);
        assert_eq!(delete(r#"{"filter": "r/#", "dry_run": false}"#).json()["count"], 149);
        assert_eq!(delete(r#"{"filter": "r/#"}"#).json()["count"], 0);
        assert!(node.shared().retained_messages.is_empty());
    });
}

/// What is published by hand outlasts nothing that a client's message would not, and is in the ledger.
#[test]
fn what_is_published_waits_for_who_is_away() {
    on_nodes(settings(), async |node| {
        let admin = Admin::of(node);
        let (mut client, _) = node.connect_with(durable(V5, "away")).await;
        client.subscribe("t", QoS::AtLeastOnce).await;
        drop(client);
        node.until_online(0).await;
        let body = r#"{"topic": "t", "payload": "kept", "qos": 2}"#;
        assert_eq!(admin.send("POST", "/api/v1/messages", body).json()["matched"], 1);
        node.balanced_ledger().await;
        assert_eq!(admin.get("/api/v1/clients/away")["queued"], 1);
        let mut client = node.resume(durable(V5, "away")).await;
        client.take_payload("kept").await;
        // No client's own message either, though it was published by nobody.
        client.send(Packet::Publish(publish("t", QoS::AtMostOnce, "own"))).await;
        client.expect_payload("own").await;
    });
}

/// A web page of elsewhere can make a browser ask, but not as if it was of here.
#[test]
fn web_pages_of_other_origins_are_refused() {
    on_nodes(settings(), async |node| {
        let admin = Admin::of(node);
        let with_origin = |origin: &str| {
            let header = format!("origin: {origin}\r\n");
            admin.send_with("POST", "/api/v1/messages", &header, r#"{"topic": "t"}"#)
        };
        with_origin("http://evil.example").problem(403);
        with_origin("null").problem(403);
        assert_eq!(with_origin("http://127.0.0.1:18083").status, 200);
        assert_eq!(with_origin("http://localhost").status, 200);
        admin.send_with("POST", "/api/v1/messages", "content-type: text/plain\r\n", "").problem(415);
    });
}
