//! The table of cases: what a peer may send, and the whole sequence of what it gets.
//!
//! | module | rows about |
//! |---|---|
//! | `lengths` | Content-Length |
//! | `codings` | Transfer-Encoding |
//! | `chunks` | chunk sizes, extensions, ends, trailers |
//! | `fields` | field lines: names, colons, values, line ends, limits |
//! | `lines` | request lines: methods, spaces, versions, what is no HTTP at all |
//! | `targets` | the four forms of a target, and Host |
//! | `connections` | persistence, pipelining, Expect, Upgrade |
//! | `smuggling` | the known classes of request smuggling, by their names |
//! | `answers` | the sender's side: what an application may make us send |
//!
//! Each row names the decision of `docs/HTTP-DECISIONS.md` that it shows; `decisions` checks that
//! the page and the rows agree. `row` says what a row is, `run` how it is run: whole, byte by
//! byte and in two pieces on a connection without a socket, and once over a real one.

#[path = "../rig/mod.rs"]
mod rig;

mod answers;
mod decisions;
mod reader;
mod row;
mod run;
mod table;

use table::rows;

#[test]
fn there_are_many_rows_and_none_is_said_twice() {
    let rows = rows();
    let mut names: Vec<_> = rows.iter().map(|row| row.name.clone()).collect();
    let mut inputs: Vec<_> = rows.iter().map(|row| (row.decision, row.text())).collect();
    names.sort();
    inputs.sort();
    for twice in names.windows(2) {
        assert_ne!(twice[0], twice[1]);
    }
    for twice in inputs.windows(2) {
        assert_ne!(twice[0], twice[1]);
    }
    assert!(rows.len() >= 400, "{}", rows.len());
    let by_hand = rows.iter().filter(|row| !row.family).count();
    assert!(by_hand >= 400, "without the families of bytes: {by_hand}");
}
