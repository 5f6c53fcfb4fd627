//! Wills that were allowed under earlier rules, and who waits for them to be judged by those in force.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use micro_mq_core::ids::{Epoch, SessionKey};
use micro_mq_core::session::{Grant, Will};
use tokio::sync::oneshot;

use super::Worker;
use crate::messages::{Admit, WillsJudged};

/// Wills of one worker that are with the auth actor at a time; the others wait for their turn.
const ASKED_MAX: usize = 64;
/// A will that waits to be judged.
#[derive(Debug)]
pub(crate) struct Doubt {
    pub(crate) client_identifier: Box<str>,
    pub(crate) user_name: Option<Box<str>>,
    pub(crate) grant: Option<Arc<Grant>>,
    pub(crate) topic: Box<str>,
    pub(crate) of: Of,
}

/// Whose it is.
#[derive(Debug)]
pub(crate) enum Of {
    /// It is due, and no session has it any more.
    Due { will: Box<Will>, publisher: SessionKey, publisher_hash: u64 },
    /// The session has it still.
    Held { key: SessionKey, epoch: Epoch },
}

/// What waits for the wills of one client.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    wills: usize,
    /// Each until its time is over.
    admits: VecDeque<(Instant, Admit)>,
}

/// The wills of one worker that are in doubt. There are no more than sessions had a will when the rules changed. The
/// CONNECTs that wait behind them have their places among the node's network connections, and wait for no longer than for
/// an answer.
#[derive(Debug, Default)]
pub(crate) struct WillsInDoubt {
    to_ask: VecDeque<Doubt>,
    asked: usize,
    pub(crate) clients: HashMap<Box<str>, Waiting>,
    /// When the time of a client's CONNECT is over, in the order in which they came.
    deadlines: VecDeque<(Instant, Box<str>)>,
    /// Those of the clients whose wills are all judged.
    judged: Vec<Box<str>>,
    /// Who waits until there are none.
    idle: Vec<oneshot::Sender<()>>,
}

impl WillsInDoubt {
    pub(crate) fn push(&mut self, doubt: Doubt) {
        self.clients.entry(doubt.client_identifier.clone()).or_default().wills += 1;
        self.to_ask.push_back(doubt);
    }

    pub(crate) fn next(&mut self) -> Option<Doubt> {
        let doubt = if self.asked < ASKED_MAX { self.to_ask.pop_front() } else { None };
        self.asked += usize::from(doubt.is_some());
        doubt
    }

    pub(crate) fn is_judged(&mut self, client_identifier: &str) {
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
    pub(crate) fn take_judged(&mut self) -> Vec<Admit> {
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

    pub(crate) fn wait(&mut self, deadline: Instant, admit: Admit) {
        let client_identifier: Box<str> = (*admit.connect.client_identifier).into();
        if let Some(waiting) = self.clients.get_mut(&client_identifier) {
            waiting.admits.push_back((deadline, admit));
            self.deadlines.push_back((deadline, client_identifier));
        }
    }

    /// CONNECTs that have waited for as long as they may.
    pub(crate) fn take_late(&mut self, now: Instant) -> Vec<Admit> {
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
    pub(crate) fn take_waiting(&mut self) -> Vec<Admit> {
        let waiting = self.clients.values_mut().flat_map(|waiting| waiting.admits.drain(..));
        waiting.map(|(_, admit)| admit).collect()
    }

    /// Completes when no will is in doubt.
    pub(crate) fn idle(&mut self) -> Option<oneshot::Receiver<()>> {
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
}
