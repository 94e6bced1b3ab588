//! The first reader of trace events: a log at debug level.

use crate::asgi::handle::Address;
use crate::conn::trace::{Observer, Trace};

/// Writes each event as a line. Bytes of a peer are escaped: a path must not move the cursor of
/// whoever reads the log.
pub(crate) struct LogObserver {
    /// The number of the worker: slots are counted by each.
    pub(crate) worker: usize,
}

impl Observer for LogObserver {
    fn observe(&mut self, connection: Address, event: &Trace<'_>) {
        let Address { slot, generation, scope } = connection;
        let worker = self.worker;
        let clause = event.clause();
        match event {
            Trace::RequestHead { method, target, version } => log::debug!(
                "[{worker}/{slot}.{generation} #{scope}] {} {} HTTP/{} ({clause})",
                method.escape_ascii(),
                target.escape_ascii(),
                version.as_str(),
            ),
            Trace::Ended(record) => {
                log::debug!("[{worker}/{slot}.{generation}] {record} ({clause})")
            }
            other => log::debug!("[{worker}/{slot}.{generation} #{scope}] {other:?} ({clause})"),
        }
    }
}
