//! The chunked transfer coding (RFC 9112 §7.1).
//!
//! ```text
//!   5;name=value\r\n   chunk-size in hexadecimal, chunk-ext
//!   Hello\r\n          chunk-data
//!   0\r\n              last-chunk
//!   X-Sum: 1\r\n       trailer section
//!   \r\n
//! ```
//!
//! The [`Decoder`] walks the framing a byte at a time (a machine small enough to be checked by
//! eye, and the same for every split of the input) and the data in one step per chunk. Data of
//! several chunks is moved together in place, so that one read gives one piece of body.
//!
//! Chunked bodies are a favourite of request smuggling: readers that disagree about a line end
//! in an extension, about what follows the data or about the number itself see different
//! messages. Every byte of the framing is therefore checked and nothing is repaired.

use super::error::Error;
use crate::bytes::ascii;

/// Bytes that one body may spend on chunk extensions and on white space around them. As hyper.
const MAX_EXTENSIONS: u32 = 16 * 1024;
/// Bytes that a trailer section may have.
const MAX_TRAILERS: u32 = 16 * 1024;
/// More hexadecimal digits than this cannot be a `u64`.
const MAX_SIZE_DIGITS: u8 = 16;

/// Where the decoder is; the byte it waits for next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The first digit of chunk-size.
    Size,
    /// More digits, or what ends them.
    SizeMore(u8),
    /// White space before ';' (BWS).
    ExtSpace,
    /// Behind ';': white space or the first byte of a name.
    ExtNameStart,
    ExtName,
    /// White space behind a name.
    ExtNameEnd,
    /// Behind '=': white space or the first byte of a value.
    ExtValueStart,
    ExtToken,
    ExtQuoted,
    ExtQuotedPair,
    /// Behind a closing quote.
    ExtValueEnd,
    /// The LF that ends the size line.
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// The first byte of a trailer line, or the CR of the empty line.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

/// Decodes one chunked body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoder {
    state: State,
    /// Of chunk-size while it is read, then of the data that is still to come.
    size: u64,
    /// Data of this body that its sizes have announced so far.
    announced: u64,
    overhead: u32,
    trailers: u32,
}

/// What [`Decoder::decode`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of input that were used.
    pub consumed: usize,
    /// Bytes of body: they stand at the beginning of the input now.
    pub data: usize,
    /// The body is complete.
    pub end: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { state: State::Size, size: 0, announced: 0, overhead: 0, trailers: 0 }
    }
}

impl Decoder {
    /// Decodes as much of `bytes` as belongs to the body, in place.
    ///
    /// # Errors
    /// [`Error::Chunk`] and [`Error::TrailersTooLarge`]; the decoder is of no use afterwards.
    pub fn decode(&mut self, bytes: &mut [u8]) -> Result<Decoded, Error> {
        self.decode_within(bytes, u64::MAX)
    }

    /// The same for a body of at most `max_body` bytes. A larger one is refused as soon as its
    /// sizes say so, before the data: the answer is the same however the input is split.
    ///
    /// # Errors
    /// As [`Decoder::decode`], and [`Error::BodyTooLarge`].
    pub fn decode_within(&mut self, bytes: &mut [u8], max_body: u64) -> Result<Decoded, Error> {
        // [9112-6.1-1] [9112-7.1-1]
        let (mut at, mut data) = (0, 0);
        while at < bytes.len() && self.state != State::Done {
            if self.state == State::Data {
                let len = usize::try_from(self.size).unwrap_or(usize::MAX).min(bytes.len() - at);
                if data != at {
                    bytes.copy_within(at..at + len, data);
                }
                data += len;
                at += len;
                self.size -= len as u64;
                if self.size == 0 {
                    self.state = State::DataCr;
                }
            } else {
                self.state = self.framing(bytes[at])?;
                at += 1;
                if self.state == State::Data {
                    self.announced = self.announced.saturating_add(self.size);
                    if self.announced > max_body {
                        return Err(Error::BodyTooLarge);
                    }
                }
            }
        }
        Ok(Decoded { consumed: at, data, end: self.state == State::Done })
    }

    /// One byte of framing.
    fn framing(&mut self, byte: u8) -> Result<State, Error> {
        use State::*;
        Ok(match (self.state, byte) {
            (Size, _) => {
                self.size = 0;
                self.digit(byte, 0)?
            }
            (SizeMore(_) | ExtName | ExtToken | ExtValueEnd, b'\r') => SizeLf,
            (SizeMore(_) | ExtSpace | ExtName | ExtNameEnd | ExtToken | ExtValueEnd, b';') => {
                self.spend()?;
                ExtNameStart
            }
            // RFC 9112 §7.1.1: BWS may stand around ";" and "=", and nowhere else: not before
            // the CR LF.
            // [9110-5.6.3-3]
            (SizeMore(_) | ExtSpace, b' ' | b'\t') => self.spend_in(ExtSpace)?,
            (SizeMore(digits), _) => self.digit(byte, digits)?,
            (ExtNameStart, b' ' | b'\t') => self.spend_in(ExtNameStart)?,
            // [9112-7.1.1-1]
            (ExtNameStart | ExtName, _) if ascii::is_tchar(byte) => self.spend_in(ExtName)?,
            (ExtName | ExtNameEnd, b' ' | b'\t') => self.spend_in(ExtNameEnd)?,
            (ExtName | ExtNameEnd, b'=') => self.spend_in(ExtValueStart)?,
            (ExtValueStart, b' ' | b'\t') => self.spend_in(ExtValueStart)?,
            (ExtValueStart, b'"') => self.spend_in(ExtQuoted)?,
            (ExtValueStart | ExtToken, _) if ascii::is_tchar(byte) => self.spend_in(ExtToken)?,
            (ExtToken | ExtValueEnd, b' ' | b'\t') => self.spend_in(ExtSpace)?,
            (ExtQuoted, b'"') => self.spend_in(ExtValueEnd)?,
            // [9110-5.6.4-1]
            (ExtQuoted, b'\\') => self.spend_in(ExtQuotedPair)?,
            (ExtQuoted | ExtQuotedPair, _) if ascii::is_field_byte(byte) => {
                self.spend_in(ExtQuoted)?
            }
            // RFC 9112 §7.1: `last-chunk = 1*("0")`; then the trailer section.
            (SizeLf, b'\n') if self.size == 0 => TrailerStart,
            (SizeLf, b'\n') => Data,
            // The two bytes behind the data are checked like all others (CVE-2025-43859).
            (DataCr, b'\r') => DataLf,
            (DataLf, b'\n') => Size,
            (TrailerStart, b'\r') => EndLf,
            (TrailerStart | TrailerName, _) if ascii::is_tchar(byte) => {
                self.spend_trailer(TrailerName)?
            }
            (TrailerName, b':') => self.spend_trailer(TrailerValue)?,
            (TrailerValue, b'\r') => TrailerLf,
            // [9112-7.1.2-2] [9110-6.5.1-2]
            (TrailerValue, _) if ascii::is_field_byte(byte) => self.spend_trailer(TrailerValue)?,
            (TrailerLf, b'\n') => TrailerStart,
            (EndLf, b'\n') => Done,
            _ => return Err(Error::Chunk),
        })
    }

    /// RFC 9112 §7.1: "recipients MUST anticipate potentially large hexadecimal numerals and
    /// prevent parsing errors due to integer conversion overflows".
    fn digit(&mut self, byte: u8, digits: u8) -> Result<State, Error> {
        let digit = ascii::hex_digit(byte).ok_or(Error::Chunk)?;
        // [9112-7.1-2]
        if digits >= MAX_SIZE_DIGITS {
            return Err(Error::Chunk);
        }
        self.size = self.size << 4 | u64::from(digit);
        Ok(State::SizeMore(digits + 1))
    }

    fn spend(&mut self) -> Result<(), Error> {
        self.overhead += 1;
        if self.overhead > MAX_EXTENSIONS { Err(Error::Chunk) } else { Ok(()) }
    }

    fn spend_in(&mut self, next: State) -> Result<State, Error> {
        self.spend().map(|()| next)
    }

    fn spend_trailer(&mut self, next: State) -> Result<State, Error> {
        self.trailers += 1;
        if self.trailers > MAX_TRAILERS { Err(Error::TrailersTooLarge) } else { Ok(next) }
    }
}

/// The size line of a chunk, in a small array: `(bytes, length)`.
pub fn encode_size(size: usize) -> ([u8; 18], usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut line = [0u8; 18];
    let significant = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1) as usize;
    for (place, slot) in line[..significant].iter_mut().enumerate() {
        *slot = DIGITS[size >> (4 * (significant - 1 - place)) & 0xf];
    }
    line[significant] = b'\r';
    line[significant + 1] = b'\n';
    (line, significant + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `input` in the pieces that `cuts` makes: body, bytes used, complete?
    fn decode(input: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, usize, bool), Error> {
        let mut decoder = Decoder::default();
        let (mut body, mut used, mut end) = (Vec::new(), 0, false);
        let mut from = 0;
        for &cut in cuts.iter().chain([&input.len()]) {
            let mut piece = input[from..cut].to_vec();
            from = cut;
            if end {
                break;
            }
            let decoded = decoder.decode(&mut piece)?;
            body.extend_from_slice(&piece[..decoded.data]);
            used += decoded.consumed;
            end = decoded.end;
            assert!(end || decoded.consumed == piece.len());
        }
        Ok((body, used, end))
    }

    fn every_way(input: &[u8]) -> Result<(Vec<u8>, usize, bool), Error> {
        let whole = decode(input, &[]);
        let each: Vec<usize> = (1..input.len()).collect();
        assert_eq!(decode(input, &each), whole, "byte by byte");
        for cut in 1..input.len() {
            assert_eq!(decode(input, &[cut]), whole, "split at {cut}");
        }
        whole
    }

    // [9112-6.1-1] [9112-7.1-1] [9112-7.1.1-1] [9110-5.6.3-3] [9110-5.6.4-1]
    #[test]
    fn bodies_are_decoded_however_they_are_split() {
        let rows: &[(&[u8], &[u8])] = &[
            (b"0\r\n\r\n", b""),
            (b"5\r\nHello\r\n0\r\n\r\n", b"Hello"),
            (b"5\r\nHello\r\n8\r\n, World!\r\n000\r\n\r\n", b"Hello, World!"),
            (b"00005\r\nHello\r\n0\r\n\r\n", b"Hello"),
            (b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"01234567890123456789"),
            (b"1;a\r\nx\r\n0\r\n\r\n", b"x"),
            (b"1;a=b;c=\"d\\\"e;\"\r\nx\r\n0;last\r\n\r\n", b"x"),
            (b"1 ; a = b ; c\r\nx\r\n0\r\n\r\n", b"x"),
            (b"0\r\nX-Sum: 1\r\nY:\r\n\r\n", b""),
        ];
        for (input, body) in rows {
            let text = String::from_utf8_lossy(input);
            assert_eq!(every_way(input), Ok((body.to_vec(), input.len(), true)), "{text:?}");
            let mut longer = input.to_vec();
            longer.extend_from_slice(b"GET / HTTP/1.1\r\n");
            assert_eq!(every_way(&longer), Ok((body.to_vec(), input.len(), true)), "{text:?}");
        }
    }

    // [9110-2.3-1]
    #[test]
    fn every_deviation_is_refused() {
        let rows: &[&[u8]] = &[
            b"\r\n",
            b"g\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b" 1\r\n",
            b"1_0\r\n",
            b"5 \r\n", // BWS without an extension
            b"5\nHello\r\n",
            b"5\rHello",
            b"5\r\rHello",
            b"5\r\nHelloX",
            b"5\r\nHello\n",
            b"5\r\nHello\rX",
            b"5\r\nHello0\r\n\r\n",
            b"1;\r\n",
            b"1;=a\r\n",
            b"1;a=\r\n",
            b"1;a\nx",
            b"1;a=b c\r\n",
            b"1;a=\"b\r\n",
            b"1;a=\"b\n\"\r\n",
            b"1;a=\"b\"c\r\n",
            b"1;a=\x00\r\n",
            b"1;a \r\n",
            b"11111111111111111\r\n", // 17 digits
            b"0\r\n X: folded\r\n\r\n",
            b"0\r\nX\r\n",
            b"0\r\n: x\r\n",
            b"0\r\nX : y\r\n",
            b"0\r\nX: y\n\r\n",
            b"0\r\nX: \x00\r\n",
            b"0\r\n\n",
            b"0\r\n\rX",
            b"0\n\r\n",
        ];
        for input in rows {
            let text = String::from_utf8_lossy(input);
            assert_eq!(every_way(input), Err(Error::Chunk), "{text:?}");
        }
    }

    // [9112-7.1-2]
    #[test]
    fn the_limits_hold_exactly() {
        for (over, expected) in [(0, true), (1, false)] {
            let name = "e".repeat(MAX_EXTENSIONS as usize - 1 + over);
            let input = format!("1;{name}\r\nx\r\n0\r\n\r\n");
            assert_eq!(decode(input.as_bytes(), &[]).is_ok(), expected);
            let value = "v".repeat(MAX_TRAILERS as usize - 2 + over);
            let input = format!("0\r\nT:{value}\r\n\r\n");
            let outcome = decode(input.as_bytes(), &[]);
            assert_eq!(outcome.is_ok(), expected);
            assert!(expected || outcome == Err(Error::TrailersTooLarge));
        }
        // Sixteen digits are the largest u64; nothing wraps.
        let mut decoder = Decoder::default();
        let decoded = decoder.decode(&mut b"ffffffffffffffff\r\nx".to_vec()).unwrap();
        assert_eq!((decoded.data, decoder.size), (1, u64::MAX - 1));
    }

    #[test]
    fn sizes_are_encoded_in_hexadecimal() {
        for (size, line) in [
            (0, "0\r\n"),
            (9, "9\r\n"),
            (16, "10\r\n"),
            (0xabc, "abc\r\n"),
            (usize::MAX, "ffffffffffffffff\r\n"),
        ] {
            let (bytes, len) = encode_size(size);
            assert_eq!(&bytes[..len], line.as_bytes());
        }
    }
}
