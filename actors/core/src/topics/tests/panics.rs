//! A turn that panicked is put in order: what it was doing is given up, all else is done as ever.

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use mqtt_codec::QoS::AtLeastOnce;
use mqtt_codec::ReasonCode;

use super::workers::Workers;
use crate::ids::client_hash;
use crate::routing::{Added, AwaitsChange, InjectPanic, Reply, Subscribe, ToTrie, Work};
use crate::settings::Settings;
use crate::subscriptions::Subscription;
use crate::testing::{options, publication};

fn panics(workers: &mut Workers) {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let turn = catch_unwind(AssertUnwindSafe(|| workers.turn(0)));
    std::panic::set_hook(hook);
    assert!(turn.is_err(), "it was told to panic");
}

fn recover(workers: &mut Workers) {
    workers.topics[0].go_on_after_panic(&mut workers.states[0]);
    workers.settle();
}

/// The run that was being routed is lost, and its publisher is closed without acknowledgements, so that it sends again;
/// what it published behind that run is routed, and so is what others published.
#[test]
fn a_panic_within_a_batch_costs_one_run() {
    let mut workers = Workers::with_tries(Settings::default());
    let [publisher, other, client] = ["publisher", "other", "client"].map(|name| workers.connect(name, 0));
    workers.subscribe(client, &["t/+"]);
    workers.settle();
    workers.topics[0].inject(InjectPanic::InBatch);
    let topics = ["t/1", "t/1", "t/2"];
    workers.publish(publisher, &topics.map(|topic| publication(topic, "x", AtLeastOnce)));
    workers.publish(other, &[publication("t/3", "x", AtLeastOnce)]);
    workers.carry_out();
    panics(&mut workers);
    recover(&mut workers);
    let mut topics = workers.read(client);
    topics.iter_mut().for_each(|text| text.truncate(3));
    // The first was delivered before the panic, and the second of its run as well.
    assert_eq!(topics, ["t/1", "t/1", "t/2", "t/3"]);
    assert!(workers.read(publisher).is_empty());
    let ending = workers.with(publisher, |session| session.online.as_ref().unwrap().requests.ending);
    assert_eq!(ending, Some(ReasonCode::ImplementationSpecificError));
    assert_eq!(workers.read(other), ["PUBACK 1 0x00"]);
    assert_eq!(workers.own().way().inbound.waiting(), 0, "all of it is dealt with");
}

#[derive(Debug, Default)]
struct Told {
    in_force: AtomicUsize,
    lost: AtomicUsize,
}

impl AwaitsChange for Told {
    fn in_force(&self, _: u32, _: Range<u64>) {
        self.in_force.fetch_add(1, SeqCst);
    }

    fn lost(&self) {
        self.lost.fetch_add(1, SeqCst);
    }
}

/// A panic between two changes loses neither; the trie is made anew from the sessions, and knows all of theirs. A panic in
/// the recovery leaves it to the next one.
#[test]
fn a_trie_is_made_anew_from_the_sessions() {
    let mut workers = Workers::with_tries(Settings::default());
    let (publisher, client) = (workers.connect("publisher", 0), workers.connect("client", 0));
    workers.subscribe(client, &["a", "$share/g/b"]);
    workers.settle();
    workers.topics[0].inject(InjectPanic::InRecovery);
    let told = Arc::new(Told::default());
    let filter: Arc<str> = "c".into();
    let subscription = Subscription { options: options(AtLeastOnce), identifier: 0 };
    workers.with(client, |session| session.subscriptions.insert(filter.clone(), subscription));
    workers.topics[0].push(ToTrie::Work(Work::Subscribe(Subscribe {
        client: client_hash("client"),
        session: client,
        filters: VecDeque::from([Added { filter, subscription, replay: false }]),
        replays: 0..0,
        reply: Some(Reply { connection: Arc::clone(&told) as Arc<dyn AwaitsChange>, epoch: 7, token: 1 }),
    })));
    panics(&mut workers);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let recovery = catch_unwind(AssertUnwindSafe(|| {
        workers.topics[0].go_on_after_panic(&mut workers.states[0]);
    }));
    std::panic::set_hook(hook);
    assert!(recovery.is_err());
    recover(&mut workers);
    assert_eq!((told.in_force.load(SeqCst), told.lost.load(SeqCst)), (1, 0));
    workers.publish(publisher, &["a", "b", "c"].map(|topic| publication(topic, "x", AtLeastOnce)));
    workers.settle();
    let mut topics = workers.read(client);
    topics.iter_mut().for_each(|text| text.truncate(1));
    topics.sort();
    assert_eq!(topics, ["a", "b", "c"]);
}
