//! How MQTT packets lie in the binary frames that are sent. Pure.
//!
//! A frame for each packet, since many clients read the first packet of a frame and wait for the next frame, though MQTT
//! lets frames and packets be cut as anybody likes [MQTT-6.0.0-2]. Many frames go out together: short stretches are copied
//! behind their headers, because to hand the kernel a slice for each costs more, and long ones stay where they are.
//!
//! What the socket has no room for is not kept: the caller offers it again. So a frame that was begun is known by how much
//! of it is still to come, and its owner sees to it that nothing else gets in between.

use std::io::IoSlice;
use std::ops::Range;

use micro_mq_core::outbox::frame_bytes as packet_bytes;
use serde::Deserialize;

/// A frame header as a server writes it: opcode, length, and no mask.
const HEADER_BYTES_MAX: usize = 2 + 8;
/// The final frame of a binary message, which is the only one.
const FINAL_BINARY: u8 = 0x82;
/// The fixed header of a packet.
const FIXED_HEADER_BYTES_MAX: usize = 5;
/// Bytes of a frame of many packets; a client may set a limit of its own.
const FRAME_BYTES_MAX: usize = 64 * 1024;

/// The longest stretch of bytes that is copied: as long as the longest payload that an outbox copies.
const COPIED_BYTES_MAX: usize = 1024;
/// Bytes of copies in one system call.
const COPIES_BYTES_MAX: usize = 64 * 1024;
/// Slices of one system call.
const PIECES_MAX: usize = 64;

/// How many MQTT packets a binary frame of the node holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PacketsPerFrame {
    /// One, and all of it.
    #[default]
    One,
    /// All that is there to send, cut every 64 KiB.
    Many,
}

#[derive(Debug, Clone, Copy, Default)]
struct Header {
    bytes: [u8; HEADER_BYTES_MAX],
    from: u8,
    to: u8,
}

impl Header {
    fn of(payload: usize) -> Self {
        let mut bytes = [FINAL_BINARY, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let to = match payload {
            ..126 => {
                bytes[1] = payload as u8;
                2
            }
            126..=0xFFFF => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(payload as u16).to_be_bytes());
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..].copy_from_slice(&(payload as u64).to_be_bytes());
                10
            }
        };
        Self { bytes, from: 0, to }
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[usize::from(self.from)..usize::from(self.to)]
    }
}

/// How far the frame that is being sent is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Framer {
    packets_per_frame: PacketsPerFrame,
    /// What is still to come of its header.
    header: Header,
    /// What is still to come behind that.
    left: usize,
}

impl Framer {
    pub(super) fn new(packets_per_frame: PacketsPerFrame) -> Self {
        Self { packets_per_frame, ..Self::default() }
    }

    /// Whether the bytes to be sent next belong to a frame that was begun.
    pub(super) fn is_within_frame(&self) -> bool {
        self.left > 0
    }

    /// Lays out what one system call writes of `slices`.
    pub(super) fn lay_out<'s>(&self, slices: &'s [IoSlice<'s>], copies: &mut Vec<u8>) -> Layout<'s> {
        copies.clear();
        let mut layout = Layout {
            walk: Walk::new(*self, slices),
            pieces: [const { Piece::Copied(0..0) }; PIECES_MAX],
            count: 0,
            bytes: 0,
        };
        // Room for the longest copy, and for a piece that ends a copied one.
        while copies.len() + COPIED_BYTES_MAX <= COPIES_BYTES_MAX && layout.count + 2 <= PIECES_MAX {
            match layout.walk.next() {
                Some(Part::Header(header)) => layout.copy(header.as_slice(), copies),
                Some(Part::Body(bytes)) if bytes.len() <= COPIED_BYTES_MAX => layout.copy(bytes, copies),
                Some(Part::Body(bytes)) => layout.push(Piece::Whole(bytes), bytes.len()),
                None => break,
            }
        }
        layout
    }

    /// Notes that of what was laid out the first `written` bytes were sent; answers how many of the bytes of the slices
    /// these are.
    pub(super) fn advance(&mut self, layout: &Layout<'_>, written: usize) -> usize {
        if written == layout.bytes {
            *self = layout.walk.framer;
            return layout.walk.taken;
        }
        let mut walk = Walk::new(*self, layout.walk.slices);
        walk.skip(written);
        *self = walk.framer;
        walk.taken
    }
}

/// A stretch of what one system call writes.
#[derive(Debug)]
enum Piece<'s> {
    /// In the copies.
    Copied(Range<usize>),
    Whole(&'s [u8]),
}

/// What one system call writes.
#[derive(Debug)]
pub(super) struct Layout<'s> {
    walk: Walk<'s>,
    pieces: [Piece<'s>; PIECES_MAX],
    count: usize,
    bytes: usize,
}

impl<'s> Layout<'s> {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Hands it to `write`, with the copies that it was laid out with.
    pub(super) fn write<T>(&self, copies: &[u8], write: impl FnOnce(&[IoSlice<'_>]) -> T) -> T {
        let mut slices = [IoSlice::new(&[]); PIECES_MAX];
        for (slice, piece) in slices.iter_mut().zip(&self.pieces[..self.count]) {
            *slice = IoSlice::new(match piece {
                Piece::Copied(range) => &copies[range.clone()],
                Piece::Whole(bytes) => bytes,
            });
        }
        write(&slices[..self.count])
    }

    fn copy(&mut self, bytes: &[u8], copies: &mut Vec<u8>) {
        let from = copies.len();
        copies.extend_from_slice(bytes);
        match self.pieces[..self.count].last_mut() {
            Some(Piece::Copied(range)) => {
                range.end = copies.len();
                self.bytes += bytes.len();
            }
            _ => self.push(Piece::Copied(from..copies.len()), bytes.len()),
        }
    }

    fn push(&mut self, piece: Piece<'s>, bytes: usize) {
        self.pieces[self.count] = piece;
        self.count += 1;
        self.bytes += bytes;
    }
}

/// A stretch of what goes over the wire.
enum Part<'s> {
    Header(Header),
    Body(&'s [u8]),
}

/// Goes along what is to be sent, and frames it.
#[derive(Debug)]
struct Walk<'s> {
    framer: Framer,
    slices: &'s [IoSlice<'s>],
    /// The slice, and how much of it was taken.
    at: usize,
    within: usize,
    /// Bytes taken of all slices.
    taken: usize,
}

impl<'s> Walk<'s> {
    fn new(framer: Framer, slices: &'s [IoSlice<'s>]) -> Self {
        Self { framer, slices, at: 0, within: 0, taken: 0 }
    }

    fn next(&mut self) -> Option<Part<'s>> {
        let rest = loop {
            let slice: &'s [u8] = self.slices.get(self.at)?;
            if self.within < slice.len() {
                break &slice[self.within..];
            }
            self.at += 1;
            self.within = 0;
        };
        if !self.framer.header.as_slice().is_empty() {
            return Some(Part::Header(std::mem::take(&mut self.framer.header)));
        }
        if self.framer.left == 0 {
            self.framer.left = self.payload_of_next_frame(rest);
            return Some(Part::Header(Header::of(self.framer.left)));
        }
        let length = rest.len().min(self.framer.left);
        self.framer.left -= length;
        self.within += length;
        self.taken += length;
        Some(Part::Body(&rest[..length]))
    }

    /// `rest` is what is left of the slice at hand.
    fn payload_of_next_frame(&self, rest: &[u8]) -> usize {
        let following = || self.slices[self.at + 1..].iter().map(|slice| &**slice);
        let all = || rest.len() + following().map(<[u8]>::len).sum::<usize>();
        match self.framer.packets_per_frame {
            PacketsPerFrame::Many => all().min(FRAME_BYTES_MAX),
            PacketsPerFrame::One => packet_bytes(rest)
                .or_else(|| {
                    let bytes = rest.iter().chain(following().flatten()).copied();
                    packet_bytes(&bytes.take(FIXED_HEADER_BYTES_MAX).collect::<Vec<_>>())
                })
                // Whoever writes less than a fixed header has it sent as it is.
                .unwrap_or_else(all),
        }
    }

    /// Goes on by as much as `bytes` of what goes over the wire.
    fn skip(&mut self, mut bytes: usize) {
        while bytes > 0 {
            match self.next() {
                Some(Part::Header(mut header)) => {
                    let length = header.as_slice().len();
                    if bytes < length {
                        header.from += bytes as u8;
                        self.framer.header = header;
                        return;
                    }
                    bytes -= length;
                }
                Some(Part::Body(body)) => {
                    let too_many = body.len().saturating_sub(bytes);
                    self.framer.left += too_many;
                    self.taken -= too_many;
                    bytes -= body.len() - too_many;
                }
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;
