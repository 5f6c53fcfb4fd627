//! Providers: who answers the actor's questions.

mod anonymous;
mod file;
mod mock;
mod reload;

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use crate::{
    AuthError, AuthSettings, Authenticate, AuthenticationOutcome, Authorize, BeginExchange, ContinueExchange,
    ExchangeOutcome, Heard, LivePolicy, Notices, Permissions, Policy, ProviderKind, notice,
};

/// An answer that may take time. It is dropped when nobody waits for it any more, at the latest after
/// `auth.answer_timeout_ms`. It is polled on the thread of the auth actor, beside all other answers: it may work there
/// for some hundred microseconds at a time, and what takes longer or blocks happens on a thread of its own.
pub type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a provider can do. The answer to anything it is not sure of is no.
///
/// Each answer has a deadline, `auth.answer_timeout_ms`, and is a no behind it ([`Answer`]). It counts under the revision
/// of users and rules that was in force when it was asked for ([`LivePolicy`]), and a permission no longer than for its
/// [time to live](Permissions::time_to_live). A connection ends with its [`Grant`](crate::Grant), or by a
/// [`Notice`](crate::Notice).
pub trait Answers: Send + Sync + 'static {
    /// What need not be asked at the start.
    fn policy(&self) -> Policy;
    /// May this client connect?
    fn authenticate(&self, question: Authenticate) -> Answer<AuthenticationOutcome>;
    /// The first step of an enhanced authentication.
    fn begin_exchange(&self, question: BeginExchange) -> Answer<ExchangeOutcome>;
    /// The next step of one.
    fn continue_exchange(&self, question: ContinueExchange) -> Answer<ExchangeOutcome>;
    /// May this client publish and subscribe to these? One verdict for each, in their order.
    fn authorize(&self, question: Authorize) -> Answer<Permissions>;
    /// Reads its source anew, puts it in force, and then, not before, [advances](LivePolicy::advance) the policy: what
    /// was answered until then counts no more.
    fn reload(&self, live: LivePolicy) -> Answer<Result<(), AuthError>>;
    /// How to give notice, from before the first question on. Dropped, as it is here, it gives none.
    fn give_notice_by(&self, _notices: Notices) {}
    /// How to advance the policy unasked, from before the first question on; by one thread at a time, and never while a
    /// reload does.
    fn advance_by(&self, _live: LivePolicy) {}
}

/// An answer that is there at once.
pub fn now<T: Send + 'static>(value: T) -> Answer<T> {
    Box::pin(ready(value))
}

/// Who answers. Clones share their state.
#[derive(Clone)]
pub struct Provider {
    answers: Arc<dyn Answers>,
    live: LivePolicy,
}

impl Provider {
    /// A provider that is ready to answer.
    pub fn new(answers: Arc<dyn Answers>) -> Self {
        let live = LivePolicy::new(answers.policy());
        answers.advance_by(live.clone());
        Self { answers, live }
    }

    /// The provider that the settings name, ready to answer; `file` reads and checks its file and starts its threads.
    ///
    /// # Errors
    /// [`AuthError::NoFile`], [`AuthError::Read`], [`AuthError::Malformed`] and [`AuthError::Threads`].
    pub fn from_settings(settings: &AuthSettings) -> Result<Self, AuthError> {
        Ok(Self::new(match settings.provider {
            ProviderKind::Anonymous => Arc::new(anonymous::Anonymous),
            ProviderKind::Mock => Arc::new(mock::Mock::new(settings.mock_allow)),
            ProviderKind::File => {
                let file = settings.file.as_deref().ok_or(AuthError::NoFile)?;
                Arc::new(file::FileProvider::open(file)?)
            }
            ProviderKind::Rpc => return Err(AuthError::Elsewhere),
        }))
    }

    /// What need not be asked now.
    pub fn policy(&self) -> Policy {
        self.live.current()
    }

    /// The same, to be looked at again and again: a reload may change it.
    pub fn live_policy(&self) -> LivePolicy {
        self.live.clone()
    }

    /// Lets the provider give notice, and whoever asks for this, and hears of it. Once for a node.
    pub fn notices(&self) -> (Notices, Heard) {
        let (notices, heard) = notice::notices();
        self.answers.give_notice_by(notices.clone());
        (notices, heard)
    }

    pub(crate) fn answers(&self) -> &dyn Answers {
        &*self.answers
    }

    pub(crate) fn reload(&self) -> Answer<Result<(), AuthError>> {
        self.answers.reload(self.live.clone())
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("policy", &self.policy()).finish_non_exhaustive()
    }
}
