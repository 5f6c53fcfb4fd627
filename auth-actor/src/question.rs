//! The questions of a connection and their answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::{Grant, Password};

/// Who a connection is.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The user name (`%u` of rules): verified by the provider `file`, as claimed with `anonymous` and `mock`.
    pub user_name: Option<String>,
    /// What it is allowed by, if that ends some time or says more.
    pub grant: Option<Arc<Grant>>,
}

impl Identity {
    /// Of a user name alone.
    pub fn named(user_name: impl Into<String>) -> Self {
        Self { user_name: Some(user_name.into()), grant: None }
    }
}

impl PartialEq for Identity {
    /// By the very grant.
    fn eq(&self, other: &Self) -> bool {
        let grant = |of: &Self| of.grant.as_ref().map(Arc::as_ptr);
        self.user_name == other.user_name && grant(self) == grant(other)
    }
}

impl Eq for Identity {}

/// May this client connect with this user name and password?
#[derive(Clone, Debug)]
pub struct Authenticate {
    /// Of the CONNECT, or as assigned by the node.
    pub client_identifier: String,
    /// Of the CONNECT.
    pub user_name: Option<String>,
    /// Of the CONNECT.
    pub password: Option<Password>,
    /// Where the client connects from, if the transport knows.
    pub peer: Option<SocketAddr>,
}

/// The answer to [`Authenticate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthenticationOutcome {
    /// It may, as this identity.
    Allowed(Identity),
    /// It may not.
    Refused(Refusal),
}

/// Why a client may not connect. The caller chooses the code of the packet in which it says so.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// 0x86, return code 4 of 3.x: unknown user, wrong password, or one of them missing.
    BadUserNameOrPassword,
    /// 0x87, return code 5 of 3.x: no user name at all, a broken exchange, or another user when re-authenticating.
    NotAuthorized,
    /// 0x88, return code 3 of 3.x: the answer cannot be found now; trying again later may help.
    Unavailable,
    /// 0x8C: the provider does not know the authentication method [MQTT-4.12.0-1].
    BadAuthenticationMethod,
}

/// What a client wants to do with a topic.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Publish to a topic name, a will message included.
    Publish,
    /// Subscribe to a topic filter.
    Subscribe,
}

/// May this client do these things?
#[derive(Clone, Debug)]
pub struct Authorize {
    /// Replaces `%c` in rules.
    pub client_identifier: String,
    /// Of the [`Identity`]; replaces `%u` in rules.
    pub user_name: Option<String>,
    /// Of the [`Identity`].
    pub grant: Option<Arc<Grant>>,
    /// Topic names to publish to; topic filters to subscribe to, without `$share/` and share name. Shared with who
    /// asks, so that it is held once.
    pub wishes: Wishes,
}

/// What a client asks permission for: see [`Authorize::wishes`].
pub type Wishes = Arc<[(Action, String)]>;

/// The answer to [`Authorize`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// One for each wish, in order; an answer of any other length counts for none of them.
    pub verdicts: Vec<bool>,
    /// For how long a verdict may be remembered, for the next publish to the same topic name or for a will. It serves the
    /// packet that waits for it in any case, and never longer than until users and rules change
    /// ([`LivePolicy::advance`](crate::LivePolicy::advance)); none: for as long. A subscription that was granted stays.
    pub time_to_live: Option<Duration>,
}

impl Permissions {
    /// There is no verdict now: nothing is allowed, and nothing of that is remembered.
    pub fn unavailable() -> Self {
        // An answer that is only too short was meant to be one.
        Self { verdicts: Vec::new(), time_to_live: Some(Duration::MAX) }
    }

    pub(crate) fn is_unavailable(&self) -> bool {
        *self == Self::unavailable()
    }
}

impl From<Vec<bool>> for Permissions {
    /// To be remembered until users and rules change.
    fn from(verdicts: Vec<bool>) -> Self {
        Self { verdicts, time_to_live: None }
    }
}
