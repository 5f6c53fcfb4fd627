//! Actors that are started anew when a panic ended them.
//!
//! A panic in a handler closes an actor's mailbox for good, so its owner keeps a factory. What such an actor needs to
//! go on (sessions, groups, retained messages) lives outside of it, with its thread.

use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::prelude::*;
use parking_lot::RwLock;
use tracing::error;

/// How soon a dead actor is noticed; also the pause before it is started anew, so that one which dies at its start does
/// not spin.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Where an actor is found, whichever of its lives it is in.
pub struct Place<A: Actor>(RwLock<Option<Addr<A>>>);

impl<A: Actor> std::fmt::Debug for Place<A> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Place").field(&self.addr()).finish()
    }
}

impl<A: Actor> Default for Place<A> {
    fn default() -> Self {
        Self(RwLock::new(None))
    }
}

impl<A: Actor> Place<A> {
    /// Its address; none before its first start.
    pub fn addr(&self) -> Option<Addr<A>> {
        self.0.read().clone()
    }

    /// Lets the actor be found here from now on.
    pub fn set(&self, addr: Addr<A>) {
        *self.0.write() = Some(addr);
    }

    /// Sends a message past the mailbox's capacity; what bounds the senders is named where they send. A message to an
    /// actor that just died is lost with what it had not begun.
    pub fn do_send<M>(&self, message: M)
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        if let Some(addr) = &*self.0.read() {
            addr.do_send(message);
        }
    }

    /// Whether the actor was started and is gone.
    pub fn is_dead(&self) -> bool {
        self.0.read().as_ref().is_some_and(|addr| !addr.connected())
    }
}

/// An actor that is looked after: how to see that it is gone, and how to start another.
pub(crate) struct Ward {
    /// Its kind, for the log.
    pub(crate) name: &'static str,
    /// Whether it is gone.
    pub(crate) is_dead: Box<dyn Fn() -> bool>,
    /// Starts another and counts it.
    pub(crate) revive: Box<dyn Fn()>,
}

/// Looks after the actors of this thread for as long as it runs.
pub(crate) async fn look_after(wards: Vec<Ward>) {
    loop {
        actix_rt::time::sleep(LOOK_INTERVAL).await;
        for ward in wards.iter().filter(|ward| (ward.is_dead)()) {
            error!(actor = ward.name, "an actor panicked and is started anew");
            (ward.revive)();
        }
    }
}
