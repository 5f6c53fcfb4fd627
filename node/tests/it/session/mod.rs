//! Sessions outlive network connections: how long, for whom, and what is sent again.

mod expiry;
mod offline;
mod resumption;
mod takeover;

use mqtt_codec::ProtocolVersion;

const V31: ProtocolVersion = ProtocolVersion::V31;
const V311: ProtocolVersion = ProtocolVersion::V311;
const V5: ProtocolVersion = ProtocolVersion::V5;
