//! OpenAI's Realtime events, as far as a gateway between the two ends of a session has to understand them:
//! <https://platform.openai.com/docs/api-reference/realtime-client-events>, <https://platform.openai.com/docs/api-reference/realtime-server-events>.
//!
//! Events go through as they came. Looked at is what costs: a response that is asked for, begins, grows and ends, with its usage, and transcriptions of
//! what the user said. An event of a type that is not known is somebody else's; one that is not JSON is left to the end that it is sent to.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::ir::{Fault, Usage};
use crate::json;

/// Base64 characters of 24 kHz PCM16 sound that are one output token: OpenAI counts one per 50 ms of the assistant's voice
/// (<https://platform.openai.com/docs/guides/realtime-costs>).
const BASE64_PER_AUDIO_OUTPUT_TOKEN: usize = 3_200;
/// The same for the user's voice: one per 100 ms.
const BASE64_PER_AUDIO_INPUT_TOKEN: usize = 6_400;
/// Bytes of text that are about one token.
const TEXT_BYTES_PER_TOKEN: usize = 4;

/// What a client's event means for the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// It asks for a response.
    ResponseCreate {
        /// Its own id of this event, which an error would name.
        event_id: Option<String>,
        /// The cap of this response, if it says one.
        cap: Option<Cap>,
    },
    /// It changes the session.
    SessionUpdate {
        /// The cap of all responses, if it says one.
        cap: Option<Cap>,
        /// The model that is to transcribe what the user says, if it names one.
        transcription_model: Option<String>,
    },
    /// It adds to the context: about so many tokens.
    Context(u64),
    /// Anything else.
    Other,
}

/// An output cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    /// So many tokens.
    Tokens(u64),
    /// `inf`: the model's own.
    Model,
}

/// What an upstream's event means for the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerEvent {
    /// A response begins, asked for or by itself.
    ResponseCreated(String),
    /// A response grows by about so many tokens.
    Grown {
        /// Which.
        response_id: String,
        /// By how much.
        tokens: u64,
    },
    /// A response is over, however it ended.
    ResponseDone {
        /// Which.
        response_id: String,
        /// What it used.
        usage: Usage,
    },
    /// What the user said was transcribed by the session's transcription model.
    Transcribed {
        /// Of which item.
        item_id: String,
        /// What it used: tokens, or seconds where that model is paid by them.
        usage: Usage,
    },
    /// The session, as it is now.
    Session {
        /// The model that it talks with.
        model: String,
    },
    /// An event of the client's was refused.
    Refused {
        /// Which, if the client had named it.
        event_id: Option<String>,
    },
    /// Anything else.
    Other,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    event_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    item_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    session: Option<&'a RawValue>,
    #[serde(borrow, default)]
    item: Option<&'a RawValue>,
    #[serde(borrow, default)]
    audio: Option<&'a RawValue>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// Reads a client's event.
pub fn client_event(text: &str) -> ClientEvent {
    let Ok(event) = serde_json::from_str::<Envelope<'_>>(text) else { return ClientEvent::Other };
    match event.kind.as_ref() {
        "response.create" => ClientEvent::ResponseCreate {
            event_id: event.event_id.map(Cow::into_owned),
            cap: event.response.and_then(read::<Settings>).and_then(Settings::cap),
        },
        "session.update" => {
            let settings = event.session.and_then(read::<Settings>).unwrap_or_default();
            let transcription_model = settings.transcription_model();
            ClientEvent::SessionUpdate { cap: settings.cap(), transcription_model }
        }
        "conversation.item.create" => ClientEvent::Context(tokens(event.item, TEXT_BYTES_PER_TOKEN)),
        "input_audio_buffer.append" => ClientEvent::Context(tokens(event.audio, BASE64_PER_AUDIO_INPUT_TOKEN)),
        _ => ClientEvent::Other,
    }
}

/// Reads an upstream's event.
pub fn server_event(text: &str) -> ServerEvent {
    let Ok(event) = serde_json::from_str::<Envelope<'_>>(text) else { return ServerEvent::Other };
    let owned = |id: Option<Cow<'_, str>>| id.map(Cow::into_owned).unwrap_or_default();
    match event.kind.as_ref() {
        "response.created" | "response.done" => {
            let response = event.response.and_then(read::<Response>).unwrap_or_default();
            if event.kind == "response.created" {
                return ServerEvent::ResponseCreated(response.id);
            }
            let usage = response.usage.map(Usage::from).unwrap_or_default();
            ServerEvent::ResponseDone { response_id: response.id, usage }
        }
        // The names of the beta and of what followed it.
        "response.output_audio.delta" | "response.audio.delta" => ServerEvent::Grown {
            response_id: owned(event.response_id),
            tokens: tokens(event.delta, BASE64_PER_AUDIO_OUTPUT_TOKEN),
        },
        kind if kind.starts_with("response.") && kind.ends_with(".delta") => ServerEvent::Grown {
            response_id: owned(event.response_id),
            tokens: tokens(event.delta, TEXT_BYTES_PER_TOKEN),
        },
        "conversation.item.input_audio_transcription.completed" => {
            let usage = event.usage.and_then(read::<WireUsage>).map(Usage::from).unwrap_or_default();
            ServerEvent::Transcribed { item_id: owned(event.item_id), usage }
        }
        "session.created" | "session.updated" => {
            match event.session.and_then(read::<Transcription>).and_then(|session| session.model) {
                Some(model) => ServerEvent::Session { model },
                None => ServerEvent::Other,
            }
        }
        "error" => {
            let error = event.error.and_then(read::<Refusal>).unwrap_or_default();
            ServerEvent::Refused { event_id: error.event_id }
        }
        _ => ServerEvent::Other,
    }
}

/// An `error` event for the client, with this id. `about`: the client's own id of the event that brought it about.
pub fn error_event(fault: &Fault, id: &str, about: Option<&str>) -> String {
    let body: serde_json::Value = json::read(&crate::chat::encode_error(fault)).unwrap_or_default();
    let mut error = body.get("error").cloned().unwrap_or_default();
    if let Some(error) = error.as_object_mut() {
        error.insert("event_id".to_owned(), json!(about));
    }
    json!({"type": "error", "event_id": id, "error": error}).to_string()
}

/// A `response.cancel` for the upstream.
pub fn cancel_event(response_id: &str) -> String {
    json!({"type": "response.cancel", "response_id": response_id}).to_string()
}

fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

fn tokens(raw: Option<&RawValue>, bytes_per_token: usize) -> u64 {
    let bytes = raw.map_or(0, |raw| raw.get().len());
    u64::try_from(bytes.div_ceil(bytes_per_token)).unwrap_or(u64::MAX)
}

/// Of a session or of one response.
#[derive(Default, Deserialize)]
struct Settings {
    #[serde(default)]
    max_output_tokens: Option<serde_json::Value>,
    /// The beta's name.
    #[serde(default)]
    max_response_output_tokens: Option<serde_json::Value>,
    #[serde(default)]
    audio: Option<Audio>,
    /// The beta's place.
    #[serde(default)]
    input_audio_transcription: Option<Transcription>,
}

#[derive(Default, Deserialize)]
struct Audio {
    #[serde(default)]
    input: Option<AudioInput>,
}

#[derive(Default, Deserialize)]
struct AudioInput {
    #[serde(default)]
    transcription: Option<Transcription>,
}

/// A transcription's settings, or a session: what names a model.
#[derive(Default, Deserialize)]
struct Transcription {
    #[serde(default)]
    model: Option<String>,
}

impl Settings {
    fn cap(self) -> Option<Cap> {
        match self.max_output_tokens.or(self.max_response_output_tokens)? {
            serde_json::Value::String(text) if text == "inf" => Some(Cap::Model),
            value => value.as_u64().map(Cap::Tokens),
        }
    }

    fn transcription_model(&self) -> Option<String> {
        let input = self.audio.as_ref().and_then(|audio| audio.input.as_ref());
        let transcription = input.and_then(|input| input.transcription.as_ref());
        transcription.or(self.input_audio_transcription.as_ref())?.model.clone()
    }
}

#[derive(Default, Deserialize)]
struct Response {
    #[serde(default)]
    id: String,
    #[serde(default)]
    usage: Option<WireUsage>,
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    event_id: Option<String>,
}

/// <https://platform.openai.com/docs/api-reference/realtime-server-events/response/done>: cached tokens are a part of the input tokens, and their audio a part
/// of the audio tokens. A transcription is counted in seconds where its model is paid by them.
#[derive(Default, Deserialize)]
struct WireUsage {
    #[serde(default)]
    seconds: Option<f64>,
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    input_token_details: Option<Details>,
    #[serde(default)]
    output_token_details: Option<Details>,
}

#[derive(Default, Deserialize)]
struct Details {
    #[serde(default)]
    audio_tokens: Option<u64>,
    #[serde(default)]
    cached_tokens: Option<u64>,
    #[serde(default)]
    cached_tokens_details: Option<CachedDetails>,
}

#[derive(Default, Deserialize)]
struct CachedDetails {
    #[serde(default)]
    audio_tokens: Option<u64>,
}

impl From<WireUsage> for Usage {
    fn from(wire: WireUsage) -> Self {
        let input = wire.input_token_details.unwrap_or_default();
        let cached_audio = input.cached_tokens_details.and_then(|details| details.audio_tokens).unwrap_or_default();
        Self {
            input: wire.input_tokens.map(|tokens| tokens.saturating_sub(input.cached_tokens.unwrap_or_default())),
            cache_read: input.cached_tokens,
            audio_input: input.audio_tokens.map(|tokens| tokens.saturating_sub(cached_audio)),
            output: wire.output_tokens,
            audio_output: wire.output_token_details.unwrap_or_default().audio_tokens,
            ..Self::of_seconds(wire.seconds.unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::FaultKind;

    #[test]
    fn what_a_client_asks_for_is_read_with_its_cap() {
        for (text, event) in [
            (r#"{"type":"response.create"}"#, ClientEvent::ResponseCreate { event_id: None, cap: None }),
            (
                r#"{"response":{"max_output_tokens":300},"event_id":"e1","type":"response.create"}"#,
                ClientEvent::ResponseCreate { event_id: Some("e1".to_owned()), cap: Some(Cap::Tokens(300)) },
            ),
            (
                r#"{"type":"session.update","session":{"max_response_output_tokens":"inf"}}"#,
                ClientEvent::SessionUpdate { cap: Some(Cap::Model), transcription_model: None },
            ),
            (
                r#"{"type":"session.update","session":{"audio":{"input":{"transcription":{"model":"gpt-4o-transcribe"}}}}}"#,
                ClientEvent::SessionUpdate { cap: None, transcription_model: Some("gpt-4o-transcribe".to_owned()) },
            ),
            (r#"{"type":"input_audio_buffer.commit"}"#, ClientEvent::Other),
            ("no json", ClientEvent::Other),
        ] {
            assert_eq!(client_event(text), event, "{text}");
        }
    }

    #[test]
    fn sound_is_counted_by_its_length() {
        let second = "A".repeat(64_000);
        let append = format!(r#"{{"type":"input_audio_buffer.append","audio":"{second}"}}"#);
        assert_eq!(client_event(&append), ClientEvent::Context(11), "ten tokens and the rest");
        let delta = format!(r#"{{"type":"response.output_audio.delta","response_id":"r","delta":"{second}"}}"#);
        assert_eq!(server_event(&delta), ServerEvent::Grown { response_id: "r".to_owned(), tokens: 21 });
    }

    #[test]
    fn usage_is_read_with_each_part_once() {
        let done = r#"{"type":"response.done","response":{"id":"resp_1","status":"completed","usage":{"total_tokens":253,"input_tokens":132,
            "output_tokens":121,"input_token_details":{"text_tokens":119,"audio_tokens":13,"image_tokens":0,"cached_tokens":64,
            "cached_tokens_details":{"text_tokens":60,"audio_tokens":4}},"output_token_details":{"text_tokens":30,"audio_tokens":91}}}}"#;
        let ServerEvent::ResponseDone { response_id, usage } = server_event(done) else { panic!("{done}") };
        assert_eq!(response_id, "resp_1");
        assert_eq!((usage.input, usage.cache_read, usage.output), (Some(68), Some(64), Some(121)));
        assert_eq!((usage.audio_input, usage.audio_output, usage.total_input()), (Some(9), Some(91), 132));
    }

    #[test]
    fn a_cancelled_response_without_usage_has_none_reported() {
        let done = r#"{"type":"response.done","response":{"id":"r","status":"cancelled","usage":null}}"#;
        assert_eq!(
            server_event(done),
            ServerEvent::ResponseDone { response_id: "r".to_owned(), usage: Usage::default() }
        );
    }

    #[test]
    fn a_session_says_its_model() {
        let model = |text: &str| server_event(text);
        let said = r#"{"type":"session.created","session":{"id":"sess_1","type":"realtime","model":"gpt-realtime","tools":[]}}"#;
        assert_eq!(model(said), ServerEvent::Session { model: "gpt-realtime".to_owned() });
        assert_eq!(model(r#"{"type":"session.updated","session":{"model":7}}"#), ServerEvent::Other);
        assert_eq!(model(r#"{"type":"session.created"}"#), ServerEvent::Other);
    }

    #[test]
    fn a_transcription_has_a_usage_of_its_own() {
        let text = r#"{"type":"conversation.item.input_audio_transcription.completed","item_id":"i","transcript":"hi",
            "usage":{"type":"tokens","total_tokens":22,"input_tokens":13,"input_token_details":{"text_tokens":0,"audio_tokens":13},"output_tokens":9}}"#;
        let ServerEvent::Transcribed { item_id, usage } = server_event(text) else { panic!("{text}") };
        assert_eq!(
            (item_id.as_str(), usage.input, usage.audio_input, usage.output),
            ("i", Some(13), Some(13), Some(9))
        );
    }

    #[test]
    fn a_transcription_may_be_counted_in_seconds() {
        // The example of the API's reference, and a length with a fraction: the SDKs have a float.
        for (said, seconds) in [("3", 3), ("2.1", 3)] {
            let text = format!(
                r#"{{"type":"conversation.item.input_audio_transcription.completed","item_id":"i","transcript":"hi",
                "usage":{{"type":"duration","seconds":{said}}}}}"#
            );
            let ServerEvent::Transcribed { usage, .. } = server_event(&text) else { panic!("{text}") };
            assert_eq!(usage, Usage { seconds: Some(seconds), ..Usage::default() });
        }
    }

    #[test]
    fn a_fault_becomes_an_error_event_that_names_the_clients_own() {
        let fault = Fault::new(FaultKind::RateLimited, "too many").with_code("rate_limit_exceeded");
        let event: serde_json::Value = serde_json::from_str(&error_event(&fault, "event_1", Some("e1"))).unwrap();
        assert_eq!((&event["type"], &event["error"]["event_id"]), (&json!("error"), &json!("e1")));
        assert_eq!(event["error"]["code"], "rate_limit_exceeded");
        let own = r#"{"type":"error","event_id":"event_9","error":{"type":"invalid_request_error","code":null,"message":"m","event_id":"e1"}}"#;
        assert_eq!(server_event(own), ServerEvent::Refused { event_id: Some("e1".to_owned()) });
    }
}
