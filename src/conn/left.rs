//! A peer that leaves while the application pauses.
//!
//! A paused connection is not read, so the peer's end stays unseen behind what it sent before. The
//! poll knows of it ([`Connection::peer_will_send_no_more`]): then so much is read ahead, and not
//! looked at, as anybody reads ahead. If the end is there and nothing before it, the connection
//! ends. Otherwise the application has a little time to resume; when that is over, what waits of a
//! WebSocket is looked through for a Close, and the connection ends.

use std::time::Duration;

use super::record::Cause;
use super::{Connection, Phase, Role, Turn};
use crate::asgi::{Config, Handler};
use crate::bytes::moment::Moment;

/// How long the application may go on pausing.
const PATIENCE: Duration = Duration::from_secs(2);

impl<H: Handler> Connection<H> {
    /// A hint: the peer will send nothing more (its FIN is in the socket).
    #[inline]
    pub fn peer_will_send_no_more(&mut self) {
        self.left = true;
    }

    /// Is the peer about to be read to its end, although the application pauses?
    pub(super) fn reads_to_the_end(&self) -> bool {
        self.left && self.core.paused
    }

    /// Does the application pause, while the peer's end has ended its scope already?
    fn is_left_behind(&self, config: &Config) -> bool {
        (self.left || self.eof)
            && self.core.paused
            && self.phase == Phase::Active
            && match &self.role {
                Role::Http(role) => !role.takes_input(true) && !role.outlives_peer(config),
                Role::WebSocket(role) => !role.takes_input(true),
            }
    }

    /// After a turn: since when is the application left behind?
    pub(super) fn note_left(&mut self, now: Moment, config: &Config) {
        match self.is_left_behind(config) {
            true => drop(self.left_since.get_or_insert(now)),
            false => self.left_since = None,
        }
    }

    /// When it ends if the application goes on pausing.
    pub(super) fn left_deadline(&self, config: &Config) -> Option<Moment> {
        match &self.role {
            // The application may go on with the rest of the request for as long as with an answer.
            Role::Http(_) if config.half_close => config.answer_due(self.left_since?),
            _ => Some(self.left_since? + PATIENCE),
        }
    }

    /// Has the application paused for too long? If it went on meanwhile, that is noted.
    pub(super) fn is_left_for_good(&mut self, now: Moment, config: &Config) -> bool {
        self.note_left(now, config);
        self.left_deadline(config).is_some_and(|due| now >= due)
    }

    /// The application has paused for too long.
    pub(super) fn left_for_good(&mut self, turn: &mut Turn<'_>) {
        self.left_since = None;
        match &self.role {
            Role::Http(_) => {
                self.http_scope_lost(turn);
                self.close(Cause::PeerVanished, false);
            }
            Role::WebSocket(_) => self.websocket_left(turn),
        }
    }
}
