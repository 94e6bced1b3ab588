//! The receiver half: bytes become messages and control frames (RFC 6455 §5.4 to §5.6).
//!
//! ```text
//!   scratch:  [hdr|payload......][hdr|payload][hdr|pay         <- what one read brought
//!              └─ lent in place ─┘└─ lent ───┘ └─ begins a message of its own buffer
//! ```
//!
//! A frame that is a whole message and lies whole in the input is unmasked where it is and lent
//! from there. Anything else gathers in [`Gather`]: fragments, and a payload that is still
//! arriving, whose next bytes can be read straight into it ([`Receiver::read_target`]). Each byte
//! that gathers is moved at most once by us: unmasked on its way from the input, or where the
//! socket put it, and text is checked while it is still in the nearest cache.
//!
//! Text is checked **as it arrives**, also inside a frame that is not complete: a message that
//! cannot become UTF-8 is refused at the first byte that shows it.
//!
//! A compressed message (RFC 7692; its first frame has RSV1) gathers like any other and is
//! inflated when it is complete, into a buffer of the worker: see [`Receiver::inflate`].

use std::ops::Range;

use super::Message;
use super::close;
use super::deflate::{Engines, Inflater};
use super::error::Error;
use super::frame::{self, Header, Opcode};
use super::mask;
use crate::bytes::gather::{Gather, Rest};
use crate::bytes::input::SCRATCH;
use crate::bytes::pool::Pool;
use crate::bytes::utf8::{self, Utf8};

/// From this much on of a payload, and with as much of it to come, the rest is read straight into
/// the message's own buffer (bytes).
const DIRECT: usize = 4 * 1024;
/// So much of a text is unmasked and checked at a time (bytes): it fits into the nearest cache
/// twice, and is whole keys.
const BLOCK: usize = 8 * 1024;

/// Memory for the next read.
#[derive(Debug)]
pub struct Target<'a> {
    /// Where the bytes belong.
    pub memory: &'a mut [u8],
    /// What comes behind these bytes is another frame.
    pub ends_frame: bool,
}

/// What a message may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a whole message. Default 64 MiB.
    pub max_message: usize,
    /// Fragments of a message. Default 131,072.
    pub max_fragments: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_message: 64 * 1024 * 1024, max_fragments: 128 * 1024 }
    }
}

/// What stands at the beginning of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// Nothing complete: give more bytes.
    NeedData,
    /// Bytes were taken that complete nothing yet; more may stand behind them.
    Taken,
    /// A message.
    Message(Arrived),
    /// A ping with its payload, which stands in the input.
    Ping(Range<usize>),
    /// A pong with its payload, which stands in the input.
    Pong(Range<usize>),
    /// A Close: its code, and its reason, which stands in the input.
    Close(Option<u16>, Range<usize>),
}

/// A complete message, and where it is: [`Receiver::lend`] makes it readable, or
/// [`Receiver::inflate`] if it is compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    opcode: Opcode,
    compressed: bool,
    /// In the input, unmasked, not yet checked if it is text; else in the receiver's own buffer.
    place: Option<Range<usize>>,
}

impl Arrived {
    /// Must it be inflated?
    #[inline]
    pub fn is_compressed(&self) -> bool {
        self.compressed
    }
}

/// The data frame whose payload is arriving.
#[derive(Debug, Clone, Copy)]
struct Partial {
    left: u64,
    /// The key for the next byte, from a client.
    key: Option<[u8; 4]>,
    fin: bool,
}

/// The state between two reads. Between two messages it holds no bytes.
#[derive(Debug, Default)]
pub struct Receiver {
    /// The peer is a server: its frames are not masked.
    from_server: bool,
    /// The last message did not fit into a read: the next may be like it.
    large: bool,
    /// A message of which a part arrived, or room for the next such.
    arriving: Option<Box<Arriving>>,
    /// There if compression was agreed.
    inflater: Option<Box<Inflater>>,
}

/// A message of which a part arrived.
#[derive(Debug)]
struct Arriving {
    /// False when the message was used: only its room is left.
    begun: bool,
    opcode: Opcode,
    compressed: bool,
    /// The frame that is not complete yet.
    frame: Option<Partial>,
    fragments: u32,
    utf8: Utf8,
    gather: Gather,
}

impl Receiver {
    /// For a server, which hears a client.
    pub fn of_server(inflater: Option<Box<Inflater>>) -> Self {
        Self { inflater, ..Self::default() }
    }

    /// For a client, which hears a server.
    pub fn of_client(inflater: Option<Box<Inflater>>) -> Self {
        Self { from_server: true, inflater, ..Self::default() }
    }

    /// Looks at the beginning of `input`: what is there and how many bytes of it were used.
    ///
    /// # Errors
    /// The rule that was broken. The receiver is of no use afterwards.
    #[inline]
    pub fn next(
        &mut self,
        input: &mut [u8],
        limits: Limits,
        pool: &mut Pool,
    ) -> Result<(usize, Incoming), Error> {
        if let Some(arriving) = &mut self.arriving
            && arriving.frame.is_some()
        {
            let taken = arriving.take(input, pool)?;
            return Ok((taken, arriving.finished()?));
        }
        // [6455-6.2-1] [6455-10.7-1]
        let Some((header, at)) = frame::parse(input)? else {
            return Ok((0, Incoming::NeedData));
        };
        // RFC 7692 §6: RSV1 says that a message is compressed, if that was agreed, and only on
        // the first frame of a message. Anywhere else it means nothing.
        // [6455-5.2-2] [7692-6-2]
        if header.rsv1
            && (self.inflater.is_none() || !matches!(header.opcode, Opcode::Text | Opcode::Binary))
        {
            return Err(Error::ReservedBits);
        }
        // RFC 6455 §5.1: "The server MUST close the connection upon receiving a frame that is
        // not masked. [...] A client MUST close a connection if it detects a masked frame."
        // [6455-5.1-1]
        if header.mask.is_some() == self.from_server {
            return Err(if self.from_server { Error::Masked } else { Error::NotMasked });
        }
        if header.opcode.is_control() {
            // [6455-5.4-4] [6455-6.2-2]
            return control(input, header, at);
        }
        self.check_sequence(header, limits)?;
        let whole = at as u64 + header.len;
        if header.fin && self.current().is_none() && whole <= input.len() as u64 {
            let place = at..whole as usize;
            // [6455-6.2-5]
            unmask(&mut input[place.clone()], header.mask);
            let (opcode, compressed) = (header.opcode, header.rsv1);
            let message = Incoming::Message(Arrived { opcode, compressed, place: Some(place) });
            return Ok((whole as usize, message));
        }
        // The first frame says what the message is.
        // [6455-6.2-3]
        let arriving = self.arriving.get_or_insert_default();
        if !arriving.begun {
            **arriving = Arriving::new(header);
        }
        arriving.begin_frame(header);
        let taken = at + arriving.take(&input[at..], pool)?;
        Ok((taken, arriving.finished()?))
    }

    /// The short way for what nearly every frame is: a whole message of a client, with a payload
    /// of up to 65,535 bytes, that lies whole at the beginning of `input`. It is unmasked there and
    /// lent, with how many bytes of the input it took. `None` for anything else: [`Receiver::next`]
    /// knows what it is.
    #[inline(always)]
    pub fn whole<'i>(
        &mut self,
        input: &'i mut [u8],
        max_message: usize,
    ) -> Option<(usize, Result<Message<'i>, Error>)> {
        let [first, second, rest @ ..] = &*input else { return None };
        let opcode = match first {
            0x81 => Opcode::Text,
            0x82 => Opcode::Binary,
            _ => return None,
        };
        let (len, at) = match (second, rest) {
            (0x80..=0xfd, _) => (usize::from(*second & 0x7f), 2),
            (0xfe, [high, low, ..]) => (usize::from(u16::from_be_bytes([*high, *low])), 4),
            _ => return None,
        };
        // §5.2: a length is encoded in the fewest bytes; the long way says so.
        if (at == 4 && len < 126) || len > max_message || !self.is_between_messages() {
            return None;
        }
        let key = *input.get(at..)?.first_chunk::<4>()?;
        let end = at + 4 + len;
        let payload = input.get_mut(at + 4..end)?;
        // [6455-6.2-5]
        let message = if opcode == Opcode::Text {
            // [6455-8.1-1]
            mask::apply_to_text(payload, key).map(Message::Text).map_err(|_| Error::InvalidUtf8)
        } else {
            mask::apply(payload, key);
            Ok(Message::Binary(payload))
        };
        Some((end, message))
    }

    /// Does a client's next message begin with the next byte?
    #[inline]
    fn is_between_messages(&self) -> bool {
        self.current().is_none() && !self.from_server
    }

    /// The message of which a part arrived.
    #[inline]
    fn current(&self) -> Option<&Arriving> {
        self.arriving.as_deref().filter(|arriving| arriving.begun)
    }

    /// RFC 6455 §5.4: fragments of one message follow each other; control frames may stand
    /// between them, other messages may not.
    #[inline]
    fn check_sequence(&self, header: Header, limits: Limits) -> Result<(), Error> {
        let arriving = self.current();
        match (arriving, header.opcode) {
            (None, Opcode::Continuation) => return Err(Error::NothingToContinue),
            // [6455-5.4-3] [6455-5.4-6]
            (Some(_), Opcode::Text | Opcode::Binary) => return Err(Error::MessageUnfinished),
            _ => {}
        }
        let compressed = header.rsv1 || arriving.is_some_and(|message| message.compressed);
        let most = limits.max_message.saturating_add(if compressed {
            // What does not shrink grows: by five bytes a block (RFC 1951 §3.2.4).
            limits.max_message / 1024 + 64
        } else {
            0
        });
        // Compare before adding: a length near 2^63 must not wrap (CVE-2020-27813).
        // [6455-10.4-1] [6455-10.4-2]
        let gathered = arriving.map_or(0, |message| message.gather.len());
        if header.len > most.saturating_sub(gathered) as u64 {
            return Err(Error::MessageTooBig);
        }
        let fragments = arriving.map_or(0, |message| message.fragments);
        if (!header.fin || arriving.is_some()) && fragments >= limits.max_fragments {
            return Err(Error::TooManyFragments);
        }
        Ok(())
    }

    /// The bytes that have come of a message that is not complete; none between two messages.
    #[inline]
    pub fn unfinished(&self) -> Option<usize> {
        self.current().map(|message| message.gather.len())
    }

    /// Memory for the next read, if a large payload is arriving: the socket fills it and
    /// [`Receiver::filled`] goes on from there.
    #[inline]
    pub fn read_target(&mut self, pool: &mut Pool) -> Option<Target<'_>> {
        self.arriving.as_deref_mut()?.target(pool)
    }

    /// Is a message likely that does not fit into one read? Then little should be read at first,
    /// since the rest can be read to where it belongs. Asked once for each message that was large.
    #[inline]
    pub fn expects_large(&mut self) -> bool {
        std::mem::take(&mut self.large)
    }

    /// The first `n` bytes of the memory that [`Receiver::read_target`] lent were filled.
    ///
    /// # Errors
    /// As [`Receiver::next`].
    pub fn filled(&mut self, n: usize) -> Result<Incoming, Error> {
        let Some(arriving) = &mut self.arriving else { return Ok(Incoming::NeedData) };
        arriving.filled(n)?;
        arriving.finished()
    }

    /// The message, borrowed from `input` or from the receiver.
    ///
    /// # Errors
    /// [`Error::InvalidUtf8`] for a text that arrived in one piece.
    #[inline]
    pub fn lend<'a>(&'a self, input: &'a [u8], arrived: &Arrived) -> Result<Message<'a>, Error> {
        // [7692-6.2-2]
        debug_assert!(!arrived.compressed, "a compressed message is inflated");
        message(arrived.opcode, payload(self.arriving.as_deref(), input, arrived))
    }

    /// A compressed message, inflated into `plain`, which is empty. `goes_on` is asked between two
    /// pieces of it, with the bytes of the piece; if it says no, the result is `None`, and
    /// [`Receiver::stopped`] gives the message to go on with later.
    ///
    /// # Errors
    /// [`Error::MessageTooBig`] as soon as it is; [`Error::InvalidDeflate`];
    /// [`Error::InvalidUtf8`].
    pub fn inflate<'a>(
        &mut self,
        input: &[u8],
        arrived: &Arrived,
        limits: Limits,
        engines: &mut Engines,
        plain: &'a mut Gather,
        goes_on: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Option<Message<'a>>, Error> {
        let inflater = self.inflater.as_mut().ok_or(Error::ReservedBits)?;
        // [7692-6.2-1]
        let packed = payload(self.arriving.as_deref(), input, arrived);
        if !inflater.inflate(packed, limits.max_message, engines, plain, goes_on)? {
            self.keep(input, arrived);
            return Ok(None);
        }
        message(arrived.opcode, plain.filled()).map(Some)
    }

    /// Inflating stopped inside this message: its payload, if it lies in the input, is kept.
    #[cold]
    fn keep(&mut self, input: &[u8], arrived: &Arrived) {
        let Some(place) = arrived.place.clone() else { return };
        let payload = &input[place];
        let arriving = self.arriving.get_or_insert_default();
        let (opcode, compressed) = (arrived.opcode, arrived.compressed);
        **arriving = Arriving { begun: true, opcode, compressed, ..Arriving::default() };
        let rest = Rest::last(payload.len());
        let room = arriving.gather.room(payload.len(), rest, &mut Pool::default());
        room.copy_from_slice(payload);
        arriving.gather.advance(payload.len());
    }

    /// The message inside which inflating stopped. Nothing else is received before it.
    #[inline]
    pub fn stopped(&self) -> Option<Arrived> {
        let inflater = self.inflater.as_ref()?;
        if !inflater.has_stopped() {
            return None;
        }
        let opcode = self.arriving.as_ref()?.opcode;
        Some(Arrived { opcode, compressed: true, place: None })
    }

    /// The message was used: forget it.
    #[inline]
    pub fn release(&mut self, arrived: &Arrived, pool: &mut Pool) {
        // [6455-6.2-4]
        if arrived.place.is_none()
            && let Some(arriving) = &mut self.arriving
        {
            arriving.begun = false;
            self.large = arriving.gather.len() > SCRATCH;
            arriving.gather.release(pool);
        }
    }

    /// Is it between two messages, and holds no memory?
    #[inline(always)]
    pub fn is_quiet(&self) -> bool {
        debug_assert!(self.arriving.is_some() || !self.large, "see `rest`");
        self.arriving.is_none() && self.inflater.as_ref().is_none_or(|own| own.bytes_held() == 0)
    }

    /// Nothing came for a while: gives up the room for a message that is not there, and expects no
    /// large one any more: a connection at rest is not asked.
    pub fn rest(&mut self) {
        if self.current().is_none() {
            self.arriving = None;
            self.large = false;
        }
    }

    /// Bytes of memory held.
    pub fn bytes_held(&self) -> usize {
        let history = self.inflater.as_ref().map_or(0, |inflater| inflater.bytes_held());
        self.arriving.as_ref().map_or(0, |arriving| arriving.gather.bytes_held()) + history
    }
}

impl Default for Arriving {
    fn default() -> Self {
        Self {
            begun: false,
            opcode: Opcode::Binary,
            compressed: false,
            frame: None,
            fragments: 0,
            utf8: Utf8::default(),
            gather: Gather::default(),
        }
    }
}

impl Arriving {
    /// A message whose first frame has this header.
    fn new(header: Header) -> Self {
        Self { begun: true, opcode: header.opcode, compressed: header.rsv1, ..Self::default() }
    }

    fn begin_frame(&mut self, header: Header) {
        self.fragments += 1;
        self.frame = Some(Partial { left: header.len, key: header.mask, fin: header.fin });
    }

    /// Takes payload of the current frame from the input.
    fn take(&mut self, input: &[u8], pool: &mut Pool) -> Result<usize, Error> {
        let Some(partial) = &self.frame else { return Ok(0) };
        let left = usize::try_from(partial.left).unwrap_or(usize::MAX);
        let n = left.min(input.len());
        let text = self.opcode == Opcode::Text && !self.compressed;
        let block = if text { BLOCK } else { n.max(1) };
        let room = self.gather.room(n, Rest { wanted: left, is_last: partial.fin }, pool);
        // [6455-5.4-2] [6455-5.4-5]
        for (from, to) in input[..n].chunks(block).zip(room.chunks_mut(block)) {
            match partial.key {
                // [6455-6.2-5]
                Some(key) => mask::copy(from, to, key),
                None => to.copy_from_slice(from),
            }
            if text {
                self.utf8.feed(to).map_err(|_| Error::InvalidUtf8)?;
            }
        }
        self.gather.advance(n);
        self.passed(n);
        Ok(n)
    }

    /// Where the rest of the payload belongs, if that is worth a read of its own.
    fn target(&mut self, pool: &mut Pool) -> Option<Target<'_>> {
        let Partial { left, fin, .. } = self.frame?;
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        if left.min(self.gather.len()) < DIRECT {
            return None;
        }
        let memory = self.gather.spare(Rest { wanted: left, is_last: fin }, pool);
        let ends_frame = memory.len() == left;
        Some(Target { memory, ends_frame })
    }

    /// The next `n` bytes of the payload were read into the memory that was lent.
    fn filled(&mut self, n: usize) -> Result<(), Error> {
        let Some(partial) = &self.frame else { return Ok(()) };
        let text = self.opcode == Opcode::Text && !self.compressed;
        let block = if text { BLOCK } else { n.max(1) };
        for block in self.gather.advance(n).chunks_mut(block) {
            // [6455-6.2-5]
            if let Some(key) = partial.key {
                mask::apply(block, key);
            }
            if text {
                self.utf8.feed(block).map_err(|_| Error::InvalidUtf8)?;
            }
        }
        self.passed(n);
        Ok(())
    }

    /// The next `n` bytes of the payload were dealt with.
    fn passed(&mut self, n: usize) {
        if let Some(partial) = &mut self.frame {
            partial.key = partial.key.map(|key| mask::rotate(key, n));
            partial.left -= n as u64;
        }
    }

    /// Is the frame, or even the message, complete?
    fn finished(&mut self) -> Result<Incoming, Error> {
        match self.frame {
            Some(Partial { left: 1.., .. }) => return Ok(Incoming::NeedData),
            Some(Partial { fin: false, .. }) => {
                self.frame = None;
                return Ok(Incoming::Taken);
            }
            _ => self.frame = None,
        }
        let (opcode, compressed) = (self.opcode, self.compressed);
        // RFC 6455 §8.1: the text ends here, so no character may be unfinished.
        // [6455-5.6-1] [6455-8.1-1]
        if opcode == Opcode::Text && !compressed && !self.utf8.is_complete() {
            return Err(Error::InvalidUtf8);
        }
        Ok(Incoming::Message(Arrived { opcode, compressed, place: None }))
    }
}

/// The bytes of a message as they came.
#[inline]
fn payload<'a>(arriving: Option<&'a Arriving>, input: &'a [u8], arrived: &Arrived) -> &'a [u8] {
    match &arrived.place {
        Some(place) => &input[place.clone()],
        None => arriving.map_or(&[], |arriving| arriving.gather.filled()),
    }
}

/// The message that this payload is.
///
/// # Errors
/// [`Error::InvalidUtf8`] for a text message (RFC 6455 §8.1).
#[inline]
fn message(opcode: Opcode, bytes: &[u8]) -> Result<Message<'_>, Error> {
    if opcode == Opcode::Text {
        // [6455-8.1-1]
        utf8::text(bytes).map(Message::Text).map_err(|_| Error::InvalidUtf8)
    } else {
        Ok(Message::Binary(bytes))
    }
}

#[inline]
fn unmask(bytes: &mut [u8], key: Option<[u8; 4]>) {
    if let Some(key) = key {
        mask::apply(bytes, key);
    }
}

/// RFC 6455 §5.5: control frames are short and whole, so they are taken only when they are
/// complete.
fn control(input: &mut [u8], header: Header, at: usize) -> Result<(usize, Incoming), Error> {
    let end = at + header.len as usize;
    let Some(payload) = input.get_mut(at..end) else {
        return Ok((0, Incoming::NeedData));
    };
    unmask(payload, header.mask);
    let incoming = match header.opcode {
        Opcode::Ping => Incoming::Ping(at..end),
        Opcode::Pong => Incoming::Pong(at..end),
        _ => close_frame(payload, at)?,
    };
    Ok((end, incoming))
}

/// RFC 6455 §5.5.1: a Close is empty, or a code and a reason in UTF-8.
fn close_frame(payload: &[u8], at: usize) -> Result<Incoming, Error> {
    let [high, low, reason @ ..] = payload else {
        // [6455-5.5.1-1]
        return if payload.is_empty() {
            Ok(Incoming::Close(None, at..at))
        } else {
            Err(Error::CloseTooShort)
        };
    };
    let code = u16::from_be_bytes([*high, *low]);
    if !close::may_be_on_the_wire(code) {
        return Err(Error::CloseCode);
    }
    // [6455-8.1-1]
    utf8::text(reason).map_err(|_| Error::InvalidUtf8)?;
    let begin = at + 2;
    Ok(Incoming::Close(Some(code), begin..begin + reason.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    /// One thing that happened, with its bytes.
    #[derive(Debug, Clone, PartialEq, Eq)]
    enum Seen {
        Text(String),
        Binary(Vec<u8>),
        Ping(Vec<u8>),
        Pong(Vec<u8>),
        Close(Option<u16>, String),
        Fails(Error),
    }

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        frame::encode(&mut out, true, Opcode::Text, payload.len());
        out[0] = first;
        out[1] |= 0x80;
        out.extend_from_slice(&KEY);
        let from = out.len();
        out.extend_from_slice(payload);
        mask::apply(&mut out[from..], KEY);
        out
    }

    fn frames(list: &[(u8, &[u8])]) -> Vec<u8> {
        list.iter().flat_map(|(first, payload)| masked(*first, payload)).collect()
    }

    /// Feeds `input` in the pieces that `cuts` makes, with or without reads into the
    /// receiver's own buffer.
    fn feed(input: &[u8], cuts: &[usize], own_buffer: bool, limits: Limits) -> Vec<Seen> {
        let mut receiver = Receiver::default();
        let mut pool = Pool::default();
        let mut seen = Vec::new();
        let mut waiting: Vec<u8> = Vec::new();
        let mut from = 0;
        'pieces: for &cut in cuts.iter().chain([&input.len()]) {
            let mut piece = &input[from..cut];
            from = cut;
            while own_buffer && waiting.is_empty() && !piece.is_empty() {
                let Some(target) = receiver.read_target(&mut pool) else { break };
                let target = target.memory;
                let n = target.len().min(piece.len());
                target[..n].copy_from_slice(&piece[..n]);
                piece = &piece[n..];
                match receiver.filled(n) {
                    Ok(Incoming::Message(arrived)) => {
                        seen.push(message(&receiver, &[], &arrived));
                        receiver.release(&arrived, &mut pool);
                    }
                    Ok(_) => {}
                    Err(error) => {
                        seen.push(Seen::Fails(error));
                        break 'pieces;
                    }
                }
            }
            waiting.extend_from_slice(piece);
            loop {
                let (used, incoming) = match receiver.next(&mut waiting, limits, &mut pool) {
                    Ok(step) => step,
                    Err(error) => {
                        seen.push(Seen::Fails(error));
                        break 'pieces;
                    }
                };
                let bytes = |range: Range<usize>| waiting[range].to_vec();
                match incoming {
                    Incoming::NeedData => {
                        waiting.drain(..used);
                        break;
                    }
                    Incoming::Taken => {}
                    Incoming::Message(arrived) => {
                        let saw = message(&receiver, &waiting, &arrived);
                        let failed = matches!(saw, Seen::Fails(_));
                        seen.push(saw);
                        if failed {
                            break 'pieces;
                        }
                        receiver.release(&arrived, &mut pool);
                    }
                    Incoming::Ping(range) => seen.push(Seen::Ping(bytes(range))),
                    Incoming::Pong(range) => seen.push(Seen::Pong(bytes(range))),
                    Incoming::Close(code, range) => {
                        seen.push(Seen::Close(code, String::from_utf8(bytes(range)).unwrap()));
                    }
                }
                waiting.drain(..used);
            }
        }
        seen
    }

    fn message(receiver: &Receiver, input: &[u8], arrived: &Arrived) -> Seen {
        match receiver.lend(input, arrived) {
            Ok(Message::Text(text)) => Seen::Text(text.into()),
            Ok(Message::Binary(bytes)) => Seen::Binary(bytes.into()),
            Err(error) => Seen::Fails(error),
        }
    }

    /// Whole, byte by byte and split at every position, with and without reads into the
    /// receiver's own buffer: always the same.
    fn every_way(input: &[u8], limits: Limits) -> Vec<Seen> {
        let whole = feed(input, &[], false, limits);
        let each: Vec<usize> = (1..input.len()).collect();
        for own_buffer in [false, true] {
            assert_eq!(feed(input, &each, own_buffer, limits), whole, "byte by byte");
            for cut in 1..input.len() {
                assert_eq!(feed(input, &[cut], own_buffer, limits), whole, "split at {cut}");
            }
        }
        whole
    }

    fn text(text: &str) -> Seen {
        Seen::Text(text.into())
    }

    // [6455-5.4-2] [6455-5.4-4] [6455-5.4-5] [6455-5.6-1] [6455-6.2-1] [6455-6.2-2] [6455-6.2-3]
    // [6455-6.2-4] [6455-6.2-5]
    #[test]
    fn messages_arrive_however_they_are_fragmented_and_split() {
        let rows: &[(Vec<u8>, Vec<Seen>)] = &[
            // RFC 6455 §5.7: a single-frame masked text message.
            (b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec(), vec![text("Hello")]),
            (frames(&[(0x01, b"Hel"), (0x80, b"lo")]), vec![text("Hello")]),
            (frames(&[(0x81, b"")]), vec![text("")]),
            (frames(&[(0x82, b"")]), vec![Seen::Binary(vec![])]),
            (frames(&[(0x01, b""), (0x00, b""), (0x80, b"")]), vec![text("")]),
            (
                frames(&[
                    (0x01, b"a"),
                    (0x89, b"p"),
                    (0x00, b"b"),
                    (0x8a, b""),
                    (0x80, b"c"),
                    (0x81, b"d"),
                ]),
                vec![Seen::Ping(b"p".to_vec()), Seen::Pong(vec![]), text("abc"), text("d")],
            ),
            (
                frames(&[(0x01, b"\xce"), (0x00, b"\xba\xe1"), (0x80, b"\xbd\xb9")]),
                vec![text("κ\u{1f79}")],
            ),
            (frames(&[(0x82, &[7; 126])]), vec![Seen::Binary(vec![7; 126])]),
            (frames(&[(0x88, b"")]), vec![Seen::Close(None, String::new())]),
            (frames(&[(0x88, b"\x03\xe8bye")]), vec![Seen::Close(Some(1000), "bye".into())]),
        ];
        for (input, expected) in rows {
            assert_eq!(&every_way(input, Limits::default()), expected);
        }
    }

    #[test]
    fn the_three_forms_of_length_rfc_6455_section_5_2() {
        for len in [125, 126, 65_535, 65_536] {
            let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let input = frames(&[(0x82, &payload)]);
            for own_buffer in [false, true] {
                for cuts in [vec![], vec![1], vec![7], vec![13], vec![len / 2], vec![len]] {
                    let seen = feed(&input, &cuts, own_buffer, Limits::default());
                    assert_eq!(seen, [Seen::Binary(payload.clone())]);
                }
            }
        }
    }

    #[test]
    fn a_long_text_is_the_same_however_it_arrives_and_its_first_wrong_byte_is_found() {
        let text = "naïve 水🦀".repeat(3000);
        let input = frames(&[(0x81, text.as_bytes())]);
        let cuts = [20, 21, 22, 23, 24, 5_000, 20_001, 20_002, 20_003, 40_000, input.len() - 1];
        for own_buffer in [false, true] {
            let feed = |input: &[u8]| feed(input, &cuts, own_buffer, Limits::default());
            assert_eq!(feed(&input), [Seen::Text(text.clone())]);
            for wrong in [30, 8_300, 20_002, 30_000] {
                let mut input = input.clone();
                input[wrong] = 0xff ^ KEY[(wrong - 8) % 4];
                assert_eq!(feed(&input), [Seen::Fails(Error::InvalidUtf8)]);
            }
        }
    }

    // [6455-5.1-1] [6455-5.2-2] [6455-5.4-3] [6455-5.4-6] [6455-5.5.1-1] [6455-8.1-1] [6455-10.7-1]
    #[test]
    fn every_broken_rule_is_told_apart() {
        let rows: &[(Vec<u8>, Error)] = &[
            (b"\x81\x05Hello".to_vec(), Error::NotMasked),
            (frames(&[(0xc1, b"x")]), Error::ReservedBits),
            (frames(&[(0x80, b"x")]), Error::NothingToContinue),
            (frames(&[(0x01, b"x"), (0x81, b"y")]), Error::MessageUnfinished),
            (frames(&[(0x88, b"\x03")]), Error::CloseTooShort),
            (frames(&[(0x88, b"\x03\xed")]), Error::CloseCode),
            (frames(&[(0x88, b"\x03\xe8\xff")]), Error::InvalidUtf8),
            (frames(&[(0x81, b"\xff")]), Error::InvalidUtf8),
            (frames(&[(0x01, b"\xce"), (0x80, b"")]), Error::InvalidUtf8),
            (frames(&[(0x81, b"ok\xce")]), Error::InvalidUtf8),
        ];
        for (input, error) in rows {
            assert_eq!(every_way(input, Limits::default()), [Seen::Fails(*error)]);
        }
    }

    #[test]
    fn bad_utf_8_is_refused_inside_a_frame_that_is_not_finished() {
        // A frame that announces 1,000 bytes; the sixth of them cannot be.
        let mut input = frames(&[(0x81, &[b'x'; 1000])]);
        input[8 + 5] = 0xff ^ KEY[5 % 4];
        let seen = feed(&input[..8 + 6], &[8 + 3], true, Limits::default());
        assert_eq!(seen, [Seen::Fails(Error::InvalidUtf8)]);
    }

    // [6455-10.4-1] [6455-10.4-2]
    #[test]
    fn the_limits_hold_exactly() {
        let limits = Limits { max_message: 10, max_fragments: 3 };
        assert_eq!(every_way(&frames(&[(0x82, &[1; 10])]), limits), [Seen::Binary(vec![1; 10])]);
        let over = [Seen::Fails(Error::MessageTooBig)];
        assert_eq!(every_way(&frames(&[(0x82, &[1; 11])]), limits), over);
        let two = frames(&[(0x02, &[1; 6]), (0x80, &[1; 5])]);
        assert_eq!(every_way(&two, limits), over);
        let three = frames(&[(0x02, b"a"), (0x00, b"b"), (0x80, b"c")]);
        assert_eq!(every_way(&three, limits), [Seen::Binary(b"abc".to_vec())]);
        let four = frames(&[(0x02, b"a"), (0x00, b"b"), (0x00, b"c"), (0x80, b"d")]);
        assert_eq!(every_way(&four, limits), [Seen::Fails(Error::TooManyFragments)]);
    }

    #[test]
    fn an_announced_length_costs_nothing() {
        let mut receiver = Receiver::default();
        let limits = Limits { max_message: usize::MAX, ..Limits::default() };
        let mut input = b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04data".to_vec();
        let mut pool = Pool::default();
        let (used, incoming) = receiver.next(&mut input, limits, &mut pool).unwrap();
        assert_eq!((used, incoming), (input.len(), Incoming::NeedData));
        assert!(receiver.bytes_held() < 1024);
        assert!(receiver.read_target(&mut pool).is_none());
        // With some of it there it may take as much again, or one piece.
        receiver.next(&mut [7; 5000], limits, &mut pool).unwrap();
        let target = receiver.read_target(&mut pool).unwrap();
        assert!(target.memory.len() <= 68 * 1024 && !target.ends_frame);
        assert!(receiver.bytes_held() <= 5004 + 68 * 1024);
        let refused = Receiver::default().next(&mut input, Limits::default(), &mut pool);
        assert_eq!(refused, Err(Error::MessageTooBig));
    }
}
