//! Whether the broker must, may or must not have a session of a client.

use std::time::Duration;

/// What a durable client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The session ends with its connection: nothing is claimed.
    None,
    /// It outlives any absence.
    Lasting,
    /// It ends after so long without a connection.
    Expires(Duration),
}

/// What a CONNACK said about the session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// As it had to be, or as it may be.
    Right,
    /// It ended as it was asked to.
    Ended,
    /// It had to be there.
    Forgotten,
    /// It had to be gone.
    Back,
}

/// A broker may see the end of a connection before its client does.
const EARLY: Duration = Duration::from_millis(500);
/// How long a busy broker may take to see that a session is over.
const LATE: Duration = Duration::from_secs(3);
/// A broker that was killed may give those who were connected some time to come back.
const GRACE: Duration = Duration::from_secs(15);

/// See the module.
#[derive(Debug)]
pub(super) struct Session {
    durability: Durability,
    /// The broker confirmed one.
    exists: bool,
    /// Since when there is no connection.
    away_since: Option<Duration>,
    /// The broker was killed since the client was last connected, or as it was.
    was_killed: bool,
}

impl Session {
    /// Of a client that never connected.
    pub(super) const fn new(durability: Durability) -> Self {
        Self { durability, exists: false, away_since: None, was_killed: false }
    }

    /// What is claimed of its messages.
    pub(super) fn is_durable(&self) -> bool {
        self.durability != Durability::None
    }

    /// The connection is over. The first such moment counts.
    pub(super) fn away(&mut self, at: Duration) {
        self.away_since.get_or_insert(at);
    }

    /// The broker was killed.
    pub(super) const fn killed(&mut self) {
        self.was_killed = true;
    }

    /// CONNACK.
    pub(super) fn connected(&mut self, at: Duration, present: bool) -> Presence {
        let absent = self.away_since.map_or(Duration::ZERO, |since| at.saturating_sub(since));
        let (must, may) = match self.durability {
            _ if !self.exists => (false, false),
            Durability::None => (false, false),
            Durability::Lasting => (true, true),
            Durability::Expires(after) => {
                let late = if self.was_killed { GRACE } else { LATE };
                (absent + EARLY < after, absent < after + late)
            }
        };
        let presence = match (present, self.exists) {
            (false, _) if must => Presence::Forgotten,
            (true, _) if !may => Presence::Back,
            (false, true) => Presence::Ended,
            _ => Presence::Right,
        };
        self.exists = self.is_durable();
        (self.away_since, self.was_killed) = (None, false);
        presence
    }
}
