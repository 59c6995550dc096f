//! `docs/cases.md` names tests: they are there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// What stands between backticks, and the words between them.
fn quoted(cell: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut parts = cell.split('`');
    std::iter::from_fn(move || Some((parts.next()?, parts.next()?)))
}

#[test]
fn every_case_names_tests_that_there_are() {
    let document = std::fs::read_to_string(root().join("docs/cases.md")).unwrap();
    let rows = document.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let (mut short, mut numbers, mut missing) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
    for row in rows {
        let cells: Vec<&str> = row.split(" | ").collect();
        let (Some(first), Some(last)) = (cells.first(), cells.last()) else { continue };
        if first.len() == 1 && first.chars().all(|letter| letter.is_ascii_uppercase()) {
            short.insert(*first, quoted(last).next().unwrap().1);
            continue;
        }
        let of_row: Vec<u32> = first.split(", ").filter_map(|number| number.parse().ok()).collect();
        numbers.extend(of_row.iter().copied());
        if of_row.is_empty() || last.starts_with("no test") {
            continue;
        }
        let (mut text, mut tests) = (String::new(), 0);
        for (before, name) in quoted(last) {
            if let Some(path) =
                short.get(before.trim_matches([' ', ','])).copied().or(name.contains('/').then_some(name))
            {
                text = std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
            }
            if !name.contains('/') {
                tests += 1;
                let there = ["fn", "def"].iter().any(|word| text.contains(&format!("{word} {name}(")));
                missing.extend((!there).then(|| format!("case {first}: {name}")));
            }
        }
        assert!(tests > 0, "case {first} names no test");
    }
    assert!(missing.is_empty(), "docs/cases.md names tests that are not there:\n{}", missing.join("\n"));
    assert!(numbers.into_iter().eq(1..=47), "docs/cases.md has a row for each of the 47 cases");
}
