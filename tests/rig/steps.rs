//! Steps of a fuzzer: bytes, splits, time, a peer that reads or not, ends. They are run twice with
//! the bytes in other pieces: handlers must be told the same, and the peer must get the same.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oneport::conn::record::Cause;
use oneport::{App, AppError, Config, Event, Flow, Outbox, Scope, SendEvent, app, handler};

use super::{Rig, frame, publication, upgrade};

/// A number that says what happens, and bytes.
pub type Step<'a> = (u8, &'a [u8]);

/// More than one connection may hold under [`config`]: twice what its limits let in, because
/// buffers grow by doubling.
const MOST_HELD: usize = 2 * (READ + READ + MESSAGE + HARD);
/// What is read at once, and as much of what can only be used later.
const READ: usize = 64 * 1024;
const MESSAGE: usize = 3000;
const HARD: usize = 64 * 1024;
/// A piece of what `/stream` answers, and their number: more than the high-water mark.
const PIECE: [u8; 1000] = [b'x'; 1000];
const PIECES: usize = 20;

/// Limits that a fuzzer's few bytes can reach.
fn config() -> Config {
    let mut config = Config::default();
    config.max_head = 1024;
    config.max_fields = 12;
    config.max_body = 2000;
    config.max_message = MESSAGE;
    config.max_fragments = 20;
    config.max_control_frames = 30;
    config.high_water = 4096;
    config.low_water = 1024;
    config.hard_limit = HARD;
    config
}

/// What handlers were told.
#[derive(Debug, Default, PartialEq)]
struct Told {
    lines: Vec<String>,
    /// A handler acted on a piece of a body. Which pieces there are depends on the splits, and so
    /// does what follows.
    acted_on_piece: bool,
}

/// A scope of [`telling`].
struct Telling {
    told: Arc<Mutex<Told>>,
    path: String,
    body: Vec<u8>,
    left: usize,
}

impl Telling {
    fn tell(&self, what: std::fmt::Arguments<'_>) {
        self.told.lock().unwrap().lines.push(format!("{} {what}", self.path));
    }

    fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
        match event {
            Event::HttpRequest { body, more_body } => {
                self.body.extend_from_slice(body);
                if more_body && self.path != "/early" {
                    return Ok(());
                }
                if more_body {
                    self.told.lock().unwrap().acted_on_piece = true;
                }
                self.tell(format_args!("{}", self.body.escape_ascii()));
                match self.path.as_str() {
                    "/late" => out.wake_after(LATE),
                    "/stream" => return self.begin_stream(out),
                    "/err" => return Err("asked to fail".into()),
                    _ => _ = out.respond(200, &[], &self.body)?,
                }
            }
            Event::WebSocketConnect => {
                self.tell(format_args!("connect"));
                if self.path == "/late" {
                    out.wake_after(LATE);
                } else {
                    out.accept()?;
                    out.join("all")?;
                }
            }
            Event::WebSocketReceive(message) => {
                self.tell(format_args!("{message:?}"));
                if self.path == "/err" {
                    return Err("asked to fail".into());
                }
                if out.message(message)? == Flow::Full {
                    out.pause();
                }
            }
            Event::Timer if self.left == 0 && self.body.is_empty() => {
                // A WebSocket that was kept waiting, or a request without a body.
                if out.accept().is_err() {
                    out.respond(200, &[], b"late")?;
                }
            }
            Event::Timer => _ = out.respond(200, &[], &self.body)?,
            Event::Drain if self.left > 0 => return self.stream(out),
            Event::Drain => out.resume(),
            // Pieces of it depend on the splits.
            Event::HttpDisconnect => self.tell(format_args!("cut")),
            event => self.tell(format_args!("{event:?}")),
        }
        Ok(())
    }

    fn begin_stream(&mut self, out: &mut Outbox<'_>) -> Result<(), AppError> {
        self.left = PIECES;
        out.send(SendEvent::HttpResponseStart { status: 200, headers: &[], trailers: false })?;
        self.stream(out)
    }

    /// Sends until the peer cannot keep up.
    fn stream(&mut self, out: &mut Outbox<'_>) -> Result<(), AppError> {
        while self.left > 0 {
            self.left -= 1;
            let more_body = self.left > 0;
            let flow = out.send(SendEvent::HttpResponseBody { body: &PIECE, more_body })?;
            if flow == Flow::Full {
                break;
            }
        }
        Ok(())
    }
}

/// After which time `/late` answers.
const LATE: Duration = Duration::from_millis(300);

/// Tells what it is told, and answers with it: `/late` after a while, `/stream` with much, `/early`
/// before the body is complete, `/err` not at all.
fn telling(told: Arc<Mutex<Told>>) -> impl App {
    app(move |scope| {
        let path = match scope {
            Scope::Http(http) => http.path,
            Scope::WebSocket(ws) => ws.path,
            _ => return None,
        };
        let told = Arc::clone(&told);
        let mut scope = Telling { told, path: path.to_string(), body: Vec::new(), left: 0 };
        scope.tell(format_args!("begins"));
        Some(handler(move |event, out| scope.receive(event, out)))
    })
}

/// What came of some steps.
#[derive(Debug, PartialEq)]
struct Outcome {
    told: Told,
    got: Vec<u8>,
    cause: Cause,
    code_sent: Option<u16>,
    code_told: Option<u16>,
}

/// A connection with the network before it: what it does not read waits there.
struct Bench<A: App> {
    rig: Rig<A>,
    waiting: Vec<u8>,
    ended: bool,
    /// Bytes that arrive at once.
    piece: usize,
}

impl<A: App> Bench<A> {
    fn send(&mut self, bytes: &[u8]) {
        if !self.ended {
            self.waiting.extend_from_slice(bytes);
        }
        self.settle();
    }

    /// The connection reads what it wants of what the network has.
    fn settle(&mut self) {
        while self.rig.is_open() && self.rig.conn().wants_read(&self.rig.round.config) {
            if self.waiting.is_empty() {
                if self.ended {
                    self.rig.eof();
                }
                break;
            }
            let piece = self.piece.min(self.waiting.len());
            let fed = self.rig.feed(&self.waiting[..piece]);
            self.waiting.drain(..fed);
            self.check();
        }
        self.check();
    }

    fn check(&mut self) {
        if self.rig.is_open() {
            let held = self.rig.conn().bytes_held();
            assert!(held <= MOST_HELD, "{held} bytes are held");
        }
        self.rig.kit.effects.clear();
    }

    /// Time goes by; after each deadline the connection reads what it wants.
    fn advance(&mut self, by: Duration) {
        let end = self.rig.round.now + by;
        while self.rig.is_open()
            && let Some(due) = self.rig.conn().deadline(&self.rig.round.config)
            && due <= end
        {
            let step = due.since(self.rig.round.now);
            self.rig.advance(step);
            self.settle();
        }
        let rest = end.since(self.rig.round.now);
        self.rig.advance(rest);
    }

    fn step(&mut self, (what, bytes): Step<'_>) {
        match what % 16 {
            0 => self.send(&upgrade("/")),
            1 => self.send(canned(bytes)),
            2 => self.send(&frame(bytes.first().copied().unwrap_or(0x81), bytes)),
            3 => self.rig.peer.room = 0,
            4 => self.rig.drain(bytes.len() * 100),
            5 => self.rig.drain(usize::MAX),
            6 => self.advance(Duration::from_millis(u64::from(what) * 100)),
            7 => {
                self.ended = true;
                self.rig.turn(|conn, _, _| conn.peer_will_send_no_more());
            }
            8 => {
                self.rig.last_call();
                self.settle();
                self.rig.shutdown();
            }
            9 => {
                let text = publication(&String::from_utf8_lossy(bytes));
                self.rig.publish_to_it(&text);
            }
            10 => self.send(&upgrade("/late")),
            _ => self.send(bytes),
        }
        self.settle();
    }
}

/// The beginning of a request, so that a fuzzer need not find it.
fn canned(bytes: &[u8]) -> &'static [u8] {
    const ALL: [&[u8]; 8] = [
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
        b"POST /late HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n",
        b"POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\n",
        b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /err HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /late HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ];
    ALL[usize::from(bytes.first().copied().unwrap_or(0)) % ALL.len()]
}

fn run(steps: &[Step<'_>], piece: usize) -> Outcome {
    let told = Arc::default();
    let rig = Rig::with_config(telling(Arc::clone(&told)), config());
    let mut bench = Bench { rig, waiting: Vec::new(), ended: false, piece };
    for &step in steps {
        bench.step(step);
    }
    bench.rig.end();
    let record = bench.rig.record.expect("a connection leaves a record");
    let told = std::mem::take(&mut *told.lock().unwrap());
    let got = without_interim(&bench.rig.peer.got);
    Outcome {
        told,
        got,
        cause: record.cause,
        code_sent: record.code_sent,
        code_told: record.code_told,
    }
}

/// A 100 is left out if the body is there already (RFC 9110 §10.1.1), and that is a matter of
/// splits.
fn without_interim(got: &[u8]) -> Vec<u8> {
    const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    let (mut out, mut rest) = (Vec::new(), got);
    while let Some(at) = rest.windows(INTERIM.len()).position(|window| window == INTERIM) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + INTERIM.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// Runs the steps with the bytes whole and in small pieces. No panic, memory within the limits,
/// and the same told and answered.
pub fn any_steps(steps: &[Step<'_>]) {
    let piece = 1 + steps.first().map_or(0, |(what, _)| usize::from(what / 16));
    let whole = run(steps, usize::MAX);
    let cut = run(steps, piece);
    if whole.told.acted_on_piece || cut.told.acted_on_piece {
        return;
    }
    if whole != cut {
        for outcome in [&whole, &cut] {
            eprintln!("{outcome:#?}\n{}", outcome.got.escape_ascii());
        }
        panic!("in pieces of {piece} it is not the same as whole");
    }
}
