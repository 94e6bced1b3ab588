//! The memory of all connections that keep context between compressed messages.
//!
//! Context takeover (RFC 7692 §7.1.1) costs a connection 404 KiB with the largest windows, measured: a
//! compressor of its own, 371 KiB, and the window of what its peer sent, 32 KiB. Ten thousand peers that
//! agree to it would hold 3.9 GiB.
//! So a server has a total for it, which its workers share: beyond it a handshake is answered
//! without takeover, which every client has to accept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::extension::{Agreed, Direction};

/// What is held beside the windows and the compressor (bytes).
const BESIDE: usize = 512;

/// What a compressor with this window holds (bytes), as measured: zlib-rs 0.6.8 asks for it at once,
/// whatever the level. `tests/allocations.rs` holds it to that.
pub(super) const fn of_compressor(window_bits: u8) -> usize {
    248_960 + (4 << window_bits)
}

/// What is remembered of what a peer sent (bytes).
///
/// Encoders that are told 8 use 9 and look back that far: zlib has always done so.
pub(super) const fn of_window(window_bits: u8) -> usize {
    1 << if window_bits < 9 { 9 } else { window_bits }
}

/// What both directions of a server's connection hold between messages (bytes).
fn cost(agreed: &Agreed) -> usize {
    let of = |way: Direction, bytes: usize| if way.takeover { bytes } else { 0 };
    let ours = of(agreed.server, of_compressor(agreed.server.window_bits));
    let peers = of(agreed.client, of_window(agreed.client.window_bits));
    match ours + peers {
        0 => 0,
        both => both + BESIDE,
    }
}

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
        let bytes = cost(agreed);
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
        let most = 2 * cost(&both) + cost(&theirs);
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
