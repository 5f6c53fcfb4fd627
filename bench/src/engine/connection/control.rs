//! What a connection does with every packet but PUBLISH.

use super::{Connection, Stage};
use crate::{
    engine::{
        Role,
        publisher::AcknowledgementError,
        subscription::{Answer, Subscription},
        traffic::Traffic,
    },
    failure::{Code, Failure},
    wire::{FixedHeader, acknowledge, acknowledgement, connack, packet_type, suback_codes},
};

impl Connection {
    pub(super) fn control(
        &mut self,
        header: FixedHeader,
        body: &[u8],
        traffic: &mut Traffic,
    ) -> Result<(), Failure> {
        match (self.stage, header.packet_type()) {
            (Stage::Greeting, packet_type::CONNACK) => self.greeted(header, body, traffic),
            (Stage::Subscribing, packet_type::SUBACK) => self.subscribed(header, body, traffic),
            (_, kind @ (packet_type::PUBACK | packet_type::PUBREC | packet_type::PUBCOMP)) => {
                self.acknowledged(kind, header, body, traffic)
            }
            (_, packet_type::PUBREL) => {
                let (identifier, _) = acknowledgement(header, body).map_err(|error| self.malformed(error))?;
                acknowledge(&mut traffic.out, packet_type::PUBCOMP, identifier);
                if let Role::Churner(churner) = &mut self.client.role {
                    churner.released();
                }
                Ok(())
            }
            (_, packet_type::PINGRESP) => {
                traffic.pongs += 1;
                traffic.progress += 1;
                Ok(())
            }
            (_, packet_type::DISCONNECT) => {
                let code = Code(body.first().copied().unwrap_or(0));
                Err(Failure::Disconnected { client_identifier: self.name(), code })
            }
            (_, kind) => Err(self.unexpected(format!("a packet of type {kind} while {}", self.doing()))),
        }
    }

    fn greeted(&mut self, header: FixedHeader, body: &[u8], traffic: &mut Traffic) -> Result<(), Failure> {
        let connack = connack(self.version, header, body).map_err(|error| self.malformed(error))?;
        if connack.code != 0 {
            return Err(Failure::Refused { client_identifier: self.name(), code: Code(connack.code) });
        }
        if let Some(publisher) = self.publisher() {
            let (qos, size) = (publisher.qos(), publisher.packet_size());
            if connack.maximum_qos < qos {
                let (limit, allowed) = ("maximum qos", connack.maximum_qos.into());
                return Err(Failure::Limit { limit, allowed, needed: qos.into() });
            }
            if connack.maximum_packet_size < size {
                let (limit, allowed) = ("maximum packet size", connack.maximum_packet_size);
                return Err(Failure::Limit { limit, allowed, needed: size });
            }
            if publisher.narrow(connack.receive_maximum) {
                traffic.narrowed_window = Some(connack.receive_maximum);
            }
        }
        self.subscribe(traffic);
        Ok(())
    }

    /// Subscribes behind whatever it subscribed to before; false if there is nothing to ask for.
    pub(in crate::engine) fn subscribe_to(
        &mut self,
        subscription: Subscription,
        traffic: &mut Traffic,
    ) -> bool {
        self.client.subscription = Some(subscription);
        self.subscribe(traffic);
        self.stage == Stage::Subscribing
    }

    /// Asks for the next filters; up if there are none.
    fn subscribe(&mut self, traffic: &mut Traffic) {
        let subscription = self.client.subscription.as_mut();
        let asked = subscription.is_some_and(|it| it.ask(&mut traffic.out, self.version));
        self.stage = if asked { Stage::Subscribing } else { Stage::Up };
    }

    fn subscribed(&mut self, header: FixedHeader, body: &[u8], traffic: &mut Traffic) -> Result<(), Failure> {
        let codes = suback_codes(self.version, header, body).map_err(|error| self.malformed(error))?;
        let Some(subscription) = &mut self.client.subscription else { return Ok(()) };
        match subscription.answered(codes) {
            Answer::More => self.subscribe(traffic),
            Answer::Done => self.stage = Stage::Up,
            Answer::Refused(code) => {
                let qos = subscription.qos();
                let client_identifier = self.name();
                return Err(Failure::SubscriptionRefused { client_identifier, qos, code: Code(code) });
            }
            Answer::Miscounted => {
                return Err(self.unexpected(format!("a SUBACK of {} codes", codes.len())));
            }
        }
        traffic.progress += 1;
        Ok(())
    }

    fn acknowledged(
        &mut self,
        kind: u8,
        header: FixedHeader,
        body: &[u8],
        traffic: &mut Traffic,
    ) -> Result<(), Failure> {
        let (identifier, code) = acknowledgement(header, body).map_err(|error| self.malformed(error))?;
        let taken = match self.publisher() {
            Some(publisher) => publisher.acknowledged(kind, identifier, code, traffic),
            None => Err(AcknowledgementError::Unknown),
        };
        taken.map_err(|error| match error {
            AcknowledgementError::Refused(code) => {
                Failure::PublishRefused { client_identifier: self.name(), code }
            }
            AcknowledgementError::Unknown => self.unexpected(format!(
                "an acknowledgement of type {kind} for packet identifier {identifier}, which waits for none"
            )),
        })
    }
}
