//! Compressed messages (RFC 7692): one is made, the echoes are checked.

use oneport::Deflate;
use oneport::bytes::gather::Gather;
use oneport::ws::Error;
use oneport::ws::deflate::{Deflater, Engines, Inflater};
use oneport::ws::extension::{Agreed, Direction};

use super::fault::Fault;

/// How the one message is compressed. The text repeats itself at once, so the smallest window
/// that zlib can do is enough, and nearly every server takes it.
const OURS: Direction = Direction { takeover: false, window_bits: 9 };
/// How the server may compress: the load offers no takeover, and a window of any size is within
/// this one.
const THEIRS: Direction = Direction { takeover: false, window_bits: 15 };

/// The payload compressed, unless it is short or does not shrink: then it is sent as it is.
pub(super) fn pack(payload: &[u8], deflate: Deflate) -> Option<Vec<u8>> {
    let mut packed = Vec::new();
    let mut deflater = Deflater::new(OURS, deflate);
    let length = deflater.deflate(payload, &mut Engines::default(), &mut packed)?;
    packed.truncate(length);
    Some(packed)
}

/// May it be sent to a server that agreed to this?
pub(super) fn takes(agreed: Agreed) -> bool {
    agreed.client.window_bits >= OURS.window_bits
}

/// What one thread needs to check the compressed echoes of all its connections. Servers compress
/// the same message to the same bytes, mostly: those are inflated once.
pub(super) struct Unpacker {
    inflater: Inflater,
    engines: Engines,
    /// Bytes that were found to be right.
    known: Vec<u8>,
}

impl Unpacker {
    pub(super) fn new() -> Self {
        Self { inflater: Inflater::new(THEIRS), engines: Engines::default(), known: Vec::new() }
    }

    /// What is wrong with this echo of `expected`, which is the same in every call.
    pub(super) fn check(&mut self, packed: &[u8], expected: &[u8]) -> Option<Fault> {
        if !self.known.is_empty() && packed == self.known {
            return None;
        }
        let mut plain = Gather::default();
        let limit = expected.len();
        match self.inflater.inflate(packed, limit, &mut self.engines, &mut plain, &mut |_| true) {
            Err(Error::MessageTooBig) => return Some(Fault::Length),
            Err(error) => return Some(Fault::NotWebSocket(error)),
            Ok(_) => {}
        }
        if plain.len() != expected.len() {
            return Some(Fault::Length);
        }
        if plain.filled() != expected {
            return Some(Fault::Content);
        }
        self.known.clear();
        self.known.extend_from_slice(packed);
        None
    }
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacker").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn packed(plain: &[u8]) -> Vec<u8> {
        pack(plain, Deflate::default()).expect("it shrinks")
    }

    #[test]
    fn what_is_wrong_is_found_whatever_was_right_before() {
        let (right, other, long) = (vec![b'a'; 1000], vec![b'b'; 1000], vec![b'a'; 1001]);
        let mut unpacker = Unpacker::new();
        for _ in 0..2 {
            assert_eq!(unpacker.check(&packed(&right), &right), None);
            assert_eq!(unpacker.check(&packed(&other), &right), Some(Fault::Content));
            assert_eq!(unpacker.check(&packed(&long), &right), Some(Fault::Length));
            assert_eq!(unpacker.check(b"", &right), Some(Fault::Length));
            let broken = unpacker.check(b"\xff\xff", &right);
            assert_eq!(broken, Some(Fault::NotWebSocket(Error::InvalidDeflate)));
        }
    }
}
