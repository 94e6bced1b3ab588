//! `oneport load`.

use serde_json::Value;

use crate::support::{Ended, nobody_listens, run, serve};

/// Measures until this happened at least `least` times: in a moment, or, on a machine that is
/// too slow for that, longer.
fn load(url: &str, more: &[&str], counted: &[&str], least: f64) -> (Ended, Value) {
    let mut last = None;
    for seconds in ["0.3", "3", "15"] {
        let args = ["load", url, "--json", "--quiet", "--seconds", seconds, "--warm-up", "0.1"];
        let ended = run(&[&args[..], more].concat(), b"");
        let result: Value = serde_json::from_str(&ended.out).unwrap_or_default();
        let count = counted.iter().try_fold(&result, |value, name| value.get(name));
        let enough = count.and_then(Value::as_f64).is_some_and(|count| count >= least);
        // Connections that are slow: whether all were answered is for the last try to tell.
        let slow = result["errors"].get("did not answer at all").is_some();
        let silent = counted.contains(&"did not answer at all");
        last = Some((ended, result));
        if enough && (silent || !slow) {
            break;
        }
    }
    last.expect("it was run")
}

fn number(result: &Value, name: &str) -> f64 {
    let pointer = format!("/{}", name.replace('.', "/"));
    result.pointer(&pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{name}: {result}"))
}

/// All that must be so whenever every answer was right.
fn check_plausible(ended: &Ended, result: &Value, connections: f64) {
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{result}");
    assert_eq!(result["errors"], serde_json::json!({}));
    assert_eq!(number(result, "opened"), connections);
    let (answers, seconds) = (number(result, "answers"), number(result, "seconds"));
    assert!(answers > 0.0 && seconds >= 0.1, "{result}");
    assert!((number(result, "per_second") * seconds - answers).abs() < 1.0, "{result}");
    let times = ["p50", "p90", "p99", "p99_9", "max"];
    let times = times.map(|name| number(result, &format!("latency_us.{name}")));
    assert!(times[0] > 0.0 && times.is_sorted(), "{result}");
    // Little's law: no more is under way than was asked for. An answer within the measured time
    // may have been under way before it, for as long as the slowest.
    let waited = answers * number(result, "latency_us.mean") / 1e6;
    let most = connections * number(result, "depth") * (seconds + times[4] / 1e6);
    assert!(waited < most * 1.01, "{waited} s of {most} s: {result}");
}

#[test]
fn websockets_are_measured() {
    let server = serve();
    let rows: [(&[&str], f64, f64); 4] = [
        (&[], 50.0, 128.0),
        (&["--connections", "7", "--depth", "33", "--threads", "2"], 7.0, 128.0),
        (&["--connections", "3", "--depth", "2", "--size", "300000", "--binary"], 3.0, 300_000.0),
        (&["--connections", "1", "--size", "0"], 1.0, 0.0),
    ];
    for (flags, connections, size) in rows {
        let (ended, result) = load(&server.ws("/echo"), flags, &["answers"], 1.0);
        check_plausible(&ended, &result, connections);
        assert_eq!((&result["protocol"], number(&result, "size")), (&"websocket".into(), size));
        // A frame from a server has 2, 4 or 10 bytes of header, one from a client 4 more. What is
        // under way at either end of the measured time may count or not.
        let header = if size < 126.0 {
            2.0
        } else if size < 65_536.0 {
            4.0
        } else {
            10.0
        };
        let slack = (connections * number(&result, "depth") + 1.0) * (size + 14.0);
        for (name, frame) in [("bytes_in", size + header), ("bytes_out", size + header + 4.0)] {
            let expected = number(&result, "answers") * frame;
            let difference = (number(&result, name) - expected).abs();
            assert!(difference <= slack, "{name} is off by {difference}: {result}");
        }
    }
}

#[test]
fn http_is_measured() {
    let server = serve();
    let rows: [(&str, &[&str], f64); 4] = [
        ("/", &[], 50.0),
        ("/", &["--connections", "5", "--depth", "16"], 5.0),
        ("/", &["--connections", "2", "--size", "100000"], 2.0),
        ("/chunked", &["--connections", "4", "--depth", "3", "--threads", "2"], 4.0),
    ];
    for (path, flags, connections) in rows {
        let (ended, result) = load(&server.http(path), flags, &["answers"], 1.0);
        check_plausible(&ended, &result, connections);
        assert_eq!((&result["protocol"], number(&result, "reconnects")), (&"http".into(), 0.0));
    }
}

#[test]
fn a_server_that_ends_connections_is_connected_to_again() {
    let server = serve();
    let flags = ["--connections", "2", "--depth", "2"];
    let (ended, result) = load(&server.http("/close"), &flags, &["reconnects"], 1.0);
    assert_eq!((ended.code, &result["errors"]), (Some(0), &serde_json::json!({})), "{ended:?}");
    assert!(number(&result, "reconnects") > 0.0, "{result}");
}

#[test]
fn wrong_answers_are_counted_by_kind() {
    let server = serve();
    let rows = [
        (server.ws("/wrong"), "echoed other bytes"),
        (server.ws("/short"), "echoed another length"),
        (server.ws("/silent"), "did not answer at all"),
        (server.ws("/close/4001"), "closed with code 4001"),
        (server.http("/nowhere"), "answered with status 404"),
    ];
    for (url, kind) in rows {
        let (ended, result) = load(&url, &["--connections", "2"], &["errors", kind], 2.0);
        assert_eq!(ended.code, Some(3), "{url}: {ended:?}");
        assert!(number(&result["errors"], kind) >= 2.0, "{url}: {result}");
        assert_eq!(number(&result, "answers"), 0.0, "{url}: {result}");
    }
}

#[test]
fn whom_one_cannot_connect_to_is_told() {
    let server = serve();
    let refused = "refused the WebSocket with status 404";
    let flags = ["--connections", "2"];
    let (ended, result) = load(&server.ws("/nowhere"), &flags, &["errors", refused], 2.0);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(number(&result["errors"], refused), 2.0);
    let (_kept, gone) = nobody_listens();
    let (ended, _) = load(&format!("ws://{gone}/"), &[], &[], 0.0);
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    assert!(ended.err.contains("is the server running?"), "{}", ended.err);
}

#[test]
fn people_get_a_page_and_a_progress_line() {
    let server = serve();
    // A line is shown each second.
    let args = ["load", &server.ws("/echo"), "--seconds", "3", "--warm-up", "0"];
    let ended = run(&args, b"");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for part in [
        "messages of 128 bytes, 50 connections with 1 under way each",
        "a second",
        "p99.9",
        "errors   none",
    ] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    assert!(ended.err.contains("measuring: 50 of 50 opened"), "{}", ended.err);
}
