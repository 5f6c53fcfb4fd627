//! What was published, and which copies of it are expected where.

use bytes::Bytes;
use mqtt_codec::QoS;
use tokio::time::Instant;

/// One application message. Topic name and payload tell it from all others, unless the payload is empty.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) topic: &'static str,
    pub(crate) payload: Bytes,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) expiry: Option<u32>,
    /// Messages of one lane have an order.
    pub(crate) lane: usize,
    pub(crate) at: Instant,
}

/// Where a copy is expected.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Session { client: usize, session: u64, copy: usize },
    Group { filter: &'static str, entry: usize },
}

/// One time that a message was given to the node; QoS 1 that is sent again is given again.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) message: usize,
    pub(crate) round: u32,
    /// When the node was given it; when it was given it again.
    pub(crate) at: (Instant, Instant),
    /// The node has it for sure.
    pub(crate) certain: bool,
    /// And whether the copy was certain before the node might not have had it.
    pub(crate) copies: Vec<(Place, bool)>,
}

/// A copy for one session.
#[derive(Debug, Clone)]
pub(crate) struct Copy {
    pub(crate) instance: usize,
    /// Its place among all instances: not before, and not behind.
    pub(crate) order: (usize, usize),
    pub(crate) message: usize,
    pub(crate) how: How,
    /// It must arrive.
    pub(crate) certain: bool,
    pub(crate) received: bool,
    /// For a retained message that a subscription asked for: its filter.
    pub(crate) replay: Option<&'static str>,
}

/// How a copy is to look.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct How {
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) identifiers: Vec<u32>,
}

/// A message for one member of a shared group.
#[derive(Debug, Clone)]
pub(crate) struct GroupEntry {
    pub(crate) instance: usize,
    pub(crate) message: usize,
    pub(crate) certain: bool,
    pub(crate) received: bool,
    /// The member that had it went without acknowledging: another one may get it.
    pub(crate) loose: bool,
}
