//! Framing: decisions about a request that its head allows, before any byte of the body.
//!
//! Which body follows (RFC 9112 §6.3)? Does the connection persist (§9.3)? Is it an upgrade
//! (RFC 9110 §7.8)? Every decision that a proxy in front of us might take differently is refused
//! instead of repaired: two readers of one message that disagree about where it ends are how
//! requests are smuggled.

use super::error::Error;
use super::facts::{Fact, Facts};
use super::head::{FieldSpan, Version};

/// The body that follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// None, or `Content-Length: 0`.
    Empty,
    /// This many bytes; at least one.
    Length(u64),
    /// Chunks until the last one.
    Chunked,
}

/// What the head decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    /// The body that follows.
    pub body: Body,
    /// May another request follow on this connection (RFC 9112 §9.3)?
    pub persist: bool,
    /// Does the client wait for a 100 before it sends the body (RFC 9110 §10.1.1)?
    pub expect_continue: bool,
    /// Does the client ask for the WebSocket protocol (RFC 9110 §7.8: `Connection: upgrade` and
    /// `Upgrade: websocket`)? In HTTP/1.0 that means nothing; the caller looks at the version.
    pub upgrade_websocket: bool,
    /// Does the client take trailer fields (RFC 9110 §10.1.4: `TE: trailers`)?
    pub te_trailers: bool,
}

impl Framing {
    /// What [`decide`] comes to for HTTP/1.1 and [plain facts](Facts::is_plain).
    pub const PLAIN: Self = Self {
        body: Body::Empty,
        persist: true,
        expect_continue: false,
        upgrade_websocket: false,
        te_trailers: false,
    };
}

/// Decides, from what was noted while the head was parsed.
///
/// # Errors
/// A rule of RFC 9110 or 9112 that the head breaks as a whole; see [`Error`].
pub fn decide(version: Version, facts: &Facts) -> Result<Framing, Error> {
    if let Some(error) = facts.broken {
        return Err(error);
    }
    check_host(facts, version)?;
    let body = body(facts, version)?;
    // RFC 9110 §10.1.1: an HTTP/1.0 client cannot understand a 100: its expectation is ignored.
    let expect_continue =
    // [9110-10.1.1-1] [9110-15.2-1] [9110-7.8-7]
        facts.has(Fact::Expect) && version == Version::Http11 && body != Body::Empty;
    Ok(Framing {
        body,
        persist: persists(facts, version),
        expect_continue,
        // RFC 9110 §7.8: Upgrade counts only if Connection lists it.
        // [6455-4.2.1-3] [6455-4.2.1-4]
        upgrade_websocket: facts.has(Fact::Upgrade) && facts.has(Fact::WebSocket),
        te_trailers: facts.has(Fact::TeTrailers),
    })
}

/// RFC 9112 §3.2: "A server MUST respond with a 400 status code to any HTTP/1.1 request message
/// that lacks a Host header field and to any request message that contains more than one Host
/// header field line or a Host header field with an invalid field value."
fn check_host(facts: &Facts, version: Version) -> Result<(), Error> {
    if facts.has(Fact::SecondHost) {
        // [9112-3.2-4]
        Err(Error::HostRepeated)
    } else if facts.has(Fact::Host) || version == Version::Http10 {
        Ok(())
    } else {
        // [9112-3.2-3] [6455-4.2.1-2]
        Err(Error::HostMissing)
    }
}

/// RFC 9112 §6.3: which body follows. The method plays no part in it.
fn body(facts: &Facts, version: Version) -> Result<Body, Error> {
    if !facts.has(Fact::Coding) {
        // §6.3 no. 6 and 7. No length and no coding: a request has no body then.
        return Ok(match facts.length {
            0 => Body::Empty,
            length => Body::Length(length),
        });
    }
    // RFC 9112 §6.1: "A server or client that receives an HTTP/1.0 message containing a
    // Transfer-Encoding header field MUST treat the message as if the framing is faulty".
    if version == Version::Http10 {
        // [9112-6.1-9]
        return Err(Error::CodingOnHttp10);
    }
    // RFC 9112 §6.3 no. 3: both present. The two can disagree, and a proxy in front of us may
    // believe the other one. We may repair or refuse; we refuse, and close.
    if facts.has(Fact::Length) {
        // [9112-6.1-8]
        return Err(Error::LengthAndCoding);
    }
    // RFC 9112 §6.3 no. 4: chunked is not final (whatever the others are), or (§7.1) applied more
    // than once.
    if !facts.has(Fact::ChunkedIsLast) || facts.has(Fact::SecondChunked) {
        // [9112-6.3-1] [9112-7.1-3]
        return Err(Error::ChunkedNotFinal);
    }
    // RFC 9112 §6.1: a coding we do not understand, under chunks: 501.
    if facts.has(Fact::SecondCoding) {
        // [9112-6.1-6]
        return Err(Error::CodingUnknown);
    }
    Ok(Body::Chunked)
}

/// RFC 9112 §9.3: `close` ends it; HTTP/1.1 persists by default, HTTP/1.0 only if asked.
fn persists(facts: &Facts, version: Version) -> bool {
    // [9112-9.3-1]
    !facts.has(Fact::Close) && (version == Version::Http11 || facts.has(Fact::KeepAlive))
}

/// RFC 9112 §6.3 no. 5: a list of equal lengths, or several equal fields, are one valid length, and
/// the message is used as if it had only that: who
/// reads its fields is not shown what another reader would have to repair once more.
#[cold]
pub fn one_length(fields: &mut Vec<FieldSpan>, head: &[u8]) {
    let mut first = true;
    fields.retain_mut(|field| {
        if field.name.of(head) != b"content-length" {
            return true;
        }
        let value = field.value.of(head);
        let length = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
        field.value.end = field.value.start + length as u32;
        std::mem::take(&mut first)
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{Limits, Progress, parse};

    fn of(version: &str, lines: &str) -> Result<Framing, Error> {
        let text = format!("POST / HTTP/{version}\r\n{lines}\r\n");
        let (mut bytes, mut fields) = (text.into_bytes(), Vec::new());
        let head = parse(&mut bytes, &mut Progress::default(), &mut fields, Limits::default())
            .expect("the lines are well formed")
            .expect("the head is complete");
        decide(head.version, &head.facts)
    }

    fn body_of(lines: &str) -> Result<Body, Error> {
        of("1.1", &format!("Host: h\r\n{lines}")).map(|framing| framing.body)
    }

    #[test]
    fn plain_facts_come_to_plain_framing() {
        for lines in ["Host: h\r\n", "Host: h\r\nConnection: keep-alive\r\nAccept: */*\r\n"] {
            assert_eq!(of("1.1", lines), Ok(Framing::PLAIN));
        }
    }

    // [9112-6.1-9] [9112-6.3-1] [9112-6.3-2] [9112-7.1-3]
    #[test]
    fn which_body_rfc_9112_section_6_3() {
        let rows = [
            ("", Ok(Body::Empty)),
            ("Content-Length: 0\r\n", Ok(Body::Empty)),
            ("Content-Length: 7\r\n", Ok(Body::Length(7))),
            ("Content-Length: 007\r\n", Ok(Body::Length(7))),
            ("Content-Length: 7\r\nContent-Length: 7\r\n", Ok(Body::Length(7))),
            ("Content-Length: 7, 7\r\n", Ok(Body::Length(7))),
            ("Transfer-Encoding: chunked\r\n", Ok(Body::Chunked)),
            ("Transfer-Encoding: CHUNKED\r\n", Ok(Body::Chunked)),
            ("Transfer-Encoding: ,chunked\r\n", Err(Error::ChunkedNotFinal)),
            ("Transfer-Encoding: chunked ,\r\n", Err(Error::ChunkedNotFinal)),
            ("Content-Length: 7\r\nContent-Length: 8\r\n", Err(Error::ContentLengthDiffers)),
            ("Content-Length: 7, 8\r\n", Err(Error::ContentLengthDiffers)),
            ("Content-Length:\r\n", Err(Error::ContentLength)),
            ("Content-Length: ,7\r\n", Err(Error::ContentLength)),
            ("Content-Length: 7,\r\n", Err(Error::ContentLength)),
            ("Content-Length: +7\r\n", Err(Error::ContentLength)),
            ("Content-Length: -7\r\n", Err(Error::ContentLength)),
            ("Content-Length: 0x7\r\n", Err(Error::ContentLength)),
            ("Content-Length: 7_0\r\n", Err(Error::ContentLength)),
            ("Content-Length: 7 7\r\n", Err(Error::ContentLength)),
            ("Content-Length: 18446744073709551616\r\n", Err(Error::BodyTooLarge)),
            ("Content-Length: 7\r\nTransfer-Encoding: chunked\r\n", Err(Error::LengthAndCoding)),
            ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", Err(Error::LengthAndCoding)),
            ("Transfer-Encoding:\r\n", Err(Error::ChunkedNotFinal)),
            ("Transfer-Encoding: chunked, chunked\r\n", Err(Error::ChunkedNotFinal)),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                Err(Error::ChunkedNotFinal),
            ),
            ("Transfer-Encoding: chunked, gzip\r\n", Err(Error::ChunkedNotFinal)),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
                Err(Error::ChunkedNotFinal),
            ),
            ("Transfer-Encoding: gzip, chunked\r\n", Err(Error::CodingUnknown)),
            ("Transfer-Encoding: identity, chunked\r\n", Err(Error::CodingUnknown)),
            ("Transfer-Encoding: gzip\r\n", Err(Error::ChunkedNotFinal)),
            ("Transfer-Encoding: identity\r\n", Err(Error::ChunkedNotFinal)),
            ("Transfer-Encoding: xchunked\r\n", Err(Error::ChunkedNotFinal)),
            ("Transfer-Encoding: chunked;q=1\r\n", Err(Error::ChunkedNotFinal)),
            ("Transfer-Encoding: \"chunked\"\r\n", Err(Error::ChunkedNotFinal)),
        ];
        for (lines, expected) in rows {
            assert_eq!(body_of(lines), expected, "{lines:?}");
        }
        let old = of("1.0", "Transfer-Encoding: chunked\r\n");
        assert_eq!(old, Err(Error::CodingOnHttp10));
    }

    // [9112-3.2-3] [9112-3.2-4] [9112-3.2-5] [6455-4.2.1-2]
    #[test]
    fn hosts_are_counted_and_checked() {
        assert_eq!(of("1.1", ""), Err(Error::HostMissing));
        assert!(of("1.0", "").is_ok());
        for version in ["1.0", "1.1"] {
            assert_eq!(of(version, "Host: a\r\nHost: a\r\n"), Err(Error::HostRepeated));
            assert_eq!(of(version, "Host: a b\r\n"), Err(Error::HostInvalid));
            assert!(of(version, "Host:\r\n").is_ok(), "an empty Host is valid");
        }
    }

    // [9112-9.3-1]
    #[test]
    fn who_persists_rfc_9112_section_9_3() {
        let persist =
            |version, lines: &str| of(version, &format!("Host: h\r\n{lines}")).unwrap().persist;
        assert!(persist("1.1", ""));
        assert!(!persist("1.1", "Connection: close\r\n"));
        assert!(!persist("1.1", "Connection: x, CLOSE\r\n"));
        assert!(!persist("1.1", "Connection: keep-alive\r\nConnection: close\r\n"));
        assert!(!persist("1.0", ""));
        assert!(persist("1.0", "Connection: Keep-Alive\r\n"));
        assert!(!persist("1.0", "Connection: keep-alive, close\r\n"));
    }

    // [6455-4.2.1-3] [6455-4.2.1-4] [9110-7.8-2] [9110-7.8-8]
    #[test]
    fn an_upgrade_needs_both_fields() {
        let upgrade = |version, lines: &str| {
            of(version, &format!("Host: h\r\n{lines}")).unwrap().upgrade_websocket
        };
        assert!(upgrade("1.1", "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"));
        assert!(upgrade("1.1", "Connection: upgrade\r\nUpgrade: h2c, websocket\r\n"));
        assert!(!upgrade("1.1", "Upgrade: websocket\r\n"));
        assert!(!upgrade("1.1", "Connection: upgrade\r\n"));
    }

    // [9110-10.1.1-1]
    #[test]
    fn expectations_and_trailers() {
        let with =
            |version, lines: &str| of(version, &format!("Host: h\r\nContent-Length: 1\r\n{lines}"));
        assert!(with("1.1", "Expect: 100-Continue\r\n").unwrap().expect_continue);
        assert!(!with("1.0", "Expect: 100-continue\r\n").unwrap().expect_continue);
        assert_eq!(with("1.1", "Expect: 200-ok\r\n"), Err(Error::Expectation));
        assert!(with("1.1", "TE: gzip;q=0.5\r\nTE: Trailers\r\n").unwrap().te_trailers);
        assert!(!with("1.1", "TE: trailers;q=1\r\n").unwrap().te_trailers);
    }
}
