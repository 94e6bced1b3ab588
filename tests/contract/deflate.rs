//! permessage-deflate (RFC 7692) as a peer sees it, whose side is bare flate2.

use std::time::Duration;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use oneport::{App, Config, Deflate, Event, app, handler};

use crate::rig::{Rig, echo_app, frame, publication, upgrade};

const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The other end: compresses what it sends, inflates what it gets.
struct Peer {
    compress: Compress,
    decompress: Decompress,
    /// Does what it sends refer to earlier messages?
    sends_on: bool,
    /// Does what it gets?
    reads_on: bool,
}

impl Peer {
    fn new(send_bits: u8, read_bits: u8, sends_on: bool, reads_on: bool) -> Self {
        Self {
            // zlib cannot make 8; whoever is told 8 uses 9 with it.
            compress: Compress::new_with_window_bits(Compression::new(6), false, send_bits.max(9)),
            decompress: Decompress::new_with_window_bits(false, read_bits),
            sends_on,
            reads_on,
        }
    }

    fn plain() -> Self {
        Self::new(15, 15, false, false)
    }

    fn pack(&mut self, message: &[u8]) -> Vec<u8> {
        if !self.sends_on {
            self.compress.reset();
        }
        let mut packed = Vec::with_capacity(message.len() + message.len() / 1000 + 100);
        let before = self.compress.total_in();
        self.compress.compress_vec(message, &mut packed, FlushCompress::Sync).unwrap();
        assert_eq!(self.compress.total_in() - before, message.len() as u64);
        assert_eq!(packed.split_off(packed.len() - 4), TAIL);
        packed
    }

    /// Inflates in small pieces, so that whatever lies further back than the window is an error.
    fn unpack(&mut self, packed: &[u8]) -> Vec<u8> {
        if !self.reads_on {
            self.decompress.reset(false);
        }
        let packed = [packed, &TAIL].concat();
        let (mut at, mut plain, mut piece) = (0, Vec::new(), [0; 64]);
        loop {
            let (read, written) = (self.decompress.total_in(), self.decompress.total_out());
            let status = self
                .decompress
                .decompress(&packed[at..], &mut piece, FlushDecompress::Sync)
                .expect("it is DEFLATE, within the window");
            assert_ne!(status, Status::StreamEnd);
            at += (self.decompress.total_in() - read) as usize;
            let written = (self.decompress.total_out() - written) as usize;
            plain.extend_from_slice(&piece[..written]);
            if at == packed.len() && written < piece.len() {
                return plain;
            }
        }
    }
}

fn upgrade_with(extensions: &str) -> Vec<u8> {
    let request = String::from_utf8(upgrade("/")).unwrap();
    let field = format!("\r\nSec-WebSocket-Extensions: {extensions}\r\n\r\n");
    request.replace("\r\n\r\n", &field).into_bytes()
}

fn config(deflate: Deflate) -> Config {
    let mut config = Config::default();
    config.deflate = Some(deflate);
    // No pings between the messages.
    config.ping_interval = Duration::ZERO;
    config
}

/// An echo server that was offered this, and what it agreed to.
fn open(deflate: Deflate, offer: &str) -> (Rig<impl App + use<>>, Option<String>) {
    let mut rig = Rig::with_config(echo_app(), config(deflate));
    let answer = rig.answer(&upgrade_with(offer));
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    let agreed = answer.lines().find_map(|line| line.strip_prefix("sec-websocket-extensions: "));
    (rig, agreed.map(str::to_string))
}

/// The frame that the server sent: its first byte and payload.
fn sent<A: App>(rig: &mut Rig<A>) -> (u8, Vec<u8>) {
    let got = std::mem::take(&mut rig.peer.got);
    let (header, at) = oneport::ws::frame::parse(&got).unwrap().expect("a whole frame");
    assert_eq!(at + header.len as usize, got.len(), "one frame");
    (got[0], got[at..].to_vec())
}

/// The code of the Close that the server sent.
fn close_code<A: App>(rig: &mut Rig<A>) -> u16 {
    let (first, payload) = sent(rig);
    assert_eq!(first, 0x88, "a Close");
    u16::from_be_bytes([payload[0], payload[1]])
}

/// Sends a message and reads its echo; the lengths on the wire.
fn echo<A: App>(rig: &mut Rig<A>, peer: &mut Peer, message: &[u8]) -> (usize, usize) {
    let packed = peer.pack(message);
    rig.feed(&frame(0xc2, &packed));
    let (first, payload) = sent(rig);
    let back = match first {
        0xc2 => peer.unpack(&payload),
        0x82 => payload.clone(),
        other => panic!("{other:x}"),
    };
    assert!(back == message, "{} bytes came back otherwise", message.len());
    (packed.len(), payload.len())
}

/// Bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(len)
    .collect()
}

/// Text that repeats itself near and far.
fn text(len: usize) -> Vec<u8> {
    let words = (0u32..).flat_map(|i| format!("{} {} ", i % 61, i % 997).into_bytes());
    words.take(len).collect()
}

#[test]
fn windows_of_every_size_each_way() {
    for takeover in [false, true] {
        let ours = Deflate::default().takeover(takeover);
        for bits in 8..=15u8 {
            let offer = format!("permessage-deflate; server_max_window_bits={bits}");
            let (mut rig, agreed) = open(ours, &offer);
            let Some(agreed) = agreed else {
                assert_eq!(bits, 8, "only what zlib cannot do is declined");
                continue;
            };
            assert!(agreed.contains(&format!("server_max_window_bits={bits}")), "who asks is told");
            let mut peer = Peer::new(15, bits, takeover, takeover);
            // The noise comes again at a distance that only a larger window reaches.
            let far = [noise(1 << bits), text(500), noise(1 << bits), text(5000)].concat();
            for message in [&text(300), &text(60_000), &far, &text(60_000)] {
                echo(&mut rig, &mut peer, message);
            }

            let offer = format!("permessage-deflate; client_max_window_bits={bits}");
            let (mut rig, agreed) = open(ours, &offer);
            let agreed = agreed.expect("any window of a client can be read");
            assert_eq!(agreed.contains(&format!("client_max_window_bits={bits}")), bits < 15);
            let mut peer = Peer::new(bits, 15, takeover, takeover);
            for message in [&text(300), &text(60_000), &far, &text(60_000)] {
                echo(&mut rig, &mut peer, message);
            }
        }
    }
}

#[test]
fn takeover_in_each_direction() {
    for ours in [false, true] {
        for server_forgets in [false, true] {
            for client_forgets in [false, true] {
                let mut offer = "permessage-deflate".to_string();
                if server_forgets {
                    offer += "; server_no_context_takeover";
                }
                if client_forgets {
                    offer += "; client_no_context_takeover";
                }
                let (mut rig, agreed) = open(Deflate::default().takeover(ours), &offer);
                let agreed = agreed.unwrap();
                let sends_on = !agreed.contains("client_no_context_takeover");
                let reads_on = !agreed.contains("server_no_context_takeover");
                assert_eq!(sends_on, ours && !client_forgets, "{offer}: {agreed}");
                assert_eq!(reads_on, ours && !server_forgets, "{offer}: {agreed}");
                let mut peer = Peer::new(15, 15, sends_on, reads_on);
                let message = text(2000);
                let first = echo(&mut rig, &mut peer, &message);
                for _ in 0..5 {
                    let again = echo(&mut rig, &mut peer, &message);
                    assert_eq!(again.0 < first.0 / 4, sends_on);
                    assert_eq!(again.1 < first.1 / 4, reads_on, "{first:?} {again:?}");
                }
                // What is sent uncompressed is in nobody's window.
                rig.feed(&frame(0x82, &noise(1000)));
                assert_eq!(sent(&mut rig), (0x82, noise(1000)));
                echo(&mut rig, &mut peer, &message);
                let held = rig.conn().bytes_held();
                assert_eq!(held > 0, sends_on || reads_on, "{held}");
            }
        }
    }
}

#[test]
fn what_is_short_or_does_not_shrink_is_sent_plain() {
    let (mut rig, _) = open(Deflate::default().threshold(100), "permessage-deflate");
    let mut plain = |message: &[u8]| {
        rig.feed(&frame(0x82, message));
        let (first, payload) = sent(&mut rig);
        if first == 0x82 {
            assert_eq!(payload, message);
        }
        first == 0x82
    };
    assert!(plain(&[0; 99]));
    assert!(!plain(&[0; 100]));
    for len in [100, 1000, 70_000, 3 << 20] {
        assert!(plain(&noise(len)), "{len} bytes of noise");
        assert!(!plain(&text(1000)), "and what comes after them is compressed again");
    }
    assert!(plain(b""));
    let (mut rig, _) = open(Deflate::default().threshold(0), "permessage-deflate");
    rig.feed(&frame(0x81, b""));
    assert_eq!(sent(&mut rig), (0x81, Vec::new()));
}

#[test]
fn a_compressed_message_in_fragments_with_control_frames_between() {
    let message = text(10_000);
    let packed = Peer::plain().pack(&message);
    for step in [1, 7, packed.len() / 2, packed.len()] {
        let (mut rig, _) = open(Deflate::default(), "permessage-deflate");
        let pieces: Vec<&[u8]> = packed.chunks(step).collect();
        let mut pings = 0;
        for (n, piece) in pieces.iter().enumerate() {
            let first = if n == 0 { 0x41 } else { 0x00 };
            let fin = if n + 1 == pieces.len() { 0x80 } else { 0 };
            rig.feed(&frame(fin | first, piece));
            if fin == 0 && pings < 900 {
                pings += 1;
                rig.feed(&frame(0x89, b"between"));
                assert_eq!(sent(&mut rig), (0x8a, b"between".to_vec()));
            }
        }
        let (first, payload) = sent(&mut rig);
        assert_eq!(first, 0xc1);
        assert_eq!(Peer::plain().unpack(&payload), message);
        assert_eq!(rig.conn().bytes_held(), 0, "an idle connection owns no buffer");
    }
}

#[test]
fn an_empty_last_fragment_and_the_block_of_an_empty_message() {
    let (mut rig, _) = open(Deflate::default(), "permessage-deflate");
    let packed = Peer::plain().pack(b"Hello");
    rig.feed(&frame(0x41, &packed));
    rig.feed(&frame(0x80, b""));
    assert_eq!(sent(&mut rig), (0x81, b"Hello".to_vec()));
    // RFC 7692 §7.2.3.6.
    rig.feed(&frame(0xc1, b"\x00"));
    assert_eq!(sent(&mut rig), (0x81, Vec::new()));
}

#[test]
fn rsv1_where_it_means_nothing() {
    let packed = Peer::plain().pack(b"Hello");
    let rows: [&[(u8, &[u8])]; 6] = [
        &[(0x41, &packed), (0xc0, b"")],
        &[(0x01, b"Hel"), (0xc0, b"lo")],
        &[(0xc9, b"")],
        &[(0xca, b"")],
        &[(0xc8, b"\x03\xe8")],
        &[(0xa1, b"")],
    ];
    for frames in rows {
        let (mut rig, _) = open(Deflate::default(), "permessage-deflate");
        for (first, payload) in frames {
            rig.feed(&frame(*first, payload));
        }
        assert_eq!(close_code(&mut rig), 1002, "{frames:x?}");
    }
    // Without agreement it is a mistake anywhere.
    for (deflate, offer) in [(Some(Deflate::default()), "x-other"), (None, "permessage-deflate")] {
        let config = deflate.map_or_else(Config::default, config);
        let mut rig = Rig::with_config(echo_app(), config);
        assert!(!rig.answer(&upgrade_with(offer)).contains("sec-websocket-extensions"));
        rig.feed(&frame(0xc1, &packed));
        assert_eq!(close_code(&mut rig), 1002);
    }
}

#[test]
fn what_is_not_deflate_or_not_text_is_1007() {
    let mut peer = Peer::plain();
    let bad_text = peer.pack(&[&[b'x'; 1000][..], b"\xff", &[b'x'; 1000]].concat());
    let cut_text = peer.pack("wół".as_bytes().split_last().unwrap().1);
    // A reserved block type; a distance before the beginning; a stored block that is cut off.
    for payload in
        [&b"\x07"[..], b"\xf2\x00\x11\x00\x00", b"\x00\x05\x00\xfa\xffHel", &bad_text, &cut_text]
    {
        for split in [false, true] {
            let (mut rig, _) = open(Deflate::default(), "permessage-deflate");
            if split {
                let (front, back) = payload.split_at(payload.len() / 2);
                rig.feed(&frame(0x41, front));
                rig.feed(&frame(0x80, back));
            } else {
                rig.feed(&frame(0xc1, payload));
            }
            assert_eq!(close_code(&mut rig), 1007, "{payload:x?}");
            // The worker's engines serve the next connection.
            rig.connect();
            assert!(rig.answer(&upgrade_with("permessage-deflate")).contains("permessage-deflate"));
            echo(&mut rig, &mut Peer::plain(), &text(5000));
        }
    }
}

#[test]
fn a_bomb_is_1009_and_costs_the_limit() {
    const LIMIT: usize = 1 << 20;
    // 256 MiB of zeros.
    let mut compress = Compress::new(Compression::new(9), false);
    let (zeros, mut bomb) = (vec![0; 1 << 20], Vec::with_capacity(1 << 20));
    for _ in 0..256 {
        compress.compress_vec(&zeros, &mut bomb, FlushCompress::None).unwrap();
    }
    compress.compress_vec(&[], &mut bomb, FlushCompress::Sync).unwrap();
    assert_eq!(compress.total_in(), 256 << 20);
    assert!(bomb.len() < LIMIT / 2 && bomb.ends_with(&TAIL));
    bomb.truncate(bomb.len() - 4);
    let mut config = config(Deflate::default());
    config.max_message = LIMIT;
    let mut rig = Rig::with_config(echo_app(), config);
    rig.feed(&upgrade_with("permessage-deflate"));
    rig.peer.got.clear();
    rig.feed(&frame(0xc2, &bomb));
    assert_eq!(close_code(&mut rig), 1009);
    // What it was inflated into is no larger than the limit and a block.
    let held = rig.kit.deflate.take_plain().bytes_held();
    assert!(held <= 2 * LIMIT, "{held}");
    assert!(!rig.is_open() || rig.conn().bytes_held() <= LIMIT);
}

#[test]
fn a_message_of_exactly_the_limit() {
    const LIMIT: usize = 100_000;
    let mut config = config(Deflate::default());
    config.max_message = LIMIT;
    for message in [vec![0; LIMIT], text(LIMIT), noise(LIMIT)] {
        let mut rig = Rig::with_config(echo_app(), config.clone());
        rig.feed(&upgrade_with("permessage-deflate"));
        rig.peer.got.clear();
        // Noise is a little longer when it is compressed; that is not what the limit is about.
        echo(&mut rig, &mut Peer::plain(), &message);
        let over = Peer::plain().pack(&[&message[..], b"x"].concat());
        rig.feed(&frame(0xc2, &over));
        assert_eq!(close_code(&mut rig), 1009);
    }
}

#[test]
fn a_field_outside_the_grammar_is_400() {
    for field in ["permessage-deflate; =", "permessage-deflate;", "a b", "p; a=\"", "p; a=\"x y\""]
    {
        let mut rig = Rig::with_config(echo_app(), config(Deflate::default()));
        let answer = rig.answer(&upgrade_with(field));
        assert!(answer.starts_with("HTTP/1.1 400 "), "{field}: {answer}");
    }
}

#[test]
fn an_idle_connection_gives_its_compressor_back_and_stays_right() {
    let (mut rig, _) = open(Deflate::default().takeover(true), "permessage-deflate");
    let mut peer = Peer::new(15, 15, true, true);
    let message = text(1024);
    let first = echo(&mut rig, &mut peer, &message);
    assert!(echo(&mut rig, &mut peer, &message).1 < first.1 / 4);
    let busy = rig.conn().bytes_held();
    rig.advance(Duration::from_millis(9_900));
    assert!(rig.conn().bytes_held() >= busy);
    // Sending moves the deadline.
    echo(&mut rig, &mut peer, &message);
    rig.advance(Duration::from_millis(9_900));
    assert!(rig.conn().bytes_held() >= busy);
    rig.advance(Duration::from_millis(200));
    let idle = rig.conn().bytes_held();
    assert!(idle < busy - 100_000, "{busy} B, then {idle} B");
    assert!(idle <= 32 * 1024, "what the peer may refer to stays: {idle}");
    // The peer still refers to what it sent before; the server begins anew.
    let after = echo(&mut rig, &mut peer, &message);
    assert!(after.0 < first.0 / 4 && after.1 == first.1, "{first:?} {after:?}");
    assert!(echo(&mut rig, &mut peer, &message).1 < first.1 / 4);
    assert!(rig.conn().bytes_held() >= busy);
}

#[test]
fn a_publication_is_compressed_once_for_all_with_the_same_window() {
    let message = String::from_utf8(text(3000)).unwrap();
    let published = publication(&message);
    let (mut rig, _) = open(Deflate::default().takeover(true), "permessage-deflate");
    let mut compressions = 0;
    for n in 0..40 {
        let bits = if n % 2 == 0 { 15 } else { 10 };
        let forgets = if n % 4 < 2 { "; server_no_context_takeover" } else { "" };
        rig.connect();
        let offer = format!("permessage-deflate; server_max_window_bits={bits}{forgets}");
        rig.answer(&upgrade_with(&offer));
        let mut peer = Peer::new(15, bits, true, forgets.is_empty());
        // Before, between and after it the member says something of its own.
        for own in [true, false, true, true, false, false, true] {
            if own {
                let before = rig.kit.deflate.compressions();
                echo(&mut rig, &mut peer, message.as_bytes());
                compressions += rig.kit.deflate.compressions() - before;
            } else {
                rig.publish_to_it(&published);
                let (first, payload) = sent(&mut rig);
                assert_eq!(first, 0xc1);
                assert_eq!(peer.unpack(&payload), message.as_bytes());
            }
        }
        // Those who did not agree to compression get it plain.
        rig.connect();
        rig.answer(&upgrade("/"));
        rig.publish_to_it(&published);
        assert_eq!(sent(&mut rig), (0x81, message.clone().into_bytes()));
    }
    assert_eq!(compressions, 40 * 4);
    let for_publications = rig.kit.deflate.compressions() - compressions;
    assert_eq!(for_publications, 2, "once for each size of window, 120 times sent");
    // One that would not shrink is tried once.
    let plain =
        publication(&String::from_utf8(noise(200).iter().map(|b| b % 95 + 32).collect()).unwrap());
    let before = rig.kit.deflate.compressions();
    for _ in 0..10 {
        rig.connect();
        rig.answer(&upgrade_with("permessage-deflate"));
        rig.publish_to_it(&plain);
        sent(&mut rig);
    }
    assert_eq!(rig.kit.deflate.compressions(), before + 1);
}

#[test]
fn beyond_the_memory_for_takeover_a_handshake_is_answered_without() {
    let mut config = oneport::Config::default();
    config.deflate = Some(Deflate::default().takeover(true));
    config.takeover_memory = 410 * 1024;
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\nUpgrade: w";
    let handshake = String::from_utf8(upgrade("/")).unwrap().replacen("Upgrade: w", offer, 1);
    let app = app(|_| {
        Some(handler(|event, out| {
            if let Event::WebSocketConnect = event {
                out.accept()?;
            }
            Ok(())
        }))
    });
    let mut rig = Rig::with_config(app, config);
    assert!(!rig.answer(handshake.as_bytes()).contains("no_context_takeover"));
    // As another connection of this server that has room for one.
    let memory = rig.round.takeover.clone();
    assert!(memory.reserved() > 300 * 1024);
    rig.connect();
    assert_eq!(memory.reserved(), 0, "it comes back");
    rig.round.config = std::sync::Arc::new({
        let mut config = (*rig.round.config).clone();
        config.takeover_memory = 300 * 1024;
        config
    });
    let answer = rig.answer(handshake.as_bytes());
    assert!(answer.contains("permessage-deflate; server_no_context_takeover"), "{answer}");
    assert!(answer.contains("client_no_context_takeover"), "{answer}");
    assert_eq!(memory.reserved(), 0);
}
