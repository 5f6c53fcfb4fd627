//! A SUBSCRIBE or UNSUBSCRIBE decoded a piece at a time.
//!
//! One packet may bring thousands of topic filters, or MiBs of them. Who serves others beside its sender takes in some,
//! and goes on later.

use std::num::NonZeroU32;

use super::{Subscribe, Unsubscribe};
use crate::{
    DecodeError, FrameHeader, Limits, Packet, PacketIdentifier, PacketType, ProtocolVersion,
    frame::judge_flags, read::Reader,
};

/// How far the body of a SUBSCRIBE or UNSUBSCRIBE is decoded. The body itself is the caller's, and the same in every call.
///
/// Pieces are packets with a part of the filters, and without user properties. That an earlier piece was well formed says
/// nothing of those behind it: who is to act on none of a malformed packet decodes all of it, and then begins anew
/// ([`rewind`](Self::rewind)).
#[derive(Clone, Debug)]
pub struct FilterPieces {
    packet_type: PacketType,
    version: ProtocolVersion,
    limits: Limits,
    packet_identifier: PacketIdentifier,
    subscription_identifier: Option<NonZeroU32>,
    /// Where the filters begin in the body, and where the next one does.
    first: usize,
    at: usize,
    filters: usize,
}

impl FilterPieces {
    /// Decodes what stands before the filters: `body` is the [`FrameHeader::remaining_length`] bytes behind the header of
    /// a SUBSCRIBE or UNSUBSCRIBE.
    ///
    /// # Errors
    /// The first thing found wrong there; no filter; another packet type.
    pub fn begin(
        header: FrameHeader,
        body: &[u8],
        version: ProtocolVersion,
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        let packet_type = header.packet_type;
        judge_flags(packet_type, header.flags, version)?;
        header.judge_minimal(version)?;
        let mut reader = Reader::new(body, packet_type, limits);
        let (packet_identifier, subscription_identifier) = match packet_type {
            PacketType::Subscribe => {
                let head = Subscribe::decode_head(&mut reader, version)?;
                (head.packet_identifier, head.subscription_identifier)
            }
            PacketType::Unsubscribe => {
                (Unsubscribe::decode_head(&mut reader, version)?.packet_identifier, None)
            }
            other => return Err(DecodeError::ReservedPacketType { value: other as u8 }),
        };
        let first = body.len() - reader.rest().len();
        let limits = *limits;
        Ok(Self {
            packet_type,
            version,
            limits,
            packet_identifier,
            subscription_identifier,
            first,
            at: first,
            filters: 0,
        })
    }

    /// Whether all of the body is decoded.
    pub fn is_through(&self, body: &[u8]) -> bool {
        self.at >= body.len()
    }

    /// Begins anew with the first filter.
    pub fn rewind(&mut self) {
        (self.at, self.filters) = (self.first, 0);
    }

    /// Decodes the next filters: one at least, then as many as `filters_max` and `bytes_max` bytes of the body allow.
    ///
    /// # Errors
    /// The first thing found wrong with them.
    pub fn next_piece(
        &mut self,
        body: &[u8],
        filters_max: usize,
        bytes_max: usize,
    ) -> Result<Packet, DecodeError> {
        let rest = body.get(self.at..).unwrap_or_default();
        let mut reader = Reader::new(rest, self.packet_type, &self.limits);
        let packet_identifier = self.packet_identifier;
        let mut subscribe = Subscribe {
            packet_identifier,
            subscription_identifier: self.subscription_identifier,
            user_properties: Vec::new(),
            filters: Vec::new(),
        };
        let mut unsubscribe =
            Unsubscribe { packet_identifier, user_properties: Vec::new(), filters: Vec::new() };
        let mut taken = 0;
        while !reader.is_empty()
            && (taken == 0 || taken < filters_max && rest.len() - reader.rest().len() < bytes_max)
        {
            reader.judge_filter_count(self.filters + taken)?;
            match self.packet_type {
                PacketType::Subscribe => subscribe.decode_filter(&mut reader, self.version)?,
                _ => unsubscribe.filters.push(reader.subscription_filter()?),
            }
            taken += 1;
        }
        self.filters += taken;
        self.at = body.len() - reader.rest().len();
        Ok(match self.packet_type {
            PacketType::Subscribe => Packet::Subscribe(subscribe),
            _ => Packet::Unsubscribe(unsubscribe),
        })
    }
}
