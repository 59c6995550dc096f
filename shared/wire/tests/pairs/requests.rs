//! One client request, as each target gets it: by the gateway's own way, so that equal dialects are edited and not rebuilt.

use std::fmt::Write as _;

use serde_json::Value;
use tollgate_wire::codec::Dialect;

use super::pairs::{BEDROCK, CHAT, CONVERSE, GEMINI, MESSAGES, RESPONSES, fixture, golden, inbound, seed};

fn shown(dialect: Dialect, path: &str) -> String {
    let client = fixture(path);
    let inbound = inbound(dialect, &client);
    let mut out = format!("# {dialect:?} client\n{client}");
    for target in [CHAT, RESPONSES, MESSAGES, BEDROCK, CONVERSE, GEMINI] {
        write!(out, "\n# {:?} {:?}, {}\n", target.dialect, target.carrier, target.model).unwrap();
        match inbound.start(&target, &seed(), false) {
            Ok(started) => {
                let body: Value = serde_json::from_slice(&started.body).unwrap();
                let mut own: Value = serde_json::from_str(&client).unwrap();
                if dialect != Dialect::GenerateContent {
                    own["model"] = target.model.into();
                }
                let shown = serde_json::to_string_pretty(&body).unwrap();
                writeln!(out, "{}", if body == own { "as the client sent it, with this model" } else { &shown })
                    .unwrap();
                for dropped in started.dropped {
                    writeln!(out, "dropped {}: {}", dropped.path, dropped.reason).unwrap();
                }
            }
            Err(error) => writeln!(out, "refused: {error}").unwrap(),
        }
    }
    out
}

macro_rules! golden {
    ($($name:ident: $dialect:ident($path:literal);)*) => {
        $(#[test]
        fn $name() {
            golden("pairs/snapshots/requests", stringify!($name), &shown(Dialect::$dialect, $path));
        })*
    };
}

golden! {
    chat_text: Chat("pairs/requests/chat_text.json");
    chat_tool_loops_and_cache_marks: Chat("chat/requests/tool_history.json");
    chat_tools_without_a_definition: Chat("converse/client_chat.json");
    chat_media: Chat("chat/requests/media.json");
    chat_thinking_replay: Chat("chat/requests/thinking_replay.json");
    chat_structured_output: Chat("pairs/requests/chat_structured.json");
    messages_agent: Messages("messages/requests/agent.json");
    messages_documents_and_structured_output: Messages("messages/requests/documents.json");
    messages_parallel_tools: Messages("pairs/requests/messages_parallel_tools.json");
    messages_thinking_replay_and_cache_marks: Messages("converse/client_messages.json");
    messages_tools_gone_and_thinking_stripped: Messages("pairs/requests/messages_tools_gone.json");
    responses_text: Responses("pairs/requests/responses_text.json");
    responses_agent: Responses("pairs/requests/responses_agent.json");
    responses_media: Responses("pairs/requests/responses_media.json");
    messages_remote_image: Messages("pairs/requests/messages_remote_image.json");
    gemini_agent: GenerateContent("gemini/requests/agent.json");
    gemini_snake_case: GenerateContent("gemini/requests/snake_case.json");
    gemini_foreign_history: GenerateContent("gemini/requests/foreign_history.json");
    gemini_files: GenerateContent("gemini/requests/files.json");
}
