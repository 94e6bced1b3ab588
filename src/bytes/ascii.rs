//! Byte classes of the HTTP grammar, one byte or eight bytes at a time.
//!
//! The grammar of RFC 9110 and 9112 is built from a few sets of bytes: `tchar` (what a method
//! or a field name is made of), `VCHAR` (visible ASCII), and what a field value may hold. A
//! parser spends its time asking "where does this run of allowed bytes end?". The functions
//! named `*_end` answer that eight bytes at a time: a word of eight bytes is tested with a few
//! additions and masks ("SIMD within a register"), and only a word that contains an unusual
//! byte is looked at byte by byte.

/// For each byte: 0 if it is no `tchar` (RFC 9110 §5.6.2), else the byte in lower case.
///
/// ```text
/// tchar = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "." /
///         "^" / "_" / "`" / "|" / "~" / DIGIT / ALPHA
/// ```
pub static TCHAR_LOWER: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            )
        {
            table[byte] = b.to_ascii_lowercase();
        }
        byte += 1;
    }
    table
};

/// Is this byte a `tchar`, a byte of a token (RFC 9110 §5.6.2)?
#[inline]
pub const fn is_tchar(byte: u8) -> bool {
    TCHAR_LOWER[byte as usize] != 0
}

/// Is this a token: at least one `tchar` and nothing else (RFC 9110 §5.6.2)?
#[inline]
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_tchar(byte))
}

/// May this byte stand in a field value (RFC 9110 §5.5)?
///
/// `field-vchar` is VCHAR or obs-text (0x80 and above); between them space and tab may stand.
/// Everything else is a control byte. RFC 9110 §5.5 names CR, LF and NUL as dangerous; we
/// refuse all of them, since parsers disagree about which ones end a line. (So does 0x85, "next
/// line", of which [`field_value_end`] takes care: it also stands inside UTF-8 characters.)
#[inline]
pub const fn is_field_byte(byte: u8) -> bool {
    // [9110-5.5-3]
    (byte >= 0x20 && byte != 0x7f) || byte == b'\t'
}

/// Is the byte 0x85 at this place a "next line" of its own (in Latin-1, or as C2 85 in UTF-8), and
/// not a part of another UTF-8 character, such as "Å", C3 85?
///
/// Some parsers end a line there (CVE-2026-44546), so it is refused like other control bytes.
#[inline]
fn is_next_line(bytes: &[u8], at: usize) -> bool {
    bytes[at] == 0x85 && (at == 0 || bytes[at - 1] < 0x80 || bytes[at - 1] == 0xc2)
}

/// Is this field value free of control bytes (see [`is_field_byte`])?
#[inline]
pub fn is_field_value(bytes: &[u8]) -> bool {
    field_value_end(bytes, 0) == bytes.len()
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// High bit set in every byte of `word` that is below `limit` (limit at most 128).
///
/// The classic `(word - limit*ONES) & !word & HIGH`: a borrow may mark a byte *above* a true
/// one as well, so only "is there any, and where is the lowest" may be read from it, which is
/// all that the callers do.
#[inline]
const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * limit as u64) & !word & HIGH
}

/// High bit set in every byte of `word` that equals `byte` (lowest mark is exact).
#[inline]
const fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * byte as u64), 1)
}

#[inline]
fn word_at(bytes: &[u8], at: usize) -> Option<u64> {
    let chunk = bytes.get(at..at + 8)?;
    Some(u64::from_le_bytes(chunk.try_into().expect("a range of eight bytes")))
}

/// High bit set in every byte of `word` that lies from `low` to `high`; exact if all bytes of
/// `word` are below 0x80, as `high` is.
#[inline]
const fn within(word: u64, low: u8, high: u8) -> u64 {
    let from_low = word.wrapping_add(ONES * (0x80 - low as u64));
    let above_high = word.wrapping_add(ONES * (0x7f - high as u64));
    from_low & !above_high & HIGH
}

/// High bit set in every byte of `word` but those that are a letter, a digit or a hyphen, of which nearly
/// all field names are made (the lowest mark is exact).
#[inline]
const fn unusual_in_name(word: u64) -> u64 {
    // In lower case by one bit: "A" 0x41 to "a" 0x61; digits and "-" have that bit already. What
    // gets into the set by it must have been a control byte, which is marked apart.
    let lower = (word | (ONES * 0x20)) & !HIGH;
    let usual = within(lower, b'a', b'z') | within(lower, b'0', b'9') | within(lower, b'-', b'-');
    (!usual | word | below(word, 0x20)) & HIGH
}

/// Turns a token at the beginning of `bytes` into lower case, in place; tells where it ends: the
/// position of the first byte that is no `tchar`.
#[inline]
pub fn lower_token(bytes: &mut [u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = bytes.get_mut(at..at + 8) {
        let chunk: &mut [u8; 8] = chunk.try_into().expect("a range of eight bytes");
        let word = u64::from_le_bytes(*chunk);
        let marks = unusual_in_name(word);
        if marks == 0 {
            *chunk = (word | (ONES * 0x20)).to_le_bytes();
            at += 8;
            continue;
        }
        let usual = marks.trailing_zeros() & !7;
        let keep = u64::MAX << usual;
        *chunk = (((word | (ONES * 0x20)) & !keep) | (word & keep)).to_le_bytes();
        at += (usual / 8) as usize;
        let lower = TCHAR_LOWER[usize::from(bytes[at])];
        if lower == 0 {
            return at;
        }
        bytes[at] = lower;
        at += 1;
    }
    while let Some(byte) = bytes.get_mut(at) {
        let lower = TCHAR_LOWER[usize::from(*byte)];
        if lower == 0 {
            break;
        }
        *byte = lower;
        at += 1;
    }
    at
}

/// The position of this byte, for short slices: without the preparation that pays for long ones.
#[inline]
pub fn position(bytes: &[u8], byte: u8) -> Option<usize> {
    let mut at = 0;
    while let Some(word) = word_at(bytes, at) {
        let marks = equal(word, byte);
        if marks != 0 {
            return Some(at + (marks.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    bytes[at..].iter().position(|&other| other == byte).map(|found| at + found)
}

/// The position of the first byte at or after `from` that may not stand in a field value:
/// normally the CR that ends the line. The length of `bytes` if there is none.
#[inline]
pub fn field_value_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(word) = word_at(bytes, at) {
        // A control byte (below 0x20) or DEL. A tab is one of them too and is sorted out below.
        let marks = below(word, 0x20) | equal(word, 0x7f) | equal(word, 0x85);
        if marks != 0 {
            let first = at + (marks.trailing_zeros() / 8) as usize;
            let harmless = bytes[first] == b'\t' || bytes[first] == 0x85;
            if !harmless || is_next_line(bytes, first) {
                return first;
            }
            at = first + 1;
            continue;
        }
        at += 8;
    }
    while at < bytes.len() && is_field_byte(bytes[at]) && !is_next_line(bytes, at) {
        at += 1;
    }
    at
}

/// The position of the first byte at or after `from` that is not visible ASCII
/// (0x21 to 0x7e): normally the space that ends the request target.
#[inline]
pub fn visible_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(word) = word_at(bytes, at) {
        let marks = below(word, 0x21) | equal(word, 0x7f) | (word & HIGH);
        if marks != 0 {
            return at + (marks.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while at < bytes.len() && matches!(bytes[at], 0x21..=0x7e) {
        at += 1;
    }
    at
}

/// Why a run of digits is not a number we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotANumber {
    /// Empty, or a byte that is no digit: no sign, space or underscore is taken.
    NotDigits,
    /// Larger than `u64::MAX`.
    Overflow,
}

/// `1*DIGIT` as a number (RFC 9110 §8.6, Content-Length): digits only, overflow told apart.
///
/// `u64::from_str` is no substitute: it takes a leading `+`, which has been a way to smuggle
/// requests (RUSTSEC-2021-0078).
#[inline]
pub fn parse_decimal(bytes: &[u8]) -> Result<u64, NotANumber> {
    if bytes.is_empty() {
        return Err(NotANumber::NotDigits);
    }
    let mut value = 0u64;
    let mut overflow = false;
    for &byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(NotANumber::NotDigits);
        }
        // [9110-8.6-6]
        match value.checked_mul(10).and_then(|v| v.checked_add(u64::from(digit))) {
            Some(next) => value = next,
            // Go on: a later byte that is no digit is the plainer mistake.
            None => overflow = true,
        }
    }
    if overflow { Err(NotANumber::Overflow) } else { Ok(value) }
}

/// The value of one hexadecimal digit, either case.
#[inline]
pub const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Cuts optional white space (OWS: space and tab, RFC 9110 §5.6.3) from both ends.
#[inline]
pub fn trim_ows(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plain twins of the word-wise scans.
    fn plain_end(bytes: &[u8], from: usize, allowed: impl Fn(u8) -> bool) -> usize {
        (from..bytes.len()).find(|&at| !allowed(bytes[at])).unwrap_or(bytes.len())
    }

    #[test]
    fn every_byte_at_every_place_of_a_word_is_classified_like_the_plain_twin() {
        for byte in 0..=255u8 {
            for place in 0..19 {
                for filler in [b'a', b'\t', b' ', 0xff] {
                    let mut bytes = [filler; 19];
                    bytes[place] = byte;
                    for from in 0..=19 {
                        assert_eq!(
                            field_value_end(&bytes, from),
                            (from..19)
                                .find(|&at| !is_field_byte(bytes[at]) || is_next_line(&bytes, at))
                                .unwrap_or(19)
                        );
                        assert_eq!(
                            visible_end(&bytes, from),
                            plain_end(&bytes, from, |b| matches!(b, 0x21..=0x7e)),
                            "{byte:#x} at {place}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_next_line_byte_is_refused_unless_it_is_part_of_a_character() {
        for good in ["Å", "Å and then some more text: Å", "1234567Å", "…", "€\u{305}"] {
            assert!(is_field_value(good.as_bytes()), "{good}");
        }
        for bad in [&b"\x85"[..], b"a\x85b", b"12345678\x85", b"\xc2\x85", b"1234567\xc2\x85"] {
            assert!(!is_field_value(bad), "{bad:x?}");
        }
    }

    #[test]
    fn tokens_are_lowered_like_the_plain_twin_does_it() {
        let plain = |bytes: &mut [u8]| {
            let end = bytes.iter().position(|&b| !is_tchar(b)).unwrap_or(bytes.len());
            bytes[..end].make_ascii_lowercase();
            end
        };
        for byte in 0..=255u8 {
            for place in 0..19 {
                for filler in *b"aZ9-_!" {
                    let mut bytes = [filler; 19];
                    bytes[place] = byte;
                    bytes[18] = b':';
                    let mut twin = bytes;
                    assert_eq!(lower_token(&mut bytes), plain(&mut twin), "{byte:#x} at {place}");
                    assert_eq!(bytes, twin, "{byte:#x} at {place}");
                    assert_eq!(position(&bytes, byte), bytes.iter().position(|&b| b == byte));
                }
            }
        }
    }

    #[test]
    fn tokens_are_those_of_the_rfc() {
        let tchars =
            "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        for byte in 0..=255u8 {
            assert_eq!(is_tchar(byte), tchars.as_bytes().contains(&byte), "{byte:#x}");
        }
        assert!(is_token(b"X-Name"));
        assert!(!is_token(b""));
        assert!(!is_token(b"a b"));
        assert!(!is_token(b"a:"));
    }

    // [9110-8.6-6]
    #[test]
    fn decimals_are_digits_only_and_never_wrap() {
        assert_eq!(parse_decimal(b"0"), Ok(0));
        assert_eq!(parse_decimal(b"0042"), Ok(42));
        assert_eq!(parse_decimal(b"18446744073709551615"), Ok(u64::MAX));
        assert_eq!(parse_decimal(b"18446744073709551616"), Err(NotANumber::Overflow));
        for bad in ["", "+5", "-1", "0x10", "1_000", " 1", "1 ", "1,1", "99999999999999999999x"] {
            assert_eq!(parse_decimal(bad.as_bytes()), Err(NotANumber::NotDigits), "{bad:?}");
        }
    }

    #[test]
    fn white_space_is_cut_at_the_ends_only() {
        assert_eq!(trim_ows(b" \t a b\t "), b"a b");
        assert_eq!(trim_ows(b" \t "), b"");
    }
}
