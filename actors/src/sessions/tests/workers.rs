//! What the tests of sessions share: two workers on one thread, with the tries that they tell of their sessions.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use auth_actor::{AuthSettings, Provider};
use micro_mq_core::homes::{Homes, drawn_key};
use micro_mq_core::ids::{SessionKey, shared_part};
use micro_mq_core::session::{Session, Will};
use micro_mq_core::settings::Settings;
use micro_mq_core::subscriptions::Subscription;
use micro_mq_core::testing::{online, options};
use micro_mq_core::timers::Timer;
use mqtt_codec::ProtocolVersion;
use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce};

use crate::clock;
use crate::sessions::Change;
use crate::topics::{ObserveTrie, TopicTrie};
use crate::worker::Worker;

/// Worker 0 is home to the sessions here; worker 1 has a trie that homes of groups may lie at.
pub(super) struct Workers {
    pub(super) workers: [Rc<Worker>; 2],
    pub(super) now: Instant,
}

impl Workers {
    /// Without actors: what they would be told is lost.
    pub(super) fn alone() -> Self {
        Self::with_settings(Settings::default())
    }

    pub(super) fn with_settings(settings: Settings) -> Self {
        let auth = AuthSettings::default();
        let provider = Provider::from_settings(&auth).expect("anonymous needs nothing");
        let node = Arc::new(crate::node::shared(
            settings,
            &auth,
            &provider,
            Homes::new(&drawn_key(), 2),
            Vec::new(),
        ));
        let workers = [0, 1].map(|id| Worker::new(id, Arc::clone(&node)));
        Self { workers, now: clock::now() }
    }

    /// With a trie each.
    pub(super) fn with_tries(settings: Settings) -> Self {
        let workers = Self::with_settings(settings);
        for worker in &workers.workers {
            worker.peer().trie.set(TopicTrie::new(Rc::clone(worker)).start());
        }
        workers
    }

    /// Both tries have done what they were told; twice, since one may have told the other.
    pub(super) async fn settle(&self) {
        for worker in self.workers.iter().chain(&self.workers) {
            let trie = worker.peer().trie.addr().expect("it was started");
            trie.send(ObserveTrie).await.expect("it lives");
        }
    }

    pub(super) fn own(&self) -> &Worker {
        &self.workers[0]
    }

    /// A new session that a network connection holds.
    pub(super) fn connect(&self, client_identifier: &str, expiry_interval: u32) -> SessionKey {
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

    pub(super) fn with<R>(&self, key: SessionKey, act: impl FnOnce(&mut Session) -> R) -> R {
        act(self.own().sessions.borrow_mut().get_mut(key).expect("the session is there"))
    }

    pub(super) fn exists(&self, key: SessionKey) -> bool {
        self.own().sessions.borrow().contains(key)
    }

    /// The network connection is lost; `publish_will` says whether without a DISCONNECT of reason 0.
    pub(super) fn lose(&self, key: SessionKey, publish_will: bool) {
        let parted = self.own().part(key, 7, publish_will, self.now);
        assert!(parted.is_some());
        self.own().settle_parting(key, self.now);
    }

    /// Time passes, and what is due is done.
    pub(super) fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        let due = self.own().timers.borrow_mut().take_due(self.now + micro_mq_core::timers::TICK);
        for timer in due {
            if let Timer::Offline(key, epoch) = timer {
                self.own().offline_due(key, epoch, self.now);
            }
        }
    }

    pub(super) fn wills_published(&self) -> u64 {
        self.own().counters.wills_published.get()
    }

    pub(super) fn changes(&self) -> Vec<Change> {
        self.own().changes.borrow_mut().take().into_iter().map(|change| change.change).collect()
    }

    /// The session has these subscriptions, and the tries know.
    pub(super) fn subscribe(&self, key: SessionKey, filters: &[&str]) {
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

    /// The name of a group at home at this worker.
    pub(super) fn group_at(&self, home: u16) -> String {
        let mut names = (0..).map(|number| format!("$share/g{number}/t"));
        names.find(|name| self.own().node.homes.of_group(name) == home).expect("every worker is home to some")
    }

    /// Members of a group at its home: how many, how many of them online, and durable.
    pub(super) fn members(&self, full_filter: &str) -> (usize, usize, usize) {
        let home = usize::from(self.own().node.homes.of_group(full_filter));
        let mut groups = self.workers[home].groups.borrow_mut();
        let group = groups.find_mut(full_filter);
        let members: Vec<_> = group.iter().flat_map(|group| group.members()).collect();
        let count = |wanted: fn(&micro_mq_core::groups::Member) -> bool| {
            members.iter().filter(|member| wanted(member)).count()
        };
        (members.len(), count(|member| member.online), count(|member| member.durable))
    }
}

pub(super) fn will(delay_seconds: u32) -> Option<Box<Will>> {
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
