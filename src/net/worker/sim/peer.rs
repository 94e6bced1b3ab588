//! The peers of the simulation: each has a kind, which says what it sends, and takes what it is
//! sent as its kind does.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use super::{Pipe, Random};
use crate::ws::frame::{self, Header, Opcode};
use crate::ws::mask;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const HANDSHAKE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// What a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Sends requests, whole or in pieces, several at once.
    Requests,
    /// Sends requests without pause.
    RequestFlood,
    /// Sends messages and is sent them back.
    Echo,
    /// Sends messages without pause.
    MessageFlood,
    /// Sends short messages that inflate to much, without pause.
    #[cfg(feature = "deflate")]
    Bombs,
    /// Joins and leaves groups and publishes.
    Member,
    /// Makes the handler pause, sends on, and leaves.
    Paused,
    /// Says little or nothing.
    Silent,
    /// Sends a body slowly, or none of it.
    Upload,
    /// Asks for timers that are due at once.
    Ticks,
    /// Asks for an answer that comes later.
    Later,
    /// Breaks rules.
    Rude,
}

impl Kind {
    pub(super) fn any(random: &mut Random) -> Self {
        // The heavy kinds are rare.
        match random.below(80) {
            0..=17 => Kind::Requests,
            18..=34 => Kind::Echo,
            35..=48 => Kind::Member,
            49..=57 => Kind::Paused,
            58 => Kind::Silent,
            59..=64 => Kind::Upload,
            65..=68 => Kind::Ticks,
            69..=73 => Kind::Later,
            74..=77 => Kind::Rude,
            78 => Kind::RequestFlood,
            #[cfg(feature = "deflate")]
            _ if random.below(8) == 0 => Kind::Bombs,
            _ => Kind::MessageFlood,
        }
    }

    fn is_websocket(self) -> bool {
        let websocket =
            matches!(self, Kind::Echo | Kind::MessageFlood | Kind::Member | Kind::Paused);
        #[cfg(feature = "deflate")]
        let websocket = websocket || self == Kind::Bombs;
        websocket
    }
}

pub(super) struct Peer {
    pub(super) kind: Kind,
    pub(super) pipe: Rc<RefCell<Pipe>>,
    begun: bool,
    /// It takes everything at once.
    eager: bool,
    /// When it was first seen to have left: its FIN is sent, and it takes nothing.
    left: Option<Duration>,
    /// Numbers of the last publication seen, by group and publisher.
    seen: HashMap<(String, String), u64>,
    /// How much of what it was sent has been read.
    read: usize,
    sent: u64,
    echoed: u64,
}

pub(super) fn message(text: &str) -> Vec<u8> {
    frame(
        Header {
            fin: true,
            rsv1: false,
            opcode: Opcode::Text,
            mask: Some([1, 2, 3, 4]),
            len: text.len() as u64,
        },
        text.as_bytes(),
    )
}

fn frame(header: Header, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode_header(&mut out, header);
    let at = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = header.mask {
        mask::apply(&mut out[at..], key);
    }
    out
}

/// A compressed message of so many zeros.
#[cfg(feature = "deflate")]
fn bomb(zeros: usize) -> Vec<u8> {
    use crate::ws::deflate::{Deflater, Engines};
    use crate::ws::extension::{Deflate, Direction};
    let mut packed = Vec::new();
    let direction = Direction { takeover: false, window_bits: 15 };
    let mut deflater = Deflater::new(direction, Deflate::default());
    let length = deflater.deflate(&vec![0; zeros], &mut Engines::default(), &mut packed).unwrap();
    let (opcode, mask) = (Opcode::Binary, Some([5, 6, 7, 8]));
    frame(Header { fin: true, rsv1: true, opcode, mask, len: length as u64 }, &packed[..length])
}

impl Peer {
    pub(super) fn new(kind: Kind, pipe: Rc<RefCell<Pipe>>, eager: bool) -> Self {
        Self {
            kind,
            pipe,
            begun: false,
            eager,
            left: None,
            seen: HashMap::new(),
            read: 0,
            sent: 0,
            echoed: 0,
        }
    }

    fn begin(&mut self) {
        self.begun = true;
        let mut pipe = self.pipe.borrow_mut();
        if self.kind.is_websocket() {
            let handshake = String::from_utf8_lossy(HANDSHAKE);
            #[cfg(feature = "deflate")]
            let handshake = match self.kind {
                Kind::Bombs => handshake.replace(
                    "Upgrade: w",
                    "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n\
                     Upgrade: w",
                ),
                _ => handshake.into_owned(),
            };
            pipe.send(handshake.as_bytes());
        }
        match self.kind {
            Kind::Ticks => pipe.send(b"GET /ticks HTTP/1.1\r\nHost: h\r\n\r\n"),
            Kind::Later => pipe.send(b"GET /later HTTP/1.1\r\nHost: h\r\n\r\n"),
            Kind::Upload => {
                pipe.send(b"POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
            }
            Kind::RequestFlood => pipe.flood(GET.repeat(100)),
            Kind::MessageFlood => pipe.flood(message("silent").repeat(100)),
            #[cfg(feature = "deflate")]
            Kind::Bombs => {
                static BOMB: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
                pipe.flood(BOMB.get_or_init(|| bomb(3 << 20)).clone());
            }
            Kind::Paused => pipe.send(&message("pause")),
            _ => {}
        }
    }

    /// Opens a WebSocket and sends these messages.
    pub(super) fn opens(&mut self, messages: &[&str]) {
        self.begun = true;
        let mut pipe = self.pipe.borrow_mut();
        pipe.send(HANDSHAKE);
        for text in messages {
            pipe.send(&message(text));
        }
    }

    /// Does one random thing, or nothing.
    pub(super) fn acts(&mut self, random: &mut Random) {
        if !self.begun {
            return self.begin();
        }
        self.takes(random);
        let mut pipe = self.pipe.borrow_mut();
        if pipe.fin || pipe.reset || pipe.closed {
            return;
        }
        match random.below(60) {
            0 => return pipe.fin(),
            1 => return pipe.reset(),
            2..=29 => return,
            _ => {}
        }
        match self.kind {
            Kind::Requests => {
                let n = 1 + random.below(5);
                pipe.send(&GET.repeat(n)[..]);
            }
            Kind::Echo if random.below(8) == 0 => pipe.send(&message("close")),
            Kind::Echo => {
                self.sent += 1;
                let text = format!("echo {} {}", self.sent, "x".repeat(random.below(300)));
                pipe.send(&message(&text));
            }
            Kind::Member => {
                let group = ["a", "b", "c"][random.below(3)];
                let word = ["join", "leave", "publish", "publish", "publish"][random.below(5)];
                for _ in 0..1 + random.below(4) {
                    pipe.send(&message(&format!("{word} {group}")));
                }
            }
            Kind::Paused => match random.below(4) {
                0 => pipe.send(&message("echo on")),
                1 => pipe.fin(),
                _ => {}
            },
            Kind::Upload => pipe.send(&vec![b'x'; random.below(2000)]),
            Kind::Silent if random.below(10) == 0 => pipe.send(b"G"),
            Kind::Rude => {
                let rude: &[u8] = [
                    b"\x00\xff\x00".as_slice(),
                    b"GET / HTTP/1.1\r\n\r\n",
                    b"GET /panic HTTP/1.1\r\nHost: h\r\n\r\n",
                    b"GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n",
                    b"GET /none HTTP/1.1\r\nHost: h\r\n\r\n",
                ][random.below(5)];
                pipe.send(rude);
            }
            _ => {}
        }
    }

    /// At the end it only takes what it is sent.
    pub(super) fn goes_on(&mut self, random: &mut Random) {
        self.takes(random);
    }

    fn takes(&mut self, random: &mut Random) {
        if !self.eager && random.below(3) == 0 {
            let more = [10, 1000, 100_000][random.below(3)];
            self.pipe.borrow_mut().take(more);
        }
    }

    /// Since when it has left, if it has: nothing will come of it, and nothing is owed to it but
    /// what it takes.
    pub(super) fn left_at(&mut self, now: Duration) -> Option<Duration> {
        let gone = {
            let pipe = self.pipe.borrow();
            pipe.reset || (pipe.fin && self.eager && self.kind == Kind::Paused)
        };
        if gone && self.left.is_none() {
            self.left = Some(now);
        }
        self.left
    }

    /// Looks at what it was sent.
    pub(super) fn check(&mut self) {
        if !self.kind.is_websocket() {
            return;
        }
        let pipe = self.pipe.borrow();
        let bytes = &pipe.from_us;
        if self.read == 0 {
            let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return };
            if !bytes.starts_with(b"HTTP/1.1 101") {
                return;
            }
            self.read = end + 4;
        }
        while let Ok(Some((header, at))) = frame::parse(&bytes[self.read..]) {
            let end = self.read + at + header.len as usize;
            let Some(payload) = bytes.get(self.read + at..end) else { break };
            self.read = end;
            let Ok(text) = std::str::from_utf8(payload) else { continue };
            let mut words = text.split(' ');
            match (words.next(), words.next(), words.next(), words.next()) {
                (Some("echo"), Some(number), ..) if self.kind == Kind::Echo => {
                    self.echoed += 1;
                    assert_eq!(number, self.echoed.to_string(), "echoes come in order");
                }
                (Some("from"), Some(group), Some(publisher), Some(number)) => {
                    let number = number.parse().unwrap();
                    let last = self.seen.entry((group.into(), publisher.into())).or_default();
                    assert!(*last < number, "{publisher} in {group}: {number} after {last}");
                    *last = number;
                }
                _ => {}
            }
        }
    }
}
