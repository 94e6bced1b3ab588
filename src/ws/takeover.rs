//! The memory of all connections that keep context between compressed messages.
//!
//! Context takeover (RFC 7692 §7.1.1) costs a connection some 371 KiB, measured: a compressor of its
//! own, and the window of what its peer sent. Ten thousand peers that agree to it would hold 3.6 GiB.
//! So a server has a total for it, which its workers share: beyond it a handshake is answered
//! without takeover, which every client has to accept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::extension::Agreed;

/// What a direction costs that we compress (bytes).
const OURS: usize = 336 * 1024;
/// What a direction costs that the peer compresses (bytes).
const PEERS: usize = 35 * 1024;

/// What is reserved, over all connections of a server. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct TakeoverMemory(Arc<AtomicUsize>);

/// A connection's part of it; dropping it gives it back.
#[derive(Debug)]
pub struct Permit {
    memory: TakeoverMemory,
    bytes: usize,
}

impl TakeoverMemory {
    /// Reserves what a server's connection needs that agreed to this. `None` if all connections
    /// would hold more than `most` bytes then.
    pub fn reserve(&self, agreed: &Agreed, most: usize) -> Option<Permit> {
        let ours = if agreed.server.takeover { OURS } else { 0 };
        let bytes = ours + if agreed.client.takeover { PEERS } else { 0 };
        let room = |held: usize| held.checked_add(bytes).filter(|all| *all <= most);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).ok()?;
        Some(Permit { memory: self.clone(), bytes })
    }

    /// Bytes that are reserved now.
    pub fn reserved(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.memory.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::extension::{Deflate, accept};

    #[test]
    fn what_is_reserved_is_bounded_and_comes_back() {
        let agreed = |offer: &'static str| {
            accept([offer.as_bytes()], Deflate::default().takeover(true)).unwrap().unwrap()
        };
        let both = agreed("permessage-deflate");
        let theirs = agreed("permessage-deflate; server_no_context_takeover");
        let neither =
            agreed("permessage-deflate; server_no_context_takeover; client_no_context_takeover");
        let memory = TakeoverMemory::default();
        let most = 2 * (OURS + PEERS) + PEERS;
        let permits = [memory.reserve(&both, most), memory.reserve(&both, most)];
        assert!(permits.iter().all(Option::is_some));
        assert!(memory.reserve(&both, most).is_none());
        let third = memory.reserve(&theirs, most);
        assert!(third.is_some() && memory.reserve(&theirs, most).is_none());
        assert!(memory.reserve(&neither, most).is_some(), "it costs nothing");
        assert_eq!(memory.reserved(), most);
        drop((permits, third));
        assert_eq!(memory.reserved(), 0);
    }
}
