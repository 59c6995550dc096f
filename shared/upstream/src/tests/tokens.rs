use std::sync::Arc;

use tollgate_config::{AzureAuth, AzureCredentials, EntraClient, SecretRef};

use super::server::{Say, Server};
use super::*;
use crate::token::{Entra, Exchange, Tokens};

/// Tokens of a scripted endpoint. `PATH` stands for a secret that is always there.
fn tokens(server: &Server) -> Tokens {
    let entra = EntraClient {
        tenant_id: "t".to_owned(),
        client_id: "c".to_owned(),
        client_secret: SecretRef::Env("PATH".to_owned()),
        scope: None,
        token_url: Some(format!("{}/token", server.url)),
    };
    let base = base();
    let auth = AzureAuth::ExplicitConfig(AzureCredentials::ClientSecret(entra));
    let entra = Entra::new(auth, false, base.aws.clone());
    Tokens::new(Exchange::Entra(Box::new(entra)), base.client, base.secrets)
}

/// A token that is numbered, and lasts so long.
fn numbered(number: usize, expires_in: u64) -> Say {
    Say::ok(format!(r#"{{"access_token":"token-{number}","expires_in":{expires_in}}}"#))
}

async fn bearer(tokens: &Tokens) -> String {
    tokens.get().await.unwrap().bearer.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn those_who_come_at_the_same_time_share_one_exchange() {
    let server = Server::start(|_, before| numbered(before, 3_600)).await;
    let tokens = Arc::new(tokens(&server));
    let all: Vec<_> = (0..20)
        .map(|_| {
            tokio::spawn({
                let tokens = Arc::clone(&tokens);
                async move { bearer(&tokens).await }
            })
        })
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap(), "Bearer token-0");
    }
    assert_eq!(server.seen("/token").len(), 1);
}

#[tokio::test]
async fn a_token_that_is_about_to_end_is_not_shown() {
    let server = Server::start(|_, before| numbered(before, if before == 0 { 1 } else { 3_600 })).await;
    let tokens = tokens(&server);
    assert_eq!(bearer(&tokens).await, "Bearer token-0");
    assert_eq!(bearer(&tokens).await, "Bearer token-1", "the first would end on the way");
    assert_eq!(bearer(&tokens).await, "Bearer token-1");
}

#[tokio::test]
async fn a_refused_token_is_exchanged_again_but_not_one_that_is_a_moment_old() {
    let server = Server::start(|_, before| numbered(before, 3_600)).await;
    let tokens = tokens(&server);
    bearer(&tokens).await;
    assert!(!tokens.refused(), "it was fetched just now");
    tokens.age(Duration::from_secs(11));
    assert!(tokens.refused());
    assert_eq!(bearer(&tokens).await, "Bearer token-1");
}

#[tokio::test]
async fn a_renewal_that_fails_leaves_the_present_token_in_use() {
    let server = Server::start(|_, before| match before {
        0 => numbered(0, 3_600),
        _ => Say::Json(503, "{}".to_owned()),
    })
    .await;
    let tokens = tokens(&server);
    bearer(&tokens).await;
    tokens.age(Duration::from_secs(3_400));
    for _ in 0..3 {
        assert_eq!(bearer(&tokens).await, "Bearer token-0");
        tokens.stay_failed().await;
    }
    assert_eq!(server.seen("/token").len(), 2, "after a failure nobody tries again for a moment");
}

#[tokio::test]
async fn an_endpoint_that_hangs_fails_all_who_wait_for_it_at_once() {
    let server = Server::start(|_, _| Say::Nothing).await;
    let mut tokens = tokens(&server);
    tokens.timeout = Duration::from_millis(500);
    let tokens = Arc::new(tokens);
    let all: Vec<_> = (0..5)
        .map(|_| {
            tokio::spawn({
                let tokens = Arc::clone(&tokens);
                async move { tokens.get().await.unwrap_err() }
            })
        })
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap().cause(), "no token within 500 ms");
    }
    assert_eq!(server.seen("/token").len(), 1);
}

#[tokio::test]
async fn a_refusal_says_why_and_shows_nothing_of_what_was_sent() {
    for (status, said, cause) in [
        (
            401,
            r#"{"error":"invalid_client","error_description":"AADSTS7000215"}"#,
            "refused with status 401, invalid_client, AADSTS7000215",
        ),
        (
            403,
            r#"{"error":{"code":403,"status":"PERMISSION_DENIED","message":"no"}}"#,
            "refused with status 403, PERMISSION_DENIED, no",
        ),
        (404, r#"{"message":"Not Found"}"#, "refused with status 404, Not Found"),
        (500, "<html>", "refused with status 500"),
        (200, "[]", "something that is not a JSON object"),
        (200, r#"{"token_type":"Bearer"}"#, "it has no `access_token`"),
        (200, r#"{"access_token":"a\nb"}"#, "the token has characters that a header cannot carry"),
    ] {
        let server = Server::start(move |_, _| Say::Json(status, said.to_owned())).await;
        let error = tokens(&server).get().await.unwrap_err();
        assert!(error.cause().ends_with(cause), "{error:?}");
    }
}

#[tokio::test]
async fn nothing_prints_a_token() {
    let server = Server::start(|_, _| numbered(7, 3_600)).await;
    let tokens = tokens(&server);
    bearer(&tokens).await;
    let printed = format!("{tokens:?}");
    assert!(printed.contains("renew_at") && !printed.contains("token-7"), "{printed}");
}
