//! `oneport load`: measures a server.
//!
//! ```text
//!   main thread      connect ──> warm up ──> measure ──> end      says which phase it is
//!        ^                                                        and prints how it goes
//!   runner threads   an event loop each, with their share of the connections
//! ```
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | options, phases, the progress line |
//! | `plan.rs` | what is sent, encoded once |
//! | `runner.rs` | one thread: sockets, the clock |
//! | `pace.rs` | a fixed rate: when the next message is due |
//! | `link.rs` | one connection: what is under way, what is still to be sent |
//! | `websocket.rs`, `http.rs` | answers, found and checked in the bytes that come |
//! | `packed.rs` | a compressed message, and compressed echoes checked |
//! | `fault.rs` | what can be wrong |
//! | `report.rs` | the result, for people and as JSON |

mod fault;
mod http;
mod link;
mod pace;
#[cfg_attr(not(feature = "deflate"), path = "packed_absent.rs")]
mod packed;
mod plan;
mod report;
mod runner;
mod websocket;

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::{exit, say, show, value};
use plan::Plan;
use runner::Outcome;

/// Measures a WebSocket or HTTP server: throughput and latency.
///
/// Each connection keeps `--depth` messages under way: it sends one whenever one is answered.
/// A WebSocket server (ws://) must echo them; each echo is compared with what was sent. An HTTP
/// server (http://) gets GET requests, or POST requests with a body of `--size` bytes, and must
/// answer each with 2xx. What is not answered so is an error, counted by kind.
///
/// The time of a message runs from the moment it is handed to the connection until its answer
/// was read. Mind what that leaves out (coordinated omission): a server that stalls is not sent
/// more meanwhile, so a stall of a second is one slow message for each one under way, not for all
/// that would have come in that second. Percentiles of a server at its limit say how long its
/// queue is; compare servers at the same connections, depth and size.
///
/// With `--rate` messages are sent at fixed times, in turn on all connections, whether or not
/// earlier ones were answered, and the time of a message runs from the moment it was due: a stall
/// is a slow message for all that was due in it. Choose a rate that the server can keep up with;
/// above it the times only grow until the end.
///
/// The load comes from `--threads` threads. The result says how busy they were: near 100 % it
/// was them that were measured, and more threads (or another machine) may show more.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_long_help = "\
Examples:
  oneport load ws://127.0.0.1:8765/
  oneport load ws://127.0.0.1:8765/ --connections 1000 --size 4096 --threads 2
  oneport load http://127.0.0.1:8000/hello --depth 16 --seconds 10
  oneport load http://127.0.0.1:8000/hello --rate 2000
  oneport load ws://127.0.0.1:8765/ --json --quiet | jq .per_second

JSON: times are microseconds, rates per second, sizes bytes. `answers` counts those within the
measured time, `errors` those of the whole run by kind.

Exit codes:
  0  measured, every answer as it should be
  1  could not connect
  2  the command line cannot be followed
  3  measured, but there were errors or no answers at all"
)]
pub(crate) struct Flags {
    /// What to measure: ws://HOST[:PORT][/PATH] or http://HOST[:PORT][/PATH]
    #[arg(value_name = "URL")]
    uri: String,

    /// Connections at the same time
    #[arg(short, long, value_name = "N", default_value_t = 50,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: u32,

    /// Messages under way on each connection; for HTTP: requests sent ahead (pipelined)
    #[arg(short, long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=65_536))]
    depth: u32,

    /// Messages a second over all connections, at fixed times, instead of one for each answer
    #[arg(short, long, value_name = "PER_SECOND", conflicts_with = "depth",
        value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rate: Option<u32>,

    /// Bytes of a message [default: 128], or of the body of a request [default: 0, a GET]
    #[arg(long, value_name = "BYTES",
        value_parser = clap::value_parser!(u32).range(0..=1 << 30))]
    size: Option<u32>,

    /// How long to measure
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = value::some_seconds)]
    seconds: Duration,

    /// How long to send before the measurement begins
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = value::seconds)]
    warm_up: Duration,

    /// Threads that send
    #[arg(short, long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: u32,

    /// Sends binary messages instead of text
    #[arg(long)]
    binary: bool,

    /// A further field of the request, as 'name: value'; repeatable
    #[arg(short = 'H', long = "header", value_name = "FIELD", value_parser = value::field)]
    fields: Vec<(String, String)>,

    /// Offers a subprotocol; repeatable, the best first
    #[arg(short, long, value_name = "NAME")]
    subprotocol: Vec<String>,

    /// The Origin, for servers that check it
    #[arg(short, long)]
    origin: Option<String>,

    /// Offers to compress messages (permessage-deflate), and demands it; ws:// only. What is sent is
    /// compressed once, the text is one that shrinks well
    #[cfg(feature = "deflate")]
    #[arg(long)]
    deflate: bool,

    /// Prints the result as JSON
    #[arg(long)]
    json: bool,

    /// No progress line on standard error
    #[arg(short, long)]
    quiet: bool,
}

impl Flags {
    fn deflate(&self) -> Option<oneport::Deflate> {
        #[cfg(feature = "deflate")]
        if self.deflate {
            return Some(oneport::Deflate::default());
        }
        None
    }
}

/// What all connections do at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
#[repr(u8)]
enum Phase {
    Connect,
    WarmUp,
    Measure,
    End,
}

/// What the threads tell each other.
#[derive(Default)]
struct Shared {
    phase: AtomicU8,
    /// Connections that were opened, once each.
    opened: AtomicUsize,
    /// Connections that are no more, or never were.
    lost: AtomicUsize,
    answers: AtomicU64,
    faults: AtomicU64,
}

impl Shared {
    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Connect,
            1 => Phase::WarmUp,
            2 => Phase::Measure,
            _ => Phase::End,
        }
    }

    fn begin(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }
}

/// For all connections to be open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Measures; the exit code.
pub(crate) fn run(flags: &Flags) -> u8 {
    let plan = match Plan::new(flags) {
        Ok(plan) => plan,
        Err((code, what)) => {
            exit::complain(&what);
            return code;
        }
    };
    raise_descriptor_limit();
    let shared = Shared::default();
    let outcome = std::thread::scope(|scope| {
        let threads = flags.threads.min(flags.connections);
        let mut runners = Vec::new();
        for number in 0..threads {
            let share =
                flags.connections / threads + u32::from(number < flags.connections % threads);
            let (plan, shared) = (&plan, &shared);
            let run = move || runner::run(plan, shared, share as usize);
            match std::thread::Builder::new().spawn_scoped(scope, run) {
                Ok(runner) => runners.push(runner),
                Err(error) => {
                    shared.begin(Phase::End);
                    return Err(error);
                }
            }
        }
        lead(flags, &shared);
        let mut whole = Outcome::default();
        for runner in runners {
            match runner.join() {
                Ok(outcome) => whole.add(outcome?),
                Err(_) => return Err(std::io::Error::other("a thread panicked")),
            }
        }
        Ok(whole)
    });
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            exit::complain(&error);
            return exit::BROKEN;
        }
    };
    let opened = shared.opened.load(Ordering::Relaxed);
    let text = match flags.json {
        true => report::json(flags, &plan, opened, &outcome),
        false => report::text(flags, &plan, opened, &outcome),
    };
    if let Err(error) = std::io::stdout().write_all(text.as_bytes()) {
        exit::complain(&error);
        return exit::BROKEN;
    }
    match (opened, outcome.answers, outcome.faults.is_empty()) {
        (0, ..) => exit::BROKEN,
        (_, 1.., true) => exit::WELL,
        _ => exit::NOT_WELL,
    }
}

/// Leads through the phases. A signal ends the measurement early, and what there is is told.
fn lead(flags: &Flags, shared: &Shared) {
    let (tell, told) = mpsc::channel();
    if let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) {
        std::thread::spawn(move || {
            for _ in signals.forever() {
                let _ = tell.send(());
            }
        });
    }
    let mut progress = Progress::new(flags, shared);
    let all = flags.connections as usize;
    let settled = || {
        let (opened, lost) = (&shared.opened, &shared.lost);
        opened.load(Ordering::Relaxed) + lost.load(Ordering::Relaxed) >= all
    };
    let over = || shared.lost.load(Ordering::Relaxed) >= all;
    let go_on = pass(&told, CONNECT_TIMEOUT, settled, || progress.show("connecting"));
    if go_on && !over() {
        shared.begin(Phase::WarmUp);
        if pass(&told, flags.warm_up, over, || progress.show("warming up")) && !over() {
            shared.begin(Phase::Measure);
            pass(&told, flags.seconds, over, || progress.show("measuring"));
        }
    }
    shared.begin(Phase::End);
    progress.end();
}

/// Lets time pass, until something is so; false if a signal came.
fn pass(
    told: &Receiver<()>,
    time: Duration,
    until: impl Fn() -> bool,
    mut meanwhile: impl FnMut(),
) -> bool {
    let end = Instant::now().checked_add(time);
    loop {
        let left = end.map_or(time, |end| end.saturating_duration_since(Instant::now()));
        if left.is_zero() || until() {
            return true;
        }
        match told.recv_timeout(left.min(Duration::from_millis(20))) {
            Ok(()) => return false,
            Err(RecvTimeoutError::Timeout) => {}
            // No signals can be had.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(Duration::from_millis(20)),
        }
        meanwhile();
    }
}

/// The progress line: one that is written over at a terminal, else a line a second.
struct Progress<'p> {
    shared: &'p Shared,
    connections: u32,
    quiet: bool,
    terminal: bool,
    began: Instant,
    /// When a line was shown, and the answers then.
    last: (Instant, u64),
    width: usize,
}

impl<'p> Progress<'p> {
    fn new(flags: &Flags, shared: &'p Shared) -> Self {
        let now = Instant::now();
        Self {
            shared,
            connections: flags.connections,
            quiet: flags.quiet,
            terminal: std::io::stderr().is_terminal(),
            began: now,
            last: (now, 0),
            width: 0,
        }
    }

    fn show(&mut self, what: &str) {
        let now = Instant::now();
        let passed = now - self.last.0;
        let pace = if self.terminal { 200 } else { 1000 };
        if self.quiet || passed < Duration::from_millis(pace) {
            return;
        }
        let answers = self.shared.answers.load(Ordering::Relaxed);
        let rate = (answers - self.last.1) as f64 / passed.as_secs_f64();
        let open = self.shared.opened.load(Ordering::Relaxed);
        let faults = self.shared.faults.load(Ordering::Relaxed);
        let line = format!(
            "{:5.1} s  {what}: {open} of {} opened, {} answers a second, {}",
            (now - self.began).as_secs_f64(),
            self.connections,
            show::thousands(rate as u64),
            show::count(faults as usize, "error"),
        );
        self.last = (now, answers);
        if self.terminal {
            say::err(format_args!("\r{line:0$}", self.width));
            self.width = line.len();
        } else {
            say::err(format_args!("{line}\n"));
        }
    }

    /// Wipes the line.
    fn end(&self) {
        if self.width > 0 {
            say::err(format_args!("\r{:1$}\r", "", self.width));
        }
    }
}

/// Each connection is a descriptor: as many as the system allows us.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // What is lacking shows as an error of the connections.
    let _ = setrlimit(Resource::Nofile, wanted);
}
