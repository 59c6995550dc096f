//! Where an answer's text comes from: `groundingMetadata`, `citationMetadata` and the IR's citations.
//!
//! Gemini counts the bytes of a text, the IR its characters. <https://ai.google.dev/gemini-api/docs/google-search>,
//! <https://ai.google.dev/api/generate-content#citationmetadata>

use serde_json::{Value, json};

use crate::ir::Citation;

fn list(value: &Value, key: &str) -> Vec<Value> {
    value.get(key).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// A piece of a text as characters of its block. A zero is left out on the wire.
fn place(segment: &Value, text: &str, begins: usize) -> Option<(usize, usize)> {
    let byte = |key: &str| segment.get(key).and_then(Value::as_u64).and_then(|at| usize::try_from(at).ok());
    let characters = |to: usize| Some(text.get(begins..to)?.chars().count());
    Some((characters(byte("startIndex").unwrap_or_default())?, characters(byte("endIndex").unwrap_or(text.len()))?))
}

/// Pages that the model repeats from, without having searched for them: `citationMetadata`.
pub(super) fn recited(metadata: &Value, text: &str, begins: usize) -> Vec<Citation> {
    let source = |said: &Value| {
        let word = |key: &str| said.get(key).and_then(Value::as_str).filter(|word| !word.is_empty()).map(str::to_owned);
        let (start, end) = place(said, text, begins)?;
        Some(Citation { url: word("uri")?, title: word("title"), start, end })
    };
    list(metadata, "citations").iter().filter_map(source).collect()
}

/// The sources on the web of a block of text. `text`: the answer's whole text, of which the block begins at this byte.
pub(super) fn citations(metadata: &Value, text: &str, begins: usize) -> Vec<Citation> {
    let chunks = list(metadata, "groundingChunks");
    let mut out = Vec::new();
    for support in list(metadata, "groundingSupports") {
        let segment = support.get("segment").unwrap_or(&Value::Null);
        let Some((start, end)) = place(segment, text, begins) else { continue };
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
    fn a_page_that_is_repeated_from_is_a_source() {
        let text = "Zürich is fine.";
        let said = json!({ "citations": [
            { "startIndex": 8, "endIndex": 15, "uri": "https://e.org/z" }, { "endIndex": 7, "uri": "https://e.org/y", "title": "Y", "license": "mit" },
            { "startIndex": 8, "endIndex": 15, "license": "mit" }, { "startIndex": 8, "endIndex": 99, "uri": "https://e.org/x" },
        ] });
        let cited = |url: &str, title: Option<&str>, start, end| Citation {
            url: url.to_owned(),
            title: title.map(str::to_owned),
            start,
            end,
        };
        let expected = [cited("https://e.org/z", None, 7, 14), cited("https://e.org/y", Some("Y"), 0, 6)];
        assert_eq!(recited(&said, text, 0), expected);
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
