//! Tiers, teams, prices and the ledger together.

use std::time::Duration;

use tollgate_limits::{Ask, Call, Limiter, Prompt, Spent, Verdict, What};
use tollgate_wire::ir::Usage;

use crate::support::{limiter, now};

const CALLS: &[Call<'static>] = &[Call { kind: "custom", model: "m" }];

pub(crate) fn ask<'a>(team: &'a str, tier: &'a str) -> Ask<'a> {
    Ask {
        team,
        tier,
        user: None,
        model: "m",
        calls: CALLS,
        prompt: Prompt { tokens: 10, bound: 30, ..Prompt::default() },
        max_output_tokens: Some(100),
        choices: 1,
        service: None,
        extras: None,
        deadline: now() + Duration::from_secs(600),
        what: What::All,
        external_id: None,
    }
}

const PRICES: &str = "  prices: {'custom/m': {input: 1, output: 10, maxOutputTokens: 1000}}\n";

async fn reserved_tokens(limiter: &Limiter, ask: &Ask<'_>) -> u64 {
    match limiter.reserve(ask, now()).await {
        Verdict::Admitted(reservation, _) => {
            let tokens = reservation.amount().tokens;
            limiter.ledger().release(&reservation).await;
            tokens
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_missing_cap_reserves_a_default_and_a_huge_one_the_models_ceiling() {
    let limiter = limiter(PRICES).await;
    let with = |max_output_tokens| Ask { max_output_tokens, ..ask("a", "premium") };
    assert_eq!(reserved_tokens(&limiter, &with(None)).await, 10 + 1_000, "4,096, at most the ceiling");
    assert_eq!(reserved_tokens(&limiter, &with(Some(999_999_999))).await, 10 + 1_000);
    assert_eq!(reserved_tokens(&limiter, &with(Some(5))).await, 15);
    assert_eq!(reserved_tokens(&limiter, &Ask { choices: 3, ..with(Some(5)) }).await, 25);
}

#[tokio::test]
async fn a_model_without_a_price_is_refused_under_a_budget_and_priced_by_configuration() {
    let unpriced = limiter("").await;
    assert!(
        matches!(unpriced.reserve(&ask("a", "standard"), now()).await, Verdict::Unpriced(model) if model == "custom/m")
    );
    assert!(
        matches!(unpriced.reserve(&ask("a", "enterprise"), now()).await, Verdict::Admitted(..)),
        "no budget, no price"
    );
    let priced = limiter("  unknownModelPrice: {input: 1, output: 2}\n").await;
    let Verdict::Admitted(reservation, _) = priced.reserve(&ask("a", "standard"), now()).await else { panic!() };
    assert_eq!(
        reservation.amount().nano_usd,
        30 * 1_000 + 100 * 2_000,
        "the prompt by its bytes, the output by its cap"
    );
}

#[tokio::test]
async fn eight_first_requests_of_an_unknown_team_hold_the_limit() {
    let limiter = std::sync::Arc::new(limiter(&format!("  tiers: {{tiny: {{requestsPerMinute: 3}}}}\n{PRICES}")).await);
    let calls = (0..8).map(|_| {
        let limiter = limiter.clone();
        tokio::spawn(async move { matches!(limiter.reserve(&ask("new", "tiny"), now()).await, Verdict::Admitted(..)) })
    });
    let mut passed = 0;
    for call in calls.collect::<Vec<_>>() {
        passed += usize::from(call.await.unwrap());
    }
    assert_eq!(passed, 3);
}

#[tokio::test]
async fn five_concurrent_calls_against_room_for_one() {
    let limiter = std::sync::Arc::new(limiter(&format!("  tiers: {{tiny: {{tokensPerDay: 150}}}}\n{PRICES}")).await);
    let calls = (0..5).map(|_| {
        let limiter = limiter.clone();
        tokio::spawn(async move { matches!(limiter.reserve(&ask("a", "tiny"), now()).await, Verdict::Admitted(..)) })
    });
    let mut passed = 0;
    for call in calls.collect::<Vec<_>>() {
        passed += usize::from(call.await.unwrap());
    }
    assert_eq!(passed, 1);
}

#[tokio::test]
async fn usage_of_zero_costs_zero() {
    let limiter = limiter(PRICES).await;
    let Verdict::Admitted(reservation, _) = limiter.reserve(&ask("a", "standard"), now()).await else { panic!() };
    let usage = Usage { input: Some(0), output: Some(0), ..Usage::default() };
    let bill = limiter.bill(vec![Spent { kind: "custom".into(), model: "m".into(), usage, estimated: false }]);
    assert_eq!((bill.tokens, bill.nano_usd), (0, 0));
    limiter.settle(reservation, "a", &bill, now()).await;
    let Verdict::Admitted(_, standings) = limiter.reserve(&ask("a", "standard"), now()).await else { panic!() };
    assert_eq!(standings.iter().map(|standing| standing.remaining).collect::<Vec<_>>()[..2], [98, 1_000_000 - 110]);
}

#[tokio::test]
async fn limits_and_prices_of_the_table_are_read_again_when_they_are_old() {
    let limiter = limiter("  cacheSeconds: 0\n  tiers: {tiny: {requestsPerMinute: 0}}\n").await;
    assert!(matches!(limiter.reserve(&ask("a", "tiny"), now()).await, Verdict::Refused(_)));
    limiter.ledger().put_team_limits("a", r#"{"requestsPerMinute": 5, "usdPerMonth": 1}"#).await.unwrap();
    assert!(matches!(limiter.reserve(&ask("a", "tiny"), now()).await, Verdict::Unpriced(_)));
    limiter.ledger().put_prices(r#"{"custom/m": {"input": 1, "output": 1}}"#).await.unwrap();
    assert!(matches!(limiter.reserve(&ask("a", "tiny"), now()).await, Verdict::Admitted(..)));
    limiter.ledger().put_prices("{nonsense").await.unwrap();
    assert!(
        matches!(limiter.reserve(&ask("a", "tiny"), now()).await, Verdict::Admitted(..)),
        "the last good ones stay"
    );
}

#[tokio::test]
async fn without_the_ledger_failure_mode_decides() {
    for (mode, passes) in [("open", true), ("closed", false)] {
        let yaml = format!(
            "limits: {{failureMode: {mode}, ledger: {{endpoint: 'http://127.0.0.1:1'}}, prices: {{m: {{input: 1, output: 1}}}}}}"
        );
        let config = tollgate_config::parse(&yaml, "test").unwrap();
        let limiter = Limiter::new(config.limits.as_ref(), crate::support::no_sdk()).unwrap();
        for _ in 0..8 {
            let verdict = limiter.reserve(&ask("a", "standard"), now()).await;
            assert_eq!(matches!(verdict, Verdict::Degraded(_)), passes, "{mode}: {verdict:?}");
            assert_eq!(matches!(verdict, Verdict::Closed), !passes, "{mode}");
        }
    }
}

#[tokio::test]
async fn quota_off_needs_no_ledger() {
    let config = tollgate_config::parse("limits: {quota: off}", "test").unwrap();
    assert!(Limiter::new(config.limits.as_ref(), crate::support::no_sdk()).is_none());
    assert!(Limiter::new(None, crate::support::no_sdk()).is_none());
}

#[tokio::test]
async fn reported_usage_warns_like_any_other() {
    let limiter = limiter(&format!("  tiers: {{tiny: {{usdPerMonth: 0.001}}}}\n{PRICES}")).await;
    let usage = Usage { input: Some(0), output: Some(60), ..Usage::default() };
    let spent = Spent { kind: "custom".into(), model: "m".into(), usage, estimated: false };
    let bill = limiter.settle_reported(&ask("a", "tiny"), "r1", vec![spent], now()).await.unwrap().unwrap();
    assert_eq!(bill.nano_usd, 600_000);
    let swept = limiter.sweep(now() + Duration::from_secs(1), std::time::Instant::now()).await.unwrap();
    assert_eq!(swept.warnings.iter().map(|warning| warning.percent).collect::<Vec<_>>(), [50]);
}
