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

/// The text of `bytes` if all of them are ASCII.
#[inline]
pub(super) fn ascii_text(bytes: &[u8]) -> Option<&str> {
    if !bytes.is_ascii() {
        return None;
    }
    // SAFETY: each byte is below 0x80 and so a character of its own: ASCII is UTF-8 (RFC 3629 §1).
    Some(unsafe { std::str::from_utf8_unchecked(bytes) })
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

        /// All the same byte.
        #[inline(always)]
        pub(crate) fn each(byte: u8) -> Self {
            // SAFETY: SSE2 is part of every x86-64.
            Self(unsafe { _mm_set1_epi8(byte.cast_signed()) })
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

        /// All the same byte.
        #[inline(always)]
        pub(crate) fn each(byte: u8) -> Self {
            Self([byte; 16])
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
