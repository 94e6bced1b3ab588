//! WebSocket: opening, messages, closing, broken rules.

use std::sync::mpsc;

use oneport::{App, Event, Handle, Invalid, Outbox, Scope, SendError, SendEvent};
use tungstenite::Message;
use tungstenite::protocol::CloseFrame;

use crate::raw::{
    BINARY, CLOSE, CONTINUATION, Frame, KEY, PING, PONG, Raw, Response, TEXT, close_frame, frame,
    frame_header, handshake,
};
use crate::support::{
    ASKED, LATER, LIMIT, Notes, Outcome, Ws, boxed, by_scope, echo, eventually, ms, notes,
    on_events, plain, serve, serve_with, take, ws, ws_with,
};

/// Echoes, and notes every event.
fn noted_echo(note: Notes) -> impl App {
    on_events(move |event, out| {
        note.event(&event);
        echo(event, out)
    })
}

fn accept(out: &mut Outbox<'_>) -> Outcome {
    out.accept()?;
    Ok(())
}

// ---- messages -------------------------------------------------------------------------------

// [6455-6.1-2] [6455-6.1-3] [6455-6.1-5]
#[test]
fn messages_of_every_kind_and_length_come_back() {
    let server = serve(plain());
    let mut client = ws(&server, "/");
    // RFC 6455 §5.2: 7 bits, 16 bits, 64 bits, and their edges.
    for len in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20] {
        let text = Message::text("ä".repeat(len / 2) + &"x".repeat(len % 2));
        let binary = Message::binary((0..len).map(|n| n as u8).collect::<Vec<_>>());
        for message in [text, binary] {
            client.send(message.clone()).unwrap();
            assert!(client.read().unwrap() == message, "{len} bytes");
        }
    }
}

// [6455-5.2-5]
#[test]
fn lengths_are_encoded_in_the_fewest_bytes() {
    let server = serve(plain());
    let mut client = server.raw();
    client.open("/");
    for len in [0, 125, 126, 65_535, 65_536] {
        let payload = vec![b'x'; len];
        client.message(BINARY, &payload);
        let header = frame_header(true, BINARY, len, 0);
        assert_eq!(client.take(header.len()), header);
        assert_eq!(client.take(len), payload);
    }
}

#[test]
fn a_mebibyte_in_hand_made_fragments_is_one_message() {
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        if let Event::WebSocketReceive(message) = event {
            note.note(message.as_bytes().len().to_string());
            out.message(message)?;
            return Ok(());
        }
        echo(event, out)
    }));
    let mut client = server.raw();
    client.open("/");
    let payload: Vec<u8> = (0..1u32 << 20).map(|n| (n ^ (n >> 8)) as u8).collect();
    for size in [1000, 65_536, 300_000] {
        let mut pieces = payload.chunks(size).enumerate().peekable();
        while let Some((n, piece)) = pieces.next() {
            let opcode = if n == 0 { BINARY } else { CONTINUATION };
            client.send(frame(pieces.peek().is_none(), opcode, piece));
        }
        assert_eq!(told.next(), payload.len().to_string());
        assert!(client.frame() == Frame::whole(BINARY, payload.clone()), "in pieces of {size}");
    }
}

#[test]
fn fragments_may_be_empty_and_split_a_character() {
    let server = serve(plain());
    let mut client = server.raw();
    client.open("/");
    let crab = "🦀".as_bytes();
    client.send(frame(false, TEXT, b""));
    client.send(frame(false, CONTINUATION, &crab[..1]));
    client.send(frame(false, CONTINUATION, b""));
    client.send(frame(false, CONTINUATION, &crab[1..3]));
    client.send(frame(false, CONTINUATION, &crab[3..]));
    client.send(frame(true, CONTINUATION, b""));
    assert_eq!(client.frame(), Frame::whole(TEXT, crab));
}

#[test]
fn a_frame_byte_by_byte_is_a_frame() {
    let server = serve(plain());
    let mut client = server.raw();
    client.open("/");
    for byte in frame(true, TEXT, &[b'x'; 200]) {
        client.send([byte]);
    }
    assert_eq!(client.frame(), Frame::whole(TEXT, [b'x'; 200]));
}

#[test]
fn many_messages_in_one_segment_are_echoed_in_order() {
    let server = serve(plain());
    let mut client = server.raw();
    client.open("/");
    let messages: Vec<u8> =
        (0..2000u32).flat_map(|n| frame(true, TEXT, n.to_string().as_bytes())).collect();
    client.send(messages);
    for n in 0..2000u32 {
        assert_eq!(client.frame(), Frame::whole(TEXT, n.to_string()));
    }
}

// ---- ping and pong --------------------------------------------------------------------------

// [6455-5.5.2-1] [6455-5.5.3-1]
#[test]
fn a_ping_is_answered_with_its_payload() {
    let server = serve(plain());
    let mut client = ws(&server, "/");
    for payload in [&b""[..], b"hello", &[0; 125]] {
        client.send(Message::Ping(payload.to_vec().into())).unwrap();
        assert_eq!(client.read().unwrap(), Message::Pong(payload.to_vec().into()));
    }
}

// [6455-5.4-4]
#[test]
fn a_ping_between_fragments_is_answered_between_them() {
    let server = serve(plain());
    let mut client = server.raw();
    client.open("/");
    client.send(frame(false, TEXT, b"frag"));
    client.send(frame(true, PING, b"now"));
    assert_eq!(client.frame(), Frame::whole(PONG, b"now"));
    client.send(frame(true, CONTINUATION, b"ment"));
    assert_eq!(client.frame(), Frame::whole(TEXT, b"fragment"));
}

#[test]
fn a_pong_that_nobody_asked_for_is_ignored() {
    let (note, told) = notes();
    let server = serve(noted_echo(note));
    let mut client = server.raw();
    client.open("/");
    client.send(frame(true, PONG, b"unasked"));
    client.message(TEXT, b"still open");
    assert_eq!(client.frame(), Frame::whole(TEXT, b"still open"));
    drop(client);
    server.stop().unwrap();
    assert_eq!(told.all()[1], "websocket.receive text \"still open\"");
}

#[test]
fn a_client_that_answers_pings_stays() {
    let server = serve_with(plain(), |server| server.ping_interval(ms(30)).ping_timeout(LIMIT));
    let mut client = ws(&server, "/");
    // Reading answers them.
    for _ in 0..4 {
        assert!(client.read().unwrap().is_ping());
    }
    client.send("still here".into()).unwrap();
    loop {
        match client.read().unwrap() {
            Message::Ping(_) => {}
            message => break assert_eq!(message, "still here".into()),
        }
    }
}

#[test]
fn a_client_that_answers_no_ping_is_closed_with_1011() {
    let (note, told) = notes();
    let server =
        serve_with(noted_echo(note), |server| server.ping_interval(ms(50)).ping_timeout(LATER));
    let mut client = server.raw();
    let begun = std::time::Instant::now();
    client.open("/");
    assert_eq!(client.frame().opcode, PING);
    // Neither data nor a pong to something else is an answer.
    client.message(TEXT, b"busy");
    client.send(frame(true, PONG, b"wrong"));
    assert_eq!(client.frame(), Frame::whole(TEXT, b"busy"));
    assert_eq!(client.frame().close_code(), Some(1011), "one ping at a time");
    assert!(begun.elapsed() >= ms(50) + LATER, "{:?}", begun.elapsed());
    client.expect_end();
    drop(client);
    told.wait_for("websocket.disconnect 1011 \"\"");
    eventually("the cause is counted", || server.stats.closed().contains_key("ping-timeout"));
}

#[test]
fn a_pause_of_the_application_is_not_held_against_the_client() {
    // While nobody reads, no pong can come: its deadline stands still.
    let server = serve_with(
        on_events(|event, out| {
            match event {
                Event::WebSocketConnect => {
                    out.accept()?;
                    out.wake_after(ms(80));
                }
                Event::Timer => {
                    out.pause();
                    out.message("paused")?;
                    let handle = out.handle();
                    std::thread::spawn(move || {
                        std::thread::sleep(LATER * 4 / 3);
                        handle.resume();
                    });
                }
                Event::WebSocketReceive(message) => drop(out.message(message)?),
                _ => {}
            }
            Ok(())
        }),
        |server| server.ping_interval(ms(50)).ping_timeout(LATER),
    );
    let mut client = server.raw();
    client.open("/");
    // The first ping is not answered before the application pauses.
    let mut pings = Vec::new();
    loop {
        let frame = client.frame();
        match frame.opcode {
            PING => pings.push(frame.payload),
            _ => break assert_eq!(frame, Frame::whole(TEXT, b"paused")),
        }
    }
    for ping in pings {
        client.send(frame(true, PONG, &ping));
    }
    client.message(TEXT, b"patient");
    loop {
        let answer = client.frame();
        match answer.opcode {
            PING => client.send(frame(true, PONG, &answer.payload)),
            _ => break assert_eq!(answer, Frame::whole(TEXT, b"patient")),
        }
    }
}

const SIZES: [usize; 6] = [5, 100, 126, 5000, 9000, 70_000];

/// A message that says its number and its kind.
fn marked(number: u32, kind: u8, len: usize) -> Vec<u8> {
    let mut payload = vec![kind; len];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    payload
}

#[test]
fn control_frames_never_tear_the_messages_that_they_overtake() {
    // Messages of all sizes, the socket's own and published ones, while pings of both sides
    // cross.
    let server = serve_with(
        on_events({
            let mut next = 0u32;
            move |event, out| {
                match event {
                    Event::WebSocketConnect => {
                        out.accept()?;
                        out.join("all")?;
                        return Ok(());
                    }
                    Event::WebSocketReceive(_) | Event::Timer => {}
                    Event::Drain => {
                        // Room for publications, too.
                        out.wake_after(ms(1));
                        return Ok(());
                    }
                    _ => return Ok(()),
                }
                while next < 400 {
                    let message = marked(next, b'o', SIZES[next as usize % SIZES.len()]);
                    next += 1;
                    if out.message(&message[..])? == oneport::Flow::Full {
                        return Ok(());
                    }
                }
                if next == 400 {
                    out.message("done")?;
                    next += 1;
                }
                Ok(())
            }
        }),
        |server| server.ping_interval(ms(5)),
    );
    let mut client = Raw::connect_narrow(server.address);
    client.open("/");
    client.message(TEXT, b"go");
    let (mut own, mut shared, mut pongs) = (0u32, None, 0u32);
    loop {
        let answer = client.frame();
        assert!(answer.fin);
        match (answer.opcode, answer.payload.get(4)) {
            (PING, _) => client.send(frame(true, PONG, &answer.payload)),
            (PONG, _) => {
                assert_eq!(answer.payload, pongs.to_be_bytes(), "pongs keep their order");
                pongs += 1;
            }
            (TEXT, _) => break assert_eq!(answer.payload, b"done"),
            (BINARY, Some(b's')) => {
                let number = u32::from_be_bytes(*answer.payload.first_chunk().unwrap());
                assert!(shared.is_none_or(|before| before < number), "some may be skipped");
                assert!(answer.payload == marked(number, b's', answer.payload.len()));
                shared = Some(number);
            }
            (BINARY, _) => {
                let len = SIZES[own as usize % SIZES.len()];
                assert!(answer.payload == marked(own, b'o', len), "message {own}");
                client.send(frame(true, PING, &own.to_be_bytes()));
                let len = if own % 2 == 0 { 20_000 } else { 300 };
                server.groups.publish("all", &marked(own, b's', len)[..]);
                own += 1;
            }
            _ => panic!("{answer:?}"),
        }
    }
    assert_eq!(own, 400);
    // The last pongs come, too, and so does a publication, when there is room for one.
    let mut number = own;
    while pongs < own || shared.is_none() {
        let answer = client.frame();
        match (answer.opcode, answer.payload.get(4)) {
            (PING, _) => client.send(frame(true, PONG, &answer.payload)),
            (PONG, _) => {
                assert_eq!(answer.payload, pongs.to_be_bytes());
                pongs += 1;
            }
            (BINARY, Some(b's')) => shared = Some(number),
            _ => panic!("{answer:?}"),
        }
        if shared.is_none() {
            server.groups.publish("all", &marked(number, b's', 300)[..]);
            number += 1;
        }
    }
}

/// Echoes, and does not read a client that does not.
fn patient_echo() -> impl App {
    on_events(|event, out| {
        match event {
            Event::WebSocketConnect => drop(out.accept()?),
            Event::WebSocketReceive(message) => {
                let flow = out.message(message)?;
                if flow == oneport::Flow::Full {
                    out.pause();
                }
            }
            Event::Drain => out.resume(),
            _ => {}
        }
        Ok(())
    })
}

#[test]
fn large_and_small_messages_behind_each_other_come_back_in_order() {
    let server = serve(patient_echo());
    let mut client = server.raw();
    client.open("/");
    // Around the sizes of buffers and reads, each behind each of the kinds before.
    const SIZES: [usize; 11] =
        [0, 5, 4_096, 16_384, 70_000, 131_072, 262_130, 262_144, 300_000, 1 << 20, 3 << 20];
    fn order(round: usize) -> impl Iterator<Item = usize> {
        (0..SIZES.len()).map(move |at| SIZES[(at * round) % SIZES.len()])
    }
    fn message(len: usize) -> Vec<u8> {
        "né水🦀".bytes().cycle().take(len).collect()
    }
    let mut writer = client.another_end();
    let writer = std::thread::spawn(move || {
        for (number, len) in (1..6).flat_map(order).enumerate() {
            let payload = message(len);
            let (opcode, payload) = match std::str::from_utf8(&payload) {
                Ok(text) if number % 2 == 0 => (TEXT, text.as_bytes()),
                _ => (BINARY, &payload[..]),
            };
            if number % 3 == 0 {
                // In two frames.
                let (first, second) = payload.split_at(len / 3);
                writer.send([frame(false, opcode, first), frame(true, 0, second)].concat());
            } else {
                writer.send(frame(true, opcode, payload));
            }
        }
    });
    for len in (1..6).flat_map(order) {
        assert!(client.frame().payload == message(len), "{len} bytes");
    }
    writer.join().unwrap();
}

#[test]
fn an_echo_of_more_than_all_buffers_hold_deadlocks_nobody() {
    let server = serve(patient_echo());
    let mut client = server.raw();
    client.open("/");
    const MESSAGES: u32 = 500;
    let mut writer = client.another_end();
    let writer = std::thread::spawn(move || {
        for n in 0..MESSAGES {
            writer.message(BINARY, &marked(n, b'e', 60_000));
        }
    });
    for n in 0..MESSAGES {
        assert!(client.frame().payload == marked(n, b'e', 60_000), "message {n}");
    }
    writer.join().unwrap();
}

#[test]
fn pings_can_be_switched_off() {
    let server = serve_with(plain(), |server| server.ping_interval(ms(0)).ping_timeout(ms(10)));
    let mut client = server.raw();
    client.open("/");
    std::thread::sleep(ms(80));
    server.barrier();
    client.expect_nothing_yet();
}

// ---- closing --------------------------------------------------------------------------------

/// Closes like a well-behaved client; gives the server's Close.
fn close(mut client: Ws, close: Option<CloseFrame>) -> Option<CloseFrame> {
    client.close(close).unwrap();
    let answer = loop {
        if let Message::Close(answer) = client.read().unwrap() {
            break answer;
        }
    };
    // RFC 6455 §7.1.1: the server ends the connection first.
    match client.read() {
        Err(tungstenite::Error::ConnectionClosed) => answer,
        other => panic!("{other:?}"),
    }
}

// [6455-5.5.1-3] [6455-5.5.1-5] [6455-5.5.1-6] [6455-7.1.1-2]
#[test]
fn a_clients_close_is_echoed_and_its_handler_told_code_and_reason() {
    let (note, told) = notes();
    let server = serve(noted_echo(note));
    for (code, reason) in
        [(1000, ""), (1001, "leaving"), (1011, "ä"), (3000, "registered"), (4999, "own")]
    {
        let client = ws(&server, "/");
        assert_eq!(told.next(), "websocket.connect");
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        let answer = close(client, Some(frame)).expect("the code is echoed");
        assert_eq!(u16::from(answer.code), code);
        assert_eq!(told.next(), format!("websocket.disconnect {code} {reason:?}"));
    }
}

#[test]
fn a_close_without_a_code_is_1005_for_the_handler_and_empty_on_the_wire() {
    let (note, told) = notes();
    let server = serve(noted_echo(note));
    assert_eq!(close(ws(&server, "/"), None), None);
    assert_eq!(told.next(), "websocket.connect");
    assert_eq!(told.next(), "websocket.disconnect 1005 \"\"");
}

#[test]
fn an_end_without_a_close_is_1006() {
    let (note, told) = notes();
    let server = serve(noted_echo(note));
    let mut client = server.raw();
    client.open("/");
    drop(client);
    told.wait_for("websocket.disconnect 1006 \"\"");
    let mut client = server.raw();
    client.open("/");
    client.reset();
    told.wait_for("websocket.disconnect 1006 \"\"");
    // In the middle of a message, too.
    let mut client = server.raw();
    client.open("/");
    client.send(frame(false, TEXT, b"half a mess"));
    drop(client);
    told.wait_for("websocket.disconnect 1006 \"\"");
    server.stop().unwrap();
    assert_eq!(told.all(), [""; 0]);
}

// [6455-5.5.1-4]
#[test]
fn messages_before_a_close_are_all_told_and_answered_before_it() {
    let server = serve(plain());
    let mut client = server.raw();
    client.open("/");
    let mut bytes = frame(true, TEXT, b"one");
    bytes.extend(frame(true, TEXT, b"two"));
    bytes.extend(close_frame(1000, "done"));
    bytes.extend(frame(true, TEXT, b"never"));
    client.send(bytes);
    assert_eq!(client.frame(), Frame::whole(TEXT, b"one"));
    assert_eq!(client.frame(), Frame::whole(TEXT, b"two"));
    assert_eq!(client.frame().close_code(), Some(1000));
    client.expect_end();
}

/// Accepts, and closes like this on the first message.
fn closing(note: Notes, code: u16, reason: &'static str) -> impl App {
    on_events(move |event, out| {
        note.event(&event);
        match event {
            Event::WebSocketConnect => accept(out)?,
            Event::WebSocketReceive(_) => {
                out.close(code, reason)?;
                // RFC 6455 §5.5.1: nothing behind it; ASGI: a second close means nothing.
                assert_eq!(out.message("late").unwrap_err(), SendError::Closed);
                out.close(1000, "again")?;
            }
            _ => {}
        }
        Ok(())
    })
}

// [6455-5.5.1-2] [6455-6.1-1] [6455-7.1.2-1] [6455-7.1.2-2]
#[test]
fn an_applications_close_reaches_the_client_and_the_handler_is_told_its_own_code() {
    let (note, told) = notes();
    let server = serve(closing(note, 4001, "enough"));
    let mut client = ws(&server, "/");
    client.send("go".into()).unwrap();
    let Message::Close(Some(frame)) = client.read().unwrap() else { panic!("a Close is due") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4001, "enough"));
    assert!(matches!(client.read(), Err(tungstenite::Error::ConnectionClosed)));
    assert_eq!(told.next(), "websocket.connect");
    assert_eq!(told.next(), "websocket.receive text \"go\"");
    assert_eq!(told.next(), "websocket.disconnect 4001 \"\"");
}

// [6455-5.5.2-1]
#[test]
fn after_its_own_close_the_server_tells_no_message_and_answers_pings() {
    let (note, told) = notes();
    let server = serve(closing(note, 1000, ""));
    let mut client = server.raw();
    client.open("/");
    client.message(TEXT, b"go");
    assert_eq!(client.frame().close_code(), Some(1000));
    client.message(TEXT, b"crossing");
    client.send(frame(true, PING, b"crossing"));
    client.send(close_frame(1000, ""));
    assert_eq!(client.frame(), Frame::whole(PONG, b"crossing"));
    client.expect_end();
    server.stop().unwrap();
    let wanted =
        ["websocket.connect", "websocket.receive text \"go\"", "websocket.disconnect 1000 \"\""];
    assert_eq!(told.all(), wanted);
}

#[test]
fn a_peer_that_does_not_answer_a_close_is_ended_in_time() {
    let (note, told) = notes();
    let server = serve_with(closing(note, 4000, ""), |server| server.close_timeout(ms(100)));
    let mut client = server.raw();
    client.open("/");
    client.message(TEXT, b"go");
    assert_eq!(client.frame().close_code(), Some(4000));
    client.expect_end();
    told.wait_for("websocket.disconnect 4000 \"\"");
    eventually("the cause is counted", || server.stats.closed().contains_key("close-timeout"));
}

#[test]
fn a_long_reason_is_cut_at_a_character() {
    let (note, _told) = notes();
    const CRABS: &str = "🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀";
    let server = serve(closing(note, 1000, CRABS));
    let mut client = server.raw();
    client.open("/");
    client.message(TEXT, b"go");
    let close = client.frame();
    assert_eq!(close.payload.len(), 2 + 120);
    assert!(std::str::from_utf8(&close.payload[2..]).is_ok());
}

// [6455-7.4.1-1] [6455-7.4.1-2] [6455-7.4.1-3]
#[test]
fn a_code_that_may_not_be_sent_is_refused() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
        let (note, told) = notes();
        let server = serve(on_events(move |event, out| {
            match event {
                Event::WebSocketConnect => accept(out)?,
                Event::WebSocketReceive(_) => {
                    note.note(format!("{:?}", out.close(code, "").unwrap_err()));
                    out.message("still open")?;
                }
                _ => {}
            }
            Ok(())
        }));
        let mut client = server.raw();
        client.open("/");
        client.message(TEXT, b"go");
        assert_eq!(client.frame(), Frame::whole(TEXT, b"still open"));
        assert_eq!(told.next(), format!("{:?}", SendError::Invalid(Invalid::CloseCode)));
    }
}

// ---- handlers that fail ---------------------------------------------------------------------

fn failing(note: Notes) -> impl App {
    by_scope(move |scope| {
        let Scope::WebSocket(socket) = scope else { return None };
        let (path, note) = (socket.path.to_string(), note.clone());
        boxed(move |event, out| {
            note.event(&event);
            match (event, path.as_str()) {
                (Event::WebSocketConnect, "/connect-error") => return Err("no".into()),
                (Event::WebSocketConnect, "/connect-panic") => std::panic::panic_any(ASKED),
                (Event::WebSocketConnect, "/accept-then-error") => {
                    accept(out)?;
                    out.message("held back")?;
                    return Err("no".into());
                }
                (Event::WebSocketConnect, "/send-first") => drop(out.message("early")?),
                (Event::WebSocketConnect, "/accept-twice") => {
                    accept(out)?;
                    accept(out)?;
                }
                (Event::WebSocketConnect, "/no-answer") => {}
                (Event::WebSocketConnect, "/handle-dropped") => drop(out.handle()),
                (Event::WebSocketConnect, "/http-event") => {
                    let headers = &[];
                    out.send(SendEvent::HttpResponseStart {
                        status: 200,
                        headers,
                        trailers: false,
                    })?;
                }
                (Event::WebSocketConnect, _) => accept(out)?,
                (Event::WebSocketReceive(_), "/error") => {
                    out.message("last words")?;
                    return Err("no".into());
                }
                (Event::WebSocketReceive(_), "/panic") => std::panic::panic_any(ASKED),
                (Event::WebSocketReceive(_), "/deny-late") => {
                    out.send(SendEvent::WebSocketHttpResponseStart { status: 403, headers: &[] })?;
                }
                _ => {}
            }
            Ok(())
        })
    })
}

#[test]
fn a_handler_that_fails_on_a_message_closes_with_1011_and_the_worker_serves_on() {
    let (note, told) = notes();
    let server = serve(failing(note));
    for path in ["/error", "/panic", "/deny-late"] {
        let mut client = server.raw();
        client.open(path);
        client.message(TEXT, b"go");
        let mut close = client.frame();
        if close == Frame::whole(TEXT, b"last words") {
            close = client.frame();
        }
        assert_eq!(close.close_code(), Some(1011), "{path}");
        client.send(close_frame(1011, ""));
        client.expect_end();
        told.wait_for("websocket.disconnect 1011 \"\"");
    }
    let mut client = ws(&server, "/");
    client.send(Message::Ping("alive".into())).unwrap();
    assert_eq!(client.read().unwrap(), Message::Pong("alive".into()));
}

#[test]
fn a_handler_that_fails_before_the_handshake_is_answered_is_a_500() {
    let (note, told) = notes();
    let server = serve(failing(note));
    for path in [
        "/connect-error",
        "/connect-panic",
        "/accept-then-error",
        "/send-first",
        "/accept-twice",
        "/no-answer",
        "/handle-dropped",
        "/http-event",
    ] {
        let mut client = server.raw();
        client.send(handshake(path, ""));
        let answer = client.response();
        assert_eq!((answer.status, answer.closes()), (500, true), "{path}");
        client.expect_end();
        assert_eq!(told.next(), "websocket.connect");
        assert_eq!(told.next(), "websocket.disconnect 1006 \"\"", "{path}");
    }
}

// ---- answers to the handshake ---------------------------------------------------------------

/// Refuses in several ways.
fn refusing(note: Notes) -> impl App {
    by_scope(move |scope| {
        let Scope::WebSocket(socket) = scope else { return None };
        let (path, note) = (socket.path.to_string(), note.clone());
        if path == "/nobody" {
            return None;
        }
        boxed(move |event, out| {
            note.event(&event);
            if let Event::WebSocketConnect = event {
                match path.as_str() {
                    "/close" => drop(out.close(4000, "not for the wire")?),
                    "/respond" => {
                        out.respond(401, &[(b"www-authenticate", b"Bearer")], b"log in first")?;
                    }
                    _ => {
                        let headers = &[(&b"www-authenticate"[..], &b"Bearer"[..])];
                        let start = SendEvent::WebSocketHttpResponseStart { status: 401, headers };
                        out.send(start)?;
                        for (body, more_body) in
                            [(&b"log "[..], true), (b"", true), (b"in ", true), (b"first", false)]
                        {
                            let body = SendEvent::WebSocketHttpResponseBody { body, more_body };
                            out.send(body)?;
                        }
                    }
                }
            }
            Ok(())
        })
    })
}

// [6455-4.2.2-2] [6455-7.2.2-1]
#[test]
fn a_refusal_is_an_http_response_and_the_handler_is_told_1006() {
    let (note, told) = notes();
    let server = serve(refusing(note));
    for (path, status, body) in [
        ("/close", 403, None),
        ("/respond", 401, Some("log in first")),
        ("/pieces", 401, Some("log in first")),
    ] {
        let mut client = server.raw();
        client.send(handshake(path, ""));
        let answer = client.response();
        assert_eq!((answer.status, answer.closes()), (status, true), "{path}");
        assert_eq!(answer.field("sec-websocket-accept"), None);
        if let Some(body) = body {
            assert_eq!(answer.text(), body);
            assert_eq!(answer.field("www-authenticate"), Some("Bearer"));
        }
        client.expect_end();
        assert_eq!(told.next(), "websocket.connect");
        assert_eq!(told.next(), "websocket.disconnect 1006 \"\"", "{path}");
    }
}

// [6455-4.2.2-4]
#[test]
fn a_client_understands_a_refusal() {
    let (note, _told) = notes();
    let server = serve(refusing(note));
    for (path, status) in [("/close", 403), ("/respond", 401), ("/pieces", 401), ("/nobody", 404)] {
        match ws_with(&server, path, &[]) {
            Err(tungstenite::Error::Http(answer)) => assert_eq!(answer.status(), status),
            other => panic!("{path}: {:?}", other.map(|(_, answer)| answer)),
        }
    }
}

#[test]
fn a_refusal_may_come_in_pieces_from_a_thread() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(on_events(move |event, out| {
        if let Event::WebSocketConnect = event {
            give.send(out.handle())?;
        }
        Ok(())
    }));
    let mut client = server.raw();
    client.send(handshake("/", ""));
    let handle = take(&handles);
    std::thread::spawn(move || {
        let start = SendEvent::WebSocketHttpResponseStart { status: 402, headers: &[] };
        handle.send(start).unwrap();
        for (body, more_body) in [(&b"pay "[..], true), (b"first", false)] {
            handle.send(SendEvent::WebSocketHttpResponseBody { body, more_body }).unwrap();
        }
    })
    .join()
    .unwrap();
    let answer = client.response();
    assert_eq!((answer.status, answer.text()), (402, "pay first"));
    client.expect_end();
}

#[test]
fn a_refusal_that_nobody_completes_is_cut() {
    let (give, handles) = mpsc::channel::<Handle>();
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        note.event(&event);
        if let Event::WebSocketConnect = event {
            give.send(out.handle())?;
        }
        Ok(())
    }));
    let mut client = server.raw();
    client.send(handshake("/", ""));
    let handle = take(&handles);
    let headers = &[(&b"content-length"[..], &b"9"[..])];
    handle.send(SendEvent::WebSocketHttpResponseStart { status: 402, headers }).unwrap();
    let body = SendEvent::WebSocketHttpResponseBody { body: b"pay", more_body: true };
    handle.send(body).unwrap();
    drop(handle);
    assert_eq!(client.head().field("content-length"), Some("9"));
    assert_eq!(client.rest(), b"pay");
    assert_eq!(told.next(), "websocket.connect");
    assert_eq!(told.next(), "websocket.disconnect 1006 \"\"");
}

#[test]
fn a_whole_response_of_a_handle_is_a_refusal() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(on_events(move |event, out| {
        if let Event::WebSocketConnect = event {
            give.send(out.handle())?;
        }
        Ok(())
    }));
    let mut client = server.raw();
    client.send(handshake("/", ""));
    take(&handles).respond(402, &[], b"pay first").unwrap();
    let answer = client.response();
    assert_eq!((answer.status, answer.text()), (402, "pay first"));
    assert_eq!(answer.field("content-length"), Some("9"));
    client.expect_end();
}

// [6455-4.2.2-5]
#[test]
fn the_subprotocol_is_one_that_was_offered() {
    let (note, told) = notes();
    let server = serve(by_scope(move |scope| {
        let Scope::WebSocket(socket) = scope else { return None };
        let offered: Vec<String> = socket.subprotocols().map(str::to_string).collect();
        let (path, note) = (socket.path[1..].to_string(), note.clone());
        boxed(move |event, out| {
            if let Event::WebSocketConnect = event {
                note.note(offered.join(" "));
                let subprotocol = Some(path.as_str());
                out.send(SendEvent::WebSocketAccept { subprotocol, headers: &[] })?;
            }
            Ok(())
        })
    }));
    let offer = ("sec-websocket-protocol", "chat.v1, chat.v2");
    for path in ["/chat.v1", "/chat.v2"] {
        let (_client, answer) = ws_with(&server, path, &[offer]).unwrap();
        assert_eq!(answer.headers()["sec-websocket-protocol"], path[1..]);
        assert_eq!(told.next(), "chat.v1 chat.v2");
    }
    for path in ["/chat.v3", "/CHAT.V1", "/chat"] {
        let Err(tungstenite::Error::Http(answer)) = ws_with(&server, path, &[offer]) else {
            panic!("{path} was not offered");
        };
        assert_eq!(answer.status(), 500);
    }
}

#[test]
fn an_accept_may_have_fields_but_not_the_handshakes_own() {
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        if let Event::WebSocketConnect = event {
            for name in ["Sec-WebSocket-Protocol", "upgrade", "sec-websocket-accept", "a b"] {
                let headers = &[(name.as_bytes(), &b"x"[..])];
                let refused = out.send(SendEvent::WebSocketAccept { subprotocol: None, headers });
                note.note(format!("{:?}", refused.unwrap_err()));
            }
            let headers: &[oneport::Field<'_>] =
                &[(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"x-accepted", b"yes")];
            out.send(SendEvent::WebSocketAccept { subprotocol: None, headers })?;
        }
        Ok(())
    }));
    let mut client = server.raw();
    let answer = client.open("/");
    assert_eq!(answer.fields_named("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(answer.field("x-accepted"), Some("yes"));
    for _ in 0..3 {
        assert_eq!(told.next(), format!("{:?}", SendError::Invalid(Invalid::HandshakeField)));
    }
    assert_eq!(told.next(), format!("{:?}", SendError::Invalid(Invalid::FieldName)));
}

#[test]
fn a_late_accept_by_a_handle_loses_no_frame_that_came_with_the_handshake() {
    let (give, handles) = mpsc::channel::<Handle>();
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        note.event(&event);
        match event {
            Event::WebSocketConnect => give.send(out.handle())?,
            Event::WebSocketReceive(message) => drop(out.message(message)?),
            _ => {}
        }
        Ok(())
    }));
    let mut client = server.raw();
    let mut bytes = handshake("/", "").into_bytes();
    bytes.extend(frame(true, TEXT, b"hasty"));
    bytes.extend(frame(true, PING, b"ping"));
    client.send(bytes);
    let handle = take(&handles);
    client.message(TEXT, b"behind");
    server.barrier();
    assert_eq!(told.so_far(), ["websocket.connect"], "nothing is told before the accept");
    client.expect_nothing_yet();
    std::thread::spawn(move || {
        handle.accept().unwrap();
        handle.message("welcome").unwrap();
    })
    .join()
    .unwrap();
    client.opened();
    let mut frames: Vec<Frame> = (0..4).map(|_| client.frame()).collect();
    // The thread's message and the echoes may cross; the echoes keep their order.
    let welcome = Frame::whole(TEXT, b"welcome");
    assert!(frames.contains(&welcome));
    frames.retain(|frame| *frame != welcome);
    let wanted = [(TEXT, &b"hasty"[..]), (PONG, b"ping"), (TEXT, b"behind")]
        .map(|(o, p)| Frame::whole(o, p));
    assert_eq!(frames, wanted);
}

#[test]
fn frames_behind_the_handshake_in_one_segment_are_served() {
    let server = serve(plain());
    let mut client = server.raw();
    let mut bytes = handshake("/", "").into_bytes();
    bytes.extend(frame(true, TEXT, b"one"));
    bytes.extend(close_frame(1000, ""));
    client.send(bytes);
    client.opened();
    assert_eq!(client.frame(), Frame::whole(TEXT, b"one"));
    assert_eq!(client.frame().close_code(), Some(1000));
    client.expect_end();
}

#[test]
fn messages_may_leave_with_the_accept() {
    let server = serve(on_events(|event, out| {
        if let Event::WebSocketConnect = event {
            accept(out)?;
            out.message("one")?;
            out.message(&[2u8][..])?;
            out.close(4000, "three")?;
        }
        Ok(())
    }));
    let mut client = server.raw();
    client.open("/");
    assert_eq!(client.frame(), Frame::whole(TEXT, b"one"));
    assert_eq!(client.frame(), Frame::whole(BINARY, [2]));
    assert_eq!(client.frame().close_code(), Some(4000));
    client.send(close_frame(4000, ""));
    client.expect_end();
}

#[test]
fn a_websocket_and_requests_share_one_connection_in_that_order() {
    let server = serve(plain());
    let mut client = server.raw();
    let mut bytes = b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n".to_vec();
    bytes.extend(handshake("/", "").into_bytes());
    bytes.extend(frame(true, TEXT, b"switched"));
    client.send(bytes);
    assert_eq!(client.response().text(), "/1");
    client.opened();
    assert_eq!(client.frame(), Frame::whole(TEXT, b"switched"));
}

#[test]
fn a_websocket_behind_a_late_answer_waits_for_it() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(on_events(move |event, out| match event {
        Event::HttpRequest { .. } => Ok(give.send(out.handle())?),
        event => echo(event, out),
    }));
    let mut client = server.raw();
    let mut bytes = b"GET /late HTTP/1.1\r\nHost: h\r\n\r\n".to_vec();
    bytes.extend(handshake("/", "").into_bytes());
    bytes.extend(frame(true, TEXT, b"switched"));
    client.send(bytes);
    let handle = take(&handles);
    server.barrier();
    client.expect_nothing_yet();
    handle.respond(200, &[], b"late").unwrap();
    assert_eq!(client.response().text(), "late");
    client.opened();
    assert_eq!(client.frame(), Frame::whole(TEXT, b"switched"));
}

fn refused(client: &mut Raw, request: &str) -> Response {
    client.send(request);
    let answer = client.response();
    assert!(answer.closes());
    client.expect_end();
    answer
}

// [6455-4.2.1-1] [6455-4.2.1-5] [6455-4.2.1-6] [6455-4.2.2-3] [6455-4.4-1] [6455-10.7-3]
#[test]
fn a_handshake_that_breaks_a_rule_is_refused_with_the_rule() {
    let server = serve(plain());
    let good = handshake("/", "");
    let rows = [
        (good.replace("GET", "POST"), 405),
        (good.replace("Version: 13", "Version: 8"), 426),
        (good.replace(KEY, "short"), 400),
        (good.replace("Sec-WebSocket-Key", "X"), 400),
        (handshake("/", "Content-Length: 3\r\n"), 400),
    ];
    for (request, status) in rows {
        let answer = refused(&mut server.raw(), &request);
        assert_eq!(answer.status, status, "{request}");
        assert!(answer.text().contains("RFC 6455"), "{}", answer.text());
        if status == 426 {
            assert_eq!(answer.field("sec-websocket-version"), Some("13"));
        }
    }
}

// ---- rules that a client breaks -------------------------------------------------------------

// [6455-5.1-1] [6455-5.2-2] [6455-5.2-3] [6455-5.2-5] [6455-5.4-3] [6455-5.5-1] [6455-5.5-2]
// [6455-5.5.1-1] [6455-7.1.7-1] [6455-7.1.7-3] [6455-8.1-1] [6455-10.4-1] [6455-10.7-2]
#[test]
fn a_broken_rule_closes_with_its_code_and_the_handler_is_told_it() {
    let (note, told) = notes();
    let server = serve_with(noted_echo(note), |server| server.max_message(1000));
    let mut reserved = frame(true, TEXT, b"x");
    reserved[0] |= 0x40;
    let mut unmasked = frame_header(true, TEXT, 5, 0);
    unmasked.extend_from_slice(b"Hello");
    let mut not_minimal = vec![0x82, 0x80 | 126, 0, 5, 0, 0, 0, 0];
    not_minimal.extend_from_slice(b"Hello");
    let mut huge = vec![0x82, 0x80 | 127];
    huge.extend_from_slice(&(1u64 << 40).to_be_bytes());
    huge.extend_from_slice(&[0; 4]);
    let rows: Vec<(&str, Vec<u8>, u16)> = vec![
        ("§5.1 a client masks", unmasked, 1002),
        ("§5.2 reserved bits", reserved, 1002),
        ("§5.2 reserved opcodes", frame(true, 3, b""), 1002),
        ("§5.2 reserved control opcodes", frame(true, 11, b""), 1002),
        ("§5.2 the fewest bytes", not_minimal, 1002),
        ("§5.4 nothing to continue", frame(true, CONTINUATION, b"x"), 1002),
        (
            "§5.4 a message in a message",
            [frame(false, TEXT, b"x"), frame(true, TEXT, b"x")].concat(),
            1002,
        ),
        ("§5.5 control frames are whole", frame(false, PING, b""), 1002),
        ("§5.5 control frames are short", frame(true, PING, &[0; 126]), 1002),
        ("§5.5.1 a Close of one byte", frame(true, CLOSE, b"x"), 1002),
        ("§7.4 a code that is never sent", close_frame(1006, ""), 1002),
        ("§7.4 no such code", close_frame(999, ""), 1002),
        ("§5.5.1 a reason is text", frame(true, CLOSE, b"\x03\xe8\xff"), 1007),
        ("§8.1 text is UTF-8", frame(true, TEXT, b"\xff"), 1007),
        ("§8.1 a cut character", frame(true, TEXT, &"ä".as_bytes()[..1]), 1007),
        ("§8.1 a surrogate", frame(true, TEXT, b"\xed\xa0\x80"), 1007),
        ("§8.1 at once, in a fragment", frame(false, TEXT, b"good \xc0"), 1007),
        ("§10.4 too big", frame(true, BINARY, &[0; 1001]), 1009),
        ("§10.4 too big by its header", huge, 1009),
        (
            "§10.4 too big in fragments",
            [frame(false, BINARY, &[0; 600]), frame(true, CONTINUATION, &[0; 401])].concat(),
            1009,
        ),
    ];
    for (rule, bytes, code) in rows {
        let mut client = server.raw();
        client.open("/");
        assert_eq!(told.next(), "websocket.connect");
        client.send(&bytes);
        assert_eq!(client.frame().close_code(), Some(code), "{rule}");
        client.expect_end();
        assert_eq!(told.next(), format!("websocket.disconnect {code} \"\""), "{rule}");
    }
    // At the limit nothing is broken.
    let mut client = server.raw();
    client.open("/");
    client.message(BINARY, &[0; 1000]);
    assert_eq!(client.frame().payload.len(), 1000);
    client.message(TEXT, "\u{10ffff}".as_bytes());
    assert_eq!(client.frame().payload, "\u{10ffff}".as_bytes());
}

#[test]
fn whole_messages_before_a_broken_frame_are_told() {
    let (note, told) = notes();
    let server = serve(noted_echo(note));
    let mut client = server.raw();
    client.open("/");
    client.send([frame(true, TEXT, b"good"), frame(true, 3, b"")].concat());
    assert_eq!(client.frame(), Frame::whole(TEXT, b"good"));
    assert_eq!(client.frame().close_code(), Some(1002));
    client.expect_end();
    assert_eq!(told.next(), "websocket.connect");
    assert_eq!(told.next(), "websocket.receive text \"good\"");
    assert_eq!(told.next(), "websocket.disconnect 1002 \"\"");
}

// [6455-7.1.1-1]
#[test]
fn who_sends_behind_its_close_is_not_reset() {
    let server = serve(plain());
    let mut client = server.raw();
    client.open("/");
    // More than one read takes in.
    client.send([close_frame(1000, ""), vec![0; 600_000]].concat());
    assert_eq!(client.frame().close_code(), Some(1000));
    client.expect_clean_end();
}

#[test]
fn a_flood_of_control_frames_is_cut_off_with_1008() {
    let server = serve(plain());
    let mut client = server.raw();
    client.open("/");
    // Far more than a second allows, although a second may end on the way.
    drop(client.try_send(frame(true, PONG, b"").repeat(5000)));
    assert_eq!(client.frame().close_code(), Some(1008));
}
