//! The gateway: the data plane of Tollgate.
//!
//! The life of a request, file by file:
//!
//! 1. [`start`] makes a gateway of a configuration; [`router`] lists the routes; [`host`] runs it: native server, Lambda behind an ALB (buffered), Lambda with a streaming response.
//! 2. [`accept`]: route type, request id, size, content type.
//! 3. [`pipeline`]: authenticate, decode, route, attempt, relay. It reads top to bottom.
//!    [`unary`] is its counterpart for what is no conversation.
//! 4. [`books`]: what is known of the request so far; hands it to [`record`] (access log, metrics, traces) when the request is over, however it ended.
//! 5. [`guard`]: webhooks that see requests and answers.
//! 6. [`meter`]: limits, reserved before the attempts and settled after them.
//! 7. [`kept`]: responses that the gateway keeps for providers that keep none.
//! 8. [`error`]: the one place that turns a fault into an HTTP answer.
//!
//! [`reload`] puts another configuration under the requests that come, and leaves those that run alone.
//!
//! [`local`] is what a laptop needs and a deployment must not have: an issuer of tokens, a demo provider, a ledger in a file. The Lambda build leaves it out.

pub mod accept;
pub mod app;
pub mod books;
pub mod cli;
mod cors;
pub mod error;
pub mod export;
pub mod guard;
pub mod host;
pub mod kept;
#[cfg(feature = "local")]
pub mod local;
#[cfg(not(feature = "local"))]
#[path = "no_local.rs"]
pub mod local;
pub mod meter;
pub mod models;
// For its tests, where the build has the other one.
#[cfg(all(test, feature = "realtime"))]
pub mod no_realtime;
pub mod passthrough;
pub mod pipeline;
#[cfg(feature = "realtime")]
pub mod realtime;
#[cfg(not(feature = "realtime"))]
#[path = "no_realtime.rs"]
pub mod realtime;
pub mod record;
pub mod relay;
pub mod reload;
pub mod router;
mod spend;
pub mod start;
mod stepped;
pub mod unary;
