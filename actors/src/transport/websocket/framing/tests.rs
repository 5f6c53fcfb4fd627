//! What is laid out, without a socket: it is taken whole, or in part and offered again.

use proptest::prelude::*;

use super::*;

/// Offers `bytes`, cut at `cuts`, until all of it is sent; each call takes as much as `takes` says. Returns what went over
/// the wire, and how many calls that was.
fn sent(
    packets_per_frame: PacketsPerFrame,
    bytes: &[u8],
    cuts: &[usize],
    mut takes: impl FnMut() -> usize,
) -> (Vec<u8>, usize) {
    let mut framer = Framer::new(packets_per_frame);
    let (mut copies, mut wire) = (Vec::new(), Vec::new());
    let (mut at, mut calls) = (0, 0);
    while at < bytes.len() {
        let cuts = cuts.iter().copied().filter(|cut| (at..bytes.len()).contains(cut));
        let ends: Vec<usize> = cuts.chain([bytes.len()]).collect();
        let mut begin = at;
        let slices: Vec<IoSlice<'_>> =
            ends.iter().map(|end| IoSlice::new(&bytes[std::mem::replace(&mut begin, *end)..*end])).collect();
        let layout = framer.lay_out(&slices, &mut copies);
        let frames =
            layout.write(&copies, |frames| frames.iter().flat_map(|it| it.to_vec()).collect::<Vec<_>>());
        assert_eq!(frames.len(), layout.bytes);
        let take = takes().clamp(1, frames.len());
        wire.extend_from_slice(&frames[..take]);
        at += framer.advance(&layout, take);
        calls += 1;
    }
    assert!(!framer.is_within_frame() || packets_per_frame == PacketsPerFrame::One);
    (wire, calls)
}

/// The payloads of frames.
fn payloads(mut wire: &[u8]) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    while let [first, short, ..] = wire {
        assert_eq!(*first, FINAL_BINARY);
        let (header, length) = match short {
            126 => (4, usize::from(u16::from_be_bytes(wire[2..4].try_into().unwrap()))),
            127 => (10, u64::from_be_bytes(wire[2..10].try_into().unwrap()) as usize),
            _ => (2, usize::from(*short)),
        };
        payloads.push(wire[header..header + length].to_vec());
        wire = &wire[header + length..];
    }
    assert!(wire.is_empty());
    payloads
}

fn packet(first: u8, body: usize) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut rest = body;
    loop {
        let more = if rest > 0x7f { 0x80 } else { 0 };
        bytes.push(rest as u8 & 0x7f | more);
        rest >>= 7;
        if more == 0 {
            break;
        }
    }
    bytes.extend((0..body).map(|index| index as u8));
    bytes
}

#[test]
fn each_packet_has_a_frame() {
    let packets: Vec<_> =
        [0, 1, 123, 124, 125, 126, 127, 128, 1000, 1021, 1022, 1023, 65_531, 65_532, 65_533, 300_000]
            .into_iter()
            .map(|body| packet(0x30, body))
            .collect();
    let (wire, _) = sent(PacketsPerFrame::One, &packets.concat(), &[], || usize::MAX);
    assert!(payloads(&wire) == packets);
}

/// Short packets go out by one call, in one slice.
#[test]
fn many_short_packets_are_one_slice() {
    let packets = vec![packet(0x30, 62); 900];
    let bytes = packets.concat();
    let slices = [IoSlice::new(&bytes[..1000]), IoSlice::new(&bytes[1000..])];
    let mut copies = Vec::new();
    let mut framer = Framer::new(PacketsPerFrame::One);
    let layout = framer.lay_out(&slices, &mut copies);
    layout.write(&copies, |frames| assert_eq!((frames.len(), frames[0].len()), (1, 900 * 66)));
    assert_eq!(framer.advance(&layout, 900 * 66), bytes.len());
    // As much as is copied at once, and no more.
    let bytes = packet(0x30, 62).repeat(5000);
    let (wire, calls) = sent(PacketsPerFrame::One, &bytes, &[], || usize::MAX);
    assert_eq!((payloads(&wire).len(), calls), (5000, 6));
}

/// What is longer than an outbox copies is not copied here either.
#[test]
fn long_stretches_stay_where_they_are() {
    for packets_per_frame in [PacketsPerFrame::One, PacketsPerFrame::Many] {
        let head = [&packet(0x30, 3)[..], &packet(0x30, 100_000)[..10]].concat();
        let payload = packet(0x30, 100_000).split_off(10);
        let behind = packet(0xd0, 0);
        let slices = [&head, &payload, &behind].map(|bytes| IoSlice::new(bytes));
        let mut copies = Vec::new();
        let layout = Framer::new(packets_per_frame).lay_out(&slices, &mut copies);
        assert!(copies.len() < 100, "{} bytes were copied", copies.len());
        layout.write(&copies, |frames| assert!(frames.iter().any(|it| it.as_ptr() == payload.as_ptr())));
    }
}

/// A frame that is begun ends where it said, whatever is appended meanwhile.
#[test]
fn a_frame_of_many_packets_that_was_begun() {
    let mut copies = Vec::new();
    let mut framer = Framer::new(PacketsPerFrame::Many);
    let slices = [IoSlice::new(b"\xd0\x00\xd0\x00")];
    let layout = framer.lay_out(&slices, &mut copies);
    assert_eq!(layout.write(&copies, |frames| frames[0].to_vec()), b"\x82\x04\xd0\x00\xd0\x00");
    // All but the last byte.
    assert_eq!(framer.advance(&layout, 5), 3);
    assert!(framer.is_within_frame());
    let slices = [IoSlice::new(b"\x00\xd0\x00")];
    let layout = framer.lay_out(&slices, &mut copies);
    assert_eq!(layout.write(&copies, |frames| frames[0].to_vec()), b"\x00\x82\x02\xd0\x00");
    // Nothing but a byte of the next header.
    assert_eq!(framer.advance(&layout, 2), 1);
    assert!(framer.is_within_frame());
    let slices = [IoSlice::new(b"\xd0\x00\xd0\x00")];
    let layout = framer.lay_out(&slices, &mut copies);
    assert_eq!(layout.write(&copies, |frames| frames[0].to_vec()), b"\x02\xd0\x00\x82\x02\xd0\x00");
}

#[test]
fn nothing_is_no_frame() {
    let mut copies = Vec::new();
    for slices in [&[][..], &[IoSlice::new(b""), IoSlice::new(b"")]] {
        assert!(Framer::default().lay_out(slices, &mut copies).is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// However the slices are cut and however little each call takes, the frames are the same.
    #[test]
    fn partial_writes_lose_nothing(
        bodies in proptest::collection::vec(prop_oneof![0..4usize, 100..140usize, 900..1200usize, 65_000..66_000usize], 1..8),
        cuts in proptest::collection::btree_set(0..20_000usize, 0..8),
        takes in proptest::collection::vec((prop_oneof![1..4usize, 1000..3000usize], 5000..100_000usize), 1..20),
        many in any::<bool>(),
    ) {
        let packets: Vec<_> = bodies.into_iter().map(|body| packet(0x30, body)).collect();
        let bytes = packets.concat();
        let cuts: Vec<_> = cuts.into_iter().collect();
        let mut takes = takes.into_iter().flat_map(<[usize; 2]>::from).cycle();
        let packets_per_frame = if many { PacketsPerFrame::Many } else { PacketsPerFrame::One };
        let (wire, _) = sent(packets_per_frame, &bytes, &cuts, || takes.next().unwrap());
        let payloads = payloads(&wire);
        if many {
            prop_assert!(payloads.concat() == bytes);
            prop_assert!(payloads.iter().all(|payload| payload.len() <= FRAME_BYTES_MAX));
        } else {
            prop_assert!(payloads == packets);
        }
    }
}
