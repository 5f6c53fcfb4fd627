//! A provider that does what names tell it to, the wrong thing above all.

use std::future::pending;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use auth_actor::{
    Answer, Answers, AuthError, AuthSettings, Authenticate, AuthenticationOutcome, Authorize, BeginExchange,
    Claims, ContinueExchange, Exchange, ExchangeOutcome, Grant, Identity, LivePolicy, Notice, Notices,
    Permissions, Policy, Provider, Refusal, now,
};
use micro_mq_core::settings::Settings;
use mqtt_codec::{Connect, ProtocolVersion};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::harness::{TestNode, connect, settings};

/// Nothing is allowed whose first topic level or user name is
/// - `hangs`: it is never answered
/// - `short`, `long`: it is answered with a verdict too few or too many
/// - `no`: it is refused
/// - `blocks`: it holds up the thread that asks until [`Script::unblock`]
/// - `held`: it is answered when the test says so ([`Script::answer_held`])
///
/// All else is allowed, what begins with `old` until the first reload, and nothing else behind it. A topic whose first level
/// is `brief` is allowed for no time at all, one whose first level is `lasting` for an hour, one with `granted` to those
/// whose claims the second level states.
///
/// Who calls itself `7 for 300` has a grant with the uid 7 for 300 milliseconds, `7 for ever` one without an end; so has
/// who proves that in an exchange. The claims are that name.
#[derive(Default)]
pub(crate) struct Script {
    notices: Mutex<Option<Notices>>,
    held: Mutex<Vec<oneshot::Sender<bool>>>,
    unblocked: (Mutex<bool>, Condvar),
    is_reloaded: Mutex<bool>,
}

impl Script {
    /// How many questions are held.
    pub(crate) fn held(&self) -> usize {
        self.held.lock().unwrap().len()
    }

    /// Answers all questions that are held.
    pub(crate) fn answer_held(&self, allowed: bool) {
        for held in self.held.lock().unwrap().drain(..) {
            // Who asked may be gone.
            let _ = held.send(allowed);
        }
    }

    /// What begins with `old` is allowed again, until the next reload.
    pub(crate) fn forget_reload(&self) {
        *self.is_reloaded.lock().unwrap() = false;
    }

    pub(crate) async fn give_notice(&self, notice: Notice) {
        let notices = self.notices.lock().unwrap().clone();
        assert!(notices.expect("a node was started").give(notice).await, "the node is there");
    }

    pub(crate) fn unblock(&self) {
        *self.unblocked.0.lock().unwrap() = true;
        self.unblocked.1.notify_all();
    }

    fn block(&self) {
        let unblocked = self.unblocked.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.unblocked.1.wait_while(unblocked, |unblocked| !*unblocked));
    }

    /// Whether what has this name is allowed; `Err` if it is never said.
    fn judge(&self, name: &str) -> Answer<bool> {
        match name.split('/').next() {
            Some("hangs") => Box::pin(pending()),
            Some("no") => now(false),
            Some("blocks") => {
                self.block();
                now(true)
            }
            Some("held") => {
                let (answer, answered) = oneshot::channel();
                self.held.lock().unwrap().push(answer);
                // What is not answered any more as the test ends.
                Box::pin(async move { answered.await.unwrap_or(false) })
            }
            Some("old") => now(!*self.is_reloaded.lock().unwrap()),
            _ => now(true),
        }
    }
}

struct Scripted(Arc<Script>);

impl Answers for Scripted {
    fn policy(&self) -> Policy {
        Policy { authenticates: true, authorizes: true }
    }

    fn authenticate(&self, question: Authenticate) -> Answer<AuthenticationOutcome> {
        let judged = self.0.judge(question.user_name.as_deref().unwrap_or_default());
        let grant = question.user_name.as_deref().and_then(grant);
        let identity = Identity { user_name: question.user_name, grant };
        Box::pin(async move {
            if judged.await {
                AuthenticationOutcome::Allowed(identity)
            } else {
                AuthenticationOutcome::Refused(Refusal::NotAuthorized)
            }
        })
    }

    /// The method is the name that is judged, at the second step; `hangs-at-once` hangs at the first.
    fn begin_exchange(&self, question: BeginExchange) -> Answer<ExchangeOutcome> {
        if question.method == "hangs-at-once" || question.data.is_some_and(|data| data == b"hangs") {
            return Box::pin(pending());
        }
        let exchange = Exchange::new(question.method);
        now(ExchangeOutcome::Continue { exchange, data: b"prove it".to_vec() })
    }

    fn continue_exchange(&self, question: ContinueExchange) -> Answer<ExchangeOutcome> {
        let method: String = question.exchange.into_state().expect("it is this provider's");
        let judged = self.0.judge(&method);
        Box::pin(async move {
            if judged.await {
                let grant = question.data.as_deref().and_then(|data| grant(std::str::from_utf8(data).ok()?));
                let identity = Identity { grant, ..Identity::default() };
                ExchangeOutcome::Success { identity, data: b"well done".to_vec() }
            } else {
                ExchangeOutcome::Refused(Refusal::NotAuthorized)
            }
        })
    }

    fn authorize(&self, question: Authorize) -> Answer<Permissions> {
        let first = |(_, topic): &(_, String)| topic.split('/').next().map(str::to_owned);
        let firsts: Vec<_> = question.wishes.iter().filter_map(first).collect();
        let claims = question.grant.as_ref().and_then(|grant| grant.claims.get::<String>());
        let judge = |(_, topic): &(_, String)| match topic.strip_prefix("granted/") {
            Some(wanted) => now(claims.is_some_and(|claims| claims == wanted)),
            None => self.0.judge(topic),
        };
        let judged: Vec<_> = question.wishes.iter().map(judge).collect();
        Box::pin(async move {
            let mut verdicts = Vec::new();
            for judged in judged {
                verdicts.push(judged.await);
            }
            if firsts.iter().any(|first| first == "short") {
                verdicts.pop();
            }
            if firsts.iter().any(|first| first == "long") {
                verdicts.push(true);
            }
            let time_to_live = match firsts.first().map(String::as_str) {
                Some("brief") => Some(Duration::ZERO),
                Some("lasting") => Some(Duration::from_secs(3600)),
                _ => None,
            };
            Permissions { verdicts, time_to_live }
        })
    }

    fn reload(&self, live: LivePolicy) -> Answer<Result<(), AuthError>> {
        *self.0.is_reloaded.lock().unwrap() = true;
        live.advance(self.policy());
        now(Ok(()))
    }

    fn give_notice_by(&self, notices: Notices) {
        *self.0.notices.lock().unwrap() = Some(notices);
    }
}

/// What somebody of this name has.
fn grant(name: &str) -> Option<Arc<Grant>> {
    let (uid, time) = name.split_once(" for ")?;
    let expires_at = time.parse().ok().map(|time| Instant::now() + Duration::from_millis(time));
    Some(Arc::new(Grant { uid: uid.parse().ok()?, expires_at, claims: Claims::new(name.to_owned()) }))
}

/// A node that asks such a provider, which is unblocked at the latest when this is dropped.
pub(crate) struct Asking {
    pub(crate) node: TestNode,
    pub(crate) script: Arc<Script>,
}

impl Asking {
    pub(crate) async fn start(workers: usize, answer_timeout_ms: u64) -> Self {
        Self::start_with(workers, settings(), AuthSettings { answer_timeout_ms, ..AuthSettings::default() })
            .await
    }

    pub(crate) async fn start_with(workers: usize, settings: Settings, auth: AuthSettings) -> Self {
        let script = Arc::new(Script::default());
        let provider = Provider::new(Arc::new(Scripted(Arc::clone(&script))));
        Self { node: TestNode::start_asking(workers, settings, auth, provider).await, script }
    }

    /// Until so many questions wait.
    pub(crate) async fn until_waiting(&self, questions: usize) {
        self.node.until("questions wait", |seen| seen.auth_waiting == questions).await;
    }

    /// The provider is told to read its source anew, and has.
    pub(crate) async fn reload(&self) {
        let before = self.node.shared().policy.revision();
        self.node.running().reload_auth();
        self.node.until("it is read anew", |_| self.node.shared().policy.revision() != before).await;
    }
}

/// Runs a test over one worker and over three, with this much time for an answer.
pub(crate) fn on_asking_nodes(answer_timeout_ms: u64, test: impl AsyncFn(&Asking)) {
    for workers in [1, 3] {
        actix_rt::System::new().block_on(async {
            let asking = Asking::start(workers, answer_timeout_ms).await;
            test(&asking).await;
            asking.script.unblock();
            asking.node.stop().await;
        });
    }
}

/// A CONNECT with this user name.
pub(crate) fn user(version: ProtocolVersion, client_identifier: &str, user_name: &str) -> Connect {
    Connect { user_name: Some(user_name.to_owned()), ..connect(version, client_identifier) }
}

/// Longer than any test: what is not answered is not late.
pub(crate) const PATIENT_MS: u64 = 600_000;
