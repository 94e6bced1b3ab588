//! What a handler answers through: [`Outbox`].
//!
//! [`Outbox::send`] looks the event up in the law ([`super::order`]) and encodes it **at once**
//! into the connection's output. What differs between the kinds of scope is in a *side*:
//! [`HttpSide`], [`WebSocketSide`], [`LifespanSide`].

mod http;
mod lifespan;
mod websocket;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::Message;
use super::env::{Effect, Env};
use super::event::SendEvent;
use super::groups::{Delivery, Groups, Parcel, Publication};
use super::handle::{Address, Cell, Handle};
use super::order::{self, Verdict};
use crate::bytes::moment::Moment;
use crate::bytes::output::{Mark, Output};
use crate::http::sender::{Field, Invalid};

pub use http::{FileBody, HttpSide};
pub use lifespan::{LifespanAnswer, LifespanSide};
pub use websocket::WebSocketSide;

/// A payload larger than this is offered to the socket instead of being copied (bytes).
const COPY_UP_TO: usize = 8 * 1024;

/// How the peer keeps up with what is sent. A sender that ignores `Full` is cut off at the hard
/// limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Send on.
    Ready,
    /// More than the high-water mark is queued: stop, and wait for
    /// [`Event::Drain`](super::Event::Drain), which comes exactly once.
    Full,
}

/// Why an event was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The peer is gone or the connection is closing. Not a mistake: not logged when the
    /// handler returns it.
    Closed,
    /// The event may not follow what was sent before.
    OutOfOrder {
        /// The event, by its ASGI name.
        event: &'static str,
        /// The state in which it came.
        state: &'static str,
    },
    /// The event itself is wrong; nothing of it was sent.
    Invalid(Invalid),
}

impl std::fmt::Display for SendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SendError::Closed => f.write_str("the connection is closed"),
            SendError::OutOfOrder { event, state } => {
                write!(f, "{event} is out of order: {state}")
            }
            SendError::Invalid(what) => f.write_str(what.rule()),
        }
    }
}

impl std::error::Error for SendError {}

impl From<Invalid> for SendError {
    fn from(invalid: Invalid) -> Self {
        SendError::Invalid(invalid)
    }
}

/// What every scope has, whatever its kind.
#[derive(Debug, Default)]
pub struct ScopeCore {
    /// The number of the scope on its connection.
    pub number: u32,
    /// Shared with the handles, once there is one.
    pub cell: Option<Arc<Cell>>,
    /// The application takes no more for now.
    pub paused: bool,
    /// When [`Event::Timer`](super::Event::Timer) is due.
    pub timer: Option<Moment>,
    /// The outbox said `Full`; a `Drain` is owed.
    pub full: bool,
    /// More than the high-water mark was queued, by a send or by a publication: the next send has
    /// to look whether it still is, and whether the hard limit is passed.
    pub crowded: bool,
    /// The connection is as good as over, whatever the handler does: the sink failed, or a send
    /// passed the hard limit.
    pub lost: bool,
    /// The handler received [`Event::Shutdown`](super::Event::Shutdown).
    pub told_shutdown: bool,
    /// How the sink failed, if that is it.
    pub broken: Option<io::ErrorKind>,
}

impl ScopeCore {
    /// Is there anything but further events of the peer that could make the handler act?
    pub fn can_still_answer(&self) -> bool {
        let handles = self.cell.as_ref().is_some_and(|cell| cell.can_still_answer());
        handles || self.timer.is_some() || self.full
    }

    /// The sink failed.
    pub fn fail(&mut self, kind: io::ErrorKind) {
        self.lost = true;
        self.broken = Some(kind);
    }

    /// Has the application asked for nothing, and is nothing owed to it?
    #[inline(always)]
    pub fn is_quiet(&self) -> bool {
        !(self.paused | self.full | self.lost | self.told_shutdown)
            && self.cell.is_none()
            && self.timer.is_none()
    }

    /// The scope has ended: its handles miss from now on.
    pub fn end(&mut self) {
        if let Some(cell) = self.cell.take() {
            cell.end();
        }
        let number = self.number;
        *self = Self { number, ..Self::default() };
    }
}

/// The side of the scope's kind.
pub enum Side<'a> {
    /// An HTTP request.
    Http(&'a mut HttpSide),
    /// A WebSocket.
    WebSocket(&'a mut WebSocketSide),
    /// The server's life.
    Lifespan(&'a mut LifespanSide),
}

/// Takes a handler's answers during one call of
/// [`Handler::receive`](super::Handler::receive).
///
/// To answer after the call has returned, from any thread, take a [`Handle`].
pub struct Outbox<'a> {
    side: Side<'a>,
    core: &'a mut ScopeCore,
    output: &'a mut Output,
    env: Env<'a>,
    slot: u32,
    generation: u32,
}

impl<'a> Outbox<'a> {
    /// For one call into one scope of the connection in this slot.
    #[inline]
    pub fn new(
        side: Side<'a>,
        core: &'a mut ScopeCore,
        output: &'a mut Output,
        env: Env<'a>,
        slot: u32,
        generation: u32,
    ) -> Self {
        Self { side, core, output, env, slot, generation }
    }

    /// Sends an event: checks its order, encodes it at once, and tells whether the peer keeps
    /// up.
    ///
    /// # Errors
    /// See [`SendError`]. After an error nothing of the event was sent.
    pub fn send(&mut self, event: SendEvent<'_>) -> Result<Flow, SendError> {
        self.before_send()?;
        match &mut self.side {
            Side::Http(side) => side.send(event, self.core, self.output, &mut self.env)?,
            Side::WebSocket(side) => side.send(event, self.core, self.output, &mut self.env)?,
            Side::Lifespan(side) => side.send(event)?,
        }
        Ok(self.flow())
    }

    /// Sends a whole response, in one go: `http.response.start` and `http.response.body`.
    /// Content-Length is added if the fields have none. For a WebSocket that was not accepted
    /// yet it is the denial response.
    ///
    /// # Errors
    /// As [`Outbox::send`].
    #[inline]
    pub fn respond(
        &mut self,
        status: u16,
        headers: &[Field<'_>],
        body: impl AsRef<[u8]>,
    ) -> Result<Flow, SendError> {
        self.respond_bytes(status, headers, body.as_ref())
    }

    fn respond_bytes(
        &mut self,
        status: u16,
        headers: &[Field<'_>],
        body: &[u8],
    ) -> Result<Flow, SendError> {
        self.before_send()?;
        match &mut self.side {
            Side::Http(side) => {
                side.whole(status, headers, body, self.core, self.output, &mut self.env)?;
            }
            Side::WebSocket(side) => {
                side.deny_start(status, headers, self.output, &self.env)?;
                side.deny_body(body, false, self.core, self.output, &mut self.env)?;
            }
            Side::Lifespan(side) => return Err(side.out_of_order("http.response.start")),
        }
        Ok(self.flow())
    }

    /// Accepts the WebSocket, without a subprotocol: `websocket.accept`.
    ///
    /// # Errors
    /// As [`Outbox::send`].
    pub fn accept(&mut self) -> Result<Flow, SendError> {
        self.send(SendEvent::WebSocketAccept { subprotocol: None, headers: &[] })
    }

    /// Sends a WebSocket message: `websocket.send`. A `&str` is a text message, a `&[u8]` a
    /// binary one.
    ///
    /// # Errors
    /// As [`Outbox::send`].
    #[inline]
    pub fn message<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<Flow, SendError> {
        self.send_message(message.into())
    }

    #[inline]
    fn send_message(&mut self, message: Message<'_>) -> Result<Flow, SendError> {
        self.before_send()?;
        match &mut self.side {
            Side::WebSocket(side) => {
                side.message(message, self.core, self.output, &mut self.env)?;
            }
            Side::Http(side) => return Err(side.out_of_order("websocket.send")),
            Side::Lifespan(side) => return Err(side.out_of_order("websocket.send")),
        }
        Ok(self.flow())
    }

    /// Closes the WebSocket: `websocket.close`. Before accept it refuses it with a 403.
    ///
    /// # Errors
    /// As [`Outbox::send`].
    pub fn close(&mut self, code: u16, reason: &str) -> Result<Flow, SendError> {
        self.send(SendEvent::WebSocketClose { code, reason })
    }

    /// A handle to answer later, from any thread.
    pub fn handle(&mut self) -> Handle {
        let cell = self.core.cell.get_or_insert_with(|| {
            let address =
                Address { slot: self.slot, generation: self.generation, scope: self.core.number };
            let config = &self.env.round.config;
            let mailbox = Arc::clone(&self.env.round.mailbox);
            Cell::new(mailbox, address, config.high_water, config.hard_limit)
        });
        Handle::new(cell)
    }

    /// Takes no more of the peer for now: no further [`Event::HttpRequest`] or
    /// [`Event::WebSocketReceive`] until [`Outbox::resume`] or [`Handle::resume`]. Meanwhile the
    /// socket is not read, and the peer's deadlines stand still.
    ///
    /// [`Event::HttpRequest`]: super::Event::HttpRequest
    /// [`Event::WebSocketReceive`]: super::Event::WebSocketReceive
    pub fn pause(&mut self) {
        self.core.paused = true;
    }

    /// Ends a pause.
    pub fn resume(&mut self) {
        self.core.paused = false;
    }

    /// Sets a value of the [`State`](super::State) that every later scope finds. At startup, in
    /// the lifespan scope, before `lifespan.startup.complete`.
    ///
    /// # Errors
    /// [`SendError::OutOfOrder`] anywhere else.
    pub fn insert_state<T: std::any::Any + Send + Sync>(
        &mut self,
        value: T,
    ) -> Result<(), SendError> {
        match &mut self.side {
            Side::Lifespan(side) if side.is_starting() => {
                side.state.insert(value);
                Ok(())
            }
            Side::Lifespan(side) => Err(side.out_of_order("oneport.insert_state")),
            Side::Http(side) => Err(side.out_of_order("oneport.insert_state")),
            Side::WebSocket(side) => Err(side.out_of_order("oneport.insert_state")),
        }
    }

    /// Asks for one [`Event::Timer`](super::Event::Timer) after this time. A scope has one
    /// timer; asking again moves it.
    pub fn wake_after(&mut self, duration: Duration) {
        self.core.timer = Some(self.env.round.now + duration);
    }

    /// Joins a group: this WebSocket gets what is published there. Joining twice is joining
    /// once; a connection that ends leaves its groups.
    ///
    /// # Errors
    /// [`SendError::OutOfOrder`] unless the WebSocket is accepted; [`SendError::Closed`] after
    /// its end.
    pub fn join(&mut self, group: &str) -> Result<(), SendError> {
        self.check_open("oneport.join")?;
        let round = self.env.round;
        if let Some(branch) = round.groups.branch(&round.mailbox) {
            branch.expects(group);
        }
        self.env.kit.effects.push(Effect::Join(group.into()));
        Ok(())
    }

    /// Leaves a group. Leaving a group one is not in does nothing.
    ///
    /// # Errors
    /// As [`Outbox::join`].
    pub fn leave(&mut self, group: &str) -> Result<(), SendError> {
        self.check_open("oneport.leave")?;
        self.env.kit.effects.push(Effect::Leave(group.into()));
        Ok(())
    }

    /// Publishes to a group, from any kind of scope. It is done after the callback has
    /// returned, behind everything that this callback sends itself, to those who are members
    /// then. If 64 MiB of publications wait on a worker already it is refused there: see
    /// [`Delivery::refused`]. To one receiver, what one handler publishes arrives in order; what handlers on
    /// different workers publish may overtake each other.
    pub fn publish<'m>(&mut self, group: &str, message: impl Into<Message<'m>>) -> Delivery {
        let publication = Arc::new(Publication::new(group, message.into()));
        self.env.kit.effects.push(Effect::Publish(Parcel::new(&publication)));
        Delivery::new(&publication)
    }

    /// The server's groups, for publishing from elsewhere.
    pub fn groups(&self) -> Groups {
        self.env.round.groups.clone()
    }

    /// How long the peer took to answer our last ping (RFC 6455 §5.5.2); `None` before the
    /// first pong, and for other scopes than an open WebSocket.
    pub fn round_trip(&self) -> Option<Duration> {
        match &self.side {
            Side::WebSocket(side) => side.round_trip(),
            _ => None,
        }
    }

    /// How long ago the last pong came; `None` as for [`Outbox::round_trip`].
    pub fn last_pong(&self) -> Option<Duration> {
        match &self.side {
            Side::WebSocket(side) => side.last_pong.map(|at| self.env.round.now.since(at)),
            _ => None,
        }
    }

    /// Bytes that wait for the peer.
    pub fn queued(&self) -> usize {
        self.output.len()
    }

    /// Does everything stand as it stood before the callback, so that the next message can be
    /// told at once?
    #[inline]
    pub(crate) fn goes_on(&self) -> bool {
        matches!(&self.side, Side::WebSocket(side) if side.goes_on(self.core))
    }

    /// Does the WebSocket hold no memory for compression?
    #[inline]
    pub(crate) fn holds_nothing(&self) -> bool {
        matches!(&self.side, Side::WebSocket(side) if side.holds_nothing())
    }

    /// How many effects wait for the callback's return.
    #[inline]
    pub(crate) fn effects(&self) -> usize {
        self.env.kit.effects.len()
    }

    fn check_open(&self, event: &'static str) -> Result<(), SendError> {
        match &self.side {
            Side::WebSocket(side) => match side.order() {
                order::WebSocket::Open => Ok(()),
                order::WebSocket::PeerGone | order::WebSocket::CloseSent => Err(SendError::Closed),
                _ => Err(side.out_of_order(event)),
            },
            Side::Http(side) => Err(side.out_of_order(event)),
            Side::Lifespan(side) => Err(side.out_of_order(event)),
        }
    }

    /// Looks at what is queued **before** a send, so one event of any size is always taken.
    #[inline(always)]
    fn before_send(&mut self) -> Result<(), SendError> {
        if self.core.crowded | self.core.lost { self.before_send_when_crowded() } else { Ok(()) }
    }

    #[cold]
    fn before_send_when_crowded(&mut self) -> Result<(), SendError> {
        if self.core.lost {
            return Err(SendError::Closed);
        }
        if self.output.len() <= self.env.round.config.high_water {
            self.core.crowded = false;
            return Ok(());
        }
        let held = match &self.side {
            Side::Http(side) => side.is_held(),
            Side::WebSocket(side) => side.is_held(),
            Side::Lifespan(_) => true,
        };
        // Perhaps the peer has room: a handler that sends a lot in one call need not fill
        // memory with what could leave.
        if !held && let Err(error) = self.output.flush(self.env.sink) {
            self.core.fail(error.kind());
        }
        self.core.lost |= self.output.len() > self.env.round.config.hard_limit;
        if self.core.lost { Err(SendError::Closed) } else { Ok(()) }
    }

    #[inline]
    fn flow(&mut self) -> Flow {
        if self.output.len() > self.env.round.config.high_water {
            self.core.full = true;
            self.core.crowded = true;
            Flow::Full
        } else {
            Flow::Ready
        }
    }
}

/// Appends a payload, or offers it to the sink if it is large and nothing is held back.
#[inline]
fn put_payload(
    payload: &[u8],
    held: &mut Option<Mark>,
    core: &mut ScopeCore,
    output: &mut Output,
    env: &mut Env<'_>,
) -> Result<(), SendError> {
    if payload.len() <= COPY_UP_TO {
        output.tail().extend_from_slice(payload);
        return Ok(());
    }
    put_large_payload(payload, held, core, output, env)
}

#[inline(never)]
fn put_large_payload(
    payload: &[u8],
    held: &mut Option<Mark>,
    core: &mut ScopeCore,
    output: &mut Output,
    env: &mut Env<'_>,
) -> Result<(), SendError> {
    if held.is_some() && payload.len() <= env.round.config.high_water {
        output.tail().extend_from_slice(payload);
        return Ok(());
    }
    // A payload above the high-water mark commits the head: from here on an error cuts the
    // connection, since a 500 can no longer take its place.
    *held = None;
    match output.offer(payload, env.sink) {
        Ok(_) => Ok(()),
        Err(error) => {
            core.fail(error.kind());
            Err(SendError::Closed)
        }
    }
}

/// Turns a verdict into the next state or an error; `Ok(None)` means "ignore the event".
#[inline]
fn obey<S>(
    verdict: Verdict<S>,
    event: &'static str,
    state: &'static str,
) -> Result<Option<S>, SendError> {
    match verdict {
        Verdict::To(next) => Ok(Some(next)),
        Verdict::Ignored => Ok(None),
        Verdict::Closed => Err(SendError::Closed),
        Verdict::OutOfOrder => Err(SendError::OutOfOrder { event, state }),
    }
}
