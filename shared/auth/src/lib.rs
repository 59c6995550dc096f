//! Identity: JWTs, the JWKS behind them, and the team that a token belongs to.
//!
//! # The flow
//!
//! 1. [`bearer`] finds the token in the request's headers.
//! 2. [`Authenticator::authenticate`] refuses an oversized token before any other work, then asks its cache: a token
//!    whose signature was checked before costs a hash, a comparison and its times (`exp`, `nbf`), no cryptography.
//! 3. A new token is taken apart (`token`): three base64url parts, a header without `jku`, `x5u`, `jwk`, `x5c` or `crit`,
//!    an asymmetric algorithm. Nothing in it is believed yet; its `iss` only picks the issuer, whose `algorithms` decide
//!    whether to go on.
//! 4. The issuer's keys (`jwks`) are looked up by `kid`, and fetched when they have to be. The key's own `kty`, `crv`,
//!    `alg`, `use` and `key_ops` must fit the algorithm.
//! 5. The signature is checked, and only then the claims (`claims`): `exp`, `nbf`, `iat`, `token_use`, `aud`, the client,
//!    the scopes. So an expired token with a bad signature has a bad signature.
//! 6. Claims, or else the configuration's table, name team and tier (`identity`); the result is cached until `exp`.
//!
//! What an Application Load Balancer says of a user takes the same way in a file of its own ([`AlbAuthenticator`]).
//!
//! # When something fails
//!
//! - A token that cannot be trusted is [`AuthErrorKind::Invalid`] (401); one that is genuine but may not do this is
//!   [`AuthErrorKind::Forbidden`] (403): a scope is missing, or its client is not in `clientIds`. A new token from the same
//!   client would not help there. The text says which check failed and never quotes the token.
//! - Keys are refreshed in the background when they are an hour old; the old ones serve meanwhile, and for up to a day
//!   while the issuer is down. After that, and when the first fetch fails, the answer is
//!   [`AuthErrorKind::Unavailable`] (503), never 401: the client did nothing wrong. A dead issuer is asked again every
//!   few seconds at most, and one fetch at a time.
//! - An unknown `kid` causes one refresh in 30 seconds, however many tokens name one. In between it is refused at once:
//!   401, or 503 while the last fetch failed, because the key may be a new one.
//! - A key that leaves its issuer's document takes the cached tokens that it signed with it.
//! - A document without a usable key is a failed fetch: the old keys stay.
//! - A fetch that ran in the background (`warm`, a refresh) and failed, perhaps because the sandbox was frozen in the
//!   middle of it, does not count against a request that waited for it: that one fetches again.
//!
//! # Decisions
//!
//! - A token without `kid` is accepted when exactly one key of the document fits its algorithm; otherwise which key
//!   signed it would be a guess, and it is an unknown key.
//! - `exp` has no leeway; `nbf` and `iat` have 60 seconds.
//! - `typ` is not checked: Cognito sets none. `token_use`, audiences and scopes tell the kinds of token apart.
//! - The cache is keyed by the whole token under the standard library's keyed hash, not by a digest: that costs fewer
//!   instructions, collisions cannot happen, and an attacker cannot steer comparisons.

mod alb;
mod algorithm;
mod authenticator;
mod bearer;
mod cache;
mod claims;
mod error;
mod fetch;
mod identity;
mod jwk;
mod jwks;
mod secret;
mod token;

pub use alb::AlbAuthenticator;
pub use authenticator::{Authenticator, Options, Stats};
pub use bearer::bearer;
pub use error::{AuthError, AuthErrorKind, Printable};
pub use identity::Identity;
pub use secret::is_secret;
