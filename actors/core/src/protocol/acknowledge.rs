//! PUBREC and PUBREL from a client.

use mqtt_codec::{Ack, PacketType, ProtocolVersion, ReasonCode};

use super::{Effects, Protocol, Step};
use crate::session::{Acknowledged, Session};

impl Protocol {
    /// Answered by PUBREL [MQTT-4.3.3-4], unless it refused the message. One whose packet identifier is unknown is
    /// answered too, so that the client can forget it.
    pub(super) fn on_pubrec(
        &self,
        ack: &Ack,
        session: &mut Session,
        step: &mut Step<'_, '_>,
        fx: &mut Effects,
    ) {
        let reason = match session.on_pubrec(ack.packet_identifier, ack.reason_code, step.desk) {
            Acknowledged::Settled => return,
            Acknowledged::Release => ReasonCode::Success,
            Acknowledged::Unknown if ack.reason_code.is_error() => return,
            Acknowledged::Unknown => ReasonCode::PacketIdentifierNotFound,
        };
        self.acknowledge(PacketType::PubRel, ack.packet_identifier, reason, fx);
    }

    /// Answered by PUBCOMP [MQTT-4.3.3-11]: the packet identifier is free again.
    pub(super) fn on_pubrel(&self, ack: &Ack, session: &mut Session, fx: &mut Effects) {
        let received = session.incoming.remove(ack.packet_identifier);
        // One from an earlier network connection took no place in this one's receive maximum.
        if received == Some(session.epoch)
            && self.version == ProtocolVersion::V5
            && let Some(online) = &mut session.online
        {
            online.unanswered = online.unanswered.saturating_sub(1);
        }
        let reason =
            if received.is_some() { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        self.acknowledge(PacketType::PubComp, ack.packet_identifier, reason, fx);
    }
}
