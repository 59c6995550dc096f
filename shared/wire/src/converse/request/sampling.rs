//! The inference config, and top-k, which has no place in it.
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InferenceConfiguration.html>

use serde_json::{Value, json};

use super::super::family::{Family, TopK};
use super::super::types::InferenceConfig;
use super::Encoder;
use super::reasoning::{Limits, Plan};

/// `maxTokens` is a signed 32-bit number.
const MAX_TOKENS: u64 = i32::MAX as u64;
/// Most stop sequences that Converse takes.
const MAX_STOPS: usize = 2500;

impl<'r> Encoder<'r> {
    /// `None` when the client set nothing. Puts top-k among the plan's fields.
    pub(super) fn inference_config(&mut self, plan: &mut Plan) -> Option<InferenceConfig<'r>> {
        self.report_what_converse_lacks();
        let temperature = self.temperature(plan.limits);
        let top_p = self.top_p(plan.limits);
        self.top_k(plan);
        let config = InferenceConfig {
            max_tokens: self.request.max_output_tokens.map(|tokens| tokens.min(MAX_TOKENS)),
            temperature,
            top_p,
            stop_sequences: self.stop_sequences(),
        };
        (config != InferenceConfig::default()).then_some(config)
    }

    fn report_what_converse_lacks(&mut self) {
        let request = self.request;
        let lacking = [
            ("frequency_penalty", request.frequency_penalty.is_some_and(|penalty| penalty != 0.0)),
            ("presence_penalty", request.presence_penalty.is_some_and(|penalty| penalty != 0.0)),
            ("seed", request.seed.is_some()),
            ("user", request.user.is_some()),
        ];
        if let Some(search) = &request.web_search {
            // It needs a permission of its own (`bedrock:InvokeTool`) and is paid by the call: <https://docs.aws.amazon.com/nova/latest/nova2-userguide/web-grounding.html>.
            let nova = matches!(self.family, Family::Nova | Family::Nova2);
            let reason = if nova { "Nova's web grounding is not used" } else { "Converse has no search of the web" };
            self.report(&search.path, reason);
        }
        if request.logprobs.is_some() {
            self.report("logprobs", "Converse tells no log probabilities");
        }
        for (path, set) in lacking {
            if set {
                self.report(path, "Converse has no such field");
            }
        }
    }

    fn temperature(&mut self, limits: Limits) -> Option<f64> {
        let wanted = self.request.temperature?;
        if let Some(reason) = refusal(limits) {
            self.report("temperature", reason);
            return None;
        }
        Some(self.clamped("temperature", wanted))
    }

    fn top_p(&mut self, limits: Limits) -> Option<f64> {
        let wanted = self.request.top_p?;
        if let Some(reason) = refusal(limits) {
            self.report("top_p", reason);
            return None;
        }
        Some(self.clamped("top_p", wanted))
    }

    fn top_k(&mut self, plan: &mut Plan) {
        let Some(wanted) = self.request.top_k else { return };
        if let Some(reason) = refusal(plan.limits) {
            self.report("top_k", reason);
            return;
        }
        match self.family.top_k() {
            TopK::Plain => plan.fields.insert("top_k".to_owned(), json!(wanted)),
            TopK::InferenceConfig => plan.fields.insert("inferenceConfig".to_owned(), json!({ "topK": wanted })),
            TopK::Nowhere => {
                self.report("top_k", "Converse has no such field, and this model no other place for it");
                None::<Value>
            }
        };
    }

    fn clamped(&mut self, path: &str, wanted: f64) -> f64 {
        let sent = wanted.clamp(0.0, 1.0);
        if sent != wanted {
            self.report(path, format!("Converse takes 0 to 1: {sent} instead of {wanted}"));
        }
        sent
    }

    fn stop_sequences(&mut self) -> Vec<&'r str> {
        let request = self.request;
        let mut stops = Vec::with_capacity(request.stop.len());
        for (index, stop) in request.stop.iter().enumerate() {
            if stop.is_empty() {
                self.report(format!("stop[{index}]"), "Converse refuses an empty stop sequence");
            } else if stops.len() == MAX_STOPS {
                self.report(format!("stop[{index}]"), "Converse takes at most 2500 stop sequences");
                break;
            } else {
                stops.push(stop.as_str());
            }
        }
        stops
    }
}

/// Why this call takes no sampling parameter.
fn refusal(limits: Limits) -> Option<&'static str> {
    match limits {
        Limits::NovaThinksHard => Some("Nova refuses it with high effort"),
        Limits::None => None,
    }
}
