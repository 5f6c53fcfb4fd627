//! CONNECT and what it is answered.

use mqtt_codec::{Connect, Packet, ProtocolVersion, QoS, ReasonCode};

use crate::harness::{connect, on_nodes, settings};

/// [MQTT-3.1.4-5] A correct CONNECT is acknowledged by a CONNACK with return code 0, whatever the version.
#[test]
fn every_version_is_accepted() {
    on_nodes(settings(), async |node| {
        for version in [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5] {
            let mut client = node.connect(version, "every-version").await;
            client.subscribe("a/b", QoS::ExactlyOnce).await;
            assert_eq!(client.publish("a/b", QoS::AtLeastOnce, "hello").await, ReasonCode::Success);
            client.take_payload("hello").await;
            client.expect_nothing().await;
            client.disconnect().await;
        }
    });
}
