//! Publishing to groups.

use std::sync::mpsc;
use std::time::Instant;

use oneport::{App, Delivery, Event, Handle, Message, Scope, SendError};

use crate::raw::{BINARY, Frame, Raw, TEXT, close_frame, frame};
use crate::support::{
    LIMIT, Serving, answering, boxed, by_scope, eventually, notes, on_events, say, serve,
    serve_with, take, ws,
};

/// Joins the group that its path names; messages steer it.
fn rooms() -> impl App {
    by_scope(|scope| {
        let room = scope.path().to_string();
        if let Scope::Http(_) = scope {
            return boxed(move |event, out| {
                if let Event::HttpRequest { .. } = event {
                    // From any kind of scope.
                    out.publish(&room, "from a request");
                    say(out, "published")?;
                }
                Ok(())
            });
        }
        boxed(move |event, out| {
            match event {
                Event::WebSocketConnect => {
                    out.accept()?;
                    out.join(&room)?;
                    out.message("joined")?;
                }
                Event::WebSocketReceive(Message::Text("again")) => {
                    out.join(&room)?;
                    out.message("joined")?;
                }
                Event::WebSocketReceive(Message::Text("leave")) => {
                    out.leave(&room)?;
                    out.leave("never joined")?;
                    out.message("left")?;
                }
                Event::WebSocketReceive(Message::Text("fail")) => {
                    out.publish(&room, "never");
                    return Err("asked to fail".into());
                }
                Event::WebSocketReceive(message) => {
                    out.publish(&room, message);
                    out.message("published")?;
                }
                _ => {}
            }
            Ok(())
        })
    })
}

/// A member of a room, whom the server has let in.
fn member(server: &Serving, room: &str) -> Raw {
    let mut member = server.raw();
    joined(&mut member, room);
    member
}

fn joined(member: &mut Raw, room: &str) {
    member.open(room);
    assert_eq!(member.frame(), Frame::whole(TEXT, b"joined"));
}

/// How many took it and how many were skipped, once everybody was asked.
fn complete(report: &Delivery) -> (usize, usize) {
    eventually("the report is complete", || report.is_complete());
    (report.queued(), report.skipped())
}

#[test]
fn a_thread_publishes_to_all_members_and_only_to_them() {
    let server = serve(rooms());
    let mut members: Vec<_> = (0..5).map(|_| member(&server, "/room")).collect();
    let mut stranger = member(&server, "/other");
    let groups = server.groups.clone();
    std::thread::spawn(move || {
        for n in 0..100u8 {
            let report = if n % 2 == 0 {
                groups.publish("/room", Message::Text(&n.to_string()))
            } else {
                groups.publish("/room", &[n][..])
            };
            assert_eq!(complete(&report), (5, 0));
        }
        assert_eq!(complete(&groups.publish("/nobody", "hello?")), (0, 0));
    })
    .join()
    .unwrap();
    for member in &mut members {
        for n in 0..100u8 {
            let wanted = match n % 2 {
                0 => Frame::whole(TEXT, n.to_string()),
                _ => Frame::whole(BINARY, [n]),
            };
            assert_eq!(member.frame(), wanted);
        }
    }
    server.barrier();
    stranger.expect_nothing_yet();
}

#[test]
fn publications_reach_the_members_on_every_worker() {
    let server = serve_with(rooms(), |server| server.workers(3));
    let mut members: Vec<_> = (0..40).map(|_| member(&server, "/room")).collect();
    // From outside.
    let report = server.groups.publish("/room", "from a thread");
    assert_eq!(complete(&report), (40, 0));
    for member in &mut members {
        assert_eq!(member.frame(), Frame::whole(TEXT, b"from a thread"));
    }
    // From one member to all, itself included: each behind what the callback sent itself.
    for publisher in [0, 13, 39] {
        members[publisher].message(TEXT, b"from a member");
        assert_eq!(members[publisher].frame(), Frame::whole(TEXT, b"published"));
        for member in &mut members {
            assert_eq!(member.frame(), Frame::whole(TEXT, b"from a member"));
        }
    }
    // From a request.
    assert_eq!(server.get("/room").text(), "published");
    for member in &mut members {
        assert_eq!(member.frame(), Frame::whole(TEXT, b"from a request"));
    }
}

#[test]
fn the_publications_of_one_thread_arrive_in_their_order() {
    let server = serve_with(rooms(), |server| server.workers(2));
    let mut members: Vec<_> = (0..10).map(|_| member(&server, "/a")).collect();
    let groups = server.groups.clone();
    let publisher = std::thread::spawn(move || {
        let reports: Vec<_> =
            (0..500).map(|n| groups.publish("/a", Message::Text(&n.to_string()))).collect();
        reports.iter().map(complete).collect::<Vec<_>>()
    });
    for member in &mut members {
        for n in 0..500 {
            assert_eq!(member.frame(), Frame::whole(TEXT, n.to_string()));
        }
    }
    assert!(publisher.join().unwrap().iter().all(|counts| *counts == (10, 0)));
}

#[test]
fn joining_twice_is_joining_once_and_who_leaves_gets_nothing() {
    let server = serve(rooms());
    let mut leaver = member(&server, "/room");
    let mut stayer = member(&server, "/room");
    stayer.message(TEXT, b"again");
    assert_eq!(stayer.frame(), Frame::whole(TEXT, b"joined"));
    leaver.message(TEXT, b"leave");
    assert_eq!(leaver.frame(), Frame::whole(TEXT, b"left"));
    assert_eq!(complete(&server.groups.publish("/room", "news")), (1, 0));
    assert_eq!(stayer.frame(), Frame::whole(TEXT, b"news"));
    server.barrier();
    stayer.expect_nothing_yet();
    leaver.expect_nothing_yet();
}

#[test]
fn a_connection_that_ends_leaves_its_groups() {
    let server = serve(rooms());
    let mut closed = member(&server, "/room");
    let lost = member(&server, "/room");
    let reset = member(&server, "/room");
    let mut stayer = member(&server, "/room");
    assert_eq!(complete(&server.groups.publish("/room", "all")), (4, 0));
    assert_eq!(closed.frame(), Frame::whole(TEXT, b"all"));
    closed.send(close_frame(1000, ""));
    assert_eq!(closed.frame().close_code(), Some(1000));
    drop(lost);
    reset.reset();
    eventually("they are gone", || server.stats.connections() == 1);
    assert_eq!(complete(&server.groups.publish("/room", "rest")), (1, 0));
    // Newcomers get the slots of those who left, but not their groups.
    let mut newcomers: Vec<_> = (0..3).map(|_| member(&server, "/new")).collect();
    assert_eq!(complete(&server.groups.publish("/room", "rest")), (1, 0));
    for text in ["all", "rest", "rest"] {
        assert_eq!(stayer.frame(), Frame::whole(TEXT, text));
    }
    server.barrier();
    for newcomer in &mut newcomers {
        newcomer.expect_nothing_yet();
    }
}

// [6455-5.5.1-2]
#[test]
fn who_closes_gets_nothing_behind_its_close() {
    let server = serve(on_events(|event, out| {
        match event {
            Event::WebSocketConnect => {
                out.accept()?;
                out.join("all")?;
                out.message("joined")?;
            }
            Event::WebSocketReceive(_) => {
                out.publish("all", "late");
                out.close(1000, "")?;
            }
            _ => {}
        }
        Ok(())
    }));
    let mut client = member(&server, "/");
    client.message(TEXT, b"go");
    assert_eq!(client.frame().close_code(), Some(1000), "RFC 6455 §5.5.1: nothing behind a Close");
    let report = server.groups.publish("all", "later");
    assert_eq!(complete(&report), (0, 0));
    client.send(close_frame(1000, ""));
    client.expect_end();
}

#[test]
fn who_leaves_can_tell_the_others() {
    let server = serve(on_events(|event, out| {
        match event {
            Event::WebSocketConnect => {
                out.accept()?;
                out.join("all")?;
                out.message("joined")?;
            }
            Event::WebSocketDisconnect { code, .. } => {
                out.publish("all", &*format!("left with {code}"));
            }
            Event::HttpRequest { .. } => out.wake_after(LIMIT * 10),
            Event::HttpDisconnect => {
                out.publish("all", "a request was given up");
            }
            _ => {}
        }
        Ok(())
    }));
    let mut witness = member(&server, "/");
    let mut closing = member(&server, "/");
    closing.send(close_frame(4000, ""));
    assert_eq!(witness.frame(), Frame::whole(TEXT, b"left with 4000"));
    drop(member(&server, "/"));
    assert_eq!(witness.frame(), Frame::whole(TEXT, b"left with 1006"));
    member(&server, "/").reset();
    assert_eq!(witness.frame(), Frame::whole(TEXT, b"left with 1006"));
    let mut broken = member(&server, "/");
    broken.send([0xff; 2]);
    assert_eq!(witness.frame(), Frame::whole(TEXT, b"left with 1002"));
    let mut request = server.raw();
    request.get("/");
    request.finish_sending();
    assert_eq!(witness.frame(), Frame::whole(TEXT, b"a request was given up"));
    server.barrier();
    witness.expect_nothing_yet();
    // Nobody tells itself.
    assert_eq!(closing.frame().close_code(), Some(4000));
    closing.expect_end();
}

#[test]
fn a_failed_callback_publishes_nothing() {
    let server = serve(rooms());
    let mut witness = member(&server, "/room");
    let mut failing = member(&server, "/room");
    failing.message(TEXT, b"fail");
    assert_eq!(failing.frame().close_code(), Some(1011));
    failing.expect_end();
    witness.message(TEXT, b"after");
    assert_eq!(witness.frame(), Frame::whole(TEXT, b"published"));
    assert_eq!(witness.frame(), Frame::whole(TEXT, b"after"));
}

#[test]
fn a_member_that_stops_reading_is_skipped_and_counted_while_others_get_everything() {
    let server = serve(rooms());
    let mut stalled = Raw::connect_narrow(server.address);
    joined(&mut stalled, "/room");
    let mut readers: Vec<_> = (0..3).map(|_| member(&server, "/room")).collect();
    let payload = vec![b'x'; 64 * 1024];
    let (mut published, mut queued, mut skipped) = (0, 0, 0);
    let begun = Instant::now();
    while skipped < 5 {
        assert!(begun.elapsed() < LIMIT, "nobody is skipped");
        let counts = complete(&server.groups.publish("/room", &payload[..]));
        assert_eq!(counts.0 + counts.1, 4, "everybody is counted once");
        (published, queued, skipped) = (published + 1, queued + counts.0, skipped + counts.1);
        for reader in &mut readers {
            assert_eq!(reader.frame().payload.len(), payload.len());
        }
    }
    assert_eq!(queued + skipped, 4 * published);
    // What it was given before is still there, whole, and when it reads again it is served
    // again.
    let its_own = published - skipped;
    for _ in 0..its_own {
        assert_eq!(stalled.frame().payload.len(), payload.len());
    }
    assert_eq!(complete(&server.groups.publish("/room", "welcome back")), (4, 0));
    assert_eq!(stalled.frame(), Frame::whole(TEXT, b"welcome back"));
}

#[test]
fn a_member_that_stops_reading_does_not_fill_memory() {
    let server = serve(rooms());
    let mut stalled = Raw::connect_narrow(server.address);
    joined(&mut stalled, "/room");
    let payload = vec![b'x'; 16 * 1024];
    for n in 0..2000 {
        let report = server.groups.publish("/room", &payload[..]);
        // Now and then, so that no mailbox fills instead.
        if n % 50 == 49 {
            complete(&report);
        }
    }
    let held = server.stats.bytes_held();
    assert!(held < 256 * 1024, "{held} bytes");
}

#[test]
fn the_report_of_a_handlers_own_publication_is_complete_only_when_it_is_done() {
    let (give, reports) = mpsc::channel::<Delivery>();
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        match event {
            Event::WebSocketConnect => {
                out.accept()?;
                out.join("all")?;
                out.message("joined")?;
            }
            Event::WebSocketReceive(message) => {
                let report = out.publish("all", message);
                // "It is done after the callback has returned."
                note.note(report.is_complete().to_string());
                give.send(report)?;
            }
            _ => {}
        }
        Ok(())
    }));
    let mut members: Vec<_> = (0..3).map(|_| member(&server, "/")).collect();
    members[0].message(TEXT, b"all of you");
    let report = take(&reports);
    for member in &mut members {
        assert_eq!(member.frame(), Frame::whole(TEXT, b"all of you"));
    }
    assert_eq!(complete(&report), (3, 0));
    assert_eq!(told.next(), "false");
}

#[test]
fn only_an_open_websocket_joins() {
    let (note, told) = notes();
    let server = serve(on_events(move |event, out| {
        match event {
            Event::HttpRequest { .. } => {
                note.note(format!("{:?}", out.join("all").map_err(|e| e.to_string())));
                say(out, "")?;
            }
            Event::WebSocketConnect => {
                note.note(format!("{:?}", out.join("all").map_err(|e| e.to_string())));
                out.accept()?;
            }
            Event::WebSocketDisconnect { .. } => {
                assert_eq!(out.join("all"), Err(SendError::Closed));
                note.note("closed");
            }
            _ => {}
        }
        Ok(())
    }));
    server.get("/");
    assert!(told.next().contains("oneport.join is out of order"));
    drop(ws(&server, "/"));
    assert!(told.next().contains("oneport.join is out of order"));
    assert_eq!(told.next(), "closed");
    assert_eq!(complete(&server.groups.publish("all", "")), (0, 0));
}

#[test]
fn a_membership_does_not_keep_an_http_answer_waiting() {
    // A group is for WebSockets; a request that keeps nothing gets its 500.
    let server = serve(answering(|out| {
        let _ = out.join("all");
        Ok(())
    }));
    assert_eq!(server.get("/").status, 500);
}

#[test]
fn handles_and_groups_reach_one_socket_from_many_threads() {
    let (give, handles) = mpsc::channel::<Handle>();
    let server = serve(on_events(move |event, out| {
        if let Event::WebSocketConnect = event {
            out.accept()?;
            out.join("all")?;
            out.message("joined")?;
            give.send(out.handle())?;
        }
        Ok(())
    }));
    let mut client = member(&server, "/");
    let handle = take(&handles);
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let (handle, groups) = (handle.clone(), server.groups.clone());
            std::thread::spawn(move || {
                for n in 0..50 {
                    let text = format!("{thread} {n}");
                    if thread % 2 == 0 {
                        handle.message(&*text).unwrap();
                    } else {
                        groups.publish("all", &*text);
                    }
                }
            })
        })
        .collect();
    let mut next = [0; 8];
    for _ in 0..8 * 50 {
        let frame = client.frame();
        let text = String::from_utf8(frame.payload).unwrap();
        let (thread, n) = text.split_once(' ').unwrap();
        let (thread, n): (usize, usize) = (thread.parse().unwrap(), n.parse().unwrap());
        assert_eq!(n, next[thread], "the order of thread {thread}");
        next[thread] += 1;
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn members_may_come_and_go_while_others_publish() {
    let server = serve_with(rooms(), |server| server.workers(2));
    let mut witness = member(&server, "/room");
    let address = server.address;
    let visitors: Vec<_> = (0..3)
        .map(|visitor| {
            std::thread::spawn(move || {
                for n in 0..40 {
                    let mut guest = Raw::connect(address);
                    guest.open("/room");
                    // What is published in between may come first.
                    while guest.frame().payload != b"joined" {}
                    match (n + visitor) % 3 {
                        0 => guest.reset(),
                        1 => guest.send(close_frame(1000, "")),
                        _ => {}
                    }
                }
            })
        })
        .collect();
    let mut reports = Vec::new();
    for n in 0..300 {
        reports.push(server.groups.publish("/room", &*n.to_string()));
        assert_eq!(witness.frame(), Frame::whole(TEXT, n.to_string()));
    }
    for visitor in visitors {
        visitor.join().unwrap();
    }
    for report in &reports {
        // Who left a moment ago may not be gone yet.
        let (queued, skipped) = complete(report);
        assert!(queued >= 1 && skipped == 0, "{queued} {skipped}");
    }
    eventually("they are gone", || server.stats.connections() == 1);
    assert_eq!(complete(&server.groups.publish("/room", "alone")), (1, 0));
}

/// One callback joins more groups than a round has time for: all of them are joined, in order, and
/// others are served.
#[test]
fn very_many_joins_of_one_callback_are_all_done() {
    const GROUPS: usize = 100_000;
    let server = serve(by_scope(|_| {
        boxed(|event, out| {
            match event {
                Event::WebSocketConnect => {
                    out.accept()?;
                }
                Event::WebSocketReceive(_) => {
                    for n in 0..GROUPS {
                        out.join(&n.to_string())?;
                    }
                    out.leave("7")?;
                    for n in [0, 7, GROUPS - 1] {
                        out.publish(&n.to_string(), &*n.to_string());
                    }
                }
                Event::HttpRequest { more_body: false, .. } => say(out, "fine")?,
                _ => {}
            }
            Ok(())
        })
    }));
    let mut client = server.raw();
    client.open("/");
    client.send(frame(true, TEXT, b"join"));
    assert_eq!(server.get("/").status, 200);
    assert_eq!(client.frame(), Frame::whole(TEXT, b"0"));
    assert_eq!(client.frame(), Frame::whole(TEXT, (GROUPS - 1).to_string()));
    drop(client);
    eventually("it leaves all of them", || server.stats.connections() == 0);
    eventually("nothing is posted for them", || server.groups.publish("0", "x").is_complete());
}
