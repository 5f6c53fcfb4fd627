//! What a connection is allowed by, beside a user name: a token, above all.

use std::any::Any;
use std::fmt;

use tokio::time::Instant;

/// What a provider lets a connection in by, if that ends some time or says more than a user name. It stays with the
/// connection, and goes back to the provider with each question about it.
#[derive(Debug)]
pub struct Grant {
    /// Names it in a [`Notice`](crate::Notice). The provider's own choice; several connections may have the same.
    pub uid: u64,
    /// When connections that have it end, unless they re-authenticate before. None: not by themselves.
    pub expires_at: Option<Instant>,
    /// What else the provider knows.
    pub claims: Claims,
}

/// What a provider knows of a connection, which only it can read. It is held for as long as the connection, and for as long
/// as its will waits: it is to be small and without secrets.
#[derive(Default)]
pub struct Claims(Option<Box<dyn Any + Send + Sync>>);

impl Claims {
    /// Of the provider that lets the connection in.
    pub fn new(claims: impl Any + Send + Sync) -> Self {
        Self(Some(Box::new(claims)))
    }

    /// What the provider put in; none if that was nothing, or something else.
    pub fn get<C: Any>(&self) -> Option<&C> {
        self.0.as_ref()?.downcast_ref()
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims(..)")
    }
}
