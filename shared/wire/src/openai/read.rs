//! Reading what an upstream sent: a field of an unexpected type is taken as absent where an answer without it is still an answer.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

/// The text of a call's arguments as an object, and whether it was one. Empty text is a call without arguments (case 5); text that is no
/// JSON object is kept under `INVALID_JSON`, so that the model sees what it wrote.
pub(crate) fn input_of(arguments: &str) -> (Value, bool) {
    if arguments.trim().is_empty() {
        return (Value::Object(Map::new()), true);
    }
    match serde_json::from_str(arguments) {
        Ok(object @ Value::Object(_)) => (object, true),
        _ => (json!({ "INVALID_JSON": arguments }), false),
    }
}

/// The items of a list; of anything else, none. Cheaper to have in a shape than a list of its own type.
pub(crate) fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

/// `null` is the default.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// What is not of this form is the default: it is somebody else's.
pub(crate) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(T::deserialize(Value::deserialize(deserializer)?).unwrap_or_default())
}

/// JSON text; some servers send the object itself.
pub(crate) fn arguments<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    })
}
