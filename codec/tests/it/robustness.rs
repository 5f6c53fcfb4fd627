//! Bytes that nobody meant: never a panic, and every entrance of the decoder finds the same.

use mqtt_codec::{Limits, PACKET_BYTES_MAX, encode};
use proptest::{collection::vec, prelude::*};

use crate::{
    arbitrary::{packet, sender, version},
    feed::{feed_all, framed},
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes(bytes in vec(any::<u8>(), 0..64), version in version(), sender in sender()) {
        feed_all(&bytes, version, sender, &Limits::default());
    }

    #[test]
    fn random_bodies(first: u8, body in vec(any::<u8>(), 0..64), version in version(), sender in sender()) {
        feed_all(&framed(first, &body), version, sender, &Limits::default());
    }

    /// Real packets with some bytes changed, removed or added, and what decodes from them encodes again.
    #[test]
    fn mutated_packets(
        (packet, version, sender) in packet(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..4),
        fix_length: bool,
    ) {
        let mut bytes = Vec::new();
        encode(&packet, version, PACKET_BYTES_MAX, &mut bytes).expect("a legal packet is encoded");
        for (at, value, kind) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = value,
                1 => bytes[at] ^= 1 << (value & 7),
                2 => { bytes.remove(at); }
                _ => bytes.insert(at, value),
            }
        }
        if fix_length && bytes.len() >= 2 {
            let header_bytes = 1 + bytes[1..].iter().take_while(|byte| **byte >= 0x80).count() + 1;
            let body = bytes.get(header_bytes..).unwrap_or_default().to_vec();
            bytes = framed(bytes[0], &body);
        }
        let (packets, _) = feed_all(&bytes, version, sender, &Limits::default());
        for packet in packets {
            let mut again = Vec::new();
            encode(&packet, version, PACKET_BYTES_MAX, &mut again).expect("what was decoded is encoded");
        }
    }
}
