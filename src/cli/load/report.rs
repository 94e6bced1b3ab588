//! The result, for people and as JSON.

use std::fmt::Write;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use super::Flags;
use super::plan::Plan;
use super::runner::Outcome;
use crate::show;

/// A thread that was busy for more than this part of the time may have been what was measured.
const TOO_BUSY: f64 = 0.9;

fn per_second(amount: u64, outcome: &Outcome) -> f64 {
    if outcome.seconds > 0.0 { amount as f64 / outcome.seconds } else { 0.0 }
}

fn threads(flags: &Flags) -> usize {
    flags.threads.min(flags.connections) as usize
}

/// In nanoseconds.
fn percentiles(times: &Histogram<u64>) -> [(&'static str, u64); 5] {
    let at = |quantile| times.value_at_quantile(quantile);
    [
        ("p50", at(0.5)),
        ("p90", at(0.9)),
        ("p99", at(0.99)),
        ("p99.9", at(0.999)),
        ("max", times.max()),
    ]
}

/// For people.
pub(super) fn text(flags: &Flags, plan: &Plan, opened: usize, outcome: &Outcome) -> String {
    let mut out = String::new();
    let what = match (plan.websocket, plan.payload.len()) {
        (true, size) => {
            let packed = match (&plan.packed, plan.deflate) {
                (Some(packed), _) => {
                    format!(", compressed to {}", show::thousands(packed.len() as u64))
                }
                (None, Some(_)) => ", not compressed: too short".to_string(),
                (None, None) => String::new(),
            };
            format!("messages of {}{packed}", show::count(size, "byte"))
        }
        (false, 0) => "GET requests".to_string(),
        (false, size) => format!("POST requests with {}", show::count(size, "byte")),
    };
    let under_way = match flags.rate {
        None => format!("with {} under way each", flags.depth),
        Some(rate) => format!("with {} a second due in all", show::thousands(rate.into())),
    };
    let _ = writeln!(out, "{}", show::line(&flags.uri));
    let _ = writeln!(
        out,
        "{what}, {} {under_way}, {}, {:.1} s\n",
        show::count(opened, "connection"),
        show::count(threads(flags), "thread"),
        outcome.seconds,
    );
    if opened < flags.connections as usize {
        let asked = show::thousands(flags.connections.into());
        let _ = writeln!(
            out,
            "  only {} of {asked} connections opened",
            show::thousands(opened as u64)
        );
    }
    let _ = writeln!(
        out,
        "  answers  {:>14}   {} a second, {:.1} MB/s out, {:.1} MB/s in",
        show::thousands(outcome.answers),
        show::thousands(per_second(outcome.answers, outcome).round() as u64),
        per_second(outcome.written, outcome) / 1e6,
        per_second(outcome.received, outcome) / 1e6,
    );
    if let Some(times) = outcome.times.as_ref().filter(|times| !times.is_empty()) {
        let shown: Vec<_> = percentiles(times)
            .iter()
            .map(|(name, time)| format!("{name} {}", duration(*time)))
            .collect();
        let _ = writeln!(out, "  time     {}", shown.join("   "));
    }
    if outcome.reconnects > 0 {
        let count = show::thousands(outcome.reconnects);
        let _ = writeln!(out, "  ended by the server and made again: {count}");
    }
    if outcome.faults.is_empty() {
        let _ = writeln!(out, "  errors   none");
    }
    for (fault, times) in outcome.faults.iter() {
        let _ = writeln!(out, "  error    {:>14}x  {fault}", show::thousands(times));
    }
    if let Some(busy) = outcome.busy.iter().copied().max_by(f64::total_cmp) {
        let _ = writeln!(
            out,
            "  load     its busiest thread was busy {:.0} % of the time",
            busy * 100.0
        );
        if busy > TOO_BUSY {
            let _ =
                writeln!(out, "           so this may have measured the load: try more --threads");
        }
    }
    out
}

/// A time in the unit that suits it.
fn duration(nanoseconds: u64) -> String {
    match nanoseconds as f64 {
        time if time < 1e6 => format!("{:.0} µs", time / 1e3),
        time if time < 1e9 => format!("{:.2} ms", time / 1e6),
        time => format!("{:.2} s", time / 1e9),
    }
}

/// For programs.
pub(super) fn json(flags: &Flags, plan: &Plan, opened: usize, outcome: &Outcome) -> String {
    let micros = |time: u64| Value::from(time as f64 / 1e3);
    let mut times = Map::new();
    if let Some(measured) = outcome.times.as_ref().filter(|times| !times.is_empty()) {
        times.extend(
            percentiles(measured).map(|(name, time)| (name.replace('.', "_"), micros(time))),
        );
        times.insert("mean".to_string(), Value::from(measured.mean() / 1e3));
    }
    let errors: Map<_, _> =
        outcome.faults.iter().map(|(fault, count)| (fault, Value::from(count))).collect();
    let result = json!({
        "url": flags.uri,
        "protocol": if plan.websocket { "websocket" } else { "http" },
        "connections": flags.connections,
        "opened": opened,
        "depth": flags.rate.is_none().then_some(flags.depth),
        "rate": flags.rate,
        "size": plan.payload.len(),
        "compressed_size": plan.packed.as_ref().map(Vec::len),
        "threads": threads(flags),
        "seconds": outcome.seconds,
        "answers": outcome.answers,
        "per_second": per_second(outcome.answers, outcome),
        "bytes_out": outcome.written,
        "bytes_in": outcome.received,
        "latency_us": times,
        "errors": errors,
        "reconnects": outcome.reconnects,
        "busy": outcome.busy,
    });
    format!("{result:#}\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_have_the_unit_that_suits_them() {
        let rows = [(42_000, "42 µs"), (1_234_567, "1.23 ms"), (2_500_000_000, "2.50 s")];
        for (time, shown) in rows {
            assert_eq!(super::duration(time), shown);
        }
    }
}
