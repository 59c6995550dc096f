//! OpenAI Responses.

mod error;
mod reasoning;
mod request;
mod response;
pub mod state;
mod stream;
mod types;

pub use error::{decode_fault, write_fault};
pub use request::{decode_request, encode_request};
pub use response::encode_response;
pub use stream::Writer;

pub(crate) use error::fault_of_event;
pub(crate) use reasoning::{SEALED, is_item};
