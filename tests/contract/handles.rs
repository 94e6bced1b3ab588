//! Handles: they answer their own scope or nobody.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oneport::{App, Event, Flow, Handle, Handler, SendError, SendEvent, app, handler};

use crate::rig::{Rig, frame, upgrade};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

type Handles = Arc<Mutex<Vec<Handle>>>;

/// Keeps a handle for every request and answers nothing.
fn deferring() -> (impl App, Handles) {
    let handles = Handles::default();
    let kept = Arc::clone(&handles);
    let app = app(move |_| {
        let kept = Arc::clone(&kept);
        Some(handler(move |event, out| {
            if let Event::HttpRequest { more_body: false, .. } = event {
                kept.lock().unwrap().push(out.handle());
            }
            Ok(())
        }))
    });
    (app, handles)
}

fn take(handles: &Handles) -> Handle {
    handles.lock().unwrap().remove(0)
}

#[test]
fn a_handle_answers_its_request_later() {
    let (app, handles) = deferring();
    let mut rig = Rig::new(app);
    assert_eq!(rig.answer(GET), "");
    let handle = take(&handles);
    assert_eq!(handle.respond(200, &[], b"late"), Ok(Flow::Ready));
    rig.mail();
    assert_eq!(rig.text(), "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate");
    assert!(!handle.is_alive());
}

#[test]
fn a_handle_kept_from_request_1_does_nothing_to_request_2() {
    let (app, handles) = deferring();
    let mut rig = Rig::new(app);
    rig.feed(GET);
    let first = take(&handles);
    first.respond(200, &[], b"one").unwrap();
    rig.mail();
    rig.feed(GET);
    let second = take(&handles);
    rig.text();
    assert_eq!(first.respond(200, &[], b"two?"), Err(SendError::Closed));
    first.resume();
    rig.mail();
    assert_eq!(rig.text(), "", "the second request is not answered by the first handle");
    second.respond(200, &[], b"two").unwrap();
    rig.mail();
    assert!(rig.text().ends_with("two"));
}

#[test]
fn an_answer_already_posted_when_its_scope_ends_misses_the_next_scope() {
    let (app, handles) = deferring();
    let mut rig = Rig::new(app);
    rig.feed(GET);
    let first = take(&handles);
    // Both are in the mailbox before the worker looks.
    first.respond(200, &[], b"one").unwrap();
    first.respond(200, &[], b"again").unwrap();
    rig.feed(GET);
    rig.mail();
    let sent = rig.text();
    assert!(sent.ends_with("one"), "{sent}");
    let second = take(&handles);
    second.respond(200, &[], b"two").unwrap();
    rig.mail();
    assert!(rig.text().ends_with("two"));
}

#[test]
fn a_handle_does_nothing_to_a_stranger_in_its_slot() {
    let (app, handles) = deferring();
    let mut rig = Rig::new(app);
    rig.feed(GET);
    let old = take(&handles);
    let posted_before = old.clone();
    posted_before.respond(200, &[], b"posted while it lived").unwrap();
    rig.connect();
    rig.feed(GET);
    rig.mail();
    assert_eq!(rig.text(), "");
    assert_eq!(old.respond(200, &[], b"for nobody"), Err(SendError::Closed));
    assert!(!old.is_alive());
    take(&handles).respond(200, &[], b"for the stranger").unwrap();
    rig.mail();
    assert!(rig.text().ends_with("for the stranger"));
}

#[test]
fn the_last_handle_dropped_without_an_answer_gives_500() {
    let (app, handles) = deferring();
    let mut rig = Rig::new(app);
    rig.feed(GET);
    let one = take(&handles);
    let two = one.clone();
    drop(one);
    rig.mail();
    assert_eq!(rig.text(), "", "one is left");
    drop(two);
    rig.mail();
    assert!(rig.text().starts_with("HTTP/1.1 500 "));
    // The connection lives on.
    rig.feed(GET);
    take(&handles).respond(200, &[], b"next").unwrap();
    rig.mail();
    assert!(rig.text().ends_with("next"));
}

#[test]
fn a_handle_dropped_right_after_its_answer_is_no_500() {
    let (app, handles) = deferring();
    let mut rig = Rig::new(app);
    rig.feed(GET);
    {
        let handle = take(&handles);
        handle
            .send(SendEvent::HttpResponseStart { status: 200, headers: &[], trailers: false })
            .unwrap();
        handle.send(SendEvent::HttpResponseBody { body: b"a", more_body: true }).unwrap();
        handle.send(SendEvent::HttpResponseBody { body: b"b", more_body: false }).unwrap();
    }
    rig.mail();
    let sent = rig.text();
    assert!(sent.starts_with("HTTP/1.1 200 ") && sent.ends_with("1\r\nb\r\n0\r\n\r\n"), "{sent}");
}

#[test]
fn a_handle_dropped_and_taken_again_in_one_callback_is_no_500() {
    let kept = Handles::default();
    let keep = Arc::clone(&kept);
    let app = app(move |_| {
        let keep = Arc::clone(&keep);
        Some(handler(move |event, out| {
            if let Event::HttpRequest { .. } = event {
                drop(out.handle());
                keep.lock().unwrap().push(out.handle());
            }
            Ok(())
        }))
    });
    let mut rig = Rig::new(app);
    rig.feed(GET);
    assert!(rig.mail() > 0, "the drop was posted");
    assert_eq!(rig.text(), "", "but there is a new one");
    take(&kept).respond(200, &[], b"ok").unwrap();
    rig.mail();
    assert!(rig.text().ends_with("ok"));
}

#[test]
fn a_deferred_answer_keeps_pipelined_order() {
    let kept = Handles::default();
    let keep = Arc::clone(&kept);
    let app = app(move |scope| {
        let keep = Arc::clone(&keep);
        let path = scope.path().to_string();
        Some(handler(move |event, out| {
            if let Event::HttpRequest { more_body: false, .. } = event {
                if path == "/late" {
                    keep.lock().unwrap().push(out.handle());
                } else {
                    out.respond(200, &[], path.as_bytes())?;
                }
            }
            Ok(())
        }))
    });
    let mut rig = Rig::new(app);
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    let all = request("/1") + &request("/late") + &request("/3") + &request("/4");
    rig.feed(all.as_bytes());
    let sent = rig.text();
    assert!(sent.ends_with("/1"), "{sent}");
    take(&kept).respond(200, &[], b"/late").unwrap();
    rig.mail();
    let bodies: Vec<_> = rig
        .text()
        .split("HTTP/1.1 200 OK\r\n")
        .filter_map(|answer| answer.split("\r\n\r\n").nth(1).map(str::to_string))
        .collect();
    assert_eq!(bodies, ["/late", "/3", "/4"]);
}

#[test]
fn what_waits_behind_a_deferred_answer_is_bounded() {
    let (app, _handles) = deferring();
    let mut rig = Rig::new(app);
    let mut flood = Vec::new();
    while flood.len() < 1 << 20 {
        flood.extend_from_slice(GET);
    }
    let read = rig.feed(&flood);
    assert!(read < 200 * 1024, "{read} bytes were read ahead");
    assert!(rig.conn().bytes_held() < 400 * 1024);
}

#[test]
fn a_sender_that_ignores_full_is_cut_off_at_the_hard_limit_and_told() {
    let kept = Handles::default();
    let told = Arc::new(Mutex::new(Vec::new()));
    let (keep, tell) = (Arc::clone(&kept), Arc::clone(&told));
    let app = app(move |_| {
        let (keep, tell) = (Arc::clone(&keep), Arc::clone(&tell));
        Some(handler(move |event, out| {
            match event {
                Event::WebSocketConnect => {
                    out.accept()?;
                    keep.lock().unwrap().push(out.handle());
                }
                Event::WebSocketDisconnect { code, .. } => tell.lock().unwrap().push(code),
                _ => {}
            }
            Ok(())
        }))
    });
    let mut rig = Rig::new(app);
    rig.feed(&upgrade("/"));
    let handle = take(&kept);
    rig.peer.room = 0;
    let message = [0u8; 10_000];
    let mut sent = 0;
    let mut full = 0;
    while let Ok(flow) = handle.message(&message[..]) {
        sent += message.len();
        full += usize::from(flow == Flow::Full);
        assert!(sent < 2 << 20, "the hard limit is 1 MiB");
    }
    assert!(full > 0 && sent > 1 << 20);
    rig.mail();
    assert!(!rig.is_open());
    assert_eq!(rig.record.unwrap().cause.name(), "overrun");
    assert_eq!(*told.lock().unwrap(), [1006]);
    assert!(!handle.is_alive());
}

#[test]
fn exactly_one_drain_follows_full_also_for_a_handle() {
    let kept = Handles::default();
    let drains = Arc::new(Mutex::new(0));
    let (keep, count) = (Arc::clone(&kept), Arc::clone(&drains));
    let app = app(move |_| {
        let (keep, count) = (Arc::clone(&keep), Arc::clone(&count));
        Some(handler(move |event, out| {
            match event {
                Event::WebSocketConnect => {
                    out.accept()?;
                    keep.lock().unwrap().push(out.handle());
                }
                Event::Drain => *count.lock().unwrap() += 1,
                _ => {}
            }
            Ok(())
        }))
    });
    let mut rig = Rig::new(app);
    rig.feed(&upgrade("/"));
    let handle = take(&kept);
    // The peer takes everything at once: the output itself is never full, and still the handle
    // was told Full while its messages were in the mailbox.
    let mut full = false;
    for _ in 0..10 {
        full |= handle.message(&[0u8; 10_000][..]).unwrap() == Flow::Full;
    }
    assert!(full);
    rig.mail();
    assert_eq!(*drains.lock().unwrap(), 1);
    // Now the peer stops reading.
    rig.peer.room = 0;
    for _ in 0..10 {
        handle.message(&[0u8; 10_000][..]).unwrap();
    }
    rig.mail();
    assert_eq!(*drains.lock().unwrap(), 1);
    rig.drain(50_000);
    assert_eq!(*drains.lock().unwrap(), 1, "not below the low-water mark yet");
    rig.drain(usize::MAX);
    assert_eq!(*drains.lock().unwrap(), 2);
    rig.advance(Duration::from_secs(1));
    rig.feed(&frame(0x81, b"x"));
    assert_eq!(*drains.lock().unwrap(), 2, "exactly one");
}

#[test]
fn a_handle_accepts_later_and_hasty_frames_are_not_lost() {
    let kept = Handles::default();
    let keep = Arc::clone(&kept);
    let app = app(move |_| {
        let keep = Arc::clone(&keep);
        Some(handler(move |event, out| {
            match event {
                Event::WebSocketConnect => keep.lock().unwrap().push(out.handle()),
                Event::WebSocketReceive(message) => {
                    out.message(message)?;
                }
                _ => {}
            }
            Ok(())
        }))
    });
    let mut rig = Rig::new(app);
    let mut bytes = upgrade("/");
    bytes.extend_from_slice(&frame(0x81, b"hasty"));
    assert_eq!(rig.answer(&bytes), "");
    take(&kept).accept().unwrap();
    rig.mail();
    let sent = rig.text();
    assert!(
        sent.starts_with("HTTP/1.1 101 ") && sent.ends_with("\r\n\r\n\u{fffd}\u{5}hasty"),
        "{sent:?}"
    );
}

#[test]
fn a_handler_that_is_dropped_with_a_panic_does_not_hurt_the_worker() {
    struct Nasty;
    impl Drop for Nasty {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("dropped");
            }
        }
    }
    impl Handler for Nasty {
        fn receive(
            &mut self,
            event: Event<'_>,
            out: &mut oneport::Outbox<'_>,
        ) -> Result<(), oneport::AppError> {
            if let Event::HttpRequest { .. } = event {
                out.respond(200, &[], b"ok")?;
            }
            Ok(())
        }
    }
    let mut rig = Rig::new(app(|_| Some(Nasty)));
    for _ in 0..3 {
        assert!(rig.answer(GET).ends_with("ok"));
    }
}

/// However often a thread asks, one request of a kind waits in the mailbox.
#[test]
fn what_handles_ask_for_without_end_waits_once() {
    let (app, handles) = deferring();
    let mut rig = Rig::new(app);
    rig.feed(GET);
    let handle = take(&handles);
    for _ in 0..1000 {
        handle.resume();
    }
    assert_eq!(rig.mail(), 1, "one resume");
    handle.resume();
    assert_eq!(rig.mail(), 1, "and one again when that was done");
    // Far beyond the hard limit: each further send would abort the connection once more.
    let start = SendEvent::HttpResponseStart { status: 200, headers: &[], trailers: false };
    handle.send(start).unwrap();
    handle.send(SendEvent::HttpResponseBody { body: &[b'x'; 3 << 20], more_body: true }).unwrap();
    for _ in 0..1000 {
        let refused = handle.send(SendEvent::HttpResponseBody { body: b"y", more_body: true });
        assert_eq!(refused, Err(SendError::Closed));
    }
    assert_eq!(rig.mail(), 3, "two events and one abort");
}
