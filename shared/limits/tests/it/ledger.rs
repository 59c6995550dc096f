//! The protocol, step by step.

use std::time::{Duration, Instant};

use tollgate_limits::{Amount, Counter, Owner, Scope};

use crate::support::{NOVEMBER_22, admitted, at, fresh, ledger, left, now, order, refused, team};

fn used(tokens: u64, nano_usd: u64) -> Amount {
    Amount { requests: 1, tokens, nano_usd }
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(600)
}

#[tokio::test]
async fn a_reservation_is_replaced_by_what_was_used() {
    let (_, ledger) = fresh().await;
    let scope = team("a", Some(10), Some(1_000), Some(5_000));
    let reservation = admitted(ledger.reserve(&order(vec![scope.clone()], 100, 500), now()).await);
    assert_eq!(left(&ledger, &scope, now()).await, [9, 900, 4_500]);
    ledger.settle(reservation, "a", used(30, 70), Vec::new(), now()).await;
    assert_eq!(left(&ledger, &scope, now()).await, [9, 970, 4_930]);
}

#[tokio::test]
async fn a_settlement_counts_once_however_often_it_comes() {
    let (_, ledger) = fresh().await;
    let scope = team("a", Some(10), Some(1_000), Some(5_000));
    let reservation = admitted(ledger.reserve(&order(vec![scope.clone()], 100, 500), now()).await);
    for _ in 0..3 {
        ledger.settle(reservation.clone(), "a", used(30, 70), Vec::new(), now()).await;
    }
    ledger.release(&reservation).await;
    assert_eq!(left(&ledger, &scope, now()).await, [9, 970, 4_930]);
}

#[tokio::test]
async fn a_refusal_changes_nothing_and_says_why() {
    let (_, ledger) = fresh().await;
    let scope = team("a", Some(1), Some(1_000), Some(5_000));
    let held = admitted(ledger.reserve(&order(vec![scope.clone()], 100, 500), now()).await);
    let refusal = refused(ledger.reserve(&order(vec![scope.clone()], 100, 500), now()).await);
    assert_eq!(refusal.reason, "RPM limit exceeded (2/1 requests per minute)");
    assert_eq!(refusal.retry_after, Duration::from_secs(21), "to the next minute");
    assert_eq!(left(&ledger, &scope, now()).await, [0, 900, 4_500]);
    ledger.release(&held).await;
    assert_eq!(left(&ledger, &scope, now()).await, [1, 1_000, 5_000]);
}

#[tokio::test]
async fn what_requests_under_way_hold_is_told_apart_from_what_is_spent() {
    let (_, ledger) = fresh().await;
    let scope = team("a", None, None, Some(1_000_000_000));
    let held = admitted(ledger.reserve(&order(vec![scope.clone()], 1, 600_000_000), now()).await);
    let refusal = refused(ledger.reserve(&order(vec![scope.clone()], 1, 600_000_000), now()).await);
    assert_eq!(refusal.reason, "budget exceeded ($1.20/$1.00 per month), $0.60 of it reserved by requests under way");
    assert!(!refusal.exhausted && refusal.retry_after <= Duration::from_secs(5));
    ledger.settle(held, "a", used(1, 600_000_000), Vec::new(), now()).await;
    let refusal = refused(ledger.reserve(&order(vec![scope], 1, 600_000_000), now()).await);
    assert!(refusal.exhausted && refusal.retry_after > Duration::from_secs(8 * 86_400), "to December: {refusal:?}");
}

#[tokio::test]
async fn windows_roll_over_without_a_write_and_late_settlements_find_theirs() {
    let (_, ledger) = fresh().await;
    let scope = team("a", Some(1), Some(100), Some(100));
    let november = at(1_796_083_199);
    let december = at(1_796_083_200);
    let order = |expires| tollgate_limits::Order { expires, ..order(vec![scope.clone()], 100, 100) };
    let first = admitted(ledger.reserve(&order(december + Duration::from_secs(60)), november).await);
    refused(ledger.reserve(&order(november), november).await);
    let second = admitted(ledger.reserve(&order(december + Duration::from_secs(60)), december).await);
    ledger.settle(first, "a", used(40, 40), Vec::new(), december).await;
    assert_eq!(left(&ledger, &scope, december).await, [0, 0, 0], "November's settlement is November's");
    assert_eq!(left(&ledger, &scope, november).await, [0, 60, 60]);
    ledger.settle(second, "a", used(1, 1), Vec::new(), december).await;
    assert_eq!(left(&ledger, &scope, december).await, [0, 99, 99]);
}

#[tokio::test]
async fn a_refusal_in_one_scope_gives_the_others_back() {
    let (_, ledger) = fresh().await;
    let scope = team("a", Some(10), Some(1_000), Some(5_000));
    let gateway = Scope::money(Owner::Gateway, "", 100);
    let user = Scope::money(Owner::User, "u", 1_000);
    let scopes = vec![scope.clone(), user.clone(), gateway.clone()];
    let refusal =
        refused(ledger.reserve(&order(scopes.clone(), 10, 99), now()).await.pretend_spent(&ledger, &scopes).await);
    assert!(refusal.reason.starts_with("gateway budget exceeded"), "{}", refusal.reason);
    assert_eq!(left(&ledger, &scope, now()).await, [9, 990, 4_901], "only the first request is there");
    assert_eq!(left(&ledger, &user, now()).await, [901]);
}

/// The admission of the first request, spent, then a second one.
trait Then {
    async fn pretend_spent(self, ledger: &tollgate_limits::Ledger, scopes: &[Scope]) -> tollgate_limits::Admission;
}

impl Then for tollgate_limits::Admission {
    async fn pretend_spent(self, ledger: &tollgate_limits::Ledger, scopes: &[Scope]) -> tollgate_limits::Admission {
        ledger.settle(admitted(self), "a", used(10, 99), Vec::new(), now()).await;
        ledger.reserve(&order(scopes.to_vec(), 10, 99), now()).await
    }
}

#[tokio::test]
async fn an_abandoned_reservation_is_swept_and_charged_its_estimate() {
    let (_, ledger) = fresh().await;
    let scope = team("a", Some(10), Some(1_000), Some(5_000));
    let gateway = Scope::money(Owner::Gateway, "", 5_000);
    let abandoned = admitted(ledger.reserve(&order(vec![scope.clone(), gateway.clone()], 100, 500), now()).await);
    let early = ledger.sweep(now() + Duration::from_secs(300), later()).await.unwrap();
    assert_eq!((early.items, early.reservations), (2, 0), "not before it has expired");
    let when = now() + Duration::from_secs(600 + 20 + 240);
    let swept = ledger.sweep(when, later()).await.unwrap();
    assert_eq!((swept.reservations, swept.charged_nano_usd), (2, 500), "250 in each of two scopes");
    assert_eq!(left(&ledger, &scope, now()).await, [9, 950, 4_750]);
    assert_eq!(left(&ledger, &gateway, now()).await, [4_750]);
    ledger.settle(abandoned, "a", used(1, 1), Vec::new(), when).await;
    assert_eq!(left(&ledger, &scope, now()).await, [9, 950, 4_750], "it is too late");
    let nothing = ledger.sweep(when + Duration::from_secs(600), later()).await.unwrap();
    assert_eq!(nothing.items, 0, "only what is due is read");
}

#[tokio::test]
async fn many_gateways_share_one_limit() {
    let (endpoint, first) = fresh().await;
    let scope = team("a", Some(100), None, Some(1_000));
    let gateways: Vec<_> = (0..4).map(|_| ledger(&endpoint)).chain([first.clone()]).collect();
    let calls = (0..60).map(|index| {
        let (ledger, scope) = (gateways[index % 5].clone(), scope.clone());
        tokio::spawn(async move {
            match ledger.reserve(&order(vec![scope], 1, 100), now()).await {
                tollgate_limits::Admission::Admitted(reservation, _) => {
                    ledger.settle(reservation, "a", used(1, 100), Vec::new(), now()).await;
                    1
                }
                tollgate_limits::Admission::Refused(_) => 0,
                tollgate_limits::Admission::Unknown(_, error) => panic!("{error}"),
            }
        })
    });
    let mut passed = 0;
    for call in calls.collect::<Vec<_>>() {
        passed += call.await.unwrap();
    }
    assert_eq!(passed, 10);
    assert_eq!(left(&first, &scope, now()).await[1], 0);
}

#[tokio::test]
async fn each_share_of_a_budget_is_told_once() {
    let (endpoint, first) = fresh().await;
    let second = ledger(&endpoint);
    let scope = team("a", None, None, Some(1_000));
    let mut told = Vec::new();
    for index in 0..10 {
        let ledger = if index % 2 == 0 { &first } else { &second };
        let reservation = admitted(ledger.reserve(&order(vec![scope.clone()], 1, 100), now()).await);
        told.extend(ledger.settle(reservation, "a", used(1, 100), Vec::new(), now()).await);
    }
    assert_eq!(told.iter().map(|warning| warning.percent).collect::<Vec<_>>(), [50, 80, 100]);
    assert_eq!(told[0].used_nano_usd, 500);
    refused(first.reserve(&order(vec![scope], 1, 100), now()).await);
    let swept = first.sweep(now() + Duration::from_secs(1), later()).await.unwrap();
    let mut percents: Vec<u32> = swept.warnings.iter().map(|warning| warning.percent).collect();
    percents.sort_unstable();
    assert_eq!(percents, [50, 80, 100], "the events are to be sent");
    for warning in &swept.warnings {
        first.sent(warning).await.unwrap();
    }
    let again = first.sweep(now() + Duration::from_secs(2), later()).await.unwrap();
    assert!(again.warnings.is_empty());
}

#[tokio::test]
async fn old_counters_leave_the_item_with_later_writes() {
    let (_, ledger) = fresh().await;
    let scope = team("a", Some(10), Some(1_000), Some(5_000));
    for day in 0..4 {
        let when = at(NOVEMBER_22 + day * 86_400);
        let order =
            tollgate_limits::Order { expires: when + Duration::from_secs(60), ..order(vec![scope.clone()], 1, 1) };
        let reservation = admitted(ledger.reserve(&order, when).await);
        ledger.settle(reservation, "a", used(1, 1), Vec::new(), when).await;
    }
    assert_eq!(left(&ledger, &scope, at(NOVEMBER_22)).await[1], 1_000, "the first day is forgotten");
    assert_eq!(left(&ledger, &scope, at(NOVEMBER_22 + 3 * 86_400)).await, [9, 999, 4_996]);
}

#[tokio::test]
async fn a_request_that_no_window_has_room_for_is_not_asked_for() {
    let ledger = ledger("http://127.0.0.1:1");
    let scope = team("a", Some(1), Some(10), None);
    let refusal = refused(ledger.reserve(&order(vec![scope], 11, 0), now()).await);
    assert_eq!(
        refusal.reason,
        "TPD limit exceeded (11/10 tokens per day); this request alone may use that much: lower max_tokens or shorten it"
    );
}

#[tokio::test]
async fn reports_are_booked_once_with_and_without_a_reservation() {
    let (_, ledger) = fresh().await;
    let scope = Scope {
        counters: vec![(Counter::Tokens, Some(1_000)), (Counter::Money, Some(5_000))],
        ..team("a", None, None, None)
    };
    let scopes = vec![scope.clone()];
    let reserving = tollgate_limits::Order { external_id: Some("r1".to_owned()), ..order(scopes.clone(), 100, 500) };
    let _held = admitted(ledger.reserve(&reserving, now()).await);
    for (id, first) in [("r1", true), ("r1", false), ("r2", true), ("r2", false)] {
        let booked = ledger.settle_reported(&scopes, "a", id, used(10, 20), &[], now()).await.unwrap();
        assert_eq!(booked, first, "{id}");
    }
    assert_eq!(left(&ledger, &scope, now()).await, [980, 4_960]);
    let abandoned = tollgate_limits::Order { external_id: Some("r3".to_owned()), ..order(scopes.clone(), 100, 500) };
    let _held = admitted(ledger.reserve(&abandoned, now()).await);
    ledger.sweep(now() + Duration::from_secs(1_000), later()).await.unwrap();
    assert!(
        !ledger.settle_reported(&scopes, "a", "r3", used(10, 20), &[], now()).await.unwrap(),
        "it was charged its estimate"
    );
    assert_eq!(left(&ledger, &scope, now()).await, [930, 4_710]);
}
