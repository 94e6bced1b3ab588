//! The closing record: how a connection ended, as a type and not as prose.

use std::io;
use std::time::Duration;

use crate::http;
use crate::ws::{self, handshake::Refusal};

/// A deadline that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deadline {
    /// No request began in time after the last response.
    Idle,
    /// The application began no answer in time.
    Response,
    /// The peer took nothing of what we had for it.
    Write,
    /// No pong answered our ping.
    Pong,
    /// The peer did not answer our Close.
    Close,
}

/// Why a connection ended. Who ended it is [`Cause::by`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The peer left in an orderly way: a FIN between requests, or a Close.
    PeerClosed,
    /// The peer left in the middle: of a request, an answer, or without a Close.
    PeerVanished,
    /// The last response said so: because the peer asked for it with `Connection: close` or
    /// HTTP/1.0, because the application did, or because it erred. Counted as the application's.
    NotPersistent,
    /// The application closed or refused the WebSocket.
    AppClosed,
    /// The handler erred, panicked or could no longer answer.
    HandlerFailed,
    /// A request broke a rule of HTTP.
    RequestRefused(http::Error),
    /// An opening handshake broke a rule.
    HandshakeRefused(Refusal),
    /// The peer broke a rule of the WebSocket protocol.
    WebSocketFailed(ws::Error),
    /// A deadline passed.
    DeadlinePassed(Deadline),
    /// More was queued for the peer than the hard limit allows.
    Overrun,
    /// The response was complete while much of the body was still to come.
    BodyUnread,
    /// There were as many connections as allowed.
    Load,
    /// A read or write failed.
    Network(io::ErrorKind),
    /// The server shut down.
    Shutdown,
}

/// Who ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// The peer.
    Peer,
    /// The application.
    App,
    /// A rule of ours.
    Rule,
    /// The network.
    Network,
    /// The server's end.
    Shutdown,
}

impl Cause {
    /// Who ended the connection.
    pub const fn by(self) -> By {
        match self {
            Cause::PeerClosed | Cause::PeerVanished => By::Peer,
            Cause::NotPersistent | Cause::AppClosed | Cause::HandlerFailed => By::App,
            Cause::Network(_) => By::Network,
            Cause::Shutdown => By::Shutdown,
            _ => By::Rule,
        }
    }

    /// A short name, to count by.
    pub const fn name(self) -> &'static str {
        match self {
            Cause::PeerClosed => "peer-closed",
            Cause::PeerVanished => "peer-vanished",
            Cause::NotPersistent => "not-persistent",
            Cause::AppClosed => "app-closed",
            Cause::HandlerFailed => "handler-failed",
            Cause::RequestRefused(_) => "request-refused",
            Cause::HandshakeRefused(_) => "handshake-refused",
            Cause::WebSocketFailed(_) => "websocket-failed",
            Cause::DeadlinePassed(Deadline::Idle) => "idle-timeout",
            Cause::DeadlinePassed(Deadline::Response) => "response-timeout",
            Cause::DeadlinePassed(Deadline::Write) => "write-timeout",
            Cause::DeadlinePassed(Deadline::Pong) => "ping-timeout",
            Cause::DeadlinePassed(Deadline::Close) => "close-timeout",
            Cause::Overrun => "overrun",
            Cause::BodyUnread => "body-unread",
            Cause::Load => "max-connections",
            Cause::Network(_) => "network",
            Cause::Shutdown => "shutdown",
        }
    }

    /// The section that states the rule, on a WebSocket or in HTTP.
    pub const fn clause(self, websocket: bool) -> &'static str {
        match self {
            Cause::RequestRefused(error) => error.section(),
            Cause::HandshakeRefused(refusal) => refusal.section(),
            Cause::WebSocketFailed(error) => error.section(),
            Cause::DeadlinePassed(Deadline::Idle) => "RFC 9112 §9.5",
            Cause::DeadlinePassed(Deadline::Response) => "RFC 9110 §15.6.5",
            Cause::DeadlinePassed(Deadline::Write) => "RFC 9112 §9.5",
            Cause::DeadlinePassed(Deadline::Pong) => "RFC 6455 §5.5.2",
            Cause::DeadlinePassed(Deadline::Close) => "RFC 6455 §7.1.1",
            Cause::NotPersistent | Cause::BodyUnread => "RFC 9112 §9.6",
            Cause::PeerClosed if websocket => "RFC 6455 §5.5.1",
            Cause::PeerVanished | Cause::Network(_) if websocket => "RFC 6455 §7.1.5",
            Cause::PeerClosed | Cause::PeerVanished | Cause::Network(_) => "RFC 9112 §9.5",
            Cause::AppClosed if !websocket => "RFC 9112 §9.6",
            Cause::AppClosed => "RFC 6455 §7.1.2",
            Cause::HandlerFailed | Cause::Overrun if !websocket => "RFC 9112 §8",
            Cause::HandlerFailed | Cause::Overrun => "RFC 6455 §7.4.1",
            Cause::Load => "RFC 9110 §15.6.4",
            Cause::Shutdown if !websocket => "RFC 9112 §9.6",
            Cause::Shutdown => "RFC 6455 §7.4.1",
        }
    }
}

/// How a connection ended: exactly one for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Why, and by whom.
    pub cause: Cause,
    /// Was it a WebSocket at its end?
    pub websocket: bool,
    /// The code of the Close that we sent.
    pub code_sent: Option<u16>,
    /// The code that the handler was told.
    pub code_told: Option<u16>,
    /// Time since the last pong.
    pub last_pong: Option<Duration>,
    /// The last round-trip time of a ping.
    pub round_trip: Option<Duration>,
    /// Bytes that were still queued for the peer.
    pub queued: usize,
    /// Bytes that came.
    pub received: u64,
    /// Bytes that left.
    pub sent: u64,
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.websocket { "WebSocket" } else { "HTTP" };
        write!(f, "{kind} connection ended by {:?}: {:?}", self.cause.by(), self.cause)?;
        if let Some(code) = self.code_sent {
            write!(f, ", sent close {code}")?;
        }
        if let Some(code) = self.code_told {
            write!(f, ", told {code}")?;
        }
        if let Some(age) = self.last_pong {
            write!(f, ", last pong {age:.1?} ago")?;
        }
        if let Some(time) = self.round_trip {
            write!(f, ", round trip {time:.1?}")?;
        }
        write!(f, ", {} B in, {} B out, {} B queued", self.received, self.sent, self.queued)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_http_connection_cites_no_rule_of_websocket() {
        let causes = [
            Cause::PeerClosed,
            Cause::PeerVanished,
            Cause::NotPersistent,
            Cause::AppClosed,
            Cause::HandlerFailed,
            Cause::RequestRefused(http::Error::Target),
            Cause::DeadlinePassed(Deadline::Idle),
            Cause::DeadlinePassed(Deadline::Response),
            Cause::DeadlinePassed(Deadline::Write),
            Cause::Overrun,
            Cause::BodyUnread,
            Cause::Load,
            Cause::Network(io::ErrorKind::BrokenPipe),
            Cause::Shutdown,
        ];
        for cause in causes {
            assert!(!cause.clause(false).contains("6455"), "{cause:?}");
        }
        assert_eq!(Cause::Shutdown.clause(true), "RFC 6455 §7.4.1");
    }
}
