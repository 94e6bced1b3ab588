//! The end of the server, and several workers.

use std::collections::HashSet;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Instant;

use oneport::{Event, Handle, SendEvent};

use crate::raw::{Frame, Raw, TEXT, close_frame};
use crate::support::{
    LIMIT, Serving, answering, boxed, by_scope, echo, eventually, more_than_is_taken, ms, notes,
    on_events, plain, say, serve, serve_with, take,
};

#[test]
fn an_answer_in_flight_is_finished_before_the_end() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(answering(move |out| {
        give.send(out.handle())?;
        Ok(())
    }));
    let mut client = server.raw();
    client.get("/");
    let handle = take(&handles);
    server.ask_to_stop();
    // Nobody is let in any more: then the end has begun.
    eventually("the door is closed", || TcpStream::connect(server.address).is_err());
    handle.respond(200, &[], b"as promised").unwrap();
    let answer = client.response();
    assert_eq!((answer.text(), answer.closes()), ("as promised", true));
    client.expect_end();
    drop(client);
    server.stop().unwrap();
}

#[test]
fn a_stream_in_flight_is_finished_before_the_end() {
    let server = serve(on_events({
        let mut left = 40;
        move |event, out| {
            if let Event::HttpRequest { .. } = event {
                let headers = &[];
                out.send(SendEvent::HttpResponseStart { status: 200, headers, trailers: false })?;
            }
            if matches!(event, Event::HttpRequest { .. } | Event::Timer) {
                left -= 1;
                let (body, more_body) = (b"piece ", left > 0);
                out.send(SendEvent::HttpResponseBody { body, more_body })?;
                out.wake_after(ms(2));
            }
            Ok(())
        }
    }));
    let mut client = server.raw();
    client.get("/");
    let mut answer = client.head();
    server.ask_to_stop();
    client.body_of(&mut answer);
    assert_eq!(answer.text(), "piece ".repeat(40));
    client.expect_end();
    drop(client);
    server.stop().unwrap();
}

#[test]
fn an_upload_in_flight_is_finished_before_the_end() {
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        note.event(&event);
        match event {
            Event::HttpRequest { more_body: false, .. } => say(out, "taken"),
            _ => Ok(()),
        }
    }));
    let mut client = server.raw();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\none");
    assert_eq!(told.next(), "http.request one+");
    server.ask_to_stop();
    eventually("the door is closed", || TcpStream::connect(server.address).is_err());
    client.send("two");
    let answer = client.response();
    assert_eq!((answer.text(), answer.closes()), ("taken", true));
    drop(client);
    server.stop().unwrap();
}

#[test]
fn idle_and_half_said_connections_are_closed_after_the_grace() {
    let mut server =
        serve_with(plain(), |server| server.drain_timeout(LIMIT * 2).shutdown_grace(ms(100)));
    let mut idle = server.raw();
    idle.get("/");
    assert_eq!(idle.response().status, 200);
    let mut half = server.raw();
    half.send("GET / HTTP/1.1\r\nHost: ");
    let mut silent = server.raw();
    server.barrier();

    let begun = Instant::now();
    server.ask_to_stop();
    for client in [&mut idle, &mut half, &mut silent] {
        client.expect_clean_end();
    }
    assert!(begun.elapsed() >= ms(100), "{:?}", begun.elapsed());
    server.outcome().unwrap();
    assert!(TcpStream::connect(server.address).is_err(), "nobody listens any more");
}

#[test]
fn requests_that_cross_the_end_are_answered_and_told_that_it_was_the_last_answer() {
    let mut server =
        serve_with(plain(), |server| server.drain_timeout(LIMIT * 2).shutdown_grace(LIMIT));
    let mut clients: Vec<_> = (0..200).map(|_| server.raw()).collect();
    for client in &mut clients {
        client.get("/");
        assert!(!client.response().closes());
    }
    server.ask_to_stop();
    eventually("the door is closed", || TcpStream::connect(server.address).is_err());
    for client in &mut clients {
        client.get("/");
        let answer = client.response();
        assert_eq!((answer.status, answer.closes()), (200, true));
        client.expect_clean_end();
    }
    drop(clients);
    // Nobody is left: the grace is not waited for.
    server.outcome().unwrap();
}

/// A stream may end itself; one that does not is cut at last.
#[test]
fn streams_are_told_and_may_end_themselves() {
    for ends in [true, false] {
        let (note, told) = notes();
        let drain = if ends { LIMIT * 2 } else { ms(300) };
        let mut server = serve_with(
            on_events(move |event, out| {
                let piece = |body, more_body| SendEvent::HttpResponseBody { body, more_body };
                match event {
                    Event::HttpRequest { .. } => {
                        let headers = &[];
                        out.send(SendEvent::HttpResponseStart {
                            status: 200,
                            headers,
                            trailers: false,
                        })?;
                        out.send(piece(b"begun", true))?;
                        out.wake_after(LIMIT * 2);
                    }
                    Event::Shutdown if ends => drop(out.send(piece(b", and ended", false))?),
                    _ => note.event(&event),
                }
                Ok(())
            }),
            |server| server.drain_timeout(drain),
        );
        let mut client = server.raw();
        client.get("/");
        let mut answer = client.head();
        server.ask_to_stop();
        if ends {
            client.body_of(&mut answer);
            assert_eq!(answer.text(), "begun, and ended");
            client.expect_end();
        } else {
            assert_eq!(client.rest(), b"5\r\nbegun\r\n");
        }
        server.outcome().unwrap();
        let (told, log) = (told.all(), server.log().join("\n"));
        if ends {
            assert!(told.is_empty() && !log.contains("cut HTTP"), "{told:?}, {log}");
        } else {
            assert_eq!(told, ["oneport.shutdown", "http.disconnect"]);
            assert!(log.contains("cut HTTP responses: 1, WebSockets: 0"), "{log}");
        }
    }
}

#[test]
fn a_websocket_is_told_in_time_to_say_goodbye() {
    let server = serve(on_events(|event, out| match event {
        Event::Shutdown => {
            out.message("goodbye")?;
            Ok(())
        }
        event => echo(event, out),
    }));
    let mut client = server.raw();
    client.open("/");
    server.ask_to_stop();
    assert_eq!(client.frame(), Frame::whole(TEXT, "goodbye"));
    assert_eq!(client.frame().close_code(), Some(1001));
    client.send(close_frame(1001, ""));
    client.expect_end();
    server.stop().unwrap();
}

/// More connections than are told in one round.
#[test]
fn a_crowd_of_websockets_is_told_and_closed() {
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| match event {
        Event::Shutdown | Event::WebSocketDisconnect { .. } => {
            note.event(&event);
            Ok(())
        }
        event => echo(event, out),
    }));
    let mut clients: Vec<_> = (0..300).map(|_| server.raw()).collect();
    for client in &mut clients {
        client.open("/");
    }
    server.ask_to_stop();
    for client in &mut clients {
        assert_eq!(client.frame().close_code(), Some(1001));
        client.send(close_frame(1001, ""));
        client.expect_end();
    }
    server.stop().unwrap();
    let told = told.all();
    assert_eq!(told.iter().filter(|told| *told == "oneport.shutdown").count(), 300);
    assert_eq!(told.len(), 600);
}

/// A server whose only worker is busy until the test lets it go; a connection that it knows, and
/// the one that keeps it busy.
fn blocked() -> (Serving, Raw, Raw, mpsc::Sender<()>) {
    let (hold, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let (note, told) = notes();
    let server = serve(by_scope(move |scope| {
        let blocks = scope.path() == "/block";
        let (held, note) = (Arc::clone(&held), note.clone());
        boxed(move |event, out| match event {
            Event::HttpRequest { .. } => {
                if blocks {
                    note.note("blocked");
                    let _ = held.lock().unwrap().recv();
                }
                say(out, "answered")
            }
            _ => Ok(()),
        })
    }));
    let mut known = server.raw();
    known.get("/");
    assert_eq!(known.response().text(), "answered");
    let mut busy = server.raw();
    busy.get("/block");
    assert_eq!(told.next(), "blocked");
    (server, known, busy, hold)
}

#[test]
fn a_request_that_had_arrived_before_the_stop_is_answered() {
    let (server, mut known, mut busy, hold) = blocked();
    known.get("/");
    server.ask_to_stop();
    hold.send(()).unwrap();
    assert_eq!(busy.response().text(), "answered");
    assert_eq!(known.response().text(), "answered");
    drop((known, busy));
    server.stop().unwrap();
}

#[test]
fn a_request_that_waited_at_the_door_before_the_stop_is_answered() {
    let (server, known, mut busy, hold) = blocked();
    let mut waiting = server.raw();
    waiting.get("/");
    server.ask_to_stop();
    hold.send(()).unwrap();
    assert_eq!(busy.response().text(), "answered");
    assert_eq!(waiting.response().text(), "answered");
    drop((known, waiting, busy));
    server.stop().unwrap();
}

#[test]
fn a_crowd_at_the_door_is_answered_and_told_that_it_was_the_last_answer() {
    let (server, known, mut busy, hold) = blocked();
    // More than are let in at once, and not more than the system lets wait.
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
    let most = most.ok().and_then(|most| most.trim().parse().ok()).unwrap_or(128);
    let mut crowd: Vec<_> = (0..200.min(most * 3 / 4)).map(|_| server.raw()).collect();
    for client in &mut crowd {
        client.get("/");
    }
    server.ask_to_stop();
    hold.send(()).unwrap();
    assert_eq!(busy.response().text(), "answered");
    for client in &mut crowd {
        let answer = client.response();
        assert_eq!((answer.text(), answer.closes()), ("answered", true));
        client.expect_end();
    }
    drop((known, busy));
    server.stop().unwrap();
}

#[test]
fn websockets_are_closed_with_1001_and_their_handlers_are_told() {
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        match event {
            Event::WebSocketDisconnect { .. } => note.event(&event),
            event => echo(event, out)?,
        }
        Ok(())
    }));
    let mut client = server.raw();
    client.open("/");
    server.ask_to_stop();
    let close = client.frame();
    assert_eq!(close.close_code(), Some(1001));
    client.send(close_frame(1001, ""));
    client.expect_end();
    server.stop().unwrap();
    assert_eq!(told.all(), ["websocket.disconnect 1001 \"\""]);
}

#[test]
fn the_code_of_the_shutdown_can_be_chosen() {
    let server = serve_with(plain(), |server| server.shutdown_code(1012));
    let mut client = server.raw();
    client.open("/");
    server.ask_to_stop();
    assert_eq!(client.frame().close_code(), Some(1012));
    drop(client);
    server.stop().unwrap();
}

#[test]
fn a_websocket_that_answers_no_close_is_ended_in_time() {
    let (note, told) = notes();
    let mut server = serve_with(
        on_events(move |event, out| match event {
            Event::WebSocketDisconnect { .. } => {
                note.event(&event);
                Ok(())
            }
            event => echo(event, out),
        }),
        |server| server.close_timeout(ms(100)).drain_timeout(LIMIT * 2),
    );
    let mut client = server.raw();
    client.open("/");
    server.ask_to_stop();
    assert_eq!(client.frame().close_code(), Some(1001));
    server.outcome().unwrap();
    client.expect_end();
    assert_eq!(told.all(), ["websocket.disconnect 1001 \"\""]);
}

#[test]
fn a_handshake_that_waits_for_its_answer_is_refused() {
    let (note, told) = notes();
    let (give, handles) = mpsc::channel::<Handle>();
    let mut server = serve(on_events(move |event, out| {
        match event {
            Event::WebSocketConnect => give.send(out.handle())?,
            _ => note.event(&event),
        }
        Ok(())
    }));
    let mut client = server.raw();
    client.send(crate::raw::handshake("/", ""));
    let handle = take(&handles);
    server.ask_to_stop();
    assert_eq!(client.response().status, 503);
    drop(client);
    server.outcome().unwrap();
    assert_eq!(told.all(), ["oneport.shutdown", "websocket.disconnect 1006 \"\""]);
    assert!(!handle.is_alive());
}

#[test]
fn what_never_answers_is_ended_by_the_drain_timeout() {
    let (note, told) = notes();
    let (give, handles) = mpsc::channel::<Handle>();
    let mut server = serve_with(
        on_events(move |event, out| {
            match event {
                Event::HttpRequest { .. } => give.send(out.handle())?,
                _ => note.event(&event),
            }
            Ok(())
        }),
        |server| server.drain_timeout(ms(200)),
    );
    let mut client = server.raw();
    client.get("/");
    let handle = take(&handles);
    let begun = Instant::now();
    server.ask_to_stop();
    server.outcome().unwrap();
    let took = begun.elapsed();
    assert!(took >= ms(200), "{took:?}");
    assert_eq!(told.all(), ["oneport.shutdown", "http.disconnect"]);
    let log = server.log().join("\n");
    assert!(log.contains("cut HTTP responses: 1, WebSockets: 0"), "{log}");
    assert!(!handle.is_alive());
    client.expect_end();
}

#[test]
fn a_slow_reader_does_not_keep_the_server_alive() {
    let (note, told) = notes();
    let mut server = serve_with(
        on_events(move |event, out| {
            let headers = &[];
            match event {
                Event::HttpRequest { .. } => {
                    let start =
                        SendEvent::HttpResponseStart { status: 200, headers, trailers: false };
                    out.send(start)?;
                    // In a later callback each part is offered to the system at once.
                    out.wake_after(ms(1));
                }
                Event::Timer => {
                    more_than_is_taken(out)?;
                    // Far more than the system finds room for later.
                    let body = &vec![b'y'; 16 << 20];
                    out.send(SendEvent::HttpResponseBody { body, more_body: false })?;
                    note.note("answered");
                }
                _ => {}
            }
            Ok(())
        }),
        |server| server.drain_timeout(ms(200)),
    );
    let mut client = Raw::connect_narrow(server.address);
    client.get("/");
    assert_eq!(told.next(), "answered");
    server.ask_to_stop();
    server.outcome().unwrap();
    assert!(!client.rest().ends_with(b"\r\n0\r\n\r\n"), "it was not taken");
}

#[test]
fn a_server_that_was_stopped_before_it_ran_ends_at_once() {
    let server = serve_with(plain(), |server| server.workers(2));
    server.stop().unwrap();

    let bound = oneport::Server::new(plain()).signals(false).bind("127.0.0.1:0").unwrap();
    bound.stopper().stop();
    let (ended, outcome) = mpsc::channel();
    std::thread::spawn(move || drop(ended.send(bound.run())));
    take(&outcome).unwrap();
}

#[test]
fn a_handle_of_a_server_that_has_ended_is_harmless() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve_with(
        answering(move |out| {
            give.send(out.handle())?;
            Ok(())
        }),
        |server| server.drain_timeout(ms(50)),
    );
    let groups = server.groups.clone();
    let mut client = server.raw();
    client.get("/");
    let handle = take(&handles);
    server.stop().unwrap();
    assert!(handle.respond(200, &[], b"").is_err());
    handle.resume();
    drop(handle);
    let report = groups.publish("nobody", "news");
    assert!(report.is_complete());
    assert_eq!((report.queued(), report.skipped()), (0, 0));
}

#[test]
fn a_port_that_is_taken_is_an_error_that_says_so() {
    let server = serve(plain());
    let taken = oneport::Server::new(plain()).bind(&server.address.to_string());
    let text = taken.unwrap_err().to_string();
    assert!(text.contains(&server.address.to_string()), "{text}");
    assert!(text.contains("another program has this port"), "{text}");
    assert_eq!(server.get("/").status, 200);
}

// ---- several workers ------------------------------------------------------------------------

#[test]
fn several_workers_serve() {
    let server = serve_with(
        answering(|out| {
            let thread = std::thread::current();
            say(out, thread.name().unwrap_or("?"))
        }),
        |server| server.workers(3),
    );
    let mut clients: Vec<_> = (0..100).map(|_| server.raw()).collect();
    let mut threads = HashSet::new();
    for client in &mut clients {
        client.get("/");
        let thread = client.response().text().to_string();
        threads.insert(thread.clone());
        // A connection stays where it is.
        client.get("/");
        assert_eq!(client.response().text(), thread);
    }
    assert_eq!(threads.len(), 3, "{threads:?}");
    assert_eq!(server.stats.connections(), 100);
}

#[test]
fn a_stop_reaches_every_worker() {
    let mut server = serve_with(plain(), |server| server.workers(3).drain_timeout(LIMIT * 2));
    let mut clients: Vec<_> = (0..50).map(|_| server.raw()).collect();
    for client in &mut clients {
        client.get("/");
        assert_eq!(client.response().status, 200);
    }
    server.ask_to_stop();
    for client in &mut clients {
        client.expect_end();
    }
    server.outcome().unwrap();
}

#[test]
fn a_panic_on_one_worker_is_no_concern_of_the_others() {
    let server = serve_with(
        by_scope(|scope| {
            let panics = scope.path() == "/panic";
            boxed(move |event, out| match event {
                Event::HttpRequest { .. } if panics => std::panic::panic_any(crate::support::ASKED),
                Event::HttpRequest { .. } => say(out, "fine"),
                _ => Ok(()),
            })
        }),
        |server| server.workers(3),
    );
    for _ in 0..30 {
        assert_eq!(server.get("/panic").status, 500);
    }
    for _ in 0..30 {
        assert_eq!(server.get("/").text(), "fine");
    }
}

#[test]
fn many_late_answers_from_many_threads_find_their_requests() {
    let (give, handles) = mpsc::channel::<(String, Handle)>();
    let handles = Arc::new(Mutex::new(handles));
    let server = serve_with(
        by_scope(move |scope| {
            let (path, give) = (scope.path().to_string(), give.clone());
            boxed(move |event, out| match event {
                Event::HttpRequest { .. } => Ok(give.send((path.clone(), out.handle()))?),
                _ => Ok(()),
            })
        }),
        |server| server.workers(2),
    );
    let answering: Vec<_> = (0..4)
        .map(|_| {
            let handles = Arc::clone(&handles);
            std::thread::spawn(move || {
                loop {
                    let next = handles.lock().unwrap().recv();
                    let Ok((path, handle)) = next else { return };
                    handle.respond(200, &[], path.as_bytes()).unwrap();
                }
            })
        })
        .collect();
    let address = server.address;
    let clients: Vec<_> = (0..8)
        .map(|client| {
            std::thread::spawn(move || {
                let mut raw = Raw::connect(address);
                // Three at a time.
                for n in 0..100 {
                    let paths = [0, 1, 2].map(|which| format!("/{client}/{n}/{which}"));
                    paths.iter().for_each(|path| raw.get(path));
                    for path in paths {
                        assert_eq!(raw.response().text(), path);
                    }
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(server.stats.connections_ever(), 8);
    server.stop().unwrap();
    for thread in answering {
        thread.join().unwrap();
    }
}

#[test]
fn connections_that_are_reset_at_once_harm_nobody() {
    let server = serve_with(plain(), |server| server.workers(2));
    for n in 0..200 {
        let mut client = server.raw();
        match n % 4 {
            0 => {}
            1 => client.get("/"),
            2 => client.send("GET / HT"),
            _ => client.send(crate::raw::handshake("/", "")),
        }
        client.reset();
    }
    assert_eq!(server.get("/fine").text(), "/fine");
    eventually("they are gone", || server.stats.connections() == 0);
}
