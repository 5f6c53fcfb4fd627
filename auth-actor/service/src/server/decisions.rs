//! What nodes ask.

use std::pin::Pin;

use auth_actor::{Action, Password};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};

use super::access::Door;
use crate::model::CallerRole;
use crate::registry::{Changed, Login};
use crate::wire::authenticate_response::Verdict;
use crate::wire::decisions_server::Decisions;
use crate::wire::{
    self, AuthenticateRequest, AuthenticateResponse, AuthorizeRequest, AuthorizeResponse, Change,
    WatchRequest,
};

/// Who may ask.
const NODES: &[CallerRole] = &[CallerRole::Node];
/// Topics of one question: as many as a SUBSCRIBE may have filters.
const WISHES_MAX: usize = 65_536;

/// What is asked for; none if that is not said.
pub(super) fn action(action: i32) -> Option<Action> {
    match wire::Action::try_from(action) {
        Ok(wire::Action::Publish) => Some(Action::Publish),
        Ok(wire::Action::Subscribe) => Some(Action::Subscribe),
        _ => None,
    }
}

impl From<Changed> for Change {
    fn from(changed: Changed) -> Self {
        Self { generation: changed.generation, withdrawn: changed.withdrawn }
    }
}

#[tonic::async_trait]
impl Decisions for Door {
    async fn authenticate(
        &self,
        request: Request<AuthenticateRequest>,
    ) -> Result<Response<AuthenticateResponse>, Status> {
        let (registry, _) = self.admit(&request, NODES)?;
        let AuthenticateRequest { user_name, password, .. } = request.into_inner();
        // Before it is judged: what changes meanwhile is told behind it.
        let generation = registry.generation();
        let answer = |verdict: Verdict, user_name| {
            Response::new(AuthenticateResponse { verdict: verdict.into(), user_name, generation })
        };
        let Some(name) = user_name else { return Ok(answer(Verdict::NotAuthorized, String::new())) };
        let Some(password) = password else {
            return Ok(answer(Verdict::BadUserNameOrPassword, String::new()));
        };
        Ok(match registry.login(&name, Password::from(password)).await {
            Login::Allowed(name) => answer(Verdict::Allowed, name),
            Login::Wrong => answer(Verdict::BadUserNameOrPassword, String::new()),
            Login::Unavailable => answer(Verdict::Unavailable, String::new()),
        })
    }

    async fn authorize(
        &self,
        request: Request<AuthorizeRequest>,
    ) -> Result<Response<AuthorizeResponse>, Status> {
        let (registry, _) = self.admit(&request, NODES)?;
        let AuthorizeRequest { client_identifier, user_name, wishes } = request.into_inner();
        if wishes.len() > WISHES_MAX {
            return Err(Status::invalid_argument(format!("more than {WISHES_MAX} wishes")));
        }
        let asked = wishes.into_iter().map(|wish| Some((action(wish.action)?, wish.topic)));
        let Some(wishes) = asked.collect::<Option<Vec<_>>>() else {
            return Err(Status::invalid_argument("a wish without an action"));
        };
        let (allowed, generation) =
            registry.judge(&client_identifier, user_name.as_deref().unwrap_or_default(), &wishes);
        Ok(Response::new(AuthorizeResponse { allowed, generation }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<Change, Status>> + Send>>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (registry, _) = self.admit(&request, NODES)?;
        let (first, changes) = registry.watch(request.into_inner().generation);
        let later = BroadcastStream::new(changes).map(|changed| {
            // It begins anew, and hears of all that it missed.
            changed.map(Change::from).map_err(|_| Status::aborted("too far behind; watch anew"))
        });
        Ok(Response::new(Box::pin(tokio_stream::once(Ok(first.into())).chain(later))))
    }
}
