//! A stream of the Responses API on its way to a client who speaks it.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Sniffer;
use crate::error::WireError;
use crate::ir::Fault;
use crate::json;
use crate::openai::usage::web_searches;
use crate::responses::fault_of_event;
use crate::sse::SseEvent;

/// What of an event is looked at.
#[derive(Debug, Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default)]
    response: Option<Answer<'a>>,
    #[serde(borrow, default)]
    item: Option<Item<'a>>,
}

#[derive(Debug, Deserialize)]
struct Answer<'a> {
    #[serde(default)]
    model: Option<String>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Item<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<std::borrow::Cow<'a, str>>,
}

impl Sniffer {
    /// Is this event the client's? All are, but for what stands in the place of an answer.
    pub(super) fn responses_event(&mut self, event: &SseEvent, data: &[u8]) -> Result<bool, Fault> {
        self.events += 1;
        if event.name().is_some_and(|name| name.ends_with(b".delta")) {
            self.content = true;
            return Ok(true);
        }
        if data == b"[DONE]" {
            return Ok(true);
        }
        let read: Event<'_> = json::read(data).map_err(|e| WireError::BadAnswer(e.to_string()).into_fault())?;
        if let Some(response) = read.response {
            self.take_raw_usage(response.usage);
            self.model = self.model.take().or(response.model);
        }
        match read.kind.as_deref().unwrap_or_default() {
            "error" => return Err(fault_of_event(data)),
            "response.failed" => {
                // What an answer has failed with goes to its client as it came; one that nobody has seen anything of is tried elsewhere.
                self.failed = Some(event.raw.clone());
                return Err(fault_of_event(data));
            }
            "response.completed" | "response.incomplete" => {
                self.usage.web_searches = web_searches(data);
                self.content = true;
                self.done = true;
            }
            "response.created" | "response.in_progress" | "response.content_part.added" => {}
            "response.output_item.added" => {
                let silent = read.item.and_then(|item| item.kind);
                self.content |= !matches!(silent.as_deref(), Some("message" | "reasoning"));
            }
            // Also `response.queued`: an answer in the background goes on there, whatever becomes of this connection.
            _ => self.content = true,
        }
        Ok(true)
    }
}
