//! Clients of the published crate rumqttc, over 3.1.1 ([`v4`]) and 5.0 ([`v5`]), with a deadline on every wait.
//!
//! rumqttc has one API for each version; the two modules bring both to the one [`Client`] that the tests use.

use std::collections::hash_map::RandomState;
use std::env;
use std::future::Future;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
pub use rumqttc::QoS;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub mod v4;
pub mod v5;

/// How long a test waits for anything.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// Room for the largest packet of the tests; rumqttc admits 10 KiB unless told.
pub const PACKET_BYTES_MAX: usize = 20 * 1024 * 1024;
/// Requests that a client takes before its network connection has carried them out.
pub const REQUESTS_MAX: usize = 1000;

/// `HOST:PORT` of the broker under test, from `MICRO_MQ_TEST_TCP`.
///
/// # Panics
/// Without that variable; `scripts/test.sh` sets it.
pub fn broker() -> (String, u16) {
    let address =
        env::var("MICRO_MQ_TEST_TCP").expect("MICRO_MQ_TEST_TCP names a broker; scripts/test.sh starts one");
    let (host, port) = address.rsplit_once(':').expect("MICRO_MQ_TEST_TCP is HOST:PORT");
    (host.to_owned(), port.parse().expect("the port is a number"))
}

/// A topic level and client identifier that no other test uses.
pub fn unique_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let hash = RandomState::new().hash_one(NEXT.fetch_add(1, Ordering::Relaxed));
    format!("t{hash:016x}")
}

/// The result of `future`.
///
/// # Panics
/// When it takes longer than [`DEADLINE`]; the message then says `what` did not happen.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(result) => result,
        Err(_elapsed) => panic!("{what} did not happen within {DEADLINE:?}"),
    }
}

/// What both versions have in common of a received PUBLISH.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Topic name.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// QoS of this delivery.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// 5.0 only.
    pub properties: Option<rumqttc::v5::mqttbytes::v5::PublishProperties>,
}

/// Everything else that a client is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// CONNACK.
    Connected {
        /// Whether the server had a session.
        session_present: bool,
        /// 5.0 only.
        properties: Option<rumqttc::v5::mqttbytes::v5::ConnAckProperties>,
    },
    /// SUBACK, with the granted QoS of each filter, or none where it was refused.
    Subscribed(Vec<Option<QoS>>),
    /// UNSUBACK.
    Unsubscribed,
    /// PUBACK or PUBCOMP; whether a 5.0 server said that nobody subscribed (0x10, in PUBACK or PUBREC).
    Acknowledged {
        /// 0x10.
        no_matching_subscribers: bool,
    },
    /// The network connection ended; what rumqttc says about it.
    Ended(String),
}

/// What the tests ask a client for before it connects.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Client identifier.
    pub identifier: String,
    /// A session that outlives the network connection: by an hour in 5.0.
    pub durable: bool,
    /// Topic name, payload and QoS of a will message.
    pub will: Option<(String, String, QoS)>,
}

impl Settings {
    /// A clean session.
    pub fn clean(identifier: impl Into<String>) -> Self {
        Self { identifier: identifier.into(), durable: false, will: None }
    }

    /// A session that outlives its network connection.
    pub fn durable(identifier: impl Into<String>) -> Self {
        Self { durable: true, ..Self::clean(identifier) }
    }
}

/// The requests of one version of rumqttc.
pub trait Requests: Sized + Send + 'static {
    /// Connects in a task of its own, which tells the channels what it receives.
    fn start(settings: &Settings, events: Events) -> (Self, JoinHandle<()>);
    /// SUBSCRIBE.
    fn subscribe(&self, filter: &str, qos: QoS) -> impl Future<Output = ()>;
    /// UNSUBSCRIBE.
    fn unsubscribe(&self, filter: &str) -> impl Future<Output = ()>;
    /// PUBLISH.
    fn publish(&self, topic: &str, payload: Bytes, qos: QoS, retain: bool) -> impl Future<Output = ()>;
    /// DISCONNECT.
    fn disconnect(&self) -> impl Future<Output = ()>;
}

/// Where a client's task leaves what it receives. A test that is over no longer listens, which is no error.
#[derive(Debug)]
pub struct Events {
    messages: mpsc::UnboundedSender<Message>,
    answers: mpsc::UnboundedSender<Answer>,
}

impl Events {
    pub(crate) fn message(&self, message: Message) {
        let _ = self.messages.send(message);
    }

    pub(crate) fn answer(&self, answer: Answer) {
        let _ = self.answers.send(answer);
    }
}

/// A connected client.
#[derive(Debug)]
pub struct Client<R> {
    /// The version's own requests, for what only it has.
    pub requests: R,
    /// Of the CONNACK.
    pub session_present: bool,
    /// Of the CONNACK, 5.0 only.
    pub properties: Option<rumqttc::v5::mqttbytes::v5::ConnAckProperties>,
    messages: mpsc::UnboundedReceiver<Message>,
    answers: mpsc::UnboundedReceiver<Answer>,
    task: JoinHandle<()>,
}

impl<R: Requests> Client<R> {
    /// Connects and waits for the CONNACK.
    ///
    /// # Panics
    /// When the connection is refused or takes longer than [`DEADLINE`]; so do all waits below.
    pub async fn connect(settings: &Settings) -> Self {
        Self::connect_with(|events| R::start(settings, events)).await
    }

    /// As [`Client::connect`], for what only one version can be told.
    pub async fn connect_with(start: impl FnOnce(Events) -> (R, JoinHandle<()>)) -> Self {
        let (message_sender, messages) = mpsc::unbounded_channel();
        let (answer_sender, mut answers) = mpsc::unbounded_channel();
        let (requests, task) = start(Events { messages: message_sender, answers: answer_sender });
        match within("CONNACK", answers.recv()).await {
            Some(Answer::Connected { session_present, properties }) => {
                Self { requests, session_present, properties, messages, answers, task }
            }
            other => panic!("expected CONNACK, got {other:?}"),
        }
    }

    async fn answer(&mut self, what: &str) -> Answer {
        within(what, self.answers.recv()).await.expect("the task tells how it ends before it ends")
    }

    /// SUBSCRIBE to one filter; waits until it is granted.
    pub async fn subscribe(&mut self, filter: &str, qos: QoS) {
        self.requests.subscribe(filter, qos).await;
        self.wait_subscribed(qos).await;
    }

    /// Waits for the SUBACK of one filter.
    pub async fn wait_subscribed(&mut self, granted: QoS) {
        assert_eq!(self.answer("SUBACK").await, Answer::Subscribed(vec![Some(granted)]));
    }

    /// UNSUBSCRIBE; waits for the answer.
    pub async fn unsubscribe(&mut self, filter: &str) {
        self.requests.unsubscribe(filter).await;
        assert_eq!(self.answer("UNSUBACK").await, Answer::Unsubscribed);
    }

    /// PUBLISH; for QoS 1 and 2 waits until it is acknowledged. Answers whether nobody subscribed (5.0).
    pub async fn publish(&mut self, topic: &str, payload: impl Into<Bytes>, qos: QoS, retain: bool) -> bool {
        self.requests.publish(topic, payload.into(), qos, retain).await;
        qos != QoS::AtMostOnce && self.wait_acknowledged().await
    }

    /// Waits for the next PUBACK or PUBCOMP. Answers whether nobody subscribed (5.0).
    pub async fn wait_acknowledged(&mut self) -> bool {
        match self.answer("acknowledgement").await {
            Answer::Acknowledged { no_matching_subscribers } => no_matching_subscribers,
            other => panic!("expected PUBACK or PUBCOMP, got {other:?}"),
        }
    }

    /// The next message.
    pub async fn receive(&mut self) -> Message {
        within("a message", self.messages.recv()).await.expect("the network connection is there")
    }

    /// The payload of the next message, as text.
    pub async fn receive_text(&mut self) -> String {
        String::from_utf8(self.receive().await.payload.to_vec()).expect("payloads of the tests are text")
    }

    /// Waits until the server ends the network connection; what rumqttc says about it.
    pub async fn wait_ended(mut self) -> String {
        match self.answer("the end of the network connection").await {
            Answer::Ended(why) => why,
            other => panic!("expected the end of the network connection, got {other:?}"),
        }
    }

    /// Leaves with a DISCONNECT; returns when the network connection is closed.
    pub async fn disconnect(self) {
        self.requests.disconnect().await;
        within("the end after DISCONNECT", self.task).await.expect("the task does not panic");
    }

    /// Ends the network connection without a DISCONNECT; returns when it is closed.
    pub async fn lose(self) {
        self.task.abort();
        let aborted = within("the end of the task", self.task).await;
        assert!(aborted.is_err_and(|error| error.is_cancelled()), "the client had ended by itself");
    }
}
