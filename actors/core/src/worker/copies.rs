//! What is recorded of messages to sessions that outlive the process: who has a copy, what is sent as QoS 2, and what waits
//! no more.
//!
//! A topic trie records a publish in the turn in which it gives out copies of it, and whoever published it waits until that
//! is kept. Records name each copy by the position of that record, so it is known before the first is given out: as
//! long as a run is delivered nothing else is recorded.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use mqtt_codec::{PacketIdentifier, QoS};

use super::errand::Errand;
use super::group_records::GroupRecords;
use super::state::{NodeState, WorkerState};
use crate::completion::{Condition, Conditions, State};
use crate::homes::Shard;
use crate::ids::{CopyId, Epoch, Origin, Position, Publisher, SessionKey};
use crate::message::Publication;
use crate::message::{Batch, Item, Received};
use crate::queue::{Identifiers, Queued};
use crate::records::{Body, Copied, Fate, Of, Publish, Record, Settled, Through};
use crate::session::{NewCopies, Notes, Session, Storing};
use crate::timers::Timer;

/// Copies that wait no more of which that is recorded at once, and not only after a while.
const SETTLED_MAX: usize = 4096;

/// What waits for being recorded, or kept, beside [`Changes`](crate::changes::Changes).
#[derive(Debug, Default)]
pub struct CopyRecords {
    /// Whether messages are recorded at all: what is kept outlives the process.
    pub is_on: bool,
    /// What leaves when its record is kept, in the order of those.
    leaving: VecDeque<Leaving>,
    /// Copies that wait no more.
    settled: Vec<(SessionKey, Fate, CopyId)>,
    /// The last QoS 2 message of each publisher that copies were given of in a shard.
    seen: HashMap<(Shard, Publisher), Position>,
    /// Sessions of which something is to be recorded.
    noted: Vec<SessionKey>,
    /// What is to be recorded of messages that go through groups.
    pub(crate) groups: GroupRecords,
    /// Somebody sees to it that what waits no more is recorded in a while.
    is_due: bool,
    /// Positions up to this one are given to copies.
    given: Position,
}

impl CopyRecords {
    /// Copies were given to sessions of a shard of a QoS 2 message, and of none of its publisher's that is later.
    pub(super) fn note_seen(&mut self, shard: Shard, publisher: Publisher, count: Position) {
        let seen = self.seen.entry((shard, publisher)).or_default();
        *seen = count.max(*seen);
    }

    /// The last QoS 2 message of a publisher that copies were given of in a shard.
    pub(super) fn last_seen(&self, shard: Shard, publisher: Publisher) -> Option<Position> {
        self.seen.get(&(shard, publisher)).copied()
    }

    /// Something is to be recorded of the messages to a session.
    pub(crate) fn note(&mut self, session: SessionKey) {
        self.noted.push(session);
    }
}

/// A PUBLISH or PUBREL that leaves when its record is kept.
#[derive(Debug)]
struct Leaving {
    at: Position,
    session: SessionKey,
    epoch: Epoch,
    identifier: PacketIdentifier,
    is_release: bool,
}

impl WorkerState {
    /// Messages are about to be given to sessions: says where their records will stand. To be followed by
    /// [`record_copies`](Self::record_copies) before anything else is recorded.
    pub(crate) fn begin_copies<'a>(&mut self, run: impl Iterator<Item = (QoS, &'a mut Storing)>) {
        let mut at = self.changes.next_position();
        for (qos, storing) in run {
            let is_recorded = qos > QoS::AtMostOnce;
            storing.begin_record(if is_recorded { at } else { Position::default() });
            at = if is_recorded { at.next() } else { at };
        }
        self.copies.given = at;
    }

    /// Records the copies that sessions were given of messages. Each message comes with which of its publisher's it is, if
    /// that is to be known again, and with the condition for its acknowledgement.
    pub(crate) fn record_copies<'a>(
        &mut self,
        run: impl Iterator<Item = (Publication<'a>, &'a mut Storing, Option<Origin>, Option<Condition>)>,
    ) {
        let mut is_to_be_sent = false;
        for (publication, storing, origin, condition) in run {
            let (at, new) = storing.take_copies();
            if at == Position::default() {
                continue;
            }
            debug_assert_eq!(at, self.changes.next_position(), "nothing else is recorded meanwhile");
            self.record_publish(&publication, &new, origin);
            if let Some(condition) = condition {
                is_to_be_sent |= self.changes.gate_one(condition);
            }
        }
        if is_to_be_sent {
            self.send_changes();
        }
    }

    /// A client's QoS 2 publishes are about to set out: each is recorded as received, and acknowledged when that is kept. One
    /// that came already, before the process was started, has its record, and is told by it from all others.
    pub(super) fn record_received(&mut self, batch: &mut Batch) {
        let is_exactly_once = |item: &Item| item.is_routed() && item.ack.is_some_and(|ack| ack.exactly_once);
        if batch.received.is_some() || !batch.items().iter().any(is_exactly_once) {
            return;
        }
        let Self { node, sessions, changes, .. } = self;
        let session = batch.publisher.and_then(|publisher| sessions.get_mut(publisher));
        let Some(session) = session.filter(|session| session.is_recorded) else { return };
        let publisher = Publisher(node.homes.hash_of(session.client_identifier()));
        let (mut is_first, mut received) = (false, Box::<Received>::default());
        for index in 0..batch.items().len() {
            let item = &batch.items()[index];
            let Some(ack) = item.ack.filter(|_| is_exactly_once(item)) else { continue };
            let count = match session.incoming.take_restored(ack.packet_identifier) {
                Some(before) => {
                    received.comes_again = true;
                    before
                }
                None => {
                    let of = Of { client: session.client_identifier(), epoch: session.epoch };
                    let (at, first) = changes.push(&Record::Received(of, ack.packet_identifier), &node.homes);
                    is_first |= first;
                    if let Some(condition) = batch.open(index) {
                        changes.gate_one(condition);
                    }
                    at
                }
            };
            received.origins.push((index, Origin { publisher, count }));
        }
        let kept = Conditions::default();
        let is_to_be_sent = changes.gate(&kept);
        received.kept = kept.of(0);
        batch.received = Some(received);
        self.send_records(is_first);
        if is_to_be_sent {
            self.send_changes();
        }
    }

    /// Whether other workers may record copies of a batch: not before it is kept that its QoS 2 publishes came, or these, sent
    /// again behind a restart, would be taken for others. If not, `waker` is called when they may.
    pub(super) fn may_be_recorded_elsewhere(&self, batch: &Batch, workers: u64, waker: &Waker) -> bool {
        let received = batch.received.as_ref().and_then(|received| received.kept.as_ref());
        let Some(received) = received else { return true };
        let others = workers & !self.bit();
        let mut ways = self.node.ways.iter().enumerate();
        let is_recorded = ways.any(|(id, way)| others & (1 << id) != 0 && way.has_recorded());
        !is_recorded || received.state_or_wake(waker) != State::Open
    }

    /// Whether a session has its copies of a publish that came again behind a restart: those of its shard were recorded.
    pub(crate) fn has_seen(&self, session: SessionKey, origin: Origin) -> bool {
        let session = self.sessions.get(session).filter(|session| session.is_recorded);
        session.is_some_and(|session| {
            let shard = self.node.homes.shard_of(session.client_identifier());
            self.copies.last_seen(shard, origin.publisher).is_some_and(|seen| seen >= origin.count)
        })
    }

    /// Records that the PUBREL of a QoS 2 publish came: its PUBCOMP waits for that.
    pub fn record_forgotten(
        &mut self,
        key: SessionKey,
        identifier: PacketIdentifier,
        conditions: &Conditions,
    ) {
        let Self { node, sessions, changes, copies, .. } = self;
        let session = sessions.get(key).filter(|session| copies.is_on && session.is_recorded);
        let Some(session) = session else { return };
        let of = Of { client: session.client_identifier(), epoch: session.epoch };
        let (_, is_first) = changes.push(&Record::Forgotten(of, identifier), &node.homes);
        let is_to_be_sent = changes.gate(conditions);
        self.send_records(is_first);
        if is_to_be_sent {
            self.send_changes();
        }
    }

    fn record_publish(&mut self, publication: &Publication<'_>, new: &NewCopies, origin: Option<Origin>) {
        let Self { node, sessions, changes, copies: records, groups, .. } = self;
        let waits = new.waits.iter().filter_map(|group| groups.get(*group));
        let waits: Vec<&str> = waits.map(|group| &*group.full_filter).collect();
        if let Some(Origin { publisher, count }) = origin {
            let clients = new.copies.iter().filter_map(|copy| sessions.get(copy.session));
            let clients = clients.map(|session| session.client_identifier());
            for name in clients.chain(waits.iter().copied()) {
                records.note_seen(node.homes.shard_of(name), publisher, count);
            }
        }
        let copied = new.copies.iter().filter_map(|copy| {
            let client = sessions.get(copy.session)?.client_identifier();
            Some(copied_to(client, copy.qos, copy.retain, &copy.identifiers))
        });
        let publish = Publish { waits, ..publish_of(node, publication, copied.collect(), origin) };
        let (_, is_first) = changes.push(&Record::Publish(publish), &node.homes);
        self.send_records(is_first);
    }

    /// Records what was noted of all sessions that have something noted.
    pub(crate) fn record_all_notes(&mut self) {
        self.note_taken();
        if !self.copies.noted.is_empty() {
            let mut noted = std::mem::take(&mut self.copies.noted);
            noted.drain(..).for_each(|session| self.record_notes(session));
            self.copies.noted = noted;
        }
    }

    /// Records what was noted of the messages to a session.
    pub(crate) fn record_notes(&mut self, key: SessionKey) {
        let session = self.sessions.get_mut(key).filter(|session| session.has_notes());
        let Some(notes) = session.map(Session::take_notes) else { return };
        if !notes.sent.is_empty() {
            // A packet identifier that is given again was that of a copy that waits no more.
            self.copies.settled.extend(notes.settled.iter().map(|(copy, fate)| (key, *fate, *copy)));
            self.record_settled();
        }
        let Notes { given, sent, released, settled, taken } = notes;
        taken.into_iter().for_each(|(copy, group, fate)| {
            if let Some(full_filter) = self.group_name(group) {
                self.copies.groups.take(&full_filter, fate, copy);
            }
        });
        let names: Vec<Option<Arc<str>>> = sent.iter().map(|sent| self.group_of_sent(key, *sent)).collect();
        let Self { node, sessions, changes, copies, .. } = self;
        let Some(session) = sessions.get_mut(key).filter(|session| session.is_recorded) else { return };
        let settled = if sent.is_empty() { settled } else { Vec::new() };
        let mut is_first = false;
        for given in given {
            if session.is_unnamed(&given) {
                let Queued { message, qos, retain, identifiers, .. } = &given.queued;
                let copied = copied_to(session.client_identifier(), *qos, *retain, identifiers);
                let publication = message.publication();
                let publish = publish_of(node, &publication, vec![copied], None);
                let (at, first) = changes.push(&Record::Publish(publish), &node.homes);
                is_first |= first;
                session.name(&given, CopyId { message: at, copy: 0 });
            }
        }
        for (identifier, full_filter) in sent.iter().zip(names) {
            // Its group has it no more, in the same entry.
            let Some(queued) = session.in_flight_of_group(*identifier) else { continue };
            let (Queued { message, qos, retain, identifiers, .. }, from) = (queued, queued.recorded.message);
            let copied = copied_to(session.client_identifier(), *qos, *retain, identifiers);
            let publication = message.publication();
            let publish = publish_of(node, &publication, vec![copied], None);
            let (at, first) = changes.push(&Record::Publish(publish), &node.homes);
            is_first |= first;
            if let Some(full_filter) = full_filter {
                changes.push(&Record::Taken(&full_filter, Fate::Returned, vec![from]), &node.homes);
            }
            session.name_in_flight(*identifier, CopyId { message: at, copy: 0 });
        }
        let epoch = session.epoch;
        let of = Of { client: session.client_identifier(), epoch };
        let is_any_leaving = !sent.is_empty() || !released.is_empty();
        let mut leave = |record: &Record<'_>, identifier, is_release| {
            let (at, first) = changes.push(record, &node.homes);
            is_first |= first;
            copies.leaving.push_back(Leaving { at, session: key, epoch, identifier, is_release });
        };
        let mut acknowledged = 0;
        for identifier in sent {
            match session.copy_in_flight(identifier) {
                Some(copy) => leave(&Record::Sent(of, identifier, copy), identifier, false),
                // By a client that had not had it.
                None => acknowledged += 1,
            }
        }
        for (identifier, copy) in released {
            leave(&Record::Released(of, identifier, copy), identifier, true);
        }
        (0..acknowledged).for_each(|_| session.note_left());
        copies.settled.extend(settled.into_iter().map(|(copy, fate)| (key, fate, copy)));
        let is_to_be_sent = is_any_leaving && changes.is_to_be_sent();
        self.send_records(is_first);
        if self.copies.settled.len() >= SETTLED_MAX {
            self.record_settled();
        }
        if is_to_be_sent {
            self.send_changes();
        }
        self.note_taken();
    }

    /// The whole filter of the group in which a message waits, by its record, that is to be sent with a packet identifier.
    fn group_of_sent(&self, key: SessionKey, identifier: PacketIdentifier) -> Option<Arc<str>> {
        let queued = self.sessions.get(key)?.in_flight_of_group(identifier)?;
        self.group_name(queued.group?)
    }

    /// What waits no more is recorded in a while, if there is anything.
    #[inline]
    pub(crate) fn note_taken(&mut self) {
        let is_idle = self.copies.settled.is_empty() && self.copies.groups.is_idle();
        if !is_idle && !self.copies.is_due {
            self.copies.is_due = true;
            self.set_timer_next(Timer::Changes);
        }
    }

    /// Has what was noted sent to the store, behind what is done just now.
    pub(super) fn send_changes(&mut self) {
        self.errands.push(Errand::SendChanges);
    }

    /// Records which copies wait no more: many in one record.
    pub fn record_settled(&mut self) {
        self.copies.is_due = false;
        self.record_taken();
        if self.copies.settled.is_empty() {
            return;
        }
        let (mut settled, mut is_first) = (std::mem::take(&mut self.copies.settled), false);
        settled.sort_unstable_by_key(|(session, fate, copy)| (*session, rank(*fate), *copy));
        for of_one in settled.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)) {
            let (key, fate, _) = of_one[0];
            let session = self.sessions.get(key).filter(|session| session.is_recorded);
            // Where it has ended, so have its copies.
            let Some(client) = session.map(|session| session.client_identifier()) else { continue };
            let copies = of_one.iter().map(|(.., copy)| *copy).collect();
            let record = Record::Settled(Settled { client, fate, copies });
            is_first |= self.changes.push(&record, &self.node.homes).1;
        }
        settled.clear();
        self.copies.settled = settled;
        self.send_records(is_first);
    }

    /// All records before a position are kept: what waited for them leaves.
    pub fn note_kept(&mut self, before: Position, now: Instant) {
        self.send_kept_to_members(before);
        while let Some(first) = self.copies.leaving.front().filter(|first| first.at < before) {
            let Leaving { session: key, epoch, identifier, is_release, .. } = *first;
            self.copies.leaving.pop_front();
            self.with_desk(key, now, |session, desk| {
                let is_present = session.epoch == epoch;
                session.send_recorded(identifier, is_release, is_present, desk);
                if is_present && let Some(online) = &session.online {
                    online.wake();
                }
            });
        }
    }

    /// A panic has lost what was to be recorded of copies that sessions were given: the positions that these have are not to
    /// be those of other records.
    pub(crate) fn skip_lost_copies(&mut self) {
        while self.copies.is_on && self.changes.next_position() < self.copies.given {
            let nothing = Settled { client: "", fate: Fate::Delivered, copies: Vec::new() };
            let (_, is_first) = self.changes.push(&Record::Settled(nothing), &self.node.homes);
            self.send_records(is_first);
        }
    }
}

/// A copy of a client, as records have it.
fn copied_to<'a>(client: &'a str, qos: QoS, retain: bool, identifiers: &'a Identifiers) -> Copied<'a> {
    let identifiers = identifiers.as_slice().into();
    Copied { client: client.into(), qos, retain, identifiers, through: Through::Subscription }
}

/// A message, as records have it.
fn publish_of<'a>(
    node: &NodeState,
    publication: &'a Publication<'a>,
    copies: Vec<Copied<'a>>,
    origin: Option<Origin>,
) -> Publish<'a> {
    Publish {
        body: Body {
            topic: publication.topic,
            properties: publication.properties,
            payload: publication.payload.as_slice(),
            qos: publication.qos,
        },
        retain: publication.retain,
        expires_at: publication.expires_at.map(|at| node.wall_clock(at)),
        publisher_hash: publication.publisher_hash,
        origin,
        copies,
        waits: Vec::new(),
    }
}

/// Fates side by side that are equal.
pub(super) fn rank(fate: Fate) -> u8 {
    match fate {
        Fate::Delivered => 0,
        Fate::Returned => 1,
        Fate::Dropped(reason) => 2 + reason as u8,
    }
}
