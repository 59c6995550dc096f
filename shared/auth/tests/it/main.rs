//! The authenticator against a key server that counts, fails, hangs and changes its keys. Time is passed in.

#[cfg(test)]
mod alb;
#[cfg(test)]
mod caching;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tokens;
