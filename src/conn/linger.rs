//! After our last words: a peer that may still send is listened to, and what it sends is dropped.
//!
//! A socket that is closed with unread bytes in it answers with a reset, and takes from the peer
//! what that has not read yet (RFC 9112 §9.6). So the writing side is shut first, and the rest of the
//! socket closes when the peer has ended, or when it was listened to for long enough.

use std::time::Duration;

use super::{Connection, Phase, Role, Turn};
use crate::asgi::{Config, Handler};
use crate::bytes::moment::Moment;

/// How long a peer is listened to after its last request was read.
const SHORT: Duration = Duration::from_secs(2);
/// Bytes of such a peer that are dropped.
const SHORT_BYTES: u64 = 1024 * 1024;
/// How long a peer is listened to that sends the body of a request.
const BODY: Duration = Duration::from_secs(30);
/// How long it may send nothing, and after which time the least rate of a body counts.
const BODY_QUIET: Duration = Duration::from_secs(5);

/// Is the peer listened to after our last words?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Linger {
    /// No: it has ended, or may send nothing more.
    No,
    /// For a short time.
    Short,
    /// The body of a request is arriving: until it is read, within limits of its own.
    Body,
}

/// A peer that is listened to.
pub(super) struct Lingering {
    began: Moment,
    /// It ends then.
    until: Moment,
    /// Bytes that were dropped.
    dropped: u64,
    /// It sends the body of a request.
    body: bool,
}

impl Lingering {
    fn begin(now: Moment, body: bool, config: &Config) -> Self {
        let mut lingering = Self { began: now, until: now + SHORT, dropped: 0, body };
        lingering.note(0, now, config);
        lingering
    }

    /// So many bytes came and were dropped. Is the peer still listened to?
    fn note(&mut self, bytes: usize, now: Moment, config: &Config) -> bool {
        self.dropped += bytes as u64;
        if !self.body {
            return self.dropped <= SHORT_BYTES;
        }
        let by_rate = self.dropped.saturating_mul(1000).checked_div(config.min_body_rate);
        let by_rate =
            by_rate.map_or(BODY, |millis| BODY_QUIET.max(Duration::from_millis(millis)).min(BODY));
        self.until = (now + BODY_QUIET).min(self.began + by_rate);
        true
    }

    /// When it ends.
    pub(super) fn until(&self) -> Moment {
        self.until
    }
}

impl<H: Handler> Connection<H> {
    /// Is the rest of a request's body read and dropped, behind an answer that has left? The worker
    /// bounds how many do that.
    pub fn lingers_for_body(&self) -> bool {
        self.phase == Phase::Lingering && self.lingering.as_ref().is_some_and(|l| l.body)
    }

    /// Ends now, if only the rest of a body is waited for.
    pub fn stop_lingering(&mut self) {
        match self.phase {
            Phase::Closing { linger: Linger::Body } => {
                self.phase = Phase::Closing { linger: Linger::Short };
            }
            Phase::Lingering if self.lingers_for_body() => self.phase = Phase::Ended,
            _ => {}
        }
    }

    /// Our last words have left.
    pub(super) fn begin_lingering(&mut self, linger: Linger, turn: &mut Turn<'_>) {
        if linger == Linger::No || self.eof {
            self.phase = Phase::Ended;
            return;
        }
        let (now, config) = (turn.env.round.now, &turn.env.round.config);
        // [6455-7.1.1-1]
        self.lingering = Some(Box::new(Lingering::begin(now, linger == Linger::Body, config)));
        self.phase = Phase::Lingering;
    }

    /// Takes bytes of a peer that is served no more, and drops them.
    pub(super) fn drop_bytes(&mut self, bytes: &mut [u8], turn: &mut Turn<'_>) {
        let ended = match &mut self.role {
            Role::Http(role) => role.skip_body(bytes),
            Role::WebSocket(_) => false,
        };
        match self.phase {
            Phase::Closing { linger: Linger::Body } if ended => {
                self.phase = Phase::Closing { linger: Linger::Short };
            }
            Phase::Lingering => {
                let (now, config) = (turn.env.round.now, &turn.env.round.config);
                let goes_on =
                    |l: &mut Box<Lingering>| l.note(bytes.len(), now, config) && !(l.body && ended);
                if !self.lingering.as_mut().is_some_and(goes_on) {
                    self.phase = Phase::Ended;
                }
            }
            _ => {}
        }
    }
}
