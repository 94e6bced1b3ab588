//! The start and the end of the application.

use std::sync::mpsc;

use oneport::{App, Event, Handle, Outbox, Scope, SendEvent, ServerError};

use crate::raw::TEXT;
use crate::support::{
    ASKED, Notes, Outcome, boxed, by_scope, ms, notes, say, serve, serve_with, start, take, ws,
};

/// What the lifespan sets.
struct Greeting(&'static str);

/// An application with this lifespan; its requests are answered with the greeting, its
/// WebSockets send it. Scopes and ends are noted.
fn with_lifespan<F>(note: Notes, lifespan: F) -> impl App
where
    F: FnMut(Event<'_>, &mut Outbox<'_>) -> Outcome + Clone + Send + Sync + 'static,
{
    by_scope(move |scope| {
        let note = note.clone();
        note.note(scope.kind());
        let greeting = scope.state().and_then(|state| state.get::<Greeting>());
        let greeting = greeting.map_or("none", |greeting| greeting.0);
        if let Scope::Lifespan(_) = scope {
            let mut lifespan = lifespan.clone();
            return boxed(move |event, out| {
                note.event(&event);
                lifespan(event, out)
            });
        }
        boxed(move |event, out| {
            match event {
                Event::HttpRequest { more_body: false, .. } => say(out, greeting)?,
                Event::WebSocketConnect => {
                    out.accept()?;
                    out.message(greeting)?;
                }
                Event::WebSocketDisconnect { .. } => note.event(&event),
                _ => {}
            }
            Ok(())
        })
    })
}

/// Starts with a greeting, ends well.
fn well(event: Event<'_>, out: &mut Outbox<'_>) -> Outcome {
    match event {
        Event::LifespanStartup => {
            out.insert_state(Greeting("hello"))?;
            out.send(SendEvent::LifespanStartupComplete)?;
        }
        Event::LifespanShutdown => drop(out.send(SendEvent::LifespanShutdownComplete)?),
        _ => {}
    }
    Ok(())
}

#[test]
fn the_state_that_startup_set_is_in_every_scope_on_every_worker() {
    let (note, told) = notes();
    let server = serve_with(with_lifespan(note, well), |server| server.workers(3));
    for _ in 0..20 {
        assert_eq!(server.get("/").text(), "hello");
    }
    let mut socket = ws(&server, "/");
    assert_eq!(socket.read().unwrap(), "hello".into());
    drop(socket);
    server.stop().unwrap();
    let told = told.all();
    let of_lifespan: Vec<_> = told.iter().filter(|note| note.starts_with("lifespan")).collect();
    assert_eq!(
        of_lifespan,
        ["lifespan", "lifespan.startup", "lifespan.shutdown"],
        "one per server"
    );
    assert_eq!(told[1], "lifespan.startup", "before any other scope");
    assert_eq!(told[told.len() - 1], "lifespan.shutdown");
}

#[test]
fn a_failed_startup_ends_the_server_with_its_message() {
    let (note, told) = notes();
    let mut server = start(
        with_lifespan(note, |event, out| {
            if let Event::LifespanStartup = event {
                out.send(SendEvent::LifespanStartupFailed { message: "no database" })?;
            }
            Ok(())
        }),
        |server| server,
    );
    match server.outcome() {
        Err(ServerError::Startup(message)) => assert_eq!(message, "no database"),
        other => panic!("{other:?}"),
    }
    assert!(!server.is_ready());
    assert_eq!(told.all(), ["lifespan", "lifespan.startup"], "no shutdown after it");
    assert!(std::net::TcpStream::connect(server.address).is_err());
}

#[test]
fn a_lifespan_that_raises_is_served_without() {
    fn raise(_: Event<'_>, _: &mut Outbox<'_>) -> Outcome {
        Err("unknown scope type".into())
    }
    fn panic(_: Event<'_>, _: &mut Outbox<'_>) -> Outcome {
        std::panic::panic_any(ASKED)
    }
    for raises in [raise, panic] {
        let (note, told) = notes();
        let server = serve(with_lifespan(note, raises));
        assert_eq!(server.get("/").text(), "none");
        server.stop().unwrap();
        assert_eq!(told.all(), ["lifespan", "lifespan.startup", "http"], "no shutdown either");
    }
}

#[test]
fn an_application_that_panics_when_called_with_the_lifespan_is_served_without() {
    let server = serve(by_scope(|scope| {
        if let Scope::Lifespan(_) = scope {
            std::panic::panic_any(ASKED);
        }
        boxed(|event, out| match event {
            Event::HttpRequest { .. } => say(out, "served"),
            _ => Ok(()),
        })
    }));
    assert_eq!(server.get("/").text(), "served");
}

#[test]
fn an_error_behind_startup_complete_does_not_undo_the_start() {
    let (note, told) = notes();
    let server = serve(with_lifespan(note, |event, out| {
        well(event, out)?;
        Err("too late".into())
    }));
    assert_eq!(server.get("/").text(), "hello", "with its state");
    server.stop().unwrap();
    assert_eq!(told.all(), ["lifespan", "lifespan.startup", "http"], "its life is over");
}

#[test]
fn a_lifespan_that_raises_later_does_not_end_the_server() {
    let (note, told) = notes();
    let server = serve(with_lifespan(note, |event, out| {
        if let Event::Timer = event {
            return Err("later".into());
        }
        out.wake_after(ms(1));
        well(event, out)
    }));
    told.wait_for("oneport.timer");
    assert_eq!(server.get("/").text(), "hello");
    let log = server.log();
    assert!(log.iter().any(|line| line.contains("ERROR") && line.contains("later")), "{log:?}");
    server.stop().unwrap();
    assert_eq!(told.all(), ["http"]);
}

#[test]
fn an_application_without_a_lifespan_is_served() {
    let server = serve(by_scope(|scope| match scope {
        Scope::Lifespan(_) => None,
        _ => boxed(|event, out| match event {
            Event::HttpRequest { .. } => say(out, "served"),
            _ => Ok(()),
        }),
    }));
    assert_eq!(server.get("/").text(), "served");
    server.stop().unwrap();
}

#[test]
fn a_lifespan_that_returns_without_an_answer_has_started() {
    let (note, told) = notes();
    let server = serve(with_lifespan(note, |event, out| {
        if let Event::LifespanStartup = event {
            out.insert_state(Greeting("silent"))?;
        }
        Ok(())
    }));
    assert_eq!(server.get("/").text(), "silent");
    server.stop().unwrap();
    assert_eq!(told.all(), ["lifespan", "lifespan.startup", "http", "lifespan.shutdown"]);
}

#[test]
fn nobody_is_served_before_a_deferred_startup_is_complete() {
    let (note, told) = notes();
    let (give, handles) = mpsc::channel::<Handle>();
    let server = start(
        with_lifespan(note.clone(), move |event, out| match event {
            Event::LifespanStartup => Ok(give.send(out.handle())?),
            event => well(event, out),
        }),
        |server| server,
    );
    let handle = take(&handles);
    // The system lets it in; the server does not yet.
    let mut client = server.raw();
    client.get("/");
    assert!(!server.is_ready());
    std::thread::spawn(move || {
        note.note("complete");
        handle.send(SendEvent::LifespanStartupComplete).unwrap();
    })
    .join()
    .unwrap();
    assert_eq!(client.response().text(), "none");
    server.wait_until_ready();
    server.stop().unwrap();
    let order = ["lifespan", "lifespan.startup", "complete", "http", "lifespan.shutdown"];
    assert_eq!(told.all(), order);
}

#[test]
fn a_deferred_startup_may_fail_too() {
    let (note, _told) = notes();
    let (give, handles) = mpsc::channel::<Handle>();
    let mut server =
        start(with_lifespan(note, move |_, out| Ok(give.send(out.handle())?)), |server| server);
    take(&handles).send(SendEvent::LifespanStartupFailed { message: "no disk" }).unwrap();
    match server.outcome() {
        Err(ServerError::Startup(message)) => assert_eq!(message, "no disk"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_deferred_startup_gets_its_state_by_post() {
    let (note, _told) = notes();
    let server = serve(with_lifespan(note, |event, out| match event {
        Event::LifespanStartup => {
            let handle = out.handle();
            std::thread::spawn(move || handle.post(Greeting("from a thread")));
            Ok(())
        }
        Event::Custom(value) => {
            out.insert_state(*value.downcast::<Greeting>().unwrap())?;
            out.send(SendEvent::LifespanStartupComplete)?;
            Ok(())
        }
        event => well(event, out),
    }));
    assert_eq!(server.get("/").text(), "from a thread");
}

#[test]
fn a_startup_may_wait_for_a_timer() {
    let (note, _told) = notes();
    let server = serve(with_lifespan(note, |event, out| match event {
        Event::LifespanStartup => {
            out.wake_after(ms(10));
            Ok(())
        }
        Event::Timer => {
            out.insert_state(Greeting("in time"))?;
            out.send(SendEvent::LifespanStartupComplete)?;
            Ok(())
        }
        event => well(event, out),
    }));
    assert_eq!(server.get("/").text(), "in time");
}

#[test]
fn state_is_set_at_startup_only() {
    let (note, told) = notes();
    let late = note.clone();
    let server = serve(with_lifespan(note, move |event, out| {
        well(event, out)?;
        late.note(format!("{:?}", out.insert_state(Greeting("late")).map_err(|e| e.to_string())));
        Ok(())
    }));
    assert_eq!(server.get("/").text(), "hello");
    server.stop().unwrap();
    let refused = told.all().into_iter().filter(|note| note.contains("out of order")).count();
    assert_eq!(refused, 2);
}

#[test]
fn shutdown_is_told_after_the_last_connection_has_ended() {
    let (note, told) = notes();
    let (give, handles) = mpsc::channel::<Handle>();
    let noted = note.clone();
    let server = serve(by_scope(move |scope| {
        let (note, give) = (noted.clone(), give.clone());
        if let Scope::Lifespan(_) = scope {
            return boxed(move |event, out| {
                note.event(&event);
                well(event, out)
            });
        }
        boxed(move |event, out| {
            match event {
                Event::HttpRequest { .. } => give.send(out.handle())?,
                Event::WebSocketConnect => drop(out.accept()?),
                _ => note.event(&event),
            }
            Ok(())
        })
    }));
    let mut socket = server.raw();
    socket.open("/");
    let mut client = server.raw();
    client.get("/");
    let handle = take(&handles);
    server.ask_to_stop();
    assert_eq!(socket.frame().close_code(), Some(1001));
    socket.send(crate::raw::close_frame(1001, ""));
    socket.expect_end();
    // One connection is left.
    note.note("answer");
    drop(note);
    handle.respond(200, &[], b"last").unwrap();
    drop(handle);
    assert_eq!(client.response().text(), "last");
    drop(client);
    server.stop().unwrap();
    let told = told.all();
    let wanted = [
        "lifespan.startup",
        "oneport.shutdown",
        "oneport.shutdown",
        "websocket.disconnect 1001 \"\"",
        "answer",
        "lifespan.shutdown",
    ];
    assert_eq!(told, wanted);
}

#[test]
fn shutdown_is_told_after_the_last_connection_of_every_worker() {
    let (note, told) = notes();
    let server = serve_with(with_lifespan(note, well), |server| server.workers(3));
    let mut sockets: Vec<_> = (0..30).map(|_| server.raw()).collect();
    for socket in &mut sockets {
        socket.open("/");
        assert_eq!(socket.frame().payload, b"hello");
    }
    server.ask_to_stop();
    for socket in &mut sockets {
        assert_eq!(socket.frame().close_code(), Some(1001));
        socket.send(crate::raw::close_frame(1001, ""));
    }
    server.stop().unwrap();
    let told = told.all();
    let ends = told.iter().filter(|note| note.starts_with("websocket.disconnect")).count();
    assert_eq!(ends, 30);
    assert_eq!(told[told.len() - 1], "lifespan.shutdown");
}

#[test]
fn a_failed_shutdown_is_the_outcome_of_the_server() {
    let (note, _told) = notes();
    let server = serve(with_lifespan(note, |event, out| match event {
        Event::LifespanShutdown => {
            out.send(SendEvent::LifespanShutdownFailed { message: "not saved" })?;
            Ok(())
        }
        event => well(event, out),
    }));
    assert_eq!(server.get("/").text(), "hello");
    match server.stop() {
        Err(ServerError::Shutdown(message)) => assert_eq!(message, "not saved"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_deferred_shutdown_is_waited_for() {
    let (note, _told) = notes();
    let (give, handles) = mpsc::channel::<Handle>();
    let mut server = serve(with_lifespan(note, move |event, out| match event {
        Event::LifespanShutdown => Ok(give.send(out.handle())?),
        event => well(event, out),
    }));
    server.ask_to_stop();
    let handle = take(&handles);
    let message = "deferred, and failed";
    handle.send(SendEvent::LifespanShutdownFailed { message }).unwrap();
    match server.outcome() {
        Err(ServerError::Shutdown(told)) => assert_eq!(told, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn stopping_twice_is_stopping_once_also_while_the_lifespan_shuts_down() {
    let (note, _told) = notes();
    let (give, handles) = mpsc::channel::<Handle>();
    let mut server = serve(with_lifespan(note.clone(), move |event, out| match event {
        Event::LifespanShutdown => Ok(give.send(out.handle())?),
        event => well(event, out),
    }));
    server.ask_to_stop();
    let handle = take(&handles);
    server.ask_to_stop();
    // The worker has seen the second one when it has taken what was posted behind it.
    handle.post(()).unwrap();
    let _ = handle.send(SendEvent::LifespanShutdownComplete);
    let outcome = server.outcome();
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[test]
fn stopping_during_a_deferred_startup_ends_the_server_well() {
    let (note, _told) = notes();
    let (give, handles) = mpsc::channel::<Handle>();
    let mut server = start(
        with_lifespan(note, move |event, out| match event {
            Event::LifespanStartup => Ok(give.send(out.handle())?),
            event => well(event, out),
        }),
        |server| server,
    );
    let _handle = take(&handles);
    server.ask_to_stop();
    let outcome = server.outcome();
    // Whatever it is called, it was no "no answer within 60 s".
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[test]
fn a_lifespan_may_publish() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(by_scope(move |scope| {
        let give = give.clone();
        if let Scope::Lifespan(_) = scope {
            return boxed(move |event, out| {
                match event {
                    Event::LifespanStartup => give.send(out.handle())?,
                    Event::Custom(_) => drop(out.publish("all", "news")),
                    _ => {}
                }
                // The handle lives on, so nobody takes silence for an answer.
                match out.send(SendEvent::LifespanStartupComplete) {
                    Ok(_) | Err(oneport::SendError::OutOfOrder { .. }) => Ok(()),
                    Err(error) => Err(error.into()),
                }
            });
        }
        boxed(|event, out| {
            if let Event::WebSocketConnect = event {
                out.accept()?;
                out.join("all")?;
            }
            Ok(())
        })
    }));
    let handle = take(&handles);
    let mut client = server.raw();
    client.open("/");
    handle.post(()).unwrap();
    let news = client.frame();
    assert_eq!((news.opcode, news.payload.as_slice()), (TEXT, &b"news"[..]));
    drop(client);
    drop(handle);
    server.stop().unwrap();
}
