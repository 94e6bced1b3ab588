//! Drives HTTP scopes: one request after the other on one connection (RFC 9112 §9.3).

use std::borrow::Cow;
use std::io::Read as _;
use std::time::{Duration, Instant};

use super::call::{self, Failure};
use super::record::{Cause, Deadline};
use super::trace::Trace;
use super::websocket::WebSocketRole;
use super::{Connection, Phase, REQUEST_COST, Role, Turn};
use crate::asgi::env::after;
use crate::asgi::order;
use crate::asgi::outbox::{HttpSide, Side};
use crate::asgi::{App, Event, Handler, HttpScope, Outbox, Scope, WebSocketScope};
use crate::http::cycle::{Cycle, Step};
use crate::http::framing::{self, Body, Framing};
use crate::http::head::{self, Head};
use crate::http::headers::Headers;
use crate::http::receiver::{HeadStep, Receiver};
use crate::http::sender::{Field, Request};
use crate::http::target::{self, Target};
use crate::http::{Error, Version, sender};
use crate::ws::handshake::{self, Refusal};

/// What is left of a body after the response is complete is read and dropped up to this size;
/// if more is to come the connection ends instead (bytes).
const DRAIN_BODY: u64 = 64 * 1024;
/// The least rate of a body counts after this time.
const RATE_GRACE: Duration = Duration::from_secs(5);
/// A file is read in pieces of this size.
const FILE_PIECE: usize = 64 * 1024;

/// What the peer is expected to do next, and by when.
#[derive(Debug, Clone, Copy)]
enum Due {
    /// Begin a request.
    Idle(Instant),
    /// Complete a head.
    Head(Instant),
    /// Send some byte of the body; the error tells which of two rules is the stricter one.
    Body(Instant, Error),
    /// Nothing.
    Nothing,
}

/// The state of a connection that speaks HTTP.
pub(super) struct HttpRole<H> {
    cycle: Cycle,
    receiver: Receiver,
    /// The exchange that is going on; none between requests.
    exchange: Option<Exchange<H>>,
    due: Due,
    /// When the body began, and by when its rate must have been kept.
    body_began: Instant,
    /// Bytes of the body that were dropped after the response was complete.
    drained: u64,
    /// The request is a HEAD: no answer to it has a body, not even a refusal.
    is_head: bool,
}

/// One request and its response.
struct Exchange<H> {
    /// None if the application does not want the scope, or is done with it.
    handler: Option<H>,
    side: HttpSide,
    request: Request,
    /// The client waits for a 100 before it sends the body.
    expecting: bool,
}

impl<H> HttpRole<H> {
    pub(super) fn new(first_head_due: Instant) -> Self {
        Self {
            cycle: Cycle::Idle,
            receiver: Receiver::default(),
            exchange: None,
            due: Due::Head(first_head_due),
            body_began: first_head_due,
            drained: 0,
            is_head: false,
        }
    }

    pub(super) fn takes_input(&self, paused: bool) -> bool {
        match self.cycle {
            Cycle::Idle | Cycle::Head | Cycle::Draining => true,
            Cycle::Exchange => !paused,
            Cycle::Answering | Cycle::Closing | Cycle::Upgraded => false,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.due {
            Due::Idle(at) | Due::Head(at) | Due::Body(at, _) => Some(at),
            Due::Nothing => None,
        }
    }

    pub(super) fn shift_deadlines(&mut self, pause: Duration) {
        self.body_began += pause;
        match &mut self.due {
            Due::Idle(at) | Due::Head(at) | Due::Body(at, _) => *at = after(*at, pause),
            Due::Nothing => {}
        }
    }

    pub(super) fn side_mut(&mut self) -> Option<&mut HttpSide> {
        self.exchange.as_mut().map(|exchange| &mut exchange.side)
    }

    /// Is an answer due that the application has not begun?
    pub(super) fn waits_for_app(&self) -> bool {
        let begun = |e: &Exchange<H>| e.side.order() != order::Http::AwaitStart;
        self.cycle == Cycle::Answering && !self.exchange.as_ref().is_some_and(begun)
    }

    pub(super) fn has_file(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.side.has_file())
    }

    /// The cycle goes on. The law is checked by tests; a step it does not know ends the
    /// connection instead of the worker.
    fn step(&mut self, step: Step) {
        self.cycle = self.cycle.next(step).unwrap_or_else(|illegal| {
            debug_assert!(false, "{illegal:?}");
            Cycle::Closing
        });
    }

    /// A piece of the body arrived: the next one is due in time, and the rate must be kept.
    fn body_progress(&mut self, turn: &Turn<'_>) {
        let config = turn.env.config;
        let next = after(turn.env.now, config.body_timeout);
        let by_rate =
            self.receiver.received().saturating_mul(1000).checked_div(config.min_body_rate).map(
                |millis| after(self.body_began, RATE_GRACE.max(Duration::from_millis(millis))),
            );
        self.due = match by_rate {
            Some(by_rate) if by_rate < next => Due::Body(by_rate, Error::BodyTooSlow),
            _ => Due::Body(next, Error::BodyTimeout),
        };
    }
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
            let Role::Http(role) = &mut self.role else {
                break;
            };
            let rest = &mut bytes[used..];
            let n = match role.cycle {
                Cycle::Idle | Cycle::Head => self.receive_head(app, rest, turn),
                Cycle::Exchange => self.receive_body(rest, turn),
                Cycle::Draining => self.drain_body(rest, turn),
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
        if !self.may_proceed(REQUEST_COST, turn) {
            return 0;
        }
        let Role::Http(role) = &mut self.role else {
            return 0;
        };
        if role.cycle == Cycle::Idle {
            role.step(Step::FirstByte);
            if let Due::Idle(_) = role.due {
                role.due = Due::Head(after(turn.env.now, turn.env.config.head_timeout));
            }
        }
        let config = turn.env.config;
        let limits = head::Limits { max_head: config.max_head, max_fields: config.max_fields };
        match role.receiver.head(bytes, turn.fields, limits) {
            Ok(HeadStep::NeedData) => {
                role.is_head = false;
                0
            }
            Ok(HeadStep::Skip(n)) => n,
            Ok(HeadStep::Head(head)) => {
                let (head_bytes, rest) = bytes.split_at_mut(head.len);
                head.len + self.begin_exchange(app, head, head_bytes, rest, turn)
            }
            Err(error) => {
                self.refuse(error, turn);
                bytes.len()
            }
        }
    }

    /// A head is complete: decides what it means, calls the application, tells the first event.
    /// Tells how many bytes of the body in `rest` were used with it.
    fn begin_exchange<A>(
        &mut self,
        app: &A,
        head: Head,
        head_bytes: &mut [u8],
        rest: &mut [u8],
        turn: &mut Turn<'_>,
    ) -> usize
    where
        A: App<Handler = H>,
    {
        let head_bytes = &*head_bytes;
        let (method, raw_target) = (head.method.of(head_bytes), head.target.of(head_bytes));
        let version = head.version;
        if let Some(role) = self.http() {
            role.is_head = method == b"HEAD";
        }
        self.trace(turn, &Trace::RequestHead { method, target: raw_target, version });
        let decided = Target::parse(method, raw_target)
            .and_then(|target| Ok((target, framing::decide(version, head_bytes, turn.fields)?)));
        let (target, framing) = match decided {
            // RFC 9110 §9.3.6: an origin server need not make tunnels; we do not.
            Ok((Target::Authority(_), _)) => return self.refuse(Error::Connect, turn),
            Ok((_, Framing { body: Body::Length(length), .. }))
                if length > turn.env.config.max_body =>
            {
                return self.refuse(Error::BodyTooLarge, turn);
            }
            Ok(decided) => decided,
            Err(error) => return self.refuse(error, turn),
        };
        self.core.number = self.core.number.wrapping_add(1);
        if wants_websocket(&framing, version, Headers::new(head_bytes, turn.fields)) {
            self.begin_websocket(app, method, version, &target, &framing, head_bytes, turn);
            return 0;
        }
        let request = Request {
            version,
            is_head: method == b"HEAD",
            persist: framing.persist && !self.draining,
            te_trailers: framing.te_trailers,
        };
        let handler = self.call_app(app, method, version, &target, head_bytes, turn);
        let Role::Http(role) = &mut self.role else {
            return 0;
        };
        role.receiver.begin_body(framing.body);
        role.step(if framing.body == Body::Empty { Step::HeadOnly } else { Step::HeadThenBody });
        role.body_began = turn.env.now;
        role.drained = 0;
        role.due = Due::Nothing;
        let (handler, failed) = match handler {
            Ok(handler) => (handler, false),
            Err(failure) => {
                failure.log("the call with its scope");
                (None, true)
            }
        };
        let has_handler = handler.is_some();
        role.exchange = Some(Exchange {
            handler,
            side: HttpSide::new(request),
            request,
            expecting: framing.expect_continue,
        });
        match (failed, has_handler) {
            (true, _) => self.answer_for_app(500, "the application failed\n", turn),
            (_, false) => self.answer_for_app(404, "not found\n", turn),
            _ => return self.first_event(framing.body, rest, turn),
        }
        0
    }

    /// Tells the first event of a request, with what is there of its body.
    fn first_event(&mut self, body: Body, rest: &mut [u8], turn: &mut Turn<'_>) -> usize {
        if body == Body::Empty {
            self.tell_http(Event::HttpRequest { body: b"", more_body: false }, turn);
            return 0;
        }
        let Role::Http(role) = &mut self.role else {
            return 0;
        };
        role.body_progress(turn);
        let Some(exchange) = &mut role.exchange else {
            return 0;
        };
        if !exchange.expecting {
            // The loop goes on with the pieces.
            return 0;
        }
        if !rest.is_empty() {
            // RFC 9110 §10.1.1: the 100 may be omitted if the body is arriving already.
            exchange.expecting = false;
            return 0;
        }
        // The handler is asked before the client sends anything: an answer now suppresses the
        // 100. A client that gets it may or may not send the body still, so the connection
        // cannot go on after it (RFC 9110 §10.1.1).
        exchange.side.do_not_persist();
        self.tell_http(Event::HttpRequest { body: b"", more_body: true }, turn);
        0
    }

    /// Sends the 100 that a client waits for, unless an answer was begun or the application
    /// pauses.
    fn send_continue(&mut self, turn: &mut Turn<'_>) {
        let paused = self.core.paused;
        let Some(role) = self.http() else { return };
        let Some(exchange) = &mut role.exchange else {
            return;
        };
        if !exchange.expecting || paused || exchange.side.order() != order::Http::AwaitStart {
            return;
        }
        exchange.expecting = false;
        exchange.side = HttpSide::new(exchange.request);
        self.output.tail().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        self.trace(turn, &Trace::ContinueSent);
    }

    /// Calls the application with an http scope.
    fn call_app<A>(
        &mut self,
        app: &A,
        method: &[u8],
        version: Version,
        target: &Target<'_>,
        head: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<Option<H>, Failure>
    where
        A: App<Handler = H>,
    {
        let path = target::decode_path(target.path());
        let method = method_text(method);
        let scope = Scope::Http(HttpScope {
            http_version: version.as_str(),
            method: &method,
            scheme: "http",
            path: &path,
            raw_path: target.path(),
            query_string: target.query(),
            root_path: "",
            headers: Headers::new(head, turn.fields),
            client: self.addresses.client,
            server: self.addresses.server.as_ref().map(super::Local::as_scope),
            state: turn.state,
        });
        call::guarded(|| app.call(&scope))
    }

    /// An upgrade request: checks the handshake, calls the application with a websocket scope,
    /// changes the protocol.
    #[allow(clippy::too_many_arguments)] // the parts of one head
    fn begin_websocket<A>(
        &mut self,
        app: &A,
        method: &[u8],
        version: Version,
        target: &Target<'_>,
        framing: &Framing,
        head: &[u8],
        turn: &mut Turn<'_>,
    ) where
        A: App<Handler = H>,
    {
        let headers = Headers::new(head, turn.fields);
        let accept = match handshake::check(method, version, framing, headers) {
            Ok(accept) => accept,
            Err(refusal) => return self.refuse_handshake(refusal, turn),
        };
        let path = target::decode_path(target.path());
        let scope = Scope::WebSocket(WebSocketScope {
            http_version: version.as_str(),
            scheme: "ws",
            path: &path,
            raw_path: target.path(),
            query_string: target.query(),
            root_path: "",
            headers,
            client: self.addresses.client,
            server: self.addresses.server.as_ref().map(super::Local::as_scope),
            state: turn.state,
        });
        let role = match call::guarded(|| app.call(&scope)) {
            Ok(Some(handler)) => {
                let offered = headers.get_all("sec-websocket-protocol");
                WebSocketRole::new(handler, accept, offered, turn.env.now)
            }
            Ok(None) => return self.answer(404, &[], "not found\n", Cause::NotPersistent, turn),
            Err(failure) => {
                failure.log("the call with its scope");
                let text = "the application failed\n";
                return self.answer(500, &[], text, Cause::HandlerFailed, turn);
            }
        };
        if let Some(http) = self.http() {
            http.step(Step::Upgrade);
        }
        self.role = Role::WebSocket(Box::new(role));
        self.tell_websocket(Event::WebSocketConnect, turn);
    }

    /// Takes a piece of the body and tells it.
    fn receive_body(&mut self, bytes: &mut [u8], turn: &mut Turn<'_>) -> usize {
        if !self.may_proceed(1, turn) {
            return 0;
        }
        let Role::Http(role) = &mut self.role else {
            return 0;
        };
        let piece = match role.receiver.body(bytes, turn.env.config.max_body) {
            Ok(piece) => piece,
            Err(error) => {
                self.refuse(error, turn);
                return bytes.len();
            }
        };
        if piece.end {
            role.step(Step::BodyComplete);
            role.due = Due::Nothing;
        } else {
            role.body_progress(turn);
        }
        if let Some(exchange) = &mut role.exchange {
            // The client did not wait for the 100 after all.
            exchange.expecting = false;
        }
        if piece.data > 0 || piece.end {
            let body = &bytes[..piece.data];
            self.tell_http(Event::HttpRequest { body, more_body: !piece.end }, turn);
        }
        piece.consumed
    }

    /// The response is complete; takes what is left of the body and drops it.
    fn drain_body(&mut self, bytes: &mut [u8], turn: &mut Turn<'_>) -> usize {
        if !self.may_proceed(1, turn) {
            return 0;
        }
        let Role::Http(role) = &mut self.role else {
            return 0;
        };
        let Ok(piece) = role.receiver.body(bytes, turn.env.config.max_body) else {
            self.close(Cause::BodyUnread, true);
            return bytes.len();
        };
        role.drained += piece.consumed as u64;
        if piece.end {
            role.step(Step::BodyComplete);
            role.due = Due::Idle(after(turn.env.now, turn.env.config.idle_timeout));
        } else if role.drained > DRAIN_BODY {
            self.close(Cause::BodyUnread, true);
        } else {
            role.body_progress(turn);
        }
        piece.consumed
    }

    /// Tells the handler of the current exchange an event and settles what follows.
    pub(super) fn tell_http(&mut self, event: Event<'_>, turn: &mut Turn<'_>) {
        let Role::Http(HttpRole { exchange: Some(exchange), .. }) = &mut self.role else {
            return;
        };
        let Exchange { handler: Some(handler), side, .. } = exchange else {
            return;
        };
        let effects = turn.env.effects.len();
        let name = event.name();
        let mut out = Outbox::new(
            Side::Http(side),
            &mut self.core,
            &mut self.output,
            turn.env.reborrow(),
            self.slot,
            self.generation,
        );
        match call::tell(handler, event, &mut out) {
            Ok(()) | Err(Failure::Closed) => self.settle_http(turn),
            Err(failure) => {
                turn.env.effects.truncate(effects);
                failure.log(name);
                self.http_failed(turn);
            }
        }
    }

    /// The handler failed: a 500 if the response has not left, else the connection is cut.
    pub(super) fn http_failed(&mut self, turn: &mut Turn<'_>) {
        let Role::Http(HttpRole { exchange: Some(exchange), .. }) = &mut self.role else {
            return;
        };
        if exchange.side.order() == order::Http::Done {
            return self.settle_http(turn);
        }
        if exchange.side.take_back(&mut self.output) {
            // ASGI: an application that raises ends its instance and its connection.
            exchange.side.do_not_persist();
            self.answer_for_app(500, "the application failed\n", turn);
        } else {
            // It has ended itself: it is not told an end.
            if let Role::Http(HttpRole { exchange: Some(exchange), .. }) = &mut self.role
                && let Some(handler) = exchange.handler.take()
            {
                call::drop_guarded(handler);
            }
            self.cut(Cause::HandlerFailed, turn);
        }
    }

    /// After a callback: the head is on its way; is the response complete, can it still be?
    pub(super) fn settle_http(&mut self, turn: &mut Turn<'_>) {
        let can_still_answer = self.core.can_still_answer();
        let paused = self.core.paused;
        let Role::Http(role) = &mut self.role else {
            return;
        };
        let Some(exchange) = &mut role.exchange else {
            return;
        };
        exchange.side.release_head(&mut self.output);
        if self.core.is_lost() {
            // The end of the turn tells and ends it.
            return;
        }
        if exchange.side.is_complete() {
            return self.finish_response(turn);
        }
        if exchange.side.has_file() {
            return self.pump_file(turn);
        }
        if exchange.expecting && !paused {
            // No answer was begun: the client may send the body.
            return self.send_continue(turn);
        }
        let more_to_come = role.cycle == Cycle::Exchange && !paused;
        if more_to_come || can_still_answer {
            return;
        }
        // Nothing is left that could answer: no handle, no timer, no piece of the body.
        match exchange.side.order() {
            order::Http::AwaitStart => {
                log::error!(
                    "the handler returned without an answer and kept nothing to answer with"
                );
                self.answer_for_app(500, "the application gave no answer\n", turn);
            }
            order::Http::AwaitTrailers => {
                log::error!("the handler announced trailers and sent none");
                exchange.side.end_without_trailers(&mut self.output);
                self.finish_response(turn);
            }
            _ => {
                log::error!("the handler began a response and kept nothing to complete it with");
                self.cut(Cause::HandlerFailed, turn);
            }
        }
    }

    /// Answers in the application's place, in order with everything else; the exchange goes on
    /// like any other.
    fn answer_for_app(&mut self, status: u16, text: &str, turn: &mut Turn<'_>) {
        if let Role::Http(HttpRole { exchange: Some(exchange), .. }) = &mut self.role {
            if let Some(handler) = exchange.handler.take() {
                call::drop_guarded(handler);
            }
            self.core.end();
        }
        let fields: &[Field<'_>] = &[(b"content-type", b"text/plain; charset=utf-8")];
        let sent = self.with_outbox(turn, |out| out.respond(status, fields, text.as_bytes()));
        if matches!(sent, Some(Ok(_))) {
            self.settle_http(turn);
        } else {
            self.cut(Cause::HandlerFailed, turn);
        }
    }

    /// The response is complete to its last byte.
    fn finish_response(&mut self, turn: &mut Turn<'_>) {
        let Role::Http(role) = &mut self.role else {
            return;
        };
        let Some(exchange) = &mut role.exchange else {
            return;
        };
        let (status, persists) =
            (exchange.side.sender().status(), exchange.side.sender().persists());
        let short = exchange.side.sender().is_short();
        if let Some(handler) = exchange.handler.take() {
            call::drop_guarded(handler);
        }
        role.exchange = None;
        self.core.end();
        role.step(Step::ResponseComplete);
        let left = match role.cycle {
            Cycle::Draining => role.receiver.body_left().unwrap_or(0),
            _ => 0,
        };
        if role.cycle == Cycle::Idle {
            role.due = Due::Idle(after(turn.env.now, turn.env.config.idle_timeout));
        }
        self.trace(turn, &Trace::ResponseComplete { status, persists });
        if short {
            // RFC 9110 §8.6: fewer bytes than announced. Never padded: the peer must see it.
            log::error!("the response body is shorter than its content-length: connection cut");
            self.close(Cause::HandlerFailed, false);
        } else if left > DRAIN_BODY {
            self.close(Cause::BodyUnread, true);
        } else if !persists || self.draining {
            let cause = if self.draining { Cause::Shutdown } else { Cause::NotPersistent };
            self.close(cause, true);
        }
    }

    /// Reads on in the file that is the body, while the peer takes it.
    pub(super) fn pump_file(&mut self, turn: &mut Turn<'_>) {
        let Role::Http(HttpRole { exchange: Some(exchange), .. }) = &mut self.role else {
            return;
        };
        let Some(mut body) = exchange.side.take_file() else {
            return;
        };
        if self.output.len() <= turn.env.config.low_water {
            let piece = body.left.min(FILE_PIECE as u64);
            let read = (&mut body.file).take(piece).read_to_end(self.output.tail());
            match read {
                Ok(n) if n as u64 == piece => body.left -= piece,
                // Shorter than it was when its length was announced.
                _ => {
                    log::error!("a file could not be read to its end while it was sent");
                    return self.cut(Cause::HandlerFailed, turn);
                }
            }
        }
        if body.left > 0 {
            exchange.side.put_file(body);
            return;
        }
        self.output.tail().extend_from_slice(&body.after);
        self.settle_http(turn);
    }

    /// There are more connections than allowed: a newcomer is told so at once.
    pub fn refuse_for_load(&mut self, turn: &mut Turn<'_>) {
        let text = "the server has as many connections as it may have: try again later\n";
        self.answer(503, &[(b"retry-after", b"1")], text, Cause::Load, turn);
    }

    /// A rule of HTTP is broken: answers, if nothing was answered yet, and ends the connection.
    /// After it nothing more is read as a request. Gives 0, as the number of bytes used.
    fn refuse(&mut self, error: Error, turn: &mut Turn<'_>) -> usize {
        self.trace(turn, &Trace::RequestRefused(error));
        log::debug!("request refused: {error}");
        let text = format!("{}\n", error);
        self.answer(error.status(), &[], &text, Cause::RequestRefused(error), turn);
        0
    }

    fn refuse_handshake(&mut self, refusal: Refusal, turn: &mut Turn<'_>) {
        self.trace(turn, &Trace::HandshakeRefused(refusal));
        log::debug!("handshake refused: {} ({})", refusal.rule(), refusal.section());
        let text = format!("{} ({})\n", refusal.rule(), refusal.section());
        let cause = Cause::HandshakeRefused(refusal);
        self.answer(refusal.status(), refusal.fields(), &text, cause, turn);
    }

    /// Answers in the server's own name and ends the connection.
    fn answer(
        &mut self,
        status: u16,
        extra: &[Field<'_>],
        text: &str,
        cause: Cause,
        turn: &mut Turn<'_>,
    ) {
        self.set_cause(cause);
        let (begun, is_head) = match &self.role {
            Role::Http(role) => {
                let begun = |e: &Exchange<H>| e.side.order() != order::Http::AwaitStart;
                (role.exchange.as_ref().is_some_and(begun), role.is_head)
            }
            Role::WebSocket(_) => (false, false),
        };
        self.http_scope_lost(turn);
        if !begun {
            let mut sender = sender::Sender::new(Request {
                version: Version::Http11,
                is_head,
                persist: false,
                te_trailers: false,
            });
            let mut fields: Vec<Field<'_>> = vec![(b"content-type", b"text/plain; charset=utf-8")];
            fields.extend_from_slice(extra);
            let out = self.output.tail();
            let sent = sender
                .start(out, turn.env.prefab, status, &fields, false)
                .and_then(|()| sender.piece(out, text.len(), false));
            debug_assert!(sent.is_ok(), "our own fields are valid");
            if !is_head {
                out.extend_from_slice(text.as_bytes());
            }
        }
        if let Some(role) = self.http() {
            role.step(Step::Close);
            role.due = Due::Nothing;
        }
        self.close(cause, true);
    }

    /// The response cannot be completed: what was encoded is sent, then the connection ends
    /// without the end of the body, so that the peer sees it (RFC 9112 §8).
    fn cut(&mut self, cause: Cause, turn: &mut Turn<'_>) {
        self.set_cause(cause);
        self.http_scope_lost(turn);
        if let Some(role) = self.http() {
            role.step(Step::Close);
            role.due = Due::Nothing;
        }
        self.close(cause, false);
    }

    /// The scope ends before its response is complete: tells the handler, drops it.
    pub(super) fn http_scope_lost(&mut self, turn: &mut Turn<'_>) {
        let Role::Http(role) = &mut self.role else {
            return;
        };
        let Some(Exchange { handler, mut side, .. }) = role.exchange.take() else {
            return;
        };
        side.peer_left();
        // Handles miss from now on, before anybody can hear of the end.
        if let Some(cell) = &self.core.cell {
            cell.end();
        }
        if let Some(mut handler) = handler {
            let effects = turn.env.effects.len();
            let mut out = Outbox::new(
                Side::Http(&mut side),
                &mut self.core,
                &mut self.output,
                turn.env.reborrow(),
                self.slot,
                self.generation,
            );
            if let Err(failure) = call::tell(&mut handler, Event::HttpDisconnect, &mut out) {
                turn.env.effects.truncate(effects);
                failure.log("http.disconnect");
            }
            call::drop_guarded(handler);
        }
        self.core.end();
    }

    /// A FIN while this connection speaks HTTP.
    pub(super) fn http_peer_ended(&mut self, turn: &mut Turn<'_>) {
        let Role::Http(role) = &mut self.role else {
            return;
        };
        let begun = |e: &Exchange<H>| e.side.order().has_begun() || e.side.has_file();
        let begun = role.exchange.as_ref().is_some_and(begun);
        match role.cycle {
            Cycle::Idle => self.close(Cause::PeerClosed, false),
            // RFC 9112 §8: an incomplete request. Whoever sent it does not listen for an answer.
            Cycle::Head => self.close(Cause::PeerVanished, false),
            Cycle::Exchange => {
                self.http_scope_lost(turn);
                self.close(Cause::PeerVanished, false);
            }
            // A client that shut its writing side may still read (a "half-close"): an answer
            // that has begun is completed.
            Cycle::Answering if begun => {}
            // One that has not begun counts as unwanted.
            Cycle::Answering => {
                self.http_scope_lost(turn);
                self.close(Cause::PeerVanished, false);
            }
            Cycle::Draining => self.close(Cause::PeerVanished, false),
            Cycle::Closing | Cycle::Upgraded => {}
        }
        if begun && let Some(exchange) = self.http().and_then(|role| role.exchange.as_mut()) {
            exchange.side.do_not_persist();
        }
    }

    /// A deadline of HTTP may have passed.
    pub(super) fn http_time(&mut self, turn: &mut Turn<'_>) {
        if self.unread_since.is_some() {
            return;
        }
        let now = turn.env.now;
        let Some(role) = self.http() else { return };
        match role.due {
            Due::Idle(at) if now >= at => self.close(Cause::DeadlinePassed(Deadline::Idle), false),
            Due::Head(at) if now >= at => {
                if self.received == 0 {
                    // It never said anything: nobody to answer.
                    self.close(Cause::RequestRefused(Error::HeadTimeout), false);
                } else {
                    self.refuse(Error::HeadTimeout, turn);
                }
            }
            // The response is complete already: nothing to add.
            Due::Body(at, _) if now >= at && role.cycle == Cycle::Draining => {
                self.close(Cause::BodyUnread, false);
            }
            Due::Body(at, error) if now >= at => {
                self.refuse(error, turn);
            }
            _ => {}
        }
    }

    /// The server is ending.
    pub(super) fn http_shutdown(&mut self, _turn: &mut Turn<'_>) {
        let Role::Http(role) = &mut self.role else {
            return;
        };
        match (role.cycle, &mut role.exchange) {
            (Cycle::Idle | Cycle::Head | Cycle::Draining, _) => self.close(Cause::Shutdown, false),
            (_, Some(exchange)) => exchange.side.do_not_persist(),
            _ => {}
        }
    }

    /// The application resumed: a 100 that was held back goes out.
    pub(super) fn http_resumed(&mut self, turn: &mut Turn<'_>) {
        self.send_continue(turn);
    }
}

/// Is this a request for a WebSocket?
fn wants_websocket(framing: &Framing, version: Version, headers: Headers<'_>) -> bool {
    // RFC 9110 §7.8: "A server MUST ignore an Upgrade header field that is received in an
    // HTTP/1.0 request". Departure: if the request carries a WebSocket key it is a handshake and
    // nothing else, and its client is better served with the reason of the refusal.
    framing.upgrade_websocket
        && (version == Version::Http11 || headers.get("sec-websocket-key").is_some())
}

/// The method as ASGI wants it, in upper case. (RFC 9110 §9.1: methods are case-sensitive; the
/// framing goes by what was sent.)
#[inline]
fn method_text(method: &[u8]) -> Cow<'_, str> {
    match method {
        b"GET" => Cow::Borrowed("GET"),
        b"POST" => Cow::Borrowed("POST"),
        b"HEAD" => Cow::Borrowed("HEAD"),
        // Tokens are ASCII, so no byte is ever replaced here.
        other if other.iter().any(u8::is_ascii_lowercase) => {
            Cow::Owned(String::from_utf8_lossy(other).to_ascii_uppercase())
        }
        other => String::from_utf8_lossy(other),
    }
}
