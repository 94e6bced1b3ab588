//! Properties: whatever the message, however it is fragmented, split or compressed, it arrives as
//! sent, in either role.

#[path = "rig/mod.rs"]
mod rig;

use proptest::prelude::*;

use rig::{frame, told_by_frames};

#[cfg(feature = "deflate")]
#[path = "properties/roles.rs"]
mod roles;

/// A message with the places where it is cut into fragments.
fn message() -> impl Strategy<Value = (bool, Vec<u8>, Vec<usize>)> {
    let text = ".{0,200}".prop_map(|text: String| (true, text.into_bytes()));
    let binary = proptest::collection::vec(any::<u8>(), 0..70_000).prop_map(|bytes| (false, bytes));
    (prop_oneof![3 => text, 1 => binary], proptest::collection::vec(any::<usize>(), 0..6))
        .prop_map(|((is_text, bytes), cuts)| (is_text, bytes, cuts))
}

/// The frames of a message; between fragments stands a control frame where `controls` says so.
fn frames(is_text: bool, bytes: &[u8], cuts: &[usize], controls: &[bool]) -> Vec<u8> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut out = Vec::new();
    let mut from = 0;
    for (n, &to) in places.iter().chain([&bytes.len()]).enumerate() {
        let opcode = if n > 0 { 0 } else { 2 - u8::from(is_text) };
        let fin = if n == places.len() { 0x80 } else { 0 };
        out.extend_from_slice(&frame(fin | opcode, &bytes[from..to]));
        from = to;
        if controls.get(n) == Some(&true) {
            out.extend_from_slice(&frame(if n % 2 == 0 { 0x89 } else { 0x8a }, b"control"));
        }
    }
    out
}

fn expected(is_text: bool, bytes: &[u8]) -> String {
    let message = if is_text {
        oneport::Message::Text(std::str::from_utf8(bytes).unwrap())
    } else {
        oneport::Message::Binary(bytes)
    };
    format!("{:?}", oneport::Event::WebSocketReceive(message))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_message_in_any_fragments_and_any_pieces_arrives_as_sent(
        messages in proptest::collection::vec(message(), 1..4),
        controls in proptest::collection::vec(any::<bool>(), 0..8),
        splits in proptest::collection::vec(any::<usize>(), 0..10),
    ) {
        let mut bytes = Vec::new();
        let mut expect = vec!["WebSocketConnect".to_string()];
        for (is_text, message, cuts) in &messages {
            bytes.extend_from_slice(&frames(*is_text, message, cuts, &controls));
            expect.push(expected(*is_text, message));
        }
        bytes.extend_from_slice(&frame(0x88, b"\x03\xe8done"));
        expect.push("WebSocketDisconnect { code: 1000, reason: \"done\" }".to_string());
        let mut places: Vec<usize> = splits.iter().map(|split| split % bytes.len()).collect();
        places.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for &to in places.iter().chain([&bytes.len()]) {
            pieces.push(&bytes[from..to]);
            from = to;
        }
        prop_assert_eq!(told_by_frames(&pieces), expect);
    }

    #[test]
    fn any_bytes_in_any_two_pieces_tell_the_same(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        cut in any::<usize>(),
        masked in any::<bool>(),
    ) {
        // Half of them look like frames at least at their beginning.
        let bytes = if masked { frame(0x80 | (bytes.len() % 11) as u8, &bytes) } else { bytes };
        let (front, back) = bytes.split_at(cut % (bytes.len() + 1));
        prop_assert_eq!(told_by_frames(&[front, back]), told_by_frames(&[&bytes]));
    }
}
