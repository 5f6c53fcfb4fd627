//! Sessions: what outlives a network connection, and what becomes of each message for a client.

mod answers;
mod deliver;
mod frames;
mod grant;
mod incoming;
mod inflight;
mod online;
mod recorded;
mod remains;
mod replay;
mod retained_first;
mod retained_pieces;
mod settling;
mod silence;
mod state;
mod storing;
mod table;
#[cfg(test)]
mod tests;
mod wakes;

pub use answers::{Answered, PendingAnswers};
pub use deliver::{Desk, Offered, Wanted};
pub use frames::FrameCache;
pub use grant::{Grant, HeldGrant, Validity};
pub use incoming::IncomingIdentifiers;
pub use inflight::{InflightEntry, Owed};
pub use online::{Online, OutgoingAliases, RareOnline, Reading, Requests, Touch};
pub use recorded::Notes;
pub use replay::{Replay, ReplayPlace, Replays};
pub use settling::{Acknowledged, LeftToGive};
pub use silence::Silence;
pub use state::{Absence, NEVER_EXPIRES, Outgoing, Parting, Session, Will};
pub use storing::{NewCopies, NewCopy, Storing, queued};
pub use table::SessionTable;
pub use wakes::Wakes;
