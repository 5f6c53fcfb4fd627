//! Which connections have something new to write, and when they are woken for it.
//!
//! A connection that is woken writes all it has by one system call, so it pays to wake it late: once per run of work of
//! the topic trie, not once per turn. It is woken earlier when it has enough for a good write, when the client whose
//! work made it due has no more (so that who publishes now and then is not held back by those who never stop), or when
//! the run is long.

use std::collections::VecDeque;

use super::online::{Online, Touch};
use crate::ids::SessionKey;

/// What a connection has waiting when it is woken before the run ends, in bytes.
const GOOD_WRITE_BYTES: usize = 16 * 1024;
/// Turns after which all are woken, though the run goes on: some milliseconds of work, or, where very many connections
/// wait, so long that each has several messages to write.
const TURNS_MIN: usize = 32;
const TURNS_MAX: usize = 256;
/// Connections waiting for each turn of that.
const CONNECTIONS_PER_TURN: usize = 32;
/// Connections woken in one turn: each makes a system call, and whoever becomes ready meanwhile stands behind them.
const WAKES_PER_TURN: usize = 512;

/// See the module.
#[derive(Debug, Default)]
pub struct Wakes {
    later: Vec<SessionKey>,
    soon: Vec<SessionKey>,
    /// To be woken, a number per turn.
    due: VecDeque<SessionKey>,
    turns: usize,
}

impl Wakes {
    /// A connection's outbox was appended to.
    #[inline]
    pub fn touch(&mut self, online: Option<&mut Online>, key: SessionKey) {
        let Some(online) = online else { return };
        match online.touch {
            Touch::No => {
                online.touch = Touch::Later;
                self.later.push(key);
            }
            Touch::Later if online.outbox.waiting_bytes() >= GOOD_WRITE_BYTES => {
                online.touch = Touch::Soon;
                self.soon.push(key);
            }
            Touch::Later | Touch::Soon => {}
        }
    }

    /// Where the connections begin that are appended to from now on.
    pub fn mark(&self) -> usize {
        self.later.len()
    }

    /// Those appended to since `mark` are woken at the end of the turn.
    pub fn hurry(&mut self, mark: usize) {
        if mark < self.later.len() {
            self.soon.extend(self.later.drain(mark..));
        }
    }

    /// Takes those to wake at the end of a turn, a bounded number: all are due if the run is over or long enough, before
    /// that only those with enough for a good write.
    pub fn take(&mut self, run_is_over: bool) -> impl Iterator<Item = SessionKey> + '_ {
        self.turns += 1;
        let turns_max = (self.later.len() / CONNECTIONS_PER_TURN).clamp(TURNS_MIN, TURNS_MAX);
        if run_is_over || self.turns >= turns_max {
            self.turns = 0;
            self.due.extend(self.soon.drain(..).chain(self.later.drain(..)));
        } else {
            self.due.extend(self.soon.drain(..));
        }
        let count = self.due.len().min(WAKES_PER_TURN);
        self.due.drain(..count)
    }

    /// Whether some that are due wait for the next turn.
    pub fn is_any_due(&self) -> bool {
        !self.due.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::online;
    use mqtt_codec::ProtocolVersion;

    /// Turns of a run without an end until those are woken that wait.
    fn turns_until_woken(connections: u32) -> usize {
        let mut wakes = Wakes::default();
        for index in 0..connections {
            let key = SessionKey { index, generation: 0, worker: 0 };
            wakes.touch(Some(&mut online(ProtocolVersion::V311)), key);
        }
        1 + (0..).take_while(|_| wakes.take(false).count() == 0).count()
    }

    #[test]
    fn the_more_wait_the_more_each_has_to_write_and_nobody_waits_for_ever() {
        assert_eq!(turns_until_woken(1), TURNS_MIN);
        assert_eq!(turns_until_woken(1000), TURNS_MIN);
        assert_eq!(turns_until_woken(3200), 100);
        assert_eq!(turns_until_woken(100_000), TURNS_MAX);
    }
}
