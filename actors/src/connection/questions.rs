//! What a connection asks the auth actor while it lives: permissions, and steps of a re-authentication [MQTT-4.12.1].

use std::sync::Arc;

use actix::prelude::*;
use auth_actor::{Action, ExchangeOutcome};
use mqtt_codec::{Auth, AuthProperties, Packet, ReasonCode};

use super::actor::Connection;
use super::context::ConnectionContext;
use super::effects::{Ending, Reauthenticate};
use super::messages::{Authorized, Reauthenticated};

impl Connection {
    pub(super) fn ask(&mut self, context: &ConnectionContext, questions: Vec<(Action, String)>) {
        let node = &self.worker.node;
        let (client_identifier, user_name) = {
            let sessions = self.worker.sessions.borrow();
            let Some(session) = sessions.get(self.key) else { return };
            (session.client_identifier().to_owned(), session.user_name().map(str::to_owned))
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

    pub(super) fn reauthenticate(&mut self, context: &ConnectionContext, step: Reauthenticate) {
        use auth_actor::{BeginExchange, ContinueExchange, Identity};
        let Some(method) = self.protocol.authentication_method().map(str::to_owned) else { return };
        let (node, me) = (Arc::clone(&self.worker.node), context.address());
        self.rare().authenticates = true;
        let exchange = self.rare().exchange.take();
        let (client_identifier, user_name) = {
            let sessions = self.worker.sessions.borrow();
            let Some(session) = sessions.get(self.key) else { return };
            (session.client_identifier().to_owned(), session.user_name().map(str::to_owned))
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
        if !self.holds_session() {
            return;
        }
        self.rare().authenticates = false;
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
