//! The lines that the log has for clients: that they connect, disconnect and are refused.
//!
//! Each is at info, there are so many a second and no more; what is left out is counted, and said in one
//! line when the second is over. Whoever writes a line asks first ([`ClientLines::take`]): nothing is made for one that is
//! left out.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::time::{Duration, Instant};

use tracing::info;

use crate::clock;

/// What happens to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientEvent {
    /// It connected.
    Connected,
    /// It disconnected, or was disconnected.
    Disconnected,
    /// Its CONNECT was refused.
    Refused,
}

/// The lines of a node, counted by seconds since it started.
#[derive(Debug)]
pub struct ClientLines {
    started: Instant,
    pub(crate) lines_per_second_max: u32,
    /// The second of the latest line, and how many there were in it.
    window: AtomicU64,
    left_out: [AtomicU64; 3],
    /// Somebody will say what was left out.
    is_awaited: AtomicBool,
}

impl ClientLines {
    /// With so many lines a second.
    pub(crate) fn new(lines_per_second_max: u32) -> Self {
        Self {
            started: clock::now(),
            lines_per_second_max,
            window: AtomicU64::new(0),
            left_out: Default::default(),
            is_awaited: AtomicBool::new(false),
        }
    }

    /// The present second, from 1 on.
    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started).as_secs() + 1
    }

    /// Takes a line of this second. False if there is none left.
    pub(crate) fn take(&self, entry: ClientEvent, now: Instant) -> bool {
        let second = self.second(now);
        let taken = self.window.fetch_update(Relaxed, Relaxed, |window| {
            let lines = if window >> 32 == second { window & u64::from(u32::MAX) } else { 0 };
            (lines < u64::from(self.lines_per_second_max)).then_some(second << 32 | (lines + 1))
        });
        match taken {
            Ok(before) => {
                if before >> 32 != second {
                    self.tell_left_out();
                }
                true
            }
            Err(_) => {
                self.left_out[entry as usize].fetch_add(1, SeqCst);
                false
            }
        }
    }

    /// When this second is over, if somebody has to be there then to say what was left out of it, and nobody will.
    pub(crate) fn next_look(&self, now: Instant) -> Option<Instant> {
        let is_awaited = self.is_awaited.swap(true, SeqCst);
        (!is_awaited).then(|| self.started + Duration::from_secs(self.second(now)))
    }

    /// Says what was left out of a second that is over.
    pub(crate) fn look(&self, now: Instant) {
        if self.window.load(Relaxed) >> 32 != self.second(now) {
            self.tell_left_out();
        }
    }

    /// Says what was left out.
    pub(crate) fn tell_left_out(&self) {
        // What is left out behind this needs somebody anew.
        self.is_awaited.store(false, SeqCst);
        if self.left_out.iter().all(|count| count.load(Relaxed) == 0) {
            return;
        }
        let [connected, disconnected, refused] = self.left_out.each_ref().map(|count| count.swap(0, SeqCst));
        info!(
            connected,
            disconnected,
            refused,
            "clients of which no line was written: there are more than node.client_lines_per_second_max"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_lines_and_what_is_left_out_is_counted() {
        let journal = ClientLines::new(3);
        let begin = journal.started;
        let taken = |at, entry| (0..5).filter(|_| journal.take(entry, begin + at)).count();
        assert_eq!(taken(Duration::ZERO, ClientEvent::Connected), 3);
        assert_eq!(taken(Duration::from_millis(999), ClientEvent::Refused), 0);
        let left_out = || journal.left_out.each_ref().map(|count| count.load(Relaxed));
        assert_eq!(left_out(), [2, 0, 5]);
        let next_look = || journal.next_look(begin + Duration::from_millis(999));
        assert_eq!([next_look(), next_look()], [Some(begin + Duration::from_secs(1)), None]);
        journal.look(begin + Duration::from_millis(999));
        assert_eq!(left_out(), [2, 0, 5], "that second is not over");
        assert_eq!(taken(Duration::from_secs(1), ClientEvent::Disconnected), 3);
        assert_eq!(left_out(), [0, 2, 0], "what was left out before was said");
        journal.look(begin + Duration::from_secs(2));
        assert_eq!(left_out(), [0; 3]);
    }
}
