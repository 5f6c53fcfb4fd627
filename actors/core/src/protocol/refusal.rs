//! Publishes that are refused: before anything of them is routed or kept, and without an end of the network connection
//! where the client can be told.

use std::time::Duration;

use mqtt_codec::topic::count_levels;
use mqtt_codec::{PacketIdentifier, ProtocolVersion, PublishRef, QoS, ReasonCode};

use super::publish::answer;
use super::{Effects, Protocol, Step, Stepped, Violation};
use crate::count::Counter;
use crate::counters::Counters;
use crate::ids::client_hash;
use crate::message::Publication;
use crate::retained::Full;
use crate::session::Session;
use crate::settings::{DeniedPublish, Settings};

/// A limit that refuses a publish. A further one is a line in each of the functions below, and one in
/// [`Protocol::limit_of`] or [`Protocol::admit`]; what makes room at it tells [`Waitlist`](crate::pressure::Waitlist).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// `topic_levels_max`.
    TopicLevels,
    /// `retained_messages_max`, `retained_bytes_max`.
    Retained,
    /// `retained_messages_per_client_max`, `retained_bytes_per_client_max`.
    RetainedOfClient,
    /// `queued_bytes_max`.
    QueuedBytes,
    /// The disk has no room for what has to be kept.
    DiskFull,
    /// `incoming_qos2_max`. Of 3.x: the PUBREL that would make room stands behind the publish. 5.0 is told that it has
    /// exceeded it, and closed.
    IncomingExactlyOnce,
    /// The question whether it is allowed had no answer: that was late (`answer_timeout_ms`), wrong or lost, or too many
    /// questions waited (`questions_max`, `questions_bytes_max`).
    Answer,
}

/// What a publish waits for that a limit refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing: there is never room for it.
    None,
    /// Others make room.
    Room,
    /// It is asked for again, after a pause.
    Question,
}

impl Limit {
    /// What a 5.0 client is told.
    pub fn reason(self) -> ReasonCode {
        match self {
            Self::TopicLevels => ReasonCode::TopicNameInvalid,
            Self::Retained | Self::RetainedOfClient | Self::QueuedBytes | Self::DiskFull => {
                ReasonCode::QuotaExceeded
            }
            Self::IncomingExactlyOnce => ReasonCode::ReceiveMaximumExceeded,
            Self::Answer => ReasonCode::NotAuthorized,
        }
    }

    /// What counts it.
    pub fn counter(self, counters: &Counters) -> &Counter {
        match self {
            Self::TopicLevels => &counters.topic_levels_exceeded,
            Self::Retained => &counters.retained_refused,
            Self::RetainedOfClient => &counters.retained_per_client_refused,
            Self::QueuedBytes => &counters.queued_bytes_refused,
            Self::DiskFull => &counters.disk_full_refused,
            Self::IncomingExactlyOnce => &counters.incoming_qos2_full,
            Self::Answer => &counters.publishes_not_authorized,
        }
    }

    /// What the same publish may pass with later.
    pub fn remedy(self) -> Remedy {
        match self {
            Self::TopicLevels | Self::IncomingExactlyOnce => Remedy::None,
            Self::Retained | Self::RetainedOfClient | Self::QueuedBytes | Self::DiskFull => Remedy::Room,
            Self::Answer => Remedy::Question,
        }
    }
}

impl From<Full> for Limit {
    fn from(full: Full) -> Self {
        match full {
            Full::Node => Self::Retained,
            Full::Client => Self::RetainedOfClient,
        }
    }
}

/// What is wrong with a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// A limit.
    ByLimit(Limit),
    /// A rule, or it is to `$SYS`.
    Denied,
    /// Its payload is not what its payload format indicator says. Of 5.0 alone.
    PayloadFormat,
}

impl Refused {
    fn reason(self) -> ReasonCode {
        match self {
            Self::ByLimit(limit) => limit.reason(),
            Self::Denied => ReasonCode::NotAuthorized,
            Self::PayloadFormat => ReasonCode::PayloadFormatInvalid,
        }
    }

    fn counter(self, counters: &Counters) -> &Counter {
        match self {
            Self::ByLimit(limit) => limit.counter(counters),
            Self::Denied => &counters.publishes_not_authorized,
            Self::PayloadFormat => &counters.payload_format_invalid,
        }
    }
}

/// How long a 3.x client is not read whose publish was refused, before it is closed.
pub fn patience(settings: &Settings) -> Duration {
    Duration::from_millis(settings.mqtt.refused_publish_timeout_ms)
}

impl Protocol {
    /// The limits that do not depend on what was published before.
    pub(super) fn limit_of(topic: &str, step: &Step<'_, '_>) -> Option<Limit> {
        let levels_max = usize::from(step.settings().mqtt.topic_levels_max);
        if count_levels(topic) > levels_max {
            return Some(Limit::TopicLevels);
        }
        None
    }

    /// The limits of what is kept. What was received before has passed them, and passes [MQTT-4.3.3-10].
    pub(super) fn admit(
        publication: &Publication<'_>,
        identifier: Option<PacketIdentifier>,
        session: &Session,
        step: &Step<'_, '_>,
    ) -> Result<(), Limit> {
        // QoS 0 does not wait for anybody at this limit.
        let node = step.desk.ledger.kept.node();
        let may_refuse = publication.qos > QoS::AtMostOnce && node.may_refuse();
        if !may_refuse && !publication.retain {
            return Ok(());
        }
        let exactly_once = publication.qos == QoS::ExactlyOnce;
        if identifier.is_some_and(|identifier| exactly_once && session.incoming.get(identifier).is_some()) {
            return Ok(());
        }
        if may_refuse && node.is_full() {
            return Err(Limit::QueuedBytes);
        }
        if node.has_no_disk_for(publication.topic, publication.retain) {
            return Err(Limit::DiskFull);
        }
        if !publication.retain {
            return Ok(());
        }
        let publisher_hash = client_hash(session.client_identifier());
        let kept = Publication { publisher_hash, ..*publication };
        Ok(step.retained.admit(&kept, step.now())?)
    }

    /// A refused publish is answered in its turn. 3.x knows no answer that says so: beyond a limit there is none, and the
    /// client is not read until there is room; a denied one is acknowledged, or ends the network connection
    /// [MQTT311-3.3.5-2]. QoS 0 has no answer either, and is dropped; where 5.0 can be told by a DISCONNECT it is, for
    /// what only a defect explains.
    pub(super) fn refuse(
        &self,
        refused: Refused,
        publish: &PublishRef<'_>,
        session: &mut Session,
        step: &Step<'_, '_>,
        fx: &mut Effects,
    ) -> Result<Stepped, Violation> {
        if !step.again {
            refused.counter(step.counters).add(1);
        }
        let is_old = self.version() != ProtocolVersion::V5;
        if is_old && refused == Refused::Denied && step.settings().mqtt.denied_publish == DeniedPublish::Close
        {
            return Err(Violation::new(refused.reason(), "no permission to publish [MQTT311-3.3.5-2]"));
        }
        let Some(identifier) = publish.packet_identifier else {
            return match refused {
                Refused::PayloadFormat => Err(Violation::new(
                    refused.reason(),
                    "payload is not UTF-8 as its payload format indicator says",
                )),
                Refused::Denied => Ok(Stepped::Done),
                Refused::ByLimit(_) => {
                    step.counters.qos0_refused.add(1);
                    Ok(Stepped::Done)
                }
            };
        };
        if let Refused::ByLimit(limit) = refused
            && is_old
        {
            return Ok(Stepped::Refused(limit));
        }
        let exactly_once = publish.qos == QoS::ExactlyOnce;
        // A failing PUBREC frees the identifier for the client, whatever it stood for before.
        let before = if exactly_once { session.incoming.remove(identifier) } else { None };
        self.count_unless_held(before, session);
        fx.batch.push_answer(answer(identifier, exactly_once, Some(refused.reason())));
        Ok(Stepped::Done)
    }
}
