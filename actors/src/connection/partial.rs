//! Bytes received that are kept: mostly there are none, and then they take a pointer.
//!
//! A packet may have many MiB. What is there of one is copied once, when it is still small, and a whole one becomes the
//! memory that its payload is shared in: copying 16 MiB takes several ms, in which nobody else has a turn.

use bytes::Bytes;
use mqtt_codec::{Limits, read_header};

/// Up to here memory grows by doubling.
const DOUBLED_MAX: usize = 512 * 1024;
/// From there on to the size of the packet, or to so many times as much: memory that nothing was written to takes none,
/// but an address space has an end.
const TIMES_MAX: usize = 32;
/// From this size on a whole packet is shared.
const SHARED_MIN: usize = 256 * 1024;

/// What was received.
#[derive(Debug)]
pub(super) enum Received {
    /// The beginning of a packet, or small ones.
    Growing(Vec<u8>),
    /// It begins with a whole packet that is large.
    Whole(Bytes),
}

impl Received {
    /// The same, to be stepped through.
    pub(super) fn settle(self, limits: &Limits) -> Self {
        match self {
            Self::Growing(bytes) if bytes.len() >= SHARED_MIN => {
                let first = packet_bytes(&bytes, limits);
                match (SHARED_MIN..=bytes.len()).contains(&first) {
                    true => Self::Whole(bytes.into()),
                    false => Self::Growing(bytes),
                }
            }
            settled => settled,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Growing(bytes) => bytes.len(),
            Self::Whole(whole) => whole.len(),
        }
    }
}

/// Bytes of the packet that these begin with; 0 if that is not to be seen.
fn packet_bytes(bytes: &[u8], limits: &Limits) -> usize {
    read_header(bytes, limits).ok().flatten().map_or(0, |header| header.frame_bytes())
}

/// Appends to the beginning of a packet.
pub(super) fn append(bytes: &mut Vec<u8>, more: &[u8], limits: &Limits) {
    let needed = bytes.len() + more.len();
    if needed > bytes.capacity() && bytes.len() >= DOUBLED_MAX {
        let room = packet_bytes(bytes, limits).min(bytes.len() * TIMES_MAX).max(needed);
        bytes.reserve_exact(room - bytes.len());
    }
    bytes.extend_from_slice(more);
}

/// Bytes of memory that these hold: room that nothing was written to yet holds none.
pub(super) fn held_bytes(bytes: &Vec<u8>) -> usize {
    bytes.len().max(bytes.capacity().min(2 * DOUBLED_MAX))
}

/// Lets go of what a large packet left.
pub(super) fn shrink(bytes: &mut Vec<u8>) {
    if bytes.capacity() > 2 * DOUBLED_MAX && bytes.len() < DOUBLED_MAX {
        bytes.shrink_to_fit();
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Partial(Option<Box<Received>>);

impl Partial {
    /// These bytes; no memory is held for none.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Self((!bytes.is_empty()).then(|| Box::new(Received::Growing(bytes))))
    }

    /// A whole packet, and what follows.
    pub(super) fn whole(whole: Bytes) -> Self {
        Self(Some(Box::new(Received::Whole(whole))))
    }

    /// Takes them out.
    pub(super) fn take(&mut self) -> Received {
        self.0.take().map_or_else(|| Received::Growing(Vec::new()), |bytes| *bytes)
    }

    /// Appends to them.
    pub(super) fn extend_from_slice(&mut self, more: &[u8], limits: &Limits) {
        if more.is_empty() {
            return;
        }
        let mut bytes = match self.take() {
            Received::Growing(bytes) => bytes,
            Received::Whole(whole) => whole.into(),
        };
        append(&mut bytes, more, limits);
        *self = Self::of(bytes);
    }

    /// Whether there are none.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |received| received.len())
    }

    /// Bytes of memory held for them.
    pub(super) fn held_bytes(&self) -> usize {
        match self.0.as_deref() {
            None => 0,
            Some(Received::Growing(bytes)) => held_bytes(bytes),
            Some(Received::Whole(whole)) => whole.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    /// A PUBLISH of 16 MiB.
    fn begun() -> Vec<u8> {
        vec![0x30, 0xf0, 0xff, 0xff, 0x07, 0, 1, b't', 0]
    }

    /// Little is copied, whatever comes, and room ahead counts when something was written to it.
    #[test]
    fn a_large_packet_is_seldom_copied() {
        let limits = Limits::default();
        let (mut partial, mut copied, mut room) = (Partial::of(begun()), 0, 0);
        let frame = 5 + 0x00ff_fff0;
        while partial.len() < frame {
            let before = partial.len();
            let more = vec![b'x'; (64 * 1024).min(frame - before)];
            partial.extend_from_slice(&more, &limits);
            let Some(Received::Growing(bytes)) = partial.0.as_deref() else { panic!("it is not stepped") };
            if bytes.capacity() != room {
                room = bytes.capacity();
                copied = copied.max(before);
            }
            assert!(partial.held_bytes() <= partial.len() + MIB);
        }
        assert!(copied <= MIB, "{copied}");
        assert!(matches!(partial.take().settle(&limits), Received::Whole(whole) if whole.len() == frame));
    }

    #[test]
    fn what_is_small_or_not_whole_is_not_shared() {
        let limits = Limits::default();
        let part = [begun(), vec![b'x'; MIB]].concat();
        let small = [0x30, 3, 0, 1, b't'].repeat(MIB / 5);
        for bytes in [part, small] {
            assert!(matches!(Received::Growing(bytes).settle(&limits), Received::Growing(_)));
        }
    }
}
