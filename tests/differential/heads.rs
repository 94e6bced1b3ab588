//! Our head parser beside httparse. Every known difference is a row of [`DIFFERENCES`] with its
//! reason; a new one is a failure.
#![allow(dead_code, unreachable_pub)] // the fuzz target uses a part of it

use oneport::http::head::{self, Head, Limits, Progress};
use oneport::http::{Error, Version};

/// Heads as browsers, curl, proxies, agents and WebSocket clients send them.
pub const HEADS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
    "GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n",
    "POST /upload?x=1&y=%20 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Type: application/json; charset=utf-8\r\n\r\n",
    "GET http://example.com:80/where?q=now HTTP/1.1\r\nHost: example.com\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
    "HEAD /old HTTP/1.0\r\n\r\n",
    "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nOrigin: http://h\r\n\r\n",
    "GET /page HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\nCookie: a=b; c=d; session=0123456789abcdef\r\nUpgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\n\r\n",
    "PUT /f HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2\r\nX-Empty:\r\nX-Tab:\ta\tb\t\r\nX-High: \u{e4}\u{f6}\r\n\r\n",
];

/// What a parser made of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    Head(Vec<u8>, Vec<u8>, u8, Vec<(Vec<u8>, Vec<u8>)>, usize),
    Partial,
    Refused,
}

pub fn ours(input: &[u8]) -> (Made, Option<Error>) {
    let (mut bytes, mut fields) = (input.to_vec(), Vec::new());
    match head::parse(&mut bytes, &mut Progress::default(), &mut fields, Limits::default()) {
        Ok(None) => (Made::Partial, None),
        Err(error) => (Made::Refused, Some(error)),
        Ok(Some(Head { method, target, version, len, .. })) => {
            let fields = fields
                .iter()
                .map(|field| (field.name.of(&bytes).to_vec(), field.value.of(&bytes).to_vec()))
                .collect();
            let version = u8::from(version == Version::Http11);
            let (method, target) = (method.of(&bytes).to_vec(), target.of(&bytes).to_vec());
            (Made::Head(method, target, version, fields, len), None)
        }
    }
}

fn theirs(input: &[u8]) -> Made {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(input) {
        Ok(httparse::Status::Partial) => Made::Partial,
        Err(_) => Made::Refused,
        Ok(httparse::Status::Complete(len)) => Made::Head(
            request.method.unwrap().as_bytes().to_vec(),
            request.path.unwrap().as_bytes().to_vec(),
            request.version.unwrap(),
            request
                .headers
                .iter()
                .map(|field| (field.name.to_ascii_lowercase().into_bytes(), field.value.to_vec()))
                .collect(),
            len,
        ),
    }
}

/// Is this difference known?
pub type Known = fn(input: &[u8], ours: &Made, error: Option<Error>, theirs: &Made) -> bool;

/// Is there a request line with a later minor version?
pub fn has_later_minor(input: &[u8]) -> bool {
    input.windows(10).any(|line| {
        line.starts_with(b" HTTP/1.") && matches!(line[8], b'2'..=b'9') && line[9] == b'\r'
    })
}

pub const DIFFERENCES: &[(&str, Known)] = &[
    (
        "RFC 9110 §2.5: a later minor version is read as HTTP/1.1; httparse refuses it",
        |input, _, _, theirs| *theirs == Made::Refused && has_later_minor(input),
    ),
    (
        "we act on complete lines only, so that splits of the input change nothing: a mistake in a \
         line without an end is not reported yet",
        |_, ours, _, theirs| *ours == Made::Partial && *theirs == Made::Refused,
    ),
    (
        "RFC 9112 §2.2 lets a recipient take LF alone as the end of a line; we refuse it, since a \
         proxy in front may not",
        |_, _, error, _| error == Some(Error::BareLf),
    ),
    (
        "RFC 9112 §2.2: empty lines before the request line are the receiver's business with us \
         (one is skipped), the parser's with httparse (any number, also of LF alone)",
        |input, _, _, _| matches!(input.first(), Some(b'\r' | b'\n')),
    ),
    (
        "RFC 9112 §3.2: a target is visible ASCII; httparse takes bytes of 0x80 and above",
        |_, _, error, _| error == Some(Error::Target),
    ),
    (
        "a \"next line\" byte (0x85) that is no part of a UTF-8 character is refused in field \
         values: some parsers end a line there (CVE-2026-44546)",
        |input, _, error, _| error == Some(Error::FieldValue) && input.contains(&0x85),
    ),
];

pub fn check(input: &[u8], seen: &mut [usize]) {
    let (our, error) = ours(input);
    let their = theirs(input);
    if our == their {
        return;
    }
    let known = DIFFERENCES.iter().position(|(_, known)| known(input, &our, error, &their));
    match known {
        Some(at) => seen[at] += 1,
        None => panic!(
            "a new difference on {:?}\n ours:   {our:?} {error:?}\n theirs: {their:?}",
            String::from_utf8_lossy(input)
        ),
    }
}

/// In two pieces, cut anywhere: the same as whole.
pub fn check_split(input: &[u8]) {
    let (whole, error) = ours(input);
    for cut in [1, input.len() / 2, input.len().saturating_sub(1)] {
        let (mut progress, mut fields) = (Progress::default(), Vec::new());
        let mut bytes = input[..cut.min(input.len())].to_vec();
        let mut made = head::parse(&mut bytes, &mut progress, &mut fields, Limits::default());
        if made == Ok(None) {
            bytes.extend_from_slice(&input[bytes.len()..]);
            made = head::parse(&mut bytes, &mut progress, &mut fields, Limits::default());
        }
        match made {
            Err(refused) => assert_eq!(Some(refused), error),
            Ok(None) => assert_eq!(whole, Made::Partial),
            Ok(Some(head)) => assert!(matches!(whole, Made::Head(.., len) if len == head.len)),
        }
    }
}
