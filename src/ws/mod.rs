//! Floor 1: the WebSocket protocol without I/O (RFC 6455).
//!
//! ```text
//!  GET + Upgrade ──> handshake ──> 101          the opening handshake (§4)
//!  bytes ──> frame ──> mask ──> receiver        frames become messages (§5)
//!  bytes <── frame <────────── sender           messages become frames
//!            closing, close                     the closing handshake and its codes (§7)
//!            extension, deflate                 messages that are compressed (RFC 7692)
//! ```
//!
//! As in [`crate::http`] the receiver and the sender half have separate state. An automatic
//! answer (the pong for a ping, the echo of a Close) is a value that [`crate::conn`] carries
//! from one to the other.

pub mod client_handshake;
pub mod close;
pub mod closing;
#[cfg_attr(not(feature = "deflate"), path = "deflate_absent.rs")]
pub mod deflate;
pub mod error;
pub mod extension;
pub mod frame;
pub mod handshake;
pub mod mask;
pub mod receiver;
pub mod sender;
pub mod takeover;

pub use error::Error;

/// A message: text or binary, never both, never neither (RFC 6455 §5.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text message; UTF-8 by type.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// The payload.
    #[inline]
    pub fn as_bytes(&self) -> &'a [u8] {
        match *self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }

    /// The text, if it is a text message.
    #[inline]
    pub fn as_text(&self) -> Option<&'a str> {
        match *self {
            Message::Text(text) => Some(text),
            Message::Binary(_) => None,
        }
    }

    /// The opcode of its first frame.
    #[inline]
    pub fn opcode(&self) -> frame::Opcode {
        match self {
            Message::Text(_) => frame::Opcode::Text,
            Message::Binary(_) => frame::Opcode::Binary,
        }
    }
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Self {
        Message::Text(text)
    }
}

impl<'a> From<&'a String> for Message<'a> {
    fn from(text: &'a String) -> Self {
        Message::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Message::Binary(bytes)
    }
}
