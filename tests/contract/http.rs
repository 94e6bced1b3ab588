//! HTTP scopes.

use std::sync::{Arc, Mutex};

use oneport::{Event, Flow, Scope, SendEvent, app, handler};

use crate::rig::Rig;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

type Log = Arc<Mutex<Vec<String>>>;

fn note(log: &Log, line: impl Into<String>) {
    log.lock().unwrap().push(line.into());
}

fn lines(log: &Log) -> Vec<String> {
    std::mem::take(&mut *log.lock().unwrap())
}

/// Answers by path: how a handler can misbehave.
fn misbehaving() -> impl oneport::App {
    app(|scope| {
        let path = scope.path().to_string();
        Some(handler(move |event, out| {
            let Event::HttpRequest { more_body: false, .. } = event else { return Ok(()) };
            match path.as_str() {
                "/panic" => panic!("in the handler"),
                "/error" => return Err("in the handler".into()),
                "/nothing" => {}
                "/head-then-error" => {
                    out.send(SendEvent::HttpResponseStart {
                        status: 200,
                        headers: &[(b"x", b"y")],
                        trailers: false,
                    })?;
                    return Err("after the head".into());
                }
                "/bad-field" => {
                    out.respond(200, &[(b"x", b"a\r\nset-cookie: b")], b"")?;
                }
                "/whole-then-error" => {
                    out.respond(200, &[], b"whole")?;
                    return Err("after the response".into());
                }
                "/too-long" => {
                    out.respond(200, &[(b"content-length", b"1")], b"too long")?;
                }
                "/short" => {
                    out.respond(200, &[(b"content-length", b"10")], b"short")?;
                }
                "/out-of-order" => {
                    out.send(SendEvent::HttpResponseBody { body: b"x", more_body: false })?;
                }
                _ => {
                    out.respond(200, &[], b"ok")?;
                }
            }
            Ok(())
        }))
    })
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes()
}

#[test]
fn a_misbehaving_handler_costs_its_own_request_only() {
    let mut rig = Rig::new(misbehaving());
    for path in [
        "/panic",
        "/error",
        "/nothing",
        "/head-then-error",
        "/bad-field",
        "/too-long",
        "/out-of-order",
    ] {
        let sent = rig.answer(&get(path));
        assert!(sent.starts_with("HTTP/1.1 500 "), "{path}: {sent}");
        assert_eq!(sent.matches("HTTP/1.1").count(), 1, "{path}: {sent}");
        // ASGI: an application that raises ends its instance and its connection.
        if path != "/nothing" {
            assert!(sent.contains("connection: close"), "{path}: {sent}");
            rig.connect();
        }
        assert!(rig.answer(&get("/")).ends_with("ok"), "others are served after {path}");
    }
    let sent = rig.answer(&get("/whole-then-error"));
    assert!(sent.starts_with("HTTP/1.1 200 ") && sent.ends_with("whole"), "{sent}");
    assert!(rig.answer(&get("/")).ends_with("ok"));
    // Fewer bytes than announced: never padded, the connection is cut.
    let sent = rig.answer(&get("/short"));
    assert!(sent.ends_with("short"));
    assert!(!rig.is_open());
}

#[test]
fn an_app_that_panics_or_declines_answers_500_or_404() {
    let mut rig = Rig::new(app(|scope| {
        assert_ne!(scope.path(), "/panic");
        None::<Box<dyn oneport::Handler>>
    }));
    assert!(rig.answer(&get("/panic")).starts_with("HTTP/1.1 500 "));
    rig.connect();
    assert!(rig.answer(&get("/")).starts_with("HTTP/1.1 404 "));
}

#[test]
fn requests_in_one_segment_are_answered_in_one_write() {
    let mut rig = Rig::new(misbehaving());
    let sent = rig.answer(&GET.repeat(16));
    assert_eq!(sent.matches("HTTP/1.1 200 OK").count(), 16);
    assert_eq!(rig.peer.writes, 1);
}

#[test]
fn more_requests_than_one_turn_may_serve_are_served_in_the_next() {
    let mut rig = Rig::new(misbehaving());
    let sent = rig.answer(&GET.repeat(1000));
    assert_eq!(sent.matches("HTTP/1.1 200 OK").count(), 1000);
    assert!(rig.peer.writes > 1, "the budget of a turn");
}

#[test]
fn a_response_behind_a_large_last_piece_of_the_body_does_not_end_the_connection() {
    let mut rig = Rig::new(app(|_| {
        Some(handler(|event, out| {
            if let Event::HttpRequest { more_body: false, .. } = event {
                out.respond(200, &[], "all of it")?;
            }
            Ok(())
        }))
    }));
    for _ in 0..2 {
        rig.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\nfirst");
        let answer = rig.answer(&[b'x'; 200_000 - 5]);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(!answer.contains("close"), "{answer}");
    }
}

// [9112-9.6-2]
#[test]
fn who_may_send_nothing_more_is_not_listened_to_after_the_last_response() {
    for (request, listens) in [
        ("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", false),
        ("GET / HTTP/1.0\r\n\r\n", false),
        // An empty line may follow a body.
        ("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", true),
        // It did not know that this would be the last one.
        ("GET /refused\r\n\r\n", true),
    ] {
        let mut rig = Rig::new(misbehaving());
        rig.feed(request.as_bytes());
        assert!(rig.has_closed(), "{request}");
        assert_eq!(rig.is_open(), listens, "{request}");
    }
}

// [9112-9.5-1]
#[test]
fn a_peer_that_does_not_read_its_answers_is_not_read() {
    let mut rig = Rig::new(app(|_| {
        Some(handler(|event, out| {
            if let Event::HttpRequest { .. } = event {
                out.respond(200, &[], [b'x'; 60_000])?;
            }
            Ok(())
        }))
    }));
    rig.peer.room = 0;
    let read = rig.feed(&GET.repeat(10_000));
    assert!(read < 200 * 1024);
    assert!(rig.conn().queued() < 200 * 1024, "{} B queued", rig.conn().queued());
    rig.drain(usize::MAX);
    assert!(rig.text().matches("HTTP/1.1 200 OK").count() > 100, "then all are answered");
}

#[test]
fn the_body_arrives_in_pieces_and_is_the_same_however_it_is_split() {
    let log = Log::default();
    let seen = Arc::clone(&log);
    let mut rig = Rig::new(app(move |_| {
        let seen = Arc::clone(&seen);
        Some(handler(move |event, out| {
            if let Event::HttpRequest { body, more_body } = event {
                note(&seen, String::from_utf8_lossy(body));
                if !more_body {
                    out.respond(200, &[], b"ok")?;
                }
            }
            Ok(())
        }))
    }));
    let plain = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nHello World".to_vec();
    let chunked =
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n6\r\n World\r\n0\r\n\r\n"
            .to_vec();
    for request in [plain, chunked] {
        assert!(rig.answer(&request).ends_with("ok"));
        assert_eq!(lines(&log).concat(), "Hello World");
        for cut in 1..request.len() {
            rig.feed(&request[..cut]);
            assert!(rig.answer(&request[cut..]).ends_with("ok"), "split at {cut}");
            assert_eq!(lines(&log).concat(), "Hello World", "split at {cut}");
        }
        for byte in &request {
            rig.feed(&[*byte]);
        }
        assert_eq!(lines(&log).concat(), "Hello World");
    }
}

/// Expect: 100-continue, four ways to react to the first event.
// [9110-10.1.1-3] [9110-10.1.1-4] [9110-10.1.1-5]
#[test]
fn the_100_is_sent_on_a_plain_return_suppressed_by_an_answer_and_held_by_a_pause() {
    let request = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    let make = move || {
        let keep = Arc::clone(&keep);
        app(move |scope| {
            let path = scope.path().to_string();
            let keep = Arc::clone(&keep);
            Some(handler(move |event, out| {
                if let Event::HttpRequest { body, more_body } = event {
                    match (path.as_str(), more_body) {
                        ("/refuse", true) => {
                            out.respond(403, &[], b"no")?;
                        }
                        ("/pause", true) if body.is_empty() => {
                            out.pause();
                            keep.lock().unwrap().push(out.handle());
                        }
                        (_, false) => {
                            out.respond(200, &[], body)?;
                        }
                        _ => {}
                    }
                }
                Ok(())
            }))
        })
    };
    let mut rig = Rig::new(make());
    assert_eq!(rig.answer(request("/").as_bytes()), "HTTP/1.1 100 Continue\r\n\r\n");
    assert!(rig.answer(b"body").ends_with("body"));
    assert!(rig.answer(GET).contains("200 OK"), "and the connection persists");

    let sent = rig.answer(request("/refuse").as_bytes());
    assert!(sent.starts_with("HTTP/1.1 403 ") && sent.contains("connection: close"), "{sent}");

    let mut rig = Rig::new(make());
    assert_eq!(rig.answer(request("/pause").as_bytes()), "");
    kept.lock().unwrap().pop().unwrap().resume();
    rig.mail();
    assert_eq!(rig.text(), "HTTP/1.1 100 Continue\r\n\r\n");
    assert!(rig.answer(b"body").ends_with("body"));

    let mut rig = Rig::new(make());
    let sent = rig.answer(format!("{}body", request("/")).as_bytes());
    assert!(sent.starts_with("HTTP/1.1 200 "), "the body was there already: {sent}");
}

#[test]
fn drain_comes_once_and_the_stream_goes_on() {
    let log = Log::default();
    let seen = Arc::clone(&log);
    let mut rig = Rig::new(app(move |_| {
        let seen = Arc::clone(&seen);
        let mut left = 100;
        Some(handler(move |event, out| {
            match event {
                Event::HttpRequest { .. } => {
                    out.send(SendEvent::HttpResponseStart {
                        status: 200,
                        headers: &[],
                        trailers: false,
                    })?;
                }
                Event::Drain => note(&seen, "drain"),
                _ => return Ok(()),
            }
            while left > 0 {
                left -= 1;
                let body = [b'x'; 5000];
                let event = SendEvent::HttpResponseBody { body: &body, more_body: left > 0 };
                if out.send(event)? == Flow::Full {
                    break;
                }
            }
            Ok(())
        }))
    }));
    rig.peer.room = 0;
    rig.feed(GET);
    let queued = rig.conn().queued();
    assert!(queued > 64 * 1024 && queued < 64 * 1024 + 10_000, "{queued}");
    let mut rounds = 0;
    while rig.conn().queued() > 0 {
        rounds += 1;
        rig.drain(80_000);
    }
    let drains = lines(&log).len();
    assert!(drains >= 5 && drains <= rounds, "{drains} drains in {rounds} rounds");
    let sent = rig.text();
    assert!(sent.ends_with("0\r\n\r\n"));
    assert_eq!(sent.matches('x').count(), 500_000);
}

// [9112-9.5-3]
#[test]
fn a_fin_while_the_answer_is_deferred_is_a_disconnect() {
    let log = Log::default();
    let seen = Arc::clone(&log);
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    let mut rig = Rig::new(app(move |_| {
        let (seen, keep) = (Arc::clone(&seen), Arc::clone(&keep));
        Some(handler(move |event, out| {
            note(&seen, event.name());
            if let Event::HttpRequest { .. } = event {
                keep.lock().unwrap().push(out.handle());
            }
            Ok(())
        }))
    }));
    rig.feed(GET);
    rig.eof();
    assert_eq!(lines(&log), ["http.request", "http.disconnect"]);
    assert!(!rig.is_open());
}

#[test]
fn requests_before_a_fin_are_all_answered() {
    let mut rig = Rig::new(misbehaving());
    rig.peer.room = 0;
    rig.feed(&GET.repeat(300));
    rig.eof();
    rig.drain(usize::MAX);
    assert_eq!(rig.text().matches("200 OK").count(), 300);
    assert!(!rig.is_open());
}

// [9112-9.3-3] [9110-10.1.1-3]
#[test]
fn what_a_response_leaves_of_its_request_is_dropped_and_the_next_request_is_found() {
    let mut rig = Rig::new(app(|_| {
        let mut answered = false;
        Some(handler(move |event, out| {
            if let Event::HttpRequest { .. } = event
                && !std::mem::replace(&mut answered, true)
            {
                out.respond(200, &[], b"early")?;
            }
            Ok(())
        }))
    }));
    let post = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n0123456789";
    assert!(rig.answer(post).ends_with("early"));
    assert_eq!(rig.answer(b"GET / HTTP"), "", "these ten bytes are body");
    assert!(rig.answer(GET).ends_with("early"));
    // More than we care to drop: the connection ends instead, after the answer.
    let huge = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nx";
    let sent = rig.answer(huge);
    assert!(sent.ends_with("early") && sent.contains("connection: close"), "{sent}");
    assert_eq!(rig.answer(GET), "", "nothing more is read as a request");
}

// [9112-2.2-7] [9112-3.2-1] [9112-3.2-3] [9112-6.1-8] [9112-9.6-6]
#[test]
fn after_a_refusal_nothing_is_read_as_a_request() {
    for bad in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET / HTTP/1.1\nHost: h\n\n",
    ] {
        let mut rig = Rig::new(misbehaving());
        let sent = rig.answer(&[bad.as_bytes(), GET].concat());
        assert!(sent.starts_with("HTTP/1.1 400 "), "{bad:?}: {sent}");
        assert!(sent.contains("connection: close"), "{sent}");
        assert_eq!(sent.matches("content-length").count(), 1, "{sent}");
        assert_eq!(rig.answer(GET), "");
    }
}

#[test]
fn a_large_body_goes_past_the_queue_to_the_sink() {
    let mut rig = Rig::new(app(|_| {
        Some(handler(|event, out| {
            if let Event::HttpRequest { .. } = event {
                out.respond(200, &[], vec![b'x'; 10 << 20])?;
            }
            Ok(())
        }))
    }));
    rig.peer.room = (10 << 20) - 5000;
    rig.feed(GET);
    let held = rig.conn().bytes_held();
    assert!(held < 100 * 1024, "only the unsent rest is copied: {held}");
    rig.drain(usize::MAX);
    assert_eq!(rig.text().matches('x').count(), 10 << 20);
}

// [9112-3.2.2-2]
#[test]
fn the_authority_of_an_absolute_target_replaces_the_host_field() {
    let mut rig = Rig::new(app(|scope| {
        let host = scope.headers().get_str("host").unwrap_or("none").to_string();
        let path = scope.path().to_string();
        Some(handler(move |event, out| {
            if let Event::HttpRequest { .. } = event {
                out.respond(200, &[], format!("{host} {path}"))?;
            }
            Ok(())
        }))
    }));
    let sent = rig.answer(b"GET http://other.example:81/a?b HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(sent.ends_with("\r\n\r\nother.example:81 /a"), "{sent}");
    assert!(rig.answer(GET).ends_with("\r\n\r\nh /"));
}

/// RFC 9112 §9.6: whoever closes soon says so. At the end of the server that is the last answer to
/// what has arrived.
#[test]
fn the_last_call_is_heard_with_the_last_answer() {
    let app = || {
        app(|_| {
            Some(handler(|event, out| {
                if let Event::HttpRequest { body, more_body: false } = event {
                    out.respond(200, &[], body)?;
                }
                Ok(())
            }))
        })
    };
    let post = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi";
    for last in [GET, post] {
        let mut rig = Rig::new(app());
        rig.last_call();
        let text = rig.answer(&[GET, post, last].concat());
        assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 3, "{text}");
        assert_eq!(text.matches("connection: close\r\n").count(), 1, "{text}");
        let (_, third) = text.rsplit_once("HTTP/1.1 200 OK\r\n").unwrap();
        assert!(third.contains("connection: close\r\n"), "{text}");
        rig.shutdown();
        rig.eof();
        assert_eq!(rig.record.unwrap().cause.name(), "shutdown");
    }
}

#[test]
fn a_body_that_is_to_come_still_ends_with_the_last_answer() {
    let mut rig = Rig::new(crate::rig::echo_app());
    rig.last_call();
    rig.feed(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n");
    rig.shutdown();
    assert!(rig.is_open(), "the request has begun");
    let text = rig.answer(b"hi\r\n0\r\n\r\n");
    assert!(text.contains("connection: close\r\n"), "{text}");
}

#[test]
fn equal_lengths_reach_the_application_as_one_field() {
    let app = app(|scope| {
        let Scope::Http(http) = scope else { return None };
        let lengths: Vec<_> = http.headers.get_all("content-length").map(<[u8]>::to_vec).collect();
        let told = lengths.join(&b"|"[..]);
        let others = http.headers.get("x").map(<[u8]>::to_vec).unwrap_or_default();
        Some(handler(move |event, out| {
            if let Event::HttpRequest { more_body: false, .. } = event {
                out.respond(200, &[], [&told[..], b"; ", &others].concat())?;
            }
            Ok(())
        }))
    });
    let mut rig = Rig::new(app);
    for lengths in [
        "Content-Length: 4, 4\r\nX: y",
        "Content-Length: 4,4,4\r\nX: y",
        "Content-Length: 4\r\nX: y\r\nContent-Length: 4",
        "X: y\r\nContent-Length: 4\r\nContent-Length: 4, 4",
        "Content-Length: 4\r\nX: y",
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: h\r\n{lengths}\r\n\r\nbody");
        assert!(rig.answer(request.as_bytes()).ends_with("\r\n\r\n4; y"), "{lengths}");
    }
}

#[test]
fn the_answer_to_a_head_has_no_length_that_nobody_said() {
    let app = app(|scope| {
        let path = scope.path().to_string();
        Some(handler(move |event, out| {
            if let Event::HttpRequest { more_body: false, .. } = event {
                match &*path {
                    "/empty" => out.respond(200, &[], "")?,
                    "/said" => out.respond(200, &[(b"content-length", b"0")], "")?,
                    _ => out.respond(200, &[], "hello")?,
                };
            }
            Ok(())
        }))
    });
    let mut rig = Rig::new(app);
    for (path, length) in [("/empty", None), ("/said", Some("0")), ("/hello", Some("5"))] {
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        let answer = rig.answer(request.as_bytes());
        let told = answer.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        assert_eq!(told, length, "{path}: {answer}");
        assert!(answer.ends_with("\r\n\r\n"));
    }
}

/// A method in another case is refused as any other head is: with the rule, whatever the request
/// before it was, and its body is read away, so that the refusal is not lost with a reset.
#[test]
fn a_method_in_another_case_is_refused_as_any_other_head() {
    let mut rig = Rig::new(crate::rig::echo_app());
    assert!(rig.answer(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n").starts_with("HTTP/1.1 200 "));
    let answer = rig.answer(b"get / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 501 "), "{answer}");
    assert!(answer.contains("case-sensitive"), "{answer}");
    for framing in ["Content-Length: 5000000", "Transfer-Encoding: chunked", "Content-Length: x"] {
        let mut rig = Rig::new(crate::rig::echo_app());
        let request = format!("post / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n");
        assert!(rig.answer(request.as_bytes()).starts_with("HTTP/1.1 501 "), "{framing}");
        assert!(rig.conn().lingers_for_body(), "{framing}");
    }
}
