//! A client: sends a few messages, awaits the echo of each, closes.
//!
//! ```sh
//! cargo run --example echo        # the server, in another terminal
//! cargo run --example echo_client -- ws://127.0.0.1:8765/
//! ```

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::time::Duration;

use oneport::client::{self, Connect};

fn main() -> ExitCode {
    env_logger::init();
    let uri = std::env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:8765/".to_string());
    match talk(&uri) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(std::io::stderr(), format_args!("echo_client: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn talk(uri: &str) -> Result<(), client::Error> {
    let mut socket = Connect::to(uri)
        .connect_timeout(Duration::from_secs(5))
        .receive_timeout(Duration::from_secs(5))
        .connect()?;
    for text in ["Hello!", "How are you?", "Grüße aus Köln \u{1f44b}"] {
        say(std::io::stdout(), format_args!("> {text}"));
        socket.send(text)?;
        match socket.receive()? {
            client::Message::Text(echo) => say(std::io::stdout(), format_args!("< {echo}")),
            client::Message::Binary(bytes) => {
                say(std::io::stdout(), format_args!("< {} bytes", bytes.len()))
            }
        }
    }
    say(std::io::stdout(), format_args!("round trip: {:?}", socket.ping(Duration::from_secs(5))?));
    socket.close(1000, "that was all")
}

/// As `println!`, which panics when nobody reads what it prints any more.
fn say(mut to: impl std::io::Write, line: std::fmt::Arguments<'_>) {
    let _ = writeln!(to, "{line}");
}
