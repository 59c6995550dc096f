//! Rate limits and budgets.

pub mod prices;
