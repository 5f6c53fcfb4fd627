//! UTF-8 strings [MQTT-1.5.4-1] to [MQTT-1.5.4-3].

use mqtt_codec::{
    DecodeError, Limits, Packet, ProtocolVersion::V311, ReasonCode, Sender::Client, TopicError,
};

use crate::feed::{VERSIONS, feed, feed_with, framed, prefixed};

fn publish_to(topic: &[u8]) -> Vec<u8> {
    framed(0x30, &prefixed(topic))
}

#[test]
fn ill_formed() {
    let cases: [&[u8]; 7] = [
        b"\xff",
        b"a\xc3",            // cut short
        b"\xc0\x80",         // overlong NUL
        b"\xed\xa0\x80",     // U+D800, a surrogate
        b"\xed\xbf\xbf",     // U+DFFF, a surrogate
        b"\xf4\x90\x80\x80", // above U+10FFFF
        b"topic/\x80/longer than sixteen bytes",
    ];
    for version in VERSIONS {
        for topic in cases {
            assert_eq!(feed(&publish_to(topic), version, Client), Err(DecodeError::InvalidUtf8));
        }
    }
    assert_eq!(DecodeError::InvalidUtf8.reason_code(), ReasonCode::MalformedPacket);
}

#[test]
fn characters() {
    let strict = Limits::default();
    let lax = Limits { allow_control_characters: true, ..strict };
    let decode = |topic: &str, limits| match feed_with(&publish_to(topic.as_bytes()), V311, Client, limits) {
        Ok(Packet::Publish(publish)) => Ok(publish.topic),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error),
    };
    for code in (1..0x20).chain(0x7F..0xA0).chain([0xFDD0, 0xFDEF, 0xFFFE, 0xFFFF, 0x1FFFE, 0x10FFFF]) {
        let topic = format!("topic/{}", char::from_u32(code).unwrap());
        assert_eq!(decode(&topic, &strict), Err(DecodeError::DisallowedCharacter { code }));
        assert_eq!(decode(&topic, &lax), Ok(topic));
    }
    for limits in [&strict, &lax] {
        assert_eq!(decode("a\0b", limits), Err(DecodeError::NulCharacter));
        assert_eq!(decode("a\0b/longer than sixteen bytes", limits), Err(DecodeError::NulCharacter));
        // A byte order mark is a character like any other [MQTT-1.5.4-3].
        for topic in ["\u{FEFF}a", "a\u{FEFF}", "~ ", "ä/€/😀", "\u{A0}\u{FDCF}\u{FDF0}\u{FFFD}"] {
            assert_eq!(decode(topic, limits).as_deref(), Ok(topic));
        }
    }
}

#[test]
fn string_limit() {
    let limits = Limits { string_bytes_max: 4, ..Limits::default() };
    assert!(feed_with(&publish_to(b"abcd"), V311, Client, &limits).is_ok());
    let error = DecodeError::StringTooLong { bytes: 5, limit: 4 };
    assert_eq!(feed_with(&publish_to(b"abcde"), V311, Client, &limits), Err(error));
    assert_eq!(error.reason_code(), ReasonCode::QuotaExceeded);
}

/// Wherever in a short or long topic name it stands, what is illegal is found.
#[test]
fn every_position() {
    for length in 1..70 {
        for at in 0..length {
            let error = |byte| {
                let mut topic = vec![b'a'; length];
                topic[at] = byte;
                feed(&publish_to(&topic), V311, Client).err()
            };
            for wildcard in [b'+', b'#'] {
                assert_eq!(error(wildcard), Some(DecodeError::TopicName(TopicError::WildcardInName)));
            }
            assert_eq!(error(0), Some(DecodeError::NulCharacter));
            assert_eq!(error(0x7F), Some(DecodeError::DisallowedCharacter { code: 0x7F }));
            assert_eq!(error(0x80), Some(DecodeError::InvalidUtf8));
            for legal in *b" ~!\"$*,-/" {
                assert_eq!(error(legal), None);
            }
        }
    }
}
