//! A tool loop whose thinking the client stripped, at an upstream in the Messages dialect (case 12).
//!
//! With a budget, the API refuses a loop of tools that does not begin with a thinking block: `Expected thinking or redacted_thinking, but found
//! tool_use` (<https://platform.claude.com/docs/en/build-with-claude/thinking-tool-workflows>). The call succeeds without thinking, so thinking is
//! off for it, and that is reported. Later turns of a loop may be without a block, because Claude thinks once before it. A request without a
//! budget is not parsed.
//!
//! `context_management` may ask to clear thinking; without any the API refuses that, too (`clear_thinking_20251015 strategy requires thinking to be
//! enabled or adaptive`: claude-code 11971), so it goes with it.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::ir::Dropped;
use crate::json;

static ENABLED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"enabled\""));

#[derive(Deserialize)]
struct Turn<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// A block of a turn, or `thinking` itself.
#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

impl Turn<'_> {
    /// None in a plain text.
    fn blocks(&self) -> Vec<Typed<'_>> {
        serde_json::from_str(self.content.get()).unwrap_or_default()
    }

    /// Does it begin with thinking? `None`: it is empty.
    fn begins_with_thinking(&self) -> Option<bool> {
        if self.content.get().starts_with('"') {
            return (self.content.get() != r#""""#).then_some(false);
        }
        self.blocks().first().map(|block| block.kind.ends_with("thinking"))
    }

    fn brings_results(&self) -> bool {
        self.blocks().iter().any(|block| block.kind == "tool_result")
    }

    fn is_answer(&self) -> bool {
        self.role == "assistant"
    }
}

/// The request with thinking off. `None`: it can stay as it is.
pub(super) fn off(body: &[u8], dropped: &mut Vec<Dropped>) -> Option<Vec<u8>> {
    ENABLED.find(body)?;
    let members = json::members(body).ok()?;
    let member = |key: &str| members.iter().find(|member| member.key == key);
    let thinking = member("thinking")?;
    let mode: Typed<'_> = serde_json::from_str(thinking.value).ok()?;
    if mode.kind != "enabled" || !is_lost(&serde_json::from_str::<Vec<Turn<'_>>>(member("messages")?.value).ok()?) {
        return None;
    }
    let reason = "the tool loop came back without its thinking blocks; thinking is off for this call";
    dropped.push(Dropped::new("thinking", reason));
    let mut cuts = vec![(thinking.value_span.clone(), r#"{"type":"disabled"}"#.to_owned())];
    let management = member("context_management");
    let edits = management.and_then(|management| without_clearing(management.value, dropped));
    match (management, edits) {
        (Some(management), Some(Some(left))) => cuts.push((management.value_span.clone(), left)),
        (_, Some(None)) => {
            let off = json::spliced(body, cuts);
            return json::kept(&off, "", &|key| key != "context_management").ok().map(Into::into);
        }
        _ => {}
    }
    Some(json::spliced(body, cuts))
}

/// `context_management` without what clears thinking; `Some(None)`: nothing is left of it. `None`: it has no such thing.
fn without_clearing(management: &str, dropped: &mut Vec<Dropped>) -> Option<Option<String>> {
    let mut management: Value = serde_json::from_str(management).ok()?;
    let edits = management.get_mut("edits")?.as_array_mut()?;
    let (all, mut index) = (edits.len(), 0);
    edits.retain(|edit| {
        let clears = edit.get("type").and_then(Value::as_str).is_some_and(|kind| kind.starts_with("clear_thinking_"));
        if clears {
            let reason = "thinking is off for this call, and to clear it would be refused";
            dropped.push(Dropped::new(format!("context_management.edits[{index}]"), reason));
        }
        index += 1;
        !clears
    });
    let left = edits.len();
    (left < all).then(|| (left > 0).then(|| management.to_string()))
}

/// Do results of tools come last, in a loop whose first answer does not begin with thinking?
fn is_lost(turns: &[Turn<'_>]) -> bool {
    let answer = first_of_loop(turns, Turn::is_answer, Turn::brings_results);
    answer.and_then(|answer| answer.iter().find_map(Turn::begins_with_thinking)) == Some(false)
}

/// The first answer of the loop of tools in which a conversation is: results come last in it. Messages of one role in a row are one turn
/// (<https://platform.claude.com/docs/en/api/messages/create>), so a user's words next to results, before or behind them, neither end a loop nor begin another.
/// `None`: it is in no loop.
pub(crate) fn first_of_loop<T>(
    messages: &[T],
    is_answer: impl Fn(&T) -> bool,
    brings_results: impl Fn(&T) -> bool,
) -> Option<&[T]> {
    let is_answers = |turn: &[T]| turn.first().is_some_and(&is_answer);
    let brings = |turn: &[T]| turn.iter().any(&brings_results);
    let mut turns = messages.chunk_by(|one, next| is_answer(one) == is_answer(next)).rev();
    turns.next().filter(|last| !is_answers(last) && brings(last))?;
    turns.take_while(|turn| is_answers(turn) || brings(turn)).filter(|turn| is_answers(turn)).last()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::codec::{self, Carrier, Dialect, Seed, Target};
    use crate::error::WireError;
    use crate::exchange::{Inbound, Started};

    const BUDGET: &str = r#"{"type": "enabled","budget_tokens":2048}"#;
    const THOUGHT: &str = r#"{"type":"thinking","thinking":"t","signature":"EqQ="}"#;
    const CALL: &str = r#"{"type":"tool_use","id":"c","name":"f","input":{}}"#;
    const RESULT: &str =
        r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":"\"enabled\""}]}"#;

    fn answer(blocks: &str) -> String {
        format!(r#"{{"role":"assistant","content":[{blocks}]}}"#)
    }

    fn body(thinking: &str, turns: &[&str]) -> String {
        let turns = turns.join(",");
        format!(
            r#"{{"model":"claude-sonnet-4-5","max_tokens": 9000,"thinking": {thinking},"messages":[{{"role":"user","content":"Hi"}},{turns}], "x":1.0}}"#
        )
    }

    fn start(carrier: Carrier, body: &str, strict: bool) -> Result<Started, WireError> {
        let inbound = Inbound::decode(Dialect::Messages, Bytes::copy_from_slice(body.as_bytes()), Vec::new()).unwrap();
        let target = Target { dialect: Dialect::Messages, carrier, model: "claude-sonnet-4-5" };
        inbound.start(&target, &Seed { created_unix_s: 0, request_id: "r".to_owned() }, strict)
    }

    #[test]
    fn a_tool_loop_without_its_thinking_runs_without_thinking_and_says_so() {
        let body = body(BUDGET, &[&answer(CALL), RESULT]);
        for carrier in [Carrier::Direct, Carrier::Bedrock, Carrier::Vertex] {
            let started = start(carrier, &body, false).unwrap();
            let text = String::from_utf8_lossy(&started.body).into_owned();
            assert!(text.contains(r#"{"type":"disabled"}"#) && !text.contains("budget_tokens"), "{carrier:?}: {text}");
            let paths: Vec<&str> = started.dropped.iter().map(|dropped| dropped.path.as_str()).collect();
            assert_eq!(paths, ["thinking"], "{carrier:?}");
            assert!(start(carrier, &body, true).is_err(), "{carrier:?}: strict");
        }
        let direct = start(Carrier::Direct, &body, false).unwrap().body;
        assert_eq!(direct, body.replace(BUDGET, r#"{"type":"disabled"}"#), "nothing else is touched");
    }

    #[test]
    fn words_before_the_call_and_words_after_its_result_do_not_stand_for_thinking() {
        let words = format!(r#"{{"type":"text","text":"I look."}},{CALL}"#);
        let more = r#"{"role":"user","content":"Hurry."}"#;
        for turns in [vec![answer(&words), RESULT.to_owned()], vec![answer(CALL), RESULT.to_owned(), more.to_owned()]] {
            let turns: Vec<&str> = turns.iter().map(String::as_str).collect();
            let started = start(Carrier::Direct, &body(BUDGET, &turns), false).unwrap();
            assert_eq!(started.dropped.len(), 1, "{turns:?}");
        }
    }

    #[test]
    fn where_the_user_speaks_between_the_calls_does_not_matter() {
        let (thought, call) = (answer(&format!("{THOUGHT},{CALL}")), answer(CALL));
        let (hurry, done) = (r#"{"role":"user","content":"Hurry."}"#, r#"{"role":"assistant","content":"Done."}"#);
        let look = r#"{"role":"assistant","content":"I look."}"#;
        for (turns, lost) in [
            // The loop's first answer counts, and not the conversation's.
            (vec![thought.as_str(), RESULT, done, hurry, &call, RESULT, hurry], true),
            (vec![&call, RESULT, done, hurry, &thought, RESULT, hurry], false),
            // Words behind results are of their turn.
            (vec![&thought, RESULT, hurry, &call, RESULT], false),
            (vec![&thought, hurry, RESULT, &call, RESULT], false),
            (vec![&call, RESULT, hurry, &thought, RESULT], true),
            // Two answers in a row are one.
            (vec![look, &call, RESULT], true),
        ] {
            let body = body(BUDGET, &turns);
            let started = start(Carrier::Direct, &body, false).unwrap();
            assert_eq!(started.dropped.len(), usize::from(lost), "{turns:?}");
            let inbound = Inbound::decode(Dialect::Messages, Bytes::from(body), Vec::new()).unwrap();
            let target = Target { dialect: Dialect::Messages, carrier: Carrier::Direct, model: "claude-sonnet-4-5" };
            let encoded = codec::encode_request(inbound.request().unwrap(), &target).unwrap();
            let is_off = encoded.dropped.iter().any(|dropped| dropped.path == "thinking");
            assert_eq!(is_off, lost, "translated: {turns:?}");
        }
    }

    #[test]
    fn thinking_that_is_off_is_not_to_be_cleared() {
        let clear = r#"{"type":"clear_thinking_20251015","keep":"all"}"#;
        let tools = r#"{"type":"clear_tool_uses_20250919"}"#;
        for (edits, left) in [
            (format!("{clear},{tools}"), Some(format!(r#"{{"edits":[{tools}]}}"#))),
            (clear.to_owned(), None),
            (tools.to_owned(), Some(format!(r#"{{"edits":[{tools}]}}"#))),
        ] {
            let management = format!(r#","context_management":{{"edits":[{edits}]}}}}"#);
            let body = body(BUDGET, &[&answer(CALL), RESULT]);
            let body = format!("{}{management}", body.strip_suffix('}').unwrap());
            let started = start(Carrier::Direct, &body, false).unwrap();
            let sent: serde_json::Value = serde_json::from_slice(&started.body).unwrap();
            let managed = sent.get("context_management").map(ToString::to_string);
            assert_eq!((sent["thinking"]["type"].as_str(), managed), (Some("disabled"), left), "{edits}");
            assert_eq!(started.dropped.len(), 1 + usize::from(edits.contains("clear_thinking")), "{edits}");
        }
    }

    #[test]
    fn what_the_api_takes_stays_as_it_is() {
        let thought = answer(&format!("{THOUGHT},{CALL}"));
        let redacted = answer(&format!(r#"{{"type":"redacted_thinking","data":"AA"}},{CALL}"#));
        let server = answer(
            r#"{"type":"server_tool_use","id":"s","name":"web_search","input":{}},{"type":"web_search_tool_result","tool_use_id":"s","content":[]}"#,
        );
        let (call, next) = (answer(CALL), r#"{"role":"user","content":"And now?"}"#);
        let done = r#"{"role":"assistant","content":"Done."}"#;
        for body in [
            body(BUDGET, &[&thought, RESULT]),
            body(BUDGET, &[&redacted, RESULT]),
            // Claude thinks once, before the first of several calls.
            body(BUDGET, &[&thought, RESULT, &call, RESULT]),
            // The loop is over.
            body(BUDGET, &[&call, RESULT, done, next]),
            body(BUDGET, &[&call, RESULT, done, next, &thought, RESULT]),
            body(BUDGET, &[&server, next]),
            body(r#"{"type":"adaptive"}"#, &[&call, RESULT]),
            body(r#"{"type":"disabled"}"#, &[&call, RESULT]),
            body("null", &[&call, RESULT]),
        ] {
            let started = start(Carrier::Direct, &body, true).unwrap();
            assert_eq!(started.body, body);
        }
    }
}
