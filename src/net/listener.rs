//! Listening sockets, and how many descriptors there are.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use super::error::ServerError;

/// Connections that may wait to be accepted; the system caps it (`net.core.somaxconn`).
pub(crate) const BACKLOG: i32 = 4096;

/// Finds peers that vanished without a word: after so long without a segment the system asks,
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);
/// again after each of these,
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// and gives up after so many questions.
const KEEPALIVE_PROBES: u32 = 6;

/// One listener per worker, all on one address.
///
/// With several workers each has a socket of its own (`SO_REUSEPORT`): the kernel spreads
/// connections by a hash, and no worker waits for another. That option would also let a second
/// server take half of our connections in silence, so the address is first bound once without
/// it: that fails if anybody has the port.
pub(crate) fn bind(address: &str, workers: usize) -> Result<Vec<TcpListener>, ServerError> {
    let failed = |source| ServerError::Bind { address: address.to_string(), source };
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "no such address");
    check_form(address).map_err(failed)?;
    let unknown = |error| failed(io::Error::new(io::ErrorKind::NotFound, error));
    for candidate in address.to_socket_addrs().map_err(unknown)? {
        match bind_all(candidate, workers) {
            Ok(listeners) => return Ok(listeners),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// What the system's resolver says of these would not help.
fn check_form(address: &str) -> io::Result<()> {
    let mistake = match address.rsplit_once(':') {
        None => "it names no port",
        Some(("", _)) => "it names no host",
        Some((_, port)) if port.parse::<u16>().is_err() => {
            "the port behind its last colon is no number from 0 to 65535"
        }
        Some(_) => return Ok(()),
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, mistake))
}

fn bind_all(address: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
    let first = bind_one(address, false)?;
    if workers == 1 {
        return Ok(vec![first]);
    }
    // Port 0: all workers take the one that the first was given.
    let address = first.local_addr()?;
    drop(first);
    (0..workers).map(|_| bind_one(address, true)).collect()
}

fn bind_one(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of an earlier server that linger in TIME_WAIT do not keep us from the port.
    socket.set_reuse_address(true)?;
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
    if shared {
        socket.set_reuse_port(true)?;
    }
    #[cfg(not(all(unix, not(any(target_os = "solaris", target_os = "illumos")))))]
    let _ = shared;
    // What is written is whole already: waiting for more would only delay it. Accepted sockets
    // inherit the option (on Linux), which saves a system call for each.
    socket.set_tcp_nodelay(true)?;
    // RFC 9293 §3.8.4: keep-alives are off by default; inherited as well.
    socket.set_tcp_keepalive(&keepalive())?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn keepalive() -> TcpKeepalive {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_TIME);
    #[cfg(not(any(target_os = "openbsd", target_os = "solaris", target_os = "nto")))]
    let keepalive = keepalive.with_interval(KEEPALIVE_INTERVAL).with_retries(KEEPALIVE_PROBES);
    keepalive
}

/// Raises the soft limit of descriptors to the hard one; a connection needs one. Gives the
/// limit that is in force.
pub(crate) fn raise_descriptor_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current;
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

/// EMFILE or ENFILE: this process or the machine has no descriptor left.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    error
        .raw_os_error()
        .is_some_and(|code| [Errno::MFILE, Errno::NFILE].iter().any(|e| e.raw_os_error() == code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;
    use std::net::TcpStream;

    #[test]
    #[cfg(target_os = "linux")]
    fn accepted_sockets_inherit_what_the_listener_has() {
        for workers in [1, 2] {
            let listeners = bind("127.0.0.1:0", workers).expect("a free port can be had");
            let address = listeners[0].local_addr().expect("it is bound");
            let _client = TcpStream::connect(address).expect("somebody listens");
            let accepted = loop {
                // One of them has it.
                if let Some((accepted, _)) = listeners.iter().find_map(|l| l.accept().ok()) {
                    break accepted;
                }
            };
            let socket = SockRef::from(&accepted);
            assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_TIME);
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_PROBES);
        }
    }
}
