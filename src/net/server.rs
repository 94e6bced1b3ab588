//! A server: what it is made of, and its life.

#[cfg(test)]
mod tests;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::commands::{Mail, WorkerMailbox};
use super::error::ServerError;
use super::lifespan::Startup;
use super::listener;
use super::signals::{Hangup, SignalWatch};
use super::stats::Stats;
use super::worker::{Common, OnClosed, Worker};
use super::world::{RealWorld, World};
use crate::asgi::guard::{Guarded, caught, describe, drop_guarded, guarded, what_it_said};
use crate::asgi::handle::Mailbox;
use crate::asgi::{App, Config, Groups, State};
use crate::conn::record::Record;
use crate::http::sender;
use crate::ws::takeover::TakeoverMemory;

/// A server for one application, to be configured.
///
/// ```no_run
/// use oneport::{app, handler, Event, Server};
///
/// # fn main() -> Result<(), oneport::ServerError> {
/// let hello = app(|_| Some(handler(|event, out| {
///     if let Event::HttpRequest { more_body: false, .. } = event {
///         out.respond(200, &[], b"Hello!")?;
///     }
///     Ok(())
/// })));
/// Server::new(hello).workers(2).bind("127.0.0.1:8000")?.run()
/// # }
/// ```
pub struct Server<A> {
    app: A,
    config: Config,
    workers: usize,
    signals: bool,
    hangup: Hangup,
    lifespan_required: bool,
    groups: Groups,
    stats: Stats,
    on_closed: Option<OnClosed>,
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, $name: $type) -> Self {
            self.config.$name = $name;
            self
        }
    )*};
}

impl<A: App> Server<A> {
    /// With the defaults of [`Config`] and one worker.
    pub fn new(app: A) -> Self {
        Self {
            app,
            config: Config::default(),
            workers: 1,
            signals: true,
            hangup: Hangup::Drain,
            lifespan_required: false,
            groups: Groups::default(),
            stats: Stats::default(),
            on_closed: None,
        }
    }

    /// Loops, one thread each. Default 1; at least 1.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// End on SIGTERM, SIGINT and (see [`Server::hangup`]) SIGHUP? Default yes; a program with signal
    /// handling of its own says no and uses a [`Stopper`].
    #[must_use]
    pub fn signals(mut self, signals: bool) -> Self {
        self.signals = signals;
        self
    }

    /// What a SIGHUP does. Default [`Hangup::Drain`].
    #[must_use]
    pub fn hangup(mut self, hangup: Hangup) -> Self {
        self.hangup = hangup;
        self
    }

    /// Must the lifespan, if the application has one, begin well? Default no: one that errs on `lifespan.startup`
    /// without an answer is served without a lifespan, as ASGI wants it, which may hide a bug in
    /// its startup. If yes, the server ends with the error.
    #[must_use]
    pub fn lifespan_required(mut self, required: bool) -> Self {
        self.lifespan_required = required;
        self
    }

    /// Replaces all limits and deadlines at once.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Connections at the same time; past it a newcomer gets a 503. Default: no limit.
    #[must_use]
    pub fn max_connections(mut self, max_connections: usize) -> Self {
        self.config.max_connections = Some(max_connections);
        self
    }

    /// Compress WebSocket messages if the client offers to (RFC 7692). Default: no.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, deflate: crate::Deflate) -> Self {
        self.config.deflate = Some(deflate);
        self
    }

    /// The Server field of responses; `None` leaves it out. Default `oneport`.
    #[must_use]
    pub fn server_field(mut self, name: Option<&str>) -> Self {
        self.config.server_field = name.map(str::to_string);
        self
    }

    setters! {
        /// See [`Config::max_head`].
        max_head: usize;
        /// See [`Config::max_body`].
        max_body: u64;
        /// See [`Config::max_message`].
        max_message: usize;
        /// See [`Config::max_fields`].
        max_fields: usize;
        /// See [`Config::max_fragments`].
        max_fragments: u32;
        /// See [`Config::max_control_frames`].
        max_control_frames: u32;
        /// See [`Config::high_water`].
        high_water: usize;
        /// See [`Config::low_water`].
        low_water: usize;
        /// See [`Config::hard_limit`].
        hard_limit: usize;
        /// See [`Config::head_timeout`].
        head_timeout: Duration;
        /// See [`Config::idle_timeout`].
        idle_timeout: Duration;
        /// See [`Config::body_timeout`].
        body_timeout: Duration;
        /// See [`Config::min_body_rate`].
        min_body_rate: u64;
        /// See [`Config::response_timeout`].
        response_timeout: Duration;
        /// See [`Config::half_close`].
        half_close: bool;
        /// See [`Config::write_timeout`].
        write_timeout: Duration;
        /// See [`Config::ping_interval`].
        ping_interval: Duration;
        /// See [`Config::ping_timeout`].
        ping_timeout: Duration;
        /// See [`Config::close_timeout`].
        close_timeout: Duration;
        /// See [`Config::drain_timeout`].
        drain_timeout: Duration;
        /// See [`Config::shutdown_grace`].
        shutdown_grace: Duration;
        /// See [`Config::shutdown_code`].
        shutdown_code: u16;
        /// See [`Config::takeover_memory`].
        takeover_memory: usize;
        /// See [`Config::date_field`].
        date_field: bool;
    }

    /// Calls this with the closing [`Record`] of each connection: who ended it, which rule, the
    /// codes, the bytes each way. On the connection's worker: look and return at once.
    #[must_use]
    pub fn on_closed(mut self, then: impl Fn(&Record) + Send + Sync + 'static) -> Self {
        self.on_closed = Some(Arc::new(then));
        self
    }

    /// The server's groups, to publish from any thread.
    pub fn groups(&self) -> Groups {
        self.groups.clone()
    }

    /// The server's numbers.
    pub fn stats(&self) -> Stats {
        self.stats.clone()
    }

    /// Listens on `host:port`; port 0 takes a free one, which [`Bound::local_addr`] tells.
    ///
    /// # Errors
    /// [`ServerError::Bind`], with the cause and the remedy; [`ServerError::Config`] for a setting that
    /// cannot be used.
    pub fn bind(self, address: &str) -> Result<Bound<A>, ServerError> {
        if let Some(name) = &self.config.server_field
            && !sender::is_value(name.as_bytes())
        {
            return Err(ServerError::Config(format!(
                "server_field {name:?} is no field value (RFC 9110 §5.5): it must be one line without \
                 control characters, and neither begin nor end with white space"
            )));
        }
        let listeners = listener::bind(address, self.workers)?;
        Ok(Bound { server: self, listeners, stopper: Stopper::default(), on_ready: None })
    }
}

impl<A> std::fmt::Debug for Server<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("workers", &self.workers)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// A server that listens and can run.
pub struct Bound<A> {
    server: Server<A>,
    listeners: Vec<TcpListener>,
    stopper: Stopper,
    on_ready: Option<Box<dyn FnOnce() + Send>>,
}

impl<A: App> Bound<A> {
    /// Where it listens.
    ///
    /// # Panics
    /// Never: a bound socket has an address.
    pub fn local_addr(&self) -> SocketAddr {
        self.listeners[0].local_addr().expect("a bound socket has an address")
    }

    /// The server's groups, to publish from any thread.
    pub fn groups(&self) -> Groups {
        self.server.groups()
    }

    /// The server's numbers.
    pub fn stats(&self) -> Stats {
        self.server.stats()
    }

    /// Ends the server from elsewhere, as a signal does.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Calls this once, when the application has started and connections are about to be
    /// accepted. A panic in it is logged, and the server serves.
    #[must_use]
    pub fn on_ready(mut self, then: impl FnOnce() + Send + 'static) -> Self {
        self.on_ready = Some(Box::new(then));
        self
    }

    /// Serves until a signal or a [`Stopper`] ends it and everything in flight is done.
    ///
    /// # Errors
    /// If the system does not give what it needs, the application's start or end failed, or a worker
    /// could not go on: then the others answer what is in flight, and the server ends. A program
    /// should exit with a code other than 0, so that a supervisor starts it again.
    pub fn run(self) -> Result<(), ServerError> {
        let Self { server, listeners, stopper, on_ready } = self;
        let Server { app, config, signals, lifespan_required, groups, stats, on_closed, .. } =
            server;
        let app = Arc::new(app);
        // What is the application's ends last and under the guard, however this ends.
        let (_app, _on_closed) = (Guarded::new(Arc::clone(&app)), Guarded::new(on_closed.clone()));
        let on_ready = Guarded::new(on_ready);
        warn_of_few_descriptors();
        let takeover = TakeoverMemory::default();
        let config = Arc::new(config);
        let common = Common { app, config, groups, stats, takeover, on_closed };
        let mut parts = Vec::new();
        for listener in listeners {
            let (world, waker) =
                RealWorld::new(listener).map_err(failed("cannot watch the listener"))?;
            parts.push((world, Arc::new(WorkerMailbox::new(waker))));
        }
        let mailboxes: Vec<_> = parts.iter().map(|(_, mailbox)| Arc::clone(mailbox)).collect();
        let for_groups = mailboxes.iter().map(|mailbox| Arc::clone(mailbox) as Arc<dyn Mailbox>);
        common.groups.connect(for_groups.collect());
        stopper.connect(mailboxes);
        let _signals = match signals {
            true => Some(
                SignalWatch::begin(stopper.clone(), server.hangup)
                    .map_err(failed("cannot listen for signals"))?,
            ),
            false => None,
        };
        // The first worker has the lifespan: it begins before the others and outlives them.
        let (world, mailbox) = parts.remove(0);
        let mut first = Worker::new(0, world, mailbox, &common);
        let startup = first.start_lifespan().map_err(failed("the first worker failed"))?;
        let state = match startup {
            Startup::Complete(state) => state,
            Startup::Failed(message) => {
                log::error!("lifespan.startup.failed: {}", describe(&message));
                return Err(ServerError::Startup(message));
            }
            Startup::Raised(message) if lifespan_required => {
                return Err(ServerError::Startup(message));
            }
            // ASGI: an application that raises does not know lifespans; it is served without.
            Startup::Raised(message) => {
                log::info!("serving without lifespan: the application raised: {message}");
                State::default()
            }
            Startup::None => State::default(),
        };
        if let Some(on_ready) = on_ready.into_inner()
            && guarded(on_ready).is_err()
        {
            log::error!("what `on_ready` calls panicked; the server serves");
        }
        run_all(&mut first, parts, &common, &state, &stopper)
    }
}

/// Runs all workers, then the end of the lifespan.
fn run_all<W: World + Send, A: App>(
    first: &mut Worker<W, A>,
    others: Vec<(W, Arc<WorkerMailbox>)>,
    common: &Common<A>,
    state: &State,
    stopper: &Stopper,
) -> Result<(), ServerError> {
    let served = serve(first, others, common, state, stopper);
    tell_what_was_cut(&common.stats, common.config.drain_timeout);
    // Also after a worker that died: the application has started and wants to end.
    let stopped = caught(|| first.stop_lifespan()).unwrap_or_else(|said| Err(panicked(&said)));
    match stopped.map_err(failed("the first worker failed")) {
        Ok(Err(message)) => {
            log::error!("lifespan.shutdown.failed: {}", describe(&message));
            served.and(Err(ServerError::Shutdown(message)))
        }
        Ok(Ok(())) => served,
        Err(error) => served.and(Err(error)),
    }
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> ServerError {
    move |source| ServerError::Io { what, source }
}

fn warn_of_few_descriptors() {
    match listener::raise_descriptor_limit() {
        Some(limit) if limit < 1024 => log::warn!(
            "only {limit} file descriptors: about as many connections can be open at a time; \
             raise the limit with `ulimit -n`"
        ),
        _ => {}
    }
}

/// One line about the end.
fn tell_what_was_cut(stats: &Stats, drain_timeout: Duration) {
    match stats.cut_at_end() {
        (0, 0) => log::info!("the server has ended; nothing was cut"),
        (responses, websockets) => log::warn!(
            "the server has ended; the drain timeout of {drain_timeout:?} cut HTTP responses: \
             {responses}, WebSockets: {websockets}"
        ),
    }
}

/// Runs all workers until the last connection has ended: the first on this thread, the others
/// on threads of their own.
fn serve<W: World + Send, A: App>(
    first: &mut Worker<W, A>,
    others: Vec<(W, Arc<WorkerMailbox>)>,
    common: &Common<A>,
    state: &State,
    stopper: &Stopper,
) -> Result<(), ServerError> {
    first.set_state(state.clone());
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (number, (world, mailbox)) in (1..).zip(others) {
            let state = state.clone();
            let run = move || {
                let mut worker = Worker::new(number, world, mailbox, common);
                worker.set_state(state);
                serve_one(&mut worker, number, stopper)
            };
            let name = format!("oneport-{number}");
            match std::thread::Builder::new().name(name).spawn_scoped(scope, run) {
                Ok(thread) => threads.push(thread),
                Err(source) => {
                    stopper.stop();
                    log::error!("worker {number} cannot be started, the server ends: {source}");
                    return Err(failed("cannot start a worker")(source));
                }
            }
        }
        let mut outcome = serve_one(first, 0, stopper);
        for thread in threads {
            let ended = thread.join().unwrap_or_else(|payload| {
                let said = panicked(what_it_said(&*payload));
                drop_guarded(payload);
                Err(said)
            });
            outcome = outcome.and(ended);
        }
        outcome.map_err(failed("a worker could not go on"))
    })
}

/// Runs one worker to its end. One that dies ends the server: its listener is closed at once, for
/// the system would go on giving it connections, and the others answer what is in flight.
fn serve_one<W: World, A: App>(
    worker: &mut Worker<W, A>,
    number: usize,
    stopper: &Stopper,
) -> io::Result<()> {
    let served = caught(|| worker.serve_all());
    let Err(cause) = served.unwrap_or_else(|said| Err(panicked(&said))) else { return Ok(()) };
    stopper.stop();
    let connections = worker.stop_accepting();
    log::error!(
        "worker {number} could not go on: {cause}; its {connections} connections are lost, and the \
         server ends"
    );
    if let Err(said) = caught(|| worker.remove_all()) {
        log::error!("worker {number} did not end all of them: {}", panicked(&said));
    }
    Err(cause)
}

fn panicked(said: &str) -> io::Error {
    io::Error::other(format!("it panicked: {}", describe(&said)))
}

impl<A> std::fmt::Debug for Bound<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Ends a server from any thread, as SIGTERM does.
#[derive(Clone, Default)]
pub struct Stopper {
    inner: Arc<Mutex<Stop>>,
}

#[derive(Default)]
struct Stop {
    asked: bool,
    mailboxes: Vec<Arc<WorkerMailbox>>,
}

impl Stopper {
    /// Asks the server to end: it accepts no more, answers what is in flight, closes WebSockets,
    /// and [`Bound::run`] returns. A server that does not run yet ends as soon as it does.
    pub fn stop(&self) {
        let mut stop = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        stop.asked = true;
        for mailbox in &stop.mailboxes {
            mailbox.put(Mail::Shutdown);
        }
    }

    fn connect(&self, mailboxes: Vec<Arc<WorkerMailbox>>) {
        let asked = {
            let mut stop = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            stop.mailboxes = mailboxes;
            stop.asked
        };
        if asked {
            self.stop();
        }
    }
}

impl std::fmt::Debug for Stopper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stopper")
    }
}
