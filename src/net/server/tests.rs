//! Workers that die. The worlds are real but for a fault that a test lets happen.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use mio::net::TcpStream as Socket;

use super::*;
use crate::asgi::handle::{Address, Command, ScopeCommand};
use crate::asgi::{Event, Handle, Handler, SendEvent, boxed};
use crate::bytes::moment::Moment;
use crate::conn::Addresses;
use crate::net::logged;
use crate::net::slab::Key;
use crate::net::world::Ready;

/// Nothing here takes longer, unless it is broken.
const LIMIT: Duration = Duration::from_secs(60);

const NO_FAULT: u8 = 0;
const ERROR: u8 = 1;
const PANIC: u8 = 2;

/// A real world; its next wait fails if the test asks for it.
struct FaultyWorld {
    real: RealWorld,
    fault: Arc<AtomicU8>,
}

impl World for FaultyWorld {
    type Stream = Socket;

    fn now(&mut self) -> Moment {
        self.real.now()
    }

    fn wall(&mut self) -> std::time::SystemTime {
        self.real.wall()
    }

    fn random(&mut self) -> u64 {
        self.real.random()
    }

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Ready) -> io::Result<()> {
        self.real.wait(timeout, ready)?;
        match self.fault.load(Ordering::SeqCst) {
            ERROR => Err(io::Error::other("a fault of the poll")),
            PANIC => std::panic::resume_unwind(Box::new("a mistake\n of ours")),
            _ => Ok(()),
        }
    }

    fn accept(&mut self) -> io::Result<(Socket, Addresses)> {
        self.real.accept()
    }

    fn register(&mut self, stream: &mut Socket, key: Key) -> io::Result<()> {
        self.real.register(stream, key)
    }

    fn stop_accepting(&mut self) {
        self.real.stop_accepting();
    }
}

/// A server of three workers, and what makes one die.
struct Serving {
    address: SocketAddr,
    faults: Vec<Arc<AtomicU8>>,
    mailboxes: Vec<Arc<WorkerMailbox>>,
    /// The handles of requests, with the number of their worker.
    handles: Receiver<(usize, Handle)>,
    /// Events that end a scope, of whichever scope.
    ends: Receiver<&'static str>,
    outcome: Receiver<Result<(), ServerError>>,
}

const WORKERS: usize = 3;

/// Each request is answered by its handle, from the test.
fn serve_three() -> Serving {
    logged::begin();
    let (give, handles) = mpsc::channel();
    let (end, ends) = mpsc::channel();
    let (ended, outcome) = mpsc::channel();
    let app = crate::asgi::app(move |_| -> Option<Box<dyn Handler>> {
        let (give, end) = (give.clone(), end.clone());
        Some(boxed(move |event, out| {
            match event {
                Event::LifespanStartup => drop(out.send(SendEvent::LifespanStartupComplete)?),
                Event::LifespanShutdown => {
                    let _ = end.send(event.name());
                    out.send(SendEvent::LifespanShutdownComplete)?;
                }
                Event::HttpRequest { .. } => {
                    let thread = std::thread::current();
                    let number = thread.name().and_then(|name| name.strip_prefix("oneport-"));
                    let number = number.map_or(0, |number| number.parse().unwrap());
                    let _ = give.send((number, out.handle()));
                }
                Event::HttpDisconnect => drop(end.send(event.name())),
                _ => {}
            }
            Ok(())
        }))
    });
    let listeners = listener::bind("127.0.0.1:0", WORKERS).unwrap();
    let address = listeners[0].local_addr().unwrap();
    let faults: Vec<_> = (0..WORKERS).map(|_| Arc::new(AtomicU8::new(NO_FAULT))).collect();
    let mut parts = Vec::new();
    for (listener, fault) in listeners.into_iter().zip(&faults) {
        let (real, waker) = RealWorld::new(listener).unwrap();
        let world = FaultyWorld { real, fault: Arc::clone(fault) };
        parts.push((world, Arc::new(WorkerMailbox::new(waker))));
    }
    let mailboxes: Vec<_> = parts.iter().map(|(_, mailbox)| Arc::clone(mailbox)).collect();
    let stopper = Stopper::default();
    stopper.connect(mailboxes.clone());
    std::thread::spawn(move || {
        let common = Common {
            app: Arc::new(app),
            config: Arc::new(Config::default()),
            groups: Groups::default(),
            stats: Stats::default(),
            takeover: Default::default(),
            on_closed: None,
        };
        let (world, mailbox) = parts.remove(0);
        let mut first = Worker::new(0, world, mailbox, &common);
        assert!(matches!(first.start_lifespan(), Ok(Startup::Complete(_))));
        let outcome = run_all(&mut first, parts, &common, &State::default(), &stopper);
        let _ = ended.send(outcome);
    });
    Serving { address, faults, mailboxes, handles, ends, outcome }
}

impl Serving {
    /// A request on each of these workers; which worker a connection reaches the system decides.
    fn requests_on(&self, workers: &[usize]) -> Vec<(TcpStream, Handle)> {
        let mut found: Vec<Option<(TcpStream, Handle)>> = workers.iter().map(|_| None).collect();
        for _ in 0..1000 {
            let mut stream = TcpStream::connect(self.address).unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
            let (number, handle) = self.handles.recv_timeout(LIMIT).unwrap();
            match workers.iter().position(|worker| *worker == number) {
                Some(at) if found[at].is_none() => found[at] = Some((stream, handle)),
                _ => _ = handle.respond(200, &[(b"connection", b"close")], b"passed over"),
            }
            if found.iter().all(Option::is_some) {
                return found.into_iter().flatten().collect();
            }
        }
        panic!("a worker gets no connection");
    }

    /// The worker dies, at once.
    fn let_die(&self, worker: usize, fault: u8) {
        self.faults[worker].store(fault, Ordering::SeqCst);
        // A command for a connection that never was wakes it.
        let stale = Address { slot: 0, generation: u32::MAX, scope: 0 };
        self.mailboxes[worker].put(Mail::Command(Command::Scope(stale, ScopeCommand::Resume)));
    }
}

#[test]
fn a_worker_that_dies_is_logged_at_once_and_the_server_ends_in_order() {
    for (dies, lives, fault, cause) in [
        (1, 2, ERROR, "a fault of the poll"),
        (2, 0, PANIC, "it panicked: a mistake\\n of ours"),
        (0, 1, ERROR, "a fault of the poll"),
        (0, 2, PANIC, "it panicked: a mistake\\n of ours"),
    ] {
        let server = serve_three();
        let mut requests = server.requests_on(&[dies, lives]);
        let (mut survivor, handle) = requests.pop().unwrap();
        let (mut victim, lost) = requests.pop().unwrap();
        server.let_die(dies, fault);

        // Its connections end, and their handlers learn it.
        assert_eq!(victim.read_to_end(&mut Vec::new()).unwrap(), 0, "worker {dies}");
        assert_eq!(server.ends.recv_timeout(LIMIT), Ok("http.disconnect"));
        assert!(!lost.is_alive());
        // The line is there, although the server has not ended: a request is still in flight.
        let line = format!("ERROR worker {dies} could not go on: {cause}; its ");
        assert!(logged::everywhere().iter().any(|logged| logged.starts_with(&line)), "{line}");
        assert!(server.outcome.try_recv().is_err());
        // The system gives no connection to a dead worker: all listeners close.
        let deadline = Instant::now() + LIMIT;
        while TcpStream::connect(server.address).is_ok() {
            assert!(Instant::now() < deadline, "the address is still listened on");
            std::thread::yield_now();
        }
        // What was in flight elsewhere is answered.
        handle.respond(200, &[], b"answered").unwrap();
        let mut answer = String::new();
        survivor.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("answered"), "{answer}");
        drop(survivor);
        let outcome = server.outcome.recv_timeout(LIMIT).expect("the server ends");
        let error = outcome.expect_err("a worker died").to_string();
        assert_eq!(error, format!("a worker could not go on: {cause}"));
        assert_eq!(server.ends.try_iter().last(), Some("lifespan.shutdown"), "worker {dies}");
    }
}

#[test]
fn a_server_whose_workers_live_ends_well() {
    let server = serve_three();
    for mailbox in &server.mailboxes {
        mailbox.put(Mail::Shutdown);
    }
    server.outcome.recv_timeout(LIMIT).unwrap().unwrap();
    assert_eq!(server.ends.try_iter().last(), Some("lifespan.shutdown"));
}
