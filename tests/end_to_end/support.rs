//! A server that runs for one test, and what can be seen of it.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use oneport::{
    App, AppError, Event, Flow, Groups, Handler, Message, Outbox, Scope, SendEvent, Server,
    ServerError, Stats, Stopper, app, handler,
};

use crate::raw::Raw;

/// Nothing here takes longer, unless it is broken, however slow the machine is.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A deadline that is to pass, but not before what the test does first, however slow the machine
/// is.
pub(crate) const LATER: Duration = Duration::from_millis(1500);

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What a handler gives.
pub(crate) type Outcome = Result<(), AppError>;

// ---- the server -----------------------------------------------------------------------------

/// An application in which `/barrier` belongs to nobody: it is 404, whatever the test's own
/// application does.
pub(crate) struct Barred<A>(A);

impl<A: App> App for Barred<A> {
    type Handler = A::Handler;

    fn call(&self, scope: &Scope<'_>) -> Option<A::Handler> {
        if scope.path() == "/barrier" { None } else { self.0.call(scope) }
    }
}

/// A server on a thread of its own. Dropping it stops it and checks that it ended well.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    pub(crate) stats: Stats,
    pub(crate) groups: Groups,
    stopper: Stopper,
    /// The name of the thread of its first worker.
    name: String,
    ready: Receiver<()>,
    outcome: Option<Receiver<Result<(), ServerError>>>,
}

/// A server with the defaults and one worker, ready to be asked.
pub(crate) fn serve<A: App>(app: A) -> Serving {
    serve_with(app, |server| server)
}

/// The same, configured.
pub(crate) fn serve_with<A: App>(
    app: A,
    configure: impl FnOnce(Server<Barred<A>>) -> Server<Barred<A>>,
) -> Serving {
    let serving = start(app, configure);
    serving.wait_until_ready();
    serving
}

/// The same, perhaps not started yet.
pub(crate) fn start<A: App>(
    app: A,
    configure: impl FnOnce(Server<Barred<A>>) -> Server<Barred<A>>,
) -> Serving {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    capture();
    let name = format!("server-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    // No deadline ends what a test expects to end for another reason.
    let never = LIMIT * 2;
    let server = Server::new(Barred(app))
        .signals(false)
        .head_timeout(never)
        .idle_timeout(never)
        .body_timeout(never)
        .response_timeout(never)
        .write_timeout(never)
        .ping_interval(never)
        .drain_timeout(Duration::from_secs(10));
    let bound = configure(server).bind("127.0.0.1:0").expect("a free port can be had");
    let (is_ready, ready) = mpsc::channel();
    let (ended, outcome) = mpsc::channel();
    let bound = bound.on_ready(move || {
        let _ = is_ready.send(());
    });
    let (address, stats, groups) = (bound.local_addr(), bound.stats(), bound.groups());
    let stopper = bound.stopper();
    std::thread::Builder::new()
        .name(name.clone())
        .spawn(move || drop(ended.send(bound.run())))
        .expect("a thread can be had");
    Serving { address, stats, groups, stopper, name, ready, outcome: Some(outcome) }
}

impl Serving {
    pub(crate) fn wait_until_ready(&self) {
        self.ready.recv_timeout(LIMIT).expect("the server becomes ready");
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready.try_recv().is_ok()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A client on a bare socket.
    pub(crate) fn raw(&self) -> Raw {
        Raw::connect(self.address)
    }

    /// One GET on a connection of its own.
    pub(crate) fn get(&self, path: &str) -> crate::raw::Response {
        let mut client = self.raw();
        client.get(path);
        client.response()
    }

    /// Comes back when the server (with one worker) has done all that it was given before: it
    /// serves in the order in which things arrive, and this arrives last.
    pub(crate) fn barrier(&self) {
        for _ in 0..2 {
            assert_eq!(self.get("/barrier").status, 404);
        }
    }

    /// Asks for the end and does not wait.
    pub(crate) fn ask_to_stop(&self) {
        self.stopper.stop();
    }

    /// What `run()` gave, once it returns.
    pub(crate) fn outcome(&mut self) -> Result<(), ServerError> {
        let outcome = self.outcome.take().expect("asked once");
        match outcome.recv_timeout(LIMIT) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => panic!("the server does not end"),
            Err(RecvTimeoutError::Disconnected) => panic!("the server panicked"),
        }
    }

    /// Stops it; gives what `run()` gave.
    pub(crate) fn stop(mut self) -> Result<(), ServerError> {
        self.ask_to_stop();
        self.outcome()
    }

    /// What its first worker logged, from level "info" on. Not what it says of this machine, which
    /// may allow few descriptors.
    pub(crate) fn log(&self) -> Vec<String> {
        let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        let own = lines.iter().filter(|(thread, _)| *thread == self.name).map(|(_, line)| line);
        own.filter(|line| !line.contains(" file descriptors: ")).cloned().collect()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self.outcome.is_none() {
            return;
        }
        self.ask_to_stop();
        if std::thread::panicking() {
            return;
        }
        let outcome = self.outcome();
        assert!(outcome.is_ok(), "the server ended with {outcome:?}");
    }
}

// ---- what it logs ---------------------------------------------------------------------------

static LINES: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Keeps what is logged, by thread.
struct Capture;

impl log::Log for Capture {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Info
    }

    fn log(&self, record: &log::Record<'_>) {
        let thread = std::thread::current().name().unwrap_or_default().to_string();
        let line = format!("{}: {}", record.level(), record.args());
        LINES.lock().unwrap_or_else(PoisonError::into_inner).push((thread, line));
    }

    fn flush(&self) {}
}

/// The panic that some handlers here are asked for.
pub(crate) const ASKED: &str = "asked to panic";

/// Once: captures the log, and keeps panics that were asked for out of the output.
fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Capture).expect("no other logger is set");
        log::set_max_level(log::LevelFilter::Info);
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&ASKED) {
                usual(info);
            }
        }));
    });
}

// ---- applications ---------------------------------------------------------------------------

/// A handler in a box, for applications that give one of several.
pub(crate) fn boxed<F>(receive: F) -> Option<Box<dyn Handler>>
where
    F: FnMut(Event<'_>, &mut Outbox<'_>) -> Outcome + 'static,
{
    Some(Box::new(handler(receive)))
}

/// An application that gives boxed handlers.
pub(crate) fn by_scope<F>(call: F) -> impl App
where
    F: Fn(&Scope<'_>) -> Option<Box<dyn Handler>> + Send + Sync + 'static,
{
    app(call)
}

/// Each HTTP and WebSocket scope gets a clone of this handler; no lifespan.
pub(crate) fn on_events<F>(receive: F) -> impl App
where
    F: FnMut(Event<'_>, &mut Outbox<'_>) -> Outcome + Clone + Send + Sync + 'static,
{
    app(move |scope| match scope {
        Scope::Http(_) | Scope::WebSocket(_) => Some(handler(receive.clone())),
        _ => None,
    })
}

/// Each complete HTTP request is answered by this.
pub(crate) fn answering<F>(answer: F) -> impl App
where
    F: FnMut(&mut Outbox<'_>) -> Outcome + Clone + Send + Sync + 'static,
{
    let mut answer = answer;
    on_events(move |event, out| match event {
        Event::HttpRequest { more_body: false, .. } => answer(out),
        _ => Ok(()),
    })
}

/// Answers 200 and this text.
pub(crate) fn say(out: &mut Outbox<'_>, text: &str) -> Outcome {
    out.respond(200, &[(b"content-type", b"text/plain")], text.as_bytes())?;
    Ok(())
}

/// A part of a body, as large as a peer that does not read makes it: what the system takes for it
/// differs from machine to machine.
pub(crate) fn more_than_is_taken(out: &mut Outbox<'_>) -> Outcome {
    let body = &[b'x'; 32 * 1024];
    while out.send(SendEvent::HttpResponseBody { body, more_body: true })? == Flow::Ready {}
    Ok(())
}

/// Every request is answered with its path, every WebSocket echoes.
pub(crate) fn plain() -> impl App {
    by_scope(|scope| match scope {
        Scope::Http(http) => {
            let path = http.path.to_string();
            boxed(move |event, out| match event {
                Event::HttpRequest { more_body: false, .. } => say(out, &path),
                _ => Ok(()),
            })
        }
        Scope::WebSocket(_) => boxed(echo),
        _ => None,
    })
}

/// Accepts and echoes.
pub(crate) fn echo(event: Event<'_>, out: &mut Outbox<'_>) -> Outcome {
    match event {
        Event::WebSocketConnect => drop(out.accept()?),
        Event::WebSocketReceive(message) => drop(out.message(message)?),
        _ => {}
    }
    Ok(())
}

// ---- what handlers are told -----------------------------------------------------------------

/// A handler's end of a row of notes.
#[derive(Clone)]
pub(crate) struct Notes(Sender<String>);

/// The test's end.
pub(crate) struct Told(Receiver<String>);

pub(crate) fn notes() -> (Notes, Told) {
    let (notes, told) = mpsc::channel();
    (Notes(notes), Told(told))
}

impl Notes {
    pub(crate) fn note(&self, what: impl Into<String>) {
        // The test may have ended.
        drop(self.0.send(what.into()));
    }

    pub(crate) fn event(&self, event: &Event<'_>) {
        self.note(describe(event));
    }
}

impl Told {
    /// The next note.
    pub(crate) fn next(&self) -> String {
        self.0.recv_timeout(LIMIT).expect("something is told in time")
    }

    /// Waits for this note; those before it are passed over.
    pub(crate) fn wait_for(&self, what: &str) {
        while self.next() != what {}
    }

    /// What was told by now.
    pub(crate) fn so_far(&self) -> Vec<String> {
        self.0.try_iter().collect()
    }

    /// All that will ever be told: waits until no handler is left that could.
    pub(crate) fn all(self) -> Vec<String> {
        let deadline = Instant::now() + LIMIT;
        let mut all = Vec::new();
        loop {
            match self.0.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(note) => all.push(note),
                Err(RecvTimeoutError::Disconnected) => return all,
                Err(RecvTimeoutError::Timeout) => panic!("a handler is left: {all:?}"),
            }
        }
    }
}

/// An event in one line.
pub(crate) fn describe(event: &Event<'_>) -> String {
    let name = event.name();
    match event {
        Event::HttpRequest { body, more_body } => {
            let more = if *more_body { "+" } else { "." };
            format!("{name} {}{more}", body.escape_ascii())
        }
        Event::WebSocketReceive(Message::Text(text)) => format!("{name} text {text:?}"),
        Event::WebSocketReceive(Message::Binary(bytes)) => {
            format!("{name} binary {}", bytes.escape_ascii())
        }
        Event::WebSocketDisconnect { code, reason } => format!("{name} {code} {reason:?}"),
        _ => name.to_string(),
    }
}

/// What a channel gives, within the limit.
pub(crate) fn take<T>(channel: &Receiver<T>) -> T {
    channel.recv_timeout(LIMIT).expect("it comes in time")
}

/// Polls until it holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

// ---- clients --------------------------------------------------------------------------------

/// A client that nobody here wrote. Statuses are answers, not errors.
pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(LIMIT))
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into()
}

/// A WebSocket client that nobody here wrote.
pub(crate) type Ws = tungstenite::WebSocket<TcpStream>;

/// Opens a WebSocket.
pub(crate) fn ws(server: &Serving, path: &str) -> Ws {
    ws_with(server, path, &[]).expect("it is accepted").0
}

/// The same with fields of one's own, and with the answer to the handshake.
#[allow(clippy::result_large_err)] // the client's own error
pub(crate) fn ws_with(
    server: &Serving,
    path: &str,
    fields: &[(&'static str, &str)],
) -> tungstenite::Result<(Ws, tungstenite::handshake::client::Response)> {
    use tungstenite::client::IntoClientRequest as _;
    let mut request = format!("ws://{}{path}", server.address).into_client_request()?;
    for (name, value) in fields {
        request.headers_mut().append(*name, value.parse()?);
    }
    let stream = TcpStream::connect(server.address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    tungstenite::client(request, stream).map_err(|error| match error {
        tungstenite::HandshakeError::Failure(error) => error,
        tungstenite::HandshakeError::Interrupted(_) => panic!("no answer to the handshake"),
    })
}
