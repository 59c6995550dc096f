//! The `content` of a message: a text, or a list of parts of which some are texts.

use serde_json::Value;

use super::Unmatched;

/// Its texts, joined with a space. `None`: it is neither a text, nor a list, nor nothing.
pub(super) fn text(content: Option<&Value>) -> Option<String> {
    text_of_parts(content, |_| true)
}

/// Those of an answer of Gemini's, whose thinking is text, too: other dialects keep it elsewhere.
pub(super) fn spoken(content: Option<&Value>) -> Option<String> {
    text_of_parts(content, is_spoken)
}

/// Is it a part of the answer itself?
pub(super) fn is_spoken(part: &Value) -> bool {
    part.get("thought") != Some(&Value::Bool(true))
}

fn text_of_parts(content: Option<&Value>, counts: fn(&Value) -> bool) -> Option<String> {
    match content {
        None | Some(Value::Null) => Some(String::new()),
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Array(parts)) => {
            Some(parts.iter().filter(|part| counts(part)).filter_map(part).collect::<Vec<_>>().join(" "))
        }
        Some(_) => None,
    }
}

/// A part's text, whatever its type is called: what an upstream might read, a guard should see.
fn part(part: &Value) -> Option<&str> {
    part.as_str().or_else(|| part.get("text").and_then(Value::as_str))
}

/// Puts a masked text into it; says whether that changed anything. Of several text parts the first gets all of it and the others go, because nobody
/// knows which words were whose. Everything that is no text stays.
pub(super) fn mask(content: Option<&mut Value>, masked: String) -> Result<bool, Unmatched> {
    mask_parts(content, masked, |_| true)
}

/// The same for an answer of Gemini's.
pub(super) fn mask_spoken(content: Option<&mut Value>, masked: String) -> Result<bool, Unmatched> {
    mask_parts(content, masked, is_spoken)
}

fn mask_parts(content: Option<&mut Value>, masked: String, counts: fn(&Value) -> bool) -> Result<bool, Unmatched> {
    if text_of_parts(content.as_deref(), counts).is_none_or(|own| own == masked) {
        return Ok(false);
    }
    match content {
        Some(Value::String(own)) => *own = masked,
        Some(Value::Array(parts)) => {
            let mut masked = Some(masked);
            parts.retain_mut(|part| match text_of(part, counts) {
                None => true,
                Some(own) => masked.take().map(|masked| *own = masked).is_some(),
            });
            if masked.is_some() {
                return Err(Unmatched);
            }
        }
        _ => return Err(Unmatched),
    }
    Ok(true)
}

fn text_of(part: &mut Value, counts: fn(&Value) -> bool) -> Option<&mut String> {
    if !counts(part) {
        return None;
    }
    let text = if part.is_object() { part.get_mut("text")? } else { part };
    match text {
        Value::String(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_parts_are_joined_with_a_space() {
        for (content, expected) in [
            (json!("a b"), Some("a b")),
            (json!(null), Some("")),
            (json!([]), Some("")),
            (json!([{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]), Some("a b")),
            (json!([{"type": "new_kind", "text": "a"}, "b"]), Some("a b")),
            (json!([{"type": "tool_result", "content": "x"}]), Some("")),
            (json!({"text": "a"}), None),
            (json!(7), None),
        ] {
            assert_eq!(text(Some(&content)).as_deref(), expected, "{content}");
        }
        assert_eq!(text(None).as_deref(), Some(""));
    }

    #[test]
    fn a_mask_leaves_everything_else_where_it_is() {
        let image = json!({"type": "image", "source": {"data": "AAAA"}});
        for (content, masked, expected) in [
            (json!("secret"), "***", Ok((true, json!("***")))),
            (json!("fine"), "fine", Ok((false, json!("fine")))),
            (
                json!([{"type": "text", "text": "secret", "x": 1}, image]),
                "***",
                Ok((true, json!([{"type": "text", "text": "***", "x": 1}, image]))),
            ),
            (
                json!([{"type": "text", "text": "a"}, image, {"type": "text", "text": "b"}]),
                "a *",
                Ok((true, json!([{"type": "text", "text": "a *"}, image]))),
            ),
            (json!([image]), "", Ok((false, json!([image])))),
            (json!([image]), "new", Err(Unmatched)),
            (json!(null), "new", Err(Unmatched)),
        ] {
            let mut changed = content.clone();
            let outcome = mask(Some(&mut changed), masked.to_owned()).map(|is_changed| (is_changed, changed));
            assert_eq!(outcome, expected, "{content}");
        }
    }
}
