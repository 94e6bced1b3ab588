//! WebSocket scopes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oneport::conn::Delivered;
use oneport::{Config, Event, Flow, SendError, app, handler};

use crate::rig::{Rig, frame, publication, upgrade};

type Log = Arc<Mutex<Vec<String>>>;

/// Echoes, and logs what it is told.
fn echo(log: &Log) -> impl oneport::App + use<> {
    let log = Arc::clone(log);
    app(move |_| {
        let log = Arc::clone(&log);
        Some(handler(move |event, out| {
            log.lock().unwrap().push(match &event {
                Event::WebSocketDisconnect { code, reason } => {
                    format!("disconnect {code} {reason}")
                }
                other => other.name().to_string(),
            });
            match event {
                Event::WebSocketConnect => {
                    out.accept()?;
                }
                Event::WebSocketReceive(message) => match message.as_text() {
                    Some("panic") => panic!("asked to"),
                    Some("fail") => return Err("asked to".into()),
                    Some("close") => {
                        out.close(4000, "asked to")?;
                    }
                    _ => {
                        if out.message(message)? == Flow::Full {
                            out.pause();
                        }
                    }
                },
                Event::Drain => out.resume(),
                _ => {}
            }
            Ok(())
        }))
    })
}

fn open(log: &Log) -> Rig<impl oneport::App + use<>> {
    let mut rig = Rig::new(echo(log));
    assert!(rig.answer(&upgrade("/")).starts_with("HTTP/1.1 101 "));
    rig.peer.writes = 0;
    rig
}

fn told(log: &Log) -> Vec<String> {
    std::mem::take(&mut *log.lock().unwrap())
}

#[test]
fn messages_of_one_read_are_echoed_in_one_write() {
    let log = Log::default();
    let mut rig = open(&log);
    rig.feed(&frame(0x81, b"hello").repeat(16));
    assert_eq!(rig.peer.got, b"\x81\x05hello".repeat(16));
    assert_eq!(rig.peer.writes, 1);
    assert_eq!(rig.conn().bytes_held(), 0, "an idle connection owns no buffer");
}

// [6455-5.5.1-3] [6455-5.5.1-5] [6455-5.5.1-6] [6455-7.1.1-3]
#[test]
fn the_exchange_is_the_same_byte_by_byte_and_split_at_every_position() {
    let mut bytes = upgrade("/");
    for payload in [&b""[..], b"a", &[b'x'; 126], &[b'y'; 300]] {
        bytes.extend_from_slice(&frame(0x81, payload));
    }
    bytes.extend_from_slice(&frame(0x01, b"frag"));
    bytes.extend_from_slice(&frame(0x89, b"ping"));
    bytes.extend_from_slice(&frame(0x80, b"ment"));
    bytes.extend_from_slice(&frame(0x88, b"\x03\xe8bye"));
    let run = |cuts: &[usize]| {
        let log = Log::default();
        let mut rig = Rig::new(echo(&log));
        let mut from = 0;
        for &cut in cuts.iter().chain([&bytes.len()]) {
            rig.feed(&bytes[from..cut]);
            from = cut;
        }
        (std::mem::take(&mut rig.peer.got), told(&log), rig.has_closed())
    };
    let whole = run(&[]);
    assert!(whole.0.ends_with(b"\x8a\x04ping\x81\x08fragment\x88\x02\x03\xe8"));
    assert_eq!(whole.1.last().unwrap(), "disconnect 1000 bye");
    assert!(whole.2, "the server closes first");
    assert_eq!(run(&(1..bytes.len()).collect::<Vec<_>>()), whole, "byte by byte");
    for cut in 1..bytes.len() {
        assert_eq!(run(&[cut]), whole, "split at {cut}");
    }
}

#[test]
fn a_16_mib_echo_to_a_slow_reader_arrives_whole_and_costs_that_message() {
    const SIZE: usize = 16 << 20;
    let log = Log::default();
    let mut rig = open(&log);
    let payload: Vec<u8> = (0..SIZE).map(|i| (i / 7) as u8).collect();
    let message = frame(0x82, &payload);
    rig.peer.room = 0;
    let mut most = 0;
    for piece in message.chunks(50_000) {
        assert_eq!(rig.feed(piece), piece.len());
        most = most.max(rig.conn().bytes_held());
    }
    assert!(most <= 2 * SIZE + (4 << 20), "{most} B while it arrived");
    let held = rig.conn().bytes_held();
    assert!(held <= SIZE + (1 << 20), "{held} B for the unsent message");
    // While it is being sent nothing more is read, so nothing more piles up.
    assert_eq!(rig.feed(&frame(0x81, b"next")), 0);
    let mut got = Vec::new();
    while rig.conn().queued() > 0 {
        rig.drain(777_777);
        got.append(&mut rig.peer.got);
        assert!(rig.conn().bytes_held() <= held);
    }
    assert_eq!(got.len(), SIZE + 10);
    assert!(got[10..] == payload[..]);
    assert_eq!(rig.conn().bytes_held(), 0, "the memory is given back");
    rig.peer.room = usize::MAX;
    rig.feed(&frame(0x81, b"next"));
    assert_eq!(rig.peer.got, b"\x81\x04next");
}

#[test]
fn a_panic_or_an_error_closes_with_1011_and_the_worker_serves_on() {
    let log = Log::default();
    for text in ["panic", "fail"] {
        let mut rig = open(&log);
        rig.feed(&frame(0x81, text.as_bytes()));
        assert_eq!(&rig.peer.got[2..4], 1011u16.to_be_bytes(), "{text}");
        assert_eq!(told(&log).last().unwrap(), "disconnect 1011 ");
        rig.connect();
        assert!(rig.answer(&upgrade("/")).starts_with("HTTP/1.1 101 "));
        told(&log);
    }
}

#[test]
fn an_error_in_the_connect_event_takes_the_accept_back() {
    let mut rig = Rig::new(app(|_| {
        Some(handler(|event, out| {
            if let Event::WebSocketConnect = event {
                out.accept()?;
                out.join("room")?;
                out.message("hello")?;
                return Err("too early to be happy".into());
            }
            Ok(())
        }))
    }));
    let sent = rig.answer(&upgrade("/"));
    assert!(sent.starts_with("HTTP/1.1 500 ") && !sent.contains("101"), "{sent}");
    assert!(rig.kit.effects.is_empty(), "and the join with it");
}

#[test]
fn a_publish_to_a_peer_that_stopped_reading_neither_blocks_nor_grows_past_the_limit() {
    let log = Log::default();
    let mut rig = open(&log);
    rig.peer.room = 0;
    let publication = publication(&"x".repeat(1000));
    let mut outcomes = [0, 0];
    for _ in 0..1000 {
        match rig.publish_to_it(&publication) {
            Some(Delivered::Queued) => outcomes[0] += 1,
            Some(Delivered::Full) => outcomes[1] += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(outcomes[0] >= 60 && outcomes[0] <= 70, "{outcomes:?}");
    assert!(outcomes[1] >= 930);
    assert!(rig.conn().queued() <= 64 * 1024 + 2000);
    // One Arc, many references: the queue holds no copies of large frames.
    rig.drain(usize::MAX);
    assert_eq!(rig.peer.got.len(), outcomes[0] * 1004);
}

#[test]
fn a_send_behind_a_publication_past_the_hard_limit_is_closed() {
    let mut config = Config::default();
    (config.high_water, config.low_water, config.hard_limit) = (2000, 500, 6000);
    for (published, expected) in [(9000, Err(SendError::Closed)), (5000, Ok(Flow::Full))] {
        let sent = Arc::new(Mutex::new(None));
        let noted = Arc::clone(&sent);
        let app = app(move |_| {
            let noted = Arc::clone(&noted);
            Some(handler(move |event, out| {
                match event {
                    Event::WebSocketConnect => {
                        out.accept()?;
                        out.wake_after(Duration::from_secs(1));
                    }
                    Event::Timer => *noted.lock().unwrap() = Some(out.message("tick")),
                    _ => {}
                }
                Ok(())
            }))
        });
        let mut rig = Rig::with_config(app, config.clone());
        rig.feed(&upgrade("/"));
        rig.peer.room = 0;
        let queued = rig.publish_to_it(&publication(&"x".repeat(published)));
        assert_eq!(queued, Some(Delivered::Queued));
        rig.advance(Duration::from_secs(1));
        assert_eq!(sent.lock().unwrap().take(), Some(expected), "{published} bytes");
    }
}

#[test]
fn every_handler_is_told_its_end_exactly_once() {
    let end = |how: &dyn Fn(&mut Rig<_>)| {
        let log = Log::default();
        let mut rig = open(&log);
        how(&mut rig);
        rig.end();
        let ends: Vec<_> =
            told(&log).into_iter().filter(|line| line.starts_with("disconnect")).collect();
        assert_eq!(ends.len(), 1, "{ends:?}");
        ends.into_iter().next().unwrap()
    };
    assert_eq!(end(&|rig| _ = rig.feed(&frame(0x88, b"\x0f\xa1moving"))), "disconnect 4001 moving");
    assert_eq!(end(&|rig| _ = rig.feed(&frame(0x88, b""))), "disconnect 1005 ");
    assert_eq!(end(&|rig| rig.eof()), "disconnect 1006 ");
    assert_eq!(end(&|_| {}), "disconnect 1006 ");
    assert_eq!(end(&|rig| _ = rig.feed(b"\x81\x00")), "disconnect 1002 ");
    assert_eq!(end(&|rig| _ = rig.feed(&frame(0x81, b"\xff"))), "disconnect 1007 ");
    assert_eq!(end(&|rig| _ = rig.feed(&frame(0x81, b"fail"))), "disconnect 1011 ");
    assert_eq!(end(&|rig| _ = rig.feed(&frame(0x81, b"close"))), "disconnect 4000 ");
    assert_eq!(
        end(&|rig| {
            rig.feed(&frame(0x81, b"close"));
            rig.feed(&frame(0x81, b"still talking"));
            rig.feed(&frame(0x88, b"\x0f\xa0"));
        }),
        "disconnect 4000 "
    );
    assert_eq!(
        end(&|rig| {
            rig.shutdown();
            rig.feed(&frame(0x88, b"\x03\xe9"));
        }),
        "disconnect 1001 "
    );
    assert_eq!(
        end(&|rig| {
            rig.peer.error = Some(std::io::ErrorKind::BrokenPipe);
            rig.feed(&frame(0x81, b"x"));
        }),
        "disconnect 1006 "
    );
}

#[test]
fn a_peer_that_leaves_before_the_accept_gets_no_101() {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let log = Log::default();
    let (keep, seen) = (Arc::clone(&kept), Arc::clone(&log));
    let mut rig = Rig::new(app(move |_| {
        let (keep, seen) = (Arc::clone(&keep), Arc::clone(&seen));
        Some(handler(move |event, out| {
            match event {
                Event::WebSocketConnect => keep.lock().unwrap().push(out.handle()),
                Event::WebSocketDisconnect { code, .. } => {
                    seen.lock().unwrap().push(code.to_string())
                }
                _ => {}
            }
            Ok(())
        }))
    }));
    rig.feed(&upgrade("/"));
    rig.eof();
    let handle = kept.lock().unwrap().pop().unwrap();
    assert!(handle.accept().is_err());
    rig.mail();
    assert_eq!(rig.text(), "");
    assert_eq!(told(&log), ["1006"]);
}

// [6455-10.4-1]
#[test]
fn a_million_empty_fragments_and_a_ping_flood_are_stopped() {
    let log = Log::default();
    let mut rig = open(&log);
    rig.feed(&frame(0x01, b""));
    let empty = frame(0x00, b"").repeat(1000);
    let mut fed = 0;
    while rig.is_open() && fed < 1_000_000 {
        rig.feed(&empty);
        fed += 1000;
        if rig.is_open() {
            assert!(rig.conn().bytes_held() < 256 * 1024);
            assert!(rig.conn().wants_read(&rig.round.config));
            if told(&log).iter().any(|line| line.starts_with("disconnect")) {
                break;
            }
        }
    }
    assert!(fed > 65_536 && fed < 200_000, "{fed}");

    let log = Log::default();
    let mut rig = open(&log);
    rig.feed(&frame(0x89, b"x").repeat(1000));
    assert!(!told(&log).iter().any(|line| line.starts_with("disconnect")));
    rig.feed(&frame(0x89, b"x"));
    assert_eq!(told(&log).last().unwrap(), "disconnect 1008 ");
}

// [6455-5.5.2-2]
#[test]
fn a_pong_waits_behind_at_most_one_data_frame() {
    let log = Log::default();
    let mut rig = open(&log);
    rig.peer.room = 1000;
    // Echoes of 20 × 3 KB: the first is half sent when the peer stops reading.
    rig.feed(&frame(0x82, &[7; 3000]).repeat(20));
    let queued = rig.conn().queued();
    assert!(queued > 50_000, "{queued}");
    rig.feed(&frame(0x89, b"there?"));
    rig.drain(usize::MAX);
    let got = &rig.peer.got;
    let pong = got.windows(8).position(|bytes| bytes == b"\x8a\x06there?").expect("a pong came");
    assert_eq!(pong, 3004, "right behind the frame that was being sent");
    assert_eq!(got.len(), 20 * 3004 + 8, "and nothing was lost");
}

#[test]
fn a_peer_that_ends_in_the_middle_of_a_frame_is_told_1006_and_its_bytes_are_given_back() {
    let log = Log::default();
    let mut rig = open(&log);
    let message = frame(0x82, &[1; 100_000]);
    rig.feed(&message[..60_000]);
    assert!(rig.conn().bytes_held() >= 59_000);
    rig.eof();
    assert!(!rig.is_open());
    assert_eq!(told(&log).last().unwrap(), "disconnect 1006 ");
    assert_eq!(rig.record.unwrap().cause.name(), "peer-vanished");
}
