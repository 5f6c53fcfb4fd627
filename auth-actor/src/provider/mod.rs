//! Providers: who answers the actor's questions.

mod anonymous;
mod file;
mod mock;

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use crate::{
    AuthError, AuthSettings, Authenticate, AuthenticationOutcome, Authorize, BeginExchange, ContinueExchange,
    ExchangeOutcome, LivePolicy, Policy, ProviderKind,
};

/// An answer that may take time. Making it never blocks; what blocks happens on a thread of its own.
type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What each provider can do. The answer to anything it is not sure of is no.
trait Answers: Send + Sync {
    fn policy(&self) -> Policy;
    fn authenticate(&self, question: Authenticate) -> Answer<AuthenticationOutcome>;
    fn begin_exchange(&self, question: BeginExchange) -> Answer<ExchangeOutcome>;
    fn continue_exchange(&self, question: ContinueExchange) -> Answer<ExchangeOutcome>;
    fn authorize(&self, question: Authorize) -> Answer<Vec<bool>>;
    /// Reads its source anew, and then tells the policy that counts from now on.
    fn reload(&self, live: LivePolicy) -> Answer<Result<(), AuthError>>;
}

/// An answer that is there at once.
fn now<T: Send + 'static>(value: T) -> Answer<T> {
    Box::pin(ready(value))
}

/// Who answers. Clones share their state.
#[derive(Clone)]
pub struct Provider {
    kind: ProviderKind,
    answers: Arc<dyn Answers>,
    live: LivePolicy,
}

impl Provider {
    /// The provider that the settings name, ready to answer; `file` reads and checks its file and starts its threads.
    ///
    /// # Errors
    /// [`AuthError::NoFile`], [`AuthError::Read`], [`AuthError::Malformed`] and [`AuthError::Threads`].
    pub fn from_settings(settings: &AuthSettings) -> Result<Self, AuthError> {
        let answers: Arc<dyn Answers> = match settings.provider {
            ProviderKind::Anonymous => Arc::new(anonymous::Anonymous),
            ProviderKind::Mock => Arc::new(mock::Mock::new(settings.mock_allow)),
            ProviderKind::File => {
                let file = settings.file.as_deref().ok_or(AuthError::NoFile)?;
                Arc::new(file::FileProvider::open(file)?)
            }
        };
        let live = LivePolicy::new(answers.policy());
        Ok(Self { kind: settings.provider, answers, live })
    }

    /// What need not be asked now.
    pub fn policy(&self) -> Policy {
        self.live.current()
    }

    /// The same, to be looked at again and again: a reload may change it.
    pub fn live_policy(&self) -> LivePolicy {
        self.live.clone()
    }

    pub(crate) fn authenticate(&self, question: Authenticate) -> Answer<AuthenticationOutcome> {
        self.answers.authenticate(question)
    }

    pub(crate) fn begin_exchange(&self, question: BeginExchange) -> Answer<ExchangeOutcome> {
        self.answers.begin_exchange(question)
    }

    pub(crate) fn continue_exchange(&self, question: ContinueExchange) -> Answer<ExchangeOutcome> {
        self.answers.continue_exchange(question)
    }

    pub(crate) fn authorize(&self, question: Authorize) -> Answer<Vec<bool>> {
        self.answers.authorize(question)
    }

    pub(crate) fn reload(&self) -> Answer<Result<(), AuthError>> {
        self.answers.reload(self.live.clone())
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("kind", &self.kind)
            .field("policy", &self.policy())
            .finish_non_exhaustive()
    }
}
