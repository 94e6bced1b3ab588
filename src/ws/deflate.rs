//! Compressed messages (RFC 7692 §7.2): payloads in DEFLATE, without the tail that every
//! message would end with.
//!
//! ```text
//!   message ──DEFLATE, sync flush──> [ blocks | 00 00 ff ff ]      the tail: an empty block
//!                                    [ blocks ]                    is sent, RSV1 set on its
//!                                                                  first frame
//! ```
//!
//! What costs memory here is the machinery: 371 KiB to compress, 47 KiB to decompress. So
//! a worker has **one** of each kind ([`Engines`]), made when first needed, and a connection
//! borrows it for one message:
//!
//! - Without context takeover (the default) a message starts from nothing; the connection
//!   remembers nothing.
//! - With takeover the peer's messages may refer back to up to 32 KiB of what it sent before.
//!   An [`Inflater`] keeps those bytes, no more, and shows them to the shared engine. A
//!   [`Deflater`] has an engine of its own, which it may give up at any time: a message that
//!   refers to nothing is always allowed.
//!
//! The inflated size is checked while inflating: ten bytes can stand for ten thousand. And
//! because a short message can be minutes of work, inflating **can stop inside a message** and go
//! on later: then the connection keeps the engine and what was inflated so far.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::error::Error;
use super::extension::{Deflate, Direction};
use super::takeover::{self, Permit};
use crate::bytes::gather::{Gather, Rest};
use crate::bytes::pool::Pool;

/// RFC 7692 §7.2.1: what is cut off each compressed message, and put back to read it.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// A message of which this many parts end their own stream is refused: each costs a fresh
/// start with the whole window.
const MAX_STREAMS: usize = 16;
/// What an engine that decompresses holds (bytes), as measured.
const INFLATE_BYTES: usize = 47 * 1024;
/// The most that is given to an engine, and taken from it, in one call (bytes): between two calls
/// inflating can stop.
const PIECE: usize = 64 * 1024;
/// Buffers for one message that grew past this are freed after it (bytes).
const LARGEST_KEPT: usize = 256 * 1024;

/// What one worker needs to compress and decompress, for all its connections.
#[derive(Default)]
pub struct Engines {
    inflate: Option<Decompress>,
    /// By window bits.
    deflate: Vec<(u8, Compress)>,
    plain: Gather,
    packed: Vec<u8>,
    compressions: u64,
}

impl Engines {
    /// A buffer for one message, to be given back.
    pub fn take_plain(&mut self) -> Gather {
        std::mem::take(&mut self.plain)
    }

    /// Takes the buffer back.
    pub fn give_back_plain(&mut self, mut plain: Gather) {
        plain.clear(LARGEST_KEPT);
        self.plain = plain;
    }

    /// A buffer for one compressed message, to be given back.
    pub fn take_packed(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.packed)
    }

    /// Takes the buffer back.
    pub fn give_back_packed(&mut self, packed: Vec<u8>) {
        if packed.len() <= LARGEST_KEPT {
            self.packed = packed;
        }
    }

    /// How many messages were compressed.
    pub fn compressions(&self) -> u64 {
        self.compressions
    }

    /// The engine for this window, with nothing in it.
    fn fresh_compress(&mut self, bits: u8, level: u8) -> &mut Compress {
        let at = match self.deflate.iter().position(|(of, _)| *of == bits) {
            Some(at) => {
                // [7692-7.2.1-5]
                self.deflate[at].1.reset();
                at
            }
            None => {
                self.deflate.push((bits, new_compress(bits, level)));
                self.deflate.len() - 1
            }
        };
        &mut self.deflate[at].1
    }
}

fn new_compress(bits: u8, level: u8) -> Compress {
    // [7692-7.2.1-3] [7692-7.2.1-4]
    Compress::new_with_window_bits(Compression::new(level.into()), false, bits)
}

/// Reads the compressed messages of one peer.
#[derive(Debug)]
pub struct Inflater {
    /// With takeover: the end of what the peer sent, as large as its window.
    history: Option<Vec<u8>>,
    window: usize,
    /// A message of which a part is inflated.
    stopped: Option<Box<Stopped>>,
    /// The connection's part of the server's memory for takeover.
    permit: Option<Permit>,
}

/// Where inflating stopped inside a message.
#[derive(Debug)]
struct Stopped {
    engine: Decompress,
    /// Bytes of the payload and the tail that were read.
    read: usize,
    /// Streams that the message consists of so far.
    streams: usize,
    /// All that was read so far is written.
    drained: bool,
    plain: Gather,
}

impl Inflater {
    /// For what this direction was agreed to do.
    pub fn new(peer: Direction) -> Self {
        let window = takeover::of_window(peer.window_bits);
        Self { history: peer.takeover.then(Vec::new), window, stopped: None, permit: None }
    }

    /// As long as it lives, the connection has this part of the server's memory for takeover.
    pub fn hold(&mut self, permit: Option<Permit>) {
        self.permit = permit;
    }

    /// Inflates a message into `plain`, which may hold at most `limit` bytes in the end.
    ///
    /// `goes_on` is asked after each piece of at most 64 KiB, with the bytes that were read and
    /// written for it. When it says no, inflating stops inside the message: the result is
    /// `false`, `plain` is empty again, and the next call, with the same payload, goes on.
    ///
    /// # Errors
    /// [`Error::MessageTooBig`] after at most one block more; [`Error::InvalidDeflate`].
    pub fn inflate(
        &mut self,
        payload: &[u8],
        limit: usize,
        engines: &mut Engines,
        plain: &mut Gather,
        goes_on: &mut dyn FnMut(usize) -> bool,
    ) -> Result<bool, Error> {
        // An empty message is one empty block (RFC 7692 §7.2.3.6). Some senders leave out that byte,
        // too; nothing can have been cut off then.
        if payload.is_empty() {
            return Ok(true);
        }
        let (mut engine, mut read, mut streams, mut drained) = match self.stopped.take() {
            Some(stopped) => {
                *plain = stopped.plain;
                (stopped.engine, stopped.read, stopped.streams, stopped.drained)
            }
            None => (self.engine(engines)?, 0, 1, true),
        };
        // [7692-7.2.2-1]
        let all = payload.len() + TAIL.len();
        loop {
            let (rest, is_tail) = match payload.get(read..).filter(|rest| !rest.is_empty()) {
                Some(rest) => (rest, false),
                // What the payload says is written before the tail is shown.
                None if !drained => (&[][..], false),
                None => (&TAIL[read - payload.len()..], true),
            };
            let piece = inflate_piece(&mut engine, rest, limit, plain)?;
            // The tail says nothing, unless the payload was cut and it is read as what is missing.
            if is_tail && piece.written > 0 {
                return Err(Error::InvalidDeflate);
            }
            let had_drained = std::mem::replace(&mut drained, piece.room_left);
            read += piece.read;
            if piece.stream_ended {
                // RFC 7692 §7.2.3.4: the last block of a message may be marked final; what
                // follows it is a stream that still looks back over it.
                streams += 1;
                if streams > MAX_STREAMS {
                    return Err(Error::InvalidDeflate);
                }
                engine.reset(false);
                let window = self.look_back(plain.filled());
                engine.set_dictionary(&window).map_err(|_| Error::InvalidDeflate)?;
            }
            // A final block at the end of the payload ends the message, too.
            let is_whole = read == payload.len() && piece.stream_ended;
            if is_whole || (read == all && piece.room_left && !piece.stream_ended) {
                if !is_whole && !is_between_blocks(&mut engine) {
                    return Err(Error::InvalidDeflate);
                }
                break;
            }
            if !goes_on(piece.read + piece.written) {
                let plain = std::mem::take(plain);
                self.stopped = Some(Box::new(Stopped { engine, read, streams, drained, plain }));
                return Ok(false);
            }
            // Without progress there will never be any.
            if piece.read + piece.written == 0 && !piece.stream_ended && had_drained {
                return Err(Error::InvalidDeflate);
            }
        }
        // One that met an error is not kept.
        engines.inflate = Some(engine);
        let window = self.window;
        // [7692-7.2.2-2]
        if let Some(history) = &mut self.history {
            remember(history, plain.filled(), window);
        }
        Ok(true)
    }

    /// An engine for a message: nothing is in it but what the peer may refer to.
    fn engine(&self, engines: &mut Engines) -> Result<Decompress, Error> {
        // Any window that a peer may use is within 15 bits.
        let mut engine = match engines.inflate.take() {
            Some(mut engine) => {
                engine.reset(false);
                engine
            }
            None => Decompress::new_with_window_bits(false, 15),
        };
        if let Some(history) = self.history.as_ref().filter(|history| !history.is_empty()) {
            engine.set_dictionary(history).map_err(|_| Error::InvalidDeflate)?;
        }
        Ok(engine)
    }

    /// Did inflating stop inside a message?
    #[inline(always)]
    pub fn has_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// What may be referred to after `plain`.
    fn look_back(&self, plain: &[u8]) -> Vec<u8> {
        let mut window = self.history.clone().unwrap_or_default();
        remember(&mut window, plain, self.window);
        window
    }

    /// Bytes of memory held.
    pub fn bytes_held(&self) -> usize {
        let stopped = self.stopped.as_ref();
        let stopped = stopped.map_or(0, |stopped| stopped.plain.bytes_held() + INFLATE_BYTES);
        self.history.as_ref().map_or(0, Vec::capacity) + stopped
    }
}

/// What inflates to more than this gets room for all that it may become (bytes) ...
const LARGE: usize = 256 * 1024;
/// ... if that is at least this much: smaller rooms the allocator may have in stock (the C library on
/// Linux: up to 32 MiB), and would write zeros to all of them ...
const RESERVED_FROM: usize = 33 * 1024 * 1024;
/// ... up to this, from where on it grows like others.
const LARGEST: usize = 64 * 1024 * 1024 + 1;

/// What came of one call of an engine.
struct Piece {
    read: usize,
    written: usize,
    /// A final block ended the stream.
    stream_ended: bool,
    /// Room was left over: all that was read so far is written.
    room_left: bool,
}

/// Feeds the beginning of `rest` to the engine.
fn inflate_piece(
    engine: &mut Decompress,
    rest: &[u8],
    limit: usize,
    plain: &mut Gather,
) -> Result<Piece, Error> {
    // One byte above the limit is asked for: it tells what fits exactly from what does not.
    // The buffer is the worker's own and stays: there is no other to take its place.
    let most = limit.saturating_add(1) - plain.len();
    if plain.len() >= LARGE && limit >= RESERVED_FROM {
        plain.reserve(limit.saturating_add(1).min(LARGEST));
    }
    let room = plain.spare(Rest::last(most), &mut Pool::default());
    let room_len = room.len().min(PIECE);
    let (read, written) = (engine.total_in(), engine.total_out());
    let status = engine
        .decompress(&rest[..rest.len().min(PIECE)], &mut room[..room_len], FlushDecompress::Sync)
        .map_err(|_| Error::InvalidDeflate)?;
    let read = (engine.total_in() - read) as usize;
    let written = (engine.total_out() - written) as usize;
    plain.advance(written);
    if plain.len() > limit {
        return Err(Error::MessageTooBig);
    }
    let stream_ended = matches!(status, Status::StreamEnd);
    Ok(Piece { read, written, stream_ended, room_left: written < room_len })
}

/// RFC 7692 §7.2.2: with the four bytes put back, a payload ends with an empty block that is not
/// compressed. If the payload was cut, they are read as something else, and the engine is in the
/// middle of a block now. So it is shown a last block without content: it must take all of it as
/// that, and end.
fn is_between_blocks(engine: &mut Decompress) -> bool {
    const LAST_BLOCK: [u8; 5] = [0x01, 0x00, 0x00, 0xff, 0xff];
    let (read, written) = (engine.total_in(), engine.total_out());
    let status = engine.decompress(&LAST_BLOCK, &mut [0; 64], FlushDecompress::Sync);
    matches!(status, Ok(Status::StreamEnd))
        && engine.total_in() - read == LAST_BLOCK.len() as u64
        && engine.total_out() == written
}

/// Lets an engine that was stopped in the middle come to the end of its message; the output is
/// thrown away. zlib-rs 0.6.8 does not forget an open block, nor where its own buffer stands, when
/// it is reset: what it makes next is not DEFLATE, or it panics.
fn finish(engine: &mut Compress, mut payload: &[u8]) {
    // In less than seven bytes a flush would begin anew with every call (zlib.h).
    let mut scratch = [0; 4096];
    loop {
        let (read, written) = (engine.total_in(), engine.total_out());
        let outcome = engine.compress(payload, &mut scratch, FlushCompress::Sync);
        payload = &payload[(engine.total_in() - read) as usize..];
        let room_left = engine.total_out() - written < scratch.len() as u64;
        if outcome.is_err() || room_left {
            return;
        }
    }
}

/// Appends to a window and cuts it to its size.
fn remember(history: &mut Vec<u8>, plain: &[u8], window: usize) {
    let plain = &plain[plain.len().saturating_sub(window)..];
    let surplus = (history.len() + plain.len()).saturating_sub(window);
    history.drain(..surplus);
    history.reserve_exact(plain.len());
    history.extend_from_slice(plain);
}

/// Writes compressed messages to one peer.
pub struct Deflater {
    settings: Deflate,
    bits: u8,
    context: Context,
}

/// What a message may refer to.
enum Context {
    /// Nothing: the worker's engine serves.
    None,
    /// Earlier messages. The engine is there while there is something to refer to.
    Takeover(Option<Box<Compress>>),
}

impl Deflater {
    /// For what our direction was agreed to do.
    pub fn new(ours: Direction, settings: Deflate) -> Self {
        let context = if ours.takeover { Context::Takeover(None) } else { Context::None };
        Self { settings, bits: ours.window_bits, context }
    }

    /// Compresses a message into `packed` and tells its length there; `None` if it is better
    /// sent as it is: short, or not smaller when compressed.
    pub fn deflate(
        &mut self,
        payload: &[u8],
        engines: &mut Engines,
        packed: &mut Vec<u8>,
    ) -> Option<usize> {
        // Eight bits: zlib would use nine and break what was agreed.
        if payload.len() < self.settings.threshold.max(1) || self.bits < 9 {
            return None;
        }
        engines.compressions += 1;
        let (bits, level) = (self.bits, self.settings.level);
        let (engine, own) = match &mut self.context {
            Context::None => (engines.fresh_compress(bits, level), false),
            Context::Takeover(engine) => {
                (&mut **engine.get_or_insert_with(|| Box::new(new_compress(bits, level))), true)
            }
        };
        // More room than this and it would not have shrunk.
        let room = payload.len() + TAIL.len();
        if packed.len() < room {
            packed.resize(room, 0);
        }
        let (read, written) = (engine.total_in(), engine.total_out());
        let outcome = engine.compress(payload, &mut packed[..room], FlushCompress::Sync);
        let read = (engine.total_in() - read) as usize;
        let written = (engine.total_out() - written) as usize;
        // Output space that is left over means that the flush is complete (zlib.h).
        let complete = outcome.is_ok() && read == payload.len() && written < room;
        let length = written.checked_sub(TAIL.len());
        match length {
            // [7692-7.2.1-1]
            Some(length) if complete && packed[length..written] == TAIL => Some(length),
            _ if own => {
                // It saw what the peer will not see compressed.
                self.forget();
                None
            }
            _ => {
                finish(engine, &payload[read..]);
                None
            }
        }
    }

    /// Gives up what the next message could refer to, and its memory.
    pub fn forget(&mut self) {
        if let Context::Takeover(engine) = &mut self.context {
            *engine = None;
        }
    }

    /// The size of the window, and whether a message of this length is compressed at all.
    pub fn plan(&self, len: usize) -> Option<u8> {
        (len >= self.settings.threshold.max(1) && self.bits >= 9).then_some(self.bits)
    }

    /// As [`Deflater::deflate`], but referring to nothing that was sent before: the result serves
    /// every peer with this window.
    pub fn deflate_alone(
        &self,
        payload: &[u8],
        engines: &mut Engines,
        packed: &mut Vec<u8>,
    ) -> Option<usize> {
        let mut alone = Self { settings: self.settings, bits: self.bits, context: Context::None };
        alone.deflate(payload, engines, packed)
    }

    /// Does it hold an engine of its own?
    pub fn holds_engine(&self) -> bool {
        matches!(self.context, Context::Takeover(Some(_)))
    }

    /// Bytes of memory held.
    pub fn bytes_held(&self) -> usize {
        if self.holds_engine() { takeover::of_compressor(self.bits) } else { 0 }
    }
}

impl std::fmt::Debug for Deflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deflater")
            .field("bits", &self.bits)
            .field("holds_engine", &self.holds_engine())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Engines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engines").field("compressions", &self.compressions).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direction(takeover: bool, window_bits: u8) -> Direction {
        Direction { takeover, window_bits }
    }

    struct Pair {
        deflater: Deflater,
        inflater: Inflater,
        engines: Engines,
    }

    impl Pair {
        fn new(takeover: bool, bits: u8) -> Self {
            let direction = direction(takeover, bits);
            Self {
                deflater: Deflater::new(direction, Deflate::default().threshold(0)),
                inflater: Inflater::new(direction),
                engines: Engines::default(),
            }
        }

        fn pack(&mut self, message: &[u8]) -> Option<Vec<u8>> {
            let mut packed = Vec::new();
            let length = self.deflater.deflate(message, &mut self.engines, &mut packed)?;
            packed.truncate(length);
            Some(packed)
        }

        fn unpack(&mut self, packed: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
            let mut plain = Gather::default();
            self.inflater.inflate(packed, limit, &mut self.engines, &mut plain, &mut |_| true)?;
            Ok(plain.filled().to_vec())
        }
    }

    // [7692-7.2.2-1] [7692-7.2.2-2]
    #[test]
    fn the_examples_of_rfc_7692_section_7_2_3() {
        let mut pair = Pair::new(true, 15);
        // §7.2.3.1: one block; §7.2.3.2: the same again, with takeover.
        let first = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
        assert_eq!(pair.unpack(first, 5), Ok(b"Hello".to_vec()));
        assert_eq!(pair.unpack(b"\xf2\x00\x11\x00\x00", 5), Ok(b"Hello".to_vec()));
        // §7.2.3.3: a block without compression.
        let stored = b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00";
        assert_eq!(pair.unpack(stored, 5), Ok(b"Hello".to_vec()));
        // §7.2.3.4: a block marked final.
        assert_eq!(pair.unpack(b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 5), Ok(b"Hello".to_vec()));
        // §7.2.3.5: two blocks in one message.
        let two = b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00";
        assert_eq!(pair.unpack(two, 5), Ok(b"Hello".to_vec()));
        // §7.2.3.6: an empty message.
        assert_eq!(pair.unpack(b"\x00", 0), Ok(Vec::new()));
    }

    // [7692-7.2.1-1] [7692-7.2.1-5] [7692-7.2.2-2]
    #[test]
    fn every_window_gives_back_what_was_packed() {
        let text: Vec<u8> =
            (0..40_000u32).flat_map(|i| (i % 997).to_string().into_bytes()).collect();
        for bits in 9..=15 {
            for takeover in [false, true] {
                let mut pair = Pair::new(takeover, bits);
                let mut sizes = Vec::new();
                for len in [1usize, 10, 600, 5000, 5000, text.len(), 70_000] {
                    let message = &text[..len];
                    match pair.pack(message) {
                        Some(packed) => {
                            assert!(packed.len() < len);
                            sizes.push(packed.len());
                            assert_eq!(pair.unpack(&packed, len).as_deref(), Ok(message));
                        }
                        None => assert!(len <= 10 || takeover),
                    }
                }
                assert!(pair.inflater.bytes_held() <= 1 << bits);
                assert_eq!(pair.inflater.bytes_held() > 0, takeover);
                assert_eq!(pair.deflater.holds_engine(), takeover);
                assert!(!sizes.is_empty());
            }
        }
    }

    // [7692-7.2.1-3] [7692-7.2.1-4]
    #[test]
    fn nothing_refers_back_beyond_the_window() {
        // Noise of sixteen letters: half a byte each, if nothing is referred to.
        let noise = |len: usize| -> Vec<u8> {
            let mut x = 1u32;
            let mut next = || {
                x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                b'a' + (x >> 28) as u8
            };
            (0..len).map(|_| next()).collect()
        };
        for bits in 9..=15 {
            // It comes three times, each time a little beyond the window.
            let message = noise((1 << bits) + 100).repeat(3);
            let packed = |takeover, bits, level| {
                let settings = Deflate::default().level(level);
                let mut deflater = Deflater::new(direction(takeover, bits), settings);
                let packed = deflater.deflate(&message, &mut Engines::default(), &mut Vec::new());
                packed.expect("it shrinks") * 100 / message.len()
            };
            for takeover in [false, true] {
                assert!(packed(takeover, bits, 1) > 45, "{bits}");
                assert!(packed(takeover, bits, 6) > 45, "{bits}");
            }
            // A larger window sees it again.
            assert!(bits == 15 || packed(false, bits + 1, 6) < 30, "{bits}");
        }
    }

    #[test]
    fn a_context_that_was_given_up_is_not_referred_to() {
        let mut pair = Pair::new(true, 15);
        let message = b"a message that is sent again and again, word by word";
        let first = pair.pack(message).unwrap();
        pair.unpack(&first, 100).unwrap();
        let second = pair.pack(message).unwrap();
        assert!(second.len() < first.len() / 2, "it refers to the first");
        pair.unpack(&second, 100).unwrap();
        pair.deflater.forget();
        assert_eq!(pair.pack(message).unwrap(), first);
        // What does not shrink is sent as it is, and not referred to later.
        let noise: Vec<u8> =
            (0..200u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 23) as u8).collect();
        assert_eq!(pair.pack(&noise), None);
        assert_eq!(pair.pack(message).unwrap(), first);
    }

    #[test]
    fn the_shared_engine_outlives_any_number_of_messages_that_do_not_shrink() {
        let mut pair = Pair::new(false, 15);
        let mut random = 1u64;
        let mut noise = |len: usize| -> Vec<u8> {
            let mut next = || {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1);
                (random >> 56) as u8
            };
            (0..len).map(|_| next()).collect()
        };
        for len in [256usize; 2000].into_iter().chain([1, 9, 5000, 200_000]) {
            assert_eq!(pair.pack(&noise(len)), None);
        }
        let packed = pair.pack(&[b'a'; 300]).unwrap();
        assert_eq!(pair.unpack(&packed, 300), Ok(vec![b'a'; 300]));
    }

    #[test]
    fn an_engine_that_stopped_within_a_block_spoils_nothing() {
        let mut state = 1u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .take(2 << 20)
        .collect();
        let text = b"0123456789".repeat(1000);
        for takeover in [false, true] {
            let mut pair = Pair::new(takeover, 15);
            for len in [1000, 100_000, noise.len()] {
                assert_eq!(pair.pack(&noise[..len]), None);
                let packed = pair.pack(&text).unwrap();
                assert_eq!(pair.unpack(&packed, text.len()).as_deref(), Ok(&text[..]));
            }
        }
    }

    #[test]
    fn a_bomb_is_refused_within_a_block_of_the_limit() {
        let mut pair = Pair::new(false, 15);
        let bomb = pair.pack(&vec![0u8; 16 << 20]).unwrap();
        assert!(bomb.len() < 200_000);
        for limit in [0, 1, 1000, 65_535, 65_536, 1 << 20, (16 << 20) - 1] {
            let mut plain = Gather::default();
            let engines = &mut pair.engines;
            let refused = pair.inflater.inflate(&bomb, limit, engines, &mut plain, &mut |_| true);
            assert_eq!(refused, Err(Error::MessageTooBig));
            assert!(plain.len() == limit + 1);
            assert!(plain.bytes_held() <= 2 * limit + (1 << 20));
        }
        assert_eq!(pair.unpack(&bomb, 16 << 20).map(|plain| plain.len()), Ok(16 << 20));
    }

    #[test]
    fn what_is_not_deflate_is_refused() {
        let mut pair = Pair::new(true, 15);
        // A block of the reserved type 3 (RFC 1951 §3.2.3); a distance beyond the window.
        for bad in [b"\x07".as_slice(), b"\xff\xff", b"\xf2\x00\x11\x00\x00"] {
            assert_eq!(pair.unpack(bad, 1000), Err(Error::InvalidDeflate), "{bad:x?}");
        }
        // Final blocks without end: each would cost a window.
        assert_eq!(pair.unpack(&b"\x03\x00".repeat(1000), 1000), Err(Error::InvalidDeflate));
        assert_eq!(pair.unpack(&b"\x03\x00".repeat(3), 1000), Ok(Vec::new()));
    }

    /// RFC 7692 §7.2.2: what is put back behind a payload that was cut stands in the middle of a block.
    #[test]
    fn a_payload_that_was_cut_is_no_message() {
        let mut pair = Pair::new(false, 15);
        let text = "over and over and over again, and once more. ".repeat(5);
        let packed = pair.pack(text.as_bytes()).unwrap();
        assert_eq!(pair.unpack(&packed, 10_000).as_deref(), Ok(text.as_bytes()));
        let mut short = Vec::new();
        for cut in 1..packed.len() {
            if let Ok(plain) = pair.unpack(&packed[..cut], 10_000) {
                short.push((cut, plain));
            }
        }
        assert!(short.is_empty(), "of {} bytes: {short:?}", packed.len());
        // A last block without the byte that RFC 7692 §7.2.3.4 puts behind it, and with it.
        for whole in
            [b"\xf3\x48\xcd\xc9\xc9\x07\x00".as_slice(), b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"]
        {
            assert_eq!(pair.unpack(whole, 10_000).as_deref(), Ok(&b"Hello"[..]), "{whole:x?}");
        }
        // Stored blocks, last or not, that lack octets: four of them are as many as are put back.
        for first in [0, 1] {
            for cut in 1..=9 {
                let packed = [&[first, 9, 0, 0xf6, 0xff][..], &b"123456789"[cut..]].concat();
                assert_eq!(pair.unpack(&packed, 1000), Err(Error::InvalidDeflate), "{first} {cut}");
            }
        }
        // An empty message (§7.2.3.6), and one of which nothing at all is sent.
        for empty in [b"\x00".as_slice(), b""] {
            assert_eq!(pair.unpack(empty, 10), Ok(Vec::new()));
        }
    }
}
