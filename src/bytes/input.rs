//! Bytes that arrived and could not be used yet.
//!
//! Bytes are normally parsed where they were read, in the worker's one scratch buffer. Only
//! what is left over (half a head, half a frame header, pipelined requests behind an answer
//! that is still due) moves here, and comes back in front of the next bytes.

use super::place;
use super::pool::Pool;

/// The size of that scratch buffer (bytes). Large enough for a message of 64 KiB with its header,
/// and small enough to stay in the second cache with what is made of it.
pub const SCRATCH: usize = 256 * 1024;

/// The scratch buffer that reads go to.
#[derive(Debug)]
pub struct Scratch {
    memory: Box<[u8]>,
    start: usize,
}

impl Default for Scratch {
    fn default() -> Self {
        let memory = vec![0; SCRATCH + place::PAGE].into_boxed_slice();
        Self { start: place::pad(&memory, 0), memory }
    }
}

impl Scratch {
    /// All of it.
    #[inline]
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..][..SCRATCH]
    }
}

/// The left-over bytes of one connection. Empty, it owns no memory.
#[derive(Debug, Default)]
pub struct Input {
    bytes: Vec<u8>,
    /// Bytes before this were used already; they are moved away when more arrive.
    start: u32,
}

impl Input {
    /// How many bytes wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start as usize
    }

    /// Does nothing wait?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps `rest`, which nobody could use yet, behind what waits already.
    pub fn keep(&mut self, rest: &[u8], pool: &mut Pool) {
        if rest.is_empty() {
            return;
        }
        if self.bytes.capacity() == 0 {
            self.bytes = pool.take();
        } else if self.start > 0 {
            self.bytes.drain(..self.start as usize);
        }
        self.start = 0;
        self.bytes.extend_from_slice(rest);
    }

    /// Takes the buffer out for parsing: the bytes and the place where the unused ones begin.
    /// It must come back through [`Input::restore`].
    #[inline]
    pub fn take(&mut self) -> (Vec<u8>, usize) {
        let start = std::mem::take(&mut self.start) as usize;
        (std::mem::take(&mut self.bytes), start)
    }

    /// Brings the buffer back after parsing; everything before `start` was used.
    pub fn restore(&mut self, bytes: Vec<u8>, start: usize, pool: &mut Pool) {
        debug_assert!(self.bytes.is_empty(), "restored over left-over bytes");
        if start == bytes.len() {
            self.start = 0;
            pool.give_back(bytes);
        } else {
            self.start = u32::try_from(start).expect("an input buffer is far below 4 GiB");
            self.bytes = bytes;
        }
    }

    /// Forgets everything that waits.
    pub fn clear(&mut self, pool: &mut Pool) {
        let (bytes, _) = self.take();
        pool.give_back(bytes);
    }

    /// Bytes of memory held.
    pub fn bytes_held(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_over_bytes_come_back_in_front_of_new_ones() {
        let mut pool = Pool::default();
        let mut input = Input::default();
        input.keep(b"half a li", &mut pool);
        input.keep(b"ne", &mut pool);
        let (bytes, start) = input.take();
        assert_eq!(&bytes[start..], b"half a line");
        input.restore(bytes, 5, &mut pool);
        assert_eq!(input.len(), 6);
        input.keep(b"!", &mut pool);
        let (bytes, start) = input.take();
        assert_eq!(&bytes[start..], b"a line!");
        let all = bytes.len();
        input.restore(bytes, all, &mut pool);
        assert!(input.is_empty());
        assert_eq!(input.bytes_held(), 0, "empty, it owns no memory");
        assert!(pool.bytes_kept() > 0);
    }
}
