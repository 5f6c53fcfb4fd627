//! Sessions: what outlives a network connection, and the actor at their home.

mod actor;
mod deliver;
mod frames;
mod incoming;
mod inflight;
mod keeping;
mod key;
mod lifecycle;
mod messages;
mod online;
mod queue;
mod replay;
mod restoring;
mod session;
mod store;
mod subscriptions;
#[cfg(test)]
mod tests;
mod wills;

pub use actor::Sessions;
pub(crate) use actor::close;
pub(crate) use deliver::queued;
pub use deliver::{Acknowledged, Desk, Offered, Wanted};
pub use frames::FrameCache;
pub use incoming::IncomingIdentifiers;
pub use keeping::{Changes, KeepChanges};
pub use key::{Epoch, SessionKey, client_hash, home_worker};
pub use messages::*;
pub use online::{Online, OutgoingAliases, RareOnline, Reading};
pub use queue::{Identifiers, Queue, Queued};
pub use replay::{QueueEnds, Replay, Replays};
pub use restoring::{Restoration, Restoring};
pub use session::{Absence, NEVER_EXPIRES, Outgoing, Parting, Session, Will};
pub(crate) use store::start_store;
#[cfg(feature = "simulation")]
pub(crate) use store::start_store_here;
pub use store::{
    Answer, Change, Home, MemoryBackend, Piece, Position, SessionBackend, SessionChange, SessionStore,
    StoreError, StoredSession,
};
pub use subscriptions::{Subscription, Subscriptions, subscription_bytes};
pub use wills::WillsInDoubt;
