//! What one network connection shows: judges what a node sends by what its client sent.
//!
//! It knows no session: that a message may be sent at all is for others to say.

use std::collections::{BTreeMap, VecDeque};

use mqtt_codec::{
    Connect, Limits, Packet, PacketIdentifier, PacketType, ProtocolVersion, Publish, QoS, Sender, decode,
};

/// See the module.
#[derive(Debug, Default)]
pub struct Wire {
    sent: Vec<u8>,
    received: Vec<u8>,
    connect: Option<Connect>,
    /// The client broke the protocol: what it sends further is not understood.
    is_broken: bool,
    /// CONNACK came, with success.
    is_connected: bool,
    session_present: bool,
    /// The node said that it is the end.
    is_last: bool,
    /// PUBACK and PUBREC that the node owes, in order [MQTT-4.6.0-2, MQTT-4.6.0-3].
    answers: VecDeque<(PacketType, PacketIdentifier)>,
    /// SUBACK and UNSUBACK that it owes, in order, with their number of reason codes.
    changes: VecDeque<(PacketType, PacketIdentifier, usize)>,
    /// Other answers that it owes.
    others: Vec<(PacketType, Option<PacketIdentifier>)>,
    /// What the client owes for each PUBLISH of the node.
    unacknowledged: BTreeMap<u16, PacketType>,
    /// What the client acknowledged before it read the PUBLISH, which may be on its way.
    ahead: Vec<(PacketIdentifier, PacketType)>,
    aliases: BTreeMap<u16, String>,
}

fn limits() -> Limits {
    Limits { allow_control_characters: true, ..Limits::default() }
}

impl Wire {
    /// The client's CONNECT, once it was sent whole.
    pub fn connect(&self) -> Option<&Connect> {
        self.connect.as_ref()
    }

    /// Whether the client is taken in.
    pub fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Whether the node owes an answer to something that the client sent.
    pub fn is_anything_owed(&self) -> bool {
        !self.answers.is_empty() || !self.changes.is_empty() || !self.others.is_empty()
    }

    /// PUBLISH packets with QoS 1 or 2 of this network connection that the client has not acknowledged to the end.
    pub fn unacknowledged(&self) -> usize {
        self.unacknowledged.len()
    }

    /// Whether the node has sent the beginning of a packet and not the end.
    pub fn is_within_packet(&self) -> bool {
        !self.received.is_empty()
    }

    fn version(&self) -> ProtocolVersion {
        self.connect.as_ref().map_or(ProtocolVersion::V5, |connect| connect.version)
    }

    /// The client sent this.
    pub(super) fn note_sent(&mut self, bytes: &[u8]) {
        if self.is_broken {
            return;
        }
        self.sent.extend_from_slice(bytes);
        let mut used = 0;
        while let Ok(Some((packet, bytes))) =
            decode(&self.sent[used..], self.version(), Sender::Client, &limits()).inspect_err(|_| {
                self.is_broken = true;
            })
        {
            let packet = packet.into_owned();
            used += bytes;
            self.note_packet(packet);
        }
        self.sent.drain(..used);
    }

    fn note_packet(&mut self, packet: Packet) {
        match packet {
            Packet::Connect(connect) if self.connect.is_none() => self.connect = Some(*connect),
            _ if self.connect.is_none() => self.is_broken = true,
            Packet::Publish(Publish { packet_identifier: Some(identifier), qos, .. }) => {
                let answer = if qos == QoS::ExactlyOnce { PacketType::PubRec } else { PacketType::PubAck };
                self.answers.push_back((answer, identifier));
            }
            Packet::PubRel(ack) => self.others.push((PacketType::PubComp, Some(ack.packet_identifier))),
            Packet::Subscribe(subscribe) => {
                let answer = (PacketType::SubAck, subscribe.packet_identifier, subscribe.filters.len());
                self.changes.push_back(answer);
            }
            Packet::Unsubscribe(unsubscribe) => {
                let answer = (PacketType::UnsubAck, unsubscribe.packet_identifier, unsubscribe.filters.len());
                self.changes.push_back(answer);
            }
            Packet::PingReq => self.others.push((PacketType::PingResp, None)),
            Packet::PubAck(ack) => self.settle(ack.packet_identifier, PacketType::PubAck),
            Packet::PubRec(ack) if ack.reason_code.is_error() => {
                self.settle(ack.packet_identifier, PacketType::PubRec);
            }
            Packet::PubRec(ack) => {
                self.others.push((PacketType::PubRel, Some(ack.packet_identifier)));
                if let Some(owes @ PacketType::PubRec) =
                    self.unacknowledged.get_mut(&ack.packet_identifier.get())
                {
                    *owes = PacketType::PubComp;
                }
            }
            Packet::PubComp(ack) => self.settle(ack.packet_identifier, PacketType::PubComp),
            Packet::Publish(_) | Packet::Disconnect(_) | Packet::Auth(_) => {}
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp => self.is_broken = true,
        }
    }

    fn settle(&mut self, identifier: PacketIdentifier, owes: PacketType) {
        if self.unacknowledged.get(&identifier.get()) == Some(&owes) {
            self.unacknowledged.remove(&identifier.get());
        } else {
            self.ahead.push((identifier, owes));
        }
    }

    /// The node sent this: whole packets are judged and appended to `packets`.
    pub(super) fn take(&mut self, bytes: &[u8], packets: &mut Vec<Packet>) -> Result<(), String> {
        self.received.extend_from_slice(bytes);
        let mut used = 0;
        loop {
            let decoded = decode(&self.received[used..], self.version(), Sender::Server, &limits());
            let decoded = match decoded {
                // A CONNECT that could not be read may have been one of 3.1.1.
                Err(_) if self.connect.is_none() => {
                    decode(&self.received[used..], ProtocolVersion::V311, Sender::Server, &limits())
                }
                decoded => decoded,
            };
            let decoded = decoded.map_err(|error| format!("{error}: {:02x?}", &self.received[used..]))?;
            let Some((packet, bytes)) = decoded else { break };
            let mut packet = packet.into_owned();
            used += bytes;
            self.judge(&mut packet, bytes).map_err(|wrong| format!("{wrong}: {packet:?}"))?;
            packets.push(packet);
        }
        self.received.drain(..used);
        Ok(())
    }

    /// The node ended the network connection.
    pub(super) fn end(&mut self) -> Result<(), String> {
        self.is_connected = false;
        match self.received.is_empty() {
            true => Ok(()),
            false if self.is_broken => Ok(()),
            false => Err(format!("ended within a packet: {:02x?}", self.received)),
        }
    }

    fn judge(&mut self, packet: &mut Packet, bytes: usize) -> Result<(), String> {
        if self.is_last {
            return Err("a packet behind the last one".into());
        }
        if let Packet::ConnAck(answer) = packet {
            if self.is_connected {
                return Err("a second CONNACK [MQTT-3.2.0-2]".into());
            }
            self.is_connected = !answer.reason_code.is_error();
            self.is_last = !self.is_connected;
            // 3.1 does not say it.
            let is_v31 = self.version() == ProtocolVersion::V31;
            self.session_present = answer.session_present || is_v31;
            let clean = self.connect.as_ref().is_none_or(|connect| connect.clean_start);
            if answer.session_present && (clean || self.is_last) {
                return Err("session present [MQTT-3.2.2-2, MQTT-3.2.2-6]".into());
            }
        } else if !self.is_connected && !matches!(packet, Packet::Auth(_)) {
            return Err("not a CONNACK first [MQTT-3.2.0-1]".into());
        }
        self.judge_size(bytes)?;
        let packet_type = packet.packet_type();
        match packet {
            Packet::Publish(publish) => self.judge_publish(publish)?,
            Packet::PubAck(ack) | Packet::PubRec(ack) => {
                let answer = (packet_type, ack.packet_identifier);
                // In the order of the publishes [MQTT-4.6.0-2, MQTT-4.6.0-3].
                if self.answers.pop_front() != Some(answer) {
                    return Err(format!("not the answer that is due; behind it {:?}", self.answers));
                }
            }
            Packet::PubComp(ack) => self.take_other(PacketType::PubComp, Some(ack.packet_identifier))?,
            Packet::PubRel(ack) => {
                let answers = self.take_other(PacketType::PubRel, Some(ack.packet_identifier));
                // The first of a resumed session stand for what was received before.
                if answers.is_err() {
                    if !self.session_present {
                        return answers;
                    }
                    self.unacknowledged.insert(ack.packet_identifier.get(), PacketType::PubComp);
                }
            }
            Packet::SubAck(ack) => {
                let count = Some(ack.reason_codes.len());
                self.take_change(PacketType::SubAck, ack.packet_identifier, count)?;
            }
            Packet::UnsubAck(ack) => {
                // One of 3.x has no reason codes.
                let of = self.connect.as_ref().filter(|connect| connect.version == ProtocolVersion::V5);
                let count = of.map(|_| ack.reason_codes.len());
                self.take_change(PacketType::UnsubAck, ack.packet_identifier, count)?;
            }
            Packet::PingResp => self.take_other(PacketType::PingResp, None)?,
            Packet::Disconnect(_) => self.is_last = true,
            _ => {}
        }
        Ok(())
    }

    fn judge_size(&self, bytes: usize) -> Result<(), String> {
        let max = self.connect.as_ref().and_then(|connect| connect.properties.maximum_packet_size);
        match max {
            Some(max) if bytes > max.get() as usize => {
                Err(format!("{bytes} bytes are above the maximum packet size {max} [MQTT-3.1.2-24]"))
            }
            _ => Ok(()),
        }
    }

    fn judge_publish(&mut self, publish: &mut Publish) -> Result<(), String> {
        let properties = self.connect.as_ref().map(|connect| &connect.properties);
        if let Some(alias) = publish.properties.topic_alias {
            let max = properties.and_then(|properties| properties.topic_alias_maximum).unwrap_or(0);
            if alias.get() > max {
                return Err(format!("topic alias above the maximum {max} [MQTT-3.1.2-26]"));
            }
            if publish.topic.is_empty() {
                let known = self.aliases.get(&alias.get());
                publish.topic.clone_from(known.ok_or("topic alias that was not set")?);
            } else {
                self.aliases.insert(alias.get(), publish.topic.clone());
            }
        }
        if publish.dup && !self.session_present {
            return Err("sent again without a session that was resumed".into());
        }
        let Some(identifier) = publish.packet_identifier else { return Ok(()) };
        let owes = if publish.qos == QoS::ExactlyOnce { PacketType::PubRec } else { PacketType::PubAck };
        if let Some(at) = self.ahead.iter().position(|ahead| *ahead == (identifier, owes)) {
            self.ahead.swap_remove(at);
            return Ok(());
        }
        if self.unacknowledged.insert(identifier.get(), owes).is_some() {
            return Err("packet identifier in use [MQTT-2.2.1-4]".into());
        }
        let max =
            properties.and_then(|properties| properties.receive_maximum).map_or(u16::MAX, |max| max.get());
        let unanswered = self.unacknowledged.len();
        if unanswered > usize::from(max) {
            return Err(format!("{unanswered} above the receive maximum {max} [MQTT-3.3.4-9]"));
        }
        Ok(())
    }

    fn take_other(
        &mut self,
        packet_type: PacketType,
        identifier: Option<PacketIdentifier>,
    ) -> Result<(), String> {
        let answer = (packet_type, identifier);
        let at = self.others.iter().position(|other| *other == answer).ok_or("answers nothing")?;
        self.others.remove(at);
        Ok(())
    }

    /// In the order in which they were asked for: a client that pipelines sees them begin and end so.
    fn take_change(
        &mut self,
        packet_type: PacketType,
        identifier: PacketIdentifier,
        count: Option<usize>,
    ) -> Result<(), String> {
        match self.changes.pop_front() {
            Some((due, of, filters))
                if (due, of) == (packet_type, identifier) && count.is_none_or(|count| count == filters) =>
            {
                Ok(())
            }
            due => Err(format!("not the answer that is due, {due:?}; behind it {:?}", self.changes)),
        }
    }
}
