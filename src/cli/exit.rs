//! What the exit code tells; `--help` of the commands says the same.

use oneport::client::Error;

/// Ended as it should.
pub(crate) const WELL: u8 = 0;
/// Could not connect, or the connection broke off.
pub(crate) const BROKEN: u8 = 1;
/// The command line cannot be followed; clap exits with the same.
pub(crate) const USAGE: u8 = 2;
/// Closed by the server with a code that is not a normal end; a measurement with errors.
pub(crate) const NOT_WELL: u8 = 3;
/// A time limit passed.
pub(crate) const TIME: u8 = 4;

/// The exit code for how a client ended.
pub(crate) fn code(error: &Error) -> u8 {
    match error {
        error if error.is_normal_close() => WELL,
        Error::Closed { .. } => NOT_WELL,
        Error::TimedOut(_) => TIME,
        Error::Uri { .. } | Error::Invalid(_) => USAGE,
        _ => BROKEN,
    }
}

/// Says on standard error what went wrong, safe to print.
pub(crate) fn complain(what: &dyn std::fmt::Display) {
    crate::say::err(format_args!("oneport: {}\n", crate::show::line(&what.to_string())));
}
