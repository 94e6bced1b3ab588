//! Behind a closing handshake: who still sends, who does not end, and a server that is ending.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oneport::{App, Event, app, handler};

use crate::rig::{Rig, frame, upgrade};

type Log = Arc<Mutex<Vec<String>>>;

const CLOSE: &[u8] = b"\x03\xe8";

/// Closes when it is told to; logs what it is told.
fn open(log: &Log) -> Rig<impl App + use<>> {
    let log = Arc::clone(log);
    let mut rig = Rig::new(app(move |_| {
        let log = Arc::clone(&log);
        Some(handler(move |event, out| {
            log.lock().unwrap().push(match &event {
                Event::WebSocketDisconnect { code, .. } => format!("disconnect {code}"),
                other => other.name().to_string(),
            });
            match event {
                Event::WebSocketConnect => drop(out.accept()?),
                Event::WebSocketReceive(_) => drop(out.close(4000, "")?),
                _ => {}
            }
            Ok(())
        }))
    }));
    assert!(rig.answer(&upgrade("/")).starts_with("HTTP/1.1 101 "));
    rig
}

/// How the two ends close: the peer first, or the application.
fn close(rig: &mut Rig<impl App>, by_app: bool) {
    if by_app {
        rig.feed(&frame(0x81, b"close"));
    }
    rig.feed(&frame(0x88, CLOSE));
    let ours: &[u8] = if by_app { b"\x88\x02\x0f\xa0" } else { b"\x88\x02\x03\xe8" };
    assert_eq!(rig.peer.got, ours);
}

fn causes(by_app: bool) -> (&'static str, Option<u16>, Option<u16>) {
    if by_app {
        ("app-closed", Some(4000), Some(4000))
    } else {
        ("peer-closed", Some(1000), Some(1000))
    }
}

fn record(rig: &Rig<impl App>) -> (&'static str, Option<u16>, Option<u16>) {
    let record = rig.record.as_ref().expect("the connection has ended");
    (record.cause.name(), record.code_sent, record.code_told)
}

// [6455-5.5.1-6] [6455-7.1.1-1] [6455-7.1.1-2] [6455-7.1.1-3]
#[test]
fn the_fin_leaves_at_once_and_what_still_comes_is_dropped() {
    for by_app in [false, true] {
        let log = Log::default();
        let mut rig = open(&log);
        close(&mut rig, by_app);
        assert!(rig.has_closed(), "with the Close, not later");
        let sent = rig.peer.got.len();
        let told = log.lock().unwrap().len();
        for late in [frame(0x81, b"late"), frame(0x89, b"ping"), frame(0x88, CLOSE), vec![0xff; 99]]
        {
            assert_eq!(rig.feed(&late), late.len(), "it is read, so that no reset answers it");
        }
        assert_eq!((rig.peer.got.len(), log.lock().unwrap().len()), (sent, told));
        rig.eof();
        assert!(!rig.is_open());
        assert_eq!(record(&rig), causes(by_app));
    }
}

// [6455-7.1.1-1]
#[test]
fn a_peer_that_does_not_end_is_dropped_after_two_seconds_or_a_mebibyte() {
    for by_app in [false, true] {
        let mut rig = open(&Log::default());
        close(&mut rig, by_app);
        rig.advance(Duration::from_millis(1999));
        assert!(rig.is_open());
        rig.advance(Duration::from_millis(1));
        assert!(!rig.is_open());
        assert_eq!(record(&rig), causes(by_app));

        let mut rig = open(&Log::default());
        close(&mut rig, by_app);
        assert_eq!(rig.feed(&vec![0; 1 << 20]), 1 << 20);
        assert!(rig.is_open());
        rig.feed(b"x");
        assert!(!rig.is_open());
        assert_eq!(record(&rig), causes(by_app));
    }
}

#[test]
fn a_peer_that_ended_already_is_not_waited_for() {
    let mut rig = open(&Log::default());
    rig.peer.room = 0;
    rig.feed(&frame(0x88, CLOSE));
    rig.eof();
    assert!(rig.is_open(), "the Close is still to leave");
    rig.drain(usize::MAX);
    assert!(!rig.is_open());
    assert_eq!(record(&rig), causes(false));
}

#[test]
fn nothing_is_held_for_a_message_that_cannot_come() {
    let mut rig = open(&Log::default());
    rig.feed(&frame(0x02, &[7; 100_000]));
    assert!(rig.conn().bytes_held() >= 100_000);
    close(&mut rig, false);
    assert_eq!(rig.conn().bytes_held(), 0);
}

#[test]
fn a_server_that_is_ending_does_not_wait_for_peers_whose_handshake_is_through() {
    for by_app in [false, true] {
        let mut rig = open(&Log::default());
        close(&mut rig, by_app);
        rig.shutdown();
        assert!(!rig.is_open());
        assert_eq!(record(&rig), causes(by_app));
    }
    // The Close waits for the peer to read: it is sent, and that is all.
    let mut rig = open(&Log::default());
    rig.peer.room = 0;
    rig.feed(&frame(0x88, CLOSE));
    rig.shutdown();
    assert!(rig.is_open());
    rig.drain(usize::MAX);
    assert!(!rig.is_open());
    assert_eq!(rig.peer.got, b"\x88\x02\x03\xe8");
    // The handshake that the end itself began.
    let mut rig = open(&Log::default());
    rig.shutdown();
    assert_eq!(&rig.peer.got[2..4], 1001u16.to_be_bytes());
    rig.feed(&frame(0x88, b"\x03\xe9"));
    assert!(!rig.is_open());
    assert_eq!(record(&rig), ("shutdown", Some(1001), Some(1001)));
}

// [6455-5.5.2-1]
#[test]
fn a_ping_is_answered_until_the_peer_closed() {
    let mut rig = open(&Log::default());
    rig.feed(&frame(0x81, b"close"));
    rig.feed(&frame(0x89, b"there?"));
    rig.feed(&[frame(0x89, b"still?"), frame(0x88, CLOSE), frame(0x89, b"now?")].concat());
    let close = b"\x88\x02\x0f\xa0".as_slice();
    assert_eq!(rig.peer.got, [close, b"\x8a\x06there?", b"\x8a\x06still?"].concat());
}
