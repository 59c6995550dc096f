//! The built-in table.

use super::*;

fn rows() -> Vec<Value> {
    serde_json::from_str(include_str!("../../prices.json")).unwrap()
}

fn pico(row: &Value, key: &str) -> Option<u64> {
    row.get(key).map(|value| tollgate_config::UsdPerMillion::parse(value.as_str().unwrap()).unwrap().0)
}

#[test]
fn every_row_says_where_its_price_comes_from_and_when() {
    for row in rows() {
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        assert!(text("source").starts_with("https://"), "{row}");
        let date = text("date");
        let parts: Vec<u32> = date.split('-').map(|part| part.parse().unwrap()).collect();
        assert!(matches!(parts[..], [2025..=2030, 1..=12, 1..=31]) && date.len() == 10, "{row}");
    }
}

#[test]
fn no_row_stands_there_twice_and_each_finds_itself() {
    let mut seen = BTreeSet::new();
    for row in rows() {
        let (kind, model) = (row["kind"].as_str().unwrap(), row["model"].as_str().unwrap());
        assert!(seen.insert((kind.to_owned(), model.to_lowercase())), "{kind}/{model} twice");
        assert_eq!(builtin(kind, model), Some(format!("{kind}/{model}")));
    }
}

#[test]
fn nothing_that_only_begins_like_a_row_is_found() {
    for row in rows() {
        let (kind, model) = (row["kind"].as_str().unwrap(), row["model"].as_str().unwrap());
        for longer in ["-x", "x", "-mini-x", ".9", "-202", "-20261", "@x", ":x"] {
            let name = format!("{model}{longer}");
            assert_eq!(builtin(kind, &name), None, "{kind}/{name}");
        }
        for cut in 1..model.len() {
            let shorter = &model[..cut];
            let found = builtin(kind, shorter);
            // Only a version or a date may be missing; and Bedrock's region, where the row has none.
            let regionless = shorter.split_once('.').map_or(shorter, |(_, rest)| rest);
            let fits = found.as_ref().is_none_or(|found| {
                let name = found.split_once('/').unwrap().1;
                let behind = name.strip_prefix(shorter).or_else(|| name.strip_prefix(regionless)).unwrap_or(name);
                behind.is_empty() || ["-v", "-20", "-1:0", ":"].iter().any(|tail| behind.starts_with(tail))
            });
            assert!(fits, "{kind}/{shorter} is priced as {found:?}");
        }
    }
}

#[test]
fn prices_are_plausible() {
    for row in rows() {
        let (input, output) = (pico(&row, "input").unwrap(), pico(&row, "output").unwrap());
        let embeds = row["model"].as_str().unwrap().contains("embed");
        let search = pico(&row, "search").unwrap_or(0);
        let second = pico(&row, "second").unwrap_or(0);
        let by_token = input > 0 && input < 1_000_000_000;
        let by_unit = (100_000_000..=10_000_000_000).contains(&search) || (1_000_000..=1_000_000_000).contains(&second);
        assert!(by_token || by_unit, "{row}");
        assert!(if embeds { output == 0 } else { output >= input }, "{row}");
        assert!(pico(&row, "cacheRead").is_none_or(|read| read <= input), "{row}");
        let write = pico(&row, "cacheWrite").unwrap_or(input);
        assert!(write >= input && pico(&row, "cacheWrite1h").is_none_or(|hour| hour >= write), "{row}");
        for tier in row["above"].as_array().into_iter().flatten() {
            assert!(pico(tier, "input").unwrap() >= input && pico(tier, "output").unwrap() >= output, "{row}");
            for part in ["cacheRead", "cacheWrite", "cacheWrite1h"] {
                assert!(row.get(part).is_none() || tier.get(part).is_some(), "{row} lacks {part} in a tier");
            }
        }
    }
}

#[test]
fn models_of_today_have_prices() {
    for (kind, model) in [
        ("openAI", "gpt-6.1-sol"),
        ("openAI", "text-embedding-3-small"),
        ("anthropic", "claude-opus-5-5"),
        ("anthropic", "claude-haiku-5-5"),
        ("bedrock", "us.anthropic.claude-sonnet-5-5"),
        ("bedrock", "us.meta.llama4-scout-17b-instruct-v1:0"),
        ("bedrock", "us.deepseek.r1-v1:0"),
        ("bedrock", "cohere.embed-v4:0"),
        ("gemini", "gemini-3.8-flash"),
        ("azure", "gpt-5.4"),
        ("vertex", "gemini-3.1-pro-preview"),
    ] {
        assert!(builtin(kind, model).is_some(), "{kind} {model}");
    }
}
