//! The two ends of a connection, in little room: ten thousand idle connections keep theirs.

use core::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::path::Path;
use std::sync::Arc;

use super::{Addresses, Local};
use crate::asgi::scope::ServerAddress;

/// Client and server.
pub(super) struct Ends {
    client: End,
    server: End,
}

/// An address. The long ones are behind a pointer.
enum End {
    None,
    V4(SocketAddrV4),
    V6(Box<SocketAddrV6>),
    Unix(Box<Arc<Path>>),
}

impl End {
    fn inet(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(address) => End::V4(address),
            SocketAddr::V6(address) => End::V6(Box::new(address)),
        }
    }

    #[inline]
    fn address(&self) -> Option<SocketAddr> {
        match self {
            End::V4(address) => Some(SocketAddr::V4(*address)),
            End::V6(address) => Some(SocketAddr::V6(**address)),
            End::Unix(_) | End::None => None,
        }
    }
}

impl Ends {
    pub(super) fn new(addresses: Addresses) -> Self {
        Self {
            client: addresses.client.map_or(End::None, End::inet),
            server: match addresses.server {
                None => End::None,
                Some(Local::Inet(address)) => End::inet(address),
                Some(Local::Unix(path)) => End::Unix(Box::new(path)),
            },
        }
    }

    /// The peer; `None` on a unix socket.
    #[inline]
    pub(super) fn client(&self) -> Option<SocketAddr> {
        self.client.address()
    }

    /// Our end.
    #[inline]
    pub(super) fn server(&self) -> Option<ServerAddress<'_>> {
        match &self.server {
            End::Unix(path) => Some(ServerAddress::Unix(path)),
            inet => inet.address().map(ServerAddress::Inet),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_as_they_were() {
        for text in ["127.0.0.1:80", "[::1]:8000", "[fe80::1%3]:1"] {
            let address: SocketAddr = text.parse().unwrap();
            let server = Some(Local::Inet(address));
            let ends = Ends::new(Addresses { client: Some(address), server });
            assert_eq!(ends.client(), Some(address));
            assert_eq!(ends.server(), Some(ServerAddress::Inet(address)));
        }
        let path: Arc<Path> = Arc::from(Path::new("/run/x.sock"));
        let server = Some(Local::Unix(Arc::clone(&path)));
        let ends = Ends::new(Addresses { client: None, server });
        assert_eq!((ends.client(), ends.server()), (None, Some(ServerAddress::Unix(&path))));
        let ends = Ends::new(Addresses { client: None, server: None });
        assert_eq!((ends.client(), ends.server()), (None, None));
    }
}
