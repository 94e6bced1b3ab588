//! Any bytes as the fields of an upgrade request: a 101 only if nothing is wrong with it.
#![no_main]

#[path = "../../rig/mod.rs"]
mod rig;

libfuzzer_sys::fuzz_target!(|fields: &[u8]| {
    let mut rig = rig::Rig::new(rig::echo_app());
    let request = [b"GET / HTTP/1.1\r\n", fields, b"\r\n\r\n"].concat();
    let answer = rig.answer(&request);
    let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
    assert!(!answer.starts_with("HTTP/1.1 101") || text.contains("sec-websocket-key:"));
});
