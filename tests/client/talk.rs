//! The client with our own server.

use std::time::Duration;

use oneport::client::{Error, Message, Wait};
use oneport::{App, Event, Message as Sent, Scope, SendEvent, app, handler};

use crate::support::{LIMIT, Serving, ms, opened, serve};

/// Echoes; what a message asks for is done instead.
pub(crate) fn echo() -> impl App {
    app(|scope| {
        let Scope::WebSocket(scope) = scope else { return None };
        let subprotocol = scope.choose_subprotocol(&["b", "c"]);
        let told: Vec<String> = ["origin", "x-extra", "host"]
            .iter()
            .map(|name| format!("{name}={:?}", scope.headers.get_str(name)))
            .collect();
        let (told, path) = (told.join(" "), scope.path.to_string());
        Some(handler(move |event, out| {
            match event {
                Event::WebSocketConnect if path == "/refused" => {
                    out.close(1000, "")?;
                }
                Event::WebSocketConnect => {
                    out.send(SendEvent::WebSocketAccept {
                        subprotocol,
                        headers: &[(b"x-session", b"17"), (b"x-bytes", b"\xff")],
                    })?;
                }
                Event::WebSocketReceive(Sent::Text("told?")) => {
                    out.message(&told)?;
                }
                Event::WebSocketReceive(Sent::Text("close")) => {
                    out.close(4001, "as you wish")?;
                }
                Event::WebSocketReceive(Sent::Text("three")) => {
                    for text in ["one", "two", "three"] {
                        out.message(text)?;
                    }
                    out.close(1000, "")?;
                }
                Event::WebSocketReceive(message) => {
                    out.message(message)?;
                }
                _ => {}
            }
            Ok(())
        }))
    })
}

pub(crate) fn echo_server() -> Serving {
    serve(echo(), |server| server.hard_limit(64 << 20))
}

/// Bytes that do not compress, always the same ones (xorshift64).
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

#[test]
fn messages_of_every_size_come_back_as_they_were_sent() {
    let server = echo_server();
    let mut socket = server.to("/").connect().unwrap();
    for text in ["", "hello", "żółw 🐢", &"x".repeat(125), &"y".repeat(126), &"z".repeat(70_000)]
    {
        socket.send(text).unwrap();
        assert_eq!(socket.receive().unwrap(), text);
    }
    for len in [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 16 << 20] {
        let bytes = pattern(len);
        socket.send(&bytes[..]).unwrap();
        let back = socket.receive().unwrap();
        assert!(back == Message::Binary(bytes), "{len} bytes");
    }
    socket.close(1000, "done").unwrap();
}

#[test]
fn a_message_above_the_limit_closes_with_1009() {
    let server = echo_server();
    let mut socket = server.to("/").max_message(1000).connect().unwrap();
    socket.send(&pattern(1000)[..]).unwrap();
    assert_eq!(socket.receive().unwrap().len(), 1000);
    socket.send(&pattern(1001)[..]).unwrap();
    let error = socket.receive().unwrap_err();
    assert!(matches!(error, Error::Protocol(_)) && error.close_code() == Some(1009), "{error:?}");
    assert_eq!(error.to_string(), "the server sent a message larger than we take");
}

#[test]
fn what_is_asked_for_reaches_the_server_and_its_choice_the_client() {
    let server = echo_server();
    let mut socket = server
        .to("/path?query")
        .subprotocol("c")
        .subprotocol("b")
        .origin("https://example.com")
        .field("X-Extra", "yes")
        .connect()
        .unwrap();
    assert_eq!(socket.subprotocol(), Some("b"));
    assert!(!socket.is_compressed());
    assert_eq!(socket.peer_addr().unwrap(), server.address);
    let response = socket.response();
    assert_eq!((response.status(), response.field("X-Session")), (101, Some("17")));
    assert_eq!((response.field("x-bytes"), response.field("x-other")), (None, None));
    assert!(response.fields().any(|field| field == ("x-bytes", &b"\xff"[..])));
    assert!(response.body().is_empty());
    socket.send("told?").unwrap();
    let told = format!(
        "origin=Some(\"https://example.com\") x-extra=Some(\"yes\") host=Some(\"{}\")",
        server.address
    );
    assert_eq!(socket.receive().unwrap(), told.as_str());
    let plain = server.to("/").subprotocol("x").connect().unwrap();
    assert_eq!(plain.subprotocol(), None);
}

#[test]
fn fields_of_the_handshake_itself_are_not_the_programs() {
    let server = echo_server();
    for (name, value) in [("Host", "x"), ("Sec-WebSocket-Key", "x"), ("a b", "x"), ("a", "x\r\ny")]
    {
        let refused = server.to("/").field(name, value).connect();
        assert!(matches!(refused, Err(Error::Invalid(_))), "{name}: {refused:?}");
    }
}

#[test]
fn iterating_ends_with_a_normal_close() {
    let server = echo_server();
    let mut socket = server.to("/").connect().unwrap();
    socket.send("three").unwrap();
    let mut texts = Vec::new();
    for message in &mut socket {
        texts.push(message.unwrap());
    }
    assert_eq!(texts, ["one", "two", "three"]);
    assert!(socket.messages().next().is_none());
    let closed = socket.send("late").unwrap_err();
    assert!(closed.is_normal_close() && closed.close_code() == Some(1000), "{closed:?}");
}

#[test]
fn any_other_close_is_the_last_item() {
    let server = echo_server();
    let mut socket = server.to("/").connect().unwrap();
    socket.send("hello").unwrap();
    socket.send("close").unwrap();
    let mut messages = socket.messages();
    assert_eq!(messages.next().unwrap().unwrap(), "hello");
    match messages.next() {
        Some(Err(Error::Closed { code: 4001, reason })) => assert_eq!(reason, "as you wish"),
        other => panic!("{other:?}"),
    }
    assert!(messages.next().is_none());
}

#[test]
fn a_ping_tells_the_round_trip_time_and_messages_wait_meanwhile() {
    let server = echo_server();
    let mut socket = server.to("/").connect().unwrap();
    socket.send("before").unwrap();
    let first = socket.ping(LIMIT).unwrap();
    let second = socket.ping(LIMIT).unwrap();
    assert!(first < LIMIT && second < LIMIT);
    assert_eq!(socket.receive().unwrap(), "before");
}

#[test]
fn what_the_program_does_between_a_message_and_a_ping_does_not_shorten_the_round_trip() {
    const DELAY: Duration = Duration::from_millis(30);
    let server = opened(|mut peer| {
        peer.send(0x81, b"hello");
        let ping = peer.frame();
        std::thread::sleep(DELAY);
        peer.send(0x8a, &ping.payload);
        peer.end();
    });
    let mut socket = server.to("/").connect().unwrap();
    assert_eq!(socket.receive().unwrap(), "hello");
    std::thread::sleep(2 * DELAY);
    let round_trip = socket.ping(LIMIT).unwrap();
    assert!(round_trip >= DELAY, "{round_trip:?}");
}

#[test]
fn a_receive_that_waited_in_vain_changes_nothing() {
    let server = echo_server();
    let mut socket = server.to("/").receive_timeout(ms(1)).connect().unwrap();
    for n in 0..3 {
        assert!(matches!(socket.receive(), Err(Error::TimedOut(Wait::Receive))));
        assert!(matches!(socket.receive_within(ms(2)), Err(Error::TimedOut(Wait::Receive))));
        match socket.messages().next() {
            Some(Err(Error::TimedOut(Wait::Receive))) => {}
            other => panic!("{other:?}"),
        }
        let text = n.to_string();
        socket.send(&text).unwrap();
        assert_eq!(socket.receive_within(LIMIT).unwrap(), text.as_str());
    }
    socket.close(1000, "").unwrap();
}

#[test]
fn a_refusal_of_our_server_is_a_response() {
    let server = echo_server();
    match server.to("/refused").connect() {
        Err(Error::Refused(response)) => {
            assert_eq!(response.status(), 403);
            assert_eq!(response.body(), b"the application refused this WebSocket\n");
        }
        other => panic!("{other:?}"),
    }
}
