//! Names of provider kinds and of models, and what may be left off a model's name without changing its price.
//!
//! Nothing here compares beginnings of names. A name is taken apart only where its maker puts things that are not the model: a region in
//! front, a version, a date or an alias behind.

/// What Bedrock puts before a model id for an inference profile of several regions. `global.` is not among them: it is often cheaper.
const REGIONS: [&str; 8] = ["us.", "eu.", "apac.", "jp.", "au.", "ca.", "us-gov.", "in."];
/// Bedrock's profile of all regions.
const GLOBAL: &str = "global.";

/// A kind as the table has it, in lower case: `openai`, `anthropic`, `bedrock`, `gemini`, `azure`, `vertex`, or what a `providerOverride` says.
pub(super) fn kind(kind: &str) -> String {
    let kind = kind.trim().to_ascii_lowercase();
    match kind.as_str() {
        "google" => "gemini".to_owned(),
        "vertexai" | "vertex_ai" => "vertex".to_owned(),
        "azureopenai" => "azure".to_owned(),
        _ => kind,
    }
}

/// The kinds whose built-in rows hold for a kind, its own first.
pub(super) fn tables(kind: &str) -> &'static [&'static str] {
    match kind {
        "openai" => &["openai"],
        "anthropic" => &["anthropic"],
        "bedrock" => &["bedrock"],
        "gemini" => &["gemini"],
        "azure" => &["azure", "openai", "anthropic"],
        "vertex" => &["vertex", "anthropic", "gemini"],
        _ => &[],
    }
}

/// The names under which a model may stand in the built-in table, the most telling first. `model` is in lower case.
pub(super) fn candidates<'a>(kind: &str, model: &'a str) -> Vec<&'a str> {
    let model = model.strip_suffix(":latest").unwrap_or(model);
    match kind {
        "bedrock" => bedrock(model),
        // `publishers/anthropic/models/claude-...`, `google/gemini-...`, `models/gemini-...`
        "vertex" | "gemini" => vec![model.rsplit('/').next().unwrap_or(model)],
        _ => vec![model.strip_prefix("models/").unwrap_or(model)],
    }
}

/// A model id or an inference profile, with its region and then without; or the one in an ARN. The ARNs of application inference profiles,
/// provisioned and custom models say nothing about the model: no names.
fn bedrock(model: &str) -> Vec<&str> {
    let id = if model.starts_with("arn:") {
        match arn(model) {
            Some(id) => id,
            None => return Vec::new(),
        }
    } else {
        model
    };
    let prefix = REGIONS.iter().chain(std::iter::once(&GLOBAL)).find_map(|prefix| id.strip_prefix(*prefix));
    std::iter::once(id).chain(prefix).collect()
}

/// `arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-...`
fn arn(arn: &str) -> Option<&str> {
    let resource = arn.splitn(6, ':').nth(5)?;
    match resource.split_once('/')? {
        ("foundation-model" | "inference-profile", id) => Some(id.rsplit('/').next().unwrap_or(id)),
        _ => None,
    }
}

/// A name without its version, date or alias: `anthropic.claude-sonnet-4-20250514-v1:0` is `anthropic.claude-sonnet-4`, `gpt-4o-2024-08-06` is
/// `gpt-4o`. Two names with the same remainder are the same model at the same price, or the table has a row for each.
pub(super) fn stem<'a>(kind: &str, model: &'a str) -> &'a str {
    let model = if kind == "bedrock" { unversioned(model) } else { model };
    undated(model)
}

/// Without `-v1:0`, `-v1`, `-1:0`, and the size of a provisioned context (`:200k`).
fn unversioned(model: &str) -> &str {
    let model = match model.rsplit_once(':') {
        Some((rest, size)) if size.strip_suffix('k').is_some_and(number) => rest,
        _ => model,
    };
    let (model, minor) = match model.rsplit_once(':') {
        Some((rest, minor)) if number(minor) => (rest, true),
        _ => (model, false),
    };
    match model.rsplit_once('-') {
        Some((rest, major)) if major.strip_prefix('v').is_some_and(number) || (minor && number(major)) => rest,
        _ => model,
    }
}

/// Without `-20250514`, `@20250514`, `-2024-08-06`, `@default`, `@latest`.
fn undated(model: &str) -> &str {
    if let Some((rest, tail)) = model.rsplit_once('@') {
        return if matches!(tail, "default" | "latest") || number(tail) { rest } else { model };
    }
    let cut = |behind: usize| model.len().checked_sub(behind).and_then(|at| model.split_at_checked(at));
    if let Some((rest, tail)) = cut("-20250514".len())
        && shaped(tail, "-20######")
    {
        return rest;
    }
    match cut("-2024-08-06".len()) {
        Some((rest, tail)) if shaped(tail, "-20##-##-##") => rest,
        _ => model,
    }
}

/// Whether a text has a shape, in which `#` is a digit.
fn shaped(text: &str, shape: &str) -> bool {
    let fits = |(byte, wanted): (u8, u8)| if wanted == b'#' { byte.is_ascii_digit() } else { byte == wanted };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

fn number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stem_is_the_name_without_version_and_date() {
        for (kind, model, expected) in [
            ("bedrock", "anthropic.claude-sonnet-4-20250514-v1:0", "anthropic.claude-sonnet-4"),
            ("bedrock", "anthropic.claude-opus-4-6-v1", "anthropic.claude-opus-4-6"),
            ("bedrock", "anthropic.claude-3-haiku-20240307-v1:0:200k", "anthropic.claude-3-haiku"),
            ("bedrock", "openai.gpt-oss-120b-1:0", "openai.gpt-oss-120b"),
            ("bedrock", "anthropic.claude-opus-4-7", "anthropic.claude-opus-4-7"),
            ("bedrock", "mistral.mistral-large-2402-v1:0", "mistral.mistral-large-2402"),
            ("openai", "gpt-4o-2024-08-06", "gpt-4o"),
            ("openai", "gpt-4o-mini", "gpt-4o-mini"),
            ("openai", "gpt-4-0613", "gpt-4-0613"),
            ("openai", "some-v1", "some-v1"),
            ("anthropic", "claude-sonnet-4-20250514", "claude-sonnet-4"),
            ("vertex", "claude-opus-4-5@20251101", "claude-opus-4-5"),
            ("vertex", "claude-opus-4-6@default", "claude-opus-4-6"),
            ("openai", "-20250514", ""),
            ("openai", "", ""),
            ("openai", "modèle", "modèle"),
        ] {
            assert_eq!(stem(kind, model), expected, "{kind} {model}");
        }
    }

    #[test]
    fn an_arn_names_a_model_only_where_it_says_one() {
        for (arn, expected) in [
            (
                "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-opus-5",
                &["us.anthropic.claude-opus-5", "anthropic.claude-opus-5"][..],
            ),
            ("arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/a.b-v1:0", &["a.b-v1:0"]),
            ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123", &[]),
            ("arn:aws:bedrock:us-east-1:1:provisioned-model/abc123", &[]),
            ("arn:aws:bedrock", &[]),
        ] {
            assert_eq!(bedrock(arn), expected, "{arn}");
        }
    }
}
