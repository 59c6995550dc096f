//! What the two webhook functions share. The rate limiter asks the ledger for a request, the budget for tokens and money; all else is the same.
//!
//! 1. [`service`]: which path is which, and what an answer looks like. Whatever is wrong, the answer is a reject of the contract: nothing that we
//!    say may be taken for a pass unless it is one.
//! 2. [`caller`]: who asks. A verified token, a load balancer's signature, or the word of a trusted caller; nothing else.
//! 3. [`question`]: what for: model, provider, prompt, output cap, request id.
//! 4. [`decision`]: what the ledger says, as the contract and as the native form have it.
//! 5. [`check`]: the native form, over HTTP and by direct invocation.
//! 6. [`run`]: the binary: command line, configuration, host.

pub mod app;
pub mod aws;
pub mod caller;
pub mod check;
mod cli;
pub mod decision;
pub mod kinds;
pub mod question;
pub mod run;
pub mod secret;
pub mod service;

pub use app::App;
pub use aws::Aws;
pub use decision::Decision;
