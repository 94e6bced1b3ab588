//! SIGTERM and SIGINT: the first ends the server in order, the second at once.

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use super::server::Stopper;

/// How long the last line may take.
const LAST_LINE: Duration = Duration::from_secs(1);

/// Listens for signals on a thread of its own until dropped.
pub(crate) struct SignalWatch {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl SignalWatch {
    pub(crate) fn begin(stopper: Stopper) -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let handle = signals.handle();
        let thread =
            std::thread::Builder::new().name("oneport-signals".into()).spawn(move || {
                let mut asked = false;
                for signal in signals.forever() {
                    if asked {
                        last_line("second signal: ending at once");
                        std::process::exit(128 + signal);
                    }
                    asked = true;
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

impl Drop for SignalWatch {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // It only ends or exits the process.
            let _ = thread.join();
        }
    }
}
