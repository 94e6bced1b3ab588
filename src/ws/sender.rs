//! The sender half: messages and control frames become bytes (RFC 6455 §5.5, §5.6).
//!
//! A server does not mask (§5.1), so a frame is a short header and the payload as it is. That
//! also means that one encoded frame serves any number of receivers: [`encode_message`] is what
//! a group publishes. A client masks each frame with a key of its own (§5.3).

use super::Message;
use super::close;
use super::frame::{self, Header, Opcode};
use super::mask;
use crate::bytes::output::Output;

/// Appends a whole message as one frame.
#[inline]
pub fn encode_message(out: &mut Vec<u8>, message: Message<'_>) {
    let payload = message.as_bytes();
    out.reserve(payload.len() + 10);
    // [6455-6.1-2] [6455-6.1-3] [6455-6.1-4]
    frame::encode(out, true, message.opcode(), payload.len());
    out.extend_from_slice(payload);
}

/// Appends one frame of any kind; with a key the payload is masked.
pub fn encode_frame(out: &mut Vec<u8>, header: Header, payload: &[u8]) {
    debug_assert_eq!(header.len, payload.len() as u64);
    out.reserve(payload.len() + frame::MAX_HEADER);
    frame::encode_header(out, header);
    let from = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = header.mask {
        mask::apply(&mut out[from..], key);
    }
}

/// Queues a ping or pong; the payload has at most 125 bytes. It overtakes messages that wait
/// (RFC 6455 §5.5.3: a pong "as soon as is practical"), but never stands inside a frame.
pub fn send_control(output: &mut Output, opcode: Opcode, payload: &[u8], key: Option<[u8; 4]>) {
    // [6455-5.5-1]
    debug_assert!(opcode.is_control() && payload.len() <= frame::MAX_CONTROL);
    let mut bytes = [0u8; 6 + frame::MAX_CONTROL];
    // [6455-5.4-1]
    bytes[0] = 0x80 | opcode as u8;
    bytes[1] = payload.len() as u8;
    let mut at = 2;
    if let Some(key) = key {
        bytes[1] |= 0x80;
        bytes[2..6].copy_from_slice(&key);
        at = 6;
    }
    let end = at + payload.len();
    bytes[at..end].copy_from_slice(payload);
    if let Some(key) = key {
        mask::apply(&mut bytes[at..end], key);
    }
    // [6455-5.5.2-2]
    output.urgent(&bytes[..end]);
}

/// Appends a Close with a code and a reason, which is cut to 123 bytes on a character.
///
/// A code that may not appear on the wire (1005 above all: "there was none") gives an empty
/// Close (RFC 6455 §7.4.1).
pub fn encode_close(out: &mut Vec<u8>, code: u16, reason: &str, key: Option<[u8; 4]>) {
    let mut body = [0u8; frame::MAX_CONTROL];
    let mut len = 0;
    // [6455-7.4.1-1] [6455-7.4.1-2] [6455-7.4.1-3]
    if close::may_be_on_the_wire(code) {
        // [6455-5.5-1]
        let reason = close::cut_reason(reason).as_bytes();
        len = 2 + reason.len();
        // [6455-5.5.1-1]
        body[..2].copy_from_slice(&code.to_be_bytes());
        body[2..len].copy_from_slice(reason);
    }
    let opcode = Opcode::Close;
    let header = Header { fin: true, rsv1: false, opcode, mask: key, len: len as u64 };
    encode_frame(out, header, &body[..len]);
}

#[cfg(test)]
mod tests {
    use super::*;

    // [6455-5.1-2] [6455-5.2-1] [6455-5.4-1] [6455-6.1-2] [6455-6.1-3] [6455-6.1-4]
    #[test]
    fn the_examples_of_rfc_6455_section_5_7() {
        let mut out = Vec::new();
        encode_message(&mut out, Message::Text("Hello"));
        assert_eq!(out, b"\x81\x05Hello");
        let mut output = Output::default();
        send_control(&mut output, Opcode::Pong, b"Hello", None);
        assert_eq!(output.tail(), b"\x8a\x05Hello");
        output.clear();
        let key = Some([0x37, 0xfa, 0x21, 0x3d]);
        send_control(&mut output, Opcode::Pong, b"Hello", key);
        assert_eq!(output.tail(), b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        out.clear();
        let header = Header { fin: true, rsv1: false, opcode: Opcode::Text, mask: key, len: 5 };
        encode_frame(&mut out, header, b"Hello");
        assert_eq!(out, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    }

    // [6455-5.5-1] [6455-5.5.1-1] [6455-7.4.1-1] [6455-7.4.1-2] [6455-7.4.1-3]
    #[test]
    fn codes_that_may_not_be_sent_are_not_sent() {
        for (code, bytes) in [
            (1000, b"\x88\x05\x03\xe8bye".as_slice()),
            (1005, b"\x88\x00"),
            (1006, b"\x88\x00"),
            (1015, b"\x88\x00"),
            (0, b"\x88\x00"),
        ] {
            let mut out = Vec::new();
            encode_close(&mut out, code, "bye", None);
            assert_eq!(out, bytes, "{code}");
        }
        let mut out = Vec::new();
        encode_close(&mut out, 1000, &"x".repeat(200), None);
        assert_eq!(out.len(), 2 + 125);
    }
}
