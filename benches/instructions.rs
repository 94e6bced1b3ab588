//! One request or one message, again and again, through an in-memory connection: what
//! `benches/instructions.sh` counts the instructions of.
//!
//! `instructions SCENARIO COUNT`; `head-N` and `httparse-N` parse the head with this number of the
//! differential tests.

#[path = "../tests/rig/mod.rs"]
mod rig;

#[path = "../tests/differential/heads.rs"]
mod heads;

use std::hint::black_box;

use heads::HEADS;
use oneport::http::framing;
use oneport::http::head::{self, Limits, Progress};
use oneport::{Event, Flow, Handler, Outbox, Scope};
use rig::{Rig, frame, upgrade};

/// A typed handler, as a real application has.
struct Plain;

impl Handler for Plain {
    fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), oneport::AppError> {
        match event {
            Event::HttpRequest { more_body: false, .. } => {
                out.respond(200, &[(b"content-type", b"text/plain")], b"Hello, World!")?;
            }
            Event::WebSocketConnect => {
                out.accept()?;
            }
            Event::WebSocketReceive(message) => match out.message(message)? {
                Flow::Full => out.pause(),
                Flow::Ready => {}
            },
            _ => {}
        }
        Ok(())
    }
}

fn app() -> impl oneport::App {
    oneport::app(|_: &Scope<'_>| Some(Plain))
}

/// What curl sends, without its version.
const GET: &[u8] =
    b"GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: curl\r\nAccept: */*\r\n\r\n";

/// One head again and again: with ours, field index and framing facts and all, or with httparse.
fn parse(parser: &str, head: &mut Vec<u8>, count: usize) {
    let mut spans = Vec::with_capacity(101);
    for _ in 0..count {
        let head = black_box(&mut *head);
        if parser == "head" {
            let mut progress = Progress::default();
            let parsed = head::parse(head, &mut progress, &mut spans, Limits::default());
            let parsed = parsed.expect("the heads are valid").expect("and complete");
            let _ = black_box(framing::decide(parsed.version, &parsed.facts));
        } else {
            let mut fields = [httparse::EMPTY_HEADER; 16];
            let mut request = httparse::Request::new(&mut fields);
            let _ = black_box(request.parse(head).expect("the heads are valid"));
        }
        black_box(&spans);
    }
}

fn main() {
    // Cargo's own arguments (`--bench`) are not ours.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let [scenario, count] = &args[..] else {
        println!("instructions: run benches/instructions.sh");
        return;
    };
    let count: usize = count.parse().expect("a count");
    if let Some((parser, index)) = scenario.split_once('-') {
        return parse(parser, &mut HEADS[index.parse::<usize>().expect("a number")].into(), count);
    }
    let mut rig = Rig::new(app()).with_fields();
    let input = match scenario.as_str() {
        "get" => GET.to_vec(),
        "get16" => GET.repeat(16),
        "echo" => frame(0x81, b"twenty bytes of text"),
        "echo16" => frame(0x81, b"twenty bytes of text").repeat(16),
        other => panic!("no scenario {other}"),
    };
    if scenario.starts_with("echo") {
        rig.feed(&upgrade("/"));
    }
    for _ in 0..count {
        rig.peer.got.clear();
        rig.feed(&input);
    }
    assert!(!rig.peer.got.is_empty());
}
