//! What is limited: counters in windows, grouped by the item of the table that holds them.

use crate::window::Windows;

/// Something that is counted in a window.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Counter {
    /// Requests in a minute.
    Requests,
    /// Tokens in a day.
    Tokens,
    /// Nano-dollars in a month.
    Money,
    /// Nano-dollars in a month for the models of a pattern.
    ModelMoney(String),
}

impl Counter {
    /// The attribute that counts it in a window: `rpm#202611221653`, `tpd#20261122`, `usd#202611`, `usd#202611#gpt-4*`.
    pub fn attribute(&self, windows: Windows) -> String {
        match self {
            Self::Requests => format!("rpm#{}", windows.minute()),
            Self::Tokens => format!("tpd#{}", windows.day()),
            Self::Money => format!("usd#{}", windows.month()),
            Self::ModelMoney(pattern) => format!("usd#{}#{pattern}", windows.month()),
        }
    }

    /// Is it money?
    pub fn is_money(&self) -> bool {
        matches!(self, Self::Money | Self::ModelMoney(_))
    }
}

/// How much of each counter a request takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Requests.
    pub requests: u64,
    /// Input and output tokens.
    pub tokens: u64,
    /// Nano-dollars.
    pub nano_usd: u64,
}

impl Amount {
    /// The part that a counter counts.
    pub fn of(&self, counter: &Counter) -> u64 {
        match counter {
            Counter::Requests => self.requests,
            Counter::Tokens => self.tokens,
            Counter::Money | Counter::ModelMoney(_) => self.nano_usd,
        }
    }
}

/// Whose limit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A team.
    Team,
    /// A user, in whatever team.
    User,
    /// All teams, for the models of a pattern.
    Model,
    /// All teams.
    Gateway,
}

/// One item of the table, and what is counted in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Its partition key: `team#search`, `user#0f3a`, `model#gpt-4*`, `gateway`.
    pub key: String,
    /// Whose it is.
    pub owner: Owner,
    /// What is counted, and the most that is allowed; `None`: counted, not limited.
    pub counters: Vec<(Counter, Option<u64>)>,
}

impl Scope {
    /// A scope that counts money only.
    pub fn money(owner: Owner, name: &str, max_nano_usd: u64) -> Self {
        let key = match owner {
            Owner::Team => format!("team#{name}"),
            Owner::User => format!("user#{name}"),
            Owner::Model => format!("model#{name}"),
            Owner::Gateway => "gateway".to_owned(),
        };
        Self { key, owner, counters: vec![(Counter::Money, Some(max_nano_usd))] }
    }

    /// Whether anything in it is limited.
    pub fn is_limited(&self) -> bool {
        self.counters.iter().any(|(_, max)| max.is_some())
    }

    /// Its team, if it is a team's.
    pub(crate) fn team(&self) -> Option<&str> {
        self.key.strip_prefix("team#")
    }

    /// For people: `team search`.
    pub fn label(&self) -> String {
        self.key.replacen('#', " ", 1)
    }
}
