//! Browsers.

use serde::Deserialize;

use crate::pattern;

/// Which pages may call from a browser.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Cors {
    /// Their origins (`https://app.example.com`; `*` stands for any text). Empty: none may.
    pub allow_origins: Vec<String>,
}

impl Cors {
    /// May a page of this origin call?
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        self.allow_origins.iter().any(|allowed| pattern::matches(allowed, origin))
    }
}
