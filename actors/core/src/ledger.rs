//! The ledger: what became of every message that matched a subscription.
//!
//! Invariant, exact whenever nothing is on its way between two actors: matched + restored = delivered + queued + the sum of
//! the dropped. Each fate is counted at the one place where it is decided. A worker writes its own page and nobody else's,
//! so counting is a plain load and store; anybody may read.

use std::sync::Arc;

use crate::count::Counter;
use crate::kept::{Kept, NodeKept};
use crate::outbox::{Ended, Outbox};

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $variant:ident => $label:literal),+ $(,)?) => {
        /// Why a message that matched a subscription was not delivered.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum DropReason { $($(#[$doc])* $variant),+ }

        impl DropReason {
            /// Every reason, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The reason as metrics and the admin API name it.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label),+ }
            }
        }
    };
}

drop_reasons! {
    /// QoS 0, and the bytes waiting for the network connection had reached their limit.
    OutboxFull => "outbox_full",
    /// The session's queue had reached its limit of messages or bytes.
    QueueFull => "queue_full",
    /// What waits on the whole node had reached its limit of bytes.
    NodeQueueFull => "node_queue_full",
    /// The message expiry interval passed before it was sent.
    Expired => "expired",
    /// The packet would exceed the client's maximum packet size [MQTT-3.1.2-24].
    TooLargeForClient => "too_large_for_client",
    /// The session ended while the message waited for it.
    SessionGone => "session_gone",
    /// QoS 0 for a session that was offline.
    Offline => "offline",
    /// QoS 0 that was not yet written when the network connection closed.
    ConnectionClosed => "connection_closed",
    /// A shared subscription had no member that could take it.
    SharedGroupEmpty => "shared_group_empty",
    /// The client answered with an error reason code [MQTT-4.8.2-6].
    RefusedByClient => "refused_by_client",
}

/// How many reasons there are.
pub const DROP_REASONS: usize = DropReason::ALL.len();

/// One worker's page.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Publishes routed, whatever they matched.
    pub published: Counter,
    /// Publishes that matched no subscription at all, counted once by the worker that received them.
    pub unmatched: Counter,
    /// Matches: one per message and subscription that wants a copy of it.
    pub matched: Counter,
    /// QoS 0 written to the socket; QoS 1 and 2 acknowledged.
    pub delivered: Counter,
    /// PUBLISH packets put into outboxes, those sent again included.
    pub sent: Counter,
    /// Bytes of their payloads.
    pub sent_bytes: Counter,
    /// Bytes of what waits.
    pub kept: Kept,
    dropped: [Counter; DROP_REASONS],
    /// What of all this are the node's own messages, `$SYS`.
    pub own: OwnMessages,
    /// Messages that came back with their sessions when the node started: they matched in an earlier process.
    pub restored: Counter,
}

/// The node's own messages on one worker's page, which holds them too: the rest is of clients, and for each of both
/// matched = delivered + queued + dropped. Those that wait are [`Kept::waiting_own`].
#[derive(Debug, Default)]
pub struct OwnMessages {
    /// Publishes routed.
    pub published: Counter,
    /// Publishes that matched no subscription.
    pub unmatched: Counter,
    /// Matches.
    pub matched: Counter,
    /// Delivered.
    pub delivered: Counter,
    /// PUBLISH packets put into outboxes.
    pub sent: Counter,
    /// Bytes of their payloads.
    pub sent_bytes: Counter,
    dropped: [Counter; DROP_REASONS],
}

impl OwnMessages {
    /// How many were dropped for this reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize].get()
    }
}

impl Ledger {
    /// An empty page of a node's.
    pub fn of(node: &Arc<NodeKept>) -> Self {
        Self { kept: Kept::new(node), ..Self::default() }
    }

    /// Counts a PUBLISH that was put into an outbox, one of the node's own if `own`.
    #[inline]
    pub fn note_sent(&self, payload_bytes: usize, own: bool) {
        self.sent.add(1);
        self.sent_bytes.add(payload_bytes as u64);
        if own {
            self.own.sent.add(1);
            self.own.sent_bytes.add(payload_bytes as u64);
        }
    }

    /// Counts `n` matches, of the node's own messages if `own`.
    #[inline]
    pub fn match_n(&self, n: u64, own: bool) {
        self.matched.add(n);
        if own {
            self.own.matched.add(n);
        }
    }

    /// Counts messages as delivered, of which `own` are the node's own.
    #[inline]
    pub fn deliver_n(&self, n: u64, own: u64) {
        self.delivered.add(n);
        if own > 0 {
            self.own.delivered.add(own);
        }
    }

    /// Counts `n` messages as dropped, of the node's own if `own`.
    #[inline]
    pub fn drop_n(&self, reason: DropReason, n: u64, own: bool) {
        self.dropped[reason as usize].add(n);
        if own {
            self.own.dropped[reason as usize].add(n);
        }
    }

    /// A network connection is over: of the QoS 0 messages in its outbox, those written whole are delivered and the others
    /// lost. Returns how many of each.
    pub fn close(&self, outbox: Outbox) -> (u64, u64) {
        let Ended { written, lost } = outbox.finish();
        let all = written.all + lost.all;
        self.kept.end_n(all.into(), (written.own + lost.own).into());
        self.deliver_n(written.all.into(), written.own.into());
        self.drop_n(DropReason::ConnectionClosed, (lost.all - lost.own).into(), false);
        self.drop_n(DropReason::ConnectionClosed, lost.own.into(), true);
        (written.all.into(), lost.all.into())
    }

    /// How many were dropped for this reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize].get()
    }

    /// How many were dropped, all reasons together.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().map(Counter::get).sum()
    }
}

/// One client's part of the ledger, kept with its session.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Messages that matched one of its subscriptions, or were given to it as a member of a shared subscription; those that
    /// came back with it when the node started, too.
    pub matched: u64,
    /// Delivered to it.
    pub delivered: u64,
    /// None before the first of these.
    rare: Option<Box<RareTally>>,
}

/// What few clients have in their part of the ledger.
#[derive(Debug, Default, Clone)]
struct RareTally {
    returned: u64,
    dropped: [u64; DROP_REASONS],
}

impl Tally {
    /// Counts `n` messages as dropped.
    pub fn drop_n(&mut self, reason: DropReason, n: u64) {
        self.rare.get_or_insert_default().dropped[reason as usize] += n;
    }

    /// How many were dropped for this reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.rare.as_ref().map_or(0, |rare| rare.dropped[reason as usize])
    }

    /// How many were dropped, all reasons together.
    pub fn dropped_total(&self) -> u64 {
        self.rare.as_ref().map_or(0, |rare| rare.dropped.iter().sum())
    }

    /// Counts `n` messages as given back to a shared subscription's group.
    pub fn return_n(&mut self, n: u64) {
        self.rare.get_or_insert_default().returned += n;
    }

    /// How many were given back to a shared subscription's group.
    pub fn returned(&self) -> u64 {
        self.rare.as_ref().map_or(0, |rare| rare.returned)
    }
}
