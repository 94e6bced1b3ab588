//! A socket that never blocks, with or without TLS, and the waiting for it.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::error::{Error, Wait};
use super::tls::{Roots, Session};
use super::uri::Uri;
use crate::bytes::output::Sink;
use crate::net::unacknowledged;

/// A connection to a server.
pub(super) struct Socket {
    stream: Arc<TcpStream>,
    session: Option<Session>,
    /// What a write failed with. Nothing is written from then on, but what has come is read.
    failure: Option<io::Error>,
}

impl Socket {
    /// Resolves, connects and, for `wss`, agrees on TLS, before `deadline`.
    pub(super) fn connect(uri: &Uri, roots: &Roots, deadline: Instant) -> Result<Self, Error> {
        // Before anything is sent: can TLS be had at all?
        let session = if uri.secure { Some(Session::new(&uri.host, roots)?) } else { None };
        let stream = connect_any(uri, &resolve(uri, deadline)?, deadline)?;
        let not_connected =
            |source| Error::Connect { address: format!("{}:{}", uri.host, uri.port), source };
        // Messages are whole: waiting to fill a segment would only delay them.
        stream.set_nodelay(true).map_err(not_connected)?;
        stream.set_nonblocking(true).map_err(not_connected)?;
        let mut socket = Self { stream: Arc::new(stream), session, failure: None };
        socket.shake_hands(uri, deadline)?;
        Ok(socket)
    }

    fn shake_hands(&mut self, uri: &Uri, deadline: Instant) -> Result<(), Error> {
        let Some(session) = &mut self.session else { return Ok(()) };
        let failed = |source: io::Error| Error::Tls {
            host: uri.host.clone(),
            source: match source.kind() {
                io::ErrorKind::UnexpectedEof => {
                    "the server ended the connection: perhaps it speaks no TLS on this port".into()
                }
                io::ErrorKind::InvalidInput => {
                    "what the server answered is not TLS: it speaks no TLS on this port".into()
                }
                _ => source.into(),
            },
        };
        while !session.shake_hands(&self.stream).map_err(failed)? {
            if Instant::now() >= deadline {
                return Err(Error::TimedOut(Wait::Connect));
            }
            wait(&self.stream, true, session.wants_write(), Some(deadline)).map_err(failed)?;
        }
        Ok(())
    }

    /// The stream, to wait for.
    pub(super) fn stream(&self) -> Arc<TcpStream> {
        Arc::clone(&self.stream)
    }

    /// Reads what is there; `WouldBlock` if nothing is.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.session {
            Some(session) => session.read(&self.stream, buffer),
            None => (&*self.stream).read(buffer),
        }
    }

    /// Does TLS hold bytes that the socket did not take?
    pub(super) fn wants_write(&self) -> bool {
        self.failure.is_none() && self.session.as_ref().is_some_and(Session::wants_write)
    }

    /// Sends what TLS holds.
    pub(super) fn flush(&mut self) {
        if self.failure.is_none()
            && let Some(session) = &mut self.session
        {
            self.failure = session.write_out(&self.stream).err();
        }
    }

    /// What a write failed with.
    pub(super) fn failure(&self) -> Option<io::Error> {
        // An error cannot be cloned.
        self.failure.as_ref().map(|error| io::Error::new(error.kind(), error.to_string()))
    }

    /// Bytes of TLS that the socket took.
    pub(super) fn sent(&self) -> u64 {
        self.session.as_ref().map_or(0, Session::sent)
    }

    /// Says that nothing more will be sent.
    pub(super) fn end(&mut self) {
        if let Some(session) = &mut self.session {
            session.end(&self.stream);
        }
        self.shut(Shutdown::Write);
    }

    /// Shuts these directions; whoever waits for the socket hears of it.
    pub(super) fn shut(&self, how: Shutdown) {
        // It may be gone already.
        let _ = self.stream.shutdown(how);
    }
}

impl Sink for Socket {
    /// Does not fail: what the server sent before it went away can still be read, so an error of a
    /// write is kept for [`Socket::failure`], and the bytes go nowhere.
    fn offer(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let all = || parts.iter().map(|part| part.len()).sum();
        if self.failure.is_some() {
            return Ok(all());
        }
        let written = match &mut self.session {
            Some(session) => session.write(&self.stream, parts),
            None => (&*self.stream).write_vectored(parts),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => {
                self.failure = Some(error);
                Ok(all())
            }
            Ok(taken) => Ok(taken),
        }
    }

    fn unacknowledged(&mut self) -> usize {
        if self.failure.is_some() {
            return 0;
        }
        let held = self.session.as_ref().map_or(0, Session::held);
        held + unacknowledged(self.stream.local_addr(), self.stream.peer_addr())
    }
}

/// Is there something to read now?
pub(super) fn is_readable(stream: &TcpStream) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut [PollFd::new(stream, PollFlags::IN)], Some(&now)), Ok(1..))
}

/// Waits until the stream can be read or written, or the time is over.
pub(super) fn wait(
    stream: &TcpStream,
    read: bool,
    write: bool,
    until: Option<Instant>,
) -> io::Result<()> {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, read);
    flags.set(PollFlags::OUT, write);
    let timeout = until.map(|until| {
        let left = until.saturating_duration_since(Instant::now());
        Timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        }
    });
    match poll(&mut [PollFd::new(stream, flags)], timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The system resolves names for as long as it likes; on a thread of its own it can be left
/// behind.
fn resolve(uri: &Uri, deadline: Instant) -> Result<Vec<SocketAddr>, Error> {
    let (host, port) = (uri.host.clone(), uri.port);
    let failed = |source| Error::Resolve { host: uri.host.clone(), source };
    if let Ok(address) = host.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (sender, receiver) = mpsc::channel();
    let resolver = move || {
        // Nobody waits any more if this cannot be sent.
        let _ = sender.send((host.as_str(), port).to_socket_addrs().map(Vec::from_iter));
    };
    std::thread::Builder::new().name("resolver".to_string()).spawn(resolver).map_err(failed)?;
    match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(Ok(addresses)) if addresses.is_empty() => Err(failed(io::ErrorKind::NotFound.into())),
        Ok(resolved) => resolved.map_err(failed),
        Err(_) => Err(Error::TimedOut(Wait::Connect)),
    }
}

/// Tries each address in turn.
fn connect_any(uri: &Uri, addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, Error> {
    let mut last = Error::TimedOut(Wait::Connect);
    for (number, address) in addresses.iter().enumerate() {
        // Those that follow get their share of the time.
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / (addresses.len() - number) as u32;
        if share.is_zero() {
            return Err(Error::TimedOut(Wait::Connect));
        }
        match TcpStream::connect_timeout(address, share) {
            Ok(stream) => return Ok(stream),
            Err(source) if source.kind() == io::ErrorKind::TimedOut => {
                last = Error::TimedOut(Wait::Connect);
            }
            Err(source) => {
                last = Error::Connect { address: format!("{}:{}", uri.host, uri.port), source };
            }
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_has_not_acknowledged_is_asked_for() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port can be had");
        let address = listener.local_addr().expect("it is bound");
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_nonblocking(true).expect("it can be");
        let mut socket = Socket { stream: Arc::new(stream), session: None, failure: None };
        // Nobody reads: the system of the other end takes some of it and no more.
        let mut written = 0;
        loop {
            match socket.offer_one(&[0; 65536]).expect("it is connected") {
                0 => break,
                n => written += n,
            }
        }
        let asked = unacknowledged(socket.stream.local_addr(), socket.stream.peer_addr());
        assert_eq!(socket.unacknowledged() > 0, asked > 0);
        assert!(asked <= written);
    }
}
