//! The one module that may hold `unsafe` code (`tests/floors.rs` finds any other). What is here
//! is small enough to be checked by reading, and has a plain twin in its tests.
//!
//! Why at all: a short text message costs the standard library's check of UTF-8 some 100
//! instructions, a third of everything an echo of 20 bytes needs. Nearly all such text is ASCII,
//! which a check by words finds in a fifth of that; but safe Rust has no way from "it is ASCII"
//! to `&str` that does not look again.

#![allow(unsafe_code)]

/// The text of `bytes` if all of them are ASCII.
#[inline]
pub(super) fn ascii_text(bytes: &[u8]) -> Option<&str> {
    if !bytes.is_ascii() {
        return None;
    }
    // SAFETY: each byte is below 0x80 and so a character of its own: ASCII is UTF-8 (RFC 3629 §1).
    Some(unsafe { std::str::from_utf8_unchecked(bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plain twin.
    fn plain(bytes: &[u8]) -> Option<&str> {
        if bytes.iter().all(|&byte| byte < 0x80) { std::str::from_utf8(bytes).ok() } else { None }
    }

    #[test]
    fn it_agrees_with_its_plain_twin_at_every_length_and_place() {
        for len in 0..70 {
            let mut bytes = vec![b'a'; len];
            assert_eq!(ascii_text(&bytes), plain(&bytes));
            for at in 0..len {
                for byte in [0x00, 0x7f, 0x80, 0xc3, 0xff] {
                    bytes[at] = byte;
                    for from in 0..at.min(9) {
                        assert_eq!(ascii_text(&bytes[from..]), plain(&bytes[from..]));
                    }
                }
                bytes[at] = b'a';
            }
        }
    }
}
