//! An echo server that tells what happens: `cargo run --release --example echo`, then
//! `python3 -m websockets ws://127.0.0.1:8765/`.
//!
//! It answers on any path, logs who connects and what they say, tells a polite end from a broken
//! one, and keeps count of its clients. `--host H` and `--port P` choose where it listens.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use oneport::{App, AppError, Event, Flow, Handler, Message, Outbox, Scope, Server};

#[derive(Default)]
struct Echo {
    clients: Arc<AtomicUsize>,
}

/// One client.
struct Client {
    name: String,
    clients: Arc<AtomicUsize>,
    connected: bool,
}

/// A plain GET, by somebody who tried with a browser.
struct Page;

enum Answer {
    Client(Client),
    Page(Page),
}

impl App for Echo {
    type Handler = Answer;

    fn call(&self, scope: &Scope<'_>) -> Option<Answer> {
        match scope {
            Scope::WebSocket(websocket) => Some(Answer::Client(Client {
                name: websocket.client.map_or("somebody".into(), |client| client.to_string()),
                clients: Arc::clone(&self.clients),
                connected: false,
            })),
            Scope::Http(_) => Some(Answer::Page(Page)),
            _ => None,
        }
    }
}

impl Handler for Answer {
    fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
        match self {
            Answer::Client(client) => client.receive(event, out),
            Answer::Page(page) => page.receive(event, out),
        }
    }
}

impl Handler for Client {
    fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
        match event {
            Event::WebSocketConnect => {
                out.accept()?;
                self.connected = true;
                let count = self.clients.fetch_add(1, Ordering::Relaxed) + 1;
                log::info!("{} connected; clients: {count}", self.name);
            }
            Event::WebSocketReceive(message) => {
                match message {
                    // Escaped: a message must not move the cursor of whoever reads the log.
                    Message::Text(text) => log::info!("{}: {text:?}", self.name),
                    Message::Binary(bytes) => log::info!("{}: {} bytes", self.name, bytes.len()),
                }
                // A client that does not read its echoes is not read.
                if out.message(message)? == Flow::Full {
                    out.pause();
                }
            }
            Event::Drain => out.resume(),
            Event::WebSocketDisconnect { code, reason } if self.connected => {
                let count = self.clients.fetch_sub(1, Ordering::Relaxed) - 1;
                match code {
                    // There was no Close frame: the network failed, or the program died.
                    1006 => log::warn!("{} vanished; clients: {count}", self.name),
                    1000 | 1001 | 1005 => {
                        log::info!("{} closed ({code} {reason:?}); clients: {count}", self.name);
                    }
                    _ => log::warn!("{} ended with {code} {reason:?}; clients: {count}", self.name),
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Handler for Page {
    fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
        if let Event::HttpRequest { more_body: false, .. } = event {
            out.respond(
                426,
                &[(b"content-type", b"text/plain"), (b"upgrade", b"websocket")],
                b"This is a WebSocket echo server: connect with a WebSocket client.\n",
            )?;
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    let env = env_logger::Env::default().default_filter_or("info");
    let logger = env_logger::Builder::from_env(env).build();
    let most = logger.filter();
    // A slow reader of the log does not delay clients. Without a log the server serves, too.
    let _log = oneport::log_in_background(logger, most);
    let (mut host, mut port) = ("127.0.0.1".to_string(), 8765);
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args.next();
        match (flag.as_str(), value.as_deref().map(str::parse)) {
            ("--port", Some(Ok(number))) => port = number,
            ("--host", Some(_)) => host = value.unwrap_or_default(),
            _ => {
                say(
                    std::io::stderr(),
                    format_args!(
                        "echo: {flag} is no flag or lacks its value; usage: echo [--host H] [--port P]"
                    ),
                );
                return ExitCode::from(2);
            }
        }
    }
    let served = Server::new(Echo::default()).bind(&format!("{host}:{port}")).and_then(|bound| {
        let address = bound.local_addr();
        bound
            .on_ready(move || {
                say(std::io::stderr(), format_args!("echo: listening on ws://{address}"))
            })
            .run()
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(std::io::stderr(), format_args!("echo: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// As `println!`, which panics when nobody reads what it prints any more.
fn say(mut to: impl std::io::Write, line: std::fmt::Arguments<'_>) {
    let _ = writeln!(to, "{line}");
}
