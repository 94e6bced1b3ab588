//! What a conversation is about.

use core::net::SocketAddr;
use std::path::Path;

use super::state::State;
use crate::http::{Headers, target};
use crate::ws::handshake;

/// The version of ASGI that the contract follows.
pub const ASGI_VERSION: &str = "3.0";
/// The HTTP and WebSocket sub-specification, true to the last step: `reason` on
/// `websocket.disconnect` (2.5), an error for sends after a loss (2.4), `reason` on
/// `websocket.close` (2.3), `headers` on `websocket.accept` (2.1).
pub const SPEC_VERSION: &str = "2.5";
/// The lifespan sub-specification.
pub const LIFESPAN_SPEC_VERSION: &str = "2.0";
const HTTP_EXTENSIONS: &[&str] =
    &["http.response.trailers", "http.response.early_hint", "http.response.pathsend"];
const WEBSOCKET_EXTENSIONS: &[&str] = &["websocket.http.response"];

/// What a scope is about; `type` in ASGI.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Scope<'a> {
    /// `http`: exactly one request, also on a connection that is kept alive.
    Http(HttpScope<'a>),
    /// `websocket`: one WebSocket, as long as it lives.
    WebSocket(WebSocketScope<'a>),
    /// `lifespan`: the life of the server. Departure from ASGI, which has one per event loop:
    /// here the application is one object that all workers share, so it has one life.
    Lifespan(LifespanScope),
}

/// The address a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerAddress<'a> {
    /// Address and port.
    Inet(SocketAddr),
    /// The path of a unix socket.
    Unix(&'a Path),
}

/// The scope of one HTTP request.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct HttpScope<'a> {
    /// `"1.0"` or `"1.1"`.
    pub http_version: &'static str,
    /// In upper case.
    pub method: &'a str,
    /// `"http"` or `"https"`.
    pub scheme: &'static str,
    /// Percent escapes and UTF-8 decoded; without the query. Holds U+FFFD where the bytes were
    /// no UTF-8.
    pub path: &'a str,
    /// The path as sent, without the query.
    pub raw_path: &'a [u8],
    /// What follows the `?`, as sent; empty if there is none.
    pub query_string: &'a [u8],
    /// Where the application is mounted; `""`.
    pub root_path: &'a str,
    /// All fields, names in lower case, in the order sent.
    pub headers: Headers<'a>,
    /// Who asks; `None` on a unix socket.
    pub client: Option<SocketAddr>,
    /// Where it came to.
    pub server: Option<ServerAddress<'a>>,
    /// What the lifespan set.
    pub state: &'a State,
}

/// The scope of one WebSocket.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct WebSocketScope<'a> {
    /// `"1.1"`.
    pub http_version: &'static str,
    /// `"ws"` or `"wss"`.
    pub scheme: &'static str,
    /// As in [`HttpScope::path`].
    pub path: &'a str,
    /// As in [`HttpScope::raw_path`].
    pub raw_path: &'a [u8],
    /// As in [`HttpScope::query_string`].
    pub query_string: &'a [u8],
    /// As in [`HttpScope::root_path`].
    pub root_path: &'a str,
    /// As in [`HttpScope::headers`].
    pub headers: Headers<'a>,
    /// As in [`HttpScope::client`].
    pub client: Option<SocketAddr>,
    /// As in [`HttpScope::server`].
    pub server: Option<ServerAddress<'a>>,
    /// What the lifespan set.
    pub state: &'a State,
}

/// The scope of a server's life.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct LifespanScope {}

impl<'a> WebSocketScope<'a> {
    /// The subprotocols that the client offered, in its order of preference.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        handshake::subprotocols(self.headers)
    }

    /// The first of `ours`, in our order of preference, that the client offered. For
    /// `websocket.accept`.
    pub fn choose_subprotocol<'s>(&self, ours: &[&'s str]) -> Option<&'s str> {
        ours.iter().copied().find(|our| self.subprotocols().any(|offered| offered == *our))
    }

    /// The first that the client offered, in its order of preference, that is one of `ours`.
    pub fn choose_subprotocol_of_client<'s>(&self, ours: &[&'s str]) -> Option<&'s str> {
        self.subprotocols().find_map(|offered| ours.iter().copied().find(|our| *our == offered))
    }
}

impl<'a> Scope<'a> {
    /// `type` in ASGI: `"http"`, `"websocket"` or `"lifespan"`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Scope::Http(_) => "http",
            Scope::WebSocket(_) => "websocket",
            Scope::Lifespan(_) => "lifespan",
        }
    }

    /// The decoded path; `""` for a lifespan.
    pub fn path(&self) -> &'a str {
        match self {
            Scope::Http(scope) => scope.path,
            Scope::WebSocket(scope) => scope.path,
            Scope::Lifespan(_) => "",
        }
    }

    /// The query, as sent; empty for a lifespan.
    pub fn query_string(&self) -> &'a [u8] {
        match self {
            Scope::Http(scope) => scope.query_string,
            Scope::WebSocket(scope) => scope.query_string,
            Scope::Lifespan(_) => b"",
        }
    }

    /// The decoded value of a name in the query (`?name=value&…`), the first one; `+` is a space
    /// and percent escapes are decoded, as HTML forms send them. `None` if it is missing or no
    /// UTF-8.
    pub fn query(&self, name: &str) -> Option<String> {
        target::query_value(self.query_string(), name)
    }

    /// The fields of the request; none for a lifespan.
    pub fn headers(&self) -> Headers<'a> {
        match self {
            Scope::Http(scope) => scope.headers,
            Scope::WebSocket(scope) => scope.headers,
            Scope::Lifespan(_) => Headers::new(b"", &[]),
        }
    }

    /// What the lifespan set. In the lifespan scope itself: nothing yet.
    pub fn state(&self) -> Option<&'a State> {
        match self {
            Scope::Http(scope) => Some(scope.state),
            Scope::WebSocket(scope) => Some(scope.state),
            Scope::Lifespan(_) => None,
        }
    }

    /// `asgi["spec_version"]`.
    pub const fn spec_version(&self) -> &'static str {
        match self {
            Scope::Lifespan(_) => LIFESPAN_SPEC_VERSION,
            _ => SPEC_VERSION,
        }
    }

    /// The names in `extensions`: events beyond the core that may be sent in this scope.
    pub const fn extensions(&self) -> &'static [&'static str] {
        match self {
            Scope::Http(_) => HTTP_EXTENSIONS,
            Scope::WebSocket(_) => WEBSOCKET_EXTENSIONS,
            Scope::Lifespan(_) => &[],
        }
    }
}
