//! How much of what was written to a TCP socket has not been acknowledged by the peer's system.
//!
//! Linux tells it by `ioctl` (SIOCOUTQ), for which there is no call in safe Rust, and in an answer of
//! sock_diag(7), which is messages over a socket: that is asked here. A few system calls, so this is
//! for when a pong is late, not for each message.

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;
    use std::net::SocketAddr;

    /// Not known here.
    pub(super) fn unacknowledged(_ours: SocketAddr, _peers: SocketAddr) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::net::{IpAddr, SocketAddr};

    use rustix::net::netlink::SOCK_DIAG;
    use rustix::net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
    };

    /// SOCK_DIAG_BY_FAMILY: of both messages.
    const BY_FAMILY: u16 = 20;
    /// NLM_F_REQUEST.
    const REQUEST: u16 = 1;
    /// IPPROTO_TCP.
    const TCP: u8 = 6;
    /// The header that every message begins with, `struct nlmsghdr`.
    const HEADER: usize = 16;
    /// With `struct inet_diag_req_v2`.
    const QUESTION: usize = HEADER + 56;
    /// With `struct inet_diag_msg`.
    const ANSWER: usize = HEADER + 72;
    /// Where `idiag_wqueue` stands in an answer.
    const WRITE_QUEUE: usize = HEADER + 60;

    /// One socket is asked for by both its ends; whether it has been replaced since does not matter,
    /// for it is the asker's own.
    fn question(ours: SocketAddr, peers: SocketAddr) -> [u8; QUESTION] {
        let family = if ours.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let scope = match ours {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(address) => address.scope_id(),
        };
        let mut question = [0; QUESTION];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            question[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&(QUESTION as u32).to_ne_bytes());
        put(&BY_FAMILY.to_ne_bytes());
        put(&REQUEST.to_ne_bytes());
        // The number of the question, and whose it is: the system fills that in.
        put(&[0; 8]);
        put(&[family.as_raw() as u8, TCP, 0, 0]);
        // In any state.
        put(&u32::MAX.to_ne_bytes());
        put(&ours.port().to_be_bytes());
        put(&peers.port().to_be_bytes());
        for end in [ours, peers] {
            match end.ip() {
                IpAddr::V4(ip) => {
                    put(&ip.octets());
                    put(&[0; 12]);
                }
                IpAddr::V6(ip) => put(&ip.octets()),
            }
        }
        put(&scope.to_ne_bytes());
        // No cookie.
        put(&u64::MAX.to_ne_bytes());
        question
    }

    pub(super) fn unacknowledged(ours: SocketAddr, peers: SocketAddr) -> io::Result<usize> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let system =
            socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(SOCK_DIAG))?;
        send(&system, &question(ours, peers), SendFlags::empty())?;
        // The answer is there when the question was taken.
        let mut answer = [0; 512];
        let (len, _) = recv(&system, &mut answer, RecvFlags::empty())?;
        let queue = answer[..len]
            .get(..ANSWER)
            .filter(|answer| answer[4..6] == BY_FAMILY.to_ne_bytes())
            .and_then(|answer| answer[WRITE_QUEUE..].first_chunk::<4>())
            // An error: there is no such socket, or the system does not tell.
            .ok_or(io::ErrorKind::NotFound)?;
        Ok(u32::from_ne_bytes(*queue) as usize)
    }
}

use std::io;
use std::net::SocketAddr;

/// Bytes of a socket with these ends that were written and not acknowledged; 0 where the system
/// does not tell.
pub(crate) fn unacknowledged(ours: io::Result<SocketAddr>, peers: io::Result<SocketAddr>) -> usize {
    let asked = ours.and_then(|ours| system::unacknowledged(ours, peers?));
    asked.unwrap_or_else(|error| {
        log::debug!("how much a peer has acknowledged is not known: {error}");
        0
    })
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn asked(stream: &TcpStream) -> io::Result<usize> {
        system::unacknowledged(stream.local_addr()?, stream.peer_addr()?)
    }

    /// A socket to a listener at this address, and the peer's end.
    fn connected(address: &str, to: &str) -> Option<(TcpStream, TcpStream)> {
        let listener = TcpListener::bind(address).ok()?;
        let port = listener.local_addr().expect("it is bound").port();
        let stream = TcpStream::connect((to, port)).expect("somebody listens");
        let (peer, _) = listener.accept().expect("it has connected");
        Some((stream, peer))
    }

    #[test]
    fn what_is_not_acknowledged_is_known_over_both_protocols() {
        for (address, to) in [
            ("127.0.0.1:0", "127.0.0.1"),
            ("[::1]:0", "::1"),
            // One end of these is an address of IPv4 in one of IPv6.
            ("[::]:0", "127.0.0.1"),
        ] {
            let Some((one, other)) = connected(address, to) else {
                println!("{address}: not here");
                continue;
            };
            for (mut stream, mut peer) in [(&one, &other), (&other, &one)] {
                match asked(stream) {
                    Ok(queue) => assert_eq!(queue, 0, "{address}"),
                    // A sandbox may forbid to ask.
                    Err(error) => return println!("not here: {error}"),
                }
                stream.set_nonblocking(true).expect("it can be");
                let mut written = 0;
                while let Ok(n) = stream.write(&[0; 65536]) {
                    written += n;
                }
                // The peer does not read: its system takes some of it and no more.
                let queue = asked(stream).expect("it was told before");
                assert!(queue > 0 && queue <= written, "{address}: {queue} of {written}");
                let mut read = vec![0; written];
                peer.read_exact(&mut read).expect("all of it comes");
                // What the last acknowledgement is late with comes soon.
                let mut asks = 0;
                while asked(stream).expect("it was told before") > 0 {
                    asks += 1;
                    assert!(asks < 100_000, "{address}");
                    std::thread::yield_now();
                }
            }
        }
    }

    #[test]
    fn a_socket_that_is_not_there_is_an_error_inside_and_0_outside() {
        let (ours, peers) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        assert!(system::unacknowledged(ours, peers).is_err());
        assert_eq!(unacknowledged(Ok(ours), Ok(peers)), 0);
        assert_eq!(unacknowledged(Err(io::ErrorKind::NotConnected.into()), Ok(peers)), 0);
    }
}
