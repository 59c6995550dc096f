//! Thinking, sampling, cache marks, structured output: what depends on the model.

use serde_json::{Value, json};

use super::*;

#[test]
fn each_family_is_told_to_think_in_its_own_words() {
    let fields = |model: &str, thinking: Option<ThinkingMode>, effort: Option<&str>| {
        let request = Request { thinking, effort: effort.map(str::to_owned), ..hello() };
        let (body, dropped) = encode(model, &request);
        (body["additionalModelRequestFields"].clone(), dropped.len())
    };
    let nova = |effort: &str| json!({ "reasoningConfig": { "type": "enabled", "maxReasoningEffort": effort } });
    assert_eq!(fields(NOVA_2, None, Some("low")), (nova("low"), 0));
    assert_eq!(fields(NOVA_2, Some(ThinkingMode::Budget(10_000)), None), (nova("medium"), 1));
    assert_eq!(fields(NOVA_2, Some(ThinkingMode::Disabled), None), (Value::Null, 0));
    assert_eq!(fields(GPT_OSS, None, Some("medium")), (json!({ "reasoning_effort": "medium" }), 0));
    assert_eq!(fields("openai.gpt-5.6-sol", None, Some("xhigh")), (json!({ "reasoning": { "effort": "xhigh" } }), 0));
    assert_eq!(fields(LLAMA, None, Some("high")), (Value::Null, 1));
    assert_eq!(fields("new.model-v1:0", Some(ThinkingMode::Adaptive), None), (Value::Null, 1));
}

#[test]
fn novas_high_effort_yields_to_the_clients_output_cap() {
    let high = |max_output_tokens| {
        let request = Request { effort: Some("high".to_owned()), temperature: Some(0.5), max_output_tokens, ..hello() };
        let (body, dropped) = encode(NOVA_2, &request);
        (
            body["additionalModelRequestFields"]["reasoningConfig"]["maxReasoningEffort"].clone(),
            body["inferenceConfig"].clone(),
            dropped,
        )
    };
    assert_eq!(high(None), (json!("high"), Value::Null, vec!["temperature".to_owned()]));
    let config = json!({ "maxTokens": 100, "temperature": 0.5 });
    assert_eq!(high(Some(100)), (json!("medium"), config, vec!["effort".to_owned()]));
}

#[test]
fn sampling_is_clamped_and_what_converse_lacks_is_reported() {
    let request = Request {
        max_output_tokens: Some(10_000_000_000),
        temperature: Some(1.5),
        top_p: Some(0.5),
        top_k: Some(40),
        frequency_penalty: Some(0.5),
        presence_penalty: Some(0.0),
        seed: Some(7),
        user: Some("u".to_owned()),
        stop: vec!["END".to_owned(), String::new()],
        unmapped: vec![Dropped::new("logit_bias", "no such field")],
        ..hello()
    };
    let (body, dropped) = encode(NOVA, &request);
    assert_eq!(
        body["inferenceConfig"],
        json!({ "maxTokens": 2_147_483_647, "temperature": 1.0, "topP": 0.5, "stopSequences": ["END"] })
    );
    assert_eq!(body["additionalModelRequestFields"], json!({ "inferenceConfig": { "topK": 40 } }));
    assert_eq!(dropped, ["logit_bias", "frequency_penalty", "seed", "user", "temperature", "stop[1]"]);
    assert!(encode(LLAMA, &request).1.contains(&"top_k".to_owned()));
}

#[test]
fn cache_marks_go_where_the_model_takes_them_and_are_not_reported_elsewhere() {
    let request = Request {
        system: vec![text("Be kind."), Block::CacheMark(CacheTtl::OneHour)],
        tools: vec![Tool { cache: Some(CacheTtl::FiveMinutes), ..tool("f") }],
        ..asking(vec![user(vec![text("Hello"), Block::CacheMark(CacheTtl::FiveMinutes)])])
    };
    let points = |model: &str| {
        let (body, dropped) = encode(model, &request);
        assert!(dropped.is_empty(), "{dropped:?}");
        [&body["system"][1], &body["toolConfig"]["tools"][1], &body["messages"][0]["content"][1]]
            .map(|at| at["cachePoint"].clone())
    };
    let mark = json!({ "type": "default" });
    assert_eq!(points(NOVA), [mark.clone(), Value::Null, mark]);
    assert_eq!(points(LLAMA), [Value::Null, Value::Null, Value::Null]);
}

#[test]
fn a_schema_is_enforced_or_asked_for() {
    let schema = json!({ "type": "object", "properties": { "properties": { "type": "object", "properties": {} } } });
    let format = OutputFormat::JsonSchema { name: Some("out".to_owned()), description: None, schema, strict: None };
    let request = Request { output_format: Some(format), ..hello() };
    let (body, dropped) = encode(GPT_OSS, &request);
    let text_format = &body["outputConfig"]["textFormat"];
    assert_eq!(text_format["type"], "json_schema");
    let sent = &text_format["structure"]["jsonSchema"];
    assert_eq!(sent["name"], "out");
    let closed: Value = serde_json::from_str(sent["schema"].as_str().unwrap()).unwrap();
    assert_eq!(
        closed,
        json!({
            "type": "object",
            "properties": { "properties": { "type": "object", "properties": {}, "additionalProperties": false } },
            "additionalProperties": false,
        })
    );
    assert_eq!(dropped, ["output_format.schema"]);
    let (body, dropped) = encode(NOVA, &request);
    assert!(body["system"][0]["text"].as_str().unwrap().contains(r#"{"type":"object""#));
    assert_eq!((&body["outputConfig"], dropped.as_slice()), (&Value::Null, &["output_format".to_owned()][..]));
    let (body, dropped) = encode(GPT_OSS, &Request { output_format: Some(OutputFormat::JsonObject), ..hello() });
    assert!(body["system"][0]["text"].as_str().unwrap().contains("JSON"));
    assert_eq!(dropped, ["output_format"]);
}

#[test]
fn a_model_that_we_have_never_heard_of_gets_plain_converse() {
    let request = Request { max_output_tokens: Some(10), tools: vec![tool("f")], ..hello() };
    let (body, dropped) = encode("newvendor.model-9-v1:0", &request);
    assert_eq!(body["inferenceConfig"], json!({ "maxTokens": 10 }));
    assert!(body.get("additionalModelRequestFields").is_none() && dropped.is_empty());
}
