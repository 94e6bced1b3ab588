//! The frame header (RFC 6455 §5.2).
//!
//! ```text
//!  byte 0          byte 1              then
//! +-+-+-+-+-------+-+-------------+--------------------------------+-------------------+
//! |F|R|R|R| opcode|M|  length     | extended length                | masking key       |
//! |I|S|S|S|       |A|  0..125     |  none                          | 4 bytes if MASK   |
//! |N|V|V|V|       |S|  126        |  2 bytes, at least 126         |                   |
//! | |1|2|3|       |K|  127        |  8 bytes, at least 65,536      |                   |
//! +-+-+-+-+-------+-+-------------+--------------------------------+-------------------+
//! ```
//!
//! ```
//! use oneport::ws::frame::{self, Opcode};
//!
//! // RFC 6455 §5.7: a single-frame unmasked text message, "Hello". Its header is two bytes.
//! let (header, len) = frame::parse(b"\x81\x05Hello").unwrap().unwrap();
//! assert_eq!((header.opcode, header.fin, header.len, len), (Opcode::Text, true, 5, 2));
//! // One byte is not a header yet.
//! assert_eq!(frame::parse(b"\x81"), Ok(None));
//! ```

use super::error::Error;

/// The longest header: two bytes, eight of length, four of key.
pub const MAX_HEADER: usize = 14;
/// RFC 6455 §5.5: control frames have at most this many bytes of payload.
pub const MAX_CONTROL: usize = 125;

/// What a frame means (RFC 6455 §5.2, §11.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0x0,
    /// A text message or its first fragment.
    Text = 0x1,
    /// A binary message or its first fragment.
    Binary = 0x2,
    /// The closing handshake.
    Close = 0x8,
    /// "Are you there?"
    Ping = 0x9,
    /// "I am."
    Pong = 0xa,
}

impl Opcode {
    /// RFC 6455 §5.5: opcodes with the highest bit set are control frames.
    #[inline]
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// A frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The last (or only) fragment of its message.
    pub fin: bool,
    /// The first reserved bit; the only one an extension of ours may give a meaning.
    pub rsv1: bool,
    /// What the frame means.
    pub opcode: Opcode,
    /// The masking key, if the payload is masked.
    pub mask: Option<[u8; 4]>,
    /// Length of the payload.
    pub len: u64,
}

/// Reads a header at the beginning of `bytes`: the header and its length; `None` if it is not
/// complete.
///
/// # Errors
/// The rule it breaks, as soon as it can be seen, also if the header is not complete.
#[inline]
pub fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, Error> {
    let [first, rest @ ..] = bytes else { return Ok(None) };
    // §5.2: RSV2 and RSV3 mean nothing to us.
    // [6455-5.2-2]
    if first & 0x30 != 0 {
        return Err(Error::ReservedBits);
    }
    let fin = first & 0x80 != 0;
    let opcode = match first & 0x0f {
        0x0 => Opcode::Continuation,
        0x1 => Opcode::Text,
        0x2 => Opcode::Binary,
        0x8 => Opcode::Close,
        0x9 => Opcode::Ping,
        0xa => Opcode::Pong,
        // [6455-5.2-3]
        _ => return Err(Error::ReservedOpcode),
    };
    if opcode.is_control() && !fin {
        // [6455-5.5-2]
        return Err(Error::ControlFragmented);
    }
    let [second, rest @ ..] = rest else { return Ok(None) };
    let short = second & 0x7f;
    if opcode.is_control() && short > 125 {
        // [6455-5.5-1]
        return Err(Error::ControlTooLong);
    }
    let (len, len_bytes) = match short {
        126 => match rest.first_chunk::<2>() {
            None => return Ok(None),
            Some(bytes) => (u64::from(u16::from_be_bytes(*bytes)), 2),
        },
        127 => match rest.first_chunk::<8>() {
            // The highest bit stands in the first of the eight bytes.
            None if rest.first().is_some_and(|byte| byte & 0x80 != 0) => {
                return Err(Error::LengthTopBit);
            }
            None => return Ok(None),
            Some(bytes) => (u64::from_be_bytes(*bytes), 8),
        },
        short => (u64::from(short), 0),
    };
    // §5.2: "the minimal number of bytes MUST be used to encode the length".
    if (len_bytes == 2 && len < 126) || (len_bytes == 8 && len < 65_536) {
        // [6455-5.2-5]
        return Err(Error::LengthNotMinimal);
    }
    // §5.2: "the most significant bit MUST be 0".
    // [6455-5.2-4]
    if len >> 63 != 0 {
        return Err(Error::LengthTopBit);
    }
    let mut header_len = 2 + len_bytes;
    let mask = if second & 0x80 != 0 {
        let Some(key) = rest[len_bytes..].first_chunk::<4>() else { return Ok(None) };
        header_len += 4;
        Some(*key)
    } else {
        None
    };
    let header = Header { fin, rsv1: first & 0x40 != 0, opcode, mask, len };
    Ok(Some((header, header_len)))
}

/// The length of the whole frame whose header stands at the beginning of `bytes`: ours, so it is
/// complete and well formed.
pub fn measure(bytes: &[u8]) -> u64 {
    match parse(bytes) {
        Ok(Some((header, header_len))) => header_len as u64 + header.len,
        // Not one of ours: nothing is known behind it.
        _ => bytes.len() as u64,
    }
}

/// Appends a header without a masking key: that of a server (RFC 6455 §5.1).
#[inline]
pub fn encode(out: &mut Vec<u8>, fin: bool, opcode: Opcode, len: usize) {
    // [6455-5.2-1]
    encode_bits(out, (u8::from(fin) << 7) | opcode as u8, 0, len);
}

/// Appends any header.
pub fn encode_header(out: &mut Vec<u8>, header: Header) {
    let first = (u8::from(header.fin) << 7) | (u8::from(header.rsv1) << 6) | header.opcode as u8;
    let masked = u8::from(header.mask.is_some()) << 7;
    encode_bits(out, first, masked, header.len as usize);
    if let Some(key) = header.mask {
        out.extend_from_slice(&key);
    }
}

#[inline]
fn encode_bits(out: &mut Vec<u8>, first: u8, masked: u8, len: usize) {
    // [6455-5.1-2] [6455-5.2-5]
    if len < 126 {
        out.extend_from_slice(&[first, masked | len as u8]);
    } else if let Ok(len) = u16::try_from(len) {
        let [high, low] = len.to_be_bytes();
        out.extend_from_slice(&[first, masked | 126, high, low]);
    } else {
        let mut bytes = [first, masked | 127, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes[2..].copy_from_slice(&(len as u64).to_be_bytes());
        out.extend_from_slice(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_6455_section_5_7() {
        let of = |bytes: &[u8]| parse(bytes).unwrap().unwrap();
        let row = |fin, opcode, mask, len| Header { fin, rsv1: false, opcode, mask, len };
        let key = Some([0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(of(b"\x81\x05Hello"), (row(true, Opcode::Text, None, 5), 2));
        assert_eq!(
            of(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
            (row(true, Opcode::Text, key, 5), 6)
        );
        assert_eq!(of(b"\x01\x03Hel"), (row(false, Opcode::Text, None, 3), 2));
        assert_eq!(of(b"\x80\x02lo"), (row(true, Opcode::Continuation, None, 2), 2));
        assert_eq!(of(b"\x89\x05Hello"), (row(true, Opcode::Ping, None, 5), 2));
        assert_eq!(of(b"\x82\x7e\x01\x00"), (row(true, Opcode::Binary, None, 256), 4));
        assert_eq!(
            of(b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
            (row(true, Opcode::Binary, None, 65_536), 10)
        );
    }

    #[test]
    fn a_header_is_the_same_however_much_of_it_is_there() {
        let headers: &[&[u8]] = &[
            b"\x81\x85\x01\x02\x03\x04",
            b"\x82\xfe\x01\x00\x01\x02\x03\x04",
            b"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00\x01\x02\x03\x04",
        ];
        for bytes in headers {
            for end in 0..bytes.len() {
                assert_eq!(parse(&bytes[..end]), Ok(None));
            }
            assert_eq!(parse(bytes).unwrap().unwrap().1, bytes.len());
        }
    }

    // [6455-5.2-2] [6455-5.2-3] [6455-5.2-4] [6455-5.2-5] [6455-5.5-1] [6455-5.5-2]
    #[test]
    fn broken_headers_are_refused() {
        let rows: &[(&[u8], Error)] = &[
            (b"\x91\x00", Error::ReservedBits),
            (b"\xa1\x00", Error::ReservedBits),
            (b"\x83\x00", Error::ReservedOpcode),
            (b"\x87\x00", Error::ReservedOpcode),
            (b"\x8b\x00", Error::ReservedOpcode),
            (b"\x8f\x00", Error::ReservedOpcode),
            (b"\x09\x00", Error::ControlFragmented),
            (b"\x08\x00", Error::ControlFragmented),
            (b"\x89\x7e", Error::ControlTooLong),
            (b"\x88\x7f", Error::ControlTooLong),
            (b"\x82\x7e\x00\x7d", Error::LengthNotMinimal),
            (b"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", Error::LengthNotMinimal),
            (b"\x82\x7f\x80", Error::LengthTopBit),
            (b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", Error::LengthTopBit),
        ];
        for (bytes, error) in rows {
            assert_eq!(parse(bytes), Err(*error), "{bytes:x?}");
        }
    }

    #[test]
    fn encoding_is_minimal_and_parsing_gives_it_back() {
        for len in [0, 1, 125, 126, 127, 255, 256, 65_535, 65_536, 1 << 20] {
            for opcode in [Opcode::Text, Opcode::Binary, Opcode::Continuation] {
                let mut out = Vec::new();
                encode(&mut out, true, opcode, len);
                let (header, header_len) = parse(&out).unwrap().unwrap();
                assert_eq!(
                    (header.len, header.opcode, header_len),
                    (len as u64, opcode, out.len())
                );
                for mask in [None, Some([1, 2, 3, 4])] {
                    let header = Header { fin: false, rsv1: true, opcode, mask, len: len as u64 };
                    out.clear();
                    encode_header(&mut out, header);
                    assert_eq!(parse(&out), Ok(Some((header, out.len()))));
                }
            }
        }
    }
}
