//! The ledger against a real DynamoDB API, in process.

mod ledger;
mod limiter;
mod support;
