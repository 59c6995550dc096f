//! What Lambda's first events find.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::watch;
use tollgate_gateway::app::App;
use tollgate_gateway::host::lambda::{Start, without};
use tollgate_gateway::reload::Live;

use super::reload::yaml;
use super::support::json_of;
use super::world::{answerer, ask, model, text};

#[tokio::test]
async fn the_first_event_waits_for_the_first_configuration_and_after_a_failure_the_next_one_asks_again() {
    let (_say, word) = watch::channel(true);
    let config = yaml(&model("m", word).await, "");
    let asked = Arc::new(AtomicU32::new(0));
    let start = {
        let asked = Arc::clone(&asked);
        Start::waiting(Box::new(move || {
            let (config, asked) = (config.clone(), Arc::clone(&asked));
            Box::pin(async move {
                if asked.fetch_add(1, Ordering::Relaxed) == 0 {
                    return Err("the agent is not there".to_owned());
                }
                tokio::task::yield_now().await;
                let config = tollgate_config::parse(&config, "test").map_err(|error| error.to_string())?;
                App::new(config).map(Live::fixed).map_err(|error| error.to_string())
            })
        }))
    };
    assert_eq!(start.router().await.unwrap_err(), "the agent is not there");
    let (one, other) = tokio::join!(start.router(), start.router());
    assert_eq!((answerer(&one.unwrap()).await, answerer(&other.unwrap()).await), ("m".to_owned(), "m".to_owned()));
    assert_eq!(
        asked.load(Ordering::Relaxed),
        2,
        "those who wait share a fetch, and a configuration that is there is not fetched again"
    );
}

#[tokio::test]
async fn without_a_configuration_a_client_is_told_to_come_again() {
    let router = without("the agent is not there");
    for (headers, kind) in [(&[][..], "code"), (&[("anthropic-version", "2023-06-01")][..], "type")] {
        let response = ask(&router, false, headers).await;
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
        assert!(response.headers().contains_key("x-request-id"));
        let body = json_of(&text(response).await);
        assert!(body["error"][kind].is_string(), "{body}");
        assert!(!body.to_string().contains("agent"), "the cause is for the log: {body}");
    }
}
