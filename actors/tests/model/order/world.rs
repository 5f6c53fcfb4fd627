//! One run: what clients do, without waiting for each other, and what they see of it.

use std::collections::BTreeMap;

use micro_mq_actors::simulation::{SimulatedClient, SimulatedNode};
use mqtt_codec::{Ack, Packet, PacketIdentifier, Publish, QoS, ReasonCode};

use super::client::{Client, Will};
use super::history::{History, Published, Received};
use crate::random::Random;

/// See the module.
pub(super) struct World<'a> {
    pub(super) node: &'a SimulatedNode,
    pub(super) random: Random,
    pub(super) clients: Vec<Client>,
    /// Network connections that their clients have given up without a word.
    pub(super) left: Vec<SimulatedClient>,
    pub(super) history: History,
    pub(super) wills: Vec<Will>,
    /// There is so little room between workers that a publish may have to wait for it, or the auth actor is asked.
    pub(super) may_wait: bool,
    pub(super) is_traced: bool,
    pub(super) places: BTreeMap<String, usize>,
    pub(super) numbers: u64,
}

impl World<'_> {
    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn trace(&self, line: impl FnOnce() -> String) {
        if self.is_traced {
            println!("{}", line());
        }
    }

    /// The place of a topic name.
    pub(super) fn topic(&mut self, name: &str) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        self.history.topics.push(name.to_owned());
        self.places.insert(name.to_owned(), self.history.topics.len() - 1);
        self.history.topics.len() - 1
    }

    /// Nothing is on its way any more: whatever was sent is done.
    pub(super) async fn rest(&mut self) {
        self.node.settle().await;
        let now = self.history.moment();
        let unsent = |published: &Published| {
            let link = self.clients[published.client].link.as_ref();
            link.is_some_and(|link| link.number == published.link && link.wire.unsent() > 0)
        };
        let mut done = Vec::new();
        for (at, published) in self.history.published.iter().enumerate().rev().take(LOOKED_BACK) {
            if published.done.is_none() && !unsent(published) {
                done.push(at);
            }
        }
        done.into_iter().for_each(|at| self.history.published[at].done = Some(now));
        self.settle_away();
    }

    /// A client takes in what has come, no more than so many bytes.
    pub(super) fn receive(&mut self, client: usize, bytes_max: usize) -> Result<bool, String> {
        let name = self.clients[client].name.clone();
        let Some(link) = &mut self.clients[client].link else { return Ok(false) };
        let (before, unsent) = (link.wire.bytes_received(), link.wire.unsent());
        let packets = link.wire.receive_some(bytes_max).map_err(|wrong| format!("{name}: {wrong}"))?;
        let is_any = link.wire.bytes_received() > before || unsent > 0;
        for packet in packets {
            self.trace(|| format!("{name} < {}", shown(&packet)));
            self.take(client, packet).map_err(|wrong| format!("{name}: {wrong}"))?;
        }
        match &self.clients[client].link {
            Some(link) if link.wire.is_over() => Err(format!("{name}: the network connection ended")),
            _ => Ok(is_any),
        }
    }

    fn take(&mut self, index: usize, packet: Packet) -> Result<(), String> {
        let now = self.history.moment();
        if let Packet::Publish(publish) = &packet {
            self.take_publish(index, publish)?;
        }
        let link = self.clients[index].link.as_mut().ok_or("no link")?;
        let answered = match packet {
            Packet::ConnAck(answer) => {
                let present = answer.session_present;
                let is_expected = link.session_present.is_none_or(|expected| expected == present);
                if answer.reason_code != ReasonCode::Success || !is_expected {
                    return Err(format!(
                        "session present: {:?} was expected: {answer:?}",
                        link.session_present
                    ));
                }
                link.is_connected = true;
                if link.session_present.replace(present).is_none() {
                    let expiry = link.expiry;
                    self.learn_session(index, present, expiry);
                }
                return self.note_resumed(index, now);
            }
            Packet::PubAck(ack) => link.unacknowledged.remove(&ack.packet_identifier.get()),
            Packet::PubRec(ack) => {
                link.owed.push_back(Packet::PubRel(Ack::new(ack.packet_identifier, ReasonCode::Success)));
                link.unacknowledged.remove(&ack.packet_identifier.get())
            }
            Packet::SubAck(ack) => return self.take_change(index, ack.packet_identifier, now),
            Packet::UnsubAck(ack) => return self.take_change(index, ack.packet_identifier, now),
            Packet::PubRel(ack) => {
                link.owed.push_back(Packet::PubComp(Ack::new(ack.packet_identifier, ReasonCode::Success)));
                None
            }
            Packet::Publish(Publish { packet_identifier: Some(identifier), qos, .. }) => {
                let ack = Ack::new(identifier, ReasonCode::Success);
                let owes = if qos == QoS::ExactlyOnce { Packet::PubRec(ack) } else { Packet::PubAck(ack) };
                link.owed.push_back(owes);
                None
            }
            Packet::PubComp(_) | Packet::Publish(_) => None,
            other => return Err(format!("not expected: {other:?}")),
        };
        if let Some(message) = answered {
            let published = &mut self.history.published[message];
            published.done = published.done.or(Some(now));
        }
        Ok(())
    }

    /// What the client asked for on earlier network connections and had no answer to is done.
    fn note_resumed(&mut self, index: usize, now: u64) -> Result<(), String> {
        let client = &self.clients[index];
        let session = client.session.as_ref().ok_or("no session")?.number;
        let link = client.link.as_ref().ok_or("no link")?.number;
        for request in &mut self.history.requests {
            let is_it = request.client == index && request.session == session && request.done.is_none();
            if is_it && !request.is_doubtful && request.link != link {
                request.done = Some(now);
            }
        }
        Ok(())
    }

    fn take_change(&mut self, index: usize, identifier: PacketIdentifier, now: u64) -> Result<(), String> {
        let link = self.clients[index].link.as_mut().ok_or("no link")?;
        let (asked, request) = link.asked.pop_front().ok_or("answers nothing")?;
        if asked != identifier.get() {
            return Err(format!("answers {} before {asked}", identifier.get()));
        }
        self.history.requests[request].done = Some(now);
        Ok(())
    }

    fn take_publish(&mut self, index: usize, publish: &Publish) -> Result<(), String> {
        let topic = self.topic(&publish.topic);
        let text = std::str::from_utf8(&publish.payload).map_err(|_| "a payload of nobody")?;
        let message = match (text.get(..1), text.get(1..).and_then(|rest| rest.trim_end().parse().ok())) {
            (None, _) => None,
            (Some("p"), Some(message)) => Some(message),
            (Some("w"), Some(will)) => {
                let will: usize = will;
                let of = &self.wills[will];
                Some(
                    of.published
                        .ok_or_else(|| format!("will {will} of {} was not to be published", of.client))?,
                )
            }
            _ => return Err(format!("a payload of nobody: {text}")),
        };
        let client = &self.clients[index];
        let session = client.session.as_ref().ok_or("no session")?;
        let identifiers = &publish.properties.subscription_identifiers;
        let through = match (&identifiers[..], client.version) {
            ([identifier], _) => *identifier as usize - 1,
            ([], mqtt_codec::ProtocolVersion::V311) => {
                let requests = self.history.requests.iter().enumerate().rev();
                let mut through = requests.filter(|(_, request)| {
                    request.client == index
                        && request.session == session.number
                        && request.wanted.is_some()
                        && crate::topics::matches(request.filter, &publish.topic)
                });
                through.next().ok_or("through no subscription")?.0
            }
            _ => return Err(format!("subscription identifiers {identifiers:?}")),
        };
        let session = session.number;
        let again = |received: &Received| {
            received.client == index
                && received.session == session
                && received.message == message
                && received.through == through
                && received.is_replay == publish.retain
        };
        if publish.dup && self.history.received.iter().any(again) {
            return Ok(());
        }
        let at = self.history.moment();
        let (qos, is_replay) = (publish.qos, publish.retain);
        let received = Received { client: index, session, at, message, topic, qos, is_replay, through };
        self.history.received.push(received);
        Ok(())
    }
}

/// Of the publishes of a run only the latest may not be done.
const LOOKED_BACK: usize = 600;

/// A packet in few words.
fn shown(packet: &Packet) -> String {
    match packet {
        Packet::Publish(publish) => format!(
            "PUBLISH {} {} q{}{}{} {:?}",
            publish.topic,
            String::from_utf8_lossy(&publish.payload).trim_end(),
            publish.qos as u8,
            if publish.retain { " retain" } else { "" },
            if publish.dup { " dup" } else { "" },
            publish.properties.subscription_identifiers,
        ),
        Packet::ConnAck(answer) => format!("CONNACK present {}", answer.session_present),
        other => format!("{other:?}"),
    }
}
