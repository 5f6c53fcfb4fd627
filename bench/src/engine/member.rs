//! One subscriber that hears some of the messages, of a group that together hears each message once.

use super::{drawn::Drawn, traffic::Traffic};
use crate::wire::{PublishHead, Stamp};

/// State of a member.
#[derive(Debug)]
pub(crate) struct Member {
    group: usize,
    /// Which messages are its own; any may be where the broker chooses.
    part: Option<Part>,
    /// For each publisher, one past the latest message it heard.
    next: Vec<u32>,
}

/// The messages whose drawn number leaves this remainder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// How the numbers are drawn; the group says which of the two counts.
    pub drawn: Drawn,
    /// Members of the group.
    pub members: u32,
    /// Which of them this is.
    pub number: u32,
}

impl Member {
    /// A member that hears `publishers` publishers.
    pub(crate) fn new(group: usize, part: Option<Part>, publishers: u32) -> Self {
        Self { group, part, next: vec![0; publishers as usize] }
    }

    /// Takes one delivery and appends its acknowledgement; false if the message is not for this member.
    pub(crate) fn delivered(&mut self, head: PublishHead, stamp: Stamp, traffic: &mut Traffic) -> bool {
        let Some(next) = self.next.get_mut(stamp.publisher as usize) else { return false };
        if self.part.is_some_and(|part| !part.holds(self.group, stamp)) {
            return false;
        }
        if !traffic.seen.mark(self.group, stamp.publisher, stamp.sequence) {
            traffic.faults.duplicated += 1;
        } else if stamp.sequence < *next {
            traffic.faults.out_of_order += 1;
            traffic.arrived(1);
        } else {
            *next = stamp.sequence.saturating_add(1);
            traffic.arrived(1);
        }
        traffic.delivery(head, stamp);
        true
    }
}

impl Part {
    fn holds(self, group: usize, stamp: Stamp) -> bool {
        self.drawn.numbers(stamp.publisher, stamp.sequence)[group] % self.members == self.number
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn hear(member: &mut Member, traffic: &mut Traffic, sequence: u32) -> bool {
        let head = PublishHead { qos: 1, packet_identifier: 7, payload_at: 0 };
        member.delivered(head, Stamp { publisher: 0, sequence, nanoseconds: 0 }, traffic)
    }

    #[test]
    fn gaps_are_for_others_but_order_and_number_hold() {
        let mut traffic = Traffic::new(16, 64, 100, 1, 1, Instant::now());
        let mut members = [Member::new(0, None, 1), Member::new(0, None, 1)];
        traffic.published(5, false);
        assert!(hear(&mut members[0], &mut traffic, 0));
        assert!(hear(&mut members[1], &mut traffic, 3));
        assert!(hear(&mut members[0], &mut traffic, 4));
        assert_eq!(traffic.faults.out_of_order + traffic.faults.duplicated, 0);
        assert!(hear(&mut members[0], &mut traffic, 3));
        assert_eq!(traffic.faults.duplicated, 1);
        assert!(hear(&mut members[0], &mut traffic, 2));
        assert_eq!(traffic.faults.out_of_order, 1);
        assert_eq!((traffic.outstanding(), traffic.seen.lost(&[5])), (1, 1));
        assert_eq!(traffic.out.len(), 5 * 4);
    }

    #[test]
    fn a_message_for_another_member_is_a_mistake() {
        let mut traffic = Traffic::new(16, 64, 100, 2, 2, Instant::now());
        let drawn = Drawn::new(1000);
        let own = drawn.numbers(0, 0)[1] % 3;
        let member = |number| Member::new(1, Some(Part { drawn, members: 3, number }), 1);
        assert!(hear(&mut member(own), &mut traffic, 0));
        assert!(!hear(&mut member((own + 1) % 3), &mut traffic, 0));
    }
}
