//! What happens in a scope and what an application says to it.
//!
//! The variants mirror ASGI's events one to one; `docs/EVENTS.md` has a heading for each.

use std::any::Any;

use super::Message;
use crate::http::sender::Field;

/// Server to application.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// `http.request`: a piece of the request body.
    HttpRequest {
        /// The piece; empty for a request without a body.
        body: &'a [u8],
        /// Do more pieces follow?
        more_body: bool,
    },
    /// `http.disconnect`: the peer left before the response was complete. The last event.
    HttpDisconnect,
    /// `websocket.connect`: a client wants to open a WebSocket; answer with accept or close.
    WebSocketConnect,
    /// `websocket.receive`: a message.
    WebSocketReceive(Message<'a>),
    /// `websocket.disconnect`: the WebSocket ended. The last event.
    WebSocketDisconnect {
        /// The peer's code; 1005 if its Close had none, 1006 if there was no Close; our own if
        /// we closed.
        code: u16,
        /// The peer's reason.
        reason: &'a str,
    },
    /// `lifespan.startup`: the server is about to accept connections.
    LifespanStartup,
    /// `lifespan.shutdown`: the last connection ended.
    LifespanShutdown,
    /// Ours: after [`Flow::Full`](super::Flow::Full), most of what was queued has left.
    Drain,
    /// Ours: the time of [`Outbox::wake_after`](super::Outbox::wake_after) is over.
    Timer,
    /// Ours: the server is ending. Streams may end themselves, WebSockets say goodbye; a scope that
    /// ignores it goes on for as long as [`Config::drain_timeout`](super::Config::drain_timeout) allows.
    Shutdown,
    /// Ours: a value that came through [`Handle::post`](super::Handle::post).
    Custom(Box<dyn Any + Send>),
}

impl Event<'_> {
    /// The name in ASGI (or ours, beginning with `oneport.`).
    pub const fn name(&self) -> &'static str {
        match self {
            Event::HttpRequest { .. } => "http.request",
            Event::HttpDisconnect => "http.disconnect",
            Event::WebSocketConnect => "websocket.connect",
            Event::WebSocketReceive(_) => "websocket.receive",
            Event::WebSocketDisconnect { .. } => "websocket.disconnect",
            Event::LifespanStartup => "lifespan.startup",
            Event::LifespanShutdown => "lifespan.shutdown",
            Event::Drain => "oneport.drain",
            Event::Timer => "oneport.timer",
            Event::Shutdown => "oneport.shutdown",
            Event::Custom(_) => "oneport.custom",
        }
    }
}

/// Application to server.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum SendEvent<'a> {
    /// `http.response.start`
    HttpResponseStart {
        /// 200 to 999.
        status: u16,
        /// Names are tokens, values have no control bytes.
        headers: &'a [Field<'a>],
        /// Does `http.response.trailers` follow the body?
        trailers: bool,
    },
    /// `http.response.body`
    HttpResponseBody {
        /// A piece of the body.
        body: &'a [u8],
        /// Do more pieces follow?
        more_body: bool,
    },
    /// `http.response.trailers` (extension)
    HttpResponseTrailers {
        /// Trailer fields.
        headers: &'a [Field<'a>],
        /// Do more trailer fields follow?
        more_trailers: bool,
    },
    /// `http.response.early_hint` (extension)
    HttpResponseEarlyHint {
        /// Values of Link fields for a 103.
        links: &'a [&'a [u8]],
    },
    /// `http.response.pathsend` (extension): the file is the whole body.
    HttpResponsePathsend {
        /// An absolute path.
        path: &'a std::path::Path,
    },
    /// `websocket.accept`
    WebSocketAccept {
        /// One of those offered.
        subprotocol: Option<&'a str>,
        /// Further fields of the 101.
        headers: &'a [Field<'a>],
    },
    /// `websocket.send`
    WebSocketSend(Message<'a>),
    /// `websocket.close`; before accept: 403.
    WebSocketClose {
        /// 1000 to 1003, 1007 to 1014 or 3000 to 4999.
        code: u16,
        /// Cut to 123 bytes.
        reason: &'a str,
    },
    /// `websocket.http.response.start` (extension): refuse with a response of one's own.
    WebSocketHttpResponseStart {
        /// 200 to 999.
        status: u16,
        /// As in `HttpResponseStart`.
        headers: &'a [Field<'a>],
    },
    /// `websocket.http.response.body` (extension)
    WebSocketHttpResponseBody {
        /// A piece of the body.
        body: &'a [u8],
        /// Do more pieces follow?
        more_body: bool,
    },
    /// `lifespan.startup.complete`
    LifespanStartupComplete,
    /// `lifespan.startup.failed`: the server logs the message and ends.
    LifespanStartupFailed {
        /// What is wrong.
        message: &'a str,
    },
    /// `lifespan.shutdown.complete`
    LifespanShutdownComplete,
    /// `lifespan.shutdown.failed`
    LifespanShutdownFailed {
        /// What is wrong.
        message: &'a str,
    },
}

impl SendEvent<'_> {
    /// The name in ASGI.
    pub const fn name(&self) -> &'static str {
        match self {
            SendEvent::HttpResponseStart { .. } => "http.response.start",
            SendEvent::HttpResponseBody { .. } => "http.response.body",
            SendEvent::HttpResponseTrailers { .. } => "http.response.trailers",
            SendEvent::HttpResponseEarlyHint { .. } => "http.response.early_hint",
            SendEvent::HttpResponsePathsend { .. } => "http.response.pathsend",
            SendEvent::WebSocketAccept { .. } => "websocket.accept",
            SendEvent::WebSocketSend(_) => "websocket.send",
            SendEvent::WebSocketClose { .. } => "websocket.close",
            SendEvent::WebSocketHttpResponseStart { .. } => "websocket.http.response.start",
            SendEvent::WebSocketHttpResponseBody { .. } => "websocket.http.response.body",
            SendEvent::LifespanStartupComplete => "lifespan.startup.complete",
            SendEvent::LifespanStartupFailed { .. } => "lifespan.startup.failed",
            SendEvent::LifespanShutdownComplete => "lifespan.shutdown.complete",
            SendEvent::LifespanShutdownFailed { .. } => "lifespan.shutdown.failed",
        }
    }
}

/// A copy of a [`SendEvent`] that can travel between threads.
#[derive(Debug, Clone)]
pub struct OwnedSendEvent(Owned);

type OwnedFields = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Debug, Clone)]
enum Owned {
    Start(u16, OwnedFields, bool),
    Body(Vec<u8>, bool),
    Trailers(OwnedFields, bool),
    EarlyHint(Vec<Vec<u8>>),
    Pathsend(std::path::PathBuf),
    Accept(Option<String>, OwnedFields),
    Text(String),
    Binary(Vec<u8>),
    Close(u16, String),
    DenyStart(u16, OwnedFields),
    DenyBody(Vec<u8>, bool),
    StartupComplete,
    StartupFailed(String),
    ShutdownComplete,
    ShutdownFailed(String),
}

/// A copy of a whole response that can travel between threads.
#[derive(Debug, Clone)]
pub struct OwnedResponse {
    status: u16,
    fields: OwnedFields,
    body: Vec<u8>,
}

impl OwnedResponse {
    /// Copies a response.
    pub fn copy_of(status: u16, headers: &[Field<'_>], body: &[u8]) -> Self {
        Self { status, fields: own(headers), body: body.to_vec() }
    }

    /// Lends status, fields and body.
    pub fn with<R>(&self, then: impl FnOnce(u16, &[Field<'_>], &[u8]) -> R) -> R {
        then(self.status, &borrow(&self.fields), &self.body)
    }

    /// What it costs in a mailbox.
    pub fn cost(&self) -> usize {
        cost_of(&self.fields) + self.body.len() + SMALL_COST
    }
}

/// The fixed part of the cost of anything in a mailbox, so that a flood of empty events is
/// bounded too.
pub const SMALL_COST: usize = 64;

fn cost_of(fields: &OwnedFields) -> usize {
    fields.iter().map(|(name, value)| name.len() + value.len()).sum()
}

fn borrow(fields: &OwnedFields) -> Vec<Field<'_>> {
    fields.iter().map(|(name, value)| (&name[..], &value[..])).collect()
}

fn own(fields: &[Field<'_>]) -> OwnedFields {
    fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

impl OwnedSendEvent {
    /// Copies an event.
    pub fn copy_of(event: SendEvent<'_>) -> Self {
        Self(match event {
            SendEvent::HttpResponseStart { status, headers, trailers } => {
                Owned::Start(status, own(headers), trailers)
            }
            SendEvent::HttpResponseBody { body, more_body } => {
                Owned::Body(body.to_vec(), more_body)
            }
            SendEvent::HttpResponseTrailers { headers, more_trailers } => {
                Owned::Trailers(own(headers), more_trailers)
            }
            SendEvent::HttpResponseEarlyHint { links } => {
                Owned::EarlyHint(links.iter().map(|link| link.to_vec()).collect())
            }
            SendEvent::HttpResponsePathsend { path } => Owned::Pathsend(path.to_path_buf()),
            SendEvent::WebSocketAccept { subprotocol, headers } => {
                Owned::Accept(subprotocol.map(str::to_string), own(headers))
            }
            SendEvent::WebSocketSend(Message::Text(text)) => Owned::Text(text.to_string()),
            SendEvent::WebSocketSend(Message::Binary(bytes)) => Owned::Binary(bytes.to_vec()),
            SendEvent::WebSocketClose { code, reason } => Owned::Close(code, reason.to_string()),
            SendEvent::WebSocketHttpResponseStart { status, headers } => {
                Owned::DenyStart(status, own(headers))
            }
            SendEvent::WebSocketHttpResponseBody { body, more_body } => {
                Owned::DenyBody(body.to_vec(), more_body)
            }
            SendEvent::LifespanStartupComplete => Owned::StartupComplete,
            SendEvent::LifespanStartupFailed { message } => Owned::StartupFailed(message.into()),
            SendEvent::LifespanShutdownComplete => Owned::ShutdownComplete,
            SendEvent::LifespanShutdownFailed { message } => Owned::ShutdownFailed(message.into()),
        })
    }

    /// Lends the event it is a copy of.
    pub fn with<R>(&self, then: impl FnOnce(SendEvent<'_>) -> R) -> R {
        fn borrow(fields: &OwnedFields) -> Vec<Field<'_>> {
            fields.iter().map(|(name, value)| (&name[..], &value[..])).collect()
        }
        match &self.0 {
            Owned::Start(status, fields, trailers) => then(SendEvent::HttpResponseStart {
                status: *status,
                headers: &borrow(fields),
                trailers: *trailers,
            }),
            Owned::Body(body, more_body) => {
                then(SendEvent::HttpResponseBody { body, more_body: *more_body })
            }
            Owned::Trailers(fields, more_trailers) => then(SendEvent::HttpResponseTrailers {
                headers: &borrow(fields),
                more_trailers: *more_trailers,
            }),
            Owned::EarlyHint(links) => {
                let links: Vec<&[u8]> = links.iter().map(|link| &link[..]).collect();
                then(SendEvent::HttpResponseEarlyHint { links: &links })
            }
            Owned::Pathsend(path) => then(SendEvent::HttpResponsePathsend { path }),
            Owned::Accept(subprotocol, fields) => then(SendEvent::WebSocketAccept {
                subprotocol: subprotocol.as_deref(),
                headers: &borrow(fields),
            }),
            Owned::Text(text) => then(SendEvent::WebSocketSend(Message::Text(text))),
            Owned::Binary(bytes) => then(SendEvent::WebSocketSend(Message::Binary(bytes))),
            Owned::Close(code, reason) => then(SendEvent::WebSocketClose { code: *code, reason }),
            Owned::DenyStart(status, fields) => then(SendEvent::WebSocketHttpResponseStart {
                status: *status,
                headers: &borrow(fields),
            }),
            Owned::DenyBody(body, more_body) => {
                then(SendEvent::WebSocketHttpResponseBody { body, more_body: *more_body })
            }
            Owned::StartupComplete => then(SendEvent::LifespanStartupComplete),
            Owned::StartupFailed(message) => then(SendEvent::LifespanStartupFailed { message }),
            Owned::ShutdownComplete => then(SendEvent::LifespanShutdownComplete),
            Owned::ShutdownFailed(message) => then(SendEvent::LifespanShutdownFailed { message }),
        }
    }

    /// What it costs in a mailbox.
    pub fn cost(&self) -> usize {
        let payload = match &self.0 {
            Owned::Body(bytes, _) | Owned::Binary(bytes) | Owned::DenyBody(bytes, _) => bytes.len(),
            Owned::Text(text) => text.len(),
            Owned::Start(_, fields, _) | Owned::Trailers(fields, _) => {
                fields.iter().map(|(name, value)| name.len() + value.len()).sum()
            }
            _ => 0,
        };
        payload + 64
    }
}
