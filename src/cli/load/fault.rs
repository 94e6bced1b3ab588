//! What can be wrong with a connection or an answer.

use std::fmt;
use std::io;

use oneport::ws::client_handshake::Mistake;

/// A kind of error; each is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection could not be made.
    Connect(io::ErrorKind),
    /// The connection was not open in time.
    ConnectTimeout,
    /// The WebSocket was refused with this status.
    Refused(u16),
    /// The 101 is not valid.
    Handshake(Mistake),
    /// The server's bytes are not HTTP.
    NotHttp,
    /// The server's bytes are not WebSocket frames.
    NotWebSocket(oneport::ws::Error),
    /// The server masks its frames (RFC 6455 §5.1).
    Masked,
    /// The server compresses, which nobody offered.
    Compressed,
    /// The server does not compress, which was demanded.
    NotCompressed,
    /// The server takes a smaller window than what is sent was compressed with.
    Window,
    /// A fragment without a beginning, or a beginning inside of a message.
    Fragments,
    /// The server closed with this code.
    Closed(u16),
    /// The server ended the connection while an answer was due.
    Ended,
    /// The connection failed.
    Failed(io::ErrorKind),
    /// An answer that nobody asked for.
    Unasked,
    /// A status other than 2xx.
    Status(u16),
    /// Text instead of binary, or the other way round.
    Opcode,
    /// The echo has another length.
    Length,
    /// The echo has other bytes.
    Content,
    /// Something was sent before the measurement began and not answered until it ended.
    Silent,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Connect(kind) => write!(f, "could not connect: {kind}"),
            Fault::ConnectTimeout => f.write_str("could not connect in time"),
            Fault::Refused(status) => write!(f, "refused the WebSocket with status {status}"),
            Fault::Handshake(mistake) => write!(f, "answered the handshake wrongly: {mistake}"),
            Fault::NotHttp => f.write_str("sent something that is not HTTP/1"),
            Fault::NotWebSocket(error) => write!(f, "broke a rule: {error}"),
            Fault::Masked => f.write_str("broke a rule: a server's frame is masked"),
            Fault::Compressed => f.write_str("broke a rule: compressed, which was not offered"),
            Fault::NotCompressed => f.write_str("did not agree to compress"),
            Fault::Window => f.write_str("takes a smaller window than the load compresses with"),
            Fault::Fragments => f.write_str("broke a rule: fragments out of order"),
            Fault::Closed(code) => write!(f, "closed with code {code}"),
            Fault::Ended => f.write_str("ended the connection before it had answered"),
            Fault::Failed(kind) => write!(f, "the connection failed: {kind}"),
            Fault::Unasked => f.write_str("sent an answer that nobody asked for"),
            Fault::Status(status) => write!(f, "answered with status {status}"),
            Fault::Opcode => f.write_str("echoed text as binary or binary as text"),
            Fault::Length => f.write_str("echoed another length"),
            Fault::Content => f.write_str("echoed other bytes"),
            Fault::Silent => f.write_str("did not answer at all"),
        }
    }
}

/// How often each kind occurred.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<(Fault, u64)>);

impl Faults {
    pub(super) fn count(&mut self, fault: Fault, times: u64) {
        // There are few kinds.
        match self.0.iter_mut().find(|(kind, _)| *kind == fault) {
            Some((_, count)) => *count += times,
            None => self.0.push((fault, times)),
        }
    }

    pub(super) fn add(&mut self, other: &Faults) {
        for &(fault, times) in &other.0 {
            self.count(fault, times);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (String, u64)> {
        self.0.iter().map(|(fault, count)| (fault.to_string(), *count))
    }
}
