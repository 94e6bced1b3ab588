//! Each way in which connecting can fail, told apart; and answers that are odd but right.

use std::io::{ErrorKind, Write};

use oneport::client::{Connect, Error, Response, Wait, WebSocket};

use crate::support::{
    LIMIT, Peer, SHORT, Scripted, accepted, field, frame, nobody_listens, scripted,
};

fn failure(connected: Result<WebSocket, Error>) -> Error {
    connected.expect_err("it does not open")
}

/// A server that answers with these bytes and ends.
fn answering(answer: &'static [u8]) -> Scripted {
    scripted(move |mut peer| {
        peer.head();
        peer.write(answer);
    })
}

/// A server that answers with a 101 that `change` has made wrong.
fn accepting(change: impl FnOnce(String) -> String + Send + 'static) -> Scripted {
    scripted(|mut peer| {
        let answer = accepted(&peer.head(), "");
        peer.write(change(answer).as_bytes());
        peer.end();
    })
}

fn refusal(server: &Scripted) -> Response {
    match failure(server.to("/").connect()) {
        Error::Refused(response) => *response,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bad_uri_is_told_before_anything_is_connected() {
    for uri in ["", "localhost", "http://localhost/", "ws://", "ws://h/#x", "ws://h:99999/"] {
        match failure(Connect::to(uri).connect()) {
            Error::Uri { uri: told, reason } => {
                assert_eq!(told, uri);
                assert!(!reason.is_empty());
            }
            other => panic!("{uri}: {other:?}"),
        }
    }
}

#[test]
fn a_name_that_does_not_exist() {
    // RFC 1035 §2.3.4: a name has at most 255 octets. No server of names need be asked about a
    // longer one: it may be far away, or answer what it likes.
    let name = ["nobody"; 50].join(".");
    let connect = Connect::to(&format!("ws://{name}/")).connect_timeout(LIMIT);
    match failure(connect.connect()) {
        Error::Resolve { host, .. } => assert_eq!(host, name),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_port_on_which_nobody_listens() {
    let (_kept, free) = nobody_listens();
    match failure(Connect::to(&format!("ws://{free}/")).connect()) {
        Error::Connect { address, source } => {
            assert_eq!(address, free.to_string());
            assert_eq!(source.kind(), ErrorKind::ConnectionRefused);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refusal_has_its_status_its_fields_and_its_body() {
    let server = answering(
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 9\r\n\r\n\
          who? you?and more",
    );
    let response = refusal(&server);
    assert_eq!(response.status(), 401);
    assert_eq!(response.field("www-authenticate"), Some("Bearer"));
    assert_eq!(response.fields().count(), 2);
    assert_eq!(response.body(), b"who? you?");
    assert_eq!(response.to_string(), "status 401: who? you?");
}

#[test]
fn an_error_is_one_line_for_people_in_debug_too() {
    let refusal = "HTTP/1.1 404 Not Found\r\ncontent-length: 10\r\n\r\nnot found\n";
    let error = failure(answering(refusal.as_bytes()).to("/").connect());
    assert_eq!(format!("{error:?}"), "the server refused the WebSocket: status 404: not found");
    let Error::Refused(response) = error else { panic!("{error:?}") };
    assert_eq!(
        format!("{response:?}"),
        r#"Response { status: 404, fields: [("content-length", "10")], body: "not found\n" }"#
    );
}

#[test]
fn a_refusal_in_chunks_or_until_the_end_of_the_connection() {
    let chunked = answering(
        b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ncome\r\n6;x=y\r\n later\r\n\
          0\r\nX-Trailer: 1\r\n\r\n",
    );
    assert_eq!(refusal(&chunked).body(), b"come later");
    let until_end = answering(b"HTTP/1.0 500 Oh\r\n\r\nas long as it lasts");
    assert_eq!(refusal(&until_end).body(), b"as long as it lasts");
    let nothing = answering(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(refusal(&nothing).body(), b"");
    // What came is told, although more was announced.
    let cut = answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\nno such");
    assert_eq!(refusal(&cut).body(), b"no such");
}

#[test]
fn a_refusal_byte_by_byte_is_the_same() {
    let server = scripted(|mut peer| {
        peer.head();
        let answer = b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n\
                       4\r\ncome\r\n6\r\n later\r\n0\r\n\r\n";
        for byte in answer {
            peer.write(&[*byte]);
        }
        peer.end();
    });
    let response = refusal(&server);
    assert_eq!((response.status(), response.body()), (503, &b"come later"[..]));
}

#[test]
fn a_body_that_never_ends_is_taken_until_the_time_limit() {
    // The beginning of the body must come within the limit: a machine that is too slow for a
    // short one gets a longer one.
    for limit in [SHORT, SHORT * 10, LIMIT / 4] {
        let server = scripted(|mut peer| {
            // A client that had enough may be gone.
            let _ = peer.stream.write_all(b"HTTP/1.1 429 Slow down\r\n\r\nslow");
            peer.end();
        });
        match failure(server.to("/").connect_timeout(limit).connect()) {
            Error::Refused(response) if response.body() == b"slow" => return,
            Error::Refused(response) if response.body().is_empty() => {}
            Error::TimedOut(Wait::Connect) => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("what came of the body is told");
}

#[test]
fn a_body_that_is_too_large_is_cut() {
    let server = scripted(|mut peer| {
        peer.head();
        peer.write(b"HTTP/1.1 400 Bad\r\nContent-Length: 200000\r\n\r\n");
        // The client may be gone before it is all taken.
        let _ = peer.stream.write_all(&[b'x'; 70_000]);
        peer.end();
    });
    assert_eq!(refusal(&server).body().len(), 64 * 1024);
}

#[test]
fn a_redirect_is_told_and_not_followed() {
    let server = answering(
        b"HTTP/1.1 302 Found\r\nLocation: ws://elsewhere.invalid/\r\nContent-Length: 0\r\n\r\n",
    );
    let error = failure(server.to("/").connect());
    assert!(error.to_string().contains("ws://elsewhere.invalid/"), "{error}");
    match error {
        Error::Refused(response) => {
            assert_eq!(response.status(), 302);
            assert_eq!(response.field("location"), Some("ws://elsewhere.invalid/"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_101_that_breaks_a_rule_does_not_open() {
    type Change = fn(String) -> String;
    let rows: [(Change, &str); 8] = [
        (|a| a.replace("Accept: ", "Accept: x"), "Sec-WebSocket-Accept"),
        (|a| a.replace("Sec-WebSocket-Accept", "X-Accept"), "Sec-WebSocket-Accept"),
        (|a| a.replace("Upgrade: websocket\r\n", ""), "Upgrade: websocket"),
        (|a| a.replace("websocket", "h2c"), "Upgrade: websocket"),
        (|a| a.replace("Connection: Upgrade\r\n", ""), "Connection: Upgrade"),
        (
            |a| a.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
            "not offered",
        ),
        (|a| a.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n\r\n"), "not offered"),
        (|a| a.replace("HTTP/1.1", "HTTP/9"), "status line"),
    ];
    for (change, part) in rows {
        let server = accepting(change);
        match failure(server.to("/").connect()) {
            Error::Handshake(rule) => {
                assert!(rule.to_lowercase().contains(&part.to_lowercase()), "{part}: {rule}");
            }
            other => panic!("{part}: {other:?}"),
        }
    }
}

#[test]
fn an_answer_that_is_not_http() {
    let server = answering(b"220 mail.example.com ESMTP ready\r\n");
    let error = failure(server.to("/").connect());
    assert!(matches!(error, Error::Handshake(_)), "{error:?}");
}

#[test]
fn a_server_that_ends_instead_of_answering() {
    for answer in [&b""[..], b"HTTP/1.1 101 Switching Pro"] {
        match failure(answering(answer).to("/").connect()) {
            Error::Broken(source) => assert_eq!(source.kind(), ErrorKind::UnexpectedEof),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn silence_ends_with_the_time_limit() {
    let server = scripted(Peer::end);
    let error = failure(server.to("/").connect_timeout(SHORT).connect());
    assert!(matches!(error, Error::TimedOut(Wait::Connect)), "{error:?}");
}

#[test]
fn a_drip_does_not_move_the_time_limit() {
    let server = scripted(|mut peer| {
        // Until the client has had enough.
        while peer.stream.write_all(b"H").is_ok() {
            std::thread::sleep(crate::support::ms(5));
        }
    });
    // The first bytes are no status line yet; the limits of a head are far away.
    let error = failure(server.to("/").connect_timeout(SHORT).connect());
    assert!(matches!(error, Error::TimedOut(Wait::Connect) | Error::Handshake(_)), "{error:?}");
}

#[test]
fn an_answer_byte_by_byte_opens() {
    let server = scripted(|mut peer| {
        let mut answer = accepted(&peer.head(), "").into_bytes();
        answer.extend_from_slice(&frame(0x81, b"hello"));
        for byte in answer {
            peer.write(&[byte]);
        }
        peer.close_frame(1000);
        peer.send(0x88, b"\x03\xe8");
    });
    let mut socket = server.open();
    assert_eq!(socket.receive().unwrap(), "hello");
    socket.close(1000, "").unwrap();
}

#[test]
fn interim_answers_come_before_the_101() {
    let server = scripted(|mut peer| {
        let answer = accepted(&peer.head(), "");
        peer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n");
        peer.write(b"HTTP/1.1 100 Continue\r\n\r\n");
        peer.write(answer.as_bytes());
        peer.send(0x81, b"hello");
        peer.end();
    });
    assert_eq!(server.open().receive().unwrap(), "hello");
}

#[test]
fn frames_that_are_glued_to_the_101_are_not_lost() {
    let server = scripted(|mut peer| {
        let mut answer = accepted(&peer.head(), "").into_bytes();
        answer.extend_from_slice(&frame(0x81, b"one"));
        answer.extend_from_slice(&frame(0x82, &[7; 20_000]));
        answer.extend_from_slice(&frame(0x88, b"\x03\xe8bye"));
        peer.write(&answer);
        peer.close_frame(1000);
    });
    let mut socket = server.open();
    assert_eq!(socket.receive().unwrap(), "one");
    assert_eq!(socket.receive().unwrap().as_bytes(), [7; 20_000]);
    match socket.receive().unwrap_err() {
        Error::Closed { code: 1000, reason } => assert_eq!(reason, "bye"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_request_is_what_rfc_6455_asks_for() {
    let keys: Vec<String> = (0..2)
        .map(|_| {
            let (sender, receiver) = std::sync::mpsc::channel();
            let server = scripted(move |mut peer| {
                let head = peer.head();
                peer.write(accepted(&head, "").as_bytes());
                sender.send(head).unwrap();
                peer.end();
            });
            drop(server.to("/a%20b?c=d").connect().unwrap());
            let head = receiver.recv_timeout(LIMIT).unwrap();
            assert!(head.starts_with("GET /a%20b?c=d HTTP/1.1\r\n"), "{head}");
            assert_eq!(field(&head, "host"), Some(server.address.to_string().as_str()));
            assert_eq!(field(&head, "upgrade"), Some("websocket"));
            assert_eq!(field(&head, "connection"), Some("Upgrade"));
            assert_eq!(field(&head, "sec-websocket-version"), Some("13"));
            assert_eq!(field(&head, "origin"), None);
            assert_eq!(field(&head, "sec-websocket-protocol"), None);
            assert_eq!(field(&head, "sec-websocket-extensions"), None);
            field(&head, "sec-websocket-key").unwrap().to_string()
        })
        .collect();
    assert_eq!(keys[0].len(), 24);
    assert_ne!(keys[0], keys[1], "a key is used once (RFC 6455 §4.1 no. 7)");
}

#[test]
fn an_answer_with_too_many_fields_is_the_servers_mistake() {
    let server = scripted(|mut peer| {
        peer.head();
        let fields = "x: y\r\n".repeat(3000);
        peer.write(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes());
    });
    let error = failure(server.to("/").connect());
    assert!(matches!(error, Error::Handshake(_)), "{error:?}");
    let told = error.to_string();
    assert!(told.contains("it has more field lines than we take"), "{told}");
    assert!(!told.contains("request") && !told.contains("this server"), "{told}");
}

#[test]
fn a_refusal_before_the_request_was_read_is_told() {
    let server = scripted(|mut peer| {
        // RFC 9293 §3.6: with what is unread it is a reset.
        peer.take(1);
        peer.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n");
    });
    // More than the systems of both ends take.
    let refused = server.to("/").field("x-large", &"x".repeat(32 << 20)).connect();
    match failure(refused) {
        Error::Refused(response) => assert_eq!(response.status(), 431),
        other => panic!("{other:?}"),
    }
}

/// RFC 9112 §6.3 no. 5, as the server reads it of requests.
#[test]
fn equal_lengths_of_a_refusal_are_one_field() {
    for lengths in ["4", "4, 4", "4,4,4", "4\r\nContent-Length: 4", "4\r\nContent-Length: 4, 4"] {
        let server = scripted(move |mut peer| {
            peer.head();
            let head = format!("HTTP/1.1 401 No\r\nContent-Length: {lengths}\r\nX: y\r\n\r\n");
            peer.write(format!("{head}body and more").as_bytes());
        });
        let response = refusal(&server);
        let fields: Vec<_> = response.fields().collect();
        assert_eq!(fields, [("content-length", &b"4"[..]), ("x", b"y")], "{lengths}");
        assert_eq!(response.body(), b"body", "{lengths}");
    }
}
