//! The closing handshake from either end, and its absence.

use std::sync::mpsc;

use oneport::client::{Error, Wait};
use oneport::{Event, app, handler};

use crate::support::{LIMIT, SHORT, frame, opened, serve};
use crate::talk::echo_server;

#[test]
fn code_and_reason_reach_the_server() {
    let (tell, told) = mpsc::channel();
    let server = serve(
        app(move |_| {
            let tell = tell.clone();
            Some(handler(move |event, out| {
                match event {
                    Event::WebSocketConnect => {
                        out.accept()?;
                    }
                    Event::WebSocketDisconnect { code, reason } => {
                        tell.send((code, reason.to_string()))?;
                    }
                    _ => {}
                }
                Ok(())
            }))
        }),
        |server| server,
    );
    server.to("/").connect().unwrap().close(1000, "done").unwrap();
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), (1000, "done".to_string()));
    server.to("/").connect().unwrap().close(4999, &"ü".repeat(61)).unwrap();
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), (4999, "ü".repeat(61)));
    // Dropping says "going away".
    drop(server.to("/").connect().unwrap());
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), (1001, String::new()));
    let (sender, receiver) = server.to("/").connect().unwrap().split();
    drop(receiver);
    sender.send("one half is enough").unwrap();
    drop(sender);
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), (1001, String::new()));
}

#[test]
fn a_code_that_may_not_be_sent_is_refused() {
    let server = echo_server();
    for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
        let (sender, _receiver) = server.to("/").connect().unwrap().split();
        let refused = sender.close(code, "");
        assert!(matches!(refused, Err(Error::Invalid(_))), "{code}: {refused:?}");
        // Nothing of it was sent.
        sender.ping(LIMIT).unwrap();
    }
}

#[test]
fn code_and_reason_of_the_server_are_told_and_echoed() {
    let server = opened(|mut peer| {
        peer.send(0x88, b"\x0f\xa1see you");
        assert_eq!(peer.close_frame(4001), "");
    });
    let mut socket = server.open();
    match socket.receive().unwrap_err() {
        Error::Closed { code: 4001, reason } => assert_eq!(reason, "see you"),
        other => panic!("{other:?}"),
    }
    // It stays so.
    assert_eq!(socket.receive().unwrap_err().close_code(), Some(4001));
    assert_eq!(socket.ping(LIMIT).unwrap_err().close_code(), Some(4001));
    assert_eq!(socket.send("late").unwrap_err().close_code(), Some(4001));
    socket.close(1000, "").unwrap();
}

#[test]
fn both_close_at_the_same_time() {
    let server = opened(|mut peer| {
        // As if it had been sent before the client's was seen.
        peer.close_frame(1000);
        peer.send(0x88, b"\x0f\xa1");
    });
    server.open().close(1000, "").unwrap();
}

#[test]
fn messages_that_cross_our_close_are_passed_over() {
    let server = opened(|mut peer| {
        peer.close_frame(1000);
        for _ in 0..100 {
            peer.send(0x82, &[0; 100_000]);
        }
        peer.send(0x88, b"\x03\xe8");
    });
    server.open().close(1000, "").unwrap();
}

#[test]
fn a_close_gets_through_although_nobody_received() {
    let server = opened(|mut peer| {
        let mut writer = peer.stream.try_clone().expect("a socket");
        let messages = std::thread::spawn(move || {
            for _ in 0..64 {
                std::io::Write::write_all(&mut writer, &frame(0x82, &[0; 65_536]))
                    .expect("the client takes it in the end");
            }
        });
        assert_eq!(peer.frame().first, 0x89);
        peer.close_frame(1000);
        messages.join().expect("all was sent");
        peer.send(0x88, b"\x03\xe8");
    });
    let mut socket = server.open();
    // It reads until what waits to be received is enough; the pong comes behind all of that.
    let pong = socket.ping(SHORT);
    assert!(matches!(pong, Err(Error::TimedOut(Wait::Pong))), "{pong:?}");
    socket.close(1000, "").unwrap();
}

#[test]
fn a_close_that_is_not_answered() {
    let server = opened(|mut peer| {
        peer.close_frame(1000);
        peer.end();
    });
    let socket = server.to("/").close_timeout(SHORT).connect().unwrap();
    let error = socket.close(1000, "").unwrap_err();
    assert!(matches!(error, Error::TimedOut(Wait::Close)), "{error:?}");
}

#[test]
fn a_server_that_talks_on_does_not_move_the_limit_of_the_close() {
    let server = opened(|mut peer| {
        let messages = frame(0x82, &[0; 60_000]).repeat(4);
        // Until the client has gone.
        while std::io::Write::write_all(&mut peer.stream, &messages).is_ok() {}
    });
    let socket = server.to("/").close_timeout(SHORT).connect().unwrap();
    let error = socket.close(1000, "").unwrap_err();
    assert!(matches!(error, Error::TimedOut(Wait::Close)), "{error:?}");
}

#[test]
fn a_server_that_ends_tcp_instead_of_answering_our_close() {
    let server = opened(|mut peer| {
        peer.close_frame(1000);
    });
    let error = server.open().close(1000, "").unwrap_err();
    assert!(matches!(error, Error::Broken(_)), "{error:?}");
}

#[test]
fn what_was_sent_before_the_client_is_dropped_arrives() {
    let (go, may_go) = mpsc::channel();
    let server = opened(move |mut peer| {
        may_go.recv_timeout(LIMIT).expect("the client sends first");
        for number in 0..50 {
            assert_eq!(peer.frame().payload, format!("{number}").into_bytes());
            // Nobody receives it.
            peer.send(0x82, &[0; 65_536]);
        }
        peer.close_frame(1001);
        peer.send(0x88, b"\x03\xe9");
    });
    let mut socket = server.open();
    for number in 0..50 {
        socket.send(format!("{number}").as_str()).unwrap();
    }
    go.send(()).unwrap();
    drop(socket);
}

#[test]
fn a_server_that_answers_no_close_delays_the_drop_for_so_long_only() {
    let server = opened(|mut peer| {
        peer.close_frame(1001);
        peer.end();
    });
    let began = std::time::Instant::now();
    drop(server.to("/").close_timeout(SHORT).connect().unwrap());
    assert!(began.elapsed() >= SHORT);
    let began = std::time::Instant::now();
    drop(server);
    assert!(began.elapsed() < LIMIT);
}

/// Has the last word, and a reset behind it: what the client sends is not read.
fn reset(peer: &mut crate::support::Peer, last: &[u8]) {
    peer.write(last);
    let linger = socket2::SockRef::from(&peer.stream).set_linger(Some(std::time::Duration::ZERO));
    linger.expect("it is a socket");
}

#[test]
fn a_failed_write_hides_nothing_that_had_come() {
    let (gone, has_gone) = mpsc::channel();
    let server = opened(move |mut peer| {
        let last =
            [frame(0x81, b"one"), frame(0x81, b"two"), frame(0x88, b"\x0f\xa3enough")].concat();
        reset(&mut peer, &last);
        drop(peer);
        gone.send(()).expect("the test waits");
    });
    let mut socket = server.open();
    has_gone.recv_timeout(LIMIT).unwrap();
    let sent = socket.send("late");
    assert!(matches!(sent, Err(Error::Broken(_))), "{sent:?}");
    let pong = socket.ping(LIMIT);
    assert!(matches!(pong, Err(Error::Broken(_))), "{pong:?}");
    assert_eq!(socket.receive().unwrap(), "one");
    assert_eq!(socket.receive().unwrap(), "two");
    match socket.receive().unwrap_err() {
        Error::Closed { code: 4003, reason } => assert_eq!(reason, "enough"),
        other => panic!("{other:?}"),
    }
    assert_eq!(socket.send("later").unwrap_err().close_code(), Some(4003));
}

#[test]
fn a_failed_write_without_a_close_behind_it_is_the_end() {
    let (gone, has_gone) = mpsc::channel();
    let server = opened(move |mut peer| {
        reset(&mut peer, &frame(0x81, b"one"));
        drop(peer);
        gone.send(()).expect("the test waits");
    });
    let mut socket = server.open();
    has_gone.recv_timeout(LIMIT).unwrap();
    let sent = socket.send("late");
    assert!(matches!(sent, Err(Error::Broken(_))), "{sent:?}");
    assert_eq!(socket.receive().unwrap(), "one");
    let end = socket.receive().unwrap_err();
    assert!(matches!(end, Error::Broken(_)), "{end:?}");
    assert!(matches!(socket.close(1000, ""), Err(Error::Broken(_))));
}
