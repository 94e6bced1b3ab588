//! Servers that break rules, fall silent, or break off; and what a client puts on the wire.

use std::io::ErrorKind;
use std::sync::mpsc;

use oneport::client::{Error, Wait};
use oneport::ws;

use crate::support::{LIMIT, Peer, SHORT, ms, opened};

#[test]
fn every_frame_is_masked_each_with_a_key_of_its_own() {
    let server = opened(|mut peer| {
        let mut keys = Vec::new();
        for n in 0..100u8 {
            let frame = peer.frame();
            assert_eq!((frame.first, &frame.payload[..]), (0x82, &[n; 10][..]));
            keys.push(frame.key.expect("it is masked"));
        }
        // Control frames, too.
        peer.send(0x89, b"ping");
        let pong = peer.frame();
        assert_eq!((pong.first, &pong.payload[..]), (0x8a, &b"ping"[..]));
        keys.push(pong.key.expect("it is masked"));
        peer.send(0x81, b"enough");
        let close = peer.frame();
        assert_eq!((close.first, &close.payload[..]), (0x88, &b"\x0b\xb8done"[..]));
        keys.push(close.key.expect("it is masked"));
        peer.send(0x88, b"\x0b\xb8");
        // 102 keys of 32 bits: two that are alike come once in a million runs.
        keys.sort_unstable();
        keys.dedup();
        assert!(keys.len() >= 101, "{keys:?}");
        assert!(!keys.contains(&[0; 4]));
    });
    let mut socket = server.open();
    for n in 0..100u8 {
        socket.send(&[n; 10][..]).unwrap();
    }
    // Whoever waits answers pings.
    assert_eq!(socket.receive().unwrap(), "enough");
    socket.close(3000, "done").unwrap();
}

/// The server sends these bytes; the client fails with this error and this code on the wire.
fn broken(bytes: &[u8], error: ws::Error, code: u16) {
    let sent = bytes.to_vec();
    let server = opened(move |mut peer| {
        peer.write(&sent);
        let rule = peer.close_frame(code);
        assert!(rule.contains("RFC") || !rule.is_empty(), "the reason names the rule");
    });
    let mut socket = server.open();
    let told = socket.receive().unwrap_err();
    assert!(matches!(&told, Error::Protocol(found) if *found == error), "{told:?}");
    assert_eq!(told.close_code(), Some(code));
    let again = socket.send("more").unwrap_err();
    assert!(matches!(again, Error::Protocol(_)), "the reason stays: {again:?}");
}

#[test]
fn rules_that_a_server_breaks() {
    broken(b"\x81\x85\x01\x02\x03\x04\x69\x67\x6f\x68\x6e", ws::Error::Masked, 1002);
    // RFC 7692 §6: a compressed frame, and nothing was agreed.
    broken(b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", ws::Error::ReservedBits, 1002);
    broken(b"\xa1\x00", ws::Error::ReservedBits, 1002);
    broken(b"\x80\x00", ws::Error::NothingToContinue, 1002);
    broken(b"\x01\x01a\x81\x01b", ws::Error::MessageUnfinished, 1002);
    broken(b"\x81\x01\xff", ws::Error::InvalidUtf8, 1007);
    broken(b"\x88\x01\x03", ws::Error::CloseTooShort, 1002);
    broken(b"\x88\x02\x03\xed", ws::Error::CloseCode, 1002);
    broken(b"\x82\x7f\x00\x00\x00\x00\x10\x00\x00\x00", ws::Error::MessageTooBig, 1009);
}

#[test]
fn what_came_before_the_mistake_is_still_received() {
    let server = opened(|mut peer| {
        peer.write(b"\x81\x04good\x83\x00");
        peer.close_frame(1002);
    });
    let mut socket = server.open();
    assert_eq!(socket.receive().unwrap(), "good");
    assert!(matches!(socket.receive(), Err(Error::Protocol(_))));
}

#[test]
fn a_server_that_breaks_off_without_a_close() {
    let server = opened(|mut peer| peer.send(0x81, b"last words"));
    let mut socket = server.open();
    assert_eq!(socket.receive().unwrap(), "last words");
    match socket.receive().unwrap_err() {
        Error::Broken(source) => assert_eq!(source.kind(), ErrorKind::UnexpectedEof),
        other => panic!("{other:?}"),
    }
    assert_eq!(socket.receive().unwrap_err().close_code(), Some(1006));
}

#[test]
fn a_connection_that_is_reset() {
    let server = opened(|peer| {
        // RFC 9293 §3.6: what is unread when a socket is closed makes a reset of the end.
        peer.stream.peek(&mut [0]).expect("the client sends something");
    });
    let mut socket = server.open();
    socket.send("unread").unwrap();
    let error = socket.receive().unwrap_err();
    assert!(matches!(error, Error::Broken(_)), "{error:?}");
    assert_eq!(error.close_code(), Some(1006));
}

#[test]
fn a_close_without_a_code() {
    let server = opened(|mut peer| {
        peer.send(0x88, b"");
        let answer = peer.frame();
        assert_eq!((answer.first, answer.payload.len()), (0x88, 0));
    });
    let error = server.open().receive().unwrap_err();
    assert!(matches!(error, Error::Closed { code: 1005, .. }), "{error:?}");
    assert!(error.is_normal_close());
}

#[test]
fn a_pong_that_never_comes_to_a_ping_of_the_program() {
    let server = opened(Peer::end);
    let mut socket = server.open();
    assert!(matches!(socket.ping(SHORT), Err(Error::TimedOut(Wait::Pong))));
    // It is open still: only the program's patience ended.
    assert_eq!(Error::TimedOut(Wait::Pong).close_code(), None);
    socket.send("still").unwrap();
    assert!(matches!(socket.receive_within(ms(1)), Err(Error::TimedOut(Wait::Receive))));
}

#[test]
fn a_pong_that_never_comes_to_a_ping_of_the_heartbeat() {
    let server = opened(|mut peer| {
        assert_eq!(peer.frame().first, 0x89);
        peer.close_frame(1011);
    });
    let mut socket = server.to("/").ping_interval(SHORT).ping_timeout(SHORT).connect().unwrap();
    let error = socket.receive().unwrap_err();
    assert!(matches!(error, Error::TimedOut(Wait::Keepalive)), "{error:?}");
    assert_eq!(error.close_code(), Some(1011));
    assert!(matches!(socket.send("late"), Err(Error::TimedOut(Wait::Keepalive))));
}

#[test]
fn a_ping_of_the_program_that_waits_longer_than_the_keepalive_ends_with_it() {
    let server = opened(|mut peer| {
        assert_eq!(peer.frame().first, 0x89);
        peer.close_frame(1011);
    });
    let mut socket = server.to("/").ping_timeout(SHORT).connect().unwrap();
    let error = socket.ping(LIMIT).unwrap_err();
    assert!(matches!(error, Error::TimedOut(Wait::Keepalive)), "{error:?}");
}

#[test]
fn a_heartbeat_that_is_answered_goes_on() {
    let server = opened(|mut peer| {
        for _ in 0..5 {
            let ping = peer.frame();
            assert_eq!(ping.first, 0x89);
            peer.send(0x8a, &ping.payload);
        }
        peer.send(0x81, b"five");
        peer.end();
    });
    let mut socket = server.to("/").ping_interval(ms(10)).connect().unwrap();
    assert_eq!(socket.receive().unwrap(), "five");
}

#[test]
fn a_pong_that_lay_in_the_socket_is_read_before_the_server_is_judged() {
    let (tell, told) = std::sync::mpsc::channel();
    let server = opened(move |mut peer| {
        let ping = peer.frame();
        peer.send(0x8a, &ping.payload);
        tell.send(()).expect("the test waits");
        peer.frame();
        peer.send(0x81, b"alive");
        peer.end();
    });
    let mut socket = server.to("/").ping_timeout(SHORT).connect().unwrap();
    let began = std::time::Instant::now();
    assert!(matches!(socket.ping(ms(0)), Err(Error::TimedOut(Wait::Pong)) | Ok(_)));
    told.recv_timeout(LIMIT).unwrap();
    // The program does something else, until the pong's time is over.
    while began.elapsed() < 2 * SHORT {
        std::thread::sleep(SHORT);
    }
    socket.send("well?").unwrap();
    assert_eq!(socket.receive().unwrap(), "alive");
}

#[test]
fn a_program_that_only_sends_answers_pings() {
    let (tell, told) = std::sync::mpsc::channel();
    let server = opened(move |mut peer| {
        for messages in [0, 3] {
            for _ in 0..messages {
                peer.send(0x81, b"nobody receives it");
            }
            peer.send(0x89, b"there?");
            tell.send(()).expect("the client waits for it, or goes on");
            let pong = loop {
                let frame = peer.frame();
                if frame.first != 0x81 {
                    break frame;
                }
            };
            assert_eq!((pong.first, &pong.payload[..]), (0x8a, &b"there?"[..]));
        }
        tell.send(()).expect("the client goes on until then");
        peer.end();
    });
    let mut socket = server.open();
    told.recv_timeout(LIMIT).unwrap();
    socket.send("a").unwrap();
    // Behind messages: see `ANSWERING`. Each send is a further occasion.
    let began = std::time::Instant::now();
    let mut left = 2;
    while left > 0 {
        assert!(began.elapsed() < LIMIT, "no pong came");
        socket.send("b").unwrap();
        if told.recv_timeout(ms(10)).is_ok() {
            left -= 1;
        }
    }
    assert_eq!(socket.receive().unwrap(), "nobody receives it");
}

#[test]
fn a_pong_that_was_not_asked_for_answers_nothing() {
    let server = opened(|mut peer| {
        let ping = peer.frame();
        peer.send(0x8a, &ping.payload);
        assert_eq!(peer.frame().first, 0x89);
        // RFC 6455 §5.5.3: it may come, and is no answer.
        peer.send(0x8a, b"unasked");
        peer.end();
    });
    let mut socket = server.open();
    socket.ping(LIMIT).unwrap();
    assert!(matches!(socket.ping(SHORT), Err(Error::TimedOut(Wait::Pong))));
}

#[test]
fn a_server_that_takes_nothing() {
    let (done, is_done) = mpsc::channel::<()>();
    let server = opened(move |peer| {
        // Until the test is over.
        let _ = is_done.recv();
        drop(peer);
    });
    let mut socket = server.to("/").send_timeout(SHORT).connect().unwrap();
    let error = socket.send(&vec![0; 64 << 20][..]).unwrap_err();
    assert!(matches!(error, Error::TimedOut(Wait::Send)), "{error:?}");
    drop(done);
}

#[test]
fn too_many_control_frames() {
    let server = opened(|mut peer| {
        // Far more than a second allows, although a second may end on the way.
        peer.write(&b"\x8a\x00".repeat(5000));
        peer.close_frame(1008);
    });
    let error = server.open().receive().unwrap_err();
    assert!(matches!(error, Error::Protocol(ws::Error::TooManyControlFrames)), "{error:?}");
}

#[test]
fn pongs_that_were_asked_for_are_not_too_many() {
    let server = opened(|mut peer| {
        for _ in 0..2000 {
            let ping = peer.frame();
            peer.send(0x8a, &ping.payload);
        }
        peer.end();
    });
    let mut socket = server.open();
    for _ in 0..2000 {
        socket.ping(LIMIT).unwrap();
    }
}

#[test]
fn a_message_that_stops_in_the_middle() {
    let server = opened(|mut peer| {
        peer.write(b"\x82\x0ahalf");
        assert_eq!(peer.close_frame(1008), "a message stopped in the middle");
    });
    let mut socket = server.to("/").body_timeout(SHORT).connect().unwrap();
    let error = socket.receive().unwrap_err();
    assert!(matches!(error, Error::Protocol(ws::Error::MessageTimeout)), "{error:?}");
    assert_eq!(error.close_code(), Some(1008));
}

#[test]
fn a_message_whose_rest_the_program_does_not_read_is_not_late() {
    let (goes_on, may_go_on) = mpsc::channel();
    let (sent, is_sent) = mpsc::channel();
    let server = opened(move |mut peer| {
        let ping = peer.frame();
        // Half a message, and that it is there.
        let pong = [&b"\x01\x04half\x8a\x04"[..], &ping.payload].concat();
        peer.write(&pong);
        may_go_on.recv().unwrap();
        peer.send(0x80, b" and half");
        sent.send(()).unwrap();
        peer.end();
    });
    let timeout = ms(500);
    let mut socket = server.to("/").body_timeout(timeout).connect().unwrap();
    socket.ping(LIMIT).unwrap();
    // The program does something else, for longer than the server may need.
    std::thread::sleep(timeout + SHORT);
    goes_on.send(()).unwrap();
    is_sent.recv().unwrap();
    assert_eq!(socket.receive().unwrap(), "half and half");
}
