//! Any bytes as frames, in two pieces or whole: the same messages, or the same error.
#![no_main]

#[path = "../../rig/mod.rs"]
mod rig;

libfuzzer_sys::fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    let whole = rig::told_by_frames(&[bytes]);
    let (front, back) = bytes.split_at(usize::from(cut).min(bytes.len()));
    assert_eq!(rig::told_by_frames(&[front, back]), whole);
});
