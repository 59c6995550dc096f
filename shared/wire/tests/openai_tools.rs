//! Tools and settings that only OpenAI has, on their way to others and to OpenAI itself.

#[cfg(test)]
#[path = "openai_tools/cases.rs"]
mod cases;
#[cfg(test)]
#[path = "openai_tools/settings.rs"]
mod settings;
#[cfg(test)]
#[path = "openai_tools/texts.rs"]
mod texts;
