//! The budget of a round: how much all connections together may do before the worker looks at
//! its sockets, its mail and its deadlines again.

use std::time::Duration;

use crate::bytes::moment::Moment;
use crate::conn::budget;

/// A round ends after so much time. What waits goes on in the next one.
const ROUND_TIME: Duration = Duration::from_millis(10);
/// A round ends after so much work (units of [`budget`]), whatever time it takes.
pub(super) const ROUND: usize = 16 * budget::TURN;
/// One connection's turn ends after so much time, looked at once a quantum.
const TURN_TIME: Duration = Duration::from_millis(2);
/// A turn that lasts longer than this is reported.
const SLOW: Duration = Duration::from_millis(50);

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
        self.at + TURN_TIME
    }

    /// A turn ended at this time and did so much; tells how long it took if that is too long.
    #[inline(always)]
    pub(super) fn turn_ended(&mut self, now: Moment, units: usize) -> Option<Duration> {
        let took = now.since(self.at);
        self.at = now;
        self.units += units;
        (took >= SLOW).then_some(took)
    }

    /// Is the round over?
    #[inline(always)]
    pub(super) fn is_spent(&self) -> bool {
        self.units >= ROUND || self.at.since(self.began) >= ROUND_TIME
    }

    /// What was done in this round (units).
    #[cfg(test)]
    pub(super) fn units(&self) -> usize {
        self.units
    }
}
