//! What a call costs beside the tokens at the top of its usage, as the answer tells it: to a client of the same dialect and to one of another, whole and streamed.

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};
    use tollgate_wire::codec::{Carrier, Dialect, Seed, Target};
    use tollgate_wire::exchange::Inbound;
    use tollgate_wire::ir::Usage;

    /// What is counted of an answer: to a client of the upstream's dialect, and to one of chat completions.
    fn counted(upstream: Dialect, answer: &Value, events: &[Value]) -> Vec<Usage> {
        let seed = Seed { created_unix_s: 1, request_id: "r1".to_owned() };
        let mut all = Vec::new();
        for client in [upstream, Dialect::Chat] {
            for stream in [false, true] {
                let inbound = match client {
                    Dialect::GenerateContent => Inbound::by_path(
                        Bytes::from_static(br#"{"contents":[{"role":"user","parts":[{"text":"x"}]}]}"#),
                        "m".to_owned(),
                        stream,
                    ),
                    _ => {
                        let body = json!({"model": "m", "max_tokens": 9, "stream": stream, "input": "x", "messages": [{"role": "user", "content": "x"}]});
                        Inbound::decode(client, body.to_string().into(), Vec::new())
                    }
                };
                let target = Target { dialect: upstream, carrier: Carrier::Direct, model: "m" };
                let mut relay = inbound.unwrap().start(&target, &seed, false).unwrap().relay;
                if stream {
                    let mut out = Vec::new();
                    for event in events {
                        let name = event["type"].as_str().map(|name| format!("event: {name}\n")).unwrap_or_default();
                        relay.chunk(format!("{name}data: {event}\n\n").as_bytes(), &mut out).unwrap();
                    }
                    relay.finish(&mut out).unwrap();
                } else {
                    relay.response(answer.to_string().into()).unwrap();
                }
                all.push(relay.state().usage);
            }
        }
        all
    }

    #[test]
    fn anthropic_tells_searches_speed_region_and_the_steps_that_its_figures_leave_out() {
        let usage = json!({
            "input_tokens": 23, "cache_read_input_tokens": 5, "output_tokens": 10, "server_tool_use": {"web_search_requests": 3}, "speed": "fast", "inference_geo": "us",
            "iterations": [
                {"type": "compaction", "input_tokens": 180, "output_tokens": 35, "cache_read_input_tokens": 7},
                {"type": "message", "input_tokens": 20, "output_tokens": 6},
                {"type": "message", "input_tokens": 5, "output_tokens": 6}
            ]
        });
        let message = |usage: &Value| {
            json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "Hi"}],
            "stop_reason": "end_turn", "stop_sequence": null, "usage": usage})
        };
        let events = [
            json!({"type": "message_start", "message": message(&json!({"input_tokens": 23, "output_tokens": 1}))}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": usage}),
            json!({"type": "message_stop"}),
        ];
        for usage in counted(Dialect::Messages, &message(&usage), &events) {
            // The steps of the answer come to 25 and 12, which is more than its top says; the compaction comes on top.
            assert_eq!((usage.input, usage.output, usage.cache_read), (Some(205), Some(47), Some(12)));
            assert_eq!((usage.web_searches, usage.fast, usage.in_region), (Some(3), Some(true), Some(true)));
        }
        let usual =
            json!({"input_tokens": 2, "output_tokens": 1, "speed": "standard", "inference_geo": "not_available"});
        let usage = counted(Dialect::Messages, &message(&usual), &events)[0];
        assert_eq!(
            (usage.input, usage.fast, usage.in_region, usage.web_searches),
            (Some(2), Some(false), Some(false), None)
        );
    }

    #[test]
    fn openai_tells_searches_by_their_items_and_pages_are_none() {
        let search =
            |action: Value| json!({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": action});
        let response = json!({"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m", "output": [
            search(json!({"type": "search", "query": "a"})), search(json!({"type": "open_page", "url": "https://example.test"})), search(Value::Null),
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [
                {"type": "output_text", "text": "of {\"type\":\"web_search_call\"}", "annotations": []}]}],
            "usage": {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30}});
        let events = [
            json!({"type": "response.created", "response": {"id": "resp_1", "model": "m", "output": []}}),
            json!({"type": "response.output_text.delta", "output_index": 3, "content_index": 0, "delta": "Hi"}),
            json!({"type": "response.completed", "response": response}),
        ];
        for usage in counted(Dialect::Responses, &response, &events) {
            assert_eq!((usage.web_searches, usage.output), (Some(2), Some(20)));
        }
    }

    #[test]
    fn gemini_tells_its_queries_which_older_models_do_not_cost_each() {
        for (model, searches) in [("gemini-3-pro", 2), ("gemini-2.5-pro", 1)] {
            let answer = json!({"modelVersion": model, "responseId": "r", "candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [{"text": "Hi"}]},
                "groundingMetadata": {"webSearchQueries": ["a", "b"]}}],
                "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7}});
            for usage in counted(Dialect::GenerateContent, &answer, std::slice::from_ref(&answer)) {
                assert_eq!((usage.web_searches, usage.output), (Some(searches), Some(4)), "{model}");
            }
        }
    }
}
