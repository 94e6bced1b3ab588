//! A connection on a bench: no socket, no thread, a clock that the test moves.
#![allow(dead_code, unreachable_pub)] // each test file uses its own part

pub mod steps;

use std::io::{self, IoSlice, Read};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use oneport::asgi::env::{Env, Files, Kit, Round};
use oneport::asgi::groups::{Parcel, Publication};
use oneport::asgi::handle::{Command, Mailbox};
use oneport::bytes::input::{SCRATCH, Scratch};
use oneport::bytes::moment::Moment;
use oneport::bytes::output::Sink;
use oneport::conn::budget::Budget;
use oneport::conn::record::Record;
use oneport::conn::{Addresses, Compression, Connection, Delivered, Loan, Local, Turn};
use oneport::http::date::Prefab;
use oneport::ws::mask::Keys;
use oneport::ws::takeover::TakeoverMemory;
use oneport::{App, Config, Event, Flow, Groups, LifespanScope, Message, Scope, State};

/// A mailbox that the test empties.
#[derive(Default)]
pub struct TestMailbox(Mutex<Vec<Command>>);

impl Mailbox for TestMailbox {
    fn post(&self, command: Command) {
        self.0.lock().unwrap().push(command);
    }
}

/// Bytes of the file `/long`.
pub const LONG: u64 = 200_000;

/// A world in which the file `/file` holds `content`, `/long` many bytes, and no other is there.
struct RigFiles;

impl Files for RigFiles {
    fn open(&self, path: &Path) -> io::Result<(Box<dyn Read + Send>, u64)> {
        match path.to_str() {
            Some("/file") => Ok((Box::new(&b"content"[..]), 7)),
            Some("/long") => Ok((Box::new(io::repeat(b'x').take(LONG)), LONG)),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// A peer that takes as much as it has room for.
pub struct Peer {
    pub got: Vec<u8>,
    /// Bytes that it takes before it stops reading.
    pub room: usize,
    pub writes: usize,
    /// Of the bytes that it took, those that its system has not acknowledged.
    pub unacknowledged: usize,
    /// How often that was asked.
    pub asked: usize,
    /// It is gone, and writing to it fails like this.
    pub error: Option<io::ErrorKind>,
}

impl Sink for Peer {
    fn offer(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        if let Some(kind) = self.error {
            return Err(kind.into());
        }
        if self.room == 0 {
            return Ok(0);
        }
        self.writes += 1;
        let mut taken = 0;
        for part in parts {
            let n = part.len().min(self.room);
            self.got.extend_from_slice(&part[..n]);
            self.room -= n;
            taken += n;
        }
        Ok(taken)
    }

    fn unacknowledged(&mut self) -> usize {
        self.asked += 1;
        self.unacknowledged
    }
}

/// A connection and what it borrows, apart.
struct Parts<'a, A: App> {
    conn: &'a mut Option<Connection<A::Handler>>,
    app: &'a A,
    loan: &'a mut Loan<A::Handler>,
    turn: Turn<'a>,
}

/// One connection with all that it borrows.
pub struct Rig<A: App> {
    pub app: A,
    pub round: Round,
    pub kit: Kit,
    pub peer: Peer,
    conn: Option<Connection<A::Handler>>,
    generation: u32,
    /// Our end, which all connections have in common.
    local: Arc<Local>,
    mailbox: Arc<TestMailbox>,
    loan: Loan<A::Handler>,
    read: Option<Scratch>,
    pub record: Option<Record>,
}

impl<A: App> Rig<A> {
    pub fn new(app: A) -> Self {
        Self::with_config(app, Config::default())
    }

    pub fn with_config(app: A, config: Config) -> Self {
        let mailbox = Arc::new(TestMailbox::default());
        let groups = Groups::default();
        let shared_mailbox = Arc::clone(&mailbox) as Arc<dyn Mailbox>;
        groups.connect(vec![Arc::clone(&shared_mailbox)]);
        let round = Round {
            now: Moment::at(Duration::ZERO),
            random: 42,
            config: Arc::new(config),
            prefab: Prefab::new(None, false),
            takeover: TakeoverMemory::default(),
            state: State::default(),
            mailbox: shared_mailbox,
            groups,
            files: &RigFiles,
        };
        let mut rig = Self {
            app,
            round,
            kit: Kit::default(),
            peer: Peer {
                got: Vec::new(),
                room: usize::MAX,
                writes: 0,
                unacknowledged: 0,
                asked: 0,
                error: None,
            },
            conn: None,
            generation: 0,
            local: Arc::new(Local::Inet("127.0.0.1:8000".parse().unwrap())),
            mailbox,
            loan: Loan::new(64 * 1024),
            read: None,
            record: None,
        };
        rig.connect();
        rig
    }

    /// With Date and Server fields, as a real server sends them.
    pub fn with_fields(mut self) -> Self {
        self.round.prefab = Prefab::new(Some("oneport"), true);
        self.round.prefab.refresh(SystemTime::now());
        self
    }

    /// A new connection in the same slot.
    pub fn connect(&mut self) {
        self.end();
        self.generation += 1;
        self.peer.got.clear();
        self.record = None;
        let addresses = Addresses {
            client: Some("127.0.0.1:1000".parse().unwrap()),
            server: Some(Arc::clone(&self.local)),
        };
        let generation = self.generation;
        let mut budget = Budget::default();
        let Parts { conn, turn, .. } = self.parts(&mut budget);
        *conn = Some(Connection::new(0, generation, addresses, &turn.env));
    }

    /// A client's end of an open WebSocket in place of the connection.
    pub fn become_client(&mut self, keys: Box<dyn Keys>, compression: Option<Compression>) {
        let scope = Scope::Lifespan(LifespanScope::default());
        let handler = self.app.call(&scope).expect("the application takes any scope");
        let mut budget = Budget::default();
        let Parts { conn, turn, .. } = self.parts(&mut budget);
        *conn = Some(Connection::of_client(handler, keys, compression, &turn.env));
    }

    /// Sends a message from outside of a callback.
    pub fn send(&mut self, message: Message<'_>) {
        self.turn(|conn, _, turn| {
            let sent = conn.with_owner(turn, |out| out.message(message));
            sent.expect("it is open").expect("it may be sent");
        });
    }

    /// The connection, and all that it borrows for a turn.
    fn parts<'a>(&'a mut self, budget: &'a mut Budget) -> Parts<'a, A> {
        Parts {
            conn: &mut self.conn,
            app: &self.app,
            loan: &mut self.loan,
            turn: Turn {
                env: Env { round: &self.round, kit: &mut self.kit, sink: &mut self.peer },
                observer: None,
                budget,
                clock: None,
            },
        }
    }

    /// One turn of the connection, and further ones while it has work.
    pub fn turn(&mut self, then: impl FnOnce(&mut Connection<A::Handler>, &A, &mut Turn<'_>)) {
        let mut first = Some(then);
        loop {
            let mut budget = Budget::default();
            let Parts { conn: Some(conn), app, loan, mut turn } = self.parts(&mut budget) else {
                return;
            };
            conn.begin_turn(loan);
            match first.take() {
                Some(then) => then(conn, app, &mut turn),
                None => conn.run(app, &mut turn),
            }
            conn.end_turn(loan, &mut turn);
            if conn.is_ended() {
                return self.end();
            }
            if !conn.has_work(&turn.env.round.config) {
                return;
            }
        }
    }

    /// The turn of a connection that is quiet, as a worker does it.
    fn turn_at_rest(&mut self, read: &mut [u8]) {
        let mut budget = Budget::default();
        let Parts { conn: Some(conn), app, loan, mut turn } = self.parts(&mut budget) else {
            return;
        };
        if conn.turn_at_rest(app, read, loan, &mut turn) {
            return;
        }
        if conn.is_ended() {
            self.end();
        } else if conn.has_work(&turn.env.round.config) {
            self.turn(|conn, app, turn| conn.run(app, turn));
        }
    }

    /// Bytes arrive: into the connection's own buffer if it wants, else through the scratch.
    /// What it does not want to read stays in the network: the number of bytes read.
    pub fn feed(&mut self, bytes: &[u8]) -> usize {
        let mut fed = 0;
        while fed < bytes.len() {
            let Some(conn) = &mut self.conn else { break };
            if !conn.wants_read(&self.round.config) {
                break;
            }
            let rest = &bytes[fed..];
            if let Some(target) = conn.read_target(&mut self.kit.pool) {
                let n = target.memory.len().min(rest.len());
                target.memory[..n].copy_from_slice(&rest[..n]);
                fed += n;
                self.turn(|conn, _, turn| conn.filled(n, turn));
            } else {
                let n = rest.len().min(conn.read_room(SCRATCH));
                let mut scratch = self.read.take().unwrap_or_default();
                let read = &mut scratch.bytes()[..n];
                read.copy_from_slice(&rest[..n]);
                fed += n;
                if conn.is_quiet() && n < conn.room_at_rest() {
                    self.turn_at_rest(read);
                } else {
                    self.turn(|conn, app, turn| conn.bytes_in(app, read, turn));
                }
                self.read = Some(scratch);
            }
        }
        fed
    }

    /// Feeds and gives back what the connection sent in answer.
    pub fn answer(&mut self, bytes: &[u8]) -> String {
        self.peer.got.clear();
        self.feed(bytes);
        self.text()
    }

    /// What the peer got, as text.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.peer.got)).into_owned()
    }

    /// The peer's FIN.
    pub fn eof(&mut self) {
        self.turn(|conn, app, turn| conn.eof(app, turn));
    }

    /// Time goes by: every deadline on the way is told.
    pub fn advance(&mut self, by: Duration) {
        let end = self.round.now + by;
        while let Some(due) = self.conn.as_ref().and_then(|conn| conn.deadline(&self.round.config))
        {
            if due > end {
                break;
            }
            self.round.now = self.round.now.max(due);
            self.turn(|conn, app, turn| conn.time(app, turn));
        }
        self.round.now = end;
    }

    /// The peer takes this much more.
    pub fn drain(&mut self, room: usize) {
        self.peer.room = room;
        self.turn(|_, _, _| {});
    }

    /// Carries the mail to the connection, as a worker would; the number of commands.
    pub fn mail(&mut self) -> usize {
        let mut count = 0;
        loop {
            let commands = std::mem::take(&mut *self.mailbox.0.lock().unwrap());
            if commands.is_empty() {
                return count;
            }
            for command in commands {
                count += 1;
                match command {
                    Command::Scope(address, command) if address.generation == self.generation => {
                        self.turn(|conn, _, turn| conn.command(address.scope, command, turn));
                    }
                    Command::Scope(..) => {}
                    Command::Publish(parcel) => {
                        self.publish_to_it(parcel.publication());
                    }
                }
            }
        }
    }

    pub fn publish_to_it(&mut self, publication: &Arc<Publication>) -> Option<Delivered> {
        let mut delivered = None;
        self.turn(|conn, _, turn| delivered = Some(conn.deliver(publication, turn)));
        delivered
    }

    pub fn last_call(&mut self) {
        self.turn(|conn, _, _| conn.last_call());
    }

    pub fn tell_shutdown(&mut self) {
        self.turn(|conn, _, turn| conn.tell_shutdown(turn));
    }

    pub fn shutdown(&mut self) {
        self.turn(|conn, _, turn| conn.shutdown(turn));
    }

    pub fn is_open(&self) -> bool {
        self.conn.is_some()
    }

    /// Has the server sent its FIN, or ended the connection altogether?
    pub fn has_closed(&self) -> bool {
        self.conn.as_ref().is_none_or(Connection::is_lingering)
    }

    pub fn conn(&self) -> &Connection<A::Handler> {
        self.conn.as_ref().expect("the connection is open")
    }

    pub fn end(&mut self) {
        let mut budget = Budget::default();
        let Parts { conn, mut turn, .. } = self.parts(&mut budget);
        if let Some(conn) = conn.take() {
            self.record = Some(conn.finish(&mut turn));
        }
    }
}

/// A masked frame of a client.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    oneport::ws::frame::encode(&mut out, true, oneport::ws::frame::Opcode::Text, payload.len());
    out[0] = first;
    out[1] |= 0x80;
    let key = [1, 2, 3, 4];
    out.extend_from_slice(&key);
    let from = out.len();
    out.extend_from_slice(payload);
    oneport::ws::mask::apply(&mut out[from..], key);
    out
}

/// The opening handshake of RFC 6455 §1.3 for a path.
pub fn upgrade(path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    .into_bytes()
}

/// A text message for a group, encoded once.
pub fn publication(text: &str) -> Arc<Publication> {
    let publication = Arc::new(Publication::new("group", Message::Text(text)));
    drop(Parcel::new(&publication));
    publication
}

/// Echoes bodies and messages, and joins a group.
pub fn echo_app() -> impl App {
    oneport::app(|_| {
        Some(oneport::handler(|event, out| {
            match event {
                Event::HttpRequest { body, more_body: false } => {
                    out.respond(200, &[], body)?;
                }
                Event::WebSocketConnect => {
                    out.accept()?;
                    out.join("all")?;
                }
                Event::WebSocketReceive(message) => match out.message(message)? {
                    Flow::Full => out.pause(),
                    Flow::Ready => {}
                },
                Event::Drain => out.resume(),
                _ => {}
            }
            Ok(())
        }))
    })
}

/// What a handler is told of the frames in these pieces, on an open WebSocket.
pub fn told_by_frames(pieces: &[&[u8]]) -> Vec<String> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let mut rig = Rig::new(oneport::app(move |_| {
        let tell = Arc::clone(&tell);
        Some(oneport::handler(move |event, out| {
            tell.lock().unwrap().push(format!("{event:?}"));
            if let Event::WebSocketConnect = event {
                out.accept()?;
            }
            Ok(())
        }))
    }));
    rig.feed(&upgrade("/"));
    for piece in pieces {
        rig.feed(piece);
    }
    rig.end();
    let told = told.lock().unwrap();
    told.clone()
}
