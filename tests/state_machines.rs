//! `docs/STATE-MACHINES.md` is printed from the law tables.
//!
//! After a change of a table: `UPDATE_DOCS=1 cargo test --test state_machines`.

use std::fmt::{Debug, Write as _};

use oneport::asgi::order::{
    Fin, Http, HttpStep, Lifespan, LifespanStep, Verdict, WebSocket, WebSocketStep,
};
use oneport::http::cycle::{Cycle, Step};
use oneport::ws::closing::{CloseEvent, Closing};

const INTRODUCTION: &str = "# State machines

Printed from the tables in the source by `tests/state_machines.rs`, which also checks that this page
is up to date. A row is a state, a column is what happens in it; the cell is the next state.
`-` means that the law does not know the step: a mistake of ours in `http::cycle` and `ws::closing`,
a mistake of the application (`SendError::OutOfOrder`) in `asgi::order`. *ignored* means that
nothing is done, silently; *closed* that the application is told `SendError::Closed`.
";

/// A table with a row per state and a column per step.
fn table<S: Debug + Copy, E: Debug + Copy>(
    page: &mut String,
    heading: &str,
    about: &str,
    states: &[S],
    steps: &[E],
    cell: impl Fn(S, E) -> String,
) {
    let _ = write!(page, "\n## {heading}\n\n{about}\n\n|");
    for step in steps {
        let _ = write!(page, " | {step:?}");
    }
    let _ = writeln!(page, " |\n|---{}|", "|---".repeat(steps.len()));
    for state in states {
        let _ = write!(page, "| **{state:?}**");
        for step in steps {
            let _ = write!(page, " | {}", cell(*state, *step));
        }
        page.push_str(" |\n");
    }
}

fn verdict<S: Debug>(verdict: Verdict<S>) -> String {
    match verdict {
        Verdict::To(next) => format!("{next:?}"),
        Verdict::Ignored => "*ignored*".into(),
        Verdict::Closed => "*closed*".into(),
        Verdict::OutOfOrder => "-".into(),
    }
}

fn next<S: Debug, I>(next: Result<S, I>) -> String {
    next.map_or("-".into(), |next| format!("{next:?}"))
}

fn page() -> String {
    let mut page = INTRODUCTION.to_string();
    table(
        &mut page,
        "The cycle of an HTTP connection",
        "`src/http/cycle.rs`, RFC 9112 §9: one request is served at a time.",
        &Cycle::ALL,
        &Step::ALL,
        |state, step| next(state.next(step)),
    );
    table(
        &mut page,
        "The closing handshake of a WebSocket",
        "`src/ws/closing.rs`, RFC 6455 §7.1.",
        &Closing::ALL,
        &CloseEvent::ALL,
        |state, event| next(state.next(event)),
    );
    table(
        &mut page,
        "The order of an application's events: HTTP",
        "`src/asgi/order.rs`. `HeadReleased` is the return of the callback that sent the start.",
        &Http::ALL,
        &HttpStep::ALL,
        |state, step| verdict(state.next(step)),
    );
    table(
        &mut page,
        "A response and the peer's FIN",
        "`src/asgi/order.rs`: may the scope still answer? If not it is told `http.disconnect`. The end of the\n\
         server (`Event::Shutdown`) changes no state; see [`EVENTS.md`](EVENTS.md#the-end-of-the-server).",
        &Http::ALL,
        &Fin::ALL,
        |state, fin| if state.outlives_fin(fin) { "goes on" } else { "ends" }.to_string(),
    );
    table(
        &mut page,
        "The order of an application's events: WebSocket",
        "`src/asgi/order.rs`.",
        &WebSocket::ALL,
        &WebSocketStep::ALL,
        |state, step| verdict(state.next(step)),
    );
    table(
        &mut page,
        "The order of an application's events: lifespan",
        "`src/asgi/order.rs`.",
        &Lifespan::ALL,
        &LifespanStep::ALL,
        |state, step| verdict(state.next(step)),
    );
    page
}

#[test]
fn the_page_is_what_the_tables_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/STATE-MACHINES.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).expect("docs can be written");
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page, "run `UPDATE_DOCS=1 cargo test --test state_machines`");
}
