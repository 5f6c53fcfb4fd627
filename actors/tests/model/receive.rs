//! What a client receives, compared with what it is to get.

use mqtt_codec::{Packet, PacketType, QoS, ReasonCode};

use super::message::Place;
use super::session::{Phase, Session};
use super::world::World;

type Verdict = Result<(), String>;

impl World<'_> {
    /// A client takes in packets.
    pub(crate) fn take(&mut self, client: usize, packet: Packet) -> Verdict {
        self.trace(|| format!("{} < {packet:?}", self.clients[client].name));
        let name = self.clients[client].name.clone();
        let taken = match &packet {
            Packet::ConnAck(answer) => self.on_connack(client, answer.session_present, answer.reason_code),
            Packet::Publish(publish) => self.on_publish(client, publish),
            Packet::PubAck(ack) => {
                self.on_answer(client, ack.packet_identifier.get(), QoS::AtLeastOnce, ack.reason_code)
            }
            Packet::PubRec(ack) => {
                self.on_answer(client, ack.packet_identifier.get(), QoS::ExactlyOnce, ack.reason_code)
            }
            Packet::PubComp(ack) => self.on_pubcomp(client, ack.packet_identifier.get()),
            Packet::PubRel(ack) => self.on_pubrel(client, ack.packet_identifier.get()),
            Packet::SubAck(ack) => self.on_change(client, ack.packet_identifier.get(), &ack.reason_codes),
            Packet::UnsubAck(ack) => self.on_change(client, ack.packet_identifier.get(), &ack.reason_codes),
            Packet::PingResp => Ok(()),
            other => Err(format!("not expected: {other:?}")),
        };
        taken.map_err(|wrong| format!("{name}: {wrong}: {packet:?}"))
    }

    pub(crate) fn on_connack(&mut self, index: usize, present: bool, reason: ReasonCode) -> Verdict {
        if reason != ReasonCode::Success {
            return Err("a refusal".into());
        }
        let number = self.number();
        let client = &mut self.clients[index];
        let (link, session) =
            (client.link.as_mut().ok_or("no link")?, client.session.as_mut().ok_or("no session")?);
        link.connected = true;
        let expected = (!link.clean_start && session.offline.is_some()).then_some(!session.doubtful);
        let present = match (link.version, expected) {
            (mqtt_codec::ProtocolVersion::V31, Some(false)) => link.session_present,
            (mqtt_codec::ProtocolVersion::V31, expected) => expected.is_some(),
            _ => present,
        };
        link.session_present = present;
        match expected {
            // It may have expired.
            Some(false) if present => {}
            Some(false) => {
                let expiry = session.expiry;
                self.end_session(index);
                self.clients[index].session = Some(Session::new(number, expiry));
            }
            Some(true) if !present => return Err("the session is lost".into()),
            None if present => return Err("there was no session".into()),
            _ => {}
        }
        let client = &mut self.clients[index];
        if let Some(session) = &mut client.session {
            session.offline = None;
            session.doubtful = false;
        }
        // It was kept before that left, and all that was before it.
        client.earlier.clear();
        if !present {
            client.outgoing.clear();
        }
        self.send_again(index);
        Ok(())
    }

    /// An answer to a publish of the client.
    pub(crate) fn on_answer(
        &mut self,
        index: usize,
        identifier: u16,
        qos: QoS,
        reason: ReasonCode,
    ) -> Verdict {
        let outgoing = &mut self.clients[index].outgoing;
        let at = outgoing.iter().position(|one| one.identifier == identifier && one.qos == qos);
        let at = at.ok_or("answers nothing")?;
        let instance = outgoing[at].instance.ok_or("answers what was never sent whole")?;
        let was_certain = self.instances[instance].certain;
        if qos == QoS::ExactlyOnce {
            outgoing[at].recorded = true;
            self.link(index).owed.push_back((PacketType::PubRel, identifier));
            self.confirm(instance);
        } else {
            outgoing.remove(at);
        }
        match reason {
            ReasonCode::Success => Ok(()),
            ReasonCode::NoMatchingSubscribers if was_certain && self.is_certain_anywhere(instance) => {
                Err("there were subscribers".into())
            }
            ReasonCode::NoMatchingSubscribers => Ok(()),
            _ => Err("a refusal".into()),
        }
    }

    pub(crate) fn is_certain_anywhere(&self, instance: usize) -> bool {
        self.instances[instance].copies.iter().any(|(place, _)| match place {
            Place::Session { client, session, copy } => {
                let held = self.clients[*client].session.as_ref().filter(|held| held.number == *session);
                held.is_some_and(|held| held.copies[*copy].certain)
            }
            Place::Group { filter, entry } => self.groups[filter][*entry].certain,
        })
    }

    pub(crate) fn on_pubcomp(&mut self, index: usize, identifier: u16) -> Verdict {
        let outgoing = &mut self.clients[index].outgoing;
        let at = outgoing.iter().position(|one| one.identifier == identifier && one.recorded);
        outgoing.remove(at.ok_or("answers nothing")?);
        Ok(())
    }

    pub(crate) fn on_pubrel(&mut self, index: usize, identifier: u16) -> Verdict {
        let client = &mut self.clients[index];
        let (link, session) =
            (client.link.as_mut().ok_or("no link")?, client.session.as_mut().ok_or("no session")?);
        let Some(held) = session.inflight.get_mut(&identifier) else {
            if !session.finished.contains(&identifier) {
                return Err("releases nothing".into());
            }
            link.owed.push_back((PacketType::PubComp, identifier));
            return Ok(());
        };
        let was_recorded =
            matches!((held.qos, held.phase), (QoS::ExactlyOnce, Phase::Recorded | Phase::Over));
        if !was_recorded {
            return Err(format!("releases what was not recorded: {held:?}"));
        }
        held.is_released = true;
        link.owed.push_back((PacketType::PubComp, identifier));
        Ok(())
    }

    pub(crate) fn on_change(&mut self, index: usize, identifier: u16, reasons: &[ReasonCode]) -> Verdict {
        let client = &mut self.clients[index];
        let (link, session) =
            (client.link.as_ref().ok_or("no link")?, client.session.as_mut().ok_or("no session")?);
        let asked = (identifier, link.number);
        if session.expiry > 0 {
            client.earlier.clear();
        }
        if let Some(reason) = reasons.iter().find(|reason| reason.is_error()) {
            return Err(format!("a refusal: {reason:?}"));
        }
        let round = self.round;
        for variants in session.subscriptions.values_mut() {
            if let Some(at) = variants.iter().position(|variant| variant.asked == Some(asked)) {
                variants.drain(..at);
                variants[0].asked = None;
                variants[0].round = round;
            }
        }
        session.subscriptions.retain(|_, variants| !matches!(&variants[..], [only] if only.wanted.is_none()));
        let expected = self.changes.remove(&asked).ok_or("answers nothing")?;
        let is_v5 = link.version == mqtt_codec::ProtocolVersion::V5;
        for (reason, expected) in reasons.iter().zip(&expected) {
            if let Some(expected) = expected
                && (is_v5 || *reason != ReasonCode::Success)
                && reason != expected
            {
                return Err(format!("{expected:?} was expected"));
            }
        }
        Ok(())
    }
}
