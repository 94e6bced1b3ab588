//! `docs/RFC-INDEX.md` is printed from the clauses in `docs/rfc/` and from the marks that name them
//! (`[9112-3.2-3]`, for example) in the comments of the source and of the tests.
//!
//! After a change of either: `UPDATE_DOCS=1 cargo test --test rfc_index`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const RFCS: [(&str, &str); 4] = [
    ("9110", "HTTP semantics"),
    ("9112", "HTTP/1.1"),
    ("6455", "WebSocket"),
    ("7692", "compression for WebSocket"),
];

const INTRODUCTION: &str = "# Index of clauses

Every MUST and SHOULD (and their NOTs) that binds a server, in our own words, with the code that obeys
it and a test that fails if it is broken. Clauses for clients, proxies and caches only are left out.

Printed by `tests/rfc_index.rs` from the lists in [`rfc/`](rfc/) and from marks in comments: `[9112-3.2-3]`
is the third clause of RFC 9112 §3.2, and stands where it is obeyed, or at a test. The test fails if a mark
names no clause, if a clause that counts as obeyed has no code, or if this page is not up to date. Line
numbers are those of the last print: they alone do not make the page outdated, file and item do.

A clause of which the list says nothing further is obeyed. Else the list says:

- *partly*, *departs*: not to the letter; what is missing, or why we do otherwise on purpose;
- *open*: not obeyed yet;
- *application*: it binds what an application decides; the server passes it on;
- *not applicable*: it binds something that this server does not do.
";

// ---- clauses --------------------------------------------------------------------------------

/// How the list judges a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Obeyed,
    Partly,
    Departs,
    Open,
    Application,
    NotApplicable,
}

impl Status {
    const ALL: [(Status, &str); 6] = [
        (Status::Obeyed, "obeyed"),
        (Status::Partly, "partly"),
        (Status::Departs, "departs"),
        (Status::Open, "open"),
        (Status::Application, "application"),
        (Status::NotApplicable, "not applicable"),
    ];

    /// Must the source have a mark (yes, no, as it likes)?
    fn has_code(self) -> Option<bool> {
        match self {
            Status::Obeyed | Status::Partly | Status::Departs => Some(true),
            Status::Open | Status::NotApplicable => Some(false),
            Status::Application => None,
        }
    }
}

#[derive(Debug)]
struct Clause {
    id: String,
    level: String,
    text: String,
    status: Status,
    reason: String,
}

impl Clause {
    fn section(&self) -> &str {
        let (_, rest) = self.id.split_once('-').unwrap_or_default();
        rest.split_once('-').unwrap_or_default().0
    }

    /// The numbers of its section and its own, by which a list is ordered.
    fn order(&self) -> Option<(Vec<u32>, u32)> {
        let (_, number) = self.id.rsplit_once('-')?;
        let section: Option<Vec<u32>> =
            self.section().split('.').map(|number| number.parse().ok()).collect();
        Some((section?, number.parse().ok()?))
    }
}

/// A line of a list: `id | level | text`, or `id | level | text | status: reason`.
fn clause(line: &str) -> Result<Clause, String> {
    let parts: Vec<&str> = line.split(" | ").collect();
    let (id, level, text, status) = match parts[..] {
        [id, level, text] => (id, level, text, None),
        [id, level, text, status] => (id, level, text, Some(status)),
        _ => return Err(format!("three or four parts: {line}")),
    };
    if !["MUST", "MUST NOT", "SHOULD", "SHOULD NOT"].contains(&level) {
        return Err(format!("no such level: {line}"));
    }
    let (status, reason) = match status.map(|status| status.split_once(": ")) {
        None => (Status::Obeyed, ""),
        Some(None) => return Err(format!("a status needs a reason: {line}")),
        Some(Some((name, reason))) => {
            let known = Status::ALL[1..].iter().find(|(_, known)| *known == name);
            (known.ok_or_else(|| format!("no such status: {line}"))?.0, reason)
        }
    };
    let own = |text: &str| text.to_string();
    let clause =
        Clause { id: own(id), level: own(level), text: own(text), status, reason: own(reason) };
    if id.split('-').count() != 3 || clause.order().is_none() {
        return Err(format!("an identifier is RFC-section-number: {line}"));
    }
    Ok(clause)
}

/// The clauses of one list, and what is wrong with it.
fn clauses(rfc: &str, text: &str) -> (Vec<Clause>, Vec<String>) {
    let (mut found, mut wrong): (Vec<Clause>, _) = (Vec::new(), Vec::new());
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match clause(line) {
            Ok(clause) => {
                if !clause.id.starts_with(&format!("{rfc}-")) {
                    wrong.push(format!("{} is in the list of {rfc}", clause.id));
                }
                if found.last().is_some_and(|last| last.order() >= clause.order()) {
                    wrong.push(format!("{} is twice there or not in its order", clause.id));
                }
                found.push(clause);
            }
            Err(error) => wrong.push(error),
        }
    }
    (found, wrong)
}

// ---- marks ----------------------------------------------------------------------------------

/// Where a mark stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    id: String,
    /// Relative to the root of the repository.
    file: String,
    line: usize,
    /// The function, type or constant that it belongs to.
    item: String,
    is_test: bool,
}

/// The marks in one line: `[`, a number of four digits that is one of ours, `-`, up to `]`.
fn marks_in(line: &str) -> impl Iterator<Item = &str> {
    line.split('[').skip(1).filter_map(|rest| {
        let (inside, _) = rest.split_once(']')?;
        RFCS.iter().any(|(rfc, _)| inside.starts_with(&format!("{rfc}-"))).then_some(inside)
    })
}

/// The name of the item that a line of Rust or Python declares.
fn declared(line: &str) -> Option<&str> {
    let mut words = line.trim_start().split(|c: char| !(c.is_alphanumeric() || c == '_'));
    let keyword = words.by_ref().find(|word| {
        !matches!(
            *word,
            "pub" | "crate" | "super" | "in" | "conn" | "async" | "extern" | "unsafe" | ""
        )
    })?;
    let mut name = words.next()?;
    match keyword {
        // `const fn name`.
        "const" if name == "fn" => name = words.next()?,
        "fn" | "struct" | "enum" | "const" | "static" | "trait" | "mod" | "def" => {}
        _ => return None,
    }
    (!name.is_empty()).then_some(name)
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("//") || line.starts_with('#') || line.starts_with('@')
}

/// The item that line `at` belongs to: the one declared behind its comment, or the one around it.
fn item(lines: &[&str], at: usize) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    if is_comment(lines[at])
        && let Some(next) = lines[at..].iter().find(|line| !is_comment(line))
        && let Some(name) = declared(next)
    {
        return name.to_string();
    }
    let mut depth = indent(lines[at]);
    for line in lines[..at].iter().rev().filter(|line| !line.trim().is_empty()) {
        // The end of a head of several lines stands as far in as its beginning.
        let end_of_head = [")", "where", "{"].iter().any(|end| line.trim_start().starts_with(end));
        if indent(line) < depth && !end_of_head {
            depth = indent(line);
            if let Some(name) = declared(line).filter(|_| !is_comment(line)) {
                return name.to_string();
            }
        }
    }
    String::new()
}

/// The marks of one file.
fn marks(file: &str, text: &str) -> Vec<Mark> {
    let lines: Vec<&str> = text.lines().collect();
    let test_file = file.starts_with("tests/") || file.ends_with("/tests.rs");
    // Unit tests stand at the end of their file.
    let tests_begin = lines.iter().position(|line| *line == "mod tests {").unwrap_or(lines.len());
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        for id in marks_in(line) {
            found.push(Mark {
                id: id.to_string(),
                file: file.to_string(),
                line: at + 1,
                item: item(&lines, at),
                is_test: test_file || at > tests_begin,
            });
        }
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the repository can be read") {
        let path = entry.expect("the repository can be read").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs" || ext == "py") {
            found.push(path);
        }
    }
}

// ---- all of it ------------------------------------------------------------------------------

struct Index {
    clauses: Vec<Clause>,
    marks: BTreeMap<String, Vec<Mark>>,
    wrong: Vec<String>,
}

fn index() -> Index {
    let (mut all, mut wrong) = (Vec::new(), Vec::new());
    for (rfc, _) in RFCS {
        let list = root().join(format!("docs/rfc/{rfc}.txt"));
        let (found, errors) = clauses(rfc, &fs::read_to_string(list).expect("the list is there"));
        all.extend(found);
        wrong.extend(errors);
    }
    let mut sources = Vec::new();
    for folder in ["src", "tests"] {
        files(&root().join(folder), &mut sources);
    }
    sources.sort();
    let mut marked: BTreeMap<String, Vec<Mark>> = BTreeMap::new();
    for path in sources.iter().filter(|path| !path.ends_with("rfc_index.rs")) {
        let inside = path.strip_prefix(root()).expect("it was found there");
        let text = fs::read_to_string(path).expect("it is text");
        for mark in marks(&inside.display().to_string(), &text) {
            marked.entry(mark.id.clone()).or_default().push(mark);
        }
    }
    wrong.extend(complaints(&all, &marked));
    Index { clauses: all, marks: marked, wrong }
}

/// Where clauses and marks disagree.
fn complaints(clauses: &[Clause], marks: &BTreeMap<String, Vec<Mark>>) -> Vec<String> {
    let mut found = Vec::new();
    for mark in marks.values().flatten() {
        if mark.item.is_empty() {
            found.push(format!("{}:{}: the mark belongs to no item", mark.file, mark.line));
        }
        if !clauses.iter().any(|clause| clause.id == mark.id) {
            found.push(format!("{}:{}: no clause is called {}", mark.file, mark.line, mark.id));
        }
    }
    for clause in clauses {
        let marks = marks.get(&clause.id).map_or(&[][..], Vec::as_slice);
        let has_code = marks.iter().any(|mark| !mark.is_test);
        match clause.status.has_code() {
            Some(true) if !has_code => {
                found.push(format!("{} is said to be obeyed, and no code says where", clause.id));
            }
            Some(false) if !marks.is_empty() => found.push(format!(
                "{} has marks: what does {:?} in its list mean then?",
                clause.id, clause.status
            )),
            _ => {}
        }
    }
    found
}

/// Links to the places, one for each item.
fn places(marks: &[Mark], tests: bool) -> String {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    let mut cell = String::new();
    for mark in marks.iter().filter(|mark| mark.is_test == tests) {
        if seen.contains(&(&mark.file, &mark.item)) {
            continue;
        }
        seen.push((&mark.file, &mark.item));
        let name = mark.file.trim_start_matches("src/").trim_start_matches("tests/");
        let separator = if cell.is_empty() { "" } else { "<br>" };
        let (file, line, item) = (&mark.file, mark.line, &mark.item);
        let _ = write!(cell, "{separator}[{name}](../{file}#L{line}) `{item}`");
    }
    cell
}

fn page(index: &Index) -> String {
    let mut page = INTRODUCTION.to_string();
    let marks = |clause: &Clause| index.marks.get(&clause.id).map_or(&[][..], Vec::as_slice);
    let of = |rfc: &str| {
        let begin = format!("{rfc}-");
        index.clauses.iter().filter(move |clause| clause.id.starts_with(&begin))
    };
    for (rfc, subject) in RFCS {
        let _ = write!(page, "\n## RFC {rfc}, {subject}\n");
        let mut section = "";
        for clause in of(rfc) {
            if clause.section() != section {
                section = clause.section();
                let _ = write!(page, "\n### RFC {rfc} §{section}\n\n");
                page.push_str(
                    "| clause | level | what it asks | code | test |\n|---|---|---|---|---|\n",
                );
            }
            let (code, tests) = (places(marks(clause), false), places(marks(clause), true));
            let note = match clause.status {
                Status::Obeyed => String::new(),
                status => {
                    let name = Status::ALL.iter().find(|(s, _)| *s == status).map_or("", |s| s.1);
                    format!(" *{name}: {}*", clause.reason)
                }
            };
            let (id, level, text) = (&clause.id, &clause.level, &clause.text);
            let _ = writeln!(page, "| {id} | {level} | {text}{note} | {code} | {tests} |");
        }
    }
    page.push_str("\n## Counts\n\n| RFC | clauses |");
    for (_, name) in Status::ALL {
        let _ = write!(page, " {name} |");
    }
    page.push_str(" obeyed, with a test |\n|---|---|---|---|---|---|---|---|---|\n");
    let tested = |clause: &&Clause| marks(clause).iter().any(|mark| mark.is_test);
    for (rfc, _) in RFCS {
        let _ = write!(page, "| {rfc} | {} |", of(rfc).count());
        for (status, _) in Status::ALL {
            let _ = write!(page, " {} |", of(rfc).filter(|clause| clause.status == status).count());
        }
        let obeyed = of(rfc).filter(|clause| clause.status == Status::Obeyed);
        let _ = writeln!(page, " {} |", obeyed.filter(tested).count());
    }
    let mut list = |heading: &str, wanted: &dyn Fn(&Clause) -> bool| {
        let _ = write!(page, "\n## {heading}\n\n");
        let mut none = true;
        for clause in index.clauses.iter().filter(|clause| wanted(clause)) {
            none = false;
            let (id, level, text, reason) =
                (&clause.id, &clause.level, &clause.text, &clause.reason);
            let note = if reason.is_empty() { String::new() } else { format!(" *({reason})*") };
            let _ = writeln!(page, "- {id}, {level}: {text}{note}");
        }
        if none {
            page.push_str("None.\n");
        }
    };
    list("Without code: open", &|clause| clause.status == Status::Open);
    list("Not to the letter", &|clause| matches!(clause.status, Status::Partly | Status::Departs));
    list("With code, without a test", &|clause| {
        clause.status.has_code() == Some(true) && !tested(&clause)
    });
    page
}

/// A page without its line numbers.
fn without_lines(page: &str) -> String {
    let mut parts = page.split("#L");
    let mut text = parts.next().unwrap_or_default().to_string();
    for part in parts {
        text.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    text
}

#[test]
fn clauses_and_marks_agree_and_the_page_is_what_they_say() {
    let index = index();
    assert!(index.wrong.is_empty(), "{}", index.wrong.join("\n"));
    let path = root().join("docs/RFC-INDEX.md");
    let page = page(&index);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).expect("docs can be written");
    }
    let written = fs::read_to_string(path).unwrap_or_default();
    assert!(
        without_lines(&written) == without_lines(&page),
        "run `UPDATE_DOCS=1 cargo test --test rfc_index`"
    );
}

#[test]
fn a_list_that_is_not_in_order_is_refused() {
    let wrong = |text: &str| clauses("9112", text).1.len();
    assert_eq!(
        wrong("# a comment\n\n9112-2-1 | MUST | a\n9112-2.10-1 | SHOULD NOT | b | open: c"),
        0
    );
    assert_eq!(wrong("9112-2-1 | MUST | a\n9112-2-1 | MUST | a"), 1, "twice");
    assert_eq!(wrong("9112-2.10-1 | MUST | a\n9112-2.9-1 | MUST | a"), 1, "order");
    assert_eq!(wrong("9112-2-1 | MUST | a\n9112-2.1-1 | MUST | a"), 0, "a section inside of it");
    assert_eq!(wrong("9110-2-1 | MUST | a"), 1, "another RFC");
    assert_eq!(wrong("9112-2-1 | MAY | a"), 1, "level");
    assert_eq!(wrong("9112-2 | MUST | a"), 1, "identifier");
    assert_eq!(wrong("9112-2-1 | MUST | a | done: b"), 1, "status");
    assert_eq!(wrong("9112-2-1 | MUST | a | open"), 1, "reason");
}

#[test]
fn marks_belong_to_the_item_behind_or_around_them() {
    let text = "\
// [9112-1-1] and [6455-2-3]; [1234-5] is none.
#[inline]
pub(crate) const fn first() {
    let x = 1;
    match x {
        // [9112-1-2]
        1 => {}
    }
}

#[cfg(test)]
mod tests {
    // [9112-1-1]
    #[test]
    fn second() {}
}
";
    let found: Vec<_> =
        marks("src/x.rs", text).into_iter().map(|m| (m.id, m.line, m.item, m.is_test)).collect();
    let own = |id: &str, line, item: &str, test| (id.to_string(), line, item.to_string(), test);
    let wanted = [
        own("9112-1-1", 1, "first", false),
        own("6455-2-3", 1, "first", false),
        own("9112-1-2", 6, "first", false),
        own("9112-1-1", 13, "second", true),
    ];
    assert_eq!(found, wanted);
    let long = "\
impl X {
    fn long(
        a: u8,
    ) -> u8
    where
        B: C,
    {
        // [9112-1-1]
        a
    }
}
";
    assert_eq!(marks("src/x.rs", long)[0].item, "long");
    let python = "@parametrize(\n    1,\n)\ndef test_it(a):\n    # [9110-2-1]\n    pass\n";
    assert_eq!(marks("tests/x.py", python)[0].item, "test_it");
}

#[test]
fn disagreements_are_told() {
    let complaints = |list: &str, source: &str| {
        let mut marked: BTreeMap<String, Vec<Mark>> = BTreeMap::new();
        for mark in marks("src/x.rs", source) {
            marked.entry(mark.id.clone()).or_default().push(mark);
        }
        complaints(&clauses("9112", list).0, &marked).len()
    };
    assert_eq!(complaints("9112-2-1 | MUST | a", "// [9112-2-1]\nfn a() {}"), 0);
    assert_eq!(complaints("9112-2-1 | MUST | a", ""), 1, "no code");
    assert_eq!(
        complaints("9112-2-1 | MUST | a", "mod tests {\n// [9112-2-1]\nfn a() {}\n"),
        1,
        "only a test"
    );
    assert_eq!(complaints("", "// [9112-2-1]\nfn a() {}"), 1, "no such clause");
    assert_eq!(
        complaints("9112-2-1 | MUST | a | open: b", "// [9112-2-1]\nfn a() {}"),
        1,
        "open, and marked"
    );
    assert_eq!(complaints("9112-2-1 | MUST | a | open: b", ""), 0);
    assert_eq!(complaints("9112-2-1 | MUST | a | application: b", ""), 0);
    assert_eq!(complaints("9112-2-1 | MUST | a", "// [9112-2-1]\n"), 1, "no item");
}

#[test]
fn line_numbers_alone_do_not_make_a_page_outdated() {
    assert_eq!(
        without_lines("[a](../a.rs#L12) `b` [c](../c.rs#L3)"),
        "[a](../a.rs) `b` [c](../c.rs)"
    );
}
