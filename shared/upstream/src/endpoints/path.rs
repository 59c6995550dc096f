//! A path of a provider, and how it is put together with what the configuration says.

use tollgate_config::ProviderEntry;
use tollgate_wire::codec::Dialect;

use crate::address::{Address, Naming};
use crate::error::SetupError;

/// A path: the provider's base path, which `pathPrefix` replaces, and what stands below it. `{model}` is the model.
pub(crate) struct Path {
    pub(super) dialect: Dialect,
    pub(super) root: String,
    pub(super) tail: String,
    /// Where a stream is asked for, if not at the same place.
    pub(super) stream: Option<String>,
    pub(super) naming: Naming,
}

impl Path {
    /// What is never streamed.
    pub(crate) fn unary(dialect: Dialect, root: &str, tail: &str) -> Self {
        Self { dialect, root: root.to_owned(), tail: tail.to_owned(), stream: None, naming: Naming::Plain }
    }

    pub(super) fn openai(root: &str, query: &str) -> Self {
        Self::unary(Dialect::Chat, root, &format!("/chat/completions{query}"))
    }

    pub(super) fn responses(root: &str, query: &str) -> Self {
        let tail = format!("/responses{query}");
        Self { dialect: Dialect::Responses, root: root.to_owned(), tail, stream: None, naming: Naming::Plain }
    }

    pub(super) fn messages(root: &str) -> Self {
        Self::unary(Dialect::Messages, root, "/messages")
    }

    /// <https://ai.google.dev/api/generate-content#method:-models.generatecontent>; without `alt=sse` a stream is one JSON array.
    pub(super) fn gemini(root: &str, below: &str) -> Self {
        Self {
            dialect: Dialect::GenerateContent,
            root: root.to_owned(),
            tail: format!("{below}/models/{{model}}:generateContent"),
            stream: Some(format!("{below}/models/{{model}}:streamGenerateContent?alt=sse")),
            naming: Naming::Bare,
        }
    }

    /// The same with a model that is called by its bare name.
    pub(crate) fn bare(self) -> Self {
        Self { naming: Naming::Bare, ..self }
    }

    /// The same at another path.
    pub(crate) fn moved(self, path: &str) -> Self {
        match path.strip_prefix("/v1") {
            Some(tail) => Self { root: "/v1".to_owned(), tail: tail.to_owned(), ..self },
            None => Self { root: String::new(), tail: path.to_owned(), ..self },
        }
    }

    pub(crate) fn below(&self, base: &str, entry: &ProviderEntry) -> Result<Address, SetupError> {
        let whole = self.text(base, &self.tail, entry);
        // Mantle has some models at another place, unless the configuration says where.
        let stands = entry.path_override.is_some() || entry.path_prefix.is_some() || base.ends_with(self.root.as_str());
        if self.naming == Naming::Mantle && !stands {
            let other = self.text(&format!("{base}/openai"), &self.tail, entry);
            return Address::of_mantle(&whole, &other).map_err(|cause| Self::wrong(whole, cause, entry));
        }
        let stream = self.stream.as_ref().map(|tail| self.text(base, tail, entry));
        Address::parse(&whole, stream.as_deref(), self.naming).map_err(|cause| Self::wrong(whole, cause, entry))
    }

    fn wrong(url: String, cause: String, entry: &ProviderEntry) -> SetupError {
        SetupError::Url { provider: entry.name.clone(), url, cause }
    }

    /// Base and path put together. A base that already ends in the provider's base path (`.../v1`) does not get it twice.
    pub(super) fn text(&self, base: &str, tail: &str, entry: &ProviderEntry) -> String {
        let (base, root) = (base.trim_end_matches('/'), &self.root);
        match (&entry.path_override, &entry.path_prefix) {
            (Some(path), _) => format!("{base}/{}", path.trim_start_matches('/')),
            (None, Some(prefix)) => format!("{base}/{}{tail}", prefix.trim_matches('/')),
            (None, None) if base.ends_with(root.as_str()) => format!("{base}{tail}"),
            (None, None) => format!("{base}{root}{tail}"),
        }
    }
}
