//! Whole requests, answers and streams of Bedrock Converse: input beside output, in `tests/converse/snapshots`.
//!
//! Member names in the fixtures and the snapshots are those of `protocol_serde` in `aws-sdk-bedrockruntime` 1.153.

#[cfg(test)]
mod converse {
    use std::fmt::Debug;
    use std::path::{Path, PathBuf};

    use aws_smithy_eventstream::frame::write_message_to;
    use aws_smithy_types::event_stream::{Header, HeaderValue, Message as Frame};
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use tollgate_wire::codec::{self, Carrier, Dialect, Encoded, Target};
    use tollgate_wire::error::WireError;
    use tollgate_wire::ir::{
        Block, CacheTtl, Event, Message, OutputFormat, Request, Role, Source, ThinkingMode, Tool, ToolChoice,
    };

    const NOVA: &str = "us.amazon.nova-2-lite-v1:0";
    const GPT_OSS: &str = "openai.gpt-oss-120b-1:0";
    const LLAMA: &str = "us.meta.llama3-3-70b-instruct-v1:0";

    fn start(model: &str, request: &Request) -> Encoded {
        codec::encode_request(request, &Target { dialect: Dialect::Converse, carrier: Carrier::Direct, model }).unwrap()
    }

    fn fixture(name: &str) -> String {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/converse").join(name)).unwrap()
    }

    fn golden(name: &str, text: &str) {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("converse/snapshots");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name, text));
    }

    fn golden_request(name: &str, model: &str, request: &Request) {
        let encoded = start(model, request);
        let body: Value = serde_json::from_slice(&encoded.body).unwrap();
        let dropped: Vec<String> =
            encoded.dropped.iter().map(|dropped| format!("{}: {}", dropped.path, dropped.reason)).collect();
        let body = serde_json::to_string_pretty(&body).unwrap();
        golden(name, &format!("model {model}\n\n{request:#?}\n\n{body}\n\ndropped:\n{}", dropped.join("\n")));
    }

    fn pretty(value: &impl Debug) -> String {
        format!("{value:#?}")
    }

    fn message(role: Role, blocks: Vec<Block>) -> Message {
        Message { role, blocks }
    }

    fn text(text: &str) -> Block {
        Block::Text(text.to_owned())
    }

    fn call(id: &str, city: &str) -> Block {
        Block::ToolUse { id: id.to_owned(), name: "weather.get".to_owned(), input: json!({ "city": city }) }
    }

    fn result(id: &str, content: Vec<Block>, is_error: bool) -> Block {
        Block::ToolResult { id: id.to_owned(), content, is_error }
    }

    fn weather_tool() -> Tool {
        Tool {
            name: "weather.get".to_owned(),
            description: Some("Weather of a city".to_owned()),
            schema: json!({
                "type": "object",
                "properties": { "unit": { "type": "string" }, "city": { "type": "string" } },
                "required": ["city"],
            }),
            strict: Some(true),
            cache: Some(CacheTtl::OneHour),
            custom: None,
        }
    }

    /// An agent in the middle of its loop, with all that a turn can hold.
    fn agent() -> Request {
        let picture = Source::Base64 { media_type: "image/png".to_owned(), data: "iVBORw0KGgo=".to_owned() };
        let report = Source::Base64 { media_type: "application/pdf".to_owned(), data: "JVBERi0=".to_owned() };
        let thinking = Block::Thinking { text: "Two cities.".to_owned(), signature: Some("EqoB".to_owned()) };
        Request {
            model: "agent".to_owned(),
            system: vec![text("You know the weather."), Block::CacheMark(CacheTtl::OneHour)],
            messages: vec![
                message(
                    Role::User,
                    vec![
                        text("Oslo and Bergen?"),
                        Block::Image(picture.clone()),
                        Block::Document { source: report, name: Some("last_week's report.pdf".to_owned()) },
                    ],
                ),
                message(
                    Role::Assistant,
                    vec![thinking, text("Let me see."), call("call_1", "Oslo"), call("call_2", "Bergen")],
                ),
                message(
                    Role::User,
                    vec![result("call_1", vec![text("{\"rain\": true}"), Block::Image(picture)], false)],
                ),
                message(
                    Role::User,
                    vec![
                        result("call_2", vec![text("no such city")], true),
                        text("Bergen is in Norway."),
                        Block::CacheMark(CacheTtl::FiveMinutes),
                    ],
                ),
            ],
            tools: vec![weather_tool()],
            tool_choice: Some(ToolChoice::Auto),
            parallel_tool_calls: Some(false),
            max_output_tokens: Some(8000),
            temperature: Some(1.0),
            top_p: Some(0.5),
            stop: vec!["###".to_owned()],
            thinking: Some(ThinkingMode::Budget(4000)),
            stream: true,
            ..Request::default()
        }
    }

    /// What an OpenAI client may set, and a schema.
    fn everything_else() -> Request {
        Request {
            model: "chat".to_owned(),
            system: vec![text("Answer shortly.")],
            messages: vec![
                message(Role::Assistant, vec![text("How can I help?")]),
                message(Role::User, vec![text("A city."), text("  ")]),
                message(Role::System, vec![text("In Norway.")]),
            ],
            max_output_tokens: Some(500),
            temperature: Some(1.3),
            top_p: Some(0.9),
            top_k: Some(50),
            frequency_penalty: Some(0.2),
            presence_penalty: Some(0.2),
            seed: Some(42),
            stop: vec!["\n".to_owned()],
            output_format: Some(OutputFormat::JsonSchema {
                name: Some("city".to_owned()),
                description: Some("A city".to_owned()),
                schema: json!({ "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"] }),
                strict: Some(true),
            }),
            effort: Some("high".to_owned()),
            user: Some("user-1".to_owned()),
            ..Request::default()
        }
    }

    #[test]
    fn a_request_of_an_agent_for_each_family() {
        golden_request("agent_nova", NOVA, &agent());
        golden_request("agent_llama", LLAMA, &agent());
    }

    #[test]
    fn a_request_with_everything_else_for_each_family() {
        golden_request("everything_nova", NOVA, &everything_else());
        golden_request("everything_gpt_oss", GPT_OSS, &everything_else());
        golden_request("everything_unknown", "newvendor.model-9-v1:0", &everything_else());
    }

    #[test]
    fn a_clients_own_body_for_each_dialect() {
        for (name, dialect) in [("client_chat", Dialect::Chat), ("client_messages", Dialect::Messages)] {
            let client = fixture(&format!("{name}.json"));
            let request = codec::decode_request(dialect, client.as_bytes()).unwrap();
            let encoded = start(NOVA, &request);
            let body: Value = serde_json::from_slice(&encoded.body).unwrap();
            let body = serde_json::to_string_pretty(&body).unwrap();
            golden(name, &format!("{client}\n{body}\n\ndropped:\n{:#?}", encoded.dropped));
        }
    }

    #[test]
    fn whole_answers() {
        let request = Request { stop: vec!["###".to_owned(), "END".to_owned()], ..agent() };
        for name in ["answer_tools", "answer_stop_sequence"] {
            let answer = fixture(&format!("{name}.json"));
            let response = start(NOVA, &request).reader.response(answer.as_bytes()).unwrap();
            golden(name, &format!("{answer}\n{}", pretty(&response)));
        }
    }

    #[test]
    fn streamed_answers() {
        for name in ["stream_tools", "stream_throttled"] {
            let frames = fixture(&format!("{name}.json"));
            let (events, end) = read([frames_of(&frames).as_slice()]);
            let events: Vec<String> = events.iter().map(|event| format!("{event:?}")).collect();
            golden(name, &format!("{frames}\n{}\n{end:?}", events.join("\n")));
        }
    }

    /// Frames of a fixture: pairs of an event's or exception's type and its payload.
    fn frames_of(fixture: &str) -> Vec<u8> {
        let frames: Vec<(String, Value)> = serde_json::from_str(fixture).unwrap();
        let mut bytes = Vec::new();
        for (kind, payload) in frames {
            let (message_type, name) =
                if kind.ends_with("Exception") { ("exception", ":exception-type") } else { ("event", ":event-type") };
            let header =
                |name: &'static str, value: &str| Header::new(name, HeaderValue::String(value.to_owned().into()));
            let frame = Frame::new(Bytes::from(payload.to_string()))
                .add_header(header(name, &kind))
                .add_header(header(":content-type", "application/json"))
                .add_header(header(":message-type", message_type));
            write_message_to(&frame, &mut bytes).unwrap();
        }
        bytes
    }

    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, Result<(), WireError>) {
        let mut reader = start(NOVA, &agent()).reader;
        let mut events = Vec::new();
        for piece in pieces {
            if let Err(error) = reader.chunk(piece, &mut events) {
                return (events, Err(error));
            }
        }
        let end = reader.finish(&mut events);
        (events, end)
    }

    /// Streams that Bedrock gave, where they are at hand: they are not part of the project.
    fn samples() -> Vec<(PathBuf, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/wire-samples/bedrock");
        let Ok(entries) = std::fs::read_dir(&folder) else {
            println!("skipped: no samples at {}", folder.display());
            return vec![];
        };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let streams = paths.filter(|path| path.extension().is_some_and(|extension| extension == "bin"));
        streams.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    }

    #[test]
    fn recorded_streams_are_read_to_their_end() {
        for (path, bytes) in samples() {
            let (events, end) = read([bytes.as_slice()]);
            if path.ends_with("bedrock-invoke.bin") {
                // InvokeModel's frames are no events of Converse.
                assert_eq!((events.len(), end), (0, Err(WireError::Incomplete)));
                continue;
            }
            assert_eq!(end, Ok(()), "{}", path.display());
            assert!(matches!(events.first(), Some(Event::Start { .. })));
            assert!(
                matches!(events.get(events.len() - 2..), Some([Event::Usage(usage), Event::Stop(_)]) if usage.is_reported())
            );
            let byte_by_byte = read(bytes.chunks(1));
            assert_eq!(byte_by_byte, (events, Ok(())), "{}", path.display());
        }
    }

    #[test]
    fn recorded_answers_are_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/wire-samples/bedrock");
        for (name, blocks) in [("basic.json", 1), ("reasoning.json", 2), ("tool.json", 2)] {
            let Ok(answer) = std::fs::read(folder.join(name)) else {
                println!("skipped: no sample {name}");
                continue;
            };
            let response = start(NOVA, &agent()).reader.response(&answer).unwrap();
            assert_eq!(response.blocks.len(), blocks, "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_split_of_a_stream_gives_the_same_events(cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20)) {
            let own = ["stream_tools", "stream_throttled"].map(|name| frames_of(&fixture(&format!("{name}.json"))));
            for bytes in own.into_iter().chain(samples().into_iter().map(|(_, bytes)| bytes)) {
                let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
                cuts.extend([0, bytes.len()]);
                cuts.sort_unstable();
                let pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
                prop_assert_eq!(read(pieces), read([bytes.as_slice()]));
            }
        }
    }
}
