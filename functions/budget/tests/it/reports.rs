//! Usage from elsewhere: in our own form, by OTLP, by a log subscription. Each counts once, against its reservation if it has one.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tollgate_budget::Budget;
use tollgate_hooks::run::Function;
use tollgate_hooks::{App, service};
use tollgate_limits::What;

use super::support::{aws, config_at, deliver, post, token, token_with};
use super::world::{TRUSTED, World};

fn settlement(id: &str, input: u64, output: u64) -> Value {
    json!({"request_id": id, "team": "a", "tier": "tiny", "model": "m", "input_tokens": input, "output_tokens": output})
}

fn batch(settlements: &[Value]) -> Value {
    json!({"settlements": settlements})
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn reserve(world: &World, id: &str) {
    let body = json!({"team": "a", "tier": "tiny", "model": "m", "estimated_tokens": 2000, "max_tokens": 3000, "request_id": id});
    assert_eq!(world.post("/check", &[TRUSTED], &body).await.json()["allowed"], true);
}

#[tokio::test]
async fn a_report_replaces_its_reservation_once() {
    let world = World::new().await;
    reserve(&world, "r-1").await;
    assert_eq!(world.left("a").await, (500_000_000, 5_000));
    let report = batch(&[settlement("r-1", 1000, 200)]);
    let answer = world.post("/settle", &[TRUSTED], &report).await;
    assert_eq!((answer.status, &answer.json()["settled"]), (200, &json!(1)));
    assert_eq!(world.left("a").await, (880_000_000, 8_800));
    let answer = world.post("/x/settle", &[TRUSTED], &report).await.json();
    assert_eq!((&answer["settled"], &answer["duplicates"]), (&json!(0), &json!(1)));
    let answer = deliver(&world.function, report).await.unwrap();
    assert_eq!(answer["duplicates"], 1, "by direct invocation, too");
    assert_eq!(world.left("a").await, (880_000_000, 8_800));
}

#[tokio::test]
async fn a_report_without_a_reservation_is_booked_as_it_is() {
    let world = World::new().await;
    let used = json!({
        "request_id": "r-2", "client_id": "client-9", "model": "m", "input_tokens": 100, "cache_read_tokens": 50, "output_tokens": 50,
    });
    let answer = world.post("/settle", &[TRUSTED], &batch(&[used])).await.json();
    assert_eq!(answer["settled"], 1, "{answer}");
    assert_eq!(world.left("maps").await, (980_000_000, 9_800), "the client's team");
}

#[tokio::test]
async fn what_cannot_be_booked_is_said_and_the_rest_is_booked() {
    let world = World::new().await;
    let mut misspelt = settlement("r-3", 1, 1);
    misspelt["outputTokens"] = json!(1);
    let teamless = json!({"request_id": "r-4", "model": "m", "input_tokens": 1});
    let empty = json!({"request_id": "r-5", "team": "a", "model": "m"});
    let long = settlement(&"x".repeat(300), 1, 1);
    let answer = world
        .post("/settle", &[TRUSTED], &batch(&[misspelt, teamless, empty, json!(7), long, settlement("r-6", 1, 0)]))
        .await;
    let json = answer.json();
    assert_eq!((answer.status, &json["settled"]), (200, &json!(1)));
    assert_eq!(json["rejected"].as_array().unwrap().len(), 5, "{json}");
    assert_eq!(json["rejected"][3]["request_id"], "settlements[3]");
    let unpriced =
        json!({"request_id": "r-7", "team": "a", "tier": "tiny", "model": "unheard-of", "output_tokens": 10});
    assert_eq!(world.post("/settle", &[TRUSTED], &batch(&[unpriced])).await.json()["unpriced"], 1);
    for body in
        [json!(null), json!([]), json!({}), json!({"settlements": {}}), json!({"settlements": vec![json!(1); 1001]})]
    {
        assert_eq!(world.post("/settle", &[TRUSTED], &body).await.status, 400);
    }
}

#[tokio::test]
async fn nobody_untrusted_spends_a_teams_money() {
    let world = World::new().await;
    let plain = token();
    let settling =
        token_with(|claims| claims["scope"] = json!("https://gateway.internal/invoke https://gateway.internal/settle"));
    let own = format!("Bearer {}", super::support::SECRET);
    let report = batch(&[settlement("r", 1000, 0)]);
    for path in ["/settle", "/v1/usage", "/v1/logs"] {
        for (headers, status) in [
            (vec![], 401),
            (vec![("x-tollgate-secret", "wrong")], 403),
            (vec![("x-api-key", plain.as_str())], 403),
            (vec![("authorization", "Bearer abc")], 401),
            (vec![("x-tollgate-team", "a")], 401),
        ] {
            let headers: Vec<(&str, &str)> =
                headers.into_iter().chain([("content-type", "application/json")]).collect();
            let answer = post(&world.router, path, &headers, report.to_string()).await;
            assert_eq!(answer.status, status, "{path} {headers:?}: {}", answer.body);
        }
    }
    assert_eq!(world.left("a").await, (1_000_000_000, 10_000));
    for (id, headers) in [
        ("t", vec![("x-api-key", settling.as_str())]),
        ("s", vec![TRUSTED]),
        ("b", vec![("authorization", own.as_str())]),
    ] {
        let answer = world.post("/settle", &headers, &batch(&[settlement(id, 100, 0)])).await;
        assert_eq!((answer.status, &answer.json()["settled"]), (200, &json!(1)), "{headers:?}");
    }
}

/// A batch as agentgateway's exporter writes it, in OTLP's JSON.
fn otlp(id: &str, input: Value) -> Value {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let int = |key: &str, value: Value| json!({"key": key, "value": {"intValue": value}});
    let attributes = [
        text("http.path", "/v1/chat/completions"),
        int("http.status", json!(200)),
        text("gen_ai.provider.name", "openai"),
        text("gen_ai.request.model", "m"),
        text("gen_ai.response.model", "m-2026-01-01"),
        int("gen_ai.usage.input_tokens", input),
        int("gen_ai.usage.cache_read.input_tokens", json!("300")),
        int("gen_ai.usage.output_tokens", json!("200")),
        text("team", "a"),
        text("tier", "tiny"),
        text("request.id", id),
    ];
    let health = json!({"attributes": [text("http.path", "/healthz")]});
    let record =
        json!({"timeUnixNano": "1", "severityText": "INFO", "attributes": attributes, "traceId": "0A", "spanId": "0b"});
    json!({"resourceLogs": [{"resource": {}, "scopeLogs": [{"scope": {"name": "agentgateway.access"}, "logRecords": [record, health]}]}]})
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn the_access_log_of_another_gateway_settles_what_was_reserved() {
    let world = World::new().await;
    reserve(&world, "r-1").await;
    let answer = world.post("/v1/usage", &[TRUSTED, JSON], &otlp("r-1", json!("1000"))).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    assert_eq!(world.left("a").await, (880_000_000, 8_800), "cached input is counted once");
    let packed = gzip(otlp("r-1", json!(1000)).to_string().as_bytes());
    let answer = post(&world.router, "/v1/logs", &[TRUSTED, JSON, ("content-encoding", "gzip")], packed).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    assert_eq!(world.left("a").await, (880_000_000, 8_800), "the same batch again");
}

/// A field of protobuf: a length and bytes.
fn field(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut field = vec![tag];
    let mut length = body.len();
    while length > 127 {
        field.push(u8::try_from(length & 127).unwrap() | 128);
        length >>= 7;
    }
    field.push(u8::try_from(length).unwrap());
    field.extend(body);
    field
}

fn protobuf(texts: &[(&str, &str)], ints: &[(&str, u8)]) -> Vec<u8> {
    let pair = |key: &str, value: Vec<u8>| field(0x32, &[field(0x0a, key.as_bytes()), field(0x12, &value)].concat());
    let texts = texts.iter().map(|(key, value)| pair(key, field(0x0a, value.as_bytes())));
    let ints = ints.iter().map(|(key, value)| pair(key, vec![0x18, *value]));
    let record: Vec<u8> = texts.chain(ints).flatten().collect();
    field(0x0a, &field(0x12, &field(0x12, &record)))
}

#[tokio::test]
async fn protobuf_is_read_and_answered_in_protobuf() {
    let world = World::new().await;
    let kind = ("content-type", "application/x-protobuf");
    let whose = [("team", "a"), ("tier", "tiny"), ("gen_ai.request.model", "m"), ("request.id", "r-1")];
    let tokens = [("gen_ai.usage.input_tokens", 60), ("gen_ai.usage.output_tokens", 40)];
    let answer = post(&world.router, "/v1/usage", &[TRUSTED, kind], protobuf(&whose, &tokens)).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""), "an empty message");
    assert_eq!(world.left("a").await, (990_000_000, 9_900));
    let answer = post(&world.router, "/v1/usage", &[TRUSTED, kind], protobuf(&whose[1..], &tokens)).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.body.starts_with("\u{a}") && answer.body.contains("no team is named"),
        "a partial success: {:?}",
        answer.body
    );
    for (headers, body, status) in [
        (vec![TRUSTED, kind], b"rubbish".to_vec(), 400),
        (vec![TRUSTED], protobuf(&whose, &tokens), 415),
        (vec![TRUSTED, kind, ("content-encoding", "br")], protobuf(&whose, &tokens), 415),
        (vec![TRUSTED, kind, ("content-encoding", "gzip")], protobuf(&whose, &tokens), 400),
        (vec![kind], protobuf(&whose, &tokens), 401),
    ] {
        assert_eq!(post(&world.router, "/v1/usage", &headers, body).await.status, status, "{headers:?}");
    }
}

#[tokio::test]
async fn records_that_cannot_be_booked_are_counted() {
    let world = World::new().await;
    let mut batch = otlp("r-1", json!(10));
    let records = &mut batch["resourceLogs"][0]["scopeLogs"][0]["logRecords"];
    records[0]["attributes"].as_array_mut().unwrap().retain(|attribute| attribute["key"] != "team");
    let answer = world.post("/v1/usage", &[TRUSTED, JSON], &batch).await.json();
    assert_eq!(answer["partialSuccess"], json!({"rejectedLogRecords": "1", "errorMessage": "no team is named"}));
    let mut batch = otlp("", json!(10));
    let answer = world.post("/v1/usage", &[TRUSTED, JSON], &batch).await;
    assert_eq!(answer.body, "{}", "without an id the span's counts");
    batch["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["spanId"] = json!("");
    let answer = world.post("/v1/usage", &[TRUSTED, JSON], &batch).await.json();
    assert!(answer["partialSuccess"]["errorMessage"].as_str().unwrap().contains("request.id"), "{answer}");
}

#[tokio::test]
async fn a_log_subscription_settles_and_its_ids_count_once() {
    let world = World::new().await;
    reserve(&world, "r-1").await;
    let line = "2026-11-22T10:00:00Z\tinfo\trequest http.status=200 gen_ai.provider.name=openai gen_ai.request.model=m \
                gen_ai.usage.input_tokens=1000 gen_ai.usage.output_tokens=200 team=a tier=tiny";
    let events = [
        json!({"id": "1", "timestamp": 1, "message": format!("{line} request.id=r-1")}),
        json!({"id": "2", "timestamp": 1, "message": line}),
    ];
    let batch = json!({"messageType": "DATA_MESSAGE", "logGroup": "gw", "logEvents": events});
    let event = json!({"awslogs": {"data": STANDARD.encode(gzip(batch.to_string().as_bytes()))}});
    let answer = deliver(&world.function, event.clone()).await.unwrap();
    assert_eq!(answer["settled"], 2, "{answer}");
    assert_eq!(world.left("a").await, (760_000_000, 7_600));
    assert_eq!(deliver(&world.function, event).await.unwrap()["duplicates"], 2);
}

#[tokio::test]
async fn a_ledger_that_is_down_makes_senders_come_again() {
    let app = App::new(config_at("http://127.0.0.1:9", "", ""), What::Spend, aws().await).unwrap();
    let function = Budget::new(app);
    let router = function.router();
    let answer = post(&router, "/settle", &[TRUSTED], batch(&[settlement("r", 1, 1)]).to_string()).await;
    assert_eq!((answer.status, &answer.json()["failed"]), (503, &json!(["r"])));
    let answer = post(&router, "/v1/usage", &[TRUSTED, JSON], otlp("r", json!(1)).to_string()).await;
    assert_eq!((answer.status, &answer.json()["code"]), (503, &json!(14)));
    let batch = json!({"messageType": "DATA_MESSAGE", "logEvents": [{"id": "1", "timestamp": 1, "message":
        "gen_ai.usage.output_tokens=1 gen_ai.request.model=m team=a"}]});
    let event = json!({"awslogs": {"data": STANDARD.encode(gzip(batch.to_string().as_bytes()))}});
    assert!(deliver(&function, event).await.is_err(), "CloudWatch Logs tries again");
    assert!(deliver(&function, json!({"tollgate": "sweep"})).await.is_err(), "and so does EventBridge");
    let _ = service::router;
}
