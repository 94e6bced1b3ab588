//! Every deadline, under a clock that the test moves: nothing before it, everything at it.

use std::time::Duration;

use oneport::{Config, Event, app, handler};

use crate::rig::{Rig, frame, upgrade};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const TICK: Duration = Duration::from_millis(1);

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Answers when a request is complete; echoes messages.
fn plain() -> impl oneport::App {
    app(|_| {
        Some(handler(|event, out| {
            match event {
                Event::HttpRequest { more_body: false, .. } => {
                    out.respond(200, &[], b"ok")?;
                }
                Event::WebSocketConnect => {
                    out.accept()?;
                }
                Event::WebSocketReceive(message) => match message.as_text() {
                    Some("close") => {
                        out.close(1000, "")?;
                    }
                    Some("pause") => out.pause(),
                    _ => {
                        out.message(message)?;
                    }
                },
                _ => {}
            }
            Ok(())
        }))
    })
}

fn cause(rig: &Rig<impl oneport::App>) -> &'static str {
    rig.record.expect("the connection has ended").cause.name()
}

#[test]
fn the_first_head_is_due_from_accept_also_from_a_peer_that_says_nothing() {
    let mut rig = Rig::new(plain());
    rig.advance(seconds(10) - TICK);
    assert!(rig.is_open());
    rig.advance(TICK);
    assert!(!rig.is_open());
    assert_eq!(rig.text(), "", "nobody to answer");
}

#[test]
fn a_head_that_trickles_is_answered_with_408() {
    let mut rig = Rig::new(plain());
    for byte in &GET[..9] {
        rig.feed(&[*byte]);
        rig.advance(seconds(1));
    }
    rig.advance(seconds(1) - TICK);
    assert_eq!(rig.text(), "");
    rig.advance(TICK);
    let sent = rig.text();
    assert!(sent.starts_with("HTTP/1.1 408 ") && sent.contains("connection: close"), "{sent}");
    rig.advance(seconds(2));
    assert!(!rig.is_open(), "after a while of lingering");
}

// [9112-9.5-2]
#[test]
fn later_heads_are_due_from_their_first_byte_and_idle_time_has_its_own_limit() {
    let mut rig = Rig::new(plain());
    assert!(rig.answer(GET).ends_with("ok"));
    rig.advance(seconds(59));
    rig.feed(b"G");
    rig.advance(seconds(10) - TICK);
    assert_eq!(rig.text(), "");
    assert!(rig.answer(&GET[1..]).ends_with("ok"));
    rig.advance(seconds(60) - TICK);
    assert!(rig.is_open());
    rig.advance(TICK);
    assert_eq!((rig.is_open(), cause(&rig)), (false, "idle-timeout"));
    assert_eq!(rig.text(), "");
}

#[test]
fn a_body_that_stops_or_trickles_is_answered_with_408() {
    let post = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n";
    let mut rig = Rig::with_config(plain(), {
        let mut config = Config::default();
        config.min_body_rate = 0;
        config
    });
    rig.feed(post);
    rig.advance(seconds(29));
    rig.feed(b"x");
    rig.advance(seconds(30) - TICK);
    assert_eq!(rig.text(), "");
    rig.advance(TICK);
    assert!(rig.text().starts_with("HTTP/1.1 408 "));

    // 240 bytes per second after the first five: 100 bytes each second are too few.
    let mut rig = Rig::new(plain());
    rig.feed(post);
    let mut lived = 0;
    while rig.text().is_empty() {
        rig.feed(&[b'x'; 100]);
        rig.advance(seconds(1));
        lived += 1;
        assert!(lived < 20);
    }
    assert_eq!(lived, 5);

    // 300 are enough.
    let mut rig = Rig::new(plain());
    rig.feed(post);
    for _ in 0..100 {
        rig.feed(&[b'x'; 300]);
        rig.advance(seconds(1));
    }
    assert_eq!(rig.text(), "");
    assert!(rig.is_open());
}

#[test]
fn a_peer_that_takes_nothing_is_cut_and_one_that_takes_a_little_is_not() {
    let big = || {
        app(|_| {
            Some(handler(|event, out| {
                if let Event::HttpRequest { .. } = event {
                    out.respond(200, &[], [b'x'; 500_000])?;
                }
                Ok(())
            }))
        })
    };
    let mut rig = Rig::new(big());
    rig.peer.room = 1000;
    rig.feed(GET);
    rig.advance(seconds(30) - TICK);
    assert!(rig.is_open());
    rig.advance(TICK);
    assert_eq!((rig.is_open(), cause(&rig)), (false, "write-timeout"));

    let mut rig = Rig::new(big());
    rig.peer.room = 1000;
    rig.feed(GET);
    for _ in 0..20 {
        rig.advance(seconds(29));
        rig.drain(1);
    }
    assert!(rig.is_open());
}

fn open(config: Config) -> Rig<impl oneport::App> {
    let mut rig = Rig::with_config(plain(), config);
    assert!(rig.answer(&upgrade("/")).starts_with("HTTP/1.1 101 "));
    rig
}

#[test]
fn a_ping_goes_out_and_a_missing_pong_closes_with_1011() {
    let mut rig = open(Config::default());
    rig.advance(seconds(20) - TICK);
    assert!(rig.peer.got.is_empty());
    rig.advance(TICK);
    assert_eq!(rig.peer.got[..2], *b"\x89\x04");
    let payload = rig.peer.got[2..6].to_vec();
    rig.advance(seconds(1));
    rig.peer.got.clear();
    rig.feed(&frame(0x8a, &payload));
    rig.advance(seconds(19) - TICK);
    assert!(rig.peer.got.is_empty());
    rig.advance(TICK);
    assert_eq!(rig.peer.got[0], 0x89, "the next one");
    rig.peer.got.clear();
    // A pong with another payload is not the answer.
    rig.feed(&frame(0x8a, b"else"));
    rig.advance(seconds(20) - TICK);
    assert!(rig.peer.got.is_empty());
    rig.advance(TICK);
    assert_eq!(rig.peer.got[2..4], 1011u16.to_be_bytes());
    rig.advance(seconds(2));
    let record = rig.record.unwrap();
    assert_eq!(record.cause.name(), "ping-timeout");
    assert_eq!(record.round_trip, Some(seconds(1)));
    assert_eq!((record.code_sent, record.code_told), (Some(1011), Some(1011)));
}

#[test]
fn while_the_application_pauses_no_pong_is_missed() {
    let mut rig = open(Config::default());
    rig.feed(&frame(0x81, b"pause"));
    rig.advance(seconds(1000));
    assert!(rig.is_open());
    assert!(rig.peer.got.is_empty(), "no ping that could not be answered");
}

#[test]
fn pings_can_be_switched_off() {
    let mut config = Config::default();
    config.ping_interval = Duration::ZERO;
    let mut rig = open(config);
    rig.advance(seconds(100_000));
    assert!(rig.is_open() && rig.peer.got.is_empty());
}

#[test]
fn the_peers_close_is_due_after_ours() {
    let mut rig = open(Config::default());
    rig.feed(&frame(0x81, b"close"));
    assert_eq!(rig.peer.got, b"\x88\x02\x03\xe8");
    rig.advance(seconds(5) - TICK);
    assert!(rig.is_open());
    rig.advance(TICK);
    assert_eq!((rig.is_open(), cause(&rig)), (false, "close-timeout"));
}

#[test]
fn a_timer_wakes_the_handler_once() {
    let mut rig = Rig::new(app(|_| {
        Some(handler(|event, out| {
            match event {
                Event::HttpRequest { .. } => out.wake_after(seconds(3)),
                Event::Timer => {
                    out.respond(200, &[], b"woken")?;
                }
                _ => {}
            }
            Ok(())
        }))
    }));
    assert_eq!(rig.answer(GET), "");
    rig.advance(seconds(3) - TICK);
    assert_eq!(rig.text(), "");
    rig.advance(TICK);
    assert!(rig.text().ends_with("woken"));
}
