//! What a gateway asks for.

use std::time::SystemTime;

use http::{HeaderMap, StatusCode};
use tollgate_limits::{Ask, Call, Prompt, Verdict};

use crate::app::App;
use crate::caller::{Who, first};
use crate::decision::{Decision, Denied};
use crate::kinds::kinds;

/// The longest model name, provider name and request id.
const MAX_BYTES: usize = 256;

/// One request that wants to be let through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// Its model.
    pub model: Option<String>,
    /// Its provider's kind.
    pub provider: Option<String>,
    /// Its prompt.
    pub prompt: Prompt,
    /// The client's output cap.
    pub max_tokens: Option<u64>,
    /// The id by which its usage is reported later.
    pub request_id: Option<String>,
}

impl App {
    /// What the headers of a hook's request say; the prompt is its body.
    pub fn question(&self, headers: &HeaderMap, body: &[u8]) -> Result<Question, Denied> {
        let names = &self.config.webhooks.headers;
        let text = |list: &[String]| first(headers, list).filter(|text| !text.is_empty()).map(str::to_owned);
        let max_tokens = match text(&names.max_tokens).as_deref() {
            // What an expression of agentgateway makes of a field that is not there.
            None | Some("null") => None,
            Some(number) => Some(number.parse().map_err(|_| {
                let name = names.max_tokens.first().map(String::as_str).unwrap_or_default();
                Denied::new(StatusCode::BAD_REQUEST, format!("the header {name} is not a whole number"))
            })?),
        };
        let question = Question {
            model: text(&names.model),
            provider: text(&names.provider),
            prompt: self.limiter.as_ref().map(|limiter| limiter.prompt(body)).unwrap_or_default(),
            max_tokens,
            request_id: text(&names.request_id),
        };
        question.bounded()
    }

    /// Asks the ledger.
    pub async fn decide(&self, who: &Who, question: &Question, now: SystemTime) -> Decision {
        let Some(limiter) = &self.limiter else { return Decision::allowed("limits are switched off", Vec::new()) };
        let model = question.model.as_deref().unwrap_or_default();
        let prices = limiter.prices();
        let kinds = kinds(&prices, question.provider.as_deref(), self.config.webhooks.provider.as_deref(), model);
        // Without a model there is nobody to name: a price for every name is none for no name.
        let named = kinds.into_iter().filter(|_| !model.is_empty());
        let calls: Vec<Call<'_>> = named.map(|kind| Call { kind, model }).collect();
        let ask = Ask {
            team: &who.team,
            tier: &who.tier,
            user: who.user.as_deref(),
            model,
            calls: &calls,
            prompt: question.prompt,
            max_output_tokens: question.max_tokens,
            choices: 1,
            service: None,
            extras: None,
            deadline: now + self.config.request.timeout(),
            what: self.what,
            external_id: question.request_id.as_deref(),
        };
        // Boxed: the SDK's future is large.
        let decision = match Box::pin(limiter.reserve(&ask, now)).await {
            Verdict::Admitted(_, standings) => Decision::allowed("within limits", standings),
            Verdict::Degraded(_) => {
                Decision::allowed("the ledger does not answer, and failureMode is open", Vec::new())
            }
            Verdict::Refused(refusal) => Decision::refused(refusal),
            Verdict::Closed => {
                Decision::from(Denied::new(StatusCode::SERVICE_UNAVAILABLE, "the ledger does not answer right now"))
            }
            Verdict::Unpriced(name) | Verdict::UnpricedTool(name) => Decision::from(self.unpriced(question, &name)),
        };
        tracing::info!(
            tollgate.team = %who.team, tollgate.tier = %who.tier, gen_ai.request.model = model,
            request.id = question.request_id.as_deref().unwrap_or_default(), hook.asks = ?self.what, hook.code = decision.code,
            hook.reason = %decision.reason, "decided"
        );
        decision
    }

    fn unpriced(&self, question: &Question, name: &str) -> Denied {
        let reason = if question.model.is_some() {
            format!(
                "a budget applies, and the model {name:.200} has no price: add it to limits.prices, or set limits.unknownModelPrice"
            )
        } else {
            let header = self.config.webhooks.headers.model.first().map(String::as_str).unwrap_or("model");
            format!("a budget applies, and no model is named: send it in the header {header}")
        };
        Denied::new(StatusCode::FORBIDDEN, reason)
    }
}

impl Question {
    /// Names of a sensible length only: they become keys and log fields.
    pub(crate) fn bounded(self) -> Result<Self, Denied> {
        for (what, text) in [("model", &self.model), ("provider", &self.provider), ("request id", &self.request_id)] {
            if text.as_ref().is_some_and(|text| text.len() > MAX_BYTES || text.chars().any(char::is_control)) {
                let reason = format!("the {what} is longer than {MAX_BYTES} bytes, or has control characters");
                return Err(Denied::new(StatusCode::BAD_REQUEST, reason));
            }
        }
        Ok(self)
    }
}
