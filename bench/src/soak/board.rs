//! What was published and who heard it: the driver's own account, against which the broker is judged.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    latency::Histogram,
    order::{Arrival, Stream},
    wire::Stamp,
};

/// So many faults of each kind are told; the others are counted.
const SENTENCES_MAX: u64 = 20;

/// What the messages of a topic are promised.
#[derive(Debug, Clone, Copy)]
pub(super) struct Promise {
    /// QoS of its publishes.
    pub qos: u8,
    /// A message may be lost: QoS 0, or it expires.
    pub may_lose: bool,
}

/// One publisher's messages under one topic name.
#[derive(Debug)]
struct Topic {
    name: String,
    promise: Promise,
    /// Messages so far.
    published: u32,
    /// Latencies count from this message on: those before waited for their publisher to come back.
    prompt_from: u32,
}

/// Who hears: a subscriber, or all members of a shared subscription together.
#[derive(Debug)]
struct Audience {
    name: String,
    /// What it subscribed to, by topic.
    streams: BTreeMap<u32, Stream>,
    /// Highest QoS of its subscription.
    qos: u8,
    /// Several share the messages, so order shows nothing.
    shared: bool,
}

/// What went wrong, counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Faults {
    /// Acknowledged, and not delivered to a durable session.
    pub lost: u64,
    /// QoS 0 or 2, delivered again.
    pub duplicated: u64,
    /// Delivered for the first time after a later one.
    pub out_of_order: u64,
    /// A retained message is not the one that was published last.
    pub retained: u64,
    /// Anything else that a broker must not do.
    pub conduct: u64,
}

/// A kind of fault: see [`Faults`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    Lost,
    Duplicated,
    OutOfOrder,
    Retained,
    Conduct,
}

impl Faults {
    fn of(&mut self, fault: Fault) -> &mut u64 {
        match fault {
            Fault::Lost => &mut self.lost,
            Fault::Duplicated => &mut self.duplicated,
            Fault::OutOfOrder => &mut self.out_of_order,
            Fault::Retained => &mut self.retained,
            Fault::Conduct => &mut self.conduct,
        }
    }
}

/// Messages counted.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(super) struct Counts {
    /// Publishes of clients, wills included.
    pub published: u64,
    /// Deliveries that an account was kept of.
    pub heard: u64,
    /// All PUBLISH packets received.
    pub received: u64,
    /// Bytes of their payloads.
    pub received_bytes: u64,
    /// Connections that were accepted.
    pub connects: u64,
    /// Connections dropped, reset or left half open.
    pub drops: u64,
    /// Second connections with the same client identifier.
    pub takeovers: u64,
    /// QoS 1 messages that were delivered again.
    pub repeated: u64,
    /// QoS 0 and expiring messages that were not delivered.
    pub missed: u64,
    /// Wills that were to be published.
    pub wills: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Board {
    started: Instant,
    topics: Vec<Topic>,
    audiences: Vec<Audience>,
    /// The last retained message by topic name; none after it was cleared.
    pub retained: BTreeMap<String, u32>,
    /// See there.
    pub faults: Faults,
    /// The first sentences about them.
    pub sentences: Vec<String>,
    /// See there.
    pub counts: Counts,
    /// Latencies since they were last taken.
    pub latency: Histogram,
}

impl Board {
    /// Nothing published yet.
    pub(super) fn new(started: Instant) -> Self {
        Self {
            started,
            topics: Vec::new(),
            audiences: Vec::new(),
            retained: BTreeMap::new(),
            faults: Faults::default(),
            sentences: Vec::new(),
            counts: Counts::default(),
            latency: Histogram::default(),
        }
    }

    /// Adds a topic; its number stands in the payload of each message.
    pub(super) fn add_topic(&mut self, name: String, promise: Promise) -> u32 {
        self.topics.push(Topic { name, promise, published: 0, prompt_from: 0 });
        self.topics.len() as u32 - 1
    }

    /// Adds somebody who is to hear all topics whose names `matches`, before anything is published there.
    pub(super) fn add_audience(
        &mut self,
        name: String,
        qos: u8,
        shared: bool,
        matches: impl Fn(&str) -> bool,
    ) -> usize {
        let numbered = self.topics.iter().enumerate();
        let streams = numbered
            .filter(|(_, topic)| matches(&topic.name))
            .map(|(number, _)| (number as u32, Stream::default()))
            .collect();
        self.audiences.push(Audience { name, streams, qos, shared });
        self.audiences.len() - 1
    }

    /// Name of a topic.
    pub(super) fn name(&self, topic: u32) -> &str {
        &self.topics[topic as usize].name
    }

    /// The payload of a topic's next message, without counting it.
    pub(super) fn next_payload(&self, topic: u32, size: usize) -> Vec<u8> {
        let sequence = self.topics[topic as usize].published;
        let nanoseconds = self.started.elapsed().as_nanos() as u64;
        let mut payload = Stamp { publisher: topic, sequence, nanoseconds }.to_bytes().to_vec();
        payload.resize(size.max(Stamp::BYTES), b'.');
        payload
    }

    /// Counts a topic's next message as published, and returns its number.
    pub(super) fn published(&mut self, topic: u32) -> u32 {
        let topic = &mut self.topics[topic as usize];
        topic.published += 1;
        self.counts.published += 1;
        topic.published - 1
    }

    /// What was published to this topic so far reaches its subscribers late, for no fault of the broker.
    pub(super) fn delayed(&mut self, topic: u32) {
        let topic = &mut self.topics[topic as usize];
        topic.prompt_from = topic.published;
    }

    /// A delivery to an audience. `online_since` is when that connection came up.
    pub(super) fn heard(
        &mut self,
        audience: usize,
        topic_name: &[u8],
        payload: &[u8],
        online_since: Instant,
    ) {
        let who = &mut self.audiences[audience];
        let stamp = Stamp::read(payload).filter(|stamp| who.streams.contains_key(&stamp.publisher));
        let topic = stamp.and_then(|stamp| self.topics.get(stamp.publisher as usize));
        let (Some(stamp), Some(topic)) = (stamp, topic) else {
            let topic_name = String::from_utf8_lossy(topic_name);
            let sentence = format!("{} heard {topic_name}, which it did not subscribe to", who.name);
            return self.misconduct(sentence);
        };
        if topic.name.as_bytes() != topic_name || stamp.sequence >= topic.published {
            let topic_name = String::from_utf8_lossy(topic_name);
            let sentence =
                format!("{} heard message {} of {topic_name}, never published", who.name, stamp.sequence);
            return self.misconduct(sentence);
        }
        self.counts.heard += 1;
        let Some(stream) = who.streams.get_mut(&stamp.publisher) else { return };
        let at_least_once = topic.promise.qos.min(who.qos) == 1;
        let arrival = stream.arrived(stamp.sequence);
        match arrival {
            Arrival::InOrder | Arrival::Skipped(_) => {}
            Arrival::Late if who.shared => {}
            Arrival::Duplicate if at_least_once => self.counts.repeated += 1,
            Arrival::Late => {
                let sentence =
                    format!("{} heard message {} of {} late", who.name, stamp.sequence, topic.name);
                return self.blame(Fault::OutOfOrder, 1, sentence);
            }
            Arrival::Duplicate => {
                let sentence =
                    format!("{} heard message {} of {} twice", who.name, stamp.sequence, topic.name);
                return self.blame(Fault::Duplicated, 1, sentence);
            }
        }
        let settled = (online_since + Duration::from_secs(1)).saturating_duration_since(self.started);
        let prompt =
            u128::from(stamp.nanoseconds) > settled.as_nanos() && stamp.sequence >= topic.prompt_from;
        if prompt && arrival != Arrival::Duplicate {
            let now = self.started.elapsed().as_nanos() as u64;
            self.latency.record(now.saturating_sub(stamp.nanoseconds));
        }
    }

    /// Messages that are yet to reach those whom they are promised to.
    pub(super) fn outstanding(&self) -> u64 {
        self.missing().map(|(_, _, missing)| missing).sum()
    }

    /// Counts what is outstanding as lost, and says who misses what.
    pub(super) fn give_up(&mut self) {
        let missing = self.missing().map(|(who, topic, lost)| {
            (lost, format!("{} did not hear {lost} messages of {}", who.name, topic.name))
        });
        for (lost, sentence) in missing.collect::<Vec<_>>() {
            self.blame(Fault::Lost, lost, sentence);
        }
    }

    /// Forgets what was allowed to be lost, so that the account does not grow.
    pub(super) fn settle(&mut self) {
        for audience in &mut self.audiences {
            for (number, stream) in &mut audience.streams {
                let topic = &self.topics[*number as usize];
                self.counts.missed += stream.settle(topic.published);
            }
        }
    }

    /// A fault that is no message's.
    pub(super) fn misconduct(&mut self, sentence: String) {
        self.blame(Fault::Conduct, 1, sentence);
    }

    /// Counts faults, and keeps the first sentences of each kind, so that many of one do not hide another.
    pub(super) fn blame(&mut self, fault: Fault, times: u64, sentence: String) {
        let counted = self.faults.of(fault);
        let is_kept = *counted < SENTENCES_MAX;
        *counted += times;
        if is_kept {
            self.sentences.push(sentence);
        }
    }

    fn missing(&self) -> impl Iterator<Item = (&Audience, &Topic, u64)> {
        self.audiences.iter().flat_map(move |audience| {
            audience.streams.iter().filter_map(move |(number, stream)| {
                let topic = &self.topics[*number as usize];
                let missing = if topic.promise.may_lose || audience.qos == 0 {
                    0
                } else {
                    stream.lost(topic.published)
                };
                (missing > 0).then_some((audience, topic, missing))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: Promise = Promise { qos: 2, may_lose: false };

    struct Heard {
        board: Board,
        topic: u32,
        payloads: Vec<Vec<u8>>,
    }

    /// Ten messages of one topic, heard by one subscriber in this order.
    fn hear(promise: Promise, shared: bool, order: &[usize]) -> Heard {
        let mut board = Board::new(Instant::now());
        let topic = board.add_topic("a/1".into(), promise);
        let who = board.add_audience("who".into(), 2, shared, |name| name.starts_with("a/"));
        let payloads: Vec<_> = (0..10)
            .map(|_| {
                let payload = board.next_payload(topic, 0);
                board.published(topic);
                payload
            })
            .collect();
        for &index in order {
            board.heard(who, b"a/1", &payloads[index], Instant::now());
        }
        Heard { board, topic, payloads }
    }

    #[test]
    fn what_does_not_come_is_outstanding_and_then_lost() {
        let Heard { mut board, .. } = hear(KEPT, false, &[0, 1, 2, 3, 4, 5, 6, 8]);
        assert_eq!(board.outstanding(), 2);
        board.give_up();
        assert_eq!(board.faults, Faults { lost: 2, ..Faults::default() });
        assert_eq!(board.sentences, ["who did not hear 2 messages of a/1"]);
    }

    #[test]
    fn many_faults_of_one_kind_do_not_hide_another() {
        let mut board = Board::new(Instant::now());
        (0..402).for_each(|_| board.misconduct("an odd answer".to_owned()));
        board.blame(Fault::Retained, 3, "other messages".to_owned());
        assert_eq!(board.faults, Faults { conduct: 402, retained: 3, ..Faults::default() });
        assert_eq!(board.sentences.len(), 21);
        assert_eq!(board.sentences[20], "other messages");
    }

    #[test]
    fn qos_2_comes_once_and_qos_1_may_come_again() {
        assert_eq!(hear(KEPT, false, &[0, 1, 1]).board.faults.duplicated, 1);
        let again = hear(Promise { qos: 1, may_lose: false }, false, &[0, 1, 2, 1, 2, 3]).board;
        assert_eq!((again.faults, again.counts.repeated), (Faults::default(), 2));
    }

    #[test]
    fn order_counts_unless_the_subscription_is_shared() {
        assert_eq!(hear(KEPT, false, &[0, 2, 1]).board.faults.out_of_order, 1);
        assert_eq!(hear(KEPT, true, &[0, 2, 1]).board.faults, Faults::default());
    }

    #[test]
    fn what_may_be_lost_is_settled() {
        let mut board = hear(Promise { qos: 0, may_lose: true }, false, &[0, 1, 5]).board;
        assert_eq!(board.outstanding(), 0);
        board.settle();
        assert_eq!((board.counts.missed, board.faults), (7, Faults::default()));
    }

    #[test]
    fn what_nobody_published_or_subscribed_to_is_misconduct() {
        let Heard { mut board, topic, payloads } = hear(KEPT, false, &[]);
        board.heard(0, b"a/2", &payloads[0], Instant::now());
        let unborn = board.next_payload(topic, 0);
        board.heard(0, b"a/1", &unborn, Instant::now());
        board.heard(0, b"b", b"short", Instant::now());
        assert_eq!(board.faults.conduct, 3);
    }
}
