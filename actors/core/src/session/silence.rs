//! How long a client may stay silent [MQTT-3.1.2-22].

use std::time::{Duration, Instant};

use super::online::{Online, Reading};
use crate::compact::Recent;

/// What a client's silence means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// It was silent for too long, and is to be closed.
    TooLong,
    /// It is looked at again after this time.
    Within(Duration),
}

impl Online {
    /// How long the client may stay silent; zero: as long as it likes.
    pub fn patience(&self) -> Duration {
        Duration::from_millis(u64::from(self.keep_alive_seconds) * 1500)
    }

    /// Judges the client's silence, on the clock of a node that `started` then. One that the node does not read is given
    /// the benefit of the doubt until its actor has looked.
    pub(crate) fn judge_silence(&mut self, started: Instant, now: Instant) -> Silence {
        let patience = self.patience();
        let silence = self.last_received.elapsed(started, now);
        if silence < patience {
            return Silence::Within(patience - silence);
        }
        if self.reading == Reading::GoesOn {
            return Silence::TooLong;
        }
        self.reading = Reading::Doubted;
        self.last_received = Recent::new(started, now);
        self.wake();
        Silence::Within(patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{now, online};
    use mqtt_codec::ProtocolVersion;

    fn client(started: Instant, reading: Reading) -> Online {
        let last_received = Recent::new(started, started);
        Online { keep_alive_seconds: 10, last_received, reading, ..online(ProtocolVersion::V5) }
    }

    #[test]
    fn closed_after_one_and_a_half_times_the_keep_alive() {
        let started = now();
        let mut client = client(started, Reading::GoesOn);
        let at = |milliseconds| started + Duration::from_millis(milliseconds);
        assert_eq!(client.judge_silence(started, at(14_000)), Silence::Within(Duration::from_secs(1)));
        assert_eq!(client.judge_silence(started, at(15_000)), Silence::TooLong);
        client.last_received = Recent::new(started, at(15_000));
        assert_eq!(client.judge_silence(started, at(15_000)), Silence::Within(Duration::from_secs(15)));
    }

    /// Who is not read cannot be heard: its actor looks first, and it has all of its time again.
    #[test]
    fn who_is_not_read_is_doubted_and_not_closed() {
        let started = now();
        let mut client = client(started, Reading::Paused);
        let over = started + Duration::from_secs(15);
        assert_eq!(client.judge_silence(started, over), Silence::Within(Duration::from_secs(15)));
        assert_eq!(client.reading, Reading::Doubted);
    }
}
