//! What a connection asks the auth actor while it lives: permissions, and steps of a re-authentication [MQTT-4.12.1].
//!
//! Without an answer in time nothing is allowed, and one that was given under earlier rules counts for nothing.

use std::sync::Arc;

use actix::prelude::*;
use auth_actor::{Asker, ExchangeOutcome, Given, Identity, Outcome, QuestionKind};
use micro_mq_core::protocol::{Action, Authorized, Ending, Reauthenticate, Verdicts, Wishes};
use mqtt_codec::{Auth, AuthProperties, Packet, ReasonCode};
use tokio::task::JoinHandle;

use super::actor::Connection;
use super::context::ConnectionContext;
use super::messages::{Permitted, Reauthenticated};
use crate::clock;
use crate::grants::{given_grant, held_grant, remembered_until};

/// A question that waits for its answer. It is withdrawn with the connection that asks: a client that hangs up leaves
/// nothing behind with the auth actor, however often it comes back.
#[derive(Debug)]
pub(super) struct Asked(JoinHandle<()>);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    pub(super) fn ask(&mut self, context: &ConnectionContext, wishes: Wishes) {
        let wishes: auth_actor::Wishes =
            wishes.into_iter().map(|(action, topic)| (asked_as(action), topic)).collect();
        let Some((client_identifier, Identity { user_name, grant })) = self.identity() else { return };
        let (node, me) = (Arc::clone(&self.worker.node), context.address());
        let question =
            auth_actor::Authorize { client_identifier, user_name, grant, wishes: Arc::clone(&wishes) };
        self.rare().asked = Some(Asked(actix_rt::spawn(async move {
            let given = node.ask_auth(Asker::Connected, question).await.ok();
            let verdicts = given.map(|Given { answer, revision }| {
                let until = remembered_until(&answer);
                Verdicts { answer: answer.verdicts, revision, until }
            });
            let wishes = wishes.iter().map(|(action, topic)| (asked_for(*action), topic.clone())).collect();
            me.do_send(Permitted(Authorized { wishes, verdicts }));
        })));
    }

    /// Client identifier, and who that is.
    fn identity(&self) -> Option<(String, Identity)> {
        let sessions = &self.worker.state().sessions;
        let session = sessions.get(self.key)?;
        let grant = session.online.as_ref().and_then(|online| given_grant(online.grant()?));
        let identity = Identity { user_name: session.user_name().map(str::to_owned), grant };
        Some((session.client_identifier().to_owned(), identity))
    }

    pub(super) fn reauthenticate(&mut self, context: &ConnectionContext, step: Reauthenticate) {
        use auth_actor::{BeginExchange, ContinueExchange};
        let Some(method) = self.protocol.authentication_method().map(str::to_owned) else { return };
        let Some((client_identifier, identity)) = self.identity() else { return };
        let (node, me) = (Arc::clone(&self.worker.node), context.address());
        let exchange = self.rare().exchange.take();
        let rounds = node.withdrawals.rounds();
        self.rare().authenticates = Some(Asked(actix_rt::spawn(async move {
            let outcome = match exchange {
                _ if step.begins => {
                    let reauthenticate = Some(identity);
                    let begin = BeginExchange { client_identifier, method, data: step.data, reauthenticate };
                    node.ask_auth(Asker::Connected, begin).await.ok()
                }
                Some(exchange) => {
                    let step = ContinueExchange { exchange, data: step.data };
                    node.ask_auth(Asker::Connected, step).await.ok()
                }
                None => None,
            };
            me.do_send(Reauthenticated { outcome, rounds });
        })));
    }
}

/// As the auth actor says it.
fn asked_as(action: Action) -> auth_actor::Action {
    match action {
        Action::Publish => auth_actor::Action::Publish,
        Action::Subscribe => auth_actor::Action::Subscribe,
    }
}

/// As the protocol says it.
fn asked_for(action: auth_actor::Action) -> Action {
    match action {
        auth_actor::Action::Publish => Action::Publish,
        auth_actor::Action::Subscribe => Action::Subscribe,
    }
}

impl Handler<Permitted> for Connection {
    type Result = ();

    fn handle(&mut self, Permitted(authorized): Permitted, _context: &mut Self::Context) {
        self.protocol.permitted(authorized);
        if let Some(rare) = &mut self.rare {
            rare.asked = None;
        }
    }
}

impl Handler<Reauthenticated> for Connection {
    type Result = ();

    fn handle(&mut self, answer: Reauthenticated, _context: &mut Self::Context) {
        if !self.holds_session() {
            return;
        }
        self.rare().authenticates = None;
        let method = self.protocol.authentication_method().map(str::to_owned);
        let auth = |reason_code, data: Vec<u8>| {
            let properties = AuthProperties {
                authentication_method: method.clone(),
                authentication_data: Some(data.into()),
                ..AuthProperties::default()
            };
            Packet::Auth(Auth { reason_code, properties })
        };
        let revision = self.worker.node.policy.revision();
        match answer.outcome.map(|given| (given.revision == revision, given.answer)) {
            Some((_, ExchangeOutcome::Continue { exchange, data })) => {
                self.send(&auth(ReasonCode::ContinueAuthentication, data));
                self.rare().exchange = Some(exchange);
            }
            Some((true, ExchangeOutcome::Success { identity, data }))
                if self.worker.node.withdrawals.is_withdrawn_since(answer.rounds, &identity, None)
                    == Some(false) =>
            {
                let grant = identity.grant.map(held_grant);
                self.worker.state().set_grant(self.key, self.epoch, grant, clock::now());
                self.send(&auth(ReasonCode::Success, data));
            }
            outcome => {
                if let Some((false, ExchangeOutcome::Success { .. })) = outcome {
                    let outcomes = self.worker.node.asking.outcomes();
                    outcomes.count(QuestionKind::ExchangeStep, Outcome::Outdated, 1);
                }
                self.rare().ending = Some(Ending::because(ReasonCode::NotAuthorized));
            }
        }
    }
}
