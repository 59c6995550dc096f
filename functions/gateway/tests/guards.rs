//! Webhooks that the gateway asks: what they are sent, what their answers do, and what happens when they fail. Real HTTP in one process: client, gateway,
//! hooks, model.

#[cfg(test)]
#[path = "guards/answers.rs"]
mod answers;
#[cfg(test)]
#[path = "support/closed.rs"]
mod closed;
#[cfg(test)]
#[path = "guards/failures.rs"]
mod failures;
#[cfg(test)]
#[path = "guards/gemini.rs"]
mod gemini;
#[cfg(test)]
#[path = "guards/headers.rs"]
mod headers;
#[cfg(test)]
#[path = "guards/requests.rs"]
mod requests;
#[cfg(test)]
#[path = "support/mod.rs"]
mod support;
#[cfg(test)]
#[path = "guards/world.rs"]
mod world;
