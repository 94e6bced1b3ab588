//! A client's connection and a server's, joined back to back in memory.

use std::sync::{Arc, Mutex};

use oneport::ws::extension::{self, Agreed};
use oneport::ws::frame;
use oneport::ws::mask::{self, Keys};
use oneport::{Config, Deflate, Event, Message, handler};
use proptest::prelude::*;

use crate::rig::{Rig, upgrade};

/// Keys that a test can say again.
struct Counted(u32);

impl Keys for Counted {
    fn next_key(&mut self) -> [u8; 4] {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0.to_be_bytes()
    }
}

type Owned = (bool, Vec<u8>);
type Got = Arc<Mutex<Vec<Owned>>>;

fn own(message: Message<'_>) -> Owned {
    (message.as_text().is_some(), message.as_bytes().to_vec())
}

/// An end that notes what it gets; a server's accepts.
fn end(got: &Got, deflate: Option<Deflate>) -> Rig<impl oneport::App + use<>> {
    let got = Arc::clone(got);
    let mut config = Config::default();
    config.deflate = deflate;
    config.high_water = usize::MAX;
    config.hard_limit = usize::MAX;
    let app = oneport::app(move |_| {
        let got = Arc::clone(&got);
        Some(handler(move |event, out| {
            match event {
                Event::WebSocketConnect => {
                    out.accept()?;
                }
                Event::WebSocketReceive(message) => got.lock().unwrap().push(own(message)),
                _ => {}
            }
            Ok(())
        }))
    });
    Rig::with_config(app, config)
}

fn deflate() -> impl Strategy<Value = Deflate> {
    (1..=9u8, 0..300usize, any::<bool>(), 9..=15u8).prop_map(
        |(level, threshold, takeover, bits)| {
            Deflate::default()
                .level(level)
                .threshold(threshold)
                .takeover(takeover)
                .window_bits(bits)
        },
    )
}

/// Text that repeats itself, any text, or noise.
fn message() -> impl Strategy<Value = Owned> {
    let again =
        ("[a-c ]{1,12}", 1..4000usize).prop_map(|(word, n)| (true, word.repeat(n).into_bytes()));
    let text = ".{0,200}".prop_map(|text: String| (true, text.into_bytes()));
    let noise = proptest::collection::vec(any::<u8>(), 0..5000).prop_map(|bytes| (false, bytes));
    prop_oneof![2 => again, 2 => text, 1 => noise]
}

/// What happens: a message from the client or from the server, or so many seconds pass.
fn step() -> impl Strategy<Value = (u8, Owned)> {
    (0..5u8, message())
}

/// Cuts frames into fragments: each data frame in up to three, at places that `cuts` says.
/// Compressed messages keep RSV1 on their first (RFC 7692 §6.1).
fn fragment(bytes: &[u8], cuts: &mut impl Iterator<Item = usize>) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let (header, head) = frame::parse(&bytes[at..]).expect("it is valid").expect("and whole");
        let end = at + head + header.len as usize;
        let mut payload = bytes[at + head..end].to_vec();
        if header.opcode.is_control() {
            out.extend_from_slice(&bytes[at..end]);
            at = end;
            continue;
        }
        if let Some(key) = header.mask {
            mask::apply(&mut payload, key);
        }
        let len = payload.len();
        let mut places: Vec<usize> = cuts.take(2).map(|cut| cut % (len + 1)).collect();
        places.sort_unstable();
        let mut from = 0;
        for (n, &to) in places.iter().chain([&len]).enumerate() {
            let opcode = if n == 0 { header.opcode } else { frame::Opcode::Continuation };
            let piece = frame::Header {
                fin: n == places.len(),
                rsv1: header.rsv1 && n == 0,
                opcode,
                mask: header.mask.map(|key| [key[3], key[0], key[1], n as u8]),
                len: (to - from) as u64,
            };
            oneport::ws::sender::encode_frame(&mut out, piece, &payload[from..to]);
            from = to;
        }
        at = end;
    }
    out
}

/// Carries what one end sent to the other, in pieces.
fn carry<A: oneport::App, B: oneport::App>(
    from: &mut Rig<A>,
    to: &mut Rig<B>,
    numbers: &mut impl Iterator<Item = usize>,
) {
    let sent = std::mem::take(&mut from.peer.got);
    let bytes = fragment(&sent, numbers);
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let most = numbers.next().unwrap_or(usize::MAX) % 3000 + 1;
        let (piece, after) = rest.split_at(most.min(rest.len()));
        assert_eq!(to.feed(piece), piece.len());
        rest = after;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_one_end_sends_the_other_receives(
        ours in proptest::option::weighted(0.8, deflate()),
        theirs in proptest::option::weighted(0.8, deflate()),
        steps in proptest::collection::vec(step(), 1..12),
        numbers in proptest::collection::vec(any::<usize>(), 1..60),
    ) {
        let (at_server, at_client) = (Got::default(), Got::default());
        let mut server = end(&at_server, ours);
        let mut client = end(&at_client, None);

        let mut offer = Vec::new();
        if let Some(theirs) = theirs {
            extension::write_offer(&mut offer, theirs);
        }
        let request = String::from_utf8(upgrade("/")).unwrap();
        let field = format!(
            "\r\nsec-websocket-extensions: {}\r\n\r\n",
            String::from_utf8(offer).unwrap()
        );
        let request = if theirs.is_some() { request.replace("\r\n\r\n", &field) } else { request };
        let answer = server.answer(request.as_bytes());
        let value = answer.lines().find_map(|line| line.strip_prefix("sec-websocket-extensions: "));
        let agreed: Option<Agreed> =
            extension::read_answer(value.map(str::as_bytes), theirs).expect("it keeps to the offer");
        prop_assert_eq!(agreed.is_some(), ours.is_some() && theirs.is_some());
        client.become_client(Box::new(Counted(7)), agreed.zip(theirs));

        let mut numbers = numbers.iter().copied().cycle();
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        for (what, (is_text, bytes)) in &steps {
            let message = if *is_text {
                Message::Text(std::str::from_utf8(bytes).unwrap())
            } else {
                Message::Binary(bytes)
            };
            match what {
                0 => {
                    // Compressors of their own are given back meanwhile.
                    let pause = std::time::Duration::from_secs(11);
                    server.advance(pause);
                    client.advance(pause);
                }
                1 | 2 => {
                    client.send(message);
                    to_server.push((*is_text, bytes.clone()));
                }
                _ => {
                    server.send(message);
                    to_client.push((*is_text, bytes.clone()));
                }
            }
            // Pings are answered on the way.
            for _ in 0..2 {
                carry(&mut client, &mut server, &mut numbers);
                carry(&mut server, &mut client, &mut numbers);
            }
        }
        prop_assert!(*at_server.lock().unwrap() == to_server);
        prop_assert!(*at_client.lock().unwrap() == to_client);
        prop_assert!(server.is_open() && client.is_open());
    }
}
