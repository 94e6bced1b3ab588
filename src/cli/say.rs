//! Printing that cannot fail.
//!
//! `println!` panics when nobody reads the other end of a pipe: a server would
//! then answer 500 because its log is not read. Here a line that cannot be printed is lost.

use std::fmt::Display;
use std::io::Write;

/// Prints to standard output, now.
pub(crate) fn out(text: impl Display) {
    let mut stdout = std::io::stdout().lock();
    let _ = write!(stdout, "{text}").and_then(|()| stdout.flush());
}

/// Prints to standard error.
pub(crate) fn err(text: impl Display) {
    let _ = write!(std::io::stderr().lock(), "{text}");
}
