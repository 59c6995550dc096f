//! What the quick look at a body for Bedrock promises to the slow one.

use proptest::prelude::*;
use serde_json::{Value, json};
use tollgate_wire::messages::bedrock::{has_blank_text, without_blank_text};

fn any_text() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![Just(" "), Just("\n"), Just("\u{a0}"), Just("\u{3000}"), Just("\u{b}"), Just("x")],
        0..4,
    )
    .prop_map(|parts| parts.concat())
}

fn any_block() -> impl Strategy<Value = Value> {
    let text = any_text().prop_map(|text| json!({"type": "text", "text": text}));
    let result = prop_oneof![
        any_text().prop_map(|text| json!({"type": "tool_result", "tool_use_id": "a", "content": text})),
        any_text().prop_map(|text| json!({"type": "tool_result", "content": [{"type": "text", "text": text}]})),
    ];
    prop_oneof![text, result, Just(json!({"type": "image"}))]
}

fn any_content() -> impl Strategy<Value = Value> {
    prop_oneof![any_text().prop_map(Value::from), proptest::collection::vec(any_block(), 0..3).prop_map(Value::from)]
}

proptest! {
    #[test]
    fn no_blank_text_escapes_the_quick_look(
        system in any_content(), contents in proptest::collection::vec(any_content(), 0..3), pretty in any::<bool>()
    ) {
        let messages: Vec<Value> = contents.into_iter().map(|content| json!({"role": "user", "content": content})).collect();
        let mut body = json!({"system": system, "messages": messages});
        let text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) };
        let seen = text.is_ok_and(|text| has_blank_text(text.as_bytes()));
        let mut dropped = Vec::new();
        without_blank_text(&mut body, &mut dropped);
        prop_assert!(seen || dropped.is_empty(), "{dropped:?}");
        let mut again = Vec::new();
        without_blank_text(&mut body, &mut again);
        prop_assert!(again.is_empty(), "nothing is left to remove: {again:?}");
    }
}
