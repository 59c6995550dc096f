//! What a load balancer signs, and what only looks like it.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};
use tollgate_auth::{AlbAuthenticator, AuthErrorKind};
use tollgate_config::{AlbArn, AlbTrust, Auth, Team};

use crate::support::{A, Answer, EC, KeyServer, NOW_S, at, client};

const ARN: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/tollgate/50dc6c495c0c9188";
const KID: &str = "6e1c7b1a-6a4d-4f0a-9d5a-1f2e3d4c5b6a";
const ISSUER: &str = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_EXAMPLE01";

/// An EC public key as the endpoint publishes it.
fn pem() -> String {
    let mut der =
        b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00"
            .to_vec();
    der.extend(EC.public_der());
    let text = STANDARD.encode(der);
    let (first, second) = text.split_at(64);
    format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n\n")
}

fn header() -> Value {
    json!({"typ": "JWT", "kid": KID, "alg": "ES256", "iss": ISSUER, "client": "client-1", "signer": ARN, "exp": NOW_S + 120})
}

fn claims() -> Value {
    json!({"sub": "user-1", "email": "a@example.test", "custom:team": "search", "exp": NOW_S + 120, "iss": ISSUER})
}

/// With padding, as load balancers write it.
fn signed(header: &Value, claims: &Value) -> String {
    let text = format!("{}.{}", URL_SAFE.encode(header.to_string()), URL_SAFE.encode(claims.to_string()));
    let signature = EC.sign_bytes("ES256", text.as_bytes());
    format!("{text}.{}", URL_SAFE.encode(signature))
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

struct World {
    server: KeyServer,
    alb: AlbAuthenticator,
}

impl World {
    async fn new(change: impl FnOnce(&mut AlbTrust)) -> Self {
        let server = KeyServer::start(&[]).await;
        server.answer(Answer::Ok(pem()));
        let signers = vec![AlbArn::try_from(ARN.to_owned()).unwrap()];
        let mut trust = AlbTrust { signers, keys_url: Some(server.base.clone()), ..AlbTrust::default() };
        change(&mut trust);
        let row = Team { team: "maps".to_owned(), tier: Some("premium".to_owned()) };
        let auth = Auth { teams: [("client-1".to_owned(), row)].into(), ..Auth::default() };
        Self { alb: AlbAuthenticator::new(&auth, &trust, client()).unwrap(), server }
    }

    async fn code(&self, data: &str) -> &'static str {
        self.alb.authenticate(data, at(0)).await.err().map_or("ok", |error| error.code())
    }
}

#[tokio::test]
async fn a_user_behind_the_load_balancer_has_a_team_and_a_name() {
    let world = World::new(|_| ()).await;
    let data = signed(&header(), &claims());
    assert!(data.contains('='), "the fixture has padding: {data}");
    let identity = world.alb.authenticate(&data, at(0)).await.unwrap();
    assert_eq!((identity.team.as_str(), identity.tier.as_str()), ("search", "standard"));
    assert_eq!((identity.subject.as_str(), identity.client_id.as_deref()), ("user-1", Some("client-1")));
    assert_eq!(&*identity.issuer, ISSUER);

    let without_team = signed(&header(), &json!({"sub": "user-2", "exp": NOW_S + 120}));
    let identity = world.alb.authenticate(&without_team, at(119)).await.unwrap();
    assert_eq!((identity.team.as_str(), identity.tier.as_str()), ("maps", "premium"), "the client's row");
    assert_eq!(world.server.fetches(), 1, "one key, fetched once");
}

#[tokio::test]
async fn what_is_not_from_our_load_balancer_is_refused() {
    let world = World::new(|_| ()).await;
    let arn = |arn: &str| signed(&with(header(), "signer", json!(arn)), &claims());
    let head = |name: &str, value: Value| signed(&with(header(), name, value), &claims());
    let good = signed(&header(), &claims());
    let (text, _) = good.rsplit_once('.').unwrap();
    let other = A.sign_with_header(&with(header(), "alg", json!("RS256")), &claims());
    let (first, rest) = good.split_once('.').unwrap();
    let swapped = format!("{first}.{}.{}", URL_SAFE.encode(r#"{"sub":"admin"}"#), rest.split_once('.').unwrap().1);
    for (data, code) in [
        (arn("arn:aws:elasticloadbalancing:us-east-1:999999999999:loadbalancer/app/evil/1"), "unknown_signer"),
        (arn(""), "unknown_signer"),
        (arn(&format!("{ARN}x")), "unknown_signer"),
        (head("alg", json!("none")), "algorithm_refused"),
        (head("alg", json!("HS256")), "algorithm_refused"),
        (other, "algorithm_refused"),
        (head("kid", json!("../../evil")), "unknown_key"),
        (head("kid", json!("k")), "unknown_key"),
        (head("crit", json!(["x"])), "header_refused"),
        (head("exp", json!(NOW_S)), "expired"),
        (head("exp", json!("tomorrow")), "bad_claim"),
        (signed(&header(), &with(claims(), "exp", json!(NOW_S - 1))), "expired"),
        (signed(&header(), &json!({"exp": NOW_S + 60})), "bad_claim"),
        (signed(&with(header(), "exp", Value::Null), &json!({"sub": "u"})), "bad_claim"),
        (swapped, "bad_signature"),
        (format!("{text}."), "bad_signature"),
        (format!("{text}.{}", URL_SAFE.encode([0; 64])), "bad_signature"),
        (format!("{good}==="), "malformed"),
        (format!("{good}.x"), "malformed"),
        (String::new(), "malformed"),
        ("a.b.c".to_owned(), "malformed"),
        ("x".repeat(20_000), "malformed"),
    ] {
        assert_eq!(world.code(&data).await, code, "{data:.200}");
    }
    assert_eq!(world.code(&good).await, "ok");
}

#[tokio::test]
async fn issuer_and_client_can_be_narrowed() {
    let world = World::new(|trust| {
        trust.issuers = vec![ISSUER.to_owned()];
        trust.client_ids = vec!["client-1".to_owned()];
    })
    .await;
    assert_eq!(world.code(&signed(&header(), &claims())).await, "ok");
    let head = |name: &str, value: Value| signed(&with(header(), name, value), &claims());
    assert_eq!(world.code(&head("iss", json!("https://evil.example"))).await, "unknown_issuer");
    assert_eq!(world.code(&head("iss", Value::Null)).await, "unknown_issuer");
    assert_eq!(world.code(&head("client", json!("other"))).await, "client_not_allowed");
    assert_eq!(world.code(&head("client", Value::Null)).await, "client_not_allowed");
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_no_fault_of_the_caller() {
    let world = World::new(|_| ()).await;
    let data = signed(&header(), &claims());
    world.server.answer(Answer::Status(500));
    let error = world.alb.authenticate(&data, at(0)).await.unwrap_err();
    assert_eq!(error.kind(), AuthErrorKind::Unavailable);
    world.server.answer(Answer::Ok("no key".to_owned()));
    assert_eq!(world.code(&data).await, "unknown_key");
    world.server.answer(Answer::Ok(pem()));
    assert_eq!(world.code(&data).await, "ok");
}

#[tokio::test]
async fn made_up_key_ids_cause_few_fetches() {
    let world = World::new(|_| ()).await;
    world.server.answer(Answer::Status(403));
    let named = |last: u8| signed(&with(header(), "kid", json!(format!("{}{last:02x}", &KID[..34]))), &claims());
    assert_eq!(world.code(&named(0)).await, "unknown_key");
    assert_eq!(world.code(&named(0)).await, "unknown_key");
    assert_eq!(world.server.fetches(), 1, "an unknown key stays unknown for a while");
    for last in 1..30 {
        world.code(&named(last)).await;
    }
    assert_eq!(world.server.fetches(), 8);
    assert_eq!(world.code(&named(99)).await, "keys_unavailable");
}

#[test]
fn without_a_list_of_load_balancers_nothing_is_believed() {
    assert!(AlbAuthenticator::new(&Auth::default(), &AlbTrust::default(), client()).is_none());
}
