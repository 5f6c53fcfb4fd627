//! Topic names and topic filters that differ in a number of fixed width, so that all are of one size.

use super::put_string;

/// Names made of a constant text with a number in it, padded with zeros.
#[derive(Debug, Clone)]
pub(crate) struct Numbered {
    /// The name of number 0.
    template: String,
    /// Where the digits stand.
    digits: std::ops::Range<usize>,
}

impl Numbered {
    /// Names from `before`, a number of at most `largest`, and `after`.
    pub(crate) fn new(before: &str, largest: u32, after: &str) -> Self {
        Self::padded(before, digits(largest), after)
    }

    /// Names of at least `bytes` bytes, with a number of at most `largest` behind `before`.
    pub(crate) fn of_size(bytes: usize, before: &str, largest: u32) -> Self {
        Self::padded(before, digits(largest).max(bytes.saturating_sub(before.len())), "")
    }

    /// The one name there is, whatever the number.
    pub(crate) fn one(name: &str) -> Self {
        Self::padded(name, 0, "")
    }

    fn padded(before: &str, width: usize, after: &str) -> Self {
        let template = format!("{before}{}{after}", "0".repeat(width));
        Self { template, digits: before.len()..before.len() + width }
    }

    /// The name of number 0, to encode a packet with.
    pub(crate) fn template(&self) -> &str {
        &self.template
    }

    /// Size of each name in bytes.
    pub(crate) fn size(&self) -> usize {
        self.template.len()
    }

    /// Appends the name of `number` with its two bytes of length.
    pub(crate) fn put(&self, out: &mut Vec<u8>, number: u32) {
        let start = out.len() + 2;
        put_string(out, &self.template);
        self.patch(&mut out[start..], number);
    }

    /// Turns the name at the start of `bytes` into that of `number`.
    pub(crate) fn patch(&self, bytes: &mut [u8], number: u32) {
        put_digits(&mut bytes[self.digits.clone()], number);
    }
}

/// How many digits `number` has.
pub(crate) const fn digits(number: u32) -> usize {
    match number.checked_ilog10() {
        Some(tens) => tens as usize + 1,
        None => 1,
    }
}

/// Fills all of `bytes` with the last digits of `number`, zeros in front.
pub(crate) fn put_digits(bytes: &mut [u8], mut number: u32) {
    for byte in bytes.iter_mut().rev() {
        *byte = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// The number that these digits say; bytes that are none give some number or other.
pub(crate) fn number(digits: &[u8]) -> u32 {
    let append =
        |number: u32, &digit: &u8| number.wrapping_mul(10).wrapping_add(u32::from(digit.wrapping_sub(b'0')));
    digits.iter().fold(0, append)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(names: &Numbered, number: u32, expected: &str) {
        let mut out = Vec::new();
        names.put(&mut out, number);
        assert_eq!(&out[2..], expected.as_bytes());
        assert_eq!((usize::from(out[1]), names.size()), (expected.len(), expected.len()));
    }

    #[test]
    fn names_are_of_one_size() {
        let filters = Numbered::new("a/", 49_999, "/+/value");
        check(&filters, 0, "a/00000/+/value");
        check(&filters, 49_999, "a/49999/+/value");
        let topics = Numbered::of_size(10, "abc/", 99);
        check(&topics, 42, "abc/000042");
        check(&Numbered::of_size(2, "abc/", 100), 7, "abc/007");
        check(&Numbered::one("abc"), 7, "abc");
    }

    #[test]
    fn numbers_are_padded() {
        for written in [0, 9, 10, u32::MAX] {
            let mut bytes = [0; 10];
            put_digits(&mut bytes, written);
            assert_eq!(bytes, format!("{written:010}").as_bytes());
            assert_eq!((number(&bytes), digits(written)), (written, written.to_string().len()));
        }
    }
}
