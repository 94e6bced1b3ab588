//! The program that outside suites drive: every kind of request, answer and WebSocket on one
//! port, and a flag for every limit. It is built on the public API alone.
//!
//! ```text
//! cargo run --release --example testbed -- --port 9001
//! ```
//!
//! | file | what |
//! |---|---|
//! | `testbed.rs` | start, routing |
//! | `testbed/flags.rs` | the command line |
//! | `testbed/http.rs` | the pages |
//! | `testbed/websocket.rs` | the WebSockets |
//! | `testbed/shared.rs` | what all of them share, and the scope as JSON |

#![deny(clippy::print_stdout, clippy::print_stderr)]

#[path = "testbed/flags.rs"]
mod flags;
#[path = "testbed/http.rs"]
mod http;
#[path = "testbed/shared.rs"]
mod shared;
#[path = "testbed/websocket.rs"]
mod websocket;

use std::process::ExitCode;

use oneport::{App, AppError, Event, Handler, Outbox, Scope, SendEvent, Server};

use shared::{SHARED, Visit};

/// The application: called once per scope.
struct Testbed;

/// What answers the events of one scope.
enum Answer {
    /// `GET /plaintext`, by which servers are compared.
    Plaintext,
    Http(http::Page, Visit),
    WebSocket(websocket::Socket, Visit),
    Lifespan,
}

impl App for Testbed {
    type Handler = Answer;

    fn call(&self, scope: &Scope<'_>) -> Option<Answer> {
        match scope {
            // What comes most often is asked for first.
            Scope::Http(http) if http::is_plaintext(http) => Some(Answer::Plaintext),
            other => Answer::to(other),
        }
    }
}

impl Answer {
    #[inline(never)]
    fn to(scope: &Scope<'_>) -> Option<Answer> {
        match scope {
            Scope::Http(http) => {
                let page = http::route(http);
                let visit = Visit::new(page.known_path(), scope);
                Some(Answer::Http(page, visit))
            }
            Scope::WebSocket(websocket) => {
                // None: 404, for an upgrade request too.
                let socket = websocket::route(websocket)?;
                let visit = Visit::new(socket.known_path(), scope);
                Some(Answer::WebSocket(socket, visit))
            }
            Scope::Lifespan(_) => Some(Answer::Lifespan),
            _ => None,
        }
    }
}

impl Handler for Answer {
    fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
        // What comes most often is asked for first.
        match (&mut *self, &event) {
            (Answer::Plaintext, _) => http::plaintext(event, out),
            (Answer::WebSocket(socket, _), Event::WebSocketReceive(message)) => {
                socket.message(*message, out)
            }
            _ => self.receive_other(event, out),
        }
    }
}

impl Answer {
    #[inline(never)]
    fn receive_other(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
        match self {
            // Asked for already, but the compiler does not know.
            Answer::Plaintext => http::plaintext(event, out),
            Answer::Http(page, visit) => {
                if let Event::HttpDisconnect = event {
                    visit.record(page.known_path(), "http.disconnect", None, "");
                }
                page.receive(event, out)
            }
            Answer::WebSocket(socket, visit) => match event {
                Event::WebSocketReceive(message) => socket.message(message, out),
                Event::WebSocketDisconnect { code, reason } => {
                    visit.record(socket.known_path(), "websocket.disconnect", Some(code), reason);
                    Ok(())
                }
                other => socket.receive(other, out),
            },
            Answer::Lifespan => lifespan(event, out),
        }
    }
}

fn lifespan(event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
    match event {
        Event::LifespanStartup => {
            out.insert_state(shared::Started(true))?;
            out.send(SendEvent::LifespanStartupComplete)?;
        }
        Event::LifespanShutdown => {
            out.send(SendEvent::LifespanShutdownComplete)?;
        }
        _ => {}
    }
    Ok(())
}

fn main() -> ExitCode {
    let env = env_logger::Env::default().default_filter_or("off");
    let logger = env_logger::Builder::from_env(env).build();
    let most = logger.filter();
    // Panics are asked for here: they are logged like everything else. Without a log the testbed
    // serves, too.
    let _log = oneport::log_in_background(logger, most);
    let flags = match flags::parse(std::env::args().skip(1)) {
        Ok(flags) => flags,
        Err(message) => {
            say(std::io::stderr(), format_args!("testbed: {message}"));
            return ExitCode::from(2);
        }
    };
    if let Err(error) = shared::make_files() {
        say(
            std::io::stderr(),
            format_args!("testbed: cannot make the file that /file serves: {error}"),
        );
        return ExitCode::FAILURE;
    }
    let server = flags.configure(Server::new(Testbed));
    SHARED.set_stats(server.stats());
    let bound = match server.bind(&flags.address()) {
        Ok(bound) => bound,
        Err(error) => {
            say(std::io::stderr(), format_args!("testbed: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let address = bound.local_addr();
    match bound
        .on_ready(move || say(std::io::stderr(), format_args!("listening on http://{address}")))
        .run()
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(std::io::stderr(), format_args!("testbed: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// As `println!`, which panics when nobody reads what it prints any more.
fn say(mut to: impl std::io::Write, line: std::fmt::Arguments<'_>) {
    let _ = writeln!(to, "{line}");
}
