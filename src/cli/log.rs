//! The log of `oneport echo`: lines on standard error. A thread writes them; the server does not
//! wait for it.

use std::io::Write as _;

use log::{Level, LevelFilter, Log, Metadata, Record};

/// The target of lines that are asked for, and written as they are.
pub(crate) const VERBOSE: &str = "verbose";

struct Lines;

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == VERBOSE || metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        let name = if record.target() == VERBOSE { "" } else { "oneport: " };
        // If standard error is closed, no line is wanted.
        let _ = writeln!(std::io::stderr(), "{name}{}", record.args());
    }

    fn flush(&self) {}
}

/// Begins to log, until the guard is dropped. Without it the server serves, too.
pub(crate) fn begin() -> std::io::Result<oneport::LogGuard> {
    oneport::log_in_background(Lines, LevelFilter::Info)
}
