//! Cases from the field, and the ways in which a write can go astray, one by one.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Barrier;
use tollgate_limits::{Admission, Amount, Counter, Ledger, Limiter, Order, Owner, Record, Scope, Verdict};
use tollgate_wire::ir::Usage;

use crate::faulty::{Fate, Proxy, Seen};
use crate::limiter::ask;
use crate::raw::Raw;
use crate::support::{NOVEMBER_22, admitted, at, dynamodb, ledger, ledger_with, left, no_sdk, now, order, team};

pub(crate) fn used(tokens: u64, nano_usd: u64) -> Amount {
    Amount { requests: 1, tokens, nano_usd }
}

pub(crate) fn later() -> Instant {
    Instant::now() + Duration::from_secs(600)
}

pub(crate) fn after(seconds: u64) -> SystemTime {
    now() + Duration::from_secs(seconds)
}

/// A ledger behind a door, with a short timeout; and one that goes straight to the table.
pub(crate) async fn doors() -> (Proxy, Arc<Ledger>, Arc<Ledger>, Raw) {
    let endpoint = dynamodb().await;
    let direct = ledger(&endpoint);
    direct.create_table().await.unwrap();
    let proxy = Proxy::before(&endpoint).await;
    let behind = ledger_with(&proxy.endpoint, Duration::from_secs(2));
    // The first call of a client is slower: it connects.
    behind.standing(&[team("nobody", Some(1), None, None)], now()).await.unwrap();
    proxy.seen();
    (proxy, behind, direct, Raw::new(&endpoint).await)
}

pub(crate) fn one_team() -> Scope {
    team("a", Some(10), Some(1_000), Some(5_000))
}

fn unknown(admission: Admission) -> tollgate_limits::Reservation {
    match admission {
        Admission::Unknown(reservation, _) => reservation,
        other => panic!("expected no word, got {other:?}"),
    }
}

fn record(tokens: u64, nano_usd: u64) -> Record {
    Record {
        kind: "custom".to_owned(),
        model: "m".to_owned(),
        usage: Usage { input: Some(tokens), ..Usage::default() },
        nano_usd,
        estimated: false,
        unpriced: false,
    }
}

/// A reserve or a mark; a settlement has no `seq`.
fn reserves(seen: &Seen) -> bool {
    seen.operation == "UpdateItem" && seen.has("if_not_exists")
}

fn settles(seen: &Seen) -> bool {
    seen.operation == "UpdateItem" && !seen.has("if_not_exists")
}

pub(crate) const NOTHING_OPEN: usize = 0;

#[tokio::test]
async fn a_lost_answer_to_a_reserve_is_an_admission() {
    let (proxy, ledger, direct, raw) = doors().await;
    proxy.first(reserves, vec![Fate::Lost]);
    let held = admitted(ledger.reserve(&order(vec![one_team()], 100, 500), now()).await);
    assert_eq!(left(&direct, &one_team(), now()).await, [9, 900, 4_500], "once");
    ledger.settle(held, "a", used(10, 20), Vec::new(), now()).await;
    assert_eq!(left(&direct, &one_team(), now()).await, [9, 990, 4_980]);
    assert_eq!(raw.open(&one_team().key).await, 1, "a mark, because one try was not answered");
    direct.sweep(after(1_000), later()).await.unwrap();
    assert_eq!(raw.open(&one_team().key).await, NOTHING_OPEN);
}

#[tokio::test]
async fn a_lost_answer_to_a_settlement_counts_once() {
    let (proxy, ledger, direct, raw) = doors().await;
    let held = admitted(ledger.reserve(&order(vec![one_team()], 100, 500), now()).await);
    proxy.each(|seen| seen.writes(), Fate::Lost);
    ledger.settle(held, "a", used(10, 20), vec![record(10, 20)], now()).await;
    proxy.pass();
    while ledger.pending() > 0 {
        ledger.flush(now()).await;
    }
    assert_eq!(left(&direct, &one_team(), now()).await, [9, 990, 4_980]);
    assert_eq!(raw.history("a").await, (1, 10, 20));
}

#[tokio::test]
async fn a_write_that_arrives_twice_counts_once() {
    let (proxy, ledger, direct, raw) = doors().await;
    proxy.each(|seen| seen.writes(), Fate::Twice);
    let held = admitted(ledger.reserve(&order(vec![one_team()], 100, 500), now()).await);
    ledger.settle(held, "a", used(10, 20), vec![record(10, 20)], now()).await;
    assert_eq!(left(&direct, &one_team(), now()).await, [9, 990, 4_980]);
    assert_eq!(raw.history("a").await, (1, 10, 20));
}

/// The first try of a reserve is held up, the second is answered; then the first arrives.
#[tokio::test]
async fn a_reserve_that_arrives_after_its_settlement_changes_nothing() {
    let (proxy, ledger, direct, raw) = doors().await;
    proxy.first(reserves, vec![Fate::Limbo]);
    let held = admitted(ledger.reserve(&order(vec![one_team()], 100, 500), now()).await);
    ledger.settle(held, "a", used(10, 20), Vec::new(), now()).await;
    assert_eq!(proxy.let_late_ones_in().await, 1);
    assert_eq!(left(&direct, &one_team(), now()).await, [9, 990, 4_980]);
    let swept = direct.sweep(after(1_000), later()).await.unwrap();
    assert_eq!((swept.reservations, raw.open(&one_team().key).await), (0, NOTHING_OPEN), "the mark is gone");
    assert_eq!(left(&direct, &one_team(), now()).await, [9, 990, 4_980]);
}

#[tokio::test]
async fn a_reserve_that_arrives_after_its_release_changes_nothing() {
    let (proxy, ledger, direct, raw) = doors().await;
    proxy.each(reserves, Fate::Limbo);
    let held = unknown(ledger.reserve(&order(vec![one_team()], 100, 500), now()).await);
    proxy.pass();
    ledger.release(&held).await;
    assert!(proxy.let_late_ones_in().await >= 1);
    assert_eq!(left(&direct, &one_team(), now()).await, [10, 1_000, 5_000]);
    direct.sweep(after(1_000), later()).await.unwrap();
    assert_eq!(raw.open(&one_team().key).await, NOTHING_OPEN);
}

#[tokio::test]
async fn a_reserve_that_arrives_after_its_refusal_changes_nothing() {
    let (proxy, ledger, direct, raw) = doors().await;
    let full = admitted(direct.reserve(&order(vec![one_team()], 950, 500), now()).await);
    proxy.first(reserves, vec![Fate::Limbo]);
    let admission = ledger.reserve(&order(vec![one_team()], 100, 500), now()).await;
    assert!(matches!(admission, Admission::Refused(_)), "{admission:?}");
    direct.release(&full).await;
    proxy.let_late_ones_in().await;
    assert_eq!(left(&direct, &one_team(), now()).await, [10, 1_000, 5_000], "it was refused");
    direct.sweep(after(1_000), later()).await.unwrap();
    assert_eq!(raw.open(&one_team().key).await, NOTHING_OPEN);
}

/// The narrowest of them: it is not there when the settlement looks, and there when the settlement takes its place. The model found it.
#[tokio::test]
async fn a_reserve_that_arrives_in_the_middle_of_its_settlement_is_settled() {
    for released in [false, true] {
        let (proxy, ledger, direct, raw) = doors().await;
        proxy.each(reserves, Fate::Limbo);
        let held = unknown(ledger.reserve(&order(vec![one_team()], 100, 500), now()).await);
        let gate = Arc::new(Barrier::new(2));
        proxy.first(reserves, vec![Fate::Together(gate.clone())]);
        proxy.seen();
        let ending = tokio::spawn({
            let ledger = ledger.clone();
            async move {
                if released {
                    ledger.release(&held).await;
                } else {
                    ledger.settle(held, "a", used(10, 20), Vec::new(), now()).await;
                }
            }
        });
        // It was looked for; the mark is held up.
        while !proxy.seen().iter().any(reserves) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(proxy.let_late_ones_in().await >= 1);
        gate.wait().await;
        ending.await.unwrap();
        ledger.flush(now()).await;
        let expected = if released { [10, 1_000, 5_000] } else { [9, 990, 4_980] };
        assert_eq!(left(&direct, &one_team(), now()).await, expected);
        let swept = direct.sweep(after(1_000), later()).await.unwrap();
        assert_eq!((swept.reservations, raw.open(&one_team().key).await), (0, NOTHING_OPEN));
    }
}

/// The process dies, and its reserve arrives afterwards: nobody is left to settle it.
#[tokio::test]
async fn a_reserve_that_arrives_after_a_crash_is_swept() {
    let (proxy, ledger, direct, raw) = doors().await;
    proxy.each(reserves, Fate::Limbo);
    drop(unknown(ledger.reserve(&order(vec![one_team()], 100, 500), now()).await));
    drop(ledger);
    assert!(proxy.let_late_ones_in().await >= 1);
    assert_eq!(left(&direct, &one_team(), now()).await, [9, 900, 4_500]);
    let swept = direct.sweep(after(1_000), later()).await.unwrap();
    assert_eq!(swept.reservations, 1);
    assert_eq!(left(&direct, &one_team(), now()).await, [9, 950, 4_750], "its estimate");
    assert_eq!(raw.open(&one_team().key).await, NOTHING_OPEN);
}

/// `failureMode: open`: the request ran without the ledger's word. Whether its reserve never came, came, or comes late, it costs what it used.
#[tokio::test]
async fn what_ran_without_the_ledgers_word_costs_what_it_used() {
    for fate in [Fate::Hang, Fate::Lost, Fate::Limbo] {
        let (proxy, ledger, direct, raw) = doors().await;
        proxy.each(reserves, fate.clone());
        let admission = ledger.reserve(&order(vec![one_team()], 100, 500), now()).await;
        proxy.pass();
        let (Admission::Unknown(held, _) | Admission::Admitted(held, _)) = admission else { panic!("{admission:?}") };
        // The answer to the first settlement is lost, too, and it is settled again.
        proxy.each(|seen| seen.writes(), Fate::Lost);
        ledger.settle(held.clone(), "a", used(10, 20), vec![record(10, 20)], now()).await;
        proxy.pass();
        ledger.flush(now()).await;
        ledger.settle(held, "a", used(10, 20), vec![record(10, 20)], now()).await;
        proxy.let_late_ones_in().await;
        assert_eq!(left(&direct, &one_team(), now()).await, [9, 990, 4_980], "{fate:?}");
        direct.sweep(after(1_000), later()).await.unwrap();
        assert_eq!(left(&direct, &one_team(), now()).await, [9, 990, 4_980], "{fate:?}, swept");
        assert_eq!(raw.open(&one_team().key).await, NOTHING_OPEN, "{fate:?}");
        assert_eq!(raw.history("a").await, (1, 10, 20), "{fate:?}");
    }
}

/// Its mark may be swept by then, so it cannot be told whether it was added before.
#[tokio::test]
async fn what_ran_without_the_ledgers_word_is_not_added_after_its_end() {
    let (proxy, ledger, direct, _) = doors().await;
    proxy.each(reserves, Fate::Hang);
    let held = unknown(ledger.reserve(&order(vec![one_team()], 100, 500), now()).await);
    // The mark is written, and nobody hears of it.
    proxy.each(reserves, Fate::Lost);
    ledger.settle(held, "a", used(10, 20), Vec::new(), now()).await;
    proxy.pass();
    direct.sweep(after(1_000), later()).await.unwrap();
    ledger.flush(after(1_000)).await;
    assert_eq!(left(&direct, &one_team(), now()).await, [9, 990, 4_980]);
    assert_eq!(ledger.pending(), 0);
}

#[tokio::test]
async fn a_release_that_failed_is_tried_again() {
    let (proxy, ledger, direct, _) = doors().await;
    let held = admitted(ledger.reserve(&order(vec![one_team()], 100, 500), now()).await);
    proxy.each(settles, Fate::Answer(400, "ProvisionedThroughputExceededException"));
    ledger.release(&held).await;
    assert_eq!((ledger.pending(), left(&direct, &one_team(), now()).await), (1, vec![9, 900, 4_500]));
    proxy.pass();
    ledger.flush(now()).await;
    assert_eq!((ledger.pending(), left(&direct, &one_team(), now()).await), (0, vec![10, 1_000, 5_000]));
}

#[tokio::test]
async fn a_write_that_meets_a_transaction_is_sent_again() {
    let (proxy, ledger, direct, raw) = doors().await;
    let conflict = || Fate::Answer(400, "TransactionConflict");
    proxy.first(|seen| seen.writes(), vec![conflict(), conflict()]);
    let held = admitted(ledger.reserve(&order(vec![one_team()], 100, 500), now()).await);
    proxy.first(|seen| seen.operation == "TransactWriteItems", vec![conflict(), conflict()]);
    ledger.settle(held, "a", used(10, 20), vec![record(10, 20)], now()).await;
    assert_eq!(ledger.pending(), 0);
    assert_eq!((left(&direct, &one_team(), now()).await, raw.history("a").await), (vec![9, 990, 4_980], (1, 10, 20)));
}

/// What is wrong with one team's item must not open the way for all the others.
#[tokio::test]
async fn an_error_about_one_item_leaves_the_limits_of_the_others() {
    let (proxy, ledger, _, _) = doors().await;
    proxy.each(|seen| seen.has("team#big"), Fate::Answer(400, "ValidationException"));
    for _ in 0..10 {
        let big = ledger.reserve(&order(vec![team("big", Some(1), None, None)], 1, 1), now()).await;
        assert!(matches!(big, Admission::Unknown(..)), "{big:?}");
    }
    let none = team("a", Some(0), None, None);
    assert!(matches!(ledger.reserve(&order(vec![none], 1, 1), now()).await, Admission::Refused(_)));
    assert!(matches!(ledger.reserve(&order(vec![one_team()], 1, 1), now()).await, Admission::Admitted(..)));
}

/// Case 39: a store that hangs.
#[tokio::test]
async fn a_store_that_hangs_is_not_asked_by_every_request() {
    let endpoint = dynamodb().await;
    ledger(&endpoint).create_table().await.unwrap();
    let proxy = Proxy::before(&endpoint).await;
    let yaml = format!(
        "limits: {{timeoutMs: 50, cacheSeconds: 0, ledger: {{endpoint: '{}'}}, prices: {{m: {{input: 1, output: 1}}}}}}",
        proxy.endpoint
    );
    let config = tollgate_config::parse(&yaml, "test").unwrap();
    let limiter = Limiter::new(config.limits.as_ref(), no_sdk()).unwrap();
    proxy.plan(|_| Fate::Hang);
    let mut held = Vec::new();
    for _ in 0..5 {
        let Verdict::Degraded(reservation) = limiter.reserve(&ask("a", "standard"), now()).await else { panic!() };
        held.push(reservation);
    }
    assert!(!proxy.seen().is_empty());
    for index in 0..20 {
        let team = format!("team-{index}");
        let Verdict::Degraded(reservation) = limiter.reserve(&ask(&team, "standard"), now()).await else { panic!() };
        held.push(reservation);
    }
    for reservation in held {
        limiter.settle(reservation, "a", &limiter.bill(Vec::new()), now()).await;
    }
    assert_eq!(proxy.seen().len(), 0, "neither limits of teams, nor admissions, nor settlements");
    assert_eq!(limiter.ledger().pending(), 25, "they wait for better times");
}

/// Case 38, and 31 for more than one scope.
#[tokio::test]
async fn one_gateway_budget_holds_for_many_teams_and_users_on_many_gateways() {
    let endpoint = dynamodb().await;
    let gateways = [ledger(&endpoint), ledger(&endpoint), ledger(&endpoint)];
    gateways[0].create_table().await.unwrap();
    let calls: Vec<_> = (0..24)
        .map(|index| {
            let ledger = gateways[index % 3].clone();
            tokio::spawn(async move {
                let (team_name, user) = (format!("t{}", index % 4), format!("u{index}"));
                let scopes = vec![
                    team(&team_name, Some(100), None, Some(10_000)),
                    Scope::money(Owner::User, &user, 1_000),
                    Scope::money(Owner::Gateway, "", 1_000),
                ];
                matches!(ledger.reserve(&order(scopes, 1, 100), now()).await, Admission::Admitted(..))
            })
        })
        .collect();
    let mut passed = 0;
    for call in calls {
        passed += usize::from(call.await.unwrap());
    }
    let gateway = Scope::money(Owner::Gateway, "", 1_000);
    assert_eq!((passed, left(&gateways[0], &gateway, now()).await), (10, vec![0]));
    let teams: Vec<Scope> = (0..4).map(|index| team(&format!("t{index}"), Some(100), None, Some(10_000))).collect();
    let mut spent = 0;
    for scope in &teams {
        spent += 10_000 - left(&gateways[0], scope, now()).await[1];
    }
    assert_eq!(spent, 1_000, "a refusal by the gateway's budget is given back to its team");
}

pub(crate) fn three() -> Vec<Scope> {
    vec![one_team(), Scope::money(Owner::User, "u", 5_000), Scope::money(Owner::Gateway, "", 5_000)]
}

/// One write per scope to reserve and one to settle, and one transaction for the history; a window that begins costs none.
#[tokio::test]
async fn a_request_costs_two_writes_per_scope_and_one_of_history() {
    let (proxy, ledger, _, _) = doors().await;
    for scopes in [vec![one_team()], three()] {
        let count = scopes.len();
        for when in [now(), at(NOVEMBER_22 + 60), at(NOVEMBER_22 + 86_400), at(NOVEMBER_22 + 30 * 86_400)] {
            let order = Order { expires: when + Duration::from_secs(60), ..order(scopes.clone(), 10, 10) };
            let held = admitted(ledger.reserve(&order, when).await);
            let seen = proxy.seen();
            assert_eq!((seen.len(), seen.iter().filter(|seen| reserves(seen)).count()), (count, count));
            ledger.settle(held, "a", used(1, 1), vec![record(1, 1)], when).await;
            let seen = proxy.seen();
            assert_eq!(seen.iter().filter(|seen| settles(seen)).count(), count);
            assert_eq!(seen.iter().filter(|seen| seen.operation == "TransactWriteItems").count(), 1);
            assert_eq!(seen.len(), count + 1);
        }
    }
}

/// Each write is held until all writes of its phase are there: had one waited for another, nothing would pass.
#[tokio::test]
async fn a_request_waits_for_two_round_trips_however_many_scopes_it_has() {
    let (proxy, ledger, _, _) = doors().await;
    for scopes in [vec![one_team()], three()] {
        let count = scopes.len();
        proxy.each(|_| true, Fate::Together(Arc::new(Barrier::new(count))));
        let held = admitted(ledger.reserve(&order(scopes, 10, 10), now()).await);
        proxy.each(|_| true, Fate::Together(Arc::new(Barrier::new(count + 1))));
        ledger.settle(held, "a", used(1, 1), vec![record(1, 1)], now()).await;
        assert_eq!(ledger.pending(), 0);
        assert_eq!(proxy.seen().len(), 2 * count + 1);
    }
}

#[tokio::test]
async fn a_caller_that_asks_twice_and_reports_once_pays_once() {
    let endpoint = dynamodb().await;
    let ledger = ledger(&endpoint);
    ledger.create_table().await.unwrap();
    let raw = Raw::new(&endpoint).await;
    let scope = Scope { counters: vec![(Counter::Money, Some(5_000))], ..one_team() };
    let asked = Order { external_id: Some("r1".repeat(400)), ..order(vec![scope.clone()], 100, 500) };
    for _ in 0..2 {
        let _ = admitted(ledger.reserve(&asked, now()).await);
    }
    let report = |when| {
        let (ledger, scope) = (ledger.clone(), scope.clone());
        async move {
            let records = [record(10, 20)];
            ledger.settle_reported(&[scope], "a", &"r1".repeat(400), used(10, 20), &records, when).await.unwrap()
        }
    };
    assert!(report(now()).await);
    ledger.sweep(after(1_000), later()).await.unwrap();
    assert_eq!(raw.open(&scope.key).await, NOTHING_OPEN);
    assert_eq!(left(&ledger, &scope, now()).await, [4_980]);
    assert!(!report(after(1_100)).await);
    assert_eq!(raw.history("a").await, (1, 10, 20));
}

#[tokio::test]
async fn a_report_is_booked_also_where_one_scope_has_lost_its_part() {
    let (proxy, ledger, direct, raw) = doors().await;
    let scopes = vec![
        Scope { counters: vec![(Counter::Tokens, Some(1_000)), (Counter::Money, Some(5_000))], ..one_team() },
        Scope::money(Owner::User, "u", 5_000),
    ];
    proxy.each(|seen| reserves(seen) && seen.has("user#u"), Fate::Hang);
    let asked = Order { external_id: Some("r1".to_owned()), ..order(scopes.clone(), 100, 500) };
    let _ = unknown(ledger.reserve(&asked, now()).await);
    assert!(direct.settle_reported(&scopes, "a", "r1", used(10, 20), &[], now()).await.unwrap());
    assert_eq!(left(&direct, &scopes[0], now()).await, [990, 4_980]);
    assert_eq!(raw.open(&scopes[0].key).await, NOTHING_OPEN);
}

/// The team has no limits, its user has: the usage of an abandoned request is the team's all the same.
#[tokio::test]
async fn what_is_swept_is_recorded_under_the_team_that_asked() {
    let endpoint = dynamodb().await;
    let ledger = ledger(&endpoint);
    ledger.create_table().await.unwrap();
    let raw = Raw::new(&endpoint).await;
    let asked = Order { team: "free".to_owned(), ..order(vec![Scope::money(Owner::User, "u", 5_000)], 100, 500) };
    let _ = admitted(ledger.reserve(&asked, now()).await);
    ledger.sweep(after(1_000), later()).await.unwrap();
    assert_eq!((raw.history("free").await, raw.history("user#u").await), ((1, 50, 250), (0, 0, 0)));
}

/// A name is a name, whatever is in it: no two scopes share an item, and no client fills one up.
#[tokio::test]
async fn hostile_names_stay_in_their_own_items() {
    let endpoint = dynamodb().await;
    let ledger = ledger(&endpoint);
    ledger.create_table().await.unwrap();
    let raw = Raw::new(&endpoint).await;
    let names = ["x", "x#state", "#", "user#x", "limits", "o#x", "state\u{0}", "gateway", ""];
    let mut scopes: Vec<Scope> = names.iter().map(|name| team(name, Some(10), None, Some(1_000))).collect();
    scopes.extend(names.iter().map(|name| Scope::money(Owner::User, name, 1_000)));
    scopes.extend(names.iter().map(|name| Scope::money(Owner::Model, name, 1_000)));
    scopes.push(Scope::money(Owner::Gateway, "", 1_000));
    for scope in &scopes {
        let model = Some(format!("custom/{}", "m".repeat(500_000)));
        let held = admitted(ledger.reserve(&Order { model, ..order(vec![scope.clone()], 1, 600) }, now()).await);
        ledger.settle(held, "a", used(1, 600), Vec::new(), now()).await;
    }
    for scope in &scopes {
        assert_eq!(left(&ledger, scope, now()).await.last(), Some(&400), "{}", scope.key);
    }
    let patterns = ["a#b", "202611", "#", "o#x"];
    let counters = patterns.iter().map(|pattern| (Counter::ModelMoney((*pattern).to_owned()), Some(1_000))).collect();
    let scope = Scope { counters, ..team("patterns", None, None, None) };
    let _ = admitted(ledger.reserve(&order(vec![scope.clone()], 1, 600), now()).await);
    assert_eq!((left(&ledger, &scope, now()).await, raw.open(&scope.key).await), (vec![400; 4], 1));
}

/// `n: 1000000000` on a team that has no token limit.
#[tokio::test]
async fn an_amount_that_nobody_can_count_is_settled_and_swept_as_any_other() {
    let endpoint = dynamodb().await;
    let ledger = ledger(&endpoint);
    ledger.create_table().await.unwrap();
    let raw = Raw::new(&endpoint).await;
    let scope = team("a", Some(10), None, None);
    let huge = Order { charge: used(1, 2), ..order(vec![scope.clone()], u64::MAX, u64::MAX) };
    for _ in 0..3 {
        let held = admitted(ledger.reserve(&huge, now()).await);
        ledger.settle(held, "a", used(1, 2), Vec::new(), now()).await;
        let _ = admitted(ledger.reserve(&huge, now()).await);
    }
    let full = team("a", None, Some(u64::MAX), None);
    assert_eq!(left(&ledger, &full, now()).await, [0], "full, and not empty");
    assert_eq!(ledger.sweep(after(1_000), later()).await.unwrap().reservations, 3);
    assert_eq!(raw.open(&scope.key).await, NOTHING_OPEN);
    assert_eq!(left(&ledger, &full, now()).await, [u64::MAX - 6]);
}
