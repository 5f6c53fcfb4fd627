//! How the auth actor is asked: within a time, in a bounded number, and never with a yes that nobody gave.
//!
//! All who ask share one [`Asking`]. A question waits for its answer on the thread of who asks; the time runs there, so
//! that nothing that the actor, its provider or their thread does or fails to do holds anybody up for longer.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::asked::{Asked, Asker, Outcome, Outcomes, Question, QuestionKind, QuestionRoom};
use crate::{Auth, AuthSettings, LivePolicy};

/// An answer, and what it counts under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given<A> {
    /// What was answered.
    pub answer: A,
    /// What was in force when it was asked for. Under any other revision it does not count.
    pub revision: u64,
}

/// Why there is no answer. To the client it is a no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Not within `auth.answer_timeout_ms`.
    #[error("no answer in time")]
    Late,
    /// It has another number of verdicts than was asked for.
    #[error("an answer of another length than the question")]
    Malformed,
    /// Its provider cannot say it now.
    #[error("no answer can be found now")]
    Unavailable,
    /// The actor, its provider or a thread of that ended.
    #[error("who was to answer ended")]
    Lost,
    /// Too many questions wait.
    #[error("too many questions wait")]
    Full,
}

impl NoAnswer {
    fn outcome(self) -> Outcome {
        match self {
            Self::Late => Outcome::Late,
            Self::Malformed => Outcome::Malformed,
            Self::Unavailable => Outcome::Unavailable,
            Self::Lost => Outcome::Lost,
            Self::Full => Outcome::Full,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Asking {
    answer_timeout: Duration,
    room: Arc<QuestionRoom>,
    live: LivePolicy,
    outcomes: Outcomes,
}

impl Asking {
    /// With the limits of these settings, about what this policy tells of.
    pub fn new(settings: &AuthSettings, live: LivePolicy) -> Self {
        Self {
            answer_timeout: Duration::from_millis(settings.answer_timeout_ms),
            room: QuestionRoom::new(settings.questions_max, settings.questions_bytes_max),
            live,
            outcomes: Outcomes::default(),
        }
    }

    /// Asks, and waits for the answer for as long as one may take.
    ///
    /// # Errors
    /// There is no answer; that is counted.
    ///
    /// # Cancel safety
    /// Dropped, it withdraws the question: its provider is told to stop.
    pub async fn ask<Q: Question>(
        &self,
        auth: Option<Addr<Auth>>,
        asker: Asker,
        question: Q,
    ) -> Result<Given<Q::Answer>, NoAnswer> {
        let verdicts = question.verdicts();
        let withdrawn = Withdrawn { outcomes: &self.outcomes, kind: Q::KIND, verdicts };
        let asked = self.answer(auth, asker, question, verdicts).await;
        std::mem::forget(withdrawn);
        match &asked {
            Ok(given) => Q::count(&given.answer, &self.outcomes),
            Err(none) => self.outcomes.count(Q::KIND, none.outcome(), verdicts),
        }
        asked
    }

    async fn answer<Q: Question>(
        &self,
        auth: Option<Addr<Auth>>,
        asker: Asker,
        question: Q,
        verdicts: usize,
    ) -> Result<Given<Q::Answer>, NoAnswer> {
        let place = self.room.enter(asker, question.bytes()).ok_or(NoAnswer::Full)?;
        // Before it is asked: whatever answers then has at least these rules.
        let revision = self.live.revision();
        let (answer, answered) = oneshot::channel();
        // The room bounds the mailbox.
        auth.ok_or(NoAnswer::Lost)?.do_send(Asked { question, answer, place });
        match timeout(self.answer_timeout, answered).await {
            Ok(Ok(answer)) if Q::is_whole(&answer, verdicts) => Ok(Given { answer, revision }),
            Ok(Ok(answer)) if Q::is_unavailable(&answer) => Err(NoAnswer::Unavailable),
            Ok(Ok(_)) => Err(NoAnswer::Malformed),
            Ok(Err(_)) => Err(NoAnswer::Lost),
            Err(_) => Err(NoAnswer::Late),
        }
    }

    /// How long an answer may take.
    pub fn answer_timeout(&self) -> Duration {
        self.answer_timeout
    }

    /// What came of the questions.
    pub fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }

    /// Questions that wait for an answer.
    pub fn waiting(&self) -> usize {
        self.room.questions()
    }

    /// The bytes that those hold.
    pub fn waiting_bytes(&self) -> usize {
        self.room.bytes()
    }
}

/// Counts a question whose asker goes before it is answered.
struct Withdrawn<'a> {
    outcomes: &'a Outcomes,
    kind: QuestionKind,
    verdicts: usize,
}

impl Drop for Withdrawn<'_> {
    fn drop(&mut self) {
        self.outcomes.count(self.kind, Outcome::Withdrawn, self.verdicts);
    }
}
