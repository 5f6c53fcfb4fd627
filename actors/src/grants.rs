//! What a provider gives, as the core knows it, and the other way round.

use std::sync::Arc;
use std::time::Instant;

use auth_actor::Permissions;
use micro_mq_core::session::Grant;

use crate::clock;

/// As the core knows it.
pub(crate) fn held_grant(grant: Arc<auth_actor::Grant>) -> Arc<Grant> {
    Arc::new(Grant {
        uid: grant.uid,
        end: grant.expires_at.map(tokio::time::Instant::into_std),
        origin: grant,
    })
}

/// Until when verdicts that came just now may be remembered; none: as long as the rules are in force.
pub(crate) fn remembered_until(permissions: &Permissions) -> Option<Instant> {
    permissions.time_to_live.and_then(|time| clock::now().checked_add(time))
}

/// As its provider knows it.
pub(crate) fn given_grant(grant: &Arc<Grant>) -> Option<Arc<auth_actor::Grant>> {
    grant.origin()
}
