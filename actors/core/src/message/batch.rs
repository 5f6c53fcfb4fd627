//! All publishes of one wake-up of one publisher, as one typed message to each worker with a match.

use std::time::Instant;

use bytes::Bytes;
use mqtt_codec::{PacketIdentifier, QoS, ReasonCode};

use super::{Payload, Publication, SHARED_PAYLOAD_BYTES};
use crate::completion::{Awaited, Completion, Condition, Conditions};
use crate::ids::{Origin, SessionKey};
use crate::moment::Stamping;
use crate::pressure::{Passage, Weight};

/// What its publisher is to be answered once a publish is accepted everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The publish's packet identifier.
    pub packet_identifier: PacketIdentifier,
    /// QoS 2: PUBREC, otherwise PUBACK.
    pub exactly_once: bool,
    /// Set when the publish is not routed at all: refused, or a duplicate of one that was.
    pub settled: Option<ReasonCode>,
}

/// One publish of a batch; texts and short payloads lie in the batch's own memory.
#[derive(Debug)]
pub struct Item {
    topic_start: u32,
    start: u32,
    topic_bytes: u16,
    properties_bytes: u32,
    payload_bytes: u32,
    long: Option<u32>,
    qos: QoS,
    retain: bool,
    /// It was refused after it was accepted.
    refused: bool,
    /// Where it stands among all publishes, if the batch has retained ones.
    stamp: u64,
    expires_at: Option<Instant>,
    /// What the publisher is to be answered.
    pub ack: Option<Ack>,
    /// The workers with a match, a bit each.
    pub workers: u64,
}

impl Item {
    /// Whether there is a message to route, and not only an answer to give in its turn.
    #[inline]
    pub fn is_routed(&self) -> bool {
        !self.refused && self.ack.is_none_or(|ack| ack.settled.is_none())
    }

    /// The quality of service that it was published with.
    #[inline]
    pub fn qos(&self) -> QoS {
        self.qos
    }

    /// Whether the message is to be kept as the retained one of its topic name.
    #[inline]
    pub fn is_kept(&self) -> bool {
        self.retain && self.is_routed()
    }
}

/// What is recorded of the QoS 2 publishes of a batch.
#[derive(Debug, Default)]
pub struct Received {
    /// Which of their publisher's they are, item by item.
    pub origins: Vec<(usize, Origin)>,
    /// When it is kept that they came.
    pub kept: Option<Awaited>,
    /// Some of them came before the process was started, and come again.
    pub comes_again: bool,
}

impl Received {
    fn origin(&self, item: usize) -> Option<Origin> {
        let at = self.origins.binary_search_by_key(&item, |(item, _)| *item).ok()?;
        Some(self.origins[at].1)
    }
}

/// What a batch has to do with other nodes of the cluster.
#[derive(Debug, Default)]
pub struct Beyond {
    /// Which of them have a match, a bit for each slot, by item.
    pub slots: Vec<u64>,
    /// Another node sent it, to subscriptions that are not shared.
    pub is_received: bool,
}

/// See the module. It is filled by the publisher's connection, then shared by the workers that read it.
#[derive(Debug, Default)]
pub struct Batch {
    topics: String,
    text: Vec<u8>,
    long: Vec<Bytes>,
    items: Vec<Item>,
    /// Who published all of it; none for wills of sessions that are gone, and for `$SYS`.
    pub publisher: Option<SessionKey>,
    /// The network connection of the publisher that waits for the acknowledgements.
    pub epoch: u32,
    /// A hash of the publisher's client identifier.
    pub publisher_hash: u64,
    /// Whether its retained publishes were admitted: there is room for them.
    pub admitted: bool,
    /// Where the publishes stand among all, if none of them is retained.
    pub stamp: u64,
    /// The revision of the rules by which all of it was judged, for a client's network connection.
    pub revision: u64,
    /// Its place among what its publisher may have on its way.
    pub passage: Option<Passage>,
    /// What is recorded of its QoS 2 publishes; none where nothing is.
    pub received: Option<Box<Received>>,
    /// What other nodes have to do with it; none if nothing.
    pub beyond: Option<Box<Beyond>>,
    /// What has to be done before its publishes are acknowledged, by item.
    conditions: Conditions,
}

impl Batch {
    /// Appends a message. Short payloads are copied, long ones become memory that subscribers share.
    pub fn push(&mut self, publication: &Publication<'_>, ack: Option<Ack>) {
        let start = u32::try_from(self.text.len()).expect("a batch is bounded by one read of a socket");
        let topic_start = self.topics.len() as u32;
        self.topics.push_str(publication.topic);
        self.text.extend_from_slice(publication.properties);
        let long = match publication.payload {
            Payload::Short(bytes) if bytes.len() <= SHARED_PAYLOAD_BYTES => {
                self.text.extend_from_slice(bytes);
                None
            }
            Payload::Short(bytes) => Some(Bytes::copy_from_slice(bytes)),
            Payload::Long(bytes) => Some(bytes.clone()),
        };
        let long = long.map(|bytes| {
            self.long.push(bytes);
            self.long.len() as u32 - 1
        });
        self.items.push(Item {
            topic_start,
            start,
            topic_bytes: publication.topic.len() as u16,
            properties_bytes: publication.properties.len() as u32,
            payload_bytes: publication.payload.len() as u32,
            long,
            qos: publication.qos,
            retain: publication.retain,
            refused: false,
            stamp: publication.stamp,
            expires_at: publication.expires_at,
            ack,
            workers: 0,
        });
    }

    /// Appends an answer that needs no routing but must leave in its turn [MQTT-4.6.0-2, MQTT-4.6.0-3].
    pub fn push_answer(&mut self, ack: Ack) {
        debug_assert!(ack.settled.is_some());
        self.items.push(Item {
            topic_start: 0,
            start: 0,
            topic_bytes: 0,
            properties_bytes: 0,
            payload_bytes: 0,
            long: None,
            qos: QoS::AtMostOnce,
            retain: false,
            refused: false,
            stamp: 0,
            expires_at: None,
            ack: Some(ack),
            workers: 0,
        });
    }

    /// One publish is not routed after all; if it is to be answered, with this reason.
    pub fn refuse(&mut self, index: usize, reason: ReasonCode) {
        let item = &mut self.items[index];
        item.refused = true;
        if let Some(ack) = &mut item.ack {
            ack.settled = Some(reason);
        }
    }

    /// The publishes and answers, in the order received.
    #[inline]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Gives each publish its place among all. Returns the first stamp of a retained one.
    pub fn stamp_each(&mut self, stamping: &Stamping<'_>) -> u64 {
        let mut first = None;
        for item in &mut self.items {
            item.stamp = stamping.next(item.is_kept());
            if item.is_kept() {
                first.get_or_insert(item.stamp);
            }
        }
        first.unwrap_or_default()
    }

    /// Opens a condition: the publish is not acknowledged before that is done. For one that is not to be acknowledged, or
    /// has been, there is none. To be called while the batch is taken in (`Keeper::publish`), or
    /// by who holds another condition for the same publish.
    pub fn open(&self, item: usize) -> Option<Condition> {
        let is_answered = self.items[item].ack.is_some_and(|ack| ack.settled.is_none());
        is_answered.then(|| self.conditions.open(item, self.items.len()))
    }

    /// Which of its publisher's an item is, if that is to be known again.
    #[inline]
    pub fn origin(&self, item: usize) -> Option<Origin> {
        self.received.as_ref()?.origin(item)
    }

    /// Whether another node sent it.
    #[inline]
    pub fn is_from_elsewhere(&self) -> bool {
        self.beyond.as_ref().is_some_and(|beyond| beyond.is_received)
    }

    /// Whether some of its publishes came before the process was started, and come again.
    #[inline]
    pub fn comes_again(&self) -> bool {
        self.received.as_ref().is_some_and(|received| received.comes_again)
    }

    /// What is open; none if nothing ever was.
    #[inline]
    pub fn completion(&self) -> Option<&Completion> {
        self.conditions.completion()
    }

    /// The same, to note in each which workers have a match.
    #[inline]
    pub fn items_mut(&mut self) -> &mut [Item] {
        &mut self.items
    }

    /// Bytes of topic names, properties and short payloads.
    #[inline]
    pub fn text_bytes(&self) -> usize {
        self.topics.len() + self.text.len()
    }

    /// Bytes of memory that it holds when it is empty.
    pub fn capacity_bytes(&self) -> usize {
        let entries = self.items.capacity() * size_of::<Item>() + self.long.capacity() * size_of::<Bytes>();
        self.topics.capacity() + self.text.capacity() + entries
    }

    /// What it weighs on its way to a worker: its messages for that worker, all of them and its answers for the
    /// publisher's own, and its bytes.
    #[inline]
    pub fn weight(&self, worker: u16, home: bool) -> Weight {
        let bit = 1u64 << worker;
        let messages = match home {
            true => self.items.len(),
            false => self.items.iter().filter(|item| item.workers & bit != 0).count(),
        };
        Weight { messages, bytes: self.text_bytes() + self.long.iter().map(Bytes::len).sum::<usize>() }
    }

    /// Whether there is nothing to route and nothing to answer.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Empties it and keeps its memory for the next one.
    pub fn clear(&mut self) {
        (self.publisher, self.epoch, self.publisher_hash) = (None, 0, 0);
        self.passage = None;
        if self.conditions.completion().is_some() {
            self.conditions = Conditions::default();
        }
        self.admitted = false;
        self.received = None;
        self.beyond = None;
        self.stamp = 0;
        self.revision = 0;
        self.topics.clear();
        self.text.clear();
        self.long.clear();
        self.items.clear();
    }

    /// The topic name of one item.
    #[inline]
    pub fn topic(&self, index: usize) -> &str {
        let item = &self.items[index];
        let start = item.topic_start as usize;
        &self.topics[start..start + usize::from(item.topic_bytes)]
    }

    /// One item as everybody else sees it.
    #[inline]
    pub fn publication(&self, index: usize) -> Publication<'_> {
        let item = &self.items[index];
        let properties = item.start as usize;
        let payload = properties + item.properties_bytes as usize;
        let payload_range = || &self.text[payload..payload + item.payload_bytes as usize];
        Publication {
            topic: self.topic(index),
            properties: &self.text[properties..payload],
            payload: match item.long {
                Some(long) => Payload::Long(&self.long[long as usize]),
                None => Payload::Short(payload_range()),
            },
            qos: item.qos,
            retain: item.retain,
            expires_at: item.expires_at,
            publisher: self.publisher,
            publisher_hash: self.publisher_hash,
            stamp: item.stamp.max(self.stamp),
        }
    }
}
