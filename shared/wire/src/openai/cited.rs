//! The sources of an answer's text, which both dialects have as `url_citation`s: in chat completions a level deeper.

use serde_json::{Value, json};

use crate::ir::Citation;

/// Reads an annotation of either dialect. `None`: it names no page of the web.
pub(crate) fn citation_of(annotation: &Value) -> Option<Citation> {
    let fields = annotation.get("url_citation").unwrap_or(annotation);
    let text = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
    let place = |key: &str| fields.get(key).and_then(Value::as_u64).and_then(|at| usize::try_from(at).ok());
    Some(Citation {
        url: text("url")?,
        title: text("title").filter(|title| !title.is_empty()),
        start: place("start_index").unwrap_or_default(),
        end: place("end_index").unwrap_or_default(),
    })
}

/// Are these sources on the web only? They are shown to a reader, and the model that reads the conversation again has the text.
pub(crate) fn are_pages(annotations: &Value) -> bool {
    annotations
        .as_array()
        .is_some_and(|list| list.iter().all(|one| one.get("type").is_some_and(|kind| kind == "url_citation")))
}

/// Writes one. `begins`: where its block's text begins in the text that the places are counted in. `nested`: as chat completions has it.
pub(crate) fn annotation(source: &Citation, begins: usize, nested: bool) -> Value {
    let mut fields = json!({
        "start_index": begins.saturating_add(source.start),
        "end_index": begins.saturating_add(source.end),
        "url": source.url,
        // Required by the official SDKs' types.
        "title": source.title.as_deref().unwrap_or_default(),
    });
    if nested {
        return json!({ "type": "url_citation", "url_citation": fields });
    }
    if let Value::Object(fields) = &mut fields {
        fields.insert("type".to_owned(), "url_citation".into());
    }
    fields
}
