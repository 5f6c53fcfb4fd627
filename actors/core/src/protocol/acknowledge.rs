//! PUBREC and PUBREL from a client.

use mqtt_codec::{Ack, PacketType, ReasonCode};

use super::{Effects, Protocol, Step, Stepped};
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
    pub(super) fn on_pubrel(
        &self,
        ack: &Ack,
        session: &mut Session,
        step: &Step<'_, '_>,
        fx: &mut Effects,
    ) -> Stepped {
        if step.promises {
            let pending = session.online.as_ref().and_then(|online| online.pending());
            let waiting = fx.releases.len() + pending.map_or(0, |pending| pending.releases.len());
            if waiting >= usize::from(step.settings().mqtt.receive_maximum) {
                return Stepped::NeedsAnswers;
            }
            fx.releases.push(ack.packet_identifier);
            return Stepped::Done;
        }
        let reason = session.release(ack.packet_identifier);
        self.acknowledge(PacketType::PubComp, ack.packet_identifier, reason, fx);
        Stepped::Done
    }
}
