//! What holds back those who send faster than others take: how much may be on its way, and who waits for room.

mod inbound;
mod incomplete;
mod underway;
mod waitlist;

pub use inbound::{Inbound, Room, Weight};
pub use incomplete::{IncompleteBytes, IncompletePackets};
pub use underway::{Passage, Underway};
pub use waitlist::{Waitlist, WaitlistPlace};
