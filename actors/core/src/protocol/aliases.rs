//! Topic aliases that the client set on this network connection [MQTT-3.3.2-7 to 12].

use std::num::NonZeroU16;

use mqtt_codec::ReasonCode;

use super::Violation;

/// None allocated before the first alias.
#[derive(Debug, Default)]
pub(super) struct IncomingAliases(Option<Box<Vec<Option<Box<str>>>>>);

impl IncomingAliases {
    /// Judges an alias against the maximum that the node announced.
    pub(super) fn check(alias: NonZeroU16, maximum: u16) -> Result<(), Violation> {
        if alias.get() > maximum {
            let text = format!("topic alias {alias} is above the maximum {maximum} [MQTT-3.3.2-9]");
            return Err(Violation::new(ReasonCode::TopicAliasInvalid, text));
        }
        Ok(())
    }

    pub(super) fn set(&mut self, alias: NonZeroU16, topic: &str) {
        let aliases = self.0.get_or_insert_default();
        let at = usize::from(alias.get()) - 1;
        if aliases.len() <= at {
            aliases.resize(at + 1, None);
        }
        if aliases[at].as_deref() != Some(topic) {
            aliases[at] = Some(topic.into());
        }
    }

    pub(super) fn get(&self, alias: NonZeroU16) -> Result<&str, Violation> {
        let topic = self.0.as_ref().and_then(|aliases| aliases.get(usize::from(alias.get()) - 1)?.as_deref());
        topic.ok_or_else(|| {
            Violation::new(
                ReasonCode::ProtocolError,
                format!("topic alias {alias} was not set [MQTT-3.3.2-8]"),
            )
        })
    }
}
