//! Quality of service.

use std::fmt;

/// How surely an application message is delivered. Ordered, so that `min` gives the granted level.
#[repr(u8)]
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QoS {
    /// No acknowledgement: the message arrives once or not at all.
    #[default]
    AtMostOnce = 0,
    /// Acknowledged by PUBACK: the message arrives, perhaps more than once.
    AtLeastOnce = 1,
    /// Acknowledged by PUBREC, PUBREL and PUBCOMP: the message arrives exactly once.
    ExactlyOnce = 2,
}

/// A number above 2 where a QoS is wanted.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("QoS {0} does not exist [MQTT-3.3.1-4]")]
pub struct InvalidQoS(pub u8);

impl TryFrom<u8> for QoS {
    type Error = InvalidQoS;

    fn try_from(value: u8) -> Result<Self, InvalidQoS> {
        match value {
            0 => Ok(Self::AtMostOnce),
            1 => Ok(Self::AtLeastOnce),
            2 => Ok(Self::ExactlyOnce),
            _ => Err(InvalidQoS(value)),
        }
    }
}

impl From<QoS> for u8 {
    fn from(qos: QoS) -> Self {
        qos as u8
    }
}

impl fmt::Display for QoS {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", *self as u8)
    }
}
