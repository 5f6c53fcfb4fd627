//! Topic tries: which sessions of a worker want a message, and getting it to them.

mod actor;
mod burden;
mod current;
mod deliver;
mod directory;
mod dispatch;
mod group_queue;
mod handoff;
mod lanes;
mod look_ahead;
mod members;
mod messages;
mod path_trie;
mod rota;
mod route;
mod shared;
#[cfg(test)]
mod tests;
mod trie;

pub use actor::TopicTrie;
pub use burden::{Burden, Load};
pub(crate) use directory::NAMES_TOGETHER;
pub use directory::{Directory, LookUps, WORKERS_MAX};
pub use group_queue::GroupQueue;
pub use members::{Choice, Chosen, Member, Room};
pub use messages::*;
pub use shared::{Departure, GivenBack, Group, GroupKey, Groups};
pub use trie::{Matches, Subscriber, Trie};

/// The topic filter inside a shared filter `$share/name/filter`; none if it is a plain one.
pub fn shared_part(full_filter: &str) -> Option<&str> {
    full_filter.strip_prefix("$share/")?.split_once('/').map(|(_, filter)| filter)
}

/// The worker that is home to a shared group.
pub fn group_home(full_filter: &str, workers: usize) -> u16 {
    crate::sessions::home_worker(full_filter, workers) as u16
}
