//! Whatever the text is, the answer is a configuration or an error with a message, never a panic.

use proptest::prelude::*;
use tollgate_config::parse;

const EXAMPLES: &[&str] = &[
    include_str!("../../../../examples/openai-with-fallback.yaml"),
    include_str!("../../../../examples/bedrock-primary.yaml"),
    include_str!("../../../../examples/agentgateway-ai-block.yaml"),
];

/// Parses, and asks everything that may be asked of the answer.
fn survives(text: &str) {
    match parse(text, "fuzz.yaml") {
        Ok(config) => {
            let _ = config.check_complete().map_err(|error| error.to_string());
            for name in ["gpt-4o", "*", "", "é"] {
                let _ = (config.alias(name), config.chain(name), config.route_type(name));
            }
            let _ = config.model_names();
        }
        Err(error) => {
            assert!(!error.problems.is_empty());
            assert!(error.problems.iter().all(|problem| !problem.message.is_empty()));
            assert!(!error.to_string().is_empty());
        }
    }
}

/// Cuts, doubles, swaps and replaces pieces of an example, at character boundaries.
fn mutate(text: &str, edits: &[(usize, usize, String)]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (at, length, insert) in edits {
        let at = at % (chars.len() + 1);
        let end = (at + length).min(chars.len());
        chars.splice(at..end, insert.chars());
    }
    chars.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn text_that_looks_like_yaml_is_answered(text in "([a-z]{1,4}: ?|- |  |\n|\\{|\\}|\\[|\\]|,|&a |\\*a|<<: |[0-9.e-]{1,4}|\"|'|#|---\n|!x |\\||>|~){0,60}") {
        survives(&text);
    }

    #[test]
    fn mutated_examples_are_answered(
        which in 0..EXAMPLES.len(),
        edits in prop::collection::vec((any::<usize>(), 0usize..12, "[ -~\n\té]{0,6}"), 1..5),
    ) {
        survives(&mutate(EXAMPLES[which], &edits));
    }

    #[test]
    fn moved_words_are_answered(
        which in 0..EXAMPLES.len(),
        at in any::<usize>(),
        word in prop::sample::select(vec![
            "null", "~", "5", "-1", "1e999", ".nan", "true", "{}", "[]", "[{}]", "{x: y}", "$KEY", "''", "ai", "groups", "provider",
            "openAI", "bedrock", "backendAuth", "key", "aws", "name", "\"\\uD800\"", "18446744073709551616",
        ]),
    ) {
        let words: Vec<&str> = EXAMPLES[which].split_inclusive([' ', ':', ',', '{', '}', '[', ']', '\n']).collect();
        let at = at % words.len();
        let mut text = words[..at].concat();
        text.push_str(word);
        text.push_str(&words[at + 1..].concat());
        survives(&text);
    }
}
