//! Deadlines of connections, earliest first.
//!
//! Each connection tells its next deadline after every turn, and nearly always that is later
//! than the one before. So a deadline that moves back costs nothing: the entry in the heap stays
//! and, when it comes up, is put in again for the time that is right then. Only a deadline that
//! moves forward is a new entry. A connection has about one entry in the heap, however busy it
//! is. Entries of connections that are gone are thrown out when they may be the most of all.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::slab::Key;
use crate::bytes::moment::Moment;

#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Moment, Key)>>,
    /// Connections that went since entries were thrown out.
    gone: usize,
}

/// So many may be gone before it is worth looking through the heap.
const GONE: usize = 1024;

/// The earliest time for which a connection has an entry.
pub(crate) type Armed = Option<Moment>;

impl Timers {
    /// A connection's deadline is `deadline` now.
    #[inline]
    pub(crate) fn set(&mut self, key: Key, deadline: Option<Moment>, armed: &mut Armed) {
        if let Some(deadline) = deadline
            && armed.is_none_or(|armed| deadline < armed)
        {
            self.heap.push(Reverse((deadline, key)));
            *armed = Some(deadline);
        }
    }

    /// A connection is gone; `is_there` tells whether another one is not.
    #[inline]
    pub(crate) fn gone(&mut self, is_there: impl FnMut(Key) -> bool) {
        self.gone += 1;
        if self.gone > GONE && self.gone > self.heap.len() / 2 {
            self.throw_out(is_there);
        }
    }

    #[cold]
    fn throw_out(&mut self, mut is_there: impl FnMut(Key) -> bool) {
        self.gone = 0;
        self.heap.retain(|Reverse((_, key))| is_there(*key));
        self.heap.shrink_to(4 * (self.heap.len() + GONE));
    }

    /// When to look again.
    pub(crate) fn next(&self) -> Option<Moment> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// An entry that is due, and its time. Its connection may have a later deadline by now, an
    /// earlier entry, or be gone.
    pub(crate) fn due(&mut self, now: Moment) -> Option<(Moment, Key)> {
        let Reverse((at, _)) = self.heap.peek()?;
        if *at > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_deadline_that_moves_back_costs_no_entry() {
        let mut timers = Timers::default();
        let key = Key { slot: 1, generation: 2 };
        let start = Moment::at(Duration::ZERO);
        let second = Duration::from_secs(1);
        let mut armed = None;
        for n in 10..1000 {
            timers.set(key, Some(start + second * n), &mut armed);
        }
        assert_eq!(timers.heap.len(), 1);
        timers.set(key, Some(start + second), &mut armed);
        assert_eq!((timers.heap.len(), timers.next()), (2, Some(start + second)));
        assert_eq!(timers.due(start), None);
        assert_eq!(timers.due(start + second), Some((start + second, key)));
        assert_eq!(timers.due(start + second * 9), None);
    }

    #[test]
    fn short_lives_leave_no_entries_behind() {
        let mut timers = Timers::default();
        let now = Moment::at(Duration::ZERO);
        let stays = Key { slot: 0, generation: 0 };
        timers.set(stays, Some(now), &mut None);
        for generation in 1..100_000 {
            let key = Key { slot: 1, generation };
            timers.set(key, Some(now + Duration::from_secs(10)), &mut None);
            timers.gone(|key| key == stays);
            assert!(timers.heap.len() <= 2 * GONE + 2 && timers.heap.capacity() <= 8 * GONE);
        }
        assert_eq!(timers.due(now), Some((now, stays)));
    }
}
