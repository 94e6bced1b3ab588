//! Drives a connection in the client's role: what a worker does for many connections of a
//! server, for one.

use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::error::{Error, Wait};
use super::message::Message;
use super::socket::Socket;
use crate::asgi::env::{Effect, Env};
use crate::asgi::handle::{Command, Mailbox};
use crate::asgi::{App, AppError, Config, Event, Groups, Handler, Outbox, Scope, SendError, State};
use crate::bytes::pool::Pool;
use crate::conn::record::{Cause, Deadline};
use crate::conn::{Compression, Connection, TURN_BUDGET, Turn};
use crate::http::date::Prefab;
use crate::http::head::FieldSpan;
use crate::ws::deflate::Engines;
use crate::ws::mask::Keys;
use crate::ws::{self};

/// Bytes read at once.
const SCRATCH: usize = 64 * 1024;
/// While this much waits to be taken by the program, nothing is read on a sender's behalf.
const LARGEST_INBOX: usize = 1024 * 1024;

/// What came and was not taken yet.
#[derive(Default)]
struct Inbox {
    messages: VecDeque<Message>,
    bytes: usize,
    /// The disconnect: code and reason.
    end: Option<(u16, String)>,
}

/// The handler of a client's connection: it collects.
struct Collector(Arc<Mutex<Inbox>>);

impl Handler for Collector {
    fn receive(&mut self, event: Event<'_>, _out: &mut Outbox<'_>) -> Result<(), AppError> {
        let mut inbox = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::WebSocketReceive(message) => {
                inbox.bytes += message.as_bytes().len();
                inbox.messages.push_back(message.into());
            }
            Event::WebSocketDisconnect { code, reason } => {
                inbox.end = Some((code, reason.to_string()));
            }
            _ => {}
        }
        Ok(())
    }
}

/// A client accepts no scopes.
struct NoApp;

impl App for NoApp {
    type Handler = Collector;

    fn call(&self, _scope: &Scope<'_>) -> Option<Collector> {
        None
    }
}

/// A client's connection has no handles.
struct NoMailbox;

impl Mailbox for NoMailbox {
    fn post(&self, _command: Command) {}
}

/// What the connection borrows for a turn.
struct Tools {
    config: Config,
    prefab: Prefab,
    pool: Pool,
    deflate: Engines,
    fields: Vec<FieldSpan>,
    effects: Vec<Effect>,
    state: State,
    mailbox: Arc<dyn Mailbox>,
    groups: Groups,
}

impl Tools {
    fn env<'e>(
        &'e mut self,
        socket: &'e mut Socket,
        random: u64,
    ) -> (Env<'e>, &'e mut Vec<FieldSpan>, &'e State) {
        let env = Env {
            now: Instant::now(),
            random,
            config: &self.config,
            prefab: &self.prefab,
            sink: socket,
            pool: &mut self.pool,
            deflate: &mut self.deflate,
            mailbox: &self.mailbox,
            groups: &self.groups,
            effects: &mut self.effects,
        };
        (env, &mut self.fields, &self.state)
    }
}

/// Keys from the operating system's generator (RFC 6455 §10.3), fetched many at a time.
struct SystemKeys {
    bytes: [u8; 1024],
    used: usize,
}

impl Keys for SystemKeys {
    fn next_key(&mut self) -> [u8; 4] {
        if self.used + 4 > self.bytes.len() {
            fill_random(&mut self.bytes);
            self.used = 0;
        }
        let key = &mut self.bytes[self.used..self.used + 4];
        self.used += 4;
        std::mem::take(key.first_chunk_mut::<4>().expect("four bytes are left"))
    }
}

/// Fills with random bytes.
///
/// # Panics
/// If the operating system has none: a client that cannot mask must not send.
pub(super) fn fill_random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}

/// A connection with its socket.
pub(super) struct Engine {
    socket: Socket,
    conn: Connection<Collector>,
    inbox: Arc<Mutex<Inbox>>,
    tools: Tools,
    /// Lent to the connection for its output.
    scratch: Vec<u8>,
    read: Box<[u8]>,
    /// The peer's end was seen.
    eof: bool,
    /// What the socket said when it failed.
    failure: Option<io::Error>,
    /// A thread waits for the socket to be readable, on behalf of all.
    pub(super) driven: bool,
}

impl Engine {
    /// For a socket on which the handshake is done; `rest` came behind the server's answer.
    pub(super) fn new(
        mut socket: Socket,
        config: Config,
        compression: Option<Compression>,
        mut rest: Vec<u8>,
    ) -> Self {
        let mut tools = Tools {
            prefab: Prefab::new(None, false),
            pool: Pool::default(),
            deflate: Engines::default(),
            fields: Vec::new(),
            effects: Vec::new(),
            state: State::default(),
            mailbox: Arc::new(NoMailbox),
            groups: Groups::default(),
            config,
        };
        let inbox = Arc::new(Mutex::new(Inbox::default()));
        let collector = Collector(Arc::clone(&inbox));
        let mut keys = SystemKeys { bytes: [0; 1024], used: 1024 };
        // The first ping's payload, which a peer should not guess either.
        let random = u32::from_ne_bytes(keys.next_key()).into();
        let (env, ..) = tools.env(&mut socket, random);
        let conn = Connection::of_client(collector, Box::new(keys), compression, &env);
        let mut engine = Self {
            socket,
            conn,
            inbox,
            tools,
            scratch: Vec::new(),
            read: vec![0; SCRATCH].into_boxed_slice(),
            eof: false,
            failure: None,
            driven: false,
        };
        if !rest.is_empty() {
            engine.turn(|conn, turn| conn.bytes_in(&NoApp, &mut rest, turn));
        }
        engine
    }

    pub(super) fn stream(&self) -> Arc<TcpStream> {
        self.socket.stream()
    }

    /// One turn of the connection, and further ones while it has work.
    fn turn<R>(&mut self, then: impl FnOnce(&mut Connection<Collector>, &mut Turn<'_>) -> R) -> R {
        let Self { socket, conn, tools, scratch, .. } = self;
        let mut budget = TURN_BUDGET;
        conn.begin_turn(scratch);
        let outcome = {
            let (env, fields, state) = tools.env(socket, 0);
            let mut turn = Turn { env, fields, state, observer: None, budget: &mut budget };
            let outcome = then(conn, &mut turn);
            conn.end_turn(scratch, &mut turn);
            outcome
        };
        while conn.has_work(&tools.config) {
            let mut budget = TURN_BUDGET;
            conn.begin_turn(scratch);
            let (env, fields, state) = tools.env(socket, 0);
            let mut turn = Turn { env, fields, state, observer: None, budget: &mut budget };
            conn.run(&NoApp, &mut turn);
            conn.end_turn(scratch, &mut turn);
        }
        outcome
    }

    /// Does what can be done without waiting: what is due, what can be read, what can be
    /// written.
    pub(super) fn go_on(&mut self) {
        if let Err(error) = self.socket.flush() {
            self.fail(error);
        }
        self.turn(|conn, turn| conn.time(&NoApp, turn));
        while !self.conn.is_ended() && self.wants_read() {
            match self.socket.read(&mut self.read) {
                Ok(0) => {
                    self.eof = true;
                    self.turn(|conn, turn| conn.eof(&NoApp, turn));
                }
                Ok(n) => {
                    let mut read = std::mem::take(&mut self.read);
                    self.turn(|conn, turn| conn.bytes_in(&NoApp, &mut read[..n], turn));
                    self.read = read;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.fail(error),
            }
        }
    }

    fn fail(&mut self, error: io::Error) {
        let kind = error.kind();
        self.failure.get_or_insert(error);
        self.turn(|conn, turn| conn.lost(kind, turn));
    }

    /// Sends, in the name of the program.
    pub(super) fn send(
        &mut self,
        send: impl FnOnce(&mut Outbox<'_>) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        match self.turn(|conn, turn| conn.with_owner(turn, send)) {
            Some(Ok(())) => Ok(()),
            Some(Err(SendError::Invalid(what))) => Err(Error::Invalid(what)),
            Some(Err(_)) | None => Err(self.end().unwrap_or(Error::Closed {
                // Closing, and the peer's answer is not here yet.
                code: ws::close::NO_STATUS,
                reason: String::new(),
            })),
        }
    }

    /// Sends a ping unless one is on its way.
    pub(super) fn ping(&mut self) {
        self.turn(|conn, turn| conn.ping(turn));
    }

    /// When the last pong came.
    pub(super) fn last_pong(&self) -> Option<Instant> {
        self.conn.last_pong()
    }

    /// How long the answer to our last ping took.
    pub(super) fn round_trip(&mut self) -> Option<std::time::Duration> {
        self.turn(|conn, turn| conn.with_owner(turn, |out| out.round_trip())).flatten()
    }

    /// The next message that came.
    pub(super) fn next_message(&mut self) -> Option<Message> {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let message = inbox.messages.pop_front()?;
        inbox.bytes -= message.len();
        Some(message)
    }

    /// Does room for what comes exist?
    pub(super) fn wants_read(&self) -> bool {
        if self.eof || !self.conn.wants_read(&self.tools.config) {
            return false;
        }
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).bytes < LARGEST_INBOX
    }

    /// Do bytes wait for the socket to take them?
    pub(super) fn wants_write(&self) -> bool {
        self.conn.wants_write() || self.socket.wants_write()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.conn.deadline(&self.tools.config)
    }

    /// Has everything ended, the TCP connection too?
    pub(super) fn is_over(&self) -> bool {
        self.conn.is_ended()
    }

    /// How it ended, if it has.
    pub(super) fn end(&self) -> Option<Error> {
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        if inbox.end.is_none() && !self.conn.is_ended() {
            return None;
        }
        let (code, reason) = inbox.end.clone().unwrap_or((ws::close::ABNORMAL, String::new()));
        Some(match self.conn.cause() {
            Some(Cause::WebSocketFailed(error)) => Error::Protocol(error),
            Some(Cause::DeadlinePassed(Deadline::Pong)) => Error::TimedOut(Wait::Pong),
            Some(Cause::DeadlinePassed(Deadline::Close)) => Error::TimedOut(Wait::Close),
            Some(Cause::DeadlinePassed(_)) => Error::TimedOut(Wait::Send),
            Some(Cause::PeerClosed | Cause::AppClosed) => Error::Closed { code, reason },
            Some(Cause::Network(kind)) => Error::Broken(match &self.failure {
                Some(error) => io::Error::new(kind, error.to_string()),
                None => kind.into(),
            }),
            _ => Error::Broken(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server ended it without a Close",
            )),
        })
    }

    /// The program lets go: a Close, as far as the socket takes it now.
    pub(super) fn let_go(&mut self) {
        if !self.conn.is_closing() {
            let close = |out: &mut Outbox<'_>| out.close(ws::close::GOING_AWAY, "").map(|_| ());
            // Nobody is left to be told.
            let _ = self.send(close);
        }
        self.socket.end();
    }
}
