//! What the tries are told of sessions that come, go and end, and what they do with what those leave.

use std::sync::Arc;

use crate::ids::CopyId;
use crate::ledger::DropReason;
use crate::message::StoredMessage;
use crate::queue::{Identifiers, Queued};
use crate::settings::{Settings, SharedStrategy};
use crate::subscriptions::Subscription;
use crate::testing::{online, options, publication};
use mqtt_codec::ProtocolVersion;
use mqtt_codec::QoS::AtLeastOnce;

use super::workers::{Workers, will};
use crate::worker::WorkerState;

/// The tries know a session's subscriptions as long as it exists, online or not, the home of a group its members.
#[test]
fn subscriptions_last_as_long_as_the_session() {
    let mut workers = Workers::with_tries(Settings::default());
    let (near, far) = (workers.group_at(0), workers.group_at(1));
    let key = workers.connect("c", 60);
    workers.subscribe(key, &["a", "b/+", &near, &far]);
    workers.settle();
    let node = Arc::clone(&workers.own().node);
    let directory = &node.directory;
    assert_eq!((directory.workers("a"), directory.workers("b/x"), directory.workers("t")), (1, 1, 3));
    assert_eq!((workers.members(&near), workers.members(&far)), ((1, 1, 1), (1, 1, 1)));
    workers.lose(key, false);
    workers.settle();
    assert_eq!(directory.workers("a"), 1);
    assert_eq!((workers.members(&near), workers.members(&far)), ((1, 0, 1), (1, 0, 1)));
    workers.with(key, |session| session.online = Some(online(ProtocolVersion::V5)));
    workers.own().tell_groups(key);
    workers.settle();
    assert_eq!((workers.members(&near), workers.members(&far)), ((1, 1, 1), (1, 1, 1)));
    workers.own().end_session(key);
    workers.own().end_session(key);
    workers.settle();
    assert_eq!((directory.workers("a"), directory.workers("b/x"), directory.workers("t")), (0, 0, 0));
    assert_eq!((workers.members(&near), workers.members(&far)), ((0, 0, 0), (0, 0, 0)));
    assert_eq!(workers.own().node.session_places.held(), 0);
}

/// A trie that was started anew is joined again for the groups whose home it is, by those who share one.
#[test]
fn groups_are_joined_again() {
    let mut workers = Workers::with_tries(Settings::default());
    let (near, far) = (workers.group_at(0), workers.group_at(1));
    let online_one = workers.connect("online", 0);
    let offline_one = workers.connect("offline", 60);
    let plain = workers.connect("plain", 0);
    workers.with(plain, |session| {
        let subscription = Subscription { options: options(AtLeastOnce), identifier: 0 };
        session.subscriptions.insert("t".into(), subscription);
    });
    for (key, filters) in [(online_one, &[&near, &far][..]), (offline_one, &[&far])] {
        workers.with(key, |session| {
            session.burden = Some(Arc::default());
            for filter in filters {
                let subscription = Subscription { options: options(AtLeastOnce), identifier: 0 };
                session.subscriptions.insert(filter.as_str().into(), subscription);
            }
        });
    }
    workers.with(offline_one, |session| session.online = None);
    workers.own().join_again(1);
    workers.settle();
    assert_eq!((workers.members(&near), workers.members(&far)), ((0, 0, 0), (2, 1, 1)));
    workers.own().join_again(0);
    workers.own().join_again(1);
    workers.settle();
    assert_eq!((workers.members(&near), workers.members(&far)), ((1, 1, 0), (2, 1, 1)));
}

/// What waits for a session that ends is dropped; what came through a group goes back there, to whoever comes.
#[test]
fn messages_of_a_session_that_ends() {
    let mut workers = Workers::with_tries(Settings::default());
    let far = workers.group_at(1);
    let (leaving, staying) = (workers.connect("leaving", 60), workers.connect("staying", 60));
    for key in [leaving, staying] {
        workers.subscribe(key, &[&far]);
    }
    workers.settle();
    let group = workers.states[1].groups.find_mut(&far).unwrap().key;
    let message = publication("t", "x", AtLeastOnce);
    let queued = |group| Queued {
        message: Arc::new(StoredMessage::new(&message)),
        qos: AtLeastOnce,
        retain: false,
        identifiers: Identifiers::None,
        group,
        replayed: false,
        recorded: CopyId::default(),
    };
    let ledger = Arc::clone(&workers.own().ledger);
    workers.with(leaving, |session| {
        session.online = None;
        let outgoing = session.outgoing.get_or_insert_default();
        outgoing.queue.push(0, queued(Some(group)), &ledger.kept);
        outgoing.queue.push(0, queued(None), &ledger.kept);
    });
    workers.own().end_session(leaving);
    workers.settle();
    assert_eq!(workers.own().ledger.dropped(DropReason::SessionGone), 1);
    assert_eq!(workers.with(staying, |session| session.waiting()), 1, "the other member has it");
}

/// With `hash_client` a group's members share the wills of many clients, whenever those are published: as the session
/// parts, as it ends, or after a delay.
#[test]
fn wills_are_shared_by_their_publishers() {
    for (expiry_interval, delay_seconds) in [(60, 0), (0, 0), (60, 5)] {
        let mut settings = Settings::default();
        settings.session.shared_strategy = SharedStrategy::HashClient;
        let mut workers = Workers::with_tries(settings);
        let members = ["one", "two", "three"].map(|name| workers.connect(name, 60));
        for member in members {
            workers.subscribe(member, &["$share/g/will"]);
        }
        workers.settle();
        for number in 0..60 {
            let key = workers.connect(&format!("client-{number}"), expiry_interval);
            workers.with(key, |session| session.will = will(delay_seconds));
            workers.lose(key, true);
        }
        workers.pass(delay_seconds.into());
        workers.settle();
        let shares = members.map(|member| workers.with(member, |session| session.tally.matched));
        assert_eq!(shares.iter().sum::<u64>(), 60);
        assert!(shares.iter().all(|share| (8..40).contains(share)), "{shares:?}");
    }
}

/// What a session leaves that had very much is dealt with a piece at a time, as a trie's turn goes on behind the others'.
#[test]
fn what_an_ended_session_leaves_is_dealt_with_in_pieces() {
    const MANY: usize = 3000;
    let mut workers = Workers::with_tries(Settings::default());
    let key = workers.connect("c", 60);
    let plain = (0..MANY).map(|number| format!("plain/{number}/+"));
    let shared = (0..MANY).map(|number| format!("$share/g/{number}"));
    let filters: Vec<String> = plain.chain(shared).collect();
    workers.subscribe(key, &filters.iter().map(String::as_str).collect::<Vec<_>>());
    workers.settle();
    let ledger = Arc::clone(&workers.own().ledger);
    let message = Arc::new(StoredMessage::new(&publication("t", "x", AtLeastOnce)));
    workers.with(key, |session| {
        let outgoing = session.outgoing.get_or_insert_default();
        for _ in 0..MANY {
            let (message, identifiers) = (Arc::clone(&message), Identifiers::None);
            let queued = Queued {
                message,
                qos: AtLeastOnce,
                retain: false,
                identifiers,
                group: None,
                replayed: false,
                recorded: CopyId::default(),
            };
            outgoing.queue.push(0, queued, &ledger.kept);
        }
    });
    workers.lose(key, false);
    workers.own().end_session(key);
    let left: usize = workers.own().remains.values().map(|session| session.subscriptions.len()).sum();
    assert!(left > 2 * MANY - 200, "all but {left} were dealt with at once");
    assert_eq!(ledger.dropped(DropReason::SessionGone), 0, "those behind its groups");
    workers.settle();
    workers.settle();
    assert!(workers.own().remains.is_empty() && workers.own().tellings.is_empty());
    assert_eq!(workers.states.iter().map(|state| state.groups.len()).sum::<usize>(), 0);
    assert_eq!(workers.own().node.directory.workers("plain/7/x"), 0);
    assert_eq!((ledger.dropped(DropReason::SessionGone), ledger.kept.waiting.get()), (MANY as u64, 0));
    assert_eq!(ledger.kept.unsettled(), 0);
}

/// A member of very many groups that comes and goes tells their homes a piece at a time, and what holds in the end.
#[test]
fn homes_of_very_many_groups_are_told_in_pieces() {
    const MANY: usize = 1000;
    let mut workers = Workers::with_tries(Settings::default());
    let key = workers.connect("c", 60);
    let filters: Vec<String> = (0..MANY).map(|number| format!("$share/g/{number}")).collect();
    workers.subscribe(key, &filters.iter().map(String::as_str).collect::<Vec<_>>());
    workers.settle();
    let count = |workers: &Workers, online: bool| {
        let groups =
            |state: &WorkerState| state.groups.iter().filter(|group| group.is_any_online() == online).count();
        workers.states.iter().map(groups).sum::<usize>()
    };
    assert_eq!((count(&workers, true), count(&workers, false)), (MANY, 0));
    for times in 1..4 {
        workers.lose(key, false);
        for _ in 0..times {
            workers.with(key, |session| session.online = Some(online(ProtocolVersion::V5)));
            workers.own().tell_groups(key);
            workers.with(key, |session| session.online = None);
            workers.own().tell_groups(key);
        }
        workers.settle();
        workers.settle();
        assert_eq!((count(&workers, true), count(&workers, false)), (0, MANY));
        workers.with(key, |session| session.online = Some(online(ProtocolVersion::V5)));
        workers.own().tell_groups(key);
        workers.settle();
        workers.settle();
        assert_eq!((count(&workers, true), count(&workers, false)), (MANY, 0));
        assert!(workers.own().tellings.is_empty());
    }
}
