//! A question on its way: what can be asked, what room it takes until it is answered, and what came of it.

mod outcomes;
mod question;
mod room;

use actix::Message;
use tokio::sync::oneshot;

pub use outcomes::{Outcome, Outcomes};
pub use question::{Question, QuestionKind};
pub use room::Asker;
pub(crate) use room::{QuestionPlace, QuestionRoom};

/// A question on its way to the actor.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Asked<Q: Question> {
    pub(crate) question: Q,
    /// Closed when nobody waits any more.
    pub(crate) answer: oneshot::Sender<Q::Answer>,
    pub(crate) place: QuestionPlace,
}
