//! What a client subscribes to before it is up: one topic filter, or many in packets of several.

use std::{iter::StepBy, ops::Range};

use crate::wire::{self, Numbered, Version};

/// Topic filters to subscribe to, one SUBSCRIBE after the other.
#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    filters: Numbered,
    /// Numbers of the filters.
    numbers: StepBy<Range<u32>>,
    /// Those that were not asked for so far.
    rest: StepBy<Range<u32>>,
    qos: u8,
    retained: bool,
    per_packet: usize,
    /// Filters in the SUBSCRIBE that waits for its answer.
    asked: usize,
}

/// What a SUBACK means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// There are further filters to ask for.
    More,
    /// All filters are subscribed to.
    Done,
    /// The broker granted something else, with this code.
    Refused(u8),
    /// It holds another number of codes than filters were asked for.
    Miscounted,
}

impl Subscription {
    /// One topic filter.
    pub(crate) fn one(filter: &str, qos: u8) -> Self {
        Self::many(Numbered::one(filter), (0..1).step_by(1), qos, 1)
    }

    /// The filters of these numbers, up to `per_packet` in one SUBSCRIBE.
    pub(crate) fn many(filters: Numbered, numbers: StepBy<Range<u32>>, qos: u8, per_packet: usize) -> Self {
        Self { filters, rest: numbers.clone(), numbers, qos, retained: false, per_packet, asked: 0 }
    }

    /// The same, and retained messages are to come.
    pub(crate) fn with_retained(self) -> Self {
        Self { retained: true, ..self }
    }

    /// The QoS asked for.
    pub(super) fn qos(&self) -> u8 {
        self.qos
    }

    /// Appends the next SUBSCRIBE; false if there is nothing left to ask for.
    pub(super) fn ask(&mut self, out: &mut Vec<u8>, version: Version) -> bool {
        let numbers: Vec<u32> = self.rest.by_ref().take(self.per_packet).collect();
        self.asked = numbers.len();
        if numbers.is_empty() {
            return false;
        }
        // One at a time, so the identifier is always free.
        wire::subscribe(out, version, 1, &self.filters, &numbers, self.qos, self.retained);
        true
    }

    /// Takes the codes of a SUBACK. When all is done, a further connection may begin anew.
    pub(super) fn answered(&mut self, codes: &[u8]) -> Answer {
        if let Some(&code) = codes.iter().find(|&&code| code != self.qos) {
            return Answer::Refused(code);
        }
        if codes.len() != self.asked {
            return Answer::Miscounted;
        }
        if self.rest.len() > 0 {
            return Answer::More;
        }
        self.rest = self.numbers.clone();
        Answer::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_go_out_in_packets() {
        let filters = Numbered::new("f/", 9, "");
        let mut subscription = Subscription::many(filters, (1..9).step_by(3), 1, 2);
        let mut out = Vec::new();
        assert!(subscription.ask(&mut out, Version::V3_1_1));
        assert_eq!(out, b"\x82\x0e\x00\x01\x00\x03f/1\x01\x00\x03f/4\x01");
        assert_eq!(subscription.answered(&[1]), Answer::Miscounted);
        assert_eq!(subscription.answered(&[1, 0x80]), Answer::Refused(0x80));
        assert_eq!(subscription.answered(&[1, 1]), Answer::More);
        out.clear();
        assert!(subscription.ask(&mut out, Version::V3_1_1));
        assert_eq!(out, b"\x82\x08\x00\x01\x00\x03f/7\x01");
        assert_eq!(subscription.answered(&[1]), Answer::Done);
        assert!(subscription.ask(&mut out, Version::V3_1_1), "from the first on");
    }
}
