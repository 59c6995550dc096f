//! A client's body to the IR, part 3: content, as a string or in parts.

use serde_json::{Map, Value};

use crate::error::WireError;
use crate::ir::{Block, Dropped, Source};
use crate::openai::fields::{Path, string};
use crate::openai::parts::{self, Said, audio, file, other_field, source};

pub(super) fn decode(
    content: Value,
    path: &Path<'_>,
    said: Said,
    unmapped: &mut Vec<Dropped>,
) -> Result<Vec<Block>, WireError> {
    parts::decode(content, path, unmapped, &|kind, fields, path, unmapped| part(kind, fields, path, said, unmapped))
}

fn part(
    kind: &str,
    mut fields: Map<String, Value>,
    path: &Path<'_>,
    said: Said,
    unmapped: &mut Vec<Dropped>,
) -> Result<Block, WireError> {
    let mut text = |key: &str| {
        let value = fields.shift_remove(key).filter(|value| !value.is_null());
        value.map(|value| string(value, &path.key(key))).transpose()
    };
    let required = |found: Option<String>, key: &str| found.ok_or_else(|| path.missing(key));
    let block = match (kind, said) {
        // Clients replay what a model said as input, and the other way round.
        ("input_text" | "output_text" | "text", _) => Block::Text(required(text("text")?, "text")?),
        ("refusal", Said::Assistant) => Block::Refusal(required(text("refusal")?, "refusal")?),
        ("input_image", Said::Media) => match (text("image_url")?, text("file_id")?) {
            (Some(url), None) => Block::Image(source(url, &path.key("image_url"))?),
            (None, Some(id)) => Block::Image(Source::File(id)),
            _ => return Err(path.invalid("expected exactly one of image_url and file_id")),
        },
        ("input_file", Said::Media) => return file(fields, path, unmapped),
        ("input_audio", Said::Media) => {
            let inner = fields.shift_remove(kind).ok_or_else(|| path.missing(kind))?;
            audio(inner, &path.key(kind), unmapped)?
        }
        (other, said) => {
            let expected = match said {
                Said::Text => "input_text",
                Said::Media => "input_text, input_image, input_file or input_audio",
                Said::Assistant => "output_text or refusal",
            };
            return Err(path.key("type").invalid(format!("expected {expected}, got {other:?}")));
        }
    };
    for (key, value) in &fields {
        other_field(key, value, &path.key(key), unmapped);
    }
    Ok(block)
}
