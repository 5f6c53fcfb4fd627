//! What an input decides, one byte at a time. Behind its end everything is 0.

use arbitrary::{Arbitrary, Unstructured};

/// See the module.
pub struct Choices<'i>(Unstructured<'i>);

impl<'i> Choices<'i> {
    /// Those of an input.
    pub fn new(input: &'i [u8]) -> Self {
        Self(Unstructured::new(input))
    }

    /// Whether all of the input is used.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        u8::arbitrary(&mut self.0).unwrap_or_default()
    }

    /// A number below another.
    pub fn below(&mut self, limit: u8) -> u8 {
        self.byte() % limit
    }

    /// One time in so many: true.
    pub fn once_in(&mut self, times: u8) -> bool {
        self.below(times) == times - 1
    }

    /// One of these.
    pub fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[usize::from(self.byte()) % all.len()].clone()
    }

    /// One of these, or nothing; nothing three times out of four.
    pub fn maybe<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        self.once_in(4).then(|| self.of(all))
    }

    /// The next bytes as they are; as many as the first says.
    pub fn bytes(&mut self) -> &'i [u8] {
        let count = usize::from(self.byte()).min(self.0.len());
        self.0.bytes(count).unwrap_or_default()
    }
}
