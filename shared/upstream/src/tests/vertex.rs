use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tollgate_wire::unary::Unary;
use tollgate_wire::{count, rerank};

use super::server::{Say, Seen, Server};
use super::*;

fn vertex(server: &Server, credential: &Secret, settings: &str) -> Chains {
    chains(&format!(
        "provider: {{vertex: {{projectId: p1{settings}}}}}, baseUrl: '{}', policies: {{backendAuth: {{gcp: {{credential: '{}'}}}}}}",
        server.url,
        credential.reference()
    ))
}

fn script(seen: &Seen, _: usize) -> Say {
    match seen.target.as_str() {
        "/token" => Say::ok(r#"{"access_token":"ya29.google","expires_in":3599,"token_type":"Bearer"}"#),
        "/sts" => Say::ok(
            r#"{"access_token":"federated","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":3600}"#,
        ),
        "/impersonate" => Say::ok(r#"{"accessToken":"ya29.impersonated","expireTime":"2030-01-01T00:00:00Z"}"#),
        target if target.contains("/anthropic/") => Say::ok(MESSAGE),
        _ => Say::ok(CONTENT),
    }
}

/// One request of another kind, at this model.
async fn ask_unary(chains: &Chains, client: Dialect, model: &str, unary: Unary) -> Outcome {
    let seed = Seed { created_unix_s: 0, request_id: "r".to_owned() };
    let job = Job {
        work: Work::Unary(&unary),
        client,
        model,
        seed: &seed,
        strict: false,
        deadline: Instant::now() + Duration::from_secs(120),
        max_attempts: 3,
        anthropic_version: None,
    };
    dispatch(&job, chains.of(model).unwrap()).await
}

/// How many tokens, asked in Anthropic's words and in Google's.
fn counts(model: &str) -> [(Dialect, Unary); 2] {
    let anthropics = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hello"}}]}}"#);
    let anthropics = count::Request::decode(Dialect::Messages, anthropics.into(), vec!["flag-1".to_owned()]).unwrap();
    let googles = Bytes::from_static(br#"{"contents":[{"role":"user","parts":[{"text":"hello"}]}]}"#);
    let googles = count::Request::by_path(googles, model.to_owned()).unwrap();
    [(Dialect::Messages, anthropics), (Dialect::GenerateContent, googles)]
        .map(|(client, count)| (client, Unary::Count(Box::new(count))))
}

/// The body of an answer, and whether it is an estimate.
fn counted(outcome: Outcome) -> (Value, bool) {
    match outcome.result.unwrap() {
        Answer::Whole { body, estimate, .. } => (serde_json::from_slice(&body).unwrap(), estimate),
        Answer::Stream(_) => unreachable!("nothing streams here"),
    }
}

#[tokio::test]
async fn geminis_tokens_are_counted_at_the_publisher_model() {
    let server = Server::start(|seen, before| match seen.target.as_str() {
        target if target.ends_with(":countTokens") => Say::ok(r#"{"totalTokens":7,"totalBillableCharacters":5}"#),
        _ => script(seen, before),
    })
    .await;
    let (credential, _) = service_account(&server);
    let chains = vertex(&server, &credential, ", region: europe-west4");
    for (client, unary) in counts("google/gemini-2.5-pro") {
        let answer = counted(ask_unary(&chains, client, "google/gemini-2.5-pro", unary).await);
        let expected = match client {
            Dialect::Messages => json!({"input_tokens": 7}),
            _ => json!({"totalTokens": 7, "totalBillableCharacters": 5}),
        };
        assert_eq!(answer, (expected, false));
    }
    for seen in server.seen(":countTokens") {
        let models = "/v1/projects/p1/locations/europe-west4/publishers/google/models";
        assert_eq!(seen.target, format!("{models}/gemini-2.5-pro:countTokens"));
        assert_eq!(seen.header("authorization"), "Bearer ya29.google");
        assert_eq!(seen.json()["contents"], json!([{"role": "user", "parts": [{"text": "hello"}]}]));
    }
}

#[tokio::test]
async fn claudes_tokens_are_counted_at_one_endpoint_and_estimated_where_it_is_not() {
    let server = Server::start(|seen, before| match seen.target.as_str() {
        target if target.contains("/locations/us-east5/") => Say::ok(r#"{"input_tokens":7}"#),
        target if target.contains("/count-tokens") => Say::Json(
            404,
            r#"{"error":{"code":404,"message":"Requested entity was not found.","status":"NOT_FOUND"}}"#.to_owned(),
        ),
        _ => script(seen, before),
    })
    .await;
    let (credential, _) = service_account(&server);
    for (region, estimate) in [("us-east5", false), ("asia-east2", true)] {
        let chains = vertex(&server, &credential, &format!(", region: {region}"));
        for (client, unary) in counts("claude-sonnet-4-5-20250929") {
            let (answer, said) = counted(ask_unary(&chains, client, "claude-sonnet-4-5-20250929", unary).await);
            let field = if client == Dialect::Messages { "input_tokens" } else { "totalTokens" };
            assert_eq!((answer[field].is_u64(), said), (true, estimate), "{answer}");
            assert_eq!(answer[field] == 7, !estimate);
        }
    }
    let seen = server.seen("/locations/us-east5/");
    for seen in &seen {
        let path = "/v1/projects/p1/locations/us-east5/publishers/anthropic/models/count-tokens:rawPredict";
        assert_eq!((seen.target.as_str(), seen.header("anthropic-version")), (path, "2023-06-01"));
        assert_eq!(seen.json()["model"], "claude-sonnet-4-5@20250929");
        assert_eq!(seen.json().get("max_tokens"), None);
    }
    assert_eq!(seen[0].header("anthropic-beta"), "flag-1");
}

#[tokio::test]
async fn documents_are_ranked_by_the_ranking_api() {
    let server = Server::start(|seen, before| match seen.target.as_str() {
        target if target.ends_with(":rank") => {
            Say::ok(r#"{"records":[{"id":"1","score":0.97},{"id":"0","score":0.02}]}"#)
        }
        _ => script(seen, before),
    })
    .await;
    let (credential, _) = service_account(&server);
    let chains = vertex(&server, &credential, ", region: us-central1");
    let rerank = |model: &str| {
        let body = format!(r#"{{"model":"{model}","query":"capital?","documents":["Carson City","Paris"],"top_n":1}}"#);
        Unary::Rerank(rerank::Request::decode(rerank::Version::V2, body.into()).unwrap())
    };
    let model = "semantic-ranker-default-004";
    let (answer, _) = counted(ask_unary(&chains, Dialect::Rerank, model, rerank(model)).await);
    assert_eq!(answer["results"], json!([{"index": 1, "relevance_score": 0.97}]));
    assert_eq!(answer["meta"]["billed_units"]["search_units"], 1);
    let seen = &server.seen(":rank")[0];
    assert_eq!(seen.target, "/v1/projects/p1/locations/us/rankingConfigs/default_ranking_config:rank");
    assert_eq!(seen.header("authorization"), "Bearer ya29.google");
    assert_eq!(
        seen.json(),
        json!({"model": model, "query": "capital?", "topN": 1, "ignoreRecordDetailsInResponse": true,
            "records": [{"id": "0", "content": "Carson City"}, {"id": "1", "content": "Paris"}]})
    );
    let other = ask_unary(&chains, Dialect::Rerank, "gemini-2.5-pro", rerank("gemini-2.5-pro")).await;
    assert_eq!(other.result.unwrap_err().code.as_deref(), Some("unsupported_by_upstream"));
    let elsewhere = vertex(&server, &credential, ", region: asia-northeast1");
    let elsewhere = ask_unary(&elsewhere, Dialect::Rerank, model, rerank(model)).await;
    assert_eq!(elsewhere.result.unwrap_err().code.as_deref(), Some("unsupported_by_upstream"));
}

/// A service account's key file, and its public key.
fn service_account(server: &Server) -> (Secret, Vec<u8>) {
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
    let file = json!({
        "type": "service_account",
        "project_id": "p1",
        "private_key_id": "kid-1",
        "private_key": pem,
        "client_email": "gateway@p1.iam.gserviceaccount.com",
        "token_uri": format!("{}/token", server.url),
    });
    (Secret::new(&serde_json::to_string_pretty(&file).unwrap()), key.public_key().as_ref().to_vec())
}

/// The fields of a form.
fn form(seen: &Seen) -> Value {
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
    let fields = seen.body.split('&').map(|field| field.split_once('=').unwrap());
    fields.map(|(name, value)| (name.to_owned(), Value::from(decode(value)))).collect::<serde_json::Map<_, _>>().into()
}

#[tokio::test]
async fn a_service_account_signs_an_assertion_and_shows_the_token_that_it_brings() {
    let server = Server::start(script).await;
    let (credential, public) = service_account(&server);
    let chains = vertex(&server, &credential, ", region: europe-west4");
    let answer = body(ask(&chains, Dialect::Chat, "gemini-2.5-pro", "").await);
    assert_eq!(answer["choices"][0]["message"]["content"], "hi");
    let form = form(&server.seen("/token")[0]);
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let assertion = form["assertion"].as_str().unwrap();
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::RSA_PKCS1_2048_8192_SHA256, public);
    key.verify(signed.as_bytes(), &signature).unwrap();
    let part = |at: usize| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed.split('.').nth(at).unwrap()).unwrap()).unwrap()
    };
    assert_eq!(part(0), json!({"alg": "RS256", "typ": "JWT", "kid": "kid-1"}));
    let claims = part(1);
    assert_eq!(claims["iss"], "gateway@p1.iam.gserviceaccount.com");
    assert_eq!(claims["aud"], format!("{}/token", server.url));
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3_600);
    let asked = &server.seen("/publishers/")[0];
    assert_eq!(
        asked.target,
        "/v1/projects/p1/locations/europe-west4/publishers/google/models/gemini-2.5-pro:generateContent"
    );
    assert_eq!(asked.header("authorization"), "Bearer ya29.google");
}

#[tokio::test]
async fn claude_on_vertex_has_its_model_in_the_path_and_its_version_in_the_body() {
    let server = Server::start(script).await;
    let (credential, _) = service_account(&server);
    let chains = vertex(&server, &credential, "");
    for client in [Dialect::Messages, Dialect::Chat] {
        body(ask(&chains, client, "claude-sonnet-4-5-20250929", "").await);
    }
    let asked = server.seen("/publishers/");
    for seen in &asked {
        let models = "/v1/projects/p1/locations/global/publishers/anthropic/models";
        assert_eq!(seen.target, format!("{models}/claude-sonnet-4-5@20250929:rawPredict"));
        let body = seen.json();
        assert_eq!((&body["anthropic_version"], body.get("model")), (&json!("vertex-2023-10-16"), None));
    }
    assert_eq!(asked[0].header("anthropic-beta"), "flag-1");
    assert_eq!(server.seen("/token").len(), 1);
}

#[tokio::test]
async fn on_aws_a_signed_question_who_we_are_is_exchanged_and_then_a_service_account_is_impersonated() {
    let server = Server::start(script).await;
    let audience = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/aws/providers/aws";
    let file = |impersonate: bool| {
        let mut file = json!({
            "type": "external_account",
            "audience": audience,
            "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
            "token_url": format!("{}/sts", server.url),
            "credential_source": {
                "environment_id": "aws1",
                "region_url": "http://169.254.169.254/latest/meta-data/placement/availability-zone",
                "url": "http://169.254.169.254/latest/meta-data/iam/security-credentials",
                "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
            },
        });
        if impersonate {
            file["service_account_impersonation_url"] = json!(format!("{}/impersonate", server.url));
        }
        Secret::new(&file.to_string())
    };
    let (direct, impersonated) = (file(false), file(true));
    body(ask(&vertex(&server, &direct, ""), Dialect::Chat, "gemini-2.5-pro", "").await);
    body(ask(&vertex(&server, &impersonated, ""), Dialect::Chat, "gemini-2.5-pro", "").await);
    let form = form(&server.seen("/sts")[0]);
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:token-exchange");
    assert_eq!(form["audience"], audience);
    let subject = percent_encoding::percent_decode_str(form["subject_token"].as_str().unwrap()).decode_utf8().unwrap();
    let subject: Value = serde_json::from_str(&subject).unwrap();
    let url = "https://sts.eu-west-1.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15";
    assert_eq!((&subject["url"], &subject["method"]), (&json!(url), &json!("POST")));
    let header = |name: &str| {
        let headers = subject["headers"].as_array().unwrap();
        headers.iter().find(|pair| pair["key"] == name).map(|pair| pair["value"].as_str().unwrap()).unwrap_or_default()
    };
    assert_eq!((header("host"), header("x-goog-cloud-target-resource")), ("sts.eu-west-1.amazonaws.com", audience));
    assert_eq!(header("x-amz-security-token"), "aws-session");
    let signature = header("authorization");
    assert!(signature.contains("/eu-west-1/sts/aws4_request"), "{signature}");
    assert!(signature.contains("x-goog-cloud-target-resource"), "{signature}");
    assert!(!subject.to_string().contains("aws-secret"));
    assert_eq!(server.seen("/impersonate")[0].header("authorization"), "Bearer federated");
    let tokens: Vec<String> =
        server.seen("/publishers/").iter().map(|seen| seen.header("authorization").to_owned()).collect();
    assert_eq!(tokens, ["Bearer federated", "Bearer ya29.impersonated"]);
}

#[tokio::test]
async fn a_credentials_file_that_cannot_be_used_is_said_without_its_text() {
    for (text, cause) in [
        ("{\"type\":\"service_account\",\"private_key\":\"SECRET", "it is not JSON"),
        (r#"{"type":"authorized_user","refresh_token":"SECRET"}"#, "neither service_account nor external_account"),
        (r#"{"type":"service_account","client_email":"a","private_key":"SECRET"}"#, "is no PKCS #8 key in PEM"),
        (r#"{"type":"service_account","private_key":"SECRET"}"#, "it has no `client_email`"),
        (r#"{"type":"external_account","credential_source":{"file":"SECRET"}}"#, "is not AWS's"),
    ] {
        let credential = Secret::new(text);
        let base = base();
        let reference = tollgate_config::SecretRef::try_from(credential.reference()).unwrap();
        let exchange = crate::token::Exchange::Google(crate::token::Google::new(Some(reference), base.aws));
        let tokens = crate::token::Tokens::new(exchange, base.client, base.secrets);
        let error = tokens.get().await.unwrap_err();
        assert!(error.cause().contains(cause) && !error.cause().contains("SECRET"), "{text}: {error:?}");
    }
}
