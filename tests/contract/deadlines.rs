//! Every deadline, under a clock that the test moves: nothing before it, everything at it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oneport::{Config, Event, SendEvent, app, handler};

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
    rig.advance(seconds(74));
    rig.feed(b"G");
    rig.advance(seconds(10) - TICK);
    assert_eq!(rig.text(), "");
    assert!(rig.answer(&GET[1..]).ends_with("ok"));
    rig.advance(seconds(75) - TICK);
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

// ---- the application's answer -------------------------------------------------------------------

/// Defers every answer: a handle is kept, a timer set, or the peer not read.
fn late(how: &'static str, config: Config) -> (Rig<impl oneport::App>, Log, Handles) {
    let (log, handles) = (Log::default(), Handles::default());
    let (told, kept) = (Arc::clone(&log), Arc::clone(&handles));
    let app = app(move |_| {
        let (told, kept) = (Arc::clone(&told), Arc::clone(&kept));
        Some(handler(move |event, out| {
            told.lock().unwrap().push(format!("{event:?}"));
            match event {
                Event::HttpRequest { more_body: false, .. } | Event::WebSocketConnect => {
                    kept.lock().unwrap().push(out.handle());
                    match how {
                        "timer" => out.wake_after(seconds(1000)),
                        "pause" => out.pause(),
                        "hint" => {
                            out.send(SendEvent::HttpResponseEarlyHint { links: &[b"<a>"] })?;
                        }
                        "begin" => {
                            out.send(SendEvent::HttpResponseStart {
                                status: 200,
                                headers: &[],
                                trailers: false,
                            })?;
                        }
                        "deny" => {
                            out.send(SendEvent::WebSocketHttpResponseStart {
                                status: 401,
                                headers: &[],
                            })?;
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
            Ok(())
        }))
    });
    (Rig::with_config(app, config), log, handles)
}

type Log = Arc<Mutex<Vec<String>>>;
type Handles = Arc<Mutex<Vec<oneport::Handle>>>;

#[test]
fn an_answer_must_begin_in_time_whatever_it_waits_for() {
    for how in ["handle", "timer", "pause", "hint"] {
        let (mut rig, log, handles) = late(how, Config::default());
        rig.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nx");
        rig.advance(seconds(3));
        // It counts from the complete request.
        rig.feed(b"y");
        rig.text();
        log.lock().unwrap().clear();
        rig.advance(seconds(60) - TICK);
        assert_eq!(rig.text(), "", "{how}");
        rig.advance(TICK);
        let sent = rig.text();
        assert!(sent.starts_with("HTTP/1.1 504 ") && sent.contains("connection: close"), "{sent}");
        assert!(sent.contains("response_timeout"), "the rule is named: {sent}");
        assert_eq!(*log.lock().unwrap(), ["HttpDisconnect"], "{how}");
        assert!(!handles.lock().unwrap()[0].is_alive());
        rig.advance(seconds(2));
        assert_eq!((rig.is_open(), cause(&rig)), (false, "response-timeout"));
    }
}

#[test]
fn an_answer_that_has_begun_may_go_on_for_ever() {
    let (mut rig, _, handles) = late("begin", Config::default());
    rig.feed(GET);
    rig.advance(seconds(10_000));
    assert!(handles.lock().unwrap()[0].is_alive());
    assert_eq!(rig.text().matches("HTTP/1.1").count(), 1);
}

#[test]
fn a_request_behind_a_late_one_has_its_own_time() {
    let (mut rig, _, handles) = late("handle", Config::default());
    rig.feed(&GET.repeat(2));
    rig.advance(seconds(59));
    let first = handles.lock().unwrap().remove(0);
    first.respond(200, &[], b"first").unwrap();
    drop(first);
    rig.mail();
    assert!(rig.text().ends_with("first"));
    rig.advance(seconds(60) - TICK);
    assert_eq!(rig.text(), "");
    rig.advance(TICK);
    assert!(rig.text().starts_with("HTTP/1.1 504 "));
}

#[test]
fn the_time_of_an_answer_can_be_chosen_or_switched_off() {
    let mut config = Config::default();
    config.response_timeout = Duration::ZERO;
    let (mut rig, _, _handles) = late("handle", config.clone());
    rig.feed(GET);
    rig.advance(seconds(1_000_000));
    assert!(rig.is_open() && rig.text().is_empty());
    // Also for an end of the peer that is no disconnect.
    config.response_timeout = seconds(7);
    config.half_close = true;
    let (mut rig, log, _handles) = late("handle", config);
    rig.feed(GET);
    rig.eof();
    rig.advance(seconds(7) - TICK);
    assert!(rig.is_open() && rig.text().is_empty());
    rig.advance(TICK);
    assert!(rig.text().starts_with("HTTP/1.1 504 "));
    assert_eq!(log.lock().unwrap().last().unwrap(), "HttpDisconnect");
    assert!(!rig.is_open());
}

#[test]
fn a_handshake_without_an_answer_is_denied() {
    for how in ["handle", "timer", "pause"] {
        let (mut rig, log, _handles) = late(how, Config::default());
        rig.feed(&upgrade("/"));
        rig.advance(seconds(60) - TICK);
        assert_eq!(rig.text(), "");
        rig.advance(TICK);
        let sent = rig.text();
        assert!(sent.starts_with("HTTP/1.1 504 ") && sent.contains("response_timeout"), "{sent}");
        let end = "WebSocketDisconnect { code: 1006, reason: \"\" }";
        assert_eq!(log.lock().unwrap()[1], end);
        rig.advance(seconds(2));
        assert_eq!((rig.is_open(), cause(&rig)), (false, "response-timeout"));
    }
    let (mut rig, _, _handles) = late("deny", Config::default());
    rig.feed(&upgrade("/"));
    rig.advance(seconds(1000));
    assert!(rig.text().starts_with("HTTP/1.1 401 ") && rig.is_open(), "it has begun");
    let mut rig = open(Config::default());
    rig.advance(seconds(19));
    assert!(rig.is_open(), "an open one has no answer to give");
}
