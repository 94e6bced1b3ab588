//! Backpressure, pause and resume, timers, posts, half-closed connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use oneport::{AppError, Event, Flow, Handle, SendError, SendEvent};

use crate::raw::{BINARY, Raw, TEXT, close_frame, frame};
use crate::support::{
    LATER, LIMIT, Serving, Told, answering, boxed, by_scope, eventually, ms, notes, on_events, say,
    serve, serve_with, take,
};

static PIECE: [u8; 32 * 1024] = [b'x'; 32 * 1024];

fn start() -> SendEvent<'static> {
    SendEvent::HttpResponseStart { status: 200, headers: &[], trailers: false }
}

fn body(body: &[u8], more_body: bool) -> SendEvent<'_> {
    SendEvent::HttpResponseBody { body, more_body }
}

// ---- backpressure ---------------------------------------------------------------------------

#[test]
fn a_slow_reader_brings_full_and_then_exactly_one_drain() {
    let (note, told) = notes();
    let enough = Arc::new(AtomicBool::new(false));
    let is_enough = Arc::clone(&enough);
    let server = serve(on_events(move |event, out| {
        match event {
            Event::HttpRequest { .. } => drop(out.send(start())?),
            Event::Drain => {
                note.note("drain");
                assert!(out.queued() <= 16 * 1024, "below the low-water mark");
            }
            Event::Timer => {
                out.send(body(b"", false))?;
                return Ok(());
            }
            _ => {
                note.event(&event);
                return Ok(());
            }
        }
        if is_enough.load(Ordering::Relaxed) {
            out.wake_after(ms(20));
            return Ok(());
        }
        while out.send(body(&PIECE, true))? == Flow::Ready {}
        // What is sent above the mark is taken, and brings no second Drain.
        assert_eq!(out.send(body(&PIECE, true))?, Flow::Full);
        note.note("full");
        Ok(())
    }));
    let mut client = Raw::connect_narrow(server.address);
    client.get("/");
    // The buffers of the system fill first.
    let mut before = told.next();
    assert_eq!(before, "full");
    loop {
        server.barrier();
        let more = told.so_far();
        for note in &more {
            assert_ne!(*note, before, "full and drain take turns");
            before.clone_from(note);
        }
        if more.is_empty() {
            break;
        }
    }
    assert_eq!(before, "full", "and no Drain before the reader has read");
    enough.store(true, Ordering::Relaxed);
    assert_eq!(client.response().body.len() % PIECE.len(), 0);
    server.stop().unwrap();
    assert_eq!(told.all(), ["drain"]);
}

#[test]
fn each_full_is_followed_by_its_own_drain() {
    let (note, told) = notes();
    let server = serve(on_events({
        let mut rounds = 0;
        move |event, out| {
            match event {
                Event::HttpRequest { .. } => drop(out.send(start())?),
                Event::Drain => note.note("drain"),
                _ => return Ok(()),
            }
            if rounds == 3 {
                out.send(body(b"", false))?;
                return Ok(());
            }
            rounds += 1;
            while out.send(body(&PIECE, true))? == Flow::Ready {}
            note.note("full");
            Ok(())
        }
    }));
    let mut client = Raw::connect_narrow(server.address);
    client.get("/");
    assert_eq!(told.next(), "full");
    client.response();
    server.stop().unwrap();
    assert_eq!(told.all(), ["drain", "full", "drain", "full", "drain"]);
}

#[test]
fn a_handle_sees_full_and_its_handler_the_drain() {
    let (give, handles) = mpsc::channel::<Handle>();
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        match event {
            Event::HttpRequest { .. } => give.send(out.handle())?,
            _ => note.event(&event),
        }
        Ok(())
    }));
    let mut client = Raw::connect_narrow(server.address);
    client.get("/");
    let handle = take(&handles);
    handle.send(start()).unwrap();
    let mut sent = 0;
    loop {
        sent += PIECE.len();
        if handle.send(body(&PIECE, true)).unwrap() == Flow::Full {
            // Full in the mailbox may be over in a moment; Full in the connection is not.
            server.barrier();
            if handle.queued() > 64 * 1024 {
                break;
            }
        }
    }
    // Each Full so far but the last was followed by its Drain.
    told.so_far();
    let reader = std::thread::spawn(move || {
        let answer = client.response();
        (client, answer)
    });
    told.wait_for("oneport.drain");
    assert!(handle.queued() <= 16 * 1024);
    handle.send(body(b"", false)).unwrap();
    let (client, answer) = reader.join().unwrap();
    assert_eq!(answer.body.len(), sent);
    drop(client);
    server.stop().unwrap();
    assert_eq!(told.all(), [""; 0], "one Drain");
}

#[test]
fn one_event_of_any_size_is_always_taken() {
    let server = serve(answering(|out| {
        // Larger than the hard limit of 1 MiB.
        out.respond(200, &[], vec![b'x'; 5 << 20])?;
        Ok(())
    }));
    let mut client = Raw::connect_narrow(server.address);
    client.get("/");
    assert_eq!(client.response().body.len(), 5 << 20);
}

/// Floods its peer, in its first callback or in a later one, until that is an error; gives the
/// error back like most handlers, or keeps it for itself.
fn flooding(at_once: bool, gives_back: bool) -> (Serving, Told) {
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        match event {
            Event::HttpRequest { .. } => {
                out.send(start())?;
                out.wake_after(ms(0));
                if !at_once {
                    return Ok(());
                }
            }
            Event::Timer => {}
            _ => {
                note.event(&event);
                return Ok(());
            }
        }
        let error = loop {
            if let Err(error) = out.send(body(&PIECE, true)) {
                break error;
            }
            assert!(out.queued() < 2 << 20, "far beyond the hard limit");
        };
        note.note(format!("{error:?}"));
        if gives_back { Err(AppError::from(error)) } else { Ok(()) }
    }));
    (server, told)
}

/// The peer reads nothing, so what it gets in the end is what the system had taken.
fn expect_overrun(server: &Serving, told: &Told) {
    let mut client = Raw::connect_narrow(server.address);
    client.get("/");
    assert_eq!(told.next(), "Closed");
    eventually("the cause is counted", || server.stats.closed().contains_key("overrun"));
    assert_eq!(told.next(), "http.disconnect");
    client.rest();
}

#[test]
fn who_ignores_full_is_cut_off_at_the_hard_limit() {
    let (server, told) = flooding(false, false);
    expect_overrun(&server, &told);
}

#[test]
fn who_ignores_full_and_gives_the_error_back_is_cut_off_too() {
    let (server, told) = flooding(false, true);
    expect_overrun(&server, &told);
}

#[test]
fn who_ignores_full_in_its_first_callback_is_cut_off_too() {
    let (server, told) = flooding(true, false);
    expect_overrun(&server, &told);
}

#[test]
fn who_ignores_full_in_its_first_callback_and_gives_the_error_back_is_cut_off_too() {
    let (server, told) = flooding(true, true);
    expect_overrun(&server, &told);
}

#[test]
fn who_ignores_full_on_a_websocket_is_cut_off_too() {
    for gives_back in [false, true] {
        let (note, told) = notes();
        let server = serve(on_events(move |event, out| {
            match event {
                Event::WebSocketConnect => drop(out.accept()?),
                Event::WebSocketReceive(_) => {
                    let error = loop {
                        if let Err(error) = out.message(&PIECE[..]) {
                            break error;
                        }
                        assert!(out.queued() < 2 << 20, "far beyond the hard limit");
                    };
                    if gives_back {
                        return Err(AppError::from(error));
                    }
                }
                _ => note.event(&event),
            }
            Ok(())
        }));
        let mut client = Raw::connect_narrow(server.address);
        client.open("/");
        client.message(TEXT, b"go");
        eventually("the cause is counted", || server.stats.closed().contains_key("overrun"));
        // Aborted: no Close was sent.
        assert_eq!(told.next(), "websocket.disconnect 1006 \"\"");
        client.rest();
    }
}

#[test]
fn a_handle_that_ignores_full_is_cut_off_too() {
    let (give, handles) = mpsc::channel::<Handle>();
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        match event {
            Event::HttpRequest { .. } => give.send(out.handle())?,
            Event::HttpDisconnect => note.event(&event),
            _ => {}
        }
        Ok(())
    }));
    let mut client = Raw::connect_narrow(server.address);
    client.get("/");
    let handle = take(&handles);
    handle.send(start()).unwrap();
    let begun = Instant::now();
    while handle.send(body(&PIECE, true)).is_ok() {
        assert!(begun.elapsed() < LIMIT, "nothing stops it");
    }
    assert_eq!(told.next(), "http.disconnect");
    eventually("its handle misses", || !handle.is_alive());
    assert_eq!(handle.send(body(b"", false)), Err(SendError::Closed));
    client.rest();
}

#[test]
fn a_peer_that_does_not_read_the_answers_is_not_read() {
    let server = serve(answering(|out| {
        out.respond(200, &[], PIECE)?;
        Ok(())
    }));
    let mut client = Raw::connect_narrow(server.address);
    // Far more requests than answers can be queued.
    let requests = "GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(500);
    client.send(&requests);
    server.barrier();
    let held = server.stats.bytes_held();
    assert!(held < 1 << 20, "{held} bytes are held");
    for _ in 0..500 {
        assert_eq!(client.response().body.len(), PIECE.len());
    }
}

// ---- pause and resume -----------------------------------------------------------------------

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn a_pause_holds_the_rest_of_a_body_back_until_the_handle_resumes() {
    let (give, handles) = mpsc::channel::<Handle>();
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        note.event(&event);
        match event {
            Event::HttpRequest { body: b"one", .. } => {
                out.pause();
                give.send(out.handle())?;
            }
            Event::HttpRequest { more_body: false, .. } => say(out, "done")?,
            _ => {}
        }
        Ok(())
    }));
    let mut client = server.raw();
    client.send(format!("{CHUNKED}3\r\none\r\n"));
    let handle = take(&handles);
    client.send("3\r\ntwo\r\n0\r\n\r\n");
    server.barrier();
    assert_eq!(told.so_far(), ["http.request one+"]);
    handle.resume();
    assert_eq!(client.response().text(), "done");
    let rest = told.so_far();
    assert!(rest[0].starts_with("http.request two"), "{rest:?}");
}

#[test]
fn a_resume_by_a_handle_that_is_dropped_at_once_counts() {
    // As if a thread had been quicker than the callback.
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        match event {
            Event::HttpRequest { more_body: true, .. } => {
                out.pause();
                let handle = out.handle();
                handle.resume();
                note.note("paused and resumed");
            }
            Event::HttpRequest { more_body: false, .. } => say(out, "whole")?,
            _ => {}
        }
        Ok(())
    }));
    let mut client = server.raw();
    client.send(format!("{CHUNKED}3\r\none\r\n"));
    assert_eq!(told.next(), "paused and resumed");
    server.barrier();
    client.send("0\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.status, answer.text()), (200, "whole"));
}

#[test]
fn a_pause_at_every_piece_that_a_thread_ends_loses_nothing() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(on_events({
        let mut received = Vec::new();
        move |event, out| {
            match event {
                Event::HttpRequest { body, more_body } => {
                    received.extend_from_slice(body);
                    if more_body {
                        out.pause();
                        give.send(out.handle())?;
                    } else {
                        out.respond(200, &[], &received)?;
                    }
                }
                Event::WebSocketConnect => drop(out.accept()?),
                Event::WebSocketReceive(message) => {
                    out.message(message)?;
                    out.pause();
                    give.send(out.handle())?;
                }
                _ => {}
            }
            Ok(())
        }
    }));
    let resumer = std::thread::spawn(move || handles.iter().for_each(|handle| handle.resume()));
    let sent: Vec<u8> = (0..2_000_000u32).map(|n| (n % 251) as u8).collect();
    let mut client = server.raw();
    for _ in 0..3 {
        client
            .send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", sent.len()));
        for piece in sent.chunks(9_999) {
            client.send(piece);
        }
        assert!(client.response().body == sent);
    }
    client.open("/");
    client.send(crate::raw::frame(true, TEXT, b"again").repeat(500));
    for _ in 0..500 {
        assert_eq!(client.frame().payload, b"again");
    }
    drop(client);
    server.stop().unwrap();
    resumer.join().unwrap();
}

#[test]
fn a_paused_upload_is_not_read() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(on_events({
        let mut received = 0;
        move |event, out| {
            if let Event::HttpRequest { body, more_body } = event {
                if received == 0 && more_body {
                    out.pause();
                    give.send(out.handle())?;
                }
                received += body.len();
                if !more_body {
                    say(out, &received.to_string())?;
                }
            }
            Ok(())
        }
    }));
    let mut client = Raw::connect_narrow(server.address);
    // Nothing is sent between two bodies, so nothing else hides in the buffers.
    const WHOLE: usize = 15 << 20;
    client.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {WHOLE}\r\n\r\nx"));
    let handle = take(&handles);
    let sent = 1 + client.send_what_is_taken(WHOLE - 1);
    assert!(server.stats.bytes_held() < 1 << 20, "{} bytes", server.stats.bytes_held());
    handle.resume();
    client.send(vec![b'x'; WHOLE - sent]);
    assert_eq!(client.response().text(), WHOLE.to_string());
}

#[test]
fn deadlines_stand_still_while_the_application_pauses() {
    let server = serve_with(
        on_events(|event, out| {
            match event {
                Event::HttpRequest { more_body: true, .. } => {
                    out.pause();
                    out.wake_after(LATER * 4 / 3);
                }
                Event::Timer => out.resume(),
                Event::HttpRequest { more_body: false, .. } => say(out, "patient")?,
                _ => {}
            }
            Ok(())
        }),
        |server| server.body_timeout(LATER),
    );
    let mut client = server.raw();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n1");
    client.send("2");
    assert_eq!(client.response().text(), "patient");
}

#[test]
fn a_paused_websocket_loses_no_message() {
    let (give, handles) = mpsc::channel::<Handle>();
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        note.event(&event);
        match event {
            Event::WebSocketConnect => {
                out.accept()?;
                out.pause();
                give.send(out.handle())?;
            }
            Event::WebSocketReceive(message) => drop(out.message(message)?),
            _ => {}
        }
        Ok(())
    }));
    let mut client = server.raw();
    client.open("/");
    let handle = take(&handles);
    for n in 0..10u8 {
        client.message(BINARY, &[n]);
    }
    server.barrier();
    assert_eq!(told.so_far(), ["websocket.connect"]);
    client.expect_nothing_yet();
    handle.resume();
    for n in 0..10u8 {
        assert_eq!(client.frame().payload, [n]);
    }
}

// ---- timers and posts -----------------------------------------------------------------------

#[test]
fn a_timer_comes_once_and_not_early() {
    let (note, told) = notes();
    let begun = Instant::now();
    let server = serve(on_events(move |event, out| {
        match event {
            Event::HttpRequest { .. } => out.wake_after(ms(50)),
            Event::Timer => {
                note.note("timer");
                say(out, "in time")?;
            }
            _ => note.event(&event),
        }
        Ok(())
    }));
    assert_eq!(server.get("/").text(), "in time");
    assert!(begun.elapsed() >= ms(50));
    server.stop().unwrap();
    assert_eq!(told.all(), ["timer"]);
}

#[test]
fn asking_again_moves_the_timer_both_ways() {
    let (note, told) = notes();
    let server = serve(on_events({
        let mut begun = Instant::now();
        move |event, out| {
            match event {
                Event::WebSocketConnect => {
                    out.accept()?;
                    begun = Instant::now();
                    out.wake_after(ms(1));
                    out.wake_after(ms(60));
                }
                Event::WebSocketReceive(_) => {
                    // Far away, and near again.
                    out.wake_after(LIMIT * 10);
                    out.message("far")?;
                    out.wake_after(ms(1));
                }
                Event::Timer => {
                    note.note(if begun.elapsed() < ms(60) { "early" } else { "timer" });
                    out.message("timer")?;
                }
                _ => {}
            }
            Ok(())
        }
    }));
    let mut client = server.raw();
    client.open("/");
    assert_eq!(client.frame().payload, b"timer");
    client.message(TEXT, b"again");
    assert_eq!(client.frame().payload, b"far");
    assert_eq!(client.frame().payload, b"timer");
    drop(client);
    server.stop().unwrap();
    assert_eq!(told.all(), ["timer", "timer"]);
}

#[test]
fn a_timer_of_one_request_does_not_ring_in_the_next() {
    let (give, handles) = mpsc::channel::<Handle>();
    let (note, told) = notes();
    let server = serve(on_events({
        move |event, out| {
            match event {
                Event::HttpRequest { body: b"first", .. } => {
                    out.wake_after(ms(20));
                    say(out, "first")?;
                }
                Event::HttpRequest { .. } => give.send(out.handle())?,
                _ => note.event(&event),
            }
            Ok(())
        }
    }));
    let mut client = server.raw();
    client.send(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nfirst\
         GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    let second = take(&handles);
    assert_eq!(client.response().text(), "first");
    // Longer than the timer of the first request, by the server's own clock.
    let clock = std::thread::spawn(|| std::thread::sleep(ms(60)));
    clock.join().unwrap();
    second.respond(200, &[], b"second").unwrap();
    assert_eq!(client.response().text(), "second");
    drop(client);
    server.stop().unwrap();
    assert_eq!(told.all(), [""; 0]);
}

#[test]
fn what_a_thread_posts_arrives_as_a_custom_event_in_order() {
    #[derive(Debug)]
    struct Answer(String);
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(on_events({
        let mut text = String::new();
        move |event, out| {
            match event {
                Event::HttpRequest { .. } => give.send(out.handle())?,
                Event::Custom(value) => match value.downcast::<Answer>() {
                    Ok(answer) => {
                        text.push_str(&answer.0);
                        say(out, &text)?;
                    }
                    Err(value) => text.push_str(value.downcast_ref::<&str>().unwrap()),
                },
                _ => {}
            }
            Ok(())
        }
    }));
    let mut client = server.raw();
    client.get("/");
    let handle = take(&handles);
    std::thread::spawn(move || {
        handle.post("one, ").unwrap();
        handle.clone().post("two, ").unwrap();
        handle.post(Answer("three".to_string())).unwrap();
    })
    .join()
    .unwrap();
    assert_eq!(client.response().text(), "one, two, three");
}

// ---- half-closed connections ----------------------------------------------------------------

#[test]
fn a_fin_while_the_answer_is_deferred_tells_the_handler_and_is_not_answered() {
    let (give, handles) = mpsc::channel::<Handle>();
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        note.event(&event);
        if let Event::HttpRequest { .. } = event {
            give.send(out.handle())?;
        }
        Ok(())
    }));
    let mut client = server.raw();
    client.get("/");
    let handle = take(&handles);
    client.finish_sending();
    assert_eq!(told.next(), "http.request .");
    assert_eq!(told.next(), "http.disconnect");
    eventually("its handle misses", || !handle.is_alive());
    assert_eq!(handle.respond(200, &[], b"too late"), Err(SendError::Closed));
    client.expect_end();
    server.stop().unwrap();
    assert_eq!(told.all(), [""; 0], "told once");
}

#[test]
fn a_fin_behind_pipelined_requests_is_seen_while_the_first_is_deferred() {
    let (give, handles) = mpsc::channel::<Handle>();
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        note.event(&event);
        if let Event::HttpRequest { .. } = event {
            give.send(out.handle())?;
        }
        Ok(())
    }));
    let mut client = server.raw();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let handle = take(&handles);
    client.finish_sending();
    server.barrier();
    assert_eq!(told.so_far(), ["http.request .", "http.disconnect"]);
    drop(handle);
}

#[test]
fn a_fin_behind_requests_that_are_answered_at_once_costs_no_answer() {
    let server = serve(answering(|out| say(out, "read")));
    let mut client = server.raw();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(50));
    client.finish_sending();
    for _ in 0..50 {
        assert_eq!(client.response().text(), "read");
    }
    client.expect_end();
}

/// Begins an answer, which its handle completes.
fn begun(half_close: bool) -> (Serving, Raw, Handle, Told) {
    let (give, handles) = mpsc::channel::<Handle>();
    let (note, told) = notes();
    let server = serve_with(
        on_events(move |event, out| {
            match event {
                Event::HttpRequest { .. } => {
                    out.send(start())?;
                    out.send(body(b"begun, ", true))?;
                    give.send(out.handle())?;
                }
                _ => note.event(&event),
            }
            Ok(())
        }),
        |server| server.half_close(half_close),
    );
    let mut client = server.raw();
    client.get("/");
    let handle = take(&handles);
    client.finish_sending();
    (server, client, handle, told)
}

#[test]
fn an_answer_that_has_begun_ends_with_a_fin() {
    let (server, mut client, handle, told) = begun(false);
    assert_eq!(told.next(), "http.disconnect");
    eventually("its handle misses", || !handle.is_alive());
    client.head();
    assert_eq!(client.chunk().as_deref(), Some(&b"begun, "[..]));
    client.expect_end();
    eventually("nothing is left", || server.stats.connections() == 0);
}

#[test]
fn an_answer_that_has_begun_is_completed_after_a_fin_that_is_no_disconnect() {
    let (server, mut client, handle, told) = begun(true);
    server.barrier();
    assert!(handle.is_alive());
    handle.send(body(b"done", false)).unwrap();
    assert_eq!(client.response().text(), "begun, done");
    client.expect_end();
    server.stop().unwrap();
    assert_eq!(told.all(), [""; 0]);
}

/// As many clients as there may be leave a stream that says nothing.
#[test]
fn clients_that_leave_a_silent_stream_make_room() {
    let (note, told) = notes();
    let server = serve_with(
        by_scope(move |scope| {
            let (silent, note) = (scope.path() == "/silent", note.clone());
            boxed(move |event, out| {
                match event {
                    Event::HttpRequest { .. } if silent => {
                        out.send(start())?;
                        out.send(body(b"begun", true))?;
                        out.wake_after(LIMIT * 2);
                    }
                    Event::HttpRequest { .. } => return say(out, "there is room"),
                    Event::HttpDisconnect => note.event(&event),
                    _ => {}
                }
                Ok(())
            })
        }),
        |server| server.max_connections(5),
    );
    let mut clients: Vec<_> = (0..5).map(|_| server.raw()).collect();
    for client in &mut clients {
        client.get("/silent");
        assert_eq!(client.head().status, 200);
    }
    assert_eq!(server.get("/").status, 503);
    drop(clients);
    for _ in 0..5 {
        assert_eq!(told.next(), "http.disconnect");
    }
    eventually("they are gone", || server.stats.connections() == 0);
    assert_eq!(server.get("/").text(), "there is room");
}

/// The poll tells of an end that is not read.
#[test]
fn a_client_that_leaves_a_paused_websocket_is_noticed() {
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        match event {
            Event::WebSocketConnect => {
                out.accept()?;
                out.pause();
            }
            _ => note.event(&event),
        }
        Ok(())
    }));
    for _ in 0..20 {
        server.raw().open("/");
        assert_eq!(told.next(), "websocket.disconnect 1006 \"\"");
    }
    let mut client = server.raw();
    client.open("/");
    server.barrier();
    client.reset();
    assert_eq!(told.next(), "websocket.disconnect 1006 \"\"");
    // Behind bytes that nobody reads: after a while.
    let mut client = server.raw();
    client.open("/");
    client.send(frame(true, 1, &[b'x'; 1000]));
    client.send(close_frame(4001, "bye"));
    drop(client);
    assert_eq!(told.next(), "websocket.disconnect 4001 \"bye\"");
    eventually("they are gone", || server.stats.connections() == 0);
}

#[test]
fn a_long_answer_that_is_queued_is_written_after_a_fin() {
    let server = serve(answering(|out| {
        out.respond(200, &[], vec![b'x'; 5 << 20])?;
        Ok(())
    }));
    let mut client = Raw::connect_narrow(server.address);
    client.get("/");
    client.finish_sending();
    server.barrier();
    assert_eq!(client.response().body.len(), 5 << 20);
    client.expect_end();
}

#[test]
fn a_reset_while_the_answer_is_deferred_tells_the_handler() {
    let (give, handles) = mpsc::channel::<Handle>();
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        match event {
            Event::HttpRequest { .. } => give.send(out.handle())?,
            _ => note.event(&event),
        }
        Ok(())
    }));
    let mut client = server.raw();
    client.get("/");
    let handle = take(&handles);
    client.reset();
    assert_eq!(told.next(), "http.disconnect");
    eventually("its handle misses", || !handle.is_alive());
}

// [9112-6.3-4]
#[test]
fn a_fin_in_the_middle_of_an_upload_tells_the_handler() {
    let (note, told) = notes();
    let server = serve(on_events(move |event, _| {
        note.event(&event);
        Ok(())
    }));
    let mut client = server.raw();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf");
    client.finish_sending();
    assert_eq!(told.next(), "http.request half+");
    assert_eq!(told.next(), "http.disconnect");
    client.expect_end();
}
