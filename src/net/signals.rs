//! SIGTERM and SIGINT: the first ends the server in order, the second at once. SIGHUP ends it in
//! order, or does nothing.

use std::io;
use std::thread::JoinHandle;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use super::server::Stopper;

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
                            log::warn!("second signal: ending at once");
                            std::process::exit(128 + signal);
                        }
                        _ => asked = true,
                    }
                    log::info!("signal {signal}: answering what is in flight, then ending");
                    stopper.stop();
                }
            })?;
        Ok(Self { handle, thread: Some(thread) })
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
