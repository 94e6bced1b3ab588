//! `oneport load`.

use std::io::{BufRead, BufReader, Write};

use oneport::Deflate;
use serde_json::Value;

use crate::support::{Ended, nobody_listens, run, serve, serve_with};

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
fn compressed_echoes_are_measured_and_checked() {
    let server = serve();
    for (size, compressed) in [("64", false), ("128", true), ("100000", true)] {
        let flags = ["--deflate", "--size", size, "--connections", "3", "--depth", "2"];
        let (ended, result) = load(&server.ws("/echo"), &flags, &["answers"], 1.0);
        check_plausible(&ended, &result, 3.0);
        let packed = result["compressed_size"].as_f64();
        assert_eq!(packed.is_some(), compressed, "{result}");
        if let Some(packed) = packed {
            // The server compresses what it echoes, too.
            let most = (number(&result, "answers") + 6.0) * (packed + 10.0);
            assert!(packed < number(&result, "size") / 2.0, "{result}");
            assert!(number(&result, "bytes_in") < most, "{result}");
        }
    }
    let flags = ["--deflate", "--connections", "2"];
    for (path, kind) in [("/wrong", "echoed other bytes"), ("/short", "echoed another length")] {
        let (ended, result) = load(&server.ws(path), &flags, &["errors", kind], 2.0);
        assert_eq!(ended.code, Some(3), "{path}: {ended:?}");
        assert!(number(&result["errors"], kind) >= 2.0, "{path}: {result}");
    }
    let small = serve_with(|server| server.deflate(Deflate::default().window_bits(9)));
    let (ended, result) =
        load(&small.ws("/echo"), &[&flags[..], &["--size", "9999"]].concat(), &["answers"], 1.0);
    check_plausible(&ended, &result, 2.0);
    let plain = serve_with(|server| server);
    let (ended, result) =
        load(&plain.ws("/echo"), &flags, &["errors", "did not agree to compress"], 2.0);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(number(&result["errors"], "did not agree to compress"), 2.0, "{result}");
    let (ended, _) = load(&server.http("/"), &["--deflate"], &[], 0.0);
    assert_eq!(ended.code, Some(2), "{ended:?}");
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
fn a_rate_is_kept_whether_or_not_answers_come() {
    let server = serve();
    let none = serde_json::json!({});
    let rows: [(String, &[&str], i32); 4] = [
        (server.ws("/echo"), &["--connections", "3"], 0),
        (server.ws("/silent"), &["--connections", "1"], 3),
        (server.http("/"), &["--connections", "4", "--threads", "2"], 0),
        (server.http("/close"), &["--connections", "2"], 0),
    ];
    for (url, more, code) in rows {
        let (ended, result) =
            load(&url, &[more, &["--rate", "500"]].concat(), &["answers"], f64::from(code == 0));
        assert_eq!(ended.code, Some(code), "{url}: {ended:?}");
        assert_eq!((&result["rate"], &result["depth"]), (&500.into(), &Value::Null));
        let due = 500.0 * number(&result, "seconds");
        if url.starts_with("ws") {
            // A thread that gets no processor may be late. What comes for each answer would be
            // thousands, or one.
            let sent = number(&result, "bytes_out") / (128.0 + 8.0);
            assert!(due / 5.0 < sent && sent < due + 100.0, "{url}: {due} due: {result}");
        }
        if code == 0 {
            assert_eq!(result["errors"], none, "{url}");
            // What was due earlier may be answered within the measured time.
            let earlier = 500.0 * number(&result, "latency_us.max") / 1e6;
            let answers = number(&result, "answers");
            assert!(0.0 < answers && answers <= due + earlier + 4.0, "{url}: {due} due: {result}");
        }
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
fn a_message_without_end_does_not_hold_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        // The first connection only shows that somebody listens.
        drop(listener.accept().unwrap());
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = String::new();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
        }
        let key = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("sec-websocket-key").then_some(value)
        });
        let accept = oneport::ws::handshake::accept(key.unwrap().as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            std::str::from_utf8(&accept[..]).unwrap()
        );
        stream.write_all(answer.as_bytes()).unwrap();
        // A fragment, and empty ones behind it, for as long as somebody takes them.
        let mut fragments = vec![0; 1 << 20];
        fragments[0] = 2;
        let mut taken = 0;
        while let Ok(n @ 1..) = stream.write(&fragments) {
            taken += n;
            if n % 2 == 1 && stream.write_all(&[0]).is_err() {
                break;
            }
            fragments[0] = 0;
        }
        taken
    });
    let args = ["load", &url, "--connections", "1", "--quiet", "--seconds", "0.3"];
    let ended = run(&args, b"");
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.out.contains("  answers               0 "), "{ended:?}");
    assert!(server.join().unwrap() > 1 << 20);
}

#[test]
fn a_full_server_is_told_by_its_status() {
    let server = serve_with(|server| server.max_connections(1));
    let (ended, result) = load(
        &server.http("/"),
        &["--connections", "2"],
        &["errors", "answered with status 503"],
        1.0,
    );
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let errors = result["errors"].as_object().expect("there are errors");
    assert!(errors.contains_key("answered with status 503"), "{result}");
    assert!(!errors.contains_key("sent an answer that nobody asked for"), "{result}");
}

#[test]
fn a_body_has_the_type_that_is_given() {
    let server = serve();
    let typed = ["-H", "Content-Type: application/json", "--size", "2"];
    let (ended, result) = load(&server.http("/typed"), &typed, &["answers"], 1.0);
    check_plausible(&ended, &result, 50.0);
    for field in ["content-length: 1", "connection: close", "host: x"] {
        let (ended, _) = load(&server.http("/typed"), &["-H", field, "--size", "2"], &[], 0.0);
        let name = field.split(':').next().expect("there is a name");
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{field}");
        assert!(ended.err.contains(&format!("the field {name} ")), "{field}: {}", ended.err);
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
