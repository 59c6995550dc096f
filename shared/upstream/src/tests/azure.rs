use super::server::{Say, Server};
use super::*;

/// The provider with a key, at a server.
fn with_key(settings: &str, server: &Server, key: &Secret) -> Chains {
    chains(&format!(
        "provider: {{azure: {{{settings}}}}}, baseUrl: '{}', policies: {{backendAuth: {{key: '{}'}}}}",
        server.url,
        key.reference()
    ))
}

/// The provider with an application of Entra ID, whose tokens the same server gives.
fn with_entra(server: &Server, secret: &Secret) -> Chains {
    chains(&format!(
        "provider: {{azure: {{}}}}, baseUrl: '{url}', policies: {{backendAuth: {{azure: {{explicitConfig: {{clientSecret: \
         {{tenantId: t, clientId: app, clientSecret: '{secret}', tokenUrl: '{url}/t/oauth2/v2.0/token'}}}}}}}}}}",
        url = server.url,
        secret = secret.reference()
    ))
}

#[tokio::test]
async fn the_key_stands_in_api_key_and_the_body_is_the_clients() {
    let server = Server::start(|_, _| Say::ok(CHAT)).await;
    let key = Secret::new("azure-key\n");
    let answer = body(ask(&with_key("", &server, &key), Dialect::Chat, "gpt-4o", "").await);
    assert_eq!(answer["choices"][0]["message"]["content"], "hi");
    let seen = &server.seen("/")[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/openai/v1/chat/completions"));
    assert_eq!((seen.header("api-key"), seen.header("authorization")), ("azure-key", ""));
    assert_eq!(seen.json()["model"], "gpt-4o");
}

#[tokio::test]
async fn a_dated_version_has_the_deployment_in_its_path_and_itself_in_the_query() {
    let server = Server::start(|_, _| Say::ok(CHAT)).await;
    let key = Secret::new("azure-key");
    let chains = with_key("apiVersion: 2024-10-21, model: my gpt/4", &server, &key);
    body(ask(&chains, Dialect::Chat, "gpt-4o", "").await);
    let expected = "/openai/deployments/my%20gpt%2F4/chat/completions?api-version=2024-10-21";
    assert_eq!(server.seen("/")[0].target, expected);
}

#[tokio::test]
async fn claude_in_foundry_is_asked_in_its_own_dialect_with_both_headers() {
    let server = Server::start(|_, _| Say::ok(MESSAGE)).await;
    let key = Secret::new("azure-key");
    let chains = with_key("resourceType: foundry", &server, &key);
    let answer = body(ask(&chains, Dialect::Chat, "claude-sonnet-4-5", "").await);
    assert_eq!(answer["choices"][0]["message"]["content"], "hi");
    let seen = &server.seen("/")[0];
    assert_eq!(seen.target, "/anthropic/v1/messages");
    assert_eq!((seen.header("x-api-key"), seen.header("api-key")), ("azure-key", "azure-key"));
    assert_eq!(seen.header("anthropic-version"), "2023-06-01");
}

#[tokio::test]
async fn a_filtered_prompt_is_a_fault_of_its_own_kind() {
    let filtered = r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "type":null,"param":"prompt","code":"content_filter","status":400,
        "innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":true,"severity":"high"}}}}}"#;
    let server = Server::start(move |_, _| Say::Json(400, filtered.to_owned())).await;
    let key = Secret::new("azure-key");
    let fault = ask(&with_key("", &server, &key), Dialect::Messages, "gpt-4o", "").await.result.unwrap_err();
    assert_eq!(fault.kind, tollgate_wire::ir::FaultKind::ContentFilter);
    assert_eq!((fault.status, fault.code.as_deref()), (Some(400), Some("content_filter")));
}

#[tokio::test]
async fn an_application_gets_a_token_once_and_shows_it_with_every_request() {
    let server = Server::start(|seen, _| match seen.target.contains("/token") {
        true => Say::ok(r#"{"token_type":"Bearer","expires_in":3599,"access_token":"entra-1"}"#),
        false => Say::ok(CHAT),
    })
    .await;
    let secret = Secret::new("app secret+&=\n");
    let chains = with_entra(&server, &secret);
    for _ in 0..2 {
        body(ask(&chains, Dialect::Chat, "gpt-4o", "").await);
    }
    let asked = server.seen("/token");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("content-type"), "application/x-www-form-urlencoded");
    let scope = "https%3A%2F%2Fcognitiveservices%2Eazure%2Ecom%2F%2Edefault";
    assert_eq!(
        asked[0].body,
        format!("grant_type=client%5Fcredentials&client_id=app&client_secret=app%20secret%2B%26%3D&scope={scope}")
    );
    for seen in server.seen("/openai") {
        assert_eq!((seen.header("authorization"), seen.header("api-key")), ("Bearer entra-1", ""));
    }
}

#[tokio::test]
async fn a_refused_application_is_a_fault_of_the_gateways_that_names_no_secret() {
    let said = r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided."}"#;
    let server = Server::start(move |_, _| Say::Json(401, said.to_owned())).await;
    let secret = Secret::new("app-secret");
    let outcome = ask(&with_entra(&server, &secret), Dialect::Chat, "gpt-4o", "").await;
    let text = format!("{outcome:?}");
    let fault = outcome.result.unwrap_err();
    assert_eq!(fault.code.as_deref(), Some("upstream_credentials"));
    assert!(!text.contains("app-secret"), "{text}");
    assert!(server.seen("/openai").is_empty(), "nothing is sent without a token");
}

/// The provider with these credentials; chats are answered, and a token is `entra-1`.
async fn with_auth(auth: &str, aws: Option<&str>) -> (Server, Chains) {
    let server = Server::start(|seen, _| match seen.target.contains("/token") {
        true => Say::ok(r#"{"token_type":"Bearer","expires_on":"4102444800","access_token":"entra-1"}"#),
        false => Say::ok(CHAT),
    })
    .await;
    let provider = format!(
        "provider: {{azure: {{}}}}, baseUrl: '{url}', policies: {{backendAuth: {{azure: {auth}}}}}",
        url = server.url,
        auth = auth.replace("URL", &server.url)
    );
    let chains = chains_on(base_at(aws), &provider);
    (server, chains)
}

#[tokio::test]
async fn a_managed_identity_is_asked_for_the_resource_and_by_its_id() {
    for (auth, query) in [
        ("{explicitConfig: {managedIdentity: {tokenUrl: 'URL/token'}}}", ""),
        (
            "{explicitConfig: {managedIdentity: {tokenUrl: 'URL/token', userAssignedIdentity: {clientId: c-1}}}}",
            "&client_id=c-1",
        ),
        (
            "{explicitConfig: {managedIdentity: {tokenUrl: 'URL/token', userAssignedIdentity: {resourceId: /a/b}}}}",
            "&msi_res_id=%2Fa%2Fb",
        ),
        ("{implicit: {tokenUrl: 'URL/token'}}", ""),
    ] {
        let (server, chains) = with_auth(auth, None).await;
        for _ in 0..2 {
            body(ask(&chains, Dialect::Chat, "gpt-4o", "").await);
        }
        let asked = server.seen("/token");
        let expected =
            format!("/token?api-version=2018-02-01&resource=https%3A%2F%2Fcognitiveservices.azure.com{query}");
        assert_eq!(asked.len(), 1, "the token is kept until its end");
        assert_eq!((asked[0].method.as_str(), asked[0].target.as_str()), ("GET", expected.as_str()), "{auth}");
        assert_eq!(asked[0].header("metadata"), "true");
        assert_eq!(server.seen("/openai")[0].header("authorization"), "Bearer entra-1");
    }
}

#[tokio::test]
async fn a_workloads_own_token_is_its_proof_and_read_again_for_every_token() {
    let file = Secret::new("kubernetes.jwt\n");
    let auth = format!(
        "{{explicitConfig: {{workloadIdentity: {{clientId: app, token: {{file: '{}'}}, tokenUrl: 'URL/token', scope: s}}}}}}",
        file.0.display()
    );
    let (server, chains) = with_auth(&auth, None).await;
    body(ask(&chains, Dialect::Chat, "gpt-4o", "").await);
    assert_eq!(
        server.seen("/token")[0].body,
        "grant_type=client%5Fcredentials&client_id=app\
         &client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient%2Dassertion%2Dtype%3Ajwt%2Dbearer\
         &client_assertion=kubernetes%2Ejwt&scope=s"
    );
    assert_eq!(server.seen("/openai")[0].header("authorization"), "Bearer entra-1");
}

#[tokio::test]
async fn on_aws_the_role_is_the_proof() {
    let sts = Server::start(|_, _| {
        Say::ok(
            "<GetWebIdentityTokenResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetWebIdentityTokenResult>\
             <WebIdentityToken>aws.jwt</WebIdentityToken><Expiration>2100-01-01T00:00:00Z</Expiration>\
             </GetWebIdentityTokenResult></GetWebIdentityTokenResponse>",
        )
    })
    .await;
    let auth = "{explicitConfig: {workloadIdentity: {clientId: app, token: {aws: {}}, tokenUrl: 'URL/token'}}}";
    let (server, chains) = with_auth(auth, Some(&sts.url)).await;
    body(ask(&chains, Dialect::Chat, "gpt-4o", "").await);
    let asked = &sts.seen("/")[0];
    assert_eq!(
        asked.body,
        "Action=GetWebIdentityToken&Version=2011%2D06%2D15&Audience.member.1=api%3A%2F%2FAzureADTokenExchange\
         &DurationSeconds=300&SigningAlgorithm=RS256"
    );
    assert!(asked.header("authorization").contains("/eu-west-1/sts/aws4_request"), "{asked:?}");
    assert_eq!(asked.header("content-type"), "application/x-www-form-urlencoded");
    assert!(server.seen("/token")[0].body.contains("&client_assertion=aws%2Ejwt&"));
}

#[tokio::test]
async fn an_account_without_outbound_federation_is_said_to_be_one() {
    let refused = "<ErrorResponse><Error><Type>Sender</Type><Code>OutboundWebIdentityFederationDisabledException</Code>\
                   <Message>m</Message></Error></ErrorResponse>";
    let sts = Server::start(move |_, _| Say::Json(403, refused.to_owned())).await;
    let auth = "{explicitConfig: {workloadIdentity: {clientId: app, token: {aws: {}}, tokenUrl: 'URL/token'}}}";
    let (server, chains) = with_auth(auth, Some(&sts.url)).await;
    let outcome = ask(&chains, Dialect::Chat, "gpt-4o", "").await;
    assert_eq!(outcome.result.unwrap_err().code.as_deref(), Some("upstream_credentials"));
    assert!(server.seen("/").is_empty(), "nothing is sent without a token");
}
