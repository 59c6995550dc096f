//! The sweep: what it reads, what it misses, and what makes up for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Barrier;
use tollgate_limits::Order;

use crate::cases::{NOTHING_OPEN, after, doors, later, one_team, three, used};
use crate::faulty::Fate;
use crate::raw::Raw;
use crate::support::{admitted, dynamodb, ledger, ledger_with, left, now, order, team};

#[tokio::test]
async fn a_sweep_reads_only_what_has_expired() {
    let (proxy, _, direct, _) = doors().await;
    // What is read is counted: nothing is asked for twice because it was slow.
    let ledger = ledger_with(&proxy.endpoint, Duration::from_secs(120));
    for index in 0..1_000 {
        let scope = team(&format!("idle-{index}"), Some(10), None, Some(5_000));
        let held = admitted(direct.reserve(&order(vec![scope], 1, 1), now()).await);
        direct.release(&held).await;
    }
    // What was open once is due once more; then it is not.
    direct.sweep(after(400), later()).await.unwrap();
    for index in 0..3 {
        let scope = team(&format!("busy-{index}"), Some(10), None, Some(5_000));
        let _ = admitted(direct.reserve(&order(vec![scope], 10, 10), now()).await);
    }
    proxy.seen();
    let swept = ledger.sweep(after(1_000), later()).await.unwrap();
    assert_eq!((swept.items, swept.reservations), (3, 3));
    let seen = proxy.seen();
    let of = |operation: &str| seen.iter().filter(|seen| seen.operation == operation).count();
    assert_eq!((of("Query"), of("GetItem"), of("TransactWriteItems"), of("UpdateItem")), (1, 3, 3, 3));
    assert_eq!(seen.len(), 10);
    assert!(ledger.sweep(after(2_000), later()).await.unwrap().items == 0);
    assert_eq!(proxy.seen().len(), 1, "nothing is due: one query");
}

/// One run a minute, by its own clock; every fifth run does not take place.
#[tokio::test]
async fn every_abandoned_reservation_is_swept_within_five_minutes_of_its_end() {
    let endpoint = dynamodb().await;
    let ledger = ledger(&endpoint);
    ledger.create_table().await.unwrap();
    let raw = Raw::new(&endpoint).await;
    let scope = team("a", None, None, Some(5_000));
    // When it is made, and how long it holds: short ones after long ones, and before the next visit.
    let plan = [(0, 900), (5, 61), (70, 600), (100, 10), (185, 61), (250, 5), (431, 62), (610, 3), (900, 500)];
    let mut open: Vec<(String, u64)> = Vec::new();
    for second in 0..2_000_u64 {
        for (_, holds) in plan.iter().filter(|(made, _)| *made == second) {
            let when = after(second);
            let order = Order { expires: when + Duration::from_secs(*holds), ..order(vec![scope.clone()], 1, 1) };
            let held = admitted(ledger.reserve(&order, when).await);
            open.push((held.id().to_owned(), second + holds));
        }
        if second % 60 == 30 && second / 60 % 5 != 4 {
            ledger.sweep(after(second), later()).await.unwrap();
            let there = raw.ids(&scope.key).await;
            for (id, expires) in &open {
                assert!(there.contains(id) || second >= *expires, "{id} was swept before its end");
                assert!(!there.contains(id) || second <= expires + 300 - 60, "{id} is late: {second}, ended {expires}");
            }
        }
    }
    assert!(raw.ids(&scope.key).await.is_empty());
}

/// A sweep whose write fails must come back.
#[tokio::test]
async fn a_sweep_that_fails_halfway_is_made_up_for_by_the_next() {
    let (proxy, ledger, direct, raw) = doors().await;
    let _ = admitted(direct.reserve(&order(three(), 100, 500), now()).await);
    proxy.each(|seen| seen.writes(), Fate::Answer(500, "InternalServerError"));
    assert!(ledger.sweep(after(1_000), later()).await.is_ok(), "items were looked at");
    proxy.pass();
    let swept = ledger.sweep(after(1_060), later()).await.unwrap();
    assert_eq!(swept.reservations, 3);
    assert_eq!(raw.open(&one_team().key).await, NOTHING_OPEN);
    assert_eq!(raw.history("a").await, (1, 50, 250), "once");
}

/// The sweep has read the item, and a reservation comes in before it takes the item off its list.
#[tokio::test]
async fn a_reservation_that_comes_in_during_a_sweep_is_not_forgotten() {
    let (proxy, ledger, direct, raw) = doors().await;
    let _ = admitted(direct.reserve(&order(vec![one_team()], 100, 500), now()).await);
    let gate = Arc::new(Barrier::new(2));
    let held_up = gate.clone();
    // The write that takes it off: it removes two attributes and adds none.
    proxy.plan(move |seen| {
        let takes_off = seen.operation == "UpdateItem" && seen.has("\"seq\"") && seen.has("REMOVE");
        if takes_off { Fate::Together(held_up.clone()) } else { Fate::Pass }
    });
    let sweeping = tokio::spawn({
        let ledger = ledger_with(&proxy.endpoint, Duration::from_secs(120));
        async move { ledger.sweep(after(1_000), later()).await.unwrap() }
    });
    while !proxy.seen().iter().any(|seen| seen.has("REMOVE") && seen.has("\"seq\"")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let when = after(1_000);
    let short = Order { expires: when + Duration::from_secs(30), ..order(vec![one_team()], 100, 500) };
    let _ = admitted(direct.reserve(&short, when).await);
    gate.wait().await;
    assert_eq!(sweeping.await.unwrap().reservations, 1);
    proxy.pass();
    assert_eq!(ledger.sweep(after(1_060), later()).await.unwrap().reservations, 1);
    assert_eq!(raw.open(&one_team().key).await, NOTHING_OPEN);
}

/// A list of what nobody takes off must not keep the sweep from what comes after it.
#[tokio::test]
async fn warnings_whose_events_are_not_sent_do_not_hold_the_sweep_up() {
    let endpoint = dynamodb().await;
    let ledger = ledger(&endpoint);
    ledger.create_table().await.unwrap();
    for index in 0..60 {
        let scope = team(&format!("t{index}"), None, None, Some(100));
        let held = admitted(ledger.reserve(&order(vec![scope], 1, 100), now()).await);
        let told = ledger.settle(held, "a", used(1, 100), Vec::new(), now()).await;
        assert_eq!(told.len(), 3);
    }
    let abandoned = Order { expires: after(1_000), ..order(vec![one_team()], 1, 100) };
    let _ = admitted(ledger.reserve(&abandoned, after(900)).await);
    for _ in 0..2 {
        ledger.sweep(after(5_000), later()).await.unwrap();
    }
    assert_eq!(left(&ledger, &one_team(), after(900)).await[2], 5_000 - 50);
    assert_eq!(ledger.sweep(after(5_000), later()).await.unwrap().warnings.len(), 180);
}
