//! The end of the server on one worker, in slices between which everything else is served.
//!
//! ```text
//!   signal ──> Door ──────> Telling ─────────> Grace ──> Closing ──────> Draining ──> over
//!              waiting ones  Event::Shutdown             idle ones end,  what is in flight
//!              are accepted  to every scope              Closes leave    is finished
//! ```

use std::time::Duration;

use super::{ACCEPTS, Worker};
use crate::asgi::App;
use crate::bytes::moment::Moment;
use crate::net::listener::BACKLOG;
use crate::net::slab::Key;
use crate::net::world::{Readiness, World};

/// How many batches are accepted before the door is closed: as many as the system lets wait.
const LAST_ACCEPTS: usize = BACKLOG as usize / ACCEPTS + 1;
/// Slots that are gone through in one round.
const SLICE: u32 = 64;

/// A server that is ending.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    /// Everything ends then, whatever peers do.
    deadline: Moment,
    /// Idle connections and WebSockets end then.
    grace: Moment,
    stage: Stage,
}

/// How far the end is.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// Connections that wait are accepted, in so many batches at most.
    Door(usize),
    /// Scopes receive `Event::Shutdown`, from this slot on.
    Telling(u32),
    /// The grace passes.
    Grace,
    /// Connections without a response in flight end, WebSockets get their Close, from this slot on.
    Closing(u32),
    /// What is in flight is waited for.
    Draining,
}

impl Ending {
    fn begin(now: Moment, drain_timeout: Duration, grace: Duration) -> Self {
        let stage = Stage::Door(LAST_ACCEPTS);
        Self { deadline: now + drain_timeout, grace: now + grace.min(drain_timeout), stage }
    }

    /// Of a server without connections.
    pub(super) fn at_once(now: Moment) -> Self {
        Self { deadline: now, grace: now, stage: Stage::Draining }
    }

    pub(super) fn deadline(&self) -> Moment {
        self.deadline
    }

    pub(super) fn lets_in(&self) -> bool {
        matches!(self.stage, Stage::Door(_))
    }

    /// Is it in the middle of a pass, which goes on in the next round?
    pub(super) fn goes_on(&self) -> bool {
        matches!(self.stage, Stage::Door(_) | Stage::Telling(_) | Stage::Closing(_))
    }

    /// When the next stage begins.
    pub(super) fn next(&self) -> Moment {
        match self.stage {
            Stage::Grace => self.grace,
            _ => self.deadline,
        }
    }
}

impl<W: World, A: App> Worker<W, A> {
    /// Ends in order: accepts no more, answers what is in flight.
    pub(super) fn begin_ending(&mut self) {
        if self.ending.is_some() {
            return;
        }
        let (now, config) = (self.tools.round.now, &self.tools.round.config);
        self.ending = Some(Ending::begin(now, config.drain_timeout, config.shutdown_grace));
        // The system has promised an answer to the connections that wait.
        self.acceptable = true;
    }

    /// One slice of the end.
    pub(super) fn go_on_ending(&mut self) {
        let Some(ending) = &self.ending else { return };
        let stage = match ending.stage {
            Stage::Door(left) if self.acceptable && self.accept_retry.is_none() && left > 0 => {
                Stage::Door(left - 1)
            }
            Stage::Door(_) => {
                self.world.stop_accepting();
                self.acceptable = false;
                self.accept_retry = None;
                Stage::Telling(0)
            }
            Stage::Telling(from) => match self.for_slice(from, Self::tell_end) {
                Some(next) => Stage::Telling(next),
                None => Stage::Grace,
            },
            Stage::Grace if self.tools.round.now >= ending.grace => Stage::Closing(0),
            Stage::Closing(from) => match self.for_slice(from, Self::close_idle) {
                Some(next) => Stage::Closing(next),
                None => Stage::Draining,
            },
            stage => stage,
        };
        if let Some(ending) = &mut self.ending {
            ending.stage = stage;
        }
    }

    /// Does this with the connections in some slots, from this one on; tells where to go on.
    fn for_slice(&mut self, from: u32, then: fn(&mut Self, Key)) -> Option<u32> {
        let end = self.connections.slots();
        let next = end.min(from.saturating_add(SLICE));
        for slot in from..next {
            if let Some(key) = self.connections.at(slot) {
                then(self, key);
            }
        }
        (next < end).then_some(next)
    }

    /// What has arrived is served, and its last answer says close; then the scope receives the event.
    fn tell_end(&mut self, key: Key) {
        self.enter(key, |conn, _| conn.last_call());
        self.serve_what_arrived(key);
        self.enter(key, |conn, turn| conn.tell_shutdown(turn));
    }

    /// The grace is over.
    fn close_idle(&mut self, key: Key) {
        self.serve_what_arrived(key);
        self.enter(key, |conn, turn| conn.shutdown(turn));
    }

    /// Bytes that have arrived are served before an end, also if their event has not come yet.
    fn serve_what_arrived(&mut self, key: Key) {
        if let Some(entry) = self.connections.get_mut(key) {
            entry.ready.readable = true;
        }
        self.serve_long(key, Readiness::default(), None);
    }

    /// What is left after the end is cut, and counted.
    pub(super) fn cut_what_is_left(&mut self) {
        for key in self.connections.keys() {
            if let Some(entry) = self.connections.get_mut(key)
                && entry.conn.is_unfinished()
            {
                self.stats.cut(entry.conn.is_websocket());
            }
            self.remove(key);
        }
    }
}
