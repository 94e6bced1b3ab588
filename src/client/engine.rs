//! Drives a connection in the client's role: what a worker does for many connections of a
//! server, for one.

use std::collections::VecDeque;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::{Error, Wait};
use super::message::Message;
use super::socket::{self, Socket};
use crate::asgi::env::{Env, Kit, NoFiles, Round};
use crate::asgi::handle::{Command, Mailbox};
use crate::asgi::{App, AppError, Config, Event, Groups, Handler, Outbox, Scope, SendError, State};
use crate::bytes::moment::Moment;
use crate::conn::budget::Budget;
use crate::conn::record::{Cause, Deadline};
use crate::conn::{Compression, Connection, Loan, Turn};
use crate::http::date::Prefab;
use crate::ws::mask::Keys;
use crate::ws::takeover::TakeoverMemory;
use crate::ws::{self};

/// Bytes read at once.
const SCRATCH: usize = 64 * 1024;
/// While this much waits to be taken by the program, nothing is read.
const LARGEST_INBOX: usize = 1024 * 1024;
/// Reads in a row before the time is looked at again: a server that never stops sending must
/// not keep a deadline from passing.
const READS_AT_ONCE: usize = 16;
/// What the program sends this soon after it took a message may be the answer to it: it leaves
/// before what follows that message is acted upon.
const ANSWERING: Duration = Duration::from_secs(1);
/// How long a client that is dropped waits for the server's Close.
const FAREWELL: Duration = Duration::from_secs(2);

/// What came and was not taken yet.
#[derive(Default)]
struct Inbox {
    messages: VecDeque<Message>,
    /// What they cost.
    bytes: usize,
    /// The disconnect: code and reason.
    end: Option<(u16, String)>,
}

impl Inbox {
    /// An empty message costs, too.
    fn cost(message: &Message) -> usize {
        message.len() + size_of::<Message>()
    }

    fn push(&mut self, message: Message) {
        self.bytes += Self::cost(&message);
        self.messages.push_back(message);
    }

    fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= Self::cost(&message);
        Some(message)
    }

    fn is_full(&self) -> bool {
        self.bytes >= LARGEST_INBOX
    }
}

/// The handler of a client's connection: it collects, and pauses behind each message: see
/// [`Engine::resume`].
struct Collector(Arc<Mutex<Inbox>>);

impl Handler for Collector {
    fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
        let mut inbox = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::WebSocketReceive(message) => {
                inbox.push(message.into());
                // The program may want to answer before what follows is acted upon.
                out.pause();
            }
            Event::WebSocketDisconnect { code, reason } => {
                inbox.end = Some((code, reason.to_string()));
            }
            _ => {}
        }
        Ok(())
    }
}

/// What a waiting thread may wait for.
#[derive(PartialEq, Eq)]
struct Progress {
    messages: usize,
    full: bool,
    pongs: u32,
    /// Bytes wait for the socket to take them.
    writes: bool,
    ended: bool,
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
    round: Round,
    kit: Kit,
    /// Where its clock begins.
    began: Instant,
}

impl Tools {
    fn now(&self) -> Moment {
        Moment::at(self.began.elapsed())
    }

    fn env<'e>(&'e mut self, socket: &'e mut Socket) -> Env<'e> {
        self.round.now = self.now();
        Env { round: &self.round, kit: &mut self.kit, sink: socket }
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
    loan: Loan<Collector>,
    read: Box<[u8]>,
    /// The peer's end was seen.
    eof: bool,
    /// What the socket said when it failed.
    failure: Option<io::Error>,
    /// Since when TLS holds bytes of which the socket takes none, and how many had left then.
    blocked: Option<(Moment, u64)>,
    /// That lasted too long.
    overdue: bool,
    /// Since when nobody has read, because the program did something else.
    left: Option<Moment>,
    /// When the program took a message last.
    taken: Moment,
    /// The TCP connection was ended.
    shut: bool,
    /// A thread waits for the socket to be readable, on behalf of all. No other may read: what
    /// is gone when that thread looks would not wake it.
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
        let round = Round {
            now: Moment::at(Duration::ZERO),
            random: 0,
            prefab: Prefab::new(None, false),
            takeover: TakeoverMemory::default(),
            state: State::default(),
            mailbox: Arc::new(NoMailbox),
            groups: Groups::default(),
            files: &NoFiles,
            config: Arc::new(config),
        };
        let mut tools = Tools { round, kit: Kit::default(), began: Instant::now() };
        let inbox = Arc::new(Mutex::new(Inbox::default()));
        let collector = Collector(Arc::clone(&inbox));
        let mut keys = SystemKeys { bytes: [0; 1024], used: 1024 };
        // The first ping's payload, which a peer should not guess either.
        tools.round.random = u32::from_ne_bytes(keys.next_key()).into();
        let env = tools.env(&mut socket);
        let conn = Connection::of_client(collector, Box::new(keys), compression, &env);
        let mut engine = Self {
            socket,
            conn,
            inbox,
            tools,
            loan: Loan::new(0),
            read: vec![0; SCRATCH].into_boxed_slice(),
            eof: false,
            failure: None,
            blocked: None,
            overdue: false,
            left: None,
            taken: Moment::at(Duration::ZERO),
            shut: false,
            driven: false,
        };
        if !rest.is_empty() {
            engine.turn(|conn, turn| conn.bytes_in(&NoApp, &mut rest, turn));
        }
        // TLS may hold more that came with the answer; no event of the socket tells of it.
        engine.go_on();
        engine
    }

    pub(super) fn stream(&self) -> Arc<TcpStream> {
        self.socket.stream()
    }

    /// One turn of the connection, and further ones while it has work.
    fn turn<R>(&mut self, then: impl FnOnce(&mut Connection<Collector>, &mut Turn<'_>) -> R) -> R {
        let Self { socket, conn, tools, loan, .. } = self;
        let mut budget = Budget::default();
        conn.begin_turn(loan);
        let outcome = {
            let env = tools.env(socket);
            let mut turn = Turn { env, observer: None, budget: &mut budget, clock: None };
            let outcome = then(conn, &mut turn);
            conn.end_turn(loan, &mut turn);
            outcome
        };
        while conn.has_work(&tools.round.config) {
            let mut budget = Budget::default();
            conn.begin_turn(loan);
            let env = tools.env(socket);
            let mut turn = Turn { env, observer: None, budget: &mut budget, clock: None };
            conn.run(&NoApp, &mut turn);
            conn.end_turn(loan, &mut turn);
        }
        outcome
    }

    /// Does what can be done without waiting: what can be written, what can be read, and then what
    /// is due.
    pub(super) fn go_on(&mut self) {
        self.back();
        // What comes after this is not looked at below, so no deadline is judged by it.
        let now = self.tools.now();
        self.socket.flush();
        if self.conn.wants_write() {
            // A turn ends with a write.
            self.turn(|_, _| ());
        }
        self.read_on();
        self.note_blocked();
        self.judge(now);
        self.rouse();
    }

    /// Reads what is there.
    fn read_on(&mut self) {
        for _ in 0..READS_AT_ONCE {
            if self.driven || self.conn.is_ended() || !self.wants_read() {
                break;
            }
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
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // All that had come when a write failed has been read.
                    if let Some(failure) = self.socket.failure() {
                        self.fail(failure);
                    }
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.fail(error),
            }
        }
    }

    /// Acts on the deadlines that had passed before the socket was read.
    fn judge(&mut self, now: Moment) {
        let due = self.conn.deadline(&self.tools.round.config).is_some_and(|due| due <= now);
        // Another thread is about to read: it judges behind that.
        if due && !(self.driven && socket::is_readable(&self.socket.stream())) {
            self.turn(|conn, turn| conn.time(&NoApp, turn));
        }
    }

    /// The program goes about something else: unless another thread waits for the socket, nobody
    /// reads until it is back.
    pub(super) fn leave(&mut self) {
        if !self.driven {
            self.left.get_or_insert(self.tools.now());
        }
    }

    /// It is back: what was not read meanwhile the server is not late with.
    fn back(&mut self) {
        if let Some(left) = self.left.take() {
            self.conn.was_not_read(self.tools.now().since(left));
        }
    }

    /// What the connection gave away counts as sent there; if TLS cannot get rid of it, that is
    /// noticed here.
    fn note_blocked(&mut self) {
        if !self.socket.wants_write() {
            self.blocked = None;
            return;
        }
        let (now, sent) = (self.tools.now(), self.socket.sent());
        match self.blocked {
            Some((since, before)) if before == sent => {
                if now >= since + self.tools.round.config.write_timeout {
                    self.overdue = true;
                    self.fail(io::ErrorKind::TimedOut.into());
                }
            }
            _ => self.blocked = Some((now, sent)),
        }
    }

    /// The end is to be noticed by a thread that waits for the socket, too.
    fn rouse(&mut self) {
        if self.conn.is_ended() {
            if !std::mem::replace(&mut self.shut, true) {
                self.socket.end();
                self.socket.shut(Shutdown::Both);
            }
        } else if self.driven && (self.end().is_some() || self.socket.failure().is_some()) {
            self.socket.shut(Shutdown::Read);
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
        let sent = self.turn(|conn, turn| conn.with_owner(turn, send));
        self.note_blocked();
        match sent {
            Some(Ok(())) => Ok(()),
            Some(Err(SendError::Invalid(what))) => Err(Error::Invalid(what)),
            Some(Err(_)) | None => Err(self.end().unwrap_or(Error::Closed {
                // Closing, and the peer's answer is not here yet.
                code: ws::close::NO_STATUS,
                reason: String::new(),
            })),
        }
    }

    /// A message was given to the connection: the socket is looked at, too, since a program that only
    /// sends waits for nothing. Tells whether that brought anything.
    ///
    /// RFC 6455 §5.5.2: a ping is answered as soon as is practical.
    pub(super) fn look(&mut self) -> bool {
        let before = self.progress();
        let resumes = self.tools.now() >= self.taken + ANSWERING;
        loop {
            let so_far = self.progress();
            if resumes {
                self.resume();
            }
            self.go_on();
            if !resumes || self.progress() == so_far {
                return so_far != before || self.progress() != before;
            }
        }
    }

    /// What keeps bytes that the connection was given from leaving, if anything does.
    pub(super) fn unsent(&mut self) -> Option<Error> {
        if let Some(failure) = self.socket.failure() {
            // The server may have said why.
            self.go_on();
            return Some(self.end().unwrap_or(Error::Broken(failure)));
        }
        (self.wants_write() && self.is_over())
            .then(|| self.end().unwrap_or(Error::TimedOut(Wait::Send)))
    }

    /// Sends a ping unless one is on its way.
    pub(super) fn ping(&mut self) {
        self.turn(|conn, turn| conn.ping(turn));
        self.note_blocked();
    }

    /// How many of our pings were answered.
    pub(super) fn pings_answered(&self) -> u32 {
        self.conn.pings_answered()
    }

    /// How long the answer to our last ping took.
    pub(super) fn round_trip(&mut self) -> Option<std::time::Duration> {
        self.turn(|conn, turn| conn.with_owner(turn, |out| out.round_trip())).flatten()
    }

    /// The next message that came, and whether there is room again since it was taken.
    pub(super) fn next_message(&mut self) -> Option<(Message, bool)> {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let was_full = inbox.is_full();
        let message = inbox.pop()?;
        self.taken = self.tools.now();
        Some((message, was_full && !inbox.is_full()))
    }

    /// Goes on behind the last message, unless much waits to be taken. Called by whoever is about
    /// to wait for something: the program is done with what it took. Tells whether that brought
    /// anything.
    pub(super) fn resume(&mut self) -> bool {
        self.back();
        let before = self.progress();
        if before.full {
            return false;
        }
        self.turn(|conn, turn| conn.with_owner(turn, |out| out.resume()));
        self.progress() != before
    }

    fn progress(&self) -> Progress {
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        Progress {
            messages: inbox.messages.len(),
            full: inbox.is_full(),
            pongs: self.conn.pings_answered(),
            writes: self.wants_write(),
            ended: inbox.end.is_some() || self.conn.is_ended(),
        }
    }

    /// Should the socket be read?
    pub(super) fn wants_read(&self) -> bool {
        !self.eof && self.conn.wants_read(&self.tools.round.config)
    }

    /// Do bytes wait for the socket to take them?
    pub(super) fn wants_write(&self) -> bool {
        self.conn.wants_write() || self.socket.wants_write()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let timeout = self.tools.round.config.write_timeout;
        let blocked = self.blocked.map(|(since, _)| since + timeout);
        let deadline =
            [self.conn.deadline(&self.tools.round.config), blocked].into_iter().flatten().min()?;
        self.tools.began.checked_add(deadline.since(Moment::at(Duration::ZERO)))
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
            Some(Cause::DeadlinePassed(Deadline::Pong)) => Error::TimedOut(Wait::Keepalive),
            Some(Cause::DeadlinePassed(Deadline::Close)) => Error::TimedOut(Wait::Close),
            Some(Cause::DeadlinePassed(_)) => Error::TimedOut(Wait::Send),
            Some(Cause::PeerClosed | Cause::AppClosed) => Error::Closed { code, reason },
            Some(Cause::Network(_)) if self.overdue => Error::TimedOut(Wait::Send),
            Some(Cause::Network(kind)) => Error::Broken(match &self.failure {
                Some(error) => io::Error::new(kind, error.to_string()),
                None => kind.into(),
            }),
            _ => Error::Broken(self.socket.failure().unwrap_or_else(|| {
                let what = "the server ended it without a Close";
                io::Error::new(io::ErrorKind::UnexpectedEof, what)
            })),
        })
    }

    /// The program lets go: a Close, and for a while what still comes is read and dropped. A socket
    /// that is closed with unread bytes in it answers with a reset, and that takes from the server
    /// what it has not read yet.
    pub(super) fn let_go(&mut self) {
        let limit = FAREWELL.min(self.tools.round.config.close_timeout);
        let until = Instant::now() + limit;
        if !self.conn.is_closing() {
            let close = |out: &mut Outbox<'_>| out.close(ws::close::GOING_AWAY, "").map(|_| ());
            // Nobody is left to be told.
            let _ = self.send(close);
        }
        self.go_on();
        // RFC 6455 §7.1.1: the server closes the TCP connection first.
        while !self.conn.is_ended() && Instant::now() < until {
            let until = self.deadline().map_or(until, |deadline| deadline.min(until));
            let (read, write) = (self.wants_read(), self.wants_write());
            if socket::wait(&self.socket.stream(), read, write, Some(until)).is_err() {
                break;
            }
            self.go_on();
        }
        self.socket.end();
    }
}
