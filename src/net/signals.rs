//! SIGTERM and SIGINT: the first ends the server in order, the second at once.

use std::io;
use std::thread::JoinHandle;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use super::server::Stopper;

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
                        log::warn!("second signal: ending at once");
                        std::process::exit(128 + signal);
                    }
                    asked = true;
                    log::info!("signal {signal}: answering what is in flight, then ending");
                    stopper.stop();
                }
            })?;
        Ok(Self { handle, thread: Some(thread) })
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
