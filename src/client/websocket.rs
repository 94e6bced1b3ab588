//! An open WebSocket and its two halves.
//!
//! Any number of threads may wait for something at the same time: one for a message, others
//! for their bytes to leave, for a pong, for the end. **One of them drives**: it waits for the
//! socket to be readable without holding the lock, then does what can be done, and wakes the
//! others, who look whether what they wait for is there. When the driver has what it wanted, the
//! next one drives. Whose bytes wait to leave waits for the socket beside the driver, but only to
//! write.

use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::engine::Engine;
use super::error::{Error, Wait};
use super::message::Message;
use super::response::Response;
use super::socket;
use crate::ws;

/// How long a thread that does not drive waits for the socket before it looks whether it must.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long a thread that does not drive leaves a deadline that has passed to the one that does.
const GIVE_WAY: Duration = Duration::from_millis(1);

/// What the halves share.
struct Shared {
    engine: Mutex<Engine>,
    /// Something happened.
    changed: Condvar,
    stream: Arc<TcpStream>,
    response: Response,
    subprotocol: Option<String>,
    compressed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something happened or `until` has passed, and does what can be done then.
    /// With `write` it is waited also for the socket to take more.
    fn wait<'a>(
        &'a self,
        mut engine: MutexGuard<'a, Engine>,
        write: bool,
        until: Option<Instant>,
    ) -> MutexGuard<'a, Engine> {
        if engine.resume() {
            self.changed.notify_all();
            return engine;
        }
        // Nobody drives while the inbox is full: it takes a receiver to make room.
        let drives = !engine.driven && engine.wants_read();
        let mut deadline = engine.deadline();
        if engine.driven {
            // The driver reads before the deadline is judged: it goes first.
            deadline = deadline.map(|deadline| deadline.max(Instant::now() + GIVE_WAY));
        }
        let until = [until, deadline].into_iter().flatten().min();
        if !drives && !write {
            let Some(until) = until else {
                return self.changed.wait(engine).unwrap_or_else(PoisonError::into_inner);
            };
            let left = until.saturating_duration_since(Instant::now());
            let waited = self.changed.wait_timeout(engine, left);
            let (mut engine, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() {
                engine.go_on();
                self.changed.notify_all();
            }
            return engine;
        }
        // Only the socket wakes who waits for it; that the driver has left does not.
        let look_again = (!drives).then(|| Instant::now() + LOOK_AGAIN);
        let until = [until, look_again].into_iter().flatten().min();
        engine.driven |= drives;
        let write = engine.wants_write();
        drop(engine);
        let waited = socket::wait(&self.stream, drives, write, until);
        debug_assert!(waited.is_ok(), "poll fails only for arguments that are wrong");
        let mut engine = self.lock();
        if drives {
            engine.driven = false;
        }
        engine.go_on();
        self.changed.notify_all();
        engine
    }

    fn receive(&self, timeout: Option<Duration>) -> Result<Message, Error> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut engine = self.lock();
        loop {
            if let Some((message, resumes)) = engine.next_message() {
                if resumes {
                    self.changed.notify_all();
                }
                return Ok(message);
            }
            if let Some(end) = engine.end() {
                return Err(end);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                engine.leave();
                return Err(Error::TimedOut(Wait::Receive));
            }
            engine = self.wait(engine, false, deadline);
        }
    }

    fn send(&self, message: ws::Message<'_>) -> Result<(), Error> {
        let mut engine = self.lock();
        engine.send(|out| out.message(message).map(|_| ()))?;
        if engine.look() {
            self.changed.notify_all();
        }
        // Until its bytes have left; the connection itself has a deadline for a peer that takes
        // none of them.
        while engine.wants_write() && !engine.is_over() {
            engine = self.wait(engine, true, None);
        }
        engine.leave();
        engine.unsent().map_or(Ok(()), Err)
    }

    fn ping(&self, timeout: Duration) -> Result<Duration, Error> {
        let deadline = Instant::now().checked_add(timeout);
        let mut engine = self.lock();
        // A pause is taken off the time that the pong is given, whole: it must end before the ping.
        if engine.resume() {
            self.changed.notify_all();
        }
        let before = engine.pings_answered();
        engine.ping();
        loop {
            if let Some(end) = engine.end() {
                return Err(end);
            }
            if engine.pings_answered() != before
                && let Some(round_trip) = engine.round_trip()
            {
                engine.leave();
                return Ok(round_trip);
            }
            if let Some(error) = engine.unsent() {
                return Err(error);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                engine.leave();
                return Err(Error::TimedOut(Wait::Pong));
            }
            let write = engine.wants_write();
            engine = self.wait(engine, write, deadline);
        }
    }

    fn close(&self, code: u16, reason: &str) -> Result<(), Error> {
        let mut engine = self.lock();
        if let Err(error) = engine.send(|out| out.close(code, reason).map(|_| ())) {
            match error {
                // It is closed, or about to be: then that is what is waited for.
                Error::Closed { .. } => {}
                other => return Err(other),
            }
        }
        while !engine.is_over() {
            let write = engine.wants_write();
            engine = self.wait(engine, write, None);
        }
        match engine.end() {
            None | Some(Error::Closed { .. }) => Ok(()),
            Some(error) => Err(error),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.engine.get_mut().unwrap_or_else(PoisonError::into_inner).let_go();
    }
}

/// An open WebSocket.
///
/// Calls block until they are done or their time limit has passed. Messages that come while the
/// program waits for something else are kept for the next [`WebSocket::receive`]. Pings of the
/// server are answered, and our own sent, **while the program waits** for anything, and at every
/// send, which looks at what has come without waiting for more; a program that does neither is taken
/// for dead by a server that pings. Within a second after a message was received, a send leaves what
/// came behind that message alone: it may be the answer.
///
/// When a write fails, the server may have said why: [`WebSocket::receive`] still gives the messages
/// and the Close that had come before, and then the end.
///
/// Dropping it sends a Close with 1001 and waits for the server's, 2 s at most
/// ([`Connect::close_timeout`](super::Connect::close_timeout) if that is less): what a send returned
/// `Ok` for is not lost by a reset. [`WebSocket::close`] also says how it ended.
pub struct WebSocket {
    shared: Arc<Shared>,
    receive_timeout: Option<Duration>,
}

impl WebSocket {
    pub(super) fn new(
        engine: Engine,
        response: Response,
        subprotocol: Option<String>,
        compressed: bool,
        receive_timeout: Option<Duration>,
    ) -> Self {
        let (stream, changed) = (engine.stream(), Condvar::new());
        let engine = Mutex::new(engine);
        let shared = Shared { engine, changed, stream, response, subprotocol, compressed };
        Self { shared: Arc::new(shared), receive_timeout }
    }

    /// Sends a message: a `&str` as text, a `&[u8]` as binary. Returns when the operating system
    /// has taken it.
    ///
    /// # Errors
    /// Why it could not be sent: [`Error::Closed`], [`Error::Broken`], [`Error::TimedOut`].
    pub fn send<'m>(&mut self, message: impl Into<ws::Message<'m>>) -> Result<(), Error> {
        self.shared.send(message.into())
    }

    /// Waits for a message, as long as [`Connect::receive_timeout`](super::Connect::receive_timeout)
    /// says.
    ///
    /// # Errors
    /// [`Error::Closed`] when the server closed politely; else what went wrong. After
    /// [`Wait::Receive`] one may go on.
    pub fn receive(&mut self) -> Result<Message, Error> {
        self.shared.receive(self.receive_timeout)
    }

    /// Waits for a message, at most this long.
    ///
    /// # Errors
    /// As [`WebSocket::receive`].
    pub fn receive_within(&mut self, timeout: Duration) -> Result<Message, Error> {
        self.shared.receive(Some(timeout))
    }

    /// The messages until the end. A normal close (1000, 1001, or without a code) ends the
    /// iteration; any other end is its last item.
    pub fn messages(&mut self) -> Messages<'_> {
        Messages { shared: &self.shared, timeout: self.receive_timeout, ended: false }
    }

    /// Sends a ping and waits for its pong, at most this long: the round-trip time.
    ///
    /// The pong comes behind what the server sent before it. Messages are kept for
    /// [`WebSocket::receive`], but not more than 1 MiB of them: then nothing is read until they
    /// are received. A server may take very many pings a second for an attack: Oneport closes with
    /// 1008 past 1,000.
    ///
    /// One ping is under way at a time: who asks while another waits for its pong, or asks again
    /// after its own time limit, waits for the same pong.
    ///
    /// # Errors
    /// [`Wait::Pong`] when the time limit passed; the WebSocket is open still, until
    /// [`Connect::ping_timeout`](super::Connect::ping_timeout) ends it. Else why it ended:
    /// [`Wait::Keepalive`] for that.
    pub fn ping(&mut self, timeout: Duration) -> Result<Duration, Error> {
        self.shared.ping(timeout)
    }

    /// Closes: sends a Close with a code (1000 is "done") and a reason, of which at most 123 bytes
    /// are sent (RFC 6455 §5.5), and waits for the server's.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a code that may not be sent, [`Error::TimedOut`] if the server
    /// does not answer, [`Error::Broken`]. It is closed in any case but the first.
    pub fn close(self, code: u16, reason: &str) -> Result<(), Error> {
        self.shared.close(code, reason)
    }

    /// The server's answer to the handshake, with the fields that it sent along: a cookie, the
    /// name of a session.
    #[doc(alias = "headers")]
    pub fn response(&self) -> &Response {
        &self.shared.response
    }

    /// The subprotocol that the server chose.
    pub fn subprotocol(&self) -> Option<&str> {
        self.shared.subprotocol.as_deref()
    }

    /// Was compression agreed?
    pub fn is_compressed(&self) -> bool {
        self.shared.compressed
    }

    /// The address of the other end.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn peer_addr(&self) -> std::io::Result<std::net::SocketAddr> {
        self.shared.stream.peer_addr()
    }

    /// Two halves, for two threads: one receives while the other (or clones of it) send. The end
    /// of the WebSocket is told to both. When the last of them is dropped, it is closed as if the
    /// whole had been.
    pub fn split(self) -> (Sender, Receiver) {
        let Self { shared, receive_timeout } = self;
        (Sender { shared: Arc::clone(&shared) }, Receiver { shared, receive_timeout })
    }
}

impl<'s> IntoIterator for &'s mut WebSocket {
    type Item = Result<Message, Error>;
    type IntoIter = Messages<'s>;

    fn into_iter(self) -> Messages<'s> {
        self.messages()
    }
}

impl std::fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebSocket")
            .field("subprotocol", &self.shared.subprotocol)
            .field("compressed", &self.shared.compressed)
            .finish_non_exhaustive()
    }
}

/// The sending half of a WebSocket. Cheap to clone; a message is sent whole, whatever others
/// send at the same time.
#[derive(Clone)]
pub struct Sender {
    shared: Arc<Shared>,
}

impl Sender {
    /// See [`WebSocket::send`].
    ///
    /// # Errors
    /// As there.
    pub fn send<'m>(&self, message: impl Into<ws::Message<'m>>) -> Result<(), Error> {
        self.shared.send(message.into())
    }

    /// See [`WebSocket::ping`].
    ///
    /// # Errors
    /// As there.
    pub fn ping(&self, timeout: Duration) -> Result<Duration, Error> {
        self.shared.ping(timeout)
    }

    /// See [`WebSocket::close`]. A thread that receives is told [`Error::Closed`].
    ///
    /// # Errors
    /// As there.
    pub fn close(&self, code: u16, reason: &str) -> Result<(), Error> {
        self.shared.close(code, reason)
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

/// The receiving half of a WebSocket.
pub struct Receiver {
    shared: Arc<Shared>,
    receive_timeout: Option<Duration>,
}

impl Receiver {
    /// See [`WebSocket::receive`].
    ///
    /// # Errors
    /// As there.
    pub fn receive(&mut self) -> Result<Message, Error> {
        self.shared.receive(self.receive_timeout)
    }

    /// See [`WebSocket::receive_within`].
    ///
    /// # Errors
    /// As there.
    pub fn receive_within(&mut self, timeout: Duration) -> Result<Message, Error> {
        self.shared.receive(Some(timeout))
    }

    /// See [`WebSocket::messages`].
    pub fn messages(&mut self) -> Messages<'_> {
        Messages { shared: &self.shared, timeout: self.receive_timeout, ended: false }
    }
}

impl<'s> IntoIterator for &'s mut Receiver {
    type Item = Result<Message, Error>;
    type IntoIter = Messages<'s>;

    fn into_iter(self) -> Messages<'s> {
        self.messages()
    }
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// The messages until the end: see [`WebSocket::messages`].
pub struct Messages<'s> {
    shared: &'s Shared,
    timeout: Option<Duration>,
    ended: bool,
}

impl Iterator for Messages<'_> {
    type Item = Result<Message, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.shared.receive(self.timeout) {
            Ok(message) => Some(Ok(message)),
            Err(error) => {
                // Who waits longer may ask again.
                self.ended = !matches!(error, Error::TimedOut(Wait::Receive));
                (!error.is_normal_close()).then_some(Err(error))
            }
        }
    }
}

impl std::fmt::Debug for Messages<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Messages").field("ended", &self.ended).finish_non_exhaustive()
    }
}
