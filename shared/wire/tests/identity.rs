//! Equal dialects: what goes through untouched, what is edited, what is noticed on the way.

#[cfg(test)]
#[path = "identity/cases.rs"]
mod cases;
