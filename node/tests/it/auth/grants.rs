//! How long what a provider allows lasts: grants that end, notices, permissions with a time to live.

use auth_actor::{Notice, Outcome, QuestionKind};
use mqtt_codec::ProtocolVersion::{V5, V31, V311};
use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce};
use mqtt_codec::{Connect, Packet, ProtocolVersion, ReasonCode};

use super::scripted::{Asking, PATIENT_MS, on_asking_nodes, user};
use super::{auth, auth_data, refused, scram_connect};
use crate::harness::{Client, durable, will};

const METHOD: &str = "proof";

/// With a will that says `name`.
fn leaver(version: ProtocolVersion, name: &str, user_name: &str) -> Connect {
    let connect = Connect { user_name: Some(user_name.to_owned()), ..durable(version, name) };
    Connect { will: Some(will("wills", AtMostOnce, name)), ..connect }
}

async fn watcher(asking: &Asking) -> Client {
    let mut watcher = asking.node.connect_with(user(V5, "watcher", "ann")).await.0;
    watcher.subscribe("wills", AtMostOnce).await;
    watcher
}

async fn expect_not_authorized(mut client: Client, version: ProtocolVersion) {
    if version == V5 {
        client.expect_disconnect(ReasonCode::NotAuthorized).await;
    }
    client.expect_closed().await;
}

/// One whose grant ends is told 0x87, its will is published, and its session is there when it comes back.
#[test]
fn a_network_connection_ends_with_its_grant() {
    on_asking_nodes(PATIENT_MS, async |asking| {
        let node = &asking.node;
        let mut watcher = watcher(asking).await;
        for (version, name) in [(V31, "three"), (V311, "four"), (V5, "five")] {
            let client = node.connect_with(leaver(version, name, "7 for 1500")).await.0;
            expect_not_authorized(client, version).await;
            watcher.expect_payload(name).await;
            let back = Connect { clean_start: false, ..leaver(version, name, "ann") };
            let (client, answer) = node.connect_with(back).await;
            assert_eq!(answer.session_present, version != V31);
            client.disconnect().await;
            refused(node, user(version, "late", "7 for 0"), ReasonCode::NotAuthorized).await;
        }
        node.until_counters([("grants_expired", 3)]).await;
        let mut lasting = node.connect_with(user(V5, "lasting", "7 for ever")).await.0;
        lasting.ping().await;
    });
}

async fn prove(client: &mut Client, reason: ReasonCode, what: &str) {
    if reason == ReasonCode::ReAuthenticate {
        client.send(auth(reason, METHOD, Vec::new())).await;
    }
    auth_data(client, ReasonCode::ContinueAuthentication, METHOD).await;
    client.send(auth(ReasonCode::ContinueAuthentication, METHOD, what.into())).await;
}

/// What a client proves anew takes the place of what it proved before, be it longer, shorter, or without an end.
#[test]
fn a_grant_is_replaced_by_re_authentication() {
    on_asking_nodes(PATIENT_MS, async |asking| {
        let node = &asking.node;
        let connect = || Packet::Connect(Box::new(scram_connect(METHOD, Vec::new())));
        let mut client = node.open(V5).await;
        client.send(connect()).await;
        prove(&mut client, ReasonCode::Success, "1 for 600000").await;
        assert_eq!(client.expect_connack().await.reason_code, ReasonCode::Success);
        for next in ["2 for 60000", "3 for 900000", "4 for ever"] {
            prove(&mut client, ReasonCode::ReAuthenticate, next).await;
            auth_data(&mut client, ReasonCode::Success, METHOD).await;
            // What it is allowed goes by the grant that it has now.
            let asked = client.publish(&format!("granted/{next}"), AtLeastOnce, "m").await;
            assert_eq!(asked, ReasonCode::NoMatchingSubscribers);
        }
        assert_eq!(client.publish("granted/1 for 600000", AtLeastOnce, "m").await, ReasonCode::NotAuthorized);
        asking.script.give_notice(Notice::Grant(3)).await;
        prove(&mut client, ReasonCode::ReAuthenticate, "5 for 300").await;
        auth_data(&mut client, ReasonCode::Success, METHOD).await;
        expect_not_authorized(client, V5).await;
        node.until_counters([("grants_expired", 1), ("connections_withdrawn", 0)]).await;
    });
}

/// Those whom a provider withdraws are told 0x87 and their wills are published; nobody else notices.
#[test]
fn a_provider_ends_network_connections() {
    on_asking_nodes(PATIENT_MS, async |asking| {
        let node = &asking.node;
        let mut watcher = watcher(asking).await;
        let mut stay = Vec::new();
        for (name, user_name) in [("a", "bob"), ("b", "7 for ever"), ("c", "8 for 600000")] {
            stay.push(node.connect_with(leaver(V5, name, user_name)).await.0);
        }
        let mut withdrawn = Vec::new();
        for (version, name, user_name) in
            [(V5, "d", "eve"), (V311, "e", "eve"), (V5, "f", "9 for ever"), (V31, "g", "9 for 600000")]
        {
            withdrawn.push((version, node.connect_with(leaver(version, name, user_name)).await.0));
        }
        asking.script.give_notice(Notice::User("eve".to_owned())).await;
        asking.script.give_notice(Notice::Grant(9)).await;
        for (version, client) in withdrawn {
            expect_not_authorized(client, version).await;
        }
        let mut wills = Vec::new();
        for _ in 0..4 {
            wills.push(watcher.expect_publish().await.payload);
        }
        wills.sort();
        assert_eq!(wills, ["d", "e", "f", "g"]);
        for client in &mut stay {
            client.ping().await;
        }
        node.until_counters([("connections_withdrawn", 4)]).await;
        // Who is let in anew is the provider's affair.
        node.connect_with(user(V5, "d", "eve")).await.0.ping().await;
    });
}

/// An answer that was asked for before a notice, and comes behind it, lets nobody in whom that is about.
#[test]
fn an_answer_from_before_a_notice_does_not_count() {
    on_asking_nodes(PATIENT_MS, async |asking| {
        let node = &asking.node;
        let mut connecting = Vec::new();
        for (name, user_name) in [("a", "held"), ("b", "held/other")] {
            let mut client = node.open(V5).await;
            client.send(Packet::Connect(Box::new(user(V5, name, user_name)))).await;
            connecting.push(client);
        }
        asking.until_waiting(2).await;
        node.until("both are held", |_| asking.script.held() == 2).await;
        asking.script.give_notice(Notice::User("held".to_owned())).await;
        node.until("the notice is heard", |_| node.shared().withdrawals.rounds() == 1).await;
        asking.script.answer_held(true);
        for (client, expected) in connecting.iter_mut().zip([ReasonCode::NotAuthorized, ReasonCode::Success])
        {
            assert_eq!(client.expect_connack().await.reason_code, expected);
        }
    });
}

/// A verdict is remembered for its time to live; the packet that waits for it is served in any case.
#[test]
fn permissions_have_a_time_to_live() {
    on_asking_nodes(PATIENT_MS, async |asking| {
        let asked = || asking.node.shared().asking.outcomes().of(QuestionKind::Permission, Outcome::Allowed);
        let mut client = asking.node.connect_with(user(V5, "client", "ann")).await.0;
        for (topic, questions) in [("brief/x", 3), ("lasting/x", 1), ("x", 1)] {
            let before = asked();
            for _ in 0..3 {
                let answer = client.publish(topic, AtLeastOnce, "m").await;
                assert_eq!(answer, ReasonCode::NoMatchingSubscribers);
            }
            assert_eq!(asked() - before, questions, "{topic}");
        }
    });
}

/// So has the permission to publish a will: it is judged anew when it is due.
#[test]
fn wills_are_judged_anew_behind_their_time_to_live() {
    on_asking_nodes(PATIENT_MS, async |asking| {
        let node = &asking.node;
        let asked = || node.shared().asking.outcomes().of(QuestionKind::Permission, Outcome::Allowed);
        let mut watcher = node.connect_with(user(V5, "watcher", "ann")).await.0;
        watcher.subscribe("#", AtMostOnce).await;
        for (topic, questions) in [("brief/will", 2), ("lasting/will", 1)] {
            let before = asked();
            let connect = Connect { will: Some(will(topic, AtMostOnce, topic)), ..user(V5, "leaver", "bob") };
            node.connect_with(connect).await.0.vanish().await;
            watcher.expect_payload(topic).await;
            assert_eq!(asked() - before, questions, "{topic}");
        }
    });
}
