//! Media as parts: `inlineData` for bytes, `fileData` for what Google already has
//! (<https://ai.google.dev/gemini-api/docs/file-input-methods>).

use serde_json::{Value, json};

use crate::error::WireError;
use crate::gemini::base64;
use crate::gemini::set;
use crate::ir::Source;

/// Types of files by the ending of their names: Vertex AI wants one beside an address.
const TYPES: [(&str, &str); 14] = [
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("heic", "image/heic"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("mp3", "audio/mp3"),
    ("wav", "audio/wav"),
    ("mp4", "video/mp4"),
];

/// An image, or a document that is not text. `what` is for the refusal.
pub(super) fn media(source: &Source, what: &str, path: &str) -> Result<Value, WireError> {
    match source {
        Source::Base64 { media_type, data } => Ok(inline(media_type, data)),
        Source::Text(text) => Ok(json!({ "text": text })),
        Source::Url(uri) | Source::File(uri) if is_googles(uri) => Ok(file(uri)),
        Source::Url(_) => {
            let message = format!(
                "Gemini does not fetch {what} from a URL: send its bytes in base64, or the address of a file that Google has"
            );
            Err(WireError::unsupported(path, message))
        }
        Source::File(_) => {
            let message = format!("another provider's file id means nothing to Gemini: send {what} in base64");
            Err(WireError::unsupported(path, message))
        }
    }
}

/// A document. Text is sent as text, under its name.
pub(super) fn document(source: &Source, name: Option<&str>, path: &str) -> Result<Value, WireError> {
    match (source, name) {
        (Source::Text(text), Some(name)) => Ok(json!({ "text": format!("{name}\n\n{text}") })),
        _ => media(source, "a document", path),
    }
}

/// Sound: OpenAI's format names are the ends of its types.
pub(super) fn audio(data: &str, format: &str) -> Value {
    inline(&format!("audio/{format}"), data)
}

fn inline(media_type: &str, data: &str) -> Value {
    json!({ "inlineData": { "mimeType": media_type, "data": base64::standard(data) } })
}

fn file(uri: &str) -> Value {
    let mut data = json!({ "fileUri": uri });
    if let Some(kind) = type_of(uri) {
        set(&mut data, "mimeType", kind);
    }
    json!({ "fileData": data })
}

/// The type of a file by the ending of its name.
pub(super) fn type_of(uri: &str) -> Option<&'static str> {
    let name = uri.split(['?', '#']).next().unwrap_or_default();
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase())?;
    TYPES.iter().find(|(known, _)| *known == ending).map(|(_, kind)| *kind)
}

/// Cloud Storage, the Files API, YouTube.
pub(super) fn is_googles(uri: &str) -> bool {
    const PREFIXES: [&str; 4] =
        ["gs://", "https://generativelanguage.googleapis.com/", "https://www.youtube.com/watch", "https://youtu.be/"];
    PREFIXES.iter().any(|prefix| uri.starts_with(prefix))
}
