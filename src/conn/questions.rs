//! What a worker asks of a connection; nothing here changes anything.

use super::linger::Linger;
use super::{Connection, Phase, READ_AHEAD, Role};
use crate::asgi::paths::{PathName, Paths};
use crate::asgi::{Config, Handler};
use crate::bytes::moment::Moment;
use crate::ws::closing::Closing;

impl<H: Handler> Connection<H> {
    /// Is it over, and to be removed?
    #[inline]
    pub fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// Is it at rest: nothing waits in either direction, nobody pauses, owes an answer or holds a
    /// handle? Only bytes of the peer or the deadline can bring anything then, and as long as it is
    /// quiet after each turn, its deadline moves back only.
    #[inline(always)]
    pub fn is_quiet(&self) -> bool {
        self.phase == Phase::Active
            && self.output.is_empty()
            && self.input.is_empty()
            && !(self.stalled | self.eof | self.drain_due)
            && self.write_blocked.is_none()
            && self.unread_since.is_none()
            && self.core.is_quiet()
            && match &self.role {
                Role::Http(role) => role.is_quiet(),
                Role::WebSocket(role) => role.is_quiet(),
            }
    }

    /// Is there something to do that no event of the socket will announce?
    #[inline]
    pub fn has_work(&self, config: &Config) -> bool {
        self.phase != Phase::Ended
            && (self.drain_due
                || (self.stalled && self.takes_input(config))
                || (self.has_file() && self.output.is_empty()))
    }

    /// Should the socket be read?
    #[inline]
    pub fn wants_read(&self, config: &Config) -> bool {
        if self.eof {
            return false;
        }
        match self.phase {
            Phase::Active => {
                // While the parser needs bytes it gets them, up to its own limits; the cap is
                // for bytes that cannot be used yet.
                self.takes_input(config)
                    || ((self.reads_ahead(config) || self.reads_to_the_end())
                        && self.input.len() < READ_AHEAD)
            }
            // The peer may read our answer only when it has sent its body.
            Phase::Closing { linger } => linger == Linger::Body,
            Phase::Lingering => true,
            Phase::Ended => false,
        }
    }

    /// Must the writing side be shut now? True while it lingers; shutting twice is harmless.
    pub fn is_lingering(&self) -> bool {
        self.phase == Phase::Lingering
    }

    /// Do bytes wait for the socket to take them?
    #[inline]
    pub fn wants_write(&self) -> bool {
        !self.output.is_empty()
    }

    /// The next time at which [`Connection::time`] must be called.
    #[inline]
    pub fn deadline(&self, config: &Config) -> Option<Moment> {
        if let (Role::Http(role), Phase::Active) = (&self.role, self.phase)
            && self.write_blocked.is_none()
            && self.unread_since.is_none()
            && self.left_since.is_none()
            && self.core.timer.is_none()
        {
            return role.deadline(false, config);
        }
        self.any_deadline(config)
    }

    fn any_deadline(&self, config: &Config) -> Option<Moment> {
        if let (Phase::Lingering, Some(linger)) = (self.phase, &self.lingering) {
            return Some(linger.until());
        }
        let write = self.write_blocked.as_ref().map(|blocked| blocked.since + config.write_timeout);
        let role = match &self.role {
            _ if self.phase != Phase::Active => None,
            Role::Http(role) => role.deadline(self.unread_since.is_some(), config),
            Role::WebSocket(role) => role.deadline(self.unread_since.is_some()),
        };
        let left = self.left_since.and_then(|_| self.left_deadline(config));
        [write, role, self.core.timer, left].into_iter().flatten().min()
    }

    /// Is it a WebSocket that is open?
    #[inline]
    pub fn is_open_websocket(&self) -> bool {
        match &self.role {
            Role::WebSocket(role) => self.phase == Phase::Active && role.is_open(),
            Role::Http(_) => false,
        }
    }

    /// Does it speak WebSocket?
    pub fn is_websocket(&self) -> bool {
        matches!(&self.role, Role::WebSocket(_))
    }

    /// Is there something that its peer was promised: an answer, the end of one, a Close?
    pub fn is_unfinished(&self) -> bool {
        let in_scope = match &self.role {
            Role::Http(role) => role.has_exchange(),
            Role::WebSocket(role) => role.has_handler(),
        };
        in_scope || !self.output.is_empty()
    }

    /// Is it a WebSocket whose closing handshake is through?
    pub(super) fn is_closed_websocket(&self) -> bool {
        matches!(&self.role, Role::WebSocket(role) if role.side.closing() == Closing::Done)
    }

    /// Bytes of memory that it holds beside itself.
    pub fn bytes_held(&self) -> usize {
        let role = match &self.role {
            Role::Http(_) => 0,
            Role::WebSocket(role) => role.receiver.bytes_held() + role.side.bytes_held(),
        };
        role + self.input.bytes_held() + self.output.bytes_held()
    }

    /// The path of the scope that is, or was last, served here.
    pub fn path(&self, paths: &Paths) -> PathName {
        match &self.role {
            Role::Http(role) => role.path().unwrap_or(paths.last),
            Role::WebSocket(role) => paths.name(role.path),
        }
    }

    /// Bytes that wait for the peer.
    pub fn queued(&self) -> usize {
        self.output.len()
    }

    /// May bytes of the peer be used now?
    #[inline]
    pub(super) fn takes_input(&self, config: &Config) -> bool {
        let role = match &self.role {
            Role::Http(role) => role.takes_input(self.core.paused),
            Role::WebSocket(role) => role.takes_input(self.core.paused),
        };
        // A peer that does not read our answers is not read.
        // [9112-9.5-1]
        role && self.output.len() <= config.high_water
    }

    /// May bytes be read that can only be used later? Not while the application pauses.
    pub(super) fn reads_ahead(&self, config: &Config) -> bool {
        !self.core.paused && self.output.len() <= config.high_water
    }
}
