//! The thread that writes all records: publishes for other nodes, and what `routes` is to say of this one.
//!
//! The producer is idempotent and orders what goes to one partition. What it reports as failed is not lost: it is sent
//! again, in its order, by the next producer, since one that had a fatal error sends nothing any more. So a record may stand
//! twice; publishes are numbered for that ([`Header`]).

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use micro_mq_cluster::own_routes::OwnedName;
use micro_mq_cluster::routes_log::{Encoded, Incarnation, SLOTS};
use micro_mq_cluster::slot_log::{Header, encode};
use micro_mq_core::completion::Condition;
use micro_mq_core::message::Batch;
use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};
use tracing::{error, warn};

use super::figures::count;
use super::handle::{Cluster, Host, NOBODY};
use super::kafka::{Words, producer_config};
use super::queue::{Order, Send};
use super::threads::spawn;
use crate::clock;

/// How long the threads wait for something to do, before they look whether they are to end.
const IDLE: Duration = Duration::from_millis(100);
/// How long what was sent may take to be reported when the producer gives up all of it.
const PURGE_PATIENCE: Duration = Duration::from_secs(5);

/// Who waits for a record.
#[derive(Debug)]
enum Of {
    /// A publish to another node.
    Publish { client: u64, bytes: usize, condition: Option<Condition> },
    /// A route of this node.
    Route(Incarnation, OwnedName),
    /// Nobody.
    Nobody,
}

/// What is known of a record until it is reported.
#[derive(Debug)]
pub(super) struct Sent {
    /// Its place among all.
    number: u64,
    of: Of,
}

/// A record that was not written, to be sent again.
struct Unsent {
    to_slot: Option<u8>,
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    sent: Box<Sent>,
}

/// What hears the reports of a producer.
pub(super) struct Reports {
    cluster: Arc<Cluster>,
    words: Words,
    routes: String,
    unsent: Mutex<Vec<Unsent>>,
    /// Something was not written: all that follows is sent again behind it, by another producer.
    is_broken: AtomicBool,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.words.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.is_broken.store(true, SeqCst);
        }
        self.words.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        match result {
            Ok(message) => self.cluster.reported(sent.of, message.offset() as u64),
            Err((error, message)) => match error.rdkafka_error_code() {
                Some(code) if is_refusal(code) => {
                    error!(%error, "kafka refuses a record for good; who waits for it is told");
                    self.cluster.refused(sent.of);
                }
                _ => {
                    self.is_broken.store(true, SeqCst);
                    self.unsent.lock().push(Unsent {
                        to_slot: (message.topic() != self.routes).then(|| message.partition() as u8),
                        key: message.key().map(<[u8]>::to_vec),
                        payload: message.payload().map(<[u8]>::to_vec),
                        sent,
                    });
                }
            },
        }
    }
}

/// Whether it would be refused again and again.
fn is_refusal(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::MessageSizeTooLarge
            | Code::InvalidMessageSize
            | Code::TopicAuthorizationFailed
            | Code::InvalidRecord
            | Code::PolicyViolation
    )
}

impl Cluster {
    /// A record is written.
    fn reported(&self, of: Of, offset: u64) {
        self.note_kafka_works();
        match of {
            Of::Publish { client, bytes, condition } => {
                count(&self.figures.forwards_acknowledged, 1);
                if let Some(condition) = condition {
                    condition.done();
                }
                self.leave_window(client, bytes);
            }
            Of::Route(incarnation, name) => {
                let mut own = self.own.lock();
                if own.life.is_some_and(|(_, life)| life == incarnation) {
                    own.routes.written(name.name(), offset);
                    own.barrier.wait(offset, name);
                    self.pass_barrier(&mut own);
                }
            }
            Of::Nobody => {}
        }
    }

    /// A record never will be.
    fn refused(&self, of: Of) {
        if let Of::Publish { client, bytes, .. } = of {
            count(&self.figures.forwards_refused, 1);
            self.leave_window(client, bytes);
        }
    }
}

/// A producer, and the thread that hears its reports.
struct Producing {
    producer: Arc<BaseProducer<Reports>>,
    is_over: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl Producing {
    fn begin(cluster: &Arc<Cluster>) -> Option<Self> {
        let options = &cluster.options.kafka;
        let reports = Reports {
            cluster: Arc::clone(cluster),
            words: Words(Arc::clone(cluster)),
            routes: options.routes(),
            unsent: Mutex::default(),
            is_broken: AtomicBool::new(false),
        };
        let made = BaseProducer::from_config_and_context(&producer_config(options), reports);
        let producer = match made {
            Ok(producer) => Arc::new(producer),
            Err(error) => {
                (cluster.options.end)(super::ClusterError::Client(error));
                return None;
            }
        };
        let is_over = Arc::new(AtomicBool::new(false));
        let listening = spawn(cluster, "kafka-reports", {
            let (producer, is_over) = (Arc::clone(&producer), Arc::clone(&is_over));
            move || {
                while !is_over.load(SeqCst) {
                    producer.poll(IDLE);
                }
            }
        })?;
        Some(Self { producer, is_over, listening: Some(listening) })
    }

    fn reports(&self) -> &Reports {
        self.producer.context()
    }

    /// It has had a fatal error: what it has not written is given back, in order.
    fn give_up(mut self) -> Vec<Unsent> {
        self.stop_listening();
        self.producer.purge(PurgeConfig::default().queue().inflight());
        let deadline = clock::now() + PURGE_PATIENCE;
        while self.producer.in_flight_count() > 0 && clock::now() < deadline {
            self.producer.poll(Duration::from_millis(10));
        }
        let mut unsent = std::mem::take(&mut *self.reports().unsent.lock());
        unsent.sort_by_key(|unsent| unsent.sent.number);
        unsent
    }

    fn stop_listening(&mut self) {
        self.is_over.store(true, SeqCst);
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

/// See the module.
struct Forwarder {
    cluster: Arc<Cluster>,
    host: Arc<dyn Host>,
    producing: Producing,
    routes: String,
    slots: String,
    /// How many records were handed to producers.
    sent: u64,
    /// How many publishes were sent to each slot.
    numbers: [u64; SLOTS as usize],
    record: Vec<u8>,
}

/// Writes until the queue ends, and all that was in it is written or `patience` is over.
pub(super) fn run(cluster: &Arc<Cluster>, host: Arc<dyn Host>, patience: Duration) {
    let Some(producing) = Producing::begin(cluster) else { return };
    let options = &cluster.options.kafka;
    let mut forwarder = Forwarder {
        host,
        producing,
        routes: options.routes(),
        slots: options.slots(),
        sent: 0,
        numbers: [0; SLOTS as usize],
        record: Vec::new(),
        cluster: Arc::clone(cluster),
    };
    let mut orders = Vec::new();
    while cluster.queue.take(&mut orders, IDLE, clock::now()) {
        for order in orders.drain(..) {
            match order {
                Order::Publish(batch, sends) => forwarder.publish(&batch, sends),
                Order::Routes(Encoded { key, value }, route) => {
                    let of = route.map_or(Of::Nobody, |(incarnation, name)| Of::Route(incarnation, name));
                    forwarder.write(None, Some(&key), value.as_deref(), of);
                }
            }
        }
        if forwarder.producing.reports().is_broken.load(SeqCst) && !forwarder.begin_anew() {
            return;
        }
    }
    forwarder.finish(clock::now() + patience);
}

impl Forwarder {
    fn publish(&mut self, batch: &Batch, sends: Vec<Send>) {
        let sender = self.cluster.own.lock().life.map(|(_, incarnation)| incarnation);
        let client = batch.publisher_hash;
        for Send { item, slots, bytes, condition } in sends {
            let publication = batch.publication(item);
            let expires_at = publication.expires_at.map(|at| self.host.wall_clock(at));
            for slot in (0..SLOTS).filter(|slot| slots & (1 << slot) != 0) {
                let target = self.cluster.incarnations[usize::from(slot)].load(SeqCst);
                let (Some(sender), true) = (sender, target != NOBODY) else {
                    // Whoever had a match there is gone, and so are its clean sessions.
                    count(&self.cluster.figures.forwards_without_node, 1);
                    if let Some(condition) = condition.clone() {
                        condition.done();
                    }
                    self.cluster.leave_window(client, bytes);
                    continue;
                };
                let number = &mut self.numbers[usize::from(slot)];
                *number += 1;
                let header = Header { target: Incarnation(target), sender, number: *number };
                let mut record = std::mem::take(&mut self.record);
                record.clear();
                encode(&header, &publication, expires_at, true, &[], &mut record);
                count(&self.cluster.figures.forwarded, 1);
                let of = Of::Publish { client, bytes, condition: condition.clone() };
                self.write(Some(slot), None, Some(&record), of);
                self.record = record;
            }
            if let Some(condition) = condition {
                condition.done();
            }
        }
    }

    fn write(&mut self, to_slot: Option<u8>, key: Option<&[u8]>, payload: Option<&[u8]>, of: Of) {
        self.sent += 1;
        self.hand_over(to_slot, key, payload, Box::new(Sent { number: self.sent, of }));
    }

    fn hand_over(
        &self,
        to_slot: Option<u8>,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        mut sent: Box<Sent>,
    ) {
        let (topic, partition) = match to_slot {
            Some(slot) => (&self.slots, i32::from(slot)),
            None => (&self.routes, 0),
        };
        loop {
            let mut record: BaseRecord<'_, [u8], [u8], Box<Sent>> =
                BaseRecord::with_opaque_to(topic, sent).partition(partition);
            (record.key, record.payload) = (key, payload);
            let Err((error, back)) = self.producing.producer.send(record) else { return };
            sent = back.delivery_opaque;
            match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) => std::thread::sleep(Duration::from_millis(1)),
                Some(code) if is_refusal(code) => {
                    error!(%error, "a record is not taken");
                    return self.cluster.refused(sent.of);
                }
                _ => {
                    let reports = self.producing.reports();
                    let (key, payload) = (key.map(<[u8]>::to_vec), payload.map(<[u8]>::to_vec));
                    reports.unsent.lock().push(Unsent { to_slot, key, payload, sent });
                    return reports.is_broken.store(true, SeqCst);
                }
            }
        }
    }

    /// Another producer goes on where this one has stopped.
    fn begin_anew(&mut self) -> bool {
        warn!("the producer cannot go on; another one sends what is not written");
        count(&self.cluster.figures.producers_begun_anew, 1);
        let Some(next) = Producing::begin(&self.cluster) else { return false };
        let unsent = std::mem::replace(&mut self.producing, next).give_up();
        for Unsent { to_slot, key, payload, sent } in unsent {
            self.hand_over(to_slot, key.as_deref(), payload.as_deref(), sent);
        }
        true
    }

    /// Waits until all is written.
    fn finish(mut self, deadline: Instant) {
        while self.producing.producer.in_flight_count() > 0 && clock::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.producing.stop_listening();
    }
}
