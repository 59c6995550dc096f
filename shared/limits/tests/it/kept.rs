//! The table of kept responses.

use std::time::Duration;

use tollgate_config::{LedgerTable, Responses};
use tollgate_limits::{Home, KeepError, KeptTable, KeptTurn};

use super::raw::Raw;
use super::support::{NOVEMBER_22, at, dynamodb, no_sdk, now, settings};

fn table(state: LedgerTable) -> KeptTable {
    let settings = Responses { state: Some(state), keep_days: Some(1), timeout_ms: Some(120_000) };
    KeptTable::new(&settings, no_sdk()).unwrap()
}

async fn fresh() -> KeptTable {
    let table = table(settings(&dynamodb().await));
    table.create_table().await.unwrap();
    table
}

fn home(team: &str) -> Home {
    Home { issuer: "https://issuer".to_owned(), team: team.to_owned(), id: "resp_1".to_owned() }
}

fn turn(bytes: usize) -> KeptTurn {
    let data = (0..bytes).map(|at| u8::try_from(at % 251).unwrap()).collect();
    KeptTurn { chain: vec!["resp_0".to_owned()], data }
}

#[tokio::test]
async fn a_turn_of_any_size_is_read_as_it_was_written() {
    let table = fresh().await;
    for bytes in [0, 1, 350_000, 350_001, 2_000_000, 5_600_000] {
        let turn = turn(bytes);
        table.put(&home("a"), &turn.chain, &turn.data, now()).await.unwrap();
        assert_eq!(table.get(&home("a"), now()).await.unwrap(), Some(turn), "{bytes}");
    }
    let too_large = turn(5_600_001);
    let refused = table.put(&home("a"), &too_large.chain, &too_large.data, now()).await;
    assert!(matches!(refused, Err(KeepError::TooLarge(5_600_001))), "{refused:?}");
}

#[tokio::test]
async fn an_owner_finds_its_own_and_nobody_elses() {
    let table = fresh().await;
    let (mine, foreign) = (turn(10), Home { issuer: "https://other".to_owned(), ..home("a") });
    table.put(&home("a"), &mine.chain, &mine.data, now()).await.unwrap();
    for other in [home("b"), foreign, Home { team: "x a".to_owned(), ..home("a") }] {
        assert_eq!(table.get(&other, now()).await.unwrap(), None, "{other:?}");
        assert!(!table.delete(&other, now()).await.unwrap(), "{other:?}");
    }
    assert_eq!(table.get(&home("a"), now()).await.unwrap(), Some(mine));
}

#[tokio::test]
async fn what_has_expired_is_gone_before_dynamodb_deletes_it() {
    let table = fresh().await;
    let turn = turn(10);
    table.put(&home("a"), &turn.chain, &turn.data, now()).await.unwrap();
    let day = Duration::from_secs(86_400);
    assert!(table.get(&home("a"), now() + day - Duration::from_secs(1)).await.unwrap().is_some());
    assert_eq!(table.get(&home("a"), now() + day).await.unwrap(), None);
    assert!(!table.delete(&home("a"), now() + day).await.unwrap());
}

#[tokio::test]
async fn of_what_was_deleted_nothing_but_its_key_is_left() {
    let endpoint = dynamodb().await;
    let table = table(settings(&endpoint));
    table.create_table().await.unwrap();
    let turn = turn(800_000);
    table.put(&home("a"), &turn.chain, &turn.data, now()).await.unwrap();
    assert!(table.delete(&home("a"), at(NOVEMBER_22 + 5)).await.unwrap());
    assert!(!table.delete(&home("a"), at(NOVEMBER_22 + 6)).await.unwrap());
    let raw = Raw::new(&endpoint).await;
    for part in ["0", "1", "2"] {
        let item = raw.part("resp_1 https://issuer a", part).await.unwrap();
        let mut names: Vec<&str> = item.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["expires", "pk", "sk"], "{part}");
        assert_eq!(item["expires"].as_n().unwrap(), &(NOVEMBER_22 + 5).to_string());
    }
    assert_eq!(raw.part("resp_1 https://issuer a", "3").await, None);
}

#[tokio::test]
async fn a_turn_with_a_missing_part_is_none() {
    let endpoint = dynamodb().await;
    let table = table(settings(&endpoint));
    table.create_table().await.unwrap();
    let turn = turn(800_000);
    table.put(&home("a"), &turn.chain, &turn.data, now()).await.unwrap();
    Raw::new(&endpoint).await.lose("resp_1 https://issuer a", "1").await;
    assert_eq!(table.get(&home("a"), now()).await.unwrap(), None);
}
