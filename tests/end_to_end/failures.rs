//! Handlers that err, panic, forget to answer, or answer wrongly. The worker serves on.

use std::sync::mpsc;
use std::time::Duration;

use oneport::{
    AppError, Event, Field, Handle, Invalid, Outbox, Scope, SendError, SendEvent, Server,
};

use crate::raw::{CLOSE, Raw, TEXT, close_frame, frame};
use crate::support::{
    ASKED, Outcome, Serving, answering, boxed, by_scope, eventually, ms, notes, on_events, say,
    serve, serve_with, take,
};

fn start<'a>(headers: &'a [Field<'a>]) -> SendEvent<'a> {
    SendEvent::HttpResponseStart { status: 200, headers, trailers: false }
}

fn body(body: &[u8], more_body: bool) -> SendEvent<'_> {
    SendEvent::HttpResponseBody { body, more_body }
}

/// Everything that can go wrong before a response has left; `/fine` does not.
fn misbehave(path: &str, event: &Event<'_>, out: &mut Outbox<'_>) -> Outcome {
    let Event::HttpRequest { more_body: false, .. } = event else { return Ok(()) };
    match path {
        "/error" => return Err("asked to fail".into()),
        "/panic" => std::panic::panic_any(ASKED),
        "/nothing" => return Ok(()),
        "/begun-then-error" => {
            out.send(start(&[(b"x-secret", b"1")]))?;
            out.send(body(b"half", true))?;
            return Err("asked to fail".into());
        }
        "/whole-then-panic" => {
            out.send(start(&[]))?;
            std::panic::panic_any(ASKED);
        }
        "/hint-then-error" => {
            out.send(SendEvent::HttpResponseEarlyHint { links: &[b"</a>"] })?;
            return Err("asked to fail".into());
        }
        "/handle-dropped" => drop(out.handle()),
        "/handle-dropped-by-a-thread" => {
            let handle = out.handle();
            std::thread::spawn(move || drop(handle));
        }
        "/body-first" => drop(out.send(body(b"no head", false))?),
        "/two-starts" => {
            out.send(start(&[]))?;
            out.send(start(&[]))?;
        }
        "/websocket-event" => drop(out.accept()?),
        "/lifespan-event" => drop(out.send(SendEvent::LifespanStartupComplete)?),
        "/trailers-unannounced" => {
            out.send(start(&[]))?;
            out.send(SendEvent::HttpResponseTrailers { headers: &[], more_trailers: false })?;
        }
        "/status-101" => drop(out.respond(101, &[], b"")?),
        "/status-99" => drop(out.respond(99, &[], b"")?),
        "/status-1000" => drop(out.respond(1000, &[], b"")?),
        "/join" => out.join("a group")?,
        "/insert-state" => out.insert_state(1u8)?,
        _ => say(out, "fine")?,
    }
    Ok(())
}

const BROKEN: [&str; 17] = [
    "/error",
    "/nothing",
    "/begun-then-error",
    "/whole-then-panic",
    "/handle-dropped",
    "/handle-dropped-by-a-thread",
    "/body-first",
    "/two-starts",
    "/websocket-event",
    "/lifespan-event",
    "/trailers-unannounced",
    "/status-101",
    "/status-99",
    "/status-1000",
    "/join",
    "/insert-state",
    "/panic",
];

fn misbehaving() -> Serving {
    serve(by_scope(|scope| {
        let Scope::Http(http) = scope else { return None };
        let path = http.path.to_string();
        boxed(move |event, out| misbehave(&path, &event, out))
    }))
}

#[test]
fn what_goes_wrong_before_the_response_has_left_is_a_500_and_the_worker_serves_on() {
    let server = misbehaving();
    for path in BROKEN {
        let answer = server.get(path);
        assert_eq!(answer.status, 500, "{path}");
        assert_eq!(answer.field("x-secret"), None, "nothing of the half response is left");
        assert!(!answer.text().contains("asked"), "the cause is nobody's business: {path}");
        assert_eq!(server.get("/fine").text(), "fine", "after {path}");
    }
    let log = server.log();
    assert!(log.iter().any(|line| line.contains("asked to fail")), "{log:?}");
}

#[test]
fn hints_that_left_before_an_error_are_followed_by_a_500() {
    let server = misbehaving();
    let mut client = server.raw();
    client.get("/hint-then-error");
    let mut answer = client.head();
    if answer.status == 103 {
        answer = client.head();
    }
    assert_eq!(answer.status, 500);
}

#[test]
fn an_error_or_panic_ends_the_connection_with_its_500() {
    // ASGI, main specification, "error handling": the server must terminate the application
    // instance and its associated connection.
    let server = misbehaving();
    for path in ["/error", "/panic", "/begun-then-error"] {
        let mut client = server.raw();
        client.get(path);
        let answer = client.response();
        assert_eq!((answer.status, answer.closes()), (500, true), "{path}");
        client.expect_end();
    }
}

#[test]
fn a_scope_that_panics_the_application_is_a_500() {
    let server = serve(by_scope(|scope| {
        if scope.path() == "/panic" {
            std::panic::panic_any(ASKED);
        }
        boxed(|event, out| match event {
            Event::HttpRequest { .. } => say(out, "fine"),
            _ => Ok(()),
        })
    }));
    assert_eq!(server.get("/panic").status, 500);
    assert_eq!(server.get("/").text(), "fine");
}

#[test]
fn a_handler_that_panics_when_it_is_dropped_harms_nobody() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::panic_any(ASKED);
        }
    }
    let server = serve(by_scope(|scope| {
        let bomb = (scope.path() == "/bomb").then(|| Bomb);
        boxed(move |event, out| match event {
            Event::HttpRequest { .. } => say(out, if bomb.is_some() { "tick" } else { "fine" }),
            _ => Ok(()),
        })
    }));
    assert_eq!(server.get("/bomb").text(), "tick");
    assert_eq!(server.get("/").text(), "fine");
}

/// A value that panics in its drop, on any thread.
#[derive(Debug)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        std::panic::panic_any(ASKED);
    }
}

/// An error that panics when it is printed, and again when it is dropped.
#[derive(Debug)]
struct Bad(#[allow(dead_code)] Bomb);

impl std::fmt::Display for Bad {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::panic::panic_any(ASKED)
    }
}

impl std::error::Error for Bad {}

#[test]
fn whatever_of_an_application_panics_the_server_serves_and_ends_well() {
    // The application itself, its lifespan, its state, what it calls when it is ready and when a
    // connection ends, its errors, and values that are on their way when the server ends.
    struct App(#[allow(dead_code)] Bomb);
    let (give, handles) = mpsc::channel::<Handle>();
    let whole = App(Bomb);
    let app = by_scope(move |scope| {
        let _whole = &whole;
        let (give, path) = (give.clone(), scope.path().to_string());
        let bomb = Bomb;
        boxed(move |event, out| {
            let _bomb = &bomb;
            match event {
                Event::LifespanStartup => {
                    out.insert_state(Bomb)?;
                    out.send(SendEvent::LifespanStartupComplete)?;
                    give.send(out.handle())?;
                }
                // Also its last words.
                Event::LifespanShutdown => return Err(Box::new(Bad(Bomb))),
                Event::HttpRequest { .. } if path == "/bad" => return Err(Box::new(Bad(Bomb))),
                Event::HttpRequest { .. } if path == "/later" => give.send(out.handle())?,
                Event::HttpRequest { .. } => say(out, "fine")?,
                _ => {}
            }
            Ok(())
        })
    });
    let server = serve_with(app, |server| {
        let bomb = std::sync::Mutex::new(Bomb);
        let server = server.on_closed(move |_| {
            let _bomb = &bomb;
            std::panic::panic_any(ASKED)
        });
        server.workers(2)
    });
    let lifespan = take(&handles);
    for path in ["/bad", "/"] {
        for _ in 0..4 {
            let status = if path == "/" { 200 } else { 500 };
            assert_eq!(server.get(path).status, status, "{path}");
        }
    }
    let mut client = server.raw();
    client.get("/later");
    let handle = take(&handles);
    handle.post(Bomb).unwrap();
    // The handler may have taken the first already, and failed.
    let _ = handle.respond(200, &[], "late");
    for _ in 0..10 {
        // Those behind the answer find no handler.
        let _ = handle.post(Bomb);
    }
    assert_eq!(client.response().status, 500, "the handler took the first");
    lifespan.post(Bomb).unwrap();
    server.stop().unwrap();
    let _ = lifespan.post(Bomb);
}

#[test]
fn what_is_called_when_the_server_is_ready_may_panic() {
    let server = Server::new(answering(|out| say(out, "fine"))).signals(false);
    let bound = server.bind("127.0.0.1:0").unwrap();
    let (address, stopper) = (bound.local_addr(), bound.stopper());
    let (ended, outcome) = mpsc::channel();
    std::thread::spawn(move || {
        // Standard output is closed, say.
        let bound = bound.on_ready(|| std::panic::panic_any(ASKED));
        drop(ended.send(bound.run()));
    });
    let mut client = Raw::connect(address);
    client.get("/");
    assert_eq!(client.response().text(), "fine");
    stopper.stop();
    take(&outcome).unwrap();
}

#[test]
fn an_error_after_the_head_has_left_cuts_the_connection() {
    let server = serve(on_events(|event, out| {
        match event {
            Event::HttpRequest { .. } => {
                out.send(start(&[]))?;
                out.send(body(b"half", true))?;
                out.wake_after(ms(1));
            }
            Event::Timer => return Err("asked to fail".into()),
            _ => {}
        }
        Ok(())
    }));
    let mut client = server.raw();
    client.get("/");
    assert_eq!(client.head().field("transfer-encoding"), Some("chunked"));
    assert_eq!(client.chunk().as_deref(), Some(&b"half"[..]));
    // RFC 9112 §8: no last chunk, so the client knows.
    client.expect_end();
}

#[test]
fn a_response_that_nobody_can_complete_is_cut() {
    let server = serve(answering(|out| {
        out.send(start(&[(b"content-length", b"8")]))?;
        out.send(body(b"half", true))?;
        Ok(())
    }));
    let mut client = server.raw();
    client.get("/");
    assert_eq!(client.head().field("content-length"), Some("8"));
    assert_eq!(client.rest(), b"half");
}

#[test]
fn a_response_whose_last_handle_is_dropped_is_cut() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(answering(move |out| {
        give.send(out.handle())?;
        Ok(())
    }));
    let mut client = server.raw();
    client.get("/");
    let handle = take(&handles);
    let clone = handle.clone();
    handle.send(start(&[])).unwrap();
    handle.send(body(b"half", true)).unwrap();
    drop(handle);
    client.head();
    assert_eq!(client.chunk().as_deref(), Some(&b"half"[..]));
    server.barrier();
    client.expect_nothing_yet();
    drop(clone);
    client.expect_end();
}

#[test]
fn a_wrong_event_of_a_handle_is_an_error_of_its_handler() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(answering(move |out| {
        give.send(out.handle())?;
        Ok(())
    }));
    let mut client = server.raw();
    client.get("/");
    take(&handles).send(body(b"no head", false)).unwrap();
    assert_eq!(client.response().status, 500);

    let mut client = server.raw();
    client.get("/");
    let handle = take(&handles);
    handle.send(start(&[])).unwrap();
    handle.send(body(b"half", true)).unwrap();
    handle.send(start(&[])).unwrap();
    client.head();
    assert_eq!(client.chunk().as_deref(), Some(&b"half"[..]));
    client.expect_end();
    let log = server.log();
    assert!(log.iter().any(|line| line.contains("out of order")), "{log:?}");
}

#[test]
fn more_bytes_than_content_length_are_an_error_at_send() {
    let (note, told) = notes();
    let server = serve(answering(move |out| {
        out.send(start(&[(b"Content-Length", b"5")]))?;
        let error = out.send(body(b"too long", false)).unwrap_err();
        note.note(format!("{error:?}"));
        out.send(body(b"123", true))?;
        let error = out.send(body(b"456", false)).unwrap_err();
        note.note(format!("{error:?}"));
        // Nothing of those was sent: the response can be put right.
        out.send(body(b"45", false))?;
        Ok(())
    }));
    let mut client = server.raw();
    for _ in 0..2 {
        client.get("/");
        let answer = client.response();
        assert_eq!((answer.field("content-length"), answer.text()), (Some("5"), "12345"));
        for _ in 0..2 {
            let error = SendError::Invalid(Invalid::BodyLongerThanContentLength);
            assert_eq!(told.next(), format!("{error:?}"));
        }
    }
}

#[test]
fn fewer_bytes_than_content_length_cut_the_connection() {
    let server = serve(answering(|out| {
        out.respond(200, &[(b"content-length", b"10")], b"short")?;
        Ok(())
    }));
    let mut client = server.raw();
    client.get("/");
    client.get("/never");
    assert_eq!(client.head().field("content-length"), Some("10"));
    assert_eq!(client.rest(), b"short", "never padded, and no other response behind it");
}

#[test]
fn a_response_with_a_wrong_length_is_not_sent_at_all() {
    // "After an error nothing of the event was sent": another response may take its place.
    let server = serve(answering(|out| {
        let error = out.respond(200, &[(b"content-length", b"2")], b"long").unwrap_err();
        assert_eq!(error, SendError::Invalid(Invalid::BodyLongerThanContentLength));
        out.respond(503, &[], b"instead")?;
        Ok(())
    }));
    let answer = server.get("/");
    assert_eq!((answer.status, answer.text()), (503, "instead"));
}

#[test]
fn an_invalid_field_is_a_500() {
    type Row = (&'static [u8], &'static [u8]);
    const ROWS: [Row; 12] = [
        (b"x", b"a\r\nset-cookie: stolen"),
        (b"x", b"a\nb"),
        (b"x", b"a\rb"),
        (b"x", b"a\0b"),
        (b"x", b"\x7f"),
        (b"", b"no name"),
        (b"a b", b"no token"),
        (b"a:", b"no token"),
        (b"a\r\nb", b"no token"),
        ("ä".as_bytes(), b"no token"),
        (b"content-length", b"five"),
        (b"transfer-encoding", b"chunked\r\nx: y"),
    ];
    let (note, told) = notes();
    let server = serve(by_scope(move |scope| {
        let row: usize = scope.path()[1..].parse().unwrap_or(0);
        let note = note.clone();
        boxed(move |event, out| {
            if let Event::HttpRequest { .. } = event {
                let sent = out.respond(200, &[(b"before", b"fine"), ROWS[row]], b"");
                note.note(format!("{sent:?}"));
                sent.map(drop).map_err(AppError::from)?;
            }
            Ok(())
        })
    }));
    for (row, (name, value)) in ROWS.iter().enumerate() {
        let answer = server.get(&format!("/{row}"));
        let (name, value) = (name.escape_ascii(), value.escape_ascii());
        assert_eq!(answer.status, 500, "{name}: {value}");
        assert_eq!(answer.fields_named("before"), [""; 0]);
        assert!(told.next().contains("Invalid"), "{name}: {value}");
    }
}

#[test]
fn a_handler_that_holds_its_worker_is_reported_with_its_path() {
    let server = serve(by_scope(|scope| {
        let slow = scope.path().starts_with("/slow");
        boxed(move |event, out| {
            match event {
                Event::HttpRequest { more_body: false, .. } => {
                    if slow {
                        std::thread::sleep(Duration::from_millis(60));
                    }
                    out.respond(200, &[], "done")?;
                }
                Event::WebSocketConnect => {
                    out.accept()?;
                }
                Event::WebSocketReceive(_) => std::thread::sleep(Duration::from_millis(60)),
                _ => {}
            }
            Ok(())
        })
    }));
    let mut client = server.raw();
    client.get("/quick");
    client.response();
    client.get("/slow/one");
    client.response();
    server.barrier();
    let log = server.log();
    let warned: Vec<_> = log.iter().filter(|line| line.contains("held its worker")).collect();
    assert_eq!(warned.len(), 1, "{log:?}");
    assert!(warned[0].starts_with("WARN: the handler of /slow/one held"), "{}", warned[0]);
    drop(client);
    // One line in a second: the next one is held back, or says how many were.
    eventually("it may be reported again", || {
        let mut client = server.raw();
        client.open("/talk/two");
        client.send(frame(true, TEXT, b"think"));
        client.send(close_frame(1000, ""));
        while client.frame().opcode != CLOSE {}
        server.log().iter().any(|line| line.contains("the handler of /talk/two held"))
    });
}
