//! A tool loop whose thinking the client stripped, at an upstream in the Messages dialect (case 12).
//!
//! With a budget, the API refuses a loop of tools that does not begin with a thinking block: `Expected thinking or redacted_thinking, but found
//! tool_use` (<https://platform.claude.com/docs/en/build-with-claude/thinking-tool-workflows>). The call succeeds without thinking, so thinking is
//! off for it, and that is reported. Later turns of a loop may be without a block, because Claude thinks once before it. A request that does not
//! say `"thinking"` is searched once; one without a budget is not parsed.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ir::Dropped;
use crate::json;

static THINKING: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"thinking\""));
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

    fn brings_results(&self) -> bool {
        self.blocks().iter().any(|block| block.kind == "tool_result")
    }

    fn is_answer(&self) -> bool {
        self.role == "assistant"
    }
}

/// The request with thinking off. `None`: it can stay as it is.
pub(super) fn off(body: &[u8], dropped: &mut Vec<Dropped>) -> Option<Vec<u8>> {
    if THINKING.find(body).is_none() || ENABLED.find(body).is_none() {
        return None;
    }
    let members = json::members(body).ok()?;
    let member = |key: &str| members.iter().find(|member| member.key == key);
    let thinking = member("thinking")?;
    let mode: Typed<'_> = serde_json::from_str(thinking.value).ok()?;
    if mode.kind != "enabled" || !is_lost(&serde_json::from_str::<Vec<Turn<'_>>>(member("messages")?.value).ok()?) {
        return None;
    }
    let reason = "the tool loop came back without its thinking blocks; thinking is off for this call";
    dropped.push(Dropped::new("thinking", reason));
    Some(json::spliced(body, vec![(thinking.value_span.clone(), r#"{"type":"disabled"}"#.to_owned())]))
}

/// Do results of tools come last, in a loop whose first answer does not begin with thinking?
fn is_lost(turns: &[Turn<'_>]) -> bool {
    let Some(last) = turns.iter().rposition(Turn::is_answer) else { return false };
    let (before, after) = turns.split_at(last + 1);
    if !after.iter().any(Turn::brings_results) {
        return false;
    }
    let start = before.iter().rposition(|turn| turn.role == "user" && !turn.brings_results());
    let mut answers = before.iter().skip(start.map_or(0, |at| at + 1)).filter(|turn| turn.is_answer());
    let is_thought = answers.find_map(|turn| turn.blocks().first().map(|block| block.kind.ends_with("thinking")));
    is_thought == Some(false)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::codec::{Carrier, Dialect, Seed, Target};
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
