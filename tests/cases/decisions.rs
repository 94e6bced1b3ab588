//! `docs/HTTP-DECISIONS.md` and the rows agree: each decision of the page is shown by a row, each
//! row belongs to a decision, and what the page says of answers and sections is what the rows get.

use std::collections::BTreeMap;

use crate::{answers, rows};

/// The lines of the page that decide something, by the name of the decision.
fn page() -> BTreeMap<&'static str, String> {
    let page = include_str!("../../docs/HTTP-DECISIONS.md");
    let mut decisions: BTreeMap<&'static str, String> = BTreeMap::new();
    let mut last = "";
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("| `") {
            let (name, text) = rest.split_once("` |").expect("a decision has a name");
            assert!(decisions.insert(name, text.to_string()).is_none(), "{name} is there twice");
            last = name;
        } else if let Some(more) = line.strip_prefix("| | ") {
            // A line without a name belongs to the decision above it.
            decisions.get_mut(last).expect("a decision above").push_str(more);
        }
    }
    decisions
}

#[test]
fn each_decision_has_a_row_and_each_row_a_decision() {
    let page = page();
    let mut shown: Vec<_> = rows().iter().map(|row| row.decision).collect();
    shown.extend(answers::rows().iter().map(|row| row.decision));
    shown.sort_unstable();
    shown.dedup();
    let written: Vec<_> = page.keys().copied().collect();
    assert_eq!(written.iter().find(|name| !shown.contains(name)), None, "no row shows it");
    assert_eq!(shown, written, "rows on the left, the page on the right");
}

#[test]
fn the_page_says_what_the_rows_get() {
    let page = page();
    for row in rows() {
        let Some(line) = page.get(row.decision) else { continue };
        match row.refused {
            Some(refused) => {
                let (status, section) = (refused.status().to_string(), refused.section());
                assert!(line.contains(&status), "{}: no {status} in {line}", row.name);
                let number = section.rsplit(' ').next().expect("a section has a number");
                assert!(line.contains(number), "{}: no {section} in {line}", row.name);
            }
            None => {
                assert!(line.contains("served") || line.contains("wait"), "{}: {line}", row.name)
            }
        }
    }
}

#[test]
fn the_classes_of_smuggling_name_decisions() {
    let text = include_str!("../../docs/HTTP-DECISIONS.md");
    let (_, classes) = text.split_once("## Classes").expect("the page lists the classes");
    let (classes, _) = classes.split_once("\n## ").expect("another section follows");
    let page = page();
    let mut named = 0;
    for name in classes.split('`').skip(1).step_by(2) {
        assert!(page.contains_key(name), "{name} is no decision");
        named += 1;
    }
    assert!(named > 20, "{named}");
}
