//! The topic trie actor of one worker: which of its sessions want a topic name.
//!
//! It alone reads and writes its trie; other workers learn from the directory whether to ask it. What one client asks
//! for is done in the order received, and clients take turns ([`Lanes`]), a bounded piece at a time: whoever asks for
//! very much, be it a fan-out to very many, filters that are slow to look up or thousands of changes, makes neither
//! other clients wait nor the worker's connections.
//! Invariant: the directory names this worker for a filter before a `Subscribe` or `Join` is answered.

use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, Waker, ready};
use std::time::Instant;

use actix::fut::ActorFuture;
use actix::prelude::*;
use micro_mq_core::ids::{GroupKey, SessionKey, shared_part};
use micro_mq_core::matching::{Subscriber, Trie};
use micro_mq_core::moment::Moment;
use micro_mq_core::routing::{Current, Epoch, Lanes, Owner, Ticket};
use tokio::time::{Sleep, sleep};

use super::endings::is_spent;
use super::messages::*;
use super::route::{Progress, Router};
use crate::clock;
use crate::metrics::{ActorKind, ActorStats};
use crate::supervision::REVIVAL_PAUSE;
use crate::worker::{Worker, go_on_behind_sockets};

/// Room for a burst of batches; the messages in them are bounded by `messages_between_workers_max`.
const MAILBOX_CAPACITY: usize = 4096;

/// What one client's turn may cost, in deliveries, when others wait.
const DELIVERIES_PER_CLIENT: usize = 256;
/// Batches that may wait for their next turn within a run of messages, since each holds what matched it: with more, one
/// goes on at once.
const WITHIN_RUNS_MAX: usize = 64;

/// One thing to do.
#[derive(Debug)]
pub(super) enum Work {
    Route(Route),
    /// A batch that is routed in part.
    Routing(Box<Current>),
    Answer(Answer),
    /// What waits in a group.
    GiveOut(GroupKey),
    /// What members offline hold of a group.
    CallBack(GroupKey),
    Subscribe(Subscribe),
    Join(Join),
    Unsubscribe(Unsubscribe),
    ForgetSession(ForgetSession),
    TellGroups(TellGroups),
    MemberState(MemberState),
    Handoff(Handoff),
    GiveBack(GiveBack),
    Reclaim(Reclaim),
    InjectPanic,
}

impl Work {
    /// Whose turn it is done in.
    pub(super) fn owner(&self) -> Owner {
        match self {
            Self::Route(route) => Owner::of(&route.batch),
            Self::Answer(Answer { client, .. })
            | Self::Subscribe(Subscribe { client, .. })
            | Self::Join(Join { client, .. })
            | Self::Unsubscribe(Unsubscribe { client, .. })
            | Self::ForgetSession(ForgetSession { client, .. })
            | Self::TellGroups(TellGroups { client, .. })
            | Self::MemberState(MemberState { client, .. }) => Owner::Client(*client),
            Self::GiveBack(GiveBack { owner, .. }) => *owner,
            Self::GiveOut(group) | Self::CallBack(group) | Self::Handoff(Handoff { group, .. }) => {
                Owner::Group(*group)
            }
            Self::Reclaim(reclaim) => {
                reclaim.groups.first().map_or(Owner::Own, |group| Owner::Worker(group.home))
            }
            Self::Routing(_) | Self::InjectPanic => Owner::Own,
        }
    }

    pub(super) fn is_within_run(&self) -> bool {
        matches!(self, Self::Routing(current) if current.is_within_run())
    }
}

type Observer = tokio::sync::oneshot::Sender<TrieObservation>;

/// See the module.
pub struct TopicTrie {
    pub(super) worker: Rc<Worker>,
    pub(super) trie: Trie,
    pub(super) router: Router,
    pub(super) lanes: Lanes<Work>,
    /// The piece of work that is being done.
    pub(super) in_work: Option<Ticket>,
    /// Batches that wait for their next turn within a run.
    pub(super) within_runs: usize,
    /// Who wants to know when what was there before is done.
    observers: VecDeque<(Epoch, Observer)>,
    /// Who waits for the change that is being made.
    pub(super) replying: Option<Reply>,
    /// Whose publishes are being answered that no subscriber here is concerned with.
    pub(super) answering: Option<SessionKey>,
    /// A test wants a panic within the next batch.
    pub(super) panics_in_batch: bool,
    /// A test wants a panic within the next recovery.
    pub(super) panics_in_recovery: bool,
}

impl TopicTrie {
    /// A trie with all subscriptions of the worker's sessions and all groups whose home it is.
    pub fn new(worker: Rc<Worker>) -> Self {
        let router = Router::new(Rc::clone(&worker));
        let trie = Self::all_subscriptions(&worker);
        Self {
            worker,
            trie,
            router,
            lanes: Lanes::default(),
            in_work: None,
            within_runs: 0,
            observers: VecDeque::new(),
            replying: None,
            answering: None,
            panics_in_batch: false,
            panics_in_recovery: false,
        }
    }

    pub(super) fn all_subscriptions(worker: &Worker) -> Trie {
        let mut trie = Trie::default();
        for session in worker.sessions.borrow().iter() {
            for (filter, subscription) in session.subscriptions.iter() {
                if shared_part(filter).is_none() {
                    let subscriber = Subscriber {
                        session: session.key,
                        identifier: subscription.identifier,
                        options: subscription.options,
                        since: Moment::default(),
                    };
                    if trie.insert(filter, subscriber) {
                        worker.node.directory.add(filter, worker.id);
                    }
                }
            }
        }
        for group in worker.groups.borrow().iter() {
            if trie.insert_group(&group.filter, group.key) {
                worker.node.directory.add(&group.filter, worker.id);
            }
        }
        trie
    }

    pub(super) fn stats(&self) -> &ActorStats {
        self.worker.stats(ActorKind::TopicTrie)
    }

    /// Does what is waiting, within the deliveries of one turn. Returns whether something is left.
    fn turn(&mut self, waker: &Waker) -> bool {
        let mut budget = self.worker.node.settings.node.deliveries_per_turn.max(1);
        let now = clock::now();
        self.worker.depart();
        self.router.give_out_held_up();
        loop {
            let to_give_out = self.router.to_give_out.drain(..).map(Work::GiveOut);
            let to_call_back = self.router.to_call_back.drain(..).map(Work::CallBack);
            for work in to_give_out.chain(to_call_back) {
                self.lanes.push(work.owner(), work);
            }
            if budget == 0 {
                break;
            }
            let Some((ticket, work)) = self.lanes.take_next() else { break };
            self.within_runs -= usize::from(work.is_within_run());
            self.in_work = Some(ticket);
            let share = DELIVERIES_PER_CLIENT.min(budget);
            let mut left = share;
            let mark = self.worker.wakes.borrow().mark();
            let rest = self.work(work, &mut left, now);
            self.in_work = None;
            self.router.rest();
            // Everything costs something, so that a flood of anything lets others have their turn.
            budget -= (share - left).max(1);
            match rest {
                Some(rest) => {
                    let at_once = rest.is_within_run() && self.within_runs >= WITHIN_RUNS_MAX;
                    self.within_runs += usize::from(rest.is_within_run());
                    self.lanes.put_back(ticket, rest, at_once);
                }
                None => {
                    if self.lanes.done(ticket) {
                        self.worker.wakes.borrow_mut().hurry(mark);
                    }
                }
            }
        }
        self.answer_observers();
        self.router.hand_over();
        self.router.ask_back();
        let goes_on = self.router.goes_on_with_groups(waker);
        let more = !self.lanes.is_empty() || goes_on;
        self.worker.wake_touched(!more) || more
    }

    /// Does a piece of work, as far as `budget` goes. Returns what is left of it.
    fn work(&mut self, work: Work, budget: &mut usize, now: Instant) -> Option<Work> {
        self.replying = match &work {
            Work::Subscribe(Subscribe { reply, .. })
            | Work::Join(Join { reply, .. })
            | Work::Unsubscribe(Unsubscribe { reply, .. }) => reply.clone(),
            _ => None,
        };
        let timer = match &work {
            Work::Route(route) => Some(self.stats().handle(route.sent_at)),
            Work::Answer(answer) => Some(self.stats().handle(answer.sent_at)),
            Work::Handoff(handoff) if handoff.next > 0 => None,
            Work::Routing(_) | Work::GiveOut(_) | Work::CallBack(_) => None,
            _ => Some(self.stats().handle(None)),
        };
        let rest = match work {
            Work::Route(route) => {
                // In its place on the stack as a rule: most batches are done at once, and it is large.
                let mut current = self.router.begin(route);
                self.route(&mut current, budget, now).then(|| Work::Routing(Box::new(current)))
            }
            Work::Routing(mut current) => {
                self.route(&mut current, budget, now).then_some(Work::Routing(current))
            }
            Work::GiveOut(group) => {
                (!self.router.give_out(group, budget, now)).then_some(Work::GiveOut(group))
            }
            Work::CallBack(group) => (!self.router.call_back(group, budget)).then_some(Work::CallBack(group)),
            Work::Subscribe(subscribe) => self.subscribe(subscribe, budget).map(Work::Subscribe),
            Work::Join(join) => self.join(join, budget).map(Work::Join),
            Work::Unsubscribe(unsubscribe) => self.unsubscribe(unsubscribe, budget).map(Work::Unsubscribe),
            Work::ForgetSession(forget) => self.forget(forget, budget).map(Work::ForgetSession),
            Work::TellGroups(tell) => self.tell_groups(tell, budget).map(Work::TellGroups),
            Work::MemberState(state) => self.member_state(state, budget).map(Work::MemberState),
            Work::GiveBack(give_back) => self.take_back(give_back, budget, now).map(Work::GiveBack),
            Work::Answer(answer) => {
                *budget = budget.saturating_sub(answer.acks.len());
                self.answering = Some(answer.publisher);
                self.router.answer(answer);
                self.answering = None;
                None
            }
            Work::Handoff(handoff) => self.router.take_handoff(handoff, budget, now).map(Work::Handoff),
            Work::Reclaim(reclaim) => {
                *budget = budget.saturating_sub(self.router.reclaim(reclaim));
                None
            }
            #[expect(clippy::panic, reason = "this is what the message is for")]
            Work::InjectPanic => panic!("a panic was injected into the topic trie"),
        };
        // Its other pieces are not counted anew.
        if let Some(timer) = timer {
            self.stats().handled(timer);
        }
        rest
    }

    /// Routes a batch, and answers whether something is left of it.
    fn route(&mut self, current: &mut Current, budget: &mut usize, now: Instant) -> bool {
        if self.panics_in_batch {
            self.panic_in_batch(current, now);
        }
        self.router.go_on(current, &self.trie, budget, now) == Progress::MoreToDo
    }

    fn answer_observers(&mut self) {
        while let Some((epoch, _)) = self.observers.front() {
            if !self.lanes.is_done(*epoch) {
                break;
            }
            let groups = self.worker.groups.borrow();
            if let Some((_, observer)) = self.observers.pop_front() {
                // The asker may have gone: then nobody wants to know.
                let _ = observer.send(TrieObservation { filters: self.trie.filters(), groups: groups.len() });
            }
        }
    }

    /// Messages that members of groups could not keep.
    fn take_back(&mut self, mut give_back: GiveBack, budget: &mut usize, now: Instant) -> Option<GiveBack> {
        while let Some(given) = give_back.returned.front_mut() {
            let group = given.group;
            let Some(queued) = given.messages.pop_front() else {
                give_back.returned.pop_front();
                continue;
            };
            let cost = self.router.take_back(group, &queued, now);
            if is_spent(budget, cost) {
                return Some(give_back);
            }
        }
        None
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
        trie.worker.departures.borrow_mut().note_trie(task.waker());
        // Not left to end the actor: its mailbox would be lost, with publishes that were acknowledged elsewhere. All that
        // a turn changes is made anew, or lies in cells that unwinding releases.
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

macro_rules! in_order {
    ($($message:ident),+) => {
        $(impl Handler<$message> for TopicTrie {
            type Result = ();

            fn handle(&mut self, message: $message, _ctx: &mut Self::Context) {
                let work = Work::$message(message);
                self.lanes.push(work.owner(), work);
            }
        })+
    };
}

in_order!(
    Route,
    Answer,
    Subscribe,
    Join,
    Unsubscribe,
    MemberState,
    GiveBack,
    Reclaim,
    ForgetSession,
    TellGroups
);

impl Handler<Arrivals> for TopicTrie {
    type Result = ();

    fn handle(&mut self, arrivals: Arrivals, _ctx: &mut Self::Context) {
        for route in arrivals.routes {
            self.lanes.push(Owner::of(&route.batch), Work::Route(route));
        }
    }
}

impl Handler<Handoffs> for TopicTrie {
    type Result = ();

    fn handle(&mut self, handoffs: Handoffs, _ctx: &mut Self::Context) {
        for part in handoffs.parts {
            self.lanes.push(Owner::Group(part.group), Work::Handoff(part));
        }
    }
}

impl Handler<ObserveTrie> for TopicTrie {
    type Result = ResponseFuture<TrieObservation>;

    fn handle(&mut self, _: ObserveTrie, _ctx: &mut Self::Context) -> Self::Result {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let so_far = self.lanes.so_far();
        self.observers.push_back((so_far, answer));
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
