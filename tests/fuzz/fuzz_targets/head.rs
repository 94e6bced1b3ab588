//! Any bytes as a head: like httparse but for the known differences, and the same in two pieces.
#![no_main]

#[path = "../../differential/heads.rs"]
mod heads;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    heads::check(bytes, &mut [0; heads::DIFFERENCES.len()]);
    heads::check_split(bytes);
});
