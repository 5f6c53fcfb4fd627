//! A provider that does what a test says, the wrong thing above all.

use std::future::pending;
use std::sync::Arc;

use auth_actor::{
    Answer, Answers, AuthError, Authenticate, AuthenticationOutcome, Authorize, BeginExchange,
    ContinueExchange, ExchangeOutcome, Identity, LivePolicy, Permissions, Policy, Provider, now,
};

type Script<Q, A> = Box<dyn Fn(Q) -> Answer<A> + Send + Sync>;

/// It never answers what no test says otherwise of.
pub(crate) struct Scripted {
    pub(crate) authenticate: Script<Authenticate, AuthenticationOutcome>,
    pub(crate) authorize: Script<Authorize, Vec<bool>>,
}

impl Default for Scripted {
    fn default() -> Self {
        Self { authenticate: Box::new(|_| Box::pin(pending())), authorize: Box::new(|_| Box::pin(pending())) }
    }
}

impl Scripted {
    pub(crate) fn authorizing(
        script: impl Fn(Authorize) -> Answer<Vec<bool>> + Send + Sync + 'static,
    ) -> Self {
        Self { authorize: Box::new(script), ..Self::default() }
    }

    pub(crate) fn provider(self) -> Provider {
        Provider::new(Arc::new(self))
    }
}

impl Answers for Scripted {
    fn policy(&self) -> Policy {
        Policy { authenticates: true, authorizes: true }
    }

    fn authenticate(&self, question: Authenticate) -> Answer<AuthenticationOutcome> {
        (self.authenticate)(question)
    }

    fn begin_exchange(&self, _: BeginExchange) -> Answer<ExchangeOutcome> {
        Box::pin(pending())
    }

    /// It knows no state of another provider.
    fn continue_exchange(&self, question: ContinueExchange) -> Answer<ExchangeOutcome> {
        match question.exchange.into_state::<String>() {
            Some(name) => now(ExchangeOutcome::Success { identity: Identity::named(name), data: Vec::new() }),
            None => Box::pin(pending()),
        }
    }

    fn authorize(&self, question: Authorize) -> Answer<Permissions> {
        let judged = (self.authorize)(question);
        Box::pin(async move { judged.await.into() })
    }

    fn reload(&self, live: LivePolicy) -> Answer<Result<(), AuthError>> {
        live.advance(self.policy());
        now(Ok(()))
    }
}
