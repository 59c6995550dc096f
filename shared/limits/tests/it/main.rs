//! The ledger against a real DynamoDB API, in process.

mod cases;
mod faulty;
mod ledger;
mod limiter;
mod properties;
mod raw;
mod support;
