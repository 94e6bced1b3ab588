//! The world as a worker sees it: one narrow trait, and its real form on mio.
//!
//! Everything that a loop cannot compute comes through [`World`]: readiness, sockets, the clock,
//! randomness. A simulated world is a second implementation, not a second loop.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use rustix::net::{RecvFlags, SendFlags};

use super::commands::Wake;
use super::slab::Key;
use super::unacknowledged::unacknowledged;
use crate::bytes::moment::Moment;
use crate::conn::{Addresses, Local};

/// What became ready.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    /// Connections wait to be accepted.
    pub(crate) listener: bool,
    /// The mailbox has mail.
    pub(crate) mailbox: bool,
    /// Sockets of connections.
    pub(crate) sockets: Vec<(Key, Readiness)>,
}

/// What a socket is ready for. Hints: each read or write may still find nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer will send nothing more: read to the end.
    pub(crate) read_closed: bool,
    /// The socket failed.
    pub(crate) error: bool,
}

impl Readiness {
    /// As one number: compared at once.
    #[inline(always)]
    pub(crate) fn bits(self) -> u32 {
        let Self { readable, writable, read_closed, error } = self;
        u32::from_ne_bytes([readable, writable, read_closed, error].map(u8::from))
    }

    /// It is ready for these, too.
    pub(crate) fn add(&mut self, news: Readiness) {
        self.readable |= news.readable || news.read_closed;
        self.writable |= news.writable;
        self.read_closed |= news.read_closed;
        self.error |= news.error;
    }
}

/// A connected socket.
pub(crate) trait Stream {
    /// Reads; `WouldBlock` if nothing is there, 0 at the peer's end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Reads into the first and, when that is full, into the second; as [`Stream::read`].
    fn read_two(&mut self, first: &mut [u8], second: &mut [u8]) -> io::Result<usize>;
    /// Writes; `WouldBlock` if nothing can be taken.
    fn write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize>;
    /// As [`Stream::write`], for one part.
    fn write_one(&mut self, part: &[u8]) -> io::Result<usize> {
        self.write(&[IoSlice::new(part)])
    }
    /// Bytes that were written and that the peer's system has not acknowledged; 0 if that is not
    /// known. Costs a few system calls.
    fn unacknowledged(&mut self) -> usize {
        0
    }
    /// Sends a FIN behind what was written.
    fn shutdown_write(&mut self);
    /// What failed, if something did.
    fn take_error(&mut self) -> Option<io::Error>;
}

/// Everything a worker cannot compute.
pub(crate) trait World {
    type Stream: Stream;

    /// The clock, for deadlines.
    fn now(&mut self) -> Moment;
    /// The calendar, for Date fields.
    fn wall(&mut self) -> SystemTime;
    /// A number that peers cannot guess.
    fn random(&mut self) -> u64;
    /// Waits until something is ready, at most for `timeout` (`None`: for ever), and adds it
    /// to `ready`.
    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Ready) -> io::Result<()>;
    /// Accepts one connection; `WouldBlock` if none waits.
    fn accept(&mut self) -> io::Result<(Self::Stream, Addresses)>;
    /// Begins to report the readiness of a socket under this key.
    fn register(&mut self, stream: &mut Self::Stream, key: Key) -> io::Result<()>;
    /// Closes the listener: newcomers are refused by the system.
    fn stop_accepting(&mut self);
}

const LISTENER: Token = Token(usize::MAX);
const MAILBOX: Token = Token(usize::MAX - 1);
/// Low bits of a token hold the slot, the others as much of the generation as there is room
/// for.
const SLOT_BITS: u32 = if usize::BITS == 64 { 32 } else { 20 };
/// Events taken from the system at once.
const EVENTS: usize = 1024;

fn token(key: Key) -> Token {
    Token((key.generation as usize) << SLOT_BITS | key.slot as usize)
}

fn key(token: Token) -> Key {
    Key {
        slot: (token.0 & ((1 << SLOT_BITS) - 1)) as u32,
        generation: (token.0 >> SLOT_BITS) as u32,
    }
}

/// The real world: epoll or its kin through mio.
pub(crate) struct RealWorld {
    poll: Poll,
    events: Events,
    listener: Option<TcpListener>,
    /// Does the listener listen on all addresses? Then our end depends on the connection.
    on_all: bool,
    /// Our end of the last connection.
    local: Option<Arc<Local>>,
    random: u64,
    /// Where its clock begins (nanoseconds of the system's).
    began: u64,
}

impl RealWorld {
    /// With this listener, non-blocking; also gives what wakes it.
    pub(crate) fn new(listener: std::net::TcpListener) -> io::Result<(Self, Box<dyn Wake>)> {
        let poll = Poll::new()?;
        let local = listener.local_addr().ok();
        let on_all = local.is_none_or(|local| local.ip().is_unspecified());
        let mut listener = TcpListener::from_std(listener);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), MAILBOX)?);
        // The standard library seeds its hash maps from the operating system.
        let random = {
            use std::hash::{BuildHasher as _, Hasher as _};
            std::collections::hash_map::RandomState::new().build_hasher().finish()
        };
        let world = Self {
            poll,
            events: Events::with_capacity(EVENTS),
            listener: Some(listener),
            on_all,
            local: local.map(|local| Arc::new(Local::Inet(local))),
            random,
            began: monotonic(),
        };
        Ok((world, Box::new(MioWaker(waker))))
    }
}

/// The system's monotonic clock (nanoseconds). It is read after every turn, so it is read directly:
/// `Instant` would check and convert what it reads each time.
#[inline]
fn monotonic() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

struct MioWaker(Arc<Waker>);

impl Wake for MioWaker {
    fn wake(&self) {
        if let Err(error) = self.0.wake() {
            log::error!("a worker could not be woken: {error}");
        }
    }
}

impl World for RealWorld {
    type Stream = TcpStream;

    fn now(&mut self) -> Moment {
        Moment::at_nanoseconds(monotonic().wrapping_sub(self.began))
    }

    fn wall(&mut self) -> SystemTime {
        SystemTime::now()
    }

    fn random(&mut self) -> u64 {
        // SplitMix64: good enough for numbers that are only to be unguessable in passing.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Ready) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            // A signal arrived; nothing is lost.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        ready.sockets.reserve(EVENTS);
        for event in &self.events {
            match event.token() {
                LISTENER => ready.listener = true,
                MAILBOX => ready.mailbox = true,
                other => ready.sockets.push((
                    key(other),
                    Readiness {
                        readable: event.is_readable(),
                        writable: event.is_writable(),
                        read_closed: event.is_read_closed(),
                        error: event.is_error(),
                    },
                )),
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<(TcpStream, Addresses)> {
        let Some(listener) = &self.listener else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let (stream, client) = listener.accept()?;
        if self.on_all {
            let local = stream.local_addr().ok().map(Local::Inet);
            if local.as_ref() != self.local.as_deref() {
                self.local = local.map(Arc::new);
            }
        }
        Ok((stream, Addresses { client: Some(client), server: self.local.clone() }))
    }

    fn register(&mut self, stream: &mut TcpStream, key: Key) -> io::Result<()> {
        // Once, for both directions: mio is edge-triggered, so nothing has to be armed again.
        self.poll.registry().register(stream, token(key), Interest::READABLE | Interest::WRITABLE)
    }

    fn stop_accepting(&mut self) {
        self.listener = None;
    }
}

/// Reads and writes go to the system itself: in a program with several threads the C library
/// makes each of them a point where a thread can be cancelled, which costs more than the rest of
/// the call on our side.
impl Stream for TcpStream {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (read, _) = rustix::net::recv(&*self, buffer, RecvFlags::empty())?;
        Ok(read)
    }

    fn read_two(&mut self, first: &mut [u8], second: &mut [u8]) -> io::Result<usize> {
        if second.is_empty() {
            return Stream::read(self, first);
        }
        (&*self).read_vectored(&mut [IoSliceMut::new(first), IoSliceMut::new(second)])
    }

    #[inline]
    fn write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match parts {
            [part] => self.write_one(part),
            parts => (&*self).write_vectored(parts),
        }
    }

    /// `send` is cheaper than `sendmsg`.
    #[inline]
    fn write_one(&mut self, part: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(&*self, part, SendFlags::NOSIGNAL)?)
    }

    fn unacknowledged(&mut self) -> usize {
        unacknowledged(self.local_addr(), self.peer_addr())
    }

    fn shutdown_write(&mut self) {
        // It may be closed already: that is what we want.
        let _ = self.shutdown(Shutdown::Write);
    }

    fn take_error(&mut self) -> Option<io::Error> {
        TcpStream::take_error(self).ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_carry_slot_and_generation() {
        for (slot, generation) in [(0, 0), (1, 2), ((1 << 20) - 1, (1 << 12) - 2), (7, 4000)] {
            let original = Key { slot, generation };
            assert_eq!(key(token(original)), original);
            assert!(![LISTENER, MAILBOX].contains(&token(original)));
        }
    }
}
