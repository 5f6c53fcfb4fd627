use super::{read::Connack, *};

fn header(bytes: &[u8]) -> FixedHeader {
    fixed_header(bytes).unwrap().unwrap()
}

#[test]
fn connect_bytes_of_both_versions() {
    let mut out = Vec::new();
    connect(&mut out, Version::V3_1_1, 0, "ab");
    assert_eq!(out, b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x02ab");
    out.clear();
    connect(&mut out, Version::V5_0, 0x1234, "ab");
    assert_eq!(out, b"\x10\x0f\x00\x04MQTT\x05\x02\x12\x34\x00\x00\x02ab");
}

#[test]
fn subscribe_bytes_of_both_versions() {
    let mut out = Vec::new();
    subscribe(&mut out, Version::V3_1_1, 7, &Numbered::one("a/+"), &[0], 1, false);
    assert_eq!(out, b"\x82\x08\x00\x07\x00\x03a/+\x01");
    out.clear();
    subscribe(&mut out, Version::V5_0, 7, &Numbered::one("a/+"), &[0], 1, false);
    assert_eq!(out, b"\x82\x09\x00\x07\x00\x00\x03a/+\x21");
    out.clear();
    subscribe(&mut out, Version::V3_1_1, 7, &Numbered::new("a/", 9, ""), &[3, 5], 0, false);
    assert_eq!(out, b"\x82\x0e\x00\x07\x00\x03a/3\x00\x00\x03a/5\x00");
}

#[test]
fn a_retained_message_is_taken_back_with_nothing() {
    let frame = PublishFrame::new(Version::V3_1_1, "a/0", 1, 0).retained();
    let mut out = Vec::new();
    frame.append(&mut out, &[], 7, Stamp { publisher: 0, sequence: 0, nanoseconds: 0 });
    assert_eq!(out, b"\x33\x07\x00\x03a/0\x00\x07");
}

#[test]
fn acknowledgements_carry_their_flags() {
    let mut out = Vec::new();
    acknowledge(&mut out, packet_type::PUBACK, 0x0102);
    acknowledge(&mut out, packet_type::PUBREL, 3);
    assert_eq!(out, [0x40, 2, 1, 2, 0x62, 2, 0, 3]);
    assert_eq!(acknowledgement(header(&out), &out[2..4]), Ok((0x0102, 0)));
}

#[test]
fn a_publish_reads_back_from_every_prefix() {
    for version in [Version::V3_1_1, Version::V5_0] {
        for qos in 0..=2 {
            for payload in [Stamp::BYTES, 64, 20_000] {
                let frame = PublishFrame::new(version, "bench/x", qos, payload);
                let stamp = Stamp { publisher: 9, sequence: 0x0102_0304, nanoseconds: u64::MAX - 1 };
                let mut out = b"before".to_vec();
                frame.append(&mut out, &vec![b'.'; payload], 513, stamp);
                let bytes = &out[6..];

                let fixed = header(bytes);
                assert_eq!(fixed.total(), bytes.len());
                let body = &bytes[fixed.header..];
                let head = publish_head(version, fixed, body).unwrap().unwrap();
                assert_eq!((head.qos, head.packet_identifier), (qos, if qos == 0 { 0 } else { 513 }));
                assert_eq!(body.len() - head.payload_at, payload);
                assert_eq!(Stamp::read(&body[head.payload_at..]), Some(stamp));
                for end in 0..head.payload_at {
                    let read = publish_head(version, fixed, &body[..end]).unwrap();
                    assert!(read.is_none_or(|read| read == head), "{end} bytes read as {read:?}");
                }
            }
        }
    }
}

#[test]
fn a_head_beyond_the_packet_is_an_error() {
    let bytes = b"\x30\x03\x00\x09a";
    let fixed = header(bytes);
    let expected = WireError::Short { packet_type: packet_type::PUBLISH, size: 3 };
    assert_eq!(publish_head(Version::V3_1_1, fixed, &bytes[2..]), Err(expected));
    assert_eq!(fixed_header(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF]), Err(WireError::RemainingLength));
    assert_eq!(fixed_header(&[0x30, 0xFF, 0xFF]), Ok(None));
}

#[test]
fn connack_limits_are_found_among_other_properties() {
    let bytes = b"\x20\x1e\x00\x00\x1b\x26\x00\x01a\x00\x01b\x12\x00\x02id\x21\x00\x14\x24\x01\x27\x00\x00\x10\x00\x25\x01\x13\x00\x3c";
    let fixed = header(bytes);
    assert_eq!(fixed.total(), bytes.len());
    let read = connack(Version::V5_0, fixed, &bytes[2..]).unwrap();
    let expected = Connack {
        session_present: false,
        code: 0,
        receive_maximum: 20,
        maximum_qos: 1,
        maximum_packet_size: 4096,
        topic_alias_maximum: 0,
    };
    assert_eq!(read, expected);
}

#[test]
fn a_refusal_in_the_form_of_3_1_1_reads_under_5_0() {
    let bytes = b"\x20\x02\x00\x01";
    assert_eq!(connack(Version::V5_0, header(bytes), &bytes[2..]).unwrap().code, 1);
}

#[test]
fn codes_of_a_suback() {
    assert_eq!(suback_codes(Version::V3_1_1, header(b"\x90\x03"), b"\x00\x01\x80"), Ok(&[0x80][..]));
    assert_eq!(suback_codes(Version::V5_0, header(b"\x90\x04"), b"\x00\x01\x00\x02"), Ok(&[2][..]));
    assert!(suback_codes(Version::V5_0, header(b"\x90\x02"), b"\x00\x01").is_err());
}
