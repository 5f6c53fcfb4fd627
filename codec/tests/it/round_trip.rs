//! What is encoded is decoded again, for every packet, version and sender.

use mqtt_codec::{PACKET_BYTES_MAX, PacketType, Sender, encode, encoded_bytes};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use crate::{
    arbitrary::{packet_of, packet_types},
    feed::{VERSIONS, feed},
};

fn round_trip(packet_type: PacketType) {
    let mut tried = 0;
    for version in VERSIONS {
        for sender in [Sender::Client, Sender::Server] {
            if !packet_types(version, sender).contains(&packet_type) {
                continue;
            }
            tried += 1;
            let mut runner = TestRunner::new(Config::with_cases(96));
            let outcome = runner.run(&packet_of(packet_type, version, sender), |packet| {
                let mut bytes = vec![0xEE];
                encode(&packet, version, PACKET_BYTES_MAX, &mut bytes).expect("a legal packet is encoded");
                prop_assert_eq!(bytes[0], 0xEE, "encode appends");
                let bytes = &bytes[1..];
                prop_assert_eq!(bytes.len(), encoded_bytes(&packet, version));
                prop_assert_eq!(feed(bytes, version, sender), Ok(packet));
                Ok(())
            });
            if let Err(failure) = outcome {
                panic!("{packet_type} of {version} from {sender}: {failure}");
            }
        }
    }
    assert!(tried > 0);
}

macro_rules! round_trips {
    ($($name:ident $packet_type:ident,)*) => {
        $(#[test]
        fn $name() {
            round_trip(PacketType::$packet_type);
        })*
    };
}

round_trips! {
    connect Connect,
    connack ConnAck,
    publish Publish,
    puback PubAck,
    pubrec PubRec,
    pubrel PubRel,
    pubcomp PubComp,
    subscribe Subscribe,
    suback SubAck,
    unsubscribe Unsubscribe,
    unsuback UnsubAck,
    pingreq PingReq,
    pingresp PingResp,
    disconnect Disconnect,
    auth Auth,
}
