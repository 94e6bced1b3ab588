//! The per-call environment: what a callback may need of the world, lent for one call.
//!
//! Nothing in it is owned by a connection, so an idle connection owns none of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::Config;
use super::groups::{Groups, Parcel};
use super::handle::Mailbox;
use crate::bytes::output::Sink;
use crate::bytes::pool::Pool;
use crate::http::date::Prefab;
use crate::ws::deflate::Engines;

/// This long after that. A time that the clock cannot express is far enough away to be never.
#[inline]
pub fn after(time: Instant, duration: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    time.checked_add(duration).unwrap_or_else(|| time.checked_add(NEVER).unwrap_or(time))
}

/// What the worker lends for one call into a connection.
pub struct Env<'e> {
    /// The time, read once per turn of the loop.
    pub now: Instant,
    /// A number that peers cannot guess, fresh for every turn.
    pub random: u64,
    /// Limits and deadlines.
    pub config: &'e Config,
    /// The prefabricated beginning of a response.
    pub prefab: &'e Prefab,
    /// Where bytes go: the connection's socket.
    pub sink: &'e mut dyn Sink,
    /// Spare buffers.
    pub pool: &'e mut Pool,
    /// What compresses and decompresses.
    pub deflate: &'e mut Engines,
    /// The worker's mailbox, for handles.
    pub mailbox: &'e Arc<dyn Mailbox>,
    /// All workers' mailboxes, for publishing.
    pub groups: &'e Groups,
    /// What is to be done to *other* connections, after the callback has returned.
    pub effects: &'e mut Vec<Effect>,
}

impl Env<'_> {
    /// The same environment, lent on for a shorter time.
    #[inline]
    pub fn reborrow(&mut self) -> Env<'_> {
        Env {
            now: self.now,
            random: self.random,
            config: self.config,
            prefab: self.prefab,
            sink: &mut *self.sink,
            pool: &mut *self.pool,
            deflate: &mut *self.deflate,
            mailbox: self.mailbox,
            groups: self.groups,
            effects: &mut *self.effects,
        }
    }
}

/// Something that concerns other connections. Those of one callback are done in order, after
/// it has returned, and not at all if it erred.
#[derive(Debug)]
pub enum Effect {
    /// This WebSocket joins a group.
    Join(Box<str>),
    /// This WebSocket leaves a group.
    Leave(Box<str>),
    /// A message for all members of a group.
    Publish(Parcel),
}
