//! Any bytes as a compressed payload, with or without history: within the limit, the same in one
//! piece as through frames, and what flate2 makes of them.
#![no_main]

#[path = "../../differential/inflate.rs"]
mod inflate;

libfuzzer_sys::fuzz_target!(|input: (u16, u16, u16, &[u8], &[u8])| {
    let (limit, cut, split, history, payload) = input;
    inflate::check(payload, history, limit.into(), (cut.into(), split.into()));
});
