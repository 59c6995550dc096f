//! Connections to providers: kept between requests, HTTP/2 where the provider has it.

#[cfg(test)]
#[path = "connections/cases.rs"]
mod cases;
