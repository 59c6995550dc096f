//! An answer of Claude's on Bedrock in which a guardrail intervened, on its way to a client who speaks Messages (case 18).
//!
//! Bedrock says it beside Claude's answer (`messages::bedrock::intervened`) and leaves `stop_reason: end_turn`, behind which a client takes the guardrail's words
//! for the model's. So the client reads `refusal`, Anthropic's own word for an answer that is withheld; but not where the answer calls tools, which the guardrail let
//! through. Nothing else of the answer is touched, and an answer without an intervention passes to the byte.
//!
//! In a stream `stop_reason` may come before Bedrock says it, so the event that has it waits for the one behind it, which comes at once.

use std::ops::Range;

use bytes::Bytes;

use crate::json;
use crate::messages::bedrock::intervened;
use crate::sse::{SseEvent, write_event};

const REFUSAL: &str = r#""refusal""#;

/// Watches an answer for it.
#[derive(Debug, Default)]
pub(super) struct Guardrail {
    intervened: bool,
    /// The event with the stop reason: what the client gets if nothing intervened, and its data.
    waiting: Option<(Bytes, Vec<u8>)>,
}

impl Guardrail {
    /// A whole answer, as the client gets it.
    pub(super) fn whole(body: Bytes) -> Bytes {
        if !intervened(&body) {
            return body;
        }
        match stop_reason(&body) {
            Some(span) => json::replace(&body, &span, REFUSAL),
            None => body,
        }
    }

    /// Sees an event before it is written; writes the one that waited for it.
    pub(super) fn before(&mut self, data: &[u8], out: &mut Vec<u8>) {
        self.intervened |= intervened(data);
        self.release(out);
    }

    /// Does this event wait?
    pub(super) fn waits(&mut self, event: &SseEvent, data: &[u8]) -> bool {
        let waits = event.name() == Some(b"message_delta");
        if waits {
            self.waiting = Some((event.raw.clone(), data.to_vec()));
        }
        waits
    }

    /// Writes the event that waits.
    pub(super) fn release(&mut self, out: &mut Vec<u8>) {
        let Some((raw, data)) = self.waiting.take() else { return };
        let delta = json::member(&data, "delta").filter(|_| self.intervened);
        let inner = delta.and_then(|delta| Some((delta.start, stop_reason(data.get(delta)?)?)));
        match inner {
            Some((at, span)) => {
                let data = json::replace(&data, &(at + span.start..at + span.end), REFUSAL);
                write_event(Some("message_delta"), &data, out);
            }
            None => out.extend_from_slice(&raw),
        }
    }
}

/// Where the stop reason stands that becomes a refusal.
fn stop_reason(object: &[u8]) -> Option<Range<usize>> {
    json::member(object, "stop_reason").filter(|span| object.get(span.clone()) != Some(br#""tool_use""#))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::codec::{Carrier, Dialect, Seed, Target};
    use crate::exchange::{Inbound, Relay};

    const BODY: &str = r#"{"model":"claude","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#;
    const ACTION: &str = r#""amazon-bedrock-guardrailAction":"INTERVENED""#;

    fn relay(carrier: Carrier) -> Relay {
        let inbound = Inbound::decode(Dialect::Messages, Bytes::from_static(BODY.as_bytes()), Vec::new()).unwrap();
        let target = Target { dialect: Dialect::Messages, carrier, model: "anthropic.claude-sonnet-4-5-20250929-v1:0" };
        inbound.start(&target, &Seed { created_unix_s: 0, request_id: "r".to_owned() }, true).unwrap().relay
    }

    fn whole(stop: &str, more: &str) -> String {
        format!(
            r#"{{"id":"msg_1", "content":[{{"type":"text","text":"\"amazon-bedrock-guardrailAction\":\"INTERVENED\""}}],"stop_reason":"{stop}","usage":{{"input_tokens":3,"output_tokens":2}}{more}}}"#
        )
    }

    #[test]
    fn an_answer_in_which_a_guardrail_intervened_is_a_refusal_and_nothing_else_of_it_changes() {
        let intervened = format!(",{ACTION}");
        let none = r#","amazon-bedrock-guardrailAction":"NONE""#;
        for (carrier, stop, more, expected) in [
            (Carrier::Bedrock, "end_turn", intervened.as_str(), "refusal"),
            (Carrier::Bedrock, "max_tokens", &intervened, "refusal"),
            (Carrier::Bedrock, "tool_use", &intervened, "tool_use"),
            (Carrier::Bedrock, "end_turn", none, "end_turn"),
            (Carrier::Bedrock, "end_turn", "", "end_turn"),
            (Carrier::Direct, "end_turn", &intervened, "end_turn"),
        ] {
            let answer = relay(carrier).response(whole(stop, more).into()).unwrap();
            assert_eq!(answer, whole(expected, more), "{carrier:?}: {stop}{more}");
        }
    }

    fn events(stop: &str, start: &str, end: &str) -> String {
        format!(
            "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"content\":[],\"usage\":{{\"input_tokens\":3,\"output_tokens\":1}}{start}}}}}\n\n\
             event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"No.\"}}}}\n\n\
             event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"{stop}\",\"stop_sequence\":null}},\"usage\":{{\"output_tokens\":2}}}}\n\n\
             event: message_stop\ndata: {{\"type\":\"message_stop\"{end}}}\n\n"
        )
    }

    #[test]
    fn a_streams_stop_reason_waits_for_what_the_guardrail_did() {
        let action = format!(",{ACTION}");
        for (stop, start, end, expected) in [
            ("end_turn", "", action.as_str(), "refusal"),
            ("end_turn", action.as_str(), "", "refusal"),
            ("tool_use", "", &action, "tool_use"),
            ("end_turn", "", "", "end_turn"),
        ] {
            let (mut relay, mut out) = (relay(Carrier::Bedrock), Vec::new());
            relay.chunk(events(stop, start, end).as_bytes(), &mut out).unwrap();
            relay.finish(&mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), events(expected, start, end));
            assert!(relay.state().done && relay.state().usage.output == Some(2));
        }
    }

    #[test]
    fn a_stop_reason_that_waits_is_not_lost_with_the_rest_of_its_stream() {
        let stream = events("end_turn", "", "");
        let cut = &stream[..stream.find("event: message_stop").unwrap()];
        let error =
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"no\"}}\n\n";
        for more in ["", error] {
            let (mut relay, mut out) = (relay(Carrier::Bedrock), Vec::new());
            let read = relay.chunk(format!("{cut}{more}").as_bytes(), &mut out);
            assert!(read.and_then(|()| relay.finish(&mut out)).is_err());
            assert_eq!(String::from_utf8(out).unwrap(), cut);
        }
    }
}
