//! The sessions actor of one worker: takes in network connections for the sessions whose home is here, and owns the
//! sessions that are offline.
//!
//! Two connections with one client identifier always meet here, one after the other, so takeover and resumption need no
//! protocol between threads. The sessions themselves lie in the worker's table and outlive this actor.

use std::collections::VecDeque;
use std::rc::Rc;

use actix::prelude::*;
use auth_actor::{Outcome, QuestionKind};
use hashbrown::HashMap;
use micro_mq_core::admission::{self, Refused, maximum_packet_size};
use micro_mq_core::ids::SessionKey;
use micro_mq_core::message::{Payload, Publication};
use mqtt_codec::{Connect, QoS, ReasonCode};
use tracing::debug;

use super::due::WhatIsDue;
use super::takeover::Admission;
use crate::clock;
use crate::connection::{Refusal, refuse};
use crate::grants::held_grant;
use crate::messages::*;
use crate::permit::ConnectionPermit;
use crate::stats::ActorKind;
use crate::transport::Transport;
use crate::worker::Worker;

/// Room for a burst of reconnecting clients; connections are bounded by `connections_max`.
const MAILBOX_CAPACITY: usize = 4096;

/// See the module.
pub struct Sessions {
    pub(super) worker: Rc<Worker>,
    /// Who waits for a session until the network connection that holds it has given way; as many as there are network
    /// connections at most.
    pub(super) waiting: HashMap<SessionKey, VecDeque<Admission>>,
}

impl Sessions {
    /// For the sessions of one worker.
    pub fn new(worker: Rc<Worker>) -> Self {
        Self { worker, waiting: HashMap::new() }
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
    pub(super) fn turn_away(&self, admit: Admit) {
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
        let found = worker.state().sessions.find(&connect.client_identifier);
        let is_kept = found.is_some_and(|key| worker.is_kept(key));
        let (is_stopping, changes_are_full) = {
            let state = worker.state();
            (state.stopping, state.changes.is_full())
        };
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
            known_names: found.and_then(|key| Some(worker.state().sessions.get(key)?.names_bytes())),
            is_stopping,
            is_restored: worker.is_restored(),
            has_room_for_outdated: worker.has_room_for_outdated(&connect.client_identifier),
            is_kept,
            changes_are_full,
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
}

/// Tells a client that it is not taken in, and why.
pub(super) fn turn_away_at_the_door(
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

impl Actor for Sessions {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_CAPACITY);
        ctx.spawn(WhatIsDue::new());
        ctx.spawn(self.follow_disk().into_actor(self));
        let now = clock::now();
        // What a predecessor that panicked left undone.
        ctx.notify(WillsJudged);
        self.worker.keep_changes();
        let keys = self.worker.state().sessions.keys();
        for key in keys {
            self.worker.state().settle_parting(key, now);
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
        self.worker.state().settle_parting(left.session, clock::now());
        if !self.waiting.is_empty() {
            for admission in self.waiting.remove(&left.session).into_iter().flatten() {
                let found = worker.state().sessions.find(&admission.connect.client_identifier);
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
            self.worker.state().go_on_with_remains();
        }
        self.worker.state().join_again(made.worker);
    }
}

impl Handler<PublishWills> for Sessions {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: PublishWills, _ctx: &mut Self::Context) -> Self::Result {
        self.worker.state().publish_all_wills();
        self.worker.judge_wills();
        let judged = self.worker.until_no_will_is_in_doubt();
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
        let mut state = self.worker.state();
        state.stopping = true;
        for key in state.sessions.keys() {
            let Some(session) = state.sessions.get_mut(key) else { continue };
            session.replace_will(None);
            if let Some(online) = &mut session.online {
                online.end(ReasonCode::ServerShuttingDown);
            }
        }
        drop(state);
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
        let mut state = self.worker.state();
        let mut batch = state.batch();
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
        let routed = state.route(batch, None, clock::now());
        debug_assert!(routed.is_ok());
    }
}

impl Handler<ObserveSessions> for Sessions {
    type Result = MessageResult<ObserveSessions>;

    fn handle(&mut self, _: ObserveSessions, _ctx: &mut Self::Context) -> Self::Result {
        MessageResult(SessionsObservation {
            sessions: self.worker.state().sessions.len(),
            online: self.worker.counters.gauges.online.get() as usize,
        })
    }
}

impl Handler<Act> for Sessions {
    type Result = ();

    fn handle(&mut self, Act(deed): Act, _ctx: &mut Self::Context) {
        deed(&mut self.worker.state(), clock::now());
    }
}

impl Handler<LookThrough> for Sessions {
    type Result = ResponseFuture<Box<dyn Visitor>>;

    fn handle(&mut self, look: LookThrough, _ctx: &mut Self::Context) -> Self::Result {
        Box::pin(Rc::clone(&self.worker).look_through(look))
    }
}

impl Handler<ObserveClient> for Sessions {
    type Result = MessageResult<ObserveClient>;

    fn handle(&mut self, observe: ObserveClient, _ctx: &mut Self::Context) -> Self::Result {
        let sessions = &self.worker.state().sessions;
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
