//! Messages that arrive, compared with those that are to.

use std::time::Duration;

use mqtt_codec::{PacketType, Publish, QoS};
use tokio::time::Instant;

use super::crash_messages::MESSAGES_OUTLIVE;
use super::message::{Copy, GroupEntry};
use super::session::{Inflight, Phase, Session};
use super::topics::matches;
use super::world::{World, how};

type Verdict = Result<(), String>;

impl World<'_> {
    pub(crate) fn on_publish(&mut self, index: usize, publish: &Publish) -> Verdict {
        if let Some(identifier) = publish.packet_identifier
            && self.was_received_before(index, identifier.get(), publish)?
        {
            return Ok(());
        }
        let (message, group) = self.find(index, publish)?;
        let Some(identifier) = publish.packet_identifier else { return Ok(()) };
        let order = self.number();
        let client = &mut self.clients[index];
        let (link, session) =
            (client.link.as_mut().ok_or("no link")?, client.session.as_mut().ok_or("no session")?);
        let (phase, qos, link_number) = (Phase::Received, publish.qos, link.number);
        let held = Inflight {
            message,
            qos,
            phase,
            sure: true,
            is_released: false,
            is_loose: false,
            order,
            link: link_number,
            group,
        };
        session.inflight.insert(identifier.get(), held);
        let owed = if qos == QoS::ExactlyOnce { PacketType::PubRec } else { PacketType::PubAck };
        link.owed.push_back((owed, identifier.get()));
        Ok(())
    }

    /// What has an order among its like: QoS 1 and 2 together, unless QoS 2 waits until it is noted that it is sent
    /// [MQTT-4.6.0-6].
    fn class(&self, qos: QoS) -> QoS {
        if MESSAGES_OUTLIVE && self.node.disk().is_some() { qos } else { qos.min(QoS::AtLeastOnce) }
    }

    /// Whether this is a message that the client had, on an earlier network connection.
    pub(crate) fn was_received_before(
        &mut self,
        index: usize,
        identifier: u16,
        publish: &Publish,
    ) -> Result<bool, String> {
        let (class, may_be_killed) = (self.class(publish.qos), self.node.disk().is_some());
        let client = &mut self.clients[index];
        let (link, session) =
            (client.link.as_mut().ok_or("no link")?, client.session.as_mut().ok_or("no session")?);
        let Some(held) = session.inflight.get_mut(&identifier) else { return Ok(false) };
        let message = &self.messages[held.message];
        let is_same =
            message.topic == publish.topic && message.payload == publish.payload && held.qos == publish.qos;
        // What the node was told may have been lost with the network connection, and so may a place in a group.
        let may_be_gone = held.is_loose
            || (held.link != link.number || may_be_killed)
                && (held.phase == Phase::Over || (held.group.is_some() && held.qos == QoS::AtLeastOnce));
        if publish.dup && is_same && held.link != link.number {
            if held.sure && held.phase != Phase::Received {
                return Err(format!("sent again though the node has the acknowledgement: {held:?}"));
            }
            let resent = link.resent.entry(class).or_default();
            if held.order < *resent {
                return Err("sent again out of order [MQTT-4.4.0-1]".into());
            }
            *resent = held.order;
            held.link = link.number;
            held.phase = Phase::Received;
            held.sure = true;
            let owed = if held.qos == QoS::ExactlyOnce { PacketType::PubRec } else { PacketType::PubAck };
            link.owed.push_back((owed, identifier));
            return Ok(true);
        }
        if !may_be_gone {
            return Err(format!("the packet identifier is in use: {held:?} [MQTT-2.2.1-4]"));
        }
        session.inflight.remove(&identifier);
        Ok(false)
    }

    /// Finds the copy that this is. Answers with the message, and with group and entry if it came through a group.
    #[expect(clippy::type_complexity, reason = "used once")]
    pub(crate) fn find(
        &mut self,
        index: usize,
        publish: &Publish,
    ) -> Result<(usize, Option<(&'static str, usize)>), String> {
        let client = &self.clients[index];
        let (link, session) =
            (client.link.as_ref().ok_or("no link")?, client.session.as_ref().ok_or("no session")?);
        if publish.dup && !link.session_present {
            return Err("sent again to a new session".into());
        }
        let mut identifiers = publish.properties.subscription_identifiers.clone();
        identifiers.sort_unstable();
        let messages = &self.messages;
        let is_it = |message: usize| {
            messages[message].topic == publish.topic && messages[message].payload == publish.payload
        };
        let looks = |message: usize, wanted: &super::message::How| {
            is_it(message)
                && wanted.qos == publish.qos
                && wanted.retain == publish.retain
                && wanted.identifiers == identifiers
        };
        let class = self.class(publish.qos);
        let key = |message: usize| (messages[message].lane, messages[message].topic, class);
        let latest = |message: usize| session.latest.get(&key(message)).copied().unwrap_or(0);
        let copies = session.copies.iter().enumerate();
        let found: Vec<(usize, &Copy)> =
            copies.filter(|(_, copy)| !copy.received && looks(copy.message, &copy.how)).collect();
        // Empty payloads cannot be told apart.
        let is_unordered = |copy: &Copy| copy.replay.is_some() || messages[copy.message].payload.is_empty();
        let in_order: Vec<(usize, &Copy)> = found
            .iter()
            .copied()
            .filter(|(_, copy)| is_unordered(copy) || copy.order.1 >= latest(copy.message))
            .collect();
        let entry = self.find_in_groups(index, publish, &identifiers);
        // A retained message may come as such and as it is published: the former says nothing about the order.
        let replay = in_order.iter().find(|(_, copy)| copy.replay.is_some());
        let plain = replay.or(in_order.first()).copied();
        let plain_is_certain = in_order.iter().any(|(_, copy)| copy.certain);
        match (plain, entry) {
            (Some((at, copy)), entry) if plain_is_certain || entry.is_none() => {
                let (message, instance, is_unordered) = (copy.message, copy.instance, is_unordered(copy));
                let order = copy.order;
                self.judge_time(index, message, instance, publish)?;
                let key = key(message);
                let session = self.clients[index].session.as_mut().ok_or("no session")?;
                session.copies[at].received = true;
                if !is_unordered {
                    let latest = session.latest.entry(key).or_default();
                    *latest = order.0.max(*latest);
                }
                Ok((message, None))
            }
            (_, Some((filter, entry))) => {
                let message = self.take_from_group(index, filter, entry, publish)?;
                Ok((message, Some((filter, entry))))
            }
            (_, None) if found.iter().any(|(_, copy)| was_replayed(session, copy)) => {
                let (at, message) = (found[0].0, found[0].1.message);
                let session = self.clients[index].session.as_mut().ok_or("no session")?;
                session.copies[at].received = true;
                Ok((message, None))
            }
            (_, None) => {
                if let Some(message) = self.find_late_replay(session, publish, &identifiers) {
                    return Ok((message, None));
                }
                if !found.is_empty() {
                    return Err(format!("out of order: {found:?} [MQTT-4.6.0-6]"));
                }
                let same: Vec<_> = session.copies.iter().filter(|copy| is_it(copy.message)).collect();
                let groups: Vec<_> =
                    self.groups.values().flatten().filter(|entry| is_it(entry.message)).collect();
                Err(format!("not to be sent, or not so; of this message: {same:?}, groups {groups:?}"))
            }
        }
    }

    /// What a group holds has come to one of its members. Answers with the message.
    fn take_from_group(
        &mut self,
        index: usize,
        filter: &'static str,
        entry: usize,
        publish: &Publish,
    ) -> Result<usize, String> {
        let held = &mut self.groups.get_mut(filter).ok_or("no such group")?[entry];
        held.received = true;
        held.loose = false;
        let (message, instance) = (held.message, held.instance);
        self.judge_time(index, message, instance, publish)?;
        Ok(message)
    }

    /// Retained messages that found no room at first are fetched later, as they are then.
    pub(crate) fn find_late_replay(
        &self,
        session: &Session,
        publish: &Publish,
        identifiers: &[u32],
    ) -> Option<usize> {
        if !self.lossy || !publish.retain {
            return None;
        }
        self.messages.iter().position(|message| {
            message.retain
                && message.topic == publish.topic
                && message.payload == publish.payload
                && session.replays.iter().any(|(filter, options, identifier)| {
                    let how = how(message, *options, *identifier);
                    matches(filter, message.topic) && how.qos == publish.qos && how.identifiers == identifiers
                })
        })
    }

    pub(crate) fn find_in_groups(
        &self,
        index: usize,
        publish: &Publish,
        identifiers: &[u32],
    ) -> Option<(&'static str, usize)> {
        let session = self.clients[index].session.as_ref()?;
        let looks = |entry: &GroupEntry, options, identifier| {
            let message = &self.messages[entry.message];
            let wanted = how(message, options, identifier);
            message.topic == publish.topic
                && message.payload == publish.payload
                && wanted.qos == publish.qos
                && wanted.retain == publish.retain
                && wanted.identifiers == identifiers
        };
        let find = |is_free: fn(&GroupEntry) -> bool| {
            session.memberships.iter().find_map(|(filter, options, identifier)| {
                let mut entries = self.groups.get(filter)?.iter();
                let at = entries.position(|entry| is_free(entry) && looks(entry, *options, *identifier))?;
                Some((*filter, at))
            })
        };
        find(|entry| !entry.received).or_else(|| find(|entry| entry.loose))
    }

    /// The message expiry interval [MQTT-3.3.2-5, MQTT-3.3.2-6].
    pub(crate) fn judge_time(
        &self,
        index: usize,
        message: usize,
        instance: usize,
        publish: &Publish,
    ) -> Verdict {
        let message = &self.messages[message];
        let link = self.clients[index].link.as_ref().ok_or("no link")?;
        let left = publish.properties.message_expiry_interval;
        let Some(interval) = message.expiry else {
            return left.map_or(Ok(()), |_| Err("an expiry that the message has not".into()));
        };
        let (first, mut last) = self.instances[instance].at;
        // One that was given more than once cannot be told from itself.
        let given =
            self.instances.iter().filter(|given| self.messages[given.message].payload == message.payload);
        given.for_each(|given| last = last.max(given.at.1));
        let lifetime = Duration::from_secs(interval.into());
        if link.connected_at > last + lifetime + Duration::from_millis(100) && !publish.dup {
            return Err("it expired before the client was there [MQTT-3.3.2-5]".into());
        }
        if link.version != mqtt_codec::ProtocolVersion::V5 {
            return Ok(());
        }
        let left = left.ok_or("the expiry is missing")?;
        let waited = Instant::now().saturating_duration_since(first.min(message.at)).as_secs() as u32;
        let offline = link.connected_at.saturating_duration_since(last).as_secs() as u32;
        if left > interval.saturating_sub(offline) + 1 || left + waited + 2 < interval {
            return Err(format!(
                "{left} of {interval} s are left after {offline} to {waited} s [MQTT-3.3.2-6]"
            ));
        }
        Ok(())
    }
}

/// Whether the same came as a retained message: then one of the two may have been taken for the other.
fn was_replayed(session: &Session, copy: &Copy) -> bool {
    session.copies.iter().any(|other| {
        other.replay.is_some() && other.received && other.message == copy.message && other.how == copy.how
    })
}
