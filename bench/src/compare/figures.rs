//! Which figures of a result are compared, and where it holds them.

use serde_json::Value;

use super::input::{Mistake, number};
use crate::scenario::Scenario;

/// Settings under which figures are comparable: names, and where they stand.
pub(super) const SETTINGS: &[(&str, &str)] = &[
    ("transport", "shape.transport"),
    ("threads", "shape.threads"),
    ("mqtt", "shape.mqtt"),
    ("qos", "shape.qos"),
    ("publishers", "shape.publishers"),
    ("subscribers", "shape.subscribers"),
    ("window", "shape.window"),
    ("payload", "shape.payload"),
    ("burst", "shape.burst"),
    ("outstanding", "shape.outstanding"),
    ("topic per publisher", "shape.topic_per_publisher"),
    ("filters", "shape.filters"),
    ("rate", "shape.rate"),
    ("deaf", "slow.deaf"),
    ("flood", "slow.flood.publishers"),
    ("read rate", "slow.flood.read_bytes_per_second"),
    ("connections", "idle.connections"),
    ("burst bytes", "idle.after_burst.bytes"),
    ("connections", "connect.connections"),
    ("handshakes", "connect.handshakes"),
    ("clients", "churn.clients"),
    ("subscriptions", "subscribe.count"),
    ("messages", "retain.count"),
];

/// What must be 0 in a clean run.
pub(super) const COUNTS: [&str; 4] =
    ["faults.lost", "faults.duplicated", "faults.out_of_order", "unacknowledged"];

/// One figure of a result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figure {
    pub name: &'static str,
    pub unit: &'static str,
    path: &'static str,
    /// What is taken away from it.
    less: Option<&'static str>,
    /// What its unit is in that of the result.
    scale: f64,
}

impl Figure {
    const fn new(name: &'static str, unit: &'static str, path: &'static str) -> Self {
        Self { name, unit, path, less: None, scale: 1.0 }
    }

    /// The figure without that at `path`.
    const fn less(self, path: &'static str) -> Self {
        Self { less: Some(path), ..self }
    }

    /// Bytes as MiB.
    const fn mebibytes(name: &'static str, path: &'static str) -> Self {
        Self { scale: (1 << 20) as f64, ..Self::new(name, "MiB", path) }
    }

    /// Its value in a result, if that has one.
    pub(super) fn of(&self, result: &Value) -> Result<Option<f64>, Mistake> {
        let less = match self.less {
            None => Some(0.0),
            Some(path) => number(result, path)?,
        };
        Ok(number(result, self.path)?.zip(less).map(|(value, less)| (value - less) / self.scale))
    }
}

/// Broker CPU with its parts, and that of the generator, for each message or connection.
macro_rules! cpu {
    ($of:literal, $broker:literal, $generator:literal) => {
        [
            Figure::new(concat!($of, "broker CPU"), "us", concat!($broker, ".us_each")),
            Figure::new(concat!($of, "broker user CPU"), "us", concat!($broker, ".user_us_each")),
            Figure::new(concat!($of, "broker system CPU"), "us", concat!($broker, ".us_each"))
                .less(concat!($broker, ".user_us_each")),
            Figure::new(concat!($of, "generator CPU"), "us", concat!($generator, ".us_each")),
        ]
    };
}

/// The figures of a scenario, in the order in which they are shown.
pub(super) fn figures(scenario: Scenario) -> impl Iterator<Item = &'static Figure> {
    groups(scenario).iter().copied().flatten()
}

const fn groups(scenario: Scenario) -> &'static [&'static [Figure]] {
    match scenario {
        Scenario::Pub
        | Scenario::FanIn
        | Scenario::FanOut
        | Scenario::Pairs
        | Scenario::Wild
        | Scenario::Shared
        | Scenario::Paced => LOAD,
        Scenario::Slow => SLOW,
        Scenario::Idle => IDLE,
        Scenario::Connect => CONNECT,
        Scenario::Churn => CHURN,
        Scenario::Subscribe => SUBSCRIBE,
        Scenario::Retain => RETAIN,
    }
}

const LOAD: &[&[Figure]] = &[
    &[Figure::new("rate", "messages/s", "load.messages_per_second")],
    &cpu!("", "load.broker.cpu", "load.generator"),
    &[
        Figure::new("p50", "us", "load.latency_us.p50"),
        Figure::new("p99", "us", "load.latency_us.p99"),
        Figure::mebibytes("broker memory", "load.broker.resident_peak"),
    ],
];

const SLOW: &[&[Figure]] = &[&[
    Figure::new("p50 alone", "us", "slow.alone_us.p50"),
    Figure::new("p99 alone", "us", "slow.alone_us.p99"),
    Figure::new("p50 beside", "us", "slow.beside_us.p50"),
    Figure::new("p99 beside", "us", "slow.beside_us.p99"),
    Figure::mebibytes("memory growth", "slow.resident_growth"),
    Figure::new("flood alone", "messages/s", "slow.flood.alone_per_second"),
    Figure::new("flood beside", "messages/s", "slow.flood.beside_per_second"),
    Figure::new("flood not delivered", "messages", "slow.flood.not_delivered"),
]];

const IDLE: &[&[Figure]] = &[
    &[Figure::new("rate", "connections/s", "idle.connects_per_second")],
    &cpu!("", "idle.broker", "idle.generator"),
    &[
        Figure::new("memory each", "B", "idle.resident_bytes_per_connection"),
        Figure::new("memory each after burst", "B", "idle.after_burst.resident_bytes_per_connection"),
    ],
];

const CONNECT: &[&[Figure]] = &[
    &[Figure::new("coming", "connections/s", "connect.connecting.per_second")],
    &cpu!("coming: ", "connect.connecting.broker", "connect.connecting.generator"),
    &[Figure::new("going", "connections/s", "connect.disconnecting.per_second")],
    &cpu!("going: ", "connect.disconnecting.broker", "connect.disconnecting.generator"),
];

const CHURN: &[&[Figure]] = &[
    &[Figure::new("rate", "connections/s", "churn.connections_per_second")],
    &cpu!("", "churn.broker", "churn.generator"),
    &[
        Figure::new("p50", "us", "churn.connection_us.p50"),
        Figure::new("p99", "us", "churn.connection_us.p99"),
    ],
];

const SUBSCRIBE: &[&[Figure]] = &[
    &[Figure::new("rate", "subscriptions/s", "subscribe.per_second")],
    &cpu!("", "subscribe.broker", "subscribe.generator"),
    &[Figure::new("memory each", "B", "subscribe.resident_bytes_each")],
];

const RETAIN: &[&[Figure]] = &[
    &[Figure::new("rate", "messages/s", "retain.per_second")],
    &cpu!("", "retain.broker", "retain.generator"),
    &[Figure::new("memory each", "B", "retain.resident_bytes_each")],
];
