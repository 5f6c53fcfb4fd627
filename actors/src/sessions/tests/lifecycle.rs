//! How sessions part from their network connections, come back and end: two workers on one thread with the tries that
//! they tell of it.

use actix::prelude::*;
use auth_actor::{AuthSettings, Provider};
use micro_mq_core::ids::{SessionKey, group_home, shared_part};
use micro_mq_core::ledger::DropReason;
use micro_mq_core::message::StoredMessage;
use micro_mq_core::queue::{Identifiers, Queued};
use micro_mq_core::session::{NEVER_EXPIRES, Session, Will};
use micro_mq_core::settings::{Settings, SharedStrategy};
use micro_mq_core::subscriptions::Subscription;
use micro_mq_core::testing::{online, options, publication};
use micro_mq_core::timers::Timer;
use mqtt_codec::{ProtocolVersion, QoS};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock;
use crate::sessions::Change;
use crate::topics::{ObserveTrie, TopicTrie};
use crate::worker::Worker;
use QoS::{AtLeastOnce, AtMostOnce};

/// Worker 0 is home to the sessions here; worker 1 has a trie that homes of groups may lie at.
struct Workers {
    workers: [Rc<Worker>; 2],
    now: Instant,
}

impl Workers {
    /// Without actors: what they would be told is lost.
    fn alone() -> Self {
        Self::with_settings(Settings::default())
    }

    fn with_settings(settings: Settings) -> Self {
        let auth = AuthSettings::default();
        let provider = Provider::from_settings(&auth).expect("anonymous needs nothing");
        let node = Arc::new(crate::node::shared(settings, &auth, &provider, Vec::new(), 2));
        let workers = [0, 1].map(|id| Worker::new(id, Arc::clone(&node)));
        Self { workers, now: clock::now() }
    }

    /// With a trie each.
    fn with_tries(settings: Settings) -> Self {
        let workers = Self::with_settings(settings);
        for worker in &workers.workers {
            worker.peer().trie.set(TopicTrie::new(Rc::clone(worker)).start());
        }
        workers
    }

    /// Both tries have done what they were told; twice, since one may have told the other.
    async fn settle(&self) {
        for worker in self.workers.iter().chain(&self.workers) {
            let trie = worker.peer().trie.addr().expect("it was started");
            trie.send(ObserveTrie).await.expect("it lives");
        }
    }

    fn own(&self) -> &Worker {
        &self.workers[0]
    }

    /// A new session that a network connection holds.
    fn connect(&self, client_identifier: &str, expiry_interval: u32) -> SessionKey {
        let worker = self.own();
        let names = client_identifier.len();
        worker.node.session_places.take(Some(names), names).expect("it has one").keep();
        worker.node.session_places.rename(0, names);
        let mut sessions = worker.sessions.borrow_mut();
        let session = sessions.create(client_identifier, ProtocolVersion::V5);
        session.epoch = 7;
        session.expiry_interval = expiry_interval;
        session.online = Some(online(ProtocolVersion::V5));
        worker.note_expiry(session);
        session.key
    }

    fn with<R>(&self, key: SessionKey, act: impl FnOnce(&mut Session) -> R) -> R {
        act(self.own().sessions.borrow_mut().get_mut(key).expect("the session is there"))
    }

    fn exists(&self, key: SessionKey) -> bool {
        self.own().sessions.borrow().contains(key)
    }

    /// The network connection is lost; `publish_will` says whether without a DISCONNECT of reason 0.
    fn lose(&self, key: SessionKey, publish_will: bool) {
        let parted = self.own().part(key, 7, publish_will, self.now);
        assert!(parted.is_some());
        self.own().settle_parting(key, self.now);
    }

    /// Time passes, and what is due is done.
    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        let due = self.own().timers.borrow_mut().take_due(self.now + micro_mq_core::timers::TICK);
        for timer in due {
            if let Timer::Offline(key, epoch) = timer {
                self.own().offline_due(key, epoch, self.now);
            }
        }
    }

    fn wills_published(&self) -> u64 {
        self.own().counters.wills_published.get()
    }

    fn changes(&self) -> Vec<Change> {
        self.own().changes.borrow_mut().take().into_iter().map(|change| change.change).collect()
    }

    /// The session has these subscriptions, and the tries know.
    fn subscribe(&self, key: SessionKey, filters: &[&str]) {
        self.with(key, |session| {
            for filter in filters {
                let subscription = Subscription { options: options(AtLeastOnce), identifier: 0 };
                session.subscriptions.insert((*filter).into(), subscription);
                if shared_part(filter).is_some() {
                    session.load = Some(Arc::default());
                }
            }
        });
        self.own().subscribe_all(key);
    }

    /// Members of a group at its home: how many, how many of them online, and durable.
    fn members(&self, full_filter: &str) -> (usize, usize, usize) {
        let home = usize::from(group_home(full_filter, 2));
        let mut groups = self.workers[home].groups.borrow_mut();
        let group = groups.find_mut(full_filter);
        let members: Vec<_> = group.iter().flat_map(|group| group.members()).collect();
        let count = |wanted: fn(&micro_mq_core::groups::Member) -> bool| {
            members.iter().filter(|member| wanted(member)).count()
        };
        (members.len(), count(|member| member.online), count(|member| member.durable))
    }
}

fn will(delay_seconds: u32) -> Option<Box<Will>> {
    Some(Box::new(Will {
        client_identifier: "client".into(),
        user_name: None,
        grant: None,
        revision: 0,
        allowed_until: None,
        topic: "will".into(),
        payload: "gone".into(),
        properties: Box::default(),
        qos: AtMostOnce,
        retain: false,
        delay_seconds,
        expiry_seconds: None,
        share: None,
    }))
}

/// Names of a group at home at this worker.
fn group_at(home: u16) -> String {
    let mut names = (0..).map(|number| format!("$share/g{number}/t"));
    names.find(|name| group_home(name, 2) == home).expect("every worker is home to some")
}

/// A session is parted from its network connection by whoever names the right one, once.
#[test]
fn parting() {
    let workers = Workers::alone();
    let key = workers.connect("c", 60);
    workers.with(key, |session| session.replays.get_or_insert_default().asked = true);
    assert!(workers.own().part(key, 6, true, workers.now).is_none(), "an earlier connection's");
    assert!(workers.with(key, |session| session.online.is_some() && session.absence.is_none()));
    assert!(workers.own().part(key, 7, true, workers.now).is_some());
    assert!(workers.own().part(key, 7, true, workers.now).is_none(), "it is parted already");
    let replays = workers.with(key, |session| session.replays.take().unwrap());
    assert!(!replays.asked, "nobody waits for an answer any more");
    let other = SessionKey { generation: 99, ..key };
    assert!(workers.own().part(other, 7, true, workers.now).is_none(), "no such session");
    workers.own().settle_parting(other, workers.now);
}

/// What was on the wire is not any more, and nothing is left to be sent again before the next connection.
#[test]
fn parting_forgets_the_wire() {
    let workers = Workers::alone();
    let key = workers.connect("c", 60);
    workers.own().offer(
        key,
        &publication("t", "x", AtLeastOnce),
        &micro_mq_core::testing::wanted(AtLeastOnce),
        &mut None,
        workers.now,
    );
    workers.with(key, |session| session.resume_sending());
    workers.lose(key, false);
    workers.with(key, |session| {
        let outgoing = session.outgoing.as_ref().unwrap();
        assert_eq!((outgoing.inflight.len(), outgoing.inflight.on_wire(), outgoing.resend.len()), (1, 0, 0));
    });
}

/// [MQTT-3.1.2-8] [MQTT-3.1.3-9] When a will is published.
#[test]
fn wills() {
    for (name, expiry_interval, delay_seconds, publish_will, published) in [
        // Published at: the end of the connection, a second before 10 s, at 10 s, at 30 s.
        ("without delay", 60, 0, true, [1, 1, 1, 1]),
        ("delayed", 60, 10, true, [0, 0, 1, 1]),
        ("delayed beyond the session", 10, 20, true, [0, 0, 1, 1]),
        ("delayed, and the session ends at once", 0, 20, true, [1, 1, 1, 1]),
        ("after a goodbye", 60, 0, false, [0; 4]),
        ("delayed, after a goodbye", 60, 10, false, [0; 4]),
        ("after a goodbye, and the session ends", 0, 0, false, [0; 4]),
        ("in a session that never expires", NEVER_EXPIRES, 10, true, [0, 0, 1, 1]),
    ] {
        let mut workers = Workers::alone();
        let key = workers.connect("c", expiry_interval);
        workers.with(key, |session| session.will = will(delay_seconds));
        workers.lose(key, publish_will);
        let mut found = [workers.wills_published(), 0, 0, 0];
        for (at, seconds) in [(1, 9), (2, 1), (3, 20)] {
            workers.pass(seconds);
            found[at] = workers.wills_published();
        }
        assert_eq!(found, published, "{name}");
    }
}

/// A will that is retained gets its place among the retained publishes.
#[test]
fn retained_wills_are_stamped() {
    for (retain, stamp) in [(false, 0), (true, 2)] {
        let workers = Workers::alone();
        let key = workers.connect("c", 60);
        workers.with(key, |session| {
            session.will = will(0);
            session.will.as_mut().unwrap().retain = retain;
        });
        workers.lose(key, true);
        assert_eq!(workers.own().node.order.now().stamp(), stamp);
    }
}

/// [MQTT-3.1.2-23] How long a session is kept: not beyond its connection, for its interval, or for good.
#[test]
fn session_expiry() {
    for (expiry_interval, kept) in [(0, [false; 3]), (10, [true, true, false]), (NEVER_EXPIRES, [true; 3])] {
        let mut workers = Workers::alone();
        let key = workers.connect("c", expiry_interval);
        workers.lose(key, false);
        let mut found = [workers.exists(key), false, false];
        for (at, seconds) in [(1, 9), (2, 1)] {
            workers.pass(seconds);
            found[at] = workers.exists(key);
        }
        assert_eq!(found, kept, "{expiry_interval}");
        let sessions = workers.own().node.session_places.held();
        assert_eq!(sessions, usize::from(kept[2]));
        let expired = workers.own().counters.sessions_expired.get();
        assert_eq!(expired, u64::from(expiry_interval == 10));
    }
}

/// A timer of an earlier time offline, or of a session that is online again, means nothing.
#[test]
fn timers_that_come_too_late() {
    let workers = Workers::alone();
    let key = workers.connect("c", 10);
    workers.with(key, |session| session.will = will(5));
    workers.lose(key, true);
    let late = workers.now + Duration::from_secs(99);
    workers.own().offline_due(key, 6, late);
    workers.own().offline_due(SessionKey { generation: 99, ..key }, 7, late);
    workers.with(key, |session| session.online = Some(online(ProtocolVersion::V5)));
    workers.own().offline_due(key, 7, late);
    assert!(workers.exists(key));
    assert_eq!(workers.wills_published(), 0);
    workers.with(key, |session| session.online = None);
    workers.own().offline_due(key, 7, late);
    assert!(!workers.exists(key));
    assert_eq!(workers.wills_published(), 1);
}

/// What the session store is told, once each.
#[test]
fn what_is_stored() {
    let workers = Workers::alone();
    let filter: Arc<str> = "a".into();
    let subscription = Subscription { options: options(AtLeastOnce), identifier: 0 };
    let key = workers.connect("durable", 60);
    assert_eq!(workers.changes(), [Change::Exists { expiry_interval: 60 }]);
    workers.with(key, |session| {
        let worker = workers.own();
        worker.note_expiry(session);
        worker.note_subscribed(session, &filter, Some(subscription));
        worker.note_subscribed(session, &filter, None);
        // DISCONNECT with another.
        session.expiry_interval = 90;
    });
    workers.lose(key, false);
    let expected = [
        Change::Subscribed(Arc::clone(&filter), subscription),
        Change::Unsubscribed(Arc::clone(&filter)),
        Change::Exists { expiry_interval: 90 },
    ];
    assert_eq!(workers.changes(), expected);
    workers.own().end_session(key, workers.now);
    assert_eq!(workers.changes(), [Change::Ended]);
    // One that is not durable is none of the store's business.
    let key = workers.connect("clean", 0);
    workers.with(key, |session| workers.own().note_subscribed(session, &filter, Some(subscription)));
    workers.lose(key, false);
    assert!(workers.changes().is_empty());
    // DISCONNECT may end a session that was durable.
    let key = workers.connect("ended by its client", 60);
    workers.with(key, |session| session.expiry_interval = 0);
    workers.lose(key, false);
    assert!(!workers.exists(key));
    assert_eq!(workers.changes(), [Change::Exists { expiry_interval: 60 }, Change::Ended]);
}

/// The tries know a session's subscriptions as long as it exists, online or not, the home of a group its members.
#[actix::test]
async fn subscriptions_last_as_long_as_the_session() {
    let workers = Workers::with_tries(Settings::default());
    let (near, far) = (group_at(0), group_at(1));
    let key = workers.connect("c", 60);
    workers.subscribe(key, &["a", "b/+", &near, &far]);
    workers.settle().await;
    let directory = &workers.own().node.directory;
    assert_eq!((directory.workers("a"), directory.workers("b/x"), directory.workers("t")), (1, 1, 3));
    assert_eq!((workers.members(&near), workers.members(&far)), ((1, 1, 1), (1, 1, 1)));
    workers.lose(key, false);
    workers.settle().await;
    assert_eq!(directory.workers("a"), 1);
    assert_eq!((workers.members(&near), workers.members(&far)), ((1, 0, 1), (1, 0, 1)));
    workers.with(key, |session| session.online = Some(online(ProtocolVersion::V5)));
    workers.own().tell_groups(key);
    workers.settle().await;
    assert_eq!((workers.members(&near), workers.members(&far)), ((1, 1, 1), (1, 1, 1)));
    workers.own().end_session(key, workers.now);
    workers.own().end_session(key, workers.now);
    workers.settle().await;
    assert_eq!((directory.workers("a"), directory.workers("b/x"), directory.workers("t")), (0, 0, 0));
    assert_eq!((workers.members(&near), workers.members(&far)), ((0, 0, 0), (0, 0, 0)));
    assert_eq!(workers.own().node.session_places.held(), 0);
}

/// A trie that was started anew is joined again for the groups whose home it is, by those who share one.
#[actix::test]
async fn groups_are_joined_again() {
    let workers = Workers::with_tries(Settings::default());
    let (near, far) = (group_at(0), group_at(1));
    let online_one = workers.connect("online", 0);
    let offline_one = workers.connect("offline", 60);
    let plain = workers.connect("plain", 0);
    workers.with(plain, |session| {
        let subscription = Subscription { options: options(AtLeastOnce), identifier: 0 };
        session.subscriptions.insert("t".into(), subscription);
    });
    for (key, filters) in [(online_one, &[&near, &far][..]), (offline_one, &[&far])] {
        workers.with(key, |session| {
            session.load = Some(Arc::default());
            for filter in filters {
                let subscription = Subscription { options: options(AtLeastOnce), identifier: 0 };
                session.subscriptions.insert(filter.as_str().into(), subscription);
            }
        });
    }
    workers.with(offline_one, |session| session.online = None);
    workers.own().join_again(1);
    workers.settle().await;
    assert_eq!((workers.members(&near), workers.members(&far)), ((0, 0, 0), (2, 1, 1)));
    workers.own().join_again(0);
    workers.own().join_again(1);
    workers.settle().await;
    assert_eq!((workers.members(&near), workers.members(&far)), ((1, 1, 0), (2, 1, 1)));
}

/// What waits for a session that ends is dropped; what came through a group goes back there, to whoever comes.
#[actix::test]
async fn messages_of_a_session_that_ends() {
    let workers = Workers::with_tries(Settings::default());
    let far = group_at(1);
    let (leaving, staying) = (workers.connect("leaving", 60), workers.connect("staying", 60));
    for key in [leaving, staying] {
        workers.subscribe(key, &[&far]);
    }
    workers.settle().await;
    let group = workers.workers[1].groups.borrow_mut().find_mut(&far).unwrap().key;
    let message = publication("t", "x", AtLeastOnce);
    let queued = |group| Queued {
        message: Arc::new(StoredMessage::new(&message)),
        qos: AtLeastOnce,
        retain: false,
        identifiers: Identifiers::None,
        group,
        replayed: false,
    };
    let ledger = Arc::clone(&workers.own().ledger);
    workers.with(leaving, |session| {
        session.online = None;
        let outgoing = session.outgoing.get_or_insert_default();
        outgoing.queue.push(0, queued(Some(group)), &ledger.kept);
        outgoing.queue.push(0, queued(None), &ledger.kept);
    });
    workers.own().end_session(leaving, workers.now);
    workers.settle().await;
    assert_eq!(workers.own().ledger.dropped(DropReason::SessionGone), 1);
    assert_eq!(workers.with(staying, |session| session.waiting()), 1, "the other member has it");
}

/// With `hash_client` a group's members share the wills of many clients, whenever those are published: as the session
/// parts, as it ends, or after a delay.
#[actix::test]
async fn wills_are_shared_by_their_publishers() {
    for (expiry_interval, delay_seconds) in [(60, 0), (0, 0), (60, 5)] {
        let mut settings = Settings::default();
        settings.session.shared_strategy = SharedStrategy::HashClient;
        let mut workers = Workers::with_tries(settings);
        let members = ["one", "two", "three"].map(|name| workers.connect(name, 60));
        for member in members {
            workers.subscribe(member, &["$share/g/will"]);
        }
        workers.settle().await;
        for number in 0..60 {
            let key = workers.connect(&format!("client-{number}"), expiry_interval);
            workers.with(key, |session| session.will = will(delay_seconds));
            workers.lose(key, true);
        }
        workers.pass(delay_seconds.into());
        workers.settle().await;
        let shares = members.map(|member| workers.with(member, |session| session.tally.matched));
        assert_eq!(shares.iter().sum::<u64>(), 60);
        assert!(shares.iter().all(|share| (8..40).contains(share)), "{shares:?}");
    }
}

/// What a session leaves that had very much is dealt with a piece at a time, as a trie's turn goes on behind the others'.
#[actix::test]
async fn what_an_ended_session_leaves_is_dealt_with_in_pieces() {
    const MANY: usize = 3000;
    let workers = Workers::with_tries(Settings::default());
    let key = workers.connect("c", 60);
    let plain = (0..MANY).map(|number| format!("plain/{number}/+"));
    let shared = (0..MANY).map(|number| format!("$share/g/{number}"));
    let filters: Vec<String> = plain.chain(shared).collect();
    workers.subscribe(key, &filters.iter().map(String::as_str).collect::<Vec<_>>());
    workers.settle().await;
    let ledger = Arc::clone(&workers.own().ledger);
    let message = Arc::new(StoredMessage::new(&publication("t", "x", AtLeastOnce)));
    workers.with(key, |session| {
        let outgoing = session.outgoing.get_or_insert_default();
        for _ in 0..MANY {
            let (message, identifiers) = (Arc::clone(&message), Identifiers::None);
            let queued = Queued {
                message,
                qos: AtLeastOnce,
                retain: false,
                identifiers,
                group: None,
                replayed: false,
            };
            outgoing.queue.push(0, queued, &ledger.kept);
        }
    });
    workers.lose(key, false);
    workers.own().end_session(key, workers.now);
    let left: usize =
        workers.own().remains.borrow().values().map(|session| session.subscriptions.len()).sum();
    assert!(left > 2 * MANY - 200, "all but {left} were dealt with at once");
    assert_eq!(ledger.dropped(DropReason::SessionGone), 0, "those behind its groups");
    workers.settle().await;
    workers.settle().await;
    assert!(workers.own().remains.borrow().is_empty() && workers.own().tellings.borrow().is_empty());
    assert_eq!(workers.workers.iter().map(|worker| worker.groups.borrow().len()).sum::<usize>(), 0);
    assert_eq!(workers.own().node.directory.workers("plain/7/x"), 0);
    assert_eq!((ledger.dropped(DropReason::SessionGone), ledger.kept.waiting.get()), (MANY as u64, 0));
    assert_eq!(ledger.kept.unsettled(), 0);
}

/// A member of very many groups that comes and goes tells their homes a piece at a time, and what holds in the end.
#[actix::test]
async fn homes_of_very_many_groups_are_told_in_pieces() {
    const MANY: usize = 1000;
    let workers = Workers::with_tries(Settings::default());
    let key = workers.connect("c", 60);
    let filters: Vec<String> = (0..MANY).map(|number| format!("$share/g/{number}")).collect();
    workers.subscribe(key, &filters.iter().map(String::as_str).collect::<Vec<_>>());
    workers.settle().await;
    let count = |online: bool| {
        let groups = |worker: &Rc<Worker>| {
            let groups = worker.groups.borrow();
            groups.iter().filter(|group| group.is_any_online() == online).count()
        };
        workers.workers.iter().map(groups).sum::<usize>()
    };
    assert_eq!((count(true), count(false)), (MANY, 0));
    for times in 1..4 {
        workers.lose(key, false);
        for _ in 0..times {
            workers.with(key, |session| session.online = Some(online(ProtocolVersion::V5)));
            workers.own().tell_groups(key);
            workers.with(key, |session| session.online = None);
            workers.own().tell_groups(key);
        }
        workers.settle().await;
        workers.settle().await;
        assert_eq!((count(true), count(false)), (0, MANY));
        workers.with(key, |session| session.online = Some(online(ProtocolVersion::V5)));
        workers.own().tell_groups(key);
        workers.settle().await;
        workers.settle().await;
        assert_eq!((count(true), count(false)), (MANY, 0));
        assert!(workers.own().tellings.borrow().is_empty());
    }
}
