//! The bytes that records are made of: varints, and strings that are borrowed as they are read.

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It was written by a later version.
    #[error("record of version {0}; this node reads versions up to {max}", max = super::RECORD_VERSION)]
    Version(u8),
    /// It ends too early.
    #[error("record ends within a field")]
    Truncated,
    /// A number is longer than 64 bits, or is not written as short as it can be.
    #[error("record has a number that is not one")]
    Varint,
    /// A string is not UTF-8.
    #[error("record has a string that is not UTF-8")]
    Utf8,
    /// A field has a value that its meaning has no place for.
    #[error("record has {value} as its {field}")]
    Value {
        /// What the field is.
        field: &'static str,
        /// What it holds.
        value: u64,
    },
    /// What should be in rising order is not, or has something twice.
    #[error("what is kept has {0} that are not in rising order")]
    Order(&'static str),
    /// More bytes follow.
    #[error("record has {0} bytes too many")]
    Rest(usize),
}

/// The bytes of a number, and how many they are.
pub(super) fn digits(mut number: u64) -> ([u8; 10], usize) {
    let (mut digits, mut last) = ([0; 10], 0);
    while number >= 0x80 {
        digits[last] = number as u8 | 0x80;
        number >>= 7;
        last += 1;
    }
    digits[last] = number as u8;
    (digits, last + 1)
}

/// Appends fields.
#[derive(Debug)]
pub struct Writer<'a>(pub &'a mut Vec<u8>);

impl Writer<'_> {
    /// One byte.
    pub fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// A number, seven bits to a byte, the lowest first.
    pub fn number(&mut self, number: u64) {
        let (digits, count) = digits(number);
        self.0.extend_from_slice(&digits[..count]);
    }

    /// A hash, in eight bytes.
    pub fn hash(&mut self, hash: u64) {
        self.0.extend(hash.to_le_bytes());
    }

    /// Bytes, behind their number.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend(bytes);
    }

    /// A string, behind the number of its bytes.
    pub fn string(&mut self, string: &str) {
        self.bytes(string.as_bytes());
    }

    /// How many there are, and each of them.
    pub fn list<T>(&mut self, list: &[T], mut each: impl FnMut(&mut Self, &T)) {
        self.number(list.len() as u64);
        list.iter().for_each(|item| each(self, item));
    }
}

/// Takes fields off the front of some bytes.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// So many bytes.
    ///
    /// # Errors
    /// When there are not as many.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    /// One byte.
    ///
    /// # Errors
    /// When there is none.
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        Ok(self.take(1)?[0])
    }

    /// A number.
    ///
    /// # Errors
    /// When there is none.
    pub fn number(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 || shift > 0 && byte == 0 {
                return Err(DecodeError::Varint);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(DecodeError::Varint)
    }

    /// A number that fits a smaller type.
    ///
    /// # Errors
    /// When there is none, or it does not fit.
    pub fn small<T: TryFrom<u64>>(&mut self, field: &'static str) -> Result<T, DecodeError> {
        let value = self.number()?;
        T::try_from(value).map_err(|_| DecodeError::Value { field, value })
    }

    /// A hash.
    ///
    /// # Errors
    /// When there is none.
    pub fn hash(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes were taken")))
    }

    /// Bytes.
    ///
    /// # Errors
    /// When there are not as many as they say.
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let count = self.number()?;
        self.take(usize::try_from(count).map_err(|_| DecodeError::Truncated)?)
    }

    /// A string.
    ///
    /// # Errors
    /// When it is not UTF-8, or ends too early.
    pub fn string(&mut self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| DecodeError::Utf8)
    }

    /// As many as it says. What is reserved for them is in proportion to the bytes that are there.
    ///
    /// # Errors
    /// When one of them is not whole.
    pub fn list<T>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.number()?;
        // Each takes one byte at least.
        if count > self.0.len() as u64 {
            return Err(DecodeError::Truncated);
        }
        let mut list = Vec::with_capacity((count as usize).min(1024));
        for _ in 0..count {
            list.push(each(self)?);
        }
        Ok(list)
    }

    /// Nothing may follow.
    ///
    /// # Errors
    /// When something does.
    pub fn end(&self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError::Rest(self.0.len())) }
    }
}
