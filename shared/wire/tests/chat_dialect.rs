//! The OpenAI Chat Completions dialect: golden tests, the cases from the field, and what holds for any input.

mod chat;
