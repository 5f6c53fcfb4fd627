//! One session and one client, driven at random against what MQTT promises: nothing acknowledged is lost, QoS 2 comes
//! once, the order is kept, the client's limits hold, and the books balance after each step.

use mqtt_codec::{Packet, ProtocolVersion, QoS, ReasonCode};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::time::Duration;

use crate::message::Publication;
use crate::session::Acknowledged;
use crate::session::online::Online;
use crate::session::state::Session;
use crate::testing::{Office, online, publication, session, wanted};

#[derive(Debug, Clone)]
enum Step {
    /// A message is published, with a lifetime in seconds or without.
    Publish(QoS, Option<u8>),
    /// The client reads all that is written to it.
    Read,
    /// It answers the packet that it read first of those not answered.
    Answer,
    /// The connection has room: it takes what waits.
    Pump,
    /// The network connection is lost, with all that was written and not read.
    Lose,
    /// The client comes back, with this receive maximum.
    ComeBack(u16),
    /// Seconds pass.
    Pass(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let qos = prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)];
    let step = prop_oneof![
        6 => (qos, proptest::option::weighted(0.2, 1..10u8)).prop_map(|(qos, life)| Step::Publish(qos, life)),
        4 => Just(Step::Read),
        6 => Just(Step::Answer),
        3 => Just(Step::Pump),
        1 => Just(Step::Lose),
        2 => (1..5u16).prop_map(Step::ComeBack),
        1 => (0..5u8).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 1..120)
}

/// The client, and what it has seen.
#[derive(Default)]
struct Client {
    /// Packets read and not answered.
    unanswered: VecDeque<Packet>,
    /// Numbers of the messages that it took, in order.
    taken: Vec<(QoS, u32)>,
    /// QoS 2: packet identifiers of what was received and not released.
    received: Vec<u16>,
    /// PUBLISH of QoS 1 and 2 read on this network connection, and not settled.
    on_wire: Vec<u16>,
}

impl Client {
    fn read(&mut self, packets: Vec<Packet>, inflight_max: u16) {
        for packet in packets {
            match &packet {
                Packet::Publish(publish) => {
                    let number: u32 = std::str::from_utf8(&publish.payload).unwrap().parse().unwrap();
                    let identifier = publish.packet_identifier.map_or(0, |identifier| identifier.get());
                    let known = publish.qos == QoS::ExactlyOnce && self.received.contains(&identifier);
                    if !known {
                        self.taken.push((publish.qos, number));
                    }
                    if publish.qos == QoS::ExactlyOnce && !known {
                        self.received.push(identifier);
                    }
                    if publish.qos != QoS::AtMostOnce {
                        assert!(!self.on_wire.contains(&identifier), "{identifier} is in use");
                        self.on_wire.push(identifier);
                        assert!(self.on_wire.len() <= usize::from(inflight_max), "above the receive maximum");
                        self.unanswered.push_back(packet);
                    }
                }
                Packet::PubRel(ack) => {
                    let identifier = ack.packet_identifier.get();
                    if !self.on_wire.contains(&identifier) {
                        self.on_wire.push(identifier);
                    }
                    self.unanswered.push_back(packet);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn answer(&mut self, session: &mut Session, office: &mut Office) {
        match self.unanswered.pop_front() {
            Some(Packet::Publish(publish)) => {
                let identifier = publish.packet_identifier.unwrap();
                if publish.qos == QoS::AtLeastOnce {
                    let answer = session.on_puback(identifier, ReasonCode::Success, &office.desk());
                    assert_eq!(answer, Acknowledged::Settled);
                    self.on_wire.retain(|other| *other != identifier.get());
                } else {
                    let answer = session.on_pubrec(identifier, ReasonCode::Success, &office.desk());
                    assert_eq!(answer, Acknowledged::Release);
                    // The protocol writes the PUBREL at once.
                    self.unanswered
                        .push_back(Packet::PubRel(mqtt_codec::Ack::new(identifier, ReasonCode::Success)));
                }
            }
            Some(Packet::PubRel(ack)) => {
                let identifier = ack.packet_identifier;
                self.received.retain(|other| *other != identifier.get());
                self.on_wire.retain(|other| *other != identifier.get());
                let _ = session.on_pubcomp(identifier, &office.desk());
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn keeps_its_promises(steps in steps()) {
        let (mut office, mut session) = (Office::new(), session(60));
        office.settings.node.outbox_bytes_max = 60;
        let mut client = Client::default();
        let mut published: Vec<(QoS, bool)> = Vec::new();
        let mut settle = VecDeque::from(steps);
        // In the end the client comes back and takes all there is.
        settle.push_back(Step::Lose);
        settle.push_back(Step::ComeBack(3));
        for _ in 0..200 {
            settle.extend([Step::Pump, Step::Read, Step::Answer, Step::Answer]);
        }
        for step in settle {
            match step {
                Step::Publish(qos, life) => {
                    let payload = published.len().to_string();
                    let expires_at = life.map(|seconds| office.now + Duration::from_secs(seconds.into()));
                    published.push((qos, life.is_some()));
                    let message = Publication { expires_at, ..publication("t", &payload, qos) };
                    office.offer(&mut session, &message, &wanted(QoS::ExactlyOnce));
                }
                Step::Read if session.online.is_some() => {
                    let packets = office.read(&mut session);
                    let inflight_max = session.online.as_ref().map_or(0, |online| online.inflight_max);
                    client.read(packets, inflight_max);
                }
                Step::Answer if session.online.is_some() => client.answer(&mut session, &mut office),
                Step::Pump => {
                    session.pump(&mut office.desk());
                }
                Step::Lose => {
                    if let Some(online) = session.online.take() {
                        if let Some(outgoing) = &mut session.outgoing {
                            outgoing.inflight.forget_wire();
                            outgoing.resend.clear();
                        }
                        session.close_outbox(online.outbox, &office.ledger);
                        client.unanswered.clear();
                        client.on_wire.clear();
                    }
                }
                Step::ComeBack(inflight_max) if session.online.is_none() => {
                    session.online = Some(Online { inflight_max, ..online(ProtocolVersion::V5) });
                    session.resume_sending();
                }
                Step::Pass(seconds) => office.pass(Duration::from_secs(seconds.into())),
                _ => {}
            }
            office.assert_balanced(&session);
        }
        prop_assert_eq!(session.waiting(), 0);
        prop_assert_eq!(session.outgoing.as_ref().map_or(0, |outgoing| outgoing.inflight_bytes), 0);
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut taken: Vec<_> =
                client.taken.iter().filter(|(of, _)| *of == qos).map(|(_, number)| *number).collect();
            if qos == QoS::ExactlyOnce {
                prop_assert!(taken.is_sorted_by(|one, other| one < other), "{taken:?}: twice, or out of order");
            }
            taken.sort_unstable();
            taken.dedup();
            let must: Vec<u32> = (0..published.len() as u32)
                .filter(|number| published[*number as usize] == (qos, false))
                .collect();
            prop_assert!(must.iter().all(|number| taken.contains(number)), "{must:?} {taken:?}");
        }
    }
}
