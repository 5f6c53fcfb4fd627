//! The end: nothing that was promised is missing.

use std::time::Duration;

use tokio::time::Instant;

use super::world::{MARGIN, World};

type Verdict = Result<(), String>;

impl World<'_> {
    /// Everything that must have arrived at this client has.
    pub(crate) fn judge_complete(&self, index: usize) -> Verdict {
        let client = &self.clients[index];
        let Some(session) = &client.session else { return Ok(()) };
        let now = Instant::now();
        for copy in session.copies.iter().filter(|copy| copy.certain && !copy.received) {
            let message = &self.messages[copy.message];
            let same = session.copies.iter().filter(|other| {
                // Empty payloads cannot be told apart.
                let of = &self.messages[other.message];
                of.topic == message.topic && of.payload == message.payload && other.how == copy.how
            });
            let (mut certain, mut received) = (0, 0);
            for other in same {
                certain += u32::from(other.certain);
                received += u32::from(other.received);
            }
            let may_be_expired = self.may_be_expired(copy.message, copy.instance, now);
            if certain > received && !may_be_expired {
                return Err(format!(
                    "{}: lost: {message:?}, {copy:?}, {certain} and {received}",
                    client.name
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn may_be_expired(&self, message: usize, instance: usize, now: Instant) -> bool {
        let lifetime = self.messages[message].expiry.map(|seconds| Duration::from_secs(seconds.into()));
        lifetime.is_some_and(|lifetime| self.instances[instance].at.0 + lifetime <= now + MARGIN)
    }

    /// Everything that must have arrived at a member of each shared group has.
    pub(crate) fn judge_groups(&self) -> Verdict {
        let now = Instant::now();
        for (filter, entries) in &self.groups {
            for entry in entries.iter().filter(|entry| entry.certain && !entry.received) {
                let message = &self.messages[entry.message];
                let same = entries.iter().filter(|other| {
                    let of = &self.messages[other.message];
                    of.topic == message.topic && of.payload == message.payload
                });
                let (mut certain, mut received) = (0, 0);
                for other in same {
                    certain += u32::from(other.certain);
                    received += u32::from(other.received);
                }
                if certain > received && !self.may_be_expired(entry.message, entry.instance, now) {
                    return Err(format!("lost in {filter}: {message:?}, {entry:?}"));
                }
            }
        }
        Ok(())
    }
}
