//! The one module that may hold `unsafe` code (`tests/floors.rs` finds any other). What is here
//! is small enough to be checked by reading, and has a plain twin in its tests.
//!
//! Why at all:
//!
//! - A short text message costs the standard library's check of UTF-8 some 100 instructions, a third
//!   of everything an echo of 20 bytes needs. Nearly all such text is ASCII, which a check by words
//!   finds in a fifth of that; but safe Rust has no way from "it is ASCII" to `&str` that does not
//!   look again.
//! - Where a byte of some class stands among sixteen (`Sixteen`) takes a processor six instructions,
//!   with words of eight bytes forty; a head is little else. Every x86-64 has them (SSE2), but a
//!   function that calls them is `unsafe` until it is said where it runs. Loops that the compiler
//!   turns into vector instructions tell whether there is such a byte, not where.
//! - A plain loop over a large payload ([`xor`]) is made of the widest vector instructions that the
//!   compiler may use. What every x86-64 has is half as wide as what nearly all of them have (AVX2):
//!   to compile a function for those is safe, to call it is `unsafe` until it was asked whether they
//!   are there.

#![allow(unsafe_code)]

/// The text of `bytes` if all of them are ASCII; for short ones.
#[inline]
pub(super) fn ascii_text(bytes: &[u8]) -> Option<&str> {
    if !is_ascii(bytes) {
        return None;
    }
    // SAFETY: each byte is below 0x80 and so a character of its own: ASCII is UTF-8 (RFC 3629 §1).
    Some(unsafe { std::str::from_utf8_unchecked(bytes) })
}

/// As of the standard library, which prepares for long ones. The last word overlaps the one before.
#[inline(always)]
fn is_ascii(bytes: &[u8]) -> bool {
    if let Some(last) = bytes.last_chunk::<8>() {
        let mut any = u64::from_ne_bytes(*last);
        for word in bytes.as_chunks::<8>().0 {
            any |= u64::from_ne_bytes(*word);
        }
        return any & 0x8080_8080_8080_8080 == 0;
    }
    bytes.iter().fold(0, |any, byte| any | byte) < 0x80
}

/// XORs `bytes` with the four of `key`, again and again; gives the text if it is UTF-8 then. For
/// short texts: what is ASCII, as nearly all are, is known when the last byte is unmasked.
#[inline]
pub(crate) fn xor_text(bytes: &mut [u8], key: [u8; 4]) -> Result<&str, std::str::Utf8Error> {
    if xor_short(bytes, key) {
        // SAFETY: each byte is below 0x80 and so a character of its own, as in `ascii_text`.
        Ok(unsafe { std::str::from_utf8_unchecked(bytes) })
    } else {
        std::str::from_utf8(bytes)
    }
}

/// XORs `bytes` with the four of `key`, again and again, and tells whether all are ASCII then.
///
/// In steps of 16, 8, 4 and 1 bytes, none of which overlaps another: a load of bytes that two stores
/// have just written waits for both.
#[inline(always)]
pub(crate) fn xor_short(bytes: &mut [u8], key: [u8; 4]) -> bool {
    let word = u32::from_ne_bytes(key);
    let double = u64::from(word) | u64::from(word) << 32;
    let mut any = 0;
    let mut rest = bytes;
    if rest.len() >= 16 {
        let wide = Sixteen::each_word(word);
        let mut any_wide = Sixteen::each(0);
        let steps;
        (steps, rest) = rest.as_chunks_mut::<16>();
        for step in steps {
            let plain = Sixteen::of(step).xor(wide);
            plain.store(step);
            any_wide = any_wide.or(plain);
        }
        any = if any_wide.is_ascii() { 0 } else { u64::MAX };
    }
    if let Some(step) = rest.first_chunk_mut::<8>() {
        let plain = u64::from_ne_bytes(*step) ^ double;
        *step = plain.to_ne_bytes();
        any |= plain;
        rest = &mut rest[8..];
    }
    if let Some(step) = rest.first_chunk_mut::<4>() {
        let plain = u32::from_ne_bytes(*step) ^ word;
        *step = plain.to_ne_bytes();
        any |= u64::from(plain);
        rest = &mut rest[4..];
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
        any |= u64::from(*byte);
    }
    any & 0x8080_8080_8080_8080 == 0
}

/// XORs `bytes` with the four of `key`, again and again; for those that are not many.
#[inline]
pub(crate) fn xor_medium(bytes: &mut [u8], key: [u8; 4]) {
    let rest = if bytes.len() < 64 { bytes } else { xor_steps(bytes, key) };
    xor_short(rest, key);
}

/// All whole steps; gives back the rest.
fn xor_steps(bytes: &mut [u8], key: [u8; 4]) -> &mut [u8] {
    let wide = Sixteen::each_word(u32::from_ne_bytes(key));
    let (steps, rest) = bytes.as_chunks_mut::<64>();
    for step in steps {
        for part in step.as_chunks_mut::<16>().0 {
            Sixteen::of(part).xor(wide).store(part);
        }
    }
    rest
}

/// XORs `bytes` with the eight bytes of `pattern`, again and again.
pub(crate) fn xor(bytes: &mut [u8], pattern: u64) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        /// The same for AVX2.
        #[target_feature(enable = "avx2")]
        fn with_avx2(bytes: &mut [u8], pattern: u64) {
            xor_plain(bytes, pattern);
        }
        // SAFETY: AVX2 is there.
        return unsafe { with_avx2(bytes, pattern) };
    }
    xor_plain(bytes, pattern);
}

/// As [`xor`], on the way from one place to another of the same length.
pub(crate) fn xor_copy(from: &[u8], to: &mut [u8], pattern: u64) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        /// The same for AVX2.
        #[target_feature(enable = "avx2")]
        fn with_avx2(from: &[u8], to: &mut [u8], pattern: u64) {
            xor_copy_plain(from, to, pattern);
        }
        // SAFETY: AVX2 is there.
        return unsafe { with_avx2(from, to, pattern) };
    }
    xor_copy_plain(from, to, pattern);
}

/// So many bytes are a step of the loops, which the compiler makes vector instructions of.
const STEP: usize = 128;

#[inline(always)]
fn repeated(pattern: u64) -> [u8; STEP] {
    let mut step = [0; STEP];
    for part in step.chunks_exact_mut(8) {
        part.copy_from_slice(&pattern.to_ne_bytes());
    }
    step
}

#[inline(always)]
fn xor_plain(bytes: &mut [u8], pattern: u64) {
    let pattern = repeated(pattern);
    let mut steps = bytes.chunks_exact_mut(STEP);
    for step in &mut steps {
        for (byte, key) in step.iter_mut().zip(&pattern) {
            *byte ^= key;
        }
    }
    for (byte, key) in steps.into_remainder().iter_mut().zip(&pattern) {
        *byte ^= key;
    }
}

#[inline(always)]
fn xor_copy_plain(from: &[u8], to: &mut [u8], pattern: u64) {
    let pattern = repeated(pattern);
    let (mut from, mut to) = (from.chunks_exact(STEP), to.chunks_exact_mut(STEP));
    for (from, to) in (&mut from).zip(&mut to) {
        for ((from, to), key) in from.iter().zip(to).zip(&pattern) {
            *to = from ^ key;
        }
    }
    for ((from, to), key) in from.remainder().iter().zip(to.into_remainder()).zip(&pattern) {
        *to = from ^ key;
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) use plain::Sixteen;
#[cfg(target_arch = "x86_64")]
pub(super) use sse2::Sixteen;

/// Sixteen bytes with the instructions of SSE2.
#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::*;

    /// Sixteen bytes that are looked at together.
    #[derive(Clone, Copy)]
    pub(crate) struct Sixteen(__m128i);

    /// Which of them have something in common.
    #[derive(Clone, Copy)]
    pub(crate) struct Marks(__m128i);

    impl Sixteen {
        /// These bytes.
        #[inline(always)]
        pub(crate) fn of(bytes: &[u8; 16]) -> Self {
            // SAFETY: SSE2 is part of every x86-64; sixteen bytes are read at any address.
            Self(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
        }

        /// Puts them there.
        #[inline(always)]
        pub(crate) fn store(self, to: &mut [u8; 16]) {
            // SAFETY: SSE2 is part of every x86-64; sixteen bytes are written at any address.
            unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), self.0) }
        }

        /// The bits of both.
        #[inline(always)]
        pub(crate) fn or(self, other: Self) -> Self {
            // SAFETY: SSE2 is part of every x86-64.
            Self(unsafe { _mm_or_si128(self.0, other.0) })
        }

        /// The bits that one has and the other has not.
        #[inline(always)]
        pub(crate) fn xor(self, other: Self) -> Self {
            // SAFETY: SSE2 is part of every x86-64.
            Self(unsafe { _mm_xor_si128(self.0, other.0) })
        }

        /// Are all below 0x80?
        #[inline(always)]
        pub(crate) fn is_ascii(self) -> bool {
            Marks(self.0).bits() == 0
        }

        /// All the same byte.
        #[inline(always)]
        pub(crate) fn each(byte: u8) -> Self {
            // SAFETY: SSE2 is part of every x86-64.
            Self(unsafe { _mm_set1_epi8(byte.cast_signed()) })
        }

        /// The bytes of this number, as they are in memory, four times.
        #[inline(always)]
        pub(crate) fn each_word(word: u32) -> Self {
            // SAFETY: SSE2 is part of every x86-64.
            Self(unsafe { _mm_set1_epi32(word.cast_signed()) })
        }

        /// Those from `low` to `high`; `low` is above 0 and `high` below 0x7f.
        #[inline(always)]
        pub(crate) fn within(self, low: u8, high: u8) -> Marks {
            // What is at or above 0x80 is negative here, and so below `low`.
            // SAFETY: SSE2 is part of every x86-64.
            Marks(unsafe {
                let above = _mm_cmpgt_epi8(self.0, Self::each(low - 1).0);
                _mm_and_si128(above, _mm_cmplt_epi8(self.0, Self::each(high + 1).0))
            })
        }

        /// Those that are this byte.
        #[inline(always)]
        pub(crate) fn equal(self, byte: u8) -> Marks {
            // SAFETY: SSE2 is part of every x86-64.
            Marks(unsafe { _mm_cmpeq_epi8(self.0, Self::each(byte).0) })
        }
    }

    impl Marks {
        /// The marks of both.
        #[inline(always)]
        pub(crate) fn or(self, other: Self) -> Self {
            // SAFETY: SSE2 is part of every x86-64.
            Self(unsafe { _mm_or_si128(self.0, other.0) })
        }

        /// These marks without the others.
        #[inline(always)]
        pub(crate) fn without(self, others: Self) -> Self {
            // SAFETY: SSE2 is part of every x86-64.
            Self(unsafe { _mm_andnot_si128(others.0, self.0) })
        }

        /// One bit each, the lowest for the first byte.
        #[inline(always)]
        pub(crate) fn bits(self) -> u32 {
            // SAFETY: SSE2 is part of every x86-64.
            unsafe { _mm_movemask_epi8(self.0) }.cast_unsigned()
        }
    }
}

/// The same, byte by byte: for other processors, and what the tests compare with.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod plain {
    /// Sixteen bytes that are looked at together.
    #[derive(Clone, Copy)]
    pub(crate) struct Sixteen([u8; 16]);

    /// Which of them have something in common.
    #[derive(Clone, Copy)]
    pub(crate) struct Marks(u32);

    impl Sixteen {
        /// These bytes.
        #[inline(always)]
        pub(crate) fn of(bytes: &[u8; 16]) -> Self {
            Self(*bytes)
        }

        /// Puts them there.
        #[inline(always)]
        pub(crate) fn store(self, to: &mut [u8; 16]) {
            *to = self.0;
        }

        /// The bits of both.
        #[inline(always)]
        pub(crate) fn or(self, other: Self) -> Self {
            Self(std::array::from_fn(|at| self.0[at] | other.0[at]))
        }

        /// The bits that one has and the other has not.
        #[inline(always)]
        pub(crate) fn xor(self, other: Self) -> Self {
            Self(std::array::from_fn(|at| self.0[at] ^ other.0[at]))
        }

        /// Are all below 0x80?
        #[inline(always)]
        pub(crate) fn is_ascii(self) -> bool {
            self.0.is_ascii()
        }

        /// All the same byte.
        #[inline(always)]
        pub(crate) fn each(byte: u8) -> Self {
            Self([byte; 16])
        }

        /// The bytes of this number, as they are in memory, four times.
        #[inline(always)]
        pub(crate) fn each_word(word: u32) -> Self {
            Self(std::array::from_fn(|at| word.to_ne_bytes()[at % 4]))
        }

        /// Those from `low` to `high`; `low` is above 0 and `high` below 0x7f.
        #[inline(always)]
        pub(crate) fn within(self, low: u8, high: u8) -> Marks {
            self.marks(|byte| byte.wrapping_sub(low) <= high - low)
        }

        /// Those that are this byte.
        #[inline(always)]
        pub(crate) fn equal(self, byte: u8) -> Marks {
            self.marks(|other| other == byte)
        }

        #[inline(always)]
        fn marks(self, mark: impl Fn(u8) -> bool) -> Marks {
            let bit = |(at, &byte)| u32::from(mark(byte)) << at;
            Marks(self.0.iter().enumerate().map(bit).fold(0, |all, bit| all | bit))
        }
    }

    impl Marks {
        /// The marks of both.
        #[inline(always)]
        pub(crate) fn or(self, other: Self) -> Self {
            Self(self.0 | other.0)
        }

        /// These marks without the others.
        #[inline(always)]
        pub(crate) fn without(self, others: Self) -> Self {
            Self(self.0 & !others.0)
        }

        /// One bit each, the lowest for the first byte.
        #[inline(always)]
        pub(crate) fn bits(self) -> u32 {
            self.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Miri takes its time: fewer cases are enough for what it looks for.
    const STRIDE: usize = if cfg!(miri) { 61 } else { 1 };

    #[test]
    fn wide_and_plain_loops_come_to_the_same() {
        let pattern = 0x0123_4567_89ab_cdef_u64;
        for len in (0..300).step_by(STRIDE).chain([1000, 4097]) {
            let bytes: Vec<u8> = (0..len).map(|at| (at * 7) as u8).collect();
            let keys = pattern.to_ne_bytes();
            let expected: Vec<u8> =
                bytes.iter().zip(keys.iter().cycle()).map(|(b, k)| b ^ k).collect();
            let mut wide = bytes.clone();
            xor(&mut wide, pattern);
            assert_eq!(wide, expected);
            let mut plain = bytes.clone();
            xor_plain(&mut plain, pattern);
            assert_eq!(plain, expected);
            let mut copied = (vec![0; len], vec![0; len]);
            xor_copy(&bytes, &mut copied.0, pattern);
            xor_copy_plain(&bytes, &mut copied.1, pattern);
            assert_eq!(copied, (expected.clone(), expected));
        }
    }

    #[test]
    fn a_short_text_is_unmasked_and_checked_at_every_length_and_place() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let masked = |plain: &[u8]| -> Vec<u8> {
            plain.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
        };
        for len in (0..100).step_by(STRIDE.min(23)) {
            let plain: Vec<u8> = (0..len).map(|at| b'a' + (at % 26) as u8).collect();
            let mut bytes = masked(&plain);
            assert_eq!(xor_text(&mut bytes, key).map(str::as_bytes), Ok(&*plain));
            for at in (0..len).step_by(STRIDE.min(17)) {
                for byte in [0x00, 0x7f, 0x80, 0xc3, 0xff] {
                    let mut plain = plain.clone();
                    plain[at] = byte;
                    let mut bytes = masked(&plain);
                    assert_eq!(xor_text(&mut bytes, key), std::str::from_utf8(&plain));
                    assert_eq!(bytes, plain);
                    assert_eq!(xor_short(&mut masked(&plain), key), byte < 0x80);
                }
            }
        }
    }

    #[test]
    fn sixteen_bytes_are_what_they_are_one_by_one() {
        for byte in (0..=255u8).step_by(STRIDE) {
            for at in (0..16).step_by(STRIDE.min(5)) {
                for filler in [0, b'a', 0x7f, 0x80, 0xff] {
                    let mut bytes = [filler; 16];
                    bytes[at] = byte;
                    let (ours, twin) = (Sixteen::of(&bytes), plain::Sixteen::of(&bytes));
                    for (low, high) in [(1, 1), (b' ', b'~'), (b'a', b'z'), (b'-', b'9')] {
                        let (a, b) = (ours.within(low, high), twin.within(low, high));
                        assert_eq!(a.bits(), b.bits(), "{bytes:x?} from {low:x} to {high:x}");
                        let (c, d) = (ours.equal(byte), twin.equal(byte));
                        assert_eq!(a.or(c).bits(), b.or(d).bits());
                        assert_eq!(a.without(c).bits(), b.without(d).bits());
                    }
                    let mut stored = ([0; 16], [1; 16]);
                    ours.or(Sixteen::each(0x20)).store(&mut stored.0);
                    twin.or(plain::Sixteen::each(0x20)).store(&mut stored.1);
                    assert_eq!(stored.0, stored.1);
                    let word = 0x8102_0304;
                    ours.xor(Sixteen::each_word(word)).store(&mut stored.0);
                    twin.xor(plain::Sixteen::each_word(word)).store(&mut stored.1);
                    assert_eq!(stored.0, stored.1);
                    assert_eq!(ours.is_ascii(), twin.is_ascii());
                }
            }
        }
    }

    /// The plain twin.
    fn plain_text(bytes: &[u8]) -> Option<&str> {
        if bytes.iter().all(|&byte| byte < 0x80) { std::str::from_utf8(bytes).ok() } else { None }
    }

    #[test]
    fn it_agrees_with_its_plain_twin_at_every_length_and_place() {
        for len in (0..70).step_by(STRIDE) {
            let mut bytes = vec![b'a'; len];
            assert_eq!(ascii_text(&bytes), plain_text(&bytes));
            for at in 0..len {
                for byte in [0x00, 0x7f, 0x80, 0xc3, 0xff] {
                    bytes[at] = byte;
                    for from in 0..at.min(9) {
                        assert_eq!(ascii_text(&bytes[from..]), plain_text(&bytes[from..]));
                    }
                }
                bytes[at] = b'a';
            }
        }
    }
}
