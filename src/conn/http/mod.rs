//! Drives HTTP scopes: one request after the other on one connection (RFC 9112 §9.3).

mod begin;
pub(super) mod ending;
mod response;

use std::time::Duration;

use super::pace::{self, Rule};
use super::record::Cause;
use super::{Connection, Phase, Role, Turn, budget, call};
use crate::asgi::order::{self, Fin};
use crate::asgi::outbox::HttpSide;
use crate::asgi::paths::PathName;
use crate::asgi::{App, Config, Event, Handler};
use crate::bytes::moment::Moment;
use crate::http::Error;
use crate::http::cycle::{Cycle, Illegal, Step};
use crate::http::head::{self, Head};
use crate::http::receiver::{HeadStep, Receiver};
use crate::http::sender::Request;

/// So much of a body may be left when a response begins that is complete at once; it is read and
/// dropped then. With more to come, or an unknown rest, the response ends the connection and says so
/// (bytes).
const DRAIN_BODY: u64 = 64 * 1024;
/// A file is read in pieces of this size.
const FILE_PIECE: usize = 64 * 1024;

/// What is expected next, and by when.
#[derive(Debug, Clone, Copy)]
enum Due {
    /// Begin a request, some time after this.
    Idle(Moment),
    /// Complete a head.
    Head(Moment),
    /// Send some byte of the body; the error tells which of two rules is the stricter one.
    Body(Moment, Error),
    /// Nothing: the application's answer is due by this time.
    Answer(Moment),
    /// Nothing.
    Nothing,
}

/// The state of a connection that speaks HTTP.
pub(super) struct HttpRole<H> {
    cycle: Cycle,
    receiver: Receiver,
    /// The exchange that is going on; none between requests.
    exchange: Option<Box<Exchange<H>>>,
    due: Due,
    /// When the body began, and by when its rate must have been kept.
    body_began: Moment,
    /// The request is a HEAD: no answer to it has a body, not even a refusal.
    is_head: bool,
}

/// One request and its response.
pub(super) struct Exchange<H> {
    /// None if the application does not want the scope, or is done with it.
    handler: Option<H>,
    side: HttpSide,
    /// What the request said, before anything else decided about the connection.
    request: Request,
    /// The client waits for a 100 before it sends the body.
    expecting: bool,
    /// The beginning of its path.
    path: PathName,
}

impl<H> Exchange<H> {
    /// Room for an exchange.
    #[cold]
    fn room(request: Request) -> Box<Self> {
        let (side, path) = (HttpSide::new(request), PathName::default());
        Box::new(Self { handler: None, side, request, expecting: false, path })
    }
}

/// The handler is the application's, wherever the exchange ends.
impl<H> Drop for Exchange<H> {
    fn drop(&mut self) {
        call::drop_guarded_in(&mut self.handler);
    }
}

impl<H> HttpRole<H> {
    pub(super) fn new(first_head_due: Moment) -> Self {
        Self {
            cycle: Cycle::Idle,
            receiver: Receiver::default(),
            exchange: None,
            due: Due::Head(first_head_due),
            body_began: first_head_due,
            is_head: false,
        }
    }

    /// Is it between two requests?
    #[inline(always)]
    pub(super) fn is_quiet(&self) -> bool {
        // Before the first one another deadline stands, which may be later than the next.
        self.cycle == Cycle::Idle && matches!(self.due, Due::Idle(_))
    }

    pub(super) fn takes_input(&self, paused: bool) -> bool {
        match self.cycle {
            Cycle::Idle | Cycle::Head | Cycle::Draining => true,
            Cycle::Exchange => !paused,
            Cycle::Answering | Cycle::Closing | Cycle::Upgraded => false,
        }
    }

    /// Bytes of the current body that are certainly still to come.
    #[inline]
    pub(super) fn body_left(&self) -> usize {
        let left = self.receiver.body_left().unwrap_or_default();
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// The next deadline; those of the peer stand still while it is not read.
    #[inline]
    pub(super) fn deadline(&self, unread: bool, config: &Config) -> Option<Moment> {
        match self.due {
            Due::Answer(at) => self.awaits_head().then_some(at),
            _ if unread => None,
            Due::Idle(since) => Some(since + config.idle_timeout),
            Due::Head(at) | Due::Body(at, _) => Some(at),
            Due::Nothing => None,
        }
    }

    /// Is a request being served?
    pub(super) fn has_exchange(&self) -> bool {
        self.exchange.is_some()
    }

    /// Has the application not begun its answer?
    fn awaits_head(&self) -> bool {
        self.exchange.as_deref().is_some_and(|e| e.side.order() == order::Http::AwaitStart)
    }

    /// The request is complete.
    fn await_answer(&mut self, turn: &Turn<'_>) {
        let due = turn.env.round.config.answer_due(turn.env.round.now);
        self.due = due.map_or(Due::Nothing, Due::Answer);
    }

    pub(super) fn shift_deadlines(&mut self, pause: Duration) {
        self.body_began += pause;
        match &mut self.due {
            Due::Idle(at) | Due::Head(at) | Due::Body(at, _) => *at += pause,
            Due::Answer(_) | Due::Nothing => {}
        }
    }

    /// The side, for a send.
    pub(super) fn side_mut(&mut self) -> Option<&mut HttpSide> {
        let exchange = self.exchange.as_mut()?;
        exchange.side.set_unread(is_unread(&self.receiver));
        Some(&mut exchange.side)
    }

    /// Is more of the body to come, known or not?
    fn has_body_left(&self) -> bool {
        self.receiver.body_left() != Some(0)
    }

    /// The connection serves no more: drops bytes that may belong to a body. Tells whether it ended
    /// with them.
    pub(super) fn skip_body(&mut self, bytes: &mut [u8]) -> bool {
        self.has_body_left() && self.receiver.skip(bytes)
    }

    /// May the scope still answer after the peer's FIN?
    pub(super) fn outlives_peer(&self, config: &Config) -> bool {
        let fin = match self.cycle {
            Cycle::Answering if config.half_close => Fin::HalfClose,
            Cycle::Answering => Fin::BehindRequest,
            _ => Fin::InRequest,
        };
        self.exchange.as_deref().is_some_and(|e| e.side.order().outlives_fin(fin))
    }

    /// Is the request complete, and no answer allowed any more if the peer has left?
    pub(super) fn waits_in_vain(&self, config: &Config) -> bool {
        self.cycle == Cycle::Answering && !self.outlives_peer(config)
    }

    /// The server is ending, and nothing waits behind this request, or something does. Is there a
    /// scope without a complete answer?
    pub(super) fn begin_shutdown(&mut self, nothing_waits: bool) -> bool {
        let Some(exchange) = &mut self.exchange else { return false };
        let order = exchange.side.order();
        if self.cycle == Cycle::Answering && order == order::Http::AwaitStart && nothing_waits {
            exchange.side.do_not_persist();
        }
        exchange.handler.is_some() && order != order::Http::Done
    }

    /// The path of the request that is not answered yet.
    pub(super) fn path(&self) -> Option<PathName> {
        self.exchange.as_ref().map(|exchange| exchange.path)
    }

    pub(super) fn has_handler(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.handler.is_some())
    }

    pub(super) fn has_file(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.side.has_file())
    }

    /// The cycle goes on. The law is checked by tests; a step it does not know ends the
    /// connection instead of the worker.
    #[inline(always)]
    fn step(&mut self, step: Step) {
        self.cycle = match self.cycle.next(step) {
            Ok(next) => next,
            Err(illegal) => after_illegal(illegal),
        };
    }

    /// A head has begun and is not complete: it has its time from its first byte on.
    #[cold]
    fn await_head(&mut self, turn: &Turn<'_>) {
        if let Due::Idle(_) = self.due {
            self.due = Due::Head(turn.env.round.now + turn.env.round.config.head_timeout);
        }
    }

    /// A piece of the body arrived: the next one is due in time, and the rate must be kept.
    fn body_progress(&mut self, turn: &Turn<'_>) {
        let (now, config) = (turn.env.round.now, &turn.env.round.config);
        let bytes = self.receiver.received();
        self.due = match pace::due(now, self.body_began, bytes, config) {
            (at, Rule::Rate) => Due::Body(at, Error::BodyTooSlow),
            (at, Rule::Silence) => Due::Body(at, Error::BodyTimeout),
        };
    }
}

/// Is more of the body still to come than anybody reads after the response? Where a chunked body
/// ends is not known before its end.
#[inline]
fn is_unread(receiver: &Receiver) -> bool {
    receiver.body_left().is_none_or(|left| left > DRAIN_BODY)
}

#[cold]
fn after_illegal(illegal: Illegal) -> Cycle {
    debug_assert!(false, "{illegal:?}");
    Cycle::Closing
}

impl<H: Handler> Connection<H> {
    fn http(&mut self) -> Option<&mut HttpRole<H>> {
        match &mut self.role {
            Role::Http(role) => Some(role),
            Role::WebSocket(_) => None,
        }
    }

    /// Uses bytes as requests and bodies until they are used up, an answer is due first, or the
    /// protocol changes.
    pub(super) fn pump_http<A>(&mut self, app: &A, bytes: &mut [u8], turn: &mut Turn<'_>) -> usize
    where
        A: App<Handler = H>,
    {
        let mut used = 0;
        while used < bytes.len() && self.phase == Phase::Active {
            let Role::Http(role) = &mut self.role else { break };
            let rest = &mut bytes[used..];
            let n = match role.cycle {
                Cycle::Idle | Cycle::Head => self.receive_head(app, rest, turn),
                Cycle::Exchange => self.receive_body(rest, turn),
                Cycle::Draining => self.drain_body(rest, turn),
                // [9112-9.3.2-1]
                Cycle::Answering => {
                    self.stalled = true;
                    break;
                }
                Cycle::Closing | Cycle::Upgraded => break,
            };
            used += n;
            if n == 0 {
                break;
            }
        }
        used
    }

    /// Looks for a head and begins its exchange; tells how many bytes were used.
    fn receive_head<A>(&mut self, app: &A, bytes: &mut [u8], turn: &mut Turn<'_>) -> usize
    where
        A: App<Handler = H>,
    {
        if !self.may_proceed(budget::REQUEST, turn) {
            return 0;
        }
        let Role::Http(role) = &mut self.role else { return 0 };
        if role.cycle == Cycle::Idle {
            role.step(Step::FirstByte);
        }
        let config = &turn.env.round.config;
        let limits = head::Limits { max_head: config.max_head, max_fields: config.max_fields };
        let mut head = Head::default();
        match role.receiver.head(bytes, &mut head, &mut turn.env.kit.fields, limits) {
            Ok(HeadStep::Head) => {
                let (head_bytes, rest) = bytes.split_at_mut(head.len);
                head.len + self.begin_exchange(app, &head, head_bytes, rest, turn)
            }
            Ok(HeadStep::NeedData) => {
                role.is_head = false;
                role.await_head(turn);
                0
            }
            Ok(HeadStep::Skip(n)) => {
                role.await_head(turn);
                n
            }
            Err(error) => {
                // RFC 9110 §9.3.2: no body in the answer to a HEAD, whatever is wrong with its
                // fields. What the request before was does not matter.
                role.is_head = bytes.starts_with(b"HEAD ");
                self.refuse(error, turn);
                bytes.len()
            }
        }
    }

    /// Takes a piece of the body and tells it.
    #[inline(never)]
    fn receive_body(&mut self, bytes: &mut [u8], turn: &mut Turn<'_>) -> usize {
        if !self.may_proceed(budget::CALLBACK, turn) {
            return 0;
        }
        let Role::Http(role) = &mut self.role else { return 0 };
        let piece = match role.receiver.body(bytes, turn.env.round.config.max_body) {
            Ok(piece) => piece,
            Err(error) => {
                self.refuse(error, turn);
                return bytes.len();
            }
        };
        if piece.end {
            role.step(Step::BodyComplete);
            role.await_answer(turn);
        } else {
            role.body_progress(turn);
        }
        if let Some(exchange) = &mut role.exchange {
            // The client did not wait for the 100 after all.
            exchange.expecting = false;
            if self.last_call && piece.end && piece.consumed == bytes.len() {
                exchange.side.do_not_persist();
            }
        }
        if piece.data > 0 || piece.end {
            let body = &bytes[..piece.data];
            self.tell_http(Event::HttpRequest { body, more_body: !piece.end }, turn);
        }
        piece.consumed
    }

    /// The response is complete, and did not say that it is the last one; takes what is left of the
    /// body, within its limits and deadlines, and drops it.
    #[inline(never)]
    fn drain_body(&mut self, bytes: &mut [u8], turn: &mut Turn<'_>) -> usize {
        if !self.may_proceed(budget::CALLBACK, turn) {
            return 0;
        }
        let Role::Http(role) = &mut self.role else { return 0 };
        let Ok(piece) = role.receiver.body(bytes, turn.env.round.config.max_body) else {
            self.close_http(Cause::BodyUnread, true);
            return bytes.len();
        };
        // [9112-9.3-3]
        if piece.end {
            role.step(Step::BodyComplete);
            role.due = Due::Idle(turn.env.round.now);
        } else {
            role.body_progress(turn);
        }
        piece.consumed
    }

    /// The application resumed: a 100 that was held back goes out.
    pub(super) fn http_resumed(&mut self, turn: &mut Turn<'_>) {
        self.send_continue(turn);
    }
}
