//! A point in time, in eight bytes.
//!
//! A connection at rest is little more than its deadlines, and `std::time::Instant` takes sixteen
//! bytes for each. A [`Moment`] counts nanoseconds from the beginning of its clock, which is what
//! whoever reads the clock likes: a worker takes its own start. It lasts for 584 years, and a
//! duration above 146 counts as 146: far enough away to be never.

use std::num::NonZeroU64;
use std::ops::{Add, AddAssign};
use std::time::Duration;

/// A point in time; moments of different clocks have nothing to do with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(NonZeroU64);

impl Moment {
    /// So long after the beginning of its clock.
    #[inline]
    pub fn at(time: Duration) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanoseconds(time)))
    }

    /// So many nanoseconds after the beginning of its clock.
    #[inline(always)]
    pub fn at_nanoseconds(time: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(time))
    }

    /// Nanoseconds from an earlier one to this one; none if that is later. Cheaper than
    /// [`Moment::since`].
    #[inline(always)]
    pub fn nanoseconds_since(self, earlier: Self) -> u64 {
        self.0.get().saturating_sub(earlier.0.get())
    }

    /// So many nanoseconds later.
    #[inline(always)]
    pub fn nanoseconds_later(self, time: u64) -> Self {
        Self(self.0.saturating_add(time))
    }

    /// The time from an earlier one to this one; none if that is later.
    #[inline]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }

    /// So long before; `None` if its clock had not begun then.
    #[inline]
    pub fn before(self, time: Duration) -> Option<Self> {
        self.0.get().checked_sub(nanoseconds(time)).and_then(NonZeroU64::new).map(Self)
    }
}

/// A duration in nanoseconds; a longer one than 146 years counts as so many. Then a sum with a
/// moment of any clock that runs can be undone.
#[inline]
fn nanoseconds(time: Duration) -> u64 {
    let nanoseconds =
        time.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(time.subsec_nanos()));
    nanoseconds.min(u64::MAX / 4)
}

impl Add<Duration> for Moment {
    type Output = Self;

    /// So long after; at most the last moment.
    #[inline]
    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(nanoseconds(time)))
    }
}

impl AddAssign<Duration> for Moment {
    #[inline]
    fn add_assign(&mut self, time: Duration) {
        *self = *self + time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_like_a_clock_and_ends_where_it_ends() {
        let second = Duration::from_secs(1);
        let begin = Moment::at(Duration::ZERO);
        let later = begin + second + Duration::from_nanos(5);
        assert_eq!(later, Moment::at(Duration::new(1, 5)));
        assert!(begin < later);
        assert_eq!(later.since(begin), Duration::new(1, 5));
        assert_eq!(begin.since(later), Duration::ZERO);
        assert_eq!(later.before(second), Some(begin + Duration::from_nanos(5)));
        assert_eq!(begin.before(second), None);

        let never = later + Duration::MAX;
        assert_eq!(never.before(Duration::MAX), Some(later));
        assert_eq!(begin.before(Duration::MAX), None);
        let last = never + Duration::MAX + Duration::MAX + Duration::MAX;
        assert_eq!(last + second, last, "the last moment");
        assert!(never.since(begin) > Duration::from_secs(4_000_000_000));
        assert_eq!(size_of::<Option<Moment>>(), 8);
    }
}
