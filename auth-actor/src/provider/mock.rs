//! The same answer to everything.

use super::{Answer, Answers, now};
use crate::{
    AuthError, Authenticate, AuthenticationOutcome, Authorize, BeginExchange, ContinueExchange,
    ExchangeOutcome, Identity, LivePolicy, Permissions, Policy, Refusal,
};

/// Allows or refuses everything, for tests of what is around it. It knows no method of enhanced authentication: a client
/// that uses one wants a proof that nobody could give.
pub(super) struct Mock {
    allow: bool,
}

impl Mock {
    pub(super) fn new(allow: bool) -> Self {
        Self { allow }
    }

    fn refusal(&self) -> Refusal {
        if self.allow { Refusal::BadAuthenticationMethod } else { Refusal::NotAuthorized }
    }
}

impl Answers for Mock {
    /// Where nobody connects, nothing is published.
    fn policy(&self) -> Policy {
        Policy { authenticates: !self.allow, authorizes: false }
    }

    fn authenticate(&self, question: Authenticate) -> Answer<AuthenticationOutcome> {
        now(if self.allow {
            AuthenticationOutcome::Allowed(Identity { user_name: question.user_name, grant: None })
        } else {
            AuthenticationOutcome::Refused(Refusal::NotAuthorized)
        })
    }

    fn begin_exchange(&self, _: BeginExchange) -> Answer<ExchangeOutcome> {
        now(ExchangeOutcome::Refused(self.refusal()))
    }

    fn continue_exchange(&self, _: ContinueExchange) -> Answer<ExchangeOutcome> {
        now(ExchangeOutcome::Refused(self.refusal()))
    }

    fn authorize(&self, question: Authorize) -> Answer<Permissions> {
        now(vec![self.allow; question.wishes.len()].into())
    }

    fn reload(&self, _: LivePolicy) -> Answer<Result<(), AuthError>> {
        now(Ok(()))
    }
}
