//! PUBLISH from a client.

use std::time::Duration;

use mqtt_codec::{PacketIdentifier, PayloadFormat, ProtocolVersion, PublishRef, QoS, ReasonCode};

use super::aliases::IncomingAliases;
use super::authorizations::Verdict;
use super::permission::Action;
use super::refusal::{Limit, Refused};
use super::{Effects, Protocol, Step, Stepped, Violation};
use crate::ids::Epoch;
use crate::message::{Ack, Payload, Publication};
use crate::session::Session;

impl Protocol {
    #[inline]
    pub(super) fn on_publish(
        &mut self,
        publish: &PublishRef<'_>,
        session: &mut Session,
        step: &mut Step<'_, '_>,
        fx: &mut Effects,
    ) -> Result<Stepped, Violation> {
        let mqtt = &step.settings().mqtt;
        if publish.qos as u8 > mqtt.maximum_qos {
            let text = format!("QoS {} is above the maximum QoS {}", publish.qos as u8, mqtt.maximum_qos);
            return Err(Violation::new(ReasonCode::QoSNotSupported, text));
        }
        if publish.retain && !mqtt.retain_available {
            return Err(Violation::new(ReasonCode::RetainNotSupported, "retained messages are switched off"));
        }
        let (bytes, max) = (publish.properties.raw().len(), mqtt.publish_properties_bytes_max);
        if bytes > max && held(publish, session).is_none() {
            step.counters.publish_properties_too_large.add(1);
            let text = format!("{bytes} bytes of properties are more than the {max} this node admits");
            return Err(Violation::new(ReasonCode::QuotaExceeded, text));
        }
        if let Some(alias) = publish.properties.topic_alias {
            if let Err(violation) = IncomingAliases::check(alias, mqtt.topic_alias_maximum) {
                step.counters.topic_alias_exceeded.add(1);
                return Err(violation);
            }
            if !publish.topic.is_empty() {
                self.aliases.set(alias, publish.topic);
            }
        }
        if let Some(waits) = self.waits_for_room(publish, session, step, fx)? {
            return Ok(waits);
        }
        let alias_topic;
        let topic = match publish.properties.topic_alias {
            Some(alias) if publish.topic.is_empty() => {
                alias_topic = Box::<str>::from(self.aliases.get(alias)?);
                &*alias_topic
            }
            _ => publish.topic,
        };
        let judged = match self.judge(topic, publish, session, step, fx) {
            Some(judged) => judged,
            None => return Ok(Stepped::NeedsPermission),
        };
        let stepped = match judged.and_then(|()| self.accept(topic, publish, session, step, fx)) {
            Ok(()) => Stepped::Done,
            Err(refused) => self.refuse(refused, publish, session, step, fx)?,
        };
        if stepped == Stepped::Done {
            step.counters.publishes_received.add(1);
            step.counters.publish_bytes_received.add(publish.payload.len() as u64);
        }
        Ok(stepped)
    }

    /// Judges a QoS 1 or 2 publish against the receive maximum and the limit on incoming QoS 2: whether it has to wait, and
    /// for what. A QoS 2 publish that is sent again before its PUBREL has its place already.
    #[inline]
    fn waits_for_room(
        &self,
        publish: &PublishRef<'_>,
        session: &Session,
        step: &Step<'_, '_>,
        fx: &Effects,
    ) -> Result<Option<Stepped>, Violation> {
        if publish.packet_identifier.is_none() {
            return Ok(None);
        }
        let Some(online) = &session.online else { return Ok(None) };
        let receive_maximum = step.settings().mqtt.receive_maximum;
        // What is sent again and again before its PUBREC takes one place; it takes no memory without end either.
        if let Some(pending) = online.pending()
            && pending.publishes.len() + fx.batch.items().len() >= usize::from(receive_maximum)
            && self.is_counted(held(publish, session), session)
        {
            return Ok(Some(Stepped::NeedsAnswers));
        }
        if online.unanswered >= receive_maximum && !self.is_counted(held(publish, session), session) {
            if self.version != ProtocolVersion::V5 {
                return Ok(Some(Stepped::NeedsAnswers));
            }
            step.counters.receive_maximum_exceeded.add(1);
            let text = format!("more than {receive_maximum} publishes in flight [MQTT-3.3.4-9]");
            return Err(Violation::new(ReasonCode::ReceiveMaximumExceeded, text));
        }
        let max = step.settings().session.incoming_qos2_max;
        if publish.qos == QoS::ExactlyOnce
            && session.incoming.count() >= usize::from(max)
            && held(publish, session).is_none()
        {
            let limit = Limit::IncomingExactlyOnce;
            if !step.again {
                limit.counter(step.counters).add(1);
            }
            if self.version != ProtocolVersion::V5 {
                return Ok(Some(Stepped::Refused(limit)));
            }
            let text = format!("more than {max} QoS 2 messages between PUBLISH and PUBREL");
            return Err(Violation::new(limit.reason(), text));
        }
        Ok(None)
    }

    /// None: the auth actor has to be asked.
    fn judge(
        &mut self,
        topic: &str,
        publish: &PublishRef<'_>,
        session: &Session,
        step: &Step<'_, '_>,
        fx: &mut Effects,
    ) -> Option<Result<(), Refused>> {
        if let Some(limit) = Self::limit_of(topic, step)
            && held(publish, session).is_none()
        {
            return Some(Err(Refused::ByLimit(limit)));
        }
        if topic.starts_with('$') && (topic.starts_with("$SYS/") || topic == "$SYS") {
            return Some(Err(Refused::Denied));
        }
        if step.settings().mqtt.check_payload_format
            && publish.properties.payload_format_indicator == Some(PayloadFormat::Utf8)
            && std::str::from_utf8(publish.payload).is_err()
        {
            return Some(Err(Refused::PayloadFormat));
        }
        if step.authorizes {
            match self.authorizations.publish(topic, step.revision, step.now()) {
                Some(Verdict::Allowed) => {}
                Some(Verdict::Denied) => return Some(Err(Refused::Denied)),
                Some(Verdict::Unanswered) => return Some(Err(Refused::ByLimit(Limit::Answer))),
                None => {
                    fx.wishes.push((Action::Publish, topic.to_owned()));
                    return None;
                }
            }
        }
        Some(Ok(()))
    }

    /// Puts it into the batch; with RETAIN, if there is room to keep it.
    #[inline]
    fn accept(
        &self,
        topic: &str,
        publish: &PublishRef<'_>,
        session: &mut Session,
        step: &Step<'_, '_>,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        if let Some(source) = &fx.source
            && publish.payload.len() > source.len() / 2
        {
            // Most of what was received is this payload: it goes on in the same memory.
            let shared = source.slice_ref(publish.payload);
            return self.accept_payload(topic, Payload::Long(&shared), publish, session, step, fx);
        }
        self.accept_payload(topic, Payload::Short(publish.payload), publish, session, step, fx)
    }

    fn accept_payload(
        &self,
        topic: &str,
        payload: Payload<'_>,
        publish: &PublishRef<'_>,
        session: &mut Session,
        step: &Step<'_, '_>,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        let exactly_once = publish.qos == QoS::ExactlyOnce;
        let properties = if publish.properties.is_empty() {
            &[][..]
        } else {
            fx.properties.clear();
            publish.properties.write_forwarded(&mut fx.properties);
            &fx.properties
        };
        let lifetime = publish.properties.message_expiry_interval;
        let publication = Publication {
            topic,
            properties,
            payload,
            qos: publish.qos,
            retain: publish.retain,
            expires_at: lifetime.map(|seconds| step.now() + Duration::from_secs(seconds.into())),
            publisher: Some(session.key),
            publisher_hash: 0,
            stamp: 0,
        };
        Self::admit(&publication, publish.packet_identifier, session, step).map_err(Refused::ByLimit)?;
        if let Some(packet_identifier) = publish.packet_identifier {
            let epoch = session.epoch;
            let before = if exactly_once { session.incoming.insert(packet_identifier, epoch) } else { None };
            self.count_unless_held(before, session);
            if before.is_some() {
                // Received before and routed then [MQTT-4.3.3-10].
                fx.batch.push_answer(answer(packet_identifier, true, Some(ReasonCode::Success)));
                return Ok(());
            }
        }
        let ack = publish.packet_identifier.map(|identifier| answer(identifier, exactly_once, None));
        fx.batch.push(&publication, ack);
        Ok(())
    }

    /// Counts a publish as unanswered, unless it has its place in the receive maximum already.
    pub(super) fn count_unless_held(&self, before: Option<Epoch>, session: &mut Session) {
        if !self.is_counted(before, session)
            && let Some(online) = session.online.as_mut()
        {
            online.unanswered += 1;
        }
    }

    /// Whether what came before, on that network connection, is counted as unanswered still: what 5.0 sends again before
    /// its PUBREL. 3.x counts each until it is answered.
    fn is_counted(&self, before: Option<Epoch>, session: &Session) -> bool {
        before == Some(session.epoch) && self.version == ProtocolVersion::V5
    }
}

/// On which network connection a QoS 2 publish came before, if that is not released yet: then it is sent again, and what
/// bounds those that come anew does not bound it.
fn held(publish: &PublishRef<'_>, session: &Session) -> Option<Epoch> {
    let identifier = publish.packet_identifier.filter(|_| publish.qos == QoS::ExactlyOnce)?;
    session.incoming.get(identifier)
}

pub(super) fn answer(
    packet_identifier: PacketIdentifier,
    exactly_once: bool,
    settled: Option<ReasonCode>,
) -> Ack {
    Ack { packet_identifier, exactly_once, settled }
}
