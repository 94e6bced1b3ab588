//! Bodies in both directions: uploads, `Expect: 100-continue`, early hints, trailers, files.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

use oneport::{App, Event, Field, Handle, Invalid, Outbox, Scope, SendError, SendEvent, Server};

use crate::raw::Raw;
use crate::support::{
    Outcome, agent, answering, boxed, by_scope, ms, notes, on_events, say, serve, serve_with, take,
};

/// Streams the body back as it arrives, with its length if it had one.
fn echo_bodies() -> impl App {
    by_scope(|scope| {
        let Scope::Http(http) = scope else { return None };
        let length = http.headers.get("content-length").map(<[u8]>::to_vec);
        let coding = http.headers.get("transfer-encoding").unwrap_or(b"none").to_vec();
        let mut begun = false;
        boxed(move |event, out| {
            match event {
                // The client waits for a 100: an answer now would suppress it.
                Event::HttpRequest { body: b"", more_body: true } => {}
                Event::HttpRequest { body, more_body } => {
                    if !std::mem::replace(&mut begun, true) {
                        let length = length.as_deref().map(|l| (&b"content-length"[..], l));
                        let coding = (&b"x-coding"[..], &*coding);
                        let headers: Vec<Field<'_>> = length.into_iter().chain([coding]).collect();
                        out.send(start(&headers, false))?;
                    }
                    if out.send(SendEvent::HttpResponseBody { body, more_body })?
                        == oneport::Flow::Full
                    {
                        out.pause();
                    }
                }
                Event::Drain => out.resume(),
                _ => {}
            }
            Ok(())
        })
    })
}

fn start<'a>(headers: &'a [Field<'a>], trailers: bool) -> SendEvent<'a> {
    SendEvent::HttpResponseStart { status: 200, headers, trailers }
}

fn body(body: &[u8], more_body: bool) -> SendEvent<'_> {
    SendEvent::HttpResponseBody { body, more_body }
}

/// Bytes that do not repeat soon.
fn noise(len: usize) -> Vec<u8> {
    (0..len as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

// ---- uploads --------------------------------------------------------------------------------

/// For clients that read nothing before they have sent all: what comes back waits in the server,
/// and not in buffers of the system, which differ from machine to machine.
fn patient<A: App>(server: Server<A>) -> Server<A> {
    server.high_water(4 << 20).hard_limit(8 << 20)
}

#[test]
fn an_upload_with_a_length_comes_back() {
    let server = serve_with(echo_bodies(), patient);
    let agent = agent();
    for len in [1, 1000, 65_536, 3_000_000] {
        let sent = noise(len);
        let mut answer = agent.post(server.url("/")).send(&sent[..]).unwrap();
        assert_eq!(answer.headers()["content-length"], len.to_string().as_str());
        assert!(answer.body_mut().read_to_vec().unwrap() == sent, "{len} bytes");
    }
}

#[test]
fn an_upload_of_unknown_length_comes_back() {
    let server = serve_with(echo_bodies(), patient);
    let agent = agent();
    for len in [1, 1000, 65_536, 3_000_000] {
        let sent = noise(len);
        let mut reader = sent.as_slice().take(u64::MAX);
        let body = ureq::SendBody::from_reader(&mut reader);
        let mut answer = agent.post(server.url("/")).send(body).unwrap();
        assert_eq!(answer.headers()["x-coding"], "chunked", "as the client sent it");
        assert!(answer.body_mut().read_to_vec().unwrap() == sent, "{len} bytes");
    }
    assert_eq!(server.stats.connections_ever(), 1, "all of it on one connection");
}

#[test]
fn chunks_arrive_with_extensions_and_trailers_and_in_any_pieces() {
    let server = serve(echo_bodies());
    let mut client = server.raw();
    let request = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5;name=value\r\nHello\r\n1\r\n,\r\n7\r\n world!\r\n0\r\nX-Sum: 13\r\n\r\n";
    for piece in [1, 2, 3, 7, request.len()] {
        for part in request.as_bytes().chunks(piece) {
            client.send(part);
        }
        assert_eq!(client.response().text(), "Hello, world!");
    }
}

// [9112-9.3-3]
#[test]
fn an_early_answer_leaves_a_small_rest_of_the_body_aside() {
    let server = serve(on_events(|event, out| match event {
        Event::HttpRequest { .. } => say(out, "enough"),
        _ => Ok(()),
    }));
    let mut client = server.raw();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n123");
    assert_eq!(client.response().text(), "enough");
    client.send("4567890GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.response().text(), "enough");
}

// [9112-9.6-3]
#[test]
fn an_early_answer_to_chunks_whose_end_nobody_knows_is_the_last_one_and_says_so() {
    let server = serve(on_events(|event, out| match event {
        Event::HttpRequest { .. } => say(out, "enough"),
        _ => Ok(()),
    }));
    let mut client = server.raw();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    let answer = client.response();
    assert_eq!((answer.text(), answer.closes()), ("enough", true));
    client.send("3\r\ntwo\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    client.expect_clean_end();
}

// [9112-9.3-3]
#[test]
fn an_early_answer_to_a_long_upload_is_not_lost() {
    let server = serve(on_events(|event, out| match event {
        Event::HttpRequest { .. } => say(out, "too long for me"),
        _ => Ok(()),
    }));
    let mut client = server.raw();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 524288\r\n\r\n");
    client.send(noise(512 * 1024));
    let answer = client.response();
    assert_eq!(answer.text(), "too long for me");
    client.expect_end();
}

/// A client that reads only behind its whole upload gets every early answer, and no reset.
// [9112-9.6-5]
#[test]
fn an_early_answer_to_a_long_upload_is_there_behind_it() {
    let server = serve_with(
        by_scope(|scope| match scope.path() {
            "/none" => None,
            _ => boxed(|event, out| match event {
                Event::HttpRequest { .. } => {
                    out.respond(401, &[], b"no").map(|_| ()).map_err(Into::into)
                }
                _ => Ok(()),
            }),
        }),
        |server| server.max_body(6_000_000),
    );
    const LEN: usize = 5 << 20;
    for (path, framing, status) in [
        ("/none", format!("Content-Length: {LEN}"), 404),
        ("/401", format!("Content-Length: {LEN}"), 401),
        ("/401", "Transfer-Encoding: chunked".to_string(), 401),
        ("/large", "Content-Length: 10485760".to_string(), 413),
        ("/error", format!("Content-Length: {LEN}\r\nTransfer-Encoding: chunked"), 400),
    ] {
        let mut client = server.raw();
        client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n"));
        if framing.ends_with("chunked") {
            client.send(format!("{LEN:x}\r\n"));
        }
        for piece in noise(LEN).chunks(50_000) {
            client.send(piece);
        }
        let answer = client.response();
        assert_eq!((answer.status, answer.closes()), (status, true), "{path}");
        client.finish_sending();
        client.expect_clean_end();
    }
}

#[test]
fn a_rest_that_never_comes_gets_no_second_answer() {
    // RFC 9110 §15: one final response to a request.
    let server = serve_with(
        on_events(|event, out| match event {
            Event::HttpRequest { .. } => say(out, "enough"),
            _ => Ok(()),
        }),
        |server| server.body_timeout(ms(150)),
    );
    let mut client = server.raw();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n123");
    assert_eq!(client.response().text(), "enough");
    client.expect_end();
}

// ---- 100 Continue ---------------------------------------------------------------------------

const EXPECTING: &str =
    "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

fn expect_continue(client: &mut Raw) {
    let interim = client.head();
    assert_eq!((interim.status, interim.fields), (100, vec![]));
}

// [9110-10.1.1-5]
#[test]
fn a_100_goes_out_when_the_handler_returns_without_an_answer() {
    let server = serve(echo_bodies());
    let mut client = server.raw();
    for _ in 0..2 {
        client.send(EXPECTING);
        expect_continue(&mut client);
        server.barrier();
        client.expect_nothing_yet();
        client.send("hello");
        let answer = client.response();
        assert_eq!((answer.text(), answer.closes()), ("hello", false));
    }
}

#[test]
fn a_client_that_waits_for_the_100_gets_it() {
    let server = serve(echo_bodies());
    let agent = agent();
    let request = agent.post(server.url("/")).header("expect", "100-continue");
    let mut answer = request.send("waited for").unwrap();
    assert_eq!(answer.body_mut().read_to_string().unwrap(), "waited for");
}

// [9110-10.1.1-3] [9110-10.1.1-4]
#[test]
fn an_early_final_answer_suppresses_the_100() {
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        note.event(&event);
        if let Event::HttpRequest { .. } = event {
            out.respond(403, &[], b"not you")?;
        }
        Ok(())
    }));
    let mut client = server.raw();
    client.send(EXPECTING);
    let answer = client.response();
    assert_eq!((answer.status, answer.text()), (403, "not you"));
    // Whether the body will come nobody knows (RFC 9110 §10.1.1).
    assert!(answer.closes());
    client.expect_end();
    drop(client);
    server.stop().unwrap();
    assert_eq!(told.all(), ["http.request +"]);
}

#[test]
fn an_answer_that_has_only_begun_suppresses_the_100_too() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(on_events(move |event, out| {
        if let Event::HttpRequest { body: b"", more_body: true } = event {
            out.send(SendEvent::HttpResponseStart { status: 403, headers: &[], trailers: false })?;
            give.send(out.handle())?;
        }
        Ok(())
    }));
    let mut client = server.raw();
    client.send(EXPECTING);
    let handle = take(&handles);
    handle.send(body(b"later", false)).unwrap();
    let answer = client.response();
    assert_eq!((answer.status, answer.text()), (403, "later"));
}

#[test]
fn a_pause_holds_the_100_until_a_handle_resumes() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(on_events(move |event, out| {
        match event {
            Event::HttpRequest { body: b"", more_body: true } => {
                out.pause();
                give.send(out.handle())?;
            }
            Event::HttpRequest { body, more_body: false } => {
                out.respond(200, &[], body)?;
            }
            _ => {}
        }
        Ok(())
    }));
    let mut client = server.raw();
    client.send(EXPECTING);
    let handle = take(&handles);
    server.barrier();
    client.expect_nothing_yet();
    handle.resume();
    expect_continue(&mut client);
    client.send("hello");
    assert_eq!(client.response().text(), "hello");
}

#[test]
fn a_pause_holds_the_100_until_the_outbox_resumes() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(on_events(move |event, out| {
        match event {
            Event::HttpRequest { body: b"", more_body: true } => {
                out.pause();
                give.send(out.handle())?;
            }
            Event::Custom(_) => out.resume(),
            Event::HttpRequest { body, more_body: false } => {
                out.respond(200, &[], body)?;
            }
            _ => {}
        }
        Ok(())
    }));
    let mut client = server.raw();
    client.send(EXPECTING);
    let handle = take(&handles);
    server.barrier();
    client.expect_nothing_yet();
    handle.post(()).unwrap();
    expect_continue(&mut client);
    client.send("hello");
    assert_eq!(client.response().text(), "hello");
}

#[test]
fn a_paused_expectation_can_be_answered_instead() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(on_events(move |event, out| {
        if let Event::HttpRequest { more_body: true, .. } = event {
            out.pause();
            give.send(out.handle())?;
        }
        Ok(())
    }));
    let mut client = server.raw();
    client.send(EXPECTING);
    take(&handles).respond(417, &[], b"no").unwrap();
    let answer = client.response();
    assert_eq!((answer.status, answer.text()), (417, "no"));
    client.expect_end();
}

#[test]
fn a_body_that_does_not_wait_needs_no_100() {
    let server = serve(echo_bodies());
    let mut client = server.raw();
    client.send(format!("{EXPECTING}hello"));
    assert_eq!(client.response().text(), "hello");
}

// [9110-10.1.1-1] [9110-15.2-1]
#[test]
fn an_expectation_in_http_1_0_is_ignored() {
    let server = serve(echo_bodies());
    let mut client = server.raw();
    client.send("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    server.barrier();
    client.expect_nothing_yet();
    client.send("hello");
    assert_eq!(client.response().text(), "hello");
}

#[test]
fn an_expectation_without_a_body_gets_no_100() {
    let server = serve(answering(|out| say(out, "nothing to wait for")));
    let mut client = server.raw();
    client.send("GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.response().status, 200);
}

// ---- early hints ----------------------------------------------------------------------------

const STYLE: &[u8] = b"</style.css>; rel=preload; as=style";

fn hint(out: &mut Outbox<'_>) -> Outcome {
    out.send(SendEvent::HttpResponseEarlyHint { links: &[STYLE, b"</a.js>; rel=preload"] })?;
    Ok(())
}

fn expect_hint(client: &mut Raw) {
    let interim = client.head();
    assert_eq!(interim.status, 103);
    let style = std::str::from_utf8(STYLE).unwrap();
    assert_eq!(interim.fields_named("link"), [style, "</a.js>; rel=preload"]);
    assert_eq!(interim.fields.len(), 2, "no length, no coding: {interim:?}");
}

#[test]
fn early_hints_before_the_start_precede_the_head() {
    let server = serve(answering(|out| {
        hint(out)?;
        hint(out)?;
        say(out, "hinted")
    }));
    let mut client = server.raw();
    client.get("/");
    expect_hint(&mut client);
    expect_hint(&mut client);
    assert_eq!(client.response().text(), "hinted");
}

#[test]
fn early_hints_behind_the_start_precede_the_head_too() {
    let server = serve(answering(|out| {
        out.send(start(&[(b"x-final", b"yes")], false))?;
        hint(out)?;
        hint(out)?;
        out.send(body(b"hinted", false))?;
        Ok(())
    }));
    let mut client = server.raw();
    for _ in 0..2 {
        client.get("/");
        expect_hint(&mut client);
        expect_hint(&mut client);
        let answer = client.response();
        assert_eq!((answer.text(), answer.field("x-final")), ("hinted", Some("yes")));
    }
}

#[test]
fn early_hints_leave_at_once_while_the_answer_takes_its_time() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(answering(move |out| {
        hint(out)?;
        give.send(out.handle())?;
        Ok(())
    }));
    let mut client = server.raw();
    client.get("/");
    expect_hint(&mut client);
    take(&handles).respond(200, &[], b"hinted").unwrap();
    assert_eq!(client.response().text(), "hinted");
}

#[test]
fn early_hints_that_come_too_late_are_dropped() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(answering(move |out| {
        out.send(start(&[], false))?;
        out.send(body(b"a", true))?;
        hint(out)?;
        give.send(out.handle())?;
        Ok(())
    }));
    let mut client = server.raw();
    client.get("/");
    let handle = take(&handles);
    handle.send(SendEvent::HttpResponseEarlyHint { links: &[STYLE] }).unwrap();
    handle.send(body(b"b", false)).unwrap();
    assert_eq!(client.response().text(), "ab");
}

// [9110-15.2-1]
#[test]
fn http_1_0_gets_no_early_hints() {
    let server = serve(answering(|out| {
        hint(out)?;
        say(out, "unhinted")
    }));
    let mut client = server.raw();
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().text(), "unhinted");
}

#[test]
fn an_early_hint_that_could_split_the_response_is_refused() {
    let (note, told) = notes();
    let server = serve(answering(move |out| {
        let bad = out.send(SendEvent::HttpResponseEarlyHint { links: &[b"</a>\r\n\r\nHTTP"] });
        note.note(format!("{:?}", bad.unwrap_err()));
        say(out, "fine")
    }));
    assert_eq!(server.get("/").text(), "fine");
    assert_eq!(told.next(), format!("{:?}", SendError::Invalid(Invalid::FieldValue)));
}

// ---- trailers -------------------------------------------------------------------------------

fn with_trailers(out: &mut Outbox<'_>) -> Outcome {
    out.send(start(&[(b"trailer", b"x-sum, x-more")], true))?;
    out.send(body(b"some ", true))?;
    out.send(body(b"body", false))?;
    let headers: &[Field<'_>] = &[(b"x-sum", b"9")];
    out.send(SendEvent::HttpResponseTrailers { headers, more_trailers: true })?;
    let headers: &[Field<'_>] = &[(b"x-more", b"yes")];
    out.send(SendEvent::HttpResponseTrailers { headers, more_trailers: false })?;
    Ok(())
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_string(), value.to_string())
}

#[test]
fn trailers_are_for_those_who_take_them() {
    let server = serve(answering(with_trailers));
    let both = [pair("x-sum", "9"), pair("x-more", "yes")];
    let rows: [(&str, &[(String, String)]); 6] = [
        ("", &[]),
        ("TE: trailers\r\n", &both),
        ("TE: gzip, Trailers\r\n", &both),
        ("TE: gzip;q=0.5\r\nTE: deflate, ,\tTRAILERS\r\n", &both),
        ("TE: gzip\r\nTE: trailersx\r\n", &[]),
        ("X-TE: trailers\r\n", &[]),
    ];
    let mut client = server.raw();
    for (fields, trailers) in rows {
        client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
        let answer = client.response();
        assert_eq!(answer.text(), "some body", "{fields}");
        assert_eq!(answer.trailers, trailers, "{fields}");
        assert_eq!(answer.field("trailer"), Some("x-sum, x-more"), "the application's own field");
    }
}

#[test]
fn http_1_0_and_a_stated_length_have_no_room_for_trailers() {
    let server = serve(by_scope(|scope| {
        let length = scope.path() == "/length";
        boxed(move |event, out| {
            let Event::HttpRequest { .. } = event else { return Ok(()) };
            if !length {
                return with_trailers(out);
            }
            out.send(start(&[(b"content-length", b"4")], true))?;
            out.send(body(b"body", false))?;
            let headers: &[Field<'_>] = &[(b"x-sum", b"9")];
            out.send(SendEvent::HttpResponseTrailers { headers, more_trailers: false })?;
            Ok(())
        })
    }));
    let mut client = server.raw();
    client.send("GET /length HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n");
    assert_eq!(client.response().text(), "body");
    client.send("GET /old HTTP/1.0\r\nTE: trailers\r\n\r\n");
    assert_eq!(client.response().text(), "some body");
}

#[test]
fn trailers_that_never_come_do_not_keep_the_client_waiting() {
    let server = serve(answering(|out| {
        out.send(start(&[], true))?;
        out.send(body(b"body", false))?;
        Ok(())
    }));
    let mut client = server.raw();
    for fields in ["TE: trailers\r\n", ""] {
        client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
        let answer = client.response();
        assert_eq!((answer.text(), answer.trailers.len()), ("body", 0));
    }
}

// ---- files ----------------------------------------------------------------------------------

/// A file that lives as long as its test.
struct TempFile(PathBuf);

impl TempFile {
    fn new(content: &[u8]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("oneport-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).expect("a temporary file can be made");
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

fn send_file(path: PathBuf, length: Option<&'static str>) -> impl App {
    answering(move |out| {
        let length = length.map(|l| (&b"content-length"[..], l.as_bytes()));
        let headers: Vec<Field<'_>> = length.into_iter().collect();
        out.send(start(&headers, false))?;
        out.send(SendEvent::HttpResponsePathsend { path: &path })?;
        Ok(())
    })
}

#[test]
fn a_file_is_the_whole_body() {
    for len in [0, 1, 65_536, 65_537, 3_000_000] {
        let content = noise(len);
        let file = TempFile::new(&content);
        let server = serve(send_file(file.0.clone(), None));
        let mut client = server.raw();
        client.get("/");
        client.get("/again");
        for _ in 0..2 {
            let answer = client.response();
            assert_eq!(answer.field("content-length"), Some(len.to_string().as_str()));
            assert!(answer.body == content, "{len} bytes");
        }
        client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.head().field("content-length"), Some(len.to_string().as_str()));
        assert!(client.response().body == content, "{len} bytes behind a HEAD");
    }
}

#[test]
fn a_file_reaches_a_slow_reader_whole() {
    let content = noise(3_000_000);
    let file = TempFile::new(&content);
    let server = serve(send_file(file.0.clone(), Some("3000000")));
    let mut client = Raw::connect_narrow(server.address);
    client.get("/");
    server.barrier();
    assert!(server.stats.bytes_held() < 1 << 20, "{} bytes", server.stats.bytes_held());
    assert!(client.response().body == content);
}

#[test]
fn a_file_shorter_than_its_stated_length_ends_the_connection() {
    let file = TempFile::new(b"short");
    let server = serve(send_file(file.0.clone(), Some("10")));
    let mut client = server.raw();
    client.get("/");
    assert_eq!(client.head().field("content-length"), Some("10"));
    assert_eq!(client.rest(), b"short");
}

#[test]
fn a_path_that_is_relative_or_names_no_file_is_refused() {
    let (note, told) = notes();
    let server = serve(answering(move |out| {
        out.send(start(&[], false))?;
        for path in ["Cargo.toml", "", "/nowhere/at/all", "/"] {
            let path = std::path::Path::new(path);
            let refused = out.send(SendEvent::HttpResponsePathsend { path }).unwrap_err();
            note.note(format!("{refused:?}"));
        }
        Err("no file".into())
    }));
    assert_eq!(server.get("/").status, 500);
    for _ in 0..4 {
        assert_eq!(told.next(), format!("{:?}", SendError::Invalid(Invalid::Path)));
    }
}

/// A FIFO has no writer here: its open must not wait for one.
#[cfg(target_os = "linux")]
#[test]
fn a_path_of_no_regular_file_is_refused_without_waiting() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let fifo = TempFile::new(b"");
    std::fs::remove_file(&fifo.0).unwrap();
    mknodat(CWD, &fifo.0, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let socket = TempFile::new(b"");
    std::fs::remove_file(&socket.0).unwrap();
    let _listens = std::os::unix::net::UnixListener::bind(&socket.0).unwrap();
    let devices = ["/dev/null", "/dev/zero", "/dev/tty"].map(PathBuf::from);
    for path in [&fifo.0, &socket.0].into_iter().chain(&devices) {
        let server = serve(send_file(path.clone(), None));
        assert_eq!(server.get("/").status, 500, "{}", path.display());
        server.stop().unwrap();
    }
}

#[test]
fn a_file_does_not_mix_with_pieces_of_a_body() {
    let file = TempFile::new(b"file");
    let path = file.0.clone();
    let (note, told) = notes();
    let server = serve(answering(move |out| {
        out.send(start(&[], false))?;
        out.send(body(b"piece", true))?;
        let refused = out.send(SendEvent::HttpResponsePathsend { path: &path }).unwrap_err();
        note.note(refused.to_string());
        out.send(body(b"", false))?;
        Ok(())
    }));
    assert_eq!(server.get("/").text(), "piece");
    assert!(told.next().contains("http.response.pathsend is out of order"));
}

#[test]
fn a_file_may_have_trailers_behind_it() {
    // It is the final body event of a response whose start announced trailers.
    let file = TempFile::new(b"file");
    let path = file.0.clone();
    let server = serve(answering(move |out| {
        out.send(start(&[], true))?;
        out.send(SendEvent::HttpResponsePathsend { path: &path })?;
        let headers: &[Field<'_>] = &[(b"x-sum", b"4")];
        out.send(SendEvent::HttpResponseTrailers { headers, more_trailers: false })?;
        Ok(())
    }));
    let mut client = server.raw();
    client.get("/");
    let answer = client.response();
    assert_eq!((answer.text(), answer.trailers.len()), ("file", 0));
    client.send("GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.text(), &answer.trailers[..]), ("file", &[pair("x-sum", "4")][..]));
}
