//! The corner rules of ASGI that implementations most often get wrong, by their number.
//!
//! Those that only concern HTTP/2 or TLS are left out. Where a rule has many cases, the others
//! are with its subject; here is the case that others got wrong.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use oneport::asgi::scope::ServerAddress;
use oneport::{
    App, AppError, Event, Field, Handle, Invalid, Message, Outbox, Scope, SendError, SendEvent,
    ServerError,
};

use crate::raw::{BINARY, CONTINUATION, Frame, PING, PONG, TEXT, close_frame, frame, handshake};
use crate::support::{
    Outcome, agent, answering, boxed, by_scope, echo, notes, on_events, plain, say, serve,
    serve_with, start, take, ws, ws_with,
};

fn head<'a>(headers: &'a [Field<'a>]) -> SendEvent<'a> {
    SendEvent::HttpResponseStart { status: 200, headers, trailers: false }
}

fn body(body: &[u8], more_body: bool) -> SendEvent<'_> {
    SendEvent::HttpResponseBody { body, more_body }
}

#[test]
fn rule_01_an_early_hint_behind_the_start_is_a_103_before_the_head() {
    let server = serve(answering(|out| {
        out.send(SendEvent::HttpResponseEarlyHint { links: &[b"</before>"] })?;
        out.send(head(&[]))?;
        out.send(SendEvent::HttpResponseEarlyHint { links: &[b"</behind>"] })?;
        out.send(body(b"", false))?;
        Ok(())
    }));
    let mut client = server.raw();
    client.get("/");
    for link in ["</before>", "</behind>"] {
        let interim = client.head();
        assert_eq!((interim.status, interim.field("link")), (103, Some(link)));
    }
    assert_eq!(client.response().status, 200);
}

#[test]
fn rule_02_empty_payloads_are_messages() {
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        note.event(&event);
        echo(event, out)
    }));
    let mut client = ws(&server, "/");
    assert_eq!(told.next(), "websocket.connect");
    client.send("".into()).unwrap();
    assert_eq!(told.next(), "websocket.receive text \"\"");
    assert_eq!(client.read().unwrap(), tungstenite::Message::text(""));
    client.send(tungstenite::Message::binary(vec![])).unwrap();
    assert_eq!(told.next(), "websocket.receive binary ");
    assert_eq!(client.read().unwrap(), tungstenite::Message::binary(vec![]));
}

#[test]
fn rule_02_an_empty_piece_does_not_end_a_chunked_body() {
    let server = serve(answering(|out| {
        out.send(head(&[]))?;
        for piece in [&b""[..], b"one ", b"", b"", b"two"] {
            out.send(body(piece, true))?;
        }
        out.send(body(b"", false))?;
        Ok(())
    }));
    let mut client = server.raw();
    for _ in 0..2 {
        client.get("/");
        assert_eq!(client.response().text(), "one two");
    }
}

#[test]
fn rule_03_the_clients_close_code_is_told_and_a_lost_connection_is_1006() {
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| match event {
        Event::WebSocketDisconnect { .. } => {
            note.event(&event);
            Ok(())
        }
        event => echo(event, out),
    }));
    for (end, wanted) in [
        (Some(close_frame(1000, "")), "1000"),
        (Some(close_frame(3999, "")), "3999"),
        (Some(frame(true, crate::raw::CLOSE, b"")), "1005"),
        (None, "1006"),
    ] {
        let mut client = server.raw();
        client.open("/");
        if let Some(close) = end {
            client.send(close);
            client.frame();
        }
        drop(client);
        assert_eq!(told.next(), format!("websocket.disconnect {wanted} \"\""));
    }
}

#[test]
fn rule_04_a_reason_travels_both_ways() {
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        match event {
            Event::WebSocketConnect => drop(out.accept()?),
            Event::WebSocketReceive(Message::Text(reason)) => drop(out.close(4000, reason)?),
            event => note.event(&event),
        }
        Ok(())
    }));
    let mut client = server.raw();
    client.open("/");
    client.send(close_frame(1001, "gone to lunch: 🥪"));
    client.frame();
    assert_eq!(told.next(), "websocket.disconnect 1001 \"gone to lunch: 🥪\"");

    let mut client = server.raw();
    client.open("/");
    client.message(TEXT, "closing time: 🕔".as_bytes());
    let close = client.frame();
    assert_eq!(close.close_code(), Some(4000));
    assert_eq!(&close.payload[2..], "closing time: 🕔".as_bytes());
}

#[test]
fn rule_05_the_fields_of_an_accept_are_sent() {
    let server = serve(on_events(|event, out| {
        if let Event::WebSocketConnect = event {
            let headers: &[Field<'_>] = &[(b"set-cookie", b"a=1"), (b"x-b", b"2")];
            out.send(SendEvent::WebSocketAccept { subprotocol: Some("chat"), headers })?;
        }
        Ok(())
    }));
    let (_client, answer) = ws_with(&server, "/", &[("sec-websocket-protocol", "chat")]).unwrap();
    assert_eq!(answer.headers()["set-cookie"], "a=1");
    assert_eq!(answer.headers()["x-b"], "2");
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat");
}

#[test]
fn rule_05_a_start_without_fields_is_a_start() {
    let server = serve(answering(|out| {
        out.send(head(&[]))?;
        out.send(body(b"", false))?;
        Ok(())
    }));
    let answer = server.get("/");
    assert_eq!((answer.status, answer.field("content-length")), (200, Some("0")));
}

#[test]
fn rule_06_behind_the_last_piece_of_a_body_nothing_is_told_until_the_end() {
    let (give, handles) = mpsc::channel::<Handle>();
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        note.event(&event);
        if let Event::HttpRequest { more_body: false, .. } = event {
            give.send(out.handle())?;
        }
        Ok(())
    }));
    let mut client = server.raw();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody");
    let handle = take(&handles);
    server.barrier();
    assert_eq!(told.so_far(), ["http.request body."], "no empty piece, no early disconnect");
    handle.respond(200, &[], b"").unwrap();
    assert_eq!(client.response().status, 200);
    drop(client);
    server.stop().unwrap();
    assert_eq!(told.all(), [""; 0], "the response was complete: no disconnect");
}

#[test]
fn rule_07_events_behind_a_complete_response_are_ignored() {
    let (note, told) = notes();
    let server = serve(answering(move |out| {
        say(out, "complete")?;
        let links = &[&b"</a>"[..]];
        let late = [
            out.send(head(&[])),
            out.send(body(b"late", true)),
            out.send(body(b"late", false)),
            out.send(SendEvent::HttpResponseEarlyHint { links }),
            out.send(SendEvent::HttpResponseTrailers { headers: &[], more_trailers: false }),
            out.respond(500, &[], b"late"),
        ];
        note.note(format!("{}", late.iter().all(Result::is_ok)));
        Ok(())
    }));
    let mut client = server.raw();
    for _ in 0..2 {
        client.get("/");
        assert_eq!(client.response().text(), "complete");
        assert_eq!(told.next(), "true");
    }
}

#[test]
fn rule_07_events_behind_a_lost_connection_are_errors_that_nobody_logs() {
    let (note, told) = notes();
    let lost = move |event: Event<'_>, out: &mut Outbox<'_>| -> Outcome {
        match event {
            Event::HttpRequest { .. } => out.wake_after(Duration::from_secs(60)),
            Event::WebSocketConnect => drop(out.accept()?),
            Event::HttpDisconnect => {
                let errors = [out.send(head(&[])), out.send(body(b"", false)), say_flow(out)];
                note.note(format!("{errors:?}"));
                out.respond(200, &[], b"")?;
            }
            Event::WebSocketDisconnect { .. } => {
                let errors = [out.accept(), out.message("late"), say_flow(out)];
                note.note(format!("{errors:?}"));
                out.message("late")?;
            }
            _ => {}
        }
        Ok(())
    };
    fn say_flow(out: &mut Outbox<'_>) -> Result<oneport::Flow, SendError> {
        out.respond(200, &[], b"late")
    }
    let server = serve(on_events(lost));
    let closed = format!("{:?}", [Err::<oneport::Flow, _>(SendError::Closed); 3]);
    let mut client = server.raw();
    client.get("/");
    client.finish_sending();
    assert_eq!(told.next(), closed);
    client.expect_end();
    let mut client = server.raw();
    client.open("/");
    client.finish_sending();
    assert_eq!(told.next(), closed);
    client.expect_end();
    server.barrier();
    assert_eq!(server.log(), [""; 0], "what bubbles up is nobody's mistake");
}

#[test]
fn rule_07_a_real_error_behind_a_lost_connection_is_logged() {
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| match event {
        Event::HttpDisconnect => {
            note.note("told");
            Err("the cellar is flooded".into())
        }
        _ => {
            out.wake_after(Duration::from_secs(60));
            Ok(())
        }
    }));
    let mut client = server.raw();
    client.get("/");
    client.finish_sending();
    assert_eq!(told.next(), "told");
    client.expect_end();
    let log = server.log();
    assert!(log.iter().any(|line| line.contains("the cellar is flooded")), "{log:?}");
}

#[test]
fn rule_08_a_transfer_encoding_of_the_application_is_ignored() {
    let coded: &[Field<'_>] = &[(b"Transfer-Encoding", b"gzip, chunked")];
    let server = serve(by_scope(move |scope| {
        let pieces = scope.path() == "/pieces";
        boxed(move |event, out| {
            if let Event::HttpRequest { .. } = event {
                if pieces {
                    out.send(head(coded))?;
                    out.send(body(b"plain ", true))?;
                    out.send(body(b"text", false))?;
                } else {
                    out.respond(200, coded, b"plain text")?;
                }
            }
            Ok(())
        })
    }));
    let answer = server.get("/");
    assert_eq!(answer.field("transfer-encoding"), None);
    assert_eq!((answer.field("content-length"), answer.text()), (Some("10"), "plain text"));
    let answer = server.get("/pieces");
    assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
    assert_eq!(answer.text(), "plain text");
    // With a length nothing is chunked, in HTTP/1.0 neither.
    let mut client = server.raw();
    client.send("GET /pieces HTTP/1.0\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.field("transfer-encoding"), answer.text()), (None, "plain text"));
}

#[test]
fn rule_08_a_stated_length_is_not_chunked() {
    let server = serve(answering(|out| {
        out.send(head(&[(b"content-length", b"10")]))?;
        out.send(body(b"plain ", true))?;
        out.send(body(b"text", false))?;
        Ok(())
    }));
    let answer = server.get("/");
    assert_eq!(answer.field("transfer-encoding"), None);
    assert_eq!((answer.field("content-length"), answer.text()), (Some("10"), "plain text"));
}

// [9112-6.1-4] [9110-8.6-3] [9110-9.3.2-1]
#[test]
fn rule_09_head_204_and_304_have_no_body_and_keep_their_fields() {
    let server = serve(by_scope(|scope| {
        let status = scope.path()[1..].parse().unwrap_or(200);
        boxed(move |event, out| {
            if let Event::HttpRequest { .. } = event {
                let headers: &[Field<'_>] =
                    &[(b"content-length", b"4"), (b"etag", b"\"a\""), (b"x", b"y")];
                let start = SendEvent::HttpResponseStart { status, headers, trailers: false };
                out.send(start)?;
                out.send(body(b"bo", true))?;
                out.send(body(b"dy", false))?;
            }
            Ok(())
        })
    }));
    let mut client = server.raw();
    // What a body would be taken for is the next response.
    for (method, status, length) in [
        ("HEAD", 200, Some("4")),
        ("GET", 204, None),
        ("GET", 304, Some("4")),
        ("HEAD", 304, Some("4")),
        ("HEAD", 204, None),
    ] {
        client.send(format!("{method} /{status} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let answer = client.head();
        assert_eq!(answer.status, status);
        assert_eq!(answer.field("content-length"), length, "{method} {status}");
        assert_eq!(answer.field("transfer-encoding"), None);
        assert_eq!((answer.field("etag"), answer.field("x")), (Some("\"a\""), Some("y")));
    }
    client.get("/200");
    assert_eq!(client.response().text(), "body");
}

#[test]
fn rule_09_a_head_response_in_pieces_has_no_body() {
    let server = serve(answering(|out| {
        out.send(head(&[]))?;
        out.send(body(b"bo", true))?;
        out.send(body(b"dy", false))?;
        Ok(())
    }));
    let mut client = server.raw();
    client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    client.get("/");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.response().text(), "body");
}

#[test]
fn rule_10_a_length_that_the_body_disagrees_with() {
    let (note, told) = notes();
    let server = serve(answering(move |out| {
        out.send(head(&[(b"content-length", b"4")]))?;
        let error = out.send(body(b"too long", true)).unwrap_err();
        note.note(format!("{error:?}"));
        out.send(body(b"sho", false))?;
        Ok(())
    }));
    let mut client = server.raw();
    client.get("/");
    assert_eq!(client.head().field("content-length"), Some("4"));
    assert_eq!(client.rest(), b"sho", "cut, and never padded");
    let error = SendError::Invalid(Invalid::BodyLongerThanContentLength);
    assert_eq!(told.next(), format!("{error:?}"));
}

/// What a scope says about itself, one per line.
fn scope_text(scope: &Scope<'_>) -> String {
    let (version, client, server, raw_path, scheme, root) = match scope {
        Scope::Http(s) => (s.http_version, s.client, s.server, s.raw_path, s.scheme, s.root_path),
        Scope::WebSocket(s) => {
            (s.http_version, s.client, s.server, s.raw_path, s.scheme, s.root_path)
        }
        _ => return String::new(),
    };
    let server = match server {
        Some(ServerAddress::Inet(address)) => address.to_string(),
        other => format!("{other:?}"),
    };
    let client = client.map_or_else(|| "none".to_string(), |client| client.to_string());
    [
        scope.kind().to_string(),
        version.to_string(),
        scheme.to_string(),
        format!("root={root}"),
        scope.path().to_string(),
        raw_path.escape_ascii().to_string(),
        scope.query_string().escape_ascii().to_string(),
        client,
        server,
    ]
    .join("\n")
}

fn scopes() -> impl App {
    by_scope(|scope| {
        let text = scope_text(scope);
        boxed(move |event, out| {
            match event {
                Event::HttpRequest { .. } => say(out, &text)?,
                Event::WebSocketConnect => {
                    out.accept()?;
                    out.message(&*text)?;
                }
                _ => {}
            }
            Ok(())
        })
    })
}

#[test]
fn rule_11_versions_and_addresses_of_a_scope() {
    let server = serve(scopes());
    for version in ["1.0", "1.1"] {
        let mut client = server.raw();
        client.send(format!("GET / HTTP/{version}\r\nHost: h\r\n\r\n"));
        let wanted = format!(
            "http\n{version}\nhttp\nroot=\n/\n/\n\n127.0.0.1:{}\n{}",
            client.port(),
            server.address
        );
        assert_eq!(client.response().text(), wanted);
    }
    let mut client = server.raw();
    client.open("/");
    let wanted = format!(
        "websocket\n1.1\nws\nroot=\n/\n/\n\n127.0.0.1:{}\n{}",
        client.port(),
        server.address
    );
    assert_eq!(client.frame(), Frame::whole(TEXT, wanted));
}

#[test]
fn rule_12_raw_path_is_as_sent_and_without_the_query() {
    let server = serve(scopes());
    let target = "/a%2Fb/%C3%A4%20c?q=%C3%A4&r=%2F?";
    let wanted = "/a/b/ä c\n/a%2Fb/%C3%A4%20c\nq=%C3%A4&r=%2F?\n";
    let mut client = server.raw();
    client.get(target);
    assert!(client.response().text().contains(wanted));
    let mut client = server.raw();
    client.open(target);
    let text = String::from_utf8(client.frame().payload).unwrap();
    assert!(text.contains(wanted), "{text}");
    // A query that is empty, and none.
    for target in ["/?", "/"] {
        assert!(server.get(target).text().contains("\n/\n/\n\n"));
    }
    // The absolute form of a target (RFC 9112 §3.2.2).
    let mut client = server.raw();
    client.send("GET http://h/p%61th?q HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(client.response().text().contains("\n/path\n/p%61th\nq\n"));
}

#[test]
fn rule_13_te_is_a_list_in_any_case_and_over_several_lines() {
    let server = serve(answering(|out| {
        out.send(SendEvent::HttpResponseStart { status: 200, headers: &[], trailers: true })?;
        out.send(body(b"body", false))?;
        let headers: &[Field<'_>] = &[(b"x-sum", b"4")];
        out.send(SendEvent::HttpResponseTrailers { headers, more_trailers: false })?;
        Ok(())
    }));
    for (fields, sent) in [
        ("TE: gzip;q=0.5, trailers\r\n", true),
        ("TE: gzip;q=0.5\r\nTE: Trailers\r\n", true),
        ("te: ,TRAILERS,\r\n", true),
        // It takes no weight.
        ("TE: trailers;q=0.5\r\n", false),
        ("TE: x-trailers\r\n", false),
        ("", false),
    ] {
        let mut client = server.raw();
        client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
        let answer = client.response();
        assert_eq!((answer.text(), !answer.trailers.is_empty()), ("body", sent), "{fields}");
    }
}

#[test]
fn rule_14_subprotocols_are_a_list_over_several_lines() {
    let server = serve(by_scope(|scope| {
        let Scope::WebSocket(socket) = scope else { return None };
        let offered: Vec<String> = socket.subprotocols().map(str::to_string).collect();
        boxed(move |event, out| {
            if let Event::WebSocketConnect = event {
                let subprotocol = offered.last().map(String::as_str);
                out.send(SendEvent::WebSocketAccept { subprotocol, headers: &[] })?;
                out.message(&*offered.join("|"))?;
            }
            Ok(())
        })
    }));
    for (fields, offered) in [
        ("Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: c\r\n", "a|b|c"),
        ("Sec-WebSocket-Protocol: ,a,,b\t,\r\n", "a|b"),
        ("Sec-WebSocket-Protocol: soap\r\n", "soap"),
        ("", ""),
    ] {
        let mut client = server.raw();
        client.send(handshake("/", fields));
        let answer = client.opened();
        let chosen = offered.split('|').next_back().filter(|chosen| !chosen.is_empty());
        assert_eq!(answer.field("sec-websocket-protocol"), chosen);
        assert_eq!(client.frame(), Frame::whole(TEXT, offered));
    }
}

// [6455-4.2.2-5] [6455-4.2.2-6]
#[test]
fn rule_14_only_an_offered_subprotocol_may_be_chosen() {
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        if let Event::WebSocketConnect = event {
            for other in ["c", "", "a, b", "A"] {
                let subprotocol = Some(other);
                let refused = out.send(SendEvent::WebSocketAccept { subprotocol, headers: &[] });
                note.note(format!("{:?}", refused.unwrap_err()));
            }
            out.accept()?;
        }
        Ok(())
    }));
    let mut client = server.raw();
    client.send(handshake("/", "Sec-WebSocket-Protocol: a, b\r\n"));
    assert_eq!(client.opened().field("sec-websocket-protocol"), None, "none is a choice");
    for _ in 0..4 {
        assert_eq!(told.next(), format!("{:?}", SendError::Invalid(Invalid::Subprotocol)));
    }
}

#[test]
fn rule_15_a_denial_may_be_streamed() {
    let server = serve(on_events(|event, out| {
        match event {
            Event::WebSocketConnect => {
                let headers: &[Field<'_>] = &[(b"x-why", b"full")];
                out.send(SendEvent::WebSocketHttpResponseStart { status: 503, headers })?;
                let body = b"come ";
                out.send(SendEvent::WebSocketHttpResponseBody { body, more_body: true })?;
                out.wake_after(Duration::from_millis(10));
            }
            Event::Timer => {
                let body = b"back later";
                out.send(SendEvent::WebSocketHttpResponseBody { body, more_body: false })?;
            }
            _ => {}
        }
        Ok(())
    }));
    let mut client = server.raw();
    client.send(handshake("/", ""));
    let answer = client.response();
    assert_eq!((answer.status, answer.text()), (503, "come back later"));
    assert_eq!(answer.field("x-why"), Some("full"));
    client.expect_end();
}

/// Gives its handle away instead of answering; notes everything.
fn deferring() -> (impl App, mpsc::Receiver<Handle>, crate::support::Told) {
    let (give, handles) = mpsc::channel::<Handle>();
    let (note, told) = notes();
    let app = on_events(move |event, out| {
        note.event(&event);
        if let Event::WebSocketConnect = event {
            give.send(out.handle())?;
        }
        Ok(())
    });
    (app, handles, told)
}

#[test]
fn rule_16_who_left_before_the_accept_gets_no_101() {
    let (app, handles, told) = deferring();
    let server = serve(app);
    let mut client = server.raw();
    client.send(handshake("/", ""));
    let handle = take(&handles);
    client.finish_sending();
    assert_eq!(told.next(), "websocket.connect");
    assert_eq!(told.next(), "websocket.disconnect 1006 \"\"");
    crate::support::eventually("its handle misses", || !handle.is_alive());
    assert_eq!(handle.accept(), Err(SendError::Closed));
    client.expect_end();
    server.stop().unwrap();
    assert_eq!(told.all(), [""; 0]);
}

#[test]
fn rule_16_who_left_before_the_accept_with_frames_behind_its_handshake_gets_no_101() {
    let (app, handles, told) = deferring();
    let server = serve(app);
    let mut client = server.raw();
    client.send([handshake("/", "").as_bytes(), &frame(true, TEXT, b"hasty")].concat());
    let handle = take(&handles);
    client.finish_sending();
    server.barrier();
    assert_eq!(told.so_far(), ["websocket.connect", "websocket.disconnect 1006 \"\""]);
    let _ = handle.accept();
    client.expect_end();
}

#[test]
fn rule_16_a_reset_before_the_accept_is_told() {
    let (app, handles, told) = deferring();
    let server = serve(app);
    let mut client = server.raw();
    client.send(handshake("/", ""));
    let handle = take(&handles);
    client.reset();
    assert_eq!(told.next(), "websocket.connect");
    assert_eq!(told.next(), "websocket.disconnect 1006 \"\"");
    crate::support::eventually("its handle misses", || !handle.is_alive());
    assert_eq!(handle.accept(), Err(SendError::Closed));
}

// [9110-10.1.1-4]
#[test]
fn rule_17_a_100_goes_out_only_when_the_application_reads() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(by_scope(move |scope| {
        let (path, give) = (scope.path().to_string(), give.clone());
        boxed(move |event, out| {
            match event {
                Event::HttpRequest { more_body: true, .. } if path == "/refuse" => {
                    out.respond(403, &[], b"")?;
                }
                Event::HttpRequest { more_body: true, .. } if path == "/later" => {
                    out.pause();
                    give.send(out.handle())?;
                }
                Event::HttpRequest { more_body: false, .. } => say(out, "read")?,
                _ => {}
            }
            Ok(())
        })
    }));
    let send = |path: &str| {
        let mut client = server.raw();
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        ));
        client
    };
    let mut client = send("/");
    assert_eq!(client.head().status, 100);
    client.send("body");
    assert_eq!(client.response().text(), "read");

    assert_eq!(send("/refuse").head().status, 403);

    let mut client = send("/later");
    let handle = take(&handles);
    server.barrier();
    client.expect_nothing_yet();
    handle.resume();
    assert_eq!(client.head().status, 100);
}

#[test]
fn rule_18_a_lifespan_that_raises_is_swallowed_and_the_log_says_so() {
    let lifespan = |event: Event<'_>, out: &mut Outbox<'_>| -> Outcome {
        match event {
            Event::LifespanStartup => Err(AppError::from("a bug in the startup")),
            Event::HttpRequest { .. } => say(out, "served"),
            _ => Ok(()),
        }
    };
    let server = serve(by_scope(move |_| boxed(lifespan)));
    assert_eq!(server.get("/").text(), "served");
    let log = server.log();
    assert!(log.iter().any(|line| line.contains("a bug in the startup")), "{log:?}");
    assert!(log.iter().any(|line| line.contains("without lifespan")), "{log:?}");

    // Who knows that the application has one makes it fatal.
    let mut server = start(by_scope(move |_| boxed(lifespan)), |s| s.lifespan_required(true));
    match server.outcome() {
        Err(ServerError::Startup(message)) => assert!(message.contains("a bug in the startup")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rule_19_a_copy_of_the_state_is_each_requests_own() {
    struct Shared(&'static str);
    struct Private;
    let server = serve(by_scope(|scope| {
        if let Scope::Lifespan(_) = scope {
            return boxed(|event, out| {
                if let Event::LifespanStartup = event {
                    out.insert_state(Shared("original"))?;
                }
                Ok(())
            });
        }
        let mut state = scope.state().cloned().unwrap_or_default();
        let text = match (state.get::<Shared>(), state.get::<Private>()) {
            (Some(shared), None) => shared.0,
            _ => "another request's value",
        };
        state.insert(Private);
        state.insert(Shared("replaced"));
        assert_eq!(state.get::<Shared>().unwrap().0, "replaced");
        boxed(move |event, out| match event {
            Event::HttpRequest { .. } => say(out, text),
            _ => Ok(()),
        })
    }));
    let mut client = server.raw();
    for _ in 0..3 {
        client.get("/");
        assert_eq!(client.response().text(), "original");
    }
}

/// Bytes that some parser takes for the end of a line or a value.
const SEPARATORS: [u8; 9] = [b'\r', b'\n', b'\0', 0x0b, 0x0c, 0x1c, 0x1d, 0x1e, 0x7f];

/// Tries to send `value` in a response, an accept, a denial and a trailer; notes what was said.
fn sends_value(note: crate::support::Notes, value: Vec<u8>) -> impl App {
    on_events(move |event, out| {
        let headers: &[Field<'_>] = &[(b"x", &value)];
        let refused = match event {
            Event::HttpRequest { .. } => {
                let sent = out.send(head(headers));
                if sent.is_err() {
                    out.send(head(&[]))?;
                }
                out.send(body(b"", false))?;
                sent
            }
            Event::WebSocketConnect => {
                let accept = out.send(SendEvent::WebSocketAccept { subprotocol: None, headers });
                let deny = out.send(SendEvent::WebSocketHttpResponseStart { status: 400, headers });
                assert_eq!(accept, deny);
                out.close(1000, "")?;
                accept
            }
            _ => return Ok(()),
        };
        note.note(format!("{refused:?}"));
        Ok(())
    })
}

// [9112-2.2-2] [9112-5.2-1]
#[test]
fn rule_20_separators_in_outgoing_values_are_refused() {
    let refused = format!("{:?}", Err::<(), _>(SendError::Invalid(Invalid::FieldValue)));
    for byte in SEPARATORS {
        let (note, told) = notes();
        let server = serve(sends_value(note, vec![b'a', byte, b'b']));
        assert_eq!(server.get("/").status, 200);
        assert_eq!(told.next(), refused, "{byte:#x} in a response");
        let mut client = server.raw();
        client.send(handshake("/", ""));
        assert_eq!(client.response().status, 403);
        assert_eq!(told.next(), refused, "{byte:#x} in an accept");
    }
}

// [9110-5.5-2]
#[test]
fn rule_20_separators_in_incoming_values_are_refused() {
    let server = serve(plain());
    for byte in SEPARATORS {
        let mut client = server.raw();
        let value = [b'a', byte, b'b'];
        client.send([b"GET / HTTP/1.1\r\nHost: h\r\nX: ", &value[..], b"\r\n\r\n"].concat());
        assert_eq!(client.response().status, 400, "{byte:#x}");
    }
    for name in ["a b", "a\u{b}", "", "ä", "a\"", "a(", "a\0"] {
        let mut client = server.raw();
        client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{name}: x\r\n\r\n"));
        assert_eq!(client.response().status, 400, "{name:?}");
    }
}

// [9110-5.5-3]
#[test]
fn rule_20_the_next_line_byte_0x85_is_refused_in_both_directions() {
    // As the rule says; RFC 9110 §5.5 would allow it as obs-text.
    let (note, told) = notes();
    let server = serve(sends_value(note, vec![b'a', 0x85, b'b']));
    assert_eq!(server.get("/").status, 200);
    let outgoing = told.next();
    let mut client = server.raw();
    client.send(b"GET / HTTP/1.1\r\nHost: h\r\nX: a\x85b\r\n\r\n");
    let incoming = client.response().status;
    let refused = format!("{:?}", Err::<(), _>(SendError::Invalid(Invalid::FieldValue)));
    assert_eq!((outgoing, incoming), (refused, 400));

    // Inside of a character it is none: "Å" is C3 85.
    let (note, told) = notes();
    let server = serve(sends_value(note, "Ångström".into()));
    let mut client = server.raw();
    client.send("GET / HTTP/1.1\r\nHost: h\r\nX: Ångström\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.status, told.next()), (200, "Ok(Ready)".to_string()));
    let latin1: String = "Ångström".bytes().map(char::from).collect();
    assert_eq!(answer.field("x"), Some(latin1.as_str()));
}

#[test]
fn rule_21_fields_keep_their_order_and_are_never_merged() {
    let server = serve(by_scope(|scope| {
        let fields: Vec<String> = scope
            .headers()
            .iter()
            .map(|(name, value)| format!("{}={}", name.escape_ascii(), value.escape_ascii()))
            .collect();
        let text = fields.join("\n");
        boxed(move |event, out| {
            if let Event::HttpRequest { .. } = event {
                let headers: &[Field<'_>] = &[
                    (b"set-cookie", b"a=1"),
                    (b"vary", b"x"),
                    (b"set-cookie", b"b=2"),
                    (b"vary", b"y"),
                    (b"set-cookie", b"a=1"),
                ];
                out.respond(200, headers, text.as_bytes())?;
            }
            Ok(())
        })
    }));
    let mut client = server.raw();
    client.send(
        "GET / HTTP/1.1\r\nHost: h\r\nCookie: a=1\r\nX-Y: 1\r\ncookie: b=2\r\nX-y:\t 2 \r\nZ:\r\n\r\n",
    );
    let answer = client.response();
    assert_eq!(answer.text(), "host=h\ncookie=a=1\nx-y=1\ncookie=b=2\nx-y=2\nz=");
    let own: Vec<_> = answer
        .fields
        .iter()
        .filter(|(name, _)| name == "set-cookie" || name == "vary")
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(own, ["set-cookie=a=1", "vary=x", "set-cookie=b=2", "vary=y", "set-cookie=a=1"]);
    // A client sees the same.
    let answer = agent().get(server.url("/")).call().unwrap();
    assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 3);
}

#[test]
fn rule_22_many_small_fragments_cost_no_more_than_their_bytes() {
    let server = serve(on_events(|event, out| {
        if let Event::WebSocketReceive(message) = event {
            out.message(Message::Text(&message.as_bytes().len().to_string()))?;
            return Ok(());
        }
        echo(event, out)
    }));
    let mut client = server.raw();
    client.open("/");
    grows_as_its_bytes([30_000, 120_000], |count| {
        let mut bytes = frame(false, BINARY, &[b'x'; 16]);
        bytes.extend(frame(false, CONTINUATION, &[b'x'; 16]).repeat(count - 2));
        bytes.extend(frame(true, CONTINUATION, &[b'x'; 16]));
        client.send(bytes);
        assert_eq!(client.frame(), Frame::whole(TEXT, (count * 16).to_string()));
    });
}

/// Four times as many take about four times as long: with copying it would be 16 times. Whatever
/// else the machine does may disturb it, but not each time.
fn grows_as_its_bytes(counts: [usize; 2], mut once: impl FnMut(usize)) {
    let mut all = Vec::new();
    for _ in 0..5 {
        let times = counts.map(|count| {
            let begun = Instant::now();
            once(count);
            begun.elapsed()
        });
        if times[1] < times[0] * 10 {
            return;
        }
        all.push(times);
    }
    panic!("{all:?}");
}

#[test]
fn rule_22_many_small_chunks_cost_no_more_than_their_bytes() {
    let server = serve(on_events({
        let mut received = 0;
        move |event, out| {
            if let Event::HttpRequest { body, more_body } = event {
                received += body.len();
                if !more_body {
                    say(out, &received.to_string())?;
                }
            }
            Ok(())
        }
    }));
    let mut client = server.raw();
    grows_as_its_bytes([50_000, 200_000], |count| {
        client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send("1\r\nx\r\n".repeat(count) + "0\r\n\r\n");
        assert_eq!(client.response().text(), count.to_string());
    });
}

#[test]
fn rule_23_ping_pong_and_fragments_never_reach_the_application() {
    let (note, told) = notes();
    let server = serve_with(
        on_events(move |event, out| {
            note.event(&event);
            echo(event, out)
        }),
        |server| server.ping_interval(Duration::from_millis(20)),
    );
    let mut client = server.raw();
    client.open("/");
    let ping = client.frame();
    assert_eq!(ping.opcode, PING);
    client.send(frame(true, PONG, &ping.payload));
    client.send(frame(true, PING, b"mine"));
    client.send(frame(false, TEXT, b"one "));
    client.send(frame(true, PING, b"between"));
    client.send(frame(true, CONTINUATION, b"message"));
    while client.frame() != Frame::whole(TEXT, b"one message") {}
    drop(client);
    server.stop().unwrap();
    let wanted = [
        "websocket.connect",
        "websocket.receive text \"one message\"",
        "websocket.disconnect 1006 \"\"",
    ];
    assert_eq!(told.all(), wanted);
}

#[test]
fn rule_24_shutdown_closes_the_door_then_the_connections_then_tells_the_lifespan() {
    let (give, handles) = mpsc::channel::<Handle>();
    let (note, told) = notes();
    let noted = note.clone();
    let server = serve(by_scope(move |scope| {
        let (note, give) = (noted.clone(), give.clone());
        let lifespan = scope.kind() == "lifespan";
        boxed(move |event, out| {
            match event {
                Event::HttpRequest { .. } => give.send(out.handle())?,
                Event::LifespanShutdown if lifespan => note.event(&event),
                _ => {}
            }
            Ok(())
        })
    }));
    let mut client = server.raw();
    client.get("/");
    let handle = take(&handles);
    server.ask_to_stop();
    crate::support::eventually("the door is closed", || {
        std::net::TcpStream::connect(server.address).is_err()
    });
    note.note("door closed");
    handle.respond(200, &[], b"last").unwrap();
    assert_eq!(client.response().text(), "last");
    drop((client, handle, note));
    server.stop().unwrap();
    assert_eq!(told.all(), ["door closed", "lifespan.shutdown"]);
}
