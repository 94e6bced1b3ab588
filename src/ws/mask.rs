//! Masking (RFC 6455 §5.3): each byte of a client's payload is XORed with one of four key bytes.
//!
//! ```text
//!   payload   H    e    l    l    o
//!   key       37   fa   21   3d   37   ...    byte i of the payload meets byte i mod 4 of the key
//! ```
//!
//! It hides nothing (the key stands in front of the payload). It keeps a page from choosing the
//! bytes on the wire, with which it could make a careless proxy see an HTTP request (§10.3).
//! Masking twice gives the original back, so one function serves both directions.

use crate::bytes::trusted;
use crate::bytes::utf8::{self, InvalidUtf8};

/// Where a client's keys come from. RFC 6455 §5.3: "The masking key needs to be unpredictable
/// [...] derived from a strong source of entropy", a fresh one for each frame.
pub trait Keys: Send {
    /// The key for one frame.
    fn next_key(&mut self) -> [u8; 4];
}

/// Masks or unmasks `bytes` in place, beginning with `key[0]`.
///
/// A short message goes by words of 16, 8, 4 and 1 bytes, a long one by the widest vectors there are.
#[inline]
pub fn apply(bytes: &mut [u8], key: [u8; 4]) {
    if bytes.len() >= LONG {
        return apply_long(bytes, key);
    }
    if bytes.len() >= WIDE {
        return trusted::xor(bytes, doubled(key));
    }
    trusted::xor_medium(bytes, key);
}

/// Unmasks a text in place and checks it.
///
/// # Errors
/// It is not UTF-8.
#[inline(always)]
pub fn apply_to_text(bytes: &mut [u8], key: [u8; 4]) -> Result<&str, InvalidUtf8> {
    if bytes.len() < utf8::SIMD_FROM {
        return trusted::xor_text(bytes, key).map_err(|_| InvalidUtf8);
    }
    apply(bytes, key);
    utf8::text(bytes)
}

/// From this length on a payload is worth the question which vectors the machine has (bytes).
const WIDE: usize = 512;

/// A payload of this length is worth some preparation (bytes): the widest vectors that the machine
/// has, written where no two of them share a line of the cache.
const LONG: usize = 4096;

#[inline(never)]
fn apply_long(bytes: &mut [u8], key: [u8; 4]) {
    let before = bytes.as_ptr().align_offset(64);
    if before >= 64 {
        // It need not tell.
        return trusted::xor(bytes, doubled(key));
    }
    let (first, rest) = bytes.split_at_mut(before);
    let key_of_rest = rotate(key, before);
    trusted::xor(rest, doubled(key_of_rest));
    apply(first, key);
}

/// Unmasks on the way from one place to another of the same length: for each byte one load and
/// one store, where copying first would need two of each.
pub fn copy(from: &[u8], to: &mut [u8], key: [u8; 4]) {
    assert_eq!(from.len(), to.len(), "as much room as there are bytes");
    trusted::xor_copy(from, to, doubled(key));
}

/// The key twice, as a number that has it in this order in memory.
#[inline]
fn doubled(key: [u8; 4]) -> u64 {
    // The same in either byte order.
    let word = u64::from(u32::from_ne_bytes(key));
    word | word << 32
}

/// The key for what follows `len` bytes: a payload that arrives in pieces goes on in the middle
/// of the key.
#[inline]
pub const fn rotate(key: [u8; 4], len: usize) -> [u8; 4] {
    let at = len % 4;
    [key[at], key[(at + 1) % 4], key[(at + 2) % 4], key[(at + 3) % 4]]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plain twin, as RFC 6455 §5.3 states it.
    fn plain(bytes: &mut [u8], key: [u8; 4]) {
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte ^= key[i % 4];
        }
    }

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    #[test]
    fn a_long_payload_agrees_with_the_plain_twin_wherever_it_lies() {
        for (from, len) in [(0, LONG), (1, LONG + 1), (14, LONG + 127), (63, 3 * LONG + 77)] {
            let original: Vec<u8> = (0..from + len).map(|i| (i * 37) as u8).collect();
            let (mut expected, mut bytes) = (original.clone(), original.clone());
            plain(&mut expected[from..], KEY);
            apply(&mut bytes[from..], KEY);
            assert_eq!(bytes, expected);
            let mut copied = vec![0; len];
            copy(&original[from..], &mut copied, KEY);
            assert_eq!(copied, expected[from..]);
        }
    }

    #[test]
    fn the_example_of_rfc_6455_section_5_7() {
        let mut bytes = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        apply(&mut bytes, KEY);
        assert_eq!(&bytes, b"Hello");
    }

    // [6455-6.2-5]
    #[test]
    fn every_length_and_split_agrees_with_the_plain_twin() {
        for len in 0..150 {
            let original: Vec<u8> = (0..len as u8).map(|i| i.wrapping_mul(37)).collect();
            let mut expected = original.clone();
            plain(&mut expected, KEY);
            for cut in 0..=len {
                let mut bytes = original.clone();
                let (front, back) = bytes.split_at_mut(cut);
                apply(front, KEY);
                apply(back, rotate(KEY, cut));
                assert_eq!(bytes, expected, "{len} bytes, cut at {cut}");
                let mut copied = vec![0; len - cut];
                copy(&original[cut..], &mut copied, rotate(KEY, cut));
                assert_eq!(copied, expected[cut..]);
            }
        }
    }
}
