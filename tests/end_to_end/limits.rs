//! Deadlines and sizes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use oneport::{Config, Event, SendEvent};

use crate::raw::Raw;
use crate::support::{
    LATER, LIMIT, boxed, by_scope, eventually, more_than_is_taken, ms, notes, on_events, plain,
    say, serve, serve_with, ws,
};

/// Checks that `ends` took at least as long as the deadline says, and not for ever as with any
/// other. What begins the deadline must be part of it.
fn within(deadline: Duration, ends: impl FnOnce()) {
    let begun = Instant::now();
    ends();
    let took = begun.elapsed();
    assert!(took >= deadline, "too early: {took:?}");
    assert!(took < LIMIT, "too late: {took:?}");
}

// ---- deadlines ------------------------------------------------------------------------------

#[test]
fn a_peer_that_never_says_anything_is_closed_without_a_word() {
    let server = serve_with(plain(), |server| server.head_timeout(ms(150)));
    within(ms(150), || server.raw().expect_end());
}

#[test]
fn half_a_head_is_answered_with_408() {
    let server = serve_with(plain(), |server| server.head_timeout(LATER));
    within(LATER, || {
        let mut client = server.raw();
        client.send("GET / HTTP/1.1\r\nHost: h\r\n");
        let answer = client.response();
        assert_eq!((answer.status, answer.closes()), (408, true));
        client.expect_end();
    });
}

#[test]
fn a_head_that_drips_does_not_move_its_deadline() {
    let server = serve_with(plain(), |server| server.head_timeout(LATER));
    within(LATER, || {
        let mut client = server.raw();
        let begun = Instant::now();
        client.send("GET / HTTP/1.1\r\nHost: h\r\nX: ");
        while begun.elapsed() < LATER * 4 / 5 && client.try_send("x").is_ok() {
            std::thread::sleep(ms(5));
        }
        assert_eq!(client.response().status, 408);
    });
}

#[test]
fn the_deadline_of_a_later_head_begins_with_its_first_byte() {
    let server = serve_with(plain(), |server| server.head_timeout(LATER));
    let mut client = server.raw();
    client.get("/1");
    assert_eq!(client.response().text(), "/1");
    // The connection may rest longer than a head may take.
    std::thread::sleep(LATER + ms(100));
    client.get("/2");
    assert_eq!(client.response().text(), "/2");
    within(LATER, || {
        client.send("G");
        assert_eq!(client.response().status, 408);
        client.expect_end();
    });
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let server = serve_with(plain(), |server| server.idle_timeout(LATER));
    let mut client = server.raw();
    client.get("/1");
    assert_eq!(client.response().text(), "/1");
    within(LATER, || {
        client.get("/2");
        assert_eq!(client.response().text(), "/2");
        client.expect_end();
    });
    eventually("the cause is counted", || server.stats.closed().contains_key("idle-timeout"));
}

// [9112-6.3-4]
#[test]
fn a_body_that_stops_is_answered_with_408_and_the_handler_is_told() {
    let (note, told) = notes();
    let server = serve_with(
        on_events(move |event, _| {
            note.event(&event);
            Ok(())
        }),
        |server| server.body_timeout(ms(150)),
    );
    let mut client = server.raw();
    within(ms(150), || {
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n123");
        let answer = client.response();
        assert_eq!((answer.status, answer.closes()), (408, true));
        client.expect_end();
    });
    assert_eq!(told.next(), "http.request 123+");
    assert_eq!(told.next(), "http.disconnect");
}

#[test]
fn a_body_that_goes_on_slowly_is_taken() {
    let server = serve_with(
        on_events(|event, out| match event {
            Event::HttpRequest { more_body: false, .. } => say(out, "taken"),
            _ => Ok(()),
        }),
        |server| server.body_timeout(LATER),
    );
    let mut client = server.raw();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n");
    // Longer than the deadline, all in all.
    for _ in 0..10 {
        std::thread::sleep(LATER / 8);
        client.send("x");
    }
    assert_eq!(client.response().text(), "taken");
}

// [9110-10.1.1-2]
#[test]
fn a_100_that_no_body_follows_is_followed_by_408() {
    let server = serve_with(plain(), |server| server.body_timeout(ms(150)));
    let mut client = server.raw();
    within(ms(150), || {
        client.send(
            "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        );
        assert_eq!(client.head().status, 100);
        assert_eq!(client.response().status, 408);
    });
}

#[test]
fn no_deadline_runs_while_the_application_thinks() {
    let server = serve_with(
        on_events(|event, out| {
            match event {
                Event::HttpRequest { .. } => out.wake_after(LATER * 4 / 3),
                Event::Timer => say(out, "thought")?,
                _ => {}
            }
            Ok(())
        }),
        |server| server.head_timeout(LATER).idle_timeout(LATER).body_timeout(LATER),
    );
    assert_eq!(server.get("/").text(), "thought");
}

#[test]
fn a_peer_that_takes_nothing_is_cut_off() {
    let (note, told) = notes();
    let server = serve_with(
        on_events(move |event, out| {
            match event {
                Event::HttpRequest { .. } => {
                    let headers = &[];
                    out.send(SendEvent::HttpResponseStart {
                        status: 200,
                        headers,
                        trailers: false,
                    })?;
                    more_than_is_taken(out)?;
                }
                Event::Drain => more_than_is_taken(out)?,
                _ => note.event(&event),
            }
            Ok(())
        }),
        |server| server.write_timeout(ms(200)),
    );
    let mut client = Raw::connect_narrow(server.address);
    within(ms(200), || {
        client.get("/");
        assert_eq!(told.next(), "http.disconnect");
    });
    eventually("the cause is counted", || server.stats.closed().contains_key("write-timeout"));
}

#[test]
fn a_deadline_may_be_as_long_as_there_are_durations() {
    // "Never" in the words of a configuration.
    let server = serve_with(
        on_events(|event, out| match event {
            Event::HttpRequest { more_body: false, .. } => {
                out.wake_after(Duration::MAX);
                say(out, "never")
            }
            event => crate::support::echo(event, out),
        }),
        |server| {
            server
                .head_timeout(Duration::MAX)
                .idle_timeout(Duration::MAX)
                .body_timeout(Duration::MAX)
                .write_timeout(Duration::MAX)
                .ping_interval(Duration::MAX)
                .ping_timeout(Duration::MAX)
                .close_timeout(Duration::MAX)
        },
    );
    let mut client = server.raw();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n1");
    server.barrier();
    client.send("2");
    assert_eq!(client.response().text(), "never");
    let mut socket = ws(&server, "/");
    socket.send("never".into()).unwrap();
    assert_eq!(socket.read().unwrap(), "never".into());
}

#[test]
fn the_drain_may_last_as_long_as_there_are_durations() {
    let server = serve_with(plain(), |server| server.drain_timeout(Duration::MAX));
    assert_eq!(server.get("/").status, 200);
    server.stop().unwrap();
}

#[test]
fn bytes_that_came_in_time_count_however_late_the_worker_looks() {
    let (hold, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let server = serve_with(
        by_scope(move |scope| {
            let blocks = scope.path() == "/block";
            let held = Arc::clone(&held);
            boxed(move |event, out| match event {
                Event::HttpRequest { .. } => {
                    if blocks {
                        let _ = held.lock().unwrap().recv();
                    }
                    say(out, "answered")
                }
                _ => Ok(()),
            })
        }),
        |server| server.idle_timeout(LATER),
    );
    let mut busy = server.raw();
    let mut known = server.raw();
    known.get("/");
    assert_eq!(known.response().text(), "answered");
    busy.get("/block");
    known.get("/");
    // Longer than the deadline of the connection that sent its request in time.
    std::thread::sleep(LATER + ms(200));
    hold.send(()).unwrap();
    assert_eq!(busy.response().text(), "answered");
    assert_eq!(known.response().text(), "answered");
}

// ---- sizes ----------------------------------------------------------------------------------

// [9112-3-2] [9110-5.4-1]
#[test]
fn a_head_beyond_its_limit_is_431_and_a_target_beyond_it_414() {
    let server = serve_with(plain(), |server| server.max_head(1000));
    let long = "x".repeat(1000);
    let rows = [
        (format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", &long[..900]), 200),
        (format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", &long[..900]), 200),
        (format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"), 414),
        // The target alone, and never an end of it.
        (format!("GET /{long}"), 414),
        (format!("GET / HTTP/1.1\r\nHost: h\r\nX: {long}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: h\r\nX: {long}"), 431),
    ];
    for (request, status) in rows {
        let mut client = server.raw();
        client.send(&request);
        let answer = client.response();
        assert_eq!(answer.status, status, "{request}");
        assert_eq!(answer.closes(), status != 200);
    }
}

#[test]
fn too_many_fields_are_431() {
    let config = |max_fields| {
        let mut config = Config::default();
        config.max_fields = max_fields;
        config
    };
    let server = serve_with(plain(), |server| server.config(config(10)));
    for (fields, status) in [(9, 200), (10, 431)] {
        let mut client = server.raw();
        let fields = "X: y\r\n".repeat(fields);
        client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
        assert_eq!(client.response().status, status);
    }
}

#[test]
fn a_body_beyond_its_limit_is_413_before_the_application_is_asked() {
    let (note, told) = notes();
    let server = serve_with(
        on_events(move |event, out| {
            note.event(&event);
            match event {
                Event::HttpRequest { more_body: false, .. } => say(out, "taken"),
                _ => Ok(()),
            }
        }),
        |server| server.max_body(10),
    );
    let mut client = server.raw();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789");
    assert_eq!(client.response().text(), "taken");
    assert_eq!(told.next(), "http.request 0123456789.");

    for expect in ["", "Expect: 100-continue\r\n"] {
        for length in ["11", "99999999999999999999999999"] {
            let mut client = server.raw();
            client.send(format!(
                "POST / HTTP/1.1\r\nHost: h\r\n{expect}Content-Length: {length}\r\n\r\n"
            ));
            let answer = client.response();
            assert_eq!((answer.status, answer.closes()), (413, true));
            client.expect_end();
        }
    }
    assert_eq!(told.so_far(), [""; 0]);
}

#[test]
fn chunks_beyond_the_limit_of_a_body_are_413() {
    let (note, told) = notes();
    let server = serve_with(
        on_events(move |event, _| {
            note.event(&event);
            Ok(())
        }),
        |server| server.max_body(10),
    );
    let mut client = server.raw();
    client
        .send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n");
    assert_eq!(told.next(), "http.request 12345678+");
    client.send("3\r\n90x\r\n0\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.status, answer.closes()), (413, true));
    client.expect_end();
    assert_eq!(told.next(), "http.disconnect");
}

// ---- connections ----------------------------------------------------------------------------

#[test]
fn past_max_connections_only_the_newcomer_is_refused() {
    let called = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&called);
    let server = serve_with(
        on_events(move |event, out| match event {
            Event::HttpRequest { .. } => {
                count.fetch_add(1, Ordering::Relaxed);
                say(out, "served")
            }
            _ => crate::support::echo(event, out),
        }),
        |server| server.max_connections(2),
    );
    let mut first = server.raw();
    first.get("/");
    assert_eq!(first.response().text(), "served");
    let mut second = ws(&server, "/");
    second.send("still here".into()).unwrap();
    assert_eq!(second.read().unwrap(), "still here".into());

    let mut third = server.raw();
    let refused = third.response();
    assert_eq!((refused.status, refused.closes()), (503, true), "at once, before its request");
    third.expect_end();

    first.get("/");
    assert_eq!(first.response().text(), "served");
    second.send("and here".into()).unwrap();
    assert_eq!(second.read().unwrap(), "and here".into());
    assert_eq!(called.load(Ordering::Relaxed), 2);

    drop((third, first));
    eventually("there is room again", || server.get("/").status == 200);
}

#[test]
fn a_refused_newcomer_takes_no_place() {
    // Whoever is refused is waited for up to 2 s. A machine that is too slow for less gets more
    // than one chance.
    assert!((0..5).any(|_| room_is_had_at_once()), "one of two is open, and none is let in");
}

/// Of two places one becomes free while somebody who was refused is still there.
fn room_is_had_at_once() -> bool {
    let server = serve_with(plain(), |server| server.max_connections(2));
    let mut first = server.raw();
    let mut second = server.raw();
    for client in [&mut first, &mut second] {
        client.get("/");
        assert_eq!(client.response().status, 200);
    }
    // It is told so and stays: it neither reads on nor closes.
    let mut refused = server.raw();
    assert_eq!(refused.response().status, 503);
    drop(first);
    let begun = Instant::now();
    let mut is_let_in = false;
    while !is_let_in && begun.elapsed() < ms(1500) {
        is_let_in = server.get("/").status == 200;
    }
    drop(refused);
    is_let_in && begun.elapsed() < ms(1500)
}

#[test]
fn many_connections_come_and_go_and_all_are_counted() {
    let server = serve(plain());
    for _ in 0..10 {
        let mut clients: Vec<_> = (0..20).map(|_| server.raw()).collect();
        for client in &mut clients {
            client.get("/");
        }
        for client in &mut clients {
            assert_eq!(client.response().status, 200);
        }
        assert_eq!(server.stats.connections(), 20);
        drop(clients);
        eventually("they are gone", || server.stats.connections() == 0);
    }
    assert_eq!(server.stats.connections_ever(), 200);
    assert_eq!(server.stats.closed().values().sum::<u64>(), 200);
    assert_eq!(server.stats.bytes_held(), 0);
}

#[test]
fn a_connection_gives_its_buffers_back_when_it_rests() {
    let server = serve(on_events({
        let mut received = 0;
        move |event, out| {
            match event {
                Event::HttpRequest { body, more_body } => {
                    received += body.len();
                    if !more_body {
                        out.respond(200, &[], vec![b'x'; received])?;
                    }
                }
                event => crate::support::echo(event, out)?,
            }
            Ok(())
        }
    }));
    let mut client = server.raw();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n");
    client.send(vec![b'x'; 2_000_000]);
    assert_eq!(client.response().body.len(), 2_000_000);
    let mut socket = ws(&server, "/");
    for len in [10, 2_000_000] {
        socket.send(tungstenite::Message::binary(vec![0; len])).unwrap();
        assert_eq!(socket.read().unwrap().len(), len);
    }
    eventually("nothing is held", || server.stats.bytes_held() == 0);
    assert_eq!(server.stats.connections(), 2);
}
