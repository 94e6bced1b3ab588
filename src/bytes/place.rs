//! Where in a page bytes should lie that the system copies.
//!
//! Some processors (AMD's Zen 3 and 4 among them) copy with their string instruction, which the
//! kernel uses for every read and write, seven times slower than else if the destination lies 1 to
//! 15 bytes behind the source, as far as the low 12 bits of the addresses go:
//!
//! ```text
//!   source       page [aaaaaaaaaaaaaaaa...        1 MiB from a socket, destination at
//!   destination  page [..aaaaaaaaaaaaaa...          +1 to +15: 319 µs    else: 42 µs
//! ```
//!
//! The kernel's memory for a socket tends to begin where a page does, or a header's length behind
//! that; and so does ours, as allocators hand it out. The **middle of a page** is far from both.

/// The size of a page (bytes), or what counts as one here.
pub const PAGE: usize = 4096;

/// How many bytes of `memory` to leave out, so that what stands `ahead` bytes behind them lies in
/// the middle of a page: less than [`PAGE`].
pub fn pad(memory: &[u8], ahead: usize) -> usize {
    let at = (memory.as_ptr() as usize).wrapping_add(ahead);
    (PAGE / 2).wrapping_sub(at) % PAGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_the_middle_of_a_page() {
        let memory = vec![0; 4 * PAGE];
        for (from, ahead) in [(0, 0), (1, 7), (77, 5000), (4095, 1 << 20)] {
            let memory = &memory[from..];
            let pad = pad(memory, ahead);
            assert!(pad < PAGE);
            assert_eq!((memory.as_ptr() as usize + pad + ahead) % PAGE, PAGE / 2);
        }
    }
}
