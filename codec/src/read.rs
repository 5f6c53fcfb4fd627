//! Reading the fields of one packet from borrowed bytes.

use crate::{
    DecodeError, Limits, PacketIdentifier, PacketType, ReasonCode, Sender, SubscriptionFilter, TopicError,
};

/// The part of a packet that is not read yet.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    packet_type: PacketType,
    limits: Limits,
    user_properties_left: u16,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(body: &'a [u8], packet_type: PacketType, limits: &Limits) -> Self {
        Self { rest: body, packet_type, limits: *limits, user_properties_left: limits.properties_max }
    }

    pub(crate) fn packet_type(&self) -> PacketType {
        self.packet_type
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Judges that nothing is left.
    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => {
                let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
                Err(DecodeError::TrailingBytes { packet_type: self.packet_type, bytes })
            }
        }
    }

    fn truncated(&self) -> DecodeError {
        DecodeError::Truncated { packet_type: self.packet_type }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((array, rest)) = self.rest.split_first_chunk() else { return Err(self.truncated()) };
        self.rest = rest;
        Ok(*array)
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(bytes) else { return Err(self.truncated()) };
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A variable byte integer in its shortest form [MQTT-1.5.5-1].
    pub(crate) fn variable(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0;
        for place in 0..4 {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7F) << (7 * place);
            if byte < 0x80 {
                return if place > 0 && byte == 0 {
                    Err(DecodeError::VariableByteIntegerNotMinimal)
                } else {
                    Ok(value)
                };
            }
        }
        Err(DecodeError::VariableByteIntegerTooLong)
    }

    pub(crate) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let bytes = self.u16()?;
        self.take(bytes.into())
    }

    /// A UTF-8 string [MQTT-1.5.4-1] [MQTT-1.5.4-2]; a byte order mark is kept [MQTT-1.5.4-3].
    pub(crate) fn text(&mut self) -> Result<&'a str, DecodeError> {
        self.classified_text().map(|(text, _)| text)
    }

    /// A topic name, or nothing.
    pub(crate) fn topic_name_or_empty(&mut self) -> Result<&'a str, DecodeError> {
        let (text, classes) = self.classified_text()?;
        if classes & class::WILDCARD != 0 {
            return Err(DecodeError::TopicName(TopicError::WildcardInName));
        }
        Ok(text)
    }

    /// A UTF-8 string and the classes of all its bytes.
    #[inline]
    fn classified_text(&mut self) -> Result<(&'a str, u8), DecodeError> {
        let bytes = self.u16()?;
        let limit = self.limits.string_bytes_max;
        if bytes > limit {
            return Err(DecodeError::StringTooLong { bytes, limit });
        }
        let content = self.take(bytes.into())?;
        let classes = class::of(content);
        let text = std::str::from_utf8(content).map_err(|_| DecodeError::InvalidUtf8)?;
        if classes & class::UNUSUAL != 0 {
            judge_characters(text, self.limits.allow_control_characters)?;
        }
        Ok((text, classes))
    }

    pub(crate) fn packet_identifier(&mut self) -> Result<PacketIdentifier, DecodeError> {
        PacketIdentifier::new(self.u16()?).ok_or(DecodeError::ZeroPacketIdentifier)
    }

    /// A reason code that 5.0 lets this sender use in this packet.
    pub(crate) fn reason_code(&mut self, sender: Sender) -> Result<ReasonCode, DecodeError> {
        let value = self.u8()?;
        match ReasonCode::try_from(value) {
            Ok(code) if code.is_legal(self.packet_type, sender) => Ok(code),
            _ => Err(DecodeError::ReasonCodeNotAllowed { packet_type: self.packet_type, value, sender }),
        }
    }

    /// Judges that one more topic filter may follow so many.
    pub(crate) fn judge_filter_count(&self, count: usize) -> Result<(), DecodeError> {
        let limit = self.limits.filters_max;
        if count < limit.into() { Ok(()) } else { Err(DecodeError::TooManyFilters { limit }) }
    }

    /// How many topic filters, each with so many bytes behind it, are left; what is beyond the limit is not counted.
    /// A list with room for just these is a fraction of one that doubles as it grows.
    pub(crate) fn filters_left(&self, option_bytes: usize) -> usize {
        let mut rest = self.rest;
        let mut count = 0;
        while count < self.limits.filters_max.into()
            && let Some((length, following)) = rest.split_first_chunk()
            && let Some(following) = following.get(usize::from(u16::from_be_bytes(*length)) + option_bytes..)
        {
            rest = following;
            count += 1;
        }
        count
    }

    /// A topic filter, shared or not.
    pub(crate) fn subscription_filter(&mut self) -> Result<SubscriptionFilter, DecodeError> {
        SubscriptionFilter::parse(self.text()?).map_err(DecodeError::TopicFilter)
    }

    /// Steps over a length of properties that is 0. It spares the most frequent packets the longer way.
    #[inline]
    pub(crate) fn skip_empty_properties(&mut self) -> bool {
        let Some((0, rest)) = self.rest.split_first() else { return false };
        self.rest = rest;
        true
    }

    /// A length and what it spans, with how many user properties the packet may still have.
    pub(crate) fn list(&mut self) -> Result<(Self, &mut u16), DecodeError> {
        let length = self.variable()?;
        // A length that u32 holds and usize does not cannot be present either.
        let list = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        let values = Reader { rest: list, ..self.clone() };
        Ok((values, &mut self.user_properties_left))
    }
}

/// What one look at the bytes of a string tells.
mod class {
    /// `+` or `#`.
    pub(super) const WILDCARD: u8 = 1;
    /// Not a printable character of ASCII.
    pub(super) const UNUSUAL: u8 = 2;

    const fn of_byte(byte: u8) -> u8 {
        let is_wildcard = byte == b'+' || byte == b'#';
        let is_unusual = byte.wrapping_sub(0x20) >= 0x7F - 0x20;
        (is_wildcard as u8 * WILDCARD) | (is_unusual as u8 * UNUSUAL)
    }

    /// The classes that occur. Whole chunks without an early exit become vector instructions; the last chunk overlaps the
    /// one before it, so that no bytes are left to look at one by one.
    #[inline]
    pub(super) fn of(bytes: &[u8]) -> u8 {
        if let Some(last) = bytes.last_chunk::<16>() {
            let mut classes = [0; 16];
            for chunk in bytes.as_chunks::<16>().0 {
                add(&mut classes, chunk);
            }
            add(&mut classes, last);
            return any_of(classes);
        }
        bytes.iter().fold(0, |classes, byte| classes | of_byte(*byte))
    }

    #[inline]
    fn add(classes: &mut [u8; 16], chunk: &[u8; 16]) {
        for (classes, byte) in classes.iter_mut().zip(chunk) {
            *classes |= of_byte(*byte);
        }
    }

    #[inline]
    fn any_of(classes: [u8; 16]) -> u8 {
        let all = u128::from_ne_bytes(classes);
        let all = all as u64 | (all >> 64) as u64;
        let all = all | all >> 32;
        let all = all | all >> 16;
        (all | all >> 8) as u8
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn wherever_a_byte_stands_it_is_seen() {
            for length in 0..70 {
                let plain = vec![b'a'; length];
                assert_eq!(of(&plain), 0, "{length}");
                for at in 0..length {
                    for (byte, class) in
                        [(b'+', WILDCARD), (b'#', WILDCARD), (0, UNUSUAL), (0x7f, UNUSUAL), (0xc3, UNUSUAL)]
                    {
                        let mut bytes = plain.clone();
                        bytes[at] = byte;
                        assert_eq!(of(&bytes), class, "{byte} at {at} of {length}");
                    }
                }
            }
        }
    }
}

/// Judges the characters of a string that is not plain ASCII.
#[cold]
fn judge_characters(text: &str, allow_control_characters: bool) -> Result<(), DecodeError> {
    for character in text.chars() {
        if character == '\0' {
            return Err(DecodeError::NulCharacter);
        }
        if !allow_control_characters && (character.is_control() || is_non_character(character)) {
            return Err(DecodeError::DisallowedCharacter { code: character.into() });
        }
    }
    Ok(())
}

/// U+FDD0 to U+FDEF, and the last two code points of every plane.
fn is_non_character(character: char) -> bool {
    let code = u32::from(character);
    (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
}
