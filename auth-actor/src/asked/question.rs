//! What the ways of asking need to know of each kind of question.

use super::outcomes::{Outcome, Outcomes};
use crate::provider::{Answer, Answers};
use crate::{
    Authenticate, AuthenticationOutcome, Authorize, BeginExchange, ContinueExchange, ExchangeOutcome,
    Permissions, Refusal,
};

/// The kinds of questions, as they are counted.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum QuestionKind {
    /// User name and password of a CONNECT.
    Login,
    /// A step of an enhanced authentication.
    ExchangeStep,
    /// A topic name to publish to or a topic filter to subscribe to; each of a packet counts.
    Permission,
}

impl QuestionKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Login, Self::ExchangeStep, Self::Permission];
}

/// What a question costs beside its texts, in bytes: its message, its answer's way back, its timer.
const QUESTION_BYTES: usize = 512;
/// What each of its topics costs beside its text, in bytes.
const WISH_BYTES: usize = 64;

/// Something that the auth actor can be asked.
pub trait Question: Send + 'static {
    /// The answer.
    type Answer: Send + 'static;

    /// How it is counted.
    const KIND: QuestionKind;

    /// What it holds while it waits, in bytes.
    fn bytes(&self) -> usize;

    /// How many verdicts it asks for.
    fn verdicts(&self) -> usize {
        1
    }

    /// Puts it to a provider.
    fn put_to(self, answers: &dyn Answers) -> Answer<Self::Answer>;

    /// Whether an answer has so many verdicts.
    fn is_whole(_answer: &Self::Answer, _verdicts: usize) -> bool {
        true
    }

    /// Whether it says that there is no verdict now.
    fn is_unavailable(_answer: &Self::Answer) -> bool {
        false
    }

    /// Counts what a whole answer says.
    fn count(answer: &Self::Answer, outcomes: &Outcomes);
}

fn text_bytes<'a>(texts: impl IntoIterator<Item = Option<&'a str>>) -> usize {
    QUESTION_BYTES + texts.into_iter().flatten().map(str::len).sum::<usize>()
}

fn of_refusal(refusal: Refusal) -> Outcome {
    match refusal {
        Refusal::Unavailable => Outcome::Unavailable,
        Refusal::BadUserNameOrPassword | Refusal::NotAuthorized | Refusal::BadAuthenticationMethod => {
            Outcome::Refused
        }
    }
}

impl Question for Authenticate {
    type Answer = AuthenticationOutcome;

    const KIND: QuestionKind = QuestionKind::Login;

    fn bytes(&self) -> usize {
        let password = self.password.as_ref().map_or(0, |password| password.as_bytes().len());
        text_bytes([Some(&*self.client_identifier), self.user_name.as_deref()]) + password
    }

    fn put_to(self, answers: &dyn Answers) -> Answer<Self::Answer> {
        answers.authenticate(self)
    }

    fn count(answer: &Self::Answer, outcomes: &Outcomes) {
        let outcome = match answer {
            AuthenticationOutcome::Allowed(_) => Outcome::Allowed,
            AuthenticationOutcome::Refused(refusal) => of_refusal(*refusal),
        };
        outcomes.count(Self::KIND, outcome, 1);
    }
}

fn count_step(answer: &ExchangeOutcome, outcomes: &Outcomes) {
    let outcome = match answer {
        ExchangeOutcome::Continue { .. } => Outcome::Continued,
        ExchangeOutcome::Success { .. } => Outcome::Allowed,
        ExchangeOutcome::Refused(refusal) => of_refusal(*refusal),
    };
    outcomes.count(QuestionKind::ExchangeStep, outcome, 1);
}

impl Question for BeginExchange {
    type Answer = ExchangeOutcome;

    const KIND: QuestionKind = QuestionKind::ExchangeStep;

    fn bytes(&self) -> usize {
        text_bytes([Some(&*self.client_identifier), Some(&*self.method)])
            + self.data.as_ref().map_or(0, Vec::len)
    }

    fn put_to(self, answers: &dyn Answers) -> Answer<Self::Answer> {
        answers.begin_exchange(self)
    }

    fn count(answer: &Self::Answer, outcomes: &Outcomes) {
        count_step(answer, outcomes);
    }
}

impl Question for ContinueExchange {
    type Answer = ExchangeOutcome;

    const KIND: QuestionKind = QuestionKind::ExchangeStep;

    fn bytes(&self) -> usize {
        QUESTION_BYTES + self.data.as_ref().map_or(0, Vec::len)
    }

    fn put_to(self, answers: &dyn Answers) -> Answer<Self::Answer> {
        answers.continue_exchange(self)
    }

    fn count(answer: &Self::Answer, outcomes: &Outcomes) {
        count_step(answer, outcomes);
    }
}

impl Question for Authorize {
    type Answer = Permissions;

    const KIND: QuestionKind = QuestionKind::Permission;

    fn bytes(&self) -> usize {
        let wishes: usize = self.wishes.iter().map(|(_, topic)| WISH_BYTES + topic.len()).sum();
        text_bytes([Some(&*self.client_identifier), self.user_name.as_deref()]) + wishes
    }

    fn verdicts(&self) -> usize {
        self.wishes.len()
    }

    fn put_to(self, answers: &dyn Answers) -> Answer<Self::Answer> {
        answers.authorize(self)
    }

    /// Of an answer that is too short or too long nobody knows which verdict is about which topic.
    fn is_unavailable(answer: &Permissions) -> bool {
        answer.is_unavailable()
    }

    fn is_whole(answer: &Self::Answer, verdicts: usize) -> bool {
        answer.verdicts.len() == verdicts
    }

    fn count(answer: &Self::Answer, outcomes: &Outcomes) {
        let allowed = answer.verdicts.iter().filter(|allowed| **allowed).count();
        outcomes.count(Self::KIND, Outcome::Allowed, allowed);
        outcomes.count(Self::KIND, Outcome::Refused, answer.verdicts.len() - allowed);
    }
}
