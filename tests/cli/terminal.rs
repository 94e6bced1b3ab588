//! `oneport connect` at a terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Child;
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::{LIMIT, oneport, serve, wait};

/// The command, and the person before it.
struct Person {
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
    child: Child,
}

fn sit_down(args: &[&str]) -> Person {
    let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&keyboard).unwrap();
    unlockpt(&keyboard).unwrap();
    let name = ptsname(&keyboard, Vec::new()).unwrap();
    let terminal = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let child = oneport(args)
        .env("TERM", "xterm")
        .stdin(terminal.try_clone().unwrap())
        .stdout(terminal.try_clone().unwrap())
        .stderr(terminal)
        .spawn()
        .unwrap();
    let keyboard = File::from(keyboard);
    let mut reader = keyboard.try_clone().unwrap();
    let (show, screen) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(n @ 1..) = reader.read(&mut bytes) {
            let _ = show.send(bytes[..n].to_vec());
        }
    });
    Person { keyboard, screen, seen: String::new(), child }
}

impl Person {
    fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Looks until this is on the screen, behind what was seen before.
    fn sees(&mut self, part: &str) {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(at) = self.seen.find(part) {
                self.seen.drain(..at + part.len());
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("{part:?} is not seen, but {:?}", self.seen),
            }
        }
    }

    fn ends_with(mut self, code: i32) {
        assert_eq!(wait(&mut self.child).code(), Some(code));
    }
}

#[test]
fn a_conversation() {
    let server = serve();
    let mut person = sit_down(&["connect", &server.ws("/echo"), "-s", "chat", "--deflate"]);
    person.sees("(subprotocol chat, compressed)");
    person.sees("> ");
    person.types("hello\r");
    person.sees("< hello\r\n");
    person.types("//slash\r");
    person.sees("< /slash\r\n");
    person.types("/ping\r");
    person.sees("pong after ");
    person.types("/binary 00 1b ff\r");
    person.sees("< binary, 3 bytes\r\n  0000  00 1b ff ");
    person.types("/fly\r");
    person.sees("there is no command /fly");
    person.types("/close 1005\r");
    person.sees("a code is");
    person.types("/help\r");
    person.sees("/close [CODE [REASON]]");
    person.types("/close 4000 that was all\r");
    person.sees("Closed: 4000.");
    person.ends_with(0);
}

#[test]
fn what_is_typed_ahead_is_not_lost() {
    let server = serve();
    let mut person = sit_down(&["connect", &server.ws("/echo")]);
    person.sees("> ");
    person.types("l1\rl2\rl3\r");
    for echo in ["< l1\r\n", "< l2\r\n", "< l3\r\n"] {
        person.sees(echo);
    }
    // Whatever was typed before the end, commands too.
    person.types("l4\r/close 4000\r");
    person.sees("Closed: 4000.");
    person.ends_with(0);
}

#[test]
fn what_acts_is_escaped() {
    let server = serve();
    let mut person = sit_down(&["connect", &server.ws("/escape")]);
    person.sees("< a\\u{1b}[2Jb\\u{9b}c\\r\r\n");
    // Keys act as soon as the prompt is there.
    person.sees("> ");
    person.types("\u{4}");
    person.sees("Closed: 1000.");
    person.ends_with(0);
}

#[test]
fn ctrl_c_closes() {
    let server = serve();
    let mut person = sit_down(&["connect", &server.ws("/hello")]);
    person.sees("< hello");
    // Behind the prompt the terminal is the line editor's.
    person.sees("> ");
    person.types("half a line\u{3}");
    person.sees("Closed: 1000.");
    person.ends_with(0);
}

#[test]
fn an_interrupt_closes_also_before_the_first_prompt() {
    let server = serve();
    let mut person = sit_down(&["connect", &server.ws("/echo")]);
    person.sees("Connected to");
    crate::support::interrupt(&person.child);
    person.sees("Closed: 1000.");
    person.ends_with(0);
}

#[test]
fn the_end_by_the_server_is_seen_at_once() {
    let server = serve();
    let mut person = sit_down(&["connect", &server.ws("/close/1000")]);
    person.sees("< last words\r\n");
    person.sees("Closed by the server: 1000.");
    person.ends_with(0);
    let mut person = sit_down(&["connect", &server.ws("/close/4001")]);
    person.sees("Closed by the server: 4001, no\\u{1b}[2J more");
    person.ends_with(3);
}
