//! AUTH from a client: re-authentication [MQTT-4.12.1].

use mqtt_codec::{Auth, ReasonCode};

use super::effects::Reauthenticate;
use super::{Effects, Protocol, Violation};

impl Protocol {
    pub(super) fn on_auth(&self, auth: Auth, fx: &mut Effects) -> Result<(), Violation> {
        let Some(method) = &self.authentication_method else {
            let text = "AUTH without an authentication method in CONNECT [MQTT-4.12.0-6]";
            return Err(Violation::new(ReasonCode::ProtocolError, text));
        };
        if auth.properties.authentication_method.as_ref() != Some(&**method) {
            let text = "AUTH with another authentication method than CONNECT [MQTT-4.12.0-5]";
            return Err(Violation::new(ReasonCode::ProtocolError, text));
        }
        let begins = match auth.reason_code {
            ReasonCode::ReAuthenticate => true,
            ReasonCode::ContinueAuthentication => false,
            other => {
                let text = format!("AUTH from a client with reason code 0x{:02x}", other as u8);
                return Err(Violation::new(ReasonCode::ProtocolError, text));
            }
        };
        let data = auth.properties.authentication_data.map(|data| data.to_vec());
        fx.reauthenticate.push(Reauthenticate { begins, data });
        Ok(())
    }
}
