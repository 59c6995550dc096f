//! Bedrock Converse, an upstream dialect: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>.
//!
//! 1. [`encode_request`] makes the JSON body (the model stands in the path, not in the body) and reports what it could not carry.
//! 2. The reader that comes with it reads the whole JSON answer of Converse, or the raw event-stream frames of ConverseStream.
//! 3. [`decode_fault`] reads an answer that is not a 2xx.
//!
//! Claude is not asked by it: Bedrock has InvokeModel for Claude's own dialect. What differs from model to model is in one table, in `family.rs`. A model that
//! the table does not know gets plain Converse, so that a new one works without a release (case 43).
//!
//! Paths in [`Dropped`](crate::ir::Dropped) and [`WireError`](crate::error::WireError) are those of the IR: `messages[1].content[0]`,
//! `temperature`, `effort`.

mod error;
mod family;
mod request;
mod response;
mod stream;
mod types;

pub use error::decode_fault;
pub use request::encode_request;
