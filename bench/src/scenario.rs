//! The scenarios: which clients there are, and what they publish and hear.

mod churn;
mod connect;
mod idle;
mod load;
mod parts;
mod retain;
mod slow;
mod subscribe;

use std::process;

use serde::Serialize;

use crate::{
    arguments::Arguments,
    engine::{Churner, Client, Crew, Deaf, Flooder, Publisher, Role, Settings, Subscriber, Subscription},
    failure::Failure,
    process::Process,
    report::Report,
    wire::PublishFrame,
};

/// What is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scenario {
    /// Publishers, nobody listening.
    Pub,
    /// Many publishers, one subscriber.
    FanIn,
    /// One publisher, many subscribers.
    FanOut,
    /// Publishers and subscribers two by two.
    Pairs,
    /// Many wildcard filters, topic names drawn at random.
    Wild,
    /// One share group.
    Shared,
    /// Pairs at a fixed rate.
    Paced,
    /// Paced pairs beside subscribers that never read.
    Slow,
    /// Connections merely held.
    Idle,
    /// Connections that come and go.
    Connect,
    /// The same, with a subscription and a message each.
    Churn,
    /// Very many exact subscriptions.
    Subscribe,
    /// Very many retained messages.
    Retain,
}

/// Defaults that depend on the scenario.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Defaults {
    /// Publishing clients.
    pub publishers: u32,
    /// Subscribing clients; `None` where the scenario decides.
    pub subscribers: Option<u32>,
    /// Bytes of payload.
    pub payload: usize,
    /// Most deliveries outstanding.
    pub outstanding: u64,
    /// Messages per second.
    pub rate: Option<f64>,
    /// Clients that only connect.
    pub connections: u32,
    /// Topic filters over all subscribers.
    pub filters: u32,
}

/// Size of topic names and filters where their memory is measured, if the number of the run leaves room for it.
const NAME_BYTES: usize = 40;

const ALL: [Scenario; 13] = [
    Scenario::Pub,
    Scenario::FanIn,
    Scenario::FanOut,
    Scenario::Pairs,
    Scenario::Wild,
    Scenario::Shared,
    Scenario::Paced,
    Scenario::Slow,
    Scenario::Idle,
    Scenario::Connect,
    Scenario::Churn,
    Scenario::Subscribe,
    Scenario::Retain,
];

impl Scenario {
    /// The name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pub => "pub",
            Self::FanIn => "fanin",
            Self::FanOut => "fanout",
            Self::Pairs => "pairs",
            Self::Wild => "wild",
            Self::Shared => "shared",
            Self::Paced => "paced",
            Self::Slow => "slow",
            Self::Idle => "idle",
            Self::Connect => "connect",
            Self::Churn => "churn",
            Self::Subscribe => "subscribe",
            Self::Retain => "retain",
        }
    }

    /// Where a report holds its figures.
    pub(crate) const fn section(self) -> &'static str {
        match self {
            Self::Pub
            | Self::FanIn
            | Self::FanOut
            | Self::Pairs
            | Self::Wild
            | Self::Shared
            | Self::Paced => "load",
            Self::Slow | Self::Idle | Self::Connect | Self::Churn | Self::Subscribe | Self::Retain => {
                self.name()
            }
        }
    }

    /// The scenario of this name.
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    /// It is about connections, not about messages between publishers and subscribers.
    pub(crate) const fn is_crowd(self) -> bool {
        matches!(self, Self::Idle | Self::Connect | Self::Churn | Self::Subscribe)
    }

    /// The names of all, to choose from.
    pub(crate) fn names() -> String {
        ALL.map(Self::name).join(", ")
    }

    /// What holds unless the command line says otherwise.
    pub(crate) const fn defaults(self) -> Defaults {
        let others = Defaults {
            publishers: 1,
            subscribers: None,
            payload: 64,
            outstanding: 5_000,
            rate: None,
            connections: 19_000,
            filters: 100_000,
        };
        match self {
            Self::Pub | Self::Idle | Self::Connect | Self::Churn => others,
            Self::Retain => Defaults { publishers: 10, ..others },
            Self::Subscribe => Defaults { connections: 1000, filters: 1_000_000, ..others },
            Self::FanIn => Defaults { publishers: 1000, subscribers: Some(1), outstanding: 10_000, ..others },
            Self::FanOut => Defaults { subscribers: Some(1000), outstanding: 50_000, ..others },
            Self::Pairs => Defaults { publishers: 500, ..others },
            Self::Wild => Defaults { publishers: 10, subscribers: Some(1000), ..others },
            Self::Shared => Defaults { publishers: 10, subscribers: Some(10), ..others },
            Self::Paced => Defaults { publishers: 100, rate: Some(10_000.0), ..others },
            // Enough bytes to fill any socket and outbox within seconds.
            Self::Slow => Defaults { publishers: 100, payload: 1024, rate: Some(10_000.0), ..others },
        }
    }

    /// Runs it to the end.
    pub(crate) fn run(self, arguments: &Arguments) -> Result<Report, Failure> {
        match self {
            Self::Pub
            | Self::FanIn
            | Self::FanOut
            | Self::Pairs
            | Self::Wild
            | Self::Shared
            | Self::Paced => load::run(arguments),
            Self::Slow => slow::run(arguments),
            Self::Idle => idle::run(arguments),
            Self::Connect => connect::run(arguments),
            Self::Churn => churn::run(arguments),
            Self::Subscribe => subscribe::run(arguments),
            Self::Retain => retain::run(arguments),
        }
    }
}

/// The clients of one run, with names that no other run has.
struct Cast<'a> {
    arguments: &'a Arguments,
    run: u32,
}

impl<'a> Cast<'a> {
    fn new(arguments: &'a Arguments) -> Self {
        Self { arguments, run: process::id() }
    }

    /// Deliveries that each publish brings about.
    fn fan_out(&self) -> u64 {
        match self.arguments.scenario {
            Scenario::Pub | Scenario::Idle | Scenario::Connect | Scenario::Subscribe | Scenario::Retain => 0,
            Scenario::Pairs | Scenario::Paced | Scenario::Slow | Scenario::Shared | Scenario::Churn => 1,
            Scenario::Wild => 2,
            Scenario::FanIn | Scenario::FanOut => u64::from(self.arguments.subscribers),
        }
    }

    /// Groups of subscribers that divide the messages among them.
    fn groups(&self) -> usize {
        match self.arguments.scenario {
            Scenario::Shared => 1,
            Scenario::Wild => 2,
            _ => 0,
        }
    }

    fn engine(&self) -> Result<Crew, Failure> {
        let Arguments {
            broker,
            version,
            keep_alive_seconds,
            payload,
            burst,
            outstanding,
            handshakes,
            timeout,
            pid,
            progress,
            ..
        } = *self.arguments;
        let settings = Settings {
            address: broker,
            layers: self.arguments.layers()?,
            sources: self.arguments.sources.clone(),
            version,
            keep_alive_seconds,
            payload: self.arguments.burst_bytes.unwrap_or(payload),
            burst,
            outstanding,
            fan_out: self.fan_out(),
            handshakes,
            groups: self.groups(),
            timeout,
            broker: pid.map(Process::new),
            progress,
        };
        Crew::new(&settings, self.arguments.threads)
    }

    fn publisher(&self, number: u32) -> Client {
        if self.arguments.scenario == Scenario::Wild {
            return self.drawing_publisher(number);
        }
        let Arguments { version, qos, payload, window, .. } = *self.arguments;
        let frame = PublishFrame::new(version, &self.topic(Some(number)), qos, payload);
        Client {
            client_identifier: self.client_identifier('p', number),
            role: Role::Publisher(Publisher::new(number, frame, qos, window)),
            subscription: None,
        }
    }

    fn subscriber(&self, number: u32) -> Client {
        match self.arguments.scenario {
            Scenario::Wild => return self.wildcard_subscriber(number),
            Scenario::Shared => return self.group_member(number),
            _ => {}
        }
        let paired = self.is_paired();
        let heard =
            if paired { Subscriber::new(number, 1) } else { Subscriber::new(0, self.arguments.publishers) };
        let filter = self.topic(paired.then_some(number));
        Client {
            client_identifier: self.client_identifier('s', number),
            role: Role::Subscriber(heard),
            subscription: Some(Subscription::one(&filter, self.arguments.qos)),
        }
    }

    /// Hears the flood, or all without one, and reads slowly or nothing.
    fn deaf(&self, number: u32) -> Client {
        let filter = if self.arguments.flood > 0 { self.flood_topic() } else { self.topic(None) };
        Client {
            client_identifier: self.client_identifier('d', number),
            role: Role::Deaf(Deaf::new(self.arguments.read_rate)),
            subscription: Some(Subscription::one(&filter, self.arguments.qos)),
        }
    }

    /// Publishes as much as its socket takes.
    fn flooder(&self, number: u32) -> Client {
        let Arguments { version, payload, .. } = *self.arguments;
        let frame = PublishFrame::new(version, &self.flood_topic(), 0, payload);
        Client {
            client_identifier: self.client_identifier('f', number),
            role: Role::Flooder(Flooder::new(number, frame)),
            subscription: None,
        }
    }

    /// The topic name of all flooders, which the pairs do not hear.
    fn flood_topic(&self) -> String {
        format!("{}/flood/all", self.base())
    }

    fn idle(&self, number: u32) -> Client {
        let filter = || Subscription::one(&self.idle_topic(number), self.arguments.qos);
        Client {
            client_identifier: self.client_identifier('i', number),
            role: Role::Idle,
            subscription: self.arguments.subscribe.then(filter),
        }
    }

    /// Hears what it publishes.
    fn churner(&self, number: u32) -> Client {
        let Arguments { version, qos, payload, .. } = *self.arguments;
        let topic = format!("{}/{number}", self.topic(None));
        let frame = PublishFrame::new(version, &topic, qos, payload);
        let publisher = Publisher::new(number, frame, qos, 1);
        Client {
            client_identifier: self.client_identifier('c', number),
            role: Role::Churner(Churner::new(publisher, Subscriber::new(number, 1))),
            subscription: Some(Subscription::one(&topic, qos)),
        }
    }

    /// The topic name and filter of a client that is merely connected.
    fn idle_topic(&self, number: u32) -> String {
        format!("{}/{number}", self.topic(None))
    }

    fn is_paired(&self) -> bool {
        matches!(self.arguments.scenario, Scenario::Pairs | Scenario::Paced | Scenario::Slow)
    }

    /// The topic name of a publisher, or, without a number, the topic filter that hears them all.
    fn topic(&self, number: Option<u32>) -> String {
        let base = self.base();
        if !self.arguments.topic_per_publisher && !self.is_paired() {
            return base;
        }
        number.map_or_else(|| format!("{base}/+"), |number| format!("{base}/{number}"))
    }

    /// What all topic names of the run start with.
    fn base(&self) -> String {
        format!("bench/{:x}/{}", self.run, self.arguments.scenario.name())
    }

    /// 20 characters, which every broker has to admit (up to 23 [MQTT-3.1.3-5]).
    fn client_identifier(&self, kind: char, number: u32) -> String {
        format!("bench{:08x}{kind}{number:06}", self.run)
    }
}
