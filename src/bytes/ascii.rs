//! Byte classes of the HTTP grammar, one byte or eight bytes at a time.
//!
//! The grammar of RFC 9110 and 9112 is built from a few sets of bytes: `tchar` (what a method
//! or a field name is made of), `VCHAR` (visible ASCII), and what a field value may hold. A
//! parser spends its time asking "where does this run of allowed bytes end?". The functions
//! named `*_end` answer that eight bytes at a time: a word of eight bytes is tested with a few
//! additions and masks ("SIMD within a register"), and only where it contains an unusual byte is it
//! looked at byte by byte.
//!
//! How a word is tested: byte by byte, `w - 0x20` has its high bit set if w is below 0x20, `w + 1`
//! if w is 0x7f, and w itself if w is 0x80 or above. Carries and borrows run upwards only, so what
//! they spoil lies above a byte that is marked rightly: *is there any mark, and where is the lowest*
//! may be read from a word of marks, and nothing else. That is all that a scan asks.

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
    let usual = marked(bytes, 0, unusual_in_name);
    !bytes.is_empty() && (usual == bytes.len() || bytes[usual..].iter().all(|&byte| is_tchar(byte)))
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

const HIGH: u64 = each(0x80);

/// This byte in each of the eight places of a word.
const fn each(byte: u8) -> u64 {
    0x0101_0101_0101_0101 * byte as u64
}

/// Marks every byte of `word` that is not from `low` to 0x7e, by its high bit.
#[inline(always)]
const fn not_up_to_tilde(word: u64, low: u8) -> u64 {
    (word.wrapping_sub(each(low)) | word.wrapping_add(each(1)) | word) & HIGH
}

/// Marks every byte of `word` but those of which nearly all paths are made: visible ASCII without
/// `?` and without the punctuation before `-`.
#[inline(always)]
const fn unusual_in_path(word: u64) -> u64 {
    let question = (word ^ each(b'?')).wrapping_sub(each(1)) & HIGH;
    not_up_to_tilde(word, b'-') | question
}

/// Marks every byte of `word` but those of which nearly all field names are made: letters and
/// hyphens. A letter in lower case has one bit more: "A" is 0x41, "a" 0x61.
#[inline(always)]
const fn unusual_in_name(word: u64) -> u64 {
    let lower = word | each(0x20);
    // With what is missing to 0x80 added, the high bit tells what is at or above.
    let from_a = lower.wrapping_add(each(0x80 - b'a'));
    let above_z = lower.wrapping_add(each(0x7f - b'z'));
    let no_hyphen = (word ^ each(b'-')).wrapping_add(each(0x7f));
    (((above_z | !from_a) & no_hyphen) | word) & HIGH
}

/// Marks every byte of `word` but those of which nearly all hosts are made: letters, digits, hyphens
/// and dots.
#[inline(always)]
const fn unusual_in_host(word: u64) -> u64 {
    let lower = word | each(0x20);
    let from_a = lower.wrapping_add(each(0x80 - b'a'));
    let above_z = lower.wrapping_add(each(0x7f - b'z'));
    let from_hyphen = word.wrapping_add(each(0x80 - b'-'));
    let above_9 = word.wrapping_add(each(0x7f - b'9'));
    // What lies between the dot and the digits.
    let no_slash = (word ^ each(b'/')).wrapping_add(each(0x7f));
    let usual = (from_a & !above_z) | (from_hyphen & !above_9 & no_slash);
    (!usual | word) & HIGH
}

/// The position of the first byte that is not usual in a host; see RFC 3986 §3.2.2 for all that may
/// stand there.
#[inline(always)]
pub fn usual_host_end(bytes: &[u8]) -> usize {
    marked(bytes, 0, unusual_in_host)
}

/// The place in a word of its lowest mark.
#[inline(always)]
const fn place(marks: u64) -> usize {
    (marks.trailing_zeros() / 8) as usize
}

/// The position of the first byte at or after `from` that is marked; the length of `bytes` if none
/// is. A zero must be marked.
#[inline(always)]
fn marked(bytes: &[u8], from: usize, marks: impl Fn(u64) -> u64) -> usize {
    let mut rest = &bytes[from..];
    while let Some((chunk, after)) = rest.split_first_chunk::<8>() {
        let marks = marks(u64::from_le_bytes(*chunk));
        if marks != 0 {
            return bytes.len() - rest.len() + place(marks);
        }
        rest = after;
    }
    let left = rest.len();
    if left == 0 {
        return bytes.len();
    }
    // Fewer than eight bytes: the last eight of all, without those that were looked at before.
    // Zeros come in from above, which stand for the end.
    let word = match bytes.last_chunk::<8>() {
        Some(chunk) => u64::from_le_bytes(*chunk) >> (8 * (8 - left)),
        None => rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    };
    bytes.len() - left + place(marks(word))
}

/// Turns a token at the beginning of `bytes` into lower case, in place; tells where it ends: the
/// position of the first byte that is no `tchar`.
#[inline(always)]
pub fn lower_token(bytes: &mut [u8]) -> usize {
    let mut rest = &mut *bytes;
    let mut end = 0;
    while let Some((chunk, after)) = rest.split_first_chunk_mut::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let marks = unusual_in_name(word);
        // All bits below the byte with the lowest mark; all, if there is none. The hyphen has the
        // bit already.
        let usual = ((marks & marks.wrapping_neg()) >> 7).wrapping_sub(1);
        *chunk = (word | (each(0x20) & usual)).to_le_bytes();
        if marks != 0 {
            end += place(marks);
            // What ends a name nearly always.
            let colon = (word >> (8 * place(marks))) as u8 == b':';
            return if colon { end } else { lower_bytes(bytes, end) };
        }
        end += 8;
        rest = after;
    }
    lower_bytes(bytes, end)
}

/// As [`lower_token`], byte by byte, from `at` on.
fn lower_bytes(bytes: &mut [u8], mut at: usize) -> usize {
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
    let mut rest = bytes;
    while let Some((chunk, after)) = rest.split_first_chunk::<8>() {
        let differs = u64::from_le_bytes(*chunk) ^ each(byte);
        let marks = differs.wrapping_sub(each(1)) & !differs & HIGH;
        if marks != 0 {
            return Some(bytes.len() - rest.len() + place(marks));
        }
        rest = after;
    }
    let at = rest.iter().position(|&other| other == byte)?;
    Some(bytes.len() - rest.len() + at)
}

/// The position of the first byte at or after `from` that may not stand in a field value:
/// normally the CR that ends the line. The length of `bytes` if there is none.
#[inline(always)]
pub fn field_value_end(bytes: &[u8], from: usize) -> usize {
    let mut rest = &bytes[from..];
    // A long value is passed in steps of sixteen bytes, each a loop that the compiler turns into
    // vector instructions: it asks only whether there is a mark, not where.
    while let Some((window, after)) = rest.split_first_chunk::<16>()
        && printable(window)
    {
        rest = after;
    }
    let at = bytes.len() - rest.len();
    let at = marked(bytes, at, |word| not_up_to_tilde(word, b' '));
    match bytes.get(at) {
        Some(b'\t' | 0x80..) => unusual_value_end(bytes, at),
        _ => at,
    }
}

/// Are these all from 0x20 to 0x7e?
#[inline(always)]
fn printable(window: &[u8; 16]) -> bool {
    window.iter().fold(true, |all, &byte| all & (byte.wrapping_sub(b' ') <= b'~' - b' '))
}

/// As [`field_value_end`], where a tab or something beyond ASCII was found.
#[cold]
fn unusual_value_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < bytes.len() && is_field_byte(bytes[at]) && !is_next_line(bytes, at) {
        at += 1;
    }
    at
}

/// The position of the first byte at or after `from` that is not visible ASCII
/// (0x21 to 0x7e): normally the space that ends the request target.
#[inline]
pub fn visible_end(bytes: &[u8], from: usize) -> usize {
    marked(bytes, from, |word| not_up_to_tilde(word, b'!'))
}

/// The position of the first byte at or after `from` that is not usual in a path: not among those
/// from 0x2d to 0x7e, or a `?`. If it is a space, then what stands before it is visible ASCII and
/// has no `?`, no `#` and no `%`.
#[inline(always)]
pub fn usual_path_end(bytes: &[u8], from: usize) -> usize {
    marked(bytes, from, unusual_in_path)
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
                        assert_eq!(
                            usual_path_end(&bytes, from),
                            plain_end(&bytes, from, |b| matches!(b, 0x2d..=0x7e) && b != b'?'),
                            "{byte:#x} at {place}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn hosts_are_made_of_letters_digits_hyphens_and_dots() {
        for byte in 0..=255u8 {
            let usual = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
            for len in 1..20 {
                for place in 0..len {
                    let mut bytes = vec![b'a'; len];
                    bytes[place] = byte;
                    let end = if usual { len } else { place };
                    assert_eq!(usual_host_end(&bytes), end, "{byte:#x} at {place} of {len}");
                }
            }
        }
    }

    #[test]
    fn pairs_of_bytes_in_short_slices_are_classified_like_the_plain_twin() {
        for len in 1..=9 {
            for first in 0..=255u8 {
                for second in
                    [0, 9, 0x1f, 0x20, 0x2c, 0x2d, b'?', 0x7e, 0x7f, 0x80, 0x85, 0xc2, 0xff]
                {
                    let mut bytes = vec![b'a'; len];
                    bytes[len / 2] = first;
                    bytes[len - 1] = second;
                    for from in 0..=len {
                        let value =
                            |at: &usize| !is_field_byte(bytes[*at]) || is_next_line(&bytes, *at);
                        let end = (from..len).find(value).unwrap_or(len);
                        assert_eq!(field_value_end(&bytes, from), end, "{bytes:x?} from {from}");
                        let visible = plain_end(&bytes, from, |b| matches!(b, 0x21..=0x7e));
                        assert_eq!(visible_end(&bytes, from), visible, "{bytes:x?} from {from}");
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
                    let token = bytes.iter().all(|&b| is_tchar(b));
                    assert_eq!(is_token(&bytes), token, "{byte:#x} at {place}");
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
