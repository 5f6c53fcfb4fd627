//! What one worker of a node has and decides: its sessions, groups, buffers and timers, and what is published through it.
//!
//! All of it belongs to one thread, and outlives the actors that use it. What others are to do, it leaves as
//! [`Errand`]s, in order; whoever calls sees to it that they are carried out before anything else happens on the thread.

mod answers;
mod arriving;
mod copies;
mod departures;
mod destinations;
mod discards;
mod due;
mod elsewhere;
mod errand;
mod group_records;
mod keeper;
mod lifecycle;
mod names;
mod on_behalf;
mod publish;
mod recording;
mod remains;
mod restore;
mod restore_copies;
mod state;
mod subscribing;
mod takeover;
mod wakeups;
mod wills_in_doubt;

pub use copies::CopyRecords;
pub use discards::{Discard, Discards};
pub use elsewhere::{ELSEWHERE, Elsewhere};
pub use errand::Errand;
pub(crate) use group_records::{Unkept, keeps};
pub use keeper::{Keeper, Promise};
pub use on_behalf::NotSubscribed;
pub use remains::{Remains, Tellings};
pub use restore::Restored;
pub use restore_copies::RestoredMessages;
pub use state::{NodeState, WayTo, WorkerState};
pub use wills_in_doubt::{Doubt, WillVerdict, WillsInDoubt};
