//! The sweep: what nobody settles, and the warnings that it sends.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use http::StatusCode;
use serde_json::{Value, json};
use tollgate_budget::bus::Bus;
use tollgate_budget::sweep;
use tollgate_hooks::Aws;

use super::support::{aws, sdk};
use super::world::{TRUSTED, World};

/// An EventBridge that takes what it is told to take.
#[derive(Clone, Default)]
struct EventBridge {
    seen: Arc<Mutex<Vec<Value>>>,
    refuses: Arc<Mutex<bool>>,
    down: Arc<Mutex<bool>>,
}

impl EventBridge {
    async fn start(&self) -> Bus {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().route("/", post(put)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Bus::new(Some("tollgate-bus".to_owned()), Aws::fixed(sdk(&endpoint).await))
    }

    fn seen(&self) -> Vec<Value> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

async fn put(State(bridge): State<EventBridge>, body: String) -> (StatusCode, String) {
    if *bridge.down.lock().unwrap() {
        return (
            StatusCode::BAD_REQUEST,
            json!({"__type": "ResourceNotFoundException", "message": "no such bus"}).to_string(),
        );
    }
    let entries = serde_json::from_str::<Value>(&body).unwrap()["Entries"].as_array().unwrap().clone();
    let refuses = *bridge.refuses.lock().unwrap();
    let answer = |(index, entry): (usize, &Value)| {
        if refuses && index == 0 {
            return json!({"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"});
        }
        bridge.seen.lock().unwrap().push(entry.clone());
        json!({"EventId": format!("e-{index}")})
    };
    let answers: Vec<Value> = entries.iter().enumerate().map(answer).collect();
    (StatusCode::OK, json!({"FailedEntryCount": u8::from(refuses), "Entries": answers}).to_string())
}

async fn run(world: &World, bus: &Bus, after: Duration) -> Result<Value, String> {
    sweep::run(&world.app, bus, SystemTime::now() + after, Instant::now() + Duration::from_secs(120)).await
}

const TWO_HOURS: Duration = Duration::from_secs(7_200);

#[tokio::test]
async fn what_nobody_settles_is_charged_its_prompt_and_a_later_report_finds_it_booked() {
    let world = World::new().await;
    let bus = Bus::new(None, aws().await);
    let body = json!({"team": "a", "tier": "tiny", "model": "m", "estimated_tokens": 1000, "max_tokens": 4000, "request_id": "r-1"});
    world.post("/check", &[TRUSTED], &body).await;
    assert_eq!(run(&world, &bus, Duration::ZERO).await.unwrap()["reservations"], 0, "it has not expired");
    let swept = run(&world, &bus, TWO_HOURS).await.unwrap();
    assert_eq!((&swept["reservations"], &swept["charged_nano_usd"]), (&json!(1), &json!(100_000_000)), "{swept}");
    assert_eq!(world.left("a").await.0, 900_000_000);
    let late = json!({"settlements": [{"request_id": "r-1", "team": "a", "tier": "tiny", "model": "m", "output_tokens": 5000}]});
    assert_eq!(world.post("/settle", &[TRUSTED], &late).await.json()["duplicates"], 1);
}

/// Uses up 95 cents of the team's dollar, and is refused ten more: the month is told to be used up.
async fn exhaust(world: &World, team: &str) {
    let used = json!({"request_id": "r-1", "team": team, "tier": "tiny", "model": "m", "output_tokens": 9_500});
    assert_eq!(world.post("/settle", &[TRUSTED], &json!({"settlements": [used]})).await.json()["settled"], 1);
    let body = json!({"team": team, "tier": "tiny", "model": "dear", "estimated_tokens": 100, "max_tokens": 0});
    let answer = world.post("/check", &[TRUSTED], &body).await.json();
    assert_eq!((&answer["allowed"], &answer["code"]), (&json!(false), &json!("budget_exceeded")), "{answer}");
}

#[tokio::test]
async fn warnings_become_events_once_each_and_what_is_not_taken_comes_again() {
    let world = World::new().await;
    let bridge = EventBridge::default();
    let bus = bridge.start().await;
    exhaust(&world, "a").await;
    exhaust(&world, "b").await;
    let sweep = || run(&world, &bus, Duration::from_secs(1));
    *bridge.down.lock().unwrap() = true;
    let swept = sweep().await.unwrap();
    let warnings = swept["warnings"].as_u64().unwrap();
    assert!(warnings >= 2 && swept["sent"] == 0, "{swept}");
    *bridge.down.lock().unwrap() = false;
    *bridge.refuses.lock().unwrap() = true;
    let swept = sweep().await.unwrap();
    assert_eq!((swept["warnings"].as_u64(), swept["sent"].as_u64()), (Some(warnings), Some(warnings - 1)));
    *bridge.refuses.lock().unwrap() = false;
    assert_eq!(sweep().await.unwrap()["sent"], 1, "the one that was refused");
    assert_eq!(sweep().await.unwrap()["warnings"], 0);
    let seen = bridge.seen();
    let detail = |entry: &Value| serde_json::from_str::<Value>(entry["Detail"].as_str().unwrap()).unwrap();
    for entry in &seen {
        assert_eq!((&entry["Source"], &entry["DetailType"]), (&json!("tollgate"), &json!("Budget threshold")));
        assert_eq!(entry["EventBusName"], "tollgate-bus");
        assert_eq!((&detail(entry)["used_usd"], &detail(entry)["limit_usd"]), (&json!(0.95), &json!(1.0)));
    }
    for team in ["a", "b"] {
        let full = seen.iter().map(detail).filter(|detail| detail["name"] == team && detail["percent"] == 100);
        let full: Vec<Value> = full.collect();
        assert_eq!(full.len(), 1, "once: {seen:?}");
        assert_eq!((&full[0]["scope"], &full[0]["owner"]), (&json!(format!("team#{team}")), &json!("team")));
    }
}

#[tokio::test]
async fn without_a_bus_warnings_are_logged_and_done() {
    let world = World::new().await;
    let bus = Bus::new(Some(String::new()), aws().await);
    exhaust(&world, "a").await;
    let swept = run(&world, &bus, Duration::from_secs(1)).await.unwrap();
    assert!(swept["warnings"].as_u64() >= Some(1) && swept["warnings"] == swept["sent"], "{swept}");
    assert_eq!(run(&world, &bus, Duration::from_secs(1)).await.unwrap()["warnings"], 0);
}
