//! The topic trie actor of one worker: which of its sessions want a topic name.
//!
//! It alone reads and writes its trie; other workers learn from the directory whether to ask it. All that it is sent is
//! done in the order received, a bounded piece at a time: a fan-out to very many lets the worker's connections have
//! their turns in between.
//! Invariant: the directory names this worker for a filter before a `Subscribe` or `Join` is answered.

use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, Waker};

use actix::fut::ActorFuture;
use actix::prelude::*;
use mqtt_codec::ReasonCode;
use tokio::time::Instant;
use tracing::error;

use super::messages::*;
use super::route::{Progress, Router};
use super::shared::Member;
use super::trie::{Subscriber, Trie};
use super::{group_home, shared_part};
use crate::connection::{ChangeInForce, Close};
use crate::metrics::{ActorKind, ActorStats};
use crate::sessions::{Lost, Subscription, TrieStarted};
use crate::worker::Worker;

/// Room for a burst of batches; the messages in them are bounded by `messages_between_workers_max`.
const MAILBOX_CAPACITY: usize = 4096;

/// One thing to do, in order.
#[derive(Debug)]
enum Work {
    Route(Route),
    Subscribe(Subscribe),
    Join(Join),
    Unsubscribe(Unsubscribe),
    MemberState(MemberState),
    Handoff(Handoff),
    GiveBack(GiveBack),
    Reclaim(Reclaim),
    Observe(tokio::sync::oneshot::Sender<TrieObservation>),
    InjectPanic,
}

/// See the module.
pub struct TopicTrie {
    worker: Rc<Worker>,
    trie: Trie,
    router: Router,
    work: VecDeque<Work>,
    /// Who waits for the change that is being made.
    replying: Option<Reply>,
    /// A test wants a panic within the next batch.
    panics_in_batch: bool,
}

impl TopicTrie {
    /// A trie with all subscriptions of the worker's sessions and all groups whose home it is.
    pub fn new(worker: Rc<Worker>) -> Self {
        let router = Router::new(Rc::clone(&worker));
        let trie = Self::all_subscriptions(&worker);
        Self { worker, trie, router, work: VecDeque::new(), replying: None, panics_in_batch: false }
    }

    fn all_subscriptions(worker: &Worker) -> Trie {
        let mut trie = Trie::default();
        for session in worker.sessions.borrow().iter() {
            for (filter, subscription) in &session.subscriptions {
                if shared_part(filter).is_none() {
                    let subscriber = Subscriber {
                        session: session.key,
                        identifier: subscription.identifier,
                        options: subscription.options,
                    };
                    if trie.insert(filter, subscriber) {
                        worker.node.directory.add(filter, worker.id);
                    }
                }
            }
        }
        for group in worker.groups.borrow().iter() {
            if trie.insert_group(&group.filter, group.key.index) {
                worker.node.directory.add(&group.filter, worker.id);
            }
        }
        trie
    }

    fn stats(&self) -> &ActorStats {
        self.worker.stats(ActorKind::TopicTrie)
    }

    /// Does what is waiting, within the deliveries of one turn. Returns whether something is left.
    fn turn(&mut self, waker: &Waker) -> bool {
        let mut budget = self.worker.node.settings.node.deliveries_per_turn.max(1);
        let now = Instant::now();
        self.router.give_out_held_up(now);
        while budget > 0 {
            if self.router.is_busy() {
                if self.panics_in_batch {
                    self.panic_in_batch(now);
                }
                if self.router.go_on(&self.trie, &mut budget, now) == Progress::MoreToDo {
                    break;
                }
                continue;
            }
            let Some(work) = self.work.pop_front() else { break };
            // Everything costs something, so that a flood of anything lets others have their turn.
            budget = budget.saturating_sub(1);
            let timer = self.stats().handle(match &work {
                Work::Route(route) => route.sent_at,
                _ => None,
            });
            self.begin(work, now);
            self.stats().handled(timer);
        }
        self.router.flush_handoffs();
        let goes_on = self.router.goes_on_with_groups(waker);
        let more = self.router.is_busy() || !self.work.is_empty() || goes_on;
        self.worker.wake_touched(!more) || more
    }

    fn begin(&mut self, work: Work, now: Instant) {
        self.replying = match &work {
            Work::Subscribe(Subscribe { reply, .. })
            | Work::Join(Join { reply, .. })
            | Work::Unsubscribe(Unsubscribe { reply, .. }) => reply.clone(),
            _ => None,
        };
        match work {
            Work::Route(route) => self.router.begin(route),
            Work::Subscribe(subscribe) => self.subscribe(subscribe),
            Work::Join(join) => self.join(join, now),
            Work::Unsubscribe(unsubscribe) => self.unsubscribe(unsubscribe),
            Work::MemberState(state) => self.member_state(state, now),
            Work::Handoff(handoff) => self.router.take_handoff(handoff, now),
            Work::GiveBack(returned) => self.router.take_back(returned.returned, now),
            Work::Reclaim(reclaim) => self.router.reclaim(reclaim),
            #[expect(clippy::panic, reason = "this is what the message is for")]
            Work::InjectPanic => panic!("a panic was injected into the topic trie"),
            Work::Observe(answer) => {
                let groups = self.worker.groups.borrow();
                // The asker may have gone: then nobody wants to know.
                let _ = answer.send(TrieObservation {
                    filters: self.trie.filters(),
                    groups: groups.iter().count(),
                    waiting_in_groups: groups.waiting(),
                });
            }
        }
    }

    fn subscribe(&mut self, subscribe: Subscribe) {
        let session = subscribe.session;
        if self.worker.sessions.borrow().contains(session) {
            for (filter, subscription) in &subscribe.filters {
                let Subscription { options, identifier } = *subscription;
                if self.trie.insert(filter, Subscriber { session, identifier, options }) {
                    self.worker.node.directory.add(filter, self.worker.id);
                }
            }
        }
        in_force(subscribe.reply);
    }

    fn join(&mut self, join: Join, now: Instant) {
        for (full_filter, Subscription { options, identifier }) in join.filters {
            let Some(filter) = shared_part(&full_filter) else { continue };
            let member = Member {
                session: join.session,
                options,
                identifier,
                online: join.online,
                durable: join.durable,
                load: join.load.clone(),
            };
            let (key, filter) = {
                let mut groups = self.worker.groups.borrow_mut();
                let group = groups.join(self.worker.id, &full_filter, filter, member);
                (group.key, group.filter.clone())
            };
            if self.trie.insert_group(&filter, key.index) {
                self.worker.node.directory.add(&filter, self.worker.id);
            }
            if join.online {
                self.router.member_online(key, now);
            }
        }
        in_force(join.reply);
    }

    fn unsubscribe(&mut self, unsubscribe: Unsubscribe) {
        for filter in &unsubscribe.filters {
            let gone = if shared_part(filter).is_some() {
                debug_assert_eq!(group_home(filter, self.worker.node.peers.len()), self.worker.id);
                let left = self.worker.groups.borrow_mut().leave(filter, unsubscribe.session);
                left.and_then(|group| {
                    self.router.drop_group(&group);
                    self.trie.remove_group(&group.filter, group.key.index).then_some(group.filter)
                })
            } else {
                self.trie.remove(filter, unsubscribe.session).then(|| filter.clone())
            };
            if let Some(filter) = gone {
                self.worker.node.directory.remove(&filter, self.worker.id);
            } else if shared_part(filter).is_some() {
                self.router.drop_if_nobody_comes_back(filter);
            }
        }
        in_force(unsubscribe.reply);
    }

    fn member_state(&mut self, state: MemberState, now: Instant) {
        for filter in &state.filters {
            let key = {
                let mut groups = self.worker.groups.borrow_mut();
                groups.set_state(filter, state.session, state.online, state.durable).map(|group| group.key)
            };
            let Some(key) = key else { continue };
            if state.online {
                self.router.member_online(key, now);
            } else {
                self.router.member_offline(key, state.session);
            }
        }
    }
}

fn in_force(reply: Option<Reply>) {
    if let Some(Reply { connection, token }) = reply {
        connection.do_send(ChangeInForce { token });
    }
}

impl TopicTrie {
    /// Delivers one copy of a message, and then fails.
    #[expect(clippy::panic, reason = "this is what it is for")]
    fn panic_in_batch(&mut self, now: Instant) {
        self.panics_in_batch = false;
        self.router.go_on(&self.trie, &mut 2, now);
        panic!("a panic was injected into the routing of a batch");
    }

    /// A turn panicked. What it was doing is given up, and whoever waits for that is disconnected and will send again;
    /// all that waits behind it is done as ever, by a trie made anew from the sessions.
    fn go_on_after_panic(&mut self) {
        error!("the topic trie panicked; it is made anew and goes on behind what it was doing");
        self.stats().restarted();
        self.stats().handled(None);
        self.trie = Self::all_subscriptions(&self.worker);
        self.router = Router::after_panic(&mut self.router);
        if let Some(Reply { connection, .. }) = self.replying.take() {
            connection.do_send(Close { reason: ReasonCode::ImplementationSpecificError, parted: None });
        }
        self.worker.wake_all();
        // Groups whose home this is may lack a member that was just joining.
        self.announce(Lost::Nothing);
    }

    fn announce(&self, lost: Lost) {
        for peer in &self.worker.node.peers {
            peer.sessions.do_send(TrieStarted { worker: self.worker.id, lost });
        }
    }
}

/// Runs behind the mailbox, whenever the actor is woken.
struct Turns;

impl ActorFuture<TopicTrie> for Turns {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        trie: &mut TopicTrie,
        _ctx: &mut Context<TopicTrie>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        // Not left to end the actor: its mailbox would be lost, with publishes that were acknowledged elsewhere. All that
        // a turn changes is made anew, or lies in cells that unwinding releases.
        let turn = panic::catch_unwind(AssertUnwindSafe(|| trie.turn(task.waker())));
        let more = turn.unwrap_or_else(|_| {
            trie.go_on_after_panic();
            true
        });
        if more {
            // Woken again behind a look at the sockets; woken at once, it would have tens of turns before the next look.
            let _ = pin!(tokio::task::yield_now()).poll(task);
        }
        Poll::Pending
    }
}

impl Actor for TopicTrie {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_CAPACITY);
        ctx.spawn(Turns);
        if self.stats().figures().restarts > 0 {
            self.announce(Lost::Mailbox);
        }
    }
}

macro_rules! in_order {
    ($($message:ident),+) => {
        $(impl Handler<$message> for TopicTrie {
            type Result = ();

            fn handle(&mut self, message: $message, _ctx: &mut Self::Context) {
                self.work.push_back(Work::$message(message));
            }
        })+
    };
}

in_order!(Route, Subscribe, Join, Unsubscribe, MemberState, Handoff, GiveBack, Reclaim);

impl Handler<ObserveTrie> for TopicTrie {
    type Result = ResponseFuture<TrieObservation>;

    fn handle(&mut self, _: ObserveTrie, _ctx: &mut Self::Context) -> Self::Result {
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.work.push_back(Work::Observe(answer));
        Box::pin(async move { answered.await.unwrap_or_default() })
    }
}

#[cfg(feature = "simulation")]
impl Handler<crate::simulation::Inspect> for TopicTrie {
    type Result = MessageResult<crate::simulation::Inspect>;

    fn handle(&mut self, inspect: crate::simulation::Inspect, _ctx: &mut Self::Context) -> Self::Result {
        MessageResult((inspect.0)(&self.trie))
    }
}

impl Handler<InjectPanic> for TopicTrie {
    type Result = ();

    #[expect(clippy::panic, reason = "this is what the message is for")]
    fn handle(&mut self, inject: InjectPanic, _ctx: &mut Self::Context) {
        match inject {
            InjectPanic::InTurn => self.work.push_back(Work::InjectPanic),
            InjectPanic::InBatch => self.panics_in_batch = true,
            InjectPanic::InHandler => panic!("a panic was injected into a handler of the topic trie"),
        }
    }
}
