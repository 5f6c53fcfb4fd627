//! Decodes the input as packets of MQTT 3.1; see `micro_mq_fuzz::decode`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| micro_mq_fuzz::decode::run(mqtt_codec::ProtocolVersion::V31, input));
