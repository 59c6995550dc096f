//! The guardrail webhook contract, both ends of it: agentgateway's, as it behaves. No I/O.
//!
//! A gateway posts the texts of a conversation to `/request` and those of its answer to `/response` ([`RequestBody`], [`ResponseBody`]); the
//! hook answers with an [`Action`].
//!
//! - **As a hook** (our rate limiter, our budget): decode a body, answer with [`Action::encode`], HTTP 200, `application/json`. The constructors
//!   write only what agentgateway reads as it was meant: it tells actions apart by their fields, and takes a reject that lacks one for a pass.
//! - **As a gateway**: [`RequestBody::encode`] goes out, [`read_answer`] reads what comes back, more strictly than agentgateway does: what is
//!   not clearly a pass is none.
//!
//! `tests/contract.rs` holds both readers against every known answer.

mod action;
mod body;
mod read;

pub use action::{Action, Reject};
pub use body::{BadBody, Choice, Message, RequestBody, ResponseBody};
pub use read::{BadAnswer, read_action, read_answer};

/// Which of the two calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before the model is asked: `/request`.
    Request,
    /// With the model's answer: `/response`.
    Response,
}

impl Phase {
    /// Where agentgateway posts to, unless its configuration says otherwise.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Request => "/request",
            Self::Response => "/response",
        }
    }
}
