//! A provider that hangs costs those who ask it, and nobody else.

use std::time::Instant;

use auth_actor::{AuthSettings, Outcome, ProviderKind, QuestionKind};
use micro_mq_actors::Readiness;
use mqtt_codec::ProtocolVersion::{V5, V311};
use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce};
use mqtt_codec::{Packet, ReasonCode};

use super::refused;
use super::scripted::{Asking, PATIENT_MS, on_asking_nodes, user};
use crate::harness::{
    Client, DEADLINE, TestNode, connect, identifier, numbered, options, settings, subscribe_packet, will,
};

/// Clients that wait for an answer each in its own way, and keep the provider hanging.
async fn hang(asking: &Asking, name: &str) -> Vec<Client> {
    let mut clients = Vec::new();
    let topic = format!("{name}/x");
    let mut publisher = asking.node.connect(V5, "publisher").await;
    let mut subscriber = asking.node.connect(V311, "subscriber").await;
    publisher.send(numbered(1, &topic, AtLeastOnce)).await;
    clients.push(publisher);
    let filters = [(&*topic, options(AtMostOnce))];
    subscriber.send(Packet::Subscribe(subscribe_packet(identifier(1), &filters))).await;
    clients.push(subscriber);
    let mut newcomer = asking.node.open(V5).await;
    newcomer.send(Packet::Connect(Box::new(user(V5, "newcomer", name)))).await;
    clients.push(newcomer);
    let mut willing = asking.node.open(V5).await;
    let mut connect = connect(V5, "willing");
    connect.will = Some(will(&topic, AtMostOnce, "w"));
    willing.send(Packet::Connect(Box::new(connect))).await;
    clients.push(willing);
    asking.until_waiting(clients.len()).await;
    clients
}

/// What an operator looks at.
async fn look(node: &TestNode) {
    let admin = node.running().admin_source();
    assert_eq!(admin.readiness(), Readiness::Ready);
    let seen = actix_rt::time::timeout(DEADLINE, async {
        admin.ledger().await.unwrap();
        admin.client_ledger("publisher".to_owned()).await.unwrap().expect("its session");
        admin.prometheus().await.unwrap()
    });
    let page = seen.await.expect("figures in time");
    assert!(page.contains("micro_mq_auth_questions_waiting 4\n"), "{page}");
}

/// Others connect, publish and subscribe, reloads take place, and all figures are given out.
#[test]
fn others_go_on() {
    on_asking_nodes(PATIENT_MS, async |asking| {
        let mut ann = asking.node.connect(V5, "ann").await;
        let clients = hang(asking, "hangs").await;
        for round in 0..3 {
            look(&asking.node).await;
            ann.subscribe("a/+", AtLeastOnce).await;
            let mut bob = asking.node.connect_with(user(V5, "bob", "bob")).await.0;
            let topic = format!("a/{round}");
            assert_eq!(bob.publish(&topic, AtLeastOnce, "m").await, ReasonCode::Success);
            ann.expect_payload("m").await;
            bob.disconnect().await;
            asking.reload().await;
        }
        drop(clients);
    });
}

/// The same while a provider holds up its thread, which no answer of it may: those who ask are told no in time; whoever
/// need not ask, and all that is not asked of the provider, goes on.
#[test]
fn a_provider_that_blocks_its_thread_costs_who_asks() {
    on_asking_nodes(1000, async |asking| {
        let mut ann = asking.node.connect(V5, "ann").await;
        let mut bob = asking.node.connect(V5, "bob").await;
        ann.subscribe("a", AtLeastOnce).await;
        bob.publish("a", AtLeastOnce, "m").await;
        ann.expect_payload("m").await;
        let mut publisher = asking.node.connect(V5, "publisher").await;
        publisher.send(numbered(1, "blocks/x", AtLeastOnce)).await;
        // Allowed a moment ago, and under the same rules.
        asking.until_waiting(1).await;
        assert_eq!(bob.publish("a", AtLeastOnce, "m").await, ReasonCode::Success);
        ann.expect_payload("m").await;
        let admin = asking.node.running().admin_source();
        assert!(admin.prometheus().await.unwrap().contains("micro_mq_auth_questions_waiting 1\n"));
        admin.ledger().await.unwrap();
        let Packet::PubAck(ack) = publisher.next().await else { panic!("no PUBACK") };
        assert_eq!(ack.reason_code, ReasonCode::NotAuthorized);
        refused(&asking.node, user(V5, "carol", "carol"), ReasonCode::ServerUnavailable).await;
        assert_eq!(bob.publish("b", AtLeastOnce, "m").await, ReasonCode::NotAuthorized);
        asking.script.unblock();
        asking.until_waiting(0).await;
        assert_eq!(bob.publish("b", AtLeastOnce, "m").await, ReasonCode::NoMatchingSubscribers);
    });
}

/// A shutdown waits for no answer: clients are told, and the threads end, but for the one that is held up.
#[test]
fn a_shutdown_waits_for_no_answer() {
    for name in ["hangs", "blocks"] {
        actix_rt::System::new().block_on(async {
            let asking = Asking::start(3, PATIENT_MS).await;
            let ann = asking.node.connect(V5, "ann").await;
            let mut clients = hang(&asking, name).await;
            clients.push(ann);
            let script = asking.script;
            let began = Instant::now();
            let grace = 2 * DEADLINE;
            let readers = clients.into_iter().map(|mut client| {
                actix_rt::spawn(async move {
                    // They go when they are told to.
                    while client.next_or_end().await.is_some() {}
                })
            });
            let readers: Vec<_> = readers.collect();
            let report = asking.node.into_running().shutdown(grace).await;
            assert_eq!(report.connections_cut, 0);
            assert!(began.elapsed() < grace, "{:?}", began.elapsed());
            for reader in readers {
                reader.await.unwrap();
            }
            script.unblock();
        });
    }
}

/// A network connection that ends while it waits takes its question back: who comes again and again leaves one.
#[test]
fn a_question_ends_with_its_network_connection() {
    const TIMES: u64 = 20;
    on_asking_nodes(PATIENT_MS, async |asking| {
        let mut clients = Vec::new();
        for _ in 0..TIMES {
            let mut client = asking.node.connect(V5, "client").await;
            asking.until_waiting(0).await;
            client.send(numbered(1, "hangs/x", AtLeastOnce)).await;
            asking.until_waiting(1).await;
            clients.push(client);
        }
        let outcomes = asking.node.shared().asking.outcomes();
        assert_eq!(outcomes.of(QuestionKind::Permission, Outcome::Withdrawn), TIMES - 1);
    });
}

/// Thirty thousand rules and a SUBSCRIBE with thousands of filters, each of which is compared with all of them: others
/// are judged beside it, and hear before it does.
#[test]
fn a_subscribe_with_very_much_to_judge_holds_up_nobody() {
    const RULES: usize = 30_000;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.toml");
    let rule =
        |number| format!("[[rule]]\npermission = \"allow\"\naction = \"all\"\ntopic = \"t/{number}\"\n");
    let rules: String = (0..RULES).map(rule).collect();
    std::fs::write(&file, rules + &super::user("ann")).unwrap();
    let auth = AuthSettings {
        provider: ProviderKind::File,
        file: Some(file),
        answer_timeout_ms: PATIENT_MS,
        ..AuthSettings::default()
    };
    actix_rt::System::new().block_on(async {
        let node = TestNode::start_with(2, settings(), auth).await;
        let login = |name| super::login(connect(V5, name), "ann", super::PASSWORD);
        let mut greedy = node.connect_with(login("greedy")).await.0;
        let mut modest = node.connect_with(login("modest")).await.0;
        let names: Vec<_> = (0..8000).map(|number| format!("none/{number}")).collect();
        let filters: Vec<_> = names.iter().map(|name| (&**name, options(AtMostOnce))).collect();
        greedy.send(Packet::Subscribe(subscribe_packet(identifier(1), &filters))).await;
        node.until("it is asked for", |seen| seen.auth_waiting == 1).await;
        for number in [0, RULES / 2, RULES - 1] {
            let topic = format!("t/{number}");
            let answer = modest.publish(&topic, AtLeastOnce, "m").await;
            assert_eq!(answer, ReasonCode::NoMatchingSubscribers);
        }
        assert_eq!(modest.publish("none/1", AtLeastOnce, "m").await, ReasonCode::NotAuthorized);
        node.until("240,000,000 comparisons are many more", |seen| seen.auth_waiting == 1).await;
        let again = node.connect_with(login("greedy")).await.0;
        greedy.expect_disconnect(ReasonCode::SessionTakenOver).await;
        node.until("it is withdrawn", |seen| seen.auth_waiting == 0).await;
        drop(again);
        node.stop().await;
    });
}
