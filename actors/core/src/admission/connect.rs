//! What can be said of a CONNECT by itself, before anybody is asked who sent it.

use mqtt_codec::topic::count_levels;
use mqtt_codec::{
    Connect, Limits, PACKET_BYTES_MAX, Packet, PacketRef, PayloadFormat, ProtocolVersion, ReasonCode, Sender,
    decode, read_header,
};

use super::maximum_packet_size;
use crate::counters::Counters;
use crate::settings::MqttSettings;

/// Judges client identifier and will.
///
/// # Errors
/// What the client is told in the CONNACK.
pub fn judge_connect(connect: &Connect, mqtt: &MqttSettings, counters: &Counters) -> Result<(), ReasonCode> {
    let may_be_assigned = match connect.version {
        ProtocolVersion::V5 => true,
        // [MQTT-3.1.3-8] of 3.1.1
        ProtocolVersion::V311 => connect.clean_start,
        ProtocolVersion::V31 => false,
    };
    if connect.client_identifier.is_empty() && !may_be_assigned {
        return Err(ReasonCode::ClientIdentifierNotValid);
    }
    connect.will.as_ref().map_or(Ok(()), |will| judge_will(will, mqtt, counters))
}

fn judge_will(will: &mqtt_codec::Will, mqtt: &MqttSettings, counters: &Counters) -> Result<(), ReasonCode> {
    if will.qos as u8 > mqtt.maximum_qos {
        return Err(ReasonCode::QoSNotSupported);
    }
    if will.retain && !mqtt.retain_available {
        return Err(ReasonCode::RetainNotSupported);
    }
    let mut properties = Vec::new();
    will.properties.write_forwarded(&mut properties);
    if properties.len() > mqtt.publish_properties_bytes_max {
        counters.publish_properties_too_large.add(1);
        return Err(ReasonCode::QuotaExceeded);
    }
    let topic = will.topic.as_str();
    if count_levels(topic) > usize::from(mqtt.topic_levels_max) {
        counters.topic_levels_exceeded.add(1);
        return Err(ReasonCode::TopicNameInvalid);
    }
    if topic == "$SYS" || topic.starts_with("$SYS/") {
        return Err(ReasonCode::NotAuthorized);
    }
    let says_utf8 = will.properties.payload_format_indicator == Some(PayloadFormat::Utf8);
    if mqtt.check_payload_format && says_utf8 && std::str::from_utf8(&will.payload).is_err() {
        counters.payload_format_invalid.add(1);
        return Err(ReasonCode::PayloadFormatInvalid);
    }
    Ok(())
}

/// How a CONNECT that cannot be read is answered, which begins `packet`: the version of the CONNACK, and the largest packet
/// that the client takes, in bytes. None if it is not answered: 5.0 knows reason codes for what is wrong with it, 3.x only
/// for its version.
pub fn answer_unreadable(packet: &[u8], reason: ReasonCode) -> Option<(ProtocolVersion, u32)> {
    let version = match (stated_level(packet), reason) {
        (Some(level), ReasonCode::UnsupportedProtocolVersion) if level <= 5 => ProtocolVersion::V311,
        (Some(_), ReasonCode::UnsupportedProtocolVersion) | (Some(5), _) => ProtocolVersion::V5,
        _ => return None,
    };
    Some((version, stated_limit(packet)))
}

/// The protocol level that a CONNECT states behind a protocol name of MQTT, whatever follows. None if it has flags in its
/// fixed header: then it is hardly MQTT.
fn stated_level(packet: &[u8]) -> Option<u8> {
    let unlimited = Limits { maximum_packet_size: PACKET_BYTES_MAX, ..Limits::default() };
    let header = read_header(packet, &unlimited).ok()??;
    if header.flags != 0 {
        return None;
    }
    let body = packet.get(usize::from(header.header_bytes)..)?;
    let rest = body.strip_prefix(b"\x00\x04MQTT").or_else(|| body.strip_prefix(b"\x00\x06MQIsdp"))?;
    rest.first().copied()
}

/// The largest packet that a client takes by a CONNECT that breaks this node's limits, and no rule of MQTT.
fn stated_limit(packet: &[u8]) -> u32 {
    let limits = Limits {
        maximum_packet_size: PACKET_BYTES_MAX,
        properties_max: u16::MAX,
        allow_control_characters: true,
        ..Limits::default()
    };
    match decode(packet, ProtocolVersion::V5, Sender::Client, &limits) {
        Ok(Some((PacketRef::Other(Packet::Connect(connect)), _))) => maximum_packet_size(&connect),
        _ => u32::MAX,
    }
}

#[cfg(test)]
mod tests;
