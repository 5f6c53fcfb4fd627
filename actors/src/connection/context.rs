//! An actor context that is one small future: first the mailbox, then the connection's turn.
//!
//! actix's own `Context` keeps lists of futures and of those to wait for, which a connection never uses: leaving them
//! out saves 265 to 380 bytes per connection, and running the turn behind the mailbox makes one write out of all that
//! one wake-up brings.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use actix::WeakAddr;
use actix::dev::{Envelope, Mailbox, ToEnvelope};
use actix::prelude::*;
use tokio::sync::oneshot;

use super::actor::Connection;

/// See the module.
#[derive(Debug)]
pub struct ConnectionContext {
    address: WeakAddr<Connection>,
    state: ActorState,
}

impl ActorContext for ConnectionContext {
    fn stop(&mut self) {
        self.state = ActorState::Stopping;
    }

    fn terminate(&mut self) {
        self.state = ActorState::Stopped;
    }

    fn state(&self) -> ActorState {
        self.state
    }
}

impl AsyncContext<Connection> for ConnectionContext {
    fn address(&self) -> Addr<Connection> {
        self.address.upgrade().expect("the mailbox lives as long as this context")
    }

    fn spawn<F>(&mut self, _future: F) -> SpawnHandle
    where
        F: ActorFuture<Connection, Output = ()> + 'static,
    {
        unreachable!("a connection waits for nothing but its mailbox, its socket and its outbox")
    }

    fn wait<F>(&mut self, _future: F)
    where
        F: ActorFuture<Connection, Output = ()> + 'static,
    {
        unreachable!("a connection waits for nothing but its mailbox, its socket and its outbox")
    }

    fn waiting(&self) -> bool {
        false
    }

    fn cancel_future(&mut self, _handle: SpawnHandle) -> bool {
        false
    }
}

impl<M> ToEnvelope<Connection, M> for ConnectionContext
where
    Connection: Handler<M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    fn pack(message: M, answer: Option<oneshot::Sender<M::Result>>) -> Envelope<Connection> {
        Envelope::new(message, answer)
    }
}

/// The actor, its mailbox and its context: one allocation on the worker's task list.
struct Running {
    mailbox: Mailbox<Connection>,
    context: ConnectionContext,
    connection: Connection,
}

impl Future for Running {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<()> {
        let Self { mailbox, context, connection } = self.get_mut();
        mailbox.poll(connection, context, task);
        connection.turn(context, task)
    }
}

/// Starts a connection on this thread.
pub(super) fn start(connection: Connection) -> Addr<Connection> {
    let mailbox = Mailbox::default();
    let address = mailbox.address();
    let context = ConnectionContext { address: address.downgrade(), state: ActorState::Running };
    actix_rt::spawn(Running { mailbox, context, connection });
    address
}

#[cfg(test)]
mod tests {
    use super::Running;
    use micro_mq_core::session::Session;

    /// tokio puts 104 bytes around it, and rounds up to 128: what is above 256 makes it 384. Connections that are idle are
    /// many. The in-memory transport of simulations takes 8 bytes that the product does not have.
    #[cfg(target_pointer_width = "64")]
    #[test]
    fn what_each_connection_holds_stays_small() {
        let running = size_of::<Running>() - if cfg!(feature = "simulation") { 8 } else { 0 };
        assert!(running <= 152, "{running} bytes");
        assert!(size_of::<Option<Session>>() <= 264, "{} bytes", size_of::<Option<Session>>());
    }
}
