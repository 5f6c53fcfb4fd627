//! A client's side of its session: what it published and has no answer for, and what it received with QoS 2.

use std::collections::{HashSet, VecDeque};

use super::{event::Topic, judge::Change};
use crate::wire::packet_type;

const PACKET_IDENTIFIER_NOT_FOUND: u8 = 0x92;

/// A message of its own, by number: the payload is written anew whenever it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message {
    /// Where it is published.
    pub topic: Topic,
    /// Which one of that topic name.
    pub sequence: u32,
    /// 1 or 2.
    pub qos: u8,
    /// What it does to the retained message, if RETAIN is 1.
    pub change: Option<Change>,
}

/// How far a publish has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// PUBLISH was sent.
    Published,
    /// PUBREC came, PUBREL was sent.
    Released,
    /// PUBREL was sent on an earlier connection as well, which may have had its answer.
    ReleasedAgain,
}

#[derive(Debug)]
struct InFlight {
    packet_identifier: u16,
    message: Message,
    step: Step,
}

/// What an acknowledgement means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The message is the broker's now.
    Acknowledged(Message),
    /// PUBREL is due.
    Release,
    /// The broker does not take it.
    Refused(Message),
    /// It belongs to nothing.
    Unexpected,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Session {
    last_identifier: u16,
    in_flight: VecDeque<InFlight>,
    /// QoS 2 packet identifiers between PUBLISH and PUBREL.
    received: HashSet<u16>,
}

impl Session {
    /// Publishes that wait for their last answer.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The same by QoS and step.
    pub(super) fn count(&self, qos: u8, is_released: bool) -> usize {
        let is_one = |it: &&InFlight| it.message.qos == qos && (it.step != Step::Published) == is_released;
        self.in_flight.iter().filter(is_one).count()
    }

    /// A packet identifier that nothing uses.
    pub(super) fn next_identifier(&mut self) -> u16 {
        loop {
            self.last_identifier = self.last_identifier.checked_add(1).unwrap_or(1);
            if !self.in_flight.iter().any(|entry| entry.packet_identifier == self.last_identifier) {
                return self.last_identifier;
            }
        }
    }

    /// A message is sent for the first time, with the packet identifier that it gets.
    pub(super) fn publish(&mut self, message: Message) -> u16 {
        let packet_identifier = self.next_identifier();
        self.in_flight.push_back(InFlight { packet_identifier, message, step: Step::Published });
        packet_identifier
    }

    /// What has to be sent again, in order [MQTT-4.4.0-1]: the PUBLISH, or behind a PUBREC the PUBREL.
    pub(super) fn resume(&mut self, mut send: impl FnMut(u16, Message, Step)) {
        for InFlight { packet_identifier, message, step } in &mut self.in_flight {
            if *step == Step::Released {
                *step = Step::ReleasedAgain;
            }
            send(*packet_identifier, *message, *step);
        }
    }

    /// The broker has no session: nothing is left of it here either. Returns what was in flight.
    pub(super) fn forget(&mut self) -> Vec<Message> {
        self.received.clear();
        self.in_flight.drain(..).map(|entry| entry.message).collect()
    }

    /// Takes a PUBACK, PUBREC or PUBCOMP.
    pub(super) fn acknowledged(&mut self, kind: u8, packet_identifier: u16, code: u8) -> Outcome {
        let found = self.in_flight.iter().position(|entry| entry.packet_identifier == packet_identifier);
        let Some(at) = found else { return Outcome::Unexpected };
        let entry = &mut self.in_flight[at];
        let (message, step) = (entry.message, entry.step);
        match (kind, message.qos, step) {
            (packet_type::PUBREC, 2, _) if code < 0x80 => {
                if step == Step::Published {
                    entry.step = Step::Released;
                }
                return Outcome::Release;
            }
            (packet_type::PUBACK, 1, _)
            | (packet_type::PUBREC, 2, Step::Published)
            | (packet_type::PUBCOMP, 2, Step::Released | Step::ReleasedAgain) => {}
            _ => return Outcome::Unexpected,
        }
        self.in_flight.remove(at);
        // The broker forgets a packet identifier with the first PUBREL.
        let was_answered = step == Step::ReleasedAgain && code == PACKET_IDENTIFIER_NOT_FOUND;
        if code < 0x80 || was_answered { Outcome::Acknowledged(message) } else { Outcome::Refused(message) }
    }

    /// Takes the packet identifier of a QoS 2 PUBLISH. False if that message is here already.
    pub(super) fn received(&mut self, packet_identifier: u16) -> bool {
        self.received.insert(packet_identifier)
    }

    /// Takes a PUBREL.
    pub(super) fn released(&mut self, packet_identifier: u16) {
        self.received.remove(&packet_identifier);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(qos: u8, sequence: u32) -> Message {
        Message { topic: 0, sequence, qos, change: None }
    }

    fn resumed(session: &mut Session) -> Vec<(u16, Step)> {
        let mut sent = Vec::new();
        session.resume(|packet_identifier, _, step| sent.push((packet_identifier, step)));
        sent
    }

    #[test]
    fn each_is_resumed_at_its_step_and_in_order() {
        let mut session = Session::default();
        let identifiers: Vec<_> =
            [1, 2, 2].into_iter().zip(0..).map(|(qos, at)| session.publish(message(qos, at))).collect();
        assert_eq!(identifiers, [1, 2, 3]);
        assert_eq!(session.acknowledged(packet_type::PUBREC, 2, 0), Outcome::Release);
        assert_eq!((session.count(1, false), session.count(2, true), session.in_flight()), (1, 1, 3));
        let expected = [(1, Step::Published), (2, Step::ReleasedAgain), (3, Step::Published)];
        assert_eq!(resumed(&mut session), expected);
        assert_eq!(session.acknowledged(packet_type::PUBACK, 1, 0x10), Outcome::Acknowledged(message(1, 0)));
        assert_eq!(session.acknowledged(packet_type::PUBACK, 1, 0), Outcome::Unexpected);
        assert_eq!(session.forget(), [message(2, 1), message(2, 2)]);
    }

    /// The answer to the first PUBREL may have been lost with its connection.
    #[test]
    fn a_pubrel_sent_again_may_find_its_identifier_forgotten() {
        let mut session = Session::default();
        (0..2).for_each(|at| assert!(session.publish(message(2, at)) > 0));
        assert_eq!(session.acknowledged(packet_type::PUBREC, 1, 0), Outcome::Release);
        resumed(&mut session);
        assert_eq!(session.acknowledged(packet_type::PUBREC, 2, 0), Outcome::Release);
        let not_found = |session: &mut Session, at| session.acknowledged(packet_type::PUBCOMP, at, 0x92);
        assert_eq!(not_found(&mut session, 1), Outcome::Acknowledged(message(2, 0)));
        assert_eq!(not_found(&mut session, 2), Outcome::Refused(message(2, 1)));
    }

    #[test]
    fn qos_2_is_taken_once_until_it_is_released() {
        let mut session = Session::default();
        assert!(session.received(5));
        assert!(!session.received(5));
        session.released(5);
        assert!(session.received(5));
    }
}
