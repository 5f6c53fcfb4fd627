//! Wills that were allowed under earlier rules. None of them is published before it is allowed under those in force, and
//! nothing that its client publishes afterwards overtakes it: a CONNECT of that client waits until it is judged.
//!
//! A will is judged anew when it is due, or when its client comes back and takes the session over; not before, since a
//! reload of the rules would otherwise have to go through all sessions.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use auth_actor::{Action, Asker, Authorize, Given};
use micro_mq_core::ids::{Epoch, SessionKey};
use micro_mq_core::session::{Grant, Will};
use micro_mq_core::timers::Timer;
use tokio::sync::oneshot;

use super::grants::{given_grant, remembered_until};
use super::messages::{Admit, WillsJudged};
use crate::clock;
use crate::worker::{NodeShared, Worker};

/// Wills of one worker that are with the auth actor at a time; the others wait for their turn.
const ASKED_MAX: usize = 64;
/// How often a will is judged, if the rules change meanwhile again and again, before it counts as not allowed.
const JUDGED_MAX: usize = 3;

/// A will that waits to be judged.
#[derive(Debug)]
struct Doubt {
    client_identifier: Box<str>,
    user_name: Option<Box<str>>,
    grant: Option<Arc<Grant>>,
    topic: Box<str>,
    of: Of,
}

#[derive(Debug)]
enum Of {
    /// It is due, and no session has it any more.
    Due { will: Box<Will>, publisher: SessionKey, publisher_hash: u64 },
    /// The session has it still.
    Held { key: SessionKey, epoch: Epoch },
}

/// What waits for the wills of one client.
#[derive(Debug, Default)]
struct Waiting {
    wills: usize,
    /// Each until its time is over.
    admits: VecDeque<(Instant, Admit)>,
}

/// The wills of one worker that are in doubt. There are no more than sessions had a will when the rules changed. The
/// CONNECTs that wait behind them have their places among the node's network connections, and wait for no longer than for
/// an answer.
#[derive(Debug, Default)]
pub struct WillsInDoubt {
    to_ask: VecDeque<Doubt>,
    asked: usize,
    clients: HashMap<Box<str>, Waiting>,
    /// When the time of a client's CONNECT is over, in the order in which they came.
    deadlines: VecDeque<(Instant, Box<str>)>,
    /// Those of the clients whose wills are all judged.
    judged: Vec<Box<str>>,
    /// Who waits until there are none.
    idle: Vec<oneshot::Sender<()>>,
}

impl WillsInDoubt {
    fn push(&mut self, doubt: Doubt) {
        self.clients.entry(doubt.client_identifier.clone()).or_default().wills += 1;
        self.to_ask.push_back(doubt);
    }

    fn next(&mut self) -> Option<Doubt> {
        let doubt = if self.asked < ASKED_MAX { self.to_ask.pop_front() } else { None };
        self.asked += usize::from(doubt.is_some());
        doubt
    }

    fn is_judged(&mut self, client_identifier: &str) {
        self.asked -= 1;
        if let Some(waiting) = self.clients.get_mut(client_identifier) {
            waiting.wills -= 1;
            if waiting.wills == 0 {
                self.judged.push(client_identifier.into());
            }
        }
        if self.asked == 0 && self.to_ask.is_empty() {
            for waiting in self.idle.drain(..) {
                // Who waited may have lost patience.
                let _ = waiting.send(());
            }
        }
    }

    /// CONNECTs that need not wait any more, in the order in which they came.
    pub(super) fn take_judged(&mut self) -> Vec<Admit> {
        let mut admits = Vec::new();
        for client_identifier in std::mem::take(&mut self.judged) {
            // Another will of the client may have become due meanwhile.
            if self.clients.get(&client_identifier).is_some_and(|waiting| waiting.wills == 0)
                && let Some(waiting) = self.clients.remove(&client_identifier)
            {
                admits.extend(waiting.admits.into_iter().map(|(_, admit)| admit));
            }
        }
        admits
    }

    fn wait(&mut self, deadline: Instant, admit: Admit) {
        let client_identifier: Box<str> = (*admit.connect.client_identifier).into();
        if let Some(waiting) = self.clients.get_mut(&client_identifier) {
            waiting.admits.push_back((deadline, admit));
            self.deadlines.push_back((deadline, client_identifier));
        }
    }

    /// CONNECTs that have waited for as long as they may.
    pub(super) fn take_late(&mut self, now: Instant) -> Vec<Admit> {
        let mut late = Vec::new();
        while let Some((_, client_identifier)) = pop_due(&mut self.deadlines, now) {
            // Those that need not wait any more have gone.
            if let Some(waiting) = self.clients.get_mut(&client_identifier)
                && let Some((_, admit)) = pop_due(&mut waiting.admits, now)
            {
                late.push(admit);
            }
        }
        late
    }

    /// All CONNECTs that wait, for a node that shuts down.
    pub(super) fn take_waiting(&mut self) -> Vec<Admit> {
        let waiting = self.clients.values_mut().flat_map(|waiting| waiting.admits.drain(..));
        waiting.map(|(_, admit)| admit).collect()
    }

    /// Completes when no will is in doubt.
    pub(super) fn idle(&mut self) -> Option<oneshot::Receiver<()>> {
        if self.asked == 0 && self.to_ask.is_empty() {
            return None;
        }
        let (idle, waiting) = oneshot::channel();
        self.idle.push(idle);
        Some(waiting)
    }
}

fn pop_due<T>(queue: &mut VecDeque<(Instant, T)>, now: Instant) -> Option<(Instant, T)> {
    if queue.front().is_some_and(|(deadline, _)| *deadline <= now) { queue.pop_front() } else { None }
}

impl Worker {
    /// Whether a will may be published as it was allowed.
    pub(crate) fn is_will_in_force(&self, will: &Will, now: Instant) -> bool {
        let in_force = self.node.policy.in_force();
        let counts = will.revision == in_force.revision && will.allowed_until.is_none_or(|end| now < end);
        !in_force.policy.authorizes || counts
    }

    /// Publishes a will that is due once it is allowed by the rules in force, if it is.
    pub(crate) fn doubt_will(&self, publisher: SessionKey, publisher_hash: u64, will: Box<Will>) {
        self.wills_in_doubt.borrow_mut().push(Doubt {
            client_identifier: will.client_identifier.clone(),
            user_name: will.user_name.clone(),
            grant: will.grant.clone(),
            topic: will.topic.clone(),
            of: Of::Due { will, publisher, publisher_hash },
        });
        self.peer().sessions.do_send(WillsJudged);
    }

    /// The CONNECT, unless it has to wait for a will of its client to be judged.
    pub(super) fn wait_for_wills(&self, admit: Admit) -> Option<Admit> {
        let mut wills = self.wills_in_doubt.borrow_mut();
        if wills.clients.is_empty() && !self.node.policy.current().authorizes {
            return Some(admit);
        }
        let now = clock::now();
        let client_identifier = &*admit.connect.client_identifier;
        if !wills.clients.contains_key(client_identifier) {
            let sessions = &self.state().sessions;
            let found = sessions.find(client_identifier).and_then(|key| sessions.get(key));
            let doubt = found.and_then(|session| {
                let will = session.will.as_ref().filter(|will| !self.is_will_in_force(will, now))?;
                Some(Doubt {
                    client_identifier: will.client_identifier.clone(),
                    user_name: will.user_name.clone(),
                    grant: will.grant.clone(),
                    topic: will.topic.clone(),
                    of: Of::Held { key: session.key, epoch: session.epoch },
                })
            });
            let Some(doubt) = doubt else { return Some(admit) };
            wills.push(doubt);
        }
        let deadline = now + self.node.asking.answer_timeout();
        wills.wait(deadline, admit);
        self.state().set_timer(now, deadline, Timer::Waiting);
        None
    }

    /// Asks for wills in doubt, as many at a time as may be.
    pub(super) fn judge_wills(self: &Rc<Self>) {
        loop {
            let Some(doubt) = self.wills_in_doubt.borrow_mut().next() else { return };
            let worker = Rc::clone(self);
            actix_rt::spawn(async move {
                let allowed = allowed_under(&worker.node, &doubt).await;
                worker.settle_doubt(&doubt.of, allowed);
                worker.wills_in_doubt.borrow_mut().is_judged(&doubt.client_identifier);
                worker.peer().sessions.do_send(WillsJudged);
            });
        }
    }

    fn settle_doubt(&self, of: &Of, allowed: Option<Allowed>) {
        if allowed.is_none() {
            self.counters.wills_not_authorized.add(1);
        }
        match of {
            Of::Due { will, publisher, publisher_hash } => {
                if allowed.is_some() {
                    self.state().route_will(*publisher, *publisher_hash, will, clock::now());
                }
            }
            Of::Held { key, epoch } => {
                let mut state = self.state();
                let Some(session) = state.sessions.get_mut(*key).filter(|session| session.epoch == *epoch)
                else {
                    return;
                };
                match (allowed, &mut session.will) {
                    (Some(allowed), Some(will)) => {
                        (will.revision, will.allowed_until) = (allowed.revision, allowed.until);
                    }
                    (None, _) => _ = session.replace_will(None),
                    (Some(_), None) => {}
                }
            }
        }
    }
}

/// A verdict on a will.
struct Allowed {
    /// Of the rules.
    revision: u64,
    until: Option<Instant>,
}

/// By what a will is allowed; none if it is not, or if nobody can say.
async fn allowed_under(node: &NodeShared, doubt: &Doubt) -> Option<Allowed> {
    for _ in 0..JUDGED_MAX {
        let in_force = node.policy.in_force();
        if !in_force.policy.authorizes {
            return Some(Allowed { revision: in_force.revision, until: None });
        }
        let question = Authorize {
            client_identifier: doubt.client_identifier.to_string(),
            user_name: doubt.user_name.as_deref().map(str::to_owned),
            grant: doubt.grant.as_ref().and_then(given_grant),
            wishes: [(Action::Publish, doubt.topic.to_string())].into(),
        };
        let Given { answer, revision } = node.ask_auth(Asker::Connected, question).await.ok()?;
        if revision == node.policy.revision() {
            // It counts for the CONNECT that waits for it, however short its time to live.
            let now = clock::now();
            let until = remembered_until(&answer).map(|end| end.max(now + node.asking.answer_timeout()));
            return (answer.verdicts == [true]).then_some(Allowed { revision, until });
        }
    }
    None
}
