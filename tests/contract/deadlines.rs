//! Every deadline, under a clock that the test moves: nothing before it, everything at it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oneport::conn::record::Cause;
use oneport::ws::{frame, mask::Keys};
use oneport::{Config, Event, Message, Scope, SendEvent, app, handler, ws};

use crate::rig::{self, Rig, upgrade};

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
    rig.feed(&rig::frame(0x8a, &payload));
    rig.advance(seconds(19) - TICK);
    assert!(rig.peer.got.is_empty());
    rig.advance(TICK);
    assert_eq!(rig.peer.got[0], 0x89, "the next one");
    rig.peer.got.clear();
    // A pong with another payload is not the answer.
    rig.feed(&rig::frame(0x8a, b"else"));
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
    rig.feed(&rig::frame(0x81, b"pause"));
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
    rig.feed(&rig::frame(0x81, b"close"));
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

// ---- a late pong, and a message that takes its time ---------------------------------------------

/// As [`open`], in either role: what it has sent so far is forgotten.
fn open_as(client: bool, config: Config) -> Rig<impl oneport::App> {
    let mut rig = Rig::with_config(plain(), config);
    if client {
        rig.become_client(Box::new(Plain), None);
    } else {
        rig.feed(&upgrade("/"));
    }
    rig.peer.got.clear();
    rig
}

/// A client whose masks change nothing.
struct Plain;

impl Keys for Plain {
    fn next_key(&mut self) -> [u8; 4] {
        [0; 4]
    }
}

/// What begins a binary message with a payload of this length, from the peer of `open_as`.
fn header(client: bool, len: usize) -> Vec<u8> {
    let mut header = Vec::new();
    frame::encode(&mut header, true, frame::Opcode::Binary, len);
    if !client {
        header[1] |= 0x80;
        header.extend_from_slice(&[0; 4]);
    }
    header
}

/// A whole frame of the peer of `open_as`, with few bytes.
fn short(client: bool, first: u8, payload: &[u8]) -> Vec<u8> {
    if !client {
        return rig::frame(first, payload);
    }
    let mut frame = vec![first, payload.len() as u8];
    frame.extend_from_slice(payload);
    frame
}

/// The pong that answers the only frame that was sent, a ping.
fn pong(client: bool, rig: &mut Rig<impl oneport::App>) {
    let sent = std::mem::take(&mut rig.peer.got);
    assert_eq!((sent[0], sent.len()), (0x89, if client { 10 } else { 6 }));
    rig.feed(&short(client, 0x8a, &sent[sent.len() - 4..]));
}

/// The code of the Close that was sent, behind whatever else.
fn closed_with(client: bool, rig: &Rig<impl oneport::App>) -> Option<u16> {
    let at = rig.peer.got.windows(2).position(|pair| pair[0] == 0x88 && pair[1] & 0x7f >= 2)?;
    let code = at + if client { 6 } else { 2 };
    rig.peer.got[code..].first_chunk().map(|code| u16::from_be_bytes(*code))
}

/// Time goes by in tenths of a second, with what happens in each, until a Close is sent: when that
/// was, and its code. `None` if none was in an hour.
fn until_closed<A: oneport::App>(
    client: bool,
    rig: &mut Rig<A>,
    mut step: impl FnMut(&mut Rig<A>, u32),
) -> Option<(Duration, u16)> {
    let tenth = Duration::from_millis(100);
    for n in 0..36_000 {
        step(rig, n);
        rig.advance(tenth);
        if let Some(code) = closed_with(client, rig) {
            assert!(rig.has_closed());
            return Some((tenth * (n + 1), code));
        }
    }
    None
}

fn without_pings() -> Config {
    let mut config = Config::default();
    config.ping_interval = Duration::ZERO;
    config
}

// The peer cannot put a pong inside of its frame.
#[test]
fn a_large_message_over_a_slow_line_arrives() {
    for client in [false, true] {
        let mut rig = open_as(client, Config::default());
        rig.feed(&header(client, 6_000_000));
        for _ in 0..600 {
            rig.advance(Duration::from_millis(100));
            assert_eq!(rig.feed(&[b'x'; 10_000]), 10_000, "at {:?}", rig.round.now);
        }
        assert!(rig.peer.got.len() > 6_000_000, "its echo");
        let ping = if client { 10 } else { 6 };
        rig.peer.got.truncate(ping);
        pong(client, &mut rig);
        rig.advance(seconds(19));
        assert!(rig.is_open() && rig.peer.got.is_empty(), "the next ping is due later");
        rig.advance(seconds(1));
        pong(client, &mut rig);
    }
}

#[test]
fn a_peer_that_stops_in_the_middle_of_a_large_message_ends() {
    for client in [false, true] {
        let mut rig = open_as(client, Config::default());
        rig.feed(&header(client, 6_000_000));
        let end = until_closed(client, &mut rig, |rig, n| {
            if n < 300 {
                rig.feed(&[b'x'; 10_000]);
            }
        });
        // The last byte came at 29.9 s: so at 40 s its peer was live, and 30 s later it is over.
        assert_eq!(end, Some((Duration::from_millis(59_900), 1008)));
    }
}

#[test]
fn a_pong_behind_what_the_system_still_sends_is_waited_for() {
    for client in [false, true] {
        let mut rig = open_as(client, Config::default());
        rig.send(Message::Binary(&[b'x'; 3_000_000]));
        rig.peer.got.clear();
        rig.peer.unacknowledged = 3_000_000;
        for _ in 0..600 {
            rig.advance(Duration::from_millis(100));
            rig.peer.unacknowledged -= 5_000;
        }
        assert_eq!(rig.peer.unacknowledged, 0);
        pong(client, &mut rig);
        rig.advance(seconds(1));
        assert!(rig.is_open());

        // One that takes no more has one time more, from when that was found.
        let mut rig = open_as(client, Config::default());
        rig.send(Message::Binary(&[b'x'; 3_000_000]));
        rig.peer.got.clear();
        rig.peer.unacknowledged = 3_000_000;
        let end = until_closed(client, &mut rig, |rig, n| {
            if n < 450 {
                rig.peer.unacknowledged -= 5_000;
            }
        });
        assert_eq!(end, Some((seconds(80), 1011)));

        // That the ping arrives shows nothing.
        let mut config = Config::default();
        config.min_body_rate = 0;
        let mut rig = open_as(client, config);
        rig.peer.unacknowledged = if client { 10 } else { 6 };
        let end = until_closed(client, &mut rig, |rig, n| {
            if n == 250 {
                rig.peer.unacknowledged = 0;
            }
        });
        assert_eq!(end, Some((seconds(40), 1011)));
    }
}

#[test]
fn the_system_is_asked_when_something_may_be_on_its_way_and_at_the_deadline() {
    let mut rig = open(Config::default());
    rig.peer.got.clear();
    rig.advance(seconds(20));
    assert_eq!(rig.peer.asked, 1, "the answer to the handshake may be");
    pong(false, &mut rig);
    rig.advance(seconds(20));
    pong(false, &mut rig);
    assert_eq!(rig.peer.asked, 1, "nothing was sent since the last ping, and that was answered");
    for _ in 0..100 {
        rig.feed(&rig::frame(0x81, b"hi"));
    }
    assert_eq!(rig.peer.asked, 1, "not for messages");
    rig.advance(seconds(20) - TICK);
    rig.peer.got.clear();
    rig.advance(TICK);
    assert_eq!(rig.peer.asked, 2);
    pong(false, &mut rig);
    rig.advance(seconds(40) - TICK);
    assert_eq!((rig.peer.asked, rig.has_closed()), (2, false));
    rig.advance(TICK);
    assert_eq!((rig.peer.asked, rig.has_closed()), (3, true));
}

#[test]
fn who_gives_no_pong_must_keep_the_rate() {
    for client in [false, true] {
        // Whole messages, which are nobody's answer: 2 bytes and more each second are not 240.
        let small = |rig: &mut Rig<_>, n| {
            if n % 10 == 0 {
                rig.peer.got.retain(|_| n % 100 == 0);
                rig.feed(&short(client, 0x8a, b"x"));
            }
        };
        let mut rig = open_as(client, Config::default());
        assert_eq!(until_closed(client, &mut rig, small), Some((seconds(40), 1011)));
        // Without a rate they are enough.
        let mut config = Config::default();
        config.min_body_rate = 0;
        let mut rig = open_as(client, config.clone());
        assert_eq!(until_closed(client, &mut rig, small), None);
        // But something must come.
        let mut rig = open_as(client, config);
        assert_eq!(until_closed(client, &mut rig, |_, _| {}), Some((seconds(40), 1011)));
        // What came before the last deadline does not help at the next.
        let mut rig = open_as(client, Config::default());
        let end = until_closed(client, &mut rig, |rig, n| {
            if n == 250 {
                rig.feed(&short(client, 0x8a, &[b'x'; 100]).repeat(1000));
            }
        });
        assert_eq!(end, Some((seconds(60), 1011)));
        // 300 bytes a second are as many as a live peer sends.
        let mut rig = open_as(client, Config::default());
        let end = until_closed(client, &mut rig, |rig, n| {
            if n % 10 == 0 {
                rig.feed(&short(client, 0x8a, &[b'x'; 100]).repeat(3));
            }
        });
        assert_eq!(end, None);
    }
}

#[test]
fn a_message_that_has_just_begun_has_its_grace_before_the_pong() {
    for (begins, end) in [(351, None), (349, Some((seconds(40), 1011)))] {
        let mut config = Config::default();
        // Slower than this it is broken off, but only after its first five seconds.
        config.min_body_rate = 100;
        let mut rig = open_as(false, config);
        let mut ping = Vec::new();
        let found = until_closed(false, &mut rig, |rig, n| {
            if n == begins {
                ping = std::mem::take(&mut rig.peer.got);
                rig.feed(&header(false, 1000));
                rig.feed(&[b'x'; 900]);
            }
            if n == 401 {
                rig.feed(&[b'x'; 100]);
                rig.feed(&rig::frame(0x8a, &ping[2..6]));
                // Its echo.
                rig.peer.got.clear();
            }
            if n > 401 && !rig.peer.got.is_empty() {
                pong(false, rig);
            }
        });
        assert_eq!(found, end, "begun at {begins}");
    }
}

#[test]
fn a_message_that_drips_or_stops_is_broken_off() {
    for client in [false, true] {
        let told = |rig: &Rig<_>| {
            let record = rig.record.expect("it has ended");
            (record.cause, record.code_sent, record.code_told)
        };
        // A byte of the payload each second, in one frame.
        let mut rig = open_as(client, without_pings());
        rig.feed(&header(client, 1000));
        let end = until_closed(client, &mut rig, |rig, n| {
            if n % 10 == 0 {
                rig.feed(b"x");
            }
        });
        assert_eq!(end, Some((seconds(5), 1008)));
        rig.advance(seconds(5));
        let cause = Cause::WebSocketFailed(ws::Error::MessageTooSlow);
        assert_eq!(told(&rig), (cause, Some(1008), Some(1008)));

        // The same in fragments, with pings between, which are no bytes of it.
        let mut rig = open_as(client, without_pings());
        rig.feed(&short(client, 0x02, b"x"));
        let end = until_closed(client, &mut rig, |rig, n| {
            rig.feed(&short(client, 0x89, &[b'x'; 100]));
            rig.peer.got.clear();
            if n % 10 == 0 {
                rig.feed(&short(client, 0x00, b"x"));
            }
        });
        assert_eq!(end, Some((seconds(5), 1008)));

        // 300 bytes a second are enough, in fragments, too: it is broken off when it stops.
        let mut rig = open_as(client, without_pings());
        rig.feed(&short(client, 0x02, b"x"));
        let end = until_closed(client, &mut rig, |rig, n| {
            if n % 10 == 0 && n <= 10_000 {
                rig.feed(&short(client, 0x00, &[b'x'; 100]).repeat(3));
            }
            if n > 10_000 {
                rig.feed(&short(client, 0x00, b""));
            }
        });
        assert_eq!(end, Some((seconds(1030), 1008)));
        rig.advance(seconds(5));
        let cause = Cause::WebSocketFailed(ws::Error::MessageTimeout);
        assert_eq!(told(&rig), (cause, Some(1008), Some(1008)));

        // Without a rate a byte in 30 s is enough.
        let mut config = without_pings();
        config.min_body_rate = 0;
        let mut rig = open_as(client, config);
        rig.feed(&header(client, 1000));
        let end = until_closed(client, &mut rig, |rig, n| {
            if n % 290 == 0 && n <= 2900 {
                rig.feed(b"x");
            }
        });
        assert_eq!(end, Some((seconds(320), 1008)));
    }
}

#[test]
fn a_piece_of_a_frame_must_go_on_too() {
    for client in [false, true] {
        let ping = short(client, 0x89, &[b'x'; 100]);
        for (what, bytes) in [("a header", header(client, 100_000)), ("a ping", ping)] {
            let mut rig = open_as(client, without_pings());
            let end = until_closed(client, &mut rig, |rig, n| {
                if n % 10 == 0 {
                    rig.feed(&bytes[n as usize / 10..][..1]);
                }
            });
            assert_eq!(end, Some((seconds(5), 1008)), "{what}, client {client}");
        }
    }
}

#[test]
fn messages_that_follow_each_other_have_each_their_own_time() {
    for client in [false, true] {
        let large = {
            let mut large = header(client, 1000);
            large.extend_from_slice(&[b'x'; 1000]);
            large
        };
        for one in [short(client, 0x82, b"message"), large] {
            // Each read ends in the middle of one: of its header, or of its payload.
            for cut in [1, one.len() - 1] {
                let mut rig = open_as(client, without_pings());
                rig.feed(&one[..cut]);
                let piece = [&one[cut..], &one[..cut]].concat();
                let end = until_closed(client, &mut rig, |rig, n| {
                    if n % 40 == 0 {
                        rig.feed(&piece);
                        rig.peer.got.clear();
                    }
                });
                assert_eq!(end, None, "cut at {cut} of {}", one.len());
            }
        }
    }
}

#[test]
fn a_message_whose_rest_is_not_read_is_not_late() {
    // Its application pauses for 25 s.
    let pausing = |_: &Scope<'_>| {
        let mut timers = 0;
        Some(handler(move |event, out| {
            match event {
                Event::WebSocketConnect => {
                    out.accept()?;
                    out.wake_after(seconds(10));
                }
                Event::Timer if timers == 0 => {
                    timers += 1;
                    out.pause();
                    out.wake_after(seconds(25));
                }
                Event::Timer => out.resume(),
                _ => {}
            }
            Ok(())
        }))
    };
    let mut rig = Rig::with_config(app(pausing), without_pings());
    rig.feed(&upgrade("/"));
    rig.peer.got.clear();
    rig.feed(&header(false, 20_000));
    rig.feed(&[b'x'; 10_000]);
    let end = until_closed(false, &mut rig, |_, _| {});
    assert_eq!(end, Some((seconds(55), 1008)));

    // The peer takes nothing for 25 s.
    for client in [false, true] {
        let mut rig = open_as(client, without_pings());
        rig.feed(&header(client, 20_000));
        rig.feed(&[b'x'; 10_000]);
        let end = until_closed(client, &mut rig, |rig, n| {
            if n == 100 {
                rig.peer.room = 0;
                rig.send(Message::Binary(&[b'x'; 100_000]));
            }
            if n == 350 {
                rig.drain(usize::MAX);
                rig.peer.got.clear();
            }
        });
        assert_eq!(end, Some((seconds(55), 1008)));
    }
}

#[test]
fn while_we_do_not_read_a_pong_is_not_late() {
    // What leaves when the peer reads again arrives, or does not.
    for (waiting, ends) in [(100_010, 65), (0, 85)] {
        let mut rig = open_as(false, Config::default());
        let end = until_closed(false, &mut rig, |rig, n| {
            if n == 250 {
                rig.peer.room = 0;
                rig.send(Message::Binary(&[b'x'; 100_000]));
            }
            if n == 500 {
                rig.drain(usize::MAX);
                rig.peer.got.clear();
                rig.peer.unacknowledged = waiting;
            }
        });
        assert_eq!(end, Some((seconds(ends), 1011)));
    }
}

#[test]
fn behind_our_close_no_message_is_late() {
    for client in [false, true] {
        let mut rig = open_as(client, without_pings());
        rig.feed(&header(client, 1000));
        rig.advance(seconds(1));
        rig.turn(|conn, _, turn| {
            conn.with_owner(turn, |out| out.close(1000, "")).expect("it is open").unwrap();
        });
        rig.advance(seconds(5));
        assert_eq!(cause(&rig), "close-timeout");
    }
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
