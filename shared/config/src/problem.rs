//! What is wrong with a file, for the person who wrote it.

use std::fmt;

/// Everything that is wrong with a configuration. Its `Display` has one line per problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file, or another name of where the text came from. May be empty.
    pub origin: String,
    /// At least one; in the order of the file where their places are known.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    pub(crate) fn new(origin: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.line.unwrap_or(u64::MAX), problem.column));
        Self { origin: origin.to_owned(), problems }
    }

    pub(crate) fn one(origin: &str, message: impl Into<String>) -> Self {
        Self::new(origin, vec![Problem { message: message.into(), ..Problem::default() }])
    }

    /// The same problems, said of another file.
    #[must_use]
    pub fn with_origin(mut self, origin: &str) -> Self {
        origin.clone_into(&mut self.origin);
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            if !self.origin.is_empty() {
                write!(f, "{}:", self.origin)?;
                if problem.line.is_none() {
                    f.write_str(" ")?;
                }
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// One thing that is wrong. It never holds the text of a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problem {
    /// The key path, `ai.groups[0].providers[1].weight`; empty for the file as a whole.
    pub path: String,
    /// The line, counted from 1.
    pub line: Option<u64>,
    /// The column, counted from 1.
    pub column: Option<u64>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "{line}:{column}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}
