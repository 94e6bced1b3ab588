//! The work that one connection may do in one turn.
//!
//! Work is counted in **units**: one for each byte that is received, inflated or written, and
//! [`CALLBACK`] for each call into the application. So a limit is deterministic: a simulation
//! sees the same turns as a server. Time is looked at as well, through the [`Clock`] of the
//! platform, because an application's callback may cost anything: every [`QUANTUM`] of units a
//! turn that has lasted too long is ended early.

use crate::bytes::moment::Moment;

/// What a call into the application counts (units).
pub const CALLBACK: usize = 4 * 1024;
/// What a request counts: its head is parsed, its handler made and called (units).
pub const REQUEST: usize = 4 * CALLBACK;
/// What one connection may do in one turn (units).
pub const TURN: usize = 1024 * 1024;
/// The clock is looked at each time so much was done (units): 64 KiB, or 16 callbacks.
pub const QUANTUM: usize = 64 * 1024;

/// A clock that can be looked at in the middle of a turn.
pub trait Clock {
    /// The time now.
    fn now(&mut self) -> Moment;
}

/// What is left of a turn's work.
#[derive(Debug)]
pub struct Budget {
    /// Units before the clock is looked at again; 0 means that the turn is over.
    quantum: usize,
    /// Units behind these.
    rest: usize,
    /// The turn is over after this time.
    until: Option<Moment>,
}

impl Budget {
    /// A whole turn, which ends early after `until`.
    #[inline(always)]
    pub fn new(until: Option<Moment>) -> Self {
        Self { quantum: QUANTUM, rest: TURN - QUANTUM, until }
    }

    /// One that is never spent: for the simulation, which must find that.
    pub(crate) fn endless() -> Self {
        Self { quantum: usize::MAX, rest: 0, until: None }
    }

    /// Counts work that was done, or is about to be.
    #[inline(always)]
    pub fn spend(&mut self, units: usize, clock: Option<&mut dyn Clock>) {
        if units < self.quantum {
            self.quantum -= units;
        } else {
            self.next_quantum(units, clock);
        }
    }

    #[cold]
    fn next_quantum(&mut self, units: usize, clock: Option<&mut dyn Clock>) {
        let left = (self.quantum + self.rest).saturating_sub(units);
        let late = match (self.until, clock) {
            (Some(until), Some(clock)) => clock.now() >= until,
            _ => false,
        };
        self.quantum = if late { 0 } else { left.min(QUANTUM) };
        self.rest = left - self.quantum;
    }

    /// Callbacks before the clock is looked at again: for a run of them, which counts down and
    /// says in the end how many are left.
    #[inline(always)]
    pub fn callbacks(&self) -> usize {
        self.quantum.div_ceil(CALLBACK)
    }

    /// As [`Budget::callbacks`], behind a run that has used up all of them.
    #[cold]
    pub fn next_callbacks(&mut self, clock: Option<&mut dyn Clock>) -> usize {
        self.next_quantum(self.quantum, clock);
        self.callbacks()
    }

    /// So many callbacks are left of those that [`Budget::callbacks`] said.
    #[inline(always)]
    pub fn set_callbacks(&mut self, left: usize, clock: Option<&mut dyn Clock>) {
        if left > 0 {
            self.quantum = self.quantum.min(left * CALLBACK);
        } else {
            self.next_quantum(self.quantum, clock);
        }
    }

    /// Is the turn over?
    #[inline(always)]
    pub fn is_spent(&self) -> bool {
        self.quantum == 0
    }

    /// Units that were spent.
    #[inline(always)]
    pub fn spent(&self) -> usize {
        TURN.saturating_sub(self.quantum + self.rest)
    }
}

impl Default for Budget {
    /// A whole turn, whatever time it takes.
    fn default() -> Self {
        Self::new(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Every look at this clock takes a second.
    struct Slow(u64);

    impl Clock for Slow {
        fn now(&mut self) -> Moment {
            self.0 += 1;
            Moment::at(Duration::from_secs(self.0))
        }
    }

    #[test]
    fn a_turn_is_its_units_whatever_their_size() {
        for size in [1, 1000, CALLBACK, QUANTUM - 1, QUANTUM, QUANTUM + 1, 3 * QUANTUM, TURN] {
            let mut budget = Budget::default();
            let mut spent = 0;
            while !budget.is_spent() {
                budget.spend(size, None);
                spent += size;
                assert_eq!(budget.spent(), spent.min(TURN));
            }
            assert!((TURN..TURN + size).contains(&spent), "{size}");
        }
        let mut budget = Budget::default();
        budget.spend(usize::MAX, None);
        assert!(budget.is_spent());
    }

    #[test]
    fn the_clock_is_looked_at_once_a_quantum_and_ends_a_turn_that_lasts_too_long() {
        let mut clock = Slow(0);
        let mut budget = Budget::new(Some(Moment::at(Duration::from_secs(3))));
        let mut callbacks = 0;
        while !budget.is_spent() {
            budget.spend(CALLBACK, Some(&mut clock));
            callbacks += 1;
        }
        assert_eq!((callbacks, clock.0), (48, 3));
        // What was not done is not counted as spent.
        assert_eq!(budget.spent(), 48 * CALLBACK);
    }
}
