//! How sessions and shared groups are named inside a node.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{LazyLock, OnceLock};

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

impl SessionKey {
    /// A session of an earlier process, which nobody has any more.
    pub const EARLIER: Self = Self { index: u32::MAX, generation: u16::MAX, worker: u16::MAX };

    /// A session of another node.
    pub const ELSEWHERE: Self = Self { index: u32::MAX, generation: u16::MAX, worker: u16::MAX - 1 };
}

/// A network connection of a session: raised with each, so that what was meant for an earlier one is recognised.
pub type Epoch = u32;

/// The 64-bit hash of a client identifier: it decides whose turn it is in a topic trie, and is what `hash_client`
/// chooses by. Its seed is drawn when the process starts, or as old as what it keeps, so that nobody can find an identifier
/// that shares a victim's turns.
pub fn client_hash(client_identifier: &str) -> u64 {
    static SEEDED: LazyLock<FixedState> =
        LazyLock::new(|| FixedState::with_seed(*CLIENT_HASH_SEED.get_or_init(seed)));
    SEEDED.hash_one(client_identifier)
}

static CLIENT_HASH_SEED: OnceLock<u64> = OnceLock::new();

/// What is kept names publishers by their hashes: these are to be the same in the next process. The first that says so in a
/// process is heard, if it does before any was asked for.
pub fn seed_client_hashes(seed: u64) {
    // Of a second node in one process, which can only be a test's, the clients have the hashes of the first one's.
    if !cfg!(feature = "simulation") {
        let _ = CLIENT_HASH_SEED.set(seed);
    }
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

/// One copy of a message for a session, as records name it; by default none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CopyId {
    /// The position of the record that brought the message.
    pub message: Position,
    /// Its place among the copies of that record.
    pub copy: u32,
}

impl CopyId {
    /// The message of a record in the shared group in which it waits until it is taken, whoever has it meanwhile.
    pub const fn in_group(message: Position) -> Self {
        Self { message, copy: u32::MAX }
    }

    /// Whether that is what it names.
    pub fn is_in_group(self) -> bool {
        self.is_some() && self.copy == u32::MAX
    }

    /// Whether records name it at all.
    #[inline]
    pub fn is_some(self) -> bool {
        self.message > Position::default()
    }
}

/// A client that publishes: the keyed hash of its client identifier ([`Homes::hash_of`](crate::homes::Homes::hash_of)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Publisher(pub u64);

/// Which of the QoS 2 messages of a durable session this is: who has seen it, or a later one, drops it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Whose it is.
    pub publisher: Publisher,
    /// The position at which it was [received](crate::records::Record::Received): it rises over all sessions of a client.
    pub count: Position,
}
