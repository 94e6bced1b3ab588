//! `oneport connect` in pipes.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::Stdio;

use crate::support::{finish, interrupt, nobody_listens, oneport, run, run_until, serve};

#[test]
fn lines_in_messages_out() {
    let server = serve();
    let url = server.ws("/echo");
    let lines = "hello\n\n/ping\n  Grüße \u{1f980}\t\nraw \u{1b}[1m\nno line break at the end";
    let wanted = format!("{lines}\n");
    let ended = run_until(&["connect", &url], lines.as_bytes(), &wanted);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    assert_eq!(ended.out, wanted);
}

#[test]
fn many_lines_arrive_in_order() {
    let server = serve();
    let lines: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
    let ended = run_until(&["connect", &server.ws("/echo")], lines.as_bytes(), &lines);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out == lines);
}

#[test]
fn binary_is_hexadecimal_both_ways() {
    let server = serve();
    let wanted = "00ff10\n\n68656c6c6f\n";
    let url = server.ws("/echo");
    let ended = run_until(&["connect", "--hex", &url], b"00 FF 10\n\n68656c6c6f\n", wanted);
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), wanted));
}

#[test]
fn input_that_cannot_be_sent_is_told_with_its_line() {
    let server = serve();
    let url = server.ws("/echo");
    let rows: [(&[&str], &[u8]); 2] =
        [(&["connect", &url], b"one\n\xff\n"), (&["connect", "--hex", &url], b"00\n0g\n")];
    for (args, input) in rows {
        let ended = run(args, input);
        assert_eq!(ended.code, Some(2));
        assert!(ended.err.contains("line 2 of the input"), "{}", ended.err);
    }
}

#[test]
fn what_is_asked_for_arrives() {
    let server = serve();
    let url = server.ws("/scope");
    let args = ["connect", &url, "-s", "b", "-s", "a", "-o", "http://o", "-H", "x-test: 1:2"];
    let wanted = "b+a http://o 1:2 -\n";
    let ended = run_until(&args, b"", wanted);
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), wanted));
    let ended = run_until(&["connect", &url, "--deflate"], b"", "permessage-deflate");
    assert!(ended.out.contains("permessage-deflate"), "{}", ended.out);
    let long = format!("{}\n", "long ".repeat(100));
    let args = ["connect", &server.ws("/echo"), "--deflate"];
    let ended = run_until(&args, long.as_bytes(), &long);
    assert_eq!((ended.code, ended.out), (Some(0), long));
}

#[test]
fn the_exit_code_tells_how_it_ended() {
    let server = serve();
    let (_kept, gone) = nobody_listens();
    // The system accepts, and nobody answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("ws://{}/", silent.local_addr().unwrap());
    let rows = [
        (server.ws("/close/1000"), 0, "last words\n", ""),
        (format!("ws://{gone}/"), 1, "", "is the server running?"),
        (server.ws("/nowhere"), 1, "", "status 404"),
        (server.ws("/close/4001"), 3, "", "4001: no\\u{1b}[2J more"),
        (silent, 4, "", "the time limit for connecting"),
    ];
    for (url, code, out, err) in rows {
        // Only this one is to pass.
        let limit = if code == 4 { "0.5" } else { "60" };
        let ended = run(&["connect", &url, "--wait", "inf", "--connect-timeout", limit], b"");
        assert_eq!((ended.code, ended.out.as_str()), (Some(code), out), "{url}: {ended:?}");
        assert!(ended.err.contains(err) && ended.err.is_empty() == err.is_empty(), "{ended:?}");
    }
}

#[test]
fn an_interrupt_closes() {
    let server = serve();
    let mut child = oneport(&["connect", &server.ws("/hello")]).spawn().unwrap();
    // The input stays open: nothing else ends it.
    let _stdin = child.stdin.take();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "hello\n");
    interrupt(&child);
    let ended = finish(child);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
}

#[test]
fn a_reader_that_has_enough_is_a_normal_end() {
    let server = serve();
    let mut child = oneport(&["connect", &server.ws("/many"), "--wait", "inf"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "many\n");
    let ended = finish(child);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
}

#[test]
#[cfg(feature = "tls")]
fn certificates_that_cannot_be_used_are_told_with_their_file() {
    // Neither is there a file of this name, nor a certificate in this one.
    for (file, why) in [("/nowhere.pem", "No such file"), ("Cargo.toml", "no certificate")] {
        let ended = run(&["connect", "wss://127.0.0.1:1/", "--ca", file], b"");
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{ended:?}");
        let told = format!("oneport: --ca {file} cannot be used: ");
        assert!(ended.err.starts_with(&told) && ended.err.contains(why), "{ended:?}");
    }
}
