//! A SUBSCRIBE or UNSUBSCRIBE of many topic filters, or long ones: judged, and then carried out, a piece per turn.
//!
//! One packet may bring 8,192 filters, or 16 MiB of them, which takes many times as long as others may be made to wait. The
//! next piece is carried out when the one before it is in force, and the answers to all of them leave as one. Nothing of
//! a malformed packet is carried out. If the network connection ends within it, what was carried out stays, and is not
//! acknowledged.

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use micro_mq_core::compact::Recent;
use micro_mq_core::protocol::{Effects, Ending, Step, Stepped, Violation};
use mqtt_codec::{
    DecodeError, FilterPieces, FrameHeader, Limits, Packet, PacketRef, PacketType, ProtocolVersion,
};

use super::actor::Connection;
use super::reading::count_decode_error;

/// The body of a packet that is carried out at once, in bytes: a filter takes four at least.
const AT_ONCE_BYTES: u32 = 2048;
/// What a piece may bring: as much as 200 microseconds are enough for, about.
const PIECE_FILTERS: usize = 128;
const PIECE_BYTES: usize = 64 * 1024;

/// Whether a packet is taken in a piece at a time.
#[inline]
pub(super) fn is_long(header: FrameHeader) -> bool {
    header.remaining_length > AT_ONCE_BYTES
        && matches!(header.packet_type, PacketType::Subscribe | PacketType::Unsubscribe)
}

/// How far a packet is taken in.
#[derive(Debug)]
pub(super) struct LongChange {
    body: Bytes,
    pieces: FilterPieces,
    /// All of it is well formed.
    is_judged: bool,
}

impl LongChange {
    /// A packet with this body, which lies in `source` if that is there.
    pub(super) fn begin(
        header: FrameHeader,
        body: &[u8],
        source: Option<&Bytes>,
        version: ProtocolVersion,
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        let pieces = FilterPieces::begin(header, body, version, limits)?;
        let body = source.map_or_else(|| Bytes::copy_from_slice(body), |source| source.slice_ref(body));
        Ok(Self { body, pieces, is_judged: false })
    }

    /// Bytes of memory that it holds.
    pub(super) fn held_bytes(&self) -> usize {
        self.body.len()
    }

    fn is_through(&self) -> bool {
        self.pieces.is_through(&self.body)
    }

    fn next_piece(&mut self) -> Result<Packet, DecodeError> {
        self.pieces.next_piece(&self.body, PIECE_FILTERS, PIECE_BYTES)
    }
}

impl Connection {
    /// Whether a packet is taken in a piece at a time, and nothing behind it before that is through.
    pub(super) fn has_long_change(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.long_change.is_some())
    }

    /// Whether such a packet goes on though its client may not be read: it was taken in whole, and its client, that takes
    /// nothing in itself, is not to wait for what it asked for before. What stands behind it waits.
    pub(super) fn may_go_on(&self) -> bool {
        self.has_long_change() && !self.waits_for_node()
    }

    /// Takes in the next piece.
    pub(super) fn go_on_with_long_change(&mut self, now: Instant, fx: &mut Effects) -> Option<Ending> {
        // What stands behind the packet has its turn by itself, and so has the next piece: if not at once, then when this
        // one is in force.
        (self.goes_on, self.partial_is_ready) = (true, true);
        if self.waits_for_changes() && !self.gives_way() {
            return None;
        }
        let mut long = self.rare().long_change.take()?;
        let stepped = self.step_piece(&mut long, now, fx);
        if !(long.is_judged && long.is_through()) {
            self.rare().long_change = Some(long);
        }
        stepped.err().map(Ending::from)
    }

    fn step_piece(&mut self, long: &mut LongChange, now: Instant, fx: &mut Effects) -> Result<(), Violation> {
        let worker = Rc::clone(&self.worker);
        let node = &worker.node;
        let begin = long.pieces.clone();
        let piece =
            long.next_piece().inspect_err(|error| count_decode_error(&worker, error.reason_code()))?;
        if !long.is_judged {
            if long.is_through() {
                long.is_judged = true;
                long.pieces.rewind();
            }
            return Ok(());
        }
        let in_force = node.policy.in_force();
        let heard = Recent::new(node.started, now);
        let stepped = worker.state().with_desk(self.key, now, |session, desk| {
            let mut step = Step {
                desk,
                counters: &worker.counters,
                authorizes: in_force.policy.authorizes,
                revision: in_force.revision,
                retained: &node.retained_messages,
                again: false,
                promises: !node.keepers.is_empty(),
            };
            if let Some(online) = &mut session.online {
                online.last_received = heard;
            }
            self.protocol.on_packet(PacketRef::Other(piece), session, &mut step, fx)
        });
        match stepped.transpose()? {
            Some(Stepped::NeedsPermission | Stepped::NeedsAnswers) => long.pieces = begin,
            _ if long.is_through() => worker.counters.packets_received.add(1),
            _ => fx.change_goes_on = true,
        }
        Ok(())
    }
}
