//! All rows about requests. `tests/differential` borrows them as its corpus.

#[path = "chunks.rs"]
mod chunks;
#[path = "codings.rs"]
mod codings;
#[path = "connections.rs"]
mod connections;
#[path = "fields.rs"]
mod fields;
#[path = "lengths.rs"]
mod lengths;
#[path = "lines.rs"]
mod lines;
#[path = "smuggling.rs"]
mod smuggling;
#[path = "targets.rs"]
mod targets;

use crate::row::Row;

pub(crate) fn rows() -> Vec<Row> {
    [
        lengths::rows(),
        codings::rows(),
        chunks::rows(),
        fields::rows(),
        lines::rows(),
        targets::rows(),
        connections::rows(),
        smuggling::rows(),
    ]
    .concat()
}
