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

/// Masks or unmasks `bytes` in place, beginning with `key[0]`.
///
/// The 32-byte steps have no branch inside; the compiler makes vector instructions of them.
#[inline]
pub fn apply(bytes: &mut [u8], key: [u8; 4]) {
    let word = u32::from_ne_bytes(key);
    let mut wide = [0u8; 32];
    for part in wide.chunks_exact_mut(4) {
        part.copy_from_slice(&word.to_ne_bytes());
    }
    let mut chunks = bytes.chunks_exact_mut(32);
    for chunk in &mut chunks {
        for (byte, key) in chunk.iter_mut().zip(&wide) {
            *byte ^= key;
        }
    }
    let mut words = chunks.into_remainder().chunks_exact_mut(4);
    for chunk in &mut words {
        let masked = u32::from_ne_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]) ^ word;
        chunk.copy_from_slice(&masked.to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key) {
        *byte ^= key;
    }
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
            }
        }
    }
}
