//! The questions of a connection and their answers.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::Password;

/// Who a connection is for the rules (`%u`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The user name: verified by the provider `file`, as claimed with `anonymous` and `mock`.
    pub user_name: Option<String>,
}

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

/// May this client do these things? The answer has one `bool` per wish, in order; one of any other length counts for
/// none of them.
#[derive(Clone, Debug)]
pub struct Authorize {
    /// Replaces `%c` in rules.
    pub client_identifier: String,
    /// Of the [`Identity`]; replaces `%u` in rules.
    pub user_name: Option<String>,
    /// Topic names to publish to; topic filters to subscribe to, without `$share/` and share name. Shared with who
    /// asks, so that it is held once.
    pub wishes: Wishes,
}

/// What a client asks permission for: see [`Authorize::wishes`].
pub type Wishes = Arc<[(Action, String)]>;
