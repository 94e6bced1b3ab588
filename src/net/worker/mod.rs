//! The loop of one worker.
//!
//! ```text
//!   wait ──> commands ──> sockets ──> accept ──> publications ──> timers ──> wait
//! ```
//!
//! Readiness is edge-triggered and a hint: it is remembered in the entry of its connection until
//! a read or write says "none now". A connection that has more to do than its budget allows, or
//! whose bytes became usable without an event, goes on the run-again list.

mod accept;
mod ending;
mod lifespan;
mod linger;
mod publish;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use super::commands::{Mail, WorkerMailbox};
use super::lifespan::{LIFESPAN_KEY, Lifespan};
use super::log_observer::LogObserver;
use super::slab::{Key, Slab};
use super::stats::Stats;
use super::timers::{Armed, Timers};
use super::world::{Readiness, Ready, Stream, World};
use crate::asgi::env::{Effect, Env, Kit, Round};
use crate::asgi::groups::{Groups, Parcel};
use crate::asgi::handle::{Command, Mailbox};
use crate::asgi::{App, Config, State};
use crate::bytes::input::Scratch;
use crate::bytes::moment::Moment;
use crate::bytes::output::Sink;
use crate::conn::call;
use crate::conn::record::Record;
use crate::conn::{Connection, Loan, TURN_BUDGET, Turn};
use crate::groups::Table;
use crate::http::date::Prefab;
use crate::ws::receiver::Target;

/// The buffer that answers are appended to (bytes).
const ANSWERS: usize = 64 * 1024;
/// What nearly every event says of a socket that was written to already: that bytes came.
const FRESH_BYTES: Readiness =
    Readiness { readable: true, writable: true, read_closed: false, error: false };
/// What is known of a socket that was read to its end and takes what is written.
const AT_REST: Readiness =
    Readiness { readable: false, writable: true, read_closed: false, error: false };
/// Connections accepted in one turn of the loop.
const ACCEPTS: usize = 64;
/// Reads of one connection in one turn of the loop.
const READS: usize = 8;
/// After the system ran out of descriptors: when to try again.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Newcomers past `max_connections` that are told so; past these they are only closed.
const REFUSALS: usize = 1024;

/// How long the application may take to start and to end.
const LIFESPAN_TIMEOUT: Duration = Duration::from_secs(60);

/// One connection with its socket.
struct Entry<S, H> {
    stream: S,
    conn: Connection<H>,
    ready: Readiness,
    /// It counts against `max_connections`; not so one that is only told that there are too many.
    admitted: bool,
    /// On the run-again list.
    queued: bool,
    /// The writing side of the socket was shut.
    shut: bool,
    /// After its last turn it was quiet, and its deadline is armed.
    quiet: bool,
    armed: Armed,
    /// What the connection was last known to hold (bytes).
    held: usize,
}

/// What a worker lends to its connections.
struct Tools {
    round: Round,
    kit: Kit,
    observer: Option<LogObserver>,
}

impl Tools {
    #[inline]
    fn turn<'e>(&'e mut self, sink: &'e mut dyn Sink, budget: &'e mut u32) -> Turn<'e> {
        Turn {
            env: Env { round: &self.round, kit: &mut self.kit, sink },
            observer: self.observer.as_mut().map(|observer| observer as _),
            budget,
        }
    }
}

/// What a read brought, how much it could have brought, and how much of that is memory of the
/// connection's own.
type Read = (io::Result<usize>, usize, usize);

/// A socket as a sink: never blocks, and remembers that it is full.
struct SocketSink<'a, S> {
    stream: &'a mut S,
    writable: &'a mut bool,
}

impl<S: Stream> Sink for SocketSink<'_, S> {
    fn offer(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        // Until the edge says otherwise, nobody tries.
        while *self.writable {
            match self.stream.write(parts) {
                Ok(taken) => return Ok(taken),
                Err(error) => self.not_taken(error)?,
            }
        }
        Ok(0)
    }

    #[inline(always)]
    fn offer_one(&mut self, part: &[u8]) -> io::Result<usize> {
        while *self.writable {
            match self.stream.write_one(part) {
                Ok(taken) => return Ok(taken),
                Err(error) => self.not_taken(error)?,
            }
        }
        Ok(0)
    }
}

impl<S> SocketSink<'_, S> {
    /// Nothing was taken: is it full, or what else?
    #[cold]
    fn not_taken(&mut self, error: io::Error) -> io::Result<()> {
        match error.kind() {
            io::ErrorKind::WouldBlock => *self.writable = false,
            io::ErrorKind::Interrupted => {}
            _ => return Err(error),
        }
        Ok(())
    }
}

/// A sink for a scope without a socket.
struct NoSink;

impl Sink for NoSink {
    fn offer(&mut self, _parts: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(0)
    }
}

/// What all workers of a server have in common.
pub(crate) struct Common<A> {
    pub(crate) app: Arc<A>,
    pub(crate) config: Arc<Config>,
    pub(crate) groups: Groups,
    pub(crate) stats: Stats,
    pub(crate) on_closed: Option<OnClosed>,
}

/// Called with the closing record of each connection.
pub(crate) type OnClosed = Arc<dyn Fn(&Record) + Send + Sync>;

pub(crate) struct Worker<W: World, A: App> {
    world: W,
    app: Arc<A>,
    mailbox: Arc<WorkerMailbox>,
    stats: Stats,
    on_closed: Option<OnClosed>,
    tools: Tools,
    connections: Slab<Entry<W::Stream, A::Handler>>,
    table: Table,
    timers: Timers,
    /// Every read goes here, unless a large message wants its own memory.
    input: Scratch,
    loan: Loan<A::Handler>,
    run_again: VecDeque<Key>,
    /// Who lingers for the body of a request.
    lingerers: linger::Lingerers,
    /// Publications to be given to members, in order.
    publications: Vec<Parcel>,
    /// Connections may wait to be accepted.
    acceptable: bool,
    /// When to try to accept again.
    accept_retry: Option<Moment>,
    /// The server is ending.
    ending: Option<ending::Ending>,
    /// The first worker of a server has its lifespan.
    lifespan: Option<Lifespan<A::Handler>>,
}

impl<W: World, A: App> Drop for Worker<W, A> {
    fn drop(&mut self) {
        // Nobody reads it any more.
        self.mailbox.close();
    }
}

impl<W: World, A: App> Worker<W, A> {
    pub(crate) fn new(
        number: usize,
        mut world: W,
        mailbox: Arc<WorkerMailbox>,
        common: &Common<A>,
    ) -> Self {
        let config = Arc::clone(&common.config);
        let prefab = Prefab::new(config.server_field.as_deref(), config.date_field);
        let observer =
            log::log_enabled!(log::Level::Debug).then_some(LogObserver { worker: number });
        let round = Round {
            now: world.now(),
            random: world.random(),
            prefab,
            state: State::default(),
            mailbox: Arc::clone(&mailbox) as Arc<dyn Mailbox>,
            groups: common.groups.clone(),
            config,
        };
        let tools = Tools { round, kit: Kit::default(), observer };
        Self {
            world,
            app: Arc::clone(&common.app),
            mailbox,
            stats: common.stats.clone(),
            on_closed: common.on_closed.clone(),
            tools,
            connections: Slab::new(),
            table: Table::default(),
            timers: Timers::default(),
            input: Scratch::default(),
            loan: Loan::new(ANSWERS),
            run_again: VecDeque::new(),
            lingerers: linger::Lingerers::default(),
            publications: Vec::new(),
            acceptable: true,
            accept_retry: None,
            ending: None,
            lifespan: None,
        }
    }

    /// The state that every scope finds.
    pub(crate) fn set_state(&mut self, state: State) {
        self.tools.round.state = state;
    }

    /// Serves until it is told to end and has ended.
    pub(crate) fn serve_all(&mut self) -> io::Result<()> {
        let mut ready = Ready::default();
        let mut mails = Vec::new();
        while !self.is_over() {
            let timeout = self.timeout();
            self.world.wait(timeout, &mut ready)?;
            self.begin_round();
            self.note(&mut ready, &mut mails);
            for mail in mails.drain(..) {
                self.mail(mail);
            }
            self.serve_waiting();
            for &(key, readiness) in &ready.sockets {
                self.serve(key, readiness);
            }
            ready.sockets.clear();
            self.accept();
            self.go_on_ending();
            self.publish();
            self.expire();
            self.with_lifespan(Lifespan::time);
        }
        self.cut_what_is_left();
        Ok(())
    }

    fn is_over(&self) -> bool {
        let Some(ending) = &self.ending else { return false };
        let is_empty = self.connections.len() == 0 && !ending.lets_in();
        is_empty || self.tools.round.now >= ending.deadline()
    }

    /// How long to wait: not at all while there is work that no event announces.
    fn timeout(&mut self) -> Option<Duration> {
        let accept_now = self.acceptable && self.accept_retry.is_none();
        let ends = self.ending.as_ref().is_some_and(|ending| ending.goes_on());
        if accept_now || ends || !self.run_again.is_empty() || !self.publications.is_empty() {
            return Some(Duration::ZERO);
        }
        let lifespan = self.lifespan.as_ref().and_then(Lifespan::deadline);
        let pool = self.tools.kit.pool.deadline();
        let ending = self.ending.as_ref().map(|ending| ending.next());
        let next = [self.timers.next(), self.accept_retry, ending, lifespan, pool]
            .into_iter()
            .flatten()
            .min()?;
        let now = self.world.now();
        // Up to the next millisecond, which is what the poll can do: not to wake too early.
        Some(next.since(now).saturating_add(Duration::from_millis(1)))
    }

    fn begin_round(&mut self) {
        self.tools.round.now = self.world.now();
        self.tools.round.random = self.world.random();
        self.tools.kit.pool.tidy(self.tools.round.now);
        let wall = self.world.wall();
        self.tools.round.prefab.refresh(wall);
    }

    /// Remembers what is ready, but for sockets.
    fn note(&mut self, ready: &mut Ready, mails: &mut Vec<Mail>) {
        self.acceptable |= std::mem::take(&mut ready.listener);
        if std::mem::take(&mut ready.mailbox) {
            self.mailbox.take(mails);
        }
    }

    /// Serves those on the run-again list.
    fn serve_waiting(&mut self) {
        // Only those that are on the list now: who comes back waits for the next round.
        for _ in 0..self.run_again.len() {
            let Some(key) = self.run_again.pop_front() else { break };
            self.serve(key, Readiness::default());
        }
    }

    fn run_later(&mut self, key: Key) {
        if let Some(entry) = self.connections.get_mut(key)
            && !entry.queued
        {
            entry.queued = true;
            self.run_again.push_back(key);
        }
    }

    fn mail(&mut self, mail: Mail) {
        match mail {
            Mail::Command(Command::Scope(address, command)) => {
                let key = Key { slot: address.slot, generation: address.generation };
                if key == LIFESPAN_KEY {
                    self.with_lifespan(|lifespan, env| lifespan.command(command, env));
                    return;
                }
                self.enter(key, |conn, turn| conn.command(address.scope, command, turn));
            }
            Mail::Command(Command::Publish(parcel)) => self.publications.push(parcel),
            Mail::Shutdown => self.begin_ending(),
        }
    }

    /// Calls into a connection outside of its own turn; the turn follows in this round.
    fn enter(&mut self, key: Key, then: impl FnOnce(&mut Connection<A::Handler>, &mut Turn<'_>)) {
        let Some(entry) = self.connections.get_mut(key) else { return };
        let mut budget = TURN_BUDGET;
        let Entry { stream, conn, ready, .. } = entry;
        let mut sink = SocketSink { stream, writable: &mut ready.writable };
        conn.begin_turn(&mut self.loan);
        let mut turn = self.tools.turn(&mut sink, &mut budget);
        then(conn, &mut turn);
        conn.end_turn(&mut self.loan, &mut turn);
        self.after_turn(key);
    }

    /// One turn of one connection, of whose socket this was told: reads while there is something
    /// and it may, then writes once.
    fn serve(&mut self, key: Key, news: Readiness) {
        // An unknown key is an event of a connection that ended in this round.
        let Some(entry) = self.connections.get_mut(key) else { return };
        let mut first = None;
        if entry.quiet && news.bits() == FRESH_BYTES.bits() && entry.ready.bits() == AT_REST.bits()
        {
            // The short way, for a connection at rest that is sent something: one read, one write.
            let mut budget = TURN_BUDGET;
            let scratch = self.input.bytes();
            let room = entry.conn.room_at_rest();
            match entry.stream.read(&mut scratch[..room]) {
                Ok(n) if n > 0 && n < room => {
                    let Entry { stream, conn, ready, .. } = entry;
                    let mut sink = SocketSink { stream, writable: &mut ready.writable };
                    let mut turn = self.tools.turn(&mut sink, &mut budget);
                    let bytes = &mut scratch[..n];
                    if !conn.turn_at_rest(&*self.app, bytes, &mut self.loan, &mut turn)
                        || !self.tools.kit.effects.is_empty()
                    {
                        self.after_turn(key);
                    }
                    return;
                }
                other => first = Some((other, room, 0)),
            }
        }
        self.serve_long(key, news, first);
    }

    /// The long way, which begins with this read if there was one already.
    #[inline(never)]
    fn serve_long(&mut self, key: Key, news: Readiness, mut first: Option<Read>) {
        let Some(entry) = self.connections.get_mut(key) else { return };
        let mut budget = TURN_BUDGET;
        entry.queued = false;
        let Entry { stream, conn, ready, .. } = entry;
        ready.add(news);
        if ready.read_closed {
            conn.peer_will_send_no_more();
        }
        conn.begin_turn(&mut self.loan);
        if ready.error {
            // A reset: what was queued can never leave.
            let kind = stream.take_error().map_or(io::ErrorKind::ConnectionReset, |e| e.kind());
            let mut sink = SocketSink { stream, writable: &mut ready.writable };
            conn.lost(kind, &mut self.tools.turn(&mut sink, &mut budget));
        }
        if conn.has_work(&self.tools.round.config) {
            let mut sink = SocketSink { stream, writable: &mut ready.writable };
            conn.run(&*self.app, &mut self.tools.turn(&mut sink, &mut budget));
        }
        for reads in 0..=READS {
            let may_read = ready.readable && budget > 0 && reads < READS;
            let read = if first.is_some() {
                first.take()
            } else if !may_read || !conn.wants_read(&self.tools.round.config) {
                None
            } else if let Some(Target { memory, ends_frame }) =
                conn.read_target(&mut self.tools.kit.pool)
            {
                let own = memory.len();
                // What is behind the frame goes to the scratch with the same call, which also
                // tells by a short read that nothing is.
                let behind = if ends_frame { self.input.bytes() } else { &mut [] };
                Some((stream.read_two(memory, behind), own + behind.len(), own))
            } else {
                let scratch = self.input.bytes();
                let room = conn.read_room(scratch.len());
                Some((stream.read(&mut scratch[..room]), room, 0))
            };
            let mut sink = SocketSink { stream, writable: &mut ready.writable };
            let mut turn = self.tools.turn(&mut sink, &mut budget);
            match read {
                None => {
                    conn.end_turn(&mut self.loan, &mut turn);
                    break;
                }
                Some((Ok(0), ..)) => {
                    ready.readable = false;
                    conn.eof(&*self.app, &mut turn);
                }
                Some((Ok(n), room, own)) => {
                    // A short read means that the socket is empty, unless the peer's end is
                    // behind it (epoll(7)): saves one read that would find nothing.
                    if n < room && !ready.read_closed {
                        ready.readable = false;
                    }
                    let own = own.min(n);
                    if own > 0 {
                        conn.filled(own, &mut turn);
                    }
                    if own < n {
                        conn.bytes_in(&*self.app, &mut self.input.bytes()[..n - own], &mut turn);
                    }
                }
                Some((Err(error), ..)) => match error.kind() {
                    io::ErrorKind::WouldBlock => ready.readable = false,
                    io::ErrorKind::Interrupted => {}
                    kind => conn.lost(kind, &mut turn),
                },
            }
            if !ready.readable {
                conn.end_turn(&mut self.loan, &mut turn);
                break;
            }
        }
        self.after_turn(key);
    }

    /// After a connection's turn: its effects on others, its next deadline, its end.
    fn after_turn(&mut self, key: Key) {
        if !self.tools.kit.effects.is_empty() {
            self.apply_effects(key);
        }
        let Some(entry) = self.connections.get_mut(key) else { return };
        let held = entry.conn.bytes_held();
        if held != entry.held {
            self.stats.held(entry.held, held);
            entry.held = held;
        }
        if entry.conn.is_ended() {
            return self.remove(key);
        }
        let mut lingers = false;
        if entry.conn.is_lingering() && !entry.shut {
            entry.shut = true;
            entry.stream.shutdown_write();
            lingers = entry.conn.lingers_for_body();
        }
        let config = &self.tools.round.config;
        self.timers.set(key, entry.conn.deadline(config), &mut entry.armed);
        entry.quiet = entry.armed.is_some() && entry.conn.is_quiet();
        let again = entry.conn.has_work(config)
            || (entry.ready.readable && entry.conn.wants_read(config))
            || (entry.ready.writable && entry.conn.wants_write());
        if again {
            self.run_later(key);
        }
        if lingers {
            self.lingers(key);
        }
    }

    /// Does what a connection's callbacks asked for beyond it.
    fn apply_effects(&mut self, key: Key) {
        let mut effects = std::mem::take(&mut self.tools.kit.effects);
        for effect in effects.drain(..) {
            let open = self.connections.get_mut(key).is_some_and(|e| e.conn.is_open_websocket());
            match effect {
                // A connection that closed meanwhile joins nothing.
                Effect::Join(group) if open => self.table.join(key.slot, &group),
                Effect::Join(_) => {}
                Effect::Leave(group) => self.table.leave(key.slot, &group),
                Effect::Publish(parcel) => {
                    self.tools
                        .round
                        .groups
                        .post(parcel.publication(), Some(&self.tools.round.mailbox));
                    self.publications.push(parcel);
                }
            }
        }
        self.tools.kit.effects = effects;
    }

    fn remove(&mut self, key: Key) {
        let Some(entry) = self.connections.remove(key) else { return };
        let connections = &mut self.connections;
        self.timers.gone(|key| connections.get_mut(key).is_some());
        self.table.leave_all(key.slot);
        if entry.shut {
            self.lingerers.gone(key);
        }
        self.stats.held(entry.held, 0);
        let Entry { mut stream, conn, mut ready, admitted, .. } = entry;
        let mut budget = 0;
        let mut sink = SocketSink { stream: &mut stream, writable: &mut ready.writable };
        let record = conn.finish(&mut self.tools.turn(&mut sink, &mut budget));
        self.stats.ended(&record, admitted);
        if let Some(on_closed) = &self.on_closed
            && call::guarded(|| on_closed(&record)).is_err()
        {
            log::error!("the observer of closed connections panicked");
        }
        if !self.tools.kit.effects.is_empty() {
            self.apply_effects(key);
        }
    }

    /// Tells connections that their deadline has passed.
    fn expire(&mut self) {
        let now = self.tools.round.now;
        while let Some((at, key)) = self.timers.due(now) {
            let Some(entry) = self.connections.get_mut(key) else { continue };
            if entry.armed != Some(at) {
                // An earlier entry took its place.
                continue;
            }
            entry.armed = None;
            entry.quiet = false;
            let due = entry.conn.deadline(&self.tools.round.config).is_some_and(|due| due <= now);
            if due && entry.ready.readable && entry.conn.wants_read(&self.tools.round.config) {
                // Its bytes may be there already: they are read first, and it is looked at
                // again in the next round.
                self.serve(key, Readiness::default());
            } else if due {
                let app = Arc::clone(&self.app);
                self.enter(key, |conn, turn| conn.time(&*app, turn));
            } else {
                let deadline = entry.conn.deadline(&self.tools.round.config);
                self.timers.set(key, deadline, &mut entry.armed);
            }
        }
    }
}
