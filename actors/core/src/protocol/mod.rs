//! What a network connection does with each packet, once its CONNECT was accepted. Pure: no socket, no clock, no actor;
//! one step takes a packet and says what it asks for.

mod acknowledge;
mod aliases;
mod authentication;
mod authorizations;
mod decode_limits;
mod effects;
mod permission;
mod publish;
mod refusal;
mod subscribe;
#[cfg(test)]
mod tests;
mod violation;

pub use authorizations::Verdict;
pub use decode_limits::decode_limits;
pub use effects::{COST_OF_PACKET, Effects, Ending, Granted, Reauthenticate, SubscriptionChange};
pub use permission::{Action, Authorized, Verdicts, Wishes};
pub use refusal::{Limit, Remedy, patience};
pub use violation::Violation;

use std::time::Instant;

use aliases::IncomingAliases;
use authorizations::Authorizations;
use mqtt_codec::{Connect, Packet, PacketRef, PacketType, ProtocolVersion, ReasonCode, encode_ack};

use crate::counters::Counters;
use crate::retained::RetainedMessages;
use crate::session::{Desk, Session};
use crate::settings::Settings;

/// What a step needs beside the packet and the session.
pub struct Step<'a, 'd> {
    /// What deciding a message's fate needs.
    pub desk: &'a mut Desk<'d>,
    /// The worker's counters.
    pub counters: &'a Counters,
    /// Whether publishes and subscriptions need permission at present.
    pub authorizes: bool,
    /// Raised when permissions change.
    pub revision: u64,
    /// Where what is published with RETAIN is admitted, or refused.
    pub retained: &'a RetainedMessages,
    /// Whether the packet was refused before, and counted then.
    pub again: bool,
    /// Whether somebody may have to keep what is promised.
    pub promises: bool,
}

impl Step<'_, '_> {
    fn settings(&self) -> &Settings {
        self.desk.settings
    }

    fn now(&self) -> Instant {
        self.desk.now
    }
}

/// Whether a packet is done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stepped {
    /// It is; the next one may follow.
    Done,
    /// The auth actor has to be asked first; nothing was changed, and the packet is stepped again with its answers.
    NeedsPermission,
    /// The client has as many publishes unanswered as it may and cannot be told, or as many PUBRELs: it is not read until
    /// some are answered.
    NeedsAnswers,
    /// A limit has no room for a publish of a 3.x client, which cannot be told: nothing was changed, and it is not read until
    /// there is room.
    Refused(Limit),
}

impl Stepped {
    /// The limit that has no room.
    pub fn limit(self) -> Option<Limit> {
        match self {
            Self::Refused(limit) => Some(limit),
            _ => None,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Protocol {
    version: ProtocolVersion,
    /// A bridge of mosquitto: it wants RETAIN as published, and nothing back that it published itself.
    bridge: bool,
    /// Reason strings are wanted on more than CONNACK and DISCONNECT [MQTT-3.1.2-29].
    problem_information: bool,
    maximum_packet_size: u32,
    aliases: IncomingAliases,
    authorizations: Authorizations,
    /// The authentication method of the CONNECT, which every AUTH must repeat [MQTT-4.12.0-5].
    authentication_method: Option<Box<String>>,
}

impl Protocol {
    /// For a client whose CONNECT was accepted.
    pub fn new(connect: &Connect) -> Self {
        let properties = &connect.properties;
        Self {
            version: connect.version,
            bridge: connect.bridge,
            problem_information: properties.request_problem_information.unwrap_or(true),
            maximum_packet_size: properties.maximum_packet_size.map_or(u32::MAX, |max| max.get()),
            aliases: IncomingAliases::default(),
            authorizations: Authorizations::default(),
            authentication_method: properties.authentication_method.clone().map(Box::new),
        }
    }

    /// What the client speaks.
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// What the client takes, in bytes; `u32::MAX` if it named no limit.
    pub fn maximum_packet_size(&self) -> u32 {
        self.maximum_packet_size
    }

    /// What every AUTH is to name again; none if the CONNECT named none.
    pub fn authentication_method(&self) -> Option<&str> {
        self.authentication_method.as_deref().map(String::as_str)
    }

    /// The auth actor's answer to the question of the packet that is stepped again.
    pub fn permitted(&mut self, authorized: Authorized) {
        self.authorizations.answer(authorized);
    }

    /// What is known of publishing to a topic name by the rules of a revision.
    pub fn verdict(&mut self, topic: &str, revision: u64, now: Instant) -> Option<Verdict> {
        self.authorizations.publish(topic, revision, now)
    }

    /// Advances by one received packet.
    #[inline]
    pub fn on_packet(
        &mut self,
        packet: PacketRef<'_>,
        session: &mut Session,
        step: &mut Step<'_, '_>,
        fx: &mut Effects,
    ) -> Result<Stepped, Violation> {
        match packet {
            PacketRef::Publish(publish) => return self.on_publish(&publish, session, step, fx),
            PacketRef::Other(Packet::Subscribe(subscribe)) => {
                return self.on_subscribe(subscribe, session, step, fx);
            }
            PacketRef::Other(Packet::PubRel(ack)) => return Ok(self.on_pubrel(&ack, session, step, fx)),
            PacketRef::Other(packet) => self.on_other(packet, session, step, fx)?,
        }
        Ok(Stepped::Done)
    }

    fn on_other(
        &mut self,
        packet: Packet,
        session: &mut Session,
        step: &mut Step<'_, '_>,
        fx: &mut Effects,
    ) -> Result<(), Violation> {
        match packet {
            Packet::PubAck(ack) => {
                session.on_puback(ack.packet_identifier, ack.reason_code, step.desk);
            }
            Packet::PubRec(ack) => self.on_pubrec(&ack, session, step, fx),
            Packet::PubComp(ack) => {
                session.on_pubcomp(ack.packet_identifier, step.desk);
            }
            Packet::PingReq => {
                fx.out.extend_from_slice(&[0xd0, 0]);
                fx.out_packets += 1;
            }
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(unsubscribe, session, step.counters, fx),
            Packet::Disconnect(disconnect) => {
                self.on_disconnect(&disconnect, session, step.settings(), fx)?;
            }
            Packet::Auth(auth) => self.on_auth(auth, fx)?,
            Packet::Connect(_) => {
                return Err(Violation::new(ReasonCode::ProtocolError, "second CONNECT [MQTT-3.1.0-2]"));
            }
            Packet::Publish(_) | Packet::PubRel(_) | Packet::Subscribe(_) => {
                unreachable!("stepped by on_packet")
            }
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                return Err(Violation::new(ReasonCode::ProtocolError, "packet that only a server sends"));
            }
        }
        Ok(())
    }

    fn on_disconnect(
        &self,
        disconnect: &mqtt_codec::Disconnect,
        session: &mut Session,
        settings: &Settings,
        fx: &mut Effects,
    ) -> Result<(), Violation> {
        if let Some(asked) = disconnect.properties.session_expiry_interval {
            if asked > 0 && session.expiry_interval == 0 {
                return Err(Violation::new(
                    ReasonCode::ProtocolError,
                    "session expiry interval in DISCONNECT after 0 in CONNECT [MQTT-3.14.2-2]",
                ));
            }
            session.expiry_interval = asked.min(settings.mqtt.session_expiry_interval_max_seconds);
        }
        fx.end = Some(Ending {
            reason: disconnect.reason_code,
            reason_string: None,
            by_client: true,
            publish_will: disconnect.reason_code != ReasonCode::Success,
        });
        Ok(())
    }

    /// An acknowledgement on its way out, in its own turn.
    fn acknowledge(
        &self,
        packet_type: PacketType,
        packet_identifier: mqtt_codec::PacketIdentifier,
        reason: ReasonCode,
        fx: &mut Effects,
    ) {
        encode_ack(packet_type, self.version, packet_identifier, reason, &mut fx.out);
        fx.out_packets += 1;
    }
}
