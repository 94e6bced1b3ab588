//! Buffers that are lent and given back.
//!
//! An idle connection owns no buffer. One that holds a partial message or unsent bytes borrows
//! a buffer from its worker's pool and gives it back when it is empty again. There are two kinds:
//!
//! - **Small ones**, empty vectors with some capacity. The pool keeps few of them.
//! - **Large ones**, for messages that gather ([`super::gather::Gather`]). All their bytes are
//!   initialised memory, so that a socket can read into them: to write the zeros for each message
//!   anew, or to have the system bring in fresh pages, would cost as much as the message itself.
//!   What was in them before is never shown: who takes one shows only what it wrote itself.
//!
//! A burst must not make the high-water mark permanent: large buffers are kept up to a total
//! size, and those that nobody needed for a second are freed ([`Pool::tidy`]).

use std::time::Duration;

use super::moment::Moment;

/// At most this many small buffers wait in a pool.
const KEPT: usize = 64;
/// A small buffer that grew past this is freed instead of kept (bytes).
const LARGEST_KEPT: usize = 64 * 1024;
/// Large buffers are kept up to this total size (bytes).
const LARGE_KEPT: usize = 16 * 1024 * 1024;
/// A large buffer that nobody needed for this long is freed.
const UNUSED: Duration = Duration::from_secs(1);

/// A worker's spare buffers.
#[derive(Debug, Default)]
pub struct Pool {
    spare: Vec<Vec<u8>>,
    /// Initialised memory. The one that was given back last is taken first: it is warm.
    large: Vec<Vec<u8>>,
    /// The sum of their sizes (bytes).
    large_bytes: usize,
    /// How many of the large ones were never taken since the last look.
    unused: usize,
    /// When to look for such next.
    look_at: Option<Moment>,
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

    /// A large buffer of at least `least` bytes, better of `wanted`; what is in it means nothing.
    /// None if none waits.
    pub fn take_large(&mut self, least: usize, wanted: usize) -> Option<Vec<u8>> {
        let mut best: Option<(usize, usize)> = None;
        for (at, buffer) in self.large.iter().enumerate() {
            let len = buffer.len();
            let better = match best {
                _ if len < least => false,
                None => true,
                // Large enough, and no larger than needed; else the largest.
                Some((_, best)) if best >= wanted => (wanted..=best).contains(&len),
                Some((_, best)) => len >= best,
            };
            if better {
                best = Some((at, len));
            }
        }
        let (at, len) = best?;
        self.large_bytes -= len;
        let buffer = self.large.remove(at);
        self.unused = self.unused.min(self.large.len());
        Some(buffer)
    }

    /// Takes a large buffer back. Its length is what counts as its size.
    pub fn give_back_large(&mut self, buffer: Vec<u8>) {
        if self.large_bytes + buffer.len() <= LARGE_KEPT {
            self.large_bytes += buffer.len();
            self.large.push(buffer);
        }
    }

    /// When [`Pool::tidy`] has something to do.
    #[inline]
    pub fn deadline(&self) -> Option<Moment> {
        self.look_at
    }

    /// Frees large buffers that nobody needed for a second. To be called now and then, at the
    /// latest at [`Pool::deadline`].
    #[inline]
    pub fn tidy(&mut self, now: Moment) {
        if !self.large.is_empty() || self.look_at.is_some() {
            self.look(now);
        }
    }

    #[cold]
    fn look(&mut self, now: Moment) {
        match self.look_at {
            Some(at) if now < at => return,
            // The unused ones are in front, as the last is taken first.
            Some(_) => {
                let freed: usize = self.large.drain(..self.unused).map(|buffer| buffer.len()).sum();
                self.large_bytes -= freed;
            }
            None => {}
        }
        self.unused = self.large.len();
        self.look_at = (!self.large.is_empty()).then(|| now + UNUSED);
    }

    /// Bytes of memory that wait here.
    pub fn bytes_kept(&self) -> usize {
        self.spare.iter().map(Vec::capacity).sum::<usize>() + self.large_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_that_grew_are_freed_and_the_number_is_bounded() {
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

    #[test]
    fn the_large_buffer_that_fits_best_is_taken() {
        let mut pool = Pool::default();
        assert_eq!(pool.take_large(1, 1), None);
        for len in [100, 300, 200] {
            pool.give_back_large(vec![7; len]);
        }
        let mut len = |least, wanted| {
            let taken = pool.take_large(least, wanted);
            let len = taken.as_ref().map(Vec::len);
            taken.into_iter().for_each(|buffer| pool.give_back_large(buffer));
            len
        };
        assert_eq!(len(10, 150), Some(200), "the smallest that is enough");
        assert_eq!(len(10, 200), Some(200));
        assert_eq!(len(10, 1000), Some(300), "the largest if none is");
        assert_eq!(len(301, 1000), None, "one that is too small is of no use");
        assert_eq!(pool.bytes_kept(), 600);
    }

    #[test]
    fn large_buffers_are_kept_up_to_a_total_and_freed_when_nobody_needs_them() {
        let mut pool = Pool::default();
        let mut now = Moment::at(Duration::ZERO);
        pool.tidy(now);
        assert_eq!(pool.deadline(), None, "nothing to look for");
        for _ in 0..40 {
            pool.give_back_large(vec![0; 1 << 20]);
        }
        assert_eq!(pool.bytes_kept(), LARGE_KEPT);
        pool.tidy(now);
        assert_eq!(pool.deadline(), Some(now + UNUSED));
        // Three are in use at a time for a while; the others go after a second.
        for _ in 0..3 {
            let taken: Vec<_> = (0..3).map(|_| pool.take_large(1, 1 << 20).unwrap()).collect();
            taken.into_iter().for_each(|buffer| pool.give_back_large(buffer));
            now += UNUSED;
            pool.tidy(now);
            assert_eq!(pool.bytes_kept(), 3 << 20);
        }
        now += UNUSED;
        pool.tidy(now);
        assert_eq!((pool.bytes_kept(), pool.deadline()), (0, None));
    }
}
