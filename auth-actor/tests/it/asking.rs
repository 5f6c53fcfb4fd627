//! What is not answered as it should be is a no, within a time, and costs nobody but who asks.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use actix::{Actor, Arbiter};
use auth_actor::{
    Action, Answer, Asker, Asking, Auth, AuthSettings, Authorize, BeginExchange, ContinueExchange, Exchange,
    ExchangeOutcome, NoAnswer, Outcome, Provider, QuestionKind, now,
};
use tokio::sync::oneshot;

use crate::harness::{CLIENT, TestAuth, login, within};
use crate::scripted::Scripted;

/// Short enough for a test that waits for it.
const TIMEOUT_MS: u64 = 50;

fn limits(answer_timeout_ms: u64) -> AuthSettings {
    AuthSettings { answer_timeout_ms, ..AuthSettings::default() }
}

fn hasty(scripted: Scripted) -> TestAuth {
    TestAuth::with_provider(&limits(TIMEOUT_MS), scripted.provider())
}

fn patient(scripted: Scripted) -> TestAuth {
    TestAuth::with_provider(&limits(600_000), scripted.provider())
}

fn may_publish(topics: &[&str]) -> Authorize {
    Authorize {
        client_identifier: CLIENT.to_owned(),
        user_name: None,
        grant: None,
        wishes: topics.iter().map(|topic| (Action::Publish, (*topic).to_owned())).collect(),
    }
}

/// Tells when it is dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

async fn until(wanted: impl Fn() -> bool) {
    within(async {
        while !wanted() {
            actix::clock::sleep(std::time::Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[actix::test]
async fn what_is_never_answered_is_late_for_every_kind_of_question() {
    let auth = hasty(Scripted::default());
    let begin = BeginExchange {
        client_identifier: CLIENT.to_owned(),
        method: "OTHER".to_owned(),
        data: None,
        reauthenticate: None,
    };
    assert_eq!(auth.try_to_ask(login(None, None)).await, Err(NoAnswer::Late));
    assert!(matches!(auth.try_to_ask(begin).await, Err(NoAnswer::Late)));
    let step = ContinueExchange { exchange: Exchange::new(7), data: None };
    assert!(matches!(auth.try_to_ask(step).await, Err(NoAnswer::Late)));
    assert_eq!(auth.try_to_ask(may_publish(&["a", "b", "c"])).await, Err(NoAnswer::Late));
    let late = |kind| auth.count(kind, Outcome::Late);
    assert_eq!(QuestionKind::ALL.map(late), [1, 2, 3]);
    until(|| (auth.asking.waiting(), auth.asking.waiting_bytes()) == (0, 0)).await;
}

/// A provider is told to stop what nobody waits for any more, be it late or withdrawn.
#[actix::test]
async fn what_nobody_waits_for_is_dropped() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let script = {
        let dropped = Arc::clone(&dropped);
        move |_| -> Answer<Vec<bool>> {
            let dropped = Dropped(Arc::clone(&dropped));
            Box::pin(async move {
                let _dropped = dropped;
                pending().await
            })
        }
    };
    let auth = hasty(Scripted::authorizing(script.clone()));
    assert_eq!(auth.try_to_ask(may_publish(&["a"])).await, Err(NoAnswer::Late));
    until(|| dropped.load(Ordering::Relaxed) == 1).await;

    let auth = patient(Scripted::authorizing(script));
    let asked = actix::spawn(auth.try_to_ask(may_publish(&["a"])));
    until(|| auth.asking.waiting() == 1).await;
    asked.abort();
    until(|| dropped.load(Ordering::Relaxed) == 2 && auth.asking.waiting() == 0).await;
    assert_eq!(auth.count(QuestionKind::Permission, Outcome::Withdrawn), 1);
}

/// Nobody knows which of the topics the verdicts would be about.
#[actix::test]
async fn an_answer_of_another_length_is_none() {
    let lengths = Arc::new(AtomicUsize::new(0));
    let script = move |_| now(vec![true; lengths.fetch_add(1, Ordering::Relaxed)]);
    let auth = patient(Scripted::authorizing(script));
    for verdicts in 0..5 {
        let answered = auth.try_to_ask(may_publish(&["a", "b", "c"])).await;
        match verdicts {
            3 => assert_eq!(answered.unwrap().answer.verdicts, [true; 3]),
            _ => assert_eq!(answered, Err(NoAnswer::Malformed)),
        }
    }
    assert_eq!(auth.count(QuestionKind::Permission, Outcome::Malformed), 12);
    assert_eq!(auth.count(QuestionKind::Permission, Outcome::Allowed), 3);
}

/// Answers that come in another order than the questions find who asked.
#[actix::test]
async fn each_asker_gets_its_own_answer() {
    type Held = Vec<(String, oneshot::Sender<Vec<bool>>)>;
    let held: Arc<Mutex<Held>> = Arc::default();
    let script = {
        let held = Arc::clone(&held);
        move |question: Authorize| -> Answer<Vec<bool>> {
            let (answer, answered) = oneshot::channel();
            held.lock().unwrap().push((question.wishes[0].1.clone(), answer));
            Box::pin(async move { answered.await.unwrap() })
        }
    };
    let auth = patient(Scripted::authorizing(script));
    let topics = ["a", "yes", "b", "c"];
    let asked = topics.map(|topic| actix::spawn(auth.try_to_ask(may_publish(&[topic]))));
    until(|| held.lock().unwrap().len() == topics.len()).await;
    for (topic, answer) in held.lock().unwrap().drain(..).rev() {
        answer.send(vec![topic == "yes"]).unwrap();
    }
    for (topic, asked) in topics.into_iter().zip(asked) {
        assert_eq!(within(asked).await.unwrap().unwrap().answer.verdicts, [topic == "yes"]);
    }
}

/// One that hangs holds up neither the questions that do not, nor a reload.
#[actix::test]
async fn others_are_answered_beside_what_hangs() {
    let script = |question: Authorize| -> Answer<Vec<bool>> {
        if question.wishes[0].1 == "hangs" { Box::pin(pending()) } else { now(vec![true]) }
    };
    let auth = patient(Scripted::authorizing(script));
    let hanging: Vec<_> = (0..100).map(|_| actix::spawn(auth.try_to_ask(may_publish(&["hangs"])))).collect();
    until(|| auth.asking.waiting() == hanging.len()).await;
    assert_eq!(auth.ask(may_publish(&["fine"])).await.verdicts, [true]);
    auth.reload().await.unwrap();
    assert_eq!(auth.asking.waiting(), hanging.len());
}

/// What panics has not answered; later questions are answered.
#[actix::test]
async fn a_provider_that_panics_has_not_answered() {
    let script = |question: Authorize| -> Answer<Vec<bool>> {
        Box::pin(async move {
            assert_eq!(question.wishes[0].1, "fine", "injected");
            vec![true]
        })
    };
    let auth = patient(Scripted::authorizing(script));
    assert_eq!(auth.try_to_ask(may_publish(&["a"])).await, Err(NoAnswer::Lost));
    assert_eq!(auth.ask(may_publish(&["fine"])).await.verdicts, [true]);
    let ended = patient(Scripted::authorizing(|_| panic!("injected")));
    assert_eq!(ended.try_to_ask(may_publish(&["a"])).await, Err(NoAnswer::Lost));
    // The actor has ended with it: whoever looks after it starts another.
    assert_eq!(ended.try_to_ask(may_publish(&["a"])).await, Err(NoAnswer::Lost));
    assert_eq!(ended.count(QuestionKind::Permission, Outcome::Lost), 2);
    until(|| ended.asking.waiting() == 0).await;
}

/// So many may wait and no more, clients that connect apart from those that are connected.
#[actix::test]
async fn a_bounded_number_waits() {
    let settings = AuthSettings { questions_max: 6, questions_bytes_max: 20_000, ..limits(600_000) };
    let auth = TestAuth::with_provider(&settings, Scripted::default().provider());
    let ask = |asker, question| {
        let (asking, address) = (Arc::clone(&auth.asking), auth.address.clone());
        async move { asking.ask(Some(address), asker, question).await }
    };
    let mut waiting: Vec<_> =
        (0..3).map(|_| actix::spawn(ask(Asker::Connecting, may_publish(&["a"])))).collect();
    until(|| auth.asking.waiting() == 3).await;
    assert_eq!(ask(Asker::Connecting, may_publish(&["a"])).await, Err(NoAnswer::Full));

    // By bytes as well; the others still have room.
    let long = "x".repeat(20_000);
    assert_eq!(ask(Asker::Connected, may_publish(&[&long])).await, Err(NoAnswer::Full));
    waiting.push(actix::spawn(ask(Asker::Connected, may_publish(&["a"]))));
    until(|| auth.asking.waiting() == 4).await;
    assert_eq!(auth.count(QuestionKind::Permission, Outcome::Full), 2);

    waiting.iter().for_each(|asked| asked.abort());
    until(|| auth.asking.waiting() == 0).await;
    assert_eq!(auth.asking.waiting_bytes(), 0);
}

/// A provider that holds the actor's thread up: who asks hears no in time, and what it is asked meanwhile is bounded,
/// though nobody takes it out of the mailbox.
#[actix::test]
async fn a_provider_that_blocks_its_thread_costs_a_bounded_time() {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let script = move |_| {
        // Once the test lets it go, for ever.
        let _ = released.lock().unwrap().recv();
        now(vec![true])
    };
    let settings = AuthSettings { questions_max: 8, ..limits(TIMEOUT_MS) };
    let provider: Provider = Scripted::authorizing(script).provider();
    let asking = Asking::new(&settings, provider.live_policy());
    let thread = Arbiter::new();
    let address = Auth::start_in_arbiter(&thread.handle(), |_| Auth::new(provider));
    let ask = || within(asking.ask(Some(address.clone()), Asker::Connected, may_publish(&["a"])));
    for _ in 0..4 {
        assert_eq!(ask().await, Err(NoAnswer::Late));
    }
    assert_eq!(ask().await, Err(NoAnswer::Full));
    drop(release);
    until(|| asking.waiting() == 0).await;
    let answered = within(async {
        loop {
            // The thread may be slower than the time that an answer has.
            if let Ok(given) = ask().await {
                return given.answer;
            }
        }
    });
    assert_eq!(answered.await.verdicts, [true]);
    thread.stop();
}

/// An answer counts under what was in force when it was asked for.
#[actix::test]
async fn answers_carry_the_revision_under_which_they_were_asked_for() {
    let held: Arc<Mutex<Option<oneshot::Sender<Vec<bool>>>>> = Arc::default();
    let script = {
        let held = Arc::clone(&held);
        move |_| -> Answer<Vec<bool>> {
            let (answer, answered) = oneshot::channel();
            *held.lock().unwrap() = Some(answer);
            Box::pin(async move { answered.await.unwrap() })
        }
    };
    let auth = patient(Scripted::authorizing(script));
    let asked = actix::spawn(auth.try_to_ask(may_publish(&["a"])));
    until(|| held.lock().unwrap().is_some()).await;
    auth.reload().await.unwrap();
    held.lock().unwrap().take().unwrap().send(vec![true]).unwrap();
    assert_eq!(within(asked).await.unwrap().unwrap().revision, 0);
    assert_eq!(auth.live.revision(), 1);
}

/// The state of an exchange is its provider's alone.
#[actix::test]
async fn the_state_of_an_exchange_comes_back_as_it_was() {
    let auth = patient(Scripted::default());
    let step = ContinueExchange { exchange: Exchange::new("ann".to_owned()), data: None };
    let ExchangeOutcome::Success { identity, .. } = auth.ask(step).await else { panic!() };
    assert_eq!(identity.user_name.as_deref(), Some("ann"));
}
