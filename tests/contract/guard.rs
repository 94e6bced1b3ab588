//! Everything of an application that can run may panic: the connection's scope ends, nothing else.
//!
//! Panics here are raised without the panic hook, which would print each.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oneport::{App, AppError, Event, Handle, Handler, Invalid, SendError, SendEvent, State};
use oneport::{app, boxed};

use crate::clauses::logged;
use crate::rig::{Rig, frame, upgrade};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// A value that counts its drop and panics in it.
struct Bomb(Arc<AtomicUsize>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        resume_unwind(Box::new("a bomb"));
    }
}

fn bombs() -> (impl Fn() -> Bomb + Clone, Arc<AtomicUsize>) {
    let dropped = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&dropped);
    (move || Bomb(Arc::clone(&counter)), dropped)
}

/// An error that says this, if it gets that far.
struct Mine {
    says: fn(&mut fmt::Formatter<'_>) -> fmt::Result,
    _bomb: Option<Bomb>,
}

impl fmt::Display for Mine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.says)(f)
    }
}

impl fmt::Debug for Mine {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        resume_unwind(Box::new("nobody asks for this"))
    }
}

impl std::error::Error for Mine {}

fn blows_up(_: &mut fmt::Formatter<'_>) -> fmt::Result {
    resume_unwind(Box::new("in Display"))
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or(answer)
}

#[test]
fn an_error_may_panic_when_it_is_printed_and_when_it_is_dropped() {
    let (bomb, dropped) = bombs();
    let mut rig = Rig::new(app(move |scope| -> Option<Box<dyn Handler>> {
        let bomb = bomb.clone();
        let path = scope.path().to_string();
        Some(boxed(move |event, out| {
            let mine: AppError = Box::new(Mine { says: blows_up, _bomb: Some(bomb()) });
            match (event, path.as_str()) {
                (Event::HttpRequest { more_body: false, .. }, "/") => Err(mine),
                (Event::HttpRequest { more_body: false, .. }, "/late") => {
                    std::mem::forget(mine);
                    out.wake_after(Duration::from_secs(1));
                    Ok(())
                }
                (Event::WebSocketConnect, _) => {
                    std::mem::forget(mine);
                    out.accept()?;
                    Ok(())
                }
                (Event::Timer | Event::WebSocketReceive(_) | Event::HttpDisconnect, _) => Err(mine),
                _ => {
                    std::mem::forget(mine);
                    Ok(())
                }
            }
        }))
    }));
    let lines = logged::during(|| {
        // At once, with a body, later, at the end; then a message that is whole, and one in parts.
        assert_eq!(status(&rig.answer(GET)), "500");
        rig.connect();
        let post = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx";
        assert_eq!(status(&rig.answer(post)), "500");
        rig.connect();
        assert_eq!(rig.answer(b"GET /late HTTP/1.1\r\nHost: h\r\n\r\n"), "");
        rig.advance(Duration::from_secs(2));
        assert_eq!(status(&rig.text()), "500");
        rig.connect();
        rig.answer(b"GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
        rig.eof();
        for pieces in [vec![frame(0x81, b"m")], vec![frame(0x01, b"m"), frame(0x80, b"m")]] {
            rig.connect();
            rig.answer(&upgrade("/"));
            rig.peer.got.clear();
            rig.feed(&pieces.concat());
            assert_eq!(&rig.peer.got[2..4], 1011u16.to_be_bytes());
        }
    });
    assert_eq!(dropped.load(Ordering::SeqCst), 6);
    let failed = lines.iter().filter(|line| line.contains("(it panicked while it was printed)"));
    assert_eq!(failed.count(), 6, "{lines:?}");
}

#[test]
fn an_error_is_one_line_of_the_log_without_control_characters() {
    let mut rig = Rig::new(app(|_| -> Option<Box<dyn Handler>> {
        Some(boxed(|event, _| match event {
            Event::HttpRequest { .. } => Err("two\nlines\x1b[2J".into()),
            _ => Ok(()),
        }))
    }));
    let lines = logged::during(|| _ = rig.answer(GET));
    let line = "the handler failed on http.request: two\\nlines\\x1b[2J";
    assert!(lines.iter().any(|logged| logged == line), "{lines:?}");
}

/// Gives a handle of each scope to the test.
fn handles() -> (impl App, Arc<Mutex<Vec<Handle>>>) {
    let handles: Arc<Mutex<Vec<Handle>>> = Arc::default();
    let kept = Arc::clone(&handles);
    let app = app(move |_| -> Option<Box<dyn Handler>> {
        let kept = Arc::clone(&kept);
        Some(boxed(move |event, out| {
            match event {
                Event::HttpRequest { .. } => kept.lock().unwrap().push(out.handle()),
                Event::WebSocketConnect => {
                    out.accept()?;
                    kept.lock().unwrap().push(out.handle());
                }
                // The value is dropped here.
                Event::Custom(_) => out.wake_after(Duration::from_secs(1)),
                _ => {}
            }
            Ok(())
        }))
    });
    (app, handles)
}

#[test]
fn a_posted_value_may_panic_when_it_is_dropped_wherever_that_is() {
    let (bomb, dropped) = bombs();
    let (app, handles) = handles();
    let count = || dropped.load(Ordering::SeqCst);
    let mut rig = Rig::new(app);
    let take = || handles.lock().unwrap().pop().unwrap();

    // Behind a complete answer: the scope is over, the connection is not.
    rig.answer(GET);
    let handle = take();
    handle.respond(200, &[], "done").unwrap();
    handle.post(bomb()).unwrap();
    rig.mail();
    assert!(rig.text().ends_with("done"));
    assert_eq!(count(), 1);

    // For an earlier scope, while the next one waits for its answer.
    rig.answer(GET);
    let first = take();
    first.respond(200, &[], "first").unwrap();
    first.post(bomb()).unwrap();
    rig.feed(GET);
    rig.mail();
    take().respond(200, &[], "second").unwrap();
    rig.mail();
    assert!(rig.text().ends_with("second"));
    assert_eq!(count(), 2);

    // For a connection that has ended, and another one has its slot.
    rig.answer(GET);
    let handle = take();
    handle.post(bomb()).unwrap();
    rig.connect();
    rig.mail();
    assert_eq!(count(), 3);

    // For a WebSocket that has said its Close.
    rig.answer(&upgrade("/"));
    let handle = take();
    handle.post(bomb()).unwrap();
    rig.feed(&frame(0x88, b"\x03\xe8"));
    rig.mail();
    assert_eq!(count(), 4);

    // The handler takes it: then the panic is the handler's.
    rig.connect();
    rig.answer(GET);
    take().post(bomb()).unwrap();
    rig.mail();
    assert_eq!((status(&rig.text()), count()), ("500", 5));

    // Never delivered at all.
    let (app, handles) = crate::guard::handles();
    let mut rig = Rig::new(app);
    rig.answer(GET);
    let handle = handles.lock().unwrap().pop().unwrap();
    handle.post(bomb()).unwrap();
    handle.post(bomb()).unwrap();
    drop(rig);
    drop(handle);
    assert_eq!(count(), 7);
}

#[test]
fn a_payload_of_a_panic_may_panic_when_it_is_dropped_and_is_dropped() {
    let (bomb, dropped) = bombs();
    let mut rig = Rig::new(app(move |_| -> Option<Box<dyn Handler>> {
        let bomb = bomb.clone();
        Some(boxed(move |event, _| match event {
            Event::HttpRequest { .. } => resume_unwind(Box::new(bomb())),
            _ => Ok(()),
        }))
    }));
    assert_eq!(status(&rig.answer(GET)), "500");
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

#[test]
fn a_handler_may_panic_when_its_connection_is_thrown_away() {
    // As by a worker that died: no event any more, and another panic may be unwinding.
    let (bomb, dropped) = bombs();
    for path in ["/http", "/websocket"] {
        let bomb = bomb.clone();
        let mut rig = Rig::new(app(move |_| -> Option<Box<dyn Handler>> {
            let bomb = bomb();
            Some(boxed(move |event, out| {
                let _mine = &bomb;
                match event {
                    Event::WebSocketConnect => drop(out.accept()?),
                    _ => out.wake_after(Duration::from_secs(100)),
                }
                Ok(())
            }))
        }));
        rig.feed(if path == "/http" { GET.to_vec() } else { upgrade(path) }.as_slice());
        assert!(rig.is_open());
        let unwound = catch_unwind(AssertUnwindSafe(move || {
            let _rig = rig;
            resume_unwind(Box::new("the worker"));
        }));
        assert_eq!(unwound.unwrap_err().downcast_ref(), Some(&"the worker"));
    }
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
}

#[test]
fn values_of_the_state_may_panic_when_they_are_dropped() {
    let (bomb, dropped) = bombs();
    struct Other(#[allow(dead_code)] Bomb);
    let mut state = State::default();
    state.insert(bomb());
    state.insert(Other(bomb()));
    let shared = state.clone();
    drop(state);
    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    drop(shared);
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
}

#[test]
fn a_handler_that_fails_all_the_time_is_counted_and_does_not_fill_the_log() {
    let mut rig = Rig::new(app(|_| -> Option<Box<dyn Handler>> {
        Some(boxed(|event, _| match event {
            Event::HttpRequest { .. } => Err("again".into()),
            _ => Ok(()),
        }))
    }));
    let lines = logged::during(|| {
        for _ in 0..100 {
            rig.answer(GET);
            rig.connect();
        }
        rig.advance(Duration::from_millis(1001));
        rig.answer(GET);
    });
    let lines: Vec<_> = lines.iter().filter(|line| line.contains("the handler failed")).collect();
    assert_eq!(lines.len(), 11, "{lines:?}");
    assert!(lines[10].ends_with("again (90 lines like this were held back)"), "{}", lines[10]);
}

#[test]
fn a_file_is_opened_by_the_environment() {
    let told: Arc<Mutex<Vec<SendError>>> = Arc::default();
    let note = Arc::clone(&told);
    let mut rig = Rig::new(app(move |_| -> Option<Box<dyn Handler>> {
        let note = Arc::clone(&note);
        Some(boxed(move |event, out| {
            if let Event::HttpRequest { .. } = event {
                let start =
                    SendEvent::HttpResponseStart { status: 200, headers: &[], trailers: false };
                out.send(start)?;
                let send =
                    |path| SendEvent::HttpResponsePathsend { path: std::path::Path::new(path) };
                note.lock().unwrap().push(out.send(send("/another")).unwrap_err());
                out.send(send("/file"))?;
            }
            Ok(())
        }))
    }));
    let answer = rig.answer(GET);
    assert_eq!(answer, "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\ncontent");
    assert_eq!(*told.lock().unwrap(), [SendError::Invalid(Invalid::Path)]);
}
