//! A buffer that grows as bytes arrive.
//!
//! ```text
//!   [ pad | filled ........ | room that is ours already ........ ]
//!                            └─ lent to a read, or written to
//! ```
//!
//! It can be the **target of a read**: [`Gather::spare`] lends a piece of memory, the socket
//! fills it, [`Gather::advance`] says how far. So a large message is read straight to where it
//! belongs.
//!
//! **Memory grows with what arrived**, not with what was announced: a buffer of its own is at
//! most twice as large as what is in it (or one first piece). A peer that announces a gigabyte
//! and sends ten bytes costs ten bytes. A buffer that waits in the worker's pool may be larger:
//! it costs nothing that is not paid for already. So in the steady state each large message finds
//! one of the right size and is never moved.

use super::place;
use super::pool::Pool;

/// Up to this size it is a small buffer, which grows as vectors do (bytes).
const SMALL: usize = 16 * 1024;
/// The least that is lent to a read if more is wanted (bytes).
const FIRST_PIECE: usize = 64 * 1024;
/// The most that is lent at all (bytes).
const LARGEST_PIECE: usize = 1024 * 1024;

/// What is announced to come behind the bytes that gathered.
#[derive(Debug, Clone, Copy)]
pub struct Rest {
    /// So many bytes, at least.
    pub wanted: usize,
    /// Nothing comes behind them.
    pub is_last: bool,
}

impl Rest {
    /// So many bytes, and then no more.
    pub fn last(wanted: usize) -> Self {
        Self { wanted, is_last: true }
    }
}

/// Bytes that gather until a message is complete. Empty, it owns no memory.
#[derive(Debug, Default)]
pub struct Gather {
    /// All of it is initialised memory; `filled` bytes from `start` on are meant.
    bytes: Vec<u8>,
    start: usize,
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
        &self.bytes[self.start..][..self.filled]
    }

    /// Memory for exactly `n` bytes that have arrived, to be written to; what will come in all is
    /// told by `rest`. Then [`Gather::advance`].
    pub fn room(&mut self, n: usize, rest: Rest, pool: &mut Pool) -> &mut [u8] {
        if self.owned() < n {
            self.grow(self.filled + n, self.filled + n, rest, pool);
        }
        &mut self.bytes[self.start + self.filled..][..n]
    }

    /// Memory for the next bytes: at least one, at most `rest.wanted`.
    pub fn spare(&mut self, rest: Rest, pool: &mut Pool) -> &mut [u8] {
        let wanted = rest.wanted;
        // As much as there is already, but not a few bytes of what is left.
        let piece = wanted.min(self.filled.max(FIRST_PIECE)).max(1);
        if self.owned() < piece.div_ceil(2) {
            self.grow(self.filled, self.filled + piece, rest, pool);
        }
        let lent = self.owned().min(wanted.max(1)).min(LARGEST_PIECE);
        &mut self.bytes[self.start + self.filled..][..lent]
    }

    /// Bytes of room that is ours already.
    fn owned(&self) -> usize {
        self.bytes.len() - self.start - self.filled
    }

    /// Grows at once to `n` bytes in all, so many that they come from the system: then those that
    /// nothing is written to cost nothing. For what would grow again and again:
    /// then the old memory and the new one would be there at the same time, and the allocator keeps
    /// what it is given back in pieces of a middle size.
    #[cold]
    pub fn reserve(&mut self, n: usize) {
        if self.bytes.len() - self.start < n {
            let mut larger = vec![0; n];
            larger[..self.filled].copy_from_slice(self.filled());
            (self.bytes, self.start) = (larger, 0);
        }
    }

    /// Grows to at least `end` bytes, when so many have `arrived` and `rest` will come behind those
    /// that are filled.
    #[cold]
    fn grow(&mut self, arrived: usize, end: usize, rest: Rest, pool: &mut Pool) {
        if end <= SMALL {
            if self.bytes.capacity() == 0 {
                self.bytes = pool.take();
            }
            self.bytes.resize(end, 0);
            return;
        }
        let doubled = end.max(arrived.saturating_mul(2));
        let all = match rest.is_last {
            true => self.filled.saturating_add(rest.wanted).max(end),
            // By far more than needed now: else each of many pieces would move all before it.
            false => doubled,
        };
        // Zeroed memory of this size are fresh pages of the system, which cost when touched.
        let least = end.saturating_add(place::PAGE);
        let mut larger = pool
            .take_large(least, all.saturating_add(place::PAGE))
            .unwrap_or_else(|| vec![0; all.min(doubled).saturating_add(place::PAGE)]);
        // Here the next read will begin.
        let start = place::pad(&larger, arrived);
        larger[start..][..self.filled].copy_from_slice(self.filled());
        self.start = start;
        give_back(std::mem::replace(&mut self.bytes, larger), pool);
    }

    /// The first `n` bytes of the memory that was lent were filled; returns them.
    pub fn advance(&mut self, n: usize) -> &mut [u8] {
        let from = self.filled;
        assert!(n <= self.owned(), "more was filled than was lent");
        self.filled += n;
        &mut self.bytes[self.start + from..][..n]
    }

    /// Forgets the bytes and gives the memory away.
    pub fn release(&mut self, pool: &mut Pool) {
        (self.start, self.filled) = (0, 0);
        give_back(std::mem::take(&mut self.bytes), pool);
    }

    /// Forgets the bytes; memory of up to `keep` bytes stays for the next.
    pub fn clear(&mut self, keep: usize) {
        self.filled = 0;
        if self.bytes.capacity() > keep {
            self.bytes = Vec::new();
            self.start = 0;
        }
    }

    /// Bytes of memory held.
    pub fn bytes_held(&self) -> usize {
        self.bytes.capacity()
    }
}

/// Large buffers stay initialised.
fn give_back(bytes: Vec<u8>, pool: &mut Pool) {
    if bytes.len() > SMALL {
        pool.give_back_large(bytes);
    } else {
        pool.give_back(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_grows_with_what_arrived_not_with_what_was_announced() {
        let mut pool = Pool::default();
        let mut gather = Gather::default();
        gather.room(10, Rest::last(usize::MAX / 2), &mut pool);
        gather.advance(10);
        assert!(gather.bytes_held() <= 64, "ten bytes cost about ten bytes");
        assert_eq!(gather.spare(Rest::last(3), &mut pool).len(), 3);
        let mut total = 10;
        while total < 10 << 20 {
            let lent = gather.spare(Rest::last(usize::MAX / 2), &mut pool).len();
            assert!((1..=LARGEST_PIECE).contains(&lent));
            assert!(
                gather.bytes_held() <= (2 * total).max(total + FIRST_PIECE) + place::PAGE,
                "{total}"
            );
            gather.advance(lent);
            total += lent;
        }
        gather.release(&mut pool);
        assert_eq!(gather.bytes_held(), 0);
    }

    #[test]
    fn many_pieces_of_which_none_is_known_to_be_the_last_move_seldom() {
        for size in [1_000, 10_000, 100_000] {
            let mut pool = Pool::default();
            let mut gather = Gather::default();
            let (mut moves, mut held) = (0, 0);
            while gather.len() < 64 << 20 {
                let rest = Rest { wanted: size, is_last: false };
                gather.room(size, rest, &mut pool);
                gather.advance(size);
                if gather.bytes_held() != held {
                    (moves, held) = (moves + 1, gather.bytes_held());
                }
            }
            assert!(moves <= 20, "{moves} moves of up to 64 MiB, by {size} bytes");
            assert!(held <= 2 * gather.len() + place::PAGE);
        }
    }

    #[test]
    fn what_is_reserved_is_there_and_what_gathered_stays() {
        let mut pool = Pool::default();
        let mut gather = Gather::default();
        gather.room(3, Rest::last(3), &mut pool).copy_from_slice(b"abc");
        gather.advance(3);
        gather.reserve(100_000);
        assert_eq!(gather.filled(), b"abc");
        assert_eq!(gather.spare(Rest::last(99_997), &mut pool).len(), 99_997);
        gather.reserve(1_000);
        assert_eq!(gather.bytes_held(), 100_000, "it never becomes smaller");
    }

    #[test]
    fn what_is_announced_is_the_most_that_is_taken() {
        let mut pool = Pool::default();
        let mut gather = Gather::default();
        gather.room(40_000, Rest::last(50_000), &mut pool);
        gather.advance(40_000);
        assert_eq!(gather.bytes_held(), 50_000 + place::PAGE);
        assert_eq!(gather.spare(Rest::last(10_000), &mut pool).len(), 10_000);
        gather.advance(10_000);
        assert_eq!(gather.bytes_held(), 50_000 + place::PAGE, "it was never moved");
    }

    #[test]
    fn the_next_large_message_finds_the_memory_of_the_last_one() {
        let mut pool = Pool::default();
        for round in 0..3u8 {
            let mut gather = Gather::default();
            let first = gather.room(60_000, Rest::last(1 << 20), &mut pool);
            first.fill(round);
            let place = first.as_ptr();
            gather.advance(60_000);
            while gather.len() < 1 << 20 {
                let lent = gather.spare(Rest::last((1 << 20) - gather.len()), &mut pool);
                lent.fill(round);
                let n = lent.len();
                gather.advance(n);
            }
            assert!(gather.filled().iter().all(|byte| *byte == round));
            if round > 0 {
                assert_eq!(gather.filled().as_ptr(), place, "it did not move");
                assert_eq!(gather.bytes_held(), (1 << 20) + place::PAGE);
            }
            gather.release(&mut pool);
        }
    }

    #[test]
    fn copied_and_read_bytes_stand_in_order() {
        let mut pool = Pool::default();
        let mut gather = Gather::default();
        gather.room(2, Rest::last(30_000), &mut pool).copy_from_slice(b"AB");
        gather.advance(2);
        gather.spare(Rest::last(10), &mut pool)[..2].copy_from_slice(b"cd");
        assert_eq!(gather.advance(2), b"cd");
        gather.room(2, Rest::last(30_000), &mut pool).copy_from_slice(b"ef");
        gather.advance(2);
        gather.room(2, Rest::last(30_000), &mut pool).copy_from_slice(b"gh");
        gather.advance(2);
        // It changes from a small buffer to a large one.
        gather.room(20_000, Rest::last(30_000), &mut pool).fill(b'i');
        gather.advance(20_000);
        assert_eq!(&gather.filled()[..9], b"ABcdefghi");
        assert_eq!(gather.len(), 20_008);
    }
}
