//! Rules of RFC 6455 that a peer can break once the connection is open.

use super::close;

/// A broken rule: the connection is failed (RFC 6455 §7.1.7) with [`Error::close_code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// §5.2: a reserved bit without an extension that gives it a meaning here (RFC 7692 §6: on
    /// the first frame of a message).
    ReservedBits,
    /// §5.2: opcodes 3 to 7 and 11 to 15 are reserved.
    ReservedOpcode,
    /// §5.1: a frame of a client is masked.
    NotMasked,
    /// §5.1: a frame of a server is not masked.
    Masked,
    /// §5.2: a length is encoded in the fewest bytes possible.
    LengthNotMinimal,
    /// §5.2: the highest bit of a 64-bit length is 0.
    LengthTopBit,
    /// §5.5: a control frame has at most 125 bytes.
    ControlTooLong,
    /// §5.5: a control frame is not fragmented.
    ControlFragmented,
    /// §5.4: a continuation frame without a message to continue.
    NothingToContinue,
    /// §5.4: a new message before the last one ended.
    MessageUnfinished,
    /// §8.1: text is UTF-8.
    InvalidUtf8,
    /// §7.4: a Close frame's code may not appear on the wire.
    CloseCode,
    /// §5.5.1: a Close body is empty or begins with a two-byte code.
    CloseTooShort,
    /// §10.4: the message is larger than the limit.
    MessageTooBig,
    /// §10.4: the message has more fragments than the limit.
    TooManyFragments,
    /// §10.4: more control frames in a second than the limit.
    TooManyControlFrames,
    /// §7.4.1, a policy of ours: a message that is not complete goes on within the time limit.
    MessageTimeout,
    /// §7.4.1, a policy of ours: a message that is not complete keeps the least rate.
    MessageTooSlow,
    /// RFC 7692 §7.2.2: a compressed message is in DEFLATE.
    InvalidDeflate,
}

impl Error {
    /// The code we close with (RFC 6455 §7.4.1).
    pub const fn close_code(self) -> u16 {
        match self {
            Error::InvalidUtf8 | Error::InvalidDeflate => close::INVALID_PAYLOAD,
            Error::MessageTooBig => close::TOO_BIG,
            Error::TooManyFragments
            | Error::TooManyControlFrames
            | Error::MessageTimeout
            | Error::MessageTooSlow => close::POLICY_VIOLATION,
            _ => close::PROTOCOL_ERROR,
        }
    }

    /// The section that states the rule.
    pub const fn section(self) -> &'static str {
        match self {
            Error::ReservedBits
            | Error::ReservedOpcode
            | Error::LengthNotMinimal
            | Error::LengthTopBit => "RFC 6455 §5.2",
            Error::NotMasked | Error::Masked => "RFC 6455 §5.1",
            Error::ControlTooLong | Error::ControlFragmented => "RFC 6455 §5.5",
            Error::NothingToContinue | Error::MessageUnfinished => "RFC 6455 §5.4",
            Error::InvalidUtf8 => "RFC 6455 §8.1",
            Error::CloseCode => "RFC 6455 §7.4",
            Error::CloseTooShort => "RFC 6455 §5.5.1",
            Error::InvalidDeflate => "RFC 7692 §7.2.2",
            Error::MessageTooBig | Error::TooManyFragments | Error::TooManyControlFrames => {
                "RFC 6455 §10.4"
            }
            Error::MessageTimeout | Error::MessageTooSlow => "RFC 6455 §7.4.1",
        }
    }

    /// The rule in a few words: the reason of our Close frame.
    pub const fn rule(self) -> &'static str {
        match self {
            Error::ReservedBits => "reserved bits must be 0",
            Error::ReservedOpcode => "reserved opcode",
            Error::NotMasked => "frames of a client must be masked",
            Error::Masked => "frames of a server must not be masked",
            Error::LengthNotMinimal => "lengths must be encoded in the fewest bytes",
            Error::LengthTopBit => "the highest bit of a length must be 0",
            Error::ControlTooLong => "control frames have at most 125 bytes",
            Error::ControlFragmented => "control frames must not be fragmented",
            Error::NothingToContinue => "continuation without a message",
            Error::MessageUnfinished => "new message before the last one ended",
            Error::InvalidUtf8 => "text must be UTF-8",
            Error::CloseCode => "this close code must not be sent",
            Error::CloseTooShort => "a close body has at least two bytes",
            Error::MessageTooBig => "message too big",
            Error::TooManyFragments => "too many fragments",
            Error::TooManyControlFrames => "too many control frames",
            Error::MessageTimeout => "a message stopped in the middle",
            Error::MessageTooSlow => "a message arrived too slowly",
            Error::InvalidDeflate => "a compressed message must be valid DEFLATE",
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.rule(), self.section())
    }
}

impl std::error::Error for Error {}
