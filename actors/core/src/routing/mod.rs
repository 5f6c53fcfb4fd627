//! What a topic trie has to do: whose turn it is, and how far a batch is on its way to those who want it.

mod current;
mod lanes;
mod owner;
mod work;

pub use current::{Current, RoutingProgress, Stage};
pub use lanes::{Cohort, Lanes, Ticket};
pub use owner::Owner;
#[cfg(any(test, feature = "panics"))]
pub use work::InjectPanic;
#[cfg(feature = "simulation")]
pub use work::Look;
pub use work::{
    Added, Answer, AwaitsChange, ForgetSession, GiveBack, HandedOver, Handoff, Join, MemberMessage,
    MemberState, Reclaim, Reply, Route, Subscribe, TakenFromGroup, TellGroups, ToTrie, Unsubscribe, Work,
};
