//! Asks about wills that were allowed under earlier rules, and has CONNECTs wait for them ([`WillsInDoubt`]).

use std::rc::Rc;

use auth_actor::{Action, Asker, Authorize, Given};
use micro_mq_core::protocol::Verdicts;
use micro_mq_core::timers::Timer;
use micro_mq_core::worker::{Doubt, WillVerdict};
use tokio::sync::oneshot;

use crate::clock;
use crate::grants::{given_grant, remembered_until};
use crate::messages::{Admit, WillsJudged};
use crate::worker::{NodeShared, Worker};

impl Worker {
    /// The CONNECT, unless it has to wait for a will of its client to be judged.
    pub(super) fn wait_for_wills(&self, admit: Admit) -> Option<Admit> {
        let (now, rules) = (clock::now(), self.node.rules());
        // Given back behind the wills: what is left to be done then may put another one in doubt.
        let mut state = self.state();
        let mut wills = self.wills_in_doubt.borrow_mut();
        if !wills.hold_up(&admit.connect.client_identifier, &state.sessions, rules, now) {
            return Some(admit);
        }
        let deadline = now + self.node.asking.answer_timeout();
        let client_identifier = admit.connect.client_identifier.clone();
        wills.wait(&client_identifier, admit, deadline);
        state.set_timer(now, deadline, Timer::Waiting);
        None
    }

    /// Asks for wills in doubt, as many at a time as may be.
    pub(super) fn judge_wills(self: &Rc<Self>) {
        loop {
            let Some(mut doubt) = self.wills_in_doubt.borrow_mut().next_to_ask() else { return };
            let worker = Rc::clone(self);
            actix_rt::spawn(async move {
                let verdict = judge(&worker.node, &mut doubt).await;
                worker.state().settle_doubt(&doubt, verdict, clock::now());
                let is_idle = {
                    let mut wills = worker.wills_in_doubt.borrow_mut();
                    wills.note_judged(&doubt.client_identifier);
                    wills.is_idle()
                };
                if is_idle {
                    for waiting in worker.awaits_no_doubt.take() {
                        // Who waited may have lost patience.
                        let _ = waiting.send(());
                    }
                }
                worker.peer().sessions.do_send(WillsJudged);
            });
        }
    }

    /// Completes when no will is in doubt; none if there is none now.
    pub(super) fn until_no_will_is_in_doubt(&self) -> Option<oneshot::Receiver<()>> {
        if self.wills_in_doubt.borrow().is_idle() {
            return None;
        }
        let (told, waiting) = oneshot::channel();
        self.awaits_no_doubt.borrow_mut().push(told);
        Some(waiting)
    }
}

/// Asks until there is a verdict.
async fn judge(node: &NodeShared, doubt: &mut Doubt) -> WillVerdict {
    loop {
        let verdict = doubt.judge(node.rules());
        if verdict != WillVerdict::Open {
            return verdict;
        }
        let question = Authorize {
            client_identifier: doubt.client_identifier.to_string(),
            user_name: doubt.user_name.as_deref().map(str::to_owned),
            grant: doubt.grant.as_ref().and_then(given_grant),
            wishes: [(Action::Publish, doubt.topic.to_string())].into(),
        };
        let given = node.ask_auth(Asker::Connected, question).await.ok();
        let answer = given.map(|Given { answer, revision }| {
            let until = remembered_until(&answer);
            Verdicts { answer: answer.verdicts, revision, until }
        });
        let verdict = doubt.judge_answer(answer, node.rules(), clock::now(), node.asking.answer_timeout());
        if verdict != WillVerdict::Open {
            return verdict;
        }
    }
}
