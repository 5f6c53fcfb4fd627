//! How Kafka is reached, and the topics that have to be there.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use micro_mq_cluster::routes_log::SLOTS;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tracing::{debug, info, warn};

use super::handle::Cluster;
use super::options::KafkaOptions;

/// How long Kafka may take for what it is asked at the start, before it is asked again.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long Kafka is left alone when it does not answer.
pub(super) const RETRY: Duration = Duration::from_millis(500);
/// What records may be longer than the longest packet.
const RECORD_BEYOND_PACKET_BYTES: usize = 4096;

/// Why a node can be no member of its cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Another node has its name.
    #[error(
        "cluster.node: another node has said hello as \"{0}\"; the later one is the member, and this one ends"
    )]
    NameTaken(String),
    /// Another node has the slot that it is to have.
    #[error("cluster.slot: another node has slot {0}")]
    SlotTaken(u8),
    /// All slots are taken.
    #[error("the cluster has {SLOTS} nodes, and no slot for another one")]
    NoSlot,
    /// A topic is not there, or is not as it has to be.
    #[error("kafka: topic {topic}: {problem}; {mend}")]
    Topic {
        /// Which.
        topic: String,
        /// What is wrong.
        problem: String,
        /// What mends it.
        mend: String,
    },
    /// A record was written by a later version.
    #[error("{topic} has a record that this version cannot read: {cause}")]
    Record {
        /// Which topic.
        topic: String,
        /// Why.
        cause: micro_mq_core::records::DecodeError,
    },
    /// A setting that librdkafka does not take.
    #[error("kafka: the client cannot be made")]
    Client(#[source] KafkaError),
    /// There is no thread for it.
    #[error("a thread of the cluster could not be started")]
    Thread(#[source] io::Error),
}

/// What librdkafka says.
pub(super) struct Words(pub(super) Arc<Cluster>);

impl ClientContext for Words {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                warn!(facility, "kafka: {message}");
            }
            _ => debug!(facility, "kafka: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        self.0.note_kafka_trouble(&error, reason);
    }
}

impl ConsumerContext for Words {}

impl Cluster {
    /// Kafka is not reached.
    pub(super) fn note_kafka_trouble(&self, error: &KafkaError, reason: &str) {
        let mut status = self.status.lock();
        if status.kafka_trouble.is_none() {
            warn!(%error, reason, "kafka is in trouble");
        }
        status.kafka_trouble = Some(format!("{error}: {reason}"));
    }

    /// Kafka has answered.
    pub(super) fn note_kafka_works(&self) {
        let mut status = self.status.lock();
        if status.kafka_trouble.take().is_some() {
            info!("kafka answers again");
        }
    }
}

/// What all clients are told.
fn common(options: &KafkaOptions) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &options.brokers)
        .set("client.id", "micro-mq")
        .set("socket.keepalive.enable", "true")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set("topic.metadata.refresh.interval.ms", "30000");
    config
}

/// What the producer is told. The window in front of it is the node's, so its queue is never full; what it has taken it
/// tries to send for ever.
pub(super) fn producer_config(options: &KafkaOptions) -> ClientConfig {
    let mut config = common(options);
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "1")
        .set("message.timeout.ms", "0")
        .set("message.max.bytes", record_bytes_max(options).to_string())
        .set("queue.buffering.max.messages", "0")
        .set("queue.buffering.max.kbytes", "2097151");
    config
}

/// What a consumer of partitions that it names itself is told.
pub(super) fn consumer_config(options: &KafkaOptions) -> ClientConfig {
    let mut config = common(options);
    config
        .set("group.id", &options.prefix)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("allow.auto.create.topics", "false")
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "500")
        .set("fetch.error.backoff.ms", "100")
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.message.max.bytes", record_bytes_max(options).max(1024 * 1024).to_string());
    config
}

fn record_bytes_max(options: &KafkaOptions) -> usize {
    (options.packet_bytes_max + RECORD_BEYOND_PACKET_BYTES).clamp(1000, 1_000_000_000)
}

/// A topic that has to be there.
struct Wanted {
    name: String,
    partitions: i32,
    settings: Vec<(&'static str, String)>,
}

impl Wanted {
    fn of(options: &KafkaOptions) -> [Self; 2] {
        let bytes_max = ("max.message.bytes", record_bytes_max(options).max(1_048_588).to_string());
        let setting = |name: &'static str, value: &str| (name, value.to_owned());
        [
            Self {
                name: options.routes(),
                partitions: 1,
                settings: vec![
                    setting("cleanup.policy", "compact"),
                    setting("segment.ms", "600000"),
                    setting("delete.retention.ms", "86400000"),
                    bytes_max.clone(),
                ],
            },
            Self {
                name: options.slots(),
                partitions: SLOTS.into(),
                settings: vec![
                    setting("cleanup.policy", "delete"),
                    setting("retention.ms", "600000"),
                    setting("segment.ms", "600000"),
                    bytes_max,
                ],
            },
        ]
    }

    /// The command that creates it.
    fn command(&self, brokers: &str, replication: i32) -> String {
        let settings = self.settings.iter().map(|(name, value)| format!(" --config {name}={value}"));
        format!(
            "create it: kafka-topics.sh --bootstrap-server {brokers} --create --topic {} --partitions {} \
             --replication-factor {replication}{}",
            self.name,
            self.partitions,
            settings.collect::<String>()
        )
    }
}

/// The end of a partition, as soon as Kafka tells it; none when the cluster ends before. Whoever has read up to there has all
/// that was written before it asked: that nothing is left to be read is never said where others go on writing.
pub(super) fn end_of(
    cluster: &Cluster,
    consumer: &BaseConsumer<Words>,
    topic: &str,
    partition: i32,
) -> Option<u64> {
    while !cluster.is_stopping() {
        match consumer.fetch_watermarks(topic, partition, PATIENCE) {
            Ok((_, end)) => return Some(end as u64),
            Err(error) => {
                cluster.note_kafka_trouble(&error, "the end of a topic is not known");
                std::thread::sleep(RETRY);
            }
        }
    }
    None
}

/// Why topics could not be looked at.
pub(super) enum Unusable {
    /// Kafka does not answer: it is asked again.
    Away(String),
    /// It has to be mended.
    Wrong(ClusterError),
}

impl From<KafkaError> for Unusable {
    fn from(error: KafkaError) -> Self {
        Self::Away(error.to_string())
    }
}

/// Looks whether all topics are there, and creates those that are not, if that is allowed.
pub(super) fn ensure_topics(options: &KafkaOptions) -> Result<(), Unusable> {
    let made = common(options).create::<AdminClient<DefaultClientContext>>();
    let admin = made.map_err(|error| Unusable::Wrong(ClusterError::Client(error)))?;
    let metadata = admin.inner().fetch_metadata(None, PATIENCE)?;
    let brokers = metadata.brokers().len() as i32;
    let replication = match options.replication {
        0 => brokers.clamp(1, 3),
        replication => replication.into(),
    };
    for wanted in Wanted::of(options) {
        let topic = metadata.topics().iter().find(|topic| topic.name() == wanted.name);
        match topic {
            None if options.create_topics => create(&admin, options, &wanted, replication)?,
            None => {
                return Err(Unusable::Wrong(ClusterError::Topic {
                    topic: wanted.name.clone(),
                    problem: "it is not there, and kafka.create_topics is false".to_owned(),
                    mend: wanted.command(&options.brokers, replication),
                }));
            }
            Some(topic) => {
                let partitions = topic.partitions().len() as i32;
                if partitions != wanted.partitions {
                    return Err(Unusable::Wrong(ClusterError::Topic {
                        topic: wanted.name.clone(),
                        problem: format!(
                            "it has {partitions} partitions, and has to have {}",
                            wanted.partitions
                        ),
                        mend: format!("delete it and {}", wanted.command(&options.brokers, replication)),
                    }));
                }
            }
        }
    }
    Ok(())
}

fn create(
    admin: &AdminClient<DefaultClientContext>,
    options: &KafkaOptions,
    wanted: &Wanted,
    replication: i32,
) -> Result<(), Unusable> {
    let wrong = |problem: String| {
        Unusable::Wrong(ClusterError::Topic {
            topic: wanted.name.clone(),
            problem,
            mend: wanted.command(&options.brokers, replication),
        })
    };
    let mut topic = NewTopic::new(&wanted.name, wanted.partitions, TopicReplication::Fixed(replication));
    for (name, value) in &wanted.settings {
        topic = topic.set(name, value);
    }
    let in_sync = if replication >= 3 { "2" } else { "1" };
    topic = topic.set("min.insync.replicas", in_sync).set("unclean.leader.election.enable", "false");
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| Unusable::Wrong(ClusterError::Thread(error)))?;
    let asked = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
    let answers = runtime.block_on(admin.create_topics([&topic], &asked))?;
    for answer in answers {
        match answer {
            Ok(name) => info!(name, "kafka: a topic was created"),
            // Another node was quicker.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, error)) => return Err(wrong(format!("it cannot be created: {error}"))),
        }
    }
    Ok(())
}
