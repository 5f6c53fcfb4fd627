//! What a piece of routing costs at most.

use std::sync::Arc;

use mqtt_codec::{ProtocolVersion, QoS};

use super::workers::Workers;
use crate::matching::{Subscriber, Trie};
use crate::message::Batch;
use crate::moment::Moment;
use crate::routing::Route;
use crate::settings::Settings;
use crate::testing::{online, options, publication};
use crate::topics::router::{Progress, Router};

const BUDGET: usize = 100;

/// One client whose filters all match what another sends again and again, and copies are not merged: a piece of work
/// makes no more copies than it may, however many messages stand in a row, and the others come in the next pieces.
#[test]
fn many_filters_of_one_session() {
    const FILTERS: usize = 250;
    const MESSAGES: usize = 64;
    let mut workers = Workers::with_tries(Settings::default());
    let now = workers.now;
    let worker = workers.own();
    let session = worker.sessions.create("client", ProtocolVersion::V311);
    session.online = Some(online(ProtocolVersion::V311));
    let session = session.key;
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

    let mut router = Router::new(1);
    let room = worker.way().inbound.enter(batch.weight(worker.id, true));
    let route = Route { batch: Arc::new(batch), home: true, sent_at: None, room, passage: None };
    let mut current = router.begin(route);
    let mut made = 0;
    let mut pieces = 0;
    loop {
        let progress = router.go_on(worker, &mut current, &trie, &mut BUDGET.clone(), now);
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
    assert_eq!(worker.way().inbound.waiting(), 0, "it is dealt with");
}
