//! The loop of one worker.
//!
//! ```text
//!   wait ──> mail ──> sockets ──> accept ──> run-again list ──> publications ──> timers ──> wait
//! ```
//!
//! Readiness is edge-triggered and a hint: it is remembered in the entry of its connection until
//! a read or write says "none now". A connection that has more to do than its turn allows, or
//! whose bytes became usable without an event, goes on the run-again list, once.
//!
//! **No peer and no callback holds the worker.** A turn has a budget ([`crate::conn::budget`]), a
//! round has one ([`pace`]), and one connection is served once in a round. When the round's budget
//! is spent, each part of the round keeps what it has not done for the next round: mail that was
//! taken, sockets that are ready, connections on the list, members of a group, deadlines. Ready
//! sockets go before the list, so a connection that has little to do never waits behind many that
//! have much.

mod accept;
mod ending;
mod lifespan;
mod linger;
mod pace;
mod publish;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use super::commands::{KEPT, Mail, WorkerMailbox};
use super::files::RealFiles;
use super::lifespan::{LIFESPAN_KEY, Lifespan};
use super::log_observer::LogObserver;
use super::slab::{Key, Slab};
use super::stats::Stats;
use super::timers::{Armed, Timers};
use super::world::{Readiness, Ready, Stream, World};
use crate::asgi::env::{Effect, Env, Kit, Round};
use crate::asgi::groups::{Branch, Groups, Parcel};
use crate::asgi::handle::{Command, Mailbox};
use crate::asgi::log_limit::Kind;
use crate::asgi::{App, Config, State};
use crate::bytes::input::Scratch;
use crate::bytes::moment::Moment;
use crate::bytes::output::Sink;
use crate::conn::budget::{Budget, Clock};
use crate::conn::call;
use crate::conn::record::Record;
use crate::conn::{Connection, Loan, Turn};
use crate::groups::{Member, Table};
use crate::http::date::Prefab;
use crate::ws::receiver::Target;
use crate::ws::takeover::TakeoverMemory;
use pace::Pace;
use publish::Pass;

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

/// Joins, leaves and publications that may wait for a later round before sockets are served on.
const MOST_EFFECTS: usize = 64 * 1024;
/// What joining, leaving or publishing counts (units).
const EFFECT_UNITS: usize = 256;
/// Memberships of connections that ended, cleared before the round's budget is looked at.
const DEPARTURES: usize = 256;

/// How long the application may take to start and to end.
const LIFESPAN_TIMEOUT: Duration = Duration::from_secs(60);

/// One connection with its socket.
struct Entry<S, H> {
    stream: S,
    conn: Connection<H>,
    ready: Readiness,
    /// It counts against `max_connections`; not so one that is only told that there are too many.
    admitted: bool,
    /// On the run-again list, or on that of sockets that are ready: on one of them, once.
    queued: bool,
    /// The writing side of the socket was shut.
    shut: bool,
    watch: Watch,
    armed: Armed,
    /// What the connection was last known to hold (bytes).
    held: usize,
}

/// How closely a connection is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watch {
    /// After its last turn it was quiet, and its deadline is armed.
    Quiet,
    /// Each turn is followed by a look at its deadline and its work.
    Normal,
    /// Its deadline has passed, but bytes of the peer may be there already: they are read first.
    Overdue,
    /// They were read. It is judged in this round, whatever it sends.
    OverdueRead,
}

/// Mistakes that were made here before. The simulation puts each of them back, to prove that it
/// finds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A connection whose deadline has passed is read, again and again, and not judged.
    ReadForEver,
    /// A deadline that is set in a round can be due in the same round.
    DueInSameRound,
    /// A connection that is on the run-again list is put on it once more.
    ListedTwice,
    /// A turn counts messages, not work.
    EndlessTurn,
    /// A pass of publications goes to all members in one round.
    EndlessPass,
    /// A pass has an entry for each member and publication.
    ProductOfPass,
    /// The end of a peer is not looked at while the application pauses.
    FinUnseen,
}

/// The platform's clock, for a turn.
struct PlatformClock<'a, W>(&'a mut W);

impl<W: World> Clock for PlatformClock<'_, W> {
    fn now(&mut self) -> Moment {
        self.0.now()
    }
}

/// What a worker lends to its connections.
struct Tools {
    round: Round,
    kit: Kit,
    observer: Option<LogObserver>,
}

impl Tools {
    #[inline]
    fn turn<'e>(
        &'e mut self,
        sink: &'e mut dyn Sink,
        budget: &'e mut Budget,
        clock: Option<&'e mut dyn Clock>,
    ) -> Turn<'e> {
        Turn {
            env: Env { round: &self.round, kit: &mut self.kit, sink },
            observer: self.observer.as_mut().map(|observer| observer as _),
            budget,
            clock,
        }
    }
}

/// What a read brought, how much it could have brought, and how much of that is memory of the
/// connection's own.
type Read = (io::Result<usize>, usize, usize);

/// A connection as a member of groups.
fn member(key: Key) -> Member {
    Member { slot: key.slot, generation: key.generation }
}

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

    fn unacknowledged(&mut self) -> usize {
        self.stream.unacknowledged()
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
    pub(crate) takeover: TakeoverMemory,
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
    /// What became ready, and mail that was taken, each with what is left of the last round.
    ready: Ready,
    mails: VecDeque<Mail>,
    taken: Vec<Mail>,
    /// Connections whose event waits for the next round.
    deferred: VecDeque<Key>,
    run_again: VecDeque<Key>,
    /// Deadlines that have passed and wait to be looked at.
    due: VecDeque<(Moment, Key)>,
    pace: Pace,
    #[cfg(test)]
    fault: Option<Fault>,
    /// Who lingers for the body of a request.
    lingerers: linger::Lingerers,
    /// Publications that wait for the next pass, in order.
    publications: VecDeque<Parcel>,
    /// The publications that are being given to members.
    pass: Option<Pass>,
    /// What publishers know of this worker.
    branch: Option<Arc<Branch>>,
    /// What callbacks asked for beyond their connections, if it was too much for one round.
    effects: VecDeque<(Key, Effect)>,
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
            takeover: common.takeover.clone(),
            state: State::default(),
            mailbox: Arc::clone(&mailbox) as Arc<dyn Mailbox>,
            groups: common.groups.clone(),
            files: &RealFiles,
            config,
        };
        let branch = round.groups.branch(&round.mailbox);
        let pace = Pace::new(round.now);
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
            ready: Ready::default(),
            mails: VecDeque::new(),
            taken: Vec::new(),
            deferred: VecDeque::new(),
            run_again: VecDeque::new(),
            due: VecDeque::new(),
            pace,
            #[cfg(test)]
            fault: None,
            lingerers: linger::Lingerers::default(),
            publications: VecDeque::new(),
            pass: None,
            branch,
            effects: VecDeque::new(),
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
        while !self.is_over() {
            self.step()?;
        }
        self.cut_what_is_left();
        Ok(())
    }

    /// Closes the listener; tells how many connections there are.
    pub(crate) fn stop_accepting(&mut self) -> usize {
        self.world.stop_accepting();
        self.connections.len()
    }

    /// Ends all connections at once.
    pub(crate) fn remove_all(&mut self) {
        for key in self.connections.keys() {
            self.remove(key);
        }
    }

    /// One round: waits for something to do, and does a bounded part of it.
    fn step(&mut self) -> io::Result<()> {
        let timeout = self.timeout();
        self.world.wait(timeout, &mut self.ready)?;
        self.begin_round();
        // Who is on the list now has a turn in this round; who is put on it waits for the next.
        let listed = self.run_again.len();
        // While very much waits that callbacks asked for, none is called that could ask for more:
        // what is ready stays so.
        if self.effects.len() <= MOST_EFFECTS {
            self.take_mail();
            self.serve_ready();
            self.accept();
            self.go_on_ending();
            self.serve_waiting(listed);
        }
        self.apply_waiting();
        self.publish();
        self.expire();
        self.with_lifespan(Lifespan::time);
        Ok(())
    }

    #[cfg(test)]
    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    #[cfg(not(test))]
    const fn has(&self, _: Fault) -> bool {
        false
    }

    fn is_over(&self) -> bool {
        let Some(ending) = &self.ending else { return false };
        let is_empty = self.connections.len() == 0 && !ending.lets_in();
        is_empty || self.tools.round.now >= ending.deadline()
    }

    /// How long to wait: not at all while there is work that no event announces.
    fn timeout(&mut self) -> Option<Duration> {
        let accept_now = self.acceptable && self.accept_retry.is_none();
        let lists = self.run_again.len() + self.deferred.len() + self.mails.len() + self.due.len();
        let ends = self.ending.as_ref().is_some_and(|ending| ending.goes_on());
        if accept_now || ends || lists > 0 || self.has_publications() {
            return Some(Duration::ZERO);
        }
        let lifespan = self.lifespan.as_ref().and_then(Lifespan::deadline);
        let kit = [self.tools.kit.pool.deadline(), self.tools.kit.limits.deadline()];
        let ending = self.ending.as_ref().map(|ending| ending.next());
        let next = [self.timers.next(), self.accept_retry, ending, lifespan]
            .into_iter()
            .chain(kit)
            .flatten()
            .min()?;
        let now = self.world.now();
        // Up to the next millisecond, which is what the poll can do: not to wake too early.
        Some(next.since(now).saturating_add(Duration::from_millis(1)))
    }

    fn begin_round(&mut self) {
        let now = self.world.now();
        self.tools.round.now = now;
        self.pace.begin(now);
        self.tools.round.random = self.world.random();
        self.tools.kit.pool.tidy(now);
        self.tools.kit.limits.tidy(now);
        let wall = self.world.wall();
        self.tools.round.prefab.refresh(wall);
        self.acceptable |= std::mem::take(&mut self.ready.listener);
    }

    /// Takes mail and does what it says, as far as the round allows.
    fn take_mail(&mut self) {
        if std::mem::take(&mut self.ready.mailbox) {
            self.mailbox.take(&mut self.taken);
            self.mails.extend(self.taken.drain(..));
        } else if self.mails.is_empty() {
            self.mails.shrink_to(KEPT);
        }
        while let Some(mail) = self.mails.pop_front() {
            self.mail(mail);
            if self.pace.is_spent() {
                break;
            }
        }
    }

    /// Serves sockets that are ready, those that the last round left over first.
    fn serve_ready(&mut self) {
        for left in (0..self.deferred.len()).rev() {
            let Some(key) = self.deferred.pop_front() else { break };
            self.serve_listed(key);
            if self.pace.is_spent() && left > 0 {
                break;
            }
        }
        let mut sockets = std::mem::take(&mut self.ready.sockets);
        for &(key, news) in &sockets {
            if self.pace.is_spent() {
                self.defer(key, news);
            } else {
                self.serve(key, news);
            }
        }
        sockets.clear();
        self.ready.sockets = sockets;
    }

    /// Keeps the event of a socket for the next round.
    #[cold]
    fn defer(&mut self, key: Key, news: Readiness) {
        let Some(entry) = self.connections.get_mut(key) else { return };
        entry.ready.add(news);
        if !std::mem::replace(&mut entry.queued, true) {
            self.deferred.push_back(key);
        }
    }

    /// Serves the first `listed` of the run-again list, at least one of them.
    fn serve_waiting(&mut self, listed: usize) {
        for served in 0..listed {
            if served > 0 && self.pace.is_spent() {
                break;
            }
            let Some(key) = self.run_again.pop_front() else { break };
            self.serve_listed(key);
        }
    }

    /// The turn of a connection that was on a list.
    fn serve_listed(&mut self, key: Key) {
        if let Some(entry) = self.connections.get_mut(key) {
            entry.queued = false;
            self.serve_long(key, Readiness::default(), None);
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
            Mail::Command(Command::Publish(parcel)) => self.publications.push_back(parcel),
            Mail::Shutdown => self.begin_ending(),
        }
    }

    /// Calls into a connection outside of its own turn; the turn follows in this round.
    fn enter(&mut self, key: Key, then: impl FnOnce(&mut Connection<A::Handler>, &mut Turn<'_>)) {
        let mut budget = self.turn_budget();
        let Some(entry) = self.connections.get_mut(key) else { return };
        let Entry { stream, conn, ready, .. } = entry;
        let mut sink = SocketSink { stream, writable: &mut ready.writable };
        let mut clock = PlatformClock(&mut self.world);
        conn.begin_turn(&mut self.loan);
        let mut turn = self.tools.turn(&mut sink, &mut budget, Some(&mut clock));
        then(conn, &mut turn);
        conn.end_turn(&mut self.loan, &mut turn);
        self.after_turn(key);
        self.turn_ended(key, &budget);
    }

    /// The budget of a turn that begins now.
    #[inline(always)]
    fn turn_budget(&self) -> Budget {
        if self.has(Fault::EndlessTurn) {
            return Budget::endless();
        }
        Budget::new(Some(self.pace.turn_until()))
    }

    /// A turn has ended: counts it against the round.
    #[inline(always)]
    fn turn_ended(&mut self, key: Key, budget: &Budget) {
        let (began, now) = (self.pace.at(), self.world.now());
        if self.pace.turn_ended(now, budget.spent()) {
            self.report_slow(key, now.since(began));
        }
    }

    /// A turn held the loop for too long: all others had to wait.
    #[cold]
    fn report_slow(&mut self, key: Key, took: Duration) {
        let paths = &self.tools.kit.paths;
        let path = self.connections.get_mut(key).map_or(paths.last, |e| e.conn.path(paths));
        let (limits, now) = (&mut self.tools.kit.limits, self.tools.round.now);
        limits.log(
            Kind::SlowHandler,
            now,
            format_args!(
                "the handler of {path} held its worker for {took:.0?}, and all other connections of \
                 the worker waited: do such work on a thread and answer through a handle"
            ),
        );
    }

    /// One turn of one connection, of whose socket this was told: reads while there is something
    /// and it may, then writes once.
    fn serve(&mut self, key: Key, news: Readiness) {
        let relisted = self.has(Fault::ListedTwice);
        // An unknown key is an event of a connection that ended in this round.
        let Some(entry) = self.connections.get_mut(key) else { return };
        let mut first = None;
        if entry.watch == Watch::Quiet
            && news.bits() == FRESH_BYTES.bits()
            && entry.ready.bits() == AT_REST.bits()
        {
            // The short way, for a connection at rest that is sent something: one read, one write.
            let mut budget = Budget::new(Some(self.pace.turn_until()));
            let scratch = self.input.bytes();
            let room = entry.conn.room_at_rest();
            match entry.stream.read(&mut scratch[..room]) {
                Ok(n) if n > 0 && n < room => {
                    let Entry { stream, conn, ready, .. } = entry;
                    let mut sink = SocketSink { stream, writable: &mut ready.writable };
                    let mut clock = PlatformClock(&mut self.world);
                    let mut turn = self.tools.turn(&mut sink, &mut budget, Some(&mut clock));
                    let bytes = &mut scratch[..n];
                    if !conn.turn_at_rest(&*self.app, bytes, &mut self.loan, &mut turn)
                        || !self.tools.kit.effects.is_empty()
                    {
                        self.after_turn(key);
                    }
                    return self.turn_ended(key, &budget);
                }
                other => first = Some((other, room, 0)),
            }
        }
        if entry.queued && first.is_none() && !relisted {
            // Its turn comes from the list: one in a round, however much it sends.
            entry.ready.add(news);
            return;
        }
        self.serve_long(key, news, first);
    }

    /// The long way, which begins with this read if there was one already.
    #[inline(never)]
    fn serve_long(&mut self, key: Key, news: Readiness, mut first: Option<Read>) {
        let mut budget = self.turn_budget();
        let relisted = self.has(Fault::ListedTwice);
        let fin_unseen = self.has(Fault::FinUnseen);
        let Some(entry) = self.connections.get_mut(key) else { return };
        if relisted {
            entry.queued = false;
        }
        if entry.watch == Watch::Overdue {
            entry.watch = Watch::OverdueRead;
        }
        let Entry { stream, conn, ready, .. } = entry;
        let mut clock = PlatformClock(&mut self.world);
        ready.add(news);
        if ready.read_closed && !fin_unseen {
            conn.peer_will_send_no_more();
        }
        conn.begin_turn(&mut self.loan);
        if ready.error {
            // A reset: what was queued can never leave.
            let kind = stream.take_error().map_or(io::ErrorKind::ConnectionReset, |e| e.kind());
            let mut sink = SocketSink { stream, writable: &mut ready.writable };
            conn.lost(kind, &mut self.tools.turn(&mut sink, &mut budget, Some(&mut clock)));
        }
        if conn.has_work(&self.tools.round.config) {
            let mut sink = SocketSink { stream, writable: &mut ready.writable };
            conn.run(&*self.app, &mut self.tools.turn(&mut sink, &mut budget, Some(&mut clock)));
        }
        for reads in 0..=READS {
            let may_read = ready.readable && !budget.is_spent() && reads < READS;
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
            let mut turn = self.tools.turn(&mut sink, &mut budget, Some(&mut clock));
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
        self.turn_ended(key, &budget);
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
        if !matches!(entry.watch, Watch::Overdue | Watch::OverdueRead) {
            let quiet = entry.armed.is_some() && entry.conn.is_quiet();
            entry.watch = if quiet { Watch::Quiet } else { Watch::Normal };
        }
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

    /// Does what a connection's callbacks asked for beyond it, or as much as this round allows.
    fn apply_effects(&mut self, key: Key) {
        let mut effects = std::mem::take(&mut self.tools.kit.effects);
        for effect in effects.drain(..) {
            // In order: behind those that wait already.
            if self.effects.is_empty() && !self.pace.is_spent() {
                self.apply(key, effect);
            } else {
                self.effects.push_back((key, effect));
            }
        }
        self.tools.kit.effects = effects;
    }

    /// Goes on with effects of earlier rounds, and with the memberships of connections that ended.
    fn apply_waiting(&mut self) {
        let mut first = true;
        while (first || !self.pace.is_spent())
            && let Some((key, effect)) = self.effects.pop_front()
        {
            first = false;
            self.apply(key, effect);
        }
        while self.table.has_departures() && (first || !self.pace.is_spent()) {
            first = false;
            let branch = &self.branch;
            let cleared = self.table.clear_departures(DEPARTURES, |group| {
                if let Some(branch) = branch {
                    branch.vanished(group);
                }
            });
            self.pace.add(cleared * EFFECT_UNITS);
        }
        self.effects.shrink_to(self.effects.len() + KEPT);
    }

    fn apply(&mut self, key: Key, effect: Effect) {
        self.pace.add(EFFECT_UNITS);
        let open = self.connections.get_mut(key).is_some_and(|e| e.conn.is_open_websocket());
        match effect {
            // A connection that closed meanwhile joins nothing.
            Effect::Join(group) if open => {
                if let (Some(name), Some(branch)) =
                    (self.table.join(member(key), &group), &self.branch)
                {
                    branch.appeared(name);
                }
            }
            Effect::Join(_) => {}
            Effect::Leave(group) => {
                if let (Some(name), Some(branch)) =
                    (self.table.leave(member(key), &group), &self.branch)
                {
                    branch.vanished(&name);
                }
            }
            Effect::Publish(parcel) => {
                let publication = parcel.publication();
                self.tools.round.groups.post(publication, self.branch.as_ref());
                let part = self.branch.as_ref().and_then(|branch| branch.part(publication));
                self.publications.extend(part);
            }
        }
    }

    fn remove(&mut self, key: Key) {
        let Some(entry) = self.connections.remove(key) else { return };
        self.tools.kit.paths.last = entry.conn.path(&self.tools.kit.paths);
        let connections = &mut self.connections;
        self.timers.gone(|key| connections.get_mut(key).is_some());
        self.table.depart(member(key));
        if entry.shut {
            self.lingerers.gone(key);
        }
        self.stats.held(entry.held, 0);
        let Entry { mut stream, conn, mut ready, admitted, .. } = entry;
        let mut budget = Budget::default();
        let mut sink = SocketSink { stream: &mut stream, writable: &mut ready.writable };
        let record = conn.finish(&mut self.tools.turn(&mut sink, &mut budget, None));
        self.stats.ended(&record, admitted);
        if let Some(on_closed) = &self.on_closed
            && call::guarded(|| on_closed(&record)).is_err()
        {
            let what = format_args!("the observer of closed connections panicked");
            self.log(Kind::OnClosed, what);
        }
        if !self.tools.kit.effects.is_empty() {
            self.apply_effects(key);
        }
    }

    /// Tells connections that their deadline has passed.
    fn expire(&mut self) {
        let now = self.tools.round.now;
        // What is set from now on is due in the next round at the earliest.
        while let Some(due) = self.timers.due(now) {
            self.due.push_back(due);
        }
        while let Some((at, key)) = self.due.pop_front() {
            self.deadline_passed(at, key);
            if self.has(Fault::DueInSameRound) {
                self.due.extend(self.timers.due(now));
            } else if self.pace.is_spent() {
                break;
            }
        }
    }

    /// A connection's deadline has passed, as it was when it was armed for this time. Bytes that
    /// have arrived are read first, in its next turn; then it is judged, whatever it sends.
    fn deadline_passed(&mut self, armed: Moment, key: Key) {
        let now = self.tools.round.now;
        let for_ever = self.has(Fault::ReadForEver);
        let Some(entry) = self.connections.get_mut(key) else { return };
        if entry.armed != Some(armed) {
            // An earlier entry took its place.
            return;
        }
        entry.armed = None;
        let config = &self.tools.round.config;
        let deadline = entry.conn.deadline(config);
        if deadline.is_none_or(|deadline| deadline > now) {
            // It has moved. Whether the connection is quiet is asked again after its next turn.
            entry.watch = Watch::Normal;
            self.timers.set(key, deadline, &mut entry.armed);
            return;
        }
        let unread = entry.ready.readable && entry.conn.wants_read(config);
        match entry.watch {
            Watch::Normal | Watch::Quiet if unread => {
                entry.watch = Watch::Overdue;
                self.timers.set(key, deadline, &mut entry.armed);
                return self.run_later(key);
            }
            Watch::OverdueRead if for_ever && unread => {
                self.timers.set(key, deadline, &mut entry.armed);
                return;
            }
            // The round had no time for it: it is read now.
            Watch::Overdue => {
                self.serve_long(key, Readiness::default(), None);
            }
            _ => {}
        }
        let app = Arc::clone(&self.app);
        if let Some(entry) = self.connections.get_mut(key) {
            entry.watch = Watch::Normal;
            entry.armed = None;
            self.enter(key, |conn, turn| conn.time(&*app, turn));
        }
    }
}
