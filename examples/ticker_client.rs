//! A client that sends the time every second and prints what comes back, until Ctrl-C: then it
//! sends a Close, waits up to one second for the answer, and ends.
//!
//! ```sh
//! cargo run --example echo        # the server, in another terminal
//! cargo run --example ticker_client -- ws://127.0.0.1:8765/
//! ```

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oneport::client::{self, Connect};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

fn main() -> ExitCode {
    env_logger::init();
    let uri = std::env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:8765/".to_string());
    match tick(&uri) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(std::io::stderr(), format_args!("ticker_client: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn tick(uri: &str) -> Result<(), client::Error> {
    let socket = Connect::to(uri).close_timeout(Duration::from_secs(10)).connect()?;
    let (sender, mut receiver) = socket.split();

    // Whatever ends it comes through this channel: a signal, or the end of the WebSocket.
    let (end, ended) = mpsc::channel::<Result<(), client::Error>>();
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(client::Error::Broken)?;
    let interrupted = end.clone();
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            let _ = interrupted.send(Ok(()));
        }
    });
    std::thread::spawn(move || {
        for message in &mut receiver {
            match message {
                Ok(message) => say(
                    std::io::stdout(),
                    format_args!("< {}", message.as_text().unwrap_or("(binary)")),
                ),
                Err(error) => {
                    let _ = end.send(Err(error));
                    return;
                }
            }
        }
        let _ = end.send(Ok(()));
    });

    loop {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        sender.send(format!("tick {}", now.as_secs()).as_str())?;
        match ended.recv_timeout(Duration::from_secs(1)) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Err(error)) => return Err(error),
            Ok(Ok(())) | Err(RecvTimeoutError::Disconnected) => {
                return sender.close(1000, "interrupted");
            }
        }
    }
}

/// As `println!`, which panics when nobody reads what it prints any more.
fn say(mut to: impl std::io::Write, line: std::fmt::Arguments<'_>) {
    let _ = writeln!(to, "{line}");
}
