//! What the configuration puts into every request, in the wire crate's words.

use tollgate_config::{Ai, PromptMessage, PromptRole};
use tollgate_wire::amend::{self, Amendments, Prompt};

/// `None`: nothing is.
pub(crate) fn amendments(ai: &Ai) -> Option<Amendments> {
    let fields = |map: &std::collections::BTreeMap<String, serde_json::Value>| {
        map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let all = Amendments {
        overrides: fields(&ai.overrides),
        defaults: fields(&ai.defaults),
        prepend: ai.prompts.prepend.iter().map(prompt).collect(),
        append: ai.prompts.append.iter().map(prompt).collect(),
    };
    (all != Amendments::default()).then_some(all)
}

fn prompt(message: &PromptMessage) -> Prompt {
    let role = match message.role {
        PromptRole::System => amend::PromptRole::System,
        PromptRole::User => amend::PromptRole::User,
        PromptRole::Assistant => amend::PromptRole::Assistant,
    };
    Prompt { role, content: message.content.clone() }
}
