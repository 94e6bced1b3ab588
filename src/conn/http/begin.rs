//! A head is complete: what it means, and the call of the application.

use std::borrow::Cow;

use super::{Due, Exchange};
use crate::asgi::outbox::HttpSide;
use crate::asgi::{App, Config, Event, Handler, HttpScope, Scope, WebSocketScope};
use crate::conn::call::{self, Failure};
use crate::conn::record::Cause;
use crate::conn::trace::Trace;
use crate::conn::websocket::WebSocketRole;
use crate::conn::{Connection, Local, Role, Turn};
use crate::http::cycle::Step;
use crate::http::framing::{self, Body, Framing};
use crate::http::head::{Head, Span};
use crate::http::headers::Headers;
use crate::http::sender::Request;
use crate::http::target::{self, Target};
use crate::http::{Error, Version};
use crate::ws::extension::{self, Agreed, Deflate};
use crate::ws::handshake;

impl<H: Handler> Connection<H> {
    /// A head is complete: decides what it means, calls the application, tells the first event.
    /// Tells how many bytes of the body in `rest` were used with it.
    pub(super) fn begin_exchange<A>(
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
        self.core.number = self.core.number.wrapping_add(1);
        if let Some(role) = self.http() {
            role.is_head = method == b"HEAD";
        }
        self.trace(turn, &Trace::RequestHead { method, target: raw_target, version });
        let decided = Target::parse(method, raw_target)
            .and_then(|target| Ok((target, framing::decide(version, head_bytes, turn.fields)?)));
        let (target, framing) = match decided {
            // RFC 9110 §9.3.6: an origin server need not make tunnels; we do not.
            // [9110-9.3.6-1]
            Ok((Target::Authority(_), _)) => return self.refuse(Error::Connect, turn),
            Ok((_, Framing { body: Body::Length(length), .. }))
                if length > turn.env.config.max_body =>
            {
                return self.refuse(Error::BodyTooLarge, turn);
            }
            Ok(decided) => decided,
            Err(error) => return self.refuse(error, turn),
        };
        if let Target::Absolute { authority, .. } = target {
            // RFC 9112 §3.2.2: "the server MUST ignore the received Host header field (if any) and
            // instead replace it with the host information of the request-target".
            let at = authority.as_ptr() as usize - head_bytes.as_ptr() as usize;
            let host = Span { start: at as u32, end: (at + authority.len()) as u32 };
            for field in turn.fields.iter_mut().filter(|f| f.name.of(head_bytes) == b"host") {
                // [9112-3.2.2-2]
                field.value = host;
            }
        }
        if wants_websocket(&framing, version, Headers::new(head_bytes, turn.fields)) {
            self.begin_websocket(app, method, version, &target, &framing, head_bytes, turn);
            return 0;
        }
        let request = Request {
            version,
            // [9110-9.1-1]
            is_head: method == b"HEAD",
            persist: framing.persist
                && !self.draining
                && !(self.last_call && is_last(framing.body, rest)),
            te_trailers: framing.te_trailers,
        };
        let handler = self.call_app(app, method, version, &target, head_bytes, turn);
        let Role::Http(role) = &mut self.role else { return 0 };
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
            (true, _) => {
                // ASGI: an application that raises ends its connection.
                if let Some(exchange) = self.http().and_then(|role| role.exchange.as_mut()) {
                    exchange.side.do_not_persist();
                }
                self.answer_for_app(500, "the application failed\n", turn);
            }
            (_, false) => self.answer_for_app(404, "not found\n", turn),
            _ => return self.first_event(framing.body, rest, turn),
        }
        0
    }

    /// Tells the first event of a request, with what is there of its body.
    pub(super) fn first_event(
        &mut self,
        body: Body,
        rest: &mut [u8],
        turn: &mut Turn<'_>,
    ) -> usize {
        if body == Body::Empty {
            self.tell_http(Event::HttpRequest { body: b"", more_body: false }, turn);
            return 0;
        }
        let Role::Http(role) = &mut self.role else { return 0 };
        role.body_progress(turn);
        let Some(exchange) = &mut role.exchange else { return 0 };
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
        // [9110-10.1.1-3] [9110-10.1.1-4]
        self.tell_http(Event::HttpRequest { body: b"", more_body: true }, turn);
        0
    }

    /// Calls the application with an http scope.
    pub(super) fn call_app<A>(
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
            server: self.addresses.server.as_ref().map(Local::as_scope),
            state: turn.state,
        });
        call::guarded(|| app.call(&scope))
    }

    /// An upgrade request: checks the handshake, calls the application with a websocket scope,
    /// changes the protocol.
    #[allow(clippy::too_many_arguments)] // the parts of one head
    pub(super) fn begin_websocket<A>(
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
        let compression = match negotiate(headers, turn.env.config) {
            Ok(compression) => compression,
            Err(extension::Malformed) => {
                return self.refuse_handshake(handshake::Refusal::Extensions, turn);
            }
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
            server: self.addresses.server.as_ref().map(Local::as_scope),
            state: turn.state,
        });
        let role = match call::guarded(|| app.call(&scope)) {
            Ok(Some(handler)) => {
                let offered = headers.get_all("sec-websocket-protocol");
                WebSocketRole::new(handler, accept, offered, compression, turn.env.now)
            }
            // [6455-4.2.2-4]
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
}

/// Is nothing behind this request in what has arrived? Where a chunked body ends is not known yet.
fn is_last(body: Body, rest: &[u8]) -> bool {
    match body {
        Body::Empty => rest.is_empty(),
        Body::Length(length) => rest.len() as u64 <= length,
        Body::Chunked => false,
    }
}

/// RFC 7692 §5.1: what is agreed about compression, if this server was asked to compress.
fn negotiate(
    headers: Headers<'_>,
    config: &Config,
) -> Result<Option<(Agreed, Deflate)>, extension::Malformed> {
    let Some(deflate) = config.deflate.filter(|_| cfg!(feature = "deflate")) else {
        return Ok(None);
    };
    let agreed = extension::accept(headers.get_all("sec-websocket-extensions"), deflate)?;
    Ok(agreed.map(|agreed| (agreed, deflate)))
}

/// Is this a request for a WebSocket?
fn wants_websocket(framing: &Framing, version: Version, headers: Headers<'_>) -> bool {
    // RFC 9110 §7.8: "A server MUST ignore an Upgrade header field that is received in an
    // HTTP/1.0 request". Departure: if the request carries a WebSocket key it is a handshake and
    // nothing else, and its client is better served with the reason of the refusal.
    // [9110-7.8-2] [9110-7.8-6]
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
