//! Wills that were allowed under earlier rules. None of them is published before it is allowed under those in force, and
//! nothing that its client publishes afterwards overtakes it: a CONNECT of that client waits until it is judged.
//!
//! A will is judged anew when it is due, or when its client comes back and takes the session over; not before, since a
//! reload of the rules would otherwise have to go through all sessions.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::state::WorkerState;
use crate::ids::{Epoch, SessionKey};
use crate::protocol::Verdicts;
use crate::rules::Rules;
use crate::session::{Grant, Session, SessionTable, Will};

/// Wills of one worker that are asked about at a time; the others wait for their turn.
const ASKED_MAX: usize = 64;
/// How often a will is judged, if the rules change meanwhile again and again, before it counts as not allowed.
const JUDGED_MAX: usize = 3;

/// A will that waits to be judged.
#[derive(Debug)]
pub struct Doubt {
    /// Who publishes it.
    pub client_identifier: Box<str>,
    /// Who that client showed itself to be.
    pub user_name: Option<Box<str>>,
    /// What that client was allowed by.
    pub grant: Option<Arc<Grant>>,
    /// Its topic name.
    pub topic: Box<str>,
    of: WillOf,
    questions: usize,
}

/// Whose will it is.
#[derive(Debug)]
enum WillOf {
    /// It is due, and no session has it any more.
    Nobody { will: Box<Will>, publisher: SessionKey, publisher_hash: u64 },
    /// The session has it still.
    Session(SessionKey, Epoch),
}

/// What is known of a will in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WillVerdict {
    /// Nothing that counts: it is to be asked about.
    Open,
    /// It may not be published, or nobody can say.
    Denied,
    /// It may.
    Allowed {
        /// By the rules of this revision.
        revision: u64,
        /// For how long that counts; none: as long as those rules are in force.
        until: Option<Instant>,
    },
}

impl Doubt {
    /// A will that is due, and is published, if it may be, as the client of a session would publish it.
    fn due(will: Box<Will>, publisher: SessionKey, publisher_hash: u64) -> Self {
        Self {
            client_identifier: will.client_identifier.clone(),
            user_name: will.user_name.clone(),
            grant: will.grant.clone(),
            topic: will.topic.clone(),
            of: WillOf::Nobody { will, publisher, publisher_hash },
            questions: 0,
        }
    }

    /// The will that a session has, if the rules in force may not allow it.
    fn held(session: &Session, rules: Rules, now: Instant) -> Option<Self> {
        let will = session.will.as_ref().filter(|will| !will.is_allowed_still(rules, now))?;
        Some(Self {
            client_identifier: will.client_identifier.clone(),
            user_name: will.user_name.clone(),
            grant: will.grant.clone(),
            topic: will.topic.clone(),
            of: WillOf::Session(session.key, session.epoch),
            questions: 0,
        })
    }

    /// What can be said before anybody is asked.
    pub fn judge(&mut self, rules: Rules) -> WillVerdict {
        if !rules.authorizes {
            return WillVerdict::Allowed { revision: rules.revision, until: None };
        }
        if self.questions == JUDGED_MAX {
            return WillVerdict::Denied;
        }
        self.questions += 1;
        WillVerdict::Open
    }

    /// What an answer says, none if there was none. It counts for the CONNECT that waits for it, `wait_max`, however short
    /// its time to live; and not at all where the rules have changed meanwhile.
    pub fn judge_answer(
        &self,
        answer: Option<Verdicts>,
        rules: Rules,
        now: Instant,
        wait_max: Duration,
    ) -> WillVerdict {
        match answer {
            None => WillVerdict::Denied,
            Some(answer) if answer.revision != rules.revision => WillVerdict::Open,
            Some(Verdicts { answer, revision, until }) if answer == [true] => {
                WillVerdict::Allowed { revision, until: until.map(|end| end.max(now + wait_max)) }
            }
            Some(_) => WillVerdict::Denied,
        }
    }
}

/// What waits for the wills of one client.
#[derive(Debug)]
struct Client<C> {
    wills: usize,
    /// Each CONNECT until its time is over.
    connects: VecDeque<(Instant, C)>,
}

/// The wills of one worker that are in doubt, and the CONNECTs (`C`) that wait behind them. There are no more wills than
/// sessions had one when the rules changed. The CONNECTs have their places among the node's network connections, and wait
/// for no longer than for an answer.
#[derive(Debug)]
pub struct WillsInDoubt<C> {
    to_ask: VecDeque<Doubt>,
    asked: usize,
    clients: HashMap<Box<str>, Client<C>>,
    /// When the time of a client's CONNECT is over, in the order in which they came.
    deadlines: VecDeque<(Instant, Box<str>)>,
    /// Those of the clients whose wills are all judged.
    judged: Vec<Box<str>>,
}

impl<C> Default for WillsInDoubt<C> {
    fn default() -> Self {
        Self {
            to_ask: VecDeque::new(),
            asked: 0,
            clients: HashMap::new(),
            deadlines: VecDeque::new(),
            judged: Vec::new(),
        }
    }
}

impl<C> WillsInDoubt<C> {
    /// A will that is to be asked about.
    pub fn push(&mut self, doubt: Doubt) {
        let new = || Client { wills: 0, connects: VecDeque::new() };
        self.clients.entry(doubt.client_identifier.clone()).or_insert_with(new).wills += 1;
        self.to_ask.push_back(doubt);
    }

    /// Whether a CONNECT of a client has to wait for its wills: for one that is to be judged already, or for one that its
    /// session has and the rules in force may not allow, which is to be judged from now on.
    pub fn hold_up(&mut self, client: &str, sessions: &SessionTable, rules: Rules, now: Instant) -> bool {
        if self.clients.is_empty() && !rules.authorizes {
            return false;
        }
        if self.clients.contains_key(client) {
            return true;
        }
        let session = sessions.find(client).and_then(|key| sessions.get(key));
        let doubt = session.and_then(|session| Doubt::held(session, rules, now));
        doubt.map(|doubt| self.push(doubt)).is_some()
    }

    /// The CONNECT of a client that has to wait does so, until `deadline` at most.
    pub fn wait(&mut self, client_identifier: &str, connect: C, deadline: Instant) {
        if let Some(client) = self.clients.get_mut(client_identifier) {
            client.connects.push_back((deadline, connect));
            self.deadlines.push_back((deadline, client_identifier.into()));
        }
    }

    /// The next will to ask about, as long as not too many are.
    pub fn next_to_ask(&mut self) -> Option<Doubt> {
        let doubt = if self.asked < ASKED_MAX { self.to_ask.pop_front() } else { None };
        self.asked += usize::from(doubt.is_some());
        doubt
    }

    /// A will that was asked about is judged.
    pub fn note_judged(&mut self, client_identifier: &str) {
        self.asked -= 1;
        if let Some(client) = self.clients.get_mut(client_identifier) {
            client.wills -= 1;
            if client.wills == 0 {
                self.judged.push(client_identifier.into());
            }
        }
    }

    /// Whether no will is in doubt.
    pub fn is_idle(&self) -> bool {
        self.asked == 0 && self.to_ask.is_empty()
    }

    /// CONNECTs that need not wait any more, in the order in which they came.
    pub fn take_judged(&mut self) -> Vec<C> {
        let mut connects = Vec::new();
        for client_identifier in std::mem::take(&mut self.judged) {
            // Another will of the client may have become due meanwhile.
            if self.clients.get(&client_identifier).is_some_and(|client| client.wills == 0)
                && let Some(client) = self.clients.remove(&client_identifier)
            {
                connects.extend(client.connects.into_iter().map(|(_, connect)| connect));
            }
        }
        connects
    }

    /// CONNECTs that have waited for as long as they may.
    pub fn take_late(&mut self, now: Instant) -> Vec<C> {
        let mut late = Vec::new();
        while let Some((_, client_identifier)) = pop_due(&mut self.deadlines, now) {
            // Those that need not wait any more have gone.
            if let Some(client) = self.clients.get_mut(&client_identifier)
                && let Some((_, connect)) = pop_due(&mut client.connects, now)
            {
                late.push(connect);
            }
        }
        late
    }

    /// All CONNECTs that wait, for a node that shuts down.
    pub fn take_waiting(&mut self) -> Vec<C> {
        let waiting = self.clients.values_mut().flat_map(|client| client.connects.drain(..));
        waiting.map(|(_, connect)| connect).collect()
    }
}

fn pop_due<T>(queue: &mut VecDeque<(Instant, T)>, now: Instant) -> Option<(Instant, T)> {
    if queue.front().is_some_and(|(deadline, _)| *deadline <= now) { queue.pop_front() } else { None }
}

impl WorkerState {
    /// Publishes a will that is due, if the rules in force allow it. If they may not, it is to be asked about.
    pub fn route_due_will(
        &mut self,
        publisher: SessionKey,
        publisher_hash: u64,
        will: Box<Will>,
        rules: Rules,
        now: Instant,
    ) -> Option<Doubt> {
        if !will.is_allowed_still(rules, now) {
            return Some(Doubt::due(will, publisher, publisher_hash));
        }
        self.route_will(publisher, publisher_hash, &will, now);
        None
    }

    /// A will is judged: one that is due is published if it may be, one that a session has stays or goes.
    pub fn settle_doubt(&mut self, doubt: &Doubt, verdict: WillVerdict, now: Instant) {
        let allowed = match verdict {
            WillVerdict::Allowed { revision, until } => Some((revision, until)),
            WillVerdict::Denied | WillVerdict::Open => {
                self.counters.wills_not_authorized.add(1);
                None
            }
        };
        match &doubt.of {
            WillOf::Nobody { will, publisher, publisher_hash } => {
                if allowed.is_some() {
                    self.route_will(*publisher, *publisher_hash, will, now);
                }
            }
            WillOf::Session(key, epoch) => {
                let session = self.sessions.get_mut(*key).filter(|session| session.epoch == *epoch);
                let Some(session) = session else { return };
                match (allowed, &mut session.will) {
                    (Some(allowed), Some(will)) => (will.revision, will.allowed_until) = allowed,
                    (None, _) => _ = session.replace_will(None),
                    (Some(_), None) => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
