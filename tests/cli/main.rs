//! The command `oneport`, as a process: in pipes, at a terminal, measuring.

mod connect;
mod echo;
mod load;
mod support;
mod terminal;

use support::run;

#[test]
fn help_says_what_and_how_it_ends() {
    for (command, part) in
        [("connect", "Exit codes:"), ("echo", "Exit codes:"), ("load", "coordinated omission")]
    {
        let ended = run(&[command, "--help"], b"");
        assert_eq!(ended.code, Some(0));
        assert!(ended.out.contains(part) && ended.out.contains("Examples:"), "{}", ended.out);
    }
}

#[test]
fn what_cannot_be_understood_ends_with_2() {
    for args in [
        &[][..],
        &["fly"],
        &["connect"],
        &["connect", "http://127.0.0.1/"],
        &["connect", "ws://127.0.0.1:1/", "-H", "x"],
        &["connect", "ws://127.0.0.1:1/", "-H", "host: x"],
        &["connect", "ws://127.0.0.1:1/", "--wait", "-1"],
        &["echo", "--port", "70000"],
        &["load", "ftp://127.0.0.1/"],
        &["load", "wss://127.0.0.1/"],
        &["load", "https://127.0.0.1/"],
        &["load", "ws://127.0.0.1:1/", "--connections", "0"],
    ] {
        let ended = run(args, b"");
        assert_eq!(ended.code, Some(2), "{args:?}: {ended:?}");
        assert!(!ended.err.is_empty() && ended.out.is_empty(), "{args:?}: {ended:?}");
    }
}
