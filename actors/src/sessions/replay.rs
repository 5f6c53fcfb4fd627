//! Retained messages on their way to a new subscription: fetched a piece at a time, at the pace of the reader.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::session::Subscription;

/// One subscription whose retained messages are not all sent.
#[derive(Debug, Clone)]
pub struct Replay {
    /// Its topic filter.
    pub filter: Arc<str>,
    /// Options and identifier it was made with.
    pub subscription: Subscription,
    /// The topic name behind which the next piece begins.
    pub after: Option<Arc<str>>,
}

/// All of a session's. Part of its state: what a lost network connection interrupts goes on with the next.
#[derive(Debug, Default)]
pub struct Replays {
    /// In the order subscribed; the first is the one being fetched.
    pub pending: VecDeque<Replay>,
    /// Whether the retained actor was asked for the next piece and has not answered.
    pub asked: bool,
    /// The next message found no room beside what waits for the client: it is fetched again when nothing does.
    pub needs_all_room: bool,
    /// SUBSCRIBEs that wait for their first piece.
    pub first_asked: u32,
    /// Topic names of retained publishes that the client was sent meanwhile, with their stamps: an older retained
    /// message that arrives behind is skipped.
    seen: HashMap<Box<str>, u64>,
}

impl Replays {
    /// The client was sent a retained publish. Only what arrives while a piece is on its way can be newer than it.
    pub fn note(&mut self, topic: &str, stamp: u64) {
        if self.is_fetching() {
            self.seen.insert(topic.into(), stamp);
        }
    }

    fn is_fetching(&self) -> bool {
        self.asked || self.first_asked > 0
    }

    /// A piece was dealt with: what comes later is asked for later, and newer.
    pub fn forget_seen(&mut self) {
        if !self.is_fetching() {
            self.seen = HashMap::default();
        }
    }

    /// Whether the client already has something newer under this topic name.
    pub fn is_outdated(&self, topic: &str, stamp: u64) -> bool {
        self.seen.get(topic).is_some_and(|newest| *newest > stamp)
    }
}
