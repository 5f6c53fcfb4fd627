//! The thread that reads what other nodes send to this one, and hands it to the workers with a match.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;
use micro_mq_cluster::routes_log::Incarnation;
use micro_mq_cluster::slot_log::{Forwarded, decode};
use micro_mq_core::ids::SessionKey;
use micro_mq_core::message::{Batch, Beyond, Payload, Publication};
use micro_mq_core::records::DecodeError;
use parking_lot::Mutex;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use tracing::error;

use super::figures::count;
use super::handle::{Cluster, Host};
use super::kafka::{ClusterError, Words, consumer_config};
use crate::clock;

/// How long the thread waits for a record before it looks whether it is to end, or to read elsewhere.
const IDLE: Duration = Duration::from_millis(100);
/// Records, and bytes of them, that are handed on together.
const RECORDS_TOGETHER: usize = 512;
const BYTES_TOGETHER: usize = 1024 * 1024;
/// Payloads above this many bytes are copied once and then shared, as those of clients are.
const SHARED_PAYLOAD_BYTES: usize = 1024;

/// Which partition is read, and from where on.
#[derive(Debug, Default)]
pub(super) struct Assignment(Mutex<Option<(u8, i64)>>);

impl Assignment {
    /// From now on this one.
    pub(super) fn set(&self, slot: u8, offset: i64) {
        *self.0.lock() = Some((slot, offset));
    }
}

/// Wakes a thread that waits for room.
struct Unpark(Thread, AtomicBool);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.1.store(true, SeqCst);
        self.0.unpark();
    }
}

/// What was read and not handed on, by publisher.
#[derive(Default)]
struct Gathered {
    batches: Vec<Batch>,
    by_publisher: HashMap<u64, usize>,
    records: usize,
    bytes: usize,
}

impl Gathered {
    fn add(&mut self, forwarded: &Forwarded<'_>, host: &dyn Host) {
        let hash = forwarded.publisher_hash;
        let at = *self.by_publisher.entry(hash).or_insert_with(|| {
            let mut batch = Batch::default();
            (batch.publisher, batch.publisher_hash) = (Some(SessionKey::ELSEWHERE), hash);
            batch.beyond = Some(Box::new(Beyond { slots: Vec::new(), is_received: true }));
            self.batches.push(batch);
            self.batches.len() - 1
        });
        let long;
        let payload = match forwarded.payload.len() {
            0..=SHARED_PAYLOAD_BYTES => Payload::Short(forwarded.payload),
            _ => {
                long = Bytes::copy_from_slice(forwarded.payload);
                Payload::Long(&long)
            }
        };
        self.batches[at].push(
            &Publication {
                topic: forwarded.topic,
                properties: forwarded.properties,
                payload,
                qos: forwarded.qos,
                retain: forwarded.retain,
                expires_at: forwarded.expires_at.map(|at| host.moment(at)),
                publisher: Some(SessionKey::ELSEWHERE),
                publisher_hash: hash,
                stamp: 0,
            },
            None,
        );
        self.records += 1;
        self.bytes += forwarded.payload.len() + forwarded.topic.len() + forwarded.properties.len();
    }

    fn is_enough(&self) -> bool {
        self.records >= RECORDS_TOGETHER || self.bytes >= BYTES_TOGETHER
    }
}

/// Reads until the cluster ends.
pub(super) fn run(cluster: &Arc<Cluster>, host: &dyn Host, assignment: &Assignment) {
    let options = &cluster.options.kafka;
    let words = Words(Arc::clone(cluster));
    let consumer = match BaseConsumer::from_config_and_context(&consumer_config(options), words) {
        Ok(consumer) => consumer,
        Err(error) => return (cluster.options.end)(ClusterError::Client(error)),
    };
    let mut reading = Reading { cluster, host, consumer, slots: options.slots(), numbers: HashMap::new() };
    while !cluster.is_stopping() {
        if let Some((slot, offset)) = assignment.0.lock().take() {
            reading.begin(slot, offset);
        }
        if !reading.turn() {
            return;
        }
    }
}

struct Reading<'a> {
    cluster: &'a Arc<Cluster>,
    host: &'a dyn Host,
    consumer: BaseConsumer<Words>,
    slots: String,
    /// The highest number that each sender's publishes had.
    numbers: HashMap<Incarnation, u64>,
}

impl Reading<'_> {
    fn begin(&mut self, slot: u8, offset: i64) {
        let mut partitions = TopicPartitionList::new();
        let added = partitions.add_partition_offset(&self.slots, slot.into(), Offset::Offset(offset));
        let assigned = added.and_then(|()| self.consumer.assign(&partitions));
        if let Err(error) = assigned {
            error!(%error, slot, "the slot cannot be read");
        }
    }

    /// Reads what is there, and hands it on. Returns whether to go on.
    fn turn(&mut self) -> bool {
        let (mut gathered, mut patience) = (Gathered::default(), IDLE);
        let own = self.cluster.own.lock().life.map(|(_, incarnation)| incarnation);
        while !gathered.is_enough() {
            match self.consumer.poll(patience) {
                None | Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(error)) => {
                    self.cluster.note_kafka_trouble(&error, "what other nodes send cannot be read");
                    break;
                }
                Some(Ok(message)) => {
                    let Some(record) = message.payload() else { continue };
                    match decode(record) {
                        Ok(forwarded) => {
                            if is_new(self.cluster, &mut self.numbers, own, &forwarded) {
                                gathered.add(&forwarded, self.host);
                            }
                        }
                        Err(cause @ DecodeError::Version(_)) => {
                            let topic = self.slots.clone();
                            (self.cluster.options.end)(ClusterError::Record { topic, cause });
                            return false;
                        }
                        Err(error) => {
                            count(&self.cluster.figures.records_malformed, 1);
                            error!(%error, offset = message.offset(), "a record of slots is not one");
                        }
                    }
                }
            }
            patience = Duration::ZERO;
        }
        self.hand_on(gathered)
    }

    /// Waits for room, and hands on. Returns whether to go on.
    fn hand_on(&self, gathered: Gathered) -> bool {
        for batch in gathered.batches {
            let unpark = Arc::new(Unpark(std::thread::current(), AtomicBool::new(false)));
            while !self.host.has_room_for_arrivals(&Waker::from(Arc::clone(&unpark))) {
                if self.cluster.is_stopping() {
                    return false;
                }
                let deadline = clock::now() + IDLE;
                while !unpark.1.swap(false, SeqCst) && clock::now() < deadline {
                    std::thread::park_timeout(IDLE);
                }
            }
            self.host.arrive(batch);
        }
        true
    }
}

/// Whether a publish is for this life of the node, and was not read before.
fn is_new(
    cluster: &Cluster,
    numbers: &mut HashMap<Incarnation, u64>,
    own: Option<Incarnation>,
    forwarded: &Forwarded<'_>,
) -> bool {
    let header = &forwarded.header;
    if own != Some(header.target) {
        count(&cluster.figures.received_for_others, 1);
        return false;
    }
    let last = numbers.entry(header.sender).or_default();
    if header.number <= *last {
        count(&cluster.figures.received_twice, 1);
        return false;
    }
    *last = header.number;
    count(&cluster.figures.received, 1);
    true
}
