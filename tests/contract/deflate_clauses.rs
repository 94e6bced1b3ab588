//! Clauses of RFC 7692 on the wire; see `docs/RFC-INDEX.md`.

use oneport::bytes::gather::Gather;
use oneport::ws::deflate::{Engines, Inflater};
use oneport::ws::extension::Direction;
use oneport::{App, Config, Deflate, Event, app, handler};

use crate::rig::{Rig, frame, upgrade};

/// "Hello" of RFC 7692 §7.2.3.1.
const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";

/// Echoes, with messages of 20 bytes and more compressed if that was agreed.
fn open(offer: Option<&str>) -> Rig<impl App> {
    let mut config = Config::default();
    config.deflate = Some(Deflate::default().threshold(20));
    let echo = app(|_| {
        Some(handler(|event, out| {
            match event {
                Event::WebSocketConnect => drop(out.accept()?),
                Event::WebSocketReceive(message) => drop(out.message(message)?),
                _ => {}
            }
            Ok(())
        }))
    });
    let mut rig = Rig::with_config(echo, config);
    let field = offer.map(|offer| format!("\r\nSec-WebSocket-Extensions: {offer}\r\n\r\n"));
    let request = String::from_utf8(upgrade("/")).unwrap();
    let request = field.map_or(request.clone(), |field| request.replacen("\r\n\r\n", &field, 1));
    let answer = rig.answer(request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    let lines = answer.matches("sec-websocket-extensions: permessage-deflate").count();
    assert_eq!(lines, usize::from(offer.is_some()), "{answer}");
    rig
}

/// What the peer of a connection without context takeover reads in these bytes.
fn inflated(packed: &[u8]) -> Vec<u8> {
    let mut inflater = Inflater::new(Direction { takeover: false, window_bits: 15 });
    let mut plain = Gather::default();
    inflater.inflate(packed, 1 << 20, &mut Engines::default(), &mut plain, &mut |_| true).unwrap();
    plain.filled().to_vec()
}

/// The answer to these frames.
fn echoed(rig: &mut Rig<impl App>, frames: &[Vec<u8>]) -> Vec<u8> {
    rig.peer.got.clear();
    rig.feed(&frames.concat());
    std::mem::take(&mut rig.peer.got)
}

// [7692-6-1] [7692-6.1-1] [7692-6.1-2] [7692-7.2.1-1] [7692-7.2.1-5] [6455-5.2-1]
#[test]
fn the_bit_is_sent_with_what_is_compressed_and_with_nothing_else() {
    let mut rig = open(Some("permessage-deflate"));
    let message = b"again and again and again and again".as_slice();
    let first = echoed(&mut rig, &[frame(0x81, message)]);
    assert_eq!((first[0], usize::from(first[1])), (0xc1, first.len() - 2));
    assert!(first.len() < message.len());
    assert_eq!(inflated(&first[2..]), message);
    let second = echoed(&mut rig, &[frame(0x81, message)]);
    assert_eq!(second, first, "without takeover it does not refer to the first");
    assert_eq!(echoed(&mut rig, &[frame(0x82, message)])[0], 0xc2);
    // Too short, or not smaller.
    assert_eq!(echoed(&mut rig, &[frame(0x81, b"short")]), b"\x81\x05short");
    let noise: Vec<u8> = (0..200u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 23) as u8).collect();
    let sent = echoed(&mut rig, &[frame(0x82, &noise)]);
    assert_eq!((sent[0], &sent[4..]), (0x82, &noise[..]));
    // Control frames, however long.
    assert_eq!(echoed(&mut rig, &[frame(0x89, &[b'p'; 100])])[..2], [0x8a, 100]);
    assert_eq!(echoed(&mut rig, &[frame(0x88, b"\x03\xe8")])[0], 0x88);
}

// [7692-6.2-1] [7692-6.2-2] [7692-7.2.2-1]
#[test]
fn the_bit_that_comes_says_what_is_compressed() {
    let mut rig = open(Some("permessage-deflate"));
    assert_eq!(echoed(&mut rig, &[frame(0xc1, HELLO)]), b"\x81\x05Hello");
    for cut in 0..HELLO.len() {
        let (begin, end) = HELLO.split_at(cut);
        let sent = echoed(&mut rig, &[frame(0x41, begin), frame(0x89, b""), frame(0x80, end)]);
        assert_eq!(sent, b"\x8a\x00\x81\x05Hello", "in two frames, a ping between them");
    }
    let sent = echoed(&mut rig, &[frame(0x82, HELLO)]);
    assert_eq!(sent, [b"\x82\x07", HELLO].concat(), "without the bit it is what it is");
}

// [7692-6-2] [6455-5.2-2]
#[test]
fn the_bit_where_it_may_not_be_fails_the_connection() {
    let rows: [(Option<&str>, Vec<Vec<u8>>); 6] = [
        (Some("permessage-deflate"), vec![frame(0xc9, b"ping")]),
        (Some("permessage-deflate"), vec![frame(0xca, b"pong")]),
        (Some("permessage-deflate"), vec![frame(0xc8, b"\x03\xe8")]),
        (Some("permessage-deflate"), vec![frame(0x41, HELLO), frame(0xc0, b"")]),
        (Some("permessage-deflate"), vec![frame(0x01, b"x"), frame(0xc0, b"")]),
        (None, vec![frame(0xc1, HELLO)]),
    ];
    for (offer, frames) in rows {
        let sent = echoed(&mut open(offer), &frames);
        assert_eq!((sent[0], &sent[2..4]), (0x88, &b"\x03\xea"[..]), "{offer:?} {frames:x?}");
    }
}
