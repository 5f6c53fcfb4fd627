//! The actor of one network connection: it reads, lets the protocol decide, carries out what that asks for, and writes.
//!
//! One wake-up reads once, steps through what came, routes it as one batch, and writes once. The read buffer is the
//! worker's, shared by all of its connections; what an idle connection holds is its socket and little else.
//! Invariant: it touches its session only as long as the session's epoch is its own.

use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};
use std::time::Instant;

use actix::prelude::*;
use auth_actor::Exchange;
use micro_mq_core::compact::ByteCount;
use micro_mq_core::ids::{Epoch, SessionKey};
use micro_mq_core::message::Batch;
use micro_mq_core::pressure::{IncompleteBytes, Underway};
use micro_mq_core::protocol::{Effects, Ending, Protocol};
use micro_mq_core::session::{Online, Requests};
use micro_mq_core::worker::WorkerState;
use mqtt_codec::{Packet, ReasonCode};

use super::closing::Closing;
use super::context::{self, ConnectionContext};
use super::held::HeldPublish;
use super::judged_again::JudgedAgain;
use super::lines::Farewell;
use super::long_change::LongChange;
use super::messages::{Close, Newcomer};
use super::opening::Opening;
use super::partial::Partial;
use super::questions::Asked;
use super::subscribing::PendingChange;
use crate::clock;
use crate::messages::Left;
use crate::permit::ConnectionPermit;
use crate::stats::ActorKind;
use crate::transport::Transport;
use crate::turns::go_on_behind_sockets;
use crate::worker::Worker;

/// What few connections have at a time.
#[derive(Debug, Default)]
pub(super) struct RareConnection {
    /// In the order of their packets, which is that of the answers.
    pub(super) changes: VecDeque<PendingChange>,
    /// Names the latest of the changes.
    latest_token: u32,
    /// A batch found no room at another worker; the session has it.
    pub(super) held_up: bool,
    /// How far it is judged again, when the rules have changed.
    pub(super) judged_again: JudgedAgain,
    /// A packet that changes very much, as far as that is done.
    pub(super) long_change: Option<Box<LongChange>>,
    /// What a packet that is received in part holds.
    pub(super) incomplete: Option<IncompleteBytes>,
    /// A packet waits for the auth actor.
    pub(super) asked: Option<Asked>,
    /// A limit refused a publish that cannot be answered so.
    pub(super) held: Option<Box<HeldPublish>>,
    pub(super) exchange: Option<Exchange>,
    /// A step of a re-authentication is with the auth actor.
    pub(super) authenticates: Option<Asked>,
    /// Set when the other end closed or the protocol was broken, to be dealt with at the end of the turn.
    pub(super) ending: Option<Ending>,
    /// Another network connection waits for the session.
    pub(super) gives_way: bool,
    /// What has to be kept before its CONNACK leaves, and anything behind it.
    pub(super) opening: Option<Box<Opening>>,
    /// The other end takes nothing any more. What it sent before is read to its end, which may be a DISCONNECT.
    pub(super) broken: bool,
}

impl RareConnection {
    /// Names a change of subscriptions among those that are not answered.
    pub(super) fn next_token(&mut self) -> u32 {
        self.latest_token = self.latest_token.wrapping_add(1);
        self.latest_token
    }

    /// Whether nothing is left here.
    fn is_over(&self) -> bool {
        self.changes.is_empty()
            && self.long_change.is_none()
            && self.incomplete.is_none()
            && self.exchange.is_none()
            && self.ending.is_none()
            && self.held.is_none()
            && self.opening.is_none()
            && self.asked.is_none()
            && self.authenticates.is_none()
            && !(self.held_up || self.gives_way || self.broken)
    }
}

/// See the module.
pub struct Connection {
    pub(super) worker: Rc<Worker>,
    pub(super) key: SessionKey,
    pub(super) epoch: Epoch,
    pub(super) transport: Transport,
    /// Bytes received that are not stepped through: the beginning of a packet, or all behind one that waits.
    pub(super) partial: Partial,
    pub(super) protocol: Protocol,
    pub(super) rare: Option<Box<RareConnection>>,
    pub(super) closing: Option<Box<Closing>>,
    /// What it has published and is not routed; none if that is nothing.
    pub(super) underway: Option<Underway>,
    /// Bytes received.
    pub(super) bytes_received: ByteCount,
    /// Bytes in `partial` may hold a whole packet.
    pub(super) partial_is_ready: bool,
    /// The last step stopped at a bound of its own: the next turn goes on by itself.
    pub(super) goes_on: bool,
}

impl Connection {
    /// Starts the actor of a network connection on this worker's thread.
    pub fn start_on(worker: Rc<Worker>, newcomer: Newcomer) -> Addr<Self> {
        worker.stats(ActorKind::Connection).started();
        newcomer.permit.keep();
        let mut bytes_received = ByteCount::default();
        bytes_received.add(newcomer.bytes_received);
        context::start(Self {
            key: newcomer.key,
            epoch: newcomer.epoch,
            transport: newcomer.transport,
            partial_is_ready: !newcomer.rest.is_empty(),
            partial: Partial::of(newcomer.rest),
            protocol: Protocol::new(&newcomer.connect),
            bytes_received,
            goes_on: false,
            rare: newcomer.kept.map(|kept| {
                Box::new(RareConnection {
                    opening: Some(Box::new(Opening::new(kept))),
                    ..RareConnection::default()
                })
            }),
            closing: None,
            underway: None,
            worker,
        })
    }

    pub(super) fn rare(&mut self) -> &mut RareConnection {
        self.rare.get_or_insert_default()
    }

    /// One wake-up. Ready when the network connection is over.
    pub(super) fn turn(&mut self, context: &mut ConnectionContext, task: &mut TaskContext<'_>) -> Poll<()> {
        let worker = Rc::clone(&self.worker);
        let stats = worker.stats(ActorKind::Connection);
        let timer = stats.handle(stats.send());
        let over = self.take_turn(context, task);
        stats.handled(timer);
        over
    }

    fn take_turn(&mut self, context: &mut ConnectionContext, task: &mut TaskContext<'_>) -> Poll<()> {
        if self.closing.is_none() {
            let worker = Rc::clone(&self.worker);
            let mut fx = worker.effects.borrow_mut();
            if !fx.batch.is_empty() {
                // Another's, whose turn panicked.
                worker.state().forget_admitted(&fx.batch);
            }
            fx.clear();
            let ending = self.live(context, task, &mut fx);
            fx.clear();
            if let Some(ending) = ending {
                self.part(ending);
            }
        }
        match &mut self.closing {
            Some(closing) => closing.poll(&mut self.transport, &self.worker, self.key, task),
            None => Poll::Pending,
        }
    }

    /// A turn of a connection that is not about to end. Returns how it ends, if it does.
    fn live(
        &mut self,
        context: &mut ConnectionContext,
        task: &mut TaskContext<'_>,
        fx: &mut Effects,
    ) -> Option<Ending> {
        let now = clock::now();
        let Some((requests, is_any_pending)) = self.note_waker(task) else {
            // The session is gone, and with it all reason to be here.
            return Some(Ending::because(ReasonCode::SessionTakenOver));
        };
        if requests != Requests::default() {
            self.note_requests(requests);
        }
        if let Some(ending) = self.answer_what_is_complete(context, is_any_pending) {
            return Some(ending);
        }
        if self.rare.is_some() && self.is_unopened(task) {
            return self.end_unopened();
        }
        if let Some(ending) = self.look_after_held(now) {
            return Some(ending);
        }
        let is_routed = self.route_what_was_held_up(context, task, now);
        if self.gives_way() {
            return Some(self.give_way(context, task, now, fx));
        }
        if !is_routed {
            self.write(task, now);
            return None;
        }
        let mut ending = None;
        let reads = self.may_read();
        if reads || self.may_go_on() {
            ending = self.read(task, now, fx);
        } else if self.is_doubted() {
            ending = self.look_for_life(task, now, fx);
        }
        if let Err(later) = self.carry_out(context, task, now, fx) {
            self.hold_up(later);
        }
        if self.underway.as_ref().is_some_and(Underway::is_nothing) {
            self.underway = None;
        }
        if self.goes_on && !self.waits_for_changes() && (self.may_read() || self.may_go_on()) {
            go_on_behind_sockets(task);
        }
        if !self.may_hold_incomplete() {
            self.worker.counters.incomplete_packets_full.add(1);
            ending = ending.or_else(|| Some(Ending::because(ReasonCode::QuotaExceeded)));
        }
        if ending.is_none() {
            ending = fx.end.take().or_else(|| self.rare.as_mut()?.ending.take());
        }
        if ending.is_none() {
            self.write(task, now);
        }
        self.ask_for_retained(context);
        self.note_pause();
        if self.rare.as_ref().is_some_and(|rare| rare.is_over()) {
            self.rare = None;
        }
        if !reads && self.may_read() {
            // Writing made room: nothing else would bring the next turn, since the socket does not know that it is read.
            go_on_behind_sockets(task);
        }
        ending
    }

    /// Sees to it that the session wakes this connection, and takes what others ask of it; with that comes whether
    /// answers wait. None if the session is not held any more.
    fn note_waker(&self, task: &TaskContext<'_>) -> Option<(Requests, bool)> {
        let sessions = &mut self.worker.state().sessions;
        let session = sessions.get_mut(self.key).filter(|session| session.epoch == self.epoch);
        let online = session?.online.as_mut()?;
        if online.waker.as_ref().is_none_or(|waker| !waker.will_wake(task.waker())) {
            online.waker = Some(task.waker().clone());
        }
        Some((std::mem::take(&mut online.requests), online.pending().is_some()))
    }

    fn note_requests(&mut self, requests: Requests) {
        let Requests { ending, gives_way } = requests;
        if let Some(reason) = ending {
            self.rare().ending = Some(Ending::because(reason));
        }
        if gives_way {
            self.rare().gives_way = true;
        }
    }

    /// Carries out what the steps asked for: answers, changes of subscriptions, questions, and the batch to route.
    pub(super) fn carry_out(
        &mut self,
        context: &ConnectionContext,
        task: &mut TaskContext<'_>,
        now: Instant,
        fx: &mut Effects,
    ) -> Result<(), Box<Batch>> {
        let worker = Rc::clone(&self.worker);
        if !fx.out.is_empty() {
            worker.counters.packets_sent.add(fx.out_packets);
            self.append(&fx.out);
        }
        let mut routed = Ok(());
        if !fx.batch.is_empty() {
            let mut batch = std::mem::replace(&mut fx.batch, worker.state().batch());
            batch.publisher = Some(self.key);
            batch.epoch = self.epoch;
            batch.admitted = true;
            batch.publisher_hash = self.publisher_hash();
            routed = self.set_out(batch, task, now);
        }
        if !fx.releases.is_empty() {
            self.release(&mut fx.releases);
        }
        for change in fx.changes.drain(..) {
            self.change(context, change, fx.change_goes_on);
        }
        if !fx.wishes.is_empty() {
            self.ask(context, std::mem::take(&mut fx.wishes));
        }
        for step in std::mem::take(&mut fx.reauthenticate) {
            if self.rare().authenticates.is_some() {
                // It speaks before it was answered.
                fx.end = Some(Ending::because(ReasonCode::ProtocolError));
            } else {
                self.reauthenticate(context, step);
            }
        }
        routed
    }

    fn publisher_hash(&self) -> u64 {
        let sessions = &self.worker.state().sessions;
        sessions
            .get(self.key)
            .map_or(0, |session| micro_mq_core::ids::client_hash(session.client_identifier()))
    }

    /// Whether the session is still this connection's: another one may have taken it over a moment ago.
    pub(super) fn holds_session(&self) -> bool {
        let sessions = &self.worker.state().sessions;
        let session = sessions.get(self.key).filter(|session| session.epoch == self.epoch);
        self.closing.is_none() && session.is_some_and(|session| session.online.is_some())
    }

    fn append(&self, packets: &[u8]) {
        let WorkerState { sessions, pool, .. } = &mut *self.worker.state();
        let session = sessions.get_mut(self.key).filter(|session| session.epoch == self.epoch);
        if let Some(online) = session.and_then(|session| session.online.as_mut()) {
            online.outbox.append_with(pool, |out| out.extend_from_slice(packets));
        }
    }

    /// Sends an answer. One that the client does not take, even without what may be left out, ends the network connection:
    /// nothing may be sent in its place [MQTT-3.1.2-24], and the client would wait for it for ever.
    pub(super) fn send(&mut self, packet: &Packet) {
        let mut bytes = Vec::new();
        let (version, limit) = (self.protocol.version(), self.protocol.maximum_packet_size());
        if mqtt_codec::encode(packet, version, limit, &mut bytes).is_err() {
            self.rare().ending = Some(Ending::because(ReasonCode::PacketTooLarge));
            return;
        }
        self.worker.counters.packets_sent.add(1);
        self.append(&bytes);
    }

    // === writing ===

    /// Whether the auth actor was asked and has not answered.
    pub(super) fn is_asking(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.asked.is_some())
    }

    fn route_what_was_held_up(
        &mut self,
        context: &ConnectionContext,
        task: &TaskContext<'_>,
        now: Instant,
    ) -> bool {
        if !self.rare.as_ref().is_some_and(|rare| rare.held_up) {
            return true;
        }
        self.rare().held_up = false;
        let batch = {
            let sessions = &mut self.worker.state().sessions;
            sessions.get_mut(self.key).and_then(|session| session.online.as_mut()?.take_held_up())
        };
        let Some(mut batch) = batch else { return true };
        let set_out = match self.is_judged(context, &mut batch, now) {
            true => self.set_out(*batch, task, now),
            false => Err(batch),
        };
        if self.rare.as_ref().is_some_and(|rare| rare.ending.is_some()) {
            task.waker().wake_by_ref();
        }
        set_out.map_err(|batch| self.hold_up(batch)).is_ok()
    }

    pub(super) fn hold_up(&mut self, batch: Box<Batch>) {
        {
            let sessions = &mut self.worker.state().sessions;
            if let Some(online) = sessions.get_mut(self.key).and_then(|session| session.online.as_mut()) {
                online.rare.get_or_insert_default().held_up = Some(batch);
            }
        }
        self.rare().held_up = true;
    }

    /// Sends a batch on its way, if this client's share of what may be under way, and all workers with a match, have
    /// room for it; if not, it comes back, and the task is woken when they have.
    fn set_out(&mut self, mut batch: Batch, task: &TaskContext<'_>, now: Instant) -> Result<(), Box<Batch>> {
        let settings = &self.worker.node.settings.node;
        let underway = self.underway.get_or_insert_with(|| Underway::new(settings));
        if !underway.has_room_or_wake(task.waker()) {
            self.worker.counters.between_workers_full.add(1);
            return Err(Box::new(batch));
        }
        batch.passage = Some(underway.enter(batch.weight(self.worker.id, true)));
        self.worker.state().route(batch, Some(task.waker()), now).map_err(|mut batch| {
            batch.passage = None;
            batch
        })
    }

    // === the end ===

    fn part(&mut self, ending: Ending) {
        let now = clock::now();
        self.worker.counters.count_end(ending.reason);
        self.worker.counters.answers_left.add(self.changes_to_be_kept() as u64);
        let online = self.worker.state().part(self.key, self.epoch, ending.publish_will, now);
        let mut farewell = None;
        if let Some(online) = &online {
            farewell = self.worker.farewell(self.key, online, &ending, now);
            self.worker.peer().sessions.do_send(Left { session: self.key });
        }
        self.begin_closing(online, farewell, &ending);
    }

    fn begin_closing(&mut self, online: Option<Online>, farewell: Option<Box<Farewell>>, ending: &Ending) {
        let bytes_sent = online.as_ref().map_or(ByteCount::default(), |online| online.bytes_sent);
        let mut outbox = online.map(|online| online.outbox).unwrap_or_default();
        if self.waits_to_open() {
            self.refuse_unopened(&mut outbox, ending);
        } else {
            let (version, limit) = (self.protocol.version(), self.protocol.maximum_packet_size());
            outbox.append_with(&mut self.worker.state().pool, |out| ending.packet(version, limit, out));
        }
        self.partial = Partial::default();
        self.rare = None;
        self.closing = Some(Box::new(Closing::new(outbox, ending.by_client, farewell, bytes_sent)));
    }
}

impl Actor for Connection {
    type Context = ConnectionContext;
}

impl Handler<Close> for Connection {
    type Result = ();

    fn handle(&mut self, close: Close, _context: &mut Self::Context) {
        if self.closing.is_none() {
            self.rare().ending = Some(Ending::because(close.reason));
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.worker.stats(ActorKind::Connection).ended();
        ConnectionPermit::give_back(&self.worker.node.connections);
        // After a panic the session is still held, and an outbox may not be settled.
        let now = clock::now();
        let online = self.worker.state().part(self.key, self.epoch, true, now);
        if let Some(online) = online {
            let ending = Ending::because(ReasonCode::ImplementationSpecificError);
            if let Some(farewell) = self.worker.farewell(self.key, &online, &ending, now) {
                farewell.say(self.bytes_received, online.bytes_sent);
            }
            self.worker.peer().sessions.do_send(Left { session: self.key });
            self.worker.state().close_outbox(self.key, online.outbox);
        }
        if let Some(closing) = self.closing.take() {
            self.worker.state().close_outbox(self.key, closing.end(self.bytes_received));
        }
    }
}
