//! What can go wrong with a client, told apart.

use std::io;

use super::response::Response;
use crate::asgi::Invalid;
use crate::ws::{self, close};

/// Why a client could not connect, or why a WebSocket gives or takes nothing more. One line that
/// says what happened, also where it is printed by `fn main() -> Result<(), client::Error>`.
#[non_exhaustive]
pub enum Error {
    /// The URI cannot be used.
    Uri {
        /// As it was given.
        uri: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The name of the host could not be resolved.
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No address of the host took the connection; this is what the last one said.
    Connect {
        /// Host and port.
        address: String,
        /// `ConnectionRefused` if nobody listens there.
        source: io::Error,
    },
    /// TLS could not be agreed, or the certificate is not trusted.
    Tls {
        /// The name for which a certificate was expected.
        host: String,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server answered the handshake with something else than 101; it is at hand.
    Refused(Box<Response>),
    /// The server's answer to the handshake breaks a rule, which is told.
    Handshake(String),
    /// A time limit passed.
    TimedOut(Wait),
    /// The WebSocket was closed politely: with this code, 1005 if there was none.
    Closed {
        /// The code of the Close.
        code: u16,
        /// The peer's reason; empty if we closed.
        reason: String,
    },
    /// The server broke a rule of the WebSocket protocol, or sent a message larger than
    /// [`Connect::max_message`](super::Connect::max_message) or slower than
    /// [`Connect::min_body_rate`](super::Connect::min_body_rate), so we closed.
    Protocol(ws::Error),
    /// The connection broke off: it ended without a Close, or failed.
    Broken(io::Error),
    /// What was to be sent is not valid; nothing of it was.
    Invalid(Invalid),
}

/// What a time limit was for. After [`Receive`](Wait::Receive) and [`Pong`](Wait::Pong) the
/// WebSocket is open still; after all others it is not, or never was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wait {
    /// Everything up to the answer to the handshake.
    Connect,
    /// A message. The WebSocket is open still.
    Receive,
    /// The peer took nothing of what was sent.
    Send,
    /// The pong that answers a [`ping`](super::WebSocket::ping) of the program. The WebSocket is
    /// open still: only the program's patience ended.
    Pong,
    /// The pong that answers any ping, within
    /// [`Connect::ping_timeout`](super::Connect::ping_timeout), nor anything else that shows a live
    /// server: it is taken for dead, so we closed with 1011 (RFC 6455 §5.5.2: a ping may serve as a
    /// keepalive).
    Keepalive,
    /// The peer's Close.
    Close,
}

impl Error {
    /// Was the WebSocket closed politely, with nothing wrong: code 1000, 1001 or none?
    pub fn is_normal_close(&self) -> bool {
        matches!(self, Error::Closed { code: 1000 | 1001 | 1005, .. })
    }

    /// The code with which the WebSocket was closed, or 1006 if it broke off; `None` if it was
    /// never open or still is.
    pub fn close_code(&self) -> Option<u16> {
        match self {
            Error::Closed { code, .. } => Some(*code),
            Error::Protocol(error) => Some(error.close_code()),
            Error::TimedOut(Wait::Keepalive) => Some(close::INTERNAL_ERROR),
            Error::Broken(_) | Error::TimedOut(Wait::Close | Wait::Send) => Some(close::ABNORMAL),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // `main` prints errors with Debug: the reader there is a person, too.
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Uri { uri, reason } => write!(f, "{uri:?} cannot be connected to: {reason}"),
            Error::Resolve { host, source } => {
                write!(f, "the name {host:?} could not be resolved: {source}")
            }
            Error::Connect { address, source }
                if source.kind() == io::ErrorKind::ConnectionRefused =>
            {
                write!(f, "{address} refused the connection: is the server running?")
            }
            Error::Connect { address, source } => {
                write!(f, "could not connect to {address}: {source}")
            }
            Error::Tls { host, source } => write!(f, "no TLS with {host}: {source}"),
            Error::Refused(response) => write!(f, "the server refused the WebSocket: {response}"),
            Error::Handshake(rule) => {
                write!(f, "the server's answer to the handshake is not valid: {rule}")
            }
            Error::TimedOut(wait) => f.write_str(match wait {
                Wait::Connect => "the time limit for connecting passed",
                Wait::Receive => "no message came within the time limit",
                Wait::Send => "the server took nothing within the time limit",
                Wait::Pong => "no pong came within the time limit",
                Wait::Keepalive => "the server answered no ping in time and is taken for dead",
                Wait::Close => "the server did not answer our Close within the time limit",
            }),
            Error::Closed { code, reason } if reason.is_empty() => {
                write!(f, "the WebSocket was closed with code {code}")
            }
            Error::Closed { code, reason } => {
                write!(f, "the WebSocket was closed with code {code}: {reason}")
            }
            Error::Protocol(ws::Error::MessageTooBig) => {
                f.write_str("the server sent a message larger than we take")
            }
            Error::Protocol(error) => write!(f, "the server broke a rule: {error}"),
            Error::Broken(source) => write!(f, "the connection broke off: {source}"),
            Error::Invalid(Invalid::HandshakeField) => f.write_str(
                "host, origin, upgrade, connection, content-length, transfer-encoding and the \
                 sec-websocket fields are the handshake's own (RFC 6455 §4.1): the URI, the Origin \
                 and the subprotocols are given apart",
            ),
            Error::Invalid(Invalid::Subprotocol) => f.write_str(
                "a subprotocol must be a token, and may be offered once (RFC 6455 §4.1)",
            ),
            Error::Invalid(what) => f.write_str(what.rule()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Resolve { source, .. }
            | Error::Connect { source, .. }
            | Error::Broken(source) => Some(source),
            Error::Tls { source, .. } => Some(&**source),
            Error::Protocol(error) => Some(error),
            _ => None,
        }
    }
}
