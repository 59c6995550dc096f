//! What Chat Completions and Responses have in common: one company's two dialects, with the same settings, tools, media and counts in two layouts.
//!
//! Each dialect's folder says how its own layout reaches these pieces; a fact that holds for both stands here once.

pub(crate) mod cited;
pub(crate) mod custom;
pub(crate) mod encode;
pub(crate) mod fields;
pub(crate) mod model;
pub(crate) mod offered;
pub(crate) mod parts;
pub(crate) mod read;
pub(crate) mod settings;
pub(crate) mod tools;
pub(crate) mod usage;
