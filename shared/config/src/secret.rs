//! References to secrets, as text and back. See [`SecretRef`].

use std::fmt;

use crate::SecretRef;

impl TryFrom<String> for SecretRef {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let named = |name: &str| if name.is_empty() { Err("the reference names nothing".to_owned()) } else { Ok(name.to_owned()) };
        if let Some(name) = text.strip_prefix("env:").or_else(|| text.strip_prefix('$')) {
            return Ok(Self::Env(named(name)?));
        }
        if let Some(path) = text.strip_prefix("file:") {
            return Ok(Self::File(named(path)?));
        }
        if let Some(rest) = text.strip_prefix("secretsmanager:") {
            let (id, key) = match rest.rsplit_once('#') {
                Some((id, key)) => (id, Some(named(key)?)),
                None => (rest, None),
            };
            return Ok(Self::SecretsManager { id: named(id)?, key });
        }
        Err("not a reference to a secret".to_owned())
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::SecretsManager { id, key: Some(key) } => write!(f, "secretsmanager:{id}#{key}"),
            Self::SecretsManager { id, key: None } => write!(f, "secretsmanager:{id}"),
            Self::File(path) => write!(f, "file:{path}"),
        }
    }
}
