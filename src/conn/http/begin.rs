//! A head is complete: what it means, and the call of the application.

use std::borrow::Cow;

use super::Exchange;
use super::response::Ended;
use crate::asgi::env::Env;
use crate::asgi::outbox::{HttpSide, Side};
use crate::asgi::{App, Event, Handler, HttpScope, Outbox, Scope, WebSocketScope};
use crate::bytes::utf8;
use crate::conn::call::{self, Failure};
use crate::conn::record::Cause;
use crate::conn::trace::Trace;
use crate::conn::websocket::{Compression, WebSocketRole};
use crate::conn::{Connection, Role, SECURE, Turn};
use crate::http::cycle::Step;
use crate::http::facts::Fact;
use crate::http::framing::{self, Body, Framing};
use crate::http::head::{FieldSpan, Head, Span};
use crate::http::headers::Headers;
use crate::http::sender::Request;
use crate::http::target::{self, Target};
use crate::http::{Error, Version};
use crate::ws::extension::{self, Agreed};
use crate::ws::handshake;
use crate::ws::takeover::Permit;

/// What a request asks for.
struct Asked<'a> {
    method: &'a str,
    path: &'a str,
    target: Target<'a>,
    version: Version,
    is_head: bool,
    framing: Framing,
}

impl<H: Handler> Connection<H> {
    /// A head is complete: decides what it means, calls the application, tells the first event.
    /// Tells how many bytes of the body in `rest` were used with it.
    #[inline(always)]
    pub(super) fn begin_exchange<A>(
        &mut self,
        app: &A,
        head: &Head,
        head_bytes: &mut [u8],
        rest: &mut [u8],
        turn: &mut Turn<'_>,
    ) -> usize
    where
        A: App<Handler = H>,
    {
        let head_bytes = &*head_bytes;
        let (method, raw_target) = (head.method.of(head_bytes), head.target.of(head_bytes));
        self.core.number = self.core.number.wrapping_add(1);
        if turn.observer.is_some() {
            let (target, version) = (raw_target, head.version);
            self.trace(turn, &Trace::RequestHead { method, target, version });
        }
        let is_plain = head.plain_path
            && head.version == Version::Http11
            && head.facts.is_plain()
            && method == b"GET";
        if !is_plain {
            return self.begin_any(app, head, head_bytes, rest, turn);
        }
        // It is ASCII, says the parser; this asks once more, and else there is the long way.
        let Ok(path) = utf8::text(raw_target) else {
            return self.begin_any(app, head, head_bytes, rest, turn);
        };
        // The short way for what most requests are: what `begin_any` comes to for them.
        if let Some(role) = self.http() {
            role.is_head = false;
        }
        let asked = Asked {
            method: "GET",
            path,
            target: Target::Origin { path: raw_target, query: b"" },
            version: Version::Http11,
            is_head: false,
            framing: Framing::PLAIN,
        };
        self.ask::<A, true>(app, asked, head_bytes, rest, turn)
    }

    /// As [`Connection::begin_exchange`], for any head.
    #[inline(never)]
    fn begin_any<A>(
        &mut self,
        app: &A,
        head: &Head,
        head_bytes: &[u8],
        rest: &mut [u8],
        turn: &mut Turn<'_>,
    ) -> usize
    where
        A: App<Handler = H>,
    {
        let (method, raw_target) = (head.method.of(head_bytes), head.target.of(head_bytes));
        let version = head.version;
        let is_head = method == b"HEAD";
        let framing = framing::decide(version, &head.facts);
        if let Some(role) = self.http() {
            role.is_head = is_head;
            // Whatever is wrong with the head: what follows it is read as its body, or dropped.
            match &framing {
                Ok(framing) => role.receiver.begin_body(framing.body),
                Err(_) if head.facts.says_body() => role.receiver.begin_unknown_body(),
                Err(_) => role.receiver.begin_body(Body::Empty),
            }
        }
        if !known_as_written(method) {
            return self.refuse(Error::MethodCase, turn);
        }
        let target = match head.plain_path {
            true if method != b"CONNECT" => Target::Origin { path: raw_target, query: b"" },
            _ => match Target::parse(method, raw_target) {
                Ok(target) => target,
                Err(error) => return self.refuse(error, turn),
            },
        };
        let framing = match framing {
            Ok(framing) => framing,
            Err(error) => return self.refuse(error, turn),
        };
        if head.facts.has(Fact::SecondLength) {
            framing::one_length(&mut turn.env.kit.fields, head_bytes);
        }
        match (target, framing.body) {
            // RFC 9110 §9.3.6: an origin server need not make tunnels; we do not.
            // [9110-9.3.6-1]
            (Target::Authority(_), _) => return self.refuse(Error::Connect, turn),
            (_, Body::Length(length)) if length > turn.env.round.config.max_body => {
                return self.refuse(Error::BodyTooLarge, turn);
            }
            (Target::Absolute { secure, authority, .. }, _) => {
                // RFC 9110 §7.4: "a request for an "https" resource MUST be rejected unless it has
                // been received over a connection that has been secured". §15.5.20: that is a 421.
                if secure && !SECURE {
                    // [9110-7.4-1] [9110-7.4-2]
                    return self.refuse(Error::Misdirected, turn);
                }
                replace_host(&mut turn.env.kit.fields, head_bytes, authority);
            }
            _ => {}
        }
        if framing.upgrade_websocket
            && wants_websocket(version, Headers::new(head_bytes, &turn.env.kit.fields))
        {
            self.begin_websocket(app, method, version, &target, &framing, head_bytes, turn);
            return 0;
        }
        let path = match head.plain_path {
            true => target::plain_path(raw_target),
            false => target::decode_path(target.path()),
        };
        let method = method_text(method);
        let (method, path) = (&*method, &*path);
        let asked = Asked { method, path, target, version, is_head, framing };
        self.ask::<A, false>(app, asked, head_bytes, rest, turn)
    }

    /// Calls the application with an http scope; tells the first event. It is compiled for a `PLAIN`
    /// request, of which the framing is known, and for any other.
    #[inline(always)]
    fn ask<A, const PLAIN: bool>(
        &mut self,
        app: &A,
        asked: Asked<'_>,
        head_bytes: &[u8],
        rest: &mut [u8],
        turn: &mut Turn<'_>,
    ) -> usize
    where
        A: App<Handler = H>,
    {
        let Asked { method, path, target, version, is_head, framing } = asked;
        let framing = if PLAIN { Framing::PLAIN } else { framing };
        let request = Request {
            version,
            // [9110-9.1-1]
            is_head,
            persist: framing.persist
                && !self.draining
                && !(self.last_call && is_last(framing.body, rest)),
            te_trailers: framing.te_trailers,
        };
        let Self { role, room, ends, core, output, slot, generation, .. } = self;
        let Role::Http(role) = role else { return 0 };
        if PLAIN {
            role.receiver.begin_body(Body::Empty);
        }
        let whole = framing.body == Body::Empty;
        role.step(if whole { Step::HeadOnly } else { Step::HeadThenBody });
        let mut side = HttpSide::new(request);
        let mut handler = None;
        turn.env.kit.paths.last.set(target.path());
        let effects = turn.env.kit.effects.len();
        // One guard for the two calls of a request that is all there.
        let outcome = call::guarded(|| {
            handler = app.call(&Scope::Http(HttpScope {
                http_version: version.as_str(),
                method,
                scheme: if SECURE { "https" } else { "http" },
                path,
                raw_path: target.path(),
                query_string: target.query(),
                root_path: "",
                headers: Headers::new(head_bytes, &turn.env.kit.fields),
                client: ends.client,
                server: ends.server(),
                state: &turn.env.round.state,
            }));
            let Some(handler) = handler.as_mut().filter(|_| whole) else { return Ok(()) };
            let (side, env) = (Side::Http(&mut side), turn.env.reborrow());
            let mut out = Outbox::new(side, core, output, env, *slot, *generation);
            handler.receive(Event::HttpRequest { body: b"", more_body: false }, &mut out)
        });
        if matches!(outcome, Ok(Ok(()))) && side.is_complete() && !core.lost {
            // Begun and ended at once: nothing of it has to be kept.
            side.release_head(output);
            call::drop_guarded_in(&mut handler);
            self.end_exchange(&Ended::of(&side, !request.persist), turn);
            return 0;
        }
        let has_handler = handler.is_some();
        let mut exchange = room.take().unwrap_or_else(|| Exchange::room(request));
        exchange.handler = handler;
        exchange.side = side;
        exchange.request = request;
        exchange.expecting = framing.expect_continue;
        exchange.path = turn.env.kit.paths.last;
        if whole {
            role.await_answer(turn);
        }
        // None is dropped here: the one before has ended, or this one would not be read.
        debug_assert!(role.exchange.is_none(), "one request at a time");
        std::mem::forget(role.exchange.replace(exchange));
        if !whole {
            self.begin_body(rest, turn);
        }
        match outcome {
            Ok(Ok(())) if !has_handler => self.answer_for_app(404, "not found\n", turn),
            Ok(Ok(())) if whole => self.settle_http(turn),
            Ok(Ok(())) => self.first_event(turn),
            Err(failure) if !has_handler => self.app_failed(&failure, turn),
            Ok(Err(error)) => self.first_event_failed(&call::failure(error), effects, turn),
            Err(panic) => self.first_event_failed(&panic, effects, turn),
        }
        0
    }

    /// The handler failed on the first event, which was the last, too.
    #[cold]
    fn first_event_failed(&mut self, failure: &Failure, effects: usize, turn: &mut Turn<'_>) {
        turn.env.kit.effects.truncate(effects);
        failure.log("http.request", &mut turn.env);
        match failure {
            Failure::Closed => self.settle_http(turn),
            _ => self.http_failed(turn),
        }
    }

    /// The application failed on its scope.
    #[cold]
    fn app_failed(&mut self, failure: &Failure, turn: &mut Turn<'_>) {
        failure.log("the call with its scope", &mut turn.env);
        // ASGI: an application that raises ends its connection.
        if let Some(exchange) = self.http().and_then(|role| role.exchange.as_mut()) {
            exchange.side.do_not_persist();
        }
        self.answer_for_app(500, "the application failed\n", turn);
    }

    /// A body follows the head: its deadlines begin, and it is decided whether the client waits for
    /// a 100. Every answer that comes before the body passes here first.
    fn begin_body(&mut self, rest: &[u8], turn: &mut Turn<'_>) {
        let Some(role) = self.http() else { return };
        role.body_began = turn.env.round.now;
        role.body_progress(turn);
        let Some(exchange) = &mut role.exchange else { return };
        // RFC 9110 §10.1.1: the 100 may be omitted if the body is arriving already.
        exchange.expecting &= rest.is_empty();
        if exchange.expecting {
            // An answer now suppresses the 100. A client that gets it may or may not send the body
            // still, so the connection cannot go on after it (RFC 9110 §10.1.1).
            // [9110-10.1.1-3] [9110-10.1.1-4]
            exchange.side.do_not_persist();
        }
    }

    /// The first event of a request with a body: it comes before the client sends anything if that
    /// waits for a 100, else with the first piece.
    fn first_event(&mut self, turn: &mut Turn<'_>) {
        if self.http().and_then(|role| role.exchange.as_ref()).is_some_and(|e| e.expecting) {
            self.tell_http(Event::HttpRequest { body: b"", more_body: true }, turn);
        }
    }

    /// An upgrade request: checks the handshake, calls the application with a websocket scope,
    /// changes the protocol.
    #[allow(clippy::too_many_arguments)] // the parts of one head
    #[inline(never)]
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
        let headers = Headers::new(head, &turn.env.kit.fields);
        let accept = match handshake::check(method, version, framing, headers) {
            Ok(accept) => accept,
            Err(refusal) => return self.refuse_handshake(refusal, turn),
        };
        let (compression, permit) = match negotiate(headers, &turn.env) {
            Ok(agreed) => agreed,
            // [6455-9.1-1] [6455-4.2.1-7]
            Err(extension::Malformed) => {
                return self.refuse_handshake(handshake::Refusal::Extensions, turn);
            }
        };
        let path = target::decode_path(target.path());
        let scope = Scope::WebSocket(WebSocketScope {
            http_version: version.as_str(),
            scheme: if SECURE { "wss" } else { "ws" },
            path: &path,
            raw_path: target.path(),
            query_string: target.query(),
            root_path: "",
            headers,
            client: self.ends.client,
            server: self.ends.server(),
            state: &turn.env.round.state,
        });
        let role = match call::guarded(|| app.call(&scope)) {
            Ok(Some(handler)) => {
                let offered = headers.get_all("sec-websocket-protocol");
                let path = turn.env.kit.paths.number(target.path());
                WebSocketRole::new(handler, accept, offered, compression, permit, path, &turn.env)
            }
            // [6455-4.2.2-4]
            Ok(None) => return self.answer(404, &[], "not found\n", Cause::NotPersistent, turn),
            Err(failure) => {
                failure.log("the call with its scope", &mut turn.env);
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
}

/// Is nothing behind this request in what has arrived? Where a chunked body ends is not known yet.
fn is_last(body: Body, rest: &[u8]) -> bool {
    match body {
        Body::Empty => rest.is_empty(),
        Body::Length(length) => rest.len() as u64 <= length,
        Body::Chunked => false,
    }
}

/// RFC 9112 §3.2.2: "the server MUST ignore the received Host header field (if any) and instead
/// replace it with the host information of the request-target".
#[cold]
fn replace_host(fields: &mut [FieldSpan], head: &[u8], authority: &[u8]) {
    let at = authority.as_ptr() as usize - head.as_ptr() as usize;
    let host = Span { start: at as u32, end: (at + authority.len()) as u32 };
    for field in fields.iter_mut().filter(|field| field.name.of(head) == b"host") {
        // [9112-3.2.2-2]
        field.value = host;
    }
}

/// How messages are compressed, and the memory that was reserved for it.
type Negotiated = (Option<Compression>, Option<Permit>);

/// RFC 7692 §5.1: what is agreed about compression, if this server was asked to compress. The
/// grammar of the field is checked also if it was not (RFC 6455 §9.1).
fn negotiate(headers: Headers<'_>, env: &Env<'_>) -> Result<Negotiated, extension::Malformed> {
    let config = &env.round.config;
    let offers = || headers.get_all("sec-websocket-extensions");
    let mut agreed = extension::accept(offers(), config.deflate.unwrap_or_default())?;
    let Some(ours) = config.deflate.filter(|_| cfg!(feature = "deflate")) else {
        return Ok((None, None));
    };
    let reserve = |agreed: &Agreed| env.round.takeover.reserve(agreed, config.takeover_memory);
    let permit = agreed.as_ref().and_then(reserve);
    if permit.is_none() {
        // Too many keep context already.
        agreed = extension::accept(offers(), ours.takeover(false))?;
    }
    // [6455-4.2.2-7] [6455-9-1]
    Ok((agreed.map(|agreed| (agreed, ours)), permit))
}

/// This asks for the WebSocket protocol: is it to be taken at its word?
fn wants_websocket(version: Version, headers: Headers<'_>) -> bool {
    // RFC 9110 §7.8: "A server MUST ignore an Upgrade header field that is received in an
    // HTTP/1.0 request". Departure: if the request carries a WebSocket key it is a handshake and
    // nothing else, and its client is better served with the reason of the refusal.
    // [9110-7.8-2] [9110-7.8-6]
    version == Version::Http11 || headers.get("sec-websocket-key").is_some()
}

/// RFC 9110 §9.1: "The method token is case-sensitive". ASGI shows methods in upper case, so `get`
/// would reach an application as `GET`, which it is not: a known method in another case is not
/// implemented. (Unknown methods are whatever the application makes of them.)
fn known_as_written(method: &[u8]) -> bool {
    const KNOWN: [&[u8]; 9] =
        [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"];
    !method.iter().any(u8::is_ascii_lowercase)
        || !KNOWN.iter().any(|known| known.eq_ignore_ascii_case(method))
}

/// The method as ASGI wants it, in upper case.
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
