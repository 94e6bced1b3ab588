//! A chat with rooms: one page and its WebSocket, from the same port.
//!
//! ```text
//! cargo run --release --example chat [-- --host 127.0.0.1 --port 8000]
//! ```
//!
//! Open the address that it prints in two tabs. What travels is JSON, one object per message:
//!
//! ```text
//! page ──> server   {"type":"join","room":"lobby","name":"Ann"}     once, first
//!                   {"type":"say","text":"Hello!"}
//!
//! page <── server   {"type":"welcome","room":"lobby","name":"Ann"}  to the one who joined
//!                   {"type":"joined","name":"Ann","people":["Ann","Bob"]}   ┐
//!                   {"type":"said","name":"Ann","text":"Hello!"}            ├ to all in the room
//!                   {"type":"left","name":"Ann","people":["Bob"]}           ┘
//!                   {"type":"refused","reason":"join a room first"}
//! ```
//!
//! A room is two things under one name: a *group*, to which the server delivers, and a set of
//! names in [`Rooms`], since a group does not tell who is in it. Nothing that was said is kept.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::collections::{BTreeSet, HashMap};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use oneport::{App, AppError, Event, Field, Handler, OriginPolicy, Outbox, Scope, Server};
use serde_json::{Value, json};

const TEXT: Field<'static> = (b"content-type", b"text/plain; charset=utf-8");
const HTML: Field<'static> = (b"content-type", b"text/html; charset=utf-8");
/// A browser asks again each time, so it never shows the page of an older program.
const FRESH: Field<'static> = (b"cache-control", b"no-cache");

// Limits in characters; the page has the first three as `maxlength`.
const MAX_NAME: usize = 24;
const MAX_ROOM: usize = 32;
const MAX_TEXT: usize = 500;
/// Each coming and going sends the list of people to all of them: quadratic in this.
const MAX_PEOPLE: usize = 100;
/// Bytes of a WebSocket message: the longest `say`, were each character a pair of `\u` escapes.
const MAX_MESSAGE: usize = MAX_TEXT * 12 + 100;

/// The application: called once per scope.
#[derive(Default)]
struct Chat {
    rooms: Arc<Rooms>,
}

/// What answers the events of one scope.
enum Answer {
    Page,
    Visitor(Visitor),
}

impl App for Chat {
    type Handler = Answer;

    fn call(&self, scope: &Scope<'_>) -> Option<Answer> {
        match scope {
            Scope::Http(http) if http.path == "/" && matches!(http.method, "GET" | "HEAD") => {
                Some(Answer::Page)
            }
            Scope::WebSocket(websocket) if websocket.path == "/chat" => {
                Some(Answer::Visitor(Visitor {
                    rooms: Arc::clone(&self.rooms),
                    // Behind a proxy that ends TLS the Origin is `https` and we see `http`.
                    from_our_page: OriginPolicy::same_host().allows(websocket),
                    seat: None,
                }))
            }
            // 404. A lifespan is not needed either: what is shared was made before the server.
            _ => None,
        }
    }
}

impl Handler for Answer {
    fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
        match (self, event) {
            (Answer::Visitor(visitor), event) => return visitor.receive(event, out),
            (Answer::Page, Event::HttpRequest { more_body: false, .. }) => {
                out.respond(200, &[HTML, FRESH], include_bytes!("chat/index.html"))?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// One WebSocket.
struct Visitor {
    rooms: Arc<Rooms>,
    from_our_page: bool,
    /// Where it sits, once it has joined.
    seat: Option<Seat>,
}

struct Seat {
    room: String,
    name: String,
}

impl Visitor {
    fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
        match event {
            Event::WebSocketConnect if self.from_our_page => {
                out.accept()?;
            }
            Event::WebSocketConnect => {
                out.respond(403, &[TEXT], b"this WebSocket is for the pages of this server\n")?;
            }
            Event::WebSocketReceive(message) => {
                let request = message.as_text().ok_or("send text".to_string());
                return self.answer(request.and_then(Request::parse), out);
            }
            // However the connection ended: it left its groups by itself, the set of names is ours.
            Event::WebSocketDisconnect { .. } => {
                if let Some(Seat { room, name }) = self.seat.take() {
                    let people = self.rooms.leave(&room, &name);
                    let left = json!({"type": "left", "name": name, "people": people});
                    out.publish(&room, &left.to_string());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn answer(
        &mut self,
        request: Result<Request, String>,
        out: &mut Outbox<'_>,
    ) -> Result<(), AppError> {
        match (request, &self.seat) {
            (Ok(Request::Join { room, name }), None) => self.join(room, name, out),
            // Who sent it receives it too: that is how the page knows that it was sent. Who
            // reads too slowly misses it (see `Delivery::skipped`), and nobody waits for them.
            (Ok(Request::Say { text }), Some(Seat { room, name })) => {
                let said = json!({"type": "said", "name": name, "text": text});
                out.publish(room, &said.to_string());
                Ok(())
            }
            (Ok(Request::Join { .. }), Some(_)) => refuse("you are in a room already", out),
            (Ok(Request::Say { .. }), None) => refuse("join a room first", out),
            (Err(reason), _) => refuse(&reason, out),
        }
    }

    fn join(&mut self, room: String, name: String, out: &mut Outbox<'_>) -> Result<(), AppError> {
        let Some((name, people)) = self.rooms.enter(&room, &name) else {
            return refuse("the room is full", out);
        };
        let welcome = json!({"type": "welcome", "room": room, "name": name});
        let joined = json!({"type": "joined", "name": name, "people": people});
        // From here on `WebSocketDisconnect` gives the seat back, also if a send fails.
        self.seat = Some(Seat { room: room.clone(), name });
        out.message(&welcome.to_string())?;
        out.join(&room)?;
        // Published after this callback, when the join is done: the newcomer receives it too.
        out.publish(&room, &joined.to_string());
        Ok(())
    }
}

fn refuse(reason: &str, out: &mut Outbox<'_>) -> Result<(), AppError> {
    out.message(&json!({"type": "refused", "reason": reason}).to_string())?;
    Ok(())
}

/// What a page asks for.
enum Request {
    Join { room: String, name: String },
    Say { text: String },
}

impl Request {
    fn parse(json: &str) -> Result<Request, String> {
        let object: Value = serde_json::from_str(json).map_err(|_| "send JSON".to_string())?;
        let line = |key: &str, max: usize| {
            let value = object[key].as_str().unwrap_or_default().trim();
            let fits = !value.is_empty() && value.chars().count() <= max;
            if !fits || value.contains(char::is_control) {
                return Err(format!("a {key} is one line of 1 to {max} characters"));
            }
            Ok(value.to_string())
        };
        match object["type"].as_str() {
            Some("join") => {
                Ok(Request::Join { room: line("room", MAX_ROOM)?, name: line("name", MAX_NAME)? })
            }
            Some("say") => Ok(Request::Say { text: line("text", MAX_TEXT)? }),
            _ => Err("the type is join or say".to_string()),
        }
    }
}

/// Who is in which room; a room without people is forgotten.
#[derive(Default)]
struct Rooms {
    people: Mutex<HashMap<String, BTreeSet<String>>>,
}

impl Rooms {
    /// Enters a room under a name, or under "name 2" if somebody there has it. Gives that name
    /// and all the people; `None` if the room is full.
    fn enter(&self, room: &str, name: &str) -> Option<(String, Value)> {
        let mut rooms = self.people.lock().expect("nothing panics under this lock");
        let people = rooms.entry(room.to_string()).or_default();
        if people.len() >= MAX_PEOPLE {
            return None;
        }
        let name = std::iter::once(name.to_string())
            .chain((2..).map(|n| format!("{name} {n}")))
            .find(|name| !people.contains(name))
            .expect("the numbers do not run out before the room is full");
        people.insert(name.clone());
        Some((name, json!(people)))
    }

    /// Gives a seat back. Gives the people who stay.
    fn leave(&self, room: &str, name: &str) -> Value {
        let mut rooms = self.people.lock().expect("nothing panics under this lock");
        let people = rooms.entry(room.to_string()).or_default();
        people.remove(name);
        let stay = json!(people);
        if people.is_empty() {
            rooms.remove(room);
        }
        stay
    }
}

/// Reads the flags into an address; an error is one line that says what is wrong.
fn address(mut args: impl Iterator<Item = String>) -> Result<String, String> {
    let (mut host, mut port) = ("127.0.0.1".to_string(), 8000_u16);
    while let Some(flag) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--host" => host = value()?,
            "--port" => {
                let value = value()?;
                let wrong = |_| format!("--port takes a number from 0 to 65535, not {value:?}");
                port = value.parse().map_err(wrong)?;
            }
            _ => return Err(format!("unknown flag {flag}; usage: chat [--host H] [--port N]")),
        }
    }
    let is_bare_ipv6 = host.contains(':') && !host.starts_with('[');
    Ok(if is_bare_ipv6 { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

fn main() -> ExitCode {
    let env = env_logger::Env::default().default_filter_or("warn");
    let logger = env_logger::Builder::from_env(env).build();
    let most = logger.filter();
    // A slow reader of the log does not delay clients. Without a log the server serves, too.
    let _log = oneport::log_in_background(logger, most);
    let address = match address(std::env::args().skip(1)) {
        Ok(address) => address,
        Err(message) => {
            say(std::io::stderr(), format_args!("chat: {message}"));
            return ExitCode::from(2);
        }
    };
    // One worker, which is the default, sees all comings and goings in one order. With several,
    // two lists of people could overtake each other on their way to a third: number them then.
    let server = Server::new(Chat::default()).max_message(MAX_MESSAGE);
    let served = server.bind(&address).and_then(|bound| {
        let at = bound.local_addr();
        bound
            .on_ready(move || {
                say(std::io::stderr(), format_args!("chat: open http://{at}/ in two browser tabs"))
            })
            .run()
    });
    if let Err(error) = served {
        say(std::io::stderr(), format_args!("chat: {error}"));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// As `println!`, which panics when nobody reads what it prints any more.
fn say(mut to: impl std::io::Write, line: std::fmt::Arguments<'_>) {
    let _ = writeln!(to, "{line}");
}
