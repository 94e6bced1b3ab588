//! SIGTERM and SIGINT: the first ends the server in order, the second at once. SIGHUP ends it in
//! order, or does nothing.

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use super::server::Stopper;

/// How long the last line may take.
const LAST_LINE: Duration = Duration::from_secs(1);

/// What a SIGHUP does to a server; it never kills it. Started with SIGHUP ignored, as by `nohup`, a
/// server goes on ignoring it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Hangup {
    /// The server ends in order, as on SIGTERM.
    #[default]
    Drain,
    /// Nothing.
    Ignore,
}

/// Listens for signals on a thread of its own until dropped.
pub(crate) struct SignalWatch {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl SignalWatch {
    pub(crate) fn begin(stopper: Stopper, hangup: Hangup) -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        if !hangup_is_ignored() {
            signals.add_signal(SIGHUP)?;
        }
        let handle = signals.handle();
        let thread =
            std::thread::Builder::new().name("oneport-signals".into()).spawn(move || {
                let mut asked = false;
                for signal in signals.forever() {
                    match (signal, hangup) {
                        (SIGHUP, Hangup::Ignore) => continue,
                        // Several of them, or one beside a SIGTERM, mean no hurry.
                        (SIGHUP, _) => {}
                        _ if asked => {
                            last_line("second signal: ending at once");
                            std::process::exit(128 + signal);
                        }
                        _ => asked = true,
                    }
                    // Before the line, which may have to wait for its reader.
                    stopper.stop();
                    log::info!("signal {signal}: answering what is in flight, then ending");
                }
            })?;
        Ok(Self { handle, thread: Some(thread) })
    }
}

/// Logs a line before the process ends; a log without a reader does not keep the process alive.
fn last_line(line: &'static str) {
    let (done, is_done) = mpsc::channel();
    let log = move || {
        log::warn!("{line}");
        log::logger().flush();
        // If it took too long, the other end is gone.
        let _ = done.send(());
    };
    if std::thread::Builder::new().name("oneport-last-line".into()).spawn(log).is_ok() {
        let _ = is_done.recv_timeout(LAST_LINE);
    }
}

/// Was the process started with SIGHUP ignored?
fn hangup_is_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

/// Does this status of a process say so? The mask has a bit for each signal, the first for number 1.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (SIGHUP - 1)) != 0)
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // It only ends or exits the process.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_process_tells_what_it_ignores() {
        let status = |mask| format!("Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\n");
        assert!(ignores_hangup(&status("0000000000001001")));
        assert!(!ignores_hangup(&status("0000000000001000")));
        assert!(!ignores_hangup(&status("no number")));
        assert!(!ignores_hangup(""));
    }
}
