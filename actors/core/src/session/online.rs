//! The part of a session that exists only while a network connection holds it.

use mqtt_codec::{ProtocolVersion, ReasonCode};
use std::collections::HashMap;
use std::num::NonZeroU16;
use std::task::Waker;

use super::answers::PendingAnswers;
use super::frames::OutgoingAlias;
use super::grant::HeldGrant;
use crate::compact::{ByteCount, Recent, Since};
use crate::message::Batch;
use crate::outbox::Outbox;

/// Topic aliases that the node set on this network connection.
#[derive(Debug)]
pub struct OutgoingAliases {
    set: HashMap<Box<str>, NonZeroU16, rustc_hash::FxBuildHasher>,
    maximum: u16,
}

impl OutgoingAliases {
    /// Room for `maximum` aliases, above 0.
    pub fn new(maximum: u16) -> Self {
        Self { set: HashMap::default(), maximum }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Online {
    /// What is waiting to be written.
    pub outbox: Outbox,
    /// Wakes the network connection's actor; none before its first turn.
    pub waker: Option<Waker>,
    /// When the last packet came [MQTT-3.1.2-22].
    pub last_received: Recent,
    /// When the network connection was taken in.
    pub connected_at: Since,
    /// Bytes written to it.
    pub bytes_sent: ByteCount,
    /// The client's maximum packet size, in bytes; `u32::MAX` if it named none.
    pub maximum_packet_size: u32,
    /// QoS 1 and 2 messages that may be unacknowledged at a time: the client's receive maximum or our own limit.
    pub inflight_max: u16,
    /// Publishes of this client that are received and not yet answered; the receive maximum bounds them.
    pub unanswered: u16,
    /// One and a half times this is how long the client may stay silent, in seconds; 0: as long as it likes.
    pub keep_alive_seconds: u16,
    /// Protocol version of this network connection.
    pub version: ProtocolVersion,
    /// Whether its actor is on the list of those to wake.
    pub touch: Touch,
    /// Whether it is read.
    pub reading: Reading,
    /// What others ask of its actor.
    pub requests: Requests,
    /// What few clients have.
    pub rare: Option<Box<RareOnline>>,
}

/// What few clients have.
#[derive(Debug, Default)]
pub struct RareOnline {
    /// Topic aliases the node sets; none if the client takes none.
    pub aliases: Option<OutgoingAliases>,
    /// Publishes of this client that find no room at a worker. Here, so that whoever takes the session over sends them on
    /// their way before its own.
    pub held_up: Option<Box<Batch>>,
    /// Answers that wait.
    pub pending: Option<Box<PendingAnswers>>,
    /// What the network connection was let in by, if that is more than a user name.
    pub grant: Option<Box<HeldGrant>>,
    /// Which certificate the client has shown, if it was asked for one: what withdraws it names it so.
    pub certificate: Option<Box<[u8; 32]>>,
}

/// How far a connection's wake-up is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Touch {
    /// Nothing new to write.
    #[default]
    No,
    /// To be woken at the end of the run.
    Later,
    /// To be woken at the end of the turn.
    Soon,
}

/// What others ask of a network connection's actor, which takes it in its next turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    /// To end, with this reason for the client.
    pub ending: Option<ReasonCode>,
    /// To give way to another network connection, which waits for the session [MQTT-3.1.4-3]: it takes in what its socket
    /// already holds, which was sent before, and parts.
    pub gives_way: bool,
}

/// Whether the node reads a network connection; as long as it does not, the client's silence proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Whenever something comes.
    GoesOn,
    /// Not just now.
    Paused,
    /// Not just now, and the keep alive is over: its actor is to look whether the client sent anything meanwhile.
    Doubted,
}

impl Online {
    /// Wakes the network connection's actor.
    #[inline]
    pub fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Asks the network connection to end, with this reason for the client.
    pub fn end(&mut self, reason: ReasonCode) {
        self.requests.ending = Some(reason);
        self.wake();
    }

    /// Which certificate the client has shown, if it was asked for one.
    pub fn certificate(&self) -> Option<&[u8; 32]> {
        self.rare.as_ref()?.certificate.as_deref()
    }

    /// Topic aliases the node sets; none if the client takes none.
    #[inline]
    pub fn aliases(&self) -> Option<&OutgoingAliases> {
        self.rare.as_ref().and_then(|rare| rare.aliases.as_ref())
    }

    /// Takes out the publishes that find no room at a worker.
    pub fn take_held_up(&mut self) -> Option<Box<Batch>> {
        let rare = self.rare.as_mut()?;
        let held_up = rare.held_up.take();
        self.drop_rare();
        held_up
    }

    /// What a PUBLISH to this topic name says in place of it.
    pub fn outgoing_alias(&self, topic: &str) -> OutgoingAlias {
        let Some(aliases) = self.aliases() else { return OutgoingAlias::None };
        if let Some(alias) = aliases.set.get(topic) {
            return OutgoingAlias::Known(*alias);
        }
        match NonZeroU16::new(aliases.set.len() as u16 + 1) {
            Some(next) if next.get() <= aliases.maximum => OutgoingAlias::New(next),
            _ => OutgoingAlias::None,
        }
    }

    /// A PUBLISH with this alias stands in the outbox now.
    pub fn alias_was_sent(&mut self, alias: OutgoingAlias, topic: &str) {
        if let OutgoingAlias::New(alias) = alias
            && let Some(aliases) = self.rare.as_mut().and_then(|rare| rare.aliases.as_mut())
        {
            aliases.set.insert(topic.into(), alias);
        }
    }
}
