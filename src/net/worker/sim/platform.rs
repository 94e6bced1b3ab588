//! The simulated platform: pipes, a poll, a clock that moves only when the simulation says so.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read as _};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::bytes::moment::Moment;
use crate::conn::Addresses;
use crate::net::slab::Key;
use crate::net::world::{Readiness, Ready, Stream, World};

/// Calls of the platform in one round after which the round counts as endless.
const ENDLESS: u64 = 300_000;

/// The time of a simulation (nanoseconds). Handlers move it by what they cost.
#[derive(Clone, Default)]
pub(super) struct SimClock(Arc<AtomicU64>);

impl SimClock {
    pub(super) fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    pub(super) fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }
}

/// Both directions of a simulated socket.
#[derive(Default)]
pub(super) struct Pipe {
    /// What the peer has sent and we have not read.
    to_us: VecDeque<u8>,
    /// Sent again whenever it was read: a peer that sends without pause.
    flood: Vec<u8>,
    /// The peer has sent its FIN, behind all bytes.
    pub(super) fin: bool,
    pub(super) reset: bool,
    /// What we have written.
    pub(super) from_us: Vec<u8>,
    /// Bytes that the peer still takes.
    room: usize,
    pub(super) key: Option<Key>,
    /// What the next wait reports.
    news: Readiness,
    /// Reads in this round.
    pub(super) reads: usize,
    /// We sent a FIN, or closed.
    pub(super) shut: bool,
    pub(super) closed: bool,
}

impl Pipe {
    pub(super) fn send(&mut self, bytes: &[u8]) {
        assert!(!self.fin, "nothing follows a FIN");
        self.to_us.extend(bytes);
        self.news.readable = true;
    }

    pub(super) fn flood(&mut self, bytes: Vec<u8>) {
        self.flood = bytes;
        self.news.readable = true;
    }

    pub(super) fn fin(&mut self) {
        self.flood.clear();
        self.fin = true;
        self.news.readable = true;
        self.news.read_closed = true;
    }

    pub(super) fn reset(&mut self) {
        self.reset = true;
        self.news = Readiness { readable: true, writable: true, read_closed: true, error: true };
    }

    pub(super) fn take(&mut self, room: usize) {
        self.room = self.room.saturating_add(room);
        self.news.writable = true;
    }
}

/// Our end of a pipe. Dropping it closes the socket.
pub(super) struct SimStream {
    pipe: Rc<RefCell<Pipe>>,
    watchdog: Watchdog,
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.pipe.borrow_mut().closed = true;
    }
}

impl Stream for SimStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.watchdog.tick();
        let mut pipe = self.pipe.borrow_mut();
        pipe.reads += 1;
        if pipe.reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let want = buffer.len();
        while !pipe.flood.is_empty() && pipe.to_us.len() < want {
            let more = std::mem::take(&mut pipe.flood);
            pipe.to_us.extend(&more);
            pipe.flood = more;
        }
        let n = want.min(pipe.to_us.len());
        if n == 0 && want > 0 {
            return if pipe.fin { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        pipe.to_us.read_exact(&mut buffer[..n])?;
        Ok(n)
    }

    fn read_two(&mut self, first: &mut [u8], second: &mut [u8]) -> io::Result<usize> {
        let n = self.read(first)?;
        if n < first.len() || second.is_empty() {
            return Ok(n);
        }
        self.pipe.borrow_mut().reads -= 1;
        Ok(n + self.read(second).unwrap_or(0))
    }

    fn write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.watchdog.tick();
        let mut pipe = self.pipe.borrow_mut();
        if pipe.reset {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut taken = 0;
        for part in parts {
            let n = part.len().min(pipe.room);
            pipe.from_us.extend_from_slice(&part[..n]);
            pipe.room -= n;
            taken += n;
        }
        if taken == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    fn shutdown_write(&mut self) {
        self.pipe.borrow_mut().shut = true;
    }

    fn take_error(&mut self) -> Option<io::Error> {
        self.pipe.borrow().reset.then(|| io::ErrorKind::ConnectionReset.into())
    }
}

/// Ends a round that does not end by itself.
#[derive(Clone, Default)]
pub(super) struct Watchdog(Rc<RefCell<u64>>);

impl Watchdog {
    fn tick(&self) {
        let mut calls = self.0.borrow_mut();
        *calls += 1;
        assert!(*calls < ENDLESS, "a round without end");
    }

    fn begin(&self) {
        *self.0.borrow_mut() = 0;
    }
}

/// What the worker and its driver share.
#[derive(Default)]
pub(super) struct Net {
    pub(super) pipes: Vec<Rc<RefCell<Pipe>>>,
    /// Connections that wait to be accepted.
    waiting: VecDeque<Rc<RefCell<Pipe>>>,
    listener_news: bool,
    pub(super) mailbox_news: bool,
    /// How much time the next wait may take, if nothing happens.
    pub(super) patience: Duration,
}

impl Net {
    /// A peer connects.
    pub(super) fn connect(&mut self, room: usize) -> Rc<RefCell<Pipe>> {
        let pipe = Rc::new(RefCell::new(Pipe { room, ..Pipe::default() }));
        self.pipes.push(Rc::clone(&pipe));
        self.waiting.push_back(Rc::clone(&pipe));
        self.listener_news = true;
        pipe
    }
}

pub(super) struct SimPlatform {
    pub(super) net: Rc<RefCell<Net>>,
    pub(super) clock: SimClock,
    pub(super) watchdog: Watchdog,
    pub(super) random: u64,
}

impl World for SimPlatform {
    type Stream = SimStream;

    fn now(&mut self) -> Moment {
        self.watchdog.tick();
        Moment::at(self.clock.now())
    }

    fn wall(&mut self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6364136223846793005).wrapping_add(1);
        self.random
    }

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Ready) -> io::Result<()> {
        self.watchdog.begin();
        let mut net = self.net.borrow_mut();
        ready.listener |= std::mem::take(&mut net.listener_news);
        ready.mailbox |= std::mem::take(&mut net.mailbox_news);
        for pipe in &net.pipes {
            let mut pipe = pipe.borrow_mut();
            pipe.reads = 0;
            if pipe.closed {
                continue;
            }
            // Who sends without pause makes news without pause.
            pipe.news.readable |= !pipe.flood.is_empty();
            if let Some(key) = pipe.key
                && pipe.news != Readiness::default()
            {
                ready.sockets.push((key, std::mem::take(&mut pipe.news)));
            }
        }
        let nothing = !ready.listener && !ready.mailbox && ready.sockets.is_empty();
        if nothing && timeout != Some(Duration::ZERO) {
            let patience = net.patience;
            self.clock.pass(timeout.map_or(patience, |timeout| timeout.min(patience)));
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<(SimStream, Addresses)> {
        self.watchdog.tick();
        let next = self.net.borrow_mut().waiting.pop_front();
        let pipe = next.ok_or(io::ErrorKind::WouldBlock)?;
        let stream = SimStream { pipe, watchdog: self.watchdog.clone() };
        Ok((stream, Addresses { client: None, server: None }))
    }

    fn register(&mut self, stream: &mut SimStream, key: Key) -> io::Result<()> {
        stream.pipe.borrow_mut().key = Some(key);
        Ok(())
    }

    fn stop_accepting(&mut self) {
        // The system resets those that still wait.
        for pipe in self.net.borrow_mut().waiting.drain(..) {
            pipe.borrow_mut().closed = true;
        }
    }
}
