//! One publishing client: its window, and the frames it may write.

use std::collections::VecDeque;

use super::{drawn::Drawn, traffic::Traffic};
use crate::{
    failure::Code,
    wire::{Numbered, PublishFrame, Stamp, acknowledge, packet_type},
};

/// State of a publisher.
#[derive(Debug)]
pub(crate) struct Publisher {
    number: u32,
    frame: PublishFrame,
    names: Names,
    qos: u8,
    /// Absent with QoS 0.
    window: Option<Window>,
    /// Sequence number of the next message, and so how many were published.
    sequence: u32,
    /// Publishes below this sequence number only.
    goal: u32,
    /// Sequence number the current phase started at.
    phase_start: u32,
    /// It stands in the queue of those that may publish when the others' deliveries allow.
    pub queued: bool,
}

/// How topic names differ from message to message.
#[derive(Debug)]
enum Names {
    Same,
    /// Two levels are drawn; they stand so many bytes into the name.
    Drawn(Drawn, usize),
    /// A number counts up from this one.
    Counted(Numbered, u32),
}

/// Why an acknowledgement cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AcknowledgementError {
    /// Nothing with this packet identifier waits for this kind of packet.
    Unknown,
    /// Its reason code is a failure.
    Refused(Code),
}

impl Publisher {
    /// A publisher that has sent nothing; `window` publishes may be unacknowledged with QoS 1 and 2.
    pub(crate) fn new(number: u32, frame: PublishFrame, qos: u8, window: u16) -> Self {
        let window = (qos > 0).then(|| Window::new(qos, window));
        Self {
            number,
            frame,
            names: Names::Same,
            qos,
            window,
            sequence: 0,
            goal: 0,
            phase_start: 0,
            queued: false,
        }
    }

    /// The same with topic names drawn anew for each message; the numbers stand `at` bytes into the name.
    pub(crate) fn drawing(mut self, drawn: Drawn, at: usize) -> Self {
        self.names = Names::Drawn(drawn, at);
        self
    }

    /// The same with one topic name after the other, in each phase from number `first` on.
    pub(crate) fn counting(mut self, names: Numbered, first: u32) -> Self {
        self.names = Names::Counted(names, first);
        self
    }

    /// Publishes copies of another frame from now on, with topic names of the same size.
    pub(super) fn reframe(&mut self, frame: PublishFrame) {
        self.frame = frame;
    }

    /// Takes the Receive Maximum of a CONNACK, before anything was published; true if it is below the window.
    pub(crate) fn narrow(&mut self, receive_maximum: u16) -> bool {
        self.window.as_mut().is_some_and(|window| window.narrow(receive_maximum))
    }

    /// Its number, from 0.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// QoS of its messages.
    pub(crate) fn qos(&self) -> u8 {
        self.qos
    }

    /// Bytes of each PUBLISH packet.
    pub(crate) fn packet_size(&self) -> u32 {
        self.frame.size() as u32
    }

    /// How many messages were published so far.
    pub(crate) fn published(&self) -> u32 {
        self.sequence
    }

    /// Nothing waits for an acknowledgement.
    pub(crate) fn is_settled(&self) -> bool {
        self.window.as_ref().is_none_or(|window| window.awaited.iter().all(|&awaited| awaited == 0))
    }

    /// Starts a phase of `messages` messages, `u32::MAX` for no bound.
    pub(crate) fn begin(&mut self, messages: u32) {
        self.phase_start = self.sequence;
        self.goal = self.sequence.saturating_add(messages);
    }

    /// One more message is due, in a paced phase.
    pub(crate) fn allow_one(&mut self) {
        self.goal += 1;
    }

    /// Publishes nothing more in this phase.
    pub(crate) fn stop(&mut self) {
        self.goal = self.sequence;
    }

    /// Messages that goal and window allow now.
    pub(crate) fn room(&self) -> u32 {
        let due = self.goal - self.sequence;
        self.window.as_ref().map_or(due, |window| due.min(window.free.len() as u32))
    }

    /// Appends the next `count` messages, at most [`Publisher::room`].
    pub(crate) fn publish(&mut self, count: u32, traffic: &mut Traffic) {
        for sequence in self.sequence..self.sequence + count {
            let packet_identifier = self.window.as_mut().map_or(0, Window::take);
            let nanoseconds = match &traffic.pace {
                Some(pace) => pace.due(sequence - self.phase_start, self.number),
                None => traffic.now,
            };
            let stamp = Stamp { publisher: self.number, sequence, nanoseconds };
            let topic_name_at = traffic.out.len() + self.frame.topic_name_at();
            self.frame.append(&mut traffic.out, &traffic.filler, packet_identifier, stamp);
            match &self.names {
                Names::Same => {}
                Names::Drawn(drawn, at) => {
                    drawn.patch(&mut traffic.out[topic_name_at + at..], self.number, sequence);
                }
                Names::Counted(names, first) => {
                    names.patch(&mut traffic.out[topic_name_at..], first + (sequence - self.phase_start));
                }
            }
        }
        self.sequence += count;
        traffic.published(count, self.window.is_some());
    }

    /// Takes a PUBACK, PUBREC or PUBCOMP and appends the PUBREL that a PUBREC asks for.
    pub(crate) fn acknowledged(
        &mut self,
        kind: u8,
        packet_identifier: u16,
        code: u8,
        traffic: &mut Traffic,
    ) -> Result<(), AcknowledgementError> {
        if code >= 0x80 {
            return Err(AcknowledgementError::Refused(Code(code)));
        }
        let window = self.window.as_mut().ok_or(AcknowledgementError::Unknown)?;
        match window.step(packet_identifier, kind).ok_or(AcknowledgementError::Unknown)? {
            Step::Release => acknowledge(&mut traffic.out, packet_type::PUBREL, packet_identifier),
            Step::Done => traffic.acknowledged(),
        }
        Ok(())
    }
}

/// The packet identifiers of a publisher, as many as its window.
#[derive(Debug)]
struct Window {
    first_acknowledgement: u8,
    /// Used oldest first, so that an identifier rests for as long as it can.
    free: VecDeque<u16>,
    /// The packet type each identifier waits for, 0 for none; identifier 1 stands first.
    awaited: Vec<u8>,
}

enum Step {
    Release,
    Done,
}

impl Window {
    fn new(qos: u8, size: u16) -> Self {
        Self {
            first_acknowledgement: if qos == 1 { packet_type::PUBACK } else { packet_type::PUBREC },
            free: (1..=size).collect(),
            awaited: vec![0; usize::from(size)],
        }
    }

    fn narrow(&mut self, size: u16) -> bool {
        let narrowed = usize::from(size) < self.free.len();
        self.free.truncate(usize::from(size));
        narrowed
    }

    /// The caller asked for no more than there are.
    fn take(&mut self) -> u16 {
        let identifier = self.free.pop_front().expect("a publisher never publishes more than its room");
        self.awaited[usize::from(identifier) - 1] = self.first_acknowledgement;
        identifier
    }

    fn step(&mut self, identifier: u16, kind: u8) -> Option<Step> {
        let awaited = self.awaited.get_mut(usize::from(identifier).checked_sub(1)?)?;
        if *awaited != kind {
            return None;
        }
        if kind == packet_type::PUBREC {
            *awaited = packet_type::PUBCOMP;
            return Some(Step::Release);
        }
        *awaited = 0;
        self.free.push_back(identifier);
        Some(Step::Done)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::wire::Version;

    fn publisher(qos: u8, window: u16) -> (Publisher, Traffic) {
        let frame = PublishFrame::new(Version::V3_1_1, "t", qos, 16);
        (Publisher::new(0, frame, qos, window), Traffic::new(16, 64, 100, 1, 0, Instant::now()))
    }

    #[test]
    fn the_window_bounds_what_is_in_flight() {
        let (mut publisher, mut traffic) = publisher(1, 3);
        publisher.begin(10);
        assert_eq!(publisher.room(), 3);
        publisher.publish(3, &mut traffic);
        assert_eq!((publisher.room(), traffic.in_flight), (0, 3));
        publisher.acknowledged(packet_type::PUBACK, 2, 0, &mut traffic).unwrap();
        assert_eq!((publisher.room(), traffic.in_flight), (1, 2));
        let again = publisher.acknowledged(packet_type::PUBACK, 2, 0, &mut traffic);
        assert_eq!(again, Err(AcknowledgementError::Unknown));
        assert!(publisher.narrow(0));
    }

    #[test]
    fn qos_2_takes_four_packets() {
        let (mut publisher, mut traffic) = publisher(2, 1);
        publisher.begin(2);
        publisher.publish(1, &mut traffic);
        traffic.out.clear();
        let early = publisher.acknowledged(packet_type::PUBCOMP, 1, 0, &mut traffic);
        assert_eq!(early, Err(AcknowledgementError::Unknown));
        publisher.acknowledged(packet_type::PUBREC, 1, 0, &mut traffic).unwrap();
        assert_eq!((traffic.out.as_slice(), publisher.room()), (&[0x62, 2, 0, 1][..], 0));
        publisher.acknowledged(packet_type::PUBCOMP, 1, 0, &mut traffic).unwrap();
        assert_eq!((traffic.in_flight, publisher.room()), (0, 1));
    }

    #[test]
    fn a_failing_reason_code_is_no_acknowledgement() {
        let (mut publisher, mut traffic) = publisher(1, 1);
        publisher.begin(1);
        publisher.publish(1, &mut traffic);
        let refused = publisher.acknowledged(packet_type::PUBACK, 1, 0x97, &mut traffic);
        assert_eq!(refused, Err(AcknowledgementError::Refused(Code(0x97))));
    }
}
