//! WebSocket URIs (RFC 6455 §3): `ws://host[:port]/path?query`, and `wss://` for TLS.

use super::error::Error;
use crate::http::target;

/// Where to connect and what to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri {
    /// `wss`: through TLS.
    pub secure: bool,
    /// Name or address, without brackets.
    pub host: String,
    /// 80 or 443 unless it is given.
    pub port: u16,
    /// The value of Host: the port is left out if it is the scheme's own (RFC 6455 §4.1 no. 4).
    pub host_field: String,
    /// Path and query; `/` if both are empty.
    pub target: String,
}

impl Uri {
    /// Takes a URI apart.
    ///
    /// # Errors
    /// [`Error::Uri`], with what is wrong.
    pub fn parse(uri: &str) -> Result<Self, Error> {
        parse(uri, "ws", "wss").map_err(|reason| Error::Uri { uri: uri.to_string(), reason })
    }

    /// The same for `http://` and `https://`.
    ///
    /// # Errors
    /// As [`Uri::parse`].
    pub fn parse_http(uri: &str) -> Result<Self, Error> {
        parse(uri, "http", "https").map_err(|reason| Error::Uri { uri: uri.to_string(), reason })
    }
}

fn parse(uri: &str, plain: &str, encrypted: &str) -> Result<Uri, &'static str> {
    let (scheme, rest) = uri.split_once("://").ok_or("it has no `scheme://` in front")?;
    let secure = if scheme.eq_ignore_ascii_case(plain) {
        false
    } else if scheme.eq_ignore_ascii_case(encrypted) {
        true
    } else if plain == "ws" {
        return Err("its scheme is neither ws nor wss");
    } else {
        return Err("its scheme is neither http nor https");
    };
    // RFC 6455 §3: "Fragment identifiers are meaningless in the context of WebSocket URIs and
    // MUST NOT be used".
    if rest.contains('#') {
        return Err("it has a fragment; a # in the path or query is written %23 (RFC 6455 §3)");
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    if authority.contains('@') {
        return Err("it has a user name: send an Authorization field instead");
    }
    if !target::is_host(authority.as_bytes()) || authority.is_empty() {
        return Err("its host is not valid (names that are not ASCII are written in Punycode)");
    }
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its path or query has characters that must be written as %XX");
    }
    let bracket = authority.rfind(']').unwrap_or(0);
    let (host, port) = match authority[bracket..].rfind(':') {
        Some(colon) => {
            let (host, port) = authority.split_at(bracket + colon);
            (host, Some(&port[1..]))
        }
        None => (authority, None),
    };
    if host.is_empty() {
        return Err("it has no host");
    }
    let own = if secure { 443 } else { 80 };
    let port = match port {
        None | Some("") => own,
        Some(port) => match port.parse() {
            Ok(0) | Err(_) => return Err("its port is not a number from 1 to 65535"),
            Ok(port) => port,
        },
    };
    let target = match target {
        "" => "/".to_string(),
        query if query.starts_with('?') => format!("/{query}"),
        path => path.to_string(),
    };
    Ok(Uri {
        secure,
        host: host.trim_start_matches('[').trim_end_matches(']').to_string(),
        port,
        host_field: if port == own { host.to_string() } else { format!("{host}:{port}") },
        target,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_taken_apart() {
        let rows = [
            ("ws://example.com", "example.com", 80, "example.com", "/"),
            ("wss://example.com:443/a?b", "example.com", 443, "example.com", "/a?b"),
            ("WS://127.0.0.1:8000?x=1", "127.0.0.1", 8000, "127.0.0.1:8000", "/?x=1"),
            ("ws://[::1]:9001/", "::1", 9001, "[::1]:9001", "/"),
            ("ws://[::1]/", "::1", 80, "[::1]", "/"),
            ("wss://h:80/", "h", 80, "h:80", "/"),
            ("ws://h:/", "h", 80, "h", "/"),
        ];
        for (uri, host, port, field, target) in rows {
            let parsed = Uri::parse(uri).unwrap();
            assert_eq!((parsed.host.as_str(), parsed.port), (host, port), "{uri}");
            assert_eq!((parsed.host_field.as_str(), parsed.target.as_str()), (field, target));
            assert_eq!(parsed.secure, uri.starts_with("wss"));
        }
        assert_eq!(Uri::parse_http("http://h/x").unwrap().target, "/x");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let rows = [
            ("example.com", "no `scheme://`"),
            ("http://example.com", "neither ws nor wss"),
            ("ws://example.com/#a", "fragment"),
            ("ws://me@example.com/", "user name"),
            ("ws:///path", "host"),
            ("ws://:80/", "host"),
            ("ws://exämple.com/", "Punycode"),
            ("ws://a b/", "host"),
            ("ws://h/a b", "%XX"),
            ("ws://h/ä", "%XX"),
            ("ws://h/\r\nx: y", "%XX"),
            ("ws://h:0/", "port"),
            ("ws://h:65536/", "port"),
        ];
        for (uri, part) in rows {
            let text = Uri::parse(uri).unwrap_err().to_string();
            assert!(text.contains(part), "{uri}: {text}");
        }
    }
}
