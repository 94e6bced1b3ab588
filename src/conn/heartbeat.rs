//! Pings and pongs: how a WebSocket finds that its peer is gone (RFC 6455 §5.5.2, §5.5.3).
//!
//! A pong that is late does not say that the peer is gone. It cannot stand inside of a frame, so it
//! waits for the end of one that takes minutes; and the ping may lie behind megabytes in the send
//! buffer of the system, or the receive buffer of the peer. So at the deadline it is asked what the
//! peer has done meanwhile: bytes that came from it, and bytes of ours that its system has
//! acknowledged. As long as those keep `min_body_rate`, it has another `ping_timeout`.

use std::time::Duration;

use super::Turn;
use super::pace;
use super::websocket::WebSocketRole;
use crate::asgi::Config;
use crate::bytes::moment::Moment;
use crate::bytes::output::{Output, Sink};
use crate::ws::frame::Opcode;

/// Bytes of a ping of ours, and of its mask if we are a client.
const PING: u64 = 6;
const MASK: u64 = 4;

/// Pings and the pongs that answer them (RFC 6455 §5.5.2, §5.5.3): one ping at a time.
#[derive(Debug, Default)]
pub(super) struct Heartbeat {
    /// Pings that were answered.
    answered: u32,
    /// The payload of the last ping, begun at random: an old pong, or one sent ahead, is not
    /// taken for its answer. 0 before the WebSocket is open.
    number: u32,
    beat: Beat,
}

#[derive(Debug)]
enum Beat {
    /// The first ping is due at this time, which the worker was not told yet.
    First(Moment),
    /// The next ping is due at this time; none will be if it is not open, or pings are off. The peer
    /// has all that left before the [`Place`].
    Next(Option<Moment>, Place),
    /// A ping was sent at this time and waits in our queue. The deadline for its pong starts
    /// when it has left; if it ends at this place, it is all that the peer may not have.
    Queued(Moment, Place),
    /// It has left.
    Awaited(Box<Awaited>),
}

/// A place in what we send: the low half of its distance from the beginning. Only ever asked
/// whether it is the same as another; one that is taken for another 4 GiB before costs a peer
/// some of its time.
type Place = u32;

/// A ping waits for its pong.
#[derive(Debug)]
struct Awaited {
    /// When it left.
    left: Moment,
    /// All that had left with it ends here.
    place: Place,
    /// From when on it counts what the peer does.
    since: Moment,
    /// Bytes that had come then.
    received: u64,
    /// Bytes that the peer's system had acknowledged then.
    acknowledged: u64,
    /// The pong is due, the ping timeout after `since`.
    due: Moment,
}

/// What a connection has done so far.
#[derive(Clone, Copy)]
pub(super) struct Progress<'a> {
    /// What it sends.
    pub(super) output: &'a Output,
    /// Bytes that came.
    pub(super) received: u64,
}

/// What follows from the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beaten {
    /// Nothing.
    Nothing,
    /// The next ping is due.
    PingDue,
    /// No pong, and nothing else that shows a live peer.
    PeerGone,
}

impl Default for Beat {
    fn default() -> Self {
        Beat::Next(None, 0)
    }
}

impl Progress<'_> {
    fn place(self) -> Place {
        self.output.written() as Place
    }

    /// Bytes that the peer's system has acknowledged: costs a few calls.
    fn acknowledged(self, sink: &mut dyn Sink) -> u64 {
        self.output.written().saturating_sub(sink.unacknowledged() as u64)
    }
}

impl Heartbeat {
    /// For a WebSocket that opened just now.
    pub(super) fn begin(now: Moment, config: &Config, random: u64) -> Self {
        let beat = match config.ping_interval {
            Duration::ZERO => Beat::default(),
            interval => Beat::First(now + interval),
        };
        Self { number: random as u32 | 1, beat, answered: 0 }
    }

    /// Has the WebSocket opened?
    #[inline(always)]
    pub(super) fn has_begun(&self) -> bool {
        self.number > 0
    }

    /// Is no ping on its way, and the worker told when the next one is due?
    #[inline(always)]
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self.beat, Beat::Next(..))
    }

    /// When the next ping or its pong is due.
    pub(super) fn due(&self) -> Option<Moment> {
        match &self.beat {
            Beat::First(due) => Some(*due),
            Beat::Next(due, _) => *due,
            Beat::Awaited(awaited) => Some(awaited.due),
            Beat::Queued(..) => None,
        }
    }

    /// We did not read for so long, until now: no pong could come.
    pub(super) fn shift(&mut self, pause: Duration, now: Moment) {
        match &mut self.beat {
            Beat::First(at) | Beat::Next(Some(at), _) => *at += pause,
            Beat::Awaited(awaited) => {
                // Of the pause, what came behind each of them.
                awaited.left += pause.min(now.since(awaited.left));
                let pause = pause.min(now.since(awaited.since));
                awaited.since += pause;
                awaited.due += pause;
            }
            Beat::Queued(..) | Beat::Next(None, _) => {}
        }
    }

    /// No ping will be sent any more.
    pub(super) fn stop(&mut self) {
        self.beat = Beat::default();
    }
}

impl<H> WebSocketRole<H> {
    /// Sends a ping, unless one waits for its pong already.
    pub(super) fn ping(&mut self, now: Moment, output: &mut Output) -> bool {
        let known = match self.heartbeat.beat {
            Beat::First(_) => 0,
            Beat::Next(_, place) => place,
            Beat::Queued(..) | Beat::Awaited(_) => return false,
        };
        if !self.is_open() {
            return false;
        }
        self.heartbeat.number = self.heartbeat.number.wrapping_add(1).max(1);
        let payload = self.heartbeat.number.to_be_bytes();
        let before = output.len();
        self.side.send_control(Opcode::Ping, &payload, output);
        let length = (output.len() - before) as Place;
        self.heartbeat.beat = Beat::Queued(now, known.wrapping_add(length));
        true
    }

    pub(super) fn pings_answered(&self) -> u32 {
        self.heartbeat.answered
    }

    /// After a flush: a ping that has left starts the deadline for its pong.
    #[inline]
    pub(super) fn note_written(&mut self, progress: Progress<'_>, turn: &mut Turn<'_>) {
        match self.heartbeat.beat {
            Beat::Queued(_, place) if progress.output.is_empty() => {
                self.ping_left(place, progress, turn)
            }
            // The worker asks for the deadline after this turn.
            Beat::First(due) => self.heartbeat.beat = Beat::Next(Some(due), 0),
            _ => {}
        }
    }

    /// Our ping has left; if it ends here, the peer has all that was sent before.
    #[cold]
    fn ping_left(&mut self, alone: Place, progress: Progress<'_>, turn: &mut Turn<'_>) {
        let (now, timeout) = (turn.env.round.now, turn.env.round.config.ping_timeout);
        let mut acknowledged = progress.output.written();
        if progress.place() != alone {
            // That the peer's system takes the ping shows nothing of the peer.
            let ping = PING + if self.side.is_client() { MASK } else { 0 };
            let waiting = turn.env.sink.unacknowledged() as u64;
            acknowledged = acknowledged.saturating_sub(waiting.saturating_sub(ping));
        }
        self.heartbeat.beat = Beat::Awaited(Box::new(Awaited {
            left: now,
            place: progress.place(),
            since: now,
            received: progress.received,
            acknowledged,
            due: now + timeout,
        }));
    }

    /// Notes a pong. Is it the answer to our last ping?
    pub(super) fn pong(&mut self, payload: &[u8], now: Moment, config: &Config) -> bool {
        let Heartbeat { number, beat, answered } = &mut self.heartbeat;
        self.side.last_pong = Some(now);
        // RFC 6455 §5.5.3: a pong may also come unasked; only the answer to our last ping counts.
        let (sent, place) = match beat {
            // The peer has it, though our queue has not been empty since.
            Beat::Queued(at, _) => (*at, 0),
            // The deadline stands still while we do not read, so that time does not count.
            Beat::Awaited(awaited) => (awaited.left, awaited.place),
            _ => return false,
        };
        if payload != number.to_be_bytes() {
            return false;
        }
        self.side.set_round_trip(now.since(sent));
        *answered = answered.wrapping_add(1);
        let interval = config.ping_interval;
        let due = if sent + interval > now { sent + interval } else { now + interval };
        *beat = Beat::Next((!interval.is_zero()).then_some(due), place);
        true
    }

    /// What follows from the time, while we read.
    pub(super) fn beat(&mut self, progress: Progress<'_>, turn: &mut Turn<'_>) -> Beaten {
        let (now, config) = (turn.env.round.now, &turn.env.round.config);
        let awaited = match &mut self.heartbeat.beat {
            Beat::First(due) | Beat::Next(Some(due), _) if now >= *due => return Beaten::PingDue,
            Beat::Awaited(awaited) if now >= awaited.due => awaited,
            _ => return Beaten::Nothing,
        };
        let acknowledged = progress.acknowledged(turn.env.sink).max(awaited.acknowledged);
        let bytes = progress.received - awaited.received + acknowledged - awaited.acknowledged;
        // A message that has just begun has the grace of a body.
        let arriving = self.rare.as_ref().and_then(|rare| rare.unfinished.as_ref());
        let begins = arriving.is_some_and(|message| message.is_fresh(awaited.received, now));
        if !begins && !pace::is_kept(bytes, now.since(awaited.since), config) {
            return Beaten::PeerGone;
        }
        awaited.since = now;
        awaited.received = progress.received;
        awaited.acknowledged = acknowledged;
        awaited.due = now + config.ping_timeout;
        Beaten::Nothing
    }
}
