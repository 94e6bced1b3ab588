//! How often memory is asked for: counted by an allocator of this program's own, on in-memory
//! connections. The budgets stand with all others in `benches/budgets.txt`; a test fails when one
//! allocation more is needed.
#![allow(unsafe_code)] // a global allocator cannot be written without; this one only counts

mod rig;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use oneport::{AppError, Event, Handler, Outbox, Scope, app};
use rig::{Rig, frame, upgrade};

struct Counting;

thread_local! {
    /// Allocations of this thread: tests run side by side.
    static COUNT: Cell<usize> = const { Cell::new(0) };
    /// Bytes that this thread asked for and did not give back.
    static HELD: Cell<isize> = const { Cell::new(0) };
}

// SAFETY: everything is the system allocator's doing; counting touches no memory of its own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        HELD.with(|held| held.set(held.get() + layout.size() as isize));
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.with(|held| held.set(held.get() - layout.size() as isize));
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        HELD.with(|held| held.set(held.get() + size as isize - layout.size() as isize));
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations this takes.
fn allocations(what: impl FnOnce()) -> usize {
    let before = COUNT.with(Cell::get);
    what();
    COUNT.with(Cell::get) - before
}

/// What `benches/budgets.txt` allows.
fn budget(scenario: &str) -> usize {
    include_str!("../benches/budgets.txt")
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|words| words.len() > 2 && words[..2] == ["allocations", scenario])
        .and_then(|words| words[2].parse().ok())
        .expect("there is a budget")
}

/// A handler with fields of its own, as a real application has.
struct Typed {
    bytes: usize,
}

impl Handler for Typed {
    fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
        match event {
            Event::HttpRequest { body, more_body } => {
                self.bytes += body.len();
                if !more_body {
                    out.respond(200, &[(b"content-type", b"text/plain")], b"Hello, World!")?;
                }
            }
            Event::WebSocketConnect => {
                out.accept()?;
            }
            Event::WebSocketReceive(message) => {
                out.message(message)?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn typed() -> impl oneport::App {
    app(|_: &Scope<'_>| Some(Typed { bytes: 0 }))
}

const GET: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: h:80\r\nAccept: */*\r\n\r\n";

/// Feeds `input` until everything that is made once is made, then counts for a hundred times.
fn in_steady_state(rig: &mut Rig<impl oneport::App>, input: &[u8]) -> usize {
    let mut once = || {
        rig.peer.got.clear();
        rig.feed(input);
    };
    (0..3).for_each(|_| once());
    allocations(|| (0..100).for_each(|_| once()))
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
    assert_eq!(allocations(|| ()), 0);
}

#[test]
fn a_request_costs_no_more_than_its_budget() {
    let post = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nHello";
    let old = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let chunked =
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n0\r\n\r\n";
    for input in [GET, &GET.repeat(16), post, chunked, old] {
        let mut rig = Rig::new(typed()).with_fields();
        let allocations = in_steady_state(&mut rig, input);
        assert!(allocations <= budget("request") * 100, "{}", String::from_utf8_lossy(input));
    }
}

#[test]
fn a_message_costs_no_more_than_its_budget() {
    let mut rig = Rig::new(typed()).with_fields();
    rig.feed(&upgrade("/"));
    let message = frame(0x81, b"twenty bytes of text");
    assert!(in_steady_state(&mut rig, &message) <= budget("message") * 100);
    assert!(in_steady_state(&mut rig, &message.repeat(16)) <= budget("message") * 100);
}

#[test]
fn a_large_message_costs_none() {
    let mut rig = Rig::new(typed()).with_fields();
    rig.feed(&upgrade("/"));
    for first in [0x81, 0x82] {
        for len in [16 << 10, 64 << 10, 300_000, 1 << 20] {
            let message = frame(first, &vec![b'x'; len]);
            assert_eq!(in_steady_state(&mut rig, &message), 0, "{len} bytes");
        }
    }
    // In fragments.
    let fragments = [frame(0x02, &[1; 70_000]), frame(0x00, &[2; 70_000]), frame(0x80, &[3; 9])];
    assert_eq!(in_steady_state(&mut rig, &fragments.concat()), 0);
    assert_eq!(rig.conn().bytes_held(), 0, "and nothing is held between messages");
}

#[test]
fn a_large_body_costs_none() {
    let mut rig = Rig::new(typed()).with_fields();
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n";
    let request = [head.as_slice(), &vec![b'x'; 1_000_000]].concat();
    assert_eq!(in_steady_state(&mut rig, &request), 0);
}

#[test]
fn a_connection_and_an_upgrade_cost_no_more_than_their_budgets() {
    let mut rig = Rig::new(typed()).with_fields();
    // What a worker makes once.
    rig.feed(GET);
    rig.feed(GET);
    rig.connect();
    let upgrade = upgrade("/");
    rig.feed(&upgrade);
    rig.connect();
    let connection = allocations(|| {
        rig.connect();
        rig.feed(GET);
    });
    assert!(
        connection <= budget("connection"),
        "a connection with its first request: {connection}"
    );
    rig.connect();
    rig.peer.got.clear();
    let upgraded = allocations(|| _ = rig.feed(&upgrade));
    assert!(upgraded <= budget("upgrade"), "an upgrade: {upgraded}");
}

/// What is reserved for a connection with context takeover is what it holds: never less, and little
/// more.
#[cfg(feature = "deflate")]
#[test]
fn context_takeover_costs_what_is_reserved_for_it() {
    use oneport::Deflate;
    use oneport::bytes::gather::Gather;
    use oneport::ws::deflate::{Deflater, Engines, Inflater};
    use oneport::ws::extension::accept;
    use oneport::ws::takeover::TakeoverMemory;

    let settings = Deflate::default().takeover(true).threshold(1);
    let text: Vec<u8> = (0..100_000u32).flat_map(|n| n.to_string().into_bytes()).collect();
    for bits in [9, 10, 12, 15] {
        let offer = format!(
            "permessage-deflate; server_max_window_bits={bits}; client_max_window_bits={bits}"
        );
        let ours = settings.window_bits(bits);
        let agreed = accept([offer.as_bytes()], ours).unwrap().unwrap();
        assert!(agreed.server.takeover && agreed.client.takeover);
        assert_eq!((agreed.server.window_bits, agreed.client.window_bits), (bits, bits));
        let memory = TakeoverMemory::default();
        let permit = memory.reserve(&agreed, usize::MAX);
        // What the worker has once is made first.
        let (mut engines, mut packed, mut plain) =
            (Engines::default(), vec![0; text.len() + 64], Gather::default());
        let packed_len = Deflater::new(agreed.server, settings)
            .deflate(&text, &mut engines, &mut packed)
            .expect("it shrinks");
        let payload = packed[..packed_len].to_vec();
        Inflater::new(agreed.client)
            .inflate(&payload, text.len(), &mut engines, &mut plain, &mut |_| true)
            .unwrap();
        plain.clear(usize::MAX);
        let before = HELD.with(Cell::get);
        let mut deflater = Deflater::new(agreed.server, settings);
        deflater.deflate(&text, &mut engines, &mut packed).expect("it shrinks");
        let mut inflater = Inflater::new(agreed.client);
        inflater.inflate(&payload, text.len(), &mut engines, &mut plain, &mut |_| true).unwrap();
        let held = usize::try_from(HELD.with(Cell::get) - before).unwrap();
        let reserved = memory.reserved();
        assert!(held <= reserved, "{bits} bits: {held} bytes are held, {reserved} reserved");
        assert!(reserved - held <= 4096, "{bits} bits: {held} bytes are held, {reserved} reserved");
        drop((permit, deflater, inflater));
    }
}
