//! Where an actor is found, whichever of its lives it is in.

use actix::prelude::*;
use parking_lot::RwLock;

use super::addresses::Takes;

/// See the module.
#[derive(Debug)]
pub struct CurrentAddress<T>(RwLock<Option<T>>);

impl<T> Default for CurrentAddress<T> {
    fn default() -> Self {
        Self(RwLock::new(None))
    }
}

impl<T: Clone> CurrentAddress<T> {
    /// Its address; none before its first start.
    pub fn addr(&self) -> Option<T> {
        self.0.read().clone()
    }
}

impl<T> CurrentAddress<T> {
    /// Lets the actor be found here from now on.
    pub fn set(&self, address: T) {
        *self.0.write() = Some(address);
    }

    /// Sends a message past the mailbox's capacity; what bounds the senders is named where they send. A message to an
    /// actor that just died is lost with what it had not begun.
    pub fn do_send<M>(&self, message: M)
    where
        T: Takes<M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        if let Some(address) = &*self.0.read() {
            address.recipient().do_send(message);
        }
    }
}
