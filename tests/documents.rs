//! What the documents show of measurements is what was measured: tables are copies of files in
//! `docs/perf`, which scripts in `benches` write, and nothing shown is past its budget.
//!
//! `UPDATE_DOCS=1 cargo test --test documents` copies anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Documents that hold copies, or links to charts.
const DOCUMENTS: [&str; 2] = ["README.md", "docs/PERFORMANCE.md"];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text with each copy, between `<!-- copy of FILE -->` and `<!-- end of copy -->`, made anew;
/// and how many there are.
fn with_copies(text: &str) -> (String, usize) {
    const END: &str = "<!-- end of copy -->";
    let mut pieces = text.split("<!-- copy of ");
    let mut out = pieces.next().unwrap_or_default().to_string();
    let mut copies = 0;
    for piece in pieces {
        let (file, rest) = piece.split_once(" -->").expect("the mark names a file and ends");
        let (_, after) = rest.split_once(END).expect("a copy has an end");
        let copy = read(file);
        out.push_str(&format!("<!-- copy of {file} -->\n\n{}\n\n{END}{after}", copy.trim_end()));
        copies += 1;
    }
    (out, copies)
}

#[test]
fn tables_are_what_the_scripts_wrote() {
    for document in DOCUMENTS {
        let text = read(document);
        let (anew, copies) = with_copies(&text);
        assert!(copies > 0, "{document} holds no copy");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
            // At once, as other tests read it.
            let beside = path.with_extension("anew");
            fs::write(&beside, anew).expect("the document can be written");
            fs::rename(&beside, &path).expect("and take its place");
        } else {
            assert!(
                text == anew,
                "{document} is out of date: UPDATE_DOCS=1 cargo test --test documents"
            );
        }
    }
}

#[test]
fn what_is_linked_is_there() {
    for document in DOCUMENTS {
        let folder = Path::new(document).parent().expect("it is a file");
        let text = read(document);
        let mut links = 0;
        for piece in text.split("](").skip(1) {
            let target = piece.split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(target);
            assert!(path.exists(), "{document} links {target}, which is not there");
            links += 1;
        }
        assert!(links > 0, "{document} links nothing");
    }
}

/// Lines of a file without quotes and commas in its fields, by the names of its columns.
fn table(path: &str) -> Vec<BTreeMap<String, String>> {
    let text = read(path);
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_string));
    let names: Vec<String> = lines.next().expect("a head").collect();
    lines.map(|line| names.iter().cloned().zip(line).collect()).collect()
}

#[test]
fn nothing_that_is_shown_is_past_its_budget() {
    let mut shown: BTreeMap<String, f64> = BTreeMap::new();
    for row in table("docs/perf/profile.csv") {
        if row["way"] == "served" {
            let cost: f64 = row["instructions"].parse().expect("a number");
            *shown.entry(row["scenario"].clone()).or_default() += cost;
        }
    }
    assert_eq!(shown.len(), 4, "get, get16, echo, echo16");
    for (scenario, cost) in shown {
        let budgets = read("benches/budgets.txt");
        let budget: f64 = budgets
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|words| words.len() > 2 && words[..2] == ["served", scenario.as_str()])
            .and_then(|words| words[2].parse().ok())
            .unwrap_or_else(|| panic!("{scenario} has no budget"));
        assert!(
            cost <= budget,
            "docs/perf shows {cost:.0} instructions for {scenario}, of {budget}: run \
             benches/performance.sh"
        );
    }
}

#[test]
fn each_curve_has_its_points() {
    for (curve, points, most) in
        [("connections", 10, "10000"), ("sizes", 9, "1048576"), ("receivers", 8, "1000")]
    {
        let rows: Vec<_> =
            table("docs/perf/curves.csv").into_iter().filter(|row| row["curve"] == curve).collect();
        assert_eq!(rows.len(), points, "{curve}");
        assert!(rows.iter().any(|row| row["x"] == most), "{curve} ends before {most}");
        for row in rows {
            let positive = ["cpu_us", "instructions"]
                .iter()
                .all(|column| row[*column].parse::<f64>().is_ok_and(|value| value > 0.0));
            assert!(positive, "{row:?}");
        }
    }
}
