//! Write buffers that are between two uses: no idle connection holds one.

/// Buffers kept for the next use, per worker.
const BUFFERS_MAX: usize = 64;
/// A buffer that grew larger is freed instead of kept.
const BUFFER_BYTES_MAX: usize = 128 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub struct BufferPool {
    free: Vec<Vec<u8>>,
}

impl BufferPool {
    /// An empty buffer, with memory if one is at hand.
    pub fn take(&mut self) -> Vec<u8> {
        self.free.pop().unwrap_or_else(|| Vec::with_capacity(256))
    }

    /// Takes a buffer back.
    pub fn give(&mut self, mut buffer: Vec<u8>) {
        if self.free.len() < BUFFERS_MAX && (1..=BUFFER_BYTES_MAX).contains(&buffer.capacity()) {
            buffer.clear();
            self.free.push(buffer);
        }
    }
}
