//! Everybody may do everything.

use super::{Answer, Answers, now};
use crate::{
    AuthError, Authenticate, AuthenticationOutcome, Authorize, BeginExchange, ContinueExchange,
    ExchangeOutcome, Identity, LivePolicy, Permissions, Policy, Refusal,
};

/// Believes every user name and looks at no password. It knows no method of enhanced authentication.
pub(super) struct Anonymous;

impl Answers for Anonymous {
    fn policy(&self) -> Policy {
        Policy { authenticates: false, authorizes: false }
    }

    fn authenticate(&self, question: Authenticate) -> Answer<AuthenticationOutcome> {
        now(AuthenticationOutcome::Allowed(Identity { user_name: question.user_name, grant: None }))
    }

    fn begin_exchange(&self, _: BeginExchange) -> Answer<ExchangeOutcome> {
        now(ExchangeOutcome::Refused(Refusal::BadAuthenticationMethod))
    }

    fn continue_exchange(&self, _: ContinueExchange) -> Answer<ExchangeOutcome> {
        now(ExchangeOutcome::Refused(Refusal::BadAuthenticationMethod))
    }

    fn authorize(&self, question: Authorize) -> Answer<Permissions> {
        now(vec![true; question.wishes.len()].into())
    }

    fn reload(&self, _: LivePolicy) -> Answer<Result<(), AuthError>> {
        now(Ok(()))
    }
}
