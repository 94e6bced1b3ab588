//! Compressed messages beside bare flate2, in one piece and through frames.
#![allow(dead_code, unreachable_pub)] // the fuzz target uses a part of it

use flate2::{Decompress, FlushDecompress, Status};
use oneport::bytes::gather::Gather;
use oneport::bytes::pool::Pool;
use oneport::ws::Error;
use oneport::ws::deflate::{Engines, Inflater};
use oneport::ws::extension::{self, Agreed};
use oneport::ws::frame::{Header, Opcode};
use oneport::ws::receiver::{Incoming, Limits, Receiver};
use oneport::ws::sender;

const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

fn agreed(takeover: bool) -> Agreed {
    let ours = oneport::Deflate::default().takeover(takeover);
    let offer = b"permessage-deflate".as_slice();
    extension::accept([offer], ours).expect("it is well formed").expect("it can be kept")
}

/// One who remembers `history`, as after a message that had it in a stored block (RFC 1951
/// §3.2.4).
fn inflater(history: &[u8], engines: &mut Engines) -> Inflater {
    let mut inflater = Inflater::new(agreed(!history.is_empty()).client);
    if !history.is_empty() {
        let len = u16::try_from(history.len()).expect("it is short");
        let lengths = [len.to_le_bytes(), (!len).to_le_bytes()].concat();
        let packed = [&[0][..], &lengths, history, &[0]].concat();
        let mut plain = Gather::default();
        inflater
            .inflate(&packed, history.len(), engines, &mut plain, &mut |_| true)
            .expect("it is DEFLATE");
        assert_eq!(plain.filled(), history);
    }
    inflater
}

/// What becomes of a payload; with an error also what was inflated before it.
type Made = (Result<(), Error>, Vec<u8>);

fn whole(payload: &[u8], history: &[u8], limit: usize, engines: &mut Engines) -> Made {
    let mut plain = Gather::default();
    let mut inflater = inflater(history, engines);
    // However often it stops in between, the same comes of it.
    let mut pieces = 0u32;
    let outcome = loop {
        let mut goes_on = |_| {
            pieces += 1;
            !pieces.is_multiple_of(2)
        };
        match inflater.inflate(payload, limit, engines, &mut plain, &mut goes_on) {
            Ok(true) => break Ok(()),
            Ok(false) => assert!(plain.is_empty() && inflater.has_stopped()),
            Err(error) => break Err(error),
        }
    };
    match outcome {
        Ok(()) => assert!(plain.len() <= limit),
        Err(Error::MessageTooBig) => assert_eq!(plain.len(), limit + 1),
        Err(_) => assert!(plain.len() <= limit),
    }
    assert!(plain.bytes_held() <= 2 * limit + (1 << 20), "memory stays within the limit");
    assert!(inflater.bytes_held() <= 1 << 15);
    (outcome, plain.filled().to_vec())
}

/// The same payload as two frames whose bytes come in two pieces.
fn through_frames(
    payload: &[u8],
    history: &[u8],
    limit: usize,
    cuts: (usize, usize),
    engines: &mut Engines,
) -> Made {
    let mut bytes = Vec::new();
    let (front, back) = payload.split_at(cuts.0 % (payload.len() + 1));
    for (part, first) in [(front, true), (back, false)] {
        let opcode = if first { Opcode::Binary } else { Opcode::Continuation };
        let (mask, len) = (Some([9, 8, 7, 6]), part.len() as u64);
        let header = Header { fin: !first, rsv1: first, opcode, mask, len };
        sender::encode_frame(&mut bytes, header, part);
    }
    let mut receiver = Receiver::of_server(Some(Box::new(inflater(history, engines))));
    let limits = Limits { max_message: limit, ..Limits::default() };
    let end = cuts.1 % (bytes.len() + 1);
    let (mut waiting, mut pool) = (Vec::new(), Pool::default());
    for piece in [&bytes[..end], &bytes[end..]] {
        waiting.extend_from_slice(piece);
        loop {
            let (used, incoming) = match receiver.next(&mut waiting, limits, &mut pool) {
                Ok(next) => next,
                Err(error) => return (Err(error), Vec::new()),
            };
            if let Incoming::Message(arrived) = incoming {
                assert!(arrived.is_compressed());
                let mut plain = Gather::default();
                let mut input = &waiting[..used];
                let mut arrived = arrived;
                let mut stop = true;
                let outcome = loop {
                    // It stops once, behind the first piece; the input is gone then.
                    let mut goes_on = |_| !std::mem::take(&mut stop);
                    let (plain, engines) = (&mut plain, &mut *engines);
                    match receiver.inflate(input, &arrived, limits, engines, plain, &mut goes_on) {
                        Ok(Some(message)) => {
                            assert!(message.as_text().is_none());
                            break Ok(());
                        }
                        Ok(None) => arrived = receiver.stopped().expect("it stopped"),
                        Err(error) => break Err(error),
                    }
                    input = &[];
                };
                return (outcome, plain.filled().to_vec());
            }
            waiting.drain(..used);
            if matches!(incoming, Incoming::NeedData) {
                break;
            }
        }
    }
    panic!("the message is complete");
}

/// What bare flate2 makes of it, if no block ends the stream.
fn bare(payload: &[u8], history: &[u8], limit: usize) -> Option<Result<Vec<u8>, ()>> {
    if payload.is_empty() {
        return Some(Ok(Vec::new()));
    }
    let mut engine = Decompress::new_with_window_bits(false, 15);
    if !history.is_empty() {
        engine.set_dictionary(history).expect("a raw stream takes a dictionary");
    }
    let packed = [payload, &TAIL].concat();
    let mut plain = vec![0; limit + 64];
    // What the payload says without its tail.
    let mut alone = Decompress::new_with_window_bits(false, 15);
    if !history.is_empty() {
        alone.set_dictionary(history).expect("a raw stream takes a dictionary");
    }
    let _ = alone.decompress(payload, &mut plain, FlushDecompress::Sync);
    match engine.decompress(&packed, &mut plain, FlushDecompress::Sync) {
        Ok(Status::StreamEnd) => None,
        Ok(_) if engine.total_out() as usize == plain.len() => None,
        Ok(_) => {
            plain.truncate(engine.total_out() as usize);
            let is_whole = engine.total_out() == alone.total_out()
                && ends_with_a_block(&packed, history, &plain);
            Some(if is_whole { Ok(plain) } else { Err(()) })
        }
        Err(_) => Some(Err(())),
    }
}

/// Is there the end of a block at the end? Then a last one may follow, which adds nothing.
fn ends_with_a_block(packed: &[u8], history: &[u8], plain: &[u8]) -> bool {
    let mut engine = Decompress::new_with_window_bits(false, 15);
    if !history.is_empty() {
        engine.set_dictionary(history).expect("a raw stream takes a dictionary");
    }
    let longer = [packed, &[0x01, 0x00, 0x00, 0xff, 0xff]].concat();
    let mut again = vec![0; plain.len() + 64];
    let status = engine.decompress(&longer, &mut again, FlushDecompress::Finish);
    matches!(status, Ok(Status::StreamEnd))
        && engine.total_in() as usize == longer.len()
        && engine.total_out() as usize == plain.len()
}

/// Any bytes as a compressed payload: the same through frames, the limit kept, and what flate2
/// makes of them. Tells whether it was a message.
pub fn check(payload: &[u8], history: &[u8], limit: usize, cuts: (usize, usize)) -> bool {
    let mut engines = Engines::default();
    let first = whole(payload, history, limit, &mut engines);
    // With engines that were used before: an error leaves nothing behind.
    let again = whole(payload, history, limit, &mut engines);
    assert_eq!(again, first);
    let framed = through_frames(payload, history, limit, cuts, &mut engines);
    // A payload that is longer than anything that fits is refused before it is inflated.
    if payload.len() <= limit {
        assert_eq!(framed, first);
    } else {
        assert!(framed == first || framed.0 == Err(Error::MessageTooBig));
    }
    match (bare(payload, history, limit), &first) {
        (Some(Ok(plain)), (Ok(()), made)) => assert_eq!(&plain, made),
        (Some(Ok(plain)), (Err(Error::MessageTooBig), _)) => assert!(plain.len() > limit),
        (Some(Ok(plain)), made) => panic!("flate2 made {plain:x?} of it, and we {made:x?}"),
        // What is too big may be refused before what is wrong with it is seen.
        (Some(Err(())), made) => assert!(made.0.is_err(), "flate2 refuses it"),
        (None, _) => {}
    }
    first.0.is_ok()
}
