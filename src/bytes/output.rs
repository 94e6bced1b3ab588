//! Bytes we have for a peer and could not give yet.
//!
//! ```text
//!            sent        owned: Vec<u8>                    <- append here
//!             |            |
//!   [xxxxxxxxx|aaaaaaaaaa^bbbbbbbbbbbbbbb]
//!                        |
//!                        shared: an Arc that many connections send, between two owned bytes
//! ```
//!
//! Everything sent goes through one queue, so the order of bytes is the order of calls. What
//! keeps it cheap and fair:
//!
//! - **The scratch.** For one turn a connection without unsent bytes is lent its worker's
//!   scratch buffer ([`Output::lend`]); it appends to memory that is warm, and gives it back
//!   after the write ([`Output::send_and_give_back`]). Only what the peer did not take is copied into a
//!   buffer of its own. An idle connection owns none.
//! - **The sink.** A large payload is not copied: [`Output::offer`] shows it, behind what is
//!   queued, to the [`Sink`] of this call (the socket) and copies only what was not taken.
//! - **Urgent bytes.** A queue of frames ([`Output::begin_frames`]) lets a short one overtake
//!   the others: [`Output::urgent`] goes behind the frame that is being sent, at its end.
//! - **Shared segments.** What many connections are sent is encoded once and queued by
//!   reference ([`Output::share`]).

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::pool::Pool;

/// Where bytes go: a socket in `net`, memory in tests.
pub trait Sink {
    /// Takes as many bytes of `parts`, in order, as it can at once, and tells how many.
    ///
    /// `Ok(0)` means "none now": the sink never blocks and never reports `WouldBlock`. An
    /// error means that nothing will ever be taken again.
    fn offer(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize>;

    /// As [`Sink::offer`], for one part.
    #[inline]
    fn offer_one(&mut self, part: &[u8]) -> io::Result<usize> {
        self.offer(&[IoSlice::new(part)])
    }

    /// Of the bytes that were taken, so many are not known to have arrived: a socket whose system
    /// tells that asks it, which costs a few calls. 0 where nobody knows.
    fn unacknowledged(&mut self) -> usize {
        0
    }
}

/// Bytes that several connections send and nobody changes.
pub type SharedBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A shared segment up to this size is copied instead: small pieces that lie together go out
/// in one slice, which costs less than counting references (bytes).
const COPY_SHARED_UP_TO: usize = 512;
/// The most slices that one write is given; Linux takes up to 1,024.
const MAX_SLICES: usize = 64;
/// A scratch buffer that grew past this stays with its connection and is freed with it (bytes).
const LARGEST_SCRATCH: usize = 256 * 1024;

struct Segment {
    bytes: SharedBytes,
    /// Bytes of it that were sent already.
    sent: usize,
    /// It goes before the owned byte with this index.
    before: usize,
}

/// Segments between owned bytes. Few connections have any, so they are behind a pointer.
#[derive(Default)]
struct Shared {
    segments: VecDeque<Segment>,
    /// Bytes of them that wait.
    len: usize,
}

/// The queue of one connection.
#[derive(Default)]
pub struct Output {
    owned: Vec<u8>,
    /// Owned bytes before this are gone.
    sent: usize,
    /// None if there are no segments.
    shared: Option<Box<Shared>>,
    /// `owned` is the worker's scratch buffer.
    lent: bool,
    /// Bytes that left, ever.
    written: u64,
    /// Set if the queue is made of frames.
    frames: Option<Frames>,
}

/// A place in the owned bytes of a queue (see [`Output::mark`]). It is good for
/// [`Output::truncate`] and [`Output::insert`] until the next [`Output::flush`] or
/// [`Output::offer`].
#[derive(Debug, Clone, Copy)]
pub struct Mark(NonZeroUsize);

impl Mark {
    #[inline]
    fn place(self) -> usize {
        self.0.get() - 1
    }
}

/// How a queue of frames is walked.
struct Frames {
    /// The length of the frame whose header stands at the beginning of some bytes.
    measure: fn(&[u8]) -> u64,
    /// Where in the stream the frame ends that is being sent: at or behind the first byte that
    /// waits, and no other frame ends between.
    end: u64,
    /// Where the last of the urgent frames ends: the next goes behind it.
    urgent_end: u64,
}

impl Output {
    /// Bytes that wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.owned.len() - self.sent + self.shared_len()
    }

    #[inline]
    fn shared_len(&self) -> usize {
        self.shared.as_ref().map_or(0, |shared| shared.len)
    }

    fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.shared.iter().flat_map(|shared| &shared.segments)
    }

    fn segments_mut(&mut self) -> impl Iterator<Item = &mut Segment> {
        self.shared.iter_mut().flat_map(|shared| &mut shared.segments)
    }

    /// From here on the queue is made of frames, each appended whole; `measure` tells the
    /// length of a frame by its header.
    pub fn begin_frames(&mut self, measure: fn(&[u8]) -> u64) {
        let end = self.written + self.len() as u64;
        self.frames = Some(Frames { measure, end, urgent_end: 0 });
    }

    /// A frame that overtakes those that wait, but for one that is being sent and for urgent ones.
    /// Without [`Output::begin_frames`], or if nothing waits from before this turn, it is appended.
    pub fn urgent(&mut self, frame: &[u8]) {
        if self.lent || self.frames.is_none() {
            self.owned.extend_from_slice(frame);
        }
        let end = self.written + self.len() as u64;
        let Some(frames) = &mut self.frames else { return };
        if self.lent {
            // It may be here still when the next one comes.
            frames.urgent_end = end;
            return;
        }
        let place = frames.end.max(frames.urgent_end);
        frames.urgent_end = place + frame.len() as u64;
        self.insert_at(usize::try_from(place - self.written).unwrap_or(usize::MAX), frame);
    }

    /// Puts bytes this far behind the first byte that waits: the end of a frame. A shared
    /// segment is one frame, so that is never inside of one.
    fn insert_at(&mut self, offset: usize, bytes: &[u8]) {
        let (mut at, mut passed) = (self.sent, 0);
        let mut index = None;
        for (number, segment) in self.segments().enumerate() {
            let owned = segment.before - at;
            if offset <= passed + owned {
                index = Some((number, at + offset.saturating_sub(passed)));
                break;
            }
            passed += owned + (*segment.bytes).as_ref().len() - segment.sent;
            at = segment.before;
        }
        // Behind all segments: in the owned tail.
        let (first, place) = index.unwrap_or_else(|| {
            let place = at.saturating_add(offset.saturating_sub(passed)).min(self.owned.len());
            (usize::MAX, place)
        });
        self.owned.splice(place..place, bytes.iter().copied());
        for segment in self.segments_mut().skip(first) {
            segment.before += bytes.len();
        }
    }

    /// Does nothing wait?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that left through a sink, ever.
    #[inline]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Bytes of memory this connection holds for itself.
    pub fn bytes_held(&self) -> usize {
        let owned = if self.lent { 0 } else { self.owned.capacity() };
        owned + self.shared_len()
    }

    /// The owned tail, for encoders that append to it.
    #[inline]
    pub fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.owned
    }

    /// The place where the next owned byte will stand.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark(NonZeroUsize::MIN.saturating_add(self.owned.len()))
    }

    /// Takes back what was appended since `mark`.
    pub fn truncate(&mut self, mark: Mark) {
        let mark = mark.place();
        debug_assert!(mark >= self.sent, "bytes behind the mark have left already");
        debug_assert!(self.segments().all(|segment| segment.before <= mark));
        self.owned.truncate(mark);
        let end = self.written + self.len() as u64;
        if let Some(frames) = &mut self.frames {
            frames.urgent_end = frames.urgent_end.min(end);
        }
    }

    /// Puts `bytes` before what was appended since `mark`, which moves behind them.
    pub fn insert(&mut self, mark: &mut Mark, bytes: &[u8]) {
        let place = mark.place();
        debug_assert!(place >= self.sent, "bytes behind the mark have left already");
        self.owned.splice(place..place, bytes.iter().copied());
        mark.0 = mark.0.saturating_add(bytes.len());
    }

    /// Queues bytes by reference, or copies them if they are few.
    #[inline]
    pub fn share(&mut self, bytes: &SharedBytes) {
        self.share_as((**bytes).as_ref(), || Arc::clone(bytes));
    }

    /// As [`Output::share`]; nobody counts a reference to bytes that are few.
    #[inline]
    pub fn share_as(&mut self, bytes: &[u8], shared: impl FnOnce() -> SharedBytes) {
        if bytes.len() <= COPY_SHARED_UP_TO {
            self.owned.extend_from_slice(bytes);
        } else {
            self.refer_to(shared(), bytes.len());
        }
    }

    #[inline(never)]
    fn refer_to(&mut self, bytes: SharedBytes, len: usize) {
        let before = self.owned.len();
        let shared = self.shared.get_or_insert_default();
        shared.len += len;
        shared.segments.push_back(Segment { bytes, sent: 0, before });
    }

    /// Sends what waits and then `payload`, which is not copied but for what the sink does not
    /// take. One call of the sink. Tells whether everything was taken.
    pub fn offer(&mut self, payload: &[u8], sink: &mut dyn Sink) -> io::Result<bool> {
        let queued = self.len();
        let taken = {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let mut count = self.slices(&mut slices[..MAX_SLICES - 1]);
            let all = slices[..count].iter().map(|slice| slice.len()).sum::<usize>() == queued;
            if all {
                // Only then may the payload stand directly behind.
                slices[count] = IoSlice::new(payload);
                count += 1;
            }
            sink.offer(&slices[..count])?
        };
        let of_queue = taken.min(queued);
        // The frame whose header is last in the queue and whose payload this is: its end is
        // known from its header, which must be read before it goes.
        self.written += of_queue as u64;
        self.consume_part(of_queue);
        let of_payload = taken - of_queue;
        self.written += of_payload as u64;
        self.owned.extend_from_slice(&payload[of_payload..]);
        if self.is_empty()
            && let Some(frames) = &mut self.frames
        {
            frames.end = self.written;
        }
        Ok(self.is_empty())
    }

    /// Sends what waits. Tells whether everything was taken.
    ///
    /// One call of the sink per 64 pieces; it stops at the first that is not taken
    /// whole, since asking again would only be told "none now".
    #[inline(always)]
    pub fn flush(&mut self, sink: &mut dyn Sink) -> io::Result<bool> {
        if self.shared.is_some() {
            return self.flush_segments(sink);
        }
        let offered = self.owned.len() - self.sent;
        if offered > 0 {
            let taken = sink.offer_one(&self.owned[self.sent..])?;
            self.consume(taken);
            return Ok(taken == offered);
        }
        Ok(true)
    }

    /// Flushes a queue with shared segments.
    fn flush_segments(&mut self, sink: &mut dyn Sink) -> io::Result<bool> {
        while !self.is_empty() {
            let (offered, taken) = {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let count = self.slices(&mut slices);
                let slices = &slices[..count];
                (slices.iter().map(|slice| slice.len()).sum::<usize>(), sink.offer(slices)?)
            };
            self.consume(taken);
            if taken < offered {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Forgets what waits: the peer is gone.
    pub fn clear(&mut self) {
        self.owned.clear();
        if !self.lent {
            self.owned = Vec::new();
        }
        self.sent = 0;
        self.shared = None;
    }

    /// Borrows the worker's scratch buffer for this turn if the connection has none of its own.
    #[inline(always)]
    pub fn lend(&mut self, scratch: &mut Vec<u8>) {
        if self.owned.capacity() == 0 && !self.lent {
            std::mem::swap(&mut self.owned, scratch);
            self.lent = true;
        }
    }

    /// Sends what waits and, if all was taken, gives the scratch buffer back. Tells whether all was
    /// taken; if not, [`Output::give_back`] must follow.
    #[inline(always)]
    pub fn send_and_give_back(
        &mut self,
        scratch: &mut Vec<u8>,
        pool: &mut Pool,
        sink: &mut dyn Sink,
    ) -> io::Result<bool> {
        if !self.lent || self.shared.is_some() || self.owned.capacity() > LARGEST_SCRATCH {
            let all = self.flush(sink)?;
            if all {
                self.give_back(scratch, pool);
            }
            return Ok(all);
        }
        // What nearly all turns come to.
        let offered = self.owned.len() - self.sent;
        if offered > 0 {
            let taken = sink.offer_one(&self.owned[self.sent..])?;
            if taken < offered {
                self.consume(taken);
                return Ok(false);
            }
            self.written += taken as u64;
            if let Some(frames) = &mut self.frames {
                frames.end = self.written;
            }
        }
        self.owned.clear();
        self.sent = 0;
        std::mem::swap(&mut self.owned, scratch);
        self.lent = false;
        Ok(true)
    }

    /// Gives the scratch buffer back at the end of the turn; unsent bytes move to a buffer of
    /// the connection's own.
    pub fn give_back(&mut self, scratch: &mut Vec<u8>, pool: &mut Pool) {
        if !self.lent && self.owned.capacity() == 0 {
            // Nothing to give: it was given back with the last write.
            return;
        }
        if self.lent && self.is_empty() && self.owned.capacity() <= LARGEST_SCRATCH {
            self.owned.clear();
            self.sent = 0;
            std::mem::swap(&mut self.owned, scratch);
            self.lent = false;
        } else {
            self.give_back_rest(scratch, pool);
        }
    }

    #[cold]
    fn give_back_rest(&mut self, scratch: &mut Vec<u8>, pool: &mut Pool) {
        if !self.lent {
            if self.is_empty() {
                pool.give_back(std::mem::take(&mut self.owned));
                self.sent = 0;
            }
            return;
        }
        self.lent = false;
        if self.owned.capacity() > LARGEST_SCRATCH {
            // It grew: let it go with this connection and begin a fresh scratch.
            *scratch = Vec::with_capacity(LARGEST_SCRATCH / 4);
            if self.is_empty() {
                self.clear();
            }
            return;
        }
        let mut own = pool.take();
        own.extend_from_slice(&self.owned[self.sent..]);
        let sent = std::mem::take(&mut self.sent);
        for segment in self.segments_mut() {
            segment.before -= sent;
        }
        self.owned.clear();
        std::mem::swap(&mut self.owned, scratch);
        self.owned = own;
    }

    /// Fills `slices` with what waits, in order, and tells how many were filled.
    fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        let mut at = self.sent;
        for segment in self.segments() {
            if count + 2 > slices.len() {
                return count;
            }
            if segment.before > at {
                slices[count] = IoSlice::new(&self.owned[at..segment.before]);
                count += 1;
                at = segment.before;
            }
            slices[count] = IoSlice::new(&(*segment.bytes).as_ref()[segment.sent..]);
            count += 1;
        }
        if at < self.owned.len() && count < slices.len() {
            slices[count] = IoSlice::new(&self.owned[at..]);
            count += 1;
        }
        count
    }

    /// Forgets the first `taken` bytes of what waits: they left.
    #[inline(always)]
    fn consume(&mut self, taken: usize) {
        self.written += taken as u64;
        if self.shared.is_none() && self.sent + taken == self.owned.len() {
            self.owned.clear();
            self.sent = 0;
            if let Some(frames) = &mut self.frames {
                frames.end = self.written;
            }
        } else {
            self.consume_part(taken);
        }
    }

    /// Before the first `taken` bytes go: finds the end of the frame that is being sent then.
    fn walk_frames(&mut self, taken: usize) {
        let Some(Frames { measure, end, .. }) = &self.frames else { return };
        let (measure, mut end) = (*measure, *end);
        let before = self.written - taken as u64;
        while end < self.written {
            let Some(header) = self.at((end - before) as usize) else { break };
            end += measure(header);
        }
        if let Some(frames) = &mut self.frames {
            frames.end = end;
        }
    }

    /// The bytes that wait from this offset on, as far as they lie in one piece.
    fn at(&self, offset: usize) -> Option<&[u8]> {
        let (mut at, mut passed) = (self.sent, 0);
        for segment in self.segments() {
            let owned = &self.owned[at..segment.before];
            if offset < passed + owned.len() {
                return Some(&owned[offset - passed..]);
            }
            passed += owned.len();
            let shared = &(*segment.bytes).as_ref()[segment.sent..];
            if offset < passed + shared.len() {
                return Some(&shared[offset - passed..]);
            }
            passed += shared.len();
            at = segment.before;
        }
        self.owned.get(at + offset.checked_sub(passed)?..).filter(|rest| !rest.is_empty())
    }

    /// As [`Output::consume`], wherever the queue stands; the bytes are counted already.
    #[inline(never)]
    fn consume_part(&mut self, mut taken: usize) {
        self.walk_frames(taken);
        if let Some(shared) = &mut self.shared {
            while let Some(segment) = shared.segments.front_mut() {
                let owned = (segment.before - self.sent).min(taken);
                self.sent += owned;
                taken -= owned;
                if self.sent < segment.before || taken == 0 {
                    break;
                }
                let left = (*segment.bytes).as_ref().len() - segment.sent;
                let here = left.min(taken);
                segment.sent += here;
                shared.len -= here;
                taken -= here;
                if here < left {
                    break;
                }
                shared.segments.pop_front();
            }
            if shared.segments.is_empty() {
                self.shared = None;
            }
        }
        self.sent += taken;
        if self.is_empty() {
            self.owned.clear();
            self.sent = 0;
        } else if self.sent > 64 * 1024 && self.sent > self.owned.len() / 2 {
            // Move the rest to the front now and then, so that memory is bounded by what
            // waits; each byte moves at most once per time the queue halves.
            self.owned.drain(..self.sent);
            let sent = std::mem::take(&mut self.sent);
            for segment in self.segments_mut() {
                segment.before -= sent;
            }
        }
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output")
            .field("len", &self.len())
            .field("shared", &self.segments().count())
            .field("lent", &self.lent)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes at most `room` bytes.
    struct Memory {
        got: Vec<u8>,
        room: usize,
        calls: usize,
    }

    impl Memory {
        fn with_room(room: usize) -> Self {
            Self { got: Vec::new(), room, calls: 0 }
        }
    }

    impl Sink for Memory {
        fn offer(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            self.calls += 1;
            let mut taken = 0;
            for part in parts {
                let n = part.len().min(self.room);
                self.got.extend_from_slice(&part[..n]);
                self.room -= n;
                taken += n;
            }
            Ok(taken)
        }
    }

    fn shared(byte: u8, len: usize) -> SharedBytes {
        Arc::new(vec![byte; len])
    }

    #[test]
    fn owned_and_shared_bytes_leave_in_the_order_of_the_calls_whatever_the_sink_takes() {
        let mut expected = Vec::new();
        for _ in 0..3 {
            expected.extend_from_slice(b"before");
            expected.extend(std::iter::repeat_n(b'S', 700));
            expected.extend(std::iter::repeat_n(b'T', 600));
            expected.extend_from_slice(b"after");
        }
        for step in [1, 5, 6, 7, 699, 700, 701, 1306, 4000] {
            let mut output = Output::default();
            for _ in 0..3 {
                output.tail().extend_from_slice(b"before");
                output.share(&shared(b'S', 700));
                output.share(&shared(b'T', 600));
                output.tail().extend_from_slice(b"after");
            }
            assert_eq!(output.len(), expected.len());
            let mut got = Vec::new();
            while !output.is_empty() {
                let mut sink = Memory::with_room(step);
                output.flush(&mut sink).unwrap();
                got.extend_from_slice(&sink.got);
                assert_eq!(output.len(), expected.len() - got.len());
            }
            assert!(got == expected, "in steps of {step}");
            assert_eq!(output.written(), expected.len() as u64);
        }
    }

    #[test]
    fn an_offered_payload_goes_behind_what_waits_and_only_the_rest_is_copied() {
        for room in [0, 3, 6, 7, 106, 10_000] {
            let mut output = Output::default();
            output.tail().extend_from_slice(b"queued");
            let payload = vec![b'p'; 100];
            let mut sink = Memory::with_room(room);
            let all = output.offer(&payload, &mut sink).unwrap();
            assert_eq!(sink.calls, 1);
            assert_eq!(all, room >= 106);
            assert_eq!(output.len(), 106usize.saturating_sub(room));
            let mut rest = Memory::with_room(usize::MAX);
            output.flush(&mut rest).unwrap();
            sink.got.extend_from_slice(&rest.got);
            assert_eq!(sink.got, [b"queued".as_slice(), &payload].concat());
        }
    }

    #[test]
    fn more_segments_than_slices_still_leave_in_order() {
        let mut output = Output::default();
        let mut expected = Vec::new();
        for n in 0..200u8 {
            output.share(&shared(n, 513));
            output.tail().push(n);
            expected.extend(std::iter::repeat_n(n, 514));
        }
        let mut sink = Memory::with_room(usize::MAX);
        let payload = vec![0xee; 20_000];
        assert!(!output.offer(&payload, &mut sink).unwrap());
        assert!(output.flush(&mut sink).unwrap());
        expected.extend_from_slice(&payload);
        assert!(sink.got == expected);
    }

    #[test]
    fn a_lent_scratch_comes_back_and_only_unsent_bytes_stay() {
        let mut pool = Pool::default();
        let mut scratch = Vec::with_capacity(4096);
        let mut output = Output::default();
        output.lend(&mut scratch);
        assert_eq!(scratch.capacity(), 0);
        output.tail().extend_from_slice(b"hello");
        assert_eq!(output.bytes_held(), 0);
        output.flush(&mut Memory::with_room(2)).unwrap();
        output.give_back(&mut scratch, &mut pool);
        assert_eq!(scratch.capacity(), 4096);
        assert_eq!(output.len(), 3);
        assert!(output.bytes_held() < 64);
        // With bytes of its own it borrows nothing, and gives its buffer to the pool at the end.
        output.lend(&mut scratch);
        assert_eq!(scratch.capacity(), 4096);
        output.flush(&mut Memory::with_room(9)).unwrap();
        output.give_back(&mut scratch, &mut pool);
        assert_eq!(output.bytes_held(), 0);
        assert!(pool.bytes_kept() > 0);
    }

    #[test]
    fn what_is_behind_a_mark_can_be_replaced() {
        let mut output = Output::default();
        output.tail().extend_from_slice(b"first;");
        let mut mark = output.mark();
        output.tail().extend_from_slice(b"head");
        output.insert(&mut mark, b"hint;");
        output.truncate(mark);
        output.tail().extend_from_slice(b"500");
        let mut sink = Memory::with_room(100);
        output.flush(&mut sink).unwrap();
        assert_eq!(sink.got, b"first;hint;500");
    }

    /// A toy frame: a quarter of its length in one byte, then its bytes.
    fn toy(fill: u8, quarter: u8) -> Vec<u8> {
        let mut frame = vec![fill; usize::from(quarter) * 4 + 1];
        frame[0] = quarter;
        frame
    }

    fn measure(header: &[u8]) -> u64 {
        u64::from(header[0]) * 4 + 1
    }

    /// Whole toy frames, as (fill, a quarter of their length).
    fn read_toys(mut bytes: &[u8]) -> Vec<(u8, usize)> {
        let mut frames = Vec::new();
        while let [quarter, rest @ ..] = bytes {
            let (frame, after) = rest.split_at(usize::from(*quarter) * 4);
            assert!(frame.iter().all(|byte| *byte == frame[0]), "a frame was torn");
            frames.push((frame[0], usize::from(*quarter)));
            bytes = after;
        }
        frames
    }

    #[test]
    fn an_urgent_frame_waits_for_at_most_one_other_wherever_the_queue_stands() {
        for room in 0..5000 {
            let (mut pool, mut scratch) = (Pool::default(), Vec::with_capacity(8192));
            let mut output = Output::default();
            output.lend(&mut scratch);
            output.tail().extend_from_slice(b"");
            output.begin_frames(measure);
            for fill in 1..=4 {
                output.tail().extend_from_slice(&toy(fill, 100));
            }
            for fill in 5..=7 {
                let big: SharedBytes = Arc::new(toy(fill, 255));
                output.share(&big);
            }
            output.tail().extend_from_slice(&toy(8, 50));
            let mut sink = Memory::with_room(room);
            output.flush(&mut sink).unwrap();
            output.give_back(&mut scratch, &mut pool);
            let sent = sink.got.len();
            output.urgent(&toy(99, 3));
            output.urgent(&toy(98, 2));
            sink.room = usize::MAX;
            output.flush(&mut sink).unwrap();
            let frames = read_toys(&sink.got);
            assert_eq!(frames.len(), 10, "{room}");
            let first = frames.iter().position(|frame| frame.0 == 99).unwrap();
            assert_eq!(frames[first + 1].0, 98, "in their order");
            // The first frame that had not begun to leave is overtaken.
            let mut begun = 0;
            for frame in &frames[..first] {
                assert!(begun < sent, "{room}: {frames:?}");
                begun += frame.1 * 4 + 1;
            }
            assert!(begun >= sent, "{room}: no frame is torn");
        }
    }

    #[test]
    fn an_urgent_frame_overtakes_none_of_an_earlier_turn_that_is_urgent_too() {
        for room in 0..1000 {
            let (mut pool, mut scratch) = (Pool::default(), Vec::with_capacity(8192));
            let mut output = Output::default();
            output.lend(&mut scratch);
            output.begin_frames(measure);
            output.tail().extend_from_slice(&toy(1, 100));
            // Nothing waits from before this turn: it is appended.
            output.urgent(&toy(99, 3));
            let taken_back = output.mark();
            output.tail().extend_from_slice(&toy(2, 100));
            output.truncate(taken_back);
            output.tail().extend_from_slice(&toy(3, 100));
            let mut sink = Memory::with_room(room);
            output.flush(&mut sink).unwrap();
            output.give_back(&mut scratch, &mut pool);
            output.lend(&mut scratch);
            output.urgent(&toy(98, 2));
            sink.room = usize::MAX;
            output.flush(&mut sink).unwrap();
            let order: Vec<_> = read_toys(&sink.got).iter().map(|frame| frame.0).collect();
            let first = order.iter().position(|fill| *fill == 99).unwrap();
            let second = order.iter().position(|fill| *fill == 98).unwrap();
            assert!(first < second, "{room}: {order:?}");
            assert_eq!(order.len(), 4, "{room}: {order:?}");
        }
    }

    #[test]
    fn an_urgent_frame_waits_for_the_end_of_a_large_payload() {
        let mut output = Output::default();
        output.begin_frames(measure);
        let frame = toy(1, 200);
        output.tail().push(frame[0]);
        let mut sink = Memory::with_room(50);
        assert!(!output.offer(&frame[1..], &mut sink).unwrap());
        output.tail().extend_from_slice(&toy(2, 20));
        output.urgent(&toy(99, 3));
        sink.room = usize::MAX;
        output.flush(&mut sink).unwrap();
        assert_eq!(read_toys(&sink.got), [(1, 200), (99, 3), (2, 20)]);
    }

    #[test]
    fn a_long_queue_gives_memory_back_while_it_drains() {
        let mut output = Output::default();
        output.tail().extend_from_slice(&vec![1; 1 << 20]);
        output.flush(&mut Memory::with_room(900_000)).unwrap();
        assert!(output.owned.len() < 200_000, "the sent part was moved away");
        output.flush(&mut Memory::with_room(1 << 20)).unwrap();
        output.give_back(&mut Vec::new(), &mut Pool::default());
        assert_eq!(output.bytes_held(), 0);
    }
}
