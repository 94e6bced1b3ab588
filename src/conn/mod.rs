//! Floor 3: one connection, without I/O. Bytes and `now` in, bytes and a deadline out.
//!
//! ```text
//!   worker ──bytes_in──> Connection ──> http role ──(upgrade)──> websocket role
//!          ──filled───>      │             │                          │
//!          ──command──>      │             v                          v
//!          ──time─────>      │          handler  <── one callback at a time
//!          <─end_turn──   output ──> sink
//! ```
//!
//! Whatever comes in (bytes, a command of a handle, a publication, the time) is an entry point
//! of its own; after one or more of them the worker calls [`Connection::end_turn`] (bytes for a
//! connection at rest have all that in one, [`Connection::turn_at_rest`]), which writes
//! what is queued in one go and settles what follows from it: a `Drain`, the next deadline, the
//! end. Bytes that could not be used at once (an answer is due first, the peer does not read,
//! the budget of the turn is used up) wait in the input; [`Connection::has_work`] tells the
//! worker to come back, because no event of the socket will.

pub mod budget;
pub(crate) mod call;
mod client;
mod heartbeat;
mod http;
mod left;
mod linger;
mod pace;
mod questions;
pub mod record;
pub mod trace;
mod turn;
mod unfinished;
mod websocket;

use core::net::SocketAddr;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::asgi::env::Env;
use crate::asgi::groups::Publication;
use crate::asgi::handle::{Address, ScopeCommand};
use crate::asgi::order;
use crate::asgi::outbox::{ScopeCore, Side};
use crate::asgi::scope::ServerAddress;
use crate::asgi::{App, Event, Flow, Handler, Outbox, SendError};
use crate::bytes::input::{Input, SCRATCH};
use crate::bytes::moment::Moment;
use crate::bytes::output::{Output, SharedBytes};
use crate::bytes::pool::Pool;
use crate::ws::receiver::Target;

use budget::{Budget, Clock};
use call::Failure;
use http::{Exchange, HttpRole};
use linger::{Linger, Lingering};
use record::{Cause, Deadline, Record};
use trace::{Observer, Trace};
pub use turn::Loan;
pub use websocket::Compression;
use websocket::WebSocketRole;

/// While an answer is due, this much of what comes next is taken in; then the socket is not
/// read (bytes).
const READ_AHEAD: usize = 64 * 1024;
/// The most that is read at a time of what may have to wait for an answer (bytes).
const ROOM: usize = 2 * READ_AHEAD;
const _: () = assert!(ROOM <= SCRATCH);
/// Where a large message is expected, so much is read at first; the rest is read to where it belongs
/// (bytes).
const FIRST_READ: usize = 16 * 1024;

/// Do bytes come through TLS? Not at any port of this server: who wants TLS has a proxy in front
/// that ends it.
const SECURE: bool = false;

/// What the worker lends for one turn of a connection.
pub struct Turn<'e> {
    /// What applications may need of the world.
    pub env: Env<'e>,
    /// Who watches.
    pub observer: Option<&'e mut dyn Observer>,
    /// What this connection may still do in this turn.
    pub budget: &'e mut Budget,
    /// Looked at in the middle of a long turn; without one only units end it.
    pub clock: Option<&'e mut dyn Clock>,
}

/// The clock, lent on by value: the turn stays where the compiler can see through it.
#[inline(always)]
fn reborrow<'a>(clock: &'a mut Option<&mut dyn Clock>) -> Option<&'a mut dyn Clock> {
    match clock {
        Some(clock) => Some(&mut **clock),
        None => None,
    }
}

impl Turn<'_> {
    /// Counts work; see [`Budget`].
    #[inline(always)]
    fn spend(&mut self, units: usize) {
        self.budget.spend(units, reborrow(&mut self.clock));
    }
}

/// Where a connection came from and to.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// The peer; `None` on a unix socket.
    pub client: Option<SocketAddr>,
    /// Our end, which many connections have in common.
    pub server: Option<Arc<Local>>,
}

/// The server's end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Local {
    /// Address and port.
    Inet(SocketAddr),
    /// The path of a unix socket.
    Unix(Box<Path>),
}

impl Addresses {
    /// Our end, for a scope.
    #[inline(always)]
    fn server(&self) -> Option<ServerAddress<'_>> {
        self.server.as_deref().map(|local| match local {
            Local::Inet(address) => ServerAddress::Inet(*address),
            Local::Unix(path) => ServerAddress::Unix(path),
        })
    }
}

/// How far a connection is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Serving.
    Active,
    /// What is queued is written, then it ends, and the peer may be listened to for a while.
    Closing { linger: Linger },
    /// The writing side is shut; what comes is dropped until the peer ends or the time is over.
    Lingering,
    /// Over: to be removed.
    Ended,
}

/// A peer takes nothing.
struct WriteBlocked {
    since: Moment,
    /// How many bytes had left then.
    written: u64,
}

/// Which protocol a connection speaks.
enum Role<H> {
    Http(Box<HttpRole<H>>),
    WebSocket(Box<WebSocketRole<H>>),
}

/// One connection with its handler.
pub struct Connection<H> {
    slot: u32,
    generation: u32,
    phase: Phase,
    role: Role<H>,
    /// Room for the next exchange, during a turn.
    room: Option<Box<Exchange<H>>>,
    core: ScopeCore,
    input: Input,
    output: Output,
    ends: Addresses,
    /// Bytes wait in the input for another reason than that more are needed: the budget of the
    /// turn was used up, an answer is due first, the application pauses, the peer does not read.
    /// Set where the pump stops for such a reason, cleared when it begins again;
    /// [`Connection::has_work`] asks whether the reason is gone.
    stalled: bool,
    /// The peer will send nothing more, and all that it sent was read.
    eof: bool,
    /// The peer will send nothing more, says the poll.
    left: bool,
    /// A `Drain` is to be told in the next run.
    drain_due: bool,
    /// The server is about to end: what has arrived is served, and the last answer says so.
    last_call: bool,
    /// The server is ending: no further request.
    draining: bool,
    /// Why it ends; the first reason stays.
    cause: Option<Cause>,
    code_told: Option<u16>,
    /// Bytes that came.
    received: u64,
    /// Set while the peer takes nothing; few do that, so it is behind a pointer.
    write_blocked: Option<Box<WriteBlocked>>,
    /// Set in [`Phase::Lingering`].
    lingering: Option<Box<Lingering>>,
    /// Since when we do not read.
    unread_since: Option<Moment>,
    /// Since when the application pauses although the peer has left.
    left_since: Option<Moment>,
}

impl<H: Handler> Connection<H> {
    /// A fresh connection in this slot.
    pub fn new(slot: u32, generation: u32, addresses: Addresses, env: &Env<'_>) -> Self {
        Self {
            slot,
            generation,
            phase: Phase::Active,
            // The deadline for the first head starts at accept, before the first byte: a peer
            // that never says anything must not stay.
            role: Role::Http(Box::new(HttpRole::new(
                env.round.now + env.round.config.head_timeout,
            ))),
            room: None,
            core: ScopeCore::default(),
            input: Input::default(),
            output: Output::default(),
            ends: addresses,
            stalled: false,
            eof: false,
            left: false,
            drain_due: false,
            last_call: false,
            draining: false,
            cause: None,
            code_told: None,
            received: 0,
            write_blocked: None,
            lingering: None,
            unread_since: None,
            left_since: None,
        }
    }

    // ---- entry points -------------------------------------------------------------------

    /// Bytes arrived, in the worker's scratch buffer. They are used there; what cannot be used
    /// yet is kept.
    pub fn bytes_in<A>(&mut self, app: &A, bytes: &mut [u8], turn: &mut Turn<'_>)
    where
        A: App<Handler = H>,
    {
        self.received += bytes.len() as u64;
        turn.spend(bytes.len());
        if self.phase != Phase::Active {
            return self.drop_bytes(bytes, turn);
        }
        if self.input.is_empty() {
            self.use_or_keep(app, bytes, turn);
        } else {
            self.input.keep(bytes, &mut turn.env.kit.pool);
            self.pump_input(app, turn);
        }
    }

    /// Uses what it can of bytes that nothing waits before, and keeps the rest.
    fn use_or_keep<A>(&mut self, app: &A, bytes: &mut [u8], turn: &mut Turn<'_>)
    where
        A: App<Handler = H>,
    {
        let used = self.pump(app, bytes, turn);
        if used < bytes.len() {
            self.input.keep(&bytes[used..], &mut turn.env.kit.pool);
        }
    }

    /// Memory that wants to be the target of the next read, if a large message is arriving.
    #[inline]
    pub fn read_target(&mut self, pool: &mut Pool) -> Option<Target<'_>> {
        match &mut self.role {
            Role::WebSocket(role)
                if self.phase == Phase::Active && self.input.is_empty() && !self.core.paused =>
            {
                role.receiver.read_target(pool)
            }
            _ => None,
        }
    }

    /// How much of a scratch buffer of this size the next read should fill.
    #[inline]
    pub fn read_room(&mut self, size: usize) -> usize {
        if self.reads_to_the_end() {
            return READ_AHEAD.saturating_sub(self.input.len()).clamp(1, size);
        }
        match &mut self.role {
            // What may have to wait for an answer is bounded; the bytes of a body do not wait.
            Role::Http(role) => role.body_left().saturating_add(ROOM).min(size),
            Role::WebSocket(role) => match role.receiver.expects_large() {
                true => FIRST_READ.min(size),
                false => size,
            },
        }
    }

    /// As [`Connection::read_room`], for a connection that is quiet.
    #[inline(always)]
    pub fn room_at_rest(&self) -> usize {
        match &self.role {
            Role::Http(_) => ROOM,
            Role::WebSocket(_) => SCRATCH,
        }
    }

    /// The first `n` bytes of what [`Connection::read_target`] lent were filled.
    pub fn filled(&mut self, n: usize, turn: &mut Turn<'_>) {
        self.received += n as u64;
        turn.spend(n);
        self.websocket_filled(n, turn);
    }

    /// The peer will send nothing more (a FIN).
    pub fn eof<A: App<Handler = H>>(&mut self, app: &A, turn: &mut Turn<'_>) {
        self.eof = true;
        self.run(app, turn);
    }

    /// The socket failed: nothing more can be read or written.
    pub fn lost(&mut self, error: io::ErrorKind, turn: &mut Turn<'_>) {
        self.set_cause(Cause::Network(error));
        self.abort(turn);
    }

    /// Goes on with what waits: a `Drain` that is due, bytes in the input, the peer's end.
    pub fn run<A: App<Handler = H>>(&mut self, app: &A, turn: &mut Turn<'_>) {
        if std::mem::take(&mut self.drain_due) {
            self.tell_drain(turn);
        }
        if self.has_file() {
            self.pump_file(turn);
        }
        if !self.input.is_empty() || self.is_inflating() {
            self.pump_input(app, turn);
        } else {
            self.stalled = false;
        }
        // The peer's end comes after what it sent before; but if that waits for an answer that the
        // peer's end prevents, the end counts at once.
        let ends_first = match &self.role {
            Role::Http(role) => role.waits_in_vain(&turn.env.round.config),
            Role::WebSocket(role) => role.side.order() == order::WebSocket::Connecting,
        };
        if self.eof && (!self.stalled || ends_first) {
            self.peer_ended(turn);
        }
    }

    /// A command from a handle of this connection.
    pub fn command(&mut self, number: u32, command: ScopeCommand, turn: &mut Turn<'_>) {
        // A handle of an earlier scope: it misses.
        if number != self.core.number || self.phase != Phase::Active {
            return;
        }
        if let Some(cell) = &self.core.cell {
            cell.taken(command.cost());
        }
        match command {
            ScopeCommand::Send(event) => self
                .send_for_handle(turn, |out| event.with(|event| (out.send(event), event.name()))),
            ScopeCommand::Respond(response) => self.send_for_handle(turn, |out| {
                let sent = response.with(|status, fields, body| out.respond(status, fields, body));
                (sent, "http.response.start")
            }),
            // Without a handler it ends here, under the guard.
            ScopeCommand::Post(value) if self.has_handler() => {
                self.tell_scope(Event::Custom(value.into_value()), turn);
            }
            ScopeCommand::Post(_) => {}
            ScopeCommand::Resume => {
                if let Some(cell) = &self.core.cell {
                    cell.resumed();
                }
                self.core.paused = false;
                self.resumed(turn);
            }
            ScopeCommand::HandlesGone => self.settle_scope(turn),
            ScopeCommand::Overrun => {
                self.set_cause(Cause::Overrun);
                self.abort(turn);
            }
        }
    }

    /// A publication for a group that this connection is in. Tells whether it was taken; not so
    /// if the peer reads too slowly.
    #[inline]
    pub fn deliver(&mut self, publication: &Arc<Publication>, turn: &mut Turn<'_>) -> Delivered {
        let Role::WebSocket(role) = &mut self.role else { return Delivered::NotOpen };
        if self.phase != Phase::Active || !role.is_open() {
            return Delivered::NotOpen;
        }
        let high_water = turn.env.round.config.high_water;
        if self.output.len() > high_water {
            return Delivered::Full;
        }
        match role.side.deflater() {
            None => {
                let frame = (**publication).as_ref();
                self.output.share_as(frame, || Arc::clone(publication) as SharedBytes);
            }
            Some(deflater) => {
                let frame = publication.frame_for(deflater, &mut turn.env.kit.deflate);
                self.output.share(&frame);
            }
        }
        if self.output.len() > high_water {
            self.core.crowded = true;
        }
        Delivered::Queued
    }

    /// The deadline may have passed.
    pub fn time<A: App<Handler = H>>(&mut self, app: &A, turn: &mut Turn<'_>) {
        let now = turn.env.round.now;
        if self.phase == Phase::Lingering {
            if self.lingering.as_ref().is_none_or(|linger| now >= linger.until()) {
                self.phase = Phase::Ended;
            }
            return;
        }
        if self.core.timer.is_some_and(|due| now >= due) {
            self.core.timer = None;
            self.tell_scope(Event::Timer, turn);
        }
        if self.left_since.is_some() && self.is_left_for_good(now, &turn.env.round.config) {
            return self.left_for_good(turn);
        }
        if let Some(since) = self.write_blocked.as_ref().map(|blocked| blocked.since)
            && now >= since + turn.env.round.config.write_timeout
        {
            self.set_cause(Cause::DeadlinePassed(Deadline::Write));
            self.abort(turn);
            return;
        }
        if self.phase == Phase::Active {
            match &self.role {
                Role::Http(_) => self.http_time(turn),
                Role::WebSocket(_) => self.websocket_time(turn),
            }
        }
        if self.has_work(&turn.env.round.config) {
            self.run(app, turn);
        }
    }

    /// The server is about to end: requests that arrive in the grace are still taken, and the last
    /// one of them is answered with `Connection: close`. [`Connection::tell_shutdown`] and, after
    /// the grace, [`Connection::shutdown`] follow.
    pub fn last_call(&mut self) {
        self.last_call = true;
    }

    /// Tells the scope that the server is ending, once.
    pub fn tell_shutdown(&mut self, turn: &mut Turn<'_>) {
        let has_scope = match &mut self.role {
            Role::Http(role) => role.begin_shutdown(self.input.is_empty()),
            Role::WebSocket(role) => role.has_scope(),
        };
        if self.phase == Phase::Active && has_scope && !self.core.told_shutdown {
            self.core.told_shutdown = true;
            self.tell_scope(Event::Shutdown, turn);
        }
    }

    /// The grace is over: requests in flight are answered, everything else ends.
    pub fn shutdown(&mut self, turn: &mut Turn<'_>) {
        if self.is_closed_websocket() {
            // Both Closes were exchanged: nobody is owed anything for which a drain would wait.
            match self.phase {
                Phase::Lingering => self.phase = Phase::Ended,
                Phase::Closing { .. } => self.phase = Phase::Closing { linger: Linger::No },
                Phase::Active | Phase::Ended => {}
            }
        }
        self.stop_lingering();
        // A scope that began in the grace.
        self.tell_shutdown(turn);
        if self.draining || self.phase != Phase::Active {
            return;
        }
        self.draining = true;
        match &self.role {
            Role::Http(_) => self.http_shutdown(),
            Role::WebSocket(_) => self.websocket_shutdown(turn),
        }
    }

    /// Ends the connection at once, whatever is queued.
    pub fn abort(&mut self, turn: &mut Turn<'_>) {
        if self.phase == Phase::Ended {
            return;
        }
        self.set_cause(Cause::Shutdown);
        self.scope_lost(turn);
        self.input.clear(&mut turn.env.kit.pool);
        self.phase = Phase::Ended;
    }

    /// The record of how it ended; the connection is over.
    pub fn finish(mut self, turn: &mut Turn<'_>) -> Record {
        self.abort(turn);
        self.scope_lost(turn);
        let (last_pong, round_trip, code_sent) = match &self.role {
            Role::Http(_) => (None, None, None),
            Role::WebSocket(role) => role.record(turn.env.round.now),
        };
        let record = Record {
            cause: self.cause.unwrap_or(Cause::PeerClosed),
            websocket: matches!(self.role, Role::WebSocket(_)),
            code_sent,
            code_told: self.code_told,
            last_pong,
            round_trip,
            queued: self.output.len(),
            received: self.received,
            sent: self.output.written(),
        };
        self.trace(turn, &Trace::Ended(&record));
        self.output.clear();
        record
    }

    // ---- inside -------------------------------------------------------------------------

    /// Uses bytes from the beginning of `bytes`; tells how many were used.
    fn pump<A>(&mut self, app: &A, bytes: &mut [u8], turn: &mut Turn<'_>) -> usize
    where
        A: App<Handler = H>,
    {
        let mut used = 0;
        self.stalled = false;
        // [9112-9.6-4] [9112-9.6-6] [6455-7.1.7-4]
        while self.phase == Phase::Active {
            let before = used;
            used += match &self.role {
                Role::Http(_) => self.pump_http(app, &mut bytes[used..], turn),
                Role::WebSocket(_) => self.pump_websocket(&mut bytes[used..], turn),
            };
            // Again only if the other role took over in between.
            if used == bytes.len() || used == before || self.stalled {
                break;
            }
        }
        if self.phase == Phase::Active {
            used
        } else {
            // Nothing more is read as a request or frame.
            self.stalled = false;
            self.drop_bytes(&mut bytes[used..], turn);
            bytes.len()
        }
    }

    fn pump_input<A: App<Handler = H>>(&mut self, app: &A, turn: &mut Turn<'_>) {
        let (mut bytes, start) = self.input.take();
        let used = self.pump(app, &mut bytes[start..], turn);
        self.input.restore(bytes, start + used, &mut turn.env.kit.pool);
    }

    /// The peer's FIN, with all it sent before used up.
    fn peer_ended(&mut self, turn: &mut Turn<'_>) {
        match (&self.role, self.phase) {
            (_, Phase::Ended) => {}
            (_, Phase::Lingering) => self.phase = Phase::Ended,
            (_, Phase::Closing { .. }) => self.phase = Phase::Closing { linger: Linger::No },
            (Role::Http(_), Phase::Active) => self.http_peer_ended(turn),
            (Role::WebSocket(_), Phase::Active) => self.websocket_peer_ended(turn),
        }
    }

    /// Is there a handler for an event?
    fn has_handler(&self) -> bool {
        match &self.role {
            Role::Http(role) => role.has_handler(),
            Role::WebSocket(role) => role.has_handler(),
        }
    }

    /// Tells the current scope's handler an event that is not about the peer's bytes.
    fn tell_scope(&mut self, event: Event<'_>, turn: &mut Turn<'_>) {
        turn.spend(budget::CALLBACK);
        match &self.role {
            Role::Http(_) => self.tell_http(event, turn),
            Role::WebSocket(_) => self.tell_websocket(event, turn),
        }
    }

    /// After a command: is anything left that could answer?
    fn settle_scope(&mut self, turn: &mut Turn<'_>) {
        match &self.role {
            Role::Http(_) => self.settle_http(turn),
            Role::WebSocket(_) => self.settle_websocket(turn),
        }
    }

    /// The application resumed.
    fn resumed(&mut self, turn: &mut Turn<'_>) {
        if let Role::Http(_) = self.role {
            self.http_resumed(turn);
        }
        self.stalled |= !self.input.is_empty();
    }

    /// Sends for a handle what it posted.
    fn send_for_handle(
        &mut self,
        turn: &mut Turn<'_>,
        send: impl FnOnce(&mut Outbox<'_>) -> (Result<Flow, SendError>, &'static str),
    ) {
        let sent = self.with_outbox(turn, send);
        let Some((Err(error), name)) = sent else {
            return self.settle_scope(turn);
        };
        if error == SendError::Closed {
            return self.settle_scope(turn);
        }
        Failure::error(error).log(name, &mut turn.env);
        match &self.role {
            Role::Http(_) => self.http_failed(turn),
            Role::WebSocket(_) => self.websocket_failed_handler(turn),
        }
    }

    /// Makes an outbox for the current scope.
    fn with_outbox<R>(
        &mut self,
        turn: &mut Turn<'_>,
        then: impl FnOnce(&mut Outbox<'_>) -> R,
    ) -> Option<R> {
        let side = match &mut self.role {
            Role::Http(role) => Side::Http(role.side_mut()?),
            Role::WebSocket(role) => Side::WebSocket(&mut role.side),
        };
        let mut out = Outbox::new(
            side,
            &mut self.core,
            &mut self.output,
            turn.env.reborrow(),
            self.slot,
            self.generation,
        );
        Some(then(&mut out))
    }

    /// The scope ends because the connection does: tells the handler once and drops it.
    fn scope_lost(&mut self, turn: &mut Turn<'_>) {
        match &self.role {
            Role::Http(_) => self.http_scope_lost(turn),
            Role::WebSocket(_) => self.websocket_scope_lost(turn),
        }
    }

    fn has_file(&self) -> bool {
        matches!(&self.role, Role::Http(role) if role.has_file())
    }

    /// Writes what is queued, then ends; with `linger` a peer that still sends is listened to,
    /// so that our last words are not lost with a reset (RFC 9112 §9.6).
    fn close(&mut self, cause: Cause, linger: bool) {
        self.close_and(cause, if linger { Linger::Short } else { Linger::No });
    }

    fn close_and(&mut self, cause: Cause, linger: Linger) {
        self.set_cause(cause);
        if self.phase == Phase::Active {
            self.phase = Phase::Closing { linger };
        }
    }

    fn set_cause(&mut self, cause: Cause) {
        self.cause.get_or_insert(cause);
    }

    #[inline]
    fn trace(&self, turn: &mut Turn<'_>, event: &Trace<'_>) {
        if let Some(observer) = &mut turn.observer {
            let address =
                Address { slot: self.slot, generation: self.generation, scope: self.core.number };
            observer.observe(address, event);
        }
    }
}

/// What became of a publication at one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// It is in the member's queue.
    Queued,
    /// The member reads too slowly and was skipped.
    Full,
    /// The member is not open (any more).
    NotOpen,
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::asgi::AppError;

    struct Nothing;

    impl Handler for Nothing {
        fn receive(&mut self, _: Event<'_>, _: &mut Outbox<'_>) -> Result<(), AppError> {
            Ok(())
        }
    }

    #[test]
    fn our_end_is_told_as_it_is() {
        let server = |local| {
            Addresses { client: None, server: local }.server().map(|server| format!("{server:?}"))
        };
        let unix = server(Some(Arc::new(Local::Unix(Path::new("/run/x.sock").into()))));
        assert_eq!(unix.as_deref(), Some("Unix(\"/run/x.sock\")"));
        let inet = server(Some(Arc::new(Local::Inet("[fe80::1%3]:1".parse().unwrap()))));
        assert_eq!(inet.as_deref(), Some("Inet([fe80::1%3]:1)"));
        assert_eq!(server(None), None);
    }

    /// Whoever makes this larger pays it for every idle connection.
    #[test]
    fn an_idle_connection_is_small() {
        println!(
            "role {} http {} core {} input {} output {} ends {} phase {} cause {} recv {}",
            size_of::<Role<Nothing>>(),
            size_of::<HttpRole<Nothing>>(),
            size_of::<ScopeCore>(),
            size_of::<Input>(),
            size_of::<Output>(),
            size_of::<Addresses>(),
            size_of::<Phase>(),
            size_of::<Option<Cause>>(),
            size_of::<crate::http::receiver::Receiver>()
        );
        assert!(size_of::<Connection<Nothing>>() <= 360, "{}", size_of::<Connection<Nothing>>());
        // The handler lives in the room for an exchange, which is the worker's.
        assert_eq!(size_of::<Connection<[u8; 1000]>>(), size_of::<Connection<Nothing>>());
    }
}
