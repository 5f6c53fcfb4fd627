//! The queue itself.

use mqtt_codec::QoS;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::ids::CopyId;
use crate::kept::{BODY_BYTES, Kept, PLACE_BYTES};
use crate::message::{Publication, QUEUED_OVERHEAD_BYTES, StoredMessage};
use crate::queue::{Identifiers, Queue, Queued};
use crate::testing::{now, publication};

fn queued(payload: &str, expires_at: Option<Instant>) -> Queued {
    let message = Publication { expires_at, ..publication("t", payload, QoS::AtLeastOnce) };
    Queued {
        message: Arc::new(StoredMessage::new(&message)),
        qos: QoS::AtLeastOnce,
        retain: false,
        identifiers: Identifiers::None,
        group: None,
        replayed: false,
        recorded: CopyId::default(),
    }
}

fn payload(queued: &Queued) -> String {
    String::from_utf8_lossy(queued.message.publication().payload.as_slice()).into_owned()
}

#[test]
fn identifiers_as_the_encoder_wants_them() {
    assert_eq!(Identifiers::None.as_slice(), &[] as &[u32]);
    assert_eq!(Identifiers::One(7).as_slice(), [7]);
    assert_eq!(Identifiers::Many(Box::new([7, 9])).as_slice(), [7, 9]);
}

/// A full queue is not searched for expired messages again and again: once a second, and only if there may be any.
#[test]
fn expired_messages_are_looked_for_once_a_second() {
    let now = now();
    let at = |milliseconds| now + Duration::from_millis(milliseconds);
    let (mut queue, kept) = (Queue::default(), Kept::default());
    for (payload, expiry) in [("a", Some(1000)), ("b", None), ("c", Some(1500)), ("d", Some(3000))] {
        queue.push(0, queued(payload, expiry.map(at)), &kept);
    }
    let mut expired_at = |milliseconds| -> Vec<String> {
        queue.take_expired(at(milliseconds), &kept).iter().map(payload).collect()
    };
    assert_eq!(expired_at(999), [] as [&str; 0]);
    assert_eq!(expired_at(1000), ["a"]);
    assert_eq!(expired_at(1999), [] as [&str; 0], "a second has not passed since it was searched");
    assert_eq!(expired_at(2000), ["c"]);
    assert_eq!(expired_at(2999), [] as [&str; 0]);
    assert_eq!(expired_at(3000), ["d"]);
    assert_eq!(expired_at(9000), [] as [&str; 0]);
    assert_eq!((queue.len(), queue.pop(&kept).as_ref().map(payload)), (1, Some("b".to_owned())));
}

/// Of very many that wait a few are looked at for each message that finds the queue full, until all were, whatever comes
/// and goes meanwhile; what leaves in between is not looked at.
#[test]
fn expired_messages_are_looked_for_in_pieces() {
    const WAITING: usize = 10_000;
    let now = now();
    let (mut queue, kept) = (Queue::default(), Kept::default());
    for number in 0..WAITING {
        let expires =
            if number % 100 == 99 { Duration::ZERO } else { Duration::from_secs(number as u64 + 9) };
        queue.push(number as u64, queued("x", Some(now + expires)), &kept);
    }
    let (mut found, mut searches) = (0, 0);
    while searches < WAITING {
        let some = queue.take_expired(now, &kept).len();
        assert!(some <= 16);
        found += some;
        searches += 1;
        if searches % 7 == 0 {
            queue.pop(&kept);
            queue.push((WAITING + searches) as u64, queued("x", Some(now)), &kept);
            queue.pop_last(&kept);
        }
        if found == WAITING / 100 - searches / 700 {
            break;
        }
    }
    assert!(searches >= WAITING / 16 - WAITING / 100, "{searches} searches");
    assert!(searches < WAITING / 10, "{searches} searches");
}

/// A search that would find nothing is none: what expires right after is found at once.
#[test]
fn a_search_in_vain_is_not_made() {
    let now = now();
    let (mut queue, kept) = (Queue::default(), Kept::default());
    queue.push(0, queued("later", Some(now + Duration::from_secs(9))), &kept);
    queue.push(0, queued("a", Some(now + Duration::from_millis(10))), &kept);
    assert!(queue.take_expired(now, &kept).is_empty());
    assert_eq!(queue.take_expired(now + Duration::from_millis(10), &kept).len(), 1);
}

proptest! {
    /// First in, first out, with the bytes of what is in it.
    #[test]
    fn behaves_like_a_list(steps in proptest::collection::vec((0..4u8, 0..50usize), 1..80)) {
        let (mut queue, kept) = (Queue::default(), Kept::default());
        let mut model: Vec<String> = Vec::new();
        for (step, number) in steps {
            match step {
                0 | 1 => {
                    let text = "x".repeat(number);
                    queue.push(0, queued(&text, None), &kept);
                    model.push(text);
                }
                2 => {
                    let expected = (!model.is_empty()).then(|| model.remove(0));
                    prop_assert_eq!(queue.front().map(|(_, queued)| payload(queued)), expected.clone());
                    prop_assert_eq!(queue.pop(&kept).as_ref().map(payload), expected);
                }
                _ => {
                    let out: Vec<_> = queue
                        .extract(0..usize::MAX, &kept, |queued| payload(queued).len() > number)
                        .iter()
                        .map(payload)
                        .collect();
                    let (expected, left) = model.into_iter().partition(|text| text.len() > number);
                    model = left;
                    prop_assert_eq!(out, expected as Vec<String>);
                }
            }
            prop_assert_eq!((queue.len(), queue.is_empty()), (model.len(), model.is_empty()));
            let bytes: usize = model.iter().map(|text| publication("t", text, QoS::AtLeastOnce).queued_bytes()).sum();
            prop_assert_eq!(queue.bytes(), bytes);
            let places = model.len() * (PLACE_BYTES + BODY_BYTES - QUEUED_OVERHEAD_BYTES);
            prop_assert_eq!(kept.unsettled(), (bytes + places) as i64);
        }
    }
}
