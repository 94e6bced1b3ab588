//! The head of a response, as a client reads it (RFC 9112 §4).
//!
//! ```text
//!  HTTP/1.1 101 Switching Protocols\r\n     status line: version SP code SP [ reason ]
//!  Upgrade: websocket\r\n                   field lines, as in a request
//!  \r\n
//! ```

use super::error::Error;
use super::head::{self, FieldSpan, Limits, Version};

/// A complete response head. Its fields are in the list that was given to [`parse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseHead {
    /// The version.
    pub version: Version,
    /// The status code, 100 to 999.
    pub status: u16,
    /// Length of the head with its empty line: the body begins here.
    pub len: usize,
}

/// Why some bytes are not a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// RFC 9112 §4: they do not begin with `HTTP/1.x code`: this is another protocol.
    StatusLine,
    /// A field line breaks a rule, or a limit was passed.
    Fields(Error),
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Malformed::StatusLine => {
                f.write_str("it does not begin with an HTTP/1 status line (RFC 9112 §4)")
            }
            // These words are a server's about a request.
            Malformed::Fields(Error::TooManyFields) => {
                f.write_str("it has more field lines than we take")
            }
            Malformed::Fields(Error::HeadTooLarge) => {
                f.write_str("its head is larger than we take")
            }
            Malformed::Fields(error) => write!(f, "{error}"),
        }
    }
}

/// Parses the response head at the beginning of `bytes`; `Ok(None)`: not complete yet.
///
/// # Errors
/// The rule that it breaks.
///
/// ```
/// use oneport::http::{head::Limits, response};
///
/// let mut bytes = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec();
/// let mut fields = Vec::new();
/// let head = response::parse(&mut bytes, &mut fields, Limits::default()).unwrap().unwrap();
/// assert_eq!((head.status, head.len, fields.len()), (404, bytes.len(), 1));
/// ```
pub fn parse(
    bytes: &mut [u8],
    fields: &mut Vec<FieldSpan>,
    limits: Limits,
) -> Result<Option<ResponseHead>, Malformed> {
    let Some(end) = memchr::memchr(b'\n', bytes) else {
        let begins_well = bytes.iter().zip(b"HTTP/1.").all(|(byte, expected)| byte == expected);
        return if !begins_well || bytes.len() >= limits.max_head {
            Err(Malformed::StatusLine)
        } else {
            Ok(None)
        };
    };
    let line = bytes[..end].strip_suffix(b"\r").ok_or(Malformed::StatusLine)?;
    let (version, status) = status_line(line).ok_or(Malformed::StatusLine)?;
    let len = head::parse_fields(bytes, end + 1, fields, limits).map_err(Malformed::Fields)?;
    Ok(len.map(|len| ResponseHead { version, status, len }))
}

/// RFC 9112 §4: `status-line = HTTP-version SP status-code SP [ reason-phrase ]`. The reason is
/// ignored, and a space that is missing before an empty one is forgiven.
fn status_line(line: &[u8]) -> Option<(Version, u16)> {
    let version = match line.get(..9) {
        Some(b"HTTP/1.1 ") => Version::Http11,
        Some(b"HTTP/1.0 ") => Version::Http10,
        // RFC 9110 §2.5: as the highest minor version that we know.
        Some([b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9', b' ']) => Version::Http11,
        _ => return None,
    };
    match line[9..] {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ref rest @ ..]
            if rest.first().is_none_or(|&byte| byte == b' ') =>
        {
            let digit = |byte: u8| u16::from(byte - b'0');
            Some((version, digit(a) * 100 + digit(b) * 10 + digit(c)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<Option<(u16, usize)>, Malformed> {
        let (mut bytes, mut fields) = (text.as_bytes().to_vec(), Vec::new());
        let head = parse(&mut bytes, &mut fields, Limits { max_head: 100, max_fields: 2 })?;
        Ok(head.map(|head| (head.status, fields.len())))
    }

    #[test]
    fn status_lines_and_fields() {
        let rows = [
            ("HTTP/1.1 200 OK\r\n\r\n", Ok(Some((200, 0)))),
            ("HTTP/1.0 999\r\na: b\r\n\r\n", Ok(Some((999, 1)))),
            ("HTTP/1.1 204 \r\n\r\n", Ok(Some((204, 0)))),
            ("HTTP/1.1 200 OK\r\n", Ok(None)),
            ("HTTP/1.1 200 OK\r\na: b\r\n", Ok(None)),
            ("HTTP/1.1 2", Ok(None)),
            ("HTTP/1.1 20 OK\r\n\r\n", Err(Malformed::StatusLine)),
            ("HTTP/1.1 2000 OK\r\n\r\n", Err(Malformed::StatusLine)),
            ("HTTP/1.1 099 OK\r\n\r\n", Err(Malformed::StatusLine)),
            ("HTTP/2 200 OK\r\n\r\n", Err(Malformed::StatusLine)),
            ("SSH-2.0-OpenSSH\r\n", Err(Malformed::StatusLine)),
            ("HTTP/1.1 200 OK\n\n", Err(Malformed::StatusLine)),
            ("HTTP/1.1 200 OK\r\na : b\r\n\r\n", Err(Malformed::Fields(Error::SpaceBeforeColon))),
            (
                "HTTP/1.1 200 OK\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n",
                Err(Malformed::Fields(Error::TooManyFields)),
            ),
        ];
        for (text, outcome) in rows {
            assert_eq!(parse_text(text), outcome, "{text:?}");
        }
        for limit in [Error::TooManyFields, Error::HeadTooLarge] {
            let told = Malformed::Fields(limit).to_string();
            assert!(!told.contains("server") && !told.contains("request"), "{told}");
        }
        for minor in 2..=9 {
            let text = format!("HTTP/1.{minor} 200 OK\r\n\r\n");
            assert_eq!(parse_text(&text), Ok(Some((200, 0))), "RFC 9110 §2.5: as 1.1");
        }
        for other in ["HTTP/0.9", "HTTP/2.0", "HTTP/3.1", "HTTP/1.10", "HTTP/1.x"] {
            let text = format!("{other} 200 OK\r\n\r\n");
            assert_eq!(parse_text(&text), Err(Malformed::StatusLine), "{other}");
        }
        assert_eq!(parse_text("x"), Err(Malformed::StatusLine), "at the first byte");
        assert_eq!(parse_text(&format!("HTTP/1.{}", "1".repeat(93))), Err(Malformed::StatusLine));
    }
}
