//! Groups: names under which WebSockets gather, and publishing to them from any thread.
//!
//! ```text
//!  publish ──> Publication: encoded once, in one Arc
//!                 │ posted once per worker
//!      ┌──────────┼──────────┐
//!   worker 0   worker 1   worker 2         each knows its own members only:
//!    ├ socket   ├ socket   └ socket         no lock is taken per message or member
//!    └ socket   └ socket
//! ```
//!
//! A handler joins with [`Outbox::join`](super::Outbox::join); a connection that ends leaves all
//! its groups. The members' side is [`crate::groups`].

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::Message;
use super::handle::{Command, Mailbox};
use crate::bytes::output::SharedBytes;
use crate::ws::deflate::{Deflater, Engines};
use crate::ws::frame::{self, Header};
use crate::ws::sender;

/// Publishes to groups, from any thread. Cheap to clone.
///
/// ```
/// use oneport::{Groups, Message, Server, app, handler};
///
/// let server = Server::new(app(|_| Some(handler(|_, _| Ok(())))));
/// let groups: Groups = server.groups();
/// std::thread::spawn(move || {
///     let report = groups.publish("news", Message::Text("tick"));
///     // Before the server runs there are no workers and so no receivers.
///     assert!(report.is_complete());
/// }).join().unwrap();
/// ```
#[derive(Clone, Default)]
pub struct Groups {
    branches: Arc<OnceLock<Vec<Arc<Branch>>>>,
}

/// What may wait on one worker to be given to members (bytes of frames, and [`OVERHEAD`] for each):
/// a publication beyond it is refused.
const MOST_WAITING: usize = 64 * 1024 * 1024;
/// What a publication takes in memory besides its frame (bytes).
const OVERHEAD: usize = 512;

/// What publishers know of one worker.
pub struct Branch {
    mailbox: Arc<dyn Mailbox>,
    /// The groups that have members there. Its lock is held for one look, once a publication.
    present: RwLock<HashSet<Arc<str>>>,
    /// Bytes of publications that wait there.
    waiting: AtomicUsize,
}

impl Branch {
    /// A member of this group will be there: said when a callback asks to join, before anything
    /// that the callback sends can reach its peer. So whoever hears of the join and publishes then
    /// reaches the member.
    pub fn expects(&self, group: &str) {
        if !self.present.read().unwrap_or_else(PoisonError::into_inner).contains(group) {
            self.appeared(group.into());
        }
    }

    /// A group has its first member there.
    pub fn appeared(&self, group: Arc<str>) {
        self.present.write().unwrap_or_else(PoisonError::into_inner).insert(group);
    }

    /// A group has no member there any more.
    pub fn vanished(&self, group: &str) {
        self.present.write().unwrap_or_else(PoisonError::into_inner).remove(group);
    }

    /// The part of a publication that this worker has to do. `None` if the group has no member
    /// there, or so much waits there that it is refused. One publication of any size is always
    /// taken.
    pub fn part(self: &Arc<Self>, publication: &Arc<Publication>) -> Option<Parcel> {
        if !self
            .present
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(publication.group())
        {
            return None;
        }
        let cost = publication.cost();
        let before = self.waiting.fetch_add(cost, Ordering::Relaxed);
        if before > 0 && before + cost > MOST_WAITING {
            self.waiting.fetch_sub(cost, Ordering::Relaxed);
            publication.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        publication.pending.fetch_add(1, Ordering::Relaxed);
        Some(Parcel { publication: Arc::clone(publication), waits: Some(Arc::clone(self)) })
    }
}

impl std::fmt::Debug for Branch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Branch").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl Groups {
    /// Sends a message to all members of a group, on all workers.
    ///
    /// It is encoded once and never blocks. Members whose queue is above the high-water mark
    /// are skipped and counted; see [`Delivery`]. To one receiver, the publications of one
    /// thread arrive in their order.
    ///
    /// A publisher that is faster than the workers is refused when 64 MiB wait on one of them:
    /// look at [`Delivery::refused`], and publish on when earlier reports are complete.
    pub fn publish<'m>(&self, group: &str, message: impl Into<Message<'m>>) -> Delivery {
        let publication = Arc::new(Publication::new(group, message.into()));
        self.post(&publication, None);
        Delivery(publication)
    }

    /// Posts to every worker that has members of the group, but `except`.
    pub(crate) fn post(&self, publication: &Arc<Publication>, except: Option<&Arc<Branch>>) {
        let all = self.branches.get().map_or(&[][..], Vec::as_slice);
        // Count all of them before the first can be done.
        let parcels: Vec<_> = all
            .iter()
            .filter(|branch| except.is_none_or(|except| !Arc::ptr_eq(branch, except)))
            .filter_map(|branch| Some((branch, branch.part(publication)?)))
            .collect();
        for (branch, parcel) in parcels {
            branch.mailbox.post(Command::Publish(parcel));
        }
    }

    /// Names the workers; done once, when the server begins to run.
    pub fn connect(&self, mailboxes: Vec<Arc<dyn Mailbox>>) {
        let branch = |mailbox| {
            Arc::new(Branch { mailbox, present: RwLock::default(), waiting: AtomicUsize::new(0) })
        };
        let first = self.branches.set(mailboxes.into_iter().map(branch).collect()).is_ok();
        debug_assert!(first, "groups belong to one server");
    }

    /// The branch of the worker with this mailbox.
    pub(crate) fn branch(&self, mailbox: &Arc<dyn Mailbox>) -> Option<Arc<Branch>> {
        let all = self.branches.get()?;
        all.iter().find(|branch| Arc::ptr_eq(&branch.mailbox, mailbox)).cloned()
    }
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let workers = self.branches.get().map_or(0, Vec::len);
        f.debug_struct("Groups").field("workers", &workers).finish()
    }
}

/// A message for a group: encoded once, shared by all who send it.
pub struct Publication {
    group: Box<str>,
    /// A whole frame, as a server sends it.
    frame: Vec<u8>,
    /// The same compressed, for each size of window that a member has (9 to 15 bits).
    /// `None` inside: it would not shrink.
    compressed: OnceLock<Box<[OnceLock<Option<SharedBytes>>; 7]>>,
    queued: AtomicUsize,
    skipped: AtomicUsize,
    /// Workers on which too much waited.
    refused: AtomicUsize,
    /// Parcels that no worker has dealt with yet.
    pending: AtomicUsize,
}

impl Publication {
    /// Encodes a message for a group.
    pub fn new(group: &str, message: Message<'_>) -> Self {
        let mut frame = Vec::with_capacity(message.as_bytes().len() + 10);
        sender::encode_message(&mut frame, message);
        Self {
            group: group.into(),
            frame,
            compressed: OnceLock::new(),
            queued: AtomicUsize::new(0),
            skipped: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            pending: AtomicUsize::new(0),
        }
    }

    /// The name of the group.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// Bytes of memory that it holds.
    pub fn cost(&self) -> usize {
        self.frame.len() + OVERHEAD
    }

    /// The frame for a member whose messages `deflater` compresses. For all members with the same
    /// window it is made once, by the first who asks, on whatever worker: it refers to nothing
    /// that was sent before, so it serves each of them.
    pub fn frame_for(
        self: &Arc<Self>,
        deflater: &mut Deflater,
        engines: &mut Engines,
    ) -> SharedBytes {
        let plain = || Arc::clone(self) as SharedBytes;
        let Ok(Some((header, at))) = frame::parse(&self.frame) else { return plain() };
        let payload = &self.frame[at..];
        let Some(bits) = deflater.plan(payload.len()) else { return plain() };
        let by_window = self.compressed.get_or_init(Box::default);
        let frame = by_window[usize::from(bits - 9)]
            .get_or_init(|| compressed_frame(header, payload, deflater, engines));
        match frame {
            Some(frame) => {
                // The peer's window holds it; that of an engine of the member's own does not.
                deflater.forget();
                Arc::clone(frame)
            }
            None => plain(),
        }
    }

    /// A worker dealt with its members: so many took it, so many were skipped.
    pub fn count(&self, queued: usize, skipped: usize) {
        self.queued.fetch_add(queued, Ordering::Relaxed);
        self.skipped.fetch_add(skipped, Ordering::Relaxed);
    }
}

fn compressed_frame(
    header: Header,
    payload: &[u8],
    deflater: &Deflater,
    engines: &mut Engines,
) -> Option<SharedBytes> {
    let mut packed = engines.take_packed();
    let length = deflater.deflate_alone(payload, engines, &mut packed);
    let frame = length.map(|length| {
        let mut frame = Vec::with_capacity(length + 10);
        // [7692-6.1-1]
        let header = Header { rsv1: true, len: length as u64, ..header };
        sender::encode_frame(&mut frame, header, &packed[..length]);
        Arc::new(frame) as SharedBytes
    });
    engines.give_back_packed(packed);
    frame
}

impl std::fmt::Debug for Publication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publication")
            .field("group", &self.group)
            .field("bytes", &self.frame.len())
            .field("queued", &self.queued)
            .field("skipped", &self.skipped)
            .field("pending", &self.pending)
            .finish()
    }
}

impl AsRef<[u8]> for Publication {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}

/// One worker's part of a publication. Dropping it says that the part is done, also when a
/// worker ended without looking at it.
#[derive(Debug)]
pub struct Parcel {
    publication: Arc<Publication>,
    /// Where it counts as waiting.
    waits: Option<Arc<Branch>>,
}

impl Parcel {
    /// A part that is still to be done, and waits nowhere yet.
    pub fn new(publication: &Arc<Publication>) -> Self {
        publication.pending.fetch_add(1, Ordering::Relaxed);
        Self { publication: Arc::clone(publication), waits: None }
    }

    /// What it is a part of.
    pub fn publication(&self) -> &Arc<Publication> {
        &self.publication
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if let Some(branch) = &self.waits {
            branch.waiting.fetch_sub(self.publication.cost(), Ordering::Relaxed);
        }
        // Release: whoever sees the last part done also sees what was counted before.
        self.publication.pending.fetch_sub(1, Ordering::Release);
    }
}

/// The report on a publication. It grows until all workers have done their part.
///
/// "Queued" means handed to the connection: written to its socket at once or waiting to be. No
/// server can know more; that a peer has *read* a message only the peer can say.
#[derive(Debug, Clone)]
pub struct Delivery(Arc<Publication>);

impl Delivery {
    pub(crate) fn new(publication: &Arc<Publication>) -> Self {
        Self(Arc::clone(publication))
    }

    /// Members that were given the message.
    pub fn queued(&self) -> usize {
        self.0.queued.load(Ordering::Relaxed)
    }

    /// Members that were skipped, because they read more slowly than is sent to them.
    pub fn skipped(&self) -> usize {
        self.0.skipped.load(Ordering::Relaxed)
    }

    /// Workers that refused the publication, because 64 MiB of earlier ones wait there: none of
    /// their members gets it. Known when [`Groups::publish`] returns; for
    /// [`Outbox::publish`](super::Outbox::publish), when the report is complete.
    pub fn refused(&self) -> usize {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Have all workers done their part?
    pub fn is_complete(&self) -> bool {
        self.0.pending.load(Ordering::Acquire) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps what is posted.
    #[derive(Default)]
    struct Kept(std::sync::Mutex<Vec<Command>>);

    impl Mailbox for Kept {
        fn post(&self, command: Command) {
            self.0.lock().unwrap().push(command);
        }
    }

    #[test]
    fn a_publication_is_posted_where_members_are_and_refused_where_too_much_waits() {
        let groups = Groups::default();
        let boxes = [Arc::new(Kept::default()), Arc::new(Kept::default())];
        groups.connect(boxes.iter().map(|kept| Arc::clone(kept) as Arc<dyn Mailbox>).collect());
        let waiting = || boxes.each_ref().map(|kept| kept.0.lock().unwrap().len());
        // Nobody is there: nothing is posted, nothing waits.
        for _ in 0..10_000 {
            assert!(groups.publish("a", "x").is_complete());
        }
        assert_eq!(waiting(), [0, 0]);
        let mailbox = Arc::clone(&boxes[1]) as Arc<dyn Mailbox>;
        let branch = groups.branch(&mailbox).unwrap();
        branch.expects("a");
        // One of any size is always taken.
        let large = "x".repeat(2 * MOST_WAITING);
        let first = groups.publish("a", &*large);
        assert_eq!((waiting(), first.refused(), first.is_complete()), ([0, 1], 0, false));
        let second = groups.publish("a", "y");
        assert_eq!((waiting(), second.refused(), second.is_complete()), ([0, 1], 1, true));
        assert_eq!(groups.publish("b", "y").refused(), 0, "nobody is in that group");
        // When the worker has done its part, there is room again.
        boxes[1].0.lock().unwrap().clear();
        assert!(first.is_complete());
        let mut taken = 0;
        while groups.publish("a", "z").refused() == 0 {
            taken += 1;
        }
        assert_eq!(waiting(), [0, taken]);
        assert!(taken > 100_000 && taken < 140_000, "{taken}");
        branch.vanished("a");
        boxes[1].0.lock().unwrap().clear();
        groups.publish("a", "x");
        assert_eq!(waiting(), [0, 0]);
    }
}
