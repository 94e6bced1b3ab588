//! The request target and its four forms (RFC 9112 §3.2), and percent-decoding (RFC 3986 §2.1).
//!
//! | form | example | with |
//! |---|---|---|
//! | origin-form | `/where?q=now` | everything else |
//! | absolute-form | `http://example.org/where?q=now` | requests to a proxy; a server must take it |
//! | authority-form | `example.org:80` | CONNECT only |
//! | asterisk-form | `*` | OPTIONS only |

use std::borrow::Cow;

use super::error::Error;
use crate::bytes::{ascii, utf8};

/// A request target, split into its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// RFC 9112 §3.2.1: an absolute path and a query.
    Origin {
        /// The path, not decoded; begins with `/`.
        path: &'a [u8],
        /// What follows the first `?`, without it; empty if there is none.
        query: &'a [u8],
    },
    /// RFC 9112 §3.2.2: a whole URI. Its authority replaces the Host field.
    Absolute {
        /// Does its scheme ask for TLS (`https`, `wss`)?
        secure: bool,
        /// Host and port.
        authority: &'a [u8],
        /// The path, `/` if the URI has none.
        path: &'a [u8],
        /// The query.
        query: &'a [u8],
    },
    /// RFC 9112 §3.2.3: host and port, for CONNECT.
    Authority(&'a [u8]),
    /// RFC 9112 §3.2.4: the server as a whole, for OPTIONS.
    Asterisk,
}

impl<'a> Target<'a> {
    /// Recognises the form. `target` is visible ASCII, as [`super::head`] made sure.
    #[inline]
    pub fn parse(method: &[u8], target: &'a [u8]) -> Result<Self, Error> {
        match target.first() {
            Some(b'/') if method != b"CONNECT" => {
                let (path, query) = split_query(target)?;
                Ok(Target::Origin { path, query })
            }
            _ => Self::parse_unusual(method, target),
        }
    }

    fn parse_unusual(method: &[u8], target: &'a [u8]) -> Result<Self, Error> {
        if method == b"CONNECT" {
            // [9110-9.3.6-1]
            return if is_host(target) && target.contains(&b':') {
                Ok(Target::Authority(target))
            } else {
                Err(Error::Target)
            };
        }
        if target == b"*" {
            return if method == b"OPTIONS" { Ok(Target::Asterisk) } else { Err(Error::Target) };
        }
        // [9112-3.2.2-1]
        let (secure, rest) = strip_scheme(target).ok_or(Error::Target)?;
        let end =
            rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        // RFC 9110 §4.2.1, §4.2.4: an http URI without a host is invalid; user information
        // ("user@") must be treated as an error.
        // [9110-4.2.1-1] [9110-4.2.2-1] [9110-4.2.4-1]
        if matches!(authority, [] | [b':', ..]) || !is_host(authority) {
            return Err(Error::Target);
        }
        let (path, query) = split_query(rest)?;
        let path = if path.is_empty() { b"/" } else { path };
        Ok(Target::Absolute { secure, authority, path, query })
    }

    /// The path, not decoded. `*` and an authority stand for themselves.
    pub fn path(&self) -> &'a [u8] {
        match *self {
            Target::Origin { path, .. } | Target::Absolute { path, .. } => path,
            Target::Authority(authority) => authority,
            Target::Asterisk => b"*",
        }
    }

    /// The query, without its `?`.
    pub fn query(&self) -> &'a [u8] {
        match *self {
            Target::Origin { query, .. } | Target::Absolute { query, .. } => query,
            _ => b"",
        }
    }
}

/// `http://` and its kin, in any case (RFC 9110 §4.2.3): does it ask for TLS, and what follows?
fn strip_scheme(target: &[u8]) -> Option<(bool, &[u8])> {
    const SCHEMES: [(&str, bool); 4] =
        [("http://", false), ("https://", true), ("ws://", false), ("wss://", true)];
    SCHEMES.iter().find_map(|&(scheme, secure)| {
        let (head, rest) = target.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme.as_bytes()).then_some((secure, rest))
    })
}

#[inline]
fn split_query(target: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    // The first '?' ends the path; a '#' has no place in a request target (RFC 9112 §3.2: the
    // fragment is not sent).
    if ascii::position(target, b'#').is_some() {
        return Err(Error::Target);
    }
    Ok(match ascii::position(target, b'?') {
        None => (target, b""),
        Some(at) => (&target[..at], &target[at + 1..]),
    })
}

/// The bytes of a registered name (RFC 3986 §3.2.2) without escapes: unreserved, sub-delims.
static HOST: [bool; 256] = {
    let mut table = [false; 256];
    let allowed = b"-._~!$&'()*+,;=0123456789\
        abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut at = 0;
    while at < allowed.len() {
        table[allowed[at] as usize] = true;
        at += 1;
    }
    table
};

/// `uri-host [ ":" port ]` (RFC 9110 §7.2, RFC 3986 §3.2.2), also an empty host.
///
/// Only the bytes are checked, not that a name could exist: enough that a value can be printed,
/// compared and put into a URI.
#[inline(always)]
pub fn is_host(value: &[u8]) -> bool {
    ascii::is_usual_host(value) || is_unusual_host(value)
}

fn is_unusual_host(value: &[u8]) -> bool {
    // From its end: digits behind a colon are a port; if something else comes first there is none,
    // and a colon that stands elsewhere is no byte of a name.
    let mut host = value;
    while let [rest @ .., b'0'..=b'9'] = host {
        host = rest;
    }
    match host {
        [b'[', ..] => is_ip_literal(value),
        [name @ .., b':'] => is_name(name),
        _ => is_name(value),
    }
}

/// A registered name or an IPv4 address (RFC 3986 §3.2.2), or nothing.
#[inline(always)]
fn is_name(host: &[u8]) -> bool {
    // Without an early end: it is short and nearly always right.
    host.iter().fold(true, |all, &byte| all & HOST[usize::from(byte)]) || is_escaped_name(host)
}

/// A registered name with escapes (RFC 3986 §2.1: `%` and two hexadecimal digits).
#[cold]
fn is_escaped_name(mut host: &[u8]) -> bool {
    loop {
        host = match host {
            [] => return true,
            [b'%', a, b, rest @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => rest,
            [byte, rest @ ..] if HOST[usize::from(*byte)] => rest,
            _ => return false,
        };
    }
}

/// `"[" ( IPv6address / IPvFuture ) "]" [ ":" port ]` (RFC 3986 §3.2.2).
#[cold]
fn is_ip_literal(value: &[u8]) -> bool {
    let [b'[', rest @ ..] = value else { return false };
    let Some(end) = memchr::memchr(b']', rest) else { return false };
    let literal = &rest[..end];
    let allowed = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.' | b'v' | b'V');
    if literal.is_empty() || !literal.iter().all(allowed) {
        return false;
    }
    match &rest[end + 1..] {
        [] => true,
        [b':', port @ ..] => port.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// As [`decode_path`], for a path without escapes.
#[inline]
pub fn plain_path(raw: &[u8]) -> Cow<'_, str> {
    utf8::text(raw).map_or_else(|_| String::from_utf8_lossy(raw), Cow::Borrowed)
}

/// The path as text: percent escapes decoded, then read as UTF-8 with U+FFFD in the place of
/// what is none. An escape that is not `%` and two hexadecimal digits stays as it is.
///
/// No copy is made if there is nothing to decode.
#[inline]
pub fn decode_path(raw: &[u8]) -> Cow<'_, str> {
    if ascii::position(raw, b'%').is_none() {
        // A target of our parser is ASCII; other callers may bring anything.
        return plain_path(raw);
    }
    let mut decoded = Vec::with_capacity(raw.len());
    percent_decode(raw, &mut decoded);
    match String::from_utf8(decoded) {
        Ok(text) => Cow::Owned(text),
        Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

/// Appends `raw` with its percent escapes decoded (RFC 3986 §2.1).
pub fn percent_decode(raw: &[u8], decoded: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%'
            && let [high, low, after @ ..] = rest
            && let (Some(high), Some(low)) = (ascii::hex_digit(*high), ascii::hex_digit(*low))
        {
            decoded.push(high << 4 | low);
            rest = after;
        } else {
            decoded.push(byte);
        }
    }
}

/// The decoded value of the first `name=value` in a query (the form encoding of HTML:
/// pairs between `&`, `+` for a space, percent escapes).
pub fn query_value(query: &[u8], name: &str) -> Option<String> {
    let decode = |encoded: &[u8]| {
        let spaced: Vec<u8> =
            encoded.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
        let mut decoded = Vec::with_capacity(spaced.len());
        percent_decode(&spaced, &mut decoded);
        String::from_utf8(decoded).ok()
    };
    query.split(|&byte| byte == b'&').find_map(|pair| {
        let (key, value) = match memchr::memchr(b'=', pair) {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &b""[..]),
        };
        (decode(key)? == name).then(|| decode(value)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // [9112-3.2.2-1] [9110-4.2.1-1] [9110-4.2.4-1] [9110-9.3.6-1]
    #[test]
    fn the_four_forms_with_the_examples_of_rfc_9112_section_3_2() {
        let origin = |path, query| Ok(Target::Origin { path, query });
        let absolute =
            |authority, path, query| Ok(Target::Absolute { secure: false, authority, path, query });
        let secure = |authority| {
            Ok(Target::Absolute { secure: true, authority, path: b"/".as_slice(), query: b"" })
        };
        type Row<'a> = (&'a [u8], &'a [u8], Result<Target<'a>, Error>);
        let rows: &[Row<'_>] = &[
            (b"GET", b"/where?q=now", origin(b"/where", b"q=now")),
            (b"GET", b"/", origin(b"/", b"")),
            (b"GET", b"/a??b", origin(b"/a", b"?b")),
            (b"GET", b"//double", origin(b"//double", b"")),
            (
                b"GET",
                b"http://www.example.org/pub/WWW/TheProject.html",
                absolute(b"www.example.org", b"/pub/WWW/TheProject.html", b""),
            ),
            (b"GET", b"HTTP://h:80", absolute(b"h:80", b"/", b"")),
            (b"GET", b"http://h?q", absolute(b"h", b"/", b"q")),
            (b"GET", b"ws://h", absolute(b"h", b"/", b"")),
            (b"GET", b"https://h", secure(b"h")),
            (b"GET", b"WSS://h:443/", secure(b"h:443")),
            (b"OPTIONS", b"*", Ok(Target::Asterisk)),
            (b"CONNECT", b"www.example.com:80", Ok(Target::Authority(b"www.example.com:80"))),
            (b"GET", b"*", Err(Error::Target)),
            (b"GET", b"www.example.com:80", Err(Error::Target)),
            (b"CONNECT", b"/path", Err(Error::Target)),
            (b"CONNECT", b"host", Err(Error::Target)),
            (b"GET", b"http:///path", Err(Error::Target)),
            (b"GET", b"http://user@host/", Err(Error::Target)),
            (b"GET", b"ftp://host/", Err(Error::Target)),
            (b"GET", b"/a#b", Err(Error::Target)),
            (b"GET", b"/a?b#c", Err(Error::Target)),
            (b"GET", b"a/b", Err(Error::Target)),
        ];
        for (method, target, expected) in rows {
            let text = String::from_utf8_lossy(target);
            assert_eq!(Target::parse(method, target), *expected, "{text}");
        }
    }

    #[test]
    fn values_of_a_query() {
        let query = b"a=1&b=two+words&c=%C3%A9%26&d&=x&a=2&e=%ff";
        for (name, value) in [
            ("a", Some("1")),
            ("b", Some("two words")),
            ("c", Some("é&")),
            ("d", Some("")),
            ("e", None),
            ("f", None),
        ] {
            assert_eq!(query_value(query, name).as_deref(), value, "{name}");
        }
    }

    #[test]
    fn hosts() {
        for good in
            ["example.org", "example.org:80", "127.0.0.1", "[::1]", "[::1]:8000", "", "a_b", "h:"]
        {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "a b", "a/b", "user@h", "h:80:80", "h:x", "[::1", "[]", "[::1]x", "a?b", "h,\"",
            "\u{e4}",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn hosts_are_checked_like_the_plain_twin() {
        let plain = |value: &[u8]| {
            let host = |host: &[u8]| {
                let hex = |at: usize| host.get(at).is_some_and(u8::is_ascii_hexdigit);
                host.iter().enumerate().all(|(at, &byte)| match byte {
                    b'%' => hex(at + 1) && hex(at + 2),
                    _ => HOST[usize::from(byte)],
                })
            };
            match value.iter().position(|&byte| byte == b':') {
                Some(at) => host(&value[..at]) && value[at + 1..].iter().all(u8::is_ascii_digit),
                None => host(value),
            }
        };
        for first in 0..=255u8 {
            for second in (0..=255u8).filter(|_| first != b'[') {
                for value in [&[first, second][..], &[b'a', first, b'1', second, b'2']] {
                    assert_eq!(is_host(value), plain(value), "{value:x?}");
                }
            }
        }
    }

    #[test]
    fn paths_are_decoded_as_utf_8_and_nothing_is_lost_silently() {
        assert!(matches!(decode_path(b"/plain"), Cow::Borrowed("/plain")));
        assert_eq!(decode_path(b"/caf%C3%a9"), "/café");
        assert_eq!(decode_path(b"/%E9"), "/\u{fffd}");
        assert_eq!(decode_path(b"/100%/%zz/%4"), "/100%/%zz/%4");
        assert_eq!(decode_path(b"/a%2Fb%00"), "/a/b\0");
        assert_eq!(decode_path(b"/%2541"), "/%41", "decoded once");
    }
}
