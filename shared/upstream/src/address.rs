//! Addresses of endpoints. Some providers have the model in the path: there the name is data, and must not be able to steer.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use tollgate_wire::messages::vertex;

use crate::error::TransportError;

/// Stands for the model in a template.
const MODEL: &str = "{model}";

/// What a path segment keeps as it is: RFC 3986's unreserved characters, and `@`, which is in Vertex's names of Claude
/// (`claude-sonnet-4@20250514`). Everything else (`/`, `?`, `#`, `%`, `:`, ...) is encoded.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

/// Where an endpoint is.
#[derive(Debug, Clone)]
pub(crate) enum Address {
    /// The same for every request.
    Fixed(Url),
    /// The model is in it.
    OfModel(Box<Template>),
    /// One of two, by the model: most models' of Bedrock's Mantle, and that of the others.
    OfMantle(Box<[Url; 2]>),
}

/// The families of models that Mantle has at `/openai/v1`, and not at `/v1`: their cards say so
/// (<https://docs.aws.amazon.com/bedrock/latest/userguide/model-card-google-gemma-4-31b.html> and its neighbours, "Programmatic Access", read on 2026-11-26).
const BELOW_OPENAI: [&str; 3] = ["openai.gpt-5", "google.gemma-4", "xai.grok-4"];

/// An address around a model; a stream may have another than a whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    naming: Naming,
    whole: Form,
    stream: Option<Form>,
}

/// What a provider's path calls a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// What the gateway calls it.
    Plain,
    /// The same without what names its publisher: `models/m`, `google/m` and `publishers/google/models/m` are `m`.
    Bare,
    /// The same, and a date behind `@`: `claude-sonnet-4-20250514` is `claude-sonnet-4@20250514`.
    Dated,
    /// It stands in the body, and decides where below Mantle the path begins.
    Mantle,
}

impl Naming {
    fn of(self, model: &str) -> Cow<'_, str> {
        match self {
            Self::Plain | Self::Mantle => model.into(),
            Self::Bare => bare(model).into(),
            Self::Dated => vertex::model_name(model),
        }
    }
}

/// A model of Google's without what names its publisher. Nothing else is cut off: of `gemini-2.5-flash/gemini-3-pro` rules, prices and budgets would see the one model, and Google the
/// other.
pub(crate) fn bare(model: &str) -> &str {
    const BEFORE: [&str; 5] =
        ["publishers/google/models/", "publishers/anthropic/models/", "models/", "google/", "anthropic/"];
    BEFORE.iter().find_map(|before| model.strip_prefix(before)).unwrap_or(model)
}

/// What stands before the model, and after it.
#[derive(Debug, Clone)]
struct Form {
    head: String,
    tail: String,
}

impl Address {
    /// From a URL, in whose path `{model}` may stand; a stream may have a URL of its own. The error is the URL parser's.
    pub(crate) fn parse(whole: &str, stream: Option<&str>, naming: Naming) -> Result<Self, String> {
        let Some(whole_form) = Form::parse(whole)? else {
            return Url::parse(whole).map(Self::Fixed).map_err(|e| e.to_string());
        };
        let stream = stream.map(Form::parse).transpose()?.flatten();
        Ok(Self::OfModel(Box::new(Template { naming, whole: whole_form, stream })))
    }

    /// Bedrock's Mantle: where most models are, and where the others are.
    pub(crate) fn of_mantle(most: &str, others: &str) -> Result<Self, String> {
        let url = |text| Url::parse(text).map_err(|e| e.to_string());
        Ok(Self::OfMantle(Box::new([url(most)?, url(others)?])))
    }

    /// For this request.
    pub(crate) fn of(&self, model: &str, stream: bool) -> Result<Url, TransportError> {
        match self {
            Self::Fixed(url) => Ok(url.clone()),
            Self::OfMantle(places) => {
                let [most, others] = places.as_ref();
                let is_other = BELOW_OPENAI.iter().any(|family| model.contains(family));
                Ok(if is_other { others.clone() } else { most.clone() })
            }
            Self::OfModel(template) => {
                let form = template.stream.as_ref().filter(|_| stream).unwrap_or(&template.whole);
                let name = template.naming.of(model);
                // Whoever reads the path would take dots for a directory, encoded or not.
                if matches!(name.as_ref(), "" | "." | "..") {
                    return Err(TransportError::Connect(format!("`{model}` is no model's name")));
                }
                form.with(&name).map_err(TransportError::Connect)
            }
        }
    }
}

impl Form {
    /// `None`: the text has no place for a model.
    fn parse(text: &str) -> Result<Option<Self>, String> {
        let Some((head, tail)) = text.split_once(MODEL) else { return Ok(None) };
        let form = Self { head: head.to_owned(), tail: tail.to_owned() };
        form.with("m")?;
        Ok(Some(form))
    }

    fn with(&self, model: &str) -> Result<Url, String> {
        let text = format!("{}{}{}", self.head, utf8_percent_encode(model, SEGMENT), self.tail);
        Url::parse(&text).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GEMINI: &str = "https://h/v1beta/models/{model}:generateContent";

    fn gemini() -> Address {
        Address::parse(GEMINI, Some("https://h/v1beta/models/{model}:streamGenerateContent?alt=sse"), Naming::Bare)
            .unwrap()
    }

    #[test]
    fn an_address_without_a_model_is_the_same_for_every_request() {
        let address = Address::parse("https://h/v1/chat/completions", None, Naming::Plain).unwrap();
        for (model, stream) in [("a", false), ("..", true)] {
            assert_eq!(address.of(model, stream).unwrap().as_str(), "https://h/v1/chat/completions");
        }
    }

    #[test]
    fn a_stream_has_an_address_of_its_own_where_there_is_one() {
        let whole = gemini().of("gemini-2.5-pro", false).unwrap();
        assert_eq!(whole.as_str(), "https://h/v1beta/models/gemini-2.5-pro:generateContent");
        let stream = gemini().of("gemini-2.5-pro", true).unwrap();
        assert_eq!(stream.as_str(), "https://h/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse");
        let only = Address::parse(GEMINI, None, Naming::Plain).unwrap();
        assert_eq!(only.of("m", true).unwrap().as_str(), "https://h/v1beta/models/m:generateContent");
    }

    #[test]
    fn a_model_stays_one_segment_whatever_it_holds() {
        for (model, segment) in [
            ("a/../../admin", "a%2F..%2F..%2Fadmin"),
            ("../x", "..%2Fx"),
            ("%2e%2e", "%252e%252e"),
            ("a?key=1#b", "a%3Fkey%3D1%23b"),
            ("a\\b", "a%5Cb"),
            ("a:delete", "a%3Adelete"),
            ("claude-sonnet-4@20250514", "claude-sonnet-4@20250514"),
            ("modèle", "mod%C3%A8le"),
        ] {
            let address =
                Address::parse("https://h/deployments/{model}/chat?api-version=1", None, Naming::Plain).unwrap();
            let url = address.of(model, false).unwrap();
            assert_eq!(url.as_str(), format!("https://h/deployments/{segment}/chat?api-version=1"), "{model}");
        }
        for dots in ["", ".", ".."] {
            assert!(gemini().of(dots, false).is_err(), "{dots:?}");
        }
    }

    #[test]
    fn google_calls_models_by_their_bare_name_and_claude_with_its_date_behind_an_at() {
        for (naming, model, name) in [
            (Naming::Bare, "models/gemini-2.5-pro", "gemini-2.5-pro"),
            (Naming::Bare, "publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
            (Naming::Bare, "gemini-2.5-pro-20250514", "gemini-2.5-pro-20250514"),
            (Naming::Dated, "claude-sonnet-4-20250514", "claude-sonnet-4@20250514"),
            (Naming::Dated, "anthropic/claude-opus-4-6", "claude-opus-4-6"),
            (Naming::Dated, "claude-sonnet-4@20250514", "claude-sonnet-4@20250514"),
            (Naming::Dated, "claude-haiku-4-5-2025abcd", "claude-haiku-4-5-2025abcd"),
        ] {
            assert_eq!(naming.of(model), name, "{model}");
        }
        for model in ["gemini-2.5-flash/gemini-3-pro", "flash/models/gemini-3-pro", "models/a/b"] {
            let url = gemini().of(model, false).unwrap();
            assert!(url.path().contains("%2F"), "one name stays one name: {url}");
        }
        assert!(gemini().of("google/..", false).is_err());
    }

    #[test]
    fn what_is_no_url_is_refused_when_it_is_read() {
        assert!(Address::parse("h/v1", None, Naming::Plain).is_err());
        assert!(Address::parse("http://:0:/{model}", None, Naming::Plain).is_err());
        assert!(Address::parse(GEMINI, Some("nowhere/{model}"), Naming::Plain).is_err());
    }
}
