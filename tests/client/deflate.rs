//! permessage-deflate between our client and our server, and with servers that misuse it.

use oneport::client::Error;
use oneport::{Deflate, ws};

use crate::support::{Scripted, accepted, field, scripted, serve};
use crate::talk::{echo, echo_server, pattern};

/// Takes part in RFC 7692, sends these frames, then expects a Close with `code`.
fn compressing(answer: &'static str, bytes: Vec<u8>, code: u16) -> Scripted {
    scripted(move |mut peer| {
        let head = peer.head();
        assert!(field(&head, "sec-websocket-extensions").is_some(), "{head}");
        let more = format!("Sec-WebSocket-Extensions: {answer}\r\n");
        peer.write(accepted(&head, &more).as_bytes());
        peer.write(&bytes);
        peer.close_frame(code);
        peer.end();
    })
}

#[test]
fn on_and_off_at_either_end_with_and_without_takeover() {
    let settings = [
        None,
        Some(Deflate::default()),
        Some(Deflate::default().takeover(true)),
        Some(Deflate::default().takeover(true).window_bits(9).level(9).threshold(0)),
    ];
    let text = "a text with words that come again and again, words and words ".repeat(40);
    for ours in settings {
        let server = serve(echo(), |server| match ours {
            Some(deflate) => server.deflate(deflate),
            None => server,
        });
        for theirs in settings {
            let connect = match theirs {
                Some(deflate) => server.to("/").deflate(deflate),
                None => server.to("/"),
            };
            let mut socket = connect.connect().unwrap();
            assert_eq!(socket.is_compressed(), ours.is_some() && theirs.is_some());
            for _ in 0..3 {
                for len in [0, 1, 50, 127, 128, 1000, text.len()] {
                    socket.send(&text[..len]).unwrap();
                    assert_eq!(socket.receive().unwrap(), &text[..len]);
                }
                let noise = pattern(100_000);
                socket.send(&noise[..]).unwrap();
                assert!(socket.receive().unwrap().as_bytes() == noise);
            }
            socket.close(1000, "").unwrap();
        }
    }
}

#[test]
fn large_compressed_messages() {
    let server = serve(echo(), |server| server.deflate(Deflate::default()).hard_limit(64 << 20));
    let mut socket = server.to("/").deflate(Deflate::default()).connect().unwrap();
    for message in [vec![0; 4 << 20], pattern(4 << 20), b"0123456789".repeat(1 << 18)] {
        socket.send(&message[..]).unwrap();
        assert!(socket.receive().unwrap().as_bytes() == message);
    }
}

#[test]
fn what_a_client_compresses_is_smaller_on_the_wire() {
    let server = scripted(|mut peer| {
        let head = peer.head();
        let more = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
                    client_no_context_takeover\r\n";
        peer.write(accepted(&head, more).as_bytes());
        let short = peer.frame();
        assert_eq!((short.first, short.payload.len()), (0x81, 10), "below the threshold");
        let long = peer.frame();
        assert_eq!(long.first, 0xc1, "RSV1 says that it is compressed");
        assert!(long.payload.len() < 100, "{}", long.payload.len());
        let noise = peer.frame();
        assert_eq!((noise.first, noise.payload.len()), (0x82, 5000), "it would not shrink");
        peer.end();
    });
    let mut socket = server.to("/").deflate(Deflate::default()).connect().unwrap();
    socket.send("x".repeat(10).as_str()).unwrap();
    socket.send("x".repeat(5000).as_str()).unwrap();
    socket.send(&pattern(5000)[..]).unwrap();
}

#[test]
fn an_answer_that_does_not_keep_to_the_offer_does_not_open() {
    let rows = [
        ("permessage-deflate", Deflate::default()),
        ("permessage-deflate; server_max_window_bits=7", Deflate::default().takeover(true)),
        ("permessage-deflate; unknown", Deflate::default().takeover(true)),
        ("permessage-deflate; client_max_window_bits", Deflate::default().takeover(true)),
        ("permessage-deflate, permessage-deflate", Deflate::default().takeover(true)),
        ("permessage-deflate; ;", Deflate::default().takeover(true)),
        ("permessage-deflate", Deflate::default().takeover(true).window_bits(10)),
        ("x-other", Deflate::default()),
    ];
    for (answer, deflate) in rows {
        let server = scripted(move |mut peer| {
            let head = peer.head();
            let more = format!("Sec-WebSocket-Extensions: {answer}\r\n");
            peer.write(accepted(&head, &more).as_bytes());
            peer.end();
        });
        let failed = server.to("/").deflate(deflate).connect();
        assert!(matches!(failed, Err(Error::Handshake(_))), "{answer}: {failed:?}");
    }
}

#[test]
fn compressed_messages_of_a_hostile_server() {
    const AGREED: &str =
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let bomb = {
        let mut packed = Vec::new();
        let mut engine = flate2::Compress::new(flate2::Compression::new(9), false);
        let zeros = vec![0; 4 << 20];
        packed.reserve(1 << 16);
        engine.compress_vec(&zeros, &mut packed, flate2::FlushCompress::Sync).unwrap();
        assert_eq!(engine.total_in(), zeros.len() as u64);
        packed.truncate(packed.len() - 4);
        crate::support::frame(0xc2, &packed)
    };
    let rows: [(Vec<u8>, ws::Error, u16); 4] = [
        (b"\xc1\x01\x07".to_vec(), ws::Error::InvalidDeflate, 1007),
        (b"\xc9\x00".to_vec(), ws::Error::ReservedBits, 1002),
        // "\xff" in a stored block.
        (b"\xc1\x07\x00\x01\x00\xfe\xff\xff\x00".to_vec(), ws::Error::InvalidUtf8, 1007),
        (bomb, ws::Error::MessageTooBig, 1009),
    ];
    for (bytes, error, code) in rows {
        let server = compressing(AGREED, bytes, code);
        let connect = server.to("/").deflate(Deflate::default()).max_message(1 << 20);
        let mut socket = connect.connect().unwrap();
        let told = socket.receive().unwrap_err();
        assert!(matches!(&told, Error::Protocol(found) if *found == error), "{told:?}");
    }
}

#[test]
fn the_largest_limit_there_is() {
    let server = serve(echo(), |server| server.deflate(Deflate::default()));
    let connect = server.to("/").deflate(Deflate::default()).max_message(usize::MAX);
    let mut socket = connect.connect().unwrap();
    let text = "words ".repeat(1000);
    socket.send(&text).unwrap();
    assert_eq!(socket.receive().unwrap(), text.as_str());
}

#[test]
fn a_server_that_does_not_compress() {
    let server = echo_server();
    let mut socket = server.to("/").deflate(Deflate::default()).connect().unwrap();
    assert!(!socket.is_compressed());
    let text = "words ".repeat(1000);
    socket.send(&text).unwrap();
    assert_eq!(socket.receive().unwrap(), text.as_str());
}
