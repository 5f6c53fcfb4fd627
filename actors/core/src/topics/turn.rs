//! Whose turn it is, and what is done in it.

use std::task::Waker;
use std::time::Instant;

use super::leaving::{charge_others, reclaim};
#[cfg(any(test, feature = "panics"))]
use super::recovery::Panics;
use super::router::{Progress, Router};
use crate::ids::{SessionKey, shared_part};
use crate::matching::{Subscriber, Trie};
use crate::moment::Moment;
use crate::routing::{Cohort, Current, GiveBack, Handoff, Lanes, Owner, Reply, Ticket, ToTrie, Work};
use crate::worker::WorkerState;

/// What one client's turn may cost, in deliveries, when others wait.
const DELIVERIES_PER_CLIENT: usize = 256;
/// Batches that may wait for their next turn within a run of messages, since each holds what matched it: with more, one
/// goes on at once.
const WITHIN_RUNS_MAX: usize = 64;

/// Who counts what is done, and how long it takes.
pub trait Watch {
    /// Work begins, which was sent at this moment if its times are sampled. Returns the present moment for such.
    fn begin(&self, sent_at: Option<Instant>) -> Option<Instant>;

    /// It is done, or its first piece is.
    fn end(&self, began: Option<Instant>);
}

/// What the topic trie of one worker has. See the module above.
#[derive(Debug)]
pub struct Topics {
    /// The subscriptions of the worker's sessions, and the groups whose home it is.
    pub trie: Trie,
    pub(super) router: Router,
    pub(super) lanes: Lanes<Work>,
    /// The piece of work that is being done.
    pub(super) in_work: Option<Ticket>,
    /// Batches that wait for their next turn within a run.
    pub(super) within_runs: usize,
    /// Who waits for the change that is being made.
    pub(super) replying: Option<Reply>,
    /// Whose publishes are being answered that no subscriber here is concerned with.
    pub(super) answering: Option<SessionKey>,
    #[cfg(any(test, feature = "panics"))]
    pub(super) panics: Panics,
}

impl Topics {
    /// With all subscriptions of the worker's sessions and all groups whose home it is.
    pub fn new(worker: &WorkerState) -> Self {
        Self {
            trie: Self::all_subscriptions(worker),
            router: Router::new(worker.node.workers()),
            lanes: Lanes::default(),
            in_work: None,
            within_runs: 0,
            replying: None,
            answering: None,
            #[cfg(any(test, feature = "panics"))]
            panics: Panics::default(),
        }
    }

    pub(super) fn all_subscriptions(worker: &WorkerState) -> Trie {
        let mut trie = Trie::default();
        for session in worker.sessions.iter() {
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
        for group in worker.groups.iter() {
            if trie.insert_group(&group.filter, group.key) {
                worker.node.directory.add(&group.filter, worker.id);
            }
        }
        trie
    }

    /// Takes what the trie is sent; it is done in turns.
    pub fn push(&mut self, message: ToTrie) {
        match message {
            ToTrie::Work(work) => self.lanes.push(work.owner(), work),
            ToTrie::Arrivals(routes) => {
                for route in routes {
                    self.lanes.push(Owner::of(&route.batch), Work::Route(route));
                }
            }
            ToTrie::Handoffs(parts) => {
                for part in parts {
                    self.lanes.push(Owner::Group(part.group), Work::Handoff(Box::new(part)));
                }
            }
            #[cfg(any(test, feature = "panics"))]
            ToTrie::Panic(inject) => self.inject(inject),
            #[cfg(feature = "simulation")]
            ToTrie::Look(look) => (look.0)(&self.trie),
        }
    }

    /// Names all that was sent so far.
    pub fn so_far(&mut self) -> Cohort {
        self.lanes.so_far()
    }

    /// Whether all of it is done.
    pub fn is_done(&mut self, so_far: Cohort) -> bool {
        self.lanes.is_done(so_far)
    }

    /// Does what is waiting, within the deliveries of one turn. Returns whether something is left.
    pub fn turn(
        &mut self,
        worker: &mut WorkerState,
        now: Instant,
        waker: &Waker,
        watch: &impl Watch,
    ) -> bool {
        let mut budget = worker.node.settings.node.deliveries_per_turn.max(1);
        worker.depart();
        self.router.give_out_held_up(worker);
        loop {
            let to_give_out = self.router.to_give_out.drain(..).map(Work::GiveOut);
            let to_call_back = self.router.to_call_back.drain(..).map(Work::CallBack);
            let to_charge = self.router.to_charge_others.drain(..).map(Work::ChargeOthers);
            for work in to_give_out.chain(to_call_back).chain(to_charge) {
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
            let mark = worker.wakes.mark();
            let rest = self.work(worker, work, &mut left, now, watch);
            worker.record_all_notes();
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
                        worker.wakes.hurry(mark);
                    }
                }
            }
        }
        self.router.hand_over(worker);
        self.router.ask_back(worker);
        let goes_on = self.router.goes_on_with_groups(&worker.node, waker);
        let more = !self.lanes.is_empty() || goes_on;
        worker.wake_touched(!more) || more
    }

    /// Does a piece of work, as far as `budget` goes. Returns what is left of it.
    fn work(
        &mut self,
        worker: &mut WorkerState,
        work: Work,
        budget: &mut usize,
        now: Instant,
        watch: &impl Watch,
    ) -> Option<Work> {
        self.replying = work.reply().cloned();
        let timer = match &work {
            Work::Route(route) => Some(watch.begin(route.sent_at)),
            Work::Answer(answer) => Some(watch.begin(answer.sent_at)),
            Work::Handoff(handoff) if handoff.is_begun => None,
            Work::Routing(_) | Work::GiveOut(_) | Work::CallBack(_) => None,
            _ => Some(watch.begin(None)),
        };
        let rest = match work {
            Work::Route(route) => {
                // In its place on the stack as a rule: most batches are done at once, and it is large.
                let mut current = self.router.begin(route);
                self.route(worker, &mut current, budget, now).then(|| Work::Routing(Box::new(current)))
            }
            Work::Routing(mut current) => {
                self.route(worker, &mut current, budget, now).then_some(Work::Routing(current))
            }
            Work::Answer(answer) => {
                *budget = budget.saturating_sub(answer.acks.len());
                self.answering = Some(answer.publisher);
                Router::answer(worker, answer);
                self.answering = None;
                None
            }
            Work::Handoff(handoff) => Handoff::take_piece(worker, handoff, budget, now).map(Work::Handoff),
            other => self.work_on_subscriptions(worker, other, budget, now),
        };
        // Its other pieces are not counted anew.
        if let Some(timer) = timer {
            watch.end(timer);
        }
        rest
    }

    /// The same, for what concerns who is subscribed, and groups.
    fn work_on_subscriptions(
        &mut self,
        worker: &mut WorkerState,
        work: Work,
        budget: &mut usize,
        now: Instant,
    ) -> Option<Work> {
        match work {
            Work::GiveOut(group) => {
                (!self.router.give_out(worker, group, budget, now)).then_some(Work::GiveOut(group))
            }
            Work::CallBack(group) => {
                (!self.router.call_back(&mut worker.groups, group, budget)).then_some(Work::CallBack(group))
            }
            Work::ChargeOthers(group) => {
                charge_others(worker, group, budget).then_some(Work::ChargeOthers(group))
            }
            Work::Discard(owner, number) => {
                worker.discard_some(number, budget).then_some(Work::Discard(owner, number))
            }
            Work::Subscribe(subscribe) => self.subscribe(worker, subscribe, budget).map(Work::Subscribe),
            Work::Join(join) => self.join(worker, join, budget).map(Work::Join),
            Work::Unsubscribe(unsubscribe) => {
                self.unsubscribe(worker, unsubscribe, budget).map(Work::Unsubscribe)
            }
            Work::ForgetSession(forget) => self.forget(worker, forget, budget).map(Work::ForgetSession),
            Work::TellGroups(tell) => Self::tell_groups(worker, tell, budget).map(Work::TellGroups),
            Work::MemberState(state) => self.member_state(worker, state, budget).map(Work::MemberState),
            Work::GiveBack(give_back) => self.take_back(worker, give_back, budget, now).map(Work::GiveBack),
            Work::Reclaim(wanted) => reclaim(worker, wanted, budget).map(Work::Reclaim),
            Work::Taken(taken) => {
                worker.record_taken_from(taken);
                None
            }
            #[cfg(any(test, feature = "panics"))]
            #[expect(clippy::panic, reason = "this is what it is for")]
            Work::Panic => panic!("a panic was injected into the topic trie"),
            Work::Route(_) | Work::Routing(_) | Work::Answer(_) | Work::Handoff(_) => {
                unreachable!("it is done above")
            }
        }
    }

    /// Routes a batch, and answers whether something is left of it.
    fn route(
        &mut self,
        worker: &mut WorkerState,
        current: &mut Current,
        budget: &mut usize,
        now: Instant,
    ) -> bool {
        #[cfg(any(test, feature = "panics"))]
        self.panic_in_batch(worker, current, now);
        self.router.go_on(worker, current, &self.trie, budget, now) == Progress::MoreToDo
    }

    /// Messages that members of groups could not keep.
    fn take_back(
        &mut self,
        worker: &mut WorkerState,
        mut give_back: GiveBack,
        budget: &mut usize,
        now: Instant,
    ) -> Option<GiveBack> {
        while let Some(given) = give_back.returned.front_mut() {
            let group = given.group;
            let Some(queued) = given.messages.pop_front() else {
                give_back.returned.pop_front();
                continue;
            };
            let cost = self.router.take_back(worker, group, &queued, now);
            if super::endings::is_spent(budget, cost) {
                return Some(give_back);
            }
        }
        None
    }
}
