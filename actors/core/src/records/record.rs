//! What can be recorded.

use std::borrow::Cow;

use mqtt_codec::{PacketIdentifier, ProtocolVersion, QoS, SubscriptionOptions};

use crate::homes::{Homes, ShardSet};
use crate::ids::Epoch;
pub use crate::ids::{CopyId, Origin, Position, Publisher};
use crate::ledger::DropReason;

/// Milliseconds since the beginning of 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallClock(pub u64);

/// A session, on the network connection that a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Of<'a> {
    /// Client identifier.
    pub client: &'a str,
    /// That connection's number ([`Position::epoch`] of its [`Connected`]). What names another connection than the present
    /// or last one is ignored.
    pub epoch: Epoch,
}

/// A will message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Will<'a> {
    /// What is published.
    pub body: Body<'a>,
    /// RETAIN.
    pub retain: bool,
    /// Will delay interval, in seconds.
    pub delay_seconds: u32,
    /// Message expiry interval, in seconds from when it is published.
    pub expiry_seconds: Option<u32>,
}

/// The parts of a message that nobody changes on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Body<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// Properties that a server passes on, encoded.
    pub properties: &'a [u8],
    /// Payload.
    pub payload: &'a [u8],
    /// QoS it was published with.
    pub qos: QoS,
}

/// A network connection holds a durable session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected<'a> {
    /// Client identifier.
    pub client: &'a str,
    /// Who the client showed itself to be.
    pub user_name: Option<&'a str>,
    /// Its protocol version.
    pub version: ProtocolVersion,
    /// Session expiry interval, in seconds; above 0.
    pub expiry_interval: u32,
    /// Whether the session begins anew: of an earlier one nothing is left.
    pub begins: bool,
    /// Its will.
    pub will: Option<Will<'a>>,
}

/// The network connection ended, the session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parted<'a> {
    /// Whose.
    pub of: Of<'a>,
    /// When.
    pub at: WallClock,
    /// Session expiry interval, in seconds; above 0. DISCONNECT may have changed it [MQTT-3.14.2-2].
    pub expiry_interval: u32,
    /// Whether its will is left, to be published when its delay has passed.
    pub leaves_will: bool,
}

/// One subscription of a SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribed<'a> {
    /// As the client wrote it, `$share/...` included.
    pub filter: &'a str,
    /// Its options.
    pub options: SubscriptionOptions,
    /// Subscription identifier; 0: none.
    pub identifier: u32,
    /// Whether retained messages are to be sent for it.
    pub replays: bool,
}

/// How a message comes to a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Through<'a> {
    /// By subscriptions of its own.
    #[default]
    Subscription,
    /// As a member of a shared group, by its whole filter.
    Group(&'a str),
    /// It was retained when a subscription began, at this position: it comes ahead of what was published since.
    Retained(Position),
}

/// A copy that a session got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied<'a> {
    /// Client identifier.
    pub client: Cow<'a, str>,
    /// QoS it is sent with, 1 or 2.
    pub qos: QoS,
    /// RETAIN it is sent with.
    pub retain: bool,
    /// Subscription identifiers it is sent with.
    pub identifiers: Cow<'a, [u32]>,
    /// How it comes to the session.
    pub through: Through<'a>,
}

/// A message that durable sessions, or shared groups, are to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The message.
    pub body: Body<'a>,
    /// RETAIN as it was published.
    pub retain: bool,
    /// When its message expiry interval ends.
    pub expires_at: Option<WallClock>,
    /// The keyed hash of the publisher's client identifier ([`Homes::hash_of`]).
    pub publisher_hash: u64,
    /// Which of its publisher's it is, where that is to be known again.
    pub origin: Option<Origin>,
    /// The copies that sessions got, each named by its place here. A session that is not there any more has none.
    pub copies: Vec<Copied<'a>>,
    /// Shared groups in which it waits for a member, by their whole filters.
    pub waits: Vec<&'a str>,
}

/// What became of a copy that waits no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its client acknowledged it.
    Delivered,
    /// Dropped, and why.
    Dropped(DropReason),
    /// It goes to another member of its group.
    Returned,
}

/// Copies of a session wait no more. Written lazily, many in one: after a crash so much is sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled<'a> {
    /// Client identifier.
    pub client: &'a str,
    /// What became of them.
    pub fate: Fate,
    /// Which; in rising order.
    pub copies: Vec<CopyId>,
}

/// What is retained for a topic name. Of two the later stamp wins, in whatever order they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retained<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// Its place among all retained publishes.
    pub stamp: u64,
    /// The message, when its message expiry interval ends, and the hash of its publisher's client identifier; none:
    /// nothing is retained any more.
    pub message: Option<(Body<'a>, Option<WallClock>, u64)>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record<'a> {
    /// A network connection holds a durable session. Its position is the epoch that later records name.
    Connected(Connected<'a>),
    /// It ended, and the session goes on.
    Parted(Parted<'a>),
    /// The session of this client ended.
    Ended(&'a str),
    /// A SUBSCRIBE.
    Subscribed(Of<'a>, Vec<Subscribed<'a>>),
    /// An UNSUBSCRIBE.
    Unsubscribed(Of<'a>, Vec<&'a str>),
    /// A message.
    Publish(Publish<'a>),
    /// A QoS 2 PUBLISH came, with this packet identifier. Its position tells the message from all others of the client; one
    /// that comes again is the first one.
    Received(Of<'a>, PacketIdentifier),
    /// Its PUBREL came.
    Forgotten(Of<'a>, PacketIdentifier),
    /// A copy is sent as QoS 2 with this packet identifier.
    Sent(Of<'a>, PacketIdentifier, CopyId),
    /// The PUBREC of that came: from now on it is a PUBREL that is sent.
    Released(Of<'a>, PacketIdentifier, CopyId),
    /// Copies wait no more.
    Settled(Settled<'a>),
    /// The will of a session was published, or dropped.
    WillOver(Of<'a>),
    /// Messages that waited in a shared group do so no more, and what became of them; returned: a member has it for good.
    Taken(&'a str, Fate, Vec<Position>),
    /// What is retained for a topic name.
    Retained(Retained<'a>),
    /// Retained messages have been sent for a subscription, up to this topic name; none: all of them.
    Passed(&'a str, &'a str, Option<&'a str>),
    /// The session of a client that published is gone: nobody needs to know what was seen of it before this position.
    PublisherGone(Publisher),
}

impl Record<'_> {
    /// The client whose session alone it concerns, if there is one.
    pub fn client(&self) -> Option<&str> {
        match self {
            Self::Connected(connected) => Some(connected.client),
            Self::Parted(parted) => Some(parted.of.client),
            Self::Settled(settled) => Some(settled.client),
            Self::Ended(client) | Self::Passed(client, ..) => Some(client),
            Self::Subscribed(of, _)
            | Self::Unsubscribed(of, _)
            | Self::Received(of, ..)
            | Self::Forgotten(of, _)
            | Self::Sent(of, ..)
            | Self::Released(of, ..)
            | Self::WillOver(of) => Some(of.client),
            Self::Publish(_) | Self::Taken(..) | Self::Retained(_) | Self::PublisherGone(_) => None,
        }
    }

    /// How many bytes it has at least, of what may be long.
    pub(super) fn long_bytes(&self) -> usize {
        match self {
            Self::Subscribed(_, subscribed) => subscribed.iter().map(|one| one.filter.len()).sum(),
            Self::Unsubscribed(_, filters) => filters.iter().map(|filter| filter.len()).sum(),
            Self::Publish(publish) => publish.body.payload.len(),
            _ => 0,
        }
    }

    /// The shards that it concerns; of a [`PublisherGone`](Self::PublisherGone) all, which is none here.
    pub fn shards(&self, homes: &Homes) -> ShardSet {
        let mut shards = ShardSet::default();
        match self {
            Self::Publish(publish) => {
                publish.copies.iter().for_each(|copied| shards.insert(homes.shard_of(&copied.client)));
                publish.waits.iter().for_each(|group| shards.insert(homes.shard_of(group)));
            }
            Self::Taken(group, ..) => shards.insert(homes.shard_of(group)),
            Self::Retained(retained) => shards.insert(homes.shard_of(retained.topic)),
            _ => self.client().into_iter().for_each(|client| shards.insert(homes.shard_of(client))),
        }
        shards
    }
}
