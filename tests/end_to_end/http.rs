//! Requests and responses, pipelining, persistence.

use std::sync::mpsc;

use oneport::{Event, Handle, Scope, SendEvent, ServerError};

use crate::support::{
    agent, answering, boxed, by_scope, on_events, plain, say, serve, serve_with, take,
};

// [9110-9.1-1] [9110-9.3.2-2]
#[test]
fn a_client_gets_posts_and_asks_for_the_head() {
    let server = serve(by_scope(|scope| {
        let Scope::Http(http) = scope else { return None };
        let method = http.method.to_string();
        let mut body = Vec::new();
        boxed(move |event, out| {
            if let Event::HttpRequest { body: piece, more_body } = event {
                body.extend_from_slice(piece);
                if !more_body {
                    let text = format!("{method} {}", body.escape_ascii());
                    out.respond(201, &[(b"x-answer", b"yes")], text.as_bytes())?;
                }
            }
            Ok(())
        })
    }));
    let agent = agent();

    let mut answer = agent.get(server.url("/")).call().unwrap();
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["x-answer"], "yes");
    assert_eq!(answer.headers()["content-length"], "4");
    assert_eq!(answer.body_mut().read_to_string().unwrap(), "GET ");

    let mut answer = agent.post(server.url("/")).send("posted").unwrap();
    assert_eq!(answer.body_mut().read_to_string().unwrap(), "POST posted");

    let mut answer = agent.head(server.url("/")).call().unwrap();
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["content-length"], "5", "as long as a GET's would be");
    assert_eq!(answer.body_mut().read_to_string().unwrap(), "");

    let mut answer = agent.delete(server.url("/")).call().unwrap();
    assert_eq!(answer.body_mut().read_to_string().unwrap(), "DELETE ");
}

#[test]
fn an_application_that_does_not_want_a_scope_answers_404() {
    let server = serve(by_scope(|_| None));
    let answer = server.get("/nobody");
    assert_eq!((answer.status, answer.closes()), (404, false));
}

// [9112-9.3-1]
#[test]
fn a_connection_is_used_again_and_its_scopes_name_the_same_client() {
    let server = serve(by_scope(|scope| {
        let Scope::Http(http) = scope else { return None };
        let client = http.client.unwrap();
        boxed(move |event, out| match event {
            Event::HttpRequest { more_body: false, .. } => say(out, &client.to_string()),
            _ => Ok(()),
        })
    }));
    let agent = agent();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut answer = agent.get(server.url("/")).call().unwrap();
        clients.push(answer.body_mut().read_to_string().unwrap());
    }
    assert_eq!(clients[0], clients[1]);
    assert_eq!(clients[0], clients[2]);
    assert_eq!(server.stats.connections_ever(), 1);

    // And it is the port that the client sees itself.
    let mut raw = server.raw();
    raw.get("/");
    assert_eq!(raw.response().text(), format!("127.0.0.1:{}", raw.port()));
}

// [9112-9.6-2] [9112-9.6-3]
#[test]
fn the_client_may_end_the_connection_with_the_request() {
    let server = serve(plain());
    let mut client = server.raw();
    client.send("GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.text(), answer.closes()), ("/last", true));
    client.expect_end();
}

// [9112-9.6-1] [9112-9.6-5]
#[test]
fn the_application_may_end_the_connection_with_the_response() {
    let server = serve(answering(|out| {
        out.respond(200, &[(b"Connection", b"close")], b"last")?;
        Ok(())
    }));
    let mut client = server.raw();
    client.get("/");
    let answer = client.response();
    assert_eq!((answer.text(), answer.closes()), ("last", true));
    client.expect_end();
}

fn two_hundred_requests() -> String {
    (0..200).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: h\r\n\r\n")).collect()
}

#[test]
fn two_hundred_requests_in_one_segment_are_answered_in_order() {
    let server = serve(plain());
    let mut client = server.raw();
    client.send(two_hundred_requests());
    for n in 0..200 {
        assert_eq!(client.response().text(), format!("/{n}"));
    }
    assert_eq!(server.stats.connections_ever(), 1);
}

// [9112-9.3.2-1]
#[test]
fn two_hundred_requests_wait_for_the_one_that_a_thread_answers_late() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(by_scope(move |scope| {
        let Scope::Http(http) = scope else { return None };
        let (path, give) = (http.path.to_string(), give.clone());
        boxed(move |event, out| {
            if let Event::HttpRequest { more_body: false, .. } = event {
                match path.as_str() {
                    "/57" => give.send(out.handle())?,
                    path => say(out, path)?,
                }
            }
            Ok(())
        })
    }));
    let mut client = server.raw();
    client.send(two_hundred_requests());
    let handle = take(&handles);
    for n in 0..57 {
        assert_eq!(client.response().text(), format!("/{n}"));
    }
    server.barrier();
    client.expect_nothing_yet();

    std::thread::spawn(move || handle.respond(200, &[], b"late").unwrap()).join().unwrap();
    assert_eq!(client.response().text(), "late");
    for n in 58..200 {
        assert_eq!(client.response().text(), format!("/{n}"));
    }
}

#[test]
fn a_late_answer_to_one_request_never_answers_the_next() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(answering(move |out| {
        give.send(out.handle())?;
        Ok(())
    }));
    let mut client = server.raw();
    client.get("/first");
    let first = take(&handles);
    assert!(first.is_alive());
    first.respond(200, &[], b"first").unwrap();
    assert_eq!(client.response().text(), "first");

    client.get("/second");
    let second = take(&handles);
    assert!(!first.is_alive());
    let missed = first.respond(200, &[], b"wrong").unwrap_err();
    assert_eq!(missed, oneport::SendError::Closed);
    second.respond(200, &[], b"second").unwrap();
    assert_eq!(client.response().text(), "second");
}

#[test]
fn a_whole_response_of_a_handle_states_its_length() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(answering(move |out| {
        give.send(out.handle())?;
        Ok(())
    }));
    let mut client = server.raw();
    // Without it HTTP/1.0 could not keep the connection.
    for request in
        ["GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"]
    {
        client.send(request);
        take(&handles).respond(200, &[], b"whole").unwrap();
        let answer = client.response();
        assert_eq!((answer.text(), answer.field("content-length")), ("whole", Some("5")));
        assert!(!answer.closes());
    }
}

#[test]
fn what_a_handle_posted_to_one_request_does_not_harm_the_next() {
    // Both requests are begun in one turn, so the post to the first finds the second.
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(by_scope(move |scope| {
        let Scope::Http(http) = scope else { return None };
        let (path, give) = (http.path.to_string(), give.clone());
        boxed(move |event, out| {
            if let Event::HttpRequest { more_body: false, .. } = event {
                let handle = out.handle();
                if path == "/first" {
                    handle.post("nobody is left to read this")?;
                    say(out, "first")?;
                } else {
                    give.send(handle)?;
                }
            }
            Ok(())
        })
    }));
    let mut client = server.raw();
    client.send("GET /first HTTP/1.1\r\nHost: h\r\n\r\nGET /second HTTP/1.1\r\nHost: h\r\n\r\n");
    let second = take(&handles);
    assert_eq!(client.response().text(), "first");
    server.barrier();
    assert!(second.queued() < 1000, "{} bytes are said to wait", second.queued());
    second.respond(200, &[], b"second").expect("the second request lives");
    assert_eq!(client.response().text(), "second");
}

#[test]
fn pipelined_bodies_and_heads_do_not_mix() {
    let server = serve(on_events({
        let mut body = Vec::new();
        move |event, out| {
            if let Event::HttpRequest { body: piece, more_body } = event {
                body.extend_from_slice(piece);
                if !more_body {
                    out.respond(200, &[], &body)?;
                }
            }
            Ok(())
        }
    }));
    let mut client = server.raw();
    client.send(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 14\r\n\r\nGET / HTTP/1.1\
         POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
         GET / HTTP/1.1\r\nHost: h\r\n\r\n\
         POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nend",
    );
    for body in ["GET / HTTP/1.1", "abc", "", "end"] {
        assert_eq!(client.response().text(), body);
    }
}

#[test]
fn http_1_0_ends_after_one_response() {
    let server = serve(plain());
    let mut client = server.raw();
    client.send("GET /old HTTP/1.0\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.text(), answer.closes()), ("/old", true));
    client.expect_end();
}

#[test]
fn http_1_0_goes_on_if_both_sides_say_keep_alive() {
    let server = serve(plain());
    let mut client = server.raw();
    for n in 0..3 {
        client.send(format!("GET /{n} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
        let answer = client.response();
        assert_eq!(answer.text(), format!("/{n}"));
        assert_eq!(answer.field("connection"), Some("keep-alive"));
    }
}

// [9112-6.1-7]
#[test]
fn http_1_0_gets_a_body_in_pieces_until_the_end_of_the_connection() {
    let server = serve(answering(|out| {
        out.send(SendEvent::HttpResponseStart { status: 200, headers: &[], trailers: false })?;
        for body in [b"one ", b"two "] {
            out.send(SendEvent::HttpResponseBody { body, more_body: true })?;
        }
        out.send(SendEvent::HttpResponseBody { body: b"three", more_body: false })?;
        Ok(())
    }));
    let mut client = server.raw();
    // Even if it would keep the connection: nothing else shows the end of the body.
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.field("transfer-encoding"), None, "RFC 9112 §6.1");
    assert_eq!(answer.field("content-length"), None);
    assert_eq!((answer.text(), answer.closes()), ("one two three", true));

    // HTTP/1.1 gets the same in chunks, on a connection that goes on.
    let answer = server.get("/");
    assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
    assert_eq!((answer.text(), answer.closes()), ("one two three", false));
}

// [9112-2.2-4]
#[test]
fn one_empty_line_before_a_request_is_ignored() {
    let server = serve(plain());
    let mut client = server.raw();
    for path in ["/1", "/2"] {
        client.send("\r\n");
        client.get(path);
        assert_eq!(client.response().text(), path);
    }
}

// [9112-3.2-3] [9110-15.5-1]
#[test]
fn a_request_that_breaks_a_rule_is_answered_behind_those_before_it() {
    let server = serve(plain());
    let mut client = server.raw();
    client.send(
        "GET /good HTTP/1.1\r\nHost: h\r\n\r\nGET /bad HTTP/1.1\r\n\r\nGET /never HTTP/1.1\r\n",
    );
    assert_eq!(client.response().text(), "/good");
    let refused = client.response();
    assert_eq!((refused.status, refused.closes()), (400, true));
    assert!(refused.text().contains("RFC 9112"), "{}", refused.text());
    client.expect_end();
}

#[test]
fn a_request_byte_by_byte_is_a_request() {
    let server = serve(plain());
    let mut client = server.raw();
    for byte in b"GET /slowly HTTP/1.1\r\nHost: h\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.response().text(), "/slowly");
}

// [9112-9.6-4]
#[test]
fn behind_a_request_that_ends_the_connection_nothing_is_served() {
    let server = serve(plain());
    let mut client = server.raw();
    client.send(
        "GET /1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n\
         GET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    assert_eq!(client.response().text(), "/1");
    client.expect_end();
}

#[test]
fn of_two_answers_the_first_counts() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(answering(move |out| {
        give.send(out.handle())?;
        Ok(())
    }));
    let mut client = server.raw();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(2));
    let first = take(&handles);
    first.respond(200, &[], b"first").unwrap();
    // It may be too late for this one already, or it is ignored.
    let _ = first.respond(200, &[], b"again");
    let _ = first.post("nobody reads this");
    assert_eq!(client.response().text(), "first");
    take(&handles).respond(200, &[], b"second").unwrap();
    assert_eq!(client.response().text(), "second");
    assert_eq!(server.log(), [""; 0], "nothing that anybody must know");
}

#[test]
fn a_head_leaves_before_its_body() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(answering(move |out| {
        let headers = &[(&b"x"[..], &b"y"[..])];
        out.send(SendEvent::HttpResponseStart { status: 200, headers, trailers: false })?;
        give.send(out.handle())?;
        Ok(())
    }));
    let mut client = server.raw();
    client.get("/");
    let handle = take(&handles);
    let mut answer = client.head();
    assert_eq!((answer.status, answer.field("x")), (200, Some("y")));
    for body in [b"one ", b"two "] {
        handle.send(SendEvent::HttpResponseBody { body, more_body: true }).unwrap();
        assert_eq!(client.chunk().as_deref(), Some(&body[..]), "and each piece at once");
    }
    handle.send(SendEvent::HttpResponseBody { body: b"three", more_body: false }).unwrap();
    client.body_of(&mut answer);
    assert_eq!(answer.text(), "three");
}

// [9110-6.6.1-2] [9110-10.2.4-1]
#[test]
fn a_response_has_a_date_and_names_its_server_unless_told_otherwise() {
    let server = serve(plain());
    let answer = server.get("/");
    assert_eq!(answer.field("server"), Some("oneport"));
    let date = answer.field("date").unwrap();
    assert!(date.ends_with(" GMT") && date.len() == 29, "{date}");
    let server = serve_with(plain(), |server| server.server_field(None).date_field(false));
    let answer = server.get("/");
    assert_eq!((answer.field("server"), answer.field("date")), (None, None));
}

#[test]
fn a_server_field_that_would_split_the_head_is_refused_before_it_listens() {
    for name in ["x\r\nX-Evil: 1", "x\n", "\0", " x"] {
        let server = oneport::Server::new(plain());
        let refused = server.server_field(Some(name)).bind("127.0.0.1:0").unwrap_err();
        assert!(matches!(refused, ServerError::Config(_)), "{refused}");
        assert!(refused.to_string().contains("server_field"), "{refused}");
    }
}
