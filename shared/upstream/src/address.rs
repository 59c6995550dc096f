//! Addresses of endpoints. Some providers have the model in the path: there the name is data, and must not be able to steer.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;

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
}

/// An address around a model; a stream may have another than a whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    whole: Form,
    stream: Option<Form>,
}

/// What stands before the model, and after it.
#[derive(Debug, Clone)]
struct Form {
    head: String,
    tail: String,
}

impl Address {
    /// From a URL, in whose path `{model}` may stand; a stream may have a URL of its own. The error is the URL parser's.
    pub(crate) fn parse(whole: &str, stream: Option<&str>) -> Result<Self, String> {
        let Some(whole_form) = Form::parse(whole)? else {
            return Url::parse(whole).map(Self::Fixed).map_err(|e| e.to_string());
        };
        let stream = stream.map(Form::parse).transpose()?.flatten();
        Ok(Self::OfModel(Box::new(Template { whole: whole_form, stream })))
    }

    /// For this request.
    pub(crate) fn of(&self, model: &str, stream: bool) -> Result<Url, TransportError> {
        match self {
            Self::Fixed(url) => Ok(url.clone()),
            Self::OfModel(template) => {
                let form = template.stream.as_ref().filter(|_| stream).unwrap_or(&template.whole);
                // Whoever reads the path would take dots for a directory, encoded or not.
                if matches!(model, "" | "." | "..") {
                    return Err(TransportError::Connect(format!("`{model}` is no model's name")));
                }
                form.with(model).map_err(TransportError::Connect)
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
        Address::parse(GEMINI, Some("https://h/v1beta/models/{model}:streamGenerateContent?alt=sse")).unwrap()
    }

    #[test]
    fn an_address_without_a_model_is_the_same_for_every_request() {
        let address = Address::parse("https://h/v1/chat/completions", None).unwrap();
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
        let only = Address::parse(GEMINI, None).unwrap();
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
            let address = Address::parse("https://h/deployments/{model}/chat?api-version=1", None).unwrap();
            let url = address.of(model, false).unwrap();
            assert_eq!(url.as_str(), format!("https://h/deployments/{segment}/chat?api-version=1"), "{model}");
        }
        for dots in ["", ".", ".."] {
            assert!(gemini().of(dots, false).is_err(), "{dots:?}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_when_it_is_read() {
        assert!(Address::parse("h/v1", None).is_err());
        assert!(Address::parse("http://:0:/{model}", None).is_err());
        assert!(Address::parse(GEMINI, Some("nowhere/{model}")).is_err());
    }
}
