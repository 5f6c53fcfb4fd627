//! The names of the scenarios, and what holds for each unless the command line says otherwise.

use serde::Serialize;

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
}
