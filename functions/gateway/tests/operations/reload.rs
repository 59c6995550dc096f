//! Another configuration under a running gateway.

use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use http_body_util::BodyExt;
use tokio::sync::watch;
use tollgate_gateway::app::App;
use tollgate_gateway::reload::{Feed, Live, Origin, Source, version};
use tollgate_gateway::router::router;
use tollgate_upstream::Base;

use super::support::{configuration, events_of};
use super::world::{Agent, answerer, ask, get, model, text};

/// One provider; `more` stands beside `ai`.
pub(crate) fn yaml(upstream: &str, more: &str) -> String {
    let entry =
        format!("{{name: {}, provider: {{custom: {{}}}}, baseUrl: '{upstream}'}}", &upstream[7..].replace(':', "-"));
    configuration(&format!("ai: {{groups: [{{providers: [{entry}]}}]}}\nreload: {{everySeconds: 1}}\n{more}"))
}

/// A gateway that begins with this text, and finds others at the agent.
async fn fed(text: &str, agent: &Agent) -> (Live, Router) {
    let config = tollgate_config::parse(text, "test").unwrap();
    let app = App::on(Base::new().unwrap(), config, Some(version(text))).unwrap();
    let client = app.chains.client().clone();
    let source = Source::agent(client, &agent.serve().await, ["tollgate", "test", "gate way"]);
    let live = Live::fed(app, feed(source));
    (live.clone(), router(live))
}

fn feed(source: Source) -> Feed {
    let origin = Origin::of("appconfig:tollgate/test/gate way").unwrap();
    let complete = |config: tollgate_config::Config| {
        config.check_complete().map_err(|error| error.to_string())?;
        Ok(config)
    };
    Feed::new(&origin, source, Box::new(complete), Duration::ZERO)
}

/// Looks until something has come of it: a look is due every second.
async fn until(live: &Live, done: impl Fn() -> bool) {
    for _ in 0..1_000 {
        live.refresh().await;
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nothing came of it");
}

#[tokio::test]
async fn new_requests_get_the_new_configuration_and_a_stream_that_runs_keeps_its_own() {
    let (say, word) = watch::channel(false);
    let (old, new) = (model("old", word.clone()).await, model("new", word).await);
    let agent = Agent::default();
    let (live, router) = fed(&yaml(&old, ""), &agent).await;
    assert_eq!(answerer(&router).await, "old");

    let mut running = ask(&router, true, &[]).await.into_body();
    let mut seen = running.frame().await.unwrap().unwrap().into_data().unwrap().to_vec();
    let next = yaml(&new, "");
    agent.says(Some(next.clone()));
    until(&live, || live.app().version() == Some(&version(&next))).await;
    assert_eq!(answerer(&router).await, "new");

    say.send_replace(true);
    seen.extend_from_slice(&running.collect().await.unwrap().to_bytes());
    let seen = String::from_utf8(seen).unwrap();
    let events = events_of(&seen);
    assert!(events.iter().any(|(_, data)| data.contains("old")) && !seen.contains("new"), "{seen}");
    assert_eq!(events.last().unwrap().1, "[DONE]", "{seen}");
}

#[tokio::test]
async fn what_is_no_configuration_is_refused_and_the_last_good_one_stays() {
    let (_say, word) = watch::channel(true);
    let (old, new) = (model("old", word.clone()).await, model("new", word).await);
    let agent = Agent::default();
    let first = yaml(&old, "");
    let (live, router) = fed(&first, &agent).await;
    let bad = [
        Some("ai: {groups: [{providers: [{name: a}]}]}".to_owned()),
        Some("{ai: {}}".to_owned()),
        Some("%".to_owned()),
        Some(yaml(&new, "limits: {failureMode: perhaps}")),
        None,
    ];
    for text in bad {
        agent.says(text.clone());
        let asked = agent.asked();
        until(&live, || agent.asked() > asked).await;
        assert_eq!(answerer(&router).await, "old", "{text:?}");
        assert_eq!(get(&router, "/healthz").await["config"], *version(&first), "{text:?}");
    }
    let good = yaml(&new, "");
    agent.says(Some(good.clone()));
    until(&live, || live.app().version() == Some(&version(&good))).await;
    assert_eq!(answerer(&router).await, "new", "and a good one is taken after them");
    assert_eq!(get(&router, "/healthz").await["config"], *version(&good));
    assert_eq!(get(&router, "/").await.get("config"), None);
}

#[tokio::test]
async fn what_did_not_change_is_taken_over() {
    let (_say, word) = watch::channel(true);
    let upstream = model("m", word).await;
    let limits = "limits: {ledger: {endpoint: 'http://127.0.0.1:9'}, failureMode: open";
    let agent = Agent::default();
    let (live, _) = fed(&yaml(&upstream, &format!("{limits}}}")), &agent).await;
    let before = live.app();
    let next = yaml(&upstream, &format!("{limits}, teams: {{search: {{requestsPerMinute: 7}}}}}}"));
    agent.says(Some(next.clone()));
    until(&live, || live.app().version() == Some(&version(&next))).await;
    let after = live.app();
    let provider = |app: &App| std::ptr::from_ref(app.chains.of("m").unwrap().providers().next().unwrap());
    assert_eq!(provider(&before), provider(&after), "its connections and its health");
    let ledger = |app: &App| std::ptr::from_ref(app.limiter.as_ref().unwrap().ledger());
    assert_eq!(ledger(&before), ledger(&after), "what it still has to write");
    let limits = after.config.limits.as_ref().unwrap();
    assert_eq!(limits.teams["search"].requests_per_minute, Some(7), "and the limit is another");
}

#[tokio::test]
async fn a_file_is_looked_at_while_the_gateway_runs() {
    let (_say, word) = watch::channel(true);
    let (old, new) = (model("old", word.clone()).await, model("new", word).await);
    let path = std::env::temp_dir().join(format!("tollgate-reload-{}.yaml", std::process::id()));
    let first = yaml(&old, "");
    std::fs::write(&path, &first).unwrap();
    let config = tollgate_config::parse(&first, "test").unwrap();
    let app = App::on(Base::new().unwrap(), config, Some(version(&first))).unwrap();
    let live = Live::fed(app, feed(Source::File(path.clone(), Mutex::default())));
    let router = router(live.clone());
    live.refresh().await;
    assert_eq!(answerer(&router).await, "old");
    let next = yaml(&new, "# another\n");
    std::fs::write(&path, &next).unwrap();
    until(&live, || live.app().version() == Some(&version(&next))).await;
    assert_eq!(answerer(&router).await, "new");
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_request_that_finds_the_configuration_old_does_not_wait_for_the_next() {
    let (_say, word) = watch::channel(true);
    let (old, new) = (model("old", word.clone()).await, model("new", word).await);
    let agent = Agent::default();
    let (live, router) = fed(&yaml(&old, ""), &agent).await;
    let next = yaml(&new, "");
    agent.says(Some(next.clone()));
    live.refresh_if_due();
    let app = live.app();
    assert_ne!(app.version(), Some(&version(&next)), "nobody has waited");
    until(&live, || live.app().version() == Some(&version(&next))).await;
    assert!(text(ask(&router, false, &[]).await).await.contains("new"));
}
