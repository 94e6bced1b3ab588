//! Deadlines of connections, earliest first.
//!
//! Each connection tells its next deadline after every turn, and nearly always that is later
//! than the one before. So a deadline that moves back costs nothing: the entry in the heap stays
//! and, when it comes up, is put in again for the time that is right then. Only a deadline that
//! moves forward is a new entry. A connection has about one entry in the heap, however busy it
//! is.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use super::slab::Key;

#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Key)>>,
}

/// The earliest time for which a connection has an entry.
pub(crate) type Armed = Option<Instant>;

impl Timers {
    /// A connection's deadline is `deadline` now.
    #[inline]
    pub(crate) fn set(&mut self, key: Key, deadline: Option<Instant>, armed: &mut Armed) {
        if let Some(deadline) = deadline
            && armed.is_none_or(|armed| deadline < armed)
        {
            self.heap.push(Reverse((deadline, key)));
            *armed = Some(deadline);
        }
    }

    /// When to look again.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// An entry that is due, and its time. Its connection may have a later deadline by now, an
    /// earlier entry, or be gone.
    pub(crate) fn due(&mut self, now: Instant) -> Option<(Instant, Key)> {
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
        let start = Instant::now();
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
}
