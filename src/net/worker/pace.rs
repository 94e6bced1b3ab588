//! The budget of a round: how much all connections together may do before the worker looks at
//! its sockets, its mail and its deadlines again.

use crate::bytes::moment::Moment;
use crate::conn::budget;

const MILLISECOND: u64 = 1_000_000;
/// A round ends after so much time (nanoseconds). What waits goes on in the next one.
const ROUND_TIME: u64 = 10 * MILLISECOND;
/// A round ends after so much work (units of [`budget`]), whatever time it takes.
pub(super) const ROUND: usize = 16 * budget::TURN;
/// One connection's turn ends after so much time (nanoseconds), looked at once a quantum.
const TURN_TIME: u64 = 2 * MILLISECOND;
/// A turn that lasts longer than this is reported (nanoseconds).
const SLOW: u64 = 50 * MILLISECOND;

/// How far a round is.
#[derive(Debug)]
pub(super) struct Pace {
    began: Moment,
    /// The clock, as it was last read: at the end of a turn.
    at: Moment,
    units: usize,
}

impl Pace {
    pub(super) fn new(now: Moment) -> Self {
        Self { began: now, at: now, units: 0 }
    }

    /// A round begins.
    pub(super) fn begin(&mut self, now: Moment) {
        *self = Self::new(now);
    }

    /// When a turn that begins now must end.
    #[inline(always)]
    pub(super) fn turn_until(&self) -> Moment {
        self.at.nanoseconds_later(TURN_TIME)
    }

    /// A turn that did so much ended at this time; tells whether it took too long.
    #[inline(always)]
    pub(super) fn turn_ended(&mut self, now: Moment, units: usize) -> bool {
        let is_slow = now.nanoseconds_since(self.at) >= SLOW;
        self.at = now;
        self.units += units;
        is_slow
    }

    /// Counts work that is done outside of a turn.
    pub(super) fn add(&mut self, units: usize) {
        self.units += units;
    }

    /// The clock, as it was last read.
    #[inline(always)]
    pub(super) fn at(&self) -> Moment {
        self.at
    }

    /// Is the round over?
    #[inline(always)]
    pub(super) fn is_spent(&self) -> bool {
        self.units >= ROUND || self.at.nanoseconds_since(self.began) >= ROUND_TIME
    }

    /// What was done in this round (units).
    #[cfg(test)]
    pub(super) fn units(&self) -> usize {
        self.units
    }
}
