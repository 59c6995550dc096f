//! The rate limiter against a real DynamoDB API, through its router and through Lambda's events: the contract, row by row.

#[cfg(test)]
#[path = "../../../shared/hooks/tests/support/mod.rs"]
mod support;

#[cfg(test)]
mod contract {
    use axum::Router;
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use ring::signature::KeyPair;
    use serde_json::{Value, json};
    use tollgate_hooks::run::Function;
    use tollgate_hooks::{App, service};
    use tollgate_limits::What;
    use tollgate_rate_limiter::RateLimiter;
    use tollgate_webhook::Action;

    use super::support::{
        FILES, HOOK, SECRET, aws, config_at, deliver, event, events, function, post, send, sign, token, token_with,
    };

    async fn limiter() -> (Router, RateLimiter) {
        let (function, _) = function::<RateLimiter>("", "").await;
        (function.router(), function)
    }

    fn bearer(token: &str) -> String {
        format!("Bearer {token}")
    }

    #[tokio::test]
    async fn a_request_within_the_limit_passes_and_the_one_after_it_is_rejected_as_the_contract_wants_it() {
        let (router, _) = limiter().await;
        let auth = bearer(&token());
        for _ in 0..2 {
            let answer = post(&router, "/request", &[("authorization", &auth)], HOOK).await;
            assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"action":{"reason":"within limits"}}"#));
        }
        let answer = post(&router, "/request", &[("authorization", &auth)], HOOK).await;
        assert_eq!(answer.status, 200, "whatever it decides");
        let action = &answer.json()["action"];
        assert_eq!(action["status_code"], 429, "a number");
        assert_eq!(action["reason"], "RPM limit exceeded (3/2 requests per minute)");
        let body: Value = serde_json::from_str(action["body"].as_str().expect("a text")).unwrap();
        assert_eq!((&body["allowed"], &body["reason"]), (&json!(false), &action["reason"]));
        assert!((1..=60).contains(&body["retry_after_seconds"].as_u64().unwrap()));
        assert_eq!((&body["type"], &body["error"]["type"]), (&json!("error"), &json!("rate_limit_error")));
        assert_eq!(body["error"]["message"], action["reason"]);
        assert_eq!(answer.reject(), Some(429));
    }

    #[tokio::test]
    async fn any_prefix_and_either_header_will_do_and_teams_are_apart() {
        let (router, _) = limiter().await;
        let token = token();
        for path in ["/request", "/v1/guardrails/rate/request"] {
            assert_eq!(post(&router, path, &[("x-api-key", &token)], HOOK).await.reject(), None, "{path}");
        }
        assert_eq!(post(&router, "/request", &[("x-api-key", &token)], HOOK).await.reject(), Some(429));
        let other = token_with(|claims| claims["custom:team"] = json!("maps"));
        assert_eq!(post(&router, "/request", &[("x-api-key", &other)], HOOK).await.reject(), None);
    }

    #[tokio::test]
    async fn nobody_unproven_passes() {
        let (router, _) = limiter().await;
        let expired = bearer(&token_with(|claims| claims["exp"] = json!(1_700_000_000)));
        let scopeless = bearer(&token_with(|claims| claims["scope"] = json!("other")));
        let foreign = bearer(&token_with(|claims| claims["iss"] = json!("https://evil.test")));
        let good = bearer(&token());
        let forged = format!("{}x", &good[..good.len() - 1]);
        let table: &[(&[(&str, &str)], u16)] = &[
            (&[], 401),
            (&[("x-tollgate-team", "search")], 401),
            (&[("x-tollgate-team", "search"), ("x-tollgate-tier", "enterprise")], 401),
            (&[("x-amzn-oidc-data", "a.b.c"), ("x-tollgate-team", "search")], 401),
            (&[("authorization", "Bearer "), ("x-tollgate-team", "search")], 401),
            (&[("authorization", "Bearer abc")], 401),
            (&[("authorization", &forged)], 401),
            (&[("authorization", &expired)], 401),
            (&[("authorization", &foreign)], 401),
            (&[("authorization", &scopeless)], 403),
            (&[("authorization", &good), ("authorization", &good)], 401),
            (&[("x-tollgate-secret", "wrong"), ("x-tollgate-team", "search")], 403),
            (&[("x-tollgate-secret", ""), ("x-tollgate-team", "search")], 403),
            (&[("x-tollgate-secret", SECRET)], 401),
            (&[("x-tollgate-secret", SECRET), ("x-tollgate-team", "")], 401),
            // A token that is none is not mended by a secret beside it.
            (&[("authorization", "Bearer abc"), ("x-tollgate-secret", SECRET), ("x-tollgate-team", "search")], 401),
        ];
        for (headers, status) in table {
            let answer = post(&router, "/request", headers, HOOK).await;
            assert_eq!((answer.status, answer.reject()), (200, Some(*status)), "{headers:?} {answer:?}");
            let Action::Reject(reject) = answer.action() else { panic!("{answer:?}") };
            assert_eq!(serde_json::from_str::<Value>(reject.body()).unwrap()["allowed"], false);
            assert!(!answer.body.contains("eyJ"), "no token in an answer");
        }
    }

    #[tokio::test]
    async fn a_trusted_caller_names_the_team_and_beside_a_token_the_names_do_not_count() {
        let (router, _) = limiter().await;
        let named = [("x-tollgate-secret", SECRET), ("x-tollgate-team", "maps")];
        for _ in 0..2 {
            assert_eq!(
                post(&router, "/request", &named, HOOK).await.reject(),
                None,
                "maps is tiny by the table of clients"
            );
        }
        assert_eq!(post(&router, "/request", &named, HOOK).await.reject(), Some(429));
        let big = [named[0], named[1], ("x-tollgate-tier", "enterprise")];
        assert_eq!(post(&router, "/request", &big, HOOK).await.reject(), None, "a trusted caller's word");
        let auth = bearer(&token_with(|claims| claims["custom:team"] = json!("maps")));
        let client =
            [("authorization", auth.as_str()), ("x-tollgate-team", "other"), ("x-tollgate-tier", "enterprise")];
        assert_eq!(
            post(&router, "/request", &client, HOOK).await.reject(),
            Some(429),
            "the token's team has spent its minute"
        );
    }

    #[tokio::test]
    async fn what_is_not_the_contracts_is_a_reject_wherever_it_is_sent() {
        let (router, _) = limiter().await;
        let auth = bearer(&token());
        for body in [
            "",
            "{}",
            "null",
            "[]",
            r#"{"body":{}}"#,
            r#"{"body":{"messages":"x"}}"#,
            r#"{"body":{"choices":[]}}"#,
            "\u{0}",
        ] {
            let answer = post(&router, "/request", &[("authorization", &auth)], body).await;
            assert_eq!((answer.status, answer.reject()), (200, Some(400)), "{body:?}");
        }
        for (method, path, status) in [
            ("GET", "/request", 405),
            ("PUT", "/check", 405),
            ("DELETE", "/response", 405),
            ("POST", "/", 405),
            ("POST", "/healthz", 405),
            ("POST", "/requests", 404),
            ("POST", "/request/", 404),
            ("POST", "/settle", 404),
            ("GET", "/favicon.ico", 404),
        ] {
            let answer = send(&router, method, path, &[("authorization", &auth)], HOOK).await;
            assert_eq!((answer.status, answer.reject()), (status, Some(status)), "{method} {path}");
        }
        let answer = send(&router, "GET", "/healthz", &[], "").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
    }

    #[tokio::test]
    async fn answers_have_nothing_to_check() {
        let (router, _) = limiter().await;
        let body = r#"{"body":{"choices":[{"message":{"role":"assistant","content":"hello"}}]}}"#;
        let answer = post(&router, "/x/response", &[], body).await;
        assert_eq!((answer.status, answer.reject()), (200, None));
    }

    #[tokio::test]
    async fn a_ledger_that_is_down_rejects_or_passes_as_configured() {
        for (mode, status) in [("closed", Some(503)), ("open", None)] {
            let config = config_at("http://127.0.0.1:9", &format!("  failureMode: {mode}\n"), "");
            let router = service::router(App::new(config, What::Request, aws().await).unwrap());
            let answer = post(&router, "/request", &[("x-api-key", &token())], HOOK).await;
            assert_eq!((answer.status, answer.reject()), (200, status), "{mode}");
            let answer = post(&router, "/check", &[("x-api-key", &token())], "{}").await;
            assert_eq!((answer.status, &answer.json()["allowed"]), (200, &json!(status.is_none())), "{mode}");
        }
    }

    #[tokio::test]
    async fn the_native_form_answers_yes_and_no() {
        let (router, _) = limiter().await;
        let token = token();
        let answer = post(&router, "/check", &[("x-api-key", &token)], r#"{"team":"search","model":"gpt-4o"}"#).await;
        let json = answer.json();
        assert_eq!(
            (answer.status, &json["allowed"], &json["limit"], &json["remaining"]),
            (200, &json!(true), &json!(2), &json!(1))
        );
        assert_eq!(json["limits"][0]["counter"], "requests_per_minute");
        post(&router, "/check", &[("x-api-key", &token)], "{}").await;
        let answer = post(&router, "/v1/check", &[("x-api-key", &token)], "{}").await;
        let json = answer.json();
        assert_eq!((answer.status, &json["allowed"]), (200, &json!(false)));
        assert_eq!(json["reason"], "RPM limit exceeded (3/2 requests per minute)");
        assert!((1..=60).contains(&json["retry_after_seconds"].as_u64().unwrap()));
        assert_eq!(
            (&json["limit"], &json["remaining"], &json["code"]),
            (&json!(2), &json!(0), &json!("rate_limit_exceeded"))
        );
        for (headers, body, status) in [
            (&[("x-api-key", token.as_str())][..], r#"{"team":"other"}"#, 403),
            (&[("x-api-key", token.as_str())], r#"{"tier":"enterprise"}"#, 403),
            (&[("x-api-key", token.as_str())], r#"{"user":"somebody"}"#, 403),
            (&[("x-api-key", token.as_str())], r#"{"estimatd_tokens":1}"#, 400),
            (&[("x-api-key", token.as_str())], "", 400),
            (&[], r#"{"team":"search"}"#, 401),
            (&[("x-tollgate-secret", SECRET)], "{}", 401),
            (&[("x-tollgate-secret", "x")], r#"{"team":"search"}"#, 403),
            (&[("x-tollgate-secret", SECRET)], "{\"team\":\"a\\u0000b\"}", 400),
        ] {
            let answer = post(&router, "/check", headers, body).await;
            assert_eq!((answer.status, answer.reject()), (status, Some(status)), "{body}");
            assert_eq!(answer.json()["allowed"], false, "{body}");
        }
        let trusted =
            post(&router, "/check", &[("x-tollgate-secret", SECRET)], r#"{"team":"ads","tier":"tiny"}"#).await;
        assert_eq!((trusted.status, &trusted.json()["allowed"]), (200, &json!(true)));
    }

    #[tokio::test]
    async fn every_event_gets_the_answer_of_its_front_door() {
        for name in events("rate-limiter") {
            let (function, _) = function::<RateLimiter>("", "").await;
            let answer = deliver(&function, event(&format!("rate-limiter/{name}"))).await.unwrap();
            if name.starts_with("direct") {
                assert_eq!(answer["allowed"], true, "{name}: {answer}");
                continue;
            }
            assert_eq!(answer["statusCode"], 200, "{name}: {answer}");
            assert_eq!(answer["body"], r#"{"action":{"reason":"within limits"}}"#, "{name}");
            let headers = if name.starts_with("api-gateway-v1") { "multiValueHeaders" } else { "headers" };
            assert!(answer[headers]["content-type"].to_string().contains("application/json"), "{name}: {answer}");
        }
    }

    #[tokio::test]
    async fn iams_word_is_believed_unless_it_is_switched_off() {
        let mut by_iam = event("rate-limiter/function-url-iam-request.json");
        let (off, _) = function::<RateLimiter>("", "  trustIam: false\n").await;
        let answer = deliver(&off, by_iam.clone()).await.unwrap();
        assert!(answer["body"].as_str().unwrap().contains("\"status_code\":401"), "{answer}");
        let (on, _) = function::<RateLimiter>("", "").await;
        by_iam["requestContext"]["authorizer"] = Value::Null;
        let answer = deliver(&on, by_iam.clone()).await.unwrap();
        assert!(answer["body"].as_str().unwrap().contains("\"status_code\":401"), "no IAM, no trust: {answer}");
        by_iam["headers"]["x-amzn-iam-arn"] = json!("arn:aws:iam::123456789012:user/me");
        let answer = deliver(&on, by_iam).await.unwrap();
        assert!(answer["body"].as_str().unwrap().contains("\"status_code\":401"), "a header is not IAM: {answer}");
    }

    const ALB: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/tollgate/50dc6c495c0c9188";

    /// What a load balancer writes of a user.
    fn oidc_data(signer: &str, team: &str) -> String {
        let part = |value: Value| URL_SAFE.encode(value.to_string());
        let kid = "6e1c7b1a-6a4d-4f0a-9d5a-1f2e3d4c5b6a";
        let header =
            json!({"alg": "ES256", "kid": kid, "signer": signer, "iss": "i", "client": "c", "exp": 4_102_444_800_u64});
        let signed = format!(
            "{}.{}",
            part(header),
            part(json!({"sub": "u", "custom:team": team, "custom:tenant_tier": "tiny"}))
        );
        format!("{signed}.{}", URL_SAFE.encode(sign(&signed)))
    }

    #[tokio::test]
    async fn a_user_behind_a_load_balancer_of_ours_is_known() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let keys = format!("http://{}", listener.local_addr().unwrap());
        let der =
            b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
        let pem = STANDARD.encode([der.as_slice(), FILES.key.public_key().as_ref()].concat());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n");
        let served = Router::new().fallback(move || std::future::ready(pem.clone()));
        tokio::spawn(async move { axum::serve(listener, served).await });
        let (function, _) =
            function::<RateLimiter>("", &format!("  alb: {{signers: ['{ALB}'], keysUrl: '{keys}'}}\n")).await;
        let router = function.router();
        let ask = |data: String| {
            let router = router.clone();
            async move {
                post(&router, "/request", &[("x-amzn-oidc-data", &data), ("x-tollgate-team", "other")], HOOK)
                    .await
                    .reject()
            }
        };
        assert_eq!(ask(oidc_data(ALB, "search")).await, None);
        assert_eq!(ask(oidc_data(ALB, "search")).await, None);
        assert_eq!(ask(oidc_data(ALB, "search")).await, Some(429), "the signed team's minute is over");
        assert_eq!(ask(oidc_data(&ALB.replace("tollgate", "evil"), "search")).await, Some(401));
        assert_eq!(ask(format!("{}x", oidc_data(ALB, "search"))).await, Some(401));
    }

    #[tokio::test]
    async fn an_event_that_is_nothing_is_no_pass() {
        let (_, function) = limiter().await;
        for event in [
            json!({}),
            json!(null),
            json!([]),
            json!({"body": {"messages": []}}),
            json!({"Records": []}),
            json!({"estimated_tokens": 1}),
        ] {
            let answer = deliver(&function, event.clone()).await.unwrap();
            assert_eq!(answer["allowed"], false, "{event}");
            assert!(
                answer["action"]["body"].is_string() && answer["action"]["status_code"].is_u64(),
                "{event}: {answer}"
            );
        }
        assert!(deliver(&function, json!({"requestContext": {}})).await.is_err());
    }
}
