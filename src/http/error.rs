//! Rules of HTTP that a peer can break, each with its answer.

/// A broken rule. Always the peer's fault: the application's mistakes are
/// [`SendError`](crate::asgi::SendError).
///
/// After any of these nothing more is read as a request from the connection: where one message
/// ends can no longer be trusted (RFC 9112 §9.3, §11.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// RFC 9112 §3: the request line is `method SP target SP version CRLF`.
    RequestLine,
    /// RFC 9112 §3.2: the request target has none of the four forms.
    Target,
    /// RFC 9112 §2.3: the version is not `HTTP/` DIGIT `.` DIGIT.
    Version,
    /// RFC 9110 §15.6.6: a major version other than 1.
    VersionNotSupported,
    /// A TLS handshake on a port that speaks plain HTTP.
    TlsOnPlainPort,
    /// RFC 9112 §2.2: a line ends with CR LF; LF alone is refused.
    BareLf,
    /// RFC 9112 §2.2: CR that no LF follows.
    BareCr,
    /// RFC 9112 §5: a field line is `name ":" value`, the name a token.
    FieldName,
    /// RFC 9112 §5.1: no white space between field name and colon.
    SpaceBeforeColon,
    /// RFC 9110 §5.5: a control byte in a field value.
    FieldValue,
    /// RFC 9112 §5.2: a field line that continues on the next line (obs-fold).
    ObsFold,
    /// RFC 9112 §3.2: an HTTP/1.1 request without a Host field.
    HostMissing,
    /// RFC 9112 §3.2: more than one Host field.
    HostRepeated,
    /// RFC 9110 §7.2: a Host field that is no `host [ ":" port ]`.
    HostInvalid,
    /// RFC 9110 §8.6: Content-Length is `1*DIGIT`.
    ContentLength,
    /// RFC 9112 §6.3: several Content-Length values that differ.
    ContentLengthDiffers,
    /// RFC 9112 §6.3: Transfer-Encoding and Content-Length in one message.
    LengthAndCoding,
    /// RFC 9112 §6.1: Transfer-Encoding in an HTTP/1.0 message.
    CodingOnHttp10,
    /// RFC 9112 §6.3: `chunked` is not the one and final transfer coding.
    ChunkedNotFinal,
    /// RFC 9112 §6.1: a transfer coding that we do not know.
    CodingUnknown,
    /// RFC 9112 §7.1: a chunk size, extension, line end or trailer that is not as it must be.
    Chunk,
    /// RFC 6585 §5: the trailer section is larger than the limit.
    TrailersTooLarge,
    /// RFC 9110 §15.5.15: the request target alone fills the limit for heads.
    TargetTooLong,
    /// RFC 6585 §5: the head is larger than the limit.
    HeadTooLarge,
    /// RFC 6585 §5: more field lines than the limit.
    TooManyFields,
    /// RFC 9110 §15.5.14: the body is larger than the limit.
    BodyTooLarge,
    /// RFC 9110 §9.1: a method that this server knows, in another case.
    MethodCase,
    /// RFC 9110 §10.1.1: an expectation other than `100-continue`.
    Expectation,
    /// RFC 9110 §7.4: a target with the scheme https or wss on a connection without TLS.
    Misdirected,
    /// RFC 9110 §9.3.6: CONNECT asks for a tunnel, which this server does not make.
    Connect,
    /// RFC 9110 §15.5.9: the head did not arrive in time.
    HeadTimeout,
    /// RFC 9110 §15.5.9: no byte of the body arrived in time.
    BodyTimeout,
    /// RFC 9110 §15.5.9: the body arrives more slowly than the least rate.
    BodyTooSlow,
}

impl Error {
    /// The status code that answers this mistake (RFC 9110 §15).
    pub const fn status(self) -> u16 {
        match self {
            Error::HeadTimeout | Error::BodyTimeout | Error::BodyTooSlow => 408,
            Error::BodyTooLarge => 413,
            Error::TargetTooLong => 414,
            Error::Expectation => 417,
            // [9110-7.4-1] [9110-7.4-2]
            Error::Misdirected => 421,
            Error::HeadTooLarge | Error::TooManyFields | Error::TrailersTooLarge => 431,
            // [9112-6.1-6]
            Error::CodingUnknown | Error::Connect | Error::MethodCase => 501,
            Error::VersionNotSupported => 505,
            // [9112-2.2-7] [9112-3.2-1] [9112-6.3-3]
            _ => 400,
        }
    }

    /// The section that states the rule.
    pub const fn section(self) -> &'static str {
        match self {
            Error::RequestLine => "RFC 9112 §3",
            Error::Target => "RFC 9112 §3.2",
            Error::Version => "RFC 9112 §2.3",
            Error::VersionNotSupported => "RFC 9110 §15.6.6",
            Error::TlsOnPlainPort => "RFC 9112 §2",
            Error::BareLf | Error::BareCr => "RFC 9112 §2.2",
            Error::FieldName => "RFC 9112 §5",
            Error::SpaceBeforeColon => "RFC 9112 §5.1",
            Error::FieldValue => "RFC 9110 §5.5",
            Error::ObsFold => "RFC 9112 §5.2",
            Error::HostMissing | Error::HostRepeated => "RFC 9112 §3.2",
            Error::HostInvalid => "RFC 9110 §7.2",
            Error::ContentLength => "RFC 9110 §8.6",
            Error::ContentLengthDiffers | Error::LengthAndCoding | Error::ChunkedNotFinal => {
                "RFC 9112 §6.3"
            }
            Error::CodingOnHttp10 | Error::CodingUnknown => "RFC 9112 §6.1",
            Error::Chunk => "RFC 9112 §7.1",
            Error::TargetTooLong => "RFC 9110 §15.5.15",
            Error::HeadTooLarge | Error::TooManyFields | Error::TrailersTooLarge => "RFC 6585 §5",
            Error::BodyTooLarge => "RFC 9110 §15.5.14",
            Error::MethodCase => "RFC 9110 §9.1",
            Error::Expectation => "RFC 9110 §10.1.1",
            Error::Misdirected => "RFC 9110 §7.4",
            Error::Connect => "RFC 9110 §9.3.6",
            Error::HeadTimeout | Error::BodyTimeout | Error::BodyTooSlow => "RFC 9110 §15.5.9",
        }
    }

    /// The rule in one line, for the body of the answer.
    pub const fn rule(self) -> &'static str {
        match self {
            Error::RequestLine => {
                "the request line must be: method, one space, target, one space, HTTP/1.1, CR LF"
            }
            Error::Target => {
                "the request target must be a path, an absolute http URI, or * with OPTIONS"
            }
            Error::Version => "the request line must end with HTTP/1.1 or HTTP/1.0",
            // [9110-15.6.6-1]
            Error::VersionNotSupported => "this server speaks HTTP/1.1 and HTTP/1.0",
            Error::TlsOnPlainPort => "this port speaks plain HTTP, not TLS: use http:// or ws://",
            Error::BareLf => "lines must end with CR LF, not with LF alone",
            Error::BareCr => "a CR must be followed by LF",
            Error::FieldName => "a field line must be a token, a colon and a value",
            Error::SpaceBeforeColon => {
                "no white space may stand between a field name and its colon"
            }
            Error::FieldValue => "a field value must not contain control characters",
            Error::ObsFold => "a field must not continue on the next line",
            Error::HostMissing => "an HTTP/1.1 request needs a Host field",
            Error::HostRepeated => "a request must not have more than one Host field",
            Error::HostInvalid => {
                "the Host field must be a host name or address and an optional port"
            }
            Error::ContentLength => "Content-Length must be decimal digits and nothing else",
            Error::ContentLengthDiffers => "all Content-Length values of a request must be equal",
            Error::LengthAndCoding => {
                "a request must not have both Content-Length and Transfer-Encoding"
            }
            Error::CodingOnHttp10 => "an HTTP/1.0 request must not have Transfer-Encoding",
            Error::ChunkedNotFinal => "the transfer coding must be chunked, once and last",
            Error::CodingUnknown => "chunked is the only transfer coding known here",
            Error::Chunk => {
                "the chunked body is malformed: every size, extension and line end is checked"
            }
            Error::TrailersTooLarge => "the trailer section is larger than this server allows",
            Error::TargetTooLong => "the request target is longer than this server allows",
            Error::HeadTooLarge => "the request head is larger than this server allows",
            Error::TooManyFields => "the request has more field lines than this server allows",
            Error::BodyTooLarge => "the request body is larger than this server allows",
            Error::MethodCase => "methods are case-sensitive: GET, not get",
            Error::Expectation => "100-continue is the only expectation known here",
            Error::Misdirected => {
                "a request for an https or wss URI must come through TLS, which this port does not speak"
            }
            Error::Connect => "this server makes no tunnels",
            Error::HeadTimeout => "the request head did not arrive in time",
            Error::BodyTimeout => "no byte of the request body arrived in time",
            Error::BodyTooSlow => "the request body arrived too slowly",
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.rule(), self.section())
    }
}

impl std::error::Error for Error {}
