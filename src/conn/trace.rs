//! What can be seen of a connection: one typed event for every decision.
//!
//! Logs, metrics, an access log, an inspector are all readers of [`Trace`]. Without an observer
//! an event costs one branch that the processor predicts.

use super::record::Record;
use crate::asgi::handle::Address;
use crate::http::{self, Version};
use crate::ws::{self, frame::Opcode, handshake::Refusal};

/// Something that `http`, `ws` or `conn` decided, with the clause that it obeys.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Trace<'a> {
    /// A request head is complete.
    RequestHead {
        /// As sent.
        method: &'a [u8],
        /// As sent.
        target: &'a [u8],
        /// As sent.
        version: Version,
    },
    /// A request broke a rule.
    RequestRefused(http::Error),
    /// An interim 100 was sent.
    ContinueSent,
    /// A response is complete.
    ResponseComplete {
        /// Its status.
        status: u16,
        /// Does the connection persist?
        persists: bool,
    },
    /// An opening handshake broke a rule.
    HandshakeRefused(Refusal),
    /// A WebSocket is open.
    WebSocketOpened,
    /// A message arrived whole.
    MessageReceived {
        /// Text or binary.
        opcode: Opcode,
        /// Bytes.
        len: usize,
    },
    /// A ping arrived and was answered.
    PingAnswered,
    /// A pong arrived.
    PongReceived,
    /// We sent a ping.
    PingSent,
    /// A Close arrived.
    CloseReceived {
        /// Its code, if it had one.
        code: Option<u16>,
    },
    /// We sent a Close.
    CloseSent {
        /// Its code, if it had one.
        code: Option<u16>,
    },
    /// The peer broke a rule of the WebSocket protocol.
    WebSocketFailed(ws::Error),
    /// The connection ended; the last event.
    Ended(&'a Record),
}

impl Trace<'_> {
    /// The clause that the decision obeys.
    pub const fn clause(&self) -> &'static str {
        match self {
            Trace::RequestHead { .. } => "RFC 9112 §2.1",
            Trace::RequestRefused(error) => error.section(),
            Trace::ContinueSent => "RFC 9110 §15.2.1",
            Trace::ResponseComplete { .. } => "RFC 9112 §9.3",
            Trace::HandshakeRefused(refusal) => refusal.section(),
            Trace::WebSocketOpened => "RFC 6455 §4.2.2",
            Trace::MessageReceived { .. } => "RFC 6455 §5.6",
            Trace::PingAnswered => "RFC 6455 §5.5.3",
            Trace::PongReceived => "RFC 6455 §5.5.3",
            Trace::PingSent => "RFC 6455 §5.5.2",
            Trace::CloseReceived { .. } | Trace::CloseSent { .. } => "RFC 6455 §5.5.1",
            Trace::WebSocketFailed(error) => error.section(),
            Trace::Ended(record) => record.cause.clause(record.websocket),
        }
    }
}

/// Reads trace events. Called in the middle of things: it looks, and returns at once.
pub trait Observer {
    /// Something was decided on the connection in this slot.
    fn observe(&mut self, connection: Address, event: &Trace<'_>);
}
