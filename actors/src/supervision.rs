//! Actors that are started anew when a panic ended them.
//!
//! A panic in a handler closes an actor's mailbox for good, so its owner keeps a factory. What such an actor needs to
//! go on (sessions, groups, retained messages) lives outside of it, with its thread.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use actix::fut::ActorFuture;
use actix::prelude::*;
use tokio::sync::Notify;
use tracing::error;

/// From the end of an actor to the start of its successor, so that one which dies at its start does not spin.
pub(crate) const REVIVAL_PAUSE: Duration = Duration::from_millis(50);

/// Lies in the context of an actor, and says that it is gone when that is dropped.
struct LastWords(Rc<Notify>);

impl Drop for LastWords {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl<A: Actor> ActorFuture<A> for LastWords {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut A, _: &mut A::Context, _: &mut TaskContext<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// Which of its lives an actor begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Nothing was before.
    First,
    /// Its predecessor panicked.
    Further,
}

/// Starts an actor on this thread, and another whenever one ends, for as long as the thread runs. `found` lets it be
/// found.
pub(crate) fn look_after<A: Actor<Context = Context<A>>>(
    name: &'static str,
    make: impl Fn() -> A + 'static,
    found: impl Fn(Life, Addr<A>) + 'static,
) {
    let died = Rc::new(Notify::new());
    found(Life::First, start(make(), &died));
    actix_rt::spawn(async move {
        loop {
            died.notified().await;
            actix_rt::time::sleep(REVIVAL_PAUSE).await;
            error!(actor = name, "an actor panicked and is started anew");
            found(Life::Further, start(make(), &died));
        }
    });
}

fn start<A: Actor<Context = Context<A>>>(actor: A, died: &Rc<Notify>) -> Addr<A> {
    A::create(|context| {
        context.spawn(LastWords(Rc::clone(died)));
        actor
    })
}
