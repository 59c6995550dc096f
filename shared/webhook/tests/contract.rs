//! The contract, row by row, for both readers: agentgateway's (a model of it) and ours.

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;
use tollgate_webhook::{Action, BadAnswer, Choice, Message, Phase, read_action, read_answer};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    Pass,
    Mask,
    Reject,
    /// 503 under failClosed.
    Failure,
}
use Reads::{Failure, Mask, Pass, Reject};

/// How agentgateway makes sense of an answer: three shapes, tried in this order, unknown fields ignored. The shape alone decides.
mod theirs {
    use super::Deserialize;

    #[derive(Deserialize)]
    pub(crate) struct Answer {
        pub(crate) action: Action,
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    pub(crate) enum Action {
        Mask(MaskAction),
        Reject(RejectAction),
        #[expect(dead_code, reason = "the field is here for its type")]
        Pass(PassAction),
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "the fields are here for their types")]
    pub(crate) struct MaskAction {
        pub(crate) body: Masked,
        reason: Option<String>,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "the fields are here for their types")]
    pub(crate) struct RejectAction {
        body: String,
        pub(crate) status_code: u16,
        reason: Option<String>,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "the fields are here for their types")]
    pub(crate) struct PassAction {
        reason: Option<String>,
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    #[expect(dead_code, reason = "the fields are here for their types")]
    pub(crate) enum Masked {
        Messages { messages: Vec<Message> },
        Choices { choices: Vec<Choice> },
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "the fields are here for their types")]
    pub(crate) struct Message {
        role: String,
        content: String,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "the fields are here for their types")]
    pub(crate) struct Choice {
        message: Message,
    }
}

fn agentgateway_reads(answer: &str, phase: Phase) -> Reads {
    let Ok(answer) = serde_json::from_str::<theirs::Answer>(answer) else { return Failure };
    match answer.action {
        theirs::Action::Mask(mask) => match (mask.body, phase) {
            (theirs::Masked::Messages { .. }, Phase::Request) | (theirs::Masked::Choices { .. }, Phase::Response) => {
                Mask
            }
            _ => Failure,
        },
        // Its HTTP library makes no status of a number outside of this.
        theirs::Action::Reject(reject) if !(100..=999).contains(&reject.status_code) => Failure,
        theirs::Action::Reject(_) => Reject,
        theirs::Action::Pass(_) => Pass,
    }
}

fn we_read(answer: &str, phase: Phase) -> Reads {
    match read_action(answer.as_bytes(), phase) {
        Ok(Action::Pass { .. }) => Pass,
        Ok(Action::MaskRequest { .. } | Action::MaskResponse { .. }) => Mask,
        Ok(Action::Reject(_)) => Reject,
        Err(_) => Failure,
    }
}

/// Answer, agentgateway, we; to `/request`.
const ROWS: &[(&str, Reads, Reads)] = &[
    // As observed.
    (r#"{"action":{"reason":"ok"}}"#, Pass, Pass),
    (r#"{"action":{}}"#, Pass, Pass),
    (r#"{"action":{"body":"Budget exhausted","status_code":429,"reason":"x"}}"#, Reject, Reject),
    (r#"{"action":{"body":"Budget exhausted","status_code":429}}"#, Reject, Reject),
    (r#"{"action":"pass"}"#, Failure, Failure),
    (r#"{"action":"reject"}"#, Failure, Failure),
    (r#"{"action":{"status_code":429,"reason":"no body"}}"#, Pass, Failure),
    (r#"{"action":{"reject":{"body":"x","status_code":429}}}"#, Pass, Failure),
    (r#"{"action":{"body":{"error":"x"},"status_code":429}}"#, Pass, Failure),
    (r#"{"action":{"body":"x","status_code":"429"}}"#, Pass, Failure),
    (r#"{"action":{"body":"x","status_code":0}}"#, Failure, Failure),
    (r#"{"action":{"body":"x","status_code":1000}}"#, Failure, Failure),
    (r#"{"action":{"body":{"messages":[{"role":"user","content":"***"}]}}}"#, Mask, Mask),
    (r#"{"action":{"body":{"messages":[{"role":"user","content":"***"}]},"status_code":429}}"#, Mask, Failure),
    ("{}", Failure, Failure),
    ("null", Failure, Failure),
    ("", Failure, Failure),
    ("Internal Server Error", Failure, Failure),
    // The same rules, further on.
    (r#"{"action":null}"#, Failure, Failure),
    (r#"{"action":{"reason":null}}"#, Pass, Pass),
    (r#"{"action":{"reason":7}}"#, Failure, Failure),
    (r#"{"action":[null]}"#, Pass, Failure),
    (r#"{"action":{"pass":{}}}"#, Pass, Failure),
    (r#"{"action":{"status_code":429}}"#, Pass, Failure),
    (r#"{"action":{"statusCode":429,"body":"x"}}"#, Pass, Failure),
    (r#"{"action":{"body":"x"}}"#, Pass, Failure),
    (r#"{"action":{"body":null,"status_code":null,"reason":"ok"}}"#, Pass, Failure),
    (r#"{"action":{"body":"x","status_code":70000}}"#, Pass, Failure),
    (r#"{"action":{"body":"x","status_code":429.0}}"#, Pass, Failure),
    (r#"{"action":{"body":"x","status_code":200}}"#, Reject, Failure),
    (r#"{"action":{"body":"x","status_code":302}}"#, Reject, Failure),
    (r#"{"action":{"body":"","status_code":403}}"#, Reject, Reject),
    (r#"{"action":{"body":"x","status_code":403,"score":0.9}}"#, Reject, Reject),
    (r#"{"action":{"reason":"no","blocked":true}}"#, Pass, Failure),
    (r#"{"action":{"body":{"messages":[{"role":"user","content":[]}]}}}"#, Pass, Failure),
    (r#"{"action":{"body":{"messages":[{"role":"user","content":"*"}]},"verdict":"block"}}"#, Mask, Failure),
    (r#"{"action":{"body":{"choices":[{"message":{"role":"assistant","content":"x"}}]}}}"#, Failure, Failure),
    (r#"{"action":{"reason":"ok"},"action":{"body":"x","status_code":429}}"#, Failure, Failure),
    (r#"{"action":{"body":"x","body":"y","status_code":429}}"#, Pass, Failure),
    (r#"{"action":{"reason":"ok"},"trace":"t1"}"#, Pass, Pass),
    (r#"{"reject":{"body":"x","status_code":429}}"#, Failure, Failure),
];

#[test]
fn every_known_answer_is_read_as_the_contract_says() {
    for (answer, theirs, ours) in ROWS {
        assert_eq!(agentgateway_reads(answer, Phase::Request), *theirs, "agentgateway: {answer}");
        assert_eq!(we_read(answer, Phase::Request), *ours, "we: {answer}");
    }
}

#[test]
fn the_status_of_an_answer_counts_only_beside_a_reject() {
    const REJECT: &str = r#"{"action":{"body":"x","status_code":429}}"#;
    const PASS: &str = r#"{"action":{"reason":"ok"}}"#;
    const MASK: &str = r#"{"action":{"body":{"messages":[]}}}"#;
    let read = |status, body: &str| read_answer(status, body.as_bytes(), Phase::Request);
    for status in [200, 201, 403, 429, 500, 503] {
        assert!(matches!(read(status, REJECT), Ok(Action::Reject(_))), "{status}");
    }
    assert!(matches!(read(204, PASS), Ok(Action::Pass { .. })));
    for status in [400, 403, 500, 503, 101] {
        for body in [PASS, MASK, "", "oops"] {
            assert_eq!(read(status, body), Err(BadAnswer::Status(status)), "{status} {body}");
        }
    }
    for body in [PASS, REJECT, ""] {
        assert_eq!(read(302, body), Err(BadAnswer::Redirect(302)));
    }
    let half = read(500, r#"{"action":{"status_code":429}}"#);
    assert!(half.is_err_and(|bad| bad.may_be_a_refusal()));
}

#[test]
fn a_decision_that_cannot_be_read_is_not_like_a_hook_that_is_down() {
    for (answer, may_be_a_refusal) in [
        ("", false),
        ("{}", false),
        ("[]", false),
        (r#"{"action":"reject"}"#, true),
        (r#"{"action":{"status_code":429}}"#, true),
        (r#"{"action":{"reject":{}}}"#, true),
    ] {
        let bad = read_action(answer.as_bytes(), Phase::Request).unwrap_err();
        assert_eq!(bad.may_be_a_refusal(), may_be_a_refusal, "{answer}: {bad}");
    }
    for (status, may_be_a_refusal) in
        [(302, false), (400, true), (403, true), (408, false), (413, true), (429, false), (500, false), (503, false)]
    {
        let bad = read_answer(status, b"no", Phase::Request).unwrap_err();
        assert_eq!(bad.may_be_a_refusal(), may_be_a_refusal, "{status}");
    }
}

#[test]
fn what_is_written_is_the_contracts_text() {
    assert_eq!(Action::pass("ok").encode(), r#"{"action":{"reason":"ok"}}"#);
    assert_eq!(
        Action::reject("Budget exhausted", 429, "x").encode(),
        r#"{"action":{"body":"Budget exhausted","status_code":429,"reason":"x"}}"#
    );
    assert_eq!(
        Action::mask_request(vec![Message::new("user", "***")], "pii").encode(),
        r#"{"action":{"body":{"messages":[{"role":"user","content":"***"}]},"reason":"pii"}}"#
    );
    assert_eq!(
        Action::mask_response(vec![Choice { message: Message::new("assistant", "***") }], "pii").encode(),
        r#"{"action":{"body":{"choices":[{"message":{"role":"assistant","content":"***"}}]},"reason":"pii"}}"#
    );
}

#[test]
fn a_reject_that_would_be_none_is_repaired() {
    let Action::Reject(reject) = Action::reject("", 0, "") else { panic!("a reject") };
    assert_eq!((reject.body(), reject.status_code()), ("rejected", 503));
}

fn message() -> impl Strategy<Value = Message> {
    (any::<String>(), any::<String>()).prop_map(|(role, content)| Message { role, content })
}

fn action() -> impl Strategy<Value = (Action, Phase, Reads)> {
    let messages = || proptest::collection::vec(message(), 0..4);
    prop_oneof![
        any::<String>().prop_map(|reason| (Action::pass(reason), Phase::Request, Pass)),
        any::<String>().prop_map(|reason| (Action::pass(reason), Phase::Response, Pass)),
        (any::<String>(), any::<u16>(), any::<String>()).prop_map(|(body, status, reason)| (
            Action::reject(body, status, reason),
            Phase::Request,
            Reject
        )),
        (messages(), any::<String>()).prop_map(|(messages, reason)| (
            Action::mask_request(messages, reason),
            Phase::Request,
            Mask
        )),
        (messages(), any::<String>()).prop_map(|(messages, reason)| {
            let choices = messages.into_iter().map(|message| Choice { message }).collect();
            (Action::mask_response(choices, reason), Phase::Response, Mask)
        }),
    ]
}

/// Answers that are nearly one.
fn nearly() -> impl Strategy<Value = String> {
    let status = prop_oneof![
        any::<u16>().prop_map(Value::from),
        (395u16..605).prop_map(Value::from),
        Just(Value::Null),
        Just(Value::from("429")),
        Just(Value::from(429.0)),
    ];
    let body = prop_oneof![
        Just(Value::from("x")),
        Just(Value::Null),
        Just(serde_json::json!({})),
        Just(serde_json::json!({"messages": [{"role": "user", "content": "*"}]})),
        Just(serde_json::json!({"choices": [{"message": {"role": "assistant", "content": "*"}}]})),
        Just(serde_json::json!({"messages": [{"role": "user"}]})),
        Just(serde_json::json!({"messages": [], "choices": []})),
    ];
    let reason = prop_oneof![Just(Value::from("ok")), Just(Value::Null), Just(Value::from(1))];
    let unknown = prop_oneof![Just("reject"), Just("pass"), Just("statusCode"), Just("blocked")];
    let maybe = proptest::option::of::<BoxedStrategy<Value>>;
    (maybe(body.boxed()), maybe(status.boxed()), maybe(reason.boxed()), proptest::option::of(unknown)).prop_map(
        |(body, status, reason, unknown)| {
            let mut action = serde_json::Map::new();
            let mut set = |name: &str, value: Option<Value>| value.map(|value| action.insert(name.to_owned(), value));
            set("body", body);
            set("status_code", status);
            set("reason", reason);
            set(unknown.unwrap_or("x"), unknown.map(|_| serde_json::json!({"body": "x", "status_code": 429})));
            serde_json::json!({"action": action}).to_string()
        },
    )
}

proptest! {
    #[test]
    fn what_we_write_is_read_as_it_was_meant((action, phase, meant) in action()) {
        let text = action.encode();
        prop_assert_eq!(agentgateway_reads(&text, phase), meant, "{}", text);
        prop_assert_eq!(read_action(text.as_bytes(), phase), Ok(action), "{}", text);
    }

    #[test]
    fn we_are_never_the_laxer_reader(answer in nearly()) {
        for phase in [Phase::Request, Phase::Response] {
            let (theirs, ours) = (agentgateway_reads(&answer, phase), we_read(&answer, phase));
            prop_assert!(ours == theirs || ours == Failure, "{:?}: they {:?}, we {:?}: {}", phase, theirs, ours, answer);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_answer(200, &bytes, Phase::Request);
        let _ = read_answer(500, &bytes, Phase::Response);
    }
}
