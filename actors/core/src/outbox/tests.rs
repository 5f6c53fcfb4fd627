//! The outbox: every byte once and in order, and how many QoS 0 messages were written whole.

use super::*;
use mqtt_codec::{ProtocolVersion, PublishFrame, QoS};
use proptest::prelude::*;

fn finish(outbox: Outbox) -> (u32, u32) {
    let Ended { written, lost } = outbox.finish();
    (written.all, lost.all)
}

fn publish(pool: &mut BufferPool, outbox: &mut Outbox, payload: usize) {
    outbox.append_with(pool, |out| {
        out.extend([0x30, payload as u8 + 3, 0, 1, b't']);
        out.extend(std::iter::repeat_n(b'x', payload));
    });
    outbox.note_qos0(false);
}

/// Appends a PUBLISH with a payload of so many bytes.
fn message_of(payload_bytes: usize, out: &mut Vec<u8>) {
    let frame = PublishFrame {
        version: ProtocolVersion::V311,
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "t",
        packet_identifier: None,
        topic_alias: None,
        message_expiry_interval: None,
        subscription_identifiers: &[],
        forwarded_properties: &[],
        payload_bytes,
    };
    frame.encode_head(out);
    out.resize(out.len() + payload_bytes, b'x');
}

#[test]
fn messages_count_as_delivered_when_everything_is_written() {
    let (mut pool, mut outbox) = (BufferPool::default(), Outbox::default());
    publish(&mut pool, &mut outbox, 10);
    publish(&mut pool, &mut outbox, 10);
    assert_eq!(outbox.waiting_bytes(), 30);
    assert_eq!(outbox.advance(&mut pool, 16).all, 0);
    assert_eq!(outbox.advance(&mut pool, 14).all, 2);
    assert!(outbox.is_empty());
    assert_eq!(finish(outbox), (0, 0));
}

/// Wherever the connection ends, just the frames before that are written.
#[test]
fn at_its_end_only_whole_frames_count_as_written() {
    for written in 0..45 {
        let (mut pool, mut outbox) = (BufferPool::default(), Outbox::default());
        for _ in 0..3 {
            publish(&mut pool, &mut outbox, 10);
        }
        outbox.advance(&mut pool, written);
        let whole = written as u32 / 15;
        assert_eq!(finish(outbox), (whole, 3 - whole), "{written}");
    }
}

#[test]
fn a_linked_payload_is_written_behind_its_head_and_counts_with_it() {
    let (mut pool, mut outbox) = (BufferPool::default(), Outbox::default());
    publish(&mut pool, &mut outbox, 1);
    outbox.append_with(&mut pool, |out| out.extend([0x30, 5, 0, 1, b't']));
    outbox.append_payload(&mut pool, Bytes::from_static(b"pq"));
    outbox.note_qos0(false);
    publish(&mut pool, &mut outbox, 1);
    let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
    let count = outbox.slices(&mut slices);
    let all: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
    assert_eq!(all, b"\x30\x04\x00\x01tx\x30\x05\x00\x01tpq\x30\x04\x00\x01tx");
    assert_eq!(outbox.advance(&mut pool, 12).all, 1);
    assert_eq!(outbox.advance(&mut pool, 1).all, 1);
    assert_eq!(finish(outbox), (0, 1));
}

#[test]
fn an_empty_outbox_holds_no_memory() {
    let (mut pool, mut outbox) = (BufferPool::default(), Outbox::default());
    publish(&mut pool, &mut outbox, 10);
    outbox.advance(&mut pool, 15);
    assert_eq!(outbox.tail.capacity(), 0);
    assert!(outbox.closed.is_none());
}

#[test]
fn a_slow_reader_gives_memory_back_chunk_by_chunk() {
    let (mut pool, mut outbox) = (BufferPool::default(), Outbox::default());
    for _ in 0..10_000 {
        publish(&mut pool, &mut outbox, 100);
    }
    let delivered = outbox.advance(&mut pool, 500_000).all;
    assert!(delivered > 4_000, "{delivered}");
    let (written, dropped) = finish(outbox);
    assert_eq!(delivered + written, 500_000 / 105);
    assert_eq!(delivered + written + dropped, 10_000);
}

/// A linked payload that is QoS 0 counts where it ends, whatever is written in between.
#[test]
fn a_payload_counts_when_it_is_written() {
    let (mut pool, mut outbox) = (BufferPool::default(), Outbox::default());
    outbox.append_with(&mut pool, |out| out.extend([0x30, 5, 0, 1, b't']));
    outbox.append_payload(&mut pool, Bytes::from_static(b"pq"));
    outbox.note_qos0(false);
    assert_eq!((outbox.waiting_bytes(), outbox.waiting_qos0()), (7, 1));
    assert_eq!(outbox.advance(&mut pool, 6).all, 0);
    assert_eq!(outbox.advance(&mut pool, 1).all, 1);
    assert_eq!((outbox.is_empty(), outbox.waiting_qos0()), (true, 0));
}

/// The connection ends while a payload is half written: its message is lost, and those behind it.
#[test]
fn the_end_in_the_middle_of_a_payload() {
    for written in 5..7 {
        let (mut pool, mut outbox) = (BufferPool::default(), Outbox::default());
        outbox.append_with(&mut pool, |out| out.extend([0x30, 5, 0, 1, b't']));
        // Bytes that look like a message of their own.
        outbox.append_payload(&mut pool, Bytes::from_static(b"\x30\x00"));
        outbox.note_qos0(false);
        publish(&mut pool, &mut outbox, 1);
        outbox.advance(&mut pool, written);
        assert_eq!(finish(outbox), (0, 2), "{written}");
    }
}

/// What counts as written at the end of a connection: QoS 0 PUBLISH packets that are whole, nothing else.
#[test]
fn only_messages_of_qos_0_count() {
    let frames: [&[u8]; 5] = [
        b"\x90\x03\x00\x01\x00",       // SUBACK
        b"\x32\x06\x00\x01t\x00\x01x", // QoS 1
        b"\x34\x06\x00\x01t\x00\x02x", // QoS 2
        b"\x31\x04\x00\x01tx",         // QoS 0, retained
        b"\xd0\x00",                   // PINGRESP
    ];
    let (mut pool, mut outbox) = (BufferPool::default(), Outbox::default());
    for frame in frames {
        outbox.append_with(&mut pool, |out| out.extend(frame));
    }
    outbox.note_qos0(false);
    publish(&mut pool, &mut outbox, 1);
    outbox.advance(&mut pool, frames.concat().len());
    assert_eq!(finish(outbox), (1, 1));
}

/// The lengths of frames take one to four bytes. The first of two is written, and all of the second but a byte.
#[test]
fn frames_of_every_length() {
    for payload in [0, 124, 125, 16_380, 16_381, 2_097_148, 2_097_149] {
        let (mut pool, mut outbox) = (BufferPool::default(), Outbox::default());
        let (mut first, mut both) = (0, 0);
        outbox.append_with(&mut pool, |out| {
            message_of(payload, out);
            first = out.len();
            message_of(payload, out);
            both = out.len();
        });
        for _ in 0..2 {
            outbox.note_qos0(false);
        }
        outbox.advance(&mut pool, both - 1);
        assert_eq!(finish(outbox), (1, 1), "{payload}");
        assert_eq!(both, 2 * first);
    }
}

proptest! {
    /// Whatever is appended and however it is written: every byte once and in order, and each QoS 0 message counted
    /// once, not before its last byte is written.
    #[test]
    fn writes_everything_in_order(
        steps in proptest::collection::vec((0..4u8, 1..3000usize), 1..50),
    ) {
        let (mut pool, mut outbox) = (BufferPool::default(), Outbox::default());
        let (mut appended, mut written): (Vec<u8>, Vec<u8>) = Default::default();
        // Where each QoS 0 message ends.
        let mut ends: Vec<usize> = Vec::new();
        let mut delivered = 0;
        for (step, bytes) in steps {
            let fill = appended.len() as u8;
            match step {
                0 => {
                    outbox.append_with(&mut pool, |out| out.resize(out.len() + bytes, fill));
                    appended.resize(appended.len() + bytes, fill);
                }
                1 => {
                    outbox.append_with(&mut pool, |out| out.resize(out.len() + bytes, fill));
                    outbox.note_qos0(false);
                    appended.resize(appended.len() + bytes, fill);
                    ends.push(appended.len());
                }
                2 => {
                    outbox.append_with(&mut pool, |out| out.push(fill));
                    outbox.append_payload(&mut pool, vec![fill; bytes].into());
                    outbox.note_qos0(false);
                    appended.resize(appended.len() + bytes + 1, fill);
                    ends.push(appended.len());
                }
                _ => {
                    let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
                    let count = outbox.slices(&mut slices);
                    let offered: Vec<u8> =
                        slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
                    prop_assert_eq!(offered.is_empty(), outbox.is_empty());
                    let n = offered.len().min(bytes);
                    written.extend(&offered[..n]);
                    delivered += outbox.advance(&mut pool, n).all;
                }
            }
            prop_assert_eq!(outbox.waiting_bytes(), appended.len() - written.len());
            prop_assert_eq!(outbox.is_empty(), appended.len() == written.len());
            prop_assert!(appended.starts_with(&written));
            prop_assert_eq!(outbox.waiting_qos0(), ends.len() as u32 - delivered);
            let whole = ends.iter().filter(|end| **end <= written.len()).count() as u32;
            prop_assert!(delivered <= whole, "{} of {}", delivered, whole);
            if outbox.is_empty() {
                prop_assert_eq!(delivered, whole);
            }
        }
        let (rest, more) = crate::testing::drain(&mut outbox, &mut pool);
        written.extend(rest);
        prop_assert!(written == appended);
        prop_assert_eq!((delivered + more.all) as usize, ends.len());
        prop_assert!(outbox.closed.is_none() && outbox.tail.capacity() == 0, "an empty outbox holds no memory");
    }
}

/// The node's own messages are told from clients', written or not, whole or in part.
#[test]
fn the_nodes_own_messages_are_told_from_others() {
    let (own, other) = (b"\x30\x08\x00\x06$SYS/x", b"\x30\x08\x00\x06$SYS-x");
    for written in 0..=30 {
        let (mut outbox, mut pool) = (Outbox::default(), BufferPool::default());
        for (frame, is_own) in [(own, true), (other, false), (own, true)] {
            outbox.append_with(&mut pool, |out| out.extend_from_slice(frame));
            outbox.note_qos0(is_own);
        }
        let advanced = outbox.advance(&mut pool, written);
        let Ended { written: whole, lost } = outbox.finish();
        let expected = [(0, 0), (1, 1), (2, 1), (3, 2)][written / 10];
        assert_eq!((advanced.all + whole.all, advanced.own + whole.own), expected, "{written}");
        assert_eq!((lost.all, lost.own), (3 - expected.0, 2 - expected.1), "{written}");
    }
}
