//! The sessions actor of one worker: takes in network connections for the sessions whose home is here, and owns the
//! sessions that are offline.
//!
//! Two connections with one client identifier always meet here, one after the other, so takeover and resumption need no
//! protocol between threads. The sessions themselves lie in the worker's table and outlive this actor.

use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::{Duration, Instant};

use actix::fut::ActorFuture;
use actix::prelude::*;
use auth_actor::{Outcome, QuestionKind};
use hashbrown::HashMap;
use micro_mq_core::admission::{self, Refused, Terms, maximum_packet_size};
use micro_mq_core::ids::{SessionKey, client_hash};
use micro_mq_core::message::{Payload, Publication};
use micro_mq_core::session::{Grant, Session, Silence};
use micro_mq_core::timers::Timer;
use mqtt_codec::{Connect, Packet, QoS, ReasonCode};
use tokio::time::{Sleep, sleep};
use tracing::debug;

use super::grants::held_grant;
use super::messages::*;
use crate::clock;
use crate::connection::transport::Transport;
use crate::connection::{Connection, ConnectionPermit, Newcomer, Refusal, refuse};
use crate::metrics::ActorKind;
use crate::worker::Worker;

/// Room for a burst of reconnecting clients; connections are bounded by `connections_max`.
const MAILBOX_CAPACITY: usize = 4096;

/// See the module.
pub struct Sessions {
    pub(super) worker: Rc<Worker>,
    /// Who waits for a session until the network connection that holds it has given way; as many as there are network
    /// connections at most.
    waiting: HashMap<SessionKey, VecDeque<Admission>>,
}

impl Sessions {
    /// For the sessions of one worker.
    pub fn new(worker: Rc<Worker>) -> Self {
        Self { worker, waiting: HashMap::new() }
    }

    fn see_to_what_is_due(&mut self) {
        let now = clock::now();
        let due = self.worker.timers.borrow_mut().take_due(now);
        for timer in due {
            match timer {
                Timer::KeepAlive(key, epoch) => self.keep_alive_due(key, epoch, now),
                Timer::Offline(key, epoch) => self.worker.offline_due(key, epoch, now),
                Timer::Grant(key, epoch) => self.worker.grant_due(key, epoch, now),
                Timer::Refused(key, epoch) => self.worker.wake(key, epoch),
                Timer::Waiting => {
                    let late = self.worker.wills_in_doubt.borrow_mut().take_late(now);
                    late.into_iter().for_each(|admit| self.turn_away(admit));
                }
                Timer::LinesLeftOut => self.worker.node.journal.look(now),
                Timer::Changes => self.worker.keep_changes(),
            }
        }
    }

    /// Asks for wills in doubt, and takes in who waited for those that are judged.
    fn go_on_with_wills(&mut self) {
        self.worker.judge_wills();
        let judged = self.worker.wills_in_doubt.borrow_mut().take_judged();
        for admit in judged {
            self.admit(admit);
        }
    }

    /// Tells a client to come again, whose CONNECT has waited for as long as it may.
    fn turn_away(&self, admit: Admit) {
        let transport = match admit.transport {
            Handed::Here(transport) => Ok(transport),
            Handed::Moved(detached) => Transport::attach(detached),
        };
        let Ok(transport) = transport else { return };
        let limit = maximum_packet_size(&admit.connect);
        let refusal =
            Refusal { version: admit.connect.version, reason: ReasonCode::ServerUnavailable, limit };
        self.worker.tell_refused(Some(&admit.connect), transport.peer_address(), refusal.reason);
        refuse(transport, refusal, Rc::clone(&self.worker), admit.permit);
    }

    fn keep_alive_due(&self, key: SessionKey, epoch: u32, now: Instant) {
        let mut sessions = self.worker.sessions.borrow_mut();
        let Some(session) = sessions.get_mut(key).filter(|session| session.epoch == epoch) else { return };
        let Some(online) = &mut session.online else { return };
        match online.judge_silence(self.worker.node.started, now) {
            Silence::TooLong => {
                self.worker.counters.keep_alive_timeouts.add(1);
                online.end(ReasonCode::KeepAliveTimeout);
            }
            Silence::Within(time) => self.worker.set_timer(now, now + time, Timer::KeepAlive(key, epoch)),
        }
    }

    /// Judges a network connection, and takes it in when nobody holds the session it asks for any more.
    fn admit(&mut self, admit: Admit) {
        let worker = Rc::clone(&self.worker);
        let transport = match admit.transport {
            Handed::Here(transport) => transport,
            Handed::Moved(detached) => match Transport::attach(detached) {
                Ok(transport) => transport,
                Err(error) => {
                    debug!(%error, "a network connection was lost on its way to its worker");
                    return;
                }
            },
        };
        let Admit { connect, judged, .. } = admit;
        let grant = judged.identity.grant.clone().map(held_grant);
        let found = worker.sessions.borrow().find(&connect.client_identifier);
        let request = admission::Request {
            connect: &connect,
            assigned: admit.assigned,
            user_name: judged.identity.user_name.as_deref(),
            authentication_data: admit.authentication_data.as_deref(),
            grant: grant.as_ref(),
            revision: judged.revision,
            will_until: judged.will_until,
        };
        let circumstances = admission::Circumstances {
            settings: &worker.node.settings,
            counters: &worker.counters,
            kept: &worker.node.kept,
            places: &worker.node.session_places,
            known_names: found.and_then(|key| Some(worker.sessions.borrow().get(key)?.names_bytes())),
            is_stopping: worker.stopping.get(),
            is_restored: worker.is_restored(),
            standing: worker.standing(&judged, clock::now()),
        };
        let terms = match admission::judge(&request, &circumstances) {
            Ok(terms) => terms,
            Err(refused) => {
                return turn_away_at_the_door(&worker, refused, &connect, transport, admit.permit);
            }
        };
        let admission = Admission {
            transport,
            connect,
            rest: admit.rest,
            bytes_received: admit.bytes_received,
            judged,
            grant,
            permit: admit.permit,
            terms,
        };
        self.take_over(found, admission);
    }

    /// Takes a network connection in, at once or, if another one holds its session, when that has given way
    /// [MQTT-3.1.4-3].
    fn take_over(&mut self, found: Option<SessionKey>, admission: Admission) {
        match found {
            Some(key) if self.is_to_give_way(key) => {
                self.waiting.entry(key).or_default().push_back(admission);
            }
            found => self.take_in(found, admission),
        }
    }

    /// Asks the network connection that holds a session to part from it. False if there is none.
    fn is_to_give_way(&self, key: SessionKey) -> bool {
        let mut sessions = self.worker.sessions.borrow_mut();
        let Some(online) = sessions.get_mut(key).and_then(|session| session.online.as_mut()) else {
            return false;
        };
        if self.waiting.contains_key(&key) {
            return true;
        }
        self.worker.counters.takeovers.add(1);
        // One that is gone says so when it is dropped.
        online.requests.gives_way = true;
        online.wake();
        true
    }

    /// Ends or resumes the session that a network connection asks for, which nobody holds, and answers its CONNECT.
    fn take_in(&mut self, found: Option<SessionKey>, admission: Admission) {
        let now = clock::now();
        let worker = Rc::clone(&self.worker);
        let Admission { transport, connect, rest, judged, grant, permit, .. } = admission;
        let Terms { mut answer, expiry_interval, keep_alive, will, place } = admission.terms;
        let version = connect.version;
        let user_name = judged.identity.user_name.as_deref();
        // It may have waited for another network connection to give way.
        let judged_anew = worker.standing(&judged, now).judge(judged.revision, grant.as_deref());
        let is_stopping = worker.stopping.get().then_some(Refused::Stopping);
        if let Some(refused) = judged_anew.err().or(is_stopping) {
            return turn_away_at_the_door(&worker, refused, &connect, transport, permit);
        }
        let existing = found.filter(|key| {
            self.end_absence(*key, now);
            // Without an expiry it ended with its network connection.
            worker.sessions.borrow().contains(*key)
        });
        if connect.clean_start
            && let Some(key) = existing
        {
            // Ended before its time: a delayed will is published [MQTT-3.1.3-9].
            if let Some(session) = worker.sessions.borrow_mut().get_mut(key) {
                let will_due = session.absence().will_due;
                session.absence().will_due = will_due.or(session.will.is_some().then_some(now));
            }
            worker.end_session(key, now);
        }
        if !worker.is_restored() {
            worker.note_outdated(&connect.client_identifier);
        }
        let existing = existing.filter(|_| !connect.clean_start);
        match existing {
            // It goes on in its own place, and needs none beside it.
            Some(_) => drop(place),
            None => place.keep(),
        }
        answer.session_present = existing.is_some();
        let answer = Packet::ConnAck(answer);
        let node = &worker.node;
        let mut online = admission::begin(&connect, keep_alive, &node.settings, node.started, now);
        let patience = online.patience();
        online.outbox.append_with(&mut worker.pool.borrow_mut(), |out| {
            let encoded = mqtt_codec::encode(&answer, version, maximum_packet_size(&connect), out);
            debug_assert!(encoded.is_ok(), "its size was judged");
        });
        let (key, epoch) = {
            let mut sessions = worker.sessions.borrow_mut();
            let session = match existing.and_then(|key| sessions.get_mut(key).map(|session| session.key)) {
                Some(key) => sessions.get_mut(key).expect("it was just found"),
                None => sessions.create(&connect.client_identifier, version),
            };
            let names_before = if existing.is_some() { session.names_bytes() } else { 0 };
            admission::hold(session, online, expiry_interval, user_name, will);
            worker.node.session_places.rename(names_before, session.names_bytes());
            worker.note_expiry(session);
            worker.counters.held.online.add(1);
            (session.key, session.epoch)
        };
        if keep_alive > 0 {
            worker.set_timer(now, now + patience, Timer::KeepAlive(key, epoch));
        }
        if grant.is_some() {
            worker.set_grant(key, epoch, grant, now);
        }
        worker.counters.packets_sent.add(1);
        worker.counters.connects_accepted.add(1);
        let carrier = (transport.kind(), || transport.peer_address());
        worker.tell_connected(&connect, existing.is_some(), carrier, user_name, now);
        let newcomer = Newcomer {
            key,
            epoch,
            transport,
            rest,
            bytes_received: admission.bytes_received,
            permit,
            connect,
        };
        Connection::start_on(Rc::clone(&worker), newcomer);
        worker.tell_groups(key);
    }

    /// Deals with what is due of a session that is offline, before it goes on or ends.
    fn end_absence(&self, key: SessionKey, now: Instant) {
        // A delayed will is cancelled by the resumption that follows, one without delay is published now.
        self.worker.settle_parting(key, now);
        // What was due before counts, though its tick did not come yet [MQTT-3.1.3-9] [MQTT-4.1.0-2].
        let is_due = |session: &&Session| session.next_due().is_some_and(|due| due <= now);
        let due = self.worker.sessions.borrow().get(key).filter(is_due).map(|session| session.epoch);
        if let Some(epoch) = due {
            self.worker.offline_due(key, epoch, now);
        }
    }
}

/// A network connection that nothing speaks against any more.
struct Admission {
    transport: Transport,
    connect: Box<Connect>,
    rest: Vec<u8>,
    bytes_received: u64,
    judged: Judged,
    grant: Option<Arc<Grant>>,
    permit: ConnectionPermit,
    terms: Terms,
}

/// Tells a client that it is not taken in, and why.
fn turn_away_at_the_door(
    worker: &Rc<Worker>,
    refused: Refused,
    connect: &Connect,
    transport: Transport,
    permit: ConnectionPermit,
) {
    if refused == Refused::Outdated {
        worker.node.asking.outcomes().count(QuestionKind::Login, Outcome::Outdated, 1);
    }
    let limit = if refused.is_told() { maximum_packet_size(connect) } else { 0 };
    let refusal = Refusal { version: connect.version, reason: refused.reason(), limit };
    worker.tell_refused(Some(connect), transport.peer_address(), refusal.reason);
    refuse(transport, refusal, Rc::clone(worker), permit);
}

/// Runs behind the mailbox: sees to what is due, and sleeps until something is.
struct WhatIsDue {
    sleep: Pin<Box<Sleep>>,
    /// Until when it sleeps.
    until: Option<Instant>,
}

impl ActorFuture<Sessions> for WhatIsDue {
    type Output = ();

    fn poll(
        mut self: Pin<&mut Self>,
        sessions: &mut Sessions,
        _ctx: &mut Context<Sessions>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        sessions.worker.note_alarm(task.waker());
        loop {
            let next = sessions.worker.timers.borrow().next_due();
            let Some(due) = next else { return Poll::Pending };
            if self.until != next {
                self.sleep.as_mut().reset(due.into());
                self.until = next;
            }
            ready!(self.sleep.as_mut().poll(task));
            self.until = None;
            sessions.see_to_what_is_due();
        }
    }
}

impl Actor for Sessions {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_CAPACITY);
        ctx.spawn(WhatIsDue { sleep: Box::pin(sleep(Duration::ZERO)), until: None });
        let now = clock::now();
        // What a predecessor that panicked left undone.
        ctx.notify(WillsJudged);
        self.worker.keep_changes();
        let keys = self.worker.sessions.borrow().keys();
        for key in keys {
            self.worker.settle_parting(key, now);
        }
        self.load(ctx);
    }
}

impl Handler<Admit> for Sessions {
    type Result = ();

    fn handle(&mut self, admit: Admit, _ctx: &mut Self::Context) {
        let worker = Rc::clone(&self.worker);
        let stats = worker.stats(ActorKind::Sessions);
        let timer = stats.handle(stats.send());
        match worker.wait_for_wills(admit) {
            Some(admit) => self.admit(admit),
            None => worker.judge_wills(),
        }
        stats.handled(timer);
    }
}

impl Handler<WillsJudged> for Sessions {
    type Result = ();

    fn handle(&mut self, _: WillsJudged, _ctx: &mut Self::Context) {
        self.go_on_with_wills();
    }
}

impl Handler<Left> for Sessions {
    type Result = ();

    fn handle(&mut self, left: Left, _ctx: &mut Self::Context) {
        let worker = Rc::clone(&self.worker);
        let stats = worker.stats(ActorKind::Sessions);
        let timer = stats.handle(stats.send());
        self.worker.settle_parting(left.session, clock::now());
        if !self.waiting.is_empty() {
            for admission in self.waiting.remove(&left.session).into_iter().flatten() {
                let found = worker.sessions.borrow().find(&admission.connect.client_identifier);
                self.take_over(found, admission);
            }
        }
        stats.handled(timer);
    }
}

impl Handler<EndWithdrawn> for Sessions {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, end: EndWithdrawn, _ctx: &mut Self::Context) -> Self::Result {
        Box::pin(Rc::clone(&self.worker).end_withdrawn(end.round))
    }
}

impl Handler<TrieMadeAnew> for Sessions {
    type Result = ();

    fn handle(&mut self, made: TrieMadeAnew, _ctx: &mut Self::Context) {
        if made.worker == self.worker.id {
            self.worker.go_on_with_remains();
        }
        self.worker.join_again(made.worker);
    }
}

impl Handler<PublishWills> for Sessions {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: PublishWills, _ctx: &mut Self::Context) -> Self::Result {
        let now = clock::now();
        let mut wills = Vec::new();
        {
            let mut sessions = self.worker.sessions.borrow_mut();
            for key in sessions.keys() {
                let Some(session) = sessions.get_mut(key) else { continue };
                if let Some(will) = session.replace_will(None) {
                    wills.push((key, client_hash(session.client_identifier()), will));
                }
            }
        }
        for (key, hash, will) in wills {
            self.worker.publish_will(key, hash, will, now);
        }
        self.worker.judge_wills();
        let judged = self.worker.wills_in_doubt.borrow_mut().idle();
        Box::pin(async move {
            if let Some(judged) = judged {
                // Whoever asks has a patience of its own.
                let _ = judged.await;
            }
        })
    }
}

impl Handler<ShutDown> for Sessions {
    type Result = ();

    fn handle(&mut self, _: ShutDown, _ctx: &mut Self::Context) {
        self.worker.stopping.set(true);
        let mut sessions = self.worker.sessions.borrow_mut();
        for key in sessions.keys() {
            let Some(session) = sessions.get_mut(key) else { continue };
            session.replace_will(None);
            if let Some(online) = &mut session.online {
                online.end(ReasonCode::ServerShuttingDown);
            }
        }
        drop(sessions);
        // Nobody is let in any more, whatever becomes of the wills that some wait for.
        let waiting = self.worker.wills_in_doubt.borrow_mut().take_waiting();
        for admit in waiting {
            self.admit(admit);
        }
    }
}

impl Handler<PublishSys> for Sessions {
    type Result = ();

    fn handle(&mut self, sys: PublishSys, _ctx: &mut Self::Context) {
        let mut batch = self.worker.batch();
        for (topic, payload) in &sys.messages {
            let publication = Publication {
                topic,
                properties: &[],
                payload: Payload::Short(payload.as_bytes()),
                qos: QoS::ExactlyOnce,
                retain: true,
                expires_at: None,
                publisher: None,
                publisher_hash: 0,
                stamp: 0,
            };
            batch.push(&publication, None);
        }
        let routed = self.worker.route(batch, None);
        debug_assert!(routed.is_ok());
    }
}

impl Handler<ObserveSessions> for Sessions {
    type Result = MessageResult<ObserveSessions>;

    fn handle(&mut self, _: ObserveSessions, _ctx: &mut Self::Context) -> Self::Result {
        MessageResult(SessionsObservation {
            sessions: self.worker.sessions.borrow().len(),
            online: self.worker.counters.held.online.get() as usize,
        })
    }
}

impl Handler<ObserveClient> for Sessions {
    type Result = MessageResult<ObserveClient>;

    fn handle(&mut self, observe: ObserveClient, _ctx: &mut Self::Context) -> Self::Result {
        let sessions = self.worker.sessions.borrow();
        let session = sessions.find(&observe.client_identifier).and_then(|key| sessions.get(key));
        MessageResult(session.map(|session| ClientObservation {
            tally: session.tally.clone(),
            waiting: session.waiting(),
            online: session.online.is_some(),
            subscriptions: session.subscriptions.len(),
            expiry_interval: session.expiry_interval,
        }))
    }
}
