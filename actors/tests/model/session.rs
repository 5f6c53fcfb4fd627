//! What the model knows of a session.

use std::collections::{BTreeMap, BTreeSet};

use mqtt_codec::{QoS, SubscriptionOptions};
use tokio::time::Instant;

use super::message::{Copy, Message};

/// What a subscription may be: more than one while its client does not know whether the node heard it.
#[derive(Debug, Clone)]
pub(crate) struct Variant {
    /// None: it does not exist.
    pub(crate) wanted: Option<(SubscriptionOptions, u32)>,
    /// The packet that asked for it and the network connection it was sent on, until it is answered.
    pub(crate) asked: Option<(u16, u64)>,
    pub(crate) round: u32,
}

/// What the client did for a QoS 1 or 2 message that it received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Received,
    /// PUBACK or PUBCOMP was sent: it is over when the node has that.
    Over,
    /// PUBREC was sent.
    Recorded,
}

/// A QoS 1 or 2 message that the node may hold as unacknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Inflight {
    pub(crate) message: usize,
    pub(crate) qos: QoS,
    pub(crate) phase: Phase,
    /// The node has what `phase` says.
    pub(crate) sure: bool,
    /// PUBREL came.
    pub(crate) is_released: bool,
    /// The process was killed, and it may have come as a retained message or through a group: then the next one may not
    /// know of it.
    pub(crate) is_loose: bool,
    /// In which order they were received first.
    pub(crate) order: u64,
    /// The network connection that it was last received on.
    pub(crate) link: u64,
    /// Through a shared subscription: its group and entry.
    pub(crate) group: Option<(&'static str, usize)>,
}

/// A will that waits for its session's client to stay away.
#[derive(Debug, Clone)]
pub(crate) struct Will {
    pub(crate) message: Message,
    pub(crate) delay: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// Tells it from the other sessions of its client.
    pub(crate) number: u64,
    pub(crate) expiry: u32,
    pub(crate) subscriptions: BTreeMap<&'static str, Vec<Variant>>,
    /// The round in which its client last asked for a change of them.
    pub(crate) changed: u32,
    /// Memberships in shared groups, past ones included.
    pub(crate) memberships: Vec<(&'static str, SubscriptionOptions, u32)>,
    /// Subscriptions that asked for retained messages, past ones included.
    pub(crate) replays: Vec<(&'static str, SubscriptionOptions, u32)>,
    pub(crate) copies: Vec<Copy>,
    pub(crate) inflight: BTreeMap<u16, Inflight>,
    /// Packet identifiers of what was in flight when the process was killed: the next one may go on with them.
    pub(crate) finished: BTreeSet<u16>,
    /// By lane, topic and what has one order: the instance received last.
    pub(crate) latest: BTreeMap<(usize, &'static str, QoS), usize>,
    /// Since when no network connection holds it: not before, and not after.
    pub(crate) offline: Option<(Instant, Instant)>,
    /// It may have expired.
    pub(crate) doubtful: bool,
    pub(crate) will: Option<Will>,
    /// Others that may be published in its place: a crash left it open which the session has.
    pub(crate) doubtful_wills: Vec<Will>,
    /// No network connection holds it because the process was killed.
    pub(crate) was_cut_off: bool,
}

impl Session {
    pub(crate) fn new(number: u64, expiry: u32) -> Self {
        Self {
            number,
            expiry,
            subscriptions: BTreeMap::new(),
            changed: 0,
            memberships: Vec::new(),
            replays: Vec::new(),
            copies: Vec::new(),
            inflight: BTreeMap::new(),
            finished: BTreeSet::new(),
            latest: BTreeMap::new(),
            offline: None,
            doubtful: false,
            will: None,
            doubtful_wills: Vec::new(),
            was_cut_off: false,
        }
    }

    /// Nothing that it was to get must arrive any more.
    pub(crate) fn doubt(&mut self, which: impl Fn(&Copy) -> bool) {
        self.copies.iter_mut().filter(|copy| which(copy)).for_each(|copy| copy.certain = false);
    }
}
