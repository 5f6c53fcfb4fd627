//! What waits for a client that shares subscriptions: in its session, and in its groups at its cost.
//!
//! A message that waits in a group waits for one of the members, and so it counts as what waits for one of them, the
//! payer: a client that is a member of very many groups costs no more than one that subscribes to as much by itself. It
//! counts for one and not for all, so that nobody's queue is filled by what others are to come for; and wholly, so that
//! members who join or leave make it neither cheaper nor dearer.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use crate::settings::SessionSettings;

/// See the module.
#[derive(Debug, Default)]
pub struct Burden {
    /// Messages unacknowledged or waiting in the session. Written by its worker, read at the groups' homes.
    pub waiting: AtomicU32,
    /// Bytes of those kept.
    bytes: AtomicUsize,
    /// Messages that wait in groups at its cost. Written at the groups' homes.
    group_messages: AtomicUsize,
    group_bytes: AtomicUsize,
}

impl Burden {
    /// With so many messages in the session.
    #[cfg(test)]
    pub fn of(waiting: u32) -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self { waiting: waiting.into(), ..Self::default() })
    }

    /// Notes what waits in the session: messages, and bytes of those kept.
    pub fn note(&self, waiting: u32, bytes: usize) {
        self.waiting.store(waiting, Relaxed);
        self.bytes.store(bytes, Relaxed);
    }

    /// Messages that wait in groups at its cost, and their bytes.
    pub fn in_groups(&self) -> (usize, usize) {
        (self.group_messages.load(Relaxed), self.group_bytes.load(Relaxed))
    }

    /// Takes a message of so many bytes that is to wait in a group, if the session's queue would have room for it. As
    /// there, a single message always finds some.
    pub fn charge(&self, bytes: usize, durable: bool, limits: &SessionSettings) -> bool {
        let bytes_max = if durable { limits.queue_bytes_max } else { limits.clean_queue_bytes_max };
        let messages = self.group_messages.fetch_add(1, Relaxed) + self.waiting.load(Relaxed) as usize;
        let held = self.group_bytes.fetch_add(bytes, Relaxed) + self.bytes.load(Relaxed);
        let fits = messages < limits.queue_messages_max && (held == 0 || held + bytes <= bytes_max);
        if !fits {
            self.release(1, bytes);
        }
        fits
    }

    /// Takes one that waits there whatever there is room for: it was accepted when there was.
    pub fn charge_all_the_same(&self, bytes: usize) {
        self.group_messages.fetch_add(1, Relaxed);
        self.group_bytes.fetch_add(bytes, Relaxed);
    }

    /// Messages that waited in a group do not wait there any more, or at another's cost.
    pub fn release(&self, messages: usize, bytes: usize) {
        self.group_messages.fetch_sub(messages, Relaxed);
        self.group_bytes.fetch_sub(bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_session_and_groups_together() {
        let limits = SessionSettings {
            queue_messages_max: 4,
            queue_bytes_max: 100,
            clean_queue_bytes_max: 50,
            ..SessionSettings::default()
        };
        let burden = Burden::default();
        assert!(burden.charge(1000, true, &limits), "a single message always finds room");
        assert!(!burden.charge(1, true, &limits));
        burden.release(1, 1000);
        burden.note(1, 40);
        assert!(burden.charge(60, true, &limits) && !burden.charge(1, true, &limits));
        assert_eq!(burden.in_groups(), (1, 60));
        burden.release(1, 60);
        assert!(burden.charge(10, false, &limits) && !burden.charge(1, false, &limits));
        burden.note(3, 0);
        assert!(!burden.charge(1, true, &limits), "four are the most");
        burden.note(2, 0);
        assert!(burden.charge(1, true, &limits));
    }
}
