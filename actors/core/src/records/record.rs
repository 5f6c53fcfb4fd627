//! What can be recorded.

use mqtt_codec::{PacketIdentifier, ProtocolVersion, QoS, SubscriptionOptions};

use crate::homes::{Homes, Shard};
use crate::ids::Epoch;
use crate::ledger::DropReason;

/// Where a record stands in the log of a shard. 0 is before all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    /// The one behind it.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The number of a network connection that is recorded here. Positions are not as far apart as would be needed for two
    /// connections of one session to have the same.
    pub const fn epoch(self) -> Epoch {
        self.0 as Epoch
    }
}

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

/// One copy of a message for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CopyId {
    /// The position of the record that brought the message.
    pub message: Position,
    /// The number, in the session, of the subscription that it comes through; of those that are merged into one copy the
    /// lowest.
    pub subscription: u32,
}

/// A session that publishes, told from all others there ever are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Publisher {
    /// The shard of its client identifier.
    pub shard: Shard,
    /// The position at which the session began.
    pub birth: Position,
}

/// Which of the QoS 2 messages, and wills, of a durable session this is: who has seen it drops it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Whose it is.
    pub publisher: Publisher,
    /// Raised with each.
    pub count: u64,
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

/// How a message comes to one session that was chosen for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Through<'a> {
    /// As a member of a shared group, by its whole filter.
    Group(&'a str),
    /// It was retained when a subscription began, at this position: it comes ahead of what was published since.
    Retained(Position),
}

/// A copy for one session that was chosen for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directed<'a> {
    /// Client identifier.
    pub client: &'a str,
    /// The number of the subscription in the session.
    pub subscription: u32,
    /// QoS it is sent with.
    pub qos: QoS,
    /// RETAIN it is sent with.
    pub retain: bool,
    /// Subscription identifiers it is sent with.
    pub identifiers: Vec<u32>,
    /// Why it was chosen.
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
    /// The keyed hash of the publisher's client identifier ([`Homes::hash_of`]), for no local.
    pub publisher_hash: u64,
    /// Which of its publisher's it is, where that is to be known again.
    pub origin: Option<Origin>,
    /// Whether overlapping subscriptions of a session get one copy, and not one each.
    pub merges: bool,
    /// Shards of sessions that have a match: which of them follows from their subscriptions. In their order.
    pub shards: Vec<Shard>,
    /// Of the copies of those sessions the ones that were dropped at once.
    pub dropped: Vec<(&'a str, u32, DropReason)>,
    /// Copies for sessions that were chosen.
    pub directed: Vec<Directed<'a>>,
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

/// All copies whose messages stand between two positions, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first position.
    pub first: Position,
    /// The last one.
    pub last: Position,
}

/// Copies of a session wait no more. Written lazily, many in one: after a crash so much is sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled<'a> {
    /// Client identifier.
    pub client: &'a str,
    /// What became of them.
    pub fate: Fate,
    /// All that the session has of these messages; in rising order, none overlaps the next.
    pub spans: Vec<Span>,
    /// And these; in rising order.
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
    /// A QoS 2 PUBLISH came, with this packet identifier; which of its publisher's it is.
    Received(Of<'a>, PacketIdentifier, u64),
    /// Its PUBREL came.
    Forgotten(Of<'a>, PacketIdentifier),
    /// A copy is sent as QoS 2 with this packet identifier.
    Sent(Of<'a>, PacketIdentifier, CopyId),
    /// The PUBREC of that came: from now on it is a PUBREL that is sent.
    Released(Of<'a>, PacketIdentifier),
    /// Copies wait no more.
    Settled(Settled<'a>),
    /// The will of a session was published as this one of its messages, or dropped.
    WillOver(Of<'a>, Option<u64>),
    /// Messages that waited in a shared group do so no more; what became of those that no member got.
    Taken(&'a str, Fate, Vec<Position>),
    /// What is retained for a topic name.
    Retained(Retained<'a>),
    /// Retained messages have been sent for a subscription, up to this topic name; none: all of them.
    Passed(&'a str, &'a str, Option<&'a str>),
    /// A session that published is gone: nobody needs to know what was seen of it.
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
            | Self::Released(of, _)
            | Self::WillOver(of, _) => Some(of.client),
            Self::Publish(_) | Self::Taken(..) | Self::Retained(_) | Self::PublisherGone(_) => None,
        }
    }

    /// The shards that it concerns; of a [`PublisherGone`](Self::PublisherGone) all, which is none here.
    pub fn shards(&self, homes: &Homes) -> Vec<Shard> {
        let other = match self {
            Self::Publish(publish) => return publish.all_shards(homes),
            Self::Taken(group, ..) => Some(*group),
            Self::Retained(retained) => Some(retained.topic),
            _ => None,
        };
        self.client().or(other).map(|name| homes.shard_of(name)).into_iter().collect()
    }
}

impl Publish<'_> {
    fn all_shards(&self, homes: &Homes) -> Vec<Shard> {
        let mut shards = self.shards.clone();
        shards.extend(self.directed.iter().map(|directed| homes.shard_of(directed.client)));
        shards.extend(self.waits.iter().map(|group| homes.shard_of(group)));
        shards.sort_unstable();
        shards.dedup();
        shards
    }
}
