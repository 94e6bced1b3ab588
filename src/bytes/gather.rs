//! A buffer that grows as bytes arrive.
//!
//! It can be the **target of a read**: [`Gather::spare`] lends a piece of memory, the socket
//! fills it, [`Gather::advance`] says how far. So a large message is read straight to where it
//! belongs. The memory lent at once is at most what is there already (or one read's worth): a
//! peer that announces a gigabyte and sends ten bytes costs ten bytes and a read buffer.

use super::pool::Pool;

/// The most that is lent while little is there (bytes).
const FIRST_PIECE: usize = 64 * 1024;
/// The most that is lent at all (bytes).
const LARGEST_PIECE: usize = 1024 * 1024;

/// Bytes that gather until a message is complete. Empty, it owns no memory.
#[derive(Debug, Default)]
pub struct Gather {
    /// All of it is initialised memory; the first `filled` bytes are meant.
    bytes: Vec<u8>,
    filled: usize,
}

impl Gather {
    /// How many bytes gathered.
    #[inline]
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Has nothing gathered?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// The bytes that gathered.
    #[inline]
    pub fn filled(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// As [`Gather::filled`], to be changed in place.
    #[inline]
    pub fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.filled]
    }

    /// Adds a copy of `piece` and returns it, to be changed in place.
    pub fn extend(&mut self, piece: &[u8]) -> &mut [u8] {
        let from = self.filled;
        self.bytes.truncate(from);
        self.bytes.extend_from_slice(piece);
        self.filled = self.bytes.len();
        &mut self.bytes[from..]
    }

    /// Memory for the next bytes: at least one, at most `wanted`.
    pub fn spare(&mut self, wanted: usize) -> &mut [u8] {
        let grow = wanted.min(self.filled.clamp(FIRST_PIECE, LARGEST_PIECE)).max(1);
        let end = self.filled + grow;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        &mut self.bytes[self.filled..end]
    }

    /// The first `n` bytes of the spare memory were filled; returns them.
    pub fn advance(&mut self, n: usize) -> &mut [u8] {
        let from = self.filled;
        self.filled += n;
        assert!(self.filled <= self.bytes.len(), "more was filled than was lent");
        &mut self.bytes[from..self.filled]
    }

    /// Forgets the bytes and gives the memory away.
    pub fn release(&mut self, pool: &mut Pool) {
        self.filled = 0;
        if self.bytes.capacity() != 0 {
            pool.give_back(std::mem::take(&mut self.bytes));
        }
    }

    /// Forgets the bytes; memory of up to `keep` bytes stays for the next.
    pub fn clear(&mut self, keep: usize) {
        self.filled = 0;
        if self.bytes.capacity() > keep {
            self.bytes = Vec::new();
        }
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
    fn memory_grows_with_what_arrived_not_with_what_was_announced() {
        let mut gather = Gather::default();
        assert_eq!(gather.spare(usize::MAX / 2).len(), FIRST_PIECE);
        gather.advance(10);
        assert!(gather.bytes_held() <= 2 * FIRST_PIECE);
        assert_eq!(gather.spare(3).len(), 3);
        let mut total = 10;
        while total < 10 << 20 {
            let lent = gather.spare(usize::MAX / 2).len();
            assert!(lent <= LARGEST_PIECE);
            gather.advance(lent);
            total += lent;
        }
        assert!(gather.bytes_held() <= 2 * total + LARGEST_PIECE);
        gather.release(&mut Pool::default());
        assert_eq!(gather.bytes_held(), 0);
    }

    #[test]
    fn copied_and_read_bytes_stand_in_order() {
        let mut gather = Gather::default();
        gather.extend(b"ab").make_ascii_uppercase();
        gather.spare(10)[..2].copy_from_slice(b"cd");
        assert_eq!(gather.advance(2), b"cd");
        gather.extend(b"ef");
        assert_eq!(gather.filled(), b"ABcdef");
        assert_eq!(gather.len(), 6);
    }
}
