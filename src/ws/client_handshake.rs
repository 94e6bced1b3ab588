//! The opening handshake as a client makes it (RFC 6455 §4.1).
//!
//! The server's part, with the picture, is [`super::handshake`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::extension::{self, Agreed, Deflate, Unacceptable};
use super::handshake;
use crate::bytes::ascii;
use crate::http::headers::{Headers, list_elements};
use crate::http::sender::{self, Invalid};

/// What a client asks for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Path and query, as they go on the wire.
    pub target: &'a str,
    /// The value of Host: the host, with its port unless that is the scheme's own.
    pub host: &'a str,
    /// RFC 6455 §4.1 no. 8: for browsers, and for those who want to be treated like one.
    pub origin: Option<&'a str>,
    /// The subprotocols it would speak, the best first.
    pub subprotocols: &'a [String],
    /// Whether and how it would compress.
    pub deflate: Option<Deflate>,
    /// Further fields.
    pub fields: &'a [(String, String)],
}

/// Fields of the request that are the handshake's own.
const RESERVED: [&str; 10] = [
    "host",
    "upgrade",
    "connection",
    "origin",
    "content-length",
    "transfer-encoding",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
];

/// The value of Sec-WebSocket-Key for 16 random bytes (RFC 6455 §4.1 no. 7).
pub fn key(random: [u8; 16]) -> String {
    STANDARD.encode(random)
}

/// Appends the request.
///
/// # Errors
/// What is wrong with a field; `out` holds half a request then.
pub fn write_request(out: &mut Vec<u8>, request: &Request<'_>, key: &str) -> Result<(), Invalid> {
    let mut field =
        |name: &str, value: &str| sender::append_field(out, name.as_bytes(), value.as_bytes());
    field("host", request.host)?;
    field("upgrade", "websocket")?;
    field("connection", "Upgrade")?;
    field("sec-websocket-key", key)?;
    field("sec-websocket-version", "13")?;
    if let Some(origin) = request.origin {
        field("origin", origin)?;
    }
    // RFC 6455 §4.1 no. 10: tokens, each once.
    for (at, name) in request.subprotocols.iter().enumerate() {
        if !ascii::is_token(name.as_bytes()) || request.subprotocols[..at].contains(name) {
            return Err(Invalid::Subprotocol);
        }
    }
    if !request.subprotocols.is_empty() {
        field("sec-websocket-protocol", &request.subprotocols.join(", "))?;
    }
    if let Some(deflate) = request.deflate {
        let mut offer = Vec::new();
        extension::write_offer(&mut offer, deflate);
        field("sec-websocket-extensions", &String::from_utf8_lossy(&offer))?;
    }
    for (name, value) in request.fields {
        if RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
            return Err(Invalid::HandshakeField);
        }
        field(name, value)?;
    }
    out.extend_from_slice(b"\r\n");
    let line = format!("GET {} HTTP/1.1\r\n", request.target);
    out.splice(0..0, line.bytes());
    Ok(())
}

/// What a server that accepted agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The subprotocol it chose.
    pub subprotocol: Option<String>,
    /// How messages are compressed.
    pub agreed: Option<Agreed>,
}

/// Why a 101 does not open the connection (RFC 6455 §4.1, the numbered rules at its end).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mistake {
    /// No. 2: there is no `Upgrade: websocket`.
    Upgrade,
    /// No. 3: there is no `Connection: Upgrade`.
    Connection,
    /// No. 4: Sec-WebSocket-Accept is not the answer to our key.
    Accept,
    /// No. 5: Sec-WebSocket-Extensions.
    Extensions(Unacceptable),
    /// No. 6: a subprotocol that was not offered.
    Subprotocol,
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Mistake::Upgrade => f.write_str("there is no `Upgrade: websocket` (RFC 6455 §4.1)"),
            Mistake::Connection => f.write_str("there is no `Connection: Upgrade` (RFC 6455 §4.1)"),
            Mistake::Accept => f.write_str(
                "Sec-WebSocket-Accept does not answer our key: a cache, or not a WebSocket \
                 server (RFC 6455 §4.1)",
            ),
            Mistake::Extensions(why) => write!(f, "Sec-WebSocket-Extensions {why}"),
            Mistake::Subprotocol => {
                f.write_str("it chose a subprotocol that was not offered (RFC 6455 §4.1)")
            }
        }
    }
}

/// Checks the fields of a 101 against the request that it answers.
///
/// # Errors
/// The first rule that it breaks: the client must fail the connection.
pub fn check(headers: Headers<'_>, request: &Request<'_>, key: &str) -> Result<Accepted, Mistake> {
    let single = |name: &str| {
        let mut values = headers.get_all(name);
        let first = values.next();
        first.filter(|_| values.next().is_none())
    };
    if !single("upgrade").is_some_and(|value| value.eq_ignore_ascii_case(b"websocket")) {
        return Err(Mistake::Upgrade);
    }
    if !headers.list("connection").any(|token| token.eq_ignore_ascii_case(b"upgrade")) {
        return Err(Mistake::Connection);
    }
    if single("sec-websocket-accept") != Some(&handshake::accept(key.as_bytes())[..]) {
        return Err(Mistake::Accept);
    }
    let agreed =
        extension::read_answer(headers.get_all("sec-websocket-extensions"), request.deflate)
            .map_err(Mistake::Extensions)?;
    let mut chosen = headers.get_all("sec-websocket-protocol").flat_map(list_elements);
    let subprotocol = match chosen.next() {
        None => None,
        Some(name) => {
            let offered = request.subprotocols.iter().find(|p| p.as_bytes() == name);
            if chosen.next().is_some() {
                return Err(Mistake::Subprotocol);
            }
            Some(offered.ok_or(Mistake::Subprotocol)?.clone())
        }
    };
    Ok(Accepted { subprotocol, agreed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{head::Limits, response};

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn request(protocols: &[String]) -> Request<'_> {
        Request {
            target: "/chat",
            host: "server.example.com",
            origin: Some("http://example.com"),
            subprotocols: protocols,
            deflate: None,
            fields: &[],
        }
    }

    fn check_text(text: &str, request: &Request<'_>) -> Result<Accepted, Mistake> {
        let (mut bytes, mut fields) = (text.replace('\n', "\r\n").into_bytes(), Vec::new());
        response::parse(&mut bytes, &mut fields, Limits::default()).unwrap().unwrap();
        check(Headers::new(&bytes, &fields), request, KEY)
    }

    #[test]
    fn the_example_of_rfc_6455_section_1_2() {
        let protocols = ["chat".to_string(), "superchat".to_string()];
        let request = request(&protocols);
        let mut out = Vec::new();
        write_request(&mut out, &request, &key(*b"the sample nonce")).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "GET /chat HTTP/1.1\r\nhost: server.example.com\r\nupgrade: websocket\r\n\
             connection: Upgrade\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-version: 13\r\norigin: http://example.com\r\n\
             sec-websocket-protocol: chat, superchat\r\n\r\n"
        );
        let answer = "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\nSec-WebSocket-Protocol: chat\n\n";
        let accepted = check_text(answer, &request).unwrap();
        assert_eq!(accepted, Accepted { subprotocol: Some("chat".to_string()), agreed: None });
        let rows = [
            (answer.replace("Upgrade: websocket", "Upgrade: h2c"), Mistake::Upgrade),
            (answer.replace("Connection: Upgrade", "Connection: close"), Mistake::Connection),
            (answer.replace("s3p", "S3p"), Mistake::Accept),
            (answer.replace("Protocol: chat", "Protocol: other"), Mistake::Subprotocol),
            (answer.replace("Protocol: chat", "Protocol: chat, superchat"), Mistake::Subprotocol),
            (
                answer.replace("\n\n", "\nSec-WebSocket-Extensions: permessage-deflate\n\n"),
                Mistake::Extensions(Unacceptable::NotOffered),
            ),
        ];
        for (text, mistake) in rows {
            assert_eq!(check_text(&text, &request), Err(mistake), "{text}");
        }
    }

    #[test]
    fn subprotocols_are_tokens_and_offered_once() {
        for names in [&["chat", "chat"][..], &["a b"], &[""], &["a,b"], &["a\r\nb: c"]] {
            let names: Vec<_> = names.iter().map(|name| name.to_string()).collect();
            let refused = write_request(&mut Vec::new(), &request(&names), KEY);
            assert_eq!(refused, Err(Invalid::Subprotocol), "{names:?}");
        }
    }

    #[test]
    fn the_handshakes_own_fields_and_split_lines_are_refused() {
        for (name, value) in [("Host", "x"), ("sec-websocket-key", "x"), ("a", "b\r\nc: d")] {
            let fields = [(name.to_string(), value.to_string())];
            let request = Request { fields: &fields, ..request(&[]) };
            assert!(write_request(&mut Vec::new(), &request, KEY).is_err(), "{name}");
        }
    }
}
