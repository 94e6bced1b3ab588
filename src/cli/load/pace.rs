//! A fixed rate: when the next message is due, whether or not earlier ones were answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::Waker;

/// Wake-ups are at least this far apart; what is due between two is sent with the later one.
const SHORTEST: Duration = Duration::from_micros(100);
/// And at most this far: the thread that wakes ends soon after the run.
const LONGEST: Duration = Duration::from_millis(100);

/// The times at which messages are due, and a thread that wakes for them: what waits for events
/// of sockets wakes up to a millisecond late, which would be measured.
#[derive(Debug)]
pub(super) struct Pace {
    /// Nanoseconds on the clock of the messages.
    began: u64,
    /// Nanoseconds from one to the next.
    interval: f64,
    handed_out: u64,
    stop: Arc<AtomicBool>,
}

impl Pace {
    /// So many a second, the first one now, which is `began` nanoseconds after `epoch`.
    pub(super) fn new(per_second: f64, epoch: Instant, began: u64, waker: Waker) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let pace = Self { began, interval: 1e9 / per_second, handed_out: 0, stop };
        let (start, stop) = (epoch + Duration::from_nanos(began), Arc::clone(&pace.stop));
        // Each message has a wake-up of its own, unless they are due faster than anybody wakes.
        let part = (pace.interval / LONGEST.as_nanos() as f64).ceil();
        let step = (pace.interval / part).max(SHORTEST.as_nanos() as f64);
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let steps = (start.elapsed().as_nanos() as f64 / step).floor() + 1.0;
                let next = start + Duration::from_nanos((steps * step) as u64);
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
                if waker.wake().is_err() {
                    return;
                }
            }
        });
        pace
    }

    /// When the next message was due, if it is due at `now`; to be answered with
    /// [`Pace::hand_out`].
    pub(super) fn due(&self, now: u64) -> Option<u64> {
        let due = self.began + (self.handed_out as f64 * self.interval) as u64;
        (due <= now).then_some(due)
    }

    /// The message that was due is sent.
    pub(super) fn hand_out(&mut self) {
        self.handed_out += 1;
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_one_interval_after_the_other() {
        let poll = mio::Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), mio::Token(0)).unwrap();
        let mut pace = Pace::new(1e6, Instant::now(), 5_000, waker);
        let mut due = Vec::new();
        while let Some(at) = pace.due(8_999) {
            pace.hand_out();
            due.push(at);
        }
        assert_eq!(due, [5_000, 6_000, 7_000, 8_000]);
        assert_eq!((pace.due(8_999), pace.due(9_000)), (None, Some(9_000)));
    }

    #[test]
    fn it_wakes_whoever_waits_for_sockets() {
        let mut poll = mio::Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), mio::Token(7)).unwrap();
        let _pace = Pace::new(1000.0, Instant::now(), 0, waker);
        let mut events = mio::Events::with_capacity(8);
        poll.poll(&mut events, Some(Duration::from_secs(20))).unwrap();
        assert!(events.iter().any(|event| event.token() == mio::Token(7)));
    }
}
