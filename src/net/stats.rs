//! Numbers of a running server.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::conn::record::Record;

/// Numbers of a running server, from any thread. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    now: AtomicUsize,
    /// Those that count against `max_connections`.
    admitted: AtomicUsize,
    ever: AtomicU64,
    bytes_held: AtomicUsize,
    /// What the end of the server cut: responses, WebSockets.
    cut: [AtomicUsize; 2],
    /// Why connections ended; touched once per connection.
    closed: Mutex<BTreeMap<&'static str, u64>>,
}

impl Stats {
    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.inner.now.load(Ordering::Relaxed)
    }

    /// Connections that were ever opened.
    pub fn connections_ever(&self) -> u64 {
        self.inner.ever.load(Ordering::Relaxed)
    }

    /// Bytes of buffers that connections hold: partial messages, unsent bytes.
    pub fn bytes_held(&self) -> usize {
        self.inner.bytes_held.load(Ordering::Relaxed)
    }

    /// How many connections ended, by cause.
    pub fn closed(&self) -> BTreeMap<&'static str, u64> {
        self.inner.closed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A connection was opened; tells how many there are now.
    pub(crate) fn opened(&self) -> usize {
        self.inner.ever.fetch_add(1, Ordering::Relaxed);
        self.inner.now.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Admits a connection if fewer than `max` are.
    pub(crate) fn admit(&self, max: usize) -> bool {
        let room = |admitted| (admitted < max).then_some(admitted + 1);
        self.inner.admitted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok()
    }

    pub(crate) fn ended(&self, record: &Record, admitted: bool) {
        self.inner.now.fetch_sub(1, Ordering::Relaxed);
        if admitted {
            self.inner.admitted.fetch_sub(1, Ordering::Relaxed);
        }
        let mut closed = self.inner.closed.lock().unwrap_or_else(PoisonError::into_inner);
        *closed.entry(record.cause.name()).or_default() += 1;
    }

    /// The server ends while this connection has not.
    pub(crate) fn cut(&self, websocket: bool) {
        self.inner.cut[usize::from(websocket)].fetch_add(1, Ordering::Relaxed);
    }

    /// How many responses and WebSockets were cut.
    pub(crate) fn cut_at_end(&self) -> (usize, usize) {
        let [responses, websockets] = &self.inner.cut;
        (responses.load(Ordering::Relaxed), websockets.load(Ordering::Relaxed))
    }

    pub(crate) fn held(&self, before: usize, after: usize) {
        if after >= before {
            self.inner.bytes_held.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.inner.bytes_held.fetch_sub(before - after, Ordering::Relaxed);
        }
    }
}
