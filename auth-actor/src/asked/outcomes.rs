//! What came of the questions.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::question::QuestionKind;

/// How a question ended. All but `Allowed` and `Continued` deny.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// The provider said yes.
    Allowed,
    /// The provider said no.
    Refused,
    /// A step of an exchange that asks the client for another.
    Continued,
    /// The provider said that it has no answer now.
    Unavailable,
    /// There was no answer within `auth.answer_timeout_ms`.
    Late,
    /// The answer had fewer or more verdicts than were asked for.
    Malformed,
    /// Whoever was to answer ended without an answer.
    Lost,
    /// As many questions waited as may (`auth.questions_max`, `auth.questions_bytes_max`).
    Full,
    /// The users and rules were read anew after the answer and before it could serve, and it could not be asked again.
    Outdated,
    /// Who asked had gone before there was an answer.
    Withdrawn,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 10] = [
        Self::Allowed,
        Self::Refused,
        Self::Continued,
        Self::Unavailable,
        Self::Late,
        Self::Malformed,
        Self::Lost,
        Self::Full,
        Self::Outdated,
        Self::Withdrawn,
    ];

    /// As metrics name it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Continued => "continued",
            Self::Unavailable => "unavailable",
            Self::Late => "late",
            Self::Malformed => "malformed",
            Self::Lost => "lost",
            Self::Full => "full",
            Self::Outdated => "outdated",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// How often each kind of question ended how, since the node started. Written and read on any thread; no actor is
/// needed to read it.
#[derive(Debug, Default)]
pub struct Outcomes([[AtomicU64; Outcome::ALL.len()]; QuestionKind::ALL.len()]);

impl Outcomes {
    /// Counts so many verdicts of a kind.
    pub fn count(&self, kind: QuestionKind, outcome: Outcome, verdicts: usize) {
        self.0[kind as usize][outcome as usize].fetch_add(verdicts as u64, Relaxed);
    }

    /// How many verdicts of a kind ended so.
    pub fn of(&self, kind: QuestionKind, outcome: Outcome) -> u64 {
        self.0[kind as usize][outcome as usize].load(Relaxed)
    }
}
