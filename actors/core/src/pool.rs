//! Emptied buffers and batches between two uses: no idle connection holds one, and a worker keeps few of them, whatever
//! burst there was.

use crate::message::Batch;

/// Bytes that the buffers of one pool keep.
const KEPT_BYTES_MAX: usize = 512 * 1024;
/// How many it keeps.
const KEPT_MAX: usize = 64;

/// What a pool keeps.
pub trait Pooled {
    /// Bytes of memory that it holds when it is empty.
    fn held_bytes(&self) -> usize;
    /// Empties it.
    fn empty(&mut self);
}

/// See the module.
#[derive(Debug)]
pub struct Pool<T> {
    free: Vec<T>,
    bytes: usize,
}

/// Write buffers.
pub type BufferPool = Pool<Vec<u8>>;
/// Batches on their way to a trie.
pub type BatchPool = Pool<Batch>;

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { free: Vec::new(), bytes: 0 }
    }
}

impl<T: Pooled> Pool<T> {
    /// An emptied one, if one is at hand.
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        let taken = self.free.pop()?;
        self.bytes -= taken.held_bytes();
        Some(taken)
    }

    /// Takes one back, or frees it where it would be too much.
    #[inline]
    pub fn give(&mut self, mut given: T) {
        let bytes = self.bytes + given.held_bytes();
        if self.free.len() < KEPT_MAX && bytes > self.bytes && bytes <= KEPT_BYTES_MAX {
            given.empty();
            self.bytes = bytes;
            self.free.push(given);
        }
    }
}

impl Pooled for Vec<u8> {
    fn held_bytes(&self) -> usize {
        self.capacity()
    }

    fn empty(&mut self) {
        self.clear();
    }
}

impl Pooled for Batch {
    fn held_bytes(&self) -> usize {
        self.capacity_bytes()
    }

    fn empty(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_leaves_little_behind() {
        let mut pool = BufferPool::default();
        for _ in 0..1000 {
            pool.give(vec![1; 100 * 1024]);
        }
        let mut kept = 0;
        while let Some(buffer) = pool.take() {
            assert!(buffer.is_empty());
            kept += buffer.capacity();
        }
        assert!((100 * 1024..=KEPT_BYTES_MAX).contains(&kept), "{kept}");
        pool.give(Vec::new());
        assert!(pool.take().is_none(), "what holds no memory is not kept");
    }
}
