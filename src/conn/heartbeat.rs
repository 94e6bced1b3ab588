//! Pings and pongs: how a WebSocket finds that its peer is gone (RFC 6455 §5.5.2, §5.5.3).

use std::time::Duration;

use super::websocket::WebSocketRole;
use crate::asgi::Config;
use crate::bytes::moment::Moment;
use crate::bytes::output::Output;
use crate::ws::frame::Opcode;

/// Pings and the pongs that answer them (RFC 6455 §5.5.2, §5.5.3): one ping at a time.
#[derive(Debug, Default)]
pub(super) struct Heartbeat {
    /// Pings that were answered.
    answered: u32,
    /// The payload of the last ping, begun at random: an old pong, or one sent ahead, is not
    /// taken for its answer. 0 before the WebSocket is open.
    pub(super) number: u32,
    pub(super) beat: Beat,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) enum Beat {
    /// No ping will be sent: it is not open, or pings are off.
    #[default]
    None,
    /// The first ping is due at this time, which the worker was not told yet.
    First(Moment),
    /// The next ping is due at this time.
    Next(Moment),
    /// A ping was sent at this time and waits in our queue. The deadline for its pong starts
    /// when it has left.
    Queued(Moment),
    /// Its pong is due at this time, the ping timeout after the ping left.
    Awaited(Moment),
}

impl Heartbeat {
    /// For a WebSocket that opened just now.
    pub(super) fn begin(now: Moment, config: &Config, random: u64) -> Self {
        let beat = match Beat::next(now, config) {
            Beat::Next(due) => Beat::First(due),
            other => other,
        };
        Self { number: random as u32 | 1, beat, answered: 0 }
    }
}

impl Beat {
    /// The next ping is an interval away.
    fn next(from: Moment, config: &Config) -> Self {
        match config.ping_interval {
            Duration::ZERO => Beat::None,
            interval => Beat::Next(from + interval),
        }
    }
}

impl<H> WebSocketRole<H> {
    /// Sends a ping, unless one waits for its pong already.
    pub(super) fn ping(&mut self, now: Moment, output: &mut Output) -> bool {
        if matches!(self.heartbeat.beat, Beat::Queued(_) | Beat::Awaited(_)) || !self.is_open() {
            return false;
        }
        self.heartbeat.number = self.heartbeat.number.wrapping_add(1).max(1);
        self.heartbeat.beat = Beat::Queued(now);
        let payload = self.heartbeat.number.to_be_bytes();
        self.side.send_control(Opcode::Ping, &payload, output);
        true
    }

    pub(super) fn pings_answered(&self) -> u32 {
        self.heartbeat.answered
    }

    /// After a flush: a ping that has left starts the deadline for its pong.
    #[inline]
    pub(super) fn note_written(&mut self, all: bool, now: Moment, config: &Config) {
        match self.heartbeat.beat {
            Beat::Queued(_) if all => {
                self.heartbeat.beat = Beat::Awaited(now + config.ping_timeout);
            }
            // The worker asks for the deadline after this turn.
            Beat::First(due) => self.heartbeat.beat = Beat::Next(due),
            _ => {}
        }
    }

    /// Notes a pong. Is it the answer to our last ping?
    pub(super) fn pong(&mut self, payload: &[u8], now: Moment, config: &Config) -> bool {
        let Heartbeat { number, beat, answered } = &mut self.heartbeat;
        self.side.last_pong = Some(now);
        // RFC 6455 §5.5.3: a pong may also come unasked; only the answer to our last ping counts.
        let sent = match *beat {
            Beat::Queued(at) => at,
            // The deadline stands still while we do not read, so that time does not count.
            Beat::Awaited(due) => due.before(config.ping_timeout).unwrap_or(now),
            _ => return false,
        };
        if payload != number.to_be_bytes() {
            return false;
        }
        self.side.set_round_trip(now.since(sent));
        *answered = answered.wrapping_add(1);
        *beat = match Beat::next(sent, config) {
            Beat::Next(due) if due <= now => Beat::next(now, config),
            next => next,
        };
        true
    }
}
