//! At a terminal: a prompt below, messages above it.
//!
//! ```text
//!   this thread     reads lines, sends            receiver thread   prints what comes above
//!       ^                                              |            the prompt
//!       └───────────── the end: a SIGINT to ourselves ─┘
//! ```
//!
//! The line editor waits for a key, and only a key or a signal ends that. So whoever learns that
//! the conversation is over raises the signal of Ctrl-C, until this thread has looked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oneport::client::{Error, Receiver, Sender, WebSocket};
use oneport::ws::close;
use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor, ExternalPrinter};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::line::{self, Line};
use crate::{exit, say, show};

/// For the answer to `/ping`.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Prints above the prompt.
type Printer = Arc<Mutex<dyn ExternalPrinter + Send>>;

fn print(printer: &Printer, text: String) {
    // A terminal that is gone: then the line editor says so.
    let _ = printer.lock().unwrap_or_else(PoisonError::into_inner).print(text);
}

/// What the threads tell the one that reads lines.
#[derive(Default)]
struct Told {
    /// How the WebSocket ended.
    end: Mutex<Option<Error>>,
    /// A signal asked us to go.
    go: AtomicBool,
    /// We are about to end anyway.
    ending: AtomicBool,
}

impl Told {
    fn anything(&self) -> bool {
        self.go.load(Ordering::Acquire)
            || self.end.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Wakes the line editor until it has noticed. Once is not enough: between two lines nobody
    /// hears the signal.
    fn wake(&self) {
        while !self.ending.load(Ordering::Acquire) {
            let _ = signal_hook::low_level::raise(SIGINT);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Talks until either side ends it; the exit code.
pub(super) fn run(socket: WebSocket, uri: &str) -> u8 {
    match prepare(socket, uri) {
        Ok(code) => code,
        Err(error) => {
            exit::complain(&format!("the terminal cannot be used: {error}"));
            exit::BROKEN
        }
    }
}

fn prepare(socket: WebSocket, uri: &str) -> rustyline::Result<u8> {
    let mut editor = DefaultEditor::with_config(Config::builder().auto_add_history(true).build())?;
    let printer: Printer = Arc::new(Mutex::new(editor.create_external_printer()?));
    // In the line editor Ctrl-C is a key. Outside of it, it is a signal, and means the same.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    say::out(format_args!("Connected to {}{}\n", show::line(uri), details(&socket)));
    say::out("/help shows the commands, Ctrl-D closes.\n");
    let (sender, receiver) = socket.split();
    let told = Arc::new(Told::default());
    let (there, above) = (Arc::clone(&told), Arc::clone(&printer));
    std::thread::spawn(move || receive(receiver, &above, &there));
    let there = Arc::clone(&told);
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            there.go.store(true, Ordering::Release);
            there.wake();
        }
    });
    Ok(converse(&mut editor, &sender, &printer, &told))
}

fn details(socket: &WebSocket) -> String {
    let mut details = Vec::new();
    if let Some(name) = socket.subprotocol() {
        details.push(format!("subprotocol {}", show::line(name)));
    }
    if socket.is_compressed() {
        details.push("compressed".to_string());
    }
    if details.is_empty() { ".".to_string() } else { format!(" ({}).", details.join(", ")) }
}

/// The receiver thread.
fn receive(mut receiver: Receiver, printer: &Printer, told: &Told) {
    let end = loop {
        match receiver.receive() {
            Ok(message) => print(printer, show::message(&message)),
            Err(Error::TimedOut(oneport::client::Wait::Receive)) => {}
            Err(end) => break end,
        }
    };
    *told.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    if !told.ending.load(Ordering::Acquire) {
        // One text waits for the editor at most. This one (up a line and down again) is not
        // seen; when it has been taken, the last message has been printed.
        print(printer, "\x1b[A\n".to_string());
        told.wake();
    }
}

/// Reads lines and does what they say.
fn converse(editor: &mut DefaultEditor, sender: &Sender, printer: &Printer, told: &Told) -> u8 {
    while !told.anything() {
        let line = match editor.readline("> ") {
            Ok(line) => line,
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => break,
            Err(error) => {
                exit::complain(&error);
                break;
            }
        };
        match line::parse(&line) {
            Ok(Line::Nothing) => {}
            Ok(Line::Help) => say::out(line::HELP),
            Ok(Line::Send(message)) => {
                // Should it fail, the receiver thread knows why.
                if let Err(error @ Error::Invalid(_)) = sender.send(&message) {
                    say::out(format_args!("{error}\n"));
                }
            }
            Ok(Line::Ping) => {
                let (sender, printer) = (sender.clone(), Arc::clone(printer));
                std::thread::spawn(move || match sender.ping(PING_TIMEOUT) {
                    Ok(time) => print(&printer, format!("pong after {}\n", millis(time))),
                    Err(error) => print(&printer, format!("{}\n", show::line(&error.to_string()))),
                });
            }
            Ok(Line::Close(code, reason)) => return end(sender, told, code, &reason),
            Err(what) => say::out(format_args!("{}\n", show::line(&what))),
        }
    }
    end(sender, told, close::NORMAL, "")
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// Tells how it ended, or ends it.
fn end(sender: &Sender, told: &Told, code: u16, reason: &str) -> u8 {
    told.ending.store(true, Ordering::Release);
    let end = told.end.lock().unwrap_or_else(PoisonError::into_inner).take();
    match end {
        Some(end) => {
            match &end {
                Error::Closed { code, reason } if reason.is_empty() => {
                    say::out(format_args!("Closed by the server: {code}.\n"));
                }
                Error::Closed { code, reason } => {
                    say::out(format_args!(
                        "Closed by the server: {code}, {}\n",
                        show::line(reason)
                    ));
                }
                other => exit::complain(other),
            }
            exit::code(&end)
        }
        None => match sender.close(code, reason) {
            Ok(()) => {
                say::out(format_args!("Closed: {code}.\n"));
                exit::WELL
            }
            Err(error) => {
                exit::complain(&error);
                exit::code(&error)
            }
        },
    }
}
