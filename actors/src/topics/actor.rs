//! The topic trie actor of one worker: which of its sessions want a topic name.
//!
//! It alone reads and writes its trie; other workers learn from the directory whether to ask it. What it is sent waits for
//! its turn ([`Topics`]), which runs behind the mailbox.

use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, Waker, ready};
use std::time::Instant;

use actix::fut::ActorFuture;
use actix::prelude::*;
use micro_mq_core::routing::Cohort;
use micro_mq_core::topics::{Topics, Watch};
use tokio::time::{Sleep, sleep};
use tracing::error;

use crate::clock;
use crate::messages::{ForTrie, ObserveTrie, TrieObservation};
use crate::stats::{ActorKind, ActorStats};
use crate::supervision::REVIVAL_PAUSE;
use crate::turns::go_on_behind_sockets;
use crate::worker::Worker;

/// Room for a burst of batches; the messages in them are bounded by `messages_between_workers_max`.
const MAILBOX_CAPACITY: usize = 4096;

impl Watch for ActorStats {
    #[inline]
    fn begin(&self, sent_at: Option<Instant>) -> Option<Instant> {
        self.handle(sent_at)
    }

    #[inline]
    fn end(&self, began: Option<Instant>) {
        self.handled(began);
    }
}

type Observer = tokio::sync::oneshot::Sender<TrieObservation>;

/// See the module.
pub struct TopicTrie {
    worker: Rc<Worker>,
    topics: Topics,
    /// Who wants to know when what was there before is done.
    observers: VecDeque<(Cohort, Observer)>,
}

impl TopicTrie {
    /// A trie with all subscriptions of the worker's sessions and all groups whose home it is.
    pub fn new(worker: Rc<Worker>) -> Self {
        let topics = Topics::new(&worker.state());
        Self { worker, topics, observers: VecDeque::new() }
    }

    fn stats(&self) -> &ActorStats {
        self.worker.stats(ActorKind::TopicTrie)
    }

    /// Does what is waiting, within the deliveries of one turn. Returns whether something is left.
    fn turn(&mut self, waker: &Waker) -> bool {
        let stats = self.worker.stats(ActorKind::TopicTrie);
        let more = self.topics.turn(&mut self.worker.state(), clock::now(), waker, stats);
        self.answer_observers();
        more
    }

    /// A turn panicked: what it left is put in order.
    fn go_on_after_panic(&mut self) {
        error!("the topic trie panicked; it is made anew and goes on behind what it was doing");
        self.topics.go_on_after_panic(&mut self.worker.state());
        self.stats().handled(None);
        self.stats().restarted();
    }

    fn answer_observers(&mut self) {
        while let Some((so_far, _)) = self.observers.front() {
            if !self.topics.is_done(*so_far) {
                break;
            }
            let groups = self.worker.state().groups.len();
            if let Some((_, observer)) = self.observers.pop_front() {
                // The asker may have gone: then nobody wants to know.
                let _ = observer.send(TrieObservation { filters: self.topics.trie.filters(), groups });
            }
        }
    }
}

/// Runs behind the mailbox, whenever the actor is woken.
#[derive(Default)]
struct Turns {
    /// A turn panicked: what it left is put in order before the next.
    is_broken: bool,
    /// That panicked too, and is tried again after this.
    pause: Option<Pin<Box<Sleep>>>,
}

impl ActorFuture<TopicTrie> for Turns {
    type Output = ();

    fn poll(
        mut self: Pin<&mut Self>,
        trie: &mut TopicTrie,
        _ctx: &mut Context<TopicTrie>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(task));
            self.pause = None;
        }
        trie.worker.state().departures.note_trie(task.waker());
        // Not left to end the actor: its mailbox would be lost, with publishes that were acknowledged elsewhere. All that
        // a turn changes is made anew, or lies in the worker's state, which unwinding releases.
        let is_broken = &mut self.is_broken;
        let turn = panic::catch_unwind(AssertUnwindSafe(|| {
            if *is_broken {
                trie.go_on_after_panic();
                *is_broken = false;
            }
            trie.turn(task.waker())
        }));
        if turn.is_err() && std::mem::replace(is_broken, true) {
            // So that a trie which cannot be put in order does not spin.
            let mut pause = Box::pin(sleep(REVIVAL_PAUSE));
            let is_over = pause.as_mut().poll(task).is_ready();
            debug_assert!(!is_over, "it has just begun");
            self.pause = Some(pause);
        } else if turn.unwrap_or(true) {
            go_on_behind_sockets(task);
        }
        Poll::Pending
    }
}

impl Actor for TopicTrie {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_CAPACITY);
        ctx.spawn(Turns::default());
    }
}

impl Handler<ForTrie> for TopicTrie {
    type Result = ();

    fn handle(&mut self, ForTrie(message): ForTrie, _ctx: &mut Self::Context) {
        self.topics.push(message);
    }
}

impl Handler<ObserveTrie> for TopicTrie {
    type Result = ResponseFuture<TrieObservation>;

    fn handle(&mut self, _: ObserveTrie, _ctx: &mut Self::Context) -> Self::Result {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let so_far = self.topics.so_far();
        self.observers.push_back((so_far, answer));
        Box::pin(async move { answered.await.unwrap_or_default() })
    }
}
