//! What a topic trie is asked, and what of it is left to do.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashSet;

use super::current::Current;
use super::owner::Owner;
use crate::completion::{Completion, Opened};
use crate::groups::{Burden, GivenBack};
use crate::ids::{CopyId, Epoch, GroupKey, Position, SessionKey};
use crate::message::{Ack, Batch, StoredMessage};
use crate::pressure::{Room, Weight};
use crate::records::Fate;
use crate::retained::RetainedPassage;
use crate::session::{LeftToGive, Wanted};
use crate::subscriptions::Subscription;

/// What a topic trie is sent.
#[derive(Debug)]
pub enum ToTrie {
    /// One thing to do.
    Work(Work),
    /// What publishers of another worker have for this one's subscribers, in order.
    Arrivals(Vec<Route>),
    /// Messages of shared groups whose home is one worker, for members who live here; those of one group are in order.
    Handoffs(Vec<Handoff>),
    /// To panic.
    #[cfg(any(test, feature = "panics"))]
    Panic(InjectPanic),
    /// To be looked at, behind all that was sent before.
    #[cfg(feature = "simulation")]
    Look(Look),
}

/// A panic, as a defect would bring it: tests show with it that the node goes on.
#[cfg(any(test, feature = "panics"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectPanic {
    /// Where the trie works.
    InTurn,
    /// Within the next batch of publishes, behind the first copy of its first message.
    InBatch,
    /// Where the trie works, and once more where it is put in order afterwards.
    InRecovery,
}

/// A look at a trie.
#[cfg(feature = "simulation")]
pub struct Look(pub Box<dyn FnOnce(&crate::matching::Trie) + Send>);

#[cfg(feature = "simulation")]
impl Debug for Look {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Look")
    }
}

/// One thing to do, or what is left of it.
#[derive(Debug)]
pub enum Work {
    /// A batch to route.
    Route(Route),
    /// A batch that is routed in part.
    Routing(Box<Current>),
    /// A publisher to answer.
    Answer(Answer),
    /// What waits in a group.
    GiveOut(GroupKey),
    /// What members offline hold of a group.
    CallBack(GroupKey),
    /// What waits in a group at the cost of members who have left.
    ChargeOthers(GroupKey),
    /// Messages to drop, by their number among all such.
    Discard(Owner, u64),
    /// Subscriptions to add.
    Subscribe(Subscribe),
    /// Members of groups to add.
    Join(Join),
    /// Subscriptions to remove.
    Unsubscribe(Unsubscribe),
    /// A session that has ended.
    ForgetSession(ForgetSession),
    /// Homes of groups to tell of a session.
    TellGroups(TellGroups),
    /// A member that came or went.
    MemberState(MemberState),
    /// Messages for members of a group.
    Handoff(Box<Handoff>),
    /// Messages that come back to their groups.
    GiveBack(GiveBack),
    /// A member offline that is to give back.
    Reclaim(Reclaim),
    /// Messages that wait in a group no more, to be recorded.
    Taken(TakenFromGroup),
    /// A panic, as a defect would bring it.
    #[cfg(any(test, feature = "panics"))]
    Panic,
}

impl Work {
    /// Whose turn it is done in.
    pub fn owner(&self) -> Owner {
        match self {
            Self::Route(route) => Owner::of(&route.batch),
            Self::Answer(Answer { client, .. })
            | Self::Subscribe(Subscribe { client, .. })
            | Self::Join(Join { client, .. })
            | Self::Unsubscribe(Unsubscribe { client, .. })
            | Self::ForgetSession(ForgetSession { client, .. })
            | Self::TellGroups(TellGroups { client, .. })
            | Self::MemberState(MemberState { client, .. }) => Owner::Client(*client),
            Self::GiveBack(GiveBack { owner, .. }) => *owner,
            Self::Discard(owner, _) => *owner,
            Self::GiveOut(group) | Self::CallBack(group) | Self::ChargeOthers(group) => Owner::Group(*group),
            Self::Handoff(handoff) => Owner::Group(handoff.group),
            Self::Reclaim(reclaim) => Owner::Worker(reclaim.home),
            Self::Taken(taken) => Owner::Worker(taken.from),
            Self::Routing(_) => Owner::Own,
            #[cfg(any(test, feature = "panics"))]
            Self::Panic => Owner::Own,
        }
    }

    /// Whether a run is looked up or delivered in part: that holds memory.
    pub fn is_within_run(&self) -> bool {
        matches!(self, Self::Routing(current) if current.is_within_run())
    }

    /// Who waits for it.
    pub fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Subscribe(Subscribe { reply, .. })
            | Self::Join(Join { reply, .. })
            | Self::Unsubscribe(Unsubscribe { reply, .. }) => reply.as_ref(),
            _ => None,
        }
    }
}

/// A network connection that waits for a change of subscriptions.
pub trait AwaitsChange: Debug + Send + Sync {
    /// The change with this token is in force at one of the workers that it concerned. The numbers are those of the
    /// subscriptions whose retained messages are to be sent.
    fn in_force(&self, token: u32, replays: Range<u64>);

    /// A defect lost the change: the client is to be told, and to come again.
    fn lost(&self);
}

/// Who waits for a change of subscriptions to be in force.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The network connection.
    pub connection: Arc<dyn AwaitsChange>,
    /// Which of its session's.
    pub epoch: Epoch,
    /// Which of its SUBSCRIBE or UNSUBSCRIBE packets.
    pub token: u32,
}

/// Routes the publishes of one wake-up to this worker's subscribers.
#[derive(Debug)]
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
    /// What this worker holds open of its acknowledgements, if it is not the publisher's: sessions that outlive the process
    /// may have a match here.
    pub opened: Option<Box<Opened>>,
}

/// Adds subscriptions of one session, replacing those with an equal topic filter [MQTT-3.8.4-3].
#[derive(Debug)]
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
    pub fn note_replay(&mut self, number: u64) {
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
#[derive(Debug)]
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
    pub burden: Arc<Burden>,
    /// Told when they are in force.
    pub reply: Option<Reply>,
}

/// Removes subscriptions of one session, shared ones whose home is here included.
#[derive(Debug)]
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
#[derive(Debug)]
pub struct ForgetSession {
    /// Hash of its client identifier: what one client asks for is done in the order received.
    pub client: u64,
    /// Which session.
    pub session: SessionKey,
}

/// Tells the homes of a session's other shared groups whether it is online.
#[derive(Debug)]
pub struct TellGroups {
    /// Hash of its client identifier: what one client asks for is done in the order received.
    pub client: u64,
    /// Which session of this worker.
    pub session: SessionKey,
}

/// A member of shared groups whose home is here came online or went offline.
#[derive(Debug)]
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
pub struct MemberMessage {
    /// The member.
    pub session: SessionKey,
    /// The message.
    pub message: HandedOver,
    /// How the member is to get it.
    pub wanted: Wanted,
    /// What records call it in the group, in which it waits until it is taken; none where nothing is recorded.
    pub recorded: CopyId,
}

/// Messages of one shared group for members who live here.
#[derive(Debug)]
pub struct Handoff {
    /// The group.
    pub group: GroupKey,
    /// What its members wrote, where some of it is recorded.
    pub full_filter: Option<Arc<str>>,
    /// In order; those that are dealt with are gone.
    pub chosen: VecDeque<MemberMessage>,
    /// What they are items of, as far as these are to come.
    pub batches: VecDeque<Arc<Batch>>,
    /// How many batches are gone.
    pub batches_passed: u32,
    /// What they weigh on their way.
    pub weight: Weight,
    /// What they take on their way, until all of them are dealt with; none before they set out.
    pub room: Option<Room>,
    /// Whether some of them are dealt with.
    pub is_begun: bool,
}

impl Handoff {
    /// Nothing yet.
    pub fn of(group: GroupKey) -> Self {
        Self {
            group,
            full_filter: None,
            chosen: VecDeque::new(),
            batches: VecDeque::new(),
            batches_passed: 0,
            weight: Weight::default(),
            room: None,
            is_begun: false,
        }
    }
}

/// What waits no more in a shared group whose home is here, as records have it.
#[derive(Debug)]
pub struct TakenFromGroup {
    /// The worker that knows.
    pub from: u16,
    /// The group.
    pub full_filter: Arc<str>,
    /// What became of it.
    pub fate: Fate,
    /// The positions of their records, in rising order.
    pub messages: Vec<Position>,
}

/// Answers publishes that concern no subscriber of the publisher's own worker: each in the order received, behind those
/// that do.
#[derive(Debug)]
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
#[derive(Debug)]
pub struct GiveBack {
    /// The client that held them, so that what it asked for before is done before, or the group that they go back to.
    pub owner: Owner,
    /// By group.
    pub returned: VecDeque<GivenBack>,
}

/// Asks a member that is offline for the messages of groups, since another member can take them now.
#[derive(Debug)]
pub struct Reclaim {
    /// The member.
    pub session: SessionKey,
    /// The worker that is the home of the groups.
    pub home: u16,
    /// The groups.
    pub groups: Box<HashSet<GroupKey>>,
    /// What of the member is left to look through; none if that is nothing.
    pub left: Option<LeftToGive>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It is moved several times on its way to its turn, and each client that waits has room for some.
    #[cfg(target_pointer_width = "64")]
    #[test]
    fn work_is_small() {
        assert!(size_of::<Work>() <= 96, "{} bytes", size_of::<Work>());
        assert!(size_of::<ToTrie>() <= 96, "{} bytes", size_of::<ToTrie>());
    }
}
