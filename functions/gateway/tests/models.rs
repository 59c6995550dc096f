//! `GET /v1/models` with what the providers list themselves.

#[cfg(test)]
#[path = "models/lists.rs"]
mod lists;
#[cfg(test)]
#[path = "support/mod.rs"]
#[expect(dead_code, reason = "its reader of event streams is for the other tests")]
mod support;
