//! Heads as browsers, command lines, libraries, proxies, probes and agents send them. The benches
//! take them in rotation, so that one constant input cannot flatter; `tests/differential` reads
//! them, and mutations of them, beside httparse.

/// The heads of `heads.txt`: a name behind `#`, lines, an empty line between two of them.
pub(crate) fn real() -> Vec<(&'static str, Vec<u8>)> {
    let sections = include_str!("heads.txt").trim_end().split("\n\n");
    let head = |section: &'static str| {
        let (name, lines) = section.split_once('\n').expect("a name, then lines");
        let name = name.strip_prefix("# ").expect("a name begins with #");
        (name, format!("{}\r\n\r\n", lines.replace('\n', "\r\n")).into_bytes())
    };
    sections.map(head).collect()
}
