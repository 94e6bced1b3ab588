//! How often a line may be logged that a peer can cause at will.
//!
//! A line for each of a hundred thousand requests tells no more than one line and a count, and
//! hides everything else. Each worker has one [`LogLimits`], which takes the time as an argument,
//! holds no memory but its counters, and owes the count of what it held back: that is logged with
//! the next line of its kind, or alone when the time is over.

use std::fmt;
use std::time::Duration;

use log::Level;

use crate::bytes::moment::Moment;

/// At most so many lines in so much time.
#[derive(Debug, Clone)]
pub struct LogLimit {
    most: u32,
    every: Duration,
    /// When the time began that is counted now.
    began: Option<Moment>,
    /// Lines since then.
    lines: u32,
    /// Lines that were held back since one was logged.
    held: u64,
}

impl LogLimit {
    /// At most so many lines in so much time; at least one.
    pub const fn new(most: u32, every: Duration) -> Self {
        let most = if most == 0 { 1 } else { most };
        Self { most, every, began: None, lines: 0, held: 0 }
    }

    /// May a line be logged now? If so, how many were held back before it?
    pub fn allow(&mut self, now: Moment) -> Option<u64> {
        if self.began.is_none_or(|began| now.since(began) >= self.every) {
            self.began = Some(now);
            self.lines = 0;
        }
        if self.lines == self.most {
            self.held += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.held))
    }

    /// When the count of what was held back is due, if nothing else is logged. The next line that may
    /// be logged has the count, and says more: so it has as much time again to come.
    pub fn deadline(&self) -> Option<Moment> {
        self.began.filter(|_| self.held > 0).map(|began| began + self.every * 2)
    }

    /// The count of what was held back, if it is due. It counts as a line.
    pub fn overdue(&mut self, now: Moment) -> Option<u64> {
        self.deadline().filter(|due| now >= *due)?;
        self.allow(now)
    }
}

/// Lines that peers can cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Connections cannot be accepted.
    Accept,
    /// A connection cannot be watched.
    Watch,
    /// A handler failed, forgot to answer, or answered wrongly.
    Handler,
    /// A handler held the loop for long.
    SlowHandler,
    /// The observer of closed connections failed.
    OnClosed,
    /// No pong came.
    Pong,
}

impl Kind {
    const ALL: [Kind; 6] =
        [Kind::Accept, Kind::Watch, Kind::Handler, Kind::SlowHandler, Kind::OnClosed, Kind::Pong];

    const fn level(self) -> Level {
        match self {
            Kind::Accept | Kind::Watch | Kind::SlowHandler => Level::Warn,
            Kind::Handler | Kind::OnClosed => Level::Error,
            Kind::Pong => Level::Info,
        }
    }

    const fn limit(self) -> LogLimit {
        let (most, seconds) = match self {
            Kind::Accept | Kind::Watch => (1, 10),
            Kind::SlowHandler => (1, 1),
            Kind::Handler | Kind::OnClosed | Kind::Pong => (10, 1),
        };
        LogLimit::new(most, Duration::from_secs(seconds))
    }

    /// What happened so often.
    const fn often(self) -> &'static str {
        match self {
            Kind::Accept => "accepting failed",
            Kind::Watch => "a connection could not be watched",
            Kind::Handler => "a handler failed",
            Kind::SlowHandler => "a handler held its worker",
            Kind::OnClosed => "the observer of closed connections panicked",
            Kind::Pong => "no pong came in time",
        }
    }
}

/// The limits of one worker.
#[derive(Debug)]
pub struct LogLimits {
    limits: [LogLimit; Kind::ALL.len()],
    /// When the first count of what was held back is due.
    due: Option<Moment>,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { limits: Kind::ALL.map(Kind::limit), due: None }
    }
}

impl LogLimits {
    /// May a line of this kind be logged now? See [`LogLimit::allow`].
    pub fn allow(&mut self, kind: Kind, now: Moment) -> Option<u64> {
        let limit = &mut self.limits[kind as usize];
        let held = limit.allow(now);
        if held.is_none() {
            self.due = [self.due, limit.deadline()].into_iter().flatten().min();
        }
        held
    }

    /// Logs a line, unless there were too many of its kind.
    #[cold]
    pub fn log(&mut self, kind: Kind, now: Moment, what: fmt::Arguments<'_>) {
        let level = kind.level();
        if level > log::max_level() {
            return;
        }
        match self.allow(kind, now) {
            None => {}
            Some(0) => log::log!(target: "oneport", level, "{what}"),
            Some(held) => log::log!(
                target: "oneport", level, "{what} ({held} lines like this were held back)"
            ),
        }
    }

    /// When [`LogLimits::tidy`] has something to log.
    #[inline]
    pub fn deadline(&self) -> Option<Moment> {
        self.due
    }

    /// Logs the counts of what was held back, those that are due.
    #[inline]
    pub fn tidy(&mut self, now: Moment) {
        if self.due.is_some_and(|due| now >= due) {
            self.log_held(now);
        }
    }

    #[cold]
    fn log_held(&mut self, now: Moment) {
        for (kind, limit) in Kind::ALL.iter().zip(&mut self.limits) {
            if let Some(held) = limit.overdue(now) {
                let (level, often) = (kind.level(), kind.often());
                log::log!(target: "oneport", level, "{often} {held} times more");
            }
        }
        self.due = self.limits.iter().filter_map(LogLimit::deadline).min();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::at(Duration::from_millis(millis))
    }

    #[test]
    fn some_lines_pass_and_the_rest_is_counted() {
        let mut limit = LogLimit::new(2, Duration::from_secs(1));
        let passed: Vec<_> = (0..5).map(|n| limit.allow(at(n))).collect();
        assert_eq!(passed, [Some(0), Some(0), None, None, None]);
        assert_eq!(limit.allow(at(999)), None);
        assert_eq!(limit.allow(at(1000)), Some(4), "the next one says how many were held back");
        assert_eq!(limit.allow(at(1001)), Some(0));
        assert_eq!(limit.allow(at(1002)), None);
    }

    #[test]
    fn the_last_count_is_told_when_its_time_is_over() {
        let mut limit = LogLimit::new(1, Duration::from_secs(10));
        assert_eq!((limit.allow(at(0)), limit.deadline()), (Some(0), None));
        for n in 1..=100 {
            assert_eq!(limit.allow(at(n)), None);
        }
        assert_eq!(limit.deadline(), Some(at(20_000)));
        assert_eq!(limit.overdue(at(19_999)), None);
        assert_eq!(limit.overdue(at(20_000)), Some(100));
        assert_eq!((limit.overdue(at(60_000)), limit.deadline()), (None, None));
        assert_eq!(limit.allow(at(20_001)), None, "that was a line of this time");
        assert_eq!(limit.allow(at(30_000)), Some(1));
    }

    #[test]
    fn kinds_do_not_take_from_each_other_and_the_first_deadline_counts() {
        let mut limits = LogLimits::default();
        for kind in Kind::ALL {
            assert_eq!(limits.allow(kind, at(0)), Some(0), "{kind:?}");
        }
        assert_eq!(limits.deadline(), None);
        assert_eq!(limits.allow(Kind::Accept, at(1)), None);
        assert_eq!(limits.deadline(), Some(at(20_000)));
        assert_eq!(limits.allow(Kind::SlowHandler, at(2)), None);
        assert_eq!(limits.deadline(), Some(at(2000)));
        limits.tidy(at(2000));
        assert_eq!(limits.deadline(), Some(at(20_000)));
        limits.tidy(at(20_000));
        assert_eq!(limits.deadline(), None);
    }
}
