//! Tokens as a Cognito pool signs them, and its JWKS.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::Result;
use crate::fixtures::ISSUER;

/// A pool's key.
pub(crate) struct Signer(RsaKeyPair);

impl Signer {
    pub(crate) fn new() -> Result<Self> {
        let pair = KeyPair::generate(KeySize::Rsa2048)?;
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)?;
        Ok(Self(RsaKeyPair::from_pkcs8(der.as_ref())?))
    }

    /// The document with its public half.
    pub(crate) fn jwks(&self) -> String {
        let public = self.0.public_key();
        let n = URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero());
        let e = URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero());
        json!({"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "bench", "n": n, "e": e}]}).to_string()
    }

    /// A machine's access token; `number` makes it another one.
    pub(crate) fn token(&self, number: usize) -> Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let header = json!({"kid": "bench", "alg": "RS256"});
        let claims = json!({"sub": "4h57m3k2bench", "token_use": "access", "scope": "https://gateway.internal/invoke", "auth_time": now,
            "iss": ISSUER, "exp": now + 3600, "iat": now, "version": 2, "jti": format!("{number:032x}"), "client_id": "4h57m3k2bench"});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
