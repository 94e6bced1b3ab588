//! The loop in a simulated world: no socket, no thread, no clock but the one that the script moves.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Common, Worker};
use crate::asgi::{Config, Event, Groups, app, handler};
use crate::bytes::moment::Moment;
use crate::conn::Addresses;
use crate::net::commands::{Mail, Wake, WorkerMailbox};
use crate::net::logged;
use crate::net::slab::Key;
use crate::net::stats::Stats;
use crate::net::world::{Readiness, Ready, Stream, World};

/// Both directions of a simulated socket.
#[derive(Default)]
struct Pipe {
    /// What the peer has sent; an empty piece is its FIN.
    to_us: VecDeque<Vec<u8>>,
    from_us: Vec<u8>,
    /// Bytes that the peer still takes.
    room: usize,
    key: Option<Key>,
    reads: usize,
    writes: usize,
    shut: bool,
}

#[derive(Clone, Default)]
struct SimStream(Rc<RefCell<Pipe>>);

impl Stream for SimStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut pipe = self.0.borrow_mut();
        pipe.reads += 1;
        let Some(piece) = pipe.to_us.pop_front() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        buffer[..piece.len()].copy_from_slice(&piece);
        Ok(piece.len())
    }

    fn read_two(&mut self, first: &mut [u8], second: &mut [u8]) -> io::Result<usize> {
        let mut both = vec![0; first.len() + second.len()];
        let n = self.read(&mut both)?;
        let (to_first, to_second) = both[..n].split_at(n.min(first.len()));
        first[..to_first.len()].copy_from_slice(to_first);
        second[..to_second.len()].copy_from_slice(to_second);
        Ok(n)
    }

    fn write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut pipe = self.0.borrow_mut();
        pipe.writes += 1;
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let n = bytes.len().min(pipe.room);
        if n == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        pipe.room -= n;
        pipe.from_us.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn shutdown_write(&mut self) {
        self.0.borrow_mut().shut = true;
    }

    fn take_error(&mut self) -> Option<io::Error> {
        None
    }
}

type Step = Box<dyn FnMut(&mut Ready)>;

/// A world that does, at each wait, the next step of a script; then it ends the server.
struct SimWorld {
    now: Moment,
    script: VecDeque<Step>,
    waiting: VecDeque<io::Result<SimStream>>,
    ended: bool,
    mailbox: Arc<WorkerMailbox>,
    waits: Rc<RefCell<Vec<Option<Duration>>>>,
}

impl World for SimWorld {
    type Stream = SimStream;

    fn now(&mut self) -> Moment {
        self.now
    }

    fn wall(&mut self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn random(&mut self) -> u64 {
        4
    }

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Ready) -> io::Result<()> {
        self.waits.borrow_mut().push(timeout);
        if timeout == Some(Duration::ZERO) {
            return Ok(());
        }
        match self.script.pop_front() {
            Some(mut step) => step(ready),
            None => {
                // Once: then nothing happens but time.
                ready.mailbox = !std::mem::replace(&mut self.ended, true);
                if ready.mailbox {
                    self.mailbox.put(Mail::Shutdown);
                }
            }
        }
        if !ready.listener && !ready.mailbox && ready.sockets.is_empty() {
            // Nothing happens but time.
            self.now += timeout.expect("a wait for ever would never end");
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<(SimStream, Addresses)> {
        let next = self.waiting.pop_front().unwrap_or(Err(io::ErrorKind::WouldBlock.into()));
        Ok((next?, Addresses { client: None, server: None }))
    }

    fn register(&mut self, stream: &mut SimStream, key: Key) -> io::Result<()> {
        stream.0.borrow_mut().key = Some(key);
        Ok(())
    }

    fn stop_accepting(&mut self) {}
}

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

/// Runs a server that says "hello" through a script; gives the timeouts it waited with.
fn run(waiting: Vec<io::Result<SimStream>>, script: Vec<Step>) -> (Vec<Option<Duration>>, Stats) {
    let mailbox = Arc::new(WorkerMailbox::new(Box::new(NoWake)));
    let waits = Rc::new(RefCell::new(Vec::new()));
    let common = Common {
        app: Arc::new(app(|_| {
            Some(handler(|event, out| {
                if let Event::HttpRequest { more_body: false, .. } = event {
                    out.respond(200, &[], "hello")?;
                }
                Ok(())
            }))
        })),
        config: Arc::new(Config { server_field: None, date_field: false, ..Config::default() }),
        groups: Groups::default(),
        stats: Stats::default(),
        takeover: Default::default(),
        on_closed: None,
    };
    let world = SimWorld {
        now: Moment::at(Duration::ZERO),
        script: script.into(),
        waiting: waiting.into(),
        ended: false,
        mailbox: Arc::clone(&mailbox),
        waits: Rc::clone(&waits),
    };
    let mut worker = Worker::new(0, world, mailbox, &common);
    worker.serve_all().unwrap();
    drop(worker);
    (waits.take(), common.stats)
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

fn socket(room: usize) -> SimStream {
    let stream = SimStream::default();
    stream.0.borrow_mut().room = room;
    stream
}

/// The peer sends these bytes, and the poll says so.
fn sends(stream: &SimStream, bytes: &[u8]) -> Step {
    let (pipe, bytes) = (Rc::clone(&stream.0), bytes.to_vec());
    Box::new(move |ready| {
        let mut pipe = pipe.borrow_mut();
        pipe.to_us.push_back(bytes.clone());
        let read_closed = bytes.is_empty();
        let key = pipe.key.expect("it was accepted");
        ready
            .sockets
            .push((key, Readiness { readable: true, read_closed, ..Readiness::default() }));
    })
}

/// As [`sends`], with all that epoll says of a socket that was written to already.
fn sends_again(stream: &SimStream, bytes: &[u8]) -> Step {
    let mut sends = sends(stream, bytes);
    Box::new(move |ready| {
        sends(ready);
        for (_, readiness) in &mut ready.sockets {
            readiness.writable = true;
        }
    })
}

/// The peer takes this much more, and the poll says so.
fn takes(stream: &SimStream, room: usize) -> Step {
    let pipe = Rc::clone(&stream.0);
    Box::new(move |ready| {
        let mut pipe = pipe.borrow_mut();
        pipe.room += room;
        let key = pipe.key.expect("it was accepted");
        ready.sockets.push((key, Readiness { writable: true, ..Readiness::default() }));
    })
}

fn nothing() -> Step {
    Box::new(|_| {})
}

#[test]
fn one_read_and_one_write_for_all_requests_of_a_segment() {
    let peer = socket(usize::MAX);
    let script = vec![sends(&peer, &GET.repeat(16)), sends(&peer, b"")];
    let (_, stats) = run(vec![Ok(peer.clone())], script);
    let pipe = peer.0.borrow();
    assert_eq!(pipe.from_us, HELLO.repeat(16));
    assert_eq!((pipe.reads, pipe.writes), (2, 1), "the second read is the FIN");
    assert_eq!((stats.connections(), stats.connections_ever()), (0, 1));
    assert_eq!(stats.closed().get("peer-closed"), Some(&1));
}

#[test]
fn a_connection_at_rest_needs_one_read_unless_it_fills_all_the_room() {
    for (left, reads) in [(1, 4), (0, 5)] {
        let peer = socket(usize::MAX);
        let mut post = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 131008\r\n\r\n".to_vec();
        let body = post.len() + 131_008;
        post.extend_from_slice(&vec![b'x'; 131_008]);
        // The room is 128 KiB, of which a short request takes what the long one has left.
        let rest = 128 * 1024 - body - left;
        let line = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
        assert!(rest < line.len());
        post.extend_from_slice(&line.as_bytes()[..rest]);
        let script = vec![
            sends(&peer, GET),
            sends_again(&peer, &post),
            sends_again(&peer, &line.as_bytes()[rest..]),
            sends(&peer, b""),
        ];
        run(vec![Ok(peer.clone())], script);
        let pipe = peer.0.borrow();
        assert_eq!(pipe.from_us, HELLO.repeat(3));
        assert_eq!(pipe.reads, reads, "{left} bytes were free");
    }
}

#[test]
fn what_a_peer_does_not_take_waits_for_its_event_and_nothing_is_lost() {
    let peer = socket(10);
    let script =
        vec![sends(&peer, &GET.repeat(3)), takes(&peer, 30), takes(&peer, 1000), sends(&peer, b"")];
    run(vec![Ok(peer.clone())], script);
    let pipe = peer.0.borrow();
    assert_eq!(pipe.from_us, HELLO.repeat(3));
    assert!(
        pipe.writes <= 6,
        "{} writes: none without an event but to see that it is full",
        pipe.writes
    );
}

#[test]
fn without_descriptors_the_loop_waits_and_tries_again_by_itself() {
    let peer = socket(usize::MAX);
    // EMFILE; the connection stays in the queue of the system, and no event will tell of it.
    let waiting = vec![Err(io::Error::from_raw_os_error(24)), Ok(peer.clone())];
    let script = vec![nothing(), sends(&peer, GET), sends(&peer, b"")];
    let (waits, _) = run(waiting, script);
    assert_eq!(peer.0.borrow().from_us, HELLO);
    let sleeps: Vec<_> = waits.iter().flatten().filter(|wait| !wait.is_zero()).collect();
    assert!(*sleeps[0] >= Duration::from_millis(100), "it does not spin: {waits:?}");
}

#[test]
fn without_descriptors_there_is_a_line_in_ten_seconds_and_a_count() {
    logged::begin();
    let tries = 300;
    let waiting = (0..tries).map(|_| Err(io::Error::from_raw_os_error(24))).collect();
    let (waits, _) = run(waiting, (0..tries).map(|_| nothing()).collect());
    let slept: Duration = waits.iter().flatten().sum();
    let lines = logged::here();
    assert!(lines[0].starts_with("WARN cannot accept: no file descriptor left"), "{lines:?}");
    // Each has the cause, and how often it was besides.
    assert!(lines[1..].iter().all(|line| line.starts_with("WARN cannot accept")), "{lines:?}");
    let most = 1 + slept.as_secs() / 10;
    assert!((3..=most).contains(&(lines.len() as u64)), "in {slept:?}: {lines:?}");
    // None is lost.
    let held = |line: &String| line.rsplit_once('(')?.1.split(' ').next()?.parse::<u64>().ok();
    let counts = lines[1..].iter().filter_map(held);
    assert!(counts.sum::<u64>() > tries - 110, "{lines:?}");
}

#[test]
fn a_silent_peer_is_ended_by_the_clock_alone() {
    let peer = socket(usize::MAX);
    let (waits, stats) = run(vec![Ok(peer.clone())], vec![nothing()]);
    assert!(waits.iter().flatten().any(|wait| *wait >= Duration::from_secs(10)));
    assert_eq!(stats.closed().get("request-refused"), Some(&1));
    assert!(peer.0.borrow().from_us.is_empty());
}

#[test]
fn an_event_of_a_connection_that_is_gone_reaches_no_stranger() {
    let (first, second) = (socket(usize::MAX), socket(usize::MAX));
    let old = Rc::clone(&first.0);
    let stale: Step = Box::new(move |ready| {
        let key = old.borrow().key.expect("it was accepted");
        ready.sockets.push((key, Readiness { error: true, ..Readiness::default() }));
    });
    let script = vec![
        sends(&first, b""),
        Box::new(|ready: &mut Ready| ready.listener = true) as Step,
        stale,
        sends(&second, GET),
        sends(&second, b""),
    ];
    // The second connection waits until the first has ended, and gets its slot.
    let waiting = vec![Ok(first), Err(io::ErrorKind::WouldBlock.into()), Ok(second.clone())];
    run(waiting, script);
    assert_eq!(second.0.borrow().from_us, HELLO);
    assert_eq!(second.0.borrow().key.map(|key| (key.slot, key.generation)), Some((0, 1)));
}

#[test]
fn the_sink_of_a_socket_knows_what_was_not_acknowledged() {
    use crate::bytes::output::Sink;

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port can be had");
    let address = listener.local_addr().expect("it is bound");
    let mut stream = mio::net::TcpStream::connect(address).expect("somebody listens");
    let (_peer, _) = listener.accept().expect("it connects");
    let ends = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
    let mut writable = true;
    let mut sink = super::SocketSink { stream: &mut stream, writable: &mut writable };
    // Nobody reads: the system of the other end takes some of it and no more.
    while sink.offer_one(&[0; 65536]).expect("it is connected") > 0 {}
    let asked = crate::net::unacknowledged(Ok(ends.0), Ok(ends.1));
    assert_eq!(sink.unacknowledged() > 0, asked > 0);
}

/// `Event::Shutdown` comes in slices; other connections are served in between.
#[test]
fn the_end_is_told_in_slices_and_idle_connections_end_after_the_grace() {
    let peers: Vec<_> = (0..200).map(|_| Ok(socket(usize::MAX))).collect();
    let (waits, stats) = run(peers, vec![]);
    let zeros = |waits: &[Option<Duration>]| {
        waits.iter().take_while(|wait| **wait == Some(Duration::ZERO)).count()
    };
    let sleeps: Vec<_> = (0..waits.len()).filter(|&at| waits[at] != Some(Duration::ZERO)).collect();
    let end = sleeps[sleeps.len() - 2];
    assert!(zeros(&waits[end + 1..]) >= 4, "three rounds and a rest: {waits:?}");
    let grace = waits[sleeps[sleeps.len() - 1]].unwrap();
    assert!(grace > Duration::from_millis(240) && grace < Duration::from_millis(260), "{grace:?}");
    assert!(zeros(&waits[sleeps[sleeps.len() - 1] + 1..]) >= 3, "{waits:?}");
    assert_eq!(stats.connections(), 0);
}
