//! The IR's turns as flat messages.
//!
//! A user turn becomes: one `tool` message per result, right behind the calls that they answer, then one `user` message with the rest, and with what a
//! `tool` message cannot hold (its content is text only: <https://platform.openai.com/docs/api-reference/chat/create>).

use std::borrow::Cow;

use crate::chat::types::{
    AudioOut, BreakpointOut, CallOut, ContentOut, ExtraContent, FileOut, MessageOut, PartKind, PartOut, UrlOut,
};
use crate::error::WireError;
use crate::ir::{Block, Dropped, Message, Request, Role, Source};
use crate::names::ToolNames;
use crate::openai::custom::text_of;
use crate::openai::encode::{call_id, data_url, detail, foreign_file, image_url, named_text};
use crate::openai::offered::Offered;

/// What the model takes beside plain messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Takes {
    /// It honours `prompt_cache_breakpoint`.
    pub(super) breakpoints: bool,
    /// Gemini's signatures of calls.
    pub(super) signed_calls: bool,
}

pub(super) fn encode<'a>(
    offered: Offered<'a>,
    request: &'a Request,
    takes: Takes,
    names: &mut ToolNames,
    dropped: &mut Vec<Dropped>,
) -> Result<Vec<MessageOut<'a>>, WireError> {
    let out = Vec::with_capacity(request.messages.len() + 1);
    let mut turns = Turns { offered, takes, names, dropped, out, thinking: None };
    turns.system("system", &request.system)?;
    for (index, message) in request.messages.iter().enumerate() {
        let path = format!("messages[{index}]");
        match message.role {
            Role::System => turns.system(&path, &message.blocks)?,
            Role::User => turns.user(&path, message)?,
            Role::Assistant => turns.assistant(&path, message),
        }
    }
    if let Some(last) = request.messages.last()
        && last.role == Role::Assistant
        && !last.blocks.iter().any(|block| matches!(block, Block::ToolUse { .. }))
    {
        let path = format!("messages[{}]", request.messages.len() - 1);
        turns
            .dropped
            .push(Dropped::new(path, "this provider answers behind an assistant message and does not continue it"));
    }
    if let Some((path, count)) = turns.thinking {
        let reason = format!("thinking of earlier turns cannot be replayed to this provider ({count} blocks)");
        turns.dropped.push(Dropped::new(path, reason));
    }
    Ok(turns.out)
}

struct Turns<'a, 'b> {
    offered: Offered<'a>,
    takes: Takes,
    names: &'b mut ToolNames,
    dropped: &'b mut Vec<Dropped>,
    out: Vec<MessageOut<'a>>,
    /// The first thinking block that was left out, and how many there were: reported once.
    thinking: Option<(String, usize)>,
}

impl<'a> Turns<'a, '_> {
    /// The role is `system` for every model: those that prefer `developer` read it as that.
    fn system(&mut self, path: &str, blocks: &'a [Block]) -> Result<(), WireError> {
        let parts = self.parts(path, blocks)?;
        self.push("system", parts);
        Ok(())
    }

    fn user(&mut self, path: &str, message: &'a Message) -> Result<(), WireError> {
        let mut moved = Vec::new();
        for (index, block) in message.blocks.iter().enumerate() {
            if let Block::ToolResult { id, content, is_error } = block {
                let path = format!("{path}.content[{index}]");
                let mark = matches!(message.blocks.get(index + 1), Some(Block::CacheMark(_)));
                moved.extend(self.tool_result(&path, id, content, *is_error, mark)?);
            }
        }
        moved.extend(self.parts(path, &message.blocks)?);
        self.push("user", moved);
        Ok(())
    }

    /// Writes the `tool` message; gives what it cannot hold.
    fn tool_result(
        &mut self,
        path: &str,
        id: &'a str,
        content: &'a [Block],
        is_error: bool,
        mark: bool,
    ) -> Result<Vec<PartOut<'a>>, WireError> {
        let parts = self.parts(path, content)?;
        let (mut texts, mut media): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|part| matches!(part.kind, PartKind::Text { .. }));
        if !media.is_empty() {
            let note = format!("The result of call {id} continues here:");
            media.insert(0, text_part(Cow::Owned(note)));
            if texts.is_empty() {
                texts.push(text_part(Cow::Borrowed("The result follows in the next user message.")));
            }
            self.dropped
                .push(Dropped::new(path, "a tool message holds text only; the rest is in the user message behind it"));
        }
        if is_error {
            // There is no field for it, so the model reads it.
            texts.insert(0, text_part(Cow::Borrowed("The tool call failed:")));
        }
        if mark
            && self.takes.breakpoints
            && let Some(last) = texts.last_mut()
        {
            last.prompt_cache_breakpoint = Some(BreakpointOut { mode: "explicit" });
        }
        let content = content_of(texts, "\n").unwrap_or(ContentOut::Text(Cow::Borrowed("")));
        let message = MessageOut {
            role: "tool",
            tool_call_id: Some(call_id(id)),
            content: Some(content),
            ..MessageOut::default()
        };
        self.out.push(message);
        Ok(media)
    }

    fn assistant(&mut self, path: &str, message: &'a Message) {
        let mut out = MessageOut { role: "assistant", ..MessageOut::default() };
        let mut text = Cow::Borrowed("");
        let mut of_call = None;
        for (index, block) in message.blocks.iter().enumerate() {
            match block {
                // One text again: it was one, and several servers take no parts here.
                Block::Text(more) => append(&mut text, more),
                Block::Refusal(more) => out.refusal.get_or_insert_default().push_str(more),
                Block::ToolUse { id, name, input } => {
                    let sent = self.names.encode(name);
                    let call = CallOut { id: Some(call_id(id)), extra_content: of_call.take(), ..CallOut::default() };
                    out.tool_calls.push(match text_of(input).filter(|_| self.offered.is_custom(name)) {
                        Some(text) => call.custom(&sent, text.to_owned()),
                        None => call.function(Cow::Owned(sent), input.to_string()),
                    });
                }
                Block::Thinking { signature, text } if self.takes.signed_calls && text.is_empty() => {
                    of_call = ExtraContent::of(signature.as_deref());
                }
                Block::Thinking { .. } | Block::RedactedThinking(_) => {
                    let first = || (format!("{path}.content[{index}]"), 0);
                    self.thinking.get_or_insert_with(first).1 += 1;
                }
                Block::CacheMark(_) | Block::Detail { .. } | Block::Citations(_) => {}
                Block::Image(_) | Block::Document { .. } | Block::Audio { .. } | Block::ToolResult { .. } => {
                    let reason = "an assistant message holds text and calls only";
                    self.dropped.push(Dropped::new(format!("{path}.content[{index}]"), reason));
                }
            }
        }
        let bare = out.tool_calls.is_empty() && out.refusal.is_none();
        if !text.trim().is_empty() {
            out.content = Some(ContentOut::Text(text));
        } else if bare {
            return;
        }
        self.out.push(out);
    }

    /// Writes a message, unless there is nothing to write.
    fn push(&mut self, role: &'static str, mut parts: Vec<PartOut<'a>>) {
        let blank = |part: &PartOut<'_>| matches!(&part.kind, PartKind::Text { text } if text.trim().is_empty());
        if parts.iter().any(|part| !blank(part)) {
            parts.retain(|part| !blank(part));
        }
        if let Some(content) = content_of(parts, "\n\n") {
            self.out.push(MessageOut { role, content: Some(content), ..MessageOut::default() });
        }
    }

    /// Content blocks as parts. Tool results are not content here: they are messages.
    fn parts(&mut self, path: &str, blocks: &'a [Block]) -> Result<Vec<PartOut<'a>>, WireError> {
        let mut parts: Vec<PartOut<'a>> = Vec::with_capacity(blocks.len());
        let mut marked_result = false;
        for (index, block) in blocks.iter().enumerate() {
            let path = || format!("{path}.content[{index}]");
            let kind = match block {
                Block::Text(text) => PartKind::Text { text: Cow::Borrowed(text) },
                Block::Image(source) => {
                    let detail = detail(blocks, index);
                    PartKind::ImageUrl { image_url: UrlOut { url: image_url(source, &path)?, detail } }
                }
                Block::Document { source, name } => document(source, name.as_deref(), &path)?,
                Block::Audio { data, format } => PartKind::InputAudio { input_audio: AudioOut { data, format } },
                Block::ToolResult { .. } => {
                    marked_result = true;
                    continue;
                }
                Block::Detail { .. } | Block::Citations(_) => continue,
                Block::CacheMark(_) => {
                    // A mark behind a result belongs to the result.
                    if self.takes.breakpoints
                        && !marked_result
                        && let Some(last) = parts.last_mut()
                    {
                        last.prompt_cache_breakpoint = Some(BreakpointOut { mode: "explicit" });
                    }
                    continue;
                }
                Block::ToolUse { .. } | Block::Thinking { .. } | Block::RedactedThinking(_) | Block::Refusal(_) => {
                    self.dropped.push(Dropped::new(path(), "only an assistant message can hold it"));
                    continue;
                }
            };
            marked_result = false;
            parts.push(PartOut { kind, prompt_cache_breakpoint: None });
        }
        Ok(parts)
    }
}

fn text_part(text: Cow<'_, str>) -> PartOut<'_> {
    PartOut { kind: PartKind::Text { text }, prompt_cache_breakpoint: None }
}

/// Text alone is a string, which every server takes; with pictures or breakpoints it is parts.
fn content_of<'a>(parts: Vec<PartOut<'a>>, separator: &str) -> Option<ContentOut<'a>> {
    let plain =
        |part: &PartOut<'_>| part.prompt_cache_breakpoint.is_none() && matches!(part.kind, PartKind::Text { .. });
    if parts.is_empty() {
        return None;
    }
    if !parts.iter().all(plain) {
        return Some(ContentOut::Parts(parts));
    }
    let mut joined = Cow::Borrowed("");
    for (index, part) in parts.into_iter().enumerate() {
        let PartKind::Text { text } = part.kind else { continue };
        if index == 0 {
            joined = text;
        } else {
            let joined = joined.to_mut();
            joined.push_str(separator);
            joined.push_str(&text);
        }
    }
    Some(ContentOut::Text(joined))
}

fn append<'a>(text: &mut Cow<'a, str>, more: &'a str) {
    if text.is_empty() {
        *text = Cow::Borrowed(more);
    } else {
        text.to_mut().push_str(more);
    }
}

fn document<'a>(
    source: &'a Source,
    name: Option<&'a str>,
    path: &impl Fn() -> String,
) -> Result<PartKind<'a>, WireError> {
    match source {
        Source::Base64 { media_type, data } => {
            let filename = name.unwrap_or("document.pdf");
            Ok(PartKind::File { file: FileOut { filename, file_data: data_url(media_type, data) } })
        }
        Source::Text(text) => Ok(PartKind::Text { text: named_text(name, text) }),
        Source::Url(_) => {
            Err(WireError::unsupported(path(), "this provider takes no documents by URL; send the bytes in base64"))
        }
        Source::File(_) => Err(foreign_file(path)),
    }
}
