//! What is kept of a shard, as simply as it can be written down.

use std::collections::BTreeMap;

use mqtt_codec::{QoS, SubscriptionOptions, matches};

use super::history::SHARD;
use crate::homes::Homes;
use crate::ids::shared_part;
use crate::records::{CopyId, Position, Publish, Record, Span, Through};

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
    pub(super) subscribed: u32,
    /// By filter: number, options, subscription identifier.
    pub(super) subscriptions: BTreeMap<String, (u32, SubscriptionOptions, u32)>,
    pub(super) copies: BTreeMap<CopyId, Copy>,
    pub(super) incoming: BTreeMap<u16, u64>,
    pub(super) has_will: bool,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) sessions: BTreeMap<String, Session>,
    pub(super) groups: BTreeMap<String, Vec<Position>>,
    pub(super) retained: BTreeMap<String, (u64, Option<Vec<u8>>)>,
    pub(super) matched: u64,
    pub(super) settled: u64,
}

impl Model {
    /// Records here always name the present connection.
    pub(super) fn apply(&mut self, at: Position, record: &Record<'_>, homes: &Homes) {
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
                    let before = session.subscriptions.get(subscribed.filter).map(|before| before.0);
                    let number = before.unwrap_or_else(|| {
                        session.subscribed += 1;
                        session.subscribed
                    });
                    let subscription = (number, subscribed.options, subscribed.identifier);
                    session.subscriptions.insert(subscribed.filter.into(), subscription);
                }
            }
            Record::Unsubscribed(of, filters) => {
                let session = self.session(of.client);
                session.subscriptions.retain(|filter, _| !filters.contains(&filter.as_str()));
            }
            Record::Publish(publish) => self.publish(at, publish, homes),
            Record::Received(of, identifier, count) => {
                self.session(of.client).incoming.insert(identifier.get(), *count);
            }
            Record::Forgotten(of, identifier) => {
                self.session(of.client).incoming.remove(&identifier.get());
            }
            Record::Sent(of, identifier, copy) => {
                let copy = self.session(of.client).copies.get_mut(copy).expect("it is there");
                copy.sent = Some((identifier.get(), false));
            }
            Record::Released(of, identifier) => {
                let sent = self.session(of.client).copies.values_mut().filter_map(|copy| copy.sent.as_mut());
                sent.filter(|sent| sent.0 == identifier.get()).for_each(|sent| sent.1 = true);
            }
            Record::Settled(settled) => {
                let is_in = |id: &CopyId, span: &Span| span.first <= id.message && id.message <= span.last;
                let copies = &mut self.session(settled.client).copies;
                let before = copies.len();
                copies.retain(|id, _| {
                    !settled.copies.contains(id) && !settled.spans.iter().any(|span| is_in(id, span))
                });
                self.settled += (before - self.sessions[settled.client].copies.len()) as u64;
            }
            Record::WillOver(of, _) => self.session(of.client).has_will = false,
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
            Record::Passed(..) | Record::PublisherGone(_) => {}
        }
    }

    fn session(&mut self, client: &str) -> &mut Session {
        self.sessions.get_mut(client).expect("there is such a session")
    }

    fn end(&mut self, client: &str) {
        let copies = self.sessions.remove(client).map_or(0, |session| session.copies.len());
        self.settled += copies as u64;
    }

    fn publish(&mut self, at: Position, publish: &Publish<'_>, homes: &Homes) {
        // Where the shard is not named nobody of it is looked for.
        let sessions = self.sessions.iter_mut().filter(|_| publish.shards.contains(&SHARD));
        for (client, session) in sessions {
            let is_own = homes.hash_of(client) == publish.publisher_hash;
            let mut matching: Vec<_> = session
                .subscriptions
                .iter()
                .filter(|(filter, _)| shared_part(filter).is_none() && matches(filter, publish.body.topic))
                .filter(|(_, (_, options, _))| !(options.no_local && is_own))
                .map(|(_, subscription)| *subscription)
                .collect();
            matching.sort_unstable_by_key(|subscription| subscription.0);
            let copies: Vec<_> = match publish.merges && !matching.is_empty() {
                true => vec![matching],
                false => matching.into_iter().map(|one| vec![one]).collect(),
            };
            for merged in copies {
                let qos = merged.iter().map(|it| it.1.qos).max().unwrap().min(publish.body.qos);
                if qos == QoS::AtMostOnce {
                    continue;
                }
                self.matched += 1;
                let subscription = merged[0].0;
                if publish.dropped.iter().any(|(other, number, _)| client == other && *number == subscription)
                {
                    self.settled += 1;
                    continue;
                }
                let copy = Copy {
                    qos,
                    retain: publish.retain && merged.iter().any(|it| it.1.retain_as_published),
                    identifiers: merged.iter().map(|it| it.2).filter(|it| *it != 0).collect(),
                    sent: None,
                };
                session.copies.insert(CopyId { message: at, subscription }, copy);
            }
        }
        for directed in &publish.directed {
            let Some(session) = self.sessions.get_mut(directed.client) else { continue };
            assert!(matches!(directed.through, Through::Group(_) | Through::Retained(_)));
            let copy = Copy {
                qos: directed.qos,
                retain: directed.retain,
                identifiers: directed.identifiers.clone(),
                sent: None,
            };
            session.copies.insert(CopyId { message: at, subscription: directed.subscription }, copy);
            self.matched += 1;
        }
        for group in &publish.waits {
            self.groups.entry((*group).into()).or_default().push(at);
            self.matched += 1;
        }
    }
}
