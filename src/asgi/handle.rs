//! Answers from any thread, later: [`Handle`].
//!
//! ```text
//!   handler                          any thread
//!     out.handle() ──> Handle ─────> handle.send(event)
//!                        │               │ copied, posted
//!   scope ── Cell ───────┘               v
//!            alive? queued? handles?   mailbox of the worker ──> the scope, if it still lives
//! ```
//!
//! A handle names its scope, not its connection: slot, generation **and scope number**. A late
//! answer to the first request of a connection never answers the second, and never a stranger
//! who got the same slot. All handles of a scope and the scope itself share one small [`Cell`].

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::Message;
use super::event::{OwnedResponse, OwnedSendEvent, SMALL_COST, SendEvent};
use super::groups::Parcel;
use super::guard::Guarded;
use super::outbox::{Flow, SendError};
use crate::http::sender::Field;

/// Which scope: the slot of its connection, the slot's generation, the number of the scope on
/// that connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address {
    /// Index in the worker's table.
    pub slot: u32,
    /// Counts the connections that had this slot.
    pub generation: u32,
    /// Counts the scopes of the connection.
    pub scope: u32,
}

/// A worker's mailbox: commands for its connections, from any thread. `net` implements it.
pub trait Mailbox: Send + Sync {
    /// Posts a command and wakes the worker if it sleeps. After the worker has ended the
    /// command is dropped.
    fn post(&self, command: Command);
}

/// What can be posted to a worker.
#[derive(Debug)]
pub enum Command {
    /// To one scope.
    Scope(Address, ScopeCommand),
    /// To all members of a group.
    Publish(Parcel),
}

/// What can be posted to a scope.
#[derive(Debug)]
pub enum ScopeCommand {
    /// The application sends an event. Its cost is counted in the cell.
    Send(OwnedSendEvent),
    /// The application sends a whole response.
    Respond(OwnedResponse),
    /// A value for [`Event::Custom`](super::Event::Custom).
    Post(Posted),
    /// Read the peer again.
    Resume,
    /// The last handle was dropped. A hint only: there may be new ones.
    HandlesGone,
    /// More was queued than the hard limit allows: abort.
    Overrun,
}

/// A value on its way to a handler. It may be dropped anywhere, also after its scope has ended, and
/// its `drop` is code of the application: it runs under the guard.
#[derive(Debug)]
pub struct Posted(Guarded<Box<dyn Any + Send>>);

impl Posted {
    /// A value that was posted.
    pub fn new(value: Box<dyn Any + Send>) -> Self {
        Self(Guarded::new(value))
    }

    /// The value, for a handler that exists and takes it.
    pub(crate) fn into_value(self) -> Box<dyn Any + Send> {
        self.0.into_inner()
    }
}

/// What a scope and its handles share.
pub struct Cell {
    mailbox: Arc<dyn Mailbox>,
    address: Address,
    high_water: usize,
    hard_limit: usize,
    alive: AtomicBool,
    /// Cost of what was posted and not yet encoded.
    posted: AtomicUsize,
    /// Bytes in the connection's output.
    queued: AtomicUsize,
    handles: AtomicUsize,
    /// A handle was told `Full`; a `Drain` is owed.
    full: AtomicBool,
    /// A [`ScopeCommand::Resume`] is in the mailbox: one is enough, however often it is asked for.
    resuming: AtomicBool,
    /// A [`ScopeCommand::Overrun`] was posted, once for all.
    overrun: AtomicBool,
}

impl Cell {
    /// The cell of a scope that lives.
    pub fn new(
        mailbox: Arc<dyn Mailbox>,
        address: Address,
        high_water: usize,
        hard_limit: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            mailbox,
            address,
            high_water,
            hard_limit,
            alive: AtomicBool::new(true),
            posted: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            handles: AtomicUsize::new(0),
            full: AtomicBool::new(false),
            resuming: AtomicBool::new(false),
            overrun: AtomicBool::new(false),
        })
    }

    /// How many handles are there?
    pub fn handles(&self) -> usize {
        self.handles.load(Ordering::Acquire)
    }

    /// Is there a handle, or something in the mailbox that one has sent?
    pub fn can_still_answer(&self) -> bool {
        // In this order: what the last handle posted is counted before the handle is gone.
        self.handles() > 0 || self.posted.load(Ordering::Acquire) > 0
    }

    /// The scope has ended: handles miss from now on.
    pub fn end(&self) {
        self.alive.store(false, Ordering::Release);
    }

    /// Tells the handles how much the connection has queued.
    pub fn set_queued(&self, bytes: usize) {
        self.queued.store(bytes, Ordering::Relaxed);
    }

    /// Something of this cost left the mailbox.
    pub fn taken(&self, cost: usize) {
        self.posted.fetch_sub(cost, Ordering::Relaxed);
    }

    /// The worker is about to end a pause.
    pub fn resumed(&self) {
        self.resuming.store(false, Ordering::Release);
    }

    /// Is a `Drain` owed to the handles, and is it due: nothing more in the mailbox?
    pub fn drain_is_due(&self) -> bool {
        self.full.load(Ordering::Acquire) && self.posted.load(Ordering::Acquire) == 0
    }

    /// Is a `Drain` owed to the handles?
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// The `Drain` was told.
    pub fn drained(&self) {
        self.full.store(false, Ordering::Release);
    }

    fn waiting(&self) -> usize {
        self.posted.load(Ordering::Relaxed) + self.queued.load(Ordering::Relaxed)
    }

    fn post(&self, command: ScopeCommand) {
        self.mailbox.post(Command::Scope(self.address, command));
    }
}

impl std::fmt::Debug for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cell")
            .field("address", &self.address)
            .field("alive", &self.alive)
            .field("handles", &self.handles)
            .finish_non_exhaustive()
    }
}

/// Answers a scope from any thread, later. Cheap to clone; made by
/// [`Outbox::handle`](super::Outbox::handle).
///
/// While a scope has a handle, its handler may return without an answer: the server waits. When
/// the last handle is dropped and nothing else is left that could answer, the peer gets a 500.
///
/// Events are copied and sent in order. What is wrong with one (out of order, an invalid field)
/// is noticed on the worker, logged, and treated as an error of the handler.
#[derive(Debug)]
pub struct Handle {
    cell: Arc<Cell>,
}

impl Handle {
    pub(crate) fn new(cell: &Arc<Cell>) -> Self {
        cell.handles.fetch_add(1, Ordering::Relaxed);
        Self { cell: Arc::clone(cell) }
    }

    /// Sends an event.
    ///
    /// # Errors
    /// [`SendError::Closed`] if the scope has ended, or if so much waits for its peer already
    /// that the hard limit is passed: then the connection is aborted.
    pub fn send(&self, event: SendEvent<'_>) -> Result<Flow, SendError> {
        self.check()?;
        Ok(self.post_costly(ScopeCommand::Send(OwnedSendEvent::copy_of(event))))
    }

    /// Does the scope live, and is there room? Checked on what waits *before* an event, so one
    /// event of any size is always taken.
    fn check(&self) -> Result<(), SendError> {
        if !self.is_alive() {
            return Err(SendError::Closed);
        }
        if self.cell.waiting() > self.cell.hard_limit {
            if !self.cell.overrun.swap(true, Ordering::Relaxed) {
                self.cell.post(ScopeCommand::Overrun);
            }
            return Err(SendError::Closed);
        }
        Ok(())
    }

    fn post_costly(&self, command: ScopeCommand) -> Flow {
        let cell = &*self.cell;
        cell.posted.fetch_add(command.cost(), Ordering::Relaxed);
        let flow = if cell.waiting() > cell.high_water { Flow::Full } else { Flow::Ready };
        if flow == Flow::Full {
            // Before posting: when the worker has taken the event it must see that a Drain is
            // owed.
            cell.full.store(true, Ordering::Release);
        }
        cell.post(command);
        flow
    }

    /// Sends a whole response: start and body.
    ///
    /// # Errors
    /// As [`Handle::send`].
    pub fn respond(
        &self,
        status: u16,
        headers: &[Field<'_>],
        body: impl AsRef<[u8]>,
    ) -> Result<Flow, SendError> {
        self.check()?;
        let response = OwnedResponse::copy_of(status, headers, body.as_ref());
        Ok(self.post_costly(ScopeCommand::Respond(response)))
    }

    /// Sends a WebSocket message.
    ///
    /// # Errors
    /// As [`Handle::send`].
    pub fn message<'m>(&self, message: impl Into<Message<'m>>) -> Result<Flow, SendError> {
        self.send(SendEvent::WebSocketSend(message.into()))
    }

    /// Accepts the WebSocket.
    ///
    /// # Errors
    /// As [`Handle::send`].
    pub fn accept(&self) -> Result<Flow, SendError> {
        self.send(SendEvent::WebSocketAccept { subprotocol: None, headers: &[] })
    }

    /// Closes the WebSocket.
    ///
    /// # Errors
    /// As [`Handle::send`].
    pub fn close(&self, code: u16, reason: &str) -> Result<Flow, SendError> {
        self.send(SendEvent::WebSocketClose { code, reason })
    }

    /// Sends a value to the handler, which receives it as
    /// [`Event::Custom`](super::Event::Custom).
    ///
    /// # Errors
    /// As [`Handle::send`].
    pub fn post(&self, value: impl Any + Send) -> Result<Flow, SendError> {
        let value = Posted::new(Box::new(value));
        self.check()?;
        Ok(self.post_costly(ScopeCommand::Post(value)))
    }

    /// Ends a pause that [`Outbox::pause`](super::Outbox::pause) began.
    pub fn resume(&self) {
        // AcqRel: the worker clears the flag before it acts, so a request behind that is posted.
        if self.is_alive() && !self.cell.resuming.swap(true, Ordering::AcqRel) {
            self.post_costly(ScopeCommand::Resume);
        }
    }

    /// Does the scope still live? A peer may leave the moment after.
    pub fn is_alive(&self) -> bool {
        self.cell.alive.load(Ordering::Acquire)
    }

    /// Bytes that wait for the peer, about.
    pub fn queued(&self) -> usize {
        self.cell.waiting()
    }
}

impl ScopeCommand {
    /// What it cost in the mailbox; see [`Cell::taken`].
    pub fn cost(&self) -> usize {
        match self {
            ScopeCommand::Send(event) => event.cost(),
            ScopeCommand::Respond(response) => response.cost(),
            // Counted, so that a scope knows that something is on its way to it.
            ScopeCommand::Post(_) | ScopeCommand::Resume => SMALL_COST,
            ScopeCommand::HandlesGone | ScopeCommand::Overrun => 0,
        }
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        Self::new(&self.cell)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // AcqRel: the worker that sees 0 also sees everything posted through this handle.
        let last = self.cell.handles.fetch_sub(1, Ordering::AcqRel) == 1;
        if last && self.is_alive() {
            self.cell.post(ScopeCommand::HandlesGone);
        }
    }
}
