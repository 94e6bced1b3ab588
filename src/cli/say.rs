//! Printing that cannot fail.
//!
//! `println!` panics when nobody reads the other end of a pipe: a server would
//! then answer 500 because its log is not read. Here a line that cannot be printed is lost.

use std::fmt::Display;
use std::io::Write;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;

/// Prints to standard output, now.
pub(crate) fn out(text: impl Display) {
    let mut stdout = std::io::stdout().lock();
    let _ = write!(stdout, "{text}").and_then(|()| stdout.flush());
}

/// Prints to standard error.
pub(crate) fn err(text: impl Display) {
    let _ = write!(std::io::stderr().lock(), "{text}");
}

/// Lines that wait to be printed.
const WAITING: usize = 1024;
/// How long the end waits for the last of them.
const PATIENCE: Duration = Duration::from_secs(1);

/// A thread that prints to standard error, for those that must not wait until somebody reads it.
pub(crate) struct Printer {
    lines: SyncSender<String>,
    ended: Receiver<()>,
}

/// Gives lines to a [`Printer`].
#[derive(Clone)]
pub(crate) struct Lines(SyncSender<String>);

impl Printer {
    pub(crate) fn new() -> std::io::Result<Self> {
        let (lines, printed) = mpsc::sync_channel::<String>(WAITING);
        let (end, ended) = mpsc::channel();
        let print = move || {
            for line in printed {
                err(line);
            }
            // Nobody may wait for it any more.
            let _ = end.send(());
        };
        std::thread::Builder::new().name("printer".to_string()).spawn(print)?;
        Ok(Self { lines, ended })
    }

    pub(crate) fn lines(&self) -> Lines {
        Lines(self.lines.clone())
    }

    /// Waits until all is printed, if somebody reads it, and nobody has [`Lines`] any more.
    pub(crate) fn end(self) {
        drop(self.lines);
        let _ = self.ended.recv_timeout(PATIENCE);
    }
}

impl Lines {
    /// A line; lost if very many wait already.
    pub(crate) fn print(&self, mut line: String) {
        line.push('\n');
        let _ = self.0.try_send(line);
    }
}
