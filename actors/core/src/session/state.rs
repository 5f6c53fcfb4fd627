//! A session's state [MQTT-4.1.0-1]: what outlives its network connections, and the part that does not.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use mqtt_codec::{PacketIdentifier, ProtocolVersion, QoS};

use super::grant::Grant;
use super::incoming::IncomingIdentifiers;
use super::inflight::{Inflight, Owed};
use super::online::Online;
use super::recorded::RecordedCopies;
use super::replay::Replays;
use crate::groups::Burden;
use crate::ids::{Epoch, SessionKey};
use crate::kept::Share;
use crate::ledger::Tally;
use crate::message::QUEUED_OVERHEAD_BYTES;
use crate::queue::{Queue, Queued};
use crate::rules::Rules;
use crate::subscriptions::Subscriptions;

/// A session expiry interval that never ends.
pub const NEVER_EXPIRES: u32 = u32::MAX;

/// The will message of a network connection, waiting for its end.
#[derive(Debug)]
pub struct Will {
    /// Topic name.
    pub topic: Box<str>,
    /// Payload.
    pub payload: bytes::Bytes,
    /// The properties a server passes on, encoded.
    pub properties: Box<[u8]>,
    /// QoS it is published with.
    pub qos: QoS,
    /// RETAIN it is published with.
    pub retain: bool,
    /// Will delay interval, in seconds.
    pub delay_seconds: u32,
    /// Message expiry interval, in seconds from when it is published.
    pub expiry_seconds: Option<u32>,
    /// What it takes of what may wait on the node.
    pub share: Option<Share>,
    /// Who publishes it.
    pub client_identifier: Box<str>,
    /// Who that client showed itself to be.
    pub user_name: Option<Box<str>>,
    /// What that client was allowed by.
    pub grant: Option<Arc<Grant>>,
    /// The revision of the rules by which it was allowed.
    pub revision: u64,
    /// For how long that counts; none: as long as those rules are in force.
    pub allowed_until: Option<Instant>,
}

impl Will {
    /// What it costs as long as it waits, its place included.
    pub fn queued_bytes(&self) -> usize {
        let names = self.client_identifier.len() + self.user_name.as_ref().map_or(0, |name| name.len());
        self.topic.len() + self.payload.len() + self.properties.len() + names + QUEUED_OVERHEAD_BYTES
    }

    /// Whether it may be published as it was allowed, without asking once more.
    pub fn is_allowed_still(&self, rules: Rules, now: Instant) -> bool {
        rules.allow_still(self.revision, self.allowed_until, now)
    }
}

/// Messages to the client that are not settled.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// Sent and not acknowledged.
    pub inflight: Inflight,
    /// Not sent.
    pub queue: Queue,
    /// QoS 0 that waits until what was retained before it is sent; beside the others, which may wait for the client.
    pub held_at_most_once: Queue,
    /// How many messages were ever appended to those two. Each has its number as its place.
    pub appended: u64,
    /// Those in flight that are still to be sent again on this network connection, in order.
    pub resend: VecDeque<PacketIdentifier>,
    /// Whether the PUBRELs among them were brought forward, since the client's receive maximum does not hold them back.
    pub releases_first: bool,
    /// Whether what was retained as a subscription began was among them.
    pub resends_retained: bool,
    /// How many of those in flight, of those kept, were retained when a subscription began.
    pub replayed_in_flight: u32,
    /// Bytes of the messages kept for those in flight.
    pub inflight_bytes: usize,
    /// Bytes of the will, which waits for its client's end and counts as what waits for the client.
    pub will_bytes: usize,
    /// What is to be recorded of them.
    pub recorded: Option<Box<RecordedCopies>>,
}

impl Outgoing {
    /// None, beside this will.
    pub fn beside(will: Option<&Will>) -> Box<Self> {
        Box::new(Self { will_bytes: will.map_or(0, Will::queued_bytes), ..Self::default() })
    }

    /// How many there are.
    #[inline]
    pub fn waiting(&self) -> u64 {
        (self.inflight.len() + self.queued()) as u64
    }

    /// How many of them are not sent.
    #[inline]
    pub fn queued(&self) -> usize {
        self.queue.len() + self.held_at_most_once.len()
    }

    /// Their bytes, as far as they are kept.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.queue.bytes() + self.held_at_most_once.bytes() + self.inflight_bytes
    }

    /// The place of a message that is appended now.
    pub fn next_place(&mut self) -> u64 {
        self.appended += 1;
        self.appended
    }

    /// Whether all that waits comes behind a place.
    pub fn is_through(&self, place: u64) -> bool {
        let is_behind = |queue: &Queue| queue.front().is_none_or(|(first, _)| first > place);
        self.resend.is_empty() && is_behind(&self.queue) && is_behind(&self.held_at_most_once)
    }

    /// A message in flight is kept.
    pub(super) fn note_kept(&mut self, kept: &Queued) {
        self.inflight_bytes += kept.message.queued_bytes();
        self.replayed_in_flight += u32::from(kept.replayed);
    }

    /// It is kept no longer.
    pub(super) fn forget_kept(&mut self, kept: &Queued) {
        self.inflight_bytes -= kept.message.queued_bytes();
        self.replayed_in_flight -= u32::from(kept.replayed);
    }

    /// Whether retained messages that were sent before are still to be sent again.
    pub fn is_resending_retained(&self) -> bool {
        self.resends_retained && !self.resend.is_empty()
    }

    /// Whether no retained message waits, nor what comes behind one.
    pub fn has_passed_retained(&self) -> bool {
        self.held_at_most_once.is_empty() && !self.queue.replays_any() && !self.is_resending_retained()
    }

    /// Whether what a packet identifier in flight waits for is the PUBCOMP to a PUBREL.
    pub fn owes_release(&self, identifier: PacketIdentifier) -> bool {
        self.inflight.get(identifier).is_some_and(|entry| entry.owed == Owed::PubComp)
    }

    /// Puts the PUBRELs before the PUBLISHes of what is to be sent again, each in their order: a client that has as many
    /// publishes as it takes is to get everything else all the same [MQTT-3.3.4-10].
    pub fn bring_releases_forward(&mut self) {
        let resend = std::mem::take(&mut self.resend);
        let (releases, publishes): (Vec<_>, Vec<_>) =
            resend.into_iter().partition(|identifier| self.owes_release(*identifier));
        self.resend = releases.into_iter().chain(publishes).collect();
        self.releases_first = true;
    }
}

/// What a session has only while no network connection holds it.
#[derive(Debug, Default)]
pub struct Absence {
    /// Set between the end of a network connection and the moment it is dealt with.
    pub parting: Option<Parting>,
    /// When a delayed will is due.
    pub will_due: Option<Instant>,
    /// When it ends.
    pub expires_at: Option<Instant>,
}

impl Absence {
    /// When the first of what it waits for is due.
    pub fn next_due(&self) -> Option<Instant> {
        [self.will_due, self.expires_at].into_iter().flatten().min()
    }
}

/// How a session became offline, until that is dealt with.
#[derive(Debug, Clone, Copy)]
pub struct Parting {
    /// Whether the will is to be published, after its delay.
    pub publish_will: bool,
    /// When the network connection ended.
    pub at: Instant,
}

/// See the module.
#[derive(Debug)]
pub struct Session {
    /// Its name inside the node.
    pub key: SessionKey,
    /// Which of its network connections is the present, or was the last.
    pub epoch: Epoch,
    /// Client identifier and, behind it, user name: one piece of memory.
    names: Box<str>,
    client_identifier_bytes: u16,
    has_user_name: bool,
    /// While a network connection holds it.
    pub online: Option<Online>,
    /// Session expiry interval, in seconds. 0: it ends with its network connection.
    pub expiry_interval: u32,
    /// Whether records say that there is such a session.
    pub is_recorded: bool,
    /// Whether they say which messages it has, too.
    pub keeps_messages: bool,
    /// Protocol version of the present or last network connection.
    pub version: ProtocolVersion,
    /// Its subscriptions.
    pub subscriptions: Subscriptions,
    /// What those cost ([`subscription_bytes`]).
    pub subscription_bytes: usize,
    /// QoS 2 messages received and not released.
    pub incoming: IncomingIdentifiers,
    /// Messages to the client.
    pub outgoing: Option<Box<Outgoing>>,
    /// Retained messages still to be sent for its subscriptions.
    pub replays: Option<Box<Replays>>,
    /// Will message.
    pub will: Option<Box<Will>>,
    /// While no network connection holds it.
    pub absence: Option<Box<Absence>>,
    /// Its part of the ledger.
    pub tally: Tally,
    /// What the homes of its shared subscriptions see of its load; none if it has no shared subscription.
    pub burden: Option<Arc<Burden>>,
}

impl Session {
    /// A session without any state.
    pub fn new(key: SessionKey, client_identifier: &str, version: ProtocolVersion) -> Self {
        Self {
            key,
            epoch: 0,
            names: client_identifier.into(),
            client_identifier_bytes: u16::try_from(client_identifier.len())
                .expect("MQTT strings are no longer"),
            has_user_name: false,
            online: None,
            expiry_interval: 0,
            is_recorded: false,
            keeps_messages: false,
            version,
            subscriptions: Subscriptions::default(),
            subscription_bytes: 0,
            incoming: IncomingIdentifiers::default(),
            outgoing: None,
            replays: None,
            will: None,
            absence: None,
            tally: Tally::default(),
            burden: None,
        }
    }

    /// Client identifier.
    pub fn client_identifier(&self) -> &str {
        &self.names[..usize::from(self.client_identifier_bytes)]
    }

    /// Bytes of client identifier and user name.
    pub fn names_bytes(&self) -> usize {
        self.names.len()
    }

    /// Who the client showed itself to be.
    pub fn user_name(&self) -> Option<&str> {
        self.has_user_name.then(|| &self.names[usize::from(self.client_identifier_bytes)..])
    }

    /// Notes who the client showed itself to be.
    pub fn set_user_name(&mut self, user_name: Option<&str>) {
        if self.user_name() != user_name {
            self.names = [self.client_identifier(), user_name.unwrap_or_default()].concat().into();
            self.has_user_name = user_name.is_some();
        }
    }

    /// Sets the will message, or removes it. Answers the one that it had.
    pub fn replace_will(&mut self, will: Option<Box<Will>>) -> Option<Box<Will>> {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.will_bytes = will.as_ref().map_or(0, |will| will.queued_bytes());
        }
        std::mem::replace(&mut self.will, will)
    }

    /// Whether it outlives its network connection.
    #[inline]
    pub fn is_durable(&self) -> bool {
        self.expiry_interval > 0
    }

    /// What it has while it is offline.
    pub fn absence(&mut self) -> &mut Absence {
        self.absence.get_or_insert_default()
    }

    /// When a delayed will is due, or its expiry, for a session that is offline.
    pub fn next_due(&self) -> Option<Instant> {
        self.absence.as_ref().and_then(|absence| absence.next_due())
    }

    /// Tells the homes of its shared subscriptions how much it has to do.
    pub fn publish_load(&self) {
        if let Some(burden) = &self.burden {
            let outgoing = self.outgoing.as_ref();
            let bytes = outgoing.map_or(0, |outgoing| outgoing.queue.bytes() + outgoing.inflight_bytes);
            burden.note(self.waiting() as u32, bytes);
        }
    }

    /// Messages that wait for it: QoS 0 not yet written, QoS 1 and 2 in flight or queued.
    #[inline]
    pub fn waiting(&self) -> u64 {
        let outbox = self.online.as_ref().map_or(0, |online| u64::from(online.outbox.waiting_qos0()));
        let outgoing = self.outgoing.as_ref();
        outbox + outgoing.map_or(0, |outgoing| outgoing.waiting())
    }
}
