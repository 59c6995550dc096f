//! `temperature` beside `top_p`, for a Claude that takes one of them (case 19): `temperature and top_p cannot both be specified for this model`.
//!
//! The request is certain to be refused as it is, so to mend it takes nothing from anyone; it is reported, and with `strict` refused. Only the generations that are
//! known to refuse it: what a model that the table does not know takes is the provider's to say, and so are the parameters that no Claude from 4.7 on takes.

use crate::ir::Dropped;
use crate::json::{self, Member};
use crate::messages::models::{Generation, Model, Sampling};

/// The request with one of the two. `None`: it can stay as it is.
pub(super) fn one_of_two(body: &[u8], model: &str, dropped: &mut Vec<Dropped>) -> Option<Vec<u8>> {
    let model = Model::named(model);
    if model.sampling() != Sampling::OneOf || model.generation == Generation::Unknown {
        return None;
    }
    let members = json::members(body).ok()?;
    let member = |key: &str| members.iter().find(|member| member.key == key && member.value != "null");
    let (temperature, top_p) = (member("temperature")?, member("top_p")?);
    // 1 is the default of both: to leave it out loses nothing.
    let out = if is_default(temperature) && !is_default(top_p) { temperature } else { top_p };
    if !is_default(out) {
        dropped.push(Dropped::new("top_p", "this model takes temperature or top_p, not both; temperature was kept"));
    }
    json::kept(body, "", &|key| key != out.key).ok().map(Into::into)
}

fn is_default(member: &Member<'_>) -> bool {
    member.value.parse() == Ok(1.0)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::codec::{Carrier, Dialect, Seed, Target};
    use crate::exchange::Inbound;

    #[test]
    fn a_claude_that_takes_temperature_or_top_p_gets_one_of_them_from_an_anthropic_client() {
        for (settings, model, expected, reported) in [
            (r#""temperature":0.2,"top_p":0.9"#, "claude-sonnet-4-5", r#""temperature":0.2"#, true),
            (r#""temperature":1,"top_p":0.9"#, "claude-haiku-4-5", r#""top_p":0.9"#, false),
            (r#""temperature":0.2,"top_p":1.0"#, "claude-opus-4-1", r#""temperature":0.2"#, false),
            (r#""temperature":0.2,"top_p":null"#, "claude-opus-4-1", r#""temperature":0.2,"top_p":null"#, false),
            (r#""temperature":0.2"#, "claude-opus-4-6", r#""temperature":0.2"#, false),
            (r#""temperature":0.2,"top_p":0.9"#, "claude-sonnet-4", r#""temperature":0.2,"top_p":0.9"#, false),
            // The provider's to say.
            (r#""temperature":0.2,"top_p":0.9"#, "claude-opus-4-7", r#""temperature":0.2,"top_p":0.9"#, false),
            (r#""temperature":0.2,"top_p":0.9"#, "deepseek-chat", r#""temperature":0.2,"top_p":0.9"#, false),
        ] {
            for carrier in [Carrier::Direct, Carrier::Bedrock, Carrier::Vertex] {
                let body =
                    |settings: &str| format!(r#"{{"model":"{model}","max_tokens":9,{settings},"messages":[{{}}]}}"#);
                let inbound = Inbound::decode(Dialect::Messages, Bytes::from(body(settings)), Vec::new()).unwrap();
                let target = Target { dialect: Dialect::Messages, carrier, model };
                let seed = Seed { created_unix_s: 0, request_id: "r".to_owned() };
                let started = inbound.start(&target, &seed, false).unwrap();
                let sent = String::from_utf8(started.body.to_vec()).unwrap();
                assert!(sent.contains(&format!("9,{expected},\"messages\"")), "{carrier:?}: {sent}");
                assert_eq!(!started.dropped.is_empty(), reported, "{carrier:?}: {sent}");
                assert_eq!(inbound.start(&target, &seed, true).is_err(), reported, "{carrier:?}: strict");
            }
        }
    }
}
