//! Floor 1: HTTP/1.1 without I/O (RFC 9110, RFC 9112).
//!
//! ```text
//!  bytes ──> head ──> framing ──> cycle      receiver half: what the peer sent
//!       (lines, facts)  (which body, persist?, upgrade?)
//!  bytes <── sender <── status, fields, body  sender half: what we answer
//! ```
//!
//! The halves share nothing: the receiver borrows the bytes that were read, the sender appends
//! to an output. What one must tell the other (an automatic answer, "close after this") is a
//! value that [`crate::conn`] carries across, in sight of the reader.
//!
//! This module is public for those who learn, measure or fuzz; applications meet it through
//! [`Headers`] only.

pub mod chunked;
pub mod cycle;
pub mod date;
pub mod error;
pub mod facts;
pub mod framing;
pub mod head;
pub mod headers;
pub mod receiver;
pub mod recent;
pub mod response;
pub mod sender;
pub mod status;
pub mod target;

pub use error::Error;
pub use head::Version;
pub use headers::Headers;
