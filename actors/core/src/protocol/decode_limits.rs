//! The decoder's limits, as the settings say.

use mqtt_codec::Limits;

use crate::settings::MqttSettings;

/// See the module.
pub fn decode_limits(settings: &MqttSettings) -> Limits {
    Limits {
        maximum_packet_size: settings.maximum_packet_size_bytes,
        properties_max: settings.user_properties_max,
        filters_max: settings.filters_per_packet_max,
        allow_control_characters: settings.allow_control_characters,
        ..Limits::default()
    }
}
