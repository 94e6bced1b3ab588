//! `oneport connect`: a WebSocket client for people and for pipes.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | options, connecting |
//! | `line.rs` | what a typed line means |
//! | `interactive.rs` | at a terminal |
//! | `pipes.rs` | in a pipe |

mod interactive;
mod line;
mod pipes;

use std::io::IsTerminal;
#[cfg(feature = "tls")]
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use oneport::client::Connect;

use crate::exit;
use crate::value;

/// Connects to a WebSocket server: an interactive client, or lines through pipes.
///
/// At a terminal it is interactive: what is typed is sent as a text message, what comes is
/// printed above the prompt behind `< `. Control characters and others that nobody sees are
/// escaped in it. Lines that begin with `/` are commands: `/help` shows them. Ctrl-C or Ctrl-D
/// closes.
///
/// In a pipe (standard input or output is not a terminal) every line of the input is sent as one
/// text message, and every message that comes is one line of the output: text as it is (a text
/// with line breaks takes several lines; escaped if the output is a terminal), binary as
/// hexadecimal digits. There are no commands. After the end of the input the connection is
/// closed when nothing has come for as long as `--wait` says.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_long_help = "\
Examples:
  oneport connect ws://127.0.0.1:8765/
  echo hello | oneport connect ws://127.0.0.1:8765/
  oneport connect wss://example.com/feed --wait inf </dev/null | jq .price
  oneport connect ws://127.0.0.1:8000/chat -s chat.v2 -H 'authorization: Bearer secret'

Exit codes:
  0  closed normally, by either side (1000, 1001 or without a code)
  1  could not connect, or the connection broke off
  2  the command line or the input cannot be followed
  3  closed by the server with another code
  4  a time limit passed: for connecting, sending, a pong, or the server's Close"
)]
pub(crate) struct Flags {
    /// Where to: ws://HOST[:PORT][/PATH], or wss:// for TLS
    #[arg(value_name = "URL")]
    uri: String,

    /// Offers a subprotocol; repeatable, the best first
    #[arg(short, long, value_name = "NAME")]
    subprotocol: Vec<String>,

    /// A further field of the request, as 'name: value'; repeatable
    #[arg(short = 'H', long = "header", value_name = "FIELD", value_parser = value::field)]
    fields: Vec<(String, String)>,

    /// The Origin, for servers that check it
    #[arg(short, long)]
    origin: Option<String>,

    /// Offers to compress messages (permessage-deflate)
    #[cfg(feature = "deflate")]
    #[arg(long)]
    deflate: bool,

    /// Trusts the certificates in this PEM file instead of Mozilla's
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// The limit for connecting, the handshake included
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = value::seconds)]
    connect_timeout: Duration,

    /// In pipes: closes after the end of the input when nothing came for this long; `inf`: stays
    /// until the server closes
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = value::seconds)]
    wait: Duration,

    /// In pipes: lines of the input are hexadecimal digits and are sent as binary messages
    #[arg(long)]
    hex: bool,
}

impl Flags {
    /// # Errors
    /// The exit code, and what is wrong.
    fn connect(&self) -> Result<Connect, (u8, String)> {
        let mut connect = Connect::to(&self.uri).connect_timeout(self.connect_timeout);
        for name in &self.subprotocol {
            connect = connect.subprotocol(name);
        }
        for (name, value) in &self.fields {
            connect = connect.field(name, value);
        }
        if let Some(origin) = &self.origin {
            connect = connect.origin(origin);
        }
        #[cfg(feature = "deflate")]
        if self.deflate {
            connect = connect.deflate(oneport::Deflate::default());
        }
        #[cfg(feature = "tls")]
        if let Some(path) = &self.ca {
            let unusable = |why: String| {
                (exit::USAGE, format!("--ca {} cannot be used: {why}", path.display()))
            };
            let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
            connect = connect.roots(&pem).map_err(|error| match error {
                oneport::client::Error::Tls { source, .. } => unusable(source.to_string()),
                other => unusable(other.to_string()),
            })?;
        }
        Ok(connect)
    }
}

/// Connects and stays until the end; the exit code.
pub(crate) fn run(flags: &Flags) -> u8 {
    let connected = flags.connect().and_then(|connect| {
        connect.connect().map_err(|error| (exit::code(&error), error.to_string()))
    });
    let socket = match connected {
        Ok(socket) => socket,
        Err((code, what)) => {
            exit::complain(&what);
            return code;
        }
    };
    let (input, output) = (std::io::stdin().is_terminal(), std::io::stdout().is_terminal());
    if input && output {
        interactive::run(socket, &flags.uri)
    } else {
        pipes::run(socket, flags, output)
    }
}
