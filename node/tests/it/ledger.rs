//! The ledger adds up: every message that matched a subscription is delivered, queued or dropped with a reason, for the
//! node and for each client, whatever the clients do.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use actix_rt::time::{sleep, timeout};
use auth_actor::AuthSettings;
use micro_mq_actors::metrics::gather;
use micro_mq_actors::{Listener, ListenerKind, Node, NodeLedger, NodeOptions, RunningNode};
use micro_mq_core::homes::drawn_key;
use micro_mq_core::records::WallClock;
use micro_mq_core::settings::{QueueOverflow, Settings, SharedStrategy};
use mqtt_codec::{
    Ack, Connect, ConnectProperties, Disconnect, DisconnectProperties, Limits, Packet, PacketIdentifier,
    ProtocolVersion, Publish, PublishProperties, QoS, ReasonCode, RetainHandling, Sender, Subscribe,
    SubscriptionFilter, SubscriptionOptions, TopicName, Unsubscribe, Will, decode, encode,
};
use tokio::net::TcpStream;

/// Far above what a run takes on a slow machine.
const DEADLINE: Duration = Duration::from_secs(60);
/// A client that hears nothing for so long stops waiting for it.
const PATIENCE: Duration = Duration::from_millis(150);

/// A random number generator whose runs can be repeated.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// 0 to `below` - 1.
    fn throw(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.throw(n) == 0
    }

    fn qos(&mut self) -> QoS {
        QoS::try_from(self.throw(3) as u8).unwrap()
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.throw(choices.len() as u64) as usize]
    }
}

/// A client that may do anything, and does not mind what becomes of it.
struct Wild {
    stream: TcpStream,
    version: ProtocolVersion,
    received: Vec<u8>,
    packets: VecDeque<Packet>,
    last_identifier: u16,
}

impl Wild {
    /// None if the node refused.
    async fn connect(address: SocketAddr, connect: Connect) -> Option<Self> {
        let stream = TcpStream::connect(address).await.ok()?;
        let version = connect.version;
        let (received, packets) = Default::default();
        let mut wild = Self { stream, version, received, packets, last_identifier: 0 };
        wild.send(&Packet::Connect(Box::new(connect))).await?;
        match wild.next(DEADLINE).await? {
            Packet::ConnAck(answer) if answer.reason_code == ReasonCode::Success => Some(wild),
            other => panic!("{other:?} in place of a CONNACK"),
        }
    }

    fn identifier(&mut self) -> PacketIdentifier {
        self.last_identifier = self.last_identifier % u16::MAX + 1;
        PacketIdentifier::new(self.last_identifier).unwrap()
    }

    /// None if the network connection is over.
    async fn send(&mut self, packet: &Packet) -> Option<()> {
        let mut bytes = Vec::new();
        encode(packet, self.version, u32::MAX, &mut bytes).unwrap();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            self.stream.writable().await.ok()?;
            match self.stream.try_write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
        Some(())
    }

    /// The next packet; none if there is none in time, or the network connection is over.
    async fn next(&mut self, patience: Duration) -> Option<Packet> {
        let limits = Limits::default();
        while self.packets.is_empty() {
            timeout(patience, self.stream.readable()).await.ok()?.ok()?;
            let mut buffer = [0; 16 * 1024];
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return None,
                Ok(read) => self.received.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
            let mut used = 0;
            while let Some((packet, bytes)) =
                decode(&self.received[used..], self.version, Sender::Server, &limits).unwrap()
            {
                used += bytes;
                self.packets.push_back(packet.into_owned());
            }
            self.received.drain(..used);
        }
        self.packets.pop_front()
    }

    /// Acknowledges, mostly.
    async fn react(&mut self, packet: Packet, dice: &mut Dice) -> Option<()> {
        if dice.one_in(20) {
            return Some(());
        }
        let reason = match self.version == ProtocolVersion::V5 && dice.one_in(15) {
            true => ReasonCode::QuotaExceeded,
            false => ReasonCode::Success,
        };
        let answer = match packet {
            Packet::Publish(publish) => match (publish.qos, publish.packet_identifier) {
                (QoS::AtLeastOnce, Some(identifier)) => Packet::PubAck(Ack::new(identifier, reason)),
                (QoS::ExactlyOnce, Some(identifier)) => Packet::PubRec(Ack::new(identifier, reason)),
                _ => return Some(()),
            },
            Packet::PubRel(ack) => Packet::PubComp(Ack::new(ack.packet_identifier, ReasonCode::Success)),
            Packet::Disconnect(_) => return None,
            _ => return Some(()),
        };
        self.send(&answer).await
    }

    async fn subscribe(&mut self, filter: &str, options: SubscriptionOptions) -> Option<()> {
        let packet_identifier = self.identifier();
        let filters = vec![(SubscriptionFilter::parse(filter).unwrap(), options)];
        let (subscription_identifier, user_properties) = (None, Vec::new());
        let subscribe = Subscribe { packet_identifier, subscription_identifier, user_properties, filters };
        self.send(&Packet::Subscribe(subscribe)).await
    }
}

fn version(dice: &mut Dice) -> ProtocolVersion {
    dice.pick(&[ProtocolVersion::V5, ProtocolVersion::V5, ProtocolVersion::V311, ProtocolVersion::V31])
}

fn topic(dice: &mut Dice) -> String {
    format!("t/{}", dice.throw(6))
}

/// Publishes and ends, with or without a word.
async fn publisher(address: SocketAddr, name: String, seed: u64, messages: usize) -> Option<()> {
    let dice = &mut Dice::new(seed);
    let mut connect = Connect::new(version(dice), &name);
    connect.will = Some(Will {
        qos: dice.qos(),
        retain: dice.one_in(2),
        topic: TopicName::new(&format!("t/will-{name}")).unwrap(),
        payload: name.clone().into_bytes().into(),
        delay_interval: 0,
        properties: PublishProperties::default(),
    });
    let mut wild = Wild::connect(address, connect).await?;
    let mut unanswered = 0;
    for _ in 0..messages {
        let qos = dice.qos();
        let publish = Publish {
            dup: false,
            qos,
            retain: dice.one_in(10),
            topic: topic(dice),
            packet_identifier: (qos > QoS::AtMostOnce).then(|| wild.identifier()),
            properties: PublishProperties {
                message_expiry_interval: dice.one_in(4).then_some(1),
                ..PublishProperties::default()
            },
            payload: vec![b'x'; dice.pick(&[0, 10, 200, 1000, 3000])].into(),
        };
        wild.send(&Packet::Publish(publish)).await?;
        unanswered += usize::from(qos > QoS::AtMostOnce);
        while unanswered >= 20 {
            match wild.next(DEADLINE).await? {
                Packet::PubAck(_) | Packet::PubComp(_) => unanswered -= 1,
                Packet::PubRec(ack) if ack.reason_code.is_error() => unanswered -= 1,
                Packet::PubRec(ack) => {
                    wild.send(&Packet::PubRel(Ack::new(ack.packet_identifier, ReasonCode::Success))).await?;
                }
                other => panic!("{other:?} to a publisher"),
            }
        }
    }
    if dice.one_in(2) {
        wild.send(&Packet::Disconnect(Disconnect::new(ReasonCode::Success))).await?;
    }
    Some(())
}

/// What is left of a subscriber: a network connection that it does not read, or nothing.
type Stalled = Option<Wild>;

/// Comes, subscribes, reads, refuses, stalls, dies and returns.
async fn subscriber(address: SocketAddr, name: String, seed: u64) -> Stalled {
    let dice = &mut Dice::new(seed);
    let lives = 2 + dice.throw(4);
    for life in 0..lives {
        let mut connect = Connect::new(version(dice), &name);
        connect.clean_start = dice.one_in(3);
        connect.properties = ConnectProperties {
            session_expiry_interval: (!dice.one_in(4)).then_some(3600),
            receive_maximum: dice.one_in(2).then(|| dice.pick(&[1, 5, 100]).try_into().unwrap()),
            maximum_packet_size: dice.one_in(4).then(|| 600.try_into().unwrap()),
            topic_alias_maximum: dice.one_in(2).then_some(3),
            ..ConnectProperties::default()
        };
        let mut wild = Wild::connect(address, connect).await?;
        let stalls = life + 1 == lives && dice.one_in(3);
        let lived = live(&mut wild, dice).await;
        if lived.is_some() && stalls {
            return Some(wild);
        }
    }
    None
}

/// One network connection of a subscriber. None if it did not last.
async fn live(wild: &mut Wild, dice: &mut Dice) -> Option<()> {
    const FILTERS: &[&str] =
        &["t/#", "t/+", "t/1", "t/2", "#", "$share/a/t/#", "$share/b/t/+", "$share/a/t/3", "$share/c/t/4"];
    for _ in 0..dice.throw(4) {
        let filter = dice.pick(FILTERS);
        let options = SubscriptionOptions {
            qos: dice.qos(),
            no_local: false,
            retain_as_published: dice.one_in(2),
            retain_handling: dice.pick(&[RetainHandling::SendAtSubscribe, RetainHandling::DoNotSend]),
        };
        wild.subscribe(filter, options).await?;
    }
    for _ in 0..dice.throw(400) {
        let Some(packet) = wild.next(PATIENCE).await else { break };
        if dice.one_in(60) {
            // This one takes its time.
            sleep(Duration::from_millis(dice.throw(30))).await;
        }
        wild.react(packet, dice).await?;
        if dice.one_in(150) {
            let packet_identifier = wild.identifier();
            let filters = vec![SubscriptionFilter::parse(dice.pick(FILTERS)).unwrap()];
            let unsubscribe = Unsubscribe { packet_identifier, user_properties: Vec::new(), filters };
            wild.send(&Packet::Unsubscribe(unsubscribe)).await?;
        }
    }
    match dice.throw(4) {
        0 => {
            wild.send(&Packet::Disconnect(Disconnect::new(ReasonCode::Success))).await?;
            None
        }
        1 if wild.version == ProtocolVersion::V5 => {
            let properties =
                DisconnectProperties { session_expiry_interval: Some(0), ..DisconnectProperties::default() };
            let reason_code = ReasonCode::DisconnectWithWillMessage;
            wild.send(&Packet::Disconnect(Disconnect { reason_code, properties })).await?;
            None
        }
        _ => Some(()),
    }
}

fn settings(workers: usize, dice: &mut Dice) -> Settings {
    let mut settings = Settings::default();
    settings.node.workers = workers;
    settings.node.outbox_bytes_max = 8 * 1024;
    settings.node.messages_between_workers_max = 100;
    settings.node.deliveries_per_turn = 16;
    settings.mqtt.sys_interval_seconds = 1;
    settings.mqtt.receive_maximum = 20;
    settings.mqtt.merge_overlapping_subscriptions = dice.one_in(3);
    settings.session.inflight_max = 20;
    settings.session.queue_messages_max = 250;
    settings.session.queue_bytes_max = 300 * 1024;
    settings.session.queue_overflow = dice.pick(&[QueueOverflow::DropNewest, QueueOverflow::DropOldest]);
    settings.session.queue_qos0_offline = dice.one_in(2);
    settings.session.shared_strategy = dice.pick(&[
        SharedStrategy::RoundRobin,
        SharedStrategy::LeastInflight,
        SharedStrategy::HashClient,
        SharedStrategy::HashTopic,
        SharedStrategy::Sticky,
    ]);
    settings
}

/// The ledger once nothing moves any more.
async fn at_rest(node: &RunningNode) -> NodeLedger {
    let began = Instant::now();
    let (mut last, mut same) = (None, 0);
    loop {
        let seen = gather(node.shared()).await;
        let ledger = node.admin_source().ledger().await.unwrap();
        let now = (seen.between_workers, seen.connections, ledger.clone());
        same = if last.as_ref() == Some(&now) && seen.between_workers == 0 { same + 1 } else { 0 };
        if same == 5 {
            return ledger;
        }
        assert!(began.elapsed() < DEADLINE, "the node does not come to rest: {now:?}");
        last = Some(now);
        // That nothing moves any more can only be seen by looking for a while.
        sleep(Duration::from_millis(20)).await;
    }
}

async fn client_ledgers_add_up(node: &RunningNode, names: &[String]) -> usize {
    let mut sessions = 0;
    for name in names {
        let Some(client) = node.admin_source().client_ledger(name.clone()).await.unwrap() else { continue };
        let dropped: u64 = client.dropped.values().sum();
        let accounted = client.delivered + client.queued + client.returned + dropped;
        assert_eq!(client.matched, accounted, "{client:?}");
        sessions += 1;
    }
    sessions
}

async fn start_node(settings: Settings) -> RunningNode {
    let address = "127.0.0.1:0".parse().unwrap();
    let listeners = vec![Listener { name: "tcp".to_owned(), kind: ListenerKind::Tcp, tls: None, address }];
    Node::start(NodeOptions {
        settings,
        auth: AuthSettings::default(),
        listeners,
        homes_key: drawn_key(),
        time_of_day: WallClock::default(),
        keepers: Vec::new(),
        cluster: None,
    })
    .await
    .unwrap()
}

async fn run(workers: usize, seed: u64) {
    println!("workers {workers}, seed {seed}");
    let dice = &mut Dice::new(seed);
    let node = start_node(settings(workers, dice)).await;
    let address = node.listeners()[0].1;

    let mut watcher = Wild::connect(address, Connect::new(ProtocolVersion::V5, "watcher")).await.unwrap();
    watcher.subscribe("$SYS/#", QoS::AtLeastOnce.into()).await.unwrap();

    let names: Vec<String> = (0..14).map(|index| format!("subscriber {index}")).collect();
    let subscribers: Vec<_> = names.iter().map(|name| (name.clone(), dice.throw(u64::MAX))).collect();
    let subscribers: Vec<_> = subscribers
        .into_iter()
        .map(|(name, seed)| actix_rt::spawn(subscriber(address, name, seed)))
        .collect();
    let publishers: Vec<_> = (0..10)
        .map(|index| {
            actix_rt::spawn(publisher(address, format!("publisher-{index}"), dice.throw(u64::MAX), 300))
        })
        .collect();
    let mut stalled = Vec::new();
    let load = async {
        for publisher in publishers {
            publisher.await.unwrap();
        }
        for subscriber in subscribers {
            stalled.push(subscriber.await.unwrap());
        }
    };
    timeout(DEADLINE, load).await.expect("the load ends within the deadline");
    while let Some(packet) = watcher.next(PATIENCE).await {
        watcher.react(packet, dice).await.unwrap();
    }
    drop(watcher);

    let ledger = at_rest(&node).await;
    println!("{ledger:?}");
    assert!(ledger.balanced, "seed {seed}: {ledger:?}");
    assert!(ledger.delivered > 0 && ledger.published >= 2500, "seed {seed}: {ledger:?}");
    client_ledgers_add_up(&node, &names).await;

    // Everybody returns and takes what waits; then nothing is queued.
    drop(stalled);
    let began = Instant::now();
    loop {
        for name in &names {
            drain(address, name).await;
        }
        let ledger = at_rest(&node).await;
        assert!(ledger.balanced, "seed {seed}: {ledger:?}");
        assert_eq!(client_ledgers_add_up(&node, &names).await, names.len());
        if ledger.queued == 0 {
            break;
        }
        assert!(began.elapsed() < DEADLINE, "seed {seed}: {ledger:?} and nobody gets what is queued");
    }
    node.shutdown(Duration::from_secs(5)).await;
}

/// Resumes a session and acknowledges all that comes, until nothing comes; then its subscriptions are all there is.
async fn drain(address: SocketAddr, name: &str) {
    let mut connect = Connect::new(ProtocolVersion::V5, name);
    connect.clean_start = false;
    connect.properties.session_expiry_interval = Some(3600);
    let mut wild = Wild::connect(address, connect).await.expect("the node accepts a returning client");
    while let Some(packet) = wild.next(PATIENCE).await {
        let answer = match packet {
            Packet::Publish(publish) => match (publish.qos, publish.packet_identifier) {
                (QoS::AtLeastOnce, Some(identifier)) => {
                    Packet::PubAck(Ack::new(identifier, ReasonCode::Success))
                }
                (QoS::ExactlyOnce, Some(identifier)) => {
                    Packet::PubRec(Ack::new(identifier, ReasonCode::Success))
                }
                _ => continue,
            },
            Packet::PubRel(ack) => Packet::PubComp(Ack::new(ack.packet_identifier, ReasonCode::Success)),
            _ => continue,
        };
        wild.send(&answer).await.expect("the node reads");
    }
}

macro_rules! runs {
    ($($name:ident: $workers:literal workers, seed $seed:literal;)+) => {
        $(#[actix::test]
        async fn $name() {
            run($workers, $seed).await;
        })+
    };
}

runs! {
    adds_up_on_one_worker: 1 workers, seed 1;
    adds_up_on_one_worker_with_another_seed: 1 workers, seed 2;
    adds_up_on_three_workers: 3 workers, seed 3;
    adds_up_on_three_workers_with_another_seed: 3 workers, seed 4;
    adds_up_on_three_workers_with_a_third_seed: 3 workers, seed 5;
}
