//! The clients of such a run.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use micro_mq_actors::simulation::SimulatedClient;
use mqtt_codec::{Packet, ProtocolVersion, QoS, encode};
use tokio::time::Instant;

use super::history::Moment;

/// A will that was given with a CONNECT.
#[derive(Debug)]
pub(super) struct Will {
    pub(super) client: usize,
    pub(super) topic: usize,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// For how long it waits for its client to come back, unless its session ends before, in seconds.
    pub(super) delay: u32,
    /// Its place among what was published, once it was.
    pub(super) published: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) name: String,
    pub(super) version: ProtocolVersion,
    /// The filters that it chooses among; without subscription identifiers none of them overlap.
    pub(super) filters: &'static [&'static str],
    /// It takes little at a time.
    pub(super) is_slow: bool,
    pub(super) link: Option<Link>,
    pub(super) session: Option<Session>,
    pub(super) last_identifier: u16,
}

/// A network connection of a client.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) number: u64,
    pub(super) wire: SimulatedClient,
    pub(super) version: ProtocolVersion,
    pub(super) is_connected: bool,
    /// Of the session, in seconds.
    pub(super) expiry: u32,
    /// What CONNACK has to say; none if the session may have expired.
    pub(super) session_present: Option<bool>,
    pub(super) will: Option<usize>,
    /// Publishes to be acknowledged.
    pub(super) unacknowledged: BTreeMap<u16, usize>,
    /// SUBSCRIBE and UNSUBSCRIBE to be answered, with the request of each.
    pub(super) asked: VecDeque<(u16, usize)>,
    /// Acknowledgements that the client owes.
    pub(super) owed: VecDeque<Packet>,
}

impl Link {
    pub(super) fn encoded(&self, packet: &Packet) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(packet, self.version, u32::MAX, &mut bytes).expect("a packet of this version");
        bytes
    }
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) number: u64,
    /// In seconds.
    pub(super) expiry: u32,
    /// The last request for each filter that there was one for.
    pub(super) subscriptions: BTreeMap<&'static str, usize>,
    /// A will that waits for the session to end, or for its delay to pass.
    pub(super) will: Option<usize>,
    /// Since when its client is away.
    pub(super) left: Option<(Instant, Moment)>,
    /// When the node knew of that, at the latest.
    pub(super) noticed: Option<Instant>,
}

impl Session {
    pub(super) fn new(number: u64, expiry: u32) -> Self {
        Self { number, expiry, subscriptions: BTreeMap::new(), will: None, left: None, noticed: None }
    }

    /// Whether its client may have been away for so many seconds.
    pub(super) fn may_be_away_for(&self, seconds: u32) -> bool {
        self.left.is_some_and(|(since, _)| has_passed(since, seconds))
    }

    /// Whether it was, as far as the node knows, and for a little longer.
    pub(super) fn is_away_for(&self, seconds: u32) -> bool {
        self.noticed.is_some_and(|since| has_passed(since + MARGIN, seconds))
    }
}

/// How exactly the node keeps the time.
const MARGIN: Duration = Duration::from_millis(300);

fn has_passed(since: Instant, seconds: u32) -> bool {
    Instant::now() >= since + Duration::from_secs(seconds.into())
}

impl Client {
    /// A packet identifier that was never in use.
    pub(super) fn next_identifier(&mut self) -> u16 {
        self.last_identifier += 1;
        self.last_identifier
    }
}
