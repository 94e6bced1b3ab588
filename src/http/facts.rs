//! What the fields of a head say about its framing, noted while the head is parsed.
//!
//! Of all the fields there are, seven matter to a server that has to find the end of a message:
//! Host, Content-Length, Transfer-Encoding, Connection, Upgrade, Expect and TE. The parser has the
//! name of each field in its hands anyway, and its length tells most others apart. So nobody walks
//! over the fields again; [`super::framing`] decides from what stands here.

use super::error::Error;
use super::headers::list_elements;
use super::target::is_host;
use crate::bytes::ascii::{self, NotANumber};

/// What was noted of one head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// The value of Content-Length; 0 without one.
    pub length: u64,
    /// What was seen, one bit each.
    seen: u16,
    /// The first rule that a field broke. It is told when the whole head is known, after what is
    /// wrong with its lines and its target.
    pub broken: Option<Error>,
}

/// Something that a head can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Fact {
    /// A Host field.
    Host = 1,
    /// A second one.
    SecondHost = 1 << 1,
    /// A Content-Length.
    Length = 1 << 2,
    /// A transfer coding.
    Coding = 1 << 3,
    /// A second one.
    SecondCoding = 1 << 4,
    /// The coding `chunked`.
    Chunked = 1 << 5,
    /// The same again.
    SecondChunked = 1 << 6,
    /// The last coding so far is `chunked`.
    ChunkedIsLast = 1 << 7,
    /// `Connection: close`
    Close = 1 << 8,
    /// `Connection: keep-alive`
    KeepAlive = 1 << 9,
    /// `Connection: upgrade`
    Upgrade = 1 << 10,
    /// `Upgrade: websocket`
    WebSocket = 1 << 11,
    /// `Expect: 100-continue`
    Expect = 1 << 12,
    /// `TE: trailers`
    TeTrailers = 1 << 13,
    /// A second, equal value of Content-Length.
    SecondLength = 1 << 14,
}

impl Facts {
    /// Was this said?
    #[inline(always)]
    pub const fn has(&self, fact: Fact) -> bool {
        self.seen & fact as u16 != 0
    }

    /// Was nothing said but the name of a host, once, and perhaps that the connection shall be kept,
    /// which is the rule anyway? So are most requests.
    #[inline(always)]
    pub const fn is_plain(&self) -> bool {
        self.seen & !(Fact::KeepAlive as u16) == Fact::Host as u16 && self.broken.is_none()
    }

    /// Does it say that a body follows, however well?
    pub const fn says_body(&self) -> bool {
        let broken = matches!(
            self.broken,
            Some(Error::ContentLength | Error::BodyTooLarge | Error::ChunkedNotFinal)
        );
        broken || self.has(Fact::Length) || self.has(Fact::Coding)
    }

    #[inline(always)]
    const fn set(&mut self, fact: Fact) {
        self.seen |= fact as u16;
    }

    /// Sets the first of two facts, or the second if the first is set already.
    #[inline(always)]
    const fn count(&mut self, first: Fact, second: Fact) {
        let again = self.has(first);
        self.set(if again { second } else { first });
    }

    /// Notes a field; its name is in lower case.
    #[inline(always)]
    pub fn note(&mut self, name: &[u8], value: &[u8]) {
        // [9110-2.4-1] [9110-5.1-1]
        // Few names matter; their lengths and how they begin tell nearly all others apart.
        match name.len() {
            4 if name == b"host" => {
                self.note_host();
                if !is_host(value) {
                    // [9112-3.2-5]
                    self.broken.get_or_insert(Error::HostInvalid);
                }
            }
            length if FIRST_OF.get(length) == name.first() => self.note_other(name, value),
            _ => {}
        }
    }

    /// Notes a Host field with a valid value.
    #[inline(always)]
    pub fn note_host(&mut self) {
        self.count(Fact::Host, Fact::SecondHost);
    }

    fn note_other(&mut self, name: &[u8], value: &[u8]) {
        let noted = match name {
            b"connection" => {
                self.note_options(value);
                Ok(())
            }
            b"content-length" => self.note_length(value),
            b"transfer-encoding" => self.note_codings(value),
            b"upgrade" => {
                // [9110-7.8-8]
                if has_element(value, b"websocket") {
                    self.set(Fact::WebSocket);
                }
                Ok(())
            }
            b"expect" => self.note_expectations(value),
            // RFC 9110 §10.1.4: a list; `trailers` takes no weight.
            b"te" => {
                if has_element(value, b"trailers") {
                    self.set(Fact::TeTrailers);
                }
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(error) = noted {
            self.broken.get_or_insert(error);
        }
    }

    /// RFC 9110 §7.6.1: the options of Connection, a list of names in any case.
    fn note_options(&mut self, value: &[u8]) {
        match value {
            // As they are nearly always written.
            b"keep-alive" => self.set(Fact::KeepAlive),
            b"close" => self.set(Fact::Close),
            b"Upgrade" => self.set(Fact::Upgrade),
            _ => {
                for option in list_elements(value) {
                    match option.len() {
                        5 if option.eq_ignore_ascii_case(b"close") => self.set(Fact::Close),
                        10 if option.eq_ignore_ascii_case(b"keep-alive") => {
                            self.set(Fact::KeepAlive);
                        }
                        7 if option.eq_ignore_ascii_case(b"upgrade") => self.set(Fact::Upgrade),
                        _ => {}
                    }
                }
            }
        }
    }

    /// RFC 9110 §10.1.1: an expectation we do not know may be answered with 417.
    fn note_expectations(&mut self, value: &[u8]) -> Result<(), Error> {
        for expectation in list_elements(value) {
            if !expectation.eq_ignore_ascii_case(b"100-continue") {
                return Err(Error::Expectation);
            }
            self.set(Fact::Expect);
        }
        Ok(())
    }

    /// RFC 9110 §8.6: `Content-Length = 1*DIGIT`. A list of equal values (some proxies join
    /// repeated fields so) may be refused or taken as one: we take it, since no two readers can
    /// disagree about it. Different values are refused (RFC 9112 §6.3).
    fn note_length(&mut self, value: &[u8]) -> Result<(), Error> {
        for element in value.split(|&byte| byte == b',') {
            let length = match ascii::parse_decimal(ascii::trim_ows(element)) {
                Ok(length) => length,
                // [9112-6.3-2]
                Err(NotANumber::NotDigits) => return Err(Error::ContentLength),
                // More than u64 holds is more than any limit.
                Err(NotANumber::Overflow) => return Err(Error::BodyTooLarge),
            };
            if self.has(Fact::Length) && self.length != length {
                // [9112-6.3-2]
                return Err(Error::ContentLengthDiffers);
            }
            self.count(Fact::Length, Fact::SecondLength);
            self.length = length;
        }
        Ok(())
    }

    /// RFC 9112 §6.1: the transfer codings, in the order in which they were applied.
    fn note_codings(&mut self, value: &[u8]) -> Result<(), Error> {
        for coding in value.split(|&byte| byte == b',').map(ascii::trim_ows) {
            // RFC 9112 §6.1: the list has at least one element. Departure: RFC 9110 §5.6.1.2 lets
            // empty elements pass. Here they are refused, since readers disagree whether chunked
            // is still the last coding in front of a comma.
            if coding.is_empty() {
                return Err(Error::ChunkedNotFinal);
            }
            self.count(Fact::Coding, Fact::SecondCoding);
            self.seen &= !(Fact::ChunkedIsLast as u16);
            if coding.eq_ignore_ascii_case(b"chunked") {
                self.count(Fact::Chunked, Fact::SecondChunked);
                self.set(Fact::ChunkedIsLast);
            }
        }
        Ok(())
    }
}

/// How a name of this length begins if it matters; no name begins with a zero.
static FIRST_OF: [u8; 18] = {
    let mut first = [0; 18];
    let mut at = 0;
    while at < OTHERS.len() {
        assert!(first[OTHERS[at].len()] == 0, "one name of each length");
        first[OTHERS[at].len()] = OTHERS[at][0];
        at += 1;
    }
    first
};

/// The names that matter, but for Host.
const OTHERS: [&[u8]; 6] =
    [b"te", b"expect", b"upgrade", b"connection", b"content-length", b"transfer-encoding"];

/// Is this, in any case, an element of the list?
fn has_element(list: &[u8], element: &[u8]) -> bool {
    list_elements(list).any(|other| other.eq_ignore_ascii_case(element))
}
