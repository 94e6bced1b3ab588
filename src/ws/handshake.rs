//! The opening handshake (RFC 6455 §4.2).
//!
//! ```text
//!  GET /chat HTTP/1.1                            HTTP/1.1 101 Switching Protocols
//!  Host: server.example.com                      upgrade: websocket
//!  Upgrade: websocket                     ──>    connection: Upgrade
//!  Connection: Upgrade                           sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=
//!  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
//!  Sec-WebSocket-Version: 13
//! ```
//!
//! The accept value proves that the server understood: it is the SHA-1 of the key and a fixed
//! text that nobody sends by accident. It is no security: it keeps caches and servers of other
//! protocols from being taken for WebSocket servers (§1.3).

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use sha1::{Digest as _, Sha1};

use super::extension::Agreed;
use crate::bytes::ascii;
use crate::http::framing::{Body, Framing};
use crate::http::head::Version;
use crate::http::headers::Headers;
use crate::http::sender::{self, Field, Invalid};

/// RFC 6455 §1.3: the text that is appended to the key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The value of Sec-WebSocket-Accept: 20 bytes of SHA-1 in base64.
pub type Accept = [u8; 28];

/// The value that answers `key` (RFC 6455 §4.2.2 no. 5.4).
///
/// ```
/// use oneport::ws::handshake::accept;
///
/// // The example of RFC 6455 §1.3.
/// assert_eq!(&accept(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept(key: &[u8]) -> Accept {
    let mut sha1 = Sha1::new();
    sha1.update(key);
    // [6455-4.2.2-12]
    sha1.update(GUID);
    let mut value = [0u8; 28];
    let written = STANDARD.encode_slice(sha1.finalize(), &mut value);
    debug_assert_eq!(written, Ok(28));
    value
}

/// Why an opening handshake is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// §4.2.1 no. 1: the method is GET.
    Method,
    /// §4.2.1 no. 1: the version is HTTP/1.1 or higher.
    HttpVersion,
    /// §4.1: a GET for a handshake has no body; its bytes would be read as frames.
    BodyAnnounced,
    /// §4.2.1 no. 5: there is no Sec-WebSocket-Key.
    KeyMissing,
    /// §4.2.1 no. 5: the key is not 16 bytes in base64, or there are several.
    KeyInvalid,
    /// §4.4: the version is not 13.
    Version,
    /// §4.3: an element of Sec-WebSocket-Protocol is no token.
    Protocols,
    /// §9.1: Sec-WebSocket-Extensions does not follow its grammar.
    Extensions,
}

impl Refusal {
    /// The status code of the answer.
    pub const fn status(self) -> u16 {
        match self {
            Refusal::Method => 405,
            // §4.2.2 no. 4: "an appropriate HTTP error code (such as 426 Upgrade Required)".
            Refusal::Version => 426,
            // [6455-10.7-3]
            _ => 400,
        }
    }

    /// Fields that the answer needs.
    pub const fn fields(self) -> &'static [Field<'static>] {
        match self {
            // [9110-10.2.1-1] [9110-15.5.6-1]
            Refusal::Method => &[(b"allow", b"GET")],
            // §4.4: the versions that we understand.
            // [6455-4.2.2-3] [6455-4.4-1] [9110-7.8-3] [9110-15.5.22-1]
            Refusal::Version => &[(b"sec-websocket-version", b"13"), (b"upgrade", b"websocket")],
            _ => &[],
        }
    }

    /// The section that states the rule.
    pub const fn section(self) -> &'static str {
        match self {
            Refusal::Version => "RFC 6455 §4.4",
            Refusal::BodyAnnounced => "RFC 6455 §4.1",
            Refusal::Protocols => "RFC 6455 §4.3",
            Refusal::Extensions => "RFC 6455 §9.1",
            _ => "RFC 6455 §4.2.1",
        }
    }

    /// The rule in one line, for the body of the answer.
    pub const fn rule(self) -> &'static str {
        match self {
            Refusal::Method => "a WebSocket handshake must be a GET request",
            Refusal::HttpVersion => "a WebSocket handshake must be an HTTP/1.1 request",
            Refusal::BodyAnnounced => "a WebSocket handshake must not have a body",
            Refusal::KeyMissing => {
                "the Sec-WebSocket-Key field is missing: a proxy may have removed it"
            }
            Refusal::KeyInvalid => "Sec-WebSocket-Key must be 16 bytes in base64, once",
            Refusal::Version => "Sec-WebSocket-Version must be 13",
            Refusal::Protocols => "Sec-WebSocket-Protocol must be a list of tokens",
            Refusal::Extensions => {
                "Sec-WebSocket-Extensions must be a list of names with parameters"
            }
        }
    }
}

/// Base64 as a client may write it. The example of RFC 6455 §4.1, `AQIDBAUGBwgJCgsMDQ4PEC==`, has
/// bits set behind its last byte, so these are ignored (RFC 4648 §3.5 lets a decoder choose).
const KEY: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Checks a request that asks for the WebSocket protocol; gives the accept value.
///
/// # Errors
/// The first rule that it breaks.
pub fn check(
    method: &[u8],
    version: Version,
    framing: &Framing,
    headers: Headers<'_>,
) -> Result<Accept, Refusal> {
    if method != b"GET" {
        // [6455-4.2.1-1]
        return Err(Refusal::Method);
    }
    if version < Version::Http11 {
        // [6455-4.2.1-1]
        return Err(Refusal::HttpVersion);
    }
    if framing.body != Body::Empty {
        // [9110-7.8-4]
        return Err(Refusal::BodyAnnounced);
    }
    let mut versions = headers.get_all("sec-websocket-version");
    // [6455-4.2.1-6] [6455-11.3.5-1]
    if versions.next() != Some(b"13") || versions.next().is_some() {
        return Err(Refusal::Version);
    }
    let mut keys = headers.get_all("sec-websocket-key");
    let key = keys.next().ok_or(Refusal::KeyMissing)?;
    let mut decoded = [0u8; 18];
    // [6455-4.2.1-5] [6455-11.3.1-1]
    if keys.next().is_some() || KEY.decode_slice(key, &mut decoded) != Ok(16) {
        return Err(Refusal::KeyInvalid);
    }
    // §4.2.1: whatever is not as the grammar of §4.3 has it is refused. A list without any element
    // is taken for none.
    // [6455-4.2.1-7]
    if !headers.list("sec-websocket-protocol").all(ascii::is_token) {
        return Err(Refusal::Protocols);
    }
    Ok(accept(key))
}

/// The subprotocols that a client offers (RFC 6455 §11.3.4), in its order of preference.
///
/// Empty elements of the list are ignored (RFC 9110 §5.6.1.2); [`check`] refuses what is no token.
pub fn subprotocols<'a>(headers: Headers<'a>) -> impl Iterator<Item = &'a str> {
    headers
        .list("sec-websocket-protocol")
        .filter(|element| ascii::is_token(element))
        .filter_map(|element| std::str::from_utf8(element).ok())
}

/// Fields of a 101 that are the handshake's own.
const RESERVED: [&[u8]; 8] = [
    b"upgrade",
    b"connection",
    b"sec-websocket-accept",
    b"sec-websocket-protocol",
    b"sec-websocket-extensions",
    b"sec-websocket-version",
    b"content-length",
    b"transfer-encoding",
];

/// Appends the 101 answer (RFC 6455 §4.2.2 no. 5).
///
/// # Errors
/// What is wrong with the application's fields; `out` holds half an answer then.
pub fn write_101(
    out: &mut Vec<u8>,
    accept: &Accept,
    subprotocol: Option<&str>,
    agreed: Option<&Agreed>,
    server: &[u8],
    fields: &[Field<'_>],
) -> Result<(), Invalid> {
    // [6455-4.2.2-9] [6455-4.2.2-10] [6455-4.2.2-11] [9110-7.8-1] [9110-15.2.2-1]
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ",
    );
    out.extend_from_slice(accept);
    out.extend_from_slice(b"\r\n");
    // [6455-4.2.2-6]
    if let Some(protocol) = subprotocol {
        sender::append_field(out, b"sec-websocket-protocol", protocol.as_bytes())?;
    }
    if let Some(agreed) = agreed {
        out.extend_from_slice(b"sec-websocket-extensions: ");
        agreed.write_answer(out);
        out.extend_from_slice(b"\r\n");
    }
    let mut own_server = false;
    for &(name, value) in fields {
        // [6455-4.2.2-8] [6455-5.8-1] [6455-9-1] [6455-11.3.2-1] [6455-11.3.3-1] [6455-11.3.4-1]
        if RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
            return Err(Invalid::HandshakeField);
        }
        own_server |= name.eq_ignore_ascii_case(b"server");
        sender::append_field(out, name, value)?;
    }
    if !own_server {
        out.extend_from_slice(server);
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::framing;
    use crate::http::head::{Limits, Progress, parse};

    fn check_text(text: &str) -> Result<Accept, Refusal> {
        let (mut bytes, mut fields) = (text.replace('\n', "\r\n").into_bytes(), Vec::new());
        let head = parse(&mut bytes, &mut Progress::default(), &mut fields, Limits::default())
            .unwrap()
            .unwrap();
        let framing = framing::decide(head.version, &head.facts).unwrap();
        assert!(framing.upgrade_websocket);
        check(head.method.of(&bytes), head.version, &framing, Headers::new(&bytes, &fields))
    }

    const EXAMPLE: &str = "GET /chat HTTP/1.1\nHost: server.example.com\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nOrigin: http://example.com\nSec-WebSocket-Protocol: chat, superchat\nSec-WebSocket-Version: 13\n\n";

    // [6455-4.2.2-9] [6455-4.2.2-10] [6455-4.2.2-11] [6455-4.2.2-12] [9110-7.8-1] [9110-15.2.2-1]
    #[test]
    fn the_example_of_rfc_6455_section_1_3() {
        let accept = check_text(EXAMPLE).unwrap();
        let mut out = Vec::new();
        write_101(&mut out, &accept, Some("chat"), None, b"server: x\r\n", &[(b"a", b"b")])
            .unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
             sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nsec-websocket-protocol: chat\r\n\
             a: b\r\nserver: x\r\n\r\n"
        );
    }

    #[test]
    fn the_key_of_the_example_of_rfc_6455_section_4_1_is_a_key() {
        let text = EXAMPLE.replace("dGhlIHNhbXBsZSBub25jZQ==", "AQIDBAUGBwgJCgsMDQ4PEC==");
        assert_eq!(check_text(&text), Ok(accept(b"AQIDBAUGBwgJCgsMDQ4PEC==")));
    }

    // [6455-4.2.1-1] [6455-4.2.1-5] [6455-4.2.1-6] [6455-4.2.1-7] [9110-7.8-4]
    #[test]
    fn refusals_are_told_apart() {
        let rows = [
            (EXAMPLE.replace("GET", "POST"), Refusal::Method),
            (EXAMPLE.replace("HTTP/1.1", "HTTP/1.0"), Refusal::HttpVersion),
            (EXAMPLE.replace("Origin: ", "Content-Length: 1\nOrigin: "), Refusal::BodyAnnounced),
            (EXAMPLE.replace("Version: 13", "Version: 8"), Refusal::Version),
            (EXAMPLE.replace("Sec-WebSocket-Version: 13\n", ""), Refusal::Version),
            (EXAMPLE.replace("Sec-WebSocket-Key", "X"), Refusal::KeyMissing),
            (EXAMPLE.replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhl"), Refusal::KeyInvalid),
            (
                EXAMPLE.replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ"),
                Refusal::KeyInvalid,
            ),
            (
                EXAMPLE.replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZSE="),
                Refusal::KeyInvalid,
            ),
            (EXAMPLE.replace("dGhlIHNhbXBsZSBub25jZQ==", "!"), Refusal::KeyInvalid),
            (EXAMPLE.replace("chat, superchat", "chat, super chat"), Refusal::Protocols),
            (EXAMPLE.replace("chat, superchat", "\"chat\""), Refusal::Protocols),
            (EXAMPLE.replace("chat, superchat", "chat;q=1"), Refusal::Protocols),
        ];
        for (text, refusal) in rows {
            assert_eq!(check_text(&text), Err(refusal), "{text}");
        }
    }

    // [6455-5.8-1] [6455-11.3.2-1] [6455-11.3.3-1] [6455-11.3.4-1]
    #[test]
    fn the_handshakes_own_fields_are_not_the_applications() {
        for name in RESERVED {
            let refused = write_101(&mut Vec::new(), &[b'x'; 28], None, None, b"", &[(name, b"v")]);
            assert_eq!(refused, Err(Invalid::HandshakeField));
        }
        let split = write_101(&mut Vec::new(), &[b'x'; 28], None, None, b"", &[(b"a", b"b\r\n")]);
        assert_eq!(split, Err(Invalid::FieldValue));
    }
}
