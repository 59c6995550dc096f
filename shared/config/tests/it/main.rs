//! The crate from outside: files in, configurations or messages out.

#[cfg(test)]
mod agentgateway;
#[cfg(test)]
mod checks;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod guard;
#[cfg(test)]
mod resolve;
#[cfg(test)]
mod schema;
