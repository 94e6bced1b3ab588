//! The per-call environment: what a callback may need of the world, lent for one call.
//!
//! Nothing in it is owned by a connection, so an idle connection owns none of it.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::config::Config;
use super::groups::{Groups, Parcel};
use super::handle::Mailbox;
use super::log_limit::{Kind, LogLimits};
use super::paths::Paths;
use super::state::State;
use crate::bytes::moment::Moment;
use crate::bytes::output::Sink;
use crate::bytes::pool::Pool;
use crate::http::date::Prefab;
use crate::http::head::FieldSpan;
use crate::http::recent::Recent;
use crate::ws::deflate::Engines;
use crate::ws::takeover::TakeoverMemory;

/// What is the same for every connection of a worker in one round of its loop.
pub struct Round {
    /// The time, read once per round, by the worker's clock.
    pub now: Moment,
    /// A number that peers cannot guess, fresh for every round.
    pub random: u64,
    /// Limits and deadlines.
    pub config: Arc<Config>,
    /// The prefabricated beginning of a response.
    pub prefab: Prefab,
    /// The memory of all connections that keep context between compressed messages.
    pub takeover: TakeoverMemory,
    /// What the lifespan set.
    pub state: State,
    /// The worker's mailbox, for handles.
    pub mailbox: Arc<dyn Mailbox>,
    /// All workers' mailboxes, for publishing.
    pub groups: Groups,
    /// The files that `http.response.pathsend` names.
    pub files: &'static dyn Files,
}

/// Files that can be sent as a body.
pub trait Files: Send + Sync {
    /// Opens a regular file, and nothing else, to be read from its beginning; gives its length, too
    /// (bytes). It does not wait for anybody: it runs on the loop.
    ///
    /// # Errors
    /// What the system says, or that it is no regular file.
    fn open(&self, path: &Path) -> io::Result<(Box<dyn Read + Send>, u64)>;
}

/// It opens no file: for a client.
pub struct NoFiles;

impl Files for NoFiles {
    fn open(&self, _path: &Path) -> io::Result<(Box<dyn Read + Send>, u64)> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Tools that a worker has once and lends to one connection after the other.
#[derive(Default)]
pub struct Kit {
    /// Spare buffers.
    pub pool: Pool,
    /// What compresses and decompresses.
    pub deflate: Engines,
    /// A list for the fields of a head, used again and again.
    pub fields: Vec<FieldSpan>,
    /// Paths, for the log.
    pub paths: Paths,
    /// The head of the last response.
    pub recent: Recent,
    /// What is to be done to *other* connections, after the callback has returned.
    pub effects: Vec<Effect>,
    /// How often a line may be logged that peers can cause.
    pub limits: LogLimits,
}

/// What the worker lends for one call into a connection.
pub struct Env<'e> {
    /// What all connections share.
    pub round: &'e Round,
    /// What one connection has at a time.
    pub kit: &'e mut Kit,
    /// Where bytes go: the connection's socket.
    pub sink: &'e mut dyn Sink,
}

impl Env<'_> {
    /// The same environment, lent on for a shorter time.
    #[inline]
    pub fn reborrow(&mut self) -> Env<'_> {
        Env { round: self.round, kit: &mut *self.kit, sink: &mut *self.sink }
    }

    /// Logs a line that a peer can cause, unless there were too many of its kind.
    #[cold]
    pub(crate) fn log(&mut self, kind: Kind, what: fmt::Arguments<'_>) {
        self.kit.limits.log(kind, self.round.now, what);
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
