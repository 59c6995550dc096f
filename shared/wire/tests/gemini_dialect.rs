//! Gemini's GenerateContent dialect: golden tests, the cases from the field, and what holds for any input.

// `cfg(test)` lets the lints see that helpers are test code, too.
#[cfg(test)]
mod gemini;
