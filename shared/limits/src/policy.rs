//! Which limits apply to a request: tier, team, user, models, gateway.

use std::collections::BTreeMap;
use std::time::SystemTime;

use tollgate_config::{Budget, LimitSet, Limits, Raise, TeamLimits, Usd, pattern};

use crate::scope::{Counter, Owner, Scope};
use crate::window::not_after;

/// The tiers that are there without configuration.
fn built_in(tier: &str) -> Option<LimitSet> {
    let (requests, tokens, usd) = match tier {
        "sandbox" => (20, 100_000, 25),
        "standard" => (100, 1_000_000, 100),
        "premium" => (500, 10_000_000, 1_000),
        "enterprise" => return Some(LimitSet::default()),
        _ => return None,
    };
    Some(LimitSet {
        requests_per_minute: Some(requests),
        tokens_per_day: Some(tokens),
        usd_per_month: Some(Usd(usd * 1_000_000_000)),
        models: BTreeMap::new(),
    })
}

/// Who asks, and for which models: the alias's result and what the providers are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) team: &'a str,
    pub(crate) tier: &'a str,
    pub(crate) user: Option<&'a str>,
    pub(crate) models: &'a [&'a str],
}

/// The scopes that hold this request, the team's first. `overrides` is what the table says of the team; it wins over the file. Empty: nothing limits it.
pub(crate) fn scopes(limits: &Limits, overrides: Option<&TeamLimits>, of: Subject<'_>, now: SystemTime) -> Vec<Scope> {
    let mut scopes = Vec::new();
    let team = team_scope(limits, overrides, of, now);
    if team.is_limited() {
        scopes.push(team);
    }
    if let Some(user) = of.user {
        let own = limits.users.overrides.get(user).and_then(|budget| budget.usd_per_month);
        if let Some(Usd(max)) = own.or(limits.users.usd_per_month) {
            scopes.push(Scope::money(Owner::User, user, max));
        }
    }
    for (name, budget) in matching(&limits.models, of.models) {
        if let Some(Usd(max)) = budget.usd_per_month {
            scopes.push(Scope::money(Owner::Model, name, max));
        }
    }
    if let Some(Usd(max)) = limits.gateway.usd_per_month {
        scopes.push(Scope::money(Owner::Gateway, "", max));
    }
    scopes
}

/// A tier that nobody has defined gives the smallest limits there are: a typing error must not mean "unlimited".
fn tier_limits(limits: &Limits, tier: &str) -> LimitSet {
    limits.tiers.get(tier).cloned().or_else(|| built_in(tier)).unwrap_or_else(|| {
        tracing::warn!(tollgate.tier = tier, "a tier that is not defined; `sandbox` is used for it");
        limits.tiers.get("sandbox").cloned().or_else(|| built_in("sandbox")).unwrap_or_default()
    })
}

fn team_scope(limits: &Limits, overrides: Option<&TeamLimits>, of: Subject<'_>, now: SystemTime) -> Scope {
    let layers: Vec<&TeamLimits> = limits.teams.get(of.team).into_iter().chain(overrides).collect();
    let tier = layers.iter().rev().find_map(|layer| layer.tier.as_deref()).unwrap_or(of.tier);
    let mut set = tier_limits(limits, tier);
    for layer in &layers {
        set.requests_per_minute = layer.requests_per_minute.or(set.requests_per_minute);
        set.tokens_per_day = layer.tokens_per_day.or(set.tokens_per_day);
        set.usd_per_month = layer.usd_per_month.or(set.usd_per_month);
        set.models.extend(layer.models.clone());
    }
    for raise in layers.iter().flat_map(|layer| &layer.raises) {
        if holds(raise, now) {
            let plus = |limit: Option<u64>, by: u64| limit.map(|limit| limit.saturating_add(by));
            set.requests_per_minute = plus(set.requests_per_minute, raise.requests_per_minute);
            set.tokens_per_day = plus(set.tokens_per_day, raise.tokens_per_day);
            set.usd_per_month = plus(set.usd_per_month.map(|usd| usd.0), raise.usd_per_month.0).map(Usd);
        }
    }
    let mut counters = vec![
        (Counter::Requests, set.requests_per_minute),
        (Counter::Tokens, set.tokens_per_day),
        (Counter::Money, set.usd_per_month.map(|usd| usd.0)),
    ];
    for (name, budget) in matching(&set.models, of.models) {
        if let Some(Usd(max)) = budget.usd_per_month {
            counters.push((Counter::ModelMoney(name.to_owned()), Some(max)));
        }
    }
    Scope { key: format!("team#{}", of.team), owner: Owner::Team, counters }
}

/// Budgets whose pattern matches one of the models; each holds by itself.
fn matching<'a>(
    budgets: &'a BTreeMap<String, Budget>,
    models: &'a [&'a str],
) -> impl Iterator<Item = (&'a str, &'a Budget)> {
    // Some providers take a name in any case.
    let models: Vec<String> = models.iter().map(|model| model.to_lowercase()).collect();
    budgets
        .iter()
        .filter(move |(name, _)| models.iter().any(|model| pattern::matches(&name.to_lowercase(), model)))
        .map(|(name, budget)| (name.as_str(), budget))
}

/// A raise whose end is no day does not hold; `gateway check` has refused it in a file.
fn holds(raise: &Raise, now: SystemTime) -> bool {
    not_after(now, &raise.until).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits(yaml: &str) -> Limits {
        tollgate_config::parse(&format!("limits:\n{yaml}"), "test").unwrap().limits.unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn subject<'a>(team: &'a str, tier: &'a str, models: &'a [&'a str]) -> Subject<'a> {
        Subject { team, tier, user: Some("u1"), models }
    }

    #[test]
    fn the_tiers_are_those_of_the_design() {
        let limits = Limits::default();
        for (tier, expected) in [
            ("sandbox", [Some(20), Some(100_000), Some(25_000_000_000)]),
            ("standard", [Some(100), Some(1_000_000), Some(100_000_000_000)]),
            ("premium", [Some(500), Some(10_000_000), Some(1_000_000_000_000)]),
            ("unheard-of", [Some(20), Some(100_000), Some(25_000_000_000)]),
        ] {
            let scopes = scopes(&limits, None, subject("a", tier, &[]), at(0));
            assert_eq!(scopes.len(), 1);
            assert_eq!(scopes[0].counters.iter().map(|(_, max)| *max).collect::<Vec<_>>(), expected, "{tier}");
        }
        assert!(scopes(&limits, None, subject("a", "enterprise", &[]), at(0)).is_empty());
    }

    #[test]
    fn a_team_replaces_what_it_names_and_a_raise_adds_until_it_ends() {
        let limits = limits(
            "  teams:\n    search:\n      usdPerMonth: 10\n      raises: [{until: '2026-12-31', usdPerMonth: 5, requestsPerMinute: 1}]\n",
        );
        let of = subject("search", "standard", &[]);
        let team = |day: u64| scopes(&limits, None, of, at(day * 86_400))[0].counters.clone();
        let expected = |rpm, usd: u64| {
            vec![(Counter::Requests, Some(rpm)), (Counter::Tokens, Some(1_000_000)), (Counter::Money, Some(usd))]
        };
        assert_eq!(team(20_818), expected(101, 15_000_000_000));
        assert_eq!(team(20_819), expected(100, 10_000_000_000));
        let stored =
            TeamLimits { usd_per_month: Some(Usd(7)), tier: Some("premium".to_owned()), ..TeamLimits::default() };
        let both = scopes(&limits, Some(&stored), of, at(20_820 * 86_400));
        assert_eq!(both[0].counters[0], (Counter::Requests, Some(500)), "the table's tier");
        assert_eq!(both[0].counters[2], (Counter::Money, Some(7)), "the table wins over the file");
    }

    #[test]
    fn every_budget_that_applies_is_there() {
        let limits = limits(
            "  users: {usdPerMonth: 1, overrides: {u2: {usdPerMonth: 2}}}\n  models: {'gpt-4*': {usdPerMonth: 3}, 'claude*': {usdPerMonth: 4}}\n  \
             gateway: {usdPerMonth: 5}\n  tiers: {standard: {models: {'gpt*': {usdPerMonth: 6}}}}\n",
        );
        let found = scopes(&limits, None, subject("a", "standard", &["gpt-4o"]), at(0));
        let keys: Vec<&str> = found.iter().map(|scope| scope.key.as_str()).collect();
        assert_eq!(keys, ["team#a", "user#u1", "model#gpt-4*", "gateway"]);
        assert_eq!(scopes(&limits, None, subject("a", "standard", &["GPT-4o"]), at(0)), found, "in any case");
        assert_eq!(found[0].counters.last(), Some(&(Counter::ModelMoney("gpt*".to_owned()), Some(6_000_000_000))));
    }
}
