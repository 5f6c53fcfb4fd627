//! The auth actor: passes each question to its provider.
//!
//! No handler here waits: an answer that takes time is a task of its own, so questions overtake slow ones, and one that
//! nobody waits for any more is dropped with all that it holds.

use actix::{Actor, Context, Handler, Message, ResponseFuture};

use crate::asked::{Asked, Question};
use crate::{AuthError, Provider};

// === messages ===

/// Reads the provider's file anew, if it has one. On an error everything stays as it was. Connections stay; what they
/// cached is outdated as soon as [`LivePolicy::revision`](crate::LivePolicy::revision) has changed.
#[derive(Copy, Clone, Debug, Message)]
#[rtype(result = "Result<(), AuthError>")]
pub struct Reload;

// === state ===

/// Room for a burst of reconnecting clients; `Asking` bounds what goes past it.
const MAILBOX_CAPACITY: usize = 1024;

/// The actor. One serves a node, on a thread of its own: a provider that holds that thread up costs nobody but who
/// asks. All that lasts is in the provider, so one that ended is replaced by a new one with a clone of it.
#[derive(Debug)]
pub struct Auth {
    provider: Provider,
}

impl Auth {
    /// An actor that is not started yet.
    pub fn new(provider: Provider) -> Self {
        Self { provider }
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

impl<Q: Question> Handler<Asked<Q>> for Auth {
    type Result = ();

    fn handle(&mut self, asked: Asked<Q>, _ctx: &mut Self::Context) {
        let Asked { question, mut answer, place } = asked;
        if answer.is_closed() {
            return;
        }
        let answering = question.put_to(self.provider.answers());
        actix::spawn(async move {
            let given = tokio::select! {
                biased;
                given = answering => Some(given),
                // The answer is dropped with what it works on: it would serve nobody.
                () = answer.closed() => None,
            };
            drop(place);
            if let Some(given) = given {
                // Who asked may have gone; then nobody wants it.
                let _ = answer.send(given);
            }
        });
    }
}

impl Handler<Reload> for Auth {
    type Result = ResponseFuture<Result<(), AuthError>>;

    fn handle(&mut self, _: Reload, _ctx: &mut Self::Context) -> Self::Result {
        self.provider.reload()
    }
}
