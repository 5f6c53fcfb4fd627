//! Wills that were allowed under earlier rules. None of them is published before it is allowed under those in force, and
//! nothing that its client publishes afterwards overtakes it: a CONNECT of that client waits until it is judged.
//!
//! A will is judged anew when it is due, or when its client comes back and takes the session over; not before, since a
//! reload of the rules would otherwise have to go through all sessions.

use std::rc::Rc;
use std::time::Instant;

use auth_actor::{Action, Asker, Authorize, Given};
use micro_mq_core::timers::Timer;

use crate::clock;
use crate::grants::{given_grant, remembered_until};
use crate::messages::{Admit, WillsJudged};
use crate::worker::{Doubt, NodeShared, Of, Worker};

/// How often a will is judged, if the rules change meanwhile again and again, before it counts as not allowed.
const JUDGED_MAX: usize = 3;

impl Worker {
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
