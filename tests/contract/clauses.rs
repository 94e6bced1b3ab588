//! Clauses of the RFCs that no other test shows; see `docs/RFC-INDEX.md`.

use std::sync::{Arc, Mutex};

use oneport::{App, Event, Scope, app, handler};

use crate::rig::{Rig, frame, upgrade};

/// Answers requests by path, accepts WebSockets.
fn plain() -> impl App {
    app(|scope| {
        let path = scope.path().to_string();
        Some(handler(move |event, out| {
            match event {
                Event::HttpRequest { more_body: false, .. } => match path.as_str() {
                    "/299" => drop(out.respond(299, &[], b"")?),
                    "/nothing" => {}
                    _ => drop(out.respond(200, &[], b"ok")?),
                },
                Event::WebSocketConnect => drop(out.accept()?),
                _ => {}
            }
            Ok(())
        }))
    })
}

/// What one connection answers to these bytes.
fn answer(bytes: impl AsRef<[u8]>) -> String {
    Rig::new(plain()).answer(bytes.as_ref())
}

// [9112-3-3] [9110-2.2-4] [9110-5.1-1]
#[test]
fn a_long_target_and_fields_that_nobody_knows_are_taken() {
    let line = format!("GET /{} HTTP/1.1", "x".repeat(8000 - "GET / HTTP/1.1".len()));
    assert_eq!(line.len(), 8000);
    let sent = answer(format!("{line}\r\nHost: h\r\nX-Unheard-Of: yes\r\nRange: x=?\r\n\r\n"));
    assert!(sent.starts_with("HTTP/1.1 200 "), "{sent}");
}

// [9112-4-1]
#[test]
fn a_status_without_a_phrase_keeps_its_space() {
    let sent = answer("GET /299 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(sent.starts_with("HTTP/1.1 299 \r\n"), "{sent}");
}

// [9112-6.1-6]
#[test]
fn a_coding_that_is_not_known_is_501() {
    let sent = answer("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n");
    assert!(sent.starts_with("HTTP/1.1 501 ") && sent.contains("connection: close"), "{sent}");
}

// [9112-6.3-1]
#[test]
fn a_last_coding_other_than_chunked_is_400() {
    for codings in ["chunked, gzip", "gzip", "identity", "x"] {
        let field = format!("Transfer-Encoding: {codings}");
        let sent = answer(format!("POST / HTTP/1.1\r\nHost: h\r\n{field}\r\n\r\n"));
        assert!(sent.starts_with("HTTP/1.1 400 ") && sent.contains("connection: close"), "{sent}");
    }
}

// [9110-7.4-1] [9110-7.4-2]
#[test]
fn a_uri_that_asks_for_tls_is_misdirected_to_a_port_without_it() {
    for uri in ["https://h/", "wss://h/", "HTTPS://h:8000"] {
        let sent = answer(format!("GET {uri} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert!(sent.starts_with("HTTP/1.1 421 Misdirected Request\r\n"), "{sent}");
        assert!(sent.contains("connection: close") && sent.contains("through TLS"), "{sent}");
    }
}

// [6455-4.2.1-7] [6455-4.3-1] [6455-9.1-1]
#[test]
fn fields_of_a_handshake_that_break_their_grammar_are_400() {
    for field in ["Protocol: a b", "Protocol: \"a\"", "Extensions: a b", "Extensions: a; b=\"c d\""]
    {
        let sent = answer(handshake_and(&format!("Sec-WebSocket-{field}")));
        assert!(sent.starts_with("HTTP/1.1 400 "), "{field}: {sent}");
    }
}

// [9112-6.3-3]
#[test]
fn a_length_that_is_none_is_400_and_ends_the_connection() {
    for length in ["x", "-1", "+1", "1 1", "1, 2", ""] {
        let mut rig = Rig::new(plain());
        let request = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
        let sent = rig.answer(request.as_bytes());
        assert!(sent.starts_with("HTTP/1.1 400 ") && sent.contains("connection: close"), "{sent}");
        assert_eq!(rig.answer(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"), "");
    }
}

// [9112-3.2-4] [9112-3.2-5] [9110-4.2.1-1] [9110-4.2.2-1] [9110-9.3.6-1]
#[test]
fn hosts_and_targets_that_cannot_be_are_400() {
    for head in [
        "GET / HTTP/1.1\r\nHost: h\r\nHost: h",
        "GET / HTTP/1.1\r\nHost: h/",
        "GET http:///x HTTP/1.1\r\nHost: h",
        "GET https:///x HTTP/1.1\r\nHost: h",
        "CONNECT h HTTP/1.1\r\nHost: h",
        "CONNECT h:x HTTP/1.1\r\nHost: h",
    ] {
        let sent = answer(format!("{head}\r\n\r\n"));
        assert!(sent.starts_with("HTTP/1.1 400 "), "{head}: {sent}");
    }
    // A port that is empty, and any other: there are no tunnels here.
    for target in ["h:", "h:80"] {
        let sent = answer(format!("CONNECT {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert!(sent.starts_with("HTTP/1.1 501 "), "{target}: {sent}");
    }
}

// [9110-8.3-1] [9110-15.5-1] [9110-15.6-1] [9110-15.6.6-1]
#[test]
fn refusals_explain_themselves_in_plain_text() {
    for (request, status, why) in [
        ("GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n", 500, "gave no answer"),
        ("GET / HTTP/1.1\r\n\r\n", 400, "needs a Host field"),
        ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505, "this server speaks HTTP/1.1 and HTTP/1.0"),
    ] {
        let sent = answer(request);
        assert!(sent.starts_with(&format!("HTTP/1.1 {status} ")), "{sent}");
        let (head, body) = sent.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\ncontent-type: text/plain"), "{head}");
        assert!(body.contains(why), "{body}");
    }
}

fn handshake() -> String {
    String::from_utf8(upgrade("/")).unwrap()
}

/// The handshake with one more field.
fn handshake_and(field: &str) -> String {
    handshake().replacen("\r\n\r\n", &format!("\r\n{field}\r\n\r\n"), 1)
}

// [9110-10.2.1-1] [9110-15.5.6-1]
#[test]
fn a_handshake_with_another_method_is_told_which_is_allowed() {
    let sent = answer(handshake().replacen("GET", "POST", 1));
    assert!(sent.starts_with("HTTP/1.1 405 ") && sent.contains("\r\nallow: GET\r\n"), "{sent}");
}

// [6455-11.3.1-1] [6455-11.3.5-1]
#[test]
fn a_handshake_has_one_key_and_one_version() {
    let sent = answer(handshake_and("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="));
    assert!(sent.starts_with("HTTP/1.1 400 "), "{sent}");
    let sent = answer(handshake_and("Sec-WebSocket-Version: 13"));
    assert!(sent.starts_with("HTTP/1.1 426 "), "{sent}");
}

// [6455-4.2.1-2]
#[test]
fn a_handshake_has_a_host() {
    let lines: Vec<String> = handshake().lines().map(str::to_string).collect();
    let without: Vec<_> = lines.iter().filter(|line| !line.starts_with("Host:")).cloned().collect();
    assert_eq!(without.len() + 1, lines.len());
    let sent = answer(format!("{}\r\n", without.join("\r\n")));
    assert!(sent.starts_with("HTTP/1.1 400 "), "{sent}");
}

// [9110-7.8-6]
#[test]
fn an_upgrade_in_http_1_0_is_ignored_unless_it_can_be_nothing_but_a_handshake() {
    let sent = answer("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert!(sent.starts_with("HTTP/1.1 200 "), "{sent}");
    let sent = answer(handshake().replacen("HTTP/1.1", "HTTP/1.0", 1));
    assert!(sent.starts_with("HTTP/1.1 400 "), "{sent}");
}

// [9110-7.8-7]
#[test]
fn an_expectation_of_a_handshake_asks_for_nothing() {
    let sent = answer(handshake_and("Expect: 100-continue"));
    assert!(sent.starts_with("HTTP/1.1 101 "), "{sent}");
}

/// Where a test that asks for it finds what was logged in its thread.
pub(crate) mod logged {
    use std::cell::RefCell;
    use std::sync::Once;

    thread_local! {
        static LINES: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
    }

    struct Lines;

    impl log::Log for Lines {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &log::Record<'_>) {
            LINES.with_borrow_mut(|lines| {
                if let Some(lines) = lines {
                    lines.push(record.args().to_string());
                }
            });
        }

        fn flush(&self) {}
    }

    /// The lines that were logged meanwhile.
    pub(crate) fn during(then: impl FnOnce()) -> Vec<String> {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            log::set_logger(&Lines).expect("no other logger is set");
            log::set_max_level(log::LevelFilter::Debug);
        });
        LINES.set(Some(Vec::new()));
        then();
        LINES.take().unwrap_or_default()
    }
}

// [6455-7.1.7-2]
#[test]
fn why_a_websocket_failed_is_logged() {
    let mut rig = Rig::new(plain());
    rig.answer(&upgrade("/"));
    let lines = logged::during(|| _ = rig.feed(&frame(0x83, b"")));
    let rule = oneport::ws::Error::ReservedOpcode.to_string();
    assert!(lines.iter().any(|line| line.contains(&rule)), "{lines:?}");
}

// [9110-6.5.1-2] [9112-7.1.2-2]
#[test]
fn trailers_are_told_as_no_ones_fields() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&told);
    let mut rig = Rig::new(app(move |scope| {
        let Scope::Http(http) = scope else { return None };
        let names = http.headers.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned());
        seen.lock().unwrap().push(names.collect::<Vec<_>>().join(" "));
        Some(handler(|event, out| {
            if let Event::HttpRequest { more_body: false, .. } = event {
                out.respond(200, &[], b"")?;
            }
            Ok(())
        }))
    }));
    let request = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: x-role\r\n\r\n\
                   2\r\nab\r\n0\r\nX-Role: admin\r\nContent-Length: 5\r\nConnection: close\r\n\r\n";
    rig.feed(request.as_bytes());
    // Neither the request that they belong to has them, nor the one behind it.
    rig.feed(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(*told.lock().unwrap(), ["host transfer-encoding trailer", "host"]);
}

// [6455-7.1.7-4]
#[test]
fn behind_a_broken_frame_nothing_is_processed() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&told);
    let mut rig = Rig::new(app(move |_| {
        let seen = Arc::clone(&seen);
        Some(handler(move |event, out| {
            seen.lock().unwrap().push(event.name());
            if let Event::WebSocketConnect = event {
                out.accept()?;
            }
            Ok(())
        }))
    }));
    rig.answer(&upgrade("/"));
    let broken = [frame(0x83, b""), frame(0x81, b"text"), frame(0x89, b"ping")].concat();
    rig.feed(&broken);
    rig.feed(&[frame(0x81, b"later"), frame(0x88, b"\x03\xe8")].concat());
    assert_eq!(*told.lock().unwrap(), ["websocket.connect", "websocket.disconnect"]);
    let got = &rig.peer.got;
    let (code, len) = (got.get(2..4), usize::from(got[1]));
    assert_eq!(
        (got[0], code, got.len()),
        (0x88, Some(&b"\x03\xea"[..]), 2 + len),
        "one Close only"
    );
}
