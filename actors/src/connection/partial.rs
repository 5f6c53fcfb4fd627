//! Bytes received that are kept: mostly there are none, and then they take a pointer.

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Partial(Option<Box<Vec<u8>>>);

impl Partial {
    /// These bytes; no memory is held for none.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Self((!bytes.is_empty()).then(|| Box::new(bytes)))
    }

    /// Takes them out.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.0.take().map(|bytes| *bytes).unwrap_or_default()
    }

    /// Appends to them.
    pub(super) fn extend_from_slice(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.0.get_or_insert_default().extend_from_slice(bytes);
        }
    }

    /// Whether there are none.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |bytes| bytes.len())
    }

    /// Bytes of memory held for them.
    pub(super) fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |bytes| bytes.capacity())
    }
}
