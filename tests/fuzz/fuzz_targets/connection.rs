//! A whole connection: any bytes, any splits, any clock, a peer that reads or not. No panic, memory
//! within the limits, and the same told and answered however the bytes are split.
#![no_main]

#[path = "../../rig/mod.rs"]
mod rig;

libfuzzer_sys::fuzz_target!(|steps: Vec<rig::steps::Step<'_>>| rig::steps::any_steps(&steps));
