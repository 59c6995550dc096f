//! Checks of `limits`.

use super::Report;
use crate::tree::Path;
use crate::{LedgerTable, Limits, PriceEntry, Raise};

/// Longer than anybody waits for an admission.
const MAX_LEDGER_MS: u64 = 60_000;
const MAX_CACHE_S: u64 = 86_400;
const MAX_TOKENS: u64 = 10_000_000;
/// The tiers that are there without configuration.
const TIERS: [&str; 4] = ["sandbox", "standard", "premium", "enterprise"];

pub(super) fn check(limits: &Limits, report: &mut Report<'_>) {
    let path = Path::of("limits");
    check_table(&limits.ledger, &path.key("ledger"), report);
    for (key, value, max) in [
        ("timeoutMs", limits.timeout_ms, MAX_LEDGER_MS),
        ("promptBytesPerToken", limits.prompt_bytes_per_token, 100),
        ("imageTokens", limits.image_tokens, MAX_TOKENS),
        ("defaultOutputTokens", limits.default_output_tokens, MAX_TOKENS),
    ] {
        report.in_range(&path.key(key), value, max);
    }
    if limits.cache_seconds.is_some_and(|seconds| seconds > MAX_CACHE_S) {
        report.add(&path.key("cacheSeconds"), "is more than a day", "changes would come a day late");
    }
    for (i, percent) in limits.warn_at.iter().flatten().enumerate() {
        if !(1..=100).contains(percent) {
            report.add(
                &path.key("warnAt").index(i),
                format!("{percent} is no share of a budget"),
                "write 1 to 100, per cent",
            );
        }
    }
    check_teams(limits, &path, report);
    for (name, price) in &limits.prices {
        let path = path.key("prices").key(name);
        report.not_blank(&path, name);
        check_price(price, &path, report);
    }
    if let Some(price) = &limits.unknown_model_price {
        check_price(price, &path.key("unknownModelPrice"), report);
    }
}

/// A table of DynamoDB's, or what stands in for it.
pub(super) fn check_table(ledger: &LedgerTable, path: &Path, report: &mut Report<'_>) {
    if ledger.file.is_some() && ledger.endpoint.is_some() {
        report.add(
            &path.key("file"),
            "stands beside `endpoint`",
            "keep one: a file of this machine, or an emulator's address",
        );
    }
    if let Some(endpoint) = &ledger.endpoint
        && !["http://", "https://"].iter().any(|scheme| endpoint.starts_with(scheme))
    {
        report.add(
            &path.key("endpoint"),
            "is no address",
            "write http://127.0.0.1:8000, or leave it out for DynamoDB itself",
        );
    }
    let texts = [("table", &ledger.table), ("region", &ledger.region), ("file", &ledger.file)];
    for (key, text) in texts {
        if let Some(text) = text {
            report.not_blank(&path.key(key), text);
        }
    }
}

fn check_teams(limits: &Limits, path: &Path, report: &mut Report<'_>) {
    for name in limits.tiers.keys() {
        report.not_blank(&path.key("tiers").key(name), name);
    }
    for (name, team) in &limits.teams {
        let path = path.key("teams").key(name);
        report.not_blank(&path, name);
        if let Some(tier) = team.tier.as_deref()
            && !TIERS.contains(&tier)
            && !limits.tiers.contains_key(tier)
        {
            let known: Vec<&str> = TIERS.into_iter().chain(limits.tiers.keys().map(String::as_str)).collect();
            report.add(&path.key("tier"), format!("no tier `{tier}`"), &format!("there are {}", known.join(", ")));
        }
        for (i, raise) in team.raises.iter().enumerate() {
            check_raise(raise, &path.key("raises").index(i), report);
        }
    }
}

fn check_raise(raise: &Raise, path: &Path, report: &mut Report<'_>) {
    if !is_day(&raise.until) {
        report.add(&path.key("until"), format!("`{:.20}` is no day", raise.until), "write the last day as 2026-12-31");
    }
}

/// A day of the calendar, roughly: the 31st of a shorter month does no harm.
fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return false };
    let number = |part: &str, digits: usize| {
        (part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| part.parse::<u32>().ok())
            .flatten()
    };
    let (Some(year), Some(month), Some(day)) = (number(year, 4), number(month, 2), number(day, 2)) else {
        return false;
    };
    let longest = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 29,
        _ => 31,
    };
    year >= 2000 && (1..=12).contains(&month) && (1..=longest).contains(&day)
}

fn check_price(price: &PriceEntry, path: &Path, report: &mut Report<'_>) {
    report.in_range(&path.key("maxInputTokens"), price.max_input_tokens, MAX_TOKENS);
    report.in_range(&path.key("maxOutputTokens"), price.max_output_tokens, MAX_TOKENS);
    for (i, above) in price.above.iter().enumerate() {
        if above.tokens == 0 || price.above.iter().take(i).any(|earlier| earlier.tokens >= above.tokens) {
            report.add(
                &path.key("above").index(i).key("tokens"),
                "is not larger than the size before it",
                "sort them, smallest first",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::parse;

    #[test]
    fn limits_that_make_no_sense_are_refused() {
        for (yaml, says) in [
            ("ledger: {file: a, endpoint: 'http://127.0.0.1:1'}", "stands beside"),
            ("ledger: {endpoint: 'localhost:8000'}", "is no address"),
            ("timeoutMs: 0", "more than 0"),
            ("warnAt: [50, 120]", "no share of a budget"),
            ("teams: {a: {tier: premum}}", "no tier `premum`"),
            ("teams: {a: {raises: [{until: soon}]}}", "is no day"),
            ("teams: {a: {raises: [{until: 2026-02-30}]}}", "is no day"),
            (
                "prices: {m: {input: 1, output: 1, above: [{tokens: 9, input: 1, output: 1}, {tokens: 9, input: 2, output: 2}]}}",
                "not larger",
            ),
            ("tiers: {a: {usdPerMonth: -1}}", "amount of dollars"),
            ("tiers: {a: {usdPerMonth: 0.0000000001}}", "decimal places"),
            ("tiers: {a: {usdPerYear: 1}}", "unknown key"),
        ] {
            let error = parse(&format!("limits:\n  {yaml}\n"), "f").unwrap_err().to_string();
            assert!(error.contains(says), "{yaml}: {error}");
        }
    }

    #[test]
    fn a_place_for_responses_that_makes_no_sense_is_refused() {
        for (yaml, says) in [
            ("state: {file: a, endpoint: 'http://127.0.0.1:1'}", "responses.state.file: stands beside"),
            ("state: {endpoint: 'localhost:8000'}", "is no address"),
            ("state: {tabel: a}", "did you mean `table`"),
            ("keepDays: 0", "more than 0"),
            ("keepDays: 10000", "more than 3653"),
            ("timeoutMs: 0", "more than 0"),
        ] {
            let error = parse(&format!("responses:\n  {yaml}\n"), "f").unwrap_err().to_string();
            assert!(error.contains(says), "{yaml}: {error}");
        }
        let config = parse("responses: {state: {}}", "f").unwrap();
        assert_eq!(config.responses.keep_for().as_secs(), 30 * 86_400);
        assert_eq!(parse("{}", "f").unwrap().responses.state, None);
    }

    #[test]
    fn amounts_are_numbers_or_texts() {
        for amount in ["12.5", "'12.5'", "12.50"] {
            let config = parse(&format!("limits: {{tiers: {{a: {{usdPerMonth: {amount}}}}}}}"), "f").unwrap();
            assert_eq!(config.limits.unwrap().tiers["a"].usd_per_month, Some(crate::Usd(12_500_000_000)));
        }
    }
}
