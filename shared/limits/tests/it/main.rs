//! The ledger against a real DynamoDB API, in process.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod faulty;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod limiter;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod support;
#[cfg(test)]
mod sweeps;
