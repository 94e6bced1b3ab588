//! The answer of a server to the opening handshake: status, fields and body.

use crate::http::chunked;
use crate::http::head::FieldSpan;
use crate::http::headers::Headers;

/// Bytes of a body that are kept.
const LARGEST_BODY: usize = 64 * 1024;

/// A response of a server to the opening handshake: a 101, or that of a server that refused.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    status: u16,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Response {
    /// Its body is empty.
    pub(super) fn new(status: u16, headers: Headers<'_>) -> Self {
        let owned = |(name, value): (&[u8], &[u8])| {
            (String::from_utf8_lossy(name).into_owned(), value.to_vec())
        };
        Self { status, fields: headers.iter().map(owned).collect(), body: Vec::new() }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The fields: names in lower case, values as they came.
    #[doc(alias = "headers")]
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The first field of this name, in whatever case, if it is UTF-8.
    #[doc(alias = "header")]
    pub fn field(&self, name: &str) -> Option<&str> {
        let (_, value) = self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// The body, up to 64 KiB of it. A 101 has none.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = String::from_utf8_lossy;
        let fields: Vec<_> = self.fields().map(|(name, value)| (name, text(value))).collect();
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("fields", &fields)
            .field("body", &text(&self.body))
            .finish()
    }
}

impl std::fmt::Display for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "status {}", self.status)?;
        if let (300..=399, Some(location)) = (self.status, self.field("location")) {
            return write!(f, ", which points to {location} (redirects are not followed)");
        }
        let text = String::from_utf8_lossy(&self.body);
        let line = text.lines().next().unwrap_or_default();
        if !line.is_empty() && line.len() <= 200 && !line.contains(char::is_control) {
            write!(f, ": {line}")?;
        }
        Ok(())
    }
}

/// A response whose body is arriving.
pub(super) struct Arriving {
    response: Response,
    body: Body,
}

/// RFC 9112 §6.3: how long the body is.
enum Body {
    Length(usize),
    Chunked(chunked::Decoder),
    UntilClose,
}

impl Arriving {
    pub(super) fn new(status: u16, head: &[u8], fields: &[FieldSpan]) -> Self {
        let headers = Headers::new(head, fields);
        let length = || headers.get_str("content-length")?.trim().parse().ok();
        let chunked = headers.list("transfer-encoding").last();
        let body = if matches!(status, 204 | 304) {
            Body::Length(0)
        } else if chunked.is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")) {
            Body::Chunked(chunked::Decoder::default())
        } else {
            length().map_or(Body::UntilClose, Body::Length)
        };
        Self { response: Response::new(status, headers), body }
    }

    /// Takes what came; true if that is all, or enough.
    pub(super) fn take(&mut self, bytes: &mut [u8]) -> bool {
        let kept = &mut self.response.body;
        let end = match &mut self.body {
            Body::Length(length) => {
                kept.extend_from_slice(bytes);
                kept.truncate(*length);
                kept.len() == *length
            }
            Body::Chunked(decoder) => {
                let mut at = 0;
                loop {
                    match decoder.decode(&mut bytes[at..]) {
                        Ok(decoded) => {
                            kept.extend_from_slice(&bytes[at..at + decoded.data]);
                            at += decoded.consumed;
                            if decoded.end || decoded.consumed == 0 || at == bytes.len() {
                                break decoded.end;
                            }
                        }
                        Err(_) => break true,
                    }
                }
            }
            Body::UntilClose => {
                kept.extend_from_slice(bytes);
                false
            }
        };
        kept.truncate(LARGEST_BODY);
        end || kept.len() == LARGEST_BODY
    }

    /// The response with what came of its body.
    pub(super) fn end(self) -> Response {
        self.response
    }
}
