//! Who calls, and whether the role of that caller has the method.

use std::sync::Arc;

use tonic::{Request, Status};

use crate::model::CallerRole;
use crate::registry::{Refused, Registry};

/// What all services share.
#[derive(Debug, Clone)]
pub(super) struct Door {
    registry: Arc<Registry>,
}

impl Door {
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }

    /// For a caller with one of these roles; also its name.
    ///
    /// # Errors
    /// UNAUTHENTICATED without a token that is somebody's, PERMISSION_DENIED for another role.
    pub(super) fn admit<T>(
        &self,
        request: &Request<T>,
        roles: &[CallerRole],
    ) -> Result<(&Arc<Registry>, String), Status> {
        let token = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer "));
        let found = token.and_then(|token| self.registry.caller(token.trim()));
        let Some((name, role)) = found else {
            return Err(Status::unauthenticated("authorization: a token of the auth service is missing"));
        };
        if !roles.contains(&role) {
            let role = role.label();
            return Err(Status::permission_denied(format!("callers with the role {role} may not call this")));
        }
        Ok((&self.registry, name))
    }
}

/// Carries out a change on a thread where it may wait for the disk.
///
/// # Errors
/// Those of the change.
pub(super) async fn changed<T: Send + 'static>(
    registry: &Arc<Registry>,
    change: impl FnOnce(&Registry) -> Result<T, Refused> + Send + 'static,
) -> Result<T, Status> {
    let registry = Arc::clone(registry);
    let changed = tokio::task::spawn_blocking(move || change(&registry)).await;
    changed.map_err(|_| Status::internal("the change was cut short"))?.map_err(status)
}

/// As a caller is told it.
pub(super) fn status(refused: Refused) -> Status {
    let text = refused.to_string();
    match refused {
        Refused::NotFound { .. } => Status::not_found(text),
        Refused::Exists { .. } => Status::already_exists(text),
        Refused::Wrong(_) => Status::invalid_argument(text),
        Refused::InUse { .. } => Status::failed_precondition(text),
        Refused::Store(error) => {
            tracing::error!(%error, "a change could not be kept");
            Status::unavailable("the change could not be kept")
        }
    }
}
