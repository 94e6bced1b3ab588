//! The house stands: arrows point down, and only the top floor knows the world.

use std::fs;
use std::path::{Path, PathBuf};

/// The floor of a module; `lib.rs` is the roof.
fn floor(module: &str) -> Option<usize> {
    Some(match module {
        "bytes" => 0,
        "http" | "ws" => 1,
        "asgi" => 2,
        "conn" | "groups" => 3,
        "net" => 4,
        "client" | "cli" => 5,
        _ => return None,
    })
}

/// The one module that may hold unsafe code.
const AUDITED: &str = "bytes/trusted.rs";

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("src can be read") {
        let path = entry.expect("src can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The lines of code of a file, without comments, with their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line.split("//").next().unwrap_or_default()))
}

/// What a file on this floor may not say.
fn complaints(floor_here: usize, name: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in code(text) {
        let mut complain =
            |what: &str| found.push(format!("{name}:{number}: {what}: {}", line.trim()));
        for (at, _) in line.match_indices("crate::") {
            let module: String =
                line[at + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if floor(&module).is_some_and(|floor_there| floor_there > floor_here) {
                complain("an arrow points up");
            }
        }
        if floor_here < 4 {
            for word in
                ["mio::", "std::net", "std::fs", "socket2", "rustix", "signal_hook", "std::thread"]
            {
                if line.contains(word) {
                    complain("the world is known to net only");
                }
            }
            for clock in ["Instant::now", "SystemTime::now"] {
                if line.contains(clock) {
                    complain("time arrives as an argument");
                }
            }
        }
        if name != AUDITED && (line.contains("unsafe ") || line.contains("allow(unsafe_code")) {
            complain("only one module is audited for unsafe code");
        }
    }
    found
}

#[test]
fn arrows_point_down_and_only_net_knows_the_world() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 30, "the whole house is looked at");
    let mut found = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&src).expect("it was found there");
        let room = inside.iter().next().expect("a file has a name").to_string_lossy();
        if room == "lib.rs" {
            continue;
        }
        let floor_here = floor(&room).unwrap_or_else(|| panic!("{room} is on no floor"));
        let text = fs::read_to_string(&file).expect("src can be read");
        // Tests of a module may look at a clock.
        if file.ends_with("tests.rs") {
            continue;
        }
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        found.extend(complaints(floor_here, &inside.display().to_string(), text));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_test_can_fail() {
    let count = |floor, text| complaints(floor, "x", text).len();
    assert_eq!(count(1, "use crate::asgi::Event;"), 1);
    assert_eq!(count(2, "use crate::http::Error;"), 0);
    assert_eq!(count(1, "// see crate::asgi"), 0);
    assert_eq!(count(3, "let now = std::time::Instant::now();"), 1);
    assert_eq!(count(3, "use std::net::TcpStream;"), 1);
    assert_eq!(count(2, "let file = std::fs::File::open(path);"), 1);
    assert_eq!(count(4, "use std::net::TcpStream;"), 0);
    assert_eq!(count(4, "let x = unsafe { y };"), 1);
}
