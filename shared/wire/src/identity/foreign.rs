//! Reasoning of another provider's model, in a request that goes to an upstream in the client's own dialect.
//!
//! A conversation that moves from one provider to another brings the first one's proofs along, and the second refuses a request with a proof that
//! is not its own. Those that came through this gateway are marked, because they had to fit the client's dialect:
//!
//! | client and upstream | another's proof is | what becomes of it |
//! |---|---|---|
//! | Messages | a `signature` marked as Gemini's or as a reasoning item (`gemini::signature`, `responses::reasoning`) | the thinking block is left out |
//! | Responses | an `encrypted_content` that begins with `tollgate.1.` | the reasoning item is left out |
//! | GenerateContent | a `thoughtSignature` whose bytes begin with `tollgate` | the thought is left out; calls say that they have no signature |
//!
//! Claude refuses thinking without any signature as well (case 11): that of a model which signs nothing, as Messages clients get it from here, or what a client
//! made of it. Other models behind this dialect (DeepSeek's) want theirs back.
//!
//! Everything left out is reported. A request without any of it is not parsed here.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde_json::Value;

use crate::codec::{Carrier, Dialect, Target};
use crate::ir::Dropped;
use crate::messages::models::{Generation, Model};
use crate::{gemini, json as text, responses};

/// The field that holds a proof, and how a foreign one begins.
struct Marks {
    field: Finder<'static>,
    begins: Vec<Finder<'static>>,
}

impl Marks {
    fn new(field: &'static str, begins: &[&'static str]) -> Self {
        Self { field: Finder::new(field), begins: begins.iter().map(|mark| Finder::new(*mark)).collect() }
    }

    fn may_be_in(&self, body: &[u8]) -> bool {
        self.field.find(body).is_some() && self.begins.iter().any(|mark| mark.find(body).is_some())
    }
}

static MESSAGES: LazyLock<Marks> = LazyLock::new(|| {
    Marks::new("\"signature\"", &[responses::SEALED, "gemini-thought:", "gemini-call:", "gemini-text:"])
});
static RESPONSES: LazyLock<Marks> = LazyLock::new(|| Marks::new(responses::SEALED, &[responses::SEALED]));
/// `tollgate` in base64, as far as it does not depend on what follows.
static GEMINI: LazyLock<Marks> = LazyLock::new(|| Marks::new("dG9sbGdhdG", &["dG9sbGdhdG"]));

const REASON: &str = "another provider's reasoning; this one cannot read it";
const UNSIGNED: &str = "thinking without its signature is refused upstream";

/// The request without what this upstream would refuse. `None`: there is nothing of the kind in it.
pub(super) fn without(target: &Target<'_>, body: &[u8], dropped: &mut Vec<Dropped>) -> Option<Vec<u8>> {
    let dialect = target.dialect;
    let (marks, key) = match dialect {
        Dialect::Messages => (&MESSAGES, "messages"),
        Dialect::Responses => (&RESPONSES, "input"),
        Dialect::GenerateContent => (&GEMINI, "contents"),
        Dialect::Chat | Dialect::Converse | Dialect::Rerank => return None,
    };
    let checks = dialect == Dialect::Messages && is_claude(target);
    let wanted = marks.may_be_in(body) || checks && has_unsigned(body);
    if !wanted {
        return None;
    }
    let members = text::members(body).ok()?;
    let member = members.iter().find(|member| member.key == key)?;
    let mut turns: Vec<Value> = serde_json::from_str(member.value).ok()?;
    let before = dropped.len();
    match dialect {
        Dialect::Messages => {
            each_part(&mut turns, "messages", "content", dropped, &|block| thinking_out(block, checks));
        }
        Dialect::Responses => {
            let is_sealed = |item: &Value| starts(item, "encrypted_content", responses::SEALED);
            retain(&mut turns, "input", dropped, &|item| is_sealed(item).then_some(REASON));
        }
        _ => {
            each_part(&mut turns, "contents", "parts", dropped, &|part| is_anothers_part(part).then_some(REASON));
            if gemini::checks_signatures(target.model) {
                sign_calls(&mut turns);
            }
        }
    }
    if dropped.len() == before {
        return None;
    }
    Some(text::spliced(body, vec![(member.value_span.clone(), Value::Array(turns).to_string())]))
}

fn starts(part: &Value, key: &str, mark: &str) -> bool {
    part.get(key).and_then(Value::as_str).is_some_and(|proof| proof.starts_with(mark))
}

fn is_claude(target: &Target<'_>) -> bool {
    target.carrier != Carrier::Direct || Model::named(target.model).generation != Generation::Unknown
}

/// Has this body more thinking blocks than signatures? A quick look at its keys and values. A signature in the arguments of a tool may hide one that is missing:
/// then the upstream says so.
fn has_unsigned(body: &[u8]) -> bool {
    let behind = |text: &'static [u8]| {
        memchr::memmem::find_iter(body, text)
            .filter_map(move |at| body.get(at + text.len()..).map(<[u8]>::trim_ascii_start))
    };
    let is_text = |rest: &[u8]| {
        let value = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        value.and_then(|value| value.strip_prefix(b"\"")).is_some_and(|text| !text.starts_with(b"\""))
    };
    let thoughts = behind(b"\"thinking\"").filter(|rest| !rest.starts_with(b":")).count();
    thoughts > behind(b"\"signature\"").filter(|rest| is_text(rest)).count()
}

/// Why a thinking block is left out. `checks`: the upstream looks for a signature.
fn thinking_out(block: &Value, checks: bool) -> Option<&'static str> {
    if block.get("type").is_none_or(|kind| kind != "thinking") {
        return None;
    }
    match block.get("signature").and_then(Value::as_str) {
        None | Some("") => checks.then_some(UNSIGNED),
        Some(signature) => is_not_claudes(signature).then_some(REASON),
    }
}

/// A signature that this gateway marked as Gemini's or as a reasoning item of the Responses API: Claude refuses it.
pub(crate) fn is_not_claudes(signature: &str) -> bool {
    gemini::is_geminis(signature) || responses::is_item(signature)
}

/// Takes out and reports what there is a reason against.
fn retain(
    items: &mut Vec<Value>,
    path: &str,
    dropped: &mut Vec<Dropped>,
    why_out: &dyn Fn(&Value) -> Option<&'static str>,
) {
    let mut index = 0;
    items.retain(|item| {
        let reason = why_out(item);
        dropped.extend(reason.map(|reason| Dropped::new(format!("{path}[{index}]"), reason)));
        index += 1;
        reason.is_none()
    });
}

/// The same for the parts of each turn; a turn that is left empty goes, too.
fn each_part(
    turns: &mut Vec<Value>,
    path: &str,
    key: &str,
    dropped: &mut Vec<Dropped>,
    why_out: &dyn Fn(&Value) -> Option<&'static str>,
) {
    let mut index = 0;
    turns.retain_mut(|turn| {
        let before = dropped.len();
        let parts = turn.get_mut(key).and_then(Value::as_array_mut);
        let is_empty = parts.is_some_and(|parts| {
            retain(parts, &format!("{path}[{index}].{key}"), dropped, why_out);
            parts.is_empty()
        });
        index += 1;
        !(is_empty && dropped.len() > before)
    });
}

const PROOFS: [&str; 2] = ["thoughtSignature", "thought_signature"];

fn is_anothers_part(part: &Value) -> bool {
    PROOFS.iter().any(|key| part.get(key).and_then(Value::as_str).is_some_and(gemini::is_carried))
}

/// The calls of a model that checks them have lost their proof with the thought: the first of each step says so. A client may have a step in several
/// turns, as they were streamed.
fn sign_calls(turns: &mut [Value]) {
    let mut signed = false;
    for turn in turns {
        if turn.get("role").is_none_or(|role| role != "model") {
            signed = false;
            continue;
        }
        let parts = turn.get_mut("parts").and_then(Value::as_array_mut).into_iter().flatten();
        let is_call = |part: &&mut Value| ["functionCall", "function_call"].iter().any(|key| part.get(key).is_some());
        for call in parts.filter(is_call).filter_map(Value::as_object_mut) {
            if !std::mem::replace(&mut signed, true) && !PROOFS.iter().any(|key| call.contains_key(*key)) {
                call.insert("thoughtSignature".to_owned(), gemini::UNCHECKED.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(dialect: Dialect, body: &str) -> Option<(String, Vec<Dropped>)> {
        let mut dropped = Vec::new();
        let target = Target { dialect, carrier: Carrier::Direct, model: "gemini-3-flash-preview" };
        let edited = without(&target, body.as_bytes(), &mut dropped)?;
        Some((String::from_utf8(edited).unwrap(), dropped))
    }

    fn paths(dropped: &[Dropped]) -> Vec<&str> {
        dropped.iter().map(|dropped| dropped.path.as_str()).collect()
    }

    #[test]
    fn anothers_reasoning_is_taken_out_of_a_request_and_nothing_else_is_touched() {
        let body = r#"{"model":"m", "input":[{"type":"reasoning","encrypted_content":"tollgate.1.signature.x"},{"type":"reasoning","encrypted_content":"gA"}],"x":1.0}"#;
        let (edited, dropped) = edited(Dialect::Responses, body).unwrap();
        assert_eq!(edited, r#"{"model":"m", "input":[{"type":"reasoning","encrypted_content":"gA"}],"x":1.0}"#);
        assert_eq!(paths(&dropped), ["input[0]"]);
    }

    #[test]
    fn claude_gets_no_signature_of_geminis_or_openais() {
        let body = r#"{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"gemini-call:AA"},{"type":"tool_use","id":"c","name":"f","input":{}}]},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"tollgate.1.item.rs_1.gA"}]},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"EqQ="},{"type":"text","text":"ok"}]}], "x":1.0}"#;
        let (edited, dropped) = edited(Dialect::Messages, body).unwrap();
        assert_eq!(
            edited,
            r#"{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":{}}]},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"EqQ="},{"type":"text","text":"ok"}]}], "x":1.0}"#
        );
        assert_eq!(paths(&dropped), ["messages[1].content[0]", "messages[2].content[0]"]);
    }

    #[test]
    fn claude_gets_no_thinking_without_a_signature_and_other_models_theirs() {
        let blocks =
            [r#"{"type":"thinking","thinking":"t"}"#, r#"{"type": "thinking","thinking":"t","signature": ""}"#];
        let signed = r#"{"type":"thinking","thinking":"t","signature":"EqQ="}"#;
        for block in blocks {
            let body = |blocks: &str| {
                format!(
                    r#"{{"messages":[{{"role":"assistant","content":[{blocks},{{"type":"text","text":"ok"}}]}}], "x":1.0}}"#
                )
            };
            for (carrier, model, taken) in [
                (Carrier::Direct, "claude-sonnet-4-5", true),
                (Carrier::Bedrock, "anthropic.claude-opus-5", true),
                (Carrier::Vertex, "claude-opus-4@20250514", true),
                (Carrier::Direct, "deepseek-reasoner", false),
            ] {
                let mut dropped = Vec::new();
                let target = Target { dialect: Dialect::Messages, carrier, model };
                let sent = without(&target, body(&format!("{signed},{block}")).as_bytes(), &mut dropped);
                let sent = sent.map(|sent| String::from_utf8(sent).unwrap());
                assert_eq!(sent, taken.then(|| body(signed)), "{model}: {block}");
                assert_eq!(paths(&dropped).len(), usize::from(taken), "{model}: {block}");
            }
        }
    }

    #[test]
    fn gemini_gets_no_thought_of_anothers_and_a_call_without_proof_says_so() {
        // `tollgate:EqQ=`
        let carried = "dG9sbGdhdGU6RXFRPQ==";
        let body = format!(
            r#"{{"contents":[{{"role":"model","parts":[{{"text":"t","thought":true,"thoughtSignature":"{carried}"}}]}},{{"role":"model","parts":[{{"functionCall":{{"name":"g","args":{{}}}},"thoughtSignature":"AAAA"}}]}},{{"role":"user","parts":[]}},{{"role":"model","parts":[{{"functionCall":{{"name":"f","args":{{}}}}}}]}}]}}"#
        );
        let (edited, dropped) = edited(Dialect::GenerateContent, &body).unwrap();
        assert_eq!(
            edited,
            r#"{"contents":[{"role":"model","parts":[{"functionCall":{"name":"g","args":{}},"thoughtSignature":"AAAA"}]},{"role":"user","parts":[]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}},"thoughtSignature":"skip_thought_signature_validator"}]}]}"#
        );
        assert_eq!(paths(&dropped), ["contents[0].parts[0]"]);
    }

    #[test]
    fn who_only_talks_of_it_is_left_alone() {
        for (dialect, body) in [
            (Dialect::Responses, r#"{"input":[{"role":"user","content":"what is tollgate.1.signature?"}]}"#),
            (Dialect::Messages, r#"{"messages":[{"role":"user","content":"a \"signature\" like gemini-call:x"}]}"#),
            (
                Dialect::Messages,
                r#"{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"gemini-call:","signature":"EqQ="}]}]}"#,
            ),
            (Dialect::GenerateContent, r#"{"contents":[{"parts":[{"text":"dG9sbGdhdGU6"}]}]}"#),
            (Dialect::GenerateContent, r#"{"contents":[{"parts":[{"text":"x","thoughtSignature":"AAdG9sbGdhdG"}]}]}"#),
        ] {
            assert_eq!(edited(dialect, body), None, "{body}");
        }
    }
}
