//! The auth actor: passes each question to its provider and counts the answers.
//!
//! No handler here waits: an answer that takes time is a future of its own, so questions overtake slow ones.

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use tracing::{debug, info};

use crate::counters::{Counters, Ended};
use crate::{
    AuthError, AuthObservation, Authenticate, AuthenticationOutcome, Authorize, BeginExchange,
    ContinueExchange, ExchangeOutcome, Provider,
};

// === messages ===

/// How often the actor was asked, and what it said. Answered at once.
#[derive(Copy, Clone, Debug, Message)]
#[rtype(result = "AuthObservation")]
pub struct Observe;

/// Reads the provider's file anew, if it has one. On an error everything stays as it was. Connections stay; what they
/// cached is outdated as soon as [`LivePolicy::revision`](crate::LivePolicy::revision) has changed.
#[derive(Copy, Clone, Debug, Message)]
#[rtype(result = "Result<(), AuthError>")]
pub struct Reload;

// === state ===

/// Room for a burst of reconnecting clients; beyond it `try_send` says `Full`.
const MAILBOX_CAPACITY: usize = 1024;

/// The actor. One serves a node. All that lasts is in the provider, so one that ended is replaced by a new one with a
/// clone of it; only the counters begin anew.
#[derive(Debug)]
pub struct Auth {
    provider: Provider,
    counters: Counters,
}

impl Auth {
    /// An actor that is not started yet.
    pub fn new(provider: Provider) -> Self {
        Self { provider, counters: Counters::default() }
    }
}

// === lifecycle ===

impl Actor for Auth {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_CAPACITY);
    }
}

// === handlers ===

impl Handler<Authenticate> for Auth {
    type Result = ResponseFuture<AuthenticationOutcome>;

    fn handle(&mut self, question: Authenticate, _ctx: &mut Self::Context) -> Self::Result {
        self.counters.asked();
        let counters = self.counters.clone();
        let client_identifier = question.client_identifier.clone();
        let answer = self.provider.authenticate(question);
        Box::pin(async move {
            let outcome = answer.await;
            counters.ended(match outcome {
                AuthenticationOutcome::Allowed(_) => Ended::Allowed,
                AuthenticationOutcome::Refused(refusal) => {
                    debug!(client_identifier, ?refusal, "authentication refused");
                    Ended::Refused(refusal)
                }
            });
            outcome
        })
    }
}

impl Handler<BeginExchange> for Auth {
    type Result = ResponseFuture<ExchangeOutcome>;

    fn handle(&mut self, question: BeginExchange, _ctx: &mut Self::Context) -> Self::Result {
        self.counters.asked();
        let counters = self.counters.clone();
        let answer = self.provider.begin_exchange(question);
        Box::pin(async move { counted(&counters, answer.await) })
    }
}

impl Handler<ContinueExchange> for Auth {
    type Result = ResponseFuture<ExchangeOutcome>;

    fn handle(&mut self, question: ContinueExchange, _ctx: &mut Self::Context) -> Self::Result {
        self.counters.asked();
        let counters = self.counters.clone();
        let answer = self.provider.continue_exchange(question);
        Box::pin(async move { counted(&counters, answer.await) })
    }
}

fn counted(counters: &Counters, outcome: ExchangeOutcome) -> ExchangeOutcome {
    counters.ended(match outcome {
        ExchangeOutcome::Continue { .. } => Ended::Continued,
        ExchangeOutcome::Success { .. } => Ended::Allowed,
        ExchangeOutcome::Refused(refusal) => {
            debug!(?refusal, "enhanced authentication refused");
            Ended::Refused(refusal)
        }
    });
    outcome
}

impl Handler<Authorize> for Auth {
    type Result = ResponseFuture<Vec<bool>>;

    fn handle(&mut self, question: Authorize, _ctx: &mut Self::Context) -> Self::Result {
        let counters = self.counters.clone();
        let answer = self.provider.authorize(question);
        Box::pin(async move {
            let answers = answer.await;
            counters.authorized(&answers);
            answers
        })
    }
}

impl Handler<Reload> for Auth {
    type Result = ResponseFuture<Result<(), AuthError>>;

    fn handle(&mut self, _: Reload, _ctx: &mut Self::Context) -> Self::Result {
        let reloaded = self.provider.reload();
        Box::pin(async move {
            reloaded.await?;
            info!("users and rules read anew");
            Ok(())
        })
    }
}

impl Handler<Observe> for Auth {
    type Result = AuthObservation;

    fn handle(&mut self, _: Observe, _ctx: &mut Self::Context) -> Self::Result {
        self.counters.observe()
    }
}
