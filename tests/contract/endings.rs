//! How requests and connections end: answers before the body, and what is read behind them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oneport::{App, Config, Event, Handle, Handler, SendEvent, app, boxed};

use crate::rig::{Rig, frame, upgrade};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const TICK: Duration = Duration::from_millis(1);

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

type Handles = Arc<Mutex<Vec<Handle>>>;
type Log = Arc<Mutex<Vec<String>>>;

/// Answers at its first event, by path: who answers, and how.
fn early(handles: &Handles) -> Rig<impl App + use<>> {
    early_with(handles, Config::default())
}

fn early_with(handles: &Handles, config: Config) -> Rig<impl App + use<>> {
    let handles = Arc::clone(handles);
    let early = app(move |scope| -> Option<Box<dyn Handler>> {
        let path = scope.path().to_string();
        assert_ne!(path, "/panic", "asked to panic");
        if path == "/none" {
            return None;
        }
        let handles = Arc::clone(&handles);
        Some(boxed(move |event, out| {
            let Event::HttpRequest { more_body, .. } = event else { return Ok(()) };
            let start = SendEvent::HttpResponseStart { status: 401, headers: &[], trailers: false };
            match path.as_str() {
                "/error" => return Err("asked to fail".into()),
                "/handle" => {
                    handles.lock().unwrap().push(out.handle());
                    out.pause();
                }
                "/parts" => {
                    out.send(start)?;
                    out.send(SendEvent::HttpResponseBody { body: b"no", more_body: false })?;
                }
                "/stream" if more_body => {
                    out.send(start)?;
                    out.send(SendEvent::HttpResponseBody { body: b"n", more_body: true })?;
                    out.send(SendEvent::HttpResponseBody { body: b"o", more_body: false })?;
                }
                "/later" if more_body => {}
                _ => {
                    out.respond(401, &[], b"no")?;
                }
            }
            Ok(())
        }))
    });
    Rig::with_config(early, config)
}

/// All ways to answer before a body, but for those whose head leaves before it is known.
const EARLY: [&str; 6] = ["/none", "/panic", "/error", "/whole", "/parts", "/handle"];

fn post(path: &str, framing: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n").into_bytes()
}

/// The answer to this request, whoever gives it.
fn answer(rig: &mut Rig<impl App>, handles: &Handles, request: &[u8]) -> String {
    let mut sent = rig.answer(request);
    if let Some(handle) = handles.lock().unwrap().pop() {
        handle.respond(401, &[], b"no").unwrap();
        drop(handle);
        rig.mail();
        sent.push_str(&rig.text());
    }
    sent
}

fn says_close(sent: &str) -> bool {
    assert_eq!(sent.matches("HTTP/1.1 ").count(), 1, "{sent}");
    sent.contains("\r\nconnection: close\r\n")
}

/// RFC 9110 §10.1.1: a client that gets an answer in the place of a 100 may or may not send the body
/// still.
// [9110-10.1.1-3] [9110-10.1.1-4]
#[test]
fn no_answer_in_the_place_of_a_100_keeps_the_connection() {
    let smuggled = b"GET /smuggled HTTP/1.1\r\nX: GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    for path in EARLY {
        for framing in ["Content-Length: 27", "Transfer-Encoding: chunked"] {
            let handles = Handles::default();
            let mut rig = early(&handles);
            let request = post(path, &format!("{framing}\r\nExpect: 100-continue"));
            let sent = answer(&mut rig, &handles, &request);
            assert!(says_close(&sent), "{path}: {sent}");
            assert!(rig.has_closed(), "{path}: the FIN is behind the answer");
            assert_eq!(rig.answer(smuggled), "", "{path}: nothing more is a request");
            assert_eq!(rig.answer(GET), "", "{path}");
        }
    }
}

/// RFC 9112 §9.6: the last response says that it is.
// [9112-9.6-3]
#[test]
fn an_early_answer_to_a_long_upload_says_close_whoever_gives_it() {
    for path in EARLY {
        for framing in ["Content-Length: 65541", "Transfer-Encoding: chunked"] {
            let handles = Handles::default();
            let mut rig = early(&handles);
            let begin = [post(path, framing), b"1\r\nx".to_vec()].concat();
            let sent = answer(&mut rig, &handles, &begin);
            assert!(says_close(&sent), "{path}, {framing}: {sent}");
            assert!(rig.has_closed() && rig.is_open(), "{path}: it listens");
        }
    }
}

#[test]
fn an_early_answer_before_a_short_upload_keeps_the_connection() {
    let handles = Handles::default();
    let mut rig = early(&handles);
    for path in ["/none", "/whole", "/parts", "/handle"] {
        let begin = [post(path, "Content-Length: 65536"), b"x".to_vec()].concat();
        let sent = answer(&mut rig, &handles, &begin);
        assert!(!says_close(&sent), "{path}: {sent}");
        assert_eq!(rig.feed(&[b'x'; 65535]), 65535);
        assert!(rig.answer(GET).contains("401"), "{path}: the next request is found");
    }
}

/// The head left before anybody knew how the answer ends: it said that the connection persists, so it
/// does.
// [9112-9.3-3]
#[test]
fn an_answer_that_did_not_say_close_keeps_the_connection_whatever_is_left_of_the_body() {
    let handles = Handles::default();
    let mut rig = early(&handles);
    for (framing, body) in [
        ("Content-Length: 1000000", vec![b'x'; 1_000_000]),
        ("Transfer-Encoding: chunked", chunks(1_000_000)),
    ] {
        rig.feed(&post("/stream", framing));
        let sent = rig.answer(&body[..100]);
        assert!(!says_close(&sent) && sent.ends_with("0\r\n\r\n"), "{sent}");
        assert_eq!(rig.feed(&body[100..]), body.len() - 100);
        assert!(rig.answer(GET).contains("401"), "{framing}");
    }
    // Within the limits of a body.
    rig.feed(&post("/stream", "Transfer-Encoding: chunked"));
    rig.answer(b"1\r\nx");
    rig.feed(b"\r\n1000001\r\n");
    assert!(rig.has_closed());
}

/// A chunked body of so many bytes.
fn chunks(len: usize) -> Vec<u8> {
    [format!("{len:x}\r\n").as_bytes(), &vec![b'x'; len], b"\r\n0\r\n\r\n"].concat()
}

// ---- behind the answer --------------------------------------------------------------------------

/// A connection that was answered before this upload came.
fn refused(framing: &str, config: Config) -> Rig<impl App + use<>> {
    let mut rig = early_with(&Handles::default(), config);
    let sent = rig.answer(&post("/none", framing));
    assert!(says_close(&sent), "{sent}");
    assert!(rig.conn().lingers_for_body(), "{framing}");
    rig
}

fn limit(max_body: u64) -> Config {
    let mut config = Config::default();
    config.max_body = max_body;
    config
}

// [9112-9.6-5]
#[test]
fn an_upload_is_read_to_its_end_behind_an_early_answer() {
    let body = chunks(5_000_000);
    for (framing, body) in
        [("Content-Length: 5000000", &[b'x'; 5_000_000][..]), ("Transfer-Encoding: chunked", &body)]
    {
        let mut rig = refused(framing, Config::default());
        for piece in body.chunks(100_000) {
            assert!(rig.is_open(), "{framing}");
            assert_eq!(rig.feed(piece), piece.len());
        }
        assert!(!rig.is_open(), "{framing}: the body is read");
        assert_eq!(rig.record.unwrap().cause.name(), "body-unread");
    }
}

#[test]
fn what_comes_with_the_head_counts() {
    let mut rig = early(&Handles::default());
    let mut all = post("/none", "Content-Length: 70000");
    all.extend_from_slice(&[b'x'; 69_999]);
    assert!(says_close(&rig.answer(&all)));
    assert!(rig.is_open());
    rig.feed(b"x");
    assert!(!rig.is_open());
}

#[test]
fn an_upload_that_is_refused_by_the_server_is_read_to_its_end_too() {
    for framing in
        ["Content-Length: 5000000", "Content-Length: 5000000\r\nTransfer-Encoding: chunked"]
    {
        let mut rig = early_with(&Handles::default(), limit(1_000_000));
        let sent = rig.answer(&post("/later", framing));
        assert!(sent.starts_with("HTTP/1.1 4") && says_close(&sent), "{sent}");
        assert_eq!(rig.feed(&vec![b'x'; 4_999_999]), 4_999_999);
        assert!(rig.is_open(), "more than a mebibyte");
        rig.eof();
        assert!(!rig.is_open());
    }
    // In the middle of it.
    let mut rig = early_with(&Handles::default(), limit(1_000_000));
    rig.feed(&post("/later", "Transfer-Encoding: chunked"));
    let sent = rig.answer(b"1\r\nx\r\nFFFFF\r\n");
    assert!(sent.starts_with("HTTP/1.1 413 "), "{sent}");
    assert!(rig.conn().lingers_for_body());
}

#[test]
fn a_peer_that_sends_no_body_is_let_go() {
    let mut rig = refused("Content-Length: 5000000", Config::default());
    rig.advance(seconds(4));
    rig.feed(&[b'x'; 10_000]);
    rig.advance(seconds(5) - TICK);
    assert!(rig.is_open());
    rig.advance(TICK);
    assert!(!rig.is_open(), "5 s without a byte");

    // 240 bytes per second after the first five.
    let mut rig = refused("Content-Length: 5000000", Config::default());
    let mut lived = 0;
    while rig.is_open() {
        rig.feed(&[b'x'; 100]);
        rig.advance(seconds(1));
        lived += 1;
    }
    assert_eq!(lived, 5);

    let mut rig = refused("Content-Length: 5000000", Config::default());
    let mut lived = 0;
    while rig.is_open() {
        rig.feed(&[b'x'; 1000]);
        rig.advance(seconds(1));
        lived += 1;
    }
    assert_eq!(lived, 30, "30 s in all");

    let mut rig = refused("Transfer-Encoding: chunked", Config::default());
    rig.feed(&chunks(2_000_000)[..1_500_000]);
    rig.shutdown();
    assert!(!rig.is_open(), "the server drains");
}

#[test]
fn who_sends_no_body_is_listened_to_for_two_seconds() {
    let mut rig = Rig::new(app(|_| None::<Box<dyn Handler>>));
    rig.turn(|conn, _, turn| conn.refuse_for_load(turn));
    assert!(!rig.conn().lingers_for_body());
    rig.advance(seconds(2) - TICK);
    assert!(rig.is_open());
    rig.advance(TICK);
    assert!(!rig.is_open());
}

/// A client that reads its answer when it has sent its body: the answer does not wait for it.
#[test]
fn the_body_is_read_while_a_long_early_answer_waits_for_the_peer() {
    let log = Log::default();
    let told = Arc::clone(&log);
    let mut rig = Rig::new(app(move |_| {
        let told = Arc::clone(&told);
        Some(boxed(move |event, out| {
            told.lock().unwrap().push(event.name().to_string());
            out.respond(401, &[], vec![b'x'; 500_000])?;
            Ok(())
        }))
    }));
    rig.peer.room = 1000;
    rig.feed(&post("/", "Content-Length: 3000000"));
    assert_eq!(rig.feed(&vec![b'x'; 3_000_000]), 3_000_000);
    rig.drain(usize::MAX);
    assert!(rig.text().ends_with('x') && rig.has_closed());
    assert_eq!(*log.lock().unwrap(), ["http.request"]);
}

// ---- the peer's FIN -----------------------------------------------------------------------------

/// Answers by path, and notes what it is told.
fn by_path(log: &Log, handles: &Handles, half_close: bool) -> Rig<impl App + use<>> {
    let (log, handles) = (Arc::clone(log), Arc::clone(handles));
    let mut config = Config::default();
    config.half_close = half_close;
    let app = app(move |scope| {
        let path = scope.path().to_string();
        let (log, handles) = (Arc::clone(&log), Arc::clone(&handles));
        Some(boxed(move |event, out| {
            let what = match &event {
                Event::WebSocketDisconnect { code, reason } => {
                    format!("disconnect {code} {reason}")
                }
                other => other.name().to_string(),
            };
            log.lock().unwrap().push(format!("{path} {what}"));
            let start = SendEvent::HttpResponseStart { status: 200, headers: &[], trailers: false };
            match event {
                Event::HttpRequest { more_body: true, .. } | Event::WebSocketReceive(_) => {
                    handles.lock().unwrap().push(out.handle());
                    out.pause();
                }
                Event::WebSocketConnect => {
                    out.accept()?;
                    handles.lock().unwrap().push(out.handle());
                    out.pause();
                }
                Event::HttpRequest { .. } => match path.as_str() {
                    "/deferred" => handles.lock().unwrap().push(out.handle()),
                    "/paused" => {
                        handles.lock().unwrap().push(out.handle());
                        out.pause();
                    }
                    "/begun" => {
                        out.send(start)?;
                        out.send(SendEvent::HttpResponseBody { body: b"begun", more_body: true })?;
                        handles.lock().unwrap().push(out.handle());
                    }
                    "/file" => {
                        out.send(start)?;
                        let path = "/long".as_ref();
                        out.send(SendEvent::HttpResponsePathsend { path })?;
                    }
                    "/long" => drop(out.respond(200, &[], vec![b'x'; 500_000])?),
                    _ => drop(out.respond(200, &[], b"whole")?),
                },
                _ => {}
            }
            Ok(())
        }))
    });
    Rig::with_config(app, config)
}

fn gets(paths: &[&str]) -> Vec<u8> {
    let get = |path: &&str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    paths.iter().map(get).collect::<String>().into_bytes()
}

fn told(log: &Log) -> Vec<String> {
    std::mem::take(&mut *log.lock().unwrap())
}

#[test]
fn what_the_handler_has_ended_leaves_also_after_a_fin() {
    for (path, length) in [("/long", 500_000), ("/file", crate::rig::LONG as usize)] {
        for half_close in [false, true] {
            let (log, handles) = (Log::default(), Handles::default());
            let mut rig = by_path(&log, &handles, half_close);
            rig.peer.room = 1000;
            rig.feed(&gets(&[path, "/whole"]));
            rig.eof();
            assert!(rig.is_open(), "{path}");
            rig.drain(usize::MAX);
            let sent = rig.text();
            assert!(sent.len() > length && sent.ends_with("\r\n\r\nwhole"), "{path}");
            assert!(!rig.is_open());
            assert_eq!(told(&log), [format!("{path} http.request"), "/whole http.request".into()]);
        }
        // The peer takes nothing.
        let (log, handles) = (Log::default(), Handles::default());
        let mut rig = by_path(&log, &handles, false);
        rig.peer.room = 1000;
        rig.feed(&gets(&[path]));
        rig.eof();
        rig.advance(seconds(30) - TICK);
        assert!(rig.is_open());
        rig.advance(TICK);
        assert!(!rig.is_open(), "{path}: the write timeout holds");
    }
}

/// In order, up to the first answer that is not complete when its callback returns.
// [9112-9.5-3]
#[test]
fn requests_before_a_fin_are_served_up_to_the_first_that_is_not_answered_at_once() {
    for unfinished in ["/deferred", "/begun", "/paused"] {
        let (log, handles) = (Log::default(), Handles::default());
        let mut rig = by_path(&log, &handles, false);
        // The end comes behind them, or together with them.
        rig.peer.room = 0;
        rig.feed(&gets(&["/long", "/whole", "/whole", unfinished, "/whole"]));
        rig.eof();
        assert_eq!(told(&log), ["/long http.request"]);
        rig.drain(usize::MAX);
        let sent = rig.text();
        assert_eq!(sent.matches("\r\nwhole").count(), 2, "{unfinished}: {sent}");
        assert_eq!(
            told(&log)[2..],
            [format!("{unfinished} http.request"), format!("{unfinished} http.disconnect")],
        );
        assert!(!rig.is_open(), "{unfinished}");
        assert_eq!(rig.record.unwrap().cause.name(), "peer-vanished");
        assert!(!handles.lock().unwrap().pop().unwrap().is_alive());
    }
}

#[test]
fn half_closed_connections_are_served_to_the_end_where_that_is_asked_for() {
    let (log, handles) = (Log::default(), Handles::default());
    let mut rig = by_path(&log, &handles, true);
    rig.feed(&gets(&["/deferred", "/begun", "/paused", "/whole"]));
    rig.eof();
    for n in 0..3 {
        let handle = handles.lock().unwrap().pop().expect("the next one is asked");
        if n == 1 {
            handle.send(SendEvent::HttpResponseBody { body: b"", more_body: false }).unwrap();
        } else {
            handle.respond(200, &[], format!("late {n}")).unwrap();
        }
        drop(handle);
        rig.mail();
    }
    let sent = rig.text();
    assert_eq!(sent.matches("HTTP/1.1 200 OK").count(), 4, "{sent}");
    assert!(sent.ends_with("\r\n\r\nwhole"), "{sent}");
    assert!(!rig.is_open());
    assert!(!told(&log).iter().any(|told| told.ends_with("disconnect")));
    // Half a request is none.
    rig.connect();
    rig.feed(&post("/whole", "Content-Length: 10"));
    rig.eof();
    assert!(!rig.is_open());
}

// ---- the peer leaves while the application pauses -----------------------------------------------

/// The poll says that the peer has ended, behind these bytes.
fn leave(rig: &mut Rig<impl App>, bytes: &[u8]) -> usize {
    assert_eq!(rig.feed(bytes), 0, "it is not read");
    rig.turn(|conn, _, _| conn.peer_will_send_no_more());
    let read = rig.feed(bytes);
    if read == bytes.len() {
        rig.eof();
    }
    read
}

fn paused_socket(log: &Log, handles: &Handles) -> Rig<impl App + use<>> {
    let mut rig = by_path(log, handles, false);
    rig.feed(&upgrade("/ws"));
    assert_eq!(told(log), ["/ws websocket.connect"]);
    rig
}

#[test]
fn a_paused_websocket_whose_peer_left_ends_at_once_if_nothing_is_unread() {
    let (log, handles) = (Log::default(), Handles::default());
    let mut rig = paused_socket(&log, &handles);
    leave(&mut rig, b"");
    assert!(!rig.is_open());
    assert_eq!(told(&log), ["/ws disconnect 1006 "]);
    let mut rig = paused_socket(&log, &handles);
    rig.turn(|conn, _, turn| conn.lost(std::io::ErrorKind::ConnectionReset, turn));
    assert!(!rig.is_open());
    assert_eq!(told(&log), ["/ws disconnect 1006 "]);
}

#[test]
fn a_close_behind_unread_messages_is_found_and_told_after_two_seconds() {
    let close = frame(0x88, b"\x0f\xa1bye");
    let messages =
        [frame(0x81, &[b'x'; 1000]), frame(0x89, b"ping"), frame(0x01, b"half")].concat();
    for (bytes, end) in [
        ([&messages[..], &close].concat(), "/ws disconnect 4001 bye"),
        (close.clone(), "/ws disconnect 4001 bye"),
        (messages.clone(), "/ws disconnect 1006 "),
        ([&messages[..], &close[..close.len() - 1]].concat(), "/ws disconnect 1006 "),
        (vec![0xff; 100], "/ws disconnect 1006 "),
    ] {
        let (log, handles) = (Log::default(), Handles::default());
        let mut rig = paused_socket(&log, &handles);
        assert_eq!(leave(&mut rig, &bytes), bytes.len());
        rig.advance(seconds(2) - TICK);
        assert!(rig.is_open() && told(&log).is_empty());
        rig.advance(TICK);
        assert_eq!(told(&log), [end]);
        assert!(!rig.is_open());
    }
}

#[test]
fn what_is_read_ahead_of_a_peer_that_left_is_bounded() {
    let (log, handles) = (Log::default(), Handles::default());
    let mut rig = paused_socket(&log, &handles);
    let read = leave(&mut rig, &vec![0x81; 10_000_000]);
    assert_eq!(read, 64 * 1024);
    rig.advance(seconds(2));
    assert!(!rig.is_open());
    assert_eq!(told(&log), ["/ws disconnect 1006 "]);
}

#[test]
fn an_application_that_goes_on_in_time_loses_nothing() {
    let (log, handles) = (Log::default(), Handles::default());
    let mut rig = paused_socket(&log, &handles);
    let messages = frame(0x81, b"one").repeat(3);
    leave(&mut rig, &[messages, frame(0x88, b"\x0f\xa1")].concat());
    // It pauses again behind each message: the time begins anew.
    for _ in 0..3 {
        rig.advance(seconds(1));
        let handle = handles.lock().unwrap().pop().unwrap();
        handle.resume();
        rig.mail();
        assert_eq!(told(&log), ["/ws websocket.receive"]);
    }
    rig.advance(seconds(2) - TICK);
    assert!(told(&log).is_empty());
    rig.advance(TICK);
    assert_eq!(told(&log), ["/ws disconnect 4001 "]);
}

#[test]
fn a_paused_upload_whose_client_left_ends_too() {
    for (head, rest, at_once) in [
        ("Content-Length: 100", &b""[..], true),
        ("Content-Length: 100", &[b'x'; 98], false),
        ("Content-Length: 100", &[b'x'; 99], false),
        ("Transfer-Encoding: chunked", b"\r\n0\r\n\r\n", false),
    ] {
        let (log, handles) = (Log::default(), Handles::default());
        let mut rig = by_path(&log, &handles, false);
        let first: &[u8] = if head.starts_with('C') { b"x" } else { b"1\r\nx" };
        rig.feed(&[&post("/upload", head), first].concat());
        assert_eq!(told(&log), ["/upload http.request"]);
        leave(&mut rig, rest);
        assert_eq!(rig.is_open(), !at_once, "{head}");
        if !at_once {
            rig.advance(seconds(2) - TICK);
            assert!(rig.is_open());
            rig.advance(TICK);
        }
        assert_eq!(told(&log), ["/upload http.disconnect"]);
        assert!(!rig.is_open());
    }
    // It goes on in time: the request is complete, and answered.
    let (log, handles) = (Log::default(), Handles::default());
    let mut rig = by_path(&log, &handles, false);
    rig.feed(&[post("/upload", "Content-Length: 3"), b"x".to_vec()].concat());
    leave(&mut rig, b"yz");
    handles.lock().unwrap().pop().unwrap().resume();
    rig.mail();
    assert!(rig.text().ends_with("whole"));
    assert!(!rig.is_open());
}

#[test]
fn a_paused_scope_whose_request_is_complete_ends_at_once_whatever_is_behind_it() {
    let (log, handles) = (Log::default(), Handles::default());
    let mut rig = by_path(&log, &handles, false);
    rig.feed(&gets(&["/paused"]));
    leave(&mut rig, &gets(&["/whole"]));
    assert!(!rig.is_open());
    assert_eq!(told(&log), ["/paused http.request", "/paused http.disconnect"]);
}

// ---- the end of the server ----------------------------------------------------------------------

/// As [`by_path`]; `/stream` ends when it is told to.
fn streams(log: &Log) -> Rig<impl App + use<>> {
    let log = Arc::clone(log);
    Rig::new(app(move |scope| {
        let (path, log) = (scope.path().to_string(), Arc::clone(&log));
        Some(boxed(move |event, out| {
            log.lock().unwrap().push(format!("{path} {}", event.name()));
            let start = SendEvent::HttpResponseStart { status: 200, headers: &[], trailers: false };
            match event {
                Event::HttpRequest { more_body: false, .. } if path == "/stream" => {
                    out.send(start)?;
                    out.wake_after(seconds(1000));
                }
                Event::HttpRequest { more_body: false, .. } if path == "/deferred" => {
                    out.wake_after(seconds(3));
                }
                Event::HttpRequest { more_body: false, .. } | Event::Timer => {
                    out.respond(200, &[], b"whole")?;
                }
                Event::WebSocketConnect if path == "/ws" => {
                    out.accept()?;
                }
                Event::WebSocketConnect => out.wake_after(seconds(1000)),
                Event::Shutdown if path == "/stream" => {
                    out.send(SendEvent::HttpResponseBody { body: b"end", more_body: false })?;
                }
                Event::Shutdown if path == "/ws" => {
                    out.message("goodbye")?;
                }
                _ => {}
            }
            Ok(())
        }))
    }))
}

/// The first stage of an end: the scope is told.
fn end_begins(rig: &mut Rig<impl App>) {
    rig.last_call();
    rig.tell_shutdown();
}

#[test]
fn an_idle_connection_answers_what_crosses_and_ends_after_the_grace() {
    let get = &gets(&["/whole"])[..];
    let post = [post("/whole", "Transfer-Encoding: chunked"), b"1\r\nx\r\n0\r\n\r\n".to_vec()];
    for request in [get, &post.concat()] {
        let log = Log::default();
        let mut rig = streams(&log);
        rig.feed(get);
        end_begins(&mut rig);
        assert!(rig.is_open() && !rig.has_closed(), "it is idle");
        assert!(!says_close(&rig.text()));
        for byte in &request[..request.len() - 1] {
            rig.feed(&[*byte]);
        }
        assert!(says_close(&rig.answer(&request[request.len() - 1..])));
        assert!(rig.has_closed());
        assert_eq!(told(&log).iter().filter(|told| told.ends_with("shutdown")).count(), 0);
    }
    let mut rig = streams(&Log::default());
    rig.feed(get);
    end_begins(&mut rig);
    rig.shutdown();
    assert!(!rig.is_open());
}

#[test]
fn half_a_head_gets_no_byte() {
    let mut rig = streams(&Log::default());
    rig.feed(b"GET / HTTP/1.1\r\nHost: ");
    end_begins(&mut rig);
    assert!(rig.is_open(), "its rest may still come");
    rig.shutdown();
    assert!(!rig.is_open());
    assert_eq!(rig.text(), "");
}

#[test]
fn every_open_scope_is_told_once_also_one_that_began_in_the_grace() {
    for (request, end) in [
        (gets(&["/stream"]), "end\r\n0\r\n\r\n"),
        (upgrade("/ws"), "\u{81}\u{7}goodbye"),
        (upgrade("/late"), ""),
        (gets(&["/deferred"]), ""),
        (post("/upload", "Content-Length: 2\r\nExpect: 100-continue"), ""),
    ] {
        for began_in_the_grace in [false, true] {
            let log = Log::default();
            let mut rig = streams(&log);
            if !began_in_the_grace {
                rig.feed(&request);
            }
            end_begins(&mut rig);
            if began_in_the_grace {
                rig.feed(&request);
            }
            rig.shutdown();
            let sent: String = rig.peer.got.iter().map(|byte| char::from(*byte)).collect();
            assert!(sent.contains(end), "{sent:?}");
            let told = told(&log);
            let shutdowns = told.iter().filter(|told| told.ends_with("oneport.shutdown"));
            assert_eq!(shutdowns.count(), 1, "{told:?}");
        }
    }
}

#[test]
fn a_scope_whose_answer_is_complete_is_told_nothing() {
    let (log, handles) = (Log::default(), Handles::default());
    let mut rig = by_path(&log, &handles, false);
    rig.peer.room = 1000;
    rig.feed(&gets(&["/file"]));
    end_begins(&mut rig);
    rig.shutdown();
    rig.drain(usize::MAX);
    assert!(rig.text().len() > 10_000 && rig.has_closed());
    assert_eq!(told(&log), ["/file http.request"]);
}

#[test]
fn a_deferred_answer_says_that_it_is_the_last_unless_another_request_waits() {
    for (requests, closes) in
        [(&["/deferred"][..], &[true][..]), (&["/deferred"; 2], &[false, true])]
    {
        let mut rig = streams(&Log::default());
        rig.feed(&gets(requests));
        end_begins(&mut rig);
        for closes in closes {
            rig.advance(seconds(3));
            assert_eq!(says_close(&rig.text()), *closes, "{requests:?}");
        }
        assert!(rig.has_closed());
    }
}

#[test]
fn a_websocket_gets_its_close_after_the_grace() {
    let log = Log::default();
    let mut rig = streams(&log);
    rig.feed(&upgrade("/ws"));
    rig.peer.got.clear();
    end_begins(&mut rig);
    assert_eq!(rig.peer.got, b"\x81\x07goodbye");
    rig.feed(&frame(0x81, b"still here"));
    rig.shutdown();
    assert_eq!(rig.peer.got[11..13], 1001u16.to_be_bytes());
    assert_eq!(told(&log).last().unwrap(), "/ws websocket.receive");
}

#[test]
fn what_is_dropped_costs_of_the_turn() {
    let mut rig = refused("Content-Length: 5000000", Config::default());
    rig.turn(|conn, app, turn| {
        let spent = turn.budget.spent();
        conn.bytes_in(app, &mut [b'x'; 100_000], turn);
        assert_eq!(turn.budget.spent(), spent + 100_000);
    });
}
