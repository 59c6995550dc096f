//! Reads a hook's answer. Stricter than agentgateway: an answer is a pass when it says nothing else than that, and a reject or a mask that is
//! not whole is a failure.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use tollgate_wire::json::kind_of;

use crate::body::{choices, messages};
use crate::{Action, Phase, Reject};

/// An answer that is no action. The text says what is wrong with it, and quotes none of its values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// A hook is asked where it is configured, nowhere else.
    #[error("it answered with a redirect ({0})")]
    Redirect(u16),
    /// An error of the hook's; of such answers only a whole reject counts.
    #[error("it answered with status {0} and no reject")]
    Status(u16),
    /// Not JSON, or JSON without an `action`.
    #[error("its answer has no `action`: {0}")]
    NoAction(String),
    /// It has an `action`, and it is none of pass, mask and reject.
    #[error("its answer is no action: {0}")]
    Broken(String),
}

impl BadAnswer {
    /// Did the hook decide something that cannot be read? Then it may have been a refusal, and "let through when the hook fails" is not meant for
    /// it. So it is with a 4xx that does not mean "later": the hook is up and does not want this request. A client could otherwise make one too large
    /// for the hook (413), and pass unseen.
    #[must_use]
    pub fn may_be_a_refusal(&self) -> bool {
        match self {
            Self::Broken(_) => true,
            Self::Status(status) => matches!(status, 400..=499) && !matches!(status, 408 | 425 | 429),
            Self::Redirect(_) | Self::NoAction(_) => false,
        }
    }
}

/// Reads a hook's whole answer. agentgateway ignores its status; here an error status with a reject is that reject, and with anything else a failure.
pub fn read_answer(status: u16, body: &[u8], phase: Phase) -> Result<Action, BadAnswer> {
    if (300..=399).contains(&status) {
        return Err(BadAnswer::Redirect(status));
    }
    match read_action(body, phase) {
        outcome if (200..=299).contains(&status) => outcome,
        Ok(Action::Reject(reject)) => Ok(Action::Reject(reject)),
        Err(broken @ BadAnswer::Broken(_)) => Err(broken),
        Ok(_) | Err(_) => Err(BadAnswer::Status(status)),
    }
}

#[derive(Deserialize)]
struct Envelope {
    action: Fields,
}

/// Its fields; one that stands there twice is an error.
#[derive(Deserialize)]
struct Fields {
    #[serde(default, deserialize_with = "present")]
    body: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    status_code: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    reason: Option<Value>,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

/// `null` is a value, too.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Reads the body of a hook's answer.
///
/// - **pass**: `{"action":{}}`, `{"action":{"reason":"..."}}`; nothing else in the action.
/// - **reject**: `body` is a string, `status_code` is 400 to 599.
/// - **mask**: `body` is an object with `messages` (request) or `choices` (response); no `status_code`, nothing unknown.
pub fn read_action(bytes: &[u8], phase: Phase) -> Result<Action, BadAnswer> {
    let fields = fields(bytes)?;
    let reason = match fields.reason {
        None | Some(Value::Null) => None,
        Some(Value::String(reason)) => Some(reason),
        Some(other) => return Err(broken(format!("`reason` is {}", kind_of(&other)))),
    };
    match (fields.body, fields.status_code) {
        (Some(Value::String(body)), Some(status)) => match status.as_u64().and_then(|code| u16::try_from(code).ok()) {
            Some(code @ 400..=599) => Ok(Action::Reject(Reject::new(body, code, reason))),
            Some(code) => Err(broken(format!("the status of its reject is {code}, not 400 to 599"))),
            None => Err(broken(format!("`status_code` is {}, no status", kind_of(&status)))),
        },
        (Some(Value::String(_)), None) => Err(broken("a reject without `status_code`")),
        (Some(Value::Object(_)), Some(_)) => Err(broken("a mask with a `status_code`")),
        (Some(body @ Value::Object(_)), None) => {
            known(&fields.unknown)?;
            mask(&body, phase, reason)
        }
        (Some(other), _) => Err(broken(format!("`body` is {}", kind_of(&other)))),
        (None, Some(_)) => Err(broken("a reject without `body`")),
        (None, None) => known(&fields.unknown).map(|()| Action::Pass { reason }),
    }
}

fn fields(bytes: &[u8]) -> Result<Fields, BadAnswer> {
    let value: Value = serde_json::from_slice(bytes).map_err(|_| BadAnswer::NoAction("it is not JSON".to_owned()))?;
    let Some(object) = value.as_object() else { return Err(BadAnswer::NoAction(format!("it is {}", kind_of(&value)))) };
    match object.get("action") {
        None => Err(BadAnswer::NoAction("it is an object without one".to_owned())),
        // Once more, because the tree hides a field that stands there twice.
        Some(Value::Object(_)) => match serde_json::from_slice::<Envelope>(bytes) {
            Ok(envelope) => Ok(envelope.action),
            Err(_) => Err(broken("a field stands there twice")),
        },
        Some(other) => Err(broken(format!("`action` is {}", kind_of(other)))),
    }
}

fn mask(body: &Value, phase: Phase, reason: Option<String>) -> Result<Action, BadAnswer> {
    let (own, other) = match phase {
        Phase::Request => ("messages", "choices"),
        Phase::Response => ("choices", "messages"),
    };
    if body.get(other).is_some() {
        return Err(broken(format!("a mask of `{other}`, where `{own}` are asked for")));
    }
    let action = match phase {
        Phase::Request => messages(body, "body").map(|messages| Action::MaskRequest { messages, reason }),
        Phase::Response => choices(body, "body").map(|choices| Action::MaskResponse { choices, reason }),
    };
    action.map_err(|bad| broken(bad.to_string()))
}

/// A field that is not known here may be a refusal that we do not understand.
fn known(unknown: &Map<String, Value>) -> Result<(), BadAnswer> {
    let Some(name) = unknown.keys().next() else { return Ok(()) };
    let shown: String = name.chars().filter(|c| c.is_ascii_graphic()).take(32).collect();
    Err(broken(format!("it has the unknown field `{shown}`")))
}

fn broken(what: impl Into<String>) -> BadAnswer {
    BadAnswer::Broken(what.into())
}
