//! `oneport echo`.

use std::io::{BufRead, BufReader};

use crate::support::{LIMIT, finish, interrupt, oneport, run, signal};
use oneport::client::{Connect, Message};
use rustix::process::Signal;

#[test]
fn it_says_where_it_is_echoes_and_ends() {
    let args = ["echo", "--port", "0", "--verbose", "--deflate", "--max-message", "1000"];
    let mut child = oneport(&args).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let url = line.split(' ').find(|word| word.starts_with("ws://")).expect("it tells its URL");

    let mut socket = Connect::to(url)
        .subprotocol("any")
        .origin("http://anywhere")
        .deflate(oneport::Deflate::default())
        .receive_timeout(LIMIT)
        .connect()
        .unwrap();
    assert_eq!((socket.subprotocol(), socket.is_compressed()), (Some("any"), true));
    socket.send("hello \u{1b}[2J").unwrap();
    assert_eq!(socket.receive().unwrap(), "hello \u{1b}[2J");
    socket.send(&[0, 255][..]).unwrap();
    assert_eq!(socket.receive().unwrap(), Message::Binary(vec![0, 255]));
    socket.send(&[0; 1001][..]).unwrap();
    assert_eq!(socket.receive().unwrap_err().close_code(), Some(1009));

    let page = url.replace("ws://", "http://");
    // Whatever proxy the environment names: it would not find us.
    let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
    assert!(agent.get(&page).call().unwrap().body_mut().read_to_string().unwrap().contains("echo"));
    let mut echo = agent.post(&page).send("a body").unwrap();
    assert_eq!(echo.body_mut().read_to_string().unwrap(), "a body");

    interrupt(&child);
    let ended = finish(child);
    assert_eq!(ended.code, Some(0));
    for part in ["connected", "says hello \\u{1b}[2J", "sends 2 bytes", "left: 1009"] {
        assert!(ended.err.contains(part), "{part}: {}", ended.err);
    }
}

/// Do programs that this one starts ignore SIGHUP?
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    u64::from_str_radix(mask, 16).unwrap() & 1 != 0
}

/// A terminal that goes away does not kill the server.
#[test]
fn a_hangup_ends_it_in_order() {
    let mut child = oneport(&["echo", "--port", "0"]).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let url = line.split(' ').find(|word| word.starts_with("ws://")).expect("it tells its URL");
    let mut socket = Connect::to(url).receive_timeout(LIMIT).connect().unwrap();
    // Twice: it is no hurry.
    signal(&child, Signal::HUP);
    signal(&child, Signal::HUP);
    if ignores_hangup() {
        // As with `nohup`, which the tests were started with: it goes on.
        socket.send("still there?").unwrap();
        assert_eq!(socket.receive().unwrap(), *"still there?");
        interrupt(&child);
    }
    assert_eq!(socket.receive().unwrap_err().close_code(), Some(1001));
    assert_eq!(finish(child).code, Some(0));
}

#[test]
fn it_echoes_and_ends_although_nobody_reads_what_it_says() {
    let mut child = oneport(&["echo", "--port", "0", "--verbose"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let url = line.split(' ').find(|word| word.starts_with("ws://")).expect("it tells its URL");
    let mut socket = Connect::to(url).receive_timeout(LIMIT).connect().unwrap();
    // A pipe holds 64 KiB.
    let text = "a line that nobody reads, ".repeat(10);
    for _ in 0..1000 {
        socket.send(&*text).unwrap();
        assert_eq!(socket.receive().unwrap(), *text);
    }
    interrupt(&child);
    let ended = finish(child);
    assert_eq!(ended.code, Some(0));
    assert!(ended.err.contains("says a line that nobody reads"), "{}", ended.err.len());
}

#[test]
fn it_serves_although_nobody_reads_what_it_says() {
    let mut child = oneport(&["echo", "--port", "0", "--verbose"]).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let url = line.split(' ').find(|word| word.starts_with("ws://")).expect("it tells its URL");
    drop((out, child.stderr.take()));
    let mut socket = Connect::to(url).receive_timeout(LIMIT).connect().unwrap();
    socket.send("hello").unwrap();
    assert_eq!(socket.receive().unwrap(), "hello");
    socket.close(1000, "").unwrap();
    interrupt(&child);
    assert_eq!(finish(child).code, Some(0));
}

#[test]
fn a_slow_reader_of_what_it_says_does_not_stop_it() {
    let mut child = oneport(&["echo", "--port", "0", "--verbose"]).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let url = line.split(' ').find(|word| word.starts_with("ws://")).expect("it tells its URL");
    let mut socket = Connect::to(url).receive_timeout(LIMIT).connect().unwrap();
    // More than a pipe holds.
    let long = "x".repeat(10_000);
    for _ in 0..100 {
        socket.send(&*long).unwrap();
        assert_eq!(socket.receive().unwrap(), &*long);
    }
    socket.close(1000, "").unwrap();
    interrupt(&child);
    assert_eq!(finish(child).code, Some(0));
}

#[test]
fn a_port_that_is_taken_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ended = run(&["echo", "--port", &port], b"");
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("another program has this port"), "{}", ended.err);
}
