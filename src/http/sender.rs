//! The sender half: a status, fields and pieces of a body become bytes.
//!
//! The head is written at once but stays **open**: which framing field it gets (RFC 9112 §6) is
//! known when the first piece of the body comes. If that piece is all there is, its length is
//! stated; otherwise the body is chunked. A length that the application gives is kept, and held
//! to.

use super::chunked;
use super::date::Prefab;
use super::head::Version;
use super::headers::list_elements;
use super::recent::{LENGTH, Recent};
use super::status::write_status_line;
use crate::bytes::ascii;

/// Room for the head of most responses (bytes).
const WHOLE_HEAD: usize = 256;

/// A field as an application sends it: name and value.
pub type Field<'a> = (&'a [u8], &'a [u8]);

/// What an application sent cannot be sent as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalid {
    /// RFC 9110 §15: a final status code has three digits and is not 1xx.
    Status,
    /// RFC 9110 §5.1: a field name is a token.
    FieldName,
    /// RFC 9110 §5.5: a field value has no control bytes.
    FieldValue,
    /// RFC 9110 §8.6: Content-Length is a number, and there is one.
    ContentLength,
    /// RFC 9110 §8.6: more bytes of body than Content-Length said.
    BodyLongerThanContentLength,
    /// RFC 9110 §6.5.1: a field that may not stand in a trailer section.
    TrailerField,
    /// RFC 6455 §4.2.2: a field that belongs to the handshake, not to the application.
    HandshakeField,
    /// RFC 6455 §4.2.2: a subprotocol that the client did not offer.
    Subprotocol,
    /// RFC 6455 §7.4: a close code that may not appear on the wire.
    CloseCode,
    /// A path that is not absolute, or a file that cannot be read.
    Path,
}

impl Invalid {
    /// The rule in one line.
    pub const fn rule(self) -> &'static str {
        match self {
            Invalid::Status => "a response status must be 200 to 999",
            Invalid::FieldName => "a field name must be a token (RFC 9110 §5.1)",
            Invalid::FieldValue => {
                "a field value must not contain CR, LF, NUL or other control bytes (RFC 9110 §5.5)"
            }
            Invalid::ContentLength => "content-length must be one decimal number (RFC 9110 §8.6)",
            Invalid::BodyLongerThanContentLength => {
                "the body is longer than its content-length (RFC 9110 §8.6)"
            }
            Invalid::TrailerField => {
                "fields of framing, routing, control, authentication and content must not be trailers (RFC 9110 §6.5.1)"
            }
            Invalid::HandshakeField => {
                "upgrade, connection and sec-websocket fields are the handshake's own (RFC 6455 §4.2.2)"
            }
            Invalid::Subprotocol => {
                "only a subprotocol that the client offered may be chosen (RFC 6455 §4.2.2)"
            }
            Invalid::CloseCode => {
                "this close code may not be sent: use 1000 to 1003, 1007 to 1014 or 3000 to 4999 (RFC 6455 §7.4)"
            }
            Invalid::Path => "the path must be absolute and name a file that can be read",
        }
    }
}

/// What the sender must know of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Its version.
    pub version: Version,
    /// RFC 9110 §9.3.2: the answer to HEAD has the fields of a body and no body.
    pub is_head: bool,
    /// May the connection persist?
    pub persist: bool,
    /// Does the client take trailer fields?
    pub te_trailers: bool,
}

/// How the body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyForm {
    /// Not known before the first piece.
    Undecided,
    /// This many bytes are still due.
    Length(u64),
    Chunked,
    /// RFC 9112 §6.3 no. 8: until the connection ends, for HTTP/1.0.
    UntilClose,
    /// RFC 9112 §6.3 no. 1: none may be sent (HEAD, 204, 304; RFC 9110 §15.3.6: 205).
    Forbidden,
}

/// How the payload of one piece goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload {
    /// The payload itself is to be sent (not so for HEAD).
    pub send: bool,
    /// These bytes follow it.
    pub after: &'static [u8],
}

/// One response.
#[derive(Debug)]
pub struct Sender {
    request: Request,
    form: BodyForm,
    status: u16,
    /// The head has no empty line yet.
    open: bool,
    /// Trailers were announced by the application.
    trailers: bool,
    /// The application gave a Content-Length.
    length_given: bool,
    /// The body is a file, so its length is known, also if it is 0.
    is_file: bool,
    /// The application sent an Upgrade field.
    upgrade: bool,
    /// Bytes of body that the application gave.
    pub(crate) body_bytes: u64,
}

impl Sender {
    /// For the answer to this request.
    #[inline]
    pub fn new(request: Request) -> Self {
        Self {
            request,
            form: BodyForm::Undecided,
            status: 0,
            open: false,
            trailers: false,
            length_given: false,
            is_file: false,
            upgrade: false,
            body_bytes: 0,
        }
    }

    /// May the connection persist after this response?
    #[inline]
    pub fn persists(&self) -> bool {
        self.request.persist
    }

    /// The connection must end after this response. Has an effect on the wire until the head is
    /// closed.
    pub fn do_not_persist(&mut self) {
        self.request.persist = false;
    }

    /// The status that was sent, 0 before.
    #[inline]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Has the head no empty line yet?
    #[inline]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Writes status line and fields; the head stays open for its framing field.
    ///
    /// # Errors
    /// What is wrong with the application's status or fields. Then `out` holds half a head: the
    /// caller truncates it.
    #[inline]
    pub fn start(
        &mut self,
        out: &mut Vec<u8>,
        prefab: &Prefab,
        status: u16,
        fields: &[Field<'_>],
        trailers: bool,
    ) -> Result<(), Invalid> {
        // RFC 9110 §15.2: 1xx is interim; it cannot end an exchange.
        if !(200..=999).contains(&status) {
            return Err(Invalid::Status);
        }
        self.status = status;
        self.trailers = trailers;
        self.open = true;
        // RFC 9112 §6.3 no. 1; RFC 9110 §15.3.6 for 205.
        // [9110-9.3.2-1] [9110-15.3.6-1] [9112-6.1-4]
        self.form = if self.request.is_head || matches!(status, 204 | 205 | 304) {
            BodyForm::Forbidden
        } else {
            BodyForm::Undecided
        };
        let begin = out.len();
        // [9110-6.6.1-2]
        if status == 200 {
            out.extend_from_slice(prefab.ok());
        } else {
            write_status_line(out, status);
            out.extend_from_slice(prefab.server());
            out.extend_from_slice(prefab.date());
        }
        let mut own = Own::default();
        for &(name, value) in fields {
            self.field(out, name, value, &mut own)?;
        }
        if own.date || own.server {
            replace_prefab(out, begin, status, prefab, own);
        }
        Ok(())
    }

    /// One field of the application.
    #[inline]
    fn field(
        &mut self,
        out: &mut Vec<u8>,
        name: &[u8],
        value: &[u8],
        own: &mut Own,
    ) -> Result<(), Invalid> {
        match name.len() {
            4 => own.date |= name.eq_ignore_ascii_case(b"date"),
            6 => own.server |= name.eq_ignore_ascii_case(b"server"),
            7 => self.upgrade |= name.eq_ignore_ascii_case(b"upgrade"),
            // [9110-2.2-1] [9110-7.6.1-2]
            10 if name.eq_ignore_ascii_case(b"connection") => {
                // The Connection field is ours, so that it tells the truth. A wish to end the
                // connection is granted.
                if list_elements(value).any(|o| o.eq_ignore_ascii_case(b"close")) {
                    self.request.persist = false;
                }
                return check_value(value);
            }
            10 if name.eq_ignore_ascii_case(b"keep-alive") => return check_value(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => return self.length(out, value),
            // The transfer coding is ours (ASGI: a server must ignore the application's).
            // [9112-6.1-2]
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => return check_value(value),
            _ => {}
        }
        append_field(out, name, value)
    }

    fn length(&mut self, out: &mut Vec<u8>, value: &[u8]) -> Result<(), Invalid> {
        let length = ascii::parse_decimal(value).map_err(|_| Invalid::ContentLength)?;
        // [9110-5.3-1]
        if std::mem::replace(&mut self.length_given, true) {
            return Err(Invalid::ContentLength);
        }
        // RFC 9110 §8.6: no Content-Length with 204. For HEAD and 304 it tells what GET would
        // have got.
        match self.form {
            // [9110-8.6-3]
            BodyForm::Forbidden if matches!(self.status, 204 | 205) => return Ok(()),
            BodyForm::Forbidden => {}
            _ => self.form = BodyForm::Length(length),
        }
        append_field(out, b"content-length", value)
    }

    /// Writes a whole response at once: what [`Sender::start`], [`Sender::piece`] and the payload come
    /// to, for the responses that nearly all are. False if this is not one of them, or if something
    /// about it is wrong; then `out` holds half a response, the caller truncates it and begins anew.
    #[inline]
    pub fn whole(
        &mut self,
        out: &mut Vec<u8>,
        prefab: &Prefab,
        recent: &mut Recent,
        status: u16,
        fields: &[Field<'_>],
        body: &[u8],
    ) -> bool {
        let persists = self.request.persist && self.request.version == Version::Http11;
        if !persists || self.request.is_head {
            return false;
        }
        if status == 200
            && let Some(head) = recent.head_of(prefab, fields, body.len())
        {
            // What the long way below comes to.
            self.status = status;
            out.extend_from_slice(head);
        } else {
            out.reserve(WHOLE_HEAD + body.len());
            if !self.whole_head(out, prefab, recent, status, fields) {
                return false;
            }
            out.extend_from_slice(LENGTH);
            write_length_and_empty_line(out, body.len());
        }
        // [9110-8.6-5] [9112-6.3-5]
        self.form = BodyForm::Length(0);
        self.body_bytes = body.len() as u64;
        out.extend_from_slice(body);
        true
    }

    /// The head of [`Sender::whole`] up to the application's last field; false as there.
    fn whole_head(
        &mut self,
        out: &mut Vec<u8>,
        prefab: &Prefab,
        recent: &mut Recent,
        status: u16,
        fields: &[Field<'_>],
    ) -> bool {
        let begin = out.len();
        if self.start(out, prefab, status, fields, false).is_err() {
            return false;
        }
        // An application may have said more of the framing than its fields usually do.
        if self.form != BodyForm::Undecided || self.upgrade || !self.request.persist {
            return false;
        }
        self.open = false;
        let lines = begin + prefab.ok().len();
        if status == 200 && out[begin..].starts_with(prefab.ok()) && is_plain(fields) {
            recent.keep(fields, &out[lines..]);
        }
        true
    }

    /// Announces a file as the whole body; see [`Sender::piece`].
    ///
    /// # Errors
    /// As [`Sender::piece`].
    pub fn file(&mut self, out: &mut Vec<u8>, len: usize) -> Result<Payload, Invalid> {
        self.is_file = true;
        self.piece(out, len, false)
    }

    /// Announces the next piece of body: closes the head if it is open, and writes what stands
    /// before the payload.
    ///
    /// # Errors
    /// [`Invalid::BodyLongerThanContentLength`]; nothing was written then.
    #[inline]
    pub fn piece(&mut self, out: &mut Vec<u8>, len: usize, more: bool) -> Result<Payload, Invalid> {
        if let BodyForm::Length(left) = self.form
            && len as u64 > left
        {
            return Err(Invalid::BodyLongerThanContentLength);
        }
        self.body_bytes += len as u64;
        if self.open {
            self.close_head(out, if more { None } else { Some(len) });
        }
        Ok(match &mut self.form {
            BodyForm::Length(left) => {
                *left -= len as u64;
                Payload { send: true, after: b"" }
            }
            BodyForm::Chunked => {
                // RFC 9112 §7.1: a chunk of size 0 would be the last one.
                if len > 0 {
                    let (line, n) = chunked::encode_size(len);
                    out.extend_from_slice(&line[..n]);
                }
                let after: &[u8] = match (len, more || self.sends_trailers()) {
                    (0, true) => b"",
                    (0, false) => b"0\r\n\r\n",
                    (_, true) => b"\r\n",
                    (_, false) => b"\r\n0\r\n\r\n",
                };
                Payload { send: true, after }
            }
            BodyForm::UntilClose => Payload { send: true, after: b"" },
            BodyForm::Forbidden | BodyForm::Undecided => Payload { send: false, after: b"" },
        })
    }

    /// Closes the head: framing field, Connection, empty line. `whole` is the length of the
    /// body if its only piece is at hand.
    pub fn close_head(&mut self, out: &mut Vec<u8>, whole: Option<usize>) {
        debug_assert!(self.open, "a head is closed once");
        self.open = false;
        match (self.form, whole) {
            // RFC 9110 §15.3.6: a 205 has no content, but a receiver does not know that by its
            // status: the length says so.
            (BodyForm::Forbidden, _) if self.status == 205 => write_content_length(out, 0),
            // [9110-8.6-5] [9112-6.3-5]
            (BodyForm::Undecided, Some(len)) if !self.trailers => {
                self.form = BodyForm::Length(len as u64);
                write_content_length(out, len);
            }
            // [9112-6.1-7] [9112-6.2-1]
            (BodyForm::Undecided, _) if self.request.version == Version::Http11 => {
                // RFC 9112 §6.1: a server sends Transfer-Encoding to HTTP/1.1 and later only.
                self.form = BodyForm::Chunked;
                out.extend_from_slice(b"transfer-encoding: chunked\r\n");
            }
            (BodyForm::Undecided, _) => {
                self.form = BodyForm::UntilClose;
                self.request.persist = false;
            }
            // RFC 9110 §9.3.2: HEAD should get the fields that GET would get. An application
            // that gave no length but the whole body said how long it is.
            // [9110-9.3.2-2] [9110-8.6-1]
            (BodyForm::Forbidden, Some(len))
                // An empty body says nothing: GET may have one.
                if self.request.is_head
                    && (len > 0 || self.is_file)
                    && !self.length_given
                    && !matches!(self.status, 204 | 304) =>
            {
                write_content_length(out, len);
            }
            _ => {}
        }
        // RFC 9112 §9.6: say that the connection ends. RFC 9112 §9.3: HTTP/1.0 persists only if
        // both sides say so.
        if self.upgrade {
            // RFC 9110 §7.8: "A sender of Upgrade MUST also send an "Upgrade" connection option".
            // [9110-7.8-5] [9110-7.6.1-1] [9110-5.6.1.1-1]
            let close = if self.request.persist { "" } else { ", close" };
            out.extend_from_slice(format!("connection: upgrade{close}\r\n").as_bytes());
        } else if !self.request.persist {
            // [9112-9.6-1] [9112-9.6-3]
            out.extend_from_slice(b"connection: close\r\n");
        } else if self.request.version == Version::Http10 {
            out.extend_from_slice(b"connection: keep-alive\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Will trailer fields really be written? Only into a chunked body and only to a client
    /// that takes them (RFC 9110 §6.5.1).
    #[inline]
    pub fn sends_trailers(&self) -> bool {
        self.trailers && self.request.te_trailers && self.form == BodyForm::Chunked
    }

    /// Writes a part of the trailer section; `last` ends it.
    ///
    /// # Errors
    /// What is wrong with a field; `out` holds half a section then: the caller truncates it.
    pub fn trailers(
        &mut self,
        out: &mut Vec<u8>,
        begin: bool,
        fields: &[Field<'_>],
        last: bool,
    ) -> Result<(), Invalid> {
        let send = self.sends_trailers();
        let mark = out.len();
        if begin {
            out.extend_from_slice(b"0\r\n");
        }
        for &(name, value) in fields {
            if !may_be_trailer(name) {
                return Err(Invalid::TrailerField);
            }
            append_field(out, name, value)?;
        }
        if last {
            out.extend_from_slice(b"\r\n");
        }
        if !send {
            out.truncate(mark);
        }
        Ok(())
    }

    /// Are bytes of an announced length missing? Then the connection must be cut: a peer could
    /// not tell the end of this response from the beginning of the next.
    #[inline]
    pub fn is_short(&self) -> bool {
        matches!(self.form, BodyForm::Length(left) if left > 0)
    }
}

/// Appends a whole response of the server's own: a line of text.
pub fn write_text(
    out: &mut Vec<u8>,
    prefab: &Prefab,
    request: Request,
    status: u16,
    extra: &[Field<'_>],
    text: &[u8],
) {
    let mut sender = Sender::new(request);
    // [9110-8.3-1]
    let mut fields: Vec<Field<'_>> = vec![(b"content-type", b"text/plain; charset=utf-8")];
    fields.extend_from_slice(extra);
    let payload = sender
        .start(out, prefab, status, &fields, false)
        .and_then(|()| sender.piece(out, text.len(), false));
    debug_assert!(payload.is_ok(), "our own fields are valid");
    if payload.is_ok_and(|payload| payload.send) {
        out.extend_from_slice(text);
    }
}

/// Fields of the prefab that the application sets itself.
#[derive(Debug, Clone, Copy, Default)]
struct Own {
    date: bool,
    server: bool,
}

/// The application's Date or Server takes the place of ours.
#[cold]
fn replace_prefab(out: &mut Vec<u8>, begin: usize, status: u16, prefab: &Prefab, own: Own) {
    let fields = if status == 200 {
        out[begin + prefab.ok().len()..].to_vec()
    } else {
        let status_line = memchr::memchr(b'\n', &out[begin..]).map_or(0, |at| at + 1);
        let ours = status_line + prefab.server().len() + prefab.date().len();
        out[begin + ours..].to_vec()
    };
    out.truncate(begin);
    write_status_line(out, status);
    // [9110-5.3-1]
    if !own.server {
        out.extend_from_slice(prefab.server());
    }
    if !own.date {
        out.extend_from_slice(prefab.date());
    }
    out.extend_from_slice(&fields);
}

/// Appends `name: value CRLF` after checking both.
///
/// # Errors
/// [`Invalid::FieldName`], [`Invalid::FieldValue`]; nothing was written then.
#[inline]
pub fn append_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), Invalid> {
    // [9110-2.2-2] [9112-2.2-5]
    if !ascii::is_token(name) {
        return Err(Invalid::FieldName);
    }
    check_value(value)?;
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    // [9110-5.6.3-1] [9110-5.6.3-2]
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Has none of these fields a meaning for the server? See [`Sender::field`].
fn is_plain(fields: &[Field<'_>]) -> bool {
    const OURS: [&[u8]; 7] = [
        b"date",
        b"server",
        b"upgrade",
        b"connection",
        b"keep-alive",
        b"content-length",
        b"transfer-encoding",
    ];
    !fields.iter().any(|(name, _)| OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)))
}

/// May this be the value of a field? White space around it is no part of one.
pub fn is_value(value: &[u8]) -> bool {
    ascii::is_field_value(value) && ascii::trim_ows(value).len() == value.len()
}

#[inline]
fn check_value(value: &[u8]) -> Result<(), Invalid> {
    // [9112-2.2-2] [9112-5.2-1]
    if ascii::is_field_value(value) { Ok(()) } else { Err(Invalid::FieldValue) }
}

/// Fields whose evaluation cannot wait until the content was read, in the words of RFC 9110 §6.5.1.
///
/// Not among them, since their definitions permit a trailer: ETag (§8.8.3), Accept-Ranges (§14.3),
/// Authentication-Info and Proxy-Authentication-Info (§11.6.3, §11.7.3).
const NEVER_TRAILERS: [&str; 60] = [
    // Message framing, and what is meant for this connection only.
    "content-length",
    "transfer-encoding",
    "trailer",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "upgrade",
    // Routing.
    "host",
    "max-forwards",
    "via",
    "forwarded",
    // Request modifiers: conditions, controls and wishes.
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
    "range",
    "expect",
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "origin",
    "referer",
    // Authentication.
    "authorization",
    "proxy-authorization",
    "www-authenticate",
    "proxy-authenticate",
    "cookie",
    "set-cookie",
    // Response controls.
    "age",
    "allow",
    "cache-control",
    "date",
    "expires",
    "last-modified",
    "location",
    "pragma",
    "retry-after",
    "server",
    "vary",
    "warning",
    // How the content is to be read.
    "content-type",
    "content-encoding",
    "content-language",
    "content-location",
    "content-range",
    "content-disposition",
    // What a browser may do with the response.
    "access-control-allow-credentials",
    "access-control-allow-origin",
    "content-security-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
    // The WebSocket handshake (RFC 6455 §4).
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
];

/// RFC 9110 §6.5.1: "A sender MUST NOT generate a trailer field unless the sender knows the
/// corresponding header field name's definition permits sending it in trailers". Of a field that
/// is not in the list it is the application that knows.
fn may_be_trailer(name: &[u8]) -> bool {
    // [9110-6.5.1-1]
    !NEVER_TRAILERS.iter().any(|never| name.eq_ignore_ascii_case(never.as_bytes()))
}

#[inline]
fn write_content_length(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(b"content-length: ");
    write_decimal(out, len);
    out.extend_from_slice(b"\r\n");
}

/// The number of a Content-Length, the end of its line and the empty line.
#[inline]
pub(super) fn write_length_and_empty_line(out: &mut Vec<u8>, len: usize) {
    let digit = |digit: usize| b'0' + digit as u8;
    match len {
        0..10 => out.extend_from_slice(&[digit(len), b'\r', b'\n', b'\r', b'\n']),
        10..100 => {
            let (tens, ones) = (digit(len / 10), digit(len % 10));
            out.extend_from_slice(&[tens, ones, b'\r', b'\n', b'\r', b'\n']);
        }
        _ => {
            write_long_decimal(out, len);
            out.extend_from_slice(b"\r\n\r\n");
        }
    }
}

/// Appends a number in decimal digits.
#[inline]
pub fn write_decimal(out: &mut Vec<u8>, number: usize) {
    if number < 100 {
        let digits = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        return if number < 10 { out.push(digits[1]) } else { out.extend_from_slice(&digits) };
    }
    write_long_decimal(out, number);
}

fn write_long_decimal(out: &mut Vec<u8>, mut number: usize) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::status::reason_phrase;

    const GET: Request =
        Request { version: Version::Http11, is_head: false, persist: true, te_trailers: false };

    fn prefab() -> Prefab {
        Prefab::new(None, false)
    }

    /// The bytes of a response made of `pieces`.
    fn response(request: Request, status: u16, fields: &[Field<'_>], pieces: &[&str]) -> String {
        let mut sender = Sender::new(request);
        let mut out = Vec::new();
        sender.start(&mut out, &prefab(), status, fields, false).unwrap();
        for (n, piece) in pieces.iter().enumerate() {
            let payload = sender.piece(&mut out, piece.len(), n + 1 < pieces.len()).unwrap();
            if payload.send {
                out.extend_from_slice(piece.as_bytes());
            }
            out.extend_from_slice(payload.after);
        }
        String::from_utf8(out).unwrap()
    }

    // [9112-6.2-1] [9112-6.3-5] [9110-5.6.3-1] [9110-5.6.3-2] [9110-8.6-5]
    #[test]
    fn the_whole_body_at_hand_gets_a_length_and_pieces_are_chunked() {
        assert_eq!(
            response(GET, 200, &[(b"content-type", b"text/plain")], &["Hello"]),
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nHello"
        );
        assert_eq!(
            response(GET, 200, &[], &["Hello", "", "World"]),
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nHello\r\n5\r\nWorld\r\n0\r\n\r\n"
        );
        assert_eq!(
            response(GET, 200, &[(b"Content-Length", b"10")], &["Hello", "World"]),
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nHelloWorld"
        );
    }

    // [9112-6.1-4] [9110-8.6-1] [9110-8.6-3] [9110-9.3.2-1] [9110-9.3.2-2]
    #[test]
    fn no_body_where_none_may_be_rfc_9112_section_6_3() {
        let head = Request { is_head: true, ..GET };
        assert_eq!(
            response(head, 200, &[], &["Hello"]),
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
        );
        assert_eq!(
            response(head, 200, &[(b"content-length", b"9")], &["Hello"]),
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"
        );
        assert_eq!(
            response(GET, 204, &[(b"content-length", b"5")], &["Hello"]),
            "HTTP/1.1 204 No Content\r\n\r\n"
        );
        assert_eq!(
            response(GET, 304, &[(b"content-length", b"5")], &[""]),
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"
        );
    }

    // [9112-2.3-1] [9112-6.1-7] [9110-6.2-1] [9110-6.2-2]
    #[test]
    fn a_whole_response_is_what_its_parts_are() {
        let requests = [
            GET,
            Request { is_head: true, ..GET },
            Request { persist: false, ..GET },
            Request { version: Version::Http10, ..GET },
        ];
        let fields: [&[Field<'_>]; 5] = [
            &[],
            &[(b"content-type", b"text/plain"), (b"a", b"b")],
            &[(b"content-length", b"3")],
            &[(b"upgrade", b"x"), (b"date", b"today")],
            &[(b"a b", b"")],
        ];
        let mut taken = 0;
        let mut recent = Recent::default();
        for request in requests {
            for fields in fields {
                // Each body after the first finds the fields of the one before.
                for status in [200, 204, 404, 999, 100] {
                    for body in ["", "abc", &"long".repeat(300)] {
                        let mut whole = Sender::new(request);
                        let mut out = b"before".to_vec();
                        let (prefab, body) = (prefab(), body.as_bytes());
                        if whole.whole(&mut out, &prefab, &mut recent, status, fields, body) {
                            let body = std::str::from_utf8(body).unwrap();
                            let parts = response(request, status, fields, &[body]);
                            assert_eq!(String::from_utf8(out).unwrap(), format!("before{parts}"));
                            assert!(!whole.is_open() && !whole.is_short() && whole.persists());
                            taken += 1;
                        }
                    }
                }
            }
        }
        assert!(taken >= 18, "the common ones are taken: {taken}");
    }

    #[test]
    fn numbers_are_written_like_the_plain_twin() {
        for number in (0..1200).chain([usize::MAX]) {
            let mut out = Vec::new();
            write_decimal(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }

    #[test]
    fn http_1_0_gets_no_chunks() {
        let old = Request { version: Version::Http10, ..GET };
        assert_eq!(
            response(old, 200, &[], &["a", "b"]),
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nab"
        );
        assert_eq!(
            response(old, 200, &[], &["ab"]),
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nab"
        );
    }

    // [9112-6.1-2] [9110-2.2-1] [9110-7.6.1-2]
    #[test]
    fn the_connection_and_transfer_encoding_fields_are_ours() {
        assert_eq!(
            response(
                GET,
                200,
                &[(b"Connection", b"close"), (b"Transfer-Encoding", b"gzip")],
                &[""]
            ),
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        assert_eq!(
            response(GET, 200, &[(b"connection", b"keep-alive, x")], &[""]),
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
        );
    }

    // [9110-5.6.1.1-1] [9110-7.6.1-1] [9110-7.8-5]
    #[test]
    fn an_upgrade_field_is_named_in_connection_rfc_9110_section_7_8() {
        let fields: &[Field<'_>] = &[(b"Upgrade", b"websocket")];
        assert!(response(GET, 426, fields, &[""]).ends_with("\r\nconnection: upgrade\r\n\r\n"));
        let last = Request { persist: false, ..GET };
        assert!(
            response(last, 426, fields, &[""]).ends_with("\r\nconnection: upgrade, close\r\n\r\n")
        );
    }

    // [9110-5.3-1]
    #[test]
    fn an_applications_date_or_server_replaces_ours() {
        let mut prefab = Prefab::new(Some("oneport"), true);
        prefab.refresh(std::time::SystemTime::UNIX_EPOCH);
        for status in [200, 404] {
            let mut out = Vec::new();
            let fields: &[Field<'_>] = &[(b"a", b"1"), (b"Date", b"today"), (b"b", b"2")];
            Sender::new(GET).start(&mut out, &prefab, status, fields, false).unwrap();
            let text = String::from_utf8(out).unwrap();
            let phrase = reason_phrase(status);
            assert_eq!(
                text,
                format!(
                    "HTTP/1.1 {status} {phrase}\r\nserver: oneport\r\na: 1\r\nDate: today\r\nb: 2\r\n"
                )
            );
        }
    }

    // [9112-2.2-2] [9112-2.2-5] [9112-5.2-1] [9110-2.2-2]
    #[test]
    fn what_could_split_a_response_is_refused() {
        let start = |status, name: &[u8], value: &[u8]| {
            Sender::new(GET).start(&mut Vec::new(), &prefab(), status, &[(name, value)], false)
        };
        assert_eq!(start(200, b"a", b"b\r\nc: d"), Err(Invalid::FieldValue));
        assert_eq!(start(200, b"connection", b"x\n"), Err(Invalid::FieldValue));
        for byte in (0..0x20).filter(|&b| b != b'\t').chain([0x7f]) {
            assert_eq!(start(200, b"a", &[b'x', byte]), Err(Invalid::FieldValue));
        }
        for name in ["", "a b", "a:", "a\r\n", "ä"] {
            assert_eq!(start(200, name.as_bytes(), b"v"), Err(Invalid::FieldName));
        }
        assert_eq!(start(101, b"a", b"b"), Err(Invalid::Status));
        assert_eq!(start(1000, b"a", b"b"), Err(Invalid::Status));
        for value in ["", "+1", "1 ", "1, 1"] {
            assert_eq!(
                start(200, b"content-length", value.as_bytes()),
                Err(Invalid::ContentLength)
            );
        }
        let two: &[Field<'_>] = &[(b"content-length", b"1"), (b"content-length", b"1")];
        let twice = Sender::new(GET).start(&mut Vec::new(), &prefab(), 200, two, false);
        assert_eq!(twice, Err(Invalid::ContentLength));
    }

    #[test]
    fn an_announced_length_is_held_to() {
        let mut sender = Sender::new(GET);
        let mut out = Vec::new();
        sender.start(&mut out, &prefab(), 200, &[(b"content-length", b"3")], false).unwrap();
        sender.piece(&mut out, 2, true).unwrap();
        assert!(sender.is_short());
        let before = out.clone();
        assert_eq!(sender.piece(&mut out, 2, true), Err(Invalid::BodyLongerThanContentLength));
        assert_eq!(out, before);
        sender.piece(&mut out, 1, false).unwrap();
        assert!(!sender.is_short());
    }

    // [9110-6.5.1-1]
    #[test]
    fn trailers_are_written_only_to_those_who_take_them() {
        for (te_trailers, tail) in
            [(true, "2\r\nab\r\n0\r\nx-sum: 1\r\n\r\n"), (false, "2\r\nab\r\n0\r\n\r\n")]
        {
            let mut sender = Sender::new(Request { te_trailers, ..GET });
            let mut out = Vec::new();
            sender.start(&mut out, &prefab(), 200, &[], true).unwrap();
            let payload = sender.piece(&mut out, 2, false).unwrap();
            out.extend_from_slice(b"ab");
            out.extend_from_slice(payload.after);
            sender.trailers(&mut out, true, &[(b"x-sum", b"1")], true).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(text.ends_with(tail), "{text}");
            for name in ["Content-Length", "Vary", "CACHE-CONTROL", "content-range", "if-match"] {
                let field: Field<'_> = (name.as_bytes(), b"1");
                let refused = sender.trailers(&mut Vec::new(), false, &[field], true);
                assert_eq!(refused, Err(Invalid::TrailerField), "{name}");
            }
            // RFC 9110 §8.8.3 permits it.
            assert_eq!(sender.trailers(&mut Vec::new(), false, &[(b"ETag", b"1")], true), Ok(()));
        }
    }
}
