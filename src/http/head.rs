//! The head of a request: request line and field lines (RFC 9112 §2 to §5).
//!
//! ```text
//!  GET /chat?room=1 HTTP/1.1\r\n        request line
//!  Host: example.com\r\n                field lines: name ":" OWS value OWS
//!  Accept: */*\r\n
//!  \r\n                                 the empty line ends the head
//! ```
//!
//! The parser works **line by line in place**. Nothing is copied: a [`Head`] and its
//! [`FieldSpan`]s are positions in the bytes that were read. Field names are turned into lower
//! case where they stand, as applications expect them.
//!
//! It acts on complete lines only, so how the bytes were split on their way changes neither the
//! result nor the error. When a head arrives in pieces, [`Progress`] remembers the line it
//! stopped in and how far that line was searched for its end; checked lines are not checked
//! again but once, at the end, to collect their positions. A head fed byte by byte costs linear
//! time.
//!
//! In that last walk each field is noted in the [`Facts`] while its name is at hand, so that
//! nobody has to look for the few that decide about framing.
//!
//! ```
//! use oneport::http::head::{self, Limits, Progress};
//!
//! let (mut progress, mut fields) = (Progress::default(), Vec::new());
//! let mut bytes = b"GET / HTTP/1.1\r\nHost: example.com\r\n".to_vec();
//! // Not complete yet: the empty line is missing.
//! assert_eq!(head::parse(&mut bytes, &mut progress, &mut fields, Limits::default()), Ok(None));
//! bytes.extend_from_slice(b"\r\n");
//! let head = head::parse(&mut bytes, &mut progress, &mut fields, Limits::default()).unwrap().unwrap();
//! assert_eq!(head.method.of(&bytes), b"GET");
//! assert_eq!(fields[0].name.of(&bytes), b"host");
//! assert_eq!(fields[0].value.of(&bytes), b"example.com");
//! ```

use super::error::Error;
use super::facts::{Fact, Facts};
use super::framing;
use crate::bytes::ascii;

/// A range of bytes, relative to the first byte of the head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub start: u32,
    /// Where it ends; this byte is no longer in it.
    pub end: u32,
}

impl Span {
    #[inline]
    fn new(start: usize, end: usize) -> Self {
        // Heads are limited far below 4 GiB (`Limits::max_head`).
        Self { start: start as u32, end: end as u32 }
    }

    /// The bytes it stands for.
    #[inline]
    pub fn of(self, head: &[u8]) -> &[u8] {
        &head[self.start as usize..self.end as usize]
    }
}

/// One field line: where its name (in lower case) and its value (without white space around
/// it) stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSpan {
    /// The name, in lower case.
    pub name: Span,
    /// The value, trimmed.
    pub value: Span,
}

/// The versions we speak (RFC 9112 §2.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
}

impl Version {
    /// As ASGI writes it: `"1.0"` or `"1.1"`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Version::Http10 => "1.0",
            Version::Http11 => "1.1",
        }
    }
}

/// A complete head. Its fields are in the list that was given to [`parse`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Head {
    /// The method, as sent.
    pub method: Span,
    /// The request target, as sent.
    pub target: Span,
    /// The version.
    pub version: Version,
    /// Length of the head with its empty line: the body begins here.
    pub len: usize,
    /// The target is nothing but a path, with nothing in it to be decoded: it begins with `/`, and
    /// has no query, no fragment and no percent escape.
    pub plain_path: bool,
    /// What the fields say about framing.
    pub facts: Facts,
}

/// What a head may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a whole head. Default 64 KiB.
    pub max_head: usize,
    /// Field lines. Default 100, as with hyper.
    pub max_fields: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // [9112-3-3] [9110-2.2-4]
        Self { max_head: 64 * 1024, max_fields: 100 }
    }
}

/// How far the parser came with a head that is not complete yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Begin of the first line that was not complete. 0: the request line itself.
    line: u32,
    /// Bytes before this hold no end of that line.
    searched: u32,
    /// Field lines that were checked already.
    fields: u16,
}

/// What one line brought. Positions count from its beginning.
enum Line<'a> {
    /// A field line.
    Field {
        /// In lower case.
        name: &'a [u8],
        /// Trimmed.
        value: &'a [u8],
        /// Where the value begins.
        value_at: usize,
        /// Where the next line begins.
        next: usize,
    },
    /// The empty line: the head ends behind it.
    Empty,
    /// The line is not complete.
    Partial,
}

/// Parses the head at the beginning of `bytes`.
///
/// `Ok(None)`: not complete, call again with the same bytes and more behind them, and with the
/// same `progress`. `fields` is a list to be reused; it holds the result of the last call that
/// returned a head. After a head or an error, begin the next with a fresh `progress`.
#[inline]
pub fn parse(
    bytes: &mut [u8],
    progress: &mut Progress,
    fields: &mut Vec<FieldSpan>,
    limits: Limits,
) -> Result<Option<Head>, Error> {
    let mut head = Head::default();
    let complete = parse_into(bytes, progress, &mut head, fields, limits)?;
    Ok(complete.then_some(head))
}

/// As [`parse`], into a head that is there. Tells whether it is complete; what is in it else means
/// nothing.
#[inline]
pub fn parse_into(
    bytes: &mut [u8],
    progress: &mut Progress,
    head: &mut Head,
    fields: &mut Vec<FieldSpan>,
    limits: Limits,
) -> Result<bool, Error> {
    // What lies beyond the limit is not looked at: a line that ends there is not complete, and
    // `partial` says what that means.
    let within = bytes.len().min(limits.max_head);
    let bytes = &mut bytes[..within];
    if progress.searched == 0 {
        parse_lines(bytes, progress, head, fields, limits)
    } else {
        resume(bytes, progress, head, fields, limits)
    }
}

/// Goes on with a head of which some lines are checked already.
#[cold]
fn resume(
    bytes: &mut [u8],
    progress: &mut Progress,
    head: &mut Head,
    fields: &mut Vec<FieldSpan>,
    limits: Limits,
) -> Result<bool, Error> {
    // Search only what is new; without an end of line there is nothing to do.
    if memchr::memchr(b'\n', &bytes[progress.searched as usize..]).is_none() {
        return partial(bytes, progress, progress.line as usize, limits);
    }
    if progress.line == 0 {
        return parse_lines(bytes, progress, head, fields, limits);
    }
    let mut at = progress.line as usize;
    loop {
        match field_line(&mut bytes[at..])? {
            Line::Field { next, .. } => {
                at += next;
                progress.fields += 1;
                if usize::from(progress.fields) > limits.max_fields {
                    return Err(Error::TooManyFields);
                }
            }
            Line::Partial => return partial(bytes, progress, at, limits),
            // All lines are there: once more over the whole, for the positions.
            Line::Empty => {
                *progress = Progress::default();
                return parse_lines(bytes, progress, head, fields, limits);
            }
        }
    }
}

fn parse_lines(
    bytes: &mut [u8],
    progress: &mut Progress,
    head: &mut Head,
    fields: &mut Vec<FieldSpan>,
    limits: Limits,
) -> Result<bool, Error> {
    fields.clear();
    if !request_line(bytes, head)? {
        return partial(bytes, progress, 0, limits);
    }
    // RFC 9110 §7.2: a client should send it first.
    if limits.max_fields > 0
        && let Some(end) = usual_host_line(&mut bytes[head.len..])
    {
        let line = head.len;
        head.facts.note_host();
        fields.push(FieldSpan {
            name: Span::new(line, line + 4),
            value: Span::new(line + 6, line + end),
        });
        head.len += end + 2;
        // For the smallest of heads the loop would be only a preparation.
        if bytes[head.len..].first_chunk() == Some(b"\r\n") {
            head.len += 2;
            return Ok(true);
        }
    }
    let Head { len, facts, .. } = head;
    if field_lines(bytes, len, fields, limits, |name, value| facts.note(name, value))? {
        return Ok(true);
    }
    progress.fields = fields.len() as u16;
    partial(bytes, progress, head.len, limits)
}

/// Parses field lines from `at` to the empty line, behind which `at` is then, and tells each to
/// `note`. False: the line at `at` is not complete. This is the part that requests and responses
/// have in common.
#[inline(always)]
fn field_lines(
    bytes: &mut [u8],
    at: &mut usize,
    fields: &mut Vec<FieldSpan>,
    limits: Limits,
    mut note: impl FnMut(&[u8], &[u8]),
) -> Result<bool, Error> {
    loop {
        let line = *at;
        match field_line(&mut bytes[line..])? {
            Line::Field { name, value, value_at, next } => {
                note(name, value);
                let value_at = line + value_at;
                fields.push(FieldSpan {
                    name: Span::new(line, line + name.len()),
                    value: Span::new(value_at, value_at + value.len()),
                });
                if fields.len() > limits.max_fields {
                    return Err(Error::TooManyFields);
                }
                *at += next;
            }
            Line::Empty => {
                // [9110-5.3-2]
                *at += 2;
                return Ok(true);
            }
            Line::Partial => return Ok(false),
        }
    }
}

/// Parses the field lines of a response, from `at` on, and tells where the head ends; `Ok(None)`: not
/// complete.
pub(super) fn parse_fields(
    bytes: &mut [u8],
    mut at: usize,
    fields: &mut Vec<FieldSpan>,
    limits: Limits,
) -> Result<Option<usize>, Error> {
    fields.clear();
    let full = bytes.len() >= limits.max_head;
    let within = bytes.len().min(limits.max_head);
    let mut lengths = Facts::default();
    let note = |name: &[u8], value: &[u8]| {
        if name == b"content-length" {
            lengths.note(name, value);
        }
    };
    match field_lines(&mut bytes[..within], &mut at, fields, limits, note)? {
        true => {
            if lengths.has(Fact::SecondLength) && lengths.broken.is_none() {
                framing::one_length(fields, bytes);
            }
            Ok(Some(at))
        }
        false if full => Err(Error::HeadTooLarge),
        false => Ok(None),
    }
}

/// The line that begins at `line` is not complete: wait for more, within the limit.
#[cold]
fn partial(
    bytes: &[u8],
    progress: &mut Progress,
    line: usize,
    limits: Limits,
) -> Result<bool, Error> {
    // [9110-2.3-1]
    if bytes.len() >= limits.max_head {
        // [9112-3-2] [9110-5.4-1]
        return Err(if line == 0 { Error::TargetTooLong } else { Error::HeadTooLarge });
    }
    progress.line = line as u32;
    progress.searched = bytes.len() as u32;
    Ok(false)
}

/// Reports `error` for the line at the beginning of `bytes`, but only once it is complete: then it
/// makes no difference how the bytes were split on their way. `None`: it is not.
#[cold]
fn complain(bytes: &[u8], error: Error) -> Option<Error> {
    memchr::memchr(b'\n', bytes).map(|_| error)
}

const HTTP_1_1: u64 = u64::from_le_bytes(*b"HTTP/1.1");
const HTTP_1_0: u64 = u64::from_le_bytes(*b"HTTP/1.0");

/// RFC 9112 §3: `request-line = method SP request-target SP HTTP-version`.
///
/// Makes the head so far, its length being that of this line; tells whether the line is complete.
#[inline(always)]
fn request_line(bytes: &[u8], head: &mut Head) -> Result<bool, Error> {
    // RFC 9110 §9.1: the method is a token, and case-sensitive.
    // [9112-2.2-1]
    let method_end = if bytes.first_chunk() == Some(b"GET ") {
        3
    } else {
        match bytes.iter().position(|&byte| !ascii::is_tchar(byte)) {
            Some(end) => end,
            None => return Ok(false),
        }
    };
    if bytes[method_end] != b' ' || method_end == 0 {
        return no_method(bytes).map_or(Ok(false), Err);
    }
    // RFC 9112 §3: exactly one space. More lenient parsers take several, and disagree about
    // what the target is.
    // [9112-3.2-2]
    let target = method_end + 1;
    let mut target_end = ascii::usual_path_end(bytes, target);
    let mut plain_path = bytes.get(target) == Some(&b'/');
    if bytes.get(target_end) != Some(&b' ') {
        plain_path = false;
        target_end = ascii::visible_end(bytes, target_end);
    }
    let Some(&after) = bytes.get(target_end) else { return Ok(false) };
    if after != b' ' || target_end == target {
        let error = if after >= 0x80 { Error::Target } else { Error::RequestLine };
        return complain(bytes, error).map_or(Ok(false), Err);
    }
    let rest = &bytes[target_end + 1..];
    let version = match rest.split_first_chunk::<8>() {
        Some((version, end)) if end.first_chunk() == Some(b"\r\n") => {
            // As numbers: one comparison for eight bytes.
            match u64::from_le_bytes(*version) {
                HTTP_1_1 => Version::Http11,
                HTTP_1_0 => Version::Http10,
                _ if later_minor(version) => Version::Http11,
                _ => return unusual_version(rest).map_or(Ok(false), Err),
            }
        }
        _ => return unusual_version(rest).map_or(Ok(false), Err),
    };
    *head = Head {
        method: Span::new(0, method_end),
        target: Span::new(target, target_end),
        version,
        len: target_end + 11,
        plain_path,
        facts: Facts::default(),
    };
    Ok(true)
}

/// A request line that does not begin with a method.
#[cold]
fn no_method(bytes: &[u8]) -> Option<Error> {
    // A TLS ClientHello begins with a handshake record (RFC 8446 §5.1: type 22). It contains no
    // line, so it would wait for the deadline; say at once what is wrong.
    if bytes.first() == Some(&0x16) {
        return Some(Error::TlsOnPlainPort);
    }
    complain(bytes, Error::RequestLine)
}

/// RFC 9110 §2.5: a message with a higher minor version than the recipient knows is processed as if
/// it had the highest one that the recipient knows.
#[cold]
fn later_minor(version: &[u8; 8]) -> bool {
    // [9110-6.2-3]
    matches!(version, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'])
}

/// What follows the target is not one of the two versions with its CR LF.
#[cold]
fn unusual_version(rest: &[u8]) -> Option<Error> {
    let line = match memchr::memchr(b'\n', rest) {
        None => return None,
        Some(end) => &rest[..end],
    };
    let Some(line) = line.strip_suffix(b"\r") else {
        return Some(Error::BareLf);
    };
    // RFC 9112 §2.3: `HTTP-version = HTTP-name "/" DIGIT "." DIGIT`, the name in capitals.
    match line {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Some(Error::VersionNotSupported)
        }
        _ if line.contains(&b'\r') => Some(Error::BareCr),
        _ if line.contains(&b' ') => Some(Error::RequestLine),
        _ => Some(Error::Version),
    }
}

/// RFC 9112 §5: `field-line = field-name ":" OWS field-value OWS`, or the empty line, at the
/// beginning of `bytes`.
#[inline(always)]
fn field_line(bytes: &mut [u8]) -> Result<Line<'_>, Error> {
    if bytes.first_chunk() == Some(b"\r\n") {
        return Ok(Line::Empty);
    }
    // Where the line ends, if all of it is as usual: looked for before the name is, since the next
    // line waits for it. A value may contain whatever a name is made of, and a colon.
    let mut end = ascii::usual_value_end(bytes, 0);
    let Some(colon) = ascii::lower_name(bytes) else {
        return mistaken_line(bytes, ascii::token_end(bytes)).map_or(Ok(Line::Partial), Err);
    };
    let bytes = &*bytes;
    if bytes.get(end..end + 2) != Some(b"\r\n") {
        debug_assert!(end > colon, "a name and its colon are usual in a value");
        end = ascii::field_value_end(bytes, end);
        if bytes.get(end..end + 2) != Some(b"\r\n") {
            return unusual_end(bytes, end).map_or(Ok(Line::Partial), Err);
        }
    }
    let line = &bytes[..end];
    // OWS belongs to the line, not to the value: mostly one space before it. Of all the bytes that
    // were let through, only space and tab are as low as that.
    // [9110-5.5-1]
    let mut value = &line[colon + 1..];
    if let [b' ', rest @ ..] = value {
        value = rest;
    }
    if let [0..=b' ', ..] | [.., 0..=b' '] = value {
        value = ascii::trim_ows(value);
    }
    let value_at = value.as_ptr() as usize - bytes.as_ptr() as usize;
    Ok(Line::Field { name: &line[..colon], value, value_at, next: end + 2 })
}

/// The short way for the field that every request has (RFC 9112 §3.2), written as it nearly always
/// is: `Host: `, a name or an address, perhaps a port. Tells where the value ends. It comes to what
/// [`field_line`] and [`Facts::note`] come to, which take anything else.
#[inline(always)]
fn usual_host_line(bytes: &mut [u8]) -> Option<usize> {
    let (name, value) = bytes.split_first_chunk_mut::<6>()?;
    if name != b"Host: " && name != b"host: " {
        return None;
    }
    let end = ascii::usual_host_end(value)?;
    if end == 0 || value.get(end..)?.first_chunk() != Some(b"\r\n") {
        return None;
    }
    name[0] = b'h';
    Some(6 + end)
}

/// A line that does not begin with `name ":"` and is not empty.
#[cold]
fn mistaken_line(bytes: &[u8], at: usize) -> Option<Error> {
    let error = match bytes.get(at) {
        None => return None,
        Some(b'\r') if at == 0 => match bytes.get(1) {
            None => return None,
            Some(_) => Error::BareCr,
        },
        // RFC 9112 §5.2: a line that begins with white space continues the one before it. Some
        // parsers take it, some do not: that is how a length is hidden (CVE-2024-27982).
        // [9112-2.2-6] [9112-5.2-2]
        Some(b' ' | b'\t') if at == 0 => Error::ObsFold,
        // RFC 9112 §5.1: "a server MUST reject".
        Some(b' ' | b'\t')
        // [9112-5.1-1]
            if bytes[at..].iter().find(|b| !matches!(b, b' ' | b'\t')) == Some(&b':') =>
        {
            Error::SpaceBeforeColon
        }
        Some(b'\n') if at == 0 => Error::BareLf,
        Some(_) => Error::FieldName,
    };
    complain(bytes, error)
}

/// The value did not end with CR LF.
#[cold]
fn unusual_end(bytes: &[u8], end: usize) -> Option<Error> {
    let error = match (bytes.get(end), bytes.get(end + 1)) {
        (None, _) | (Some(b'\r'), None) => return None,
        // [9112-2.2-3] [9110-5.5-2]
        (Some(b'\r'), Some(_)) => Error::BareCr,
        (Some(b'\n'), _) => Error::BareLf,
        _ => Error::FieldValue,
    };
    complain(bytes, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fields = Vec<(Vec<u8>, Vec<u8>)>;
    type Outcome = Result<Option<(Vec<u8>, Vec<u8>, Version, Fields, usize)>, Error>;

    fn collect(bytes: &[u8], head: Head, fields: &[FieldSpan]) -> Outcome {
        Ok(Some((
            head.method.of(bytes).to_vec(),
            head.target.of(bytes).to_vec(),
            head.version,
            fields
                .iter()
                .map(|f| (f.name.of(bytes).to_vec(), f.value.of(bytes).to_vec()))
                .collect(),
            head.len,
        )))
    }

    /// Parses `input` as if it had arrived in the pieces that `cuts` makes.
    fn parse_in_pieces(input: &[u8], cuts: &[usize], limits: Limits) -> Outcome {
        let (mut progress, mut fields) = (Progress::default(), Vec::new());
        let mut bytes = Vec::new();
        let mut from = 0;
        for &cut in cuts.iter().chain([&input.len()]) {
            bytes.extend_from_slice(&input[from..cut]);
            from = cut;
            if let Some(head) = parse(&mut bytes, &mut progress, &mut fields, limits)? {
                return collect(&bytes, head, &fields);
            }
        }
        Ok(None)
    }

    /// Whole, byte by byte and split at every position: always the same.
    fn parse_every_way(input: &[u8], limits: Limits) -> Outcome {
        let whole = parse_in_pieces(input, &[], limits);
        let each: Vec<usize> = (1..input.len()).collect();
        assert_eq!(parse_in_pieces(input, &each, limits), whole, "byte by byte");
        for cut in 1..input.len() {
            assert_eq!(parse_in_pieces(input, &[cut], limits), whole, "split at {cut}");
        }
        whole
    }

    fn head(input: &[u8]) -> Outcome {
        parse_every_way(input, Limits::default())
    }

    fn ok(input: &[u8]) -> (String, String, Version, Vec<(String, String)>) {
        let (method, target, version, fields, len) =
            head(input).expect("accepted").expect("complete");
        assert_eq!(len, input.len());
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (
            text(method),
            text(target),
            version,
            fields.into_iter().map(|(n, v)| (text(n), text(v))).collect(),
        )
    }

    #[test]
    fn the_example_of_rfc_9112_section_3() {
        let (method, target, version, fields) =
            ok(b"GET /where?q=now HTTP/1.1\r\nHost: www.example.org\r\n\r\n");
        assert_eq!((method.as_str(), target.as_str()), ("GET", "/where?q=now"));
        assert_eq!(version, Version::Http11);
        assert_eq!(fields, [("host".into(), "www.example.org".into())]);
    }

    // [9112-2.2-1] [9110-5.5-1] [9110-5.5-3]
    #[test]
    fn names_become_lower_case_and_values_lose_the_white_space_around_them() {
        let (.., fields) = ok(
            b"POST /a HTTP/1.0\r\nX-Mixed-CASE: \t a  b \t\r\nEmpty:\r\nBlank:  \r\nHigh:\xff\xfe\r\nTab:a\tb\r\nColon:a:b\r\n\r\n",
        );
        let expected = [
            ("x-mixed-case", "a  b"),
            ("empty", ""),
            ("blank", ""),
            ("high", "\u{fffd}\u{fffd}"),
            ("tab", "a\tb"),
            ("colon", "a:b"),
        ];
        assert_eq!(fields, expected.map(|(n, v)| (n.to_string(), v.to_string())));
    }

    // [9110-5.3-2]
    #[test]
    fn an_incomplete_head_waits() {
        for input in
            ["", "G", "GET", "GET / HTTP/1.1", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nA: b\r\n\r"]
        {
            assert_eq!(head(input.as_bytes()), Ok(None), "{input:?}");
        }
    }

    // [9112-2.2-3] [9112-2.2-6] [9112-3.2-2] [9112-5.1-1] [9112-5.2-2] [9110-5.5-2]
    #[test]
    fn every_broken_rule_is_told_apart() {
        let rows: &[(&[u8], Error)] = &[
            (b"\x16\x03\x01\x02", Error::TlsOnPlainPort),
            (b" GET / HTTP/1.1\r\n", Error::RequestLine),
            (b"GET  / HTTP/1.1\r\n", Error::RequestLine),
            (b"GET /  HTTP/1.1\r\n", Error::RequestLine),
            (b"GET / HTTP/1.1 \r\n", Error::RequestLine),
            (b"GET /a b HTTP/1.1\r\n", Error::RequestLine),
            (b"GET\t/ HTTP/1.1\r\n", Error::RequestLine),
            (b"G(T / HTTP/1.1\r\n", Error::RequestLine),
            (b"GET /\r\n", Error::RequestLine),
            (b"\r\nGET / HTTP/1.1\r\n", Error::RequestLine),
            (b"GET /\xc3\xa4 HTTP/1.1\r\n", Error::Target),
            (b"GET /\x00 HTTP/1.1\r\n", Error::RequestLine),
            (b"GET / HTTP/2.0\r\n", Error::VersionNotSupported),
            (b"PRI * HTTP/2.0\r\n", Error::VersionNotSupported),
            (b"GET / HTTP/3.1\r\n", Error::VersionNotSupported),
            (b"GET / HTTP/0.9\r\n", Error::VersionNotSupported),
            (b"GET / http/1.1\r\n", Error::Version),
            (b"GET / HTTP/1.10\r\n", Error::Version),
            (b"GET / HTTP/11\r\n", Error::Version),
            (b"GET / \r\n", Error::Version),
            (b"GET / HTTP/1.1\n", Error::BareLf),
            (b"GET / HTTP/1.1\rX\r\n", Error::BareCr),
            (b"GET / HTTP/1.1\r\nA: b\n\r\n", Error::BareLf),
            (b"GET / HTTP/1.1\r\nA: b\r\n\n", Error::BareLf),
            (b"GET / HTTP/1.1\r\nA: b\rc\r\n", Error::BareCr),
            (b"GET / HTTP/1.1\r\nA: b\r\r\n", Error::BareCr),
            (b"GET / HTTP/1.1\r\n\rX\r\n", Error::BareCr),
            (b"GET / HTTP/1.1\r\nA : b\r\n", Error::SpaceBeforeColon),
            (b"GET / HTTP/1.1\r\nA\t: b\r\n", Error::SpaceBeforeColon),
            (b"GET / HTTP/1.1\r\n A: b\r\n", Error::ObsFold),
            (b"GET / HTTP/1.1\r\nA: b\r\n\tc\r\n", Error::ObsFold),
            (b"GET / HTTP/1.1\r\n: b\r\n", Error::FieldName),
            (b"GET / HTTP/1.1\r\nA\r\n", Error::FieldName),
            (b"GET / HTTP/1.1\r\nA b: c\r\n", Error::FieldName),
            (b"GET / HTTP/1.1\r\nA\xff: c\r\n", Error::FieldName),
            (b"GET / HTTP/1.1\r\nA: \x00\r\n", Error::FieldValue),
            (b"GET / HTTP/1.1\r\nA: a\x0bb\r\n", Error::FieldValue),
            (b"GET / HTTP/1.1\r\nA: a\x7fb\r\n", Error::FieldValue),
        ];
        for (input, error) in rows {
            let text = String::from_utf8_lossy(input);
            assert_eq!(head(input), Err(*error), "{text:?}");
            let mut longer = input.to_vec();
            longer.extend_from_slice(b"More: fields\r\n\r\n");
            assert_eq!(head(&longer), Err(*error), "{text:?} with more behind it");
        }
    }

    // [9112-3-2] [9110-2.3-1] [9110-5.4-1]
    #[test]
    fn the_limits_hold_exactly() {
        let limits = Limits { max_head: 60, max_fields: 3 };
        let request = "GET / HTTP/1.1\r\n";
        for (pad, expected) in [(60 - 16 - 5 - 2, true), (60 - 16 - 5 - 1, false)] {
            let input = format!("{request}A: {}\r\n\r\n", "v".repeat(pad));
            let outcome = parse_every_way(input.as_bytes(), limits);
            if expected {
                assert_eq!(input.len(), 60);
                assert!(outcome.unwrap().is_some());
            } else {
                assert_eq!(outcome, Err(Error::HeadTooLarge));
            }
        }
        let long_target = format!("GET /{} HTTP/1.1\r\n\r\n", "t".repeat(60));
        assert_eq!(parse_every_way(long_target.as_bytes(), limits), Err(Error::TargetTooLong));
        let three = format!("{request}A:1\r\nB:2\r\nC:3\r\n\r\n");
        assert!(parse_every_way(three.as_bytes(), limits).unwrap().is_some());
        let four = format!("{request}A:1\r\nB:2\r\nC:3\r\nD:4\r\n\r\n");
        assert_eq!(parse_every_way(four.as_bytes(), limits), Err(Error::TooManyFields));
    }

    #[test]
    fn a_head_fed_byte_by_byte_is_searched_once() {
        // 60 KB in one field line, a byte at a time: quadratic work would be 1.8 billion steps.
        let input = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "v".repeat(60_000));
        let each: Vec<usize> = (1..input.len()).collect();
        let outcome = parse_in_pieces(input.as_bytes(), &each, Limits::default());
        assert!(outcome.unwrap().is_some());
    }

    // [9110-6.2-3]
    #[test]
    fn a_later_minor_version_is_read_as_the_highest_that_is_known() {
        for minor in 2..=9 {
            let (_, _, version, _) = ok(format!("GET / HTTP/1.{minor}\r\n\r\n").as_bytes());
            assert_eq!(version, Version::Http11);
        }
    }
}
