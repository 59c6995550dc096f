//! Anything at all as a token.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::json;
use tokio::runtime::Runtime;
use tollgate_auth::AuthErrorKind;

use crate::support::*;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// A world whose valid token is in the cache, so that a mutation could also be mistaken for it.
static WORLD: LazyLock<(World, String)> = LazyLock::new(|| {
    RUNTIME.block_on(async {
        let world = World::new(&[&A, &B]).await;
        let token = world.token(&A);
        assert_eq!(world.code(&token, 0).await, "ok");
        (world, token)
    })
});

fn refused(token: &str) -> bool {
    let (world, _) = &*WORLD;
    match RUNTIME.block_on(world.ask(token, 0)) {
        Ok(_) => false,
        Err(error) => {
            let header = error.www_authenticate();
            assert!(http::HeaderValue::from_str(&header).is_ok(), "{header}");
            assert!(error.kind() != AuthErrorKind::Unavailable, "{error}");
            true
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_text_is_refused_without_a_panic(token in any::<String>()) {
        prop_assert!(refused(&token));
    }

    #[test]
    fn arbitrary_parts_are_refused_without_a_panic(
        header in prop::collection::vec(any::<u8>(), 0..64),
        claims in prop::collection::vec(any::<u8>(), 0..64),
        signature in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let (header, claims, signature) = (b64(header), b64(claims), b64(signature));
        let good = WORLD.1.split('.').collect::<Vec<_>>();
        for token in [
            format!("{header}.{claims}.{signature}"),
            format!("{}.{claims}.{signature}", good[0]),
            format!("{}.{}.{signature}", good[0], good[1]),
            format!("{header}.{}.{}", good[1], good[2]),
            format!("{}.{claims}.{}", good[0], good[2]),
        ] {
            prop_assert!(refused(&token));
        }
    }

    #[test]
    fn a_valid_token_with_a_character_changed_is_refused(at in any::<prop::sample::Index>(), to in "[ -~]") {
        let token = &WORLD.1;
        let at = at.index(token.len());
        let mutated = format!("{}{to}{}", &token[..at], &token[at + 1..]);
        prop_assert_eq!(refused(&mutated), &mutated != token);
    }

    #[test]
    fn a_valid_token_cut_or_prolonged_is_refused(at in any::<prop::sample::Index>(), more in "[A-Za-z0-9_.=-]{1,4}") {
        let token = &WORLD.1;
        let (longer, shifted) = (format!("{token}{more}"), format!("{more}{token}"));
        for token in [&token[..at.index(token.len())], &longer, &shifted] {
            prop_assert!(refused(token));
        }
    }

    #[test]
    fn hostile_names_in_a_header_stay_out_of_ours(name in any::<String>(), kid in any::<String>()) {
        let ours = &WORLD.0.server.base;
        let sign = |algorithm: &str, kid: &str, issuer: &str| {
            A.sign_with_header(&json!({"alg": algorithm, "kid": kid}), &json!({"iss": issuer, "exp": NOW_S + 1}))
        };
        for token in [sign("RS256", &kid, &name), sign("RS256", &format!("k{kid}"), ours), sign(&name, "a", ours)] {
            prop_assert!(refused(&token));
        }
    }
}
