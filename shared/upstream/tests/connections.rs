//! Connections to providers: kept between requests, HTTP/2 where the provider has it; what becomes of dead ones that are used again, of ones
//! that stay open after the answer, and of refusals.

#[cfg(test)]
#[path = "connections/asking.rs"]
mod asking;
#[cfg(test)]
#[path = "connections/broken.rs"]
mod broken;
#[cfg(test)]
#[path = "connections/kept.rs"]
mod kept;
