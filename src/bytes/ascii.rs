//! Byte classes of the HTTP grammar, one byte or sixteen bytes at a time.
//!
//! The grammar of RFC 9110 and 9112 is built from a few sets of bytes: `tchar` (what a method
//! or a field name is made of), `VCHAR` (visible ASCII), and what a field value may hold. A
//! parser spends its time asking "where does this run of allowed bytes end?". The functions
//! named `*_end` answer that sixteen bytes at a time (`Sixteen`): a comparison or two tell which
//! of them are in the set, a bit for each, and the lowest bit that is not set is the answer. Sets
//! that are no range, or two, are made smaller to what is nearly always there; only where something
//! else stands are the bytes looked at one by one, with a table.

use super::trusted::Sixteen;

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
    let usual = end_of(bytes, 0, usual_in_name);
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

/// Letters, digits, hyphens and dots: of them nearly all field names and hosts are made.
#[inline(always)]
fn usual_in_name(bytes: Sixteen) -> u32 {
    // A letter in lower case has one bit more: "A" is 0x41, "a" 0x61.
    let letters = bytes.or(Sixteen::each(0x20)).within(b'a', b'z');
    letters.or(bytes.within(b'-', b'9').without(bytes.equal(b'/'))).bits()
}

/// Visible ASCII without `?` and without the punctuation before `-`: of it nearly all paths are
/// made.
#[inline(always)]
fn usual_in_path(bytes: Sixteen) -> u32 {
    bytes.within(b'-', b'~').without(bytes.equal(b'?')).bits()
}

/// The position of the first byte at or after `from` that is not `usual`; the length of `bytes` if
/// all are. A zero is never usual.
#[inline(always)]
fn end_of(bytes: &[u8], from: usize, usual: impl Fn(Sixteen) -> u32) -> usize {
    let mut at = from;
    while let Some(window) = bytes[at..].first_chunk() {
        let others = usual(Sixteen::of(window)) ^ ALL;
        if others != 0 {
            return at + first(others);
        }
        at += 16;
    }
    let left = bytes.len() - at;
    if left == 0 {
        return bytes.len();
    }
    // Fewer than sixteen bytes: the last sixteen of all, without those that were looked at before.
    let others = match bytes.last_chunk() {
        Some(window) => (usual(Sixteen::of(window)) ^ ALL) >> (16 - left),
        None => usual(padded(&bytes[at..])) ^ ALL,
    };
    at + first(others | 1 << left)
}

/// The marks of sixteen bytes.
const ALL: u32 = 0xffff;

/// The place of the first mark.
#[inline(always)]
const fn first(marks: u32) -> usize {
    marks.trailing_zeros() as usize
}

/// Up to sixteen bytes, and zeros behind them.
#[inline(always)]
fn padded(bytes: &[u8]) -> Sixteen {
    let word = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => {
            let place = 8 * (bytes.len() - 8);
            u128::from(u64::from_le_bytes(*first)) | u128::from(u64::from_le_bytes(*last)) << place
        }
        _ => u128::from(bytes.iter().rev().fold(0, |word: u64, &byte| word << 8 | u64::from(byte))),
    };
    Sixteen::of(&word.to_le_bytes())
}

/// Where a host at the beginning of `bytes` ends, as they nearly always are: a name or an IPv4
/// address, perhaps with a port, of at most fifteen bytes. `None` for any other.
#[inline(always)]
pub fn usual_host_end(bytes: &[u8]) -> Option<usize> {
    let window = match bytes.first_chunk() {
        Some(window) => Sixteen::of(window),
        None => padded(bytes),
    };
    let mut others = usual_in_name(window) ^ ALL;
    let end = first(others | 1 << 16);
    if bytes.get(end) == Some(&b':') {
        others = (window.within(b'0', b'9').bits() ^ ALL) & !((2 << end) - 1);
    }
    let end = first(others | 1 << 16);
    (end < 16).then_some(end)
}

/// Is this a host as they nearly always are: a name or an IPv4 address, perhaps with a port, or
/// nothing? See RFC 3986 §3.2.2 for all that a host can be.
#[inline(always)]
pub fn is_usual_host(bytes: &[u8]) -> bool {
    if bytes.len() < 16 {
        usual_host_end(bytes) == Some(bytes.len())
    } else {
        is_usual_long_host(bytes)
    }
}

fn is_usual_long_host(bytes: &[u8]) -> bool {
    match bytes.split_at(end_of(bytes, 0, usual_in_name)) {
        (_, []) => true,
        (_, [b':', port @ ..]) => port.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Turns the name of a field at the beginning of `bytes` into lower case, in place; tells where its
/// colon stands. `None` if it does not begin with a token and a colon; see [`token_end`] then.
#[inline(always)]
pub fn lower_name(bytes: &mut [u8]) -> Option<usize> {
    let Some(window) = bytes.first_chunk_mut::<16>() else { return lower_bytes(bytes, 0) };
    let others = usual_in_name(Sixteen::of(window)) ^ ALL;
    if others == 0 {
        return lower_long_name(bytes);
    }
    let usual = first(others);
    lower_usual(&mut window[..usual]);
    // What ends a name nearly always.
    if usual > 0 && window[usual] == b':' { Some(usual) } else { lower_bytes(bytes, usual) }
}

/// As [`lower_name`], where the first sixteen bytes are usual.
#[inline(never)]
fn lower_long_name(bytes: &mut [u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(window) = bytes[at..].first_chunk_mut::<16>() {
        let usual = first(usual_in_name(Sixteen::of(window)) ^ ALL | 1 << 16);
        lower_usual(&mut window[..usual]);
        at += usual;
        if usual < 16 {
            break;
        }
    }
    lower_bytes(bytes, at)
}

/// Turns letters into lower case; all others of these bytes, which are usual in a name, have the bit
/// of lower case already.
///
/// A load of bytes that several stores have just written waits for all of them. So not a byte behind
/// the name is written, where the value is looked at next, and its first bytes are written last: who
/// compares it loads them as they were stored.
#[inline(always)]
fn lower_usual(name: &mut [u8]) {
    const BIT: u64 = 0x2020_2020_2020_2020;
    let end = name.len();
    if let (Some(first), Some(last)) = (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        let lower = |word: &[u8; 8]| (u64::from_ne_bytes(*word) | BIT).to_ne_bytes();
        let (first, last) = (lower(first), lower(last));
        name[end - 8..].copy_from_slice(&last);
        name[..8].copy_from_slice(&first);
    } else if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        let lower = |word: &[u8; 4]| (u32::from_ne_bytes(*word) | BIT as u32).to_ne_bytes();
        let (first, last) = (lower(first), lower(last));
        name[end - 4..].copy_from_slice(&last);
        name[..4].copy_from_slice(&first);
    } else {
        for byte in name {
            *byte |= BIT as u8;
        }
    }
}

/// As [`lower_name`], byte by byte, from `at` on.
#[inline(never)]
fn lower_bytes(bytes: &mut [u8], mut at: usize) -> Option<usize> {
    while let Some(byte) = bytes.get_mut(at) {
        let lower = TCHAR_LOWER[usize::from(*byte)];
        if lower == 0 {
            break;
        }
        *byte = lower;
        at += 1;
    }
    (bytes.get(at) == Some(&b':') && at > 0).then_some(at)
}

/// The position of the first byte that is no `tchar`.
pub fn token_end(bytes: &[u8]) -> usize {
    bytes.iter().position(|&byte| !is_tchar(byte)).unwrap_or(bytes.len())
}

/// Are these the same bytes? For short slices: without the preparation that pays for long ones.
#[inline(always)]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let (Some(a_end), Some(b_end)) = (a.last_chunk::<8>(), b.last_chunk::<8>()) else {
        return a == b;
    };
    if a.first_chunk::<8>() != b.first_chunk::<8>() || a_end != b_end {
        return false;
    }
    if a.len() <= 16 {
        return true;
    }
    let (mut a, mut b) = (&a[8..], &b[8..]);
    while let (Some((first, a_rest)), Some((second, b_rest))) =
        (a.split_first_chunk::<8>(), b.split_first_chunk::<8>())
    {
        if first != second {
            return false;
        }
        (a, b) = (a_rest, b_rest);
    }
    // The last bytes were compared at first, and with them what is left.
    true
}

/// The position of this byte, for short slices: without the preparation that pays for long ones.
#[inline]
pub fn position(bytes: &[u8], byte: u8) -> Option<usize> {
    let mut at = 0;
    while let Some(window) = bytes[at..].first_chunk() {
        let marks = Sixteen::of(window).equal(byte).bits();
        if marks != 0 {
            return Some(at + first(marks));
        }
        at += 16;
    }
    Some(at + bytes[at..].iter().position(|&other| other == byte)?)
}

/// The position of the first byte at or after `from` that may not stand in a field value:
/// normally the CR that ends the line. The length of `bytes` if there is none.
#[inline(always)]
pub fn field_value_end(bytes: &[u8], from: usize) -> usize {
    let at = usual_value_end(bytes, from);
    match bytes.get(at) {
        Some(b'\t' | 0x80..) => unusual_value_end(bytes, at),
        _ => at,
    }
}

/// The position of the first byte at or after `from` that is neither visible ASCII nor a space:
/// nearly always that of [`field_value_end`].
#[inline(always)]
pub fn usual_value_end(bytes: &[u8], from: usize) -> usize {
    end_of(bytes, from, |window| window.within(b' ', b'~').bits())
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
    end_of(bytes, from, |window| window.within(b'!', b'~').bits())
}

/// The position of the first byte at or after `from` that is not usual in a path: not among those
/// from 0x2d to 0x7e, or a `?`. If it is a space, then what stands before it is visible ASCII and
/// has no `?`, no `#` and no `%`.
#[inline(always)]
pub fn usual_path_end(bytes: &[u8], from: usize) -> usize {
    end_of(bytes, from, usual_in_path)
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

    /// The plain twins of the scans.
    fn plain_end(bytes: &[u8], from: usize, allowed: impl Fn(u8) -> bool) -> usize {
        (from..bytes.len()).find(|&at| !allowed(bytes[at])).unwrap_or(bytes.len())
    }

    #[test]
    fn every_byte_at_every_place_is_classified_like_the_plain_twin() {
        for byte in 0..=255u8 {
            for place in 0..35 {
                for filler in [b'a', b'\t', b' ', 0xff] {
                    let mut bytes = [filler; 35];
                    bytes[place] = byte;
                    for from in 0..=35 {
                        assert_eq!(
                            field_value_end(&bytes, from),
                            (from..35)
                                .find(|&at| !is_field_byte(bytes[at]) || is_next_line(&bytes, at))
                                .unwrap_or(35)
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
    fn the_same_bytes_are_the_same_and_no_others() {
        for len in 0..40 {
            let bytes: Vec<u8> = (0..len).collect();
            assert!(same(&bytes, &bytes.clone()));
            assert!(!same(&bytes, &[&bytes[..], b"x"].concat()));
            for at in 0..usize::from(len) {
                let mut other = bytes.clone();
                other[at] ^= 1;
                assert!(!same(&bytes, &other));
            }
        }
    }

    #[test]
    fn usual_hosts_are_made_of_letters_digits_hyphens_and_dots_with_a_port() {
        let plain = |host: &[u8]| {
            let usual = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
            let end = host.iter().position(|byte| !usual(byte)).unwrap_or(host.len());
            match &host[end..] {
                [] => true,
                [b':', port @ ..] => port.iter().all(u8::is_ascii_digit),
                _ => false,
            }
        };
        for len in 0..40 {
            for place in 0..len {
                for colon in 0..=len {
                    for byte in *b"z7-.:/_@G \0\x7f\x80\xff" {
                        let mut host = vec![b'a'; len];
                        host[colon.min(len)..].fill(b'8');
                        host[place] = byte;
                        if let Some(at) = host.get_mut(colon) {
                            *at = b':';
                        }
                        assert_eq!(is_usual_host(&host), plain(&host), "{host:x?}");
                    }
                }
            }
        }
        let long = b"abc.def-1:8080\r\n and more";
        assert_eq!(usual_host_end(long), Some(14));
        assert_eq!(usual_host_end(b"abc.def-1\r\n and more"), Some(9));
        assert_eq!(usual_host_end(b"a:8b0\r\n  and more  "), Some(3));
        assert_eq!(usual_host_end(b"a:80:80\r\n  and more"), Some(4));
        assert_eq!(usual_host_end(b":1\r\n sixteen bytes "), Some(2));
        assert_eq!(usual_host_end(b"_a sixteen bytes   "), Some(0));
        assert_eq!(usual_host_end(b"fifteen-bytes..\r\n"), Some(15));
        assert_eq!(usual_host_end(b"sixteen-bytes...\r\n"), None);
        assert_eq!(usual_host_end(b"sixteen-byte:123\r\n"), None);
        assert_eq!(usual_host_end(b"fifteen-bytes..:\r\n"), None);
        assert_eq!(usual_host_end(b"too-few\r\n\r\n"), Some(7));
        assert_eq!(usual_host_end(b"h"), Some(1));
        assert!(is_usual_host(b"") && is_usual_host(b":") && is_usual_host(b"a:"));
    }

    #[test]
    fn pairs_of_bytes_in_short_slices_are_classified_like_the_plain_twin() {
        for len in 1..=18 {
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
            for place in 0..35 {
                for filler in *b"aZ9-_!" {
                    let mut bytes = [filler; 35];
                    bytes[place] = byte;
                    let token = bytes.iter().all(|&b| is_tchar(b));
                    assert_eq!(is_token(&bytes), token, "{byte:#x} at {place}");
                    bytes[34] = b':';
                    let mut twin = bytes;
                    let end = plain(&mut twin);
                    let colon = (twin.get(end) == Some(&b':') && end > 0).then_some(end);
                    assert_eq!(lower_name(&mut bytes), colon, "{byte:#x} at {place}");
                    assert_eq!(token_end(&bytes), end, "{byte:#x} at {place}");
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
