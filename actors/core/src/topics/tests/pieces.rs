//! What a piece of routing costs at most.

use std::sync::Arc;

use mqtt_codec::ProtocolVersion;
use mqtt_codec::QoS::{self, AtLeastOnce};

use super::workers::Workers;
use crate::ids::{CopyId, SessionKey};
use crate::ledger::DropReason;
use crate::matching::{Subscriber, Trie};
use crate::message::{Batch, StoredMessage};
use crate::moment::Moment;
use crate::queue::{Identifiers, Queued};
use crate::routing::Route;
use crate::session::Outgoing;
use crate::settings::Settings;
use crate::testing::{online, options, publication};
use crate::topics::router::{Progress, Router};

const BUDGET: usize = 100;
/// Messages that wait for one client, or in one group.
const VERY_MANY: usize = 10_000;

/// Workers whose turns are short, and a member of a group that is at home at worker 0, which is offline and has very many
/// messages of it; all of them sent and not acknowledged, or all in its queue.
fn with_holder(is_sent: bool) -> (Workers, SessionKey, SessionKey) {
    let mut settings = Settings::default();
    settings.node.deliveries_per_turn = BUDGET;
    settings.node.outbox_bytes_max = if is_sent { usize::MAX } else { 1 };
    let mut workers = Workers::with_tries(settings);
    let (publisher, holder) = (workers.connect("publisher", 0), workers.connect("holder", 60));
    let group = workers.group_at(0);
    workers.subscribe(holder, &[&group]);
    workers.settle();
    let publications = vec![publication("t", "x", AtLeastOnce); 100];
    for _ in 0..VERY_MANY / publications.len() {
        workers.publish(publisher, &publications);
        workers.settle();
    }
    assert_eq!(workers.with(holder, |session| session.waiting()), VERY_MANY as u64);
    workers.lose(holder, false);
    workers.settle();
    (workers, publisher, holder)
}

/// Plays turns until both workers are at rest. Returns by how much what is counted changed in one turn at most.
fn most_in_a_turn(workers: &mut Workers, count: impl Fn(&mut Workers) -> usize) -> usize {
    let (mut most, mut before) = (0, count(workers));
    loop {
        let carried = workers.carry_out();
        let mut more = false;
        for at in [0, 1] {
            more |= workers.turn(at);
            let now = count(workers);
            most = most.max(before.abs_diff(now));
            before = now;
        }
        if !carried && !more {
            return most;
        }
    }
}

/// What a member offline has of a group goes back to it in pieces, whether it was sent or not, and all of it to another
/// member.
#[test]
fn what_a_member_offline_holds_goes_back_in_pieces() {
    for is_sent in [true, false] {
        let (mut workers, _, holder) = with_holder(is_sent);
        let other = workers.connect_at(1, "other", 60);
        let group = workers.group_at(0);
        workers.subscribe(other, &[&group]);
        let held = |workers: &mut Workers| workers.with(holder, |session| session.waiting() as usize);
        let most = most_in_a_turn(&mut workers, held);
        assert!((1..=4 * BUDGET).contains(&most), "{most} messages in one turn");
        assert_eq!(held(&mut workers), 0);
        assert_eq!(workers.with(other, |session| session.waiting()), VERY_MANY as u64);
    }
}

/// QoS 0 that waits for retained messages is lost with the network connection: it is dropped in pieces.
#[test]
fn what_is_lost_with_a_connection_is_dropped_in_pieces() {
    let mut settings = Settings::default();
    settings.node.deliveries_per_turn = BUDGET;
    let mut workers = Workers::with_tries(settings);
    let client = workers.connect("client", 60);
    let message = publication("t", "x", QoS::AtMostOnce);
    let held = Queued {
        message: Arc::new(StoredMessage::new(&message)),
        qos: QoS::AtMostOnce,
        retain: false,
        identifiers: Identifiers::None,
        group: None,
        replayed: false,
        recorded: CopyId::default(),
    };
    let worker = workers.own();
    let session = worker.sessions.get_mut(client).unwrap();
    let outgoing = session.outgoing.get_or_insert_with(|| Outgoing::beside(None));
    for _ in 0..VERY_MANY {
        let place = outgoing.next_place();
        outgoing.held_at_most_once.push(place, held.clone(), &worker.ledger.kept);
    }
    let waiting = |workers: &mut Workers| workers.own().ledger.kept.waiting.get() as usize;
    workers.lose(client, false);
    assert!(waiting(&mut workers) > VERY_MANY - BUDGET);
    assert_eq!(workers.with(client, |session| session.waiting()), 0);
    let most = most_in_a_turn(&mut workers, waiting);
    assert!((1..=4 * BUDGET).contains(&most), "{most} messages in one turn");
    assert_eq!((waiting(&mut workers), workers.own().ledger.kept.unsettled()), (0, 0));
    assert_eq!(workers.own().ledger.dropped(DropReason::ConnectionClosed), VERY_MANY as u64);
    assert!(workers.own().discards.is_none());
}

/// Messages that wait in a group at the cost of one who leaves it: others pay for them, in pieces; with nobody else they
/// are dropped, in pieces.
#[test]
fn what_waits_in_a_group_that_is_left_is_seen_to_in_pieces() {
    for is_last in [true, false] {
        let (mut workers, publisher, leaving) = with_holder(true);
        let other = workers.connect_at(1, "other", 60);
        let group = workers.group_at(0);
        let waits = |workers: &mut Workers| {
            let queue = workers.own().groups.find_mut(&group).map(|group| group.queue.len());
            queue.unwrap_or_default()
        };
        let dropped =
            |workers: &mut Workers| workers.own().ledger.dropped(DropReason::SharedGroupEmpty) as usize;
        let burden = workers.with(leaving, |session| session.burden.clone().unwrap());
        let paid = |_: &mut Workers| burden.in_groups().0;
        for _ in 0..VERY_MANY / 100 {
            workers.publish(publisher, &vec![publication("t", "x", AtLeastOnce); 100]);
            workers.settle();
        }
        assert_eq!((waits(&mut workers), paid(&mut workers)), (VERY_MANY, VERY_MANY));
        if !is_last {
            workers.subscribe(other, &[&group]);
            workers.lose(other, false);
            workers.settle();
        }
        let before = dropped(&mut workers);
        workers.own().end_session(leaving);
        let most = most_in_a_turn(&mut workers, paid);
        assert!((1..=4 * BUDGET).contains(&most), "{most} messages in one turn");
        assert_eq!(paid(&mut workers), 0);
        // With what it held itself, which comes back.
        let all = 2 * VERY_MANY;
        assert_eq!(dropped(&mut workers) - before, if is_last { all } else { 0 });
        assert_eq!(waits(&mut workers), if is_last { 0 } else { all });
        assert_eq!(workers.own().ledger.kept.waiting.get() as usize, waits(&mut workers));
    }
}

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
    let route =
        Route { batch: Arc::new(batch), home: true, sent_at: None, room, passage: None, opened: None };
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
