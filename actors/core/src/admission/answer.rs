//! What a CONNACK says to a client that is taken in.

use std::num::{NonZeroU16, NonZeroU32};

use mqtt_codec::{ConnAck, ConnAckProperties, ProtocolVersion, QoS, ReasonCode};

use super::Request;
use crate::settings::MqttSettings;

/// The CONNACK, as for a client without a session.
pub(super) fn accepted(
    request: &Request<'_>,
    mqtt: &MqttSettings,
    expiry_interval: u32,
    keep_alive: u16,
) -> Box<ConnAck> {
    Box::new(ConnAck {
        session_present: false,
        reason_code: ReasonCode::Success,
        properties: properties(request, mqtt, expiry_interval, keep_alive),
    })
}

fn properties(
    request: &Request<'_>,
    mqtt: &MqttSettings,
    expiry_interval: u32,
    keep_alive: u16,
) -> ConnAckProperties {
    let connect = request.connect;
    let mut properties = ConnAckProperties::default();
    if connect.version != ProtocolVersion::V5 {
        return properties;
    }
    let asked = connect.properties.session_expiry_interval.unwrap_or(0);
    properties.session_expiry_interval = (asked != expiry_interval).then_some(expiry_interval);
    properties.receive_maximum = NonZeroU16::new(mqtt.receive_maximum);
    properties.maximum_qos = QoS::try_from(mqtt.maximum_qos).ok().filter(|qos| *qos < QoS::ExactlyOnce);
    properties.retain_available = (!mqtt.retain_available).then_some(false);
    properties.maximum_packet_size = NonZeroU32::new(mqtt.maximum_packet_size_bytes);
    properties.assigned_client_identifier = request.assigned.then(|| connect.client_identifier.clone());
    properties.topic_alias_maximum = (mqtt.topic_alias_maximum > 0).then_some(mqtt.topic_alias_maximum);
    properties.wildcard_subscription_available = (!mqtt.wildcard_subscription_available).then_some(false);
    properties.subscription_identifiers_available =
        (!mqtt.subscription_identifiers_available).then_some(false);
    properties.shared_subscription_available = (!mqtt.shared_subscription_available).then_some(false);
    properties.server_keep_alive = (keep_alive != connect.keep_alive).then_some(keep_alive);
    if connect.properties.request_response_information == Some(true) && !mqtt.response_information.is_empty()
    {
        let information = mqtt.response_information.replace("%c", &connect.client_identifier);
        properties.response_information = Some(information);
    }
    properties.authentication_method.clone_from(&connect.properties.authentication_method);
    properties.authentication_data = request.authentication_data.map(|data| data.to_vec().into());
    properties
}
