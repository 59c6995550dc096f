use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

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
