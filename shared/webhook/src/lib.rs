//! The guardrail webhook contract, both ends of it.
