//! How sessions and shared groups are named inside a node.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

use foldhash::quality::FixedState;

/// Where a session lives: its home worker, its place in the table there, and which of the sessions that had that place
/// it is. Small enough to stand in every subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// Place in the home worker's table.
    pub index: u32,
    /// Raised whenever the place is given to another session, so that a late message finds nobody.
    pub generation: u16,
    /// Home worker.
    pub worker: u16,
}

/// A network connection of a session: raised with each, so that what was meant for an earlier one is recognised.
pub type Epoch = u32;

/// The 64-bit hash of a client identifier: it decides whose turn it is in a topic trie, and is what `hash_client`
/// chooses by. Its seed is drawn when the process starts, so that nobody can find an identifier that shares
/// a victim's turns.
pub fn client_hash(client_identifier: &str) -> u64 {
    static SEEDED: LazyLock<FixedState> = LazyLock::new(|| FixedState::with_seed(seed()));
    SEEDED.hash_one(client_identifier)
}

/// A simulated run is the same whenever it is run.
fn seed() -> u64 {
    if cfg!(feature = "simulation") { 0 } else { RandomState::new().hash_one(()) }
}

/// Names a shared group from any worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    /// Its place at its home.
    pub index: u32,
    /// Which of the groups that had this place.
    pub generation: u32,
    /// The worker whose trie picks the member.
    pub home: u16,
}

/// The topic filter inside a shared filter `$share/name/filter`; none if it is a plain one.
pub fn shared_part(full_filter: &str) -> Option<&str> {
    full_filter.strip_prefix("$share/")?.split_once('/').map(|(_, filter)| filter)
}
