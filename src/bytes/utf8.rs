//! UTF-8 that is checked as it arrives.
//!
//! A text message may come in pieces that cut a character anywhere. [`Utf8`] keeps the one to
//! three bytes of a character that is not finished yet and refuses a piece **as soon as no
//! continuation could make it valid**, also inside a frame whose end has not arrived.
//!
//! ```
//! use oneport::bytes::utf8::Utf8;
//!
//! let mut utf8 = Utf8::default();
//! assert!(utf8.feed(b"caf\xc3").is_ok());   // half an é
//! assert!(!utf8.is_complete());
//! assert!(utf8.feed(b"\xa9!").is_ok());     // the other half
//! assert!(utf8.is_complete());
//! assert!(utf8.feed(b"\xc3(").is_err());    // no character begins like this
//! ```

use super::trusted;

/// The text cannot be UTF-8, whatever follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidUtf8;

/// From this many bytes on simdutf8 is the fastest for any text.
pub(crate) const SIMD_FROM: usize = 64;

/// The text of `bytes`, checked whole.
#[inline]
pub fn text(bytes: &[u8]) -> Result<&str, InvalidUtf8> {
    if bytes.len() < SIMD_FROM {
        match trusted::ascii_text(bytes) {
            Some(text) => Ok(text),
            None => std::str::from_utf8(bytes).map_err(|_| InvalidUtf8),
        }
    } else {
        simdutf8::basic::from_utf8(bytes).map_err(|_| InvalidUtf8)
    }
}

/// The state between two pieces of one text: the bytes of an unfinished character.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Utf8 {
    carry: [u8; 3],
    carried: u8,
}

impl Utf8 {
    /// Checks the next piece.
    pub fn feed(&mut self, mut piece: &[u8]) -> Result<(), InvalidUtf8> {
        // Finish a character that an earlier piece began. Four bytes are the longest.
        while self.carried > 0 {
            let [byte, rest @ ..] = piece else { return Ok(()) };
            piece = rest;
            let mut joined = [0u8; 4];
            let n = self.carried as usize;
            joined[..n].copy_from_slice(&self.carry[..n]);
            joined[n] = *byte;
            match std::str::from_utf8(&joined[..=n]) {
                Ok(_) => self.carried = 0,
                Err(error) if error.error_len().is_none() => {
                    self.carry[n] = *byte;
                    self.carried += 1;
                }
                Err(_) => return Err(InvalidUtf8),
            }
        }
        // A character that this piece cuts waits for the next one; the rest must be whole.
        let (whole, cut) = piece.split_at(piece.len() - unfinished(piece));
        text(whole)?;
        match std::str::from_utf8(cut) {
            // "None" means: valid so far, the end of the input came in mid-character.
            Err(error) if error.error_len().is_some() => Err(InvalidUtf8),
            _ => {
                self.carry[..cut.len()].copy_from_slice(cut);
                self.carried = cut.len() as u8;
                Ok(())
            }
        }
    }

    /// Could the text end here, with no character unfinished?
    #[inline]
    pub fn is_complete(&self) -> bool {
        self.carried == 0
    }
}

/// How many bytes at the end begin a character that needs more (RFC 3629 §3: the first byte says
/// how many there are).
#[inline]
fn unfinished(piece: &[u8]) -> usize {
    let last = piece.iter().rev().take(3);
    for (len, byte) in (1..).zip(last) {
        match byte {
            0x80..=0xbf => {}
            0xc0..=0xdf if len < 2 => return len,
            0xe0..=0xef if len < 3 => return len,
            0xf0..=0xf7 if len < 4 => return len,
            _ => return 0,
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plain twin: can `bytes` be the beginning of a valid text?
    fn could_begin_a_text(bytes: &[u8]) -> bool {
        match std::str::from_utf8(bytes) {
            Ok(_) => true,
            Err(error) => error.error_len().is_none(),
        }
    }

    const TEXTS: &[&[u8]] = &[
        "plain".as_bytes(),
        "κόσμε, 水, 🦀!".as_bytes(),
        b"\xed\xa0\x80",     // a surrogate
        b"\xf4\x90\x80\x80", // above U+10FFFF
        b"\xc0\xaf",         // an overlong slash
        b"ok\xff",
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
        b"\xf0\x9f\xa6", // a crab without its end
    ];

    #[test]
    fn byte_by_byte_it_fails_at_the_first_byte_that_cannot_be() {
        for text in TEXTS {
            let mut utf8 = Utf8::default();
            for end in 1..=text.len() {
                let fed = utf8.feed(&text[end - 1..end]);
                assert_eq!(fed.is_ok(), could_begin_a_text(&text[..end]), "{text:x?} at {end}");
                if fed.is_err() {
                    break;
                }
                assert_eq!(utf8.is_complete(), std::str::from_utf8(&text[..end]).is_ok());
            }
        }
    }

    #[test]
    fn a_split_at_any_place_changes_nothing() {
        for text in TEXTS {
            for cut in 0..=text.len() {
                let mut utf8 = Utf8::default();
                let fed = utf8.feed(&text[..cut]).and_then(|()| utf8.feed(&text[cut..]));
                assert_eq!(fed.is_ok(), could_begin_a_text(text));
                if fed.is_ok() {
                    assert_eq!(utf8.is_complete(), std::str::from_utf8(text).is_ok());
                }
            }
        }
    }

    #[test]
    fn long_texts_with_a_cut_at_the_end_are_carried() {
        let mut long = "x".repeat(100).into_bytes();
        long.extend_from_slice(b"\xe6\xb0");
        let mut utf8 = Utf8::default();
        utf8.feed(&long).unwrap();
        assert!(!utf8.is_complete());
        utf8.feed(b"\xb4").unwrap();
        assert!(utf8.is_complete());
    }
}
