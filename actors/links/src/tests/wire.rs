//! What comes from others is judged, whatever it is.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use crate::frame::{Frame, FrameError};
use crate::greeting::{Disagreement, Hello, ProofKey, Side, VERSIONS};

fn read(mut bytes: &[u8], most: usize) -> Result<Frame, FrameError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(Frame::read(&mut bytes, most))
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
    prop_oneof![
        bytes().prop_map(Frame::Hello),
        bytes().prop_map(Frame::Proof),
        "[ -~]{0,100}".prop_map(Frame::Refusal),
        Just(Frame::Ping),
        Just(Frame::Pong),
        bytes().prop_map(Frame::Told),
    ]
}

fn any_hello() -> impl Strategy<Value = Hello> {
    let name = || "[a-z0-9.-]{0,253}";
    (name(), name(), name(), any::<u8>(), any::<u8>(), any::<[u8; 32]>()).prop_map(
        |(cluster, from, to, a, b, nonce)| Hello { versions: (a.min(b), a.max(b)), cluster, from, to, nonce },
    )
}

proptest! {
    #[test]
    fn a_frame_is_read_as_it_is_written(frame in any_frame()) {
        let mut bytes = BytesMut::new();
        frame.write(&mut bytes);
        prop_assert_eq!(read(&bytes, 300).ok(), Some(frame));
        prop_assert!(read(&bytes[..bytes.len() - 1], 300).is_err(), "cut");
    }

    #[test]
    fn any_bytes_are_a_frame_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(frame) = read(&bytes, 64) {
            let mut written = BytesMut::new();
            frame.write(&mut written);
            prop_assert!(bytes.starts_with(&written), "there is one way to write a frame");
        }
    }

    #[test]
    fn a_greeting_is_read_as_it_is_written(hello in any_hello(), later in prop::collection::vec(any::<u8>(), 0..20)) {
        let mut bytes = hello.encode().to_vec();
        prop_assert_eq!(Hello::decode(bytes.clone().into()), Some(hello.clone()));
        bytes.extend(later);
        prop_assert_eq!(Hello::decode(bytes.into()), Some(hello), "a later version may say more");
    }

    #[test]
    fn any_bytes_are_a_greeting_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200), is_magic: bool) {
        if is_magic && bytes.len() > 8 {
            bytes[..8].copy_from_slice(b"micro-mq");
        }
        if let Some(hello) = Hello::decode(bytes.clone().into()) {
            prop_assert!(bytes.starts_with(&hello.encode()));
        }
    }
}

#[test]
fn what_is_too_long_is_refused_by_its_length_alone() {
    assert!(matches!(
        read(&[0xff, 0xff, 0xff, 0xff, 5], 100),
        Err(FrameError::TooLong { length: u32::MAX, most: 100 })
    ));
    assert!(matches!(read(&[0, 0, 0, 102, 5], 100), Err(FrameError::TooLong { .. })));
    assert!(matches!(read(&[0, 0, 0, 0], 100), Err(FrameError::Malformed { .. })));
    assert!(matches!(read(&[0, 0, 0, 1, 9], 100), Err(FrameError::Malformed { kind: 9 })));
    assert!(
        matches!(read(&[0, 0, 0, 2, 3, 0], 100), Err(FrameError::Malformed { kind: 3 })),
        "a ping says nothing"
    );
}

#[test]
fn versions_clusters_and_names_have_to_agree() {
    let ours = Hello::new("blue", "a", "b");
    let theirs = |versions, cluster, to| Hello { versions, ..Hello::new(cluster, "b", to) };
    assert_eq!(theirs(VERSIONS, "blue", "a").agree(&ours), Ok(1));
    assert_eq!(
        theirs((1, 9), "blue", "a").agree(&ours),
        Ok(1),
        "a later node speaks the version of the earlier one"
    );
    assert_eq!(theirs((2, 9), "blue", "a").agree(&ours), Err(Disagreement::Version { theirs: (2, 9) }));
    let (theirs_is, ours_is) = ("green".to_owned(), "blue".to_owned());
    let cluster = Disagreement::Cluster { theirs: theirs_is, ours: ours_is };
    assert_eq!(theirs(VERSIONS, "green", "a").agree(&ours), Err(cluster));
    let node = Disagreement::OtherNode { there: "a".to_owned(), expected: "c".to_owned() };
    assert_eq!(theirs(VERSIONS, "blue", "c").agree(&ours), Err(node));
}

#[test]
fn a_proof_holds_for_one_side_and_two_greetings() {
    let (key, other) = (ProofKey::new(b"key"), ProofKey::new(b"another"));
    let (a, b, again) = (Hello::new("c", "a", "b"), Hello::new("c", "b", "a"), Hello::new("c", "a", "b"));
    let proof = key.prove(Side::Dialing, &a, &b);
    assert!(key.verify(&proof, Side::Dialing, &a, &b));
    assert!(!key.verify(&proof, Side::Accepting, &a, &b), "reflected");
    assert!(!key.verify(&proof, Side::Dialing, &again, &b), "replayed");
    assert!(!other.verify(&proof, Side::Dialing, &a, &b));
    assert!(!key.verify(&proof[..31], Side::Dialing, &a, &b));
    assert!(!key.verify(&[], Side::Dialing, &a, &b));
}
