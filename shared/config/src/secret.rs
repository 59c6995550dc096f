//! References to secrets, as text and back. See [`SecretRef`].
//!
//! No message of this module repeats the text that it was given: the most likely mistake is the secret itself.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::SecretRef;

const FORMS: &str = "write a reference: env:NAME, $NAME, secretsmanager:NAME#key or file:PATH";

impl TryFrom<String> for SecretRef {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::read(&text)
    }
}

impl SecretRef {
    /// Reads `env:NAME`, `$NAME`, `${NAME}`, `secretsmanager:NAME#key` and `file:PATH`.
    fn read(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("env:") {
            return variable(name);
        }
        if let Some(name) = text.strip_prefix('$') {
            return variable(name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name));
        }
        if let Some(rest) = text.strip_prefix("secretsmanager:") {
            return secrets_manager(rest);
        }
        if let Some(path) = text.strip_prefix("file:") {
            if path.trim().is_empty() {
                return Err("file: names no file".to_owned());
            }
            return Ok(Self::File(path.to_owned()));
        }
        Err(format!(
            "not a reference to a secret (the text is not repeated here, as it may be the secret itself); a configuration \
             file is committed and copied, so it must not hold keys: {FORMS}"
        ))
    }
}

fn variable(name: &str) -> Result<SecretRef, String> {
    let mut bytes = name.bytes();
    let head = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if head && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Ok(SecretRef::Env(name.to_owned()));
    }
    Err("not the name of an environment variable: letters, digits and _ only, not starting with a digit".to_owned())
}

fn secrets_manager(rest: &str) -> Result<SecretRef, String> {
    let (id, key) = match rest.split_once('#') {
        Some((_, "")) => {
            return Err("nothing after #: name the key in the secret's JSON object, or leave # out".to_owned());
        }
        Some((id, key)) => (id, Some(key.to_owned())),
        None => (rest, None),
    };
    // What Secrets Manager accepts in a name, and the colons of an ARN.
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_+=.@-:".contains(&b)) {
        return Err("secretsmanager: needs the name or the ARN of a secret".to_owned());
    }
    Ok(SecretRef::SecretsManager { id: id.to_owned(), key })
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

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReferenceVisitor)
    }
}

/// A text, or agentgateway's mappings with `value` or `file`.
struct ReferenceVisitor;

impl<'de> Visitor<'de> for ReferenceVisitor {
    type Value = SecretRef;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reference to a secret (env:NAME, $NAME, secretsmanager:NAME#key or file:PATH)")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<SecretRef, E> {
        SecretRef::read(text).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretRef, A::Error> {
        let mut found = None;
        while let Some(form) = map.next_key::<Form>()? {
            let reference = match form {
                Form::Value => map.next_value()?,
                Form::File => SecretRef::File(map.next_value()?),
            };
            if found.replace(reference).is_some() {
                return Err(A::Error::custom("value and file exclude each other; keep one"));
            }
        }
        found.ok_or_else(|| A::Error::custom(format!("no reference in it; {FORMS}")))
    }
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Form {
    Value,
    File,
}

/// What a key reference looks like in a file, for the JSON Schema.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[schemars(untagged, deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum KeyForm {
    /// `env:NAME`, `$NAME`, `secretsmanager:NAME#key` or `file:PATH`.
    Reference(String),
    /// agentgateway's mapping with a reference.
    Value {
        /// A reference, as above.
        value: String,
    },
    /// agentgateway's mapping with a file.
    File {
        /// The file that holds the key.
        file: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_prints_as_it_is_read() {
        let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:tollgate/openai-AbCdEf";
        for text in [
            "env:OPENAI_API_KEY",
            "file:/run/secrets/openai",
            "secretsmanager:tollgate/openai",
            "secretsmanager:tollgate/openai#key",
            &format!("secretsmanager:{arn}"),
            &format!("secretsmanager:{arn}#api.key"),
        ] {
            assert_eq!(SecretRef::try_from(text.to_owned()).unwrap().to_string(), text);
        }
    }

    #[test]
    fn agentgateways_dollar_forms_are_environment_variables() {
        for text in ["$OPENAI_API_KEY", "${OPENAI_API_KEY}", "env:OPENAI_API_KEY"] {
            assert_eq!(SecretRef::read(text), Ok(SecretRef::Env("OPENAI_API_KEY".to_owned())));
        }
    }

    #[test]
    fn an_arn_keeps_its_colons_and_gives_its_key() {
        let reference = SecretRef::read("secretsmanager:arn:aws:secretsmanager:eu-west-1:1:secret:x#k").unwrap();
        let id = "arn:aws:secretsmanager:eu-west-1:1:secret:x".to_owned();
        assert_eq!(reference, SecretRef::SecretsManager { id, key: Some("k".to_owned()) });
    }

    #[test]
    fn what_is_no_reference_is_refused_without_repeating_it() {
        for text in [
            "sk-proj-SECRET",
            "",
            "env:",
            "env:sk-SECRET",
            "$",
            "$2a$10$SECRET",
            "${SECRET",
            "env:1SECRET",
            "file:",
            "file: ",
            "secretsmanager:",
            "secretsmanager:#SECRET",
            "secretsmanager:SECRET#",
            "secretsmanager:SECRET with blanks",
        ] {
            let error = SecretRef::read(text).unwrap_err();
            assert!(!error.contains("SECRET"), "{text}: {error}");
        }
    }
}
