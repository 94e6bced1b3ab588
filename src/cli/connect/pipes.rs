//! In a pipe: lines in, messages out.
//!
//! ```text
//!   stdin thread     lines -> messages; blocks while the server takes nothing
//!   receiver thread  messages, and the end ──┐
//!   signal thread    SIGINT, SIGTERM ────────┼──> this thread: prints, decides when to close
//!   stdin thread     the end of the input ───┘
//! ```

use std::io::{self, BufRead, BufWriter, Write};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::time::Duration;

use oneport::client::{Error, Message, Receiver, Sender, Wait, WebSocket};
use oneport::ws::{self, close};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::Flags;
use crate::{exit, show};

/// What wakes the thread that prints. Few wait: a reader of our output that is slow slows the
/// server down.
enum Happening {
    Message(Message),
    End(Error),
    /// The input is over.
    InputEnd,
    /// A line of the input cannot be sent.
    Unsendable(String),
    Signal,
}

const FEW: usize = 64;

/// Sends and prints until the end; the exit code.
pub(super) fn run(socket: WebSocket, flags: &Flags, terminal: bool) -> u8 {
    let (sender, receiver) = socket.split();
    let (tell, told) = mpsc::sync_channel(FEW);
    match Signals::new([SIGINT, SIGTERM]) {
        Ok(mut signals) => {
            let tell = tell.clone();
            std::thread::spawn(move || {
                for _ in signals.forever() {
                    let _ = tell.send(Happening::Signal);
                }
            });
        }
        Err(error) => exit::complain(&format!("cannot listen for signals: {error}")),
    }
    let (sending, telling, hex) = (sender.clone(), tell.clone(), flags.hex);
    std::thread::spawn(move || read_input(&sending, &telling, hex));
    std::thread::spawn(move || receive(receiver, &tell));
    let printer = Printer { output: BufWriter::new(io::stdout()), terminal };
    Loop { told, sender, printer, wait: flags.wait, closing: false, trouble: None }.run()
}

fn read_input(sender: &Sender, tell: &SyncSender<Happening>, hex: bool) {
    let mut input = io::stdin().lock();
    let mut bytes = Vec::new();
    let mut number = 0u64;
    let outcome = loop {
        bytes.clear();
        number += 1;
        match input.read_until(b'\n', &mut bytes) {
            Ok(0) => break Happening::InputEnd,
            Ok(_) => {}
            Err(error) => break Happening::Unsendable(format!("the input: {error}")),
        }
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let sent = match (std::str::from_utf8(line), hex) {
            (Ok(text), false) => sender.send(text),
            (Ok(text), true) => match show::from_hex(text) {
                Ok(bytes) => sender.send(ws::Message::Binary(&bytes)),
                Err(what) => {
                    break Happening::Unsendable(format!("line {number} of the input: {what}"));
                }
            },
            (Err(_), _) => {
                break Happening::Unsendable(format!(
                    "line {number} of the input is not UTF-8; --hex sends binary messages"
                ));
            }
        };
        // The receiver thread learns the same and tells it.
        if sent.is_err() {
            return;
        }
    };
    let _ = tell.send(outcome);
}

fn receive(mut receiver: Receiver, tell: &SyncSender<Happening>) {
    loop {
        let happening = match receiver.receive() {
            Ok(message) => Happening::Message(message),
            Err(Error::TimedOut(Wait::Receive)) => continue,
            Err(end) => {
                let _ = tell.send(Happening::End(end));
                return;
            }
        };
        if tell.send(happening).is_err() {
            return;
        }
    }
}

/// Writes messages, one a line.
struct Printer {
    output: BufWriter<io::Stdout>,
    terminal: bool,
}

impl Printer {
    fn print(&mut self, message: &Message) -> io::Result<()> {
        match message {
            Message::Text(text) if self.terminal => {
                writeln!(self.output, "{}", show::text(text, ""))
            }
            Message::Text(text) => writeln!(self.output, "{text}"),
            Message::Binary(bytes) => writeln!(self.output, "{}", show::hex(bytes)),
        }
    }
}

struct Loop {
    told: mpsc::Receiver<Happening>,
    sender: Sender,
    printer: Printer,
    /// How long silence lasts that ends it, once the input is over.
    wait: Duration,
    closing: bool,
    /// The exit code of what went wrong on our side.
    trouble: Option<u8>,
}

impl Loop {
    fn run(mut self) -> u8 {
        let mut input_over = false;
        loop {
            match self.next(input_over && !self.closing) {
                Some(Happening::Message(message)) => {
                    if let Err(error) = self.printer.print(&message) {
                        self.output_failed(&error);
                    }
                }
                Some(Happening::End(end)) => return self.end(&end),
                Some(Happening::InputEnd) => input_over = true,
                Some(Happening::Unsendable(what)) => {
                    exit::complain(&what);
                    self.trouble = Some(exit::USAGE);
                    self.close();
                }
                Some(Happening::Signal) if self.closing => return exit::TIME,
                // The end of the silence, or of our reader's patience.
                Some(Happening::Signal) | None => self.close(),
            }
        }
    }

    /// What happens next; `None` if nothing does for as long as we wait.
    fn next(&mut self, limited: bool) -> Option<Happening> {
        if let Ok(happening) = self.told.try_recv() {
            return Some(happening);
        }
        if let Err(error) = self.printer.output.flush() {
            self.output_failed(&error);
        }
        let wait = if limited { self.wait } else { Duration::MAX };
        match self.told.recv_timeout(wait) {
            Ok(happening) => Some(happening),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Happening::End(Error::Closed {
                code: close::NO_STATUS,
                reason: String::new(),
            })),
        }
    }

    /// Nobody reads what we print (as with `| head -1`, which is a normal end), or the disk is
    /// full.
    fn output_failed(&mut self, error: &io::Error) {
        if self.closing {
            return;
        }
        if error.kind() != io::ErrorKind::BrokenPipe {
            exit::complain(&format!("the output: {error}"));
            self.trouble = Some(exit::BROKEN);
        }
        self.close();
    }

    /// Closes, on a thread of its own: what still comes is printed. The receiver thread tells
    /// the end.
    fn close(&mut self) {
        if !std::mem::replace(&mut self.closing, true) {
            let sender = self.sender.clone();
            std::thread::spawn(move || sender.close(close::NORMAL, ""));
        }
    }

    fn end(mut self, end: &Error) -> u8 {
        if let Err(error) = self.printer.output.flush() {
            self.closing |= error.kind() == io::ErrorKind::BrokenPipe;
            self.output_failed(&error);
        }
        let code = exit::code(end);
        if code != exit::WELL {
            exit::complain(end);
        }
        self.trouble.unwrap_or(code)
    }
}
