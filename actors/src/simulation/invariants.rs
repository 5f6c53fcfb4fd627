//! What must hold of a node in which nothing is on its way: whatever it keeps twice agrees, whatever it counts is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use micro_mq_core::groups::Group;
use micro_mq_core::ids::{GroupKey, SessionKey, shared_part};
use micro_mq_core::kept::{BODY_BYTES, PLACE_BYTES, kept_bytes};
use micro_mq_core::ledger::DropReason;
use micro_mq_core::matching::{Subscriber, Trie};
use micro_mq_core::message::{Ack, StoredMessage};
use micro_mq_core::moment::Moment;
use micro_mq_core::routing::{Look, ToTrie};
use micro_mq_core::session::Session;
use mqtt_codec::{ProtocolVersion, ReasonCode};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::judge::{Broken, Judge};
use super::node::SimulatedNode;
use crate::messages::ForTrie;
use crate::stats::ActorKind;
use crate::worker::Worker;

/// In which a trie answers that has nothing to do.
const PATIENCE: Duration = Duration::from_secs(1);

fn connections(node: &SimulatedNode) -> u64 {
    node.shared.peers.iter().map(|peer| peer.stats.of(ActorKind::Connection).figures().live).sum()
}

fn online(worker: &Worker) -> u64 {
    worker.look().sessions.iter().filter(|session| session.online.is_some()).count() as u64
}

/// Whether some network connections are without a session and not over yet: what they still write is in no one's count.
pub(super) fn is_any_parting(node: &SimulatedNode) -> bool {
    connections(node) != node.workers.iter().map(|worker| online(worker)).sum::<u64>()
}

pub(super) async fn check(node: &SimulatedNode) -> Result<(), Broken> {
    let mut judge = Judge::default();
    check_counts(node, &mut judge);
    for worker in &node.workers {
        for session in worker.look().sessions.iter() {
            check_session(worker, session, &mut judge);
        }
        check_held(worker, &mut judge);
        check_groups(node, worker, &mut judge);
        check_trie(node, worker, &mut judge).await;
    }
    check_directory(node, &mut judge);
    check_retained(node, &mut judge);
    check_kept(node, &mut judge);
    check_charges(node, &mut judge);
    check_ledger(node, &mut judge);
    judge.verdict()
}

/// For a node whose clients have all left and whose sessions have all ended.
pub(super) fn check_nothing_remains(node: &SimulatedNode) -> Result<(), Broken> {
    let mut judge = Judge::default();
    judge.equal("network connections", node.shared.connections.load(Ordering::SeqCst), 0);
    judge.equal("sessions", node.shared.session_places.held(), 0);
    judge.equal("messages waiting", node.ledger().queued, 0);
    judge.equal("bytes of messages waiting", counted_as_kept(node), 0);
    judge.equal("filters in the directory", node.shared.directory.filters(), 0);
    node.shared.retained_messages.with_store(|store| {
        judge.equal("retained messages", store.len(), 0);
        judge.equal("bytes of retained messages", store.bytes(), 0);
    });
    judge.equal("publishers that wait for room", node.shared.waitlist.waiting(), 0);
    for worker in &node.workers {
        judge.equal("shared groups", worker.look().groups.iter().count(), 0);
        judge.equal("ended sessions not dealt with", worker.look().remains.len(), 0);
        judge.equal("sessions whose groups are being told", worker.look().tellings.len(), 0);
    }
    judge.verdict()
}

fn check_counts(node: &SimulatedNode, judge: &mut Judge) {
    let shared = &node.shared;
    let sessions = node.workers.iter().map(|worker| worker.look().sessions.len()).sum();
    judge.equal("sessions counted", shared.session_places.held(), sessions);
    let names =
        |worker: &std::rc::Rc<Worker>| worker.look().sessions.iter().map(Session::names_bytes).sum::<usize>();
    let names = node.workers.iter().map(names).sum();
    judge.equal("bytes of their names", shared.session_places.names_bytes(), names);
    let held = node.workers.iter().map(|worker| online(worker)).sum();
    judge.equal("connection actors", connections(node), held);
    let counted = shared.connections.load(Ordering::SeqCst) as u64;
    if counted < held {
        judge.wrong.push(format!("{counted} network connections are counted, {held} hold sessions"));
    }
    for (id, (peer, worker)) in shared.peers.iter().zip(&node.workers).enumerate() {
        judge.equal(
            format_args!("messages on their way to worker {id}"),
            node.shared.ways[id].inbound.held(),
            (0, 0),
        );
        for kind in ActorKind::ALL {
            let restarts = peer.stats.of(kind).figures().restarts;
            let expected = if kind == ActorKind::TopicTrie { node.broken_tries.borrow()[id] } else { 0 };
            judge.equal(
                format_args!("{} actors of worker {id} started anew", kind.label()),
                restarts,
                expected,
            );
        }
        let sessions = &worker.look().sessions;
        for session in sessions.iter() {
            let found = sessions.find(session.client_identifier());
            judge.equal(format_args!("session of {}", session.client_identifier()), found, Some(session.key));
        }
        judge.equal("names of sessions", sessions.names(), sessions.len());
    }
}

fn check_session(worker: &Worker, session: &Session, judge: &mut Judge) {
    let client = session.client_identifier();
    let of = |what: &str| format!("{client}: {what}");
    let parting = session.absence.as_ref().and_then(|absence| absence.parting);
    judge.equal(of("parting that nobody dealt with"), parting.is_some(), false);
    judge.equal(of("durable or online"), session.is_durable() || session.online.is_some(), true);
    if session.online.is_some() {
        judge.equal(of("expiry and due will while online"), session.next_due(), None);
    }
    if let Some(outgoing) = &session.outgoing {
        outgoing.held_at_most_once.check().unwrap_or_else(|wrong| judge.wrong.push(of(&wrong)));
        outgoing.queue.check().unwrap_or_else(|wrong| judge.wrong.push(of(&wrong)));
        outgoing.inflight.check().unwrap_or_else(|wrong| judge.wrong.push(of(&wrong)));
        let kept = outgoing.inflight.kept().map(|kept| kept.message.queued_bytes()).sum();
        judge.equal(of("bytes in flight"), outgoing.inflight_bytes, kept);
        let replayed = outgoing.inflight.kept().filter(|kept| kept.replayed).count();
        judge.equal(of("retained messages in flight"), outgoing.replayed_in_flight as usize, replayed);
        if session.online.is_none() {
            judge.equal(of("messages on the wire while offline"), outgoing.inflight.on_wire(), 0);
        }
    }
    if let Some(online) = &session.online {
        online.outbox.check().unwrap_or_else(|wrong| judge.wrong.push(of(&wrong)));
        // QoS 2 keeps its place until PUBREL, where the client knows of places.
        let held = match session.version {
            ProtocolVersion::V5 => session.incoming.held_by(session.epoch),
            _ => 0,
        };
        // What a PUBREC, or one that is sent again, waits for has its place by its identifier.
        let pending = online.pending().into_iter().flat_map(|pending| pending.publishes.iter());
        let waits = |ack: &Ack, reason: ReasonCode| {
            session.version != ProtocolVersion::V5 || !ack.exactly_once || reason.is_error()
        };
        let held = held + pending.filter(|((ack, reason), _)| waits(ack, *reason)).count();
        judge.equal(of("publishes unanswered"), usize::from(online.unanswered), held);
    }
    // While it is offline nobody asks; when it comes online its load is told anew.
    if let Some(burden) = session.burden.as_ref().filter(|_| session.online.is_some()) {
        judge.equal(of("load"), u64::from(burden.waiting.load(Ordering::Relaxed)), session.waiting());
    }
    let tally = &session.tally;
    let dropped: u64 = DropReason::ALL.iter().map(|reason| tally.dropped(*reason)).sum();
    judge.equal(
        of("matched = delivered + waiting + returned + dropped"),
        tally.matched,
        tally.delivered + session.waiting() + tally.returned() + dropped,
    );
    judge.equal(of("home"), session.key.worker, worker.id);
}

/// Members of a group whose home is this worker, as the sessions of all workers have it.
fn members(node: &SimulatedNode, full_filter: &str) -> BTreeMap<SessionKey, (u32, u8, bool, bool)> {
    let mut members = BTreeMap::new();
    for worker in &node.workers {
        for session in worker.look().sessions.iter() {
            if let Some(subscription) = session.subscriptions.get(full_filter) {
                let state = (
                    subscription.identifier,
                    subscription.options.to_bits(),
                    session.online.is_some(),
                    session.is_durable(),
                );
                members.insert(session.key, state);
            }
        }
    }
    members
}

fn shared_filters(node: &SimulatedNode, home: u16) -> BTreeSet<Arc<str>> {
    let mut filters = BTreeSet::new();
    for worker in &node.workers {
        for session in worker.look().sessions.iter() {
            let shared = session.subscriptions.keys().filter(|filter| shared_part(filter).is_some());
            filters.extend(shared.filter(|filter| node.shared().homes.of_group(filter) == home).cloned());
        }
    }
    filters
}

fn check_groups(node: &SimulatedNode, worker: &Worker, judge: &mut Judge) {
    let groups = &worker.look().groups;
    let held: BTreeSet<Arc<str>> = groups.iter().map(|group| Arc::clone(&group.full_filter)).collect();
    judge.equal(format_args!("groups of worker {}", worker.id), &held, &shared_filters(node, worker.id));
    for group in groups.iter() {
        check_group(node, group, judge);
    }
}

/// What waits in groups, by who pays for it.
fn check_charges(node: &SimulatedNode, judge: &mut Judge) {
    let mut charged: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for worker in &node.workers {
        for group in worker.look().groups.iter() {
            for (payer, bytes) in group.queue.charges() {
                let sum = charged.entry(Arc::as_ptr(payer) as usize).or_default();
                *sum = (sum.0 + 1, sum.1 + bytes);
            }
        }
    }
    for worker in &node.workers {
        for session in worker.look().sessions.iter() {
            let Some(burden) = &session.burden else { continue };
            let expected = charged.remove(&(Arc::as_ptr(burden) as usize)).unwrap_or_default();
            let what = format_args!("{}: what it pays for in groups", session.client_identifier());
            judge.equal(what, burden.in_groups(), expected);
        }
    }
    judge.equal("charges of nobody", charged.len(), 0);
}

fn check_group(node: &SimulatedNode, group: &Group, judge: &mut Judge) {
    let held = group.members().map(|member| {
        let options = member.options.to_bits();
        (member.session, (member.identifier, options, member.online, member.durable))
    });
    judge.equal(&group.full_filter, held.collect(), members(node, &group.full_filter));
    if let Err(wrong) = group.queue.check() {
        judge.wrong.push(format!("{}: {wrong}", group.full_filter));
    }
    if !group.queue.is_empty() && group.is_any_online() {
        judge.wrong.push(format!("{}: messages wait though a member is online", group.full_filter));
    }
}

/// Subscribers and groups by topic filter, as a worker's trie must have them.
type Filters = BTreeMap<Arc<str>, (Vec<Subscriber>, Vec<GroupKey>)>;

fn filters(worker: &Worker) -> Filters {
    let mut filters = Filters::new();
    for session in worker.look().sessions.iter() {
        for (filter, subscription) in session.subscriptions.iter() {
            if shared_part(filter).is_none() {
                let (session, identifier, options) =
                    (session.key, subscription.identifier, subscription.options);
                let subscriber = Subscriber { session, identifier, options, since: Moment::default() };
                filters.entry(Arc::clone(filter)).or_default().0.push(subscriber);
            }
        }
    }
    for group in worker.look().groups.iter() {
        filters.entry(Arc::clone(&group.filter)).or_default().1.push(group.key);
    }
    for (subscribers, groups) in filters.values_mut() {
        subscribers.sort_by_key(|subscriber| subscriber.session);
        groups.sort_unstable();
    }
    filters
}

async fn check_trie(node: &SimulatedNode, worker: &Worker, judge: &mut Judge) {
    let expected = filters(worker);
    let id = worker.id;
    let look = move |trie: &Trie| {
        let mut judge = Judge::default();
        judge.equal(format_args!("filters in the trie of worker {id}"), trie.filters(), expected.len());
        for (filter, expected) in expected {
            let (mut subscribers, mut groups) = trie.subscribers(&filter);
            subscribers.sort_by_key(|subscriber| subscriber.session);
            // The sessions do not know when their subscriptions began.
            subscribers.iter_mut().for_each(|subscriber| subscriber.since = Moment::default());
            groups.sort_unstable();
            judge.equal(format_args!("{filter} in the trie of worker {id}"), (subscribers, groups), expected);
        }
        judge.wrong
    };
    let (found, wrong) = oneshot::channel();
    let look = Look(Box::new(move |trie| {
        // Who asked may have gone.
        let _ = found.send(look(trie));
    }));
    node.shared.peers[usize::from(id)].trie.do_send(ForTrie(ToTrie::Look(look)));
    // One whose process is about to be killed never answers.
    match timeout(PATIENCE, wrong).await {
        Ok(Ok(wrong)) => judge.wrong.extend(wrong),
        Ok(Err(_)) | Err(_) => judge.wrong.push(format!("the trie of worker {id} does not answer")),
    }
}

fn check_directory(node: &SimulatedNode, judge: &mut Judge) {
    let mut expected: BTreeMap<Arc<str>, u64> = BTreeMap::new();
    // With one worker it keeps nothing.
    for worker in node.workers.iter().filter(|_| node.workers.len() > 1) {
        for filter in filters(worker).into_keys() {
            *expected.entry(filter).or_default() |= 1 << worker.id;
        }
    }
    judge.equal("filters in the directory", node.shared.directory.filters(), expected.len());
    for (filter, workers) in expected {
        let found = node.shared.directory.workers_of(&filter);
        judge.equal(format_args!("{filter} in the directory"), found, workers);
    }
}

fn check_retained(node: &SimulatedNode, judge: &mut Judge) {
    let kept = &node.shared.retained_messages;
    let len = kept.with_store(|store| {
        store.check().unwrap_or_else(|wrong| judge.wrong.push(format!("retained messages: {wrong}")));
        store.len()
    });
    judge.equal("retained messages", len, kept.len());
}

fn counted_as_kept(node: &SimulatedNode) -> u64 {
    kept_bytes(&node.shared.kept, node.shared.peers.iter().map(|peer| &peer.ledger.kept))
}

/// Each place counts, each message once, and each will.
fn check_kept(node: &SimulatedNode, judge: &mut Judge) {
    let (mut bytes, mut messages) = (0, BTreeMap::new());
    let mut add = |message: &Arc<StoredMessage>| {
        bytes += PLACE_BYTES;
        messages.insert(Arc::as_ptr(message) as usize, message.bytes() + BODY_BYTES);
    };
    for worker in &node.workers {
        for session in worker.look().sessions.iter() {
            let outgoing = session.outgoing.iter();
            let kept = outgoing.flat_map(|outgoing| {
                let queued = outgoing.queue.iter().chain(outgoing.held_at_most_once.iter());
                outgoing.inflight.kept().chain(queued)
            });
            kept.for_each(|kept| add(&kept.message));
        }
        for group in worker.look().groups.iter() {
            group.queue.iter().for_each(|kept| add(&kept.message));
        }
    }
    let mut wills = 0;
    for worker in &node.workers {
        let sessions = &worker.look().sessions;
        wills +=
            sessions.iter().filter_map(|session| Some(session.will.as_ref()?.queued_bytes())).sum::<usize>();
    }
    let bytes = bytes + messages.values().sum::<usize>() + wills;
    judge.equal("bytes of messages waiting", counted_as_kept(node), bytes as u64);
}

/// What waits, and what there is, is counted as it is found by looking through everything.
fn check_held(worker: &Worker, judge: &mut Judge) {
    let id = worker.id;
    let mut found = (worker.look().groups.waiting(), 0, 0, 0);
    for session in worker.look().sessions.iter() {
        found.0 += session.waiting();
        found.1 += u64::from(session.online.is_some());
        found.2 += session.subscriptions.len() as u64;
        found.3 += session.subscriptions.keys().filter(|filter| shared_part(filter).is_some()).count() as u64;
    }
    let held = &worker.counters.gauges;
    let counted = (
        worker.ledger.kept.waiting.get(),
        held.online.get(),
        held.subscriptions.get(),
        held.shared_subscriptions.get(),
    );
    let what = format_args!("messages waiting, sessions online, subscriptions, shared ones of worker {id}");
    judge.equal(what, counted, found);
}

fn check_ledger(node: &SimulatedNode, judge: &mut Judge) {
    for (whose, totals) in [("clients' messages", node.ledger()), ("the node's own", node.own_ledger())] {
        if !totals.is_balanced() {
            judge.wrong.push(format!("the ledger of {whose} is not balanced: {totals:?}"));
        }
    }
}

/// As if every topic name had been published to with an empty payload.
pub(super) fn forget_retained(node: &SimulatedNode) {
    node.shared.retained_messages.with_store(|store| store.clear());
}
