//! Any bytes as a chunked body: what is taken a plain decoder takes alike, however it is split.
#![no_main]

#[path = "../../differential/chunked.rs"]
mod chunked;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    chunked::check(bytes);
});
