//! A client's side of its session: what it published and has no answer for, and what it received with QoS 2.

use std::{
    collections::{HashSet, VecDeque},
    fmt,
};

use crate::{
    exchange::packets::{self, Message},
    wire::{Version, acknowledge, packet_type},
};

/// Most publishes in flight, whatever the broker allows.
const WINDOW: usize = 200;

const PACKET_IDENTIFIER_NOT_FOUND: u8 = 0x92;

/// How far a publish has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
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

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Session {
    last_identifier: u16,
    in_flight: VecDeque<InFlight>,
    waiting: VecDeque<Message>,
    /// QoS 2 packet identifiers between PUBLISH and PUBREL.
    received: HashSet<u16>,
}

impl Session {
    /// Nothing published waits for its last answer.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.waiting.is_empty()
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

    /// Publishes with QoS 1 or 2, as soon as the window allows.
    pub(super) fn publish(&mut self, message: Message) {
        self.waiting.push_back(message);
    }

    /// The messages that the window allows now, each with its packet identifier.
    pub(super) fn send(&mut self, receive_maximum: u16, mut send: impl FnMut(&Message, u16)) {
        while self.in_flight.len() < WINDOW.min(receive_maximum.into())
            && let Some(message) = self.waiting.pop_front()
        {
            let packet_identifier = self.next_identifier();
            send(&message, packet_identifier);
            self.in_flight.push_back(InFlight { packet_identifier, message, step: Step::Published });
        }
    }

    /// Sends again what has no answer, in order [MQTT-4.4.0-1].
    pub(super) fn resume(&mut self, out: &mut Vec<u8>, version: Version) {
        for InFlight { packet_identifier, message, step } in &mut self.in_flight {
            match step {
                Step::Published => packets::publish(out, version, message, *packet_identifier, true, None),
                Step::Released | Step::ReleasedAgain => {
                    *step = Step::ReleasedAgain;
                    acknowledge(out, packet_type::PUBREL, *packet_identifier);
                }
            }
        }
    }

    /// The broker forgot the session, as it was asked to: nothing is left of it here either.
    pub(super) fn forget(&mut self) {
        *self = Self { last_identifier: self.last_identifier, ..Self::default() };
    }

    /// Takes a PUBACK, PUBREC or PUBCOMP, and answers a PUBREC. False if it belongs to nothing, or refuses what is
    /// right.
    pub(super) fn acknowledged(
        &mut self,
        out: &mut Vec<u8>,
        packet_type: u8,
        packet_identifier: u16,
        code: u8,
    ) -> bool {
        let found = self.in_flight.iter().position(|entry| entry.packet_identifier == packet_identifier);
        let Some(at) = found else { return false };
        let entry = &mut self.in_flight[at];
        let (qos, step) = (entry.message.qos, entry.step);
        match (packet_type, qos, step) {
            (packet_type::PUBREC, 2, _) if code < 0x80 => {
                if step == Step::Published {
                    entry.step = Step::Released;
                }
                acknowledge(out, packet_type::PUBREL, packet_identifier);
                true
            }
            (packet_type::PUBACK, 1, _)
            | (packet_type::PUBREC, 2, Step::Published)
            | (packet_type::PUBCOMP, 2, Step::Released | Step::ReleasedAgain) => {
                self.in_flight.remove(at);
                // The broker forgets a packet identifier with the first PUBREL.
                code < 0x80 || step == Step::ReleasedAgain && code == PACKET_IDENTIFIER_NOT_FOUND
            }
            _ => false,
        }
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

impl fmt::Display for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { in_flight, waiting, received, .. } = self;
        write!(
            formatter,
            "{} in flight, {} waiting, {} received",
            in_flight.len(),
            waiting.len(),
            received.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(qos: u8) -> Message {
        Message { topic: "t".into(), payload: Vec::new(), qos, retain: false, expiry_seconds: None }
    }

    #[test]
    fn a_window_holds_and_opens() {
        let mut session = Session::default();
        (0..3).for_each(|_| session.publish(message(1)));
        let mut sent = Vec::new();
        session.send(2, |_, packet_identifier| sent.push(packet_identifier));
        assert_eq!(sent, [1, 2]);
        assert!(session.acknowledged(&mut Vec::new(), packet_type::PUBACK, 1, 0));
        assert!(!session.acknowledged(&mut Vec::new(), packet_type::PUBACK, 1, 0));
        session.send(2, |_, packet_identifier| sent.push(packet_identifier));
        assert_eq!(sent, [1, 2, 3]);
    }

    #[test]
    fn a_resumed_session_sends_each_at_its_step() {
        let mut session = Session::default();
        (0..2).for_each(|_| session.publish(message(2)));
        session.send(10, |_, _| {});
        let mut out = Vec::new();
        assert!(session.acknowledged(&mut out, packet_type::PUBREC, 1, 0));
        assert_eq!(out, b"\x62\x02\x00\x01");
        out.clear();
        session.resume(&mut out, Version::V3_1_1);
        assert_eq!(out, b"\x62\x02\x00\x01\x3c\x05\x00\x01t\x00\x02");
        assert!(session.acknowledged(&mut out, packet_type::PUBCOMP, 1, 0));
        assert!(!session.acknowledged(&mut out, packet_type::PUBCOMP, 2, 0));
        assert!(!session.is_idle());
    }

    /// The answer to the first PUBREL may have been lost with its connection; a second on one connection is not sent.
    #[test]
    fn a_pubrel_sent_again_may_find_its_identifier_forgotten() {
        let mut session = Session::default();
        (0..2).for_each(|_| session.publish(message(2)));
        session.send(10, |_, _| {});
        let mut out = Vec::new();
        assert!(session.acknowledged(&mut out, packet_type::PUBREC, 1, 0));
        session.resume(&mut out, Version::V5_0);
        assert!(session.acknowledged(&mut out, packet_type::PUBCOMP, 1, PACKET_IDENTIFIER_NOT_FOUND));
        assert!(session.acknowledged(&mut out, packet_type::PUBREC, 2, 0));
        assert!(!session.acknowledged(&mut out, packet_type::PUBCOMP, 2, PACKET_IDENTIFIER_NOT_FOUND));
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
