//! `oneport echo`: an echo server at once.

use clap::Args;
use oneport::{App, AppError, Event, Flow, Handler, Message, Outbox, Scope, SendEvent, Server};

use crate::{exit, log, say, show};

/// Starts a WebSocket echo server.
///
/// It sends every message back, on any path, and takes every subprotocol (the first that is
/// offered) and every Origin. HTTP requests on the same port are answered with 200: one with a
/// body gets it back, one without gets a line of text. It ends on Ctrl-C.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_long_help = "\
Examples:
  oneport echo
  oneport echo --host 0.0.0.0 --port 9000 --workers 4 --deflate
  oneport echo --port 0 --verbose

Exit codes:
  0  ended by Ctrl-C or SIGTERM
  1  could not listen
  2  the command line cannot be followed"
)]
pub(crate) struct Flags {
    /// The address to listen on; 0.0.0.0 for all
    #[arg(long, default_value = "127.0.0.1")]
    host: String,

    /// The port to listen on; 0 takes a free one
    #[arg(short, long, default_value_t = 8765)]
    port: u16,

    /// Threads that serve
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: u16,

    /// Compresses messages for clients that offer it (permessage-deflate)
    #[cfg(feature = "deflate")]
    #[arg(long)]
    deflate: bool,

    /// The largest message in bytes; a larger one closes with 1009
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    max_message: usize,

    /// Says on standard error who comes, what they say and how they leave
    #[arg(short, long)]
    verbose: bool,
}

/// Serves until a signal; the exit code.
pub(crate) fn run(flags: &Flags) -> u8 {
    let _log = log::begin();
    let echo = Echo { verbose: flags.verbose };
    let server = Server::new(echo).workers(flags.workers.into()).max_message(flags.max_message);
    #[cfg(feature = "deflate")]
    let server = if flags.deflate { server.deflate(oneport::Deflate::default()) } else { server };
    let host = match flags.host.contains(':') && !flags.host.starts_with('[') {
        true => format!("[{}]", flags.host),
        false => flags.host.clone(),
    };
    let served = server.bind(&format!("{host}:{}", flags.port)).and_then(|bound| {
        let address = bound.local_addr();
        bound
            .on_ready(move || {
                say::out(format_args!(
                    "Echo server on ws://{address}/ (Ctrl-C ends it). Try:\n  \
                     oneport connect ws://{address}/\n"
                ));
            })
            .run()
    });
    match served {
        Ok(()) => exit::WELL,
        Err(error) => {
            exit::complain(&error);
            exit::BROKEN
        }
    }
}

struct Echo {
    verbose: bool,
}

enum Answer {
    WebSocket(Client),
    Http(Page),
}

/// A WebSocket.
struct Client {
    /// Address and port, if its doings are told.
    name: Option<String>,
    subprotocol: Option<String>,
}

/// A request.
#[derive(Default)]
struct Page {
    body: Vec<u8>,
}

impl App for Echo {
    type Handler = Answer;

    fn call(&self, scope: &Scope<'_>) -> Option<Answer> {
        match scope {
            Scope::WebSocket(websocket) => {
                let name = || websocket.client.map_or("somebody".into(), |it| it.to_string());
                Some(Answer::WebSocket(Client {
                    name: self.verbose.then(name),
                    subprotocol: websocket.subprotocols().next().map(str::to_string),
                }))
            }
            Scope::Http(_) => Some(Answer::Http(Page::default())),
            _ => None,
        }
    }
}

impl Handler for Answer {
    fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
        match self {
            Answer::WebSocket(client) => client.receive(event, out),
            Answer::Http(page) => page.receive(event, out),
        }
    }
}

impl Client {
    fn tell(&self, what: impl FnOnce() -> String) {
        if let Some(name) = &self.name {
            ::log::info!(target: log::VERBOSE, "{name} {}", what());
        }
    }

    fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
        match event {
            Event::WebSocketConnect => {
                let subprotocol = self.subprotocol.as_deref();
                out.send(SendEvent::WebSocketAccept { subprotocol, headers: &[] })?;
                self.tell(|| "connected".to_string());
            }
            Event::WebSocketReceive(message) => {
                self.tell(|| match message {
                    Message::Text(text) => format!("says {}", show::line(text)),
                    Message::Binary(bytes) => format!("sends {}", show::count(bytes.len(), "byte")),
                });
                // A client that does not read its echoes is not read.
                if out.message(message)? == Flow::Full {
                    out.pause();
                }
            }
            Event::Drain => out.resume(),
            Event::WebSocketDisconnect { code, reason } => {
                self.tell(|| format!("left: {code} {}", show::line(reason)).trim_end().to_string());
            }
            _ => {}
        }
        Ok(())
    }
}

impl Page {
    fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
        if let Event::HttpRequest { body, more_body } = event {
            self.body.extend_from_slice(body);
            if !more_body && self.body.is_empty() {
                let line = b"A WebSocket echo server: try `oneport connect`.\n";
                out.respond(200, &[(b"content-type", b"text/plain")], line)?;
            } else if !more_body {
                let kind: oneport::Field<'_> = (b"content-type", b"application/octet-stream");
                out.respond(200, &[kind], &self.body)?;
            }
        }
        Ok(())
    }
}
