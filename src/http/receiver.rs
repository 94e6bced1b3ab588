//! The receiver half: bytes of a peer become heads and pieces of bodies.
//!
//! It decides with indexes and lends nothing: [`Receiver::head`] and [`Receiver::body`] tell
//! where in the given bytes something stands, and the caller borrows it from there.

use super::chunked;
use super::error::Error;
use super::framing::Body;
use super::head::{self, FieldSpan, Head, Limits, Progress};

/// How much of the body is still to come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Rest {
    #[default]
    Nothing,
    Length(u64),
    Chunked(chunked::Decoder),
    /// Nobody knows: its framing is broken.
    Unknown,
}

/// What [`Receiver::head`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadStep {
    /// Not complete: give more bytes.
    NeedData,
    /// This many bytes mean nothing and are to be skipped.
    Skip(usize),
    /// A head, `head.len` bytes long.
    Head,
}

/// A piece of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Bytes of input that were used.
    pub consumed: usize,
    /// Bytes of body; they stand at the beginning of the input.
    pub data: usize,
    /// The body is complete.
    pub end: bool,
}

/// The state between two reads.
#[derive(Debug, Default)]
pub struct Receiver {
    progress: Progress,
    rest: Rest,
    /// Bytes of this body so far.
    received: u64,
    /// An empty line before this request was skipped already.
    skipped: bool,
}

impl Receiver {
    /// Looks for a head at the beginning of `bytes`; puts it into `head` and `fields`.
    ///
    /// # Errors
    /// The rule that the head breaks.
    #[inline]
    pub fn head(
        &mut self,
        bytes: &mut [u8],
        head: &mut Head,
        fields: &mut Vec<FieldSpan>,
        limits: Limits,
    ) -> Result<HeadStep, Error> {
        // RFC 9112 §2.2: "a server ... SHOULD ignore at least one empty line (CRLF) received
        // prior to the request-line". Exactly one: old clients send it behind a body.
        // [9112-2.2-4]
        if bytes.first() == Some(&b'\r') && !self.skipped {
            return match bytes.get(1) {
                None => Ok(HeadStep::NeedData),
                Some(b'\n') => {
                    self.skipped = true;
                    Ok(HeadStep::Skip(2))
                }
                Some(_) => Err(Error::BareCr),
            };
        }
        if !head::parse_into(bytes, &mut self.progress, head, fields, limits)? {
            return Ok(HeadStep::NeedData);
        }
        self.progress = Progress::default();
        self.skipped = false;
        Ok(HeadStep::Head)
    }

    /// A head was found; this body follows it.
    #[inline]
    pub fn begin_body(&mut self, body: Body) {
        self.received = 0;
        self.rest = match body {
            Body::Empty => Rest::Nothing,
            Body::Length(length) => Rest::Length(length),
            Body::Chunked => Rest::Chunked(chunked::Decoder::default()),
        };
    }

    /// A head was found that says of its body what cannot be read: where it ends is not known.
    pub fn begin_unknown_body(&mut self) {
        self.received = 0;
        self.rest = Rest::Unknown;
    }

    /// Drops bytes that may belong to the body; tells whether it ended with them.
    pub fn skip(&mut self, bytes: &mut [u8]) -> bool {
        match self.body(bytes, u64::MAX) {
            Ok(piece) => piece.end,
            Err(_) => false,
        }
    }

    /// Takes as much of `bytes` as belongs to the body. Chunk framing is removed in place.
    ///
    /// # Errors
    /// A rule of the chunked coding, or the body is larger than `max_body`. Where it ends is not
    /// known any more then.
    pub fn body(&mut self, bytes: &mut [u8], max_body: u64) -> Result<Piece, Error> {
        let piece = match &mut self.rest {
            Rest::Nothing => Piece { consumed: 0, data: 0, end: true },
            Rest::Unknown => Piece { consumed: bytes.len(), data: 0, end: false },
            Rest::Length(left) => {
                let data = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= data as u64;
                Piece { consumed: data, data, end: *left == 0 }
            }
            Rest::Chunked(decoder) => {
                let decoded = match decoder.decode_within(bytes, max_body) {
                    Ok(decoded) => decoded,
                    Err(error) => {
                        self.rest = Rest::Unknown;
                        return Err(error);
                    }
                };
                Piece { consumed: decoded.consumed, data: decoded.data, end: decoded.end }
            }
        };
        self.received += piece.data as u64;
        if self.received > max_body {
            self.rest = Rest::Unknown;
            return Err(Error::BodyTooLarge);
        }
        if piece.end {
            self.rest = Rest::Nothing;
        }
        Ok(piece)
    }

    /// Bytes of the current body that arrived.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Did the current request come without a body, or with an empty one?
    #[inline]
    pub fn had_no_body(&self) -> bool {
        self.received == 0 && matches!(self.rest, Rest::Nothing)
    }

    /// Bytes that are certainly still to come: all of a body with a length, unknown (`None`)
    /// for a chunked one and for one that cannot be read.
    #[inline]
    pub fn body_left(&self) -> Option<u64> {
        match &self.rest {
            Rest::Nothing => Some(0),
            Rest::Length(left) => Some(*left),
            Rest::Chunked(_) | Rest::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // [9112-2.2-4]
    #[test]
    fn one_empty_line_before_a_request_is_ignored_and_only_one() {
        let mut receiver = Receiver::default();
        let (mut head, mut fields) = (Head::default(), Vec::new());
        let mut step = |bytes: &[u8]| {
            receiver.head(&mut bytes.to_vec(), &mut head, &mut fields, Limits::default())
        };
        assert_eq!(step(b"\r"), Ok(HeadStep::NeedData));
        assert_eq!(step(b"\r\nGET"), Ok(HeadStep::Skip(2)));
        assert_eq!(step(b"\r\nGET / HTTP/1.1\r\n\r\n"), Err(Error::RequestLine));
        assert_eq!(step(b"GET / HTTP/1.1\r\n\r\n"), Ok(HeadStep::Head));
        assert_eq!(step(b"\r\n"), Ok(HeadStep::Skip(2)), "again before the next request");
    }

    #[test]
    fn a_body_takes_its_own_bytes_and_no_more() {
        let mut receiver = Receiver::default();
        receiver.begin_body(Body::Length(5));
        let piece = receiver.body(&mut b"Hel".to_vec(), 100).unwrap();
        assert_eq!(piece, Piece { consumed: 3, data: 3, end: false });
        assert_eq!(receiver.body_left(), Some(2));
        let piece = receiver.body(&mut b"loGET".to_vec(), 100).unwrap();
        assert_eq!(piece, Piece { consumed: 2, data: 2, end: true });
    }

    #[test]
    fn the_limit_counts_bytes_of_body_not_of_framing() {
        for (limit, ok) in [(5, true), (4, false)] {
            let mut receiver = Receiver::default();
            receiver.begin_body(Body::Chunked);
            let outcome = receiver.body(&mut b"3\r\nHel\r\n2\r\nlo\r\n0\r\n\r\n".to_vec(), limit);
            assert_eq!(outcome.is_ok(), ok);
        }
    }
}
