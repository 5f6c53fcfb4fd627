//! AUTH.

use std::fmt;

use bytes::Bytes;

use super::connect::Hidden;
use crate::{
    DecodeError, PropertyIdentifier, ReasonCode, Sender,
    read::Reader,
    write::{Detail, Properties, Sink, properties_bytes},
};

/// A step of an extended authentication (5.0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// What the step is.
    pub reason_code: ReasonCode,
    /// With the authentication method, which has to equal that of CONNECT [MQTT-4.12.0-5]; it is missing only from
    /// a bare AUTH of reason code Success.
    pub properties: AuthProperties,
}

/// Properties of an AUTH. `Debug` hides the authentication data.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AuthProperties {
    /// Name of the extended authentication.
    pub authentication_method: Option<String>,
    /// Data that the method defines.
    pub authentication_data: Option<Bytes>,
    /// A reason for humans.
    pub reason_string: Option<String>,
    /// In order of arrival.
    pub user_properties: Vec<(String, String)>,
}

impl fmt::Debug for AuthProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthProperties")
            .field("authentication_method", &self.authentication_method)
            .field("authentication_data", &Hidden(self.authentication_data.as_ref()))
            .field("reason_string", &self.reason_string)
            .field("user_properties", &self.user_properties)
            .finish()
    }
}

impl Auth {
    pub(crate) fn decode(reader: &mut Reader<'_>, sender: Sender) -> Result<Self, DecodeError> {
        let mut auth = Self { reason_code: ReasonCode::Success, properties: AuthProperties::default() };
        if !reader.is_empty() {
            auth.reason_code = reader.reason_code(sender)?;
        } else if sender == Sender::Client {
            // The short form means Success, which only a server sends.
            let (packet_type, value) = (reader.packet_type(), ReasonCode::Success as u8);
            return Err(DecodeError::ReasonCodeNotAllowed { packet_type, value, sender });
        }
        let mut bare = true;
        if !reader.is_empty() {
            let mut properties = reader.properties()?;
            let out = &mut auth.properties;
            while let Some(property) = properties.next()? {
                bare = false;
                match property {
                    PropertyIdentifier::AuthenticationMethod => {
                        out.authentication_method = Some(properties.string()?);
                    }
                    PropertyIdentifier::AuthenticationData => {
                        out.authentication_data = Some(properties.binary()?);
                    }
                    PropertyIdentifier::ReasonString => out.reason_string = Some(properties.string()?),
                    PropertyIdentifier::UserProperty => {
                        out.user_properties.push(properties.owned_user_property()?);
                    }
                    other => return properties.not_allowed(other),
                }
            }
        }
        let may_be_bare = bare && auth.reason_code == ReasonCode::Success;
        if auth.properties.authentication_method.is_none() && !may_be_bare {
            return Err(DecodeError::AuthenticationMethodMissing);
        }
        Ok(auth)
    }

    pub(crate) fn write<S: Sink>(&self, detail: Detail, sink: &mut S) {
        let has_properties = properties_bytes(&self.properties, detail) > 0;
        if has_properties || self.reason_code != ReasonCode::Success {
            sink.u8(self.reason_code as u8);
            sink.properties(&self.properties, detail);
        }
    }
}

impl Properties for AuthProperties {
    fn write<S: Sink>(&self, detail: Detail, sink: &mut S) {
        sink.text_property(PropertyIdentifier::AuthenticationMethod, self.authentication_method.as_deref());
        sink.binary_property(PropertyIdentifier::AuthenticationData, self.authentication_data.as_ref());
        sink.problem(self.reason_string.as_deref(), &self.user_properties, detail);
    }
}
