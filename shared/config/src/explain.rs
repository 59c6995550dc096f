//! From a reading fault to a message: the nearest known key, agentgateway's words, what to write instead.

use crate::Problem;
use crate::de::{Fault, FaultKind};
use crate::tree::{Path, is_word};
use crate::words;

/// The message for one fault.
pub(crate) fn problem(fault: &Fault) -> Problem {
    let path = fault.path();
    let (message, remedy) = match &fault.kind {
        FaultKind::UnknownKey { key, known } => unknown_key(&path, key, known),
        FaultKind::UnknownChoice { found, known } => unknown_choice(&path, found, known),
        FaultKind::NotOneKey { known } => {
            let named: Vec<String> =
                known.iter().filter(|word| !is_alias(word)).map(|word| format!("{{{word}: ..}}")).collect();
            ("must have exactly one key".to_owned(), Some(format!("write one of {}", named.join(", "))))
        }
        FaultKind::MissingKey(key) => (format!("the key `{key}` is missing"), None),
        FaultKind::WrongType { found, expected } => wrong_type(found, expected),
        FaultKind::Invalid(message) if message.contains("socket address") => {
            ("is not an address".to_owned(), Some("write one with a port, such as 127.0.0.1:8787".to_owned()))
        }
        FaultKind::Invalid(message) => (message.clone(), None),
    };
    let place = fault.place;
    Problem { path: path.to_string(), line: place.map(|p| p.line), column: place.map(|p| p.column), message, remedy }
}

fn unknown_key(path: &Path, key: &str, known: &[&str]) -> (String, Option<String>) {
    if let Some((message, remedy)) = words::unserved_key(&path.parent(), key) {
        return (message, Some(remedy.to_owned()));
    }
    let remedy = match nearest(key, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "nothing may stand here".to_owned(),
        None => format!("known here: {}", known.join(", ")),
    };
    ("unknown key".to_owned(), Some(remedy))
}

fn unknown_choice(path: &Path, found: &str, known: &[&str]) -> (String, Option<String>) {
    let secret = path.passes("backendAuth") && !is_word(found);
    if !secret && let Some((message, remedy)) = words::unserved_choice(path, found) {
        return (message, Some(remedy.to_owned()));
    }
    let message = if secret { "unknown value".to_owned() } else { format!("unknown value `{found}`") };
    let listed: Vec<&str> = known.iter().copied().filter(|word| !is_alias(word)).collect();
    let remedy = match nearest(found, &listed) {
        Some(near) => format!("did you mean `{near}`? Known: {}", listed.join(", ")),
        None => format!("known: {}", listed.join(", ")),
    };
    (message, Some(remedy))
}

/// Second spellings that are read but not advertised.
fn is_alias(word: &str) -> bool {
    matches!(word, "openai" | "Completions" | "Messages" | "Enabled" | "Disabled")
}

fn wrong_type(found: &str, expected: &str) -> (String, Option<String>) {
    let wanted = match expected {
        "a string" => "a text",
        "a boolean" => "true or false",
        "u32" | "u64" => "a whole number, 0 or more",
        "a sequence" => "a list",
        "a map" => "a mapping",
        _ if expected.starts_with("struct ") => "a mapping",
        _ if expected.contains("socket address") => "an address and a port, such as 127.0.0.1:8787",
        other => other,
    };
    let quotable = wanted == "a text" && matches!(found, "a number" | "true or false");
    (format!("expected {wanted}, found {found}"), quotable.then(|| "put it in quotes".to_owned()))
}

/// The known word that a misspelt one most likely means.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    if word.len() > 64 {
        return None;
    }
    let lower = word.to_ascii_lowercase();
    let at_most = (word.chars().count() / 3).clamp(1, 3);
    known
        .iter()
        .map(|candidate| (distance(&lower, &candidate.to_ascii_lowercase()), *candidate))
        .filter(|(distance, _)| *distance <= at_most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words: insert, delete, replace, or swap two neighbours (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    let mut last_a = None;
    for (i, ca) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        let mut last_b = None;
        for (j, cb) in b.iter().copied().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&previous, j) + usize::from(ca != cb);
            let mut best = replaced.min(at(&previous, j + 1) + 1).min(at(&row, j) + 1);
            if last_a == Some(cb) && last_b == Some(ca) && j > 0 {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
            last_b = Some(cb);
        }
        before = std::mem::replace(&mut previous, row);
        last_a = Some(ca);
    }
    previous.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_inserts_deletes_replacements_and_swaps() {
        for (a, b, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("weight", "weight", 0),
            ("wieght", "weight", 1),
            ("weigh", "weight", 1),
            ("weightt", "weight", 1),
            ("waight", "weight", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_word_ignores_case_and_gives_up_on_strangers() {
        let known = ["baseUrl", "hostOverride", "weight"];
        assert_eq!(nearest("baseURL", &known), Some("baseUrl"));
        assert_eq!(nearest("hostOveride", &known), Some("hostOverride"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest(&"w".repeat(1000), &known), None);
    }
}
