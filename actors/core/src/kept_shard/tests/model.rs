//! What is kept of a shard, as simply as it can be written down.

use std::collections::BTreeMap;

use mqtt_codec::{QoS, SubscriptionOptions};

use crate::records::{CopyId, Position, Publish, Publisher, Record};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) identifiers: Vec<u32>,
    /// Its packet identifier, and whether it was released.
    pub(super) sent: Option<(u16, bool)>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) epoch: Position,
    pub(super) online: bool,
    /// By filter: options, subscription identifier.
    pub(super) subscriptions: BTreeMap<String, (SubscriptionOptions, u32)>,
    pub(super) copies: BTreeMap<CopyId, Copy>,
    pub(super) incoming: BTreeMap<u16, Position>,
    pub(super) has_will: bool,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) sessions: BTreeMap<String, Session>,
    pub(super) groups: BTreeMap<String, Vec<Position>>,
    pub(super) retained: BTreeMap<String, (u64, Option<Vec<u8>>)>,
    pub(super) seen: BTreeMap<Publisher, Position>,
    /// Where it was last said of a publisher that it is gone.
    pub(super) gone: BTreeMap<Publisher, Position>,
    pub(super) matched: u64,
    pub(super) settled: u64,
}

impl Model {
    /// Records here always name the present connection.
    pub(super) fn apply(&mut self, at: Position, record: &Record<'_>) {
        match record {
            Record::Connected(connected) => {
                if connected.begins {
                    self.end(connected.client);
                }
                let session = self.sessions.entry(connected.client.into()).or_default();
                (session.epoch, session.online, session.has_will) = (at, true, connected.will.is_some());
            }
            Record::Parted(parted) => {
                let session = self.session(parted.of.client);
                (session.online, session.has_will) = (false, session.has_will && parted.leaves_will);
            }
            Record::Ended(client) => self.end(client),
            Record::Subscribed(of, subscriptions) => {
                let session = self.session(of.client);
                for subscribed in subscriptions {
                    let subscription = (subscribed.options, subscribed.identifier);
                    session.subscriptions.insert(subscribed.filter.into(), subscription);
                }
            }
            Record::Unsubscribed(of, filters) => {
                let session = self.session(of.client);
                session.subscriptions.retain(|filter, _| !filters.contains(&filter.as_str()));
            }
            Record::Publish(publish) => self.publish(at, publish),
            Record::Received(of, identifier) => {
                self.session(of.client).incoming.entry(identifier.get()).or_insert(at);
            }
            Record::Forgotten(of, identifier) => {
                self.session(of.client).incoming.remove(&identifier.get());
            }
            Record::Sent(of, identifier, copy) => {
                let copy = self.session(of.client).copies.get_mut(copy).expect("it is there");
                copy.sent = Some((identifier.get(), false));
            }
            Record::Released(of, identifier, copy) => {
                let copy = self.session(of.client).copies.get_mut(copy).expect("it is there");
                assert_eq!(copy.sent.replace((identifier.get(), true)), Some((identifier.get(), false)));
            }
            Record::Settled(settled) => {
                let copies = &mut self.session(settled.client).copies;
                let before = copies.len();
                copies.retain(|id, _| !settled.copies.contains(id));
                self.settled += (before - self.sessions[settled.client].copies.len()) as u64;
            }
            Record::WillOver(of) => self.session(of.client).has_will = false,
            Record::Taken(group, _, messages) => {
                let waiting = self.groups.entry((*group).into()).or_default();
                let before = waiting.len();
                waiting.retain(|position| !messages.contains(position));
                self.settled += (before - waiting.len()) as u64;
                self.groups.retain(|_, waiting| !waiting.is_empty());
            }
            Record::Retained(retained) => {
                let before = self.retained.get(retained.topic);
                if before.is_none_or(|(stamp, _)| *stamp < retained.stamp) {
                    let payload = retained.message.map(|(body, ..)| body.payload.to_vec());
                    self.retained.insert(retained.topic.into(), (retained.stamp, payload));
                }
            }
            Record::PublisherGone(publisher) => {
                self.seen.remove(publisher);
                self.gone.insert(*publisher, at);
            }
            Record::Passed(..) => {}
        }
    }

    fn session(&mut self, client: &str) -> &mut Session {
        self.sessions.get_mut(client).expect("there is such a session")
    }

    fn end(&mut self, client: &str) {
        let copies = self.sessions.remove(client).map_or(0, |session| session.copies.len());
        self.settled += copies as u64;
    }

    fn publish(&mut self, at: Position, publish: &Publish<'_>) {
        if let Some(origin) = publish.origin {
            let seen = self.seen.entry(origin.publisher).or_default();
            *seen = origin.count.max(*seen);
        }
        for (copied, copy) in publish.copies.iter().zip(0..) {
            let Some(session) = self.sessions.get_mut(&*copied.client) else { continue };
            let (qos, retain) = (copied.qos, copied.retain);
            let copy_id = CopyId { message: at, copy };
            session
                .copies
                .insert(copy_id, Copy { qos, retain, identifiers: copied.identifiers.to_vec(), sent: None });
            self.matched += 1;
        }
        for group in &publish.waits {
            self.groups.entry((*group).into()).or_default().push(at);
            self.matched += 1;
        }
    }
}
