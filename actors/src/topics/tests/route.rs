//! What a piece of routing costs at most.

use std::rc::Rc;
use std::sync::Arc;

use auth_actor::{AuthSettings, Provider, ProviderKind};
use micro_mq_core::homes::{Homes, drawn_key};
use micro_mq_core::matching::{Subscriber, Trie};
use micro_mq_core::message::Batch;
use micro_mq_core::moment::Moment;
use micro_mq_core::settings::Settings;
use micro_mq_core::testing::{online, options, publication};
use mqtt_codec::{ProtocolVersion, QoS};

use crate::clock;
use crate::node::shared;
use crate::topics::messages::Route;
use crate::topics::route::{Progress, Router};
use crate::worker::Worker;

const BUDGET: usize = 100;

fn worker() -> Rc<Worker> {
    let auth = AuthSettings { provider: ProviderKind::Mock, mock_allow: true, ..AuthSettings::default() };
    let provider = Provider::from_settings(&auth).unwrap();
    Worker::new(
        0,
        Arc::new(shared(Settings::default(), &auth, &provider, Homes::new(&drawn_key(), 1), Vec::new())),
    )
}

/// One client whose filters all match what another sends again and again, and copies are not merged: a piece of work
/// makes no more copies than it may, however many messages stand in a row, and the others come in the next pieces.
#[test]
fn many_filters_of_one_session() {
    const FILTERS: usize = 250;
    const MESSAGES: usize = 64;
    let worker = worker();
    let session = {
        let mut sessions = worker.sessions.borrow_mut();
        let session = sessions.create("client", ProtocolVersion::V311);
        session.online = Some(online(ProtocolVersion::V311));
        session.key
    };
    let mut trie = Trie::default();
    let topic = "a/b/c/d/e/f/g/h";
    for mask in 0..FILTERS {
        let levels = topic.split('/').enumerate();
        let levels: Vec<_> =
            levels.map(|(at, level)| if mask >> at & 1 == 1 { "+" } else { level }).collect();
        trie.insert(
            &levels.join("/").into(),
            Subscriber {
                session,
                identifier: 0,
                options: options(QoS::AtMostOnce),
                since: Moment::default(),
            },
        );
    }
    let mut batch = Batch::default();
    for _ in 0..MESSAGES {
        batch.push(&publication(topic, "x", QoS::AtMostOnce), None);
    }
    batch.items_mut().iter_mut().for_each(|item| item.workers = 1);
    batch.stamp = worker.node.order.stamp();

    let mut router = Router::new(Rc::clone(&worker));
    let room = worker.peer().inbound.enter(batch.weight(worker.id, true));
    let route = Route { batch: Arc::new(batch), home: true, sent_at: None, room, passage: None };
    let mut current = router.begin(route);
    let mut made = 0;
    let mut pieces = 0;
    loop {
        let progress = router.go_on(&mut current, &trie, &mut BUDGET.clone(), clock::now());
        let copies = worker.ledger.matched.get() - made;
        assert!(copies <= BUDGET as u64, "{copies} copies by one piece of work");
        made += copies;
        pieces += 1;
        assert!(pieces <= 2 * MESSAGES * FILTERS, "it goes on");
        if progress == Progress::Done {
            break;
        }
    }
    assert_eq!(made, (MESSAGES * FILTERS) as u64);
    assert_eq!(worker.peer().inbound.waiting(), 0, "it is dealt with");
}
