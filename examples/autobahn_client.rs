//! Runs the cases of the Autobahn test suite's fuzzing server against our client.
//!
//! ```sh
//! cargo run --release --example autobahn_client -- ws://127.0.0.1:9001
//! ```

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::time::Duration;

use oneport::client::{self, Connect, Error};

/// Our name in the report.
const AGENT: &str = "oneport";

fn main() -> ExitCode {
    env_logger::init();
    let Some(server) = std::env::args().nth(1) else {
        say(std::io::stderr(), format_args!("usage: autobahn_client ws://HOST:PORT"));
        return ExitCode::from(2);
    };
    match run_all(server.trim_end_matches('/')) {
        Ok(count) => {
            say(std::io::stdout(), format_args!("{count} cases"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(std::io::stderr(), format_args!("autobahn_client: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run_all(server: &str) -> Result<u32, Error> {
    let mut socket = client::connect(&format!("{server}/getCaseCount"))?;
    let answer = socket.receive()?;
    let count: u32 = answer
        .as_text()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::Handshake(format!("{answer:?} is no number of cases")))?;
    for case in 1..=count {
        match run_case(&format!("{server}/runCase?case={case}&agent={AGENT}")) {
            // How a case ends is judged by the server; here it is over.
            Ok(()) | Err(Error::Closed { .. } | Error::Protocol(_) | Error::Broken(_)) => {}
            Err(error) => say(std::io::stderr(), format_args!("case {case}: {error}")),
        }
    }
    let mut socket = client::connect(&format!("{server}/updateReports?agent={AGENT}"))?;
    match socket.receive() {
        Ok(_) | Err(Error::Closed { .. }) => Ok(count),
        Err(error) => Err(error),
    }
}

/// Echoes every message until the server closes.
fn run_case(uri: &str) -> Result<(), Error> {
    let connect = Connect::to(uri).ping_interval(Duration::ZERO);
    #[cfg(feature = "deflate")]
    let connect = connect.deflate(oneport::Deflate::default());
    let mut socket = connect.connect()?;
    loop {
        let message = socket.receive()?;
        socket.send(&message)?;
    }
}

/// As `println!`, which panics when nobody reads what it prints any more.
fn say(mut to: impl std::io::Write, line: std::fmt::Arguments<'_>) {
    let _ = writeln!(to, "{line}");
}
