//! A connection in the client's role (RFC 6455 §4.1, §5.1, §7.1.1): it begins open, masks what
//! it sends, and leaves it to the server to end the TCP connection.
//!
//! Everything else is what a server's connection does: the same receiver, sender, heartbeat and
//! closing handshake.

use std::time::Duration;

use super::record::Cause;
use super::websocket::{Compression, WebSocketRole};
use super::{Addresses, Connection, Phase, Role, Turn};
use crate::asgi::env::Env;
use crate::asgi::{Handler, Outbox};
use crate::ws::mask::Keys;

impl<H: Handler> Connection<H> {
    /// A client's end of a WebSocket whose handshake is done. `handler` is told what comes, as
    /// a server's is, but for the connect event.
    pub fn of_client(
        handler: H,
        keys: Box<dyn Keys>,
        compression: Option<Compression>,
        env: &Env<'_>,
    ) -> Self {
        let addresses = Addresses { client: None, server: None };
        let role = WebSocketRole::of_client(handler, keys, compression, env);
        let mut connection = Self::new(0, 0, addresses, env);
        connection.role = Role::WebSocket(Box::new(role));
        connection
    }

    /// Calls `then` with the outbox of the scope, from outside of a callback: for the owner of a
    /// client's connection. `None` after its end.
    pub fn with_owner<R>(
        &mut self,
        turn: &mut Turn<'_>,
        then: impl FnOnce(&mut Outbox<'_>) -> R,
    ) -> Option<R> {
        if self.phase != Phase::Active {
            return None;
        }
        let outcome = self.with_outbox(turn, then);
        self.settle_websocket(turn);
        outcome
    }

    /// Sends a ping now, unless one waits for its pong already.
    pub fn ping(&mut self, turn: &mut Turn<'_>) {
        if self.phase == Phase::Active
            && let Role::WebSocket(role) = &mut self.role
        {
            role.ping(turn.env.round.now, &mut self.output);
        }
    }

    /// Its owner did not read for so long: what was arriving is not late with that.
    pub fn was_not_read(&mut self, pause: Duration) {
        if let Role::WebSocket(role) = &mut self.role {
            role.shift_unfinished(pause);
        }
    }

    /// How many of our pings were answered. A pong that came unasked answers none.
    pub fn pings_answered(&self) -> u32 {
        match &self.role {
            Role::WebSocket(role) => role.pings_answered(),
            Role::Http(_) => 0,
        }
    }

    /// Why it ended, or is about to.
    pub fn cause(&self) -> Option<Cause> {
        self.cause
    }

    /// Will nothing more be sent: has either end begun to close?
    pub fn is_closing(&self) -> bool {
        !self.is_open_websocket()
    }
}
