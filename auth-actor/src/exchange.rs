//! Enhanced authentication [MQTT-4.12]: an exchange of several steps.

use std::any::Any;
use std::fmt;

use crate::{Identity, Refusal};

/// Begins an exchange: a CONNECT with an authentication method, or an AUTH with reason code 0x19.
#[derive(Clone)]
pub struct BeginExchange {
    /// Of the CONNECT, or as assigned by the node.
    pub client_identifier: String,
    /// The authentication method. The provider `file` knows `SCRAM-SHA-256` and `SCRAM-SHA-512`.
    pub method: String,
    /// The authentication data. Without any, the client is asked for its first message.
    pub data: Option<Vec<u8>>,
    /// When re-authenticating: who the connection is. Anybody else is refused.
    pub reauthenticate: Option<Identity>,
}

/// Goes on with an exchange: an AUTH with reason code 0x18. The caller has seen to it that the authentication method
/// is the same as before [MQTT-4.12.0-5].
pub struct ContinueExchange {
    /// What the step before gave back.
    pub exchange: Exchange,
    /// The authentication data.
    pub data: Option<Vec<u8>>,
}

/// The answer to [`BeginExchange`] and [`ContinueExchange`].
#[derive(Debug)]
pub enum ExchangeOutcome {
    /// Send this to the client in an AUTH with reason code 0x18 and wait for its answer.
    Continue {
        /// To be given to [`ContinueExchange`].
        exchange: Exchange,
        /// The authentication data for the client.
        data: Vec<u8>,
    },
    /// The client is who it says.
    Success {
        /// Who.
        identity: Identity,
        /// The authentication data for the CONNACK or AUTH that says so; it proves the server to the client.
        data: Vec<u8>,
    },
    /// It is not.
    Refused(Refusal),
}

/// The state of an exchange between two steps, which only its provider can read. It serves for one step only: the
/// step takes it, and it cannot be copied. It waits with the connection, so it is to be small and without secrets.
pub struct Exchange(Box<dyn Any + Send>);

impl Exchange {
    /// Of the provider that begins or continues it.
    pub fn new(state: impl Any + Send) -> Self {
        Self(Box::new(state))
    }

    /// What the provider put in; `None` if that was something else.
    pub fn into_state<S: Any>(self) -> Option<S> {
        self.0.downcast().ok().map(|state| *state)
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange(..)")
    }
}
