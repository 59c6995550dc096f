//! One token, one check.

use std::sync::Arc;

use serde_json::{Value, json};
use tollgate_auth::{AuthError, AuthErrorKind, Authenticator, Options};
use tollgate_config::{Algorithm, Auth, Team};

use crate::support::*;

#[tokio::test]
async fn a_good_token_names_its_caller() {
    let world = World::new(&[&A, &B]).await;
    let identity = world.ask(&world.token(&A), 0).await.unwrap();
    assert_eq!(&*identity.issuer, world.server.base);
    assert_eq!(identity.subject, "user-1");
    assert_eq!(identity.client_id.as_deref(), Some("client-1"));
    assert_eq!((identity.team.as_str(), identity.tier.as_str()), ("client-1", "standard"));
    assert_eq!(identity.scopes, ["openid", SCOPE]);
    assert!(identity.has_scope(SCOPE) && !identity.has_scope("admin"));
    assert_eq!(identity.token_id.as_deref(), Some("id-1"));
    assert_eq!(identity.expires_at, at(3_600));
}

#[tokio::test]
async fn team_and_tier_come_from_claims_or_else_from_the_table() {
    let row = Team { team: "search".to_owned(), tier: Some("premium".to_owned()) };
    let world = World::with(
        &[&A],
        |auth| {
            auth.teams = [("client-1".to_owned(), row)].into();
            auth.default_tier = Some("sandbox".to_owned());
        },
        Options::default(),
    )
    .await;
    let of = async |claims: Value| {
        let identity = world.ask(&A.sign(&claims), 0).await.unwrap();
        (identity.team.clone(), identity.tier.clone())
    };
    assert_eq!(of(world.claims()).await, ("search".to_owned(), "premium".to_owned()));
    let mut claims = world.claims_with("custom:team", json!("ads"));
    assert_eq!(of(claims.clone()).await, ("ads".to_owned(), "sandbox".to_owned()));
    claims["custom:tenant_tier"] = json!("enterprise");
    assert_eq!(of(claims).await, ("ads".to_owned(), "enterprise".to_owned()));
}

#[tokio::test]
async fn each_failure_says_which_it_is() {
    let world = World::with(
        &[&A],
        |auth| {
            auth.issuers[0].token_use = Some("access".to_owned());
            auth.issuers[0].client_ids = vec!["client-1".to_owned()];
        },
        Options::default(),
    )
    .await;
    let table = [
        ("exp", json!(NOW_S - 1), "expired", AuthErrorKind::Invalid),
        ("exp", Value::Null, "bad_claim", AuthErrorKind::Invalid),
        ("nbf", json!(NOW_S + 61), "not_yet_valid", AuthErrorKind::Invalid),
        ("iat", json!(NOW_S + 61), "not_yet_valid", AuthErrorKind::Invalid),
        ("token_use", json!("id"), "wrong_token_use", AuthErrorKind::Invalid),
        ("client_id", json!("client-2"), "client_not_allowed", AuthErrorKind::Forbidden),
        ("scope", json!("openid"), "missing_scope", AuthErrorKind::Forbidden),
        ("iss", json!("https://evil.example"), "unknown_issuer", AuthErrorKind::Invalid),
        ("iss", json!(format!("{}/", world.server.base)), "unknown_issuer", AuthErrorKind::Invalid),
        ("iss", json!([world.server.base]), "unknown_issuer", AuthErrorKind::Invalid),
        ("iss", Value::Null, "unknown_issuer", AuthErrorKind::Invalid),
        ("custom:team", json!(7), "bad_claim", AuthErrorKind::Invalid),
    ];
    for (name, value, code, kind) in table {
        let error = world.ask(&A.sign(&world.claims_with(name, value.clone())), 0).await.unwrap_err();
        assert_eq!((error.code(), error.kind()), (code, kind), "{name}: {value}");
        assert!(http::HeaderValue::from_str(&error.www_authenticate()).is_ok());
    }
    let error = world.ask(&A.sign(&world.claims_with("exp", json!(NOW_S - 1))), 0).await.unwrap_err();
    assert_eq!(error.to_string(), "the token expired at Sun, 15 Jun 2025 15:06:39 GMT");
}

#[tokio::test]
async fn a_wrong_audience_is_refused_when_audiences_are_configured() {
    let change = |auth: &mut Auth| auth.issuers[0].audiences = vec!["gateway".to_owned()];
    let world = World::with(&[&A], change, Options::default()).await;
    assert_eq!(world.code(&world.token(&A), 0).await, "wrong_audience");
    assert_eq!(world.code(&A.sign(&world.claims_with("aud", json!(["x", "gateway"]))), 0).await, "ok");
}

#[tokio::test]
async fn an_expired_token_with_a_bad_signature_has_a_bad_signature() {
    let world = World::new(&[&A]).await;
    let forged = B.sign_with_header(&json!({"alg": "RS256", "kid": "a"}), &world.claims_with("exp", json!(1)));
    assert_eq!(world.code(&forged, 0).await, "bad_signature");
}

#[tokio::test]
async fn a_token_signed_with_the_public_key_as_an_hmac_secret_is_refused() {
    let world = World::new(&[&A]).await;
    for secret in [A.public_der(), A.jwk()["n"].to_string().into_bytes(), Vec::new()] {
        let error = world.ask(&hmac_token(&secret, "a", &world.claims()), 0).await.unwrap_err();
        assert!(matches!(error, AuthError::AlgorithmRefused { .. }));
    }
    assert_eq!(world.server.fetches(), 0);
}

#[tokio::test]
async fn a_symmetric_key_in_the_document_is_never_used() {
    let world = World::new(&[&A]).await;
    let oct = json!({"kty": "oct", "kid": "o", "alg": "HS256", "k": b64("secret")});
    world.server.answer(Answer::Ok(json!({"keys": [oct, A.jwk()]}).to_string()));
    assert_eq!(world.code(&hmac_token(b"secret", "o", &world.claims()), 0).await, "algorithm_refused");
    let renamed = A.sign_with_header(&json!({"alg": "RS256", "kid": "o"}), &world.claims());
    assert_eq!(world.code(&renamed, 0).await, "unknown_key");
    assert_eq!(world.code(&world.token(&A), 0).await, "ok");
}

#[tokio::test]
async fn an_unsigned_token_is_refused() {
    let world = World::new(&[&A]).await;
    for algorithm in ["none", "None", "nOnE"] {
        let signed = A.sign_with_header(&json!({"alg": algorithm, "kid": "a"}), &world.claims());
        let unsigned = signed.rsplit_once('.').unwrap().0.to_owned() + ".";
        assert_eq!(world.code(&signed, 0).await, "algorithm_refused");
        assert_eq!(world.code(&unsigned, 0).await, "algorithm_refused");
    }
    let token = world.token(&A);
    let stripped = token.rsplit_once('.').unwrap().0.to_owned() + ".";
    assert_eq!(world.code(&stripped, 0).await, "bad_signature");
}

#[tokio::test]
async fn a_token_that_brings_its_own_key_is_refused_without_a_fetch() {
    let world = World::new(&[&A]).await;
    let fields = [
        ("jku", json!(world.server.base)),
        ("x5u", json!(world.server.base)),
        ("jwk", B.jwk()),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
    ];
    for (field, value) in fields {
        let header = json!({"alg": "RS256", "kid": "a", field: value});
        let error = world.ask(&A.sign_with_header(&header, &world.claims()), 0).await.unwrap_err();
        assert_eq!(error, AuthError::HeaderRefused { field });
    }
    assert_eq!(world.server.fetches(), 0);
}

#[tokio::test]
async fn only_the_issuers_algorithms_are_accepted() {
    let world = World::new(&[&A, &EC]).await;
    let rs512 = A.sign_with_header(&json!({"alg": "RS512", "kid": "a"}), &world.claims());
    assert_eq!(world.code(&rs512, 0).await, "algorithm_refused");
    let es256 = EC.sign_with_header(&json!({"alg": "ES256", "kid": "ec"}), &world.claims());
    assert_eq!(world.code(&es256, 0).await, "algorithm_refused");
    assert_eq!(world.server.fetches(), 0);
}

#[tokio::test]
async fn every_family_of_algorithms_works_when_it_is_asked_for() {
    let all = vec![Algorithm::RS256, Algorithm::RS512, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];
    let change = |auth: &mut Auth| auth.issuers[0].algorithms = all;
    let world = World::with(&[&A, &EC, &ED], change, Options::default()).await;
    let mut any = A.jwk();
    any.as_object_mut().unwrap().remove("alg");
    world.server.answer(Answer::Ok(json!({"keys": [any, EC.jwk(), ED.jwk()]}).to_string()));
    for (key, algorithm) in [(&*A, "RS256"), (&*A, "RS512"), (&*A, "PS256"), (&*EC, "ES256"), (&*ED, "EdDSA")] {
        let token = key.sign_with_header(&json!({"alg": algorithm, "kid": key.kid}), &world.claims());
        assert_eq!(world.code(&token, 0).await, "ok", "{algorithm}");
        let forged = key.sign_with_header(&json!({"alg": algorithm, "kid": "a"}), &world.claims());
        assert_eq!(world.code(&forged, 0).await, if key.kid == "a" { "ok" } else { "algorithm_refused" });
    }
}

#[tokio::test]
async fn a_key_is_used_only_for_what_it_says_it_is_for() {
    let fields = [
        ("alg", json!("RS512"), "algorithm_refused"),
        ("alg", json!("RSA-OAEP"), "unknown_key"),
        ("use", json!("enc"), "unknown_key"),
        ("key_ops", json!(["sign"]), "unknown_key"),
        ("key_ops", json!(["encrypt", "verify"]), "ok"),
        ("kty", json!("EC"), "unknown_key"),
        ("kty", json!("rsa"), "unknown_key"),
        ("n", json!(b64([0xC1; 128])), "unknown_key"),
        ("n", json!("!"), "unknown_key"),
        ("e", json!(""), "unknown_key"),
        ("x5c", json!(["MIIB"]), "ok"),
        ("ext", json!(true), "ok"),
    ];
    for (field, value, want) in fields {
        let world = World::new(&[&A]).await;
        let mut jwk = A.jwk();
        jwk[field] = value.clone();
        world.server.answer(Answer::Ok(json!({"keys": [jwk, B.jwk()]}).to_string()));
        assert_eq!(world.code(&world.token(&A), 0).await, want, "{field}: {value}");
        assert_eq!(world.code(&world.token(&B), 0).await, "ok", "{field}: {value}");
    }
}

#[tokio::test]
async fn a_token_without_a_kid_passes_only_when_one_key_fits() {
    let world = World::new(&[&A, &EC]).await;
    let token = A.sign_with_header(&json!({"alg": "RS256"}), &world.claims());
    assert_eq!(world.code(&token, 0).await, "ok");
    let world = World::new(&[&A, &B]).await;
    let token = A.sign_with_header(&json!({"alg": "RS256"}), &world.claims());
    assert_eq!(world.code(&token, 0).await, "unknown_key");
}

#[tokio::test]
async fn a_token_is_checked_against_the_keys_of_its_own_issuer_only() {
    let (first, second) = (KeyServer::start(&[&A]).await, KeyServer::start(&[&B]).await);
    let issuers = vec![issuer(&first.base), issuer(&second.base)];
    let auth = Authenticator::new(&Auth { issuers, ..Auth::default() }, client(), Options::default());
    let claims = |base: &str| json!({"iss": base, "sub": "s", "exp": NOW_S + 60, "scope": SCOPE});
    let of_first = auth.authenticate(&A.sign(&claims(&first.base)), at(0)).await.unwrap();
    assert_eq!(&*of_first.issuer, first.base);
    assert!(auth.authenticate(&B.sign(&claims(&second.base)), at(0)).await.is_ok());
    let crossed = auth.authenticate(&A.sign(&claims(&second.base)), at(0)).await.unwrap_err();
    assert_eq!(crossed.code(), "unknown_key");
    let renamed = A.sign_with_header(&json!({"alg": "RS256", "kid": "b"}), &claims(&second.base));
    assert_eq!(auth.authenticate(&renamed, at(0)).await, Err(AuthError::BadSignature));
}

#[tokio::test]
async fn an_oversized_token_is_refused_before_any_work() {
    let world = World::new(&[&A]).await;
    let fits = A.sign(&world.claims_with("padding", json!("x".repeat(8_000))));
    assert_eq!(world.code(&fits, 0).await, "ok");
    let large = A.sign(&world.claims_with("padding", json!("x".repeat(16_000))));
    assert_eq!(world.code(&large, 0).await, "malformed");
    assert_eq!(world.auth.stats().signature_checks, 1);
}

#[tokio::test]
async fn nothing_that_is_printed_holds_the_token() {
    let world = World::new(&[&A]).await;
    let token = world.token(&A);
    let identity: Arc<_> = world.ask(&token, 0).await.unwrap();
    let printed = format!("{identity:?} {:?}", world.auth);
    for part in token.split('.') {
        assert!(!printed.contains(part));
    }
    let forged = token.replace('.', "x.");
    let error = world.ask(&forged, 0).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains(token.split('.').next().unwrap()));
}
