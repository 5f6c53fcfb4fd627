//! Some clients of a whole node: packets, bytes that are none, hang-ups and time. At rest the node's ledger and
//! everything that it keeps twice must agree, and each client judges what it receives by what it announced: maximum
//! packet size, receive maximum, topic alias maximum, packet identifiers, the order of answers. When an input is over
//! nothing may remain in the node, which serves the next one.

use std::sync::{LazyLock, Mutex, PoisonError, mpsc};
use std::time::Duration;

use micro_mq_actors::simulation::{SimulatedClient, SimulatedNode, Simulation};
use micro_mq_core::settings::{DeniedPublish, QueueOverflow, Settings, SharedStrategy};
use mqtt_codec::{Ack, Packet, ProtocolVersion, QoS, ReasonCode, encode};

use crate::choices::Choices;
use crate::packets;

/// Clients at a time.
const CLIENTS: usize = 4;
/// A 3.x client whose publish a limit refuses is sent away after this.
const REFUSED_PUBLISH_TIMEOUT_MS: u64 = 2000;
/// A little more than that.
const HELD_AT_MOST: Duration = Duration::from_millis(REFUSED_PUBLISH_TIMEOUT_MS + 500);
/// Steps of one input at most, so that none takes long.
const STEPS_MAX: usize = 200;
/// What a node that serves no client may hold more than it did when it was new.
const LEFT_BYTES_MAX: i64 = 4 * 1024 * 1024;
const WORKERS: u8 = 2;

/// A network connection and how it speaks.
struct Client {
    client: SimulatedClient,
    version: ProtocolVersion,
}

struct Run<'n, 'i> {
    node: &'n SimulatedNode,
    choices: Choices<'i>,
    clients: [Option<Client>; CLIENTS],
}

/// Whether a run tells what it does: what an input that fails means.
static TELLS: LazyLock<bool> = LazyLock::new(|| std::env::var_os("MICRO_MQ_FUZZ_TRACE").is_some());

macro_rules! tell {
    ($($arguments:tt)*) => {
        if *TELLS {
            eprintln!($($arguments)*);
        }
    };
}

/// Runs one input; its first byte chooses the node.
///
/// # Panics
/// When something is wrong with the node.
pub fn run(input: &[u8]) {
    static NODES: LazyLock<Vec<Mutex<NodeThread>>> =
        LazyLock::new(|| [settings(), other_settings()].map(NodeThread::start).map(Mutex::new).into());
    let Some((&node, input)) = input.split_first() else { return };
    let node = &NODES[usize::from(node) % NODES.len()];
    node.lock().unwrap_or_else(PoisonError::into_inner).run(input);
}

/// A thread with a node of its own: a thread can have but one.
struct NodeThread {
    inputs: mpsc::Sender<Vec<u8>>,
    done: mpsc::Receiver<()>,
}

impl NodeThread {
    fn start(settings: Settings) -> Self {
        let (inputs, received) = mpsc::channel::<Vec<u8>>();
        let (tell, done) = mpsc::channel();
        std::thread::spawn(move || {
            let simulation = Simulation::start(settings);
            let mut left_bytes = 0;
            for input in received {
                let memory = allocation_counter::measure(|| {
                    simulation.run(async |node| Run::new(node, &input).go().await);
                });
                left_bytes += memory.bytes_current;
                assert!(left_bytes < LEFT_BYTES_MAX, "{left_bytes} bytes are left");
                if tell.send(()).is_err() {
                    break;
                }
            }
        });
        Self { inputs, done }
    }

    fn run(&self, input: &[u8]) {
        self.inputs.send(input.to_vec()).expect("the node's thread has panicked before");
        self.done.recv().expect("the node's thread has panicked");
    }
}

/// Limits that a short input reaches.
fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.node.workers = WORKERS.into();
    settings.node.metrics_interval_seconds = 0;
    settings.node.connections_max = CLIENTS + 3;
    settings.node.outbox_bytes_max = 4096;
    settings.node.messages_between_workers_max = 4;
    settings.node.deliveries_per_turn = 3;
    settings.mqtt.sys_interval_seconds = 0;
    settings.mqtt.maximum_packet_size_bytes = 4096;
    settings.mqtt.receive_maximum = 3;
    settings.mqtt.topic_alias_maximum = 3;
    settings.mqtt.topic_alias_maximum_outgoing = 3;
    settings.mqtt.topic_levels_max = 5;
    settings.mqtt.user_properties_max = 4;
    settings.mqtt.response_information = "answers/%c".to_owned();
    settings.session.sessions_max = CLIENTS + 1;
    settings.session.subscriptions_per_client_max = 6;
    settings.session.inflight_max = 4;
    settings.session.incoming_qos2_max = 4;
    settings.session.queue_messages_max = 6;
    settings.session.queue_bytes_max = 3000;
    settings.session.clean_queue_bytes_max = 1000;
    settings.session.retained_messages_max = 4;
    settings.session.retained_bytes_max = 4000;
    settings.session.retained_messages_per_client_max = 3;
    settings.session.retained_bytes_per_client_max = 3000;
    settings.mqtt.refused_publish_timeout_ms = REFUSED_PUBLISH_TIMEOUT_MS;
    settings
}

/// The other way where there are two.
fn other_settings() -> Settings {
    let mut settings = settings();
    settings.node.workers = 1;
    settings.mqtt.merge_overlapping_subscriptions = true;
    settings.mqtt.check_payload_format = true;
    settings.mqtt.allow_control_characters = true;
    settings.mqtt.maximum_qos = 1;
    settings.mqtt.denied_publish = DeniedPublish::Close;
    settings.mqtt.server_keep_alive_seconds = 5;
    settings.session.queue_overflow = QueueOverflow::DropOldest;
    settings.session.queue_qos0_offline = true;
    settings.session.shared_strategy = SharedStrategy::LeastInflight;
    settings
}

impl<'n, 'i> Run<'n, 'i> {
    fn new(node: &'n SimulatedNode, input: &'i [u8]) -> Self {
        Self { node, choices: Choices::new(input), clients: Default::default() }
    }

    async fn go(mut self) {
        for _ in 0..STEPS_MAX {
            if self.choices.is_empty() {
                break;
            }
            self.step().await;
            // Some steps come at once: what is on its way meets.
            if !self.choices.once_in(4) {
                self.check().await;
            }
        }
        self.end().await;
    }

    async fn check(&self) {
        tell!("check");
        if let Err(broken) = self.node.check().await {
            panic!("{broken}");
        }
    }

    async fn step(&mut self) {
        let at = usize::from(self.choices.below(CLIENTS as u8));
        match self.choices.below(16) {
            0 => self.connect(at).await,
            1..=3 => self.send(at, packets::publish).await,
            4..=5 => self.send(at, packets::subscribe).await,
            6 => self.send(at, packets::unsubscribe).await,
            7 => self.send(at, packets::acknowledgement).await,
            8 => self.send(at, |_| Packet::PingReq).await,
            9 => self.send(at, packets::disconnect).await,
            10 => {
                let bytes = self.choices.bytes();
                self.send_bytes(at, bytes).await;
            }
            11 => {
                tell!("{at} hangs up");
                self.clients[at] = None;
            }
            12 => self.receive(at),
            13..=14 => self.receive_and_acknowledge(at),
            _ => self.pass_time().await,
        }
    }

    async fn connect(&mut self, at: usize) {
        let worker = usize::from(self.choices.below(WORKERS)) % self.node.workers();
        let room = self.choices.of(&[64 * 1024, 64 * 1024, 64, 1000]);
        let connect = packets::connect(&mut self.choices);
        let client = self.node.connect_with(worker, room);
        tell!("{at} connects to worker {worker} with room for {room} bytes");
        // A connection that stood there before hangs up.
        self.clients[at] = Some(Client { client, version: connect.version });
        self.send(at, |_| Packet::Connect(Box::new(connect))).await;
    }

    async fn send(&mut self, at: usize, packet: impl FnOnce(&mut Choices<'i>) -> Packet) {
        let packet = packet(&mut self.choices);
        let Some(Client { version, .. }) = self.clients[at] else { return };
        let mut bytes = Vec::new();
        if encode(&packet, version, u32::MAX, &mut bytes).is_err() {
            return;
        }
        tell!("{at} sends {packet:?}");
        if self.choices.once_in(16) {
            let place = usize::from(self.choices.byte()) % bytes.len();
            bytes[place] = self.choices.byte();
        }
        self.send_bytes(at, &bytes).await;
    }

    /// At once, or in two pieces.
    async fn send_bytes(&mut self, at: usize, bytes: &[u8]) {
        let Some(client) = &mut self.clients[at] else { return };
        let cut = if self.choices.once_in(8) { usize::from(self.choices.byte()).min(bytes.len()) } else { 0 };
        let (first, second) = bytes.split_at(cut);
        tell!("{at} sends {first:02x?} {second:02x?}");
        if !first.is_empty() {
            client.client.send(first);
            self.node.settle().await;
        }
        client.client.send(second);
    }

    /// Takes what has come, or a part of it.
    fn receive(&mut self, at: usize) {
        let bytes_max = self.choices.of(&[usize::MAX, 1, 20, 200]);
        tell!("{at} receives {bytes_max}");
        if let Some(client) = &mut self.clients[at] {
            client.receive(bytes_max);
        }
    }

    fn receive_and_acknowledge(&mut self, at: usize) {
        tell!("{at} acknowledges");
        if let Some(client) = &mut self.clients[at] {
            client.receive_and_acknowledge();
        }
    }

    async fn pass_time(&mut self) {
        let time = Duration::from_millis(self.choices.of(&[10, 500, 1000, 2000, 6000, 20_000]));
        tell!("{time:?} pass");
        match self.choices.once_in(2) {
            true => self.node.jump(time).await,
            false => self.node.pass(time).await,
        }
    }

    /// Bytes that have come, and bytes that found no room yet.
    fn progress(&self) -> (u64, usize) {
        let clients = || self.clients.iter().flatten().map(|client| &client.client);
        (clients().map(SimulatedClient::bytes_received).sum(), clients().map(SimulatedClient::unsent).sum())
    }

    /// Everybody receives, answers and sends what found no room until nothing moves any more.
    async fn rest(&mut self) {
        loop {
            self.node.settle().await;
            let before = self.progress();
            self.clients.iter_mut().flatten().for_each(Client::receive_and_acknowledge);
            if self.progress() == before {
                break;
            }
        }
    }

    /// Nothing moves any more; then nobody is owed anything.
    async fn end(mut self) {
        tell!("the end");
        self.rest().await;
        // Who is not read at a limit is answered when there is room, or sent away after this time.
        self.node.pass(HELD_AT_MOST).await;
        self.rest().await;
        self.check().await;
        for Client { client, .. } in self.clients.iter().flatten() {
            let owed = client.wire().is_anything_owed() && client.wire().is_connected();
            assert!(!owed || client.is_over(), "an answer did not come: {:?}", client.wire());
        }
        self.clients = Default::default();
        self.node.settle().await;
        if let Err(broken) = self.node.clear().await {
            panic!("{broken}");
        }
    }
}

impl Client {
    fn receive(&mut self, bytes_max: usize) -> Vec<Packet> {
        match self.client.receive_some(bytes_max) {
            Ok(packets) => {
                packets.iter().for_each(|packet| tell!("  received {packet:?}"));
                packets
            }
            // Clients here read late or never: what the node could not write to them before it closed is lost.
            Err(wrong) if wrong.starts_with("ended within a packet") => Vec::new(),
            Err(wrong) => panic!("{wrong}"),
        }
    }

    /// Takes everything and answers it as a client should.
    fn receive_and_acknowledge(&mut self) {
        for packet in self.receive(usize::MAX) {
            let answer = match packet {
                Packet::Publish(publish) => publish.packet_identifier.map(|identifier| {
                    let ack = Ack::new(identifier, ReasonCode::Success);
                    if publish.qos == QoS::ExactlyOnce { Packet::PubRec(ack) } else { Packet::PubAck(ack) }
                }),
                Packet::PubRec(ack) if !ack.reason_code.is_error() => {
                    Some(Packet::PubRel(Ack::new(ack.packet_identifier, ReasonCode::Success)))
                }
                Packet::PubRel(ack) => {
                    Some(Packet::PubComp(Ack::new(ack.packet_identifier, ReasonCode::Success)))
                }
                _ => None,
            };
            if let Some(answer) = answer {
                let mut bytes = Vec::new();
                encode(&answer, self.version, u32::MAX, &mut bytes).expect("an acknowledgement is encoded");
                self.client.send(&bytes);
            }
        }
    }
}
