//! Floor 5: the command `oneport`, built on the public interface alone.
//!
//! | file | what |
//! |---|---|
//! | `main.rs` | the command line |
//! | `connect/` | `oneport connect`: an interactive client, or lines through pipes |
//! | `echo.rs` | `oneport echo`: an echo server |
//! | `load/` | `oneport load`: measures a server |
//! | `log.rs` | the log of `oneport echo` |
//! | `exit.rs` | what the exit code tells |
//! | `say.rs` | printing that cannot fail |
//! | `show.rs` | what a peer sent, safe to print |
//! | `value.rs` | values of options |

// They panic when nobody reads: see `say.rs`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod connect;
mod echo;
mod exit;
mod load;
mod log;
mod say;
mod show;
mod value;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Talks to WebSocket servers, is one, and measures them.
#[derive(Debug, Parser)]
#[command(
    name = "oneport",
    version,
    max_term_width = 100,
    after_help = "\
Try it, in two terminals:
  oneport echo
  oneport connect ws://127.0.0.1:8765/

`oneport COMMAND --help` has examples and the exit codes."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Connect(connect::Flags),
    Echo(echo::Flags),
    Load(load::Flags),
}

fn main() -> ExitCode {
    ExitCode::from(match Cli::parse().command {
        Command::Connect(flags) => connect::run(&flags),
        Command::Echo(flags) => echo::run(&flags),
        Command::Load(flags) => load::run(&flags),
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
