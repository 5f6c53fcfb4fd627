//! What a topic trie is asked.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use micro_mq_core::completion::Completion;
use micro_mq_core::groups::{GivenBack, Load};
use micro_mq_core::ids::{Epoch, GroupKey, SessionKey};
use micro_mq_core::message::{Ack, Batch, StoredMessage};
use micro_mq_core::pressure::{Room, Weight};
use micro_mq_core::retained::RetainedPassage;
use micro_mq_core::routing::Owner;
use micro_mq_core::session::Wanted;
use micro_mq_core::subscriptions::Subscription;

use crate::connection::Connection;

/// Who waits for a change of subscriptions to be in force.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The network connection.
    pub connection: Addr<Connection>,
    /// Which of its session's.
    pub epoch: Epoch,
    /// Which of its SUBSCRIBE or UNSUBSCRIBE packets.
    pub token: u32,
}

/// Routes the publishes of one wake-up to this worker's subscribers.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Route {
    /// The publishes.
    pub batch: Arc<Batch>,
    /// Whether this is the publisher's own worker, which answers the publisher when it has routed.
    pub home: bool,
    /// When it was sent, for the messages whose waiting time is sampled.
    pub sent_at: Option<Instant>,
    /// What it takes on its way.
    pub room: Room,
    /// Its place among the retained publishes on their way to this worker; none if it has none.
    pub passage: Option<Box<RetainedPassage>>,
}

/// What publishers of another worker have for this one's subscribers.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Arrivals {
    /// In order.
    pub routes: Vec<Route>,
}

/// Adds subscriptions of one session, replacing those with an equal topic filter [MQTT-3.8.4-3].
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Subscribe {
    /// Hash of its client identifier: what one client asks for is done in the order received.
    pub client: u64,
    /// Whose they are.
    pub session: SessionKey,
    /// What is left to add.
    pub filters: VecDeque<Added>,
    /// The numbers of those whose retained messages are to be sent.
    pub replays: Range<u64>,
    /// Told when they are in force.
    pub reply: Option<Reply>,
}

impl Subscribe {
    /// A subscription has something to be replayed, which has this number.
    pub(super) fn note_replay(&mut self, number: u64) {
        let begin = if self.replays.is_empty() { number } else { self.replays.start };
        self.replays = begin..number + 1;
    }
}

/// A subscription to be added.
#[derive(Debug)]
pub struct Added {
    /// Topic filter.
    pub filter: Arc<str>,
    /// Options and identifier.
    pub subscription: Subscription,
    /// Whether retained messages are to be sent.
    pub replay: bool,
}

/// Adds memberships of one session in shared groups whose home is here, or changes them.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Join {
    /// Hash of its client identifier: what one client asks for is done in the order received.
    pub client: u64,
    /// Who joins.
    pub session: SessionKey,
    /// Full filters (`$share/...`) and options.
    pub filters: VecDeque<(Arc<str>, Subscription)>,
    /// Whether a network connection holds the session.
    pub online: bool,
    /// Whether the session outlives its network connection.
    pub durable: bool,
    /// How many messages the member has unacknowledged or waiting.
    pub load: Load,
    /// Told when they are in force.
    pub reply: Option<Reply>,
}

/// Removes subscriptions of one session, shared ones whose home is here included.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Unsubscribe {
    /// Hash of its client identifier: what one client asks for is done in the order received.
    pub client: u64,
    /// Whose they are.
    pub session: SessionKey,
    /// Topic filters, as the client wrote them.
    pub filters: VecDeque<Arc<str>>,
    /// Told when they are gone.
    pub reply: Option<Reply>,
}

/// Deals with what a session of this worker left that has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ForgetSession {
    /// Hash of its client identifier: what one client asks for is done in the order received.
    pub client: u64,
    /// Which session.
    pub session: SessionKey,
}

/// Tells the homes of a session's other shared groups whether it is online.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct TellGroups {
    /// Hash of its client identifier: what one client asks for is done in the order received.
    pub client: u64,
    /// Which session of this worker.
    pub session: SessionKey,
}

/// A member of shared groups whose home is here came online or went offline.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct MemberState {
    /// Hash of its client identifier: what one client asks for is done in the order received.
    pub client: u64,
    /// Which member.
    pub session: SessionKey,
    /// Full filters of its groups.
    pub filters: VecDeque<Arc<str>>,
    /// Whether a network connection holds the session.
    pub online: bool,
    /// Whether the session outlives its network connection.
    pub durable: bool,
}

/// Where a message that is handed over is found.
#[derive(Debug)]
pub enum HandedOver {
    /// An item of a batch.
    Item {
        /// Which of the batches handed over.
        batch: u32,
        /// Which of its items.
        item: u32,
    },
    /// It waited before.
    Stored(Arc<StoredMessage>),
}

/// A message that a group's home chose a member of this worker for.
#[derive(Debug)]
pub struct Chosen {
    /// The member.
    pub session: SessionKey,
    /// The message.
    pub message: HandedOver,
    /// How the member is to get it.
    pub wanted: Wanted,
}

/// Messages of one shared group for members who live here.
#[derive(Debug)]
pub struct Handoff {
    /// The group.
    pub group: GroupKey,
    /// In order.
    pub chosen: Vec<Chosen>,
    /// What they are items of.
    pub batches: Vec<Arc<Batch>>,
    /// What they weigh on their way.
    pub weight: Weight,
    /// What they take on their way, until all of them are dealt with; none before they set out.
    pub room: Option<Room>,
    /// How many of them are dealt with.
    pub next: usize,
}

/// Messages of shared groups whose home is one worker, for members who live here.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Handoffs {
    /// Those of one group are in order.
    pub parts: Vec<Handoff>,
}

/// Answers publishes that concern no subscriber of the publisher's own worker: each in the order received, behind those
/// that do.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Answer {
    /// Hash of the publisher's client identifier: what one client asks for is done in the order received.
    pub client: u64,
    /// The publisher.
    pub publisher: SessionKey,
    /// The network connection that waits for it.
    pub epoch: u32,
    /// In order; whether there is a match.
    pub acks: Vec<(Ack, bool)>,
    /// What is open for the items of the batch, and for each of the above which item it is of; none if nothing ever was.
    pub open: Option<(Completion, Vec<u32>)>,
    /// When it was sent, for the messages whose waiting time is sampled.
    pub sent_at: Option<Instant>,
}

/// Messages that members of groups whose home is here could not keep.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct GiveBack {
    /// The client that held them, so that what it asked for before is done before, or the group that they go back to.
    pub owner: Owner,
    /// By group.
    pub returned: VecDeque<GivenBack>,
}

/// Asks a member that is offline for the messages of groups, since another member can take them now.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Reclaim {
    /// The member.
    pub session: SessionKey,
    /// The groups.
    pub groups: Vec<GroupKey>,
}

/// Panics, as a defect would: tests show with it that the node goes on.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum InjectPanic {
    /// Where the trie works.
    InTurn,
    /// Within the next batch of publishes, behind the first copy of its first message.
    InBatch,
    /// Where the trie works, and once more where it is put in order afterwards.
    InRecovery,
}

/// What a topic trie says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrieObservation {
    /// Topic filters held.
    pub filters: usize,
    /// Shared groups whose home is here.
    pub groups: usize,
}

/// Asks for a [`TrieObservation`]; answered behind everything sent before.
#[derive(Debug, Message)]
#[rtype(result = "TrieObservation")]
pub struct ObserveTrie;
