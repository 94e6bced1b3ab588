//! A whole connection: any bytes, any splits, any clock, a peer that reads or not. No panic, and
//! memory within the limits.
#![no_main]

#[path = "../../rig/mod.rs"]
mod rig;

libfuzzer_sys::fuzz_target!(|steps: Vec<(u8, &[u8])>| rig::any_steps(&steps));
