//! Where an answer's text comes from: `groundingMetadata` and the IR's citations.
//!
//! Gemini counts the bytes of a text, the IR its characters. <https://ai.google.dev/gemini-api/docs/google-search>

use serde_json::{Value, json};

use crate::ir::Citation;

/// The sources on the web of a block of text. `text`: the answer's whole text, of which the block begins at this byte.
pub(super) fn citations(metadata: &Value, text: &str, begins: usize) -> Vec<Citation> {
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let chunks = list(metadata, "groundingChunks");
    let mut out = Vec::new();
    for support in list(metadata, "groundingSupports") {
        // A zero is left out on the wire.
        let segment = support.get("segment").unwrap_or(&Value::Null);
        let place = |key: &str| segment.get(key).and_then(Value::as_u64).and_then(|at| usize::try_from(at).ok());
        let (start, end) = (place("startIndex").unwrap_or_default(), place("endIndex").unwrap_or(text.len()));
        let characters = |to: usize| Some(text.get(begins..to)?.chars().count());
        let (Some(start), Some(end)) = (characters(start), characters(end)) else { continue };
        for index in list(&support, "groundingChunkIndices") {
            let chunk = index.as_u64().and_then(|index| chunks.get(usize::try_from(index).ok()?));
            let Some(web) = chunk.and_then(|chunk| chunk.get("web")) else { continue };
            let said = |key: &str| web.get(key).and_then(Value::as_str).map(str::to_owned);
            let Some(url) = said("uri") else { continue };
            out.push(Citation { url, title: said("title"), start, end });
        }
    }
    out
}

/// For a client: the sources, each with the place in the answer's text where its block begins, in characters.
pub(super) fn metadata(sources: &[(usize, Citation)], text: &str) -> Value {
    let byte = |character: usize| text.char_indices().nth(character).map_or(text.len(), |(at, _)| at);
    let (mut chunks, mut supports): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    for (begins, source) in sources {
        let chunk = json!({ "web": { "uri": source.url, "title": source.title.as_deref().unwrap_or_default() } });
        let index = chunks.iter().position(|known| *known == chunk).unwrap_or(chunks.len());
        if index == chunks.len() {
            chunks.push(chunk);
        }
        let (start, end) = (byte(begins.saturating_add(source.start)), byte(begins.saturating_add(source.end)));
        let cited = text.get(start..end).unwrap_or_default();
        let segment = json!({ "startIndex": start, "endIndex": end, "text": cited });
        supports.push(json!({ "segment": segment, "groundingChunkIndices": [index] }));
    }
    json!({ "groundingChunks": chunks, "groundingSupports": supports })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bytes_there_and_characters_here() {
        let text = "Zürich is fine.";
        let found = json!({
            "groundingChunks": [{ "web": { "uri": "https://e.org/z", "title": "Z" } }],
            "groundingSupports": [{ "segment": { "startIndex": 0, "endIndex": 7, "text": "Zürich" }, "groundingChunkIndices": [0] }],
        });
        let sources = citations(&found, text, 0);
        let expected = Citation { url: "https://e.org/z".to_owned(), title: Some("Z".to_owned()), start: 0, end: 6 };
        assert_eq!(sources, std::slice::from_ref(&expected));
        assert_eq!(metadata(&[(0, expected)], text), found);
    }

    #[test]
    fn a_place_outside_of_the_text_is_no_source() {
        let odd = json!({
            "groundingChunks": [{ "web": { "uri": "https://e.org" } }, {}],
            "groundingSupports": [
                { "segment": { "startIndex": 1, "endIndex": 99 }, "groundingChunkIndices": [0] },
                { "segment": { "endIndex": 2 }, "groundingChunkIndices": [1, 7, "x"] },
                { "segment": { "startIndex": 2, "endIndex": 1 } },
            ],
        });
        assert_eq!(citations(&odd, "Zü", 0), []);
        assert_eq!(citations(&json!(null), "", 0), []);
    }
}
