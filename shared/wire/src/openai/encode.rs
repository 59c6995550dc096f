//! The IR to an upstream's body: limits, forms and refusals that both dialects have.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::model::{Family, effort_of_budget, is_openais};
use crate::error::WireError;
use crate::ir::{Block, Dropped, GRAMMAR_IS_ONLY_TOLD, NO_DETAIL, Request, Source, ThinkingMode, Tier, WebSearch};
use crate::names::ToolNames;

/// `[a-zA-Z0-9_-]{1,64}`: <https://platform.openai.com/docs/api-reference/chat/create>,
/// <https://platform.openai.com/docs/api-reference/responses/create>.
const MAX_NAME_LEN: usize = 64;
/// OpenAI refuses a longer `user` and a longer `safety_identifier`.
const MAX_USER_LEN: usize = 64;
const MAX_CALL_ID_LEN: usize = 40;

/// Names as a function's and a schema's have to be.
pub(crate) fn names() -> ToolNames {
    ToolNames::new(MAX_NAME_LEN)
}

/// A schema's name: it must look like a tool's, and it is required.
pub(crate) fn schema_name(name: Option<&str>) -> String {
    names().encode(name.unwrap_or("response"))
}

/// OpenAI refuses a call's id over 40 characters; a longer one becomes the same shorter one in the call and in its result.
pub(crate) fn call_id(id: &str) -> Cow<'_, str> {
    if id.len() <= MAX_CALL_ID_LEN { Cow::Borrowed(id) } else { Cow::Owned(ToolNames::new(MAX_CALL_ID_LEN).encode(id)) }
}

/// A picture's URL, as both dialects take it.
pub(crate) fn image_url<'a>(source: &'a Source, path: &impl Fn() -> String) -> Result<Cow<'a, str>, WireError> {
    match source {
        Source::Url(url) => Ok(Cow::Borrowed(url)),
        Source::Base64 { media_type, data } => Ok(Cow::Owned(data_url(media_type, data))),
        Source::Text(_) | Source::File(_) => {
            let message = "this provider takes images inline or by URL; another provider's file id means nothing to it";
            Err(WireError::unsupported(path(), message))
        }
    }
}

/// The level of detail of the picture at this place.
pub(crate) fn detail(blocks: &[Block], index: usize) -> Option<&str> {
    blocks.iter().rev().find_map(|block| match block {
        Block::Detail { of, level } if *of == index => Some(level.as_str()),
        _ => None,
    })
}

/// A document that is a text: behind its name.
pub(crate) fn named_text<'a>(name: Option<&str>, text: &'a str) -> Cow<'a, str> {
    name.map_or(Cow::Borrowed(text), |name| Cow::Owned(format!("{name}\n\n{text}")))
}

/// Another provider's uploaded file.
pub(crate) fn foreign_file(path: &impl Fn() -> String) -> WireError {
    WireError::unsupported(path(), "another provider's file id means nothing to this one; send the bytes in base64")
}

pub(crate) fn data_url(media_type: &str, data: &str) -> String {
    format!("data:{media_type};base64,{data}")
}

/// What the client wants of effort, said as effort or as thinking, and the field that it said it in. `None`: nothing.
pub(crate) fn wanted_effort(request: &Request) -> Option<(&'static str, &str)> {
    match (&request.effort, request.thinking) {
        (_, Some(ThinkingMode::Disabled)) => Some(("thinking", "none")),
        (Some(effort), _) if effort.is_empty() => None,
        (Some(effort), _) => Some(("effort", effort)),
        (None, Some(ThinkingMode::Budget(tokens))) => Some(("thinking", effort_of_budget(tokens))),
        (None, Some(ThinkingMode::Adaptive)) => Some(("thinking", "medium")),
        (None, None) => None,
    }
}

/// The effort to send. What differs from the wanted one is reported.
pub(crate) fn effort(family: Family, request: &Request, dropped: &mut Vec<Dropped>) -> Option<&'static str> {
    let (path, wanted) = wanted_effort(request)?;
    let sent = family.effort(wanted);
    match sent {
        Some(sent) if sent == wanted => {}
        Some(sent) => {
            dropped.push(Dropped::new(path, format!("this model has no effort {wanted:?}; {sent:?} is sent")));
        }
        // Off is what a model without reasoning is.
        None if wanted == "none" => {}
        None => dropped.push(Dropped::new(path, "this model is not known to take reasoning_effort")),
    }
    sent
}

/// A sampling setting, where the model takes it. One that refuses a field refuses everything but its default, which is what it does anyway.
pub(crate) fn sampled(
    (path, value): (&str, Option<f64>),
    (default, least, most): (f64, f64, f64),
    samples: bool,
    dropped: &mut Vec<Dropped>,
) -> Option<f64> {
    let value = value?;
    if !samples {
        if value != default {
            dropped.push(Dropped::new(path, "this model refuses it while it reasons"));
        }
        return None;
    }
    let sent = value.clamp(least, most);
    if sent != value {
        dropped.push(Dropped::new(path, format!("clamped to {least} to {most}")));
    }
    Some(sent)
}

/// The settings that a model of OpenAI's gets, by chat completions' names; they are taken out of what is reported. A server that copies OpenAI may
/// refuse a field that it does not know, so a model with another name gets none of them.
pub(crate) fn settings(
    request: &Request,
    model: &str,
    family: Family,
    dropped: &mut Vec<Dropped>,
) -> Map<String, Value> {
    let mut carried = Map::new();
    for setting in request.openai.iter().filter(|_| is_openais(model)) {
        let report = dropped.iter().position(|dropped| dropped.path == setting.path);
        if setting.name == "verbosity" && !matches!(family, Family::Gpt(..)) {
            if let Some(report) = report.and_then(|at| dropped.get_mut(at)) {
                "this model has no levels of verbosity".clone_into(&mut report.reason);
            }
            continue;
        }
        match report.and_then(|at| dropped.get_mut(at)) {
            Some(report) if setting.name == "moderation" => {
                "what it blocks is blocked; what it finds has no place in a translated answer"
                    .clone_into(&mut report.reason);
            }
            _ => drop(report.map(|at| dropped.remove(at))),
        }
        carried.insert(setting.name.to_owned(), setting.value.clone());
    }
    if let Some(tier) = request.tier {
        match tier.openai().filter(|_| is_openais(model)) {
            Some(word) => {
                carried.insert("service_tier".to_owned(), word.into());
            }
            None if tier == Tier::Standard => {}
            None => dropped.push(Dropped::new("service_tier", "this model is not known to have service tiers")),
        }
    }
    carried
}

/// How many others are told in a token's place: OpenAI's most.
const MAX_TOP_LOGPROBS: u64 = 20;

/// Are log probabilities to be asked for, and of how many others? `samples`: the model takes what it refuses while it reasons.
pub(crate) fn logprobs(request: &Request, samples: bool, dropped: &mut Vec<Dropped>) -> Option<u64> {
    let wanted = request.logprobs?;
    if !samples {
        dropped.push(Dropped::new("logprobs", "this model refuses it while it reasons"));
        return None;
    }
    Some(wanted.min(MAX_TOP_LOGPROBS))
}

/// What a search of the web has in both dialects: where the user is, which stands one level deeper in chat completions, and how much is read.
pub(crate) fn web_search(search: &WebSearch, nested: bool) -> Map<String, Value> {
    let mut out = Map::new();
    if let Some(context) = &search.context {
        out.insert("search_context_size".to_owned(), context.as_str().into());
    }
    if !search.location.is_empty() {
        let mut place = Map::from_iter([("type".to_owned(), Value::from("approximate"))]);
        if nested {
            place.insert("approximate".to_owned(), search.location.clone().into());
        } else {
            place.extend(search.location.clone());
        }
        out.insert("user_location".to_owned(), place.into());
    }
    out
}

/// What is reported from the start: what the decoder found, but for the levels of detail, which both dialects have, and for the grammars of a model that
/// keeps to them.
pub(crate) fn losses(request: &Request, model: &str) -> Vec<Dropped> {
    let grammars = Family::of(model).has_custom_tools(model);
    let lost = |reason: &str| reason != NO_DETAIL && !(grammars && reason == GRAMMAR_IS_ONLY_TOLD);
    request.unmapped.iter().filter(|dropped| lost(&dropped.reason)).cloned().collect()
}

/// The end user's id, if it is short enough.
pub(crate) fn user<'a>(request: &'a Request, dropped: &mut Vec<Dropped>) -> Option<&'a str> {
    let user = request.user.as_deref()?;
    if user.chars().count() > MAX_USER_LEN {
        dropped.push(Dropped::new("user", format!("longer than {MAX_USER_LEN} characters")));
        return None;
    }
    Some(user)
}
