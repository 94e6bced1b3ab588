//! Buffers that are lent and given back.
//!
//! An idle connection owns no buffer. One that holds a partial message or unsent bytes borrows
//! a buffer from its worker's pool and gives it back when it is empty again. The pool keeps few
//! and small ones: a burst must not make the high-water mark permanent.

/// At most this many buffers wait in a pool.
const KEPT: usize = 64;
/// A buffer that grew past this is freed instead of kept (bytes).
const LARGEST_KEPT: usize = 64 * 1024;

/// A worker's spare buffers.
#[derive(Debug, Default)]
pub struct Pool {
    spare: Vec<Vec<u8>>,
}

impl Pool {
    /// An empty buffer, with whatever capacity it had when it was given back.
    pub fn take(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// Takes a buffer back; its contents are forgotten.
    pub fn give_back(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity != 0 && capacity <= LARGEST_KEPT && self.spare.len() < KEPT {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// Bytes of memory that wait here.
    pub fn bytes_kept(&self) -> usize {
        self.spare.iter().map(Vec::capacity).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_buffers_are_freed_and_the_number_is_bounded() {
        let mut pool = Pool::default();
        pool.give_back(Vec::with_capacity(LARGEST_KEPT + 1));
        assert_eq!(pool.bytes_kept(), 0);
        for _ in 0..2 * KEPT {
            pool.give_back(Vec::with_capacity(100));
        }
        assert!(pool.bytes_kept() <= KEPT * LARGEST_KEPT);
        assert_eq!(pool.spare.len(), KEPT);
        let mut buffer = pool.take();
        assert!(buffer.is_empty() && buffer.capacity() >= 100);
        buffer.push(1);
        pool.give_back(buffer);
        assert!(pool.take().is_empty(), "contents are forgotten");
    }
}
