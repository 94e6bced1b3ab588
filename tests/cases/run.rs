//! How a row is run.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oneport::{App, Config, Event, Scope, SendEvent, Server, app, handler};

use crate::reader::{self, Response};
use crate::rig::Rig;
use crate::row::{Row, Then};
use crate::rows;

/// What handlers were told, scope by scope.
pub(crate) type Told = Arc<Mutex<Vec<String>>>;

/// A request that is fine, put behind an input; it asks for the end, so that a socket need not.
const BEHIND: &[u8] = b"GET /behind HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

/// Small limits, so that rows can reach them.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.max_head = 2048;
    config.max_fields = 20;
    config.max_body = 1000;
    config
}

/// Answers what it was told: method, target, the Host if it is not "h", and the body. A path that
/// begins with `/early` is answered before its body is complete.
fn telling(told: Told) -> impl App {
    app(move |scope| {
        let (mut line, headers) = match scope {
            Scope::Http(http) => {
                let mut line = format!("{} {}", http.method, http.raw_path.escape_ascii());
                if !http.query_string.is_empty() {
                    line.push_str(&format!("?{}", http.query_string.escape_ascii()));
                }
                (line, http.headers)
            }
            Scope::WebSocket(ws) => (format!("ws {}", ws.raw_path.escape_ascii()), ws.headers),
            _ => return None,
        };
        match headers.get("host") {
            Some(b"h") => {}
            Some(host) => line.push_str(&format!(" [{}]", host.escape_ascii())),
            None => line.push_str(" [no host]"),
        }
        let early = line.contains(" /early");
        let (told, mut body) = (Arc::clone(&told), Vec::new());
        Some(handler(move |event, out| {
            match event {
                Event::HttpRequest { body: piece, more_body } => {
                    body.extend_from_slice(piece);
                    if more_body && !early {
                        return Ok(());
                    }
                    let (mut text, mut status) = (line.clone(), 200);
                    if early {
                        status = 413;
                    } else if !body.is_empty() {
                        text.push_str(&format!(" {}", body.escape_ascii()));
                    }
                    told.lock().unwrap().push(text.clone());
                    out.respond(status, &[(b"told", text.as_bytes())], text.as_bytes())?;
                }
                Event::HttpDisconnect => told.lock().unwrap().push(format!("{line} cut")),
                Event::WebSocketConnect => {
                    told.lock().unwrap().push(line.clone());
                    let headers = &[(&b"told"[..], line.as_bytes())];
                    out.send(SendEvent::WebSocketAccept { subprotocol: None, headers })?;
                }
                _ => {}
            }
            Ok(())
        }))
    })
}

/// The final answers, each in a line; whether a 100 was among them is told apart.
fn answers(row: &Row, responses: &[Response]) -> Vec<String> {
    let finals = responses.iter().filter(|response| !response.is_interim());
    let texts = finals.map(|response| match response.field("told") {
        Some(told) => told.to_string(),
        None if row.head => format!("{} ", response.status),
        None => format!("{} {}", response.status, response.body),
    });
    texts.collect()
}

impl Row {
    /// The answers that it must get.
    fn answers(&self) -> Vec<String> {
        let mut answers: Vec<_> =
            self.told.iter().filter(|told| !told.ends_with(" cut")).cloned().collect();
        answers.extend(self.refused.map(|refused| {
            let text = if self.head { String::new() } else { refused.text() };
            format!("{} {text}", refused.status())
        }));
        answers
    }

    /// Does the answer of this number belong to a HEAD?
    fn is_head(&self, number: usize) -> bool {
        match self.answers().get(number) {
            Some(answer) => {
                answer.starts_with("HEAD ") || (self.head && number + 1 == self.answers().len())
            }
            None => false,
        }
    }

    /// Compares what came with what must come.
    fn compare(&self, bytes: &[u8], behind: bool, how: &str) -> Result<(), String> {
        let mut expected = self.answers();
        if behind && self.then == Then::Idle {
            expected.push("GET /behind".to_string());
        }
        let read = || reader::responses(bytes, |number| self.is_head(number));
        let responses = std::panic::catch_unwind(read)
            .map_err(|_| format!("{how}: no responses: {}", bytes.escape_ascii()))?;
        let got = answers(self, &responses);
        if got != expected {
            return Err(format!("{how}: answers {got:#?}, not {expected:#?}"));
        }
        // Connection is truthful: the last answer says whether it is the last one.
        let finals: Vec<_> = responses.iter().filter(|r| !r.is_interim()).collect();
        for (number, response) in finals.iter().enumerate() {
            let last = number + 1 == finals.len();
            let ends = last && (self.then == Then::Ended || (behind && self.then == Then::Idle));
            if response.closes() != ends || response.short || response.until_close {
                return Err(format!("{how}: answer {number} of {}: {response:?}", finals.len()));
            }
        }
        if !self.interim && finals.len() != responses.len() {
            return Err(format!("{how}: a 100 that nobody asked for"));
        }
        Ok(())
    }
}

/// A connection without a socket, for all rows.
struct Bench<A: App> {
    rig: Rig<A>,
    told: Told,
}

impl<A: App> Bench<A> {
    fn run(&mut self, row: &Row, pieces: &[&[u8]], behind: bool, how: &str) -> Result<(), String> {
        self.rig.connect();
        self.rig.kit.effects.clear();
        self.told.lock().unwrap().clear();
        for piece in pieces {
            self.rig.feed(piece);
        }
        let over = !self.rig.is_open() || self.rig.conn().is_lingering();
        let ends = row.then == Then::Ended || (behind && row.then == Then::Idle);
        self.rig.eof();
        let told = std::mem::take(&mut *self.told.lock().unwrap());
        let mut expected = row.told.clone();
        if behind && row.then == Then::Idle {
            expected.push("GET /behind".to_string());
        }
        if told != expected {
            return Err(format!("{how}: told {told:#?}, not {expected:#?}"));
        }
        if over != ends && row.then != Then::Upgraded {
            return Err(format!("{how}: the connection is over: {over}"));
        }
        row.compare(&self.rig.peer.got, behind, how)
    }

    /// All ways to run a row.
    fn check(&mut self, row: &Row) -> Result<(), String> {
        let input = &row.input[..];
        self.run(row, &[input], false, "whole")?;
        let bytes: Vec<_> = input.chunks(1).collect();
        self.run(row, &bytes, false, "byte by byte")?;
        if row.interim {
            let hundreds = self.rig.peer.got.windows(13).filter(|w| w == b"HTTP/1.1 100 ");
            if hundreds.count() != 1 {
                return Err("byte by byte: one 100".to_string());
            }
        }
        for cut in cuts(row) {
            let (front, back) = input.split_at(cut);
            self.run(row, &[front, back], false, &format!("split at {cut}"))?;
        }
        if row.then == Then::Waiting {
            return Ok(());
        }
        let all = [input, BEHIND].concat();
        self.run(row, &[&all], true, "with a request behind it")?;
        self.run(row, &[input, BEHIND], true, "with a request after it")?;
        let bytes: Vec<_> = all.chunks(1).collect();
        self.run(row, &bytes, true, "byte by byte with a request behind it")
    }
}

/// Where a row is split: everywhere, or at a number of places if it is long or one of many.
fn cuts(row: &Row) -> Vec<usize> {
    let len = row.input.len();
    let most = if row.family { 6 } else { 300 };
    let step = len.div_ceil(most).max(1);
    // From the end: that is where the line stands that the row is about.
    (1..len).rev().step_by(step).collect()
}

fn report(what: &str, failures: &[String], rows: usize) {
    assert!(
        failures.is_empty(),
        "{} of {rows} rows {what}:\n{}",
        failures.len(),
        failures.iter().take(30).cloned().collect::<Vec<_>>().join("\n")
    );
}

// [9110-2.4-1]
#[test]
fn each_row_gives_the_same_however_it_is_split() {
    let told = Told::default();
    let rig = Rig::with_config(telling(Arc::clone(&told)), config());
    let mut bench = Bench { rig, told };
    let rows = rows();
    let failures: Vec<_> = rows
        .iter()
        .filter_map(|row| bench.check(row).err().map(|why| format!("{}: {why}", row.name)))
        .collect();
    report("on a connection without a socket", &failures, rows.len());
}

/// A row over a socket. Whoever asks for the end first is the server, if it must end.
fn over_a_socket(row: &Row, address: SocketAddr) -> Result<(), String> {
    let limit = Some(Duration::from_secs(60));
    let mut stream = TcpStream::connect(address).expect("the server can be reached");
    stream.set_read_timeout(limit).expect("a timeout can be set");
    stream.set_nodelay(true).expect("no delay can be set");
    let behind = row.then != Then::Waiting;
    let sent = if behind { [&row.input, BEHIND].concat() } else { row.input.clone() };
    stream.write_all(&sent).map_err(|error| format!("it was not taken: {error}"))?;
    if matches!(row.then, Then::Waiting | Then::Upgraded) {
        stream.shutdown(Shutdown::Write).map_err(|error| format!("no end: {error}"))?;
    }
    let mut got = Vec::new();
    stream.read_to_end(&mut got).map_err(|error| format!("no end came: {error}"))?;
    row.compare(&got, behind, "over a socket")
}

#[test]
fn each_row_gives_the_same_over_a_socket() {
    let told = Told::default();
    let server = Server::new(telling(Arc::clone(&told))).signals(false).config(config());
    let bound = server.bind("127.0.0.1:0").expect("a free port can be had");
    let (address, stopper) = (bound.local_addr(), bound.stopper());
    let running = std::thread::spawn(move || bound.run());
    let rows = rows();
    let mut failures = Vec::new();
    for row in &rows {
        if let Err(why) = over_a_socket(row, address) {
            failures.push(format!("{}: {why}", row.name));
        }
    }
    stopper.stop();
    let outcome = running.join().expect("the server does not panic");
    assert!(outcome.is_ok(), "{outcome:?}");
    report("over a socket", &failures, rows.len());
    // What handlers were told behind it all: no request that was put behind a refusal.
    let behind = told.lock().unwrap().iter().filter(|told| *told == "GET /behind").count();
    let idle = rows.iter().filter(|row| row.then == Then::Idle).count();
    assert_eq!(behind, idle, "only rows that leave the connection idle let a request through");
}
