//! The budget function against a real DynamoDB API: what it reserves, what is reported to it in four forms, the sweep and its warnings.

#[cfg(test)]
#[path = "it/bus.rs"]
mod bus;
#[cfg(test)]
#[path = "it/contract.rs"]
mod contract;
#[cfg(test)]
#[path = "it/reports.rs"]
mod reports;
#[cfg(test)]
#[path = "../../../shared/hooks/tests/support/mod.rs"]
mod support;

#[cfg(test)]
mod world {
    use axum::Router;
    use serde_json::{Value, json};
    use tollgate_budget::Budget;
    use tollgate_hooks::App;
    use tollgate_hooks::run::Function;

    use super::support::{Answer, SECRET, function, post};

    pub(crate) const TRUSTED: (&str, &str) = ("x-tollgate-secret", SECRET);

    /// A budget function with its table. The prices are round: a dollar per thousand tokens in or out for `m`.
    pub(crate) struct World {
        pub(crate) router: Router,
        pub(crate) function: Budget,
        pub(crate) app: App,
    }

    impl World {
        pub(crate) async fn new() -> Self {
            Self::with("").await
        }

        pub(crate) async fn with(limits: &str) -> Self {
            let prices = format!(
                "  prices:\n    m: {{input: 100, output: 100, maxOutputTokens: 8000}}\n    dear: {{input: 1000, output: 1000}}\n    openAI/cheap: {{input: 1, output: 1}}\n    anthropic/cheap: {{input: 2, output: 2}}\n{limits}"
            );
            let (function, app) = function::<Budget>(&prices, "").await;
            Self { router: function.router(), function, app }
        }

        pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
            post(&self.router, path, headers, body.to_string()).await
        }

        /// What is left of the team's month, in nano-dollars, and of its day, in tokens; asked by a check of nothing.
        pub(crate) async fn left(&self, team: &str) -> (u64, u64) {
            let body = json!({"team": team, "tier": "tiny", "model": "m", "estimated_tokens": 0, "max_tokens": 0});
            let answer = self.post("/check", &[TRUSTED], &body).await.json();
            let of = |counter: &str| {
                let limits = answer["limits"].as_array().unwrap_or_else(|| panic!("{answer}"));
                let limit = limits.iter().find(|limit| limit["counter"] == counter).unwrap();
                limit["remaining"].as_u64().unwrap()
            };
            (of("usd_per_month"), of("tokens_per_day"))
        }
    }
}
