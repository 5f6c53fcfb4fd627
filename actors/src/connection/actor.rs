//! The actor of one network connection: it reads, lets the protocol decide, carries out what that asks for, and writes.
//!
//! One wake-up reads once, steps through what came, routes it as one batch, and writes once. The read buffer is the
//! worker's, shared by all of its connections; what an idle connection holds is its socket and little else.
//! Invariant: it touches its session only as long as the session's epoch is its own.

use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Instant;

use actix::prelude::*;
use auth_actor::{Action, Exchange, ExchangeOutcome};
use mqtt_codec::{
    Auth, AuthProperties, Connect, Packet, PacketType, ReasonCode, Sender, SubAck, UnsubAck, decode_body, read_header,
};

use super::context::{self, ConnectionContext};
use super::effects::{Change, Effects, Ending, Granted, Reauthenticate};
use super::outbox::SLICES_PER_WRITE;
use super::parting::Parting;
use super::permit::ConnectionPermit;
use super::protocol::{Protocol, Step, Stepped, Violation};
use super::retained::{self, RetainedPieces};
use super::transport::Transport;
use crate::message::Batch;
use crate::metrics::ActorKind;
use crate::sessions::{Epoch, Left, Online, Replay, SessionKey};
use crate::topics::{Join, Reply, Subscribe, Unsubscribe, group_home, shared_part};
use crate::worker::Worker;

/// Reads of one turn. The second usually finds nothing, without a system call, and leaves the waker with the socket.
const READS_PER_TURN: usize = 2;
/// How often one turn goes on writing what the session's queue still holds before others have their turn.
const WRITES_PER_TURN: usize = 8;
/// SUBSCRIBE and UNSUBSCRIBE packets of one client in work at a time; beyond, it is not read.
const CHANGES_MAX: usize = 64;

/// A network connection that its session's home takes in.
pub struct Newcomer {
    /// The session it holds.
    pub key: SessionKey,
    /// Which of the session's network connections it is.
    pub epoch: Epoch,
    /// The byte stream.
    pub transport: Transport,
    /// Bytes that came behind the CONNECT.
    pub rest: Vec<u8>,
    /// Its place among the node's network connections.
    pub permit: ConnectionPermit,
    /// Its CONNECT.
    pub connect: Box<Connect>,
}

/// Ends the network connection.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Close {
    /// What a 5.0 client is told.
    pub reason: ReasonCode,
    /// What the session's home took from the session already; none if the connection still holds it.
    pub parted: Option<Box<Online>>,
}

/// A change of subscriptions is in force at one of the workers it concerned.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ChangeInForce {
    /// Which one.
    pub token: u32,
}

/// The auth actor's answers to the questions that a packet waits for.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Authorized {
    /// What was asked.
    pub questions: Vec<(Action, String)>,
    /// The answers, in order.
    pub answers: Vec<bool>,
    /// The revision of the permissions when it was asked.
    pub revision: u64,
}

/// The auth actor's answer to a step of a re-authentication; none if it could not be had.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Reauthenticated {
    /// What it said.
    pub outcome: Option<ExchangeOutcome>,
}

/// The worker's topic trie panicked and was started anew.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct TrieLost {
    /// Whether publishes of this client wait for their acknowledgements.
    pub unanswered: bool,
}

/// Answered behind everything that was sent to the connection before.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ObserveConnection;

/// A SUBSCRIBE or UNSUBSCRIBE that is not in force everywhere.
#[derive(Debug)]
struct PendingChange {
    token: u32,
    answers_missing: usize,
    change: Change,
}

/// What few connections have at a time.
#[derive(Debug, Default)]
struct Rare {
    changes: Vec<PendingChange>,
    /// SUBACKs that wait for the first retained messages.
    answers: Vec<(u32, SubAck)>,
    /// A batch that found no room at another worker.
    held_up: Option<Batch>,
    /// A packet waits for the auth actor.
    asked: bool,
    exchange: Option<Exchange>,
    /// Set when the other end closed or the protocol was broken, to be dealt with at the end of the turn.
    ending: Option<Ending>,
}

/// See the module.
pub struct Connection {
    worker: Rc<Worker>,
    key: SessionKey,
    epoch: Epoch,
    transport: Transport,
    /// Bytes received that are not stepped through: the beginning of a packet, or all behind one that waits.
    partial: Vec<u8>,
    protocol: Protocol,
    rare: Option<Box<Rare>>,
    parting: Option<Box<Parting>>,
    /// Bytes in `partial` may hold a whole packet.
    partial_is_ready: bool,
    next_token: u32,
    _permit: ConnectionPermit,
}

impl Connection {
    /// Starts the actor of a network connection on this worker's thread.
    pub fn start_on(worker: Rc<Worker>, newcomer: Newcomer) -> Addr<Self> {
        worker.stats(ActorKind::Connection).started();
        context::start(Self {
            key: newcomer.key,
            epoch: newcomer.epoch,
            transport: newcomer.transport,
            partial_is_ready: !newcomer.rest.is_empty(),
            partial: newcomer.rest,
            protocol: Protocol::new(&newcomer.connect),
            rare: None,
            parting: None,
            next_token: 0,
            _permit: newcomer.permit,
            worker,
        })
    }

    fn rare(&mut self) -> &mut Rare {
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
        if self.parting.is_none() {
            let worker = Rc::clone(&self.worker);
            let mut fx = worker.effects.borrow_mut();
            fx.clear();
            let ending = self.live(context, task, &mut fx);
            fx.clear();
            if let Some(ending) = ending {
                self.part(ending);
            }
        }
        match &mut self.parting {
            Some(parting) => parting.poll(&mut self.transport, &self.worker, self.key, task),
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
        let now = Instant::now();
        if !self.note_waker(task) {
            // Taken over: the home's message with the outbox is on its way.
            return None;
        }
        if let Some(ending) = self.rare.as_mut().and_then(|rare| rare.ending.take()) {
            return Some(ending);
        }
        if !self.route_what_was_held_up(task) {
            let written = self.write(task, now);
            return written.is_err().then(|| Ending::because(ReasonCode::UnspecifiedError));
        }
        let mut ending = None;
        let reads = self.may_read();
        if reads {
            ending = self.read(task, now, fx);
        }
        if let Err(later) = self.carry_out(context, task, fx) {
            self.rare().held_up = Some(later);
        }
        if ending.is_none() {
            ending = fx.end.take();
        }
        if ending.is_none() && self.write(task, now).is_err() {
            ending = Some(Ending::because(ReasonCode::UnspecifiedError));
        }
        self.ask_for_retained(context);
        self.note_pause();
        if !reads && self.may_read() {
            // Writing made room: nothing else would bring the next turn, since the socket does not know that it is read.
            task.waker().wake_by_ref();
        }
        ending
    }

    /// Sees to it that the session wakes this connection. False if the session is not held any more.
    fn note_waker(&self, task: &TaskContext<'_>) -> bool {
        let mut sessions = self.worker.sessions.borrow_mut();
        let session = sessions.get_mut(self.key).filter(|session| session.epoch == self.epoch);
        let Some(online) = session.and_then(|session| session.online.as_mut()) else { return false };
        if online.waker.as_ref().is_none_or(|waker| !waker.will_wake(task.waker())) {
            online.waker = Some(task.waker().clone());
        }
        true
    }

    fn may_read(&self) -> bool {
        if let Some(rare) = &self.rare
            && (rare.held_up.is_some() || rare.asked || rare.changes.len() + rare.answers.len() >= CHANGES_MAX)
        {
            return false;
        }
        let sessions = self.worker.sessions.borrow();
        let Some(online) = sessions.get(self.key).and_then(|session| session.online.as_ref()) else { return false };
        if online.outbox.waiting_bytes() >= self.worker.node.settings.node.outbox_bytes_max {
            // It takes nothing in, so nothing more is taken from it.
            self.worker.counters.reading_paused_outbox.add(1);
            return false;
        }
        true
    }

    /// A client that is not read cannot be blamed for its silence.
    fn note_pause(&self) {
        let paused = !self.partial.is_empty() && self.partial_is_ready || !self.may_read();
        let mut sessions = self.worker.sessions.borrow_mut();
        if let Some(online) = sessions.get_mut(self.key).and_then(|session| session.online.as_mut()) {
            online.reading_paused = paused;
        }
    }

    /// Reads once and steps through what is there.
    fn read(&mut self, task: &mut TaskContext<'_>, now: Instant, fx: &mut Effects) -> Option<Ending> {
        let worker = Rc::clone(&self.worker);
        if self.partial_is_ready {
            let partial = std::mem::take(&mut self.partial);
            let stepped = self.step_through(&partial, now, fx);
            if let Some(ending) = self.keep_rest(partial, stepped) {
                return Some(ending);
            }
            if self.partial_is_ready {
                return None;
            }
        }
        let mut scratch = worker.scratch.borrow_mut();
        for _ in 0..READS_PER_TURN {
            let read = match self.transport.poll_read(task, &mut scratch) {
                Poll::Pending => return None,
                Poll::Ready(Ok(0)) => return Some(Ending::because(ReasonCode::Success)),
                Poll::Ready(Ok(read)) => read,
                Poll::Ready(Err(_)) => return Some(Ending::because(ReasonCode::UnspecifiedError)),
            };
            worker.counters.bytes_received.add(read as u64);
            if let Some(ending) = self.take_in(&scratch[..read], now, fx) {
                return Some(ending);
            }
            if fx.end.is_some() || self.partial_is_ready {
                return None;
            }
        }
        // Whatever the socket still holds is read in the next turn, behind the others'.
        task.waker().wake_by_ref();
        None
    }

    /// Steps through bytes received; what is not a whole packet is kept.
    fn take_in(&mut self, received: &[u8], now: Instant, fx: &mut Effects) -> Option<Ending> {
        if !self.partial.is_empty() {
            let mut partial = std::mem::take(&mut self.partial);
            partial.extend_from_slice(received);
            let stepped = self.step_through(&partial, now, fx);
            return self.keep_rest(partial, stepped);
        }
        match self.step_through(received, now, fx) {
            Ok(used) => {
                if used < received.len() {
                    self.partial.extend_from_slice(&received[used..]);
                }
                None
            }
            Err(violation) => Some(violation.into()),
        }
    }

    fn keep_rest(
        &mut self,
        mut bytes: Vec<u8>,
        stepped: Result<usize, Violation>,
    ) -> Option<Ending> {
        match stepped {
            Ok(used) if used == bytes.len() => {}
            Ok(used) => {
                bytes.drain(..used);
                self.partial = bytes;
            }
            Err(violation) => return Some(violation.into()),
        }
        None
    }

    /// Steps through whole packets; answers how many bytes are done with.
    fn step_through(&mut self, bytes: &[u8], now: Instant, fx: &mut Effects) -> Result<usize, Violation> {
        let worker = Rc::clone(&self.worker);
        let node = &worker.node;
        self.partial_is_ready = false;
        let policy = node.policy.current();
        let next_stamp = || node.next_retained_stamp();
        let version = self.protocol.version();
        let changes_pending = self.rare.as_ref().is_some_and(|rare| !rare.changes.is_empty());
        worker
            .with_desk(self.key, now, |session, desk| {
                if let Some(online) = &mut session.online {
                    online.last_received = now;
                }
                let mut step = Step {
                    desk,
                    counters: &worker.counters,
                    authorizes: policy.authorizes,
                    revision: node.policy.revision(),
                    next_stamp: &next_stamp,
                };
                let mut used = 0;
                while fx.end.is_none()
                    && let Some(header) = read_header(&bytes[used..], &node.decode_limits).inspect_err(|error| {
                        count_decode_error(&worker, error.reason_code());
                    })?
                {
                    let end = used + header.frame_bytes();
                    if end > bytes.len() {
                        break;
                    }
                    if header.packet_type == PacketType::Publish && (changes_pending || !fx.changes.is_empty()) {
                        // It is to find the subscriptions that its client asked for before.
                        self.partial_is_ready = true;
                        break;
                    }
                    let body = &bytes[used + usize::from(header.header_bytes)..end];
                    let packet = decode_body(header, body, version, Sender::Client, &node.decode_limits)
                        .inspect_err(|error| count_decode_error(&worker, error.reason_code()))?;
                    match self.protocol.on_packet(packet, session, &mut step, fx)? {
                        Stepped::Done => {}
                        Stepped::NeedsPermission | Stepped::NeedsAnswers => {
                            self.partial_is_ready = true;
                            break;
                        }
                    }
                    worker.counters.packets_received.add(1);
                    used = end;
                }
                Ok(used)
            })
            .unwrap_or(Ok(bytes.len()))
    }

    /// Carries out what the steps asked for: answers, changes of subscriptions, questions, and the batch to route.
    fn carry_out(
        &mut self,
        context: &ConnectionContext,
        task: &mut TaskContext<'_>,
        fx: &mut Effects,
    ) -> Result<(), Batch> {
        let worker = Rc::clone(&self.worker);
        if !fx.out.is_empty() {
            worker.counters.packets_sent.add(fx.out_packets);
            self.append(&fx.out);
        }
        let mut routed = Ok(());
        if !fx.batch.is_empty() {
            let mut batch = std::mem::replace(&mut fx.batch, worker.batch());
            batch.publisher = Some(self.key);
            batch.epoch = self.epoch;
            batch.publisher_hash = self.publisher_hash();
            routed = worker.route(batch, Some(task.waker()));
        }
        for change in fx.changes.drain(..) {
            self.change(context, change);
        }
        if !fx.questions.is_empty() {
            self.ask(context, std::mem::take(&mut fx.questions));
        }
        for step in fx.reauthenticate.drain(..) {
            self.reauthenticate(context, step);
        }
        routed
    }

    fn publisher_hash(&self) -> u64 {
        use crate::settings::SharedStrategy;
        if self.worker.node.settings.session.shared_strategy != SharedStrategy::HashClient {
            return 0;
        }
        let sessions = self.worker.sessions.borrow();
        sessions.get(self.key).map_or(0, |session| crate::sessions::client_hash(&session.client_identifier))
    }

    fn append(&self, packets: &[u8]) {
        let mut sessions = self.worker.sessions.borrow_mut();
        if let Some(online) = sessions.get_mut(self.key).and_then(|session| session.online.as_mut()) {
            online.outbox.append_with(&mut self.worker.pool.borrow_mut(), |out| out.extend_from_slice(packets));
        }
    }

    fn send(&self, packet: &Packet) {
        let mut bytes = Vec::new();
        let (version, limit) = (self.protocol.version(), self.protocol.maximum_packet_size());
        if mqtt_codec::encode(packet, version, limit, &mut bytes).is_ok() {
            self.worker.counters.packets_sent.add(1);
            self.append(&bytes);
        }
    }

    // === subscriptions ===

    /// Sends a change to every trie it concerns; it is answered when all have said that it is in force.
    fn change(&mut self, context: &ConnectionContext, change: Change) {
        let worker = Rc::clone(&self.worker);
        self.next_token = self.next_token.wrapping_add(1);
        let token = self.next_token;
        let reply = Reply { connection: context.address(), token };
        let answers_missing = match &change {
            Change::Subscribe { granted, .. } => self.subscribe(granted, &reply),
            Change::Unsubscribe { filters, .. } => {
                let sessions = worker.sessions.borrow();
                if let Some(session) = sessions.get(self.key) {
                    filters.iter().for_each(|filter| worker.note_subscribed(session, filter, None));
                }
                let by_home = worker.by_home(filters.iter());
                for (home, filters) in &by_home {
                    let message =
                        Unsubscribe { session: self.key, filters: filters.clone(), reply: Some(reply.clone()) };
                    worker.node.peers[usize::from(*home)].trie.do_send(message);
                }
                by_home.len()
            }
        };
        let pending = PendingChange { token, answers_missing, change };
        if answers_missing == 0 {
            self.answer_change(context, token, pending.change);
        } else {
            self.rare().changes.push(pending);
        }
    }

    fn subscribe(&self, granted: &[Granted], reply: &Reply) -> usize {
        let worker = &self.worker;
        let peers = &worker.node.peers;
        let mut sessions = worker.sessions.borrow_mut();
        let Some(session) = sessions.get_mut(self.key) else { return 0 };
        let (mut plain, mut shared) = (Vec::new(), vec![Vec::new(); peers.len()]);
        for Granted { filter, subscription, .. } in granted {
            worker.note_subscribed(session, filter, Some(*subscription));
            let entry = (filter.clone(), *subscription);
            match shared_part(filter) {
                Some(_) => shared[usize::from(group_home(filter, peers.len()))].push(entry),
                None => plain.push(entry),
            }
        }
        let mut asked = 0;
        if !plain.is_empty() {
            let message = Subscribe { session: self.key, filters: plain, reply: Some(reply.clone()) };
            worker.peer().trie.do_send(message);
            asked += 1;
        }
        for (home, filters) in shared.into_iter().enumerate().filter(|(_, filters)| !filters.is_empty()) {
            let load = session.load.get_or_insert_default().clone();
            let (online, durable) = (true, session.is_durable());
            let reply = Some(reply.clone());
            peers[home].trie.do_send(Join { session: self.key, filters, online, durable, load, reply });
            asked += 1;
        }
        asked
    }

    /// SUBACK or UNSUBACK. A SUBACK waits for the first retained messages, so that they stand before whatever is
    /// published because of it.
    fn answer_change(&mut self, context: &ConnectionContext, token: u32, change: Change) {
        match change {
            Change::Subscribe { packet_identifier, granted, reasons, reason_string } => {
                let properties = reason_string.map(|text| {
                    Box::new(mqtt_codec::AckProperties { reason_string: Some(text), user_properties: Vec::new() })
                });
                let answer = SubAck { packet_identifier, properties, reason_codes: reasons };
                let replays = granted.into_iter().filter(|granted| granted.replay);
                let replays = replays.map(|Granted { filter, subscription, .. }| Replay {
                    filter,
                    subscription,
                    after: None,
                });
                let replays: Vec<Replay> = replays.collect();
                if replays.is_empty() || !retained::is_any_kept(&self.worker.node) {
                    return self.send(&Packet::SubAck(answer));
                }
                if let Some(session) = self.worker.sessions.borrow_mut().get_mut(self.key) {
                    session.replays.get_or_insert_default().first_asked += 1;
                }
                retained::ask(&self.worker.node, context.address(), self.epoch, Some(token), replays);
                self.rare().answers.push((token, answer));
            }
            Change::Unsubscribe { packet_identifier, reasons, .. } => {
                let packet = UnsubAck { packet_identifier, properties: None, reason_codes: reasons };
                self.send(&Packet::UnsubAck(packet));
            }
        }
    }

    // === auth ===

    fn ask(&mut self, context: &ConnectionContext, questions: Vec<(Action, String)>) {
        let node = &self.worker.node;
        let (client_identifier, user_name) = {
            let sessions = self.worker.sessions.borrow();
            let Some(session) = sessions.get(self.key) else { return };
            (session.client_identifier.to_string(), session.user_name.as_deref().map(str::to_owned))
        };
        let revision = node.policy.revision();
        let (node, me) = (Arc::clone(node), context.address());
        let question = auth_actor::Authorize { client_identifier, user_name, questions: questions.clone() };
        actix_rt::spawn(async move {
            // Without an answer nothing is allowed.
            let answers = node.ask_auth(question).await.unwrap_or_else(|| vec![false; questions.len()]);
            me.do_send(Authorized { questions, answers, revision });
        });
        self.rare().asked = true;
    }

    fn reauthenticate(&mut self, context: &ConnectionContext, step: Reauthenticate) {
        use auth_actor::{BeginExchange, ContinueExchange, Identity};
        let Some(method) = self.protocol.authentication_method().map(str::to_owned) else { return };
        let (node, me) = (Arc::clone(&self.worker.node), context.address());
        let exchange = self.rare().exchange.take();
        let (client_identifier, user_name) = {
            let sessions = self.worker.sessions.borrow();
            let Some(session) = sessions.get(self.key) else { return };
            (session.client_identifier.to_string(), session.user_name.as_deref().map(str::to_owned))
        };
        actix_rt::spawn(async move {
            let outcome = match exchange {
                _ if step.begins => {
                    let reauthenticate = Some(Identity { user_name });
                    let begin = BeginExchange { client_identifier, method, data: step.data, reauthenticate };
                    node.ask_auth(begin).await
                }
                Some(exchange) => node.ask_auth(ContinueExchange { exchange, data: step.data }).await,
                None => None,
            };
            me.do_send(Reauthenticated { outcome });
        });
    }

    // === writing ===

    fn route_what_was_held_up(&mut self, task: &TaskContext<'_>) -> bool {
        let Some(batch) = self.rare.as_mut().and_then(|rare| rare.held_up.take()) else { return true };
        match self.worker.route(batch, Some(task.waker())) {
            Ok(()) => true,
            Err(batch) => {
                self.rare().held_up = Some(batch);
                false
            }
        }
    }

    /// Writes what waits, and what the session's queue has room for now.
    fn write(&mut self, task: &mut TaskContext<'_>, now: Instant) -> Result<(), std::io::Error> {
        let worker = Rc::clone(&self.worker);
        for _ in 0..WRITES_PER_TURN {
            let outcome = worker.with_desk(self.key, now, |session, desk| {
                session.pump(desk);
                let Some(online) = session.online.as_mut() else { return Ok(false) };
                if online.outbox.is_empty() {
                    return Ok(false);
                }
                let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
                let count = online.outbox.slices(&mut slices);
                let written = match count {
                    1 => self.transport.poll_write(task, &slices[0]),
                    _ => self.transport.poll_write_vectored(task, &slices[..count]),
                };
                match written {
                    Poll::Pending => Ok(false),
                    Poll::Ready(written) => {
                        let written = written?;
                        worker.counters.bytes_sent.add(written as u64);
                        let delivered = u64::from(online.outbox.advance(desk.pool, written));
                        session.tally.delivered += delivered;
                        desk.ledger.delivered.add(delivered);
                        session.publish_load();
                        Ok::<_, std::io::Error>(written > 0)
                    }
                }
            });
            match outcome {
                Some(Ok(true)) => {}
                Some(Ok(false)) | None => return self.flush(task),
                Some(Err(error)) => return Err(error),
            }
        }
        // More than one turn's share: the others first.
        task.waker().wake_by_ref();
        Ok(())
    }

    fn flush(&mut self, task: &mut TaskContext<'_>) -> Result<(), std::io::Error> {
        match self.transport.poll_flush(task) {
            Poll::Ready(flushed) => flushed,
            Poll::Pending => Ok(()),
        }
    }

    // === the end ===

    fn part(&mut self, ending: Ending) {
        let now = Instant::now();
        self.worker.counters.count_end(ending.reason);
        let online = self.worker.part(self.key, self.epoch, ending.publish_will, now);
        if online.is_some() {
            self.worker.peer().sessions.do_send(Left { session: self.key });
        }
        self.begin_parting(online, &ending);
    }

    fn begin_parting(&mut self, online: Option<Online>, ending: &Ending) {
        let mut outbox = online.map(|online| online.outbox).unwrap_or_default();
        let (version, limit) = (self.protocol.version(), self.protocol.maximum_packet_size());
        outbox.append_with(&mut self.worker.pool.borrow_mut(), |out| ending.packet(version, limit, out));
        self.partial = Vec::new();
        if let Some(batch) = self.rare.take().and_then(|rare| rare.held_up) {
            // Taken from the client already, and a QoS 2 message is not routed when it is sent again: one batch per
            // network connection may overshoot the limit between workers.
            let routed = self.worker.route(batch, None);
            debug_assert!(routed.is_ok());
        }
        self.parting = Some(Box::new(Parting::new(outbox, ending.by_client)));
    }

    // === retained ===

    fn ask_for_retained(&mut self, context: &ConnectionContext) {
        let replay = {
            let mut sessions = self.worker.sessions.borrow_mut();
            let session = sessions.get_mut(self.key);
            session.and_then(|session| {
                retained::next_replay(session, self.epoch, &self.worker.node.settings)
            })
        };
        if let Some(replay) = replay {
            retained::ask(&self.worker.node, context.address(), self.epoch, None, vec![replay]);
        }
    }
}

fn count_decode_error(worker: &Worker, reason: ReasonCode) {
    match reason {
        ReasonCode::PacketTooLarge => worker.counters.packets_too_large.add(1),
        _ => worker.counters.protocol_errors.add(1),
    }
}

impl Actor for Connection {
    type Context = ConnectionContext;
}

impl Handler<Close> for Connection {
    type Result = ();

    fn handle(&mut self, close: Close, _context: &mut Self::Context) {
        if self.parting.is_some() {
            return;
        }
        let ending = Ending::because(close.reason);
        match close.parted {
            Some(online) => {
                self.worker.counters.count_end(close.reason);
                self.begin_parting(Some(*online), &ending);
            }
            None => self.rare().ending = Some(ending),
        }
    }
}

impl Handler<ChangeInForce> for Connection {
    type Result = ();

    fn handle(&mut self, in_force: ChangeInForce, context: &mut Self::Context) {
        let Some(rare) = &mut self.rare else { return };
        let Some(at) = rare.changes.iter().position(|change| change.token == in_force.token) else { return };
        rare.changes[at].answers_missing -= 1;
        if rare.changes[at].answers_missing == 0 {
            let pending = rare.changes.remove(at);
            self.answer_change(context, pending.token, pending.change);
        }
    }
}

impl Handler<Authorized> for Connection {
    type Result = ();

    fn handle(&mut self, authorized: Authorized, _context: &mut Self::Context) {
        self.protocol.permitted(authorized.questions, authorized.answers, authorized.revision);
        if let Some(rare) = &mut self.rare {
            rare.asked = false;
        }
    }
}

impl Handler<Reauthenticated> for Connection {
    type Result = ();

    fn handle(&mut self, answer: Reauthenticated, _context: &mut Self::Context) {
        if self.parting.is_some() {
            return;
        }
        let method = self.protocol.authentication_method().map(str::to_owned);
        let auth = |reason_code, data: Vec<u8>| {
            let properties = AuthProperties {
                authentication_method: method.clone(),
                authentication_data: Some(data.into()),
                ..AuthProperties::default()
            };
            Packet::Auth(Auth { reason_code, properties })
        };
        match answer.outcome {
            Some(ExchangeOutcome::Continue { exchange, data }) => {
                self.send(&auth(ReasonCode::ContinueAuthentication, data));
                self.rare().exchange = Some(exchange);
            }
            Some(ExchangeOutcome::Success { data, .. }) => self.send(&auth(ReasonCode::Success, data)),
            Some(ExchangeOutcome::Refused(_)) | None => {
                self.rare().ending = Some(Ending::because(ReasonCode::NotAuthorized));
            }
        }
    }
}

impl Handler<RetainedPieces> for Connection {
    type Result = ();

    fn handle(&mut self, answer: RetainedPieces, _context: &mut Self::Context) {
        if self.parting.is_some() || answer.epoch != self.epoch {
            return;
        }
        let now = Instant::now();
        let Some(token) = answer.token else {
            for (asked, piece) in answer.pieces {
                self.worker.take_next_piece(self.key, &asked, piece, now);
            }
            return;
        };
        let answers = &mut self.rare().answers;
        if let Some(at) = answers.iter().position(|(waiting, _)| *waiting == token) {
            let (_, packet) = answers.remove(at);
            self.send(&Packet::SubAck(packet));
            self.worker.take_first_pieces(self.key, answer.pieces, now);
        }
    }
}

impl Handler<TrieLost> for Connection {
    type Result = ();

    fn handle(&mut self, lost: TrieLost, _context: &mut Self::Context) {
        let waits = self.rare.as_ref().is_some_and(|rare| !rare.changes.is_empty());
        if self.parting.is_none() && (lost.unanswered || waits) {
            self.rare().ending = Some(Ending::because(ReasonCode::ImplementationSpecificError));
        }
    }
}

impl Handler<ObserveConnection> for Connection {
    type Result = ();

    fn handle(&mut self, _: ObserveConnection, _context: &mut Self::Context) {}
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.worker.stats(ActorKind::Connection).ended();
        // After a panic the session is still held, and an outbox may not be settled.
        if let Some(online) = self.worker.part(self.key, self.epoch, true, Instant::now()) {
            self.worker.peer().sessions.do_send(Left { session: self.key });
            self.worker.close_outbox(self.key, online.outbox);
        }
        if let Some(parting) = self.parting.take() {
            self.worker.close_outbox(self.key, parting.into_outbox());
        }
    }
}
