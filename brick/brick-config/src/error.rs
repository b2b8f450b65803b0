//! Values that do not fit, told all at once.

use std::fmt;

use crate::Origin;

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value that the key cannot have.
    #[error("{key}: expected {expected}, found {found} ({origin})")]
    Value {
        /// The key, nested by dots.
        key: String,
        /// Where the value stands.
        origin: Origin,
        /// What fits.
        expected: String,
        /// What is there; hidden where the key names a secret.
        found: String,
    },
    /// A key that the brick does not know.
    #[error("{key}: no such key ({origin}){}", nearest.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    Unknown {
        /// The key as it stands there.
        key: String,
        /// Where it stands.
        origin: Origin,
        /// The most similar key that exists.
        nearest: Option<String>,
    },
    /// A file that cannot be read.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// Why, with line and column where it is the content.
        reason: String,
    },
    /// The values do not fit together, or the brick's own check refuses them.
    #[error("{0}")]
    Refused(String),
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors(pub Vec<Error>);

impl Errors {
    /// The errors in one line, as a refusal tells them.
    pub(crate) fn told(&self) -> String {
        let each: Vec<String> = self.0.iter().map(Error::to_string).collect();
        each.join("; ")
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is invalid")?;
        for error in &self.0 {
            write!(f, "\n  {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// Whether the values of a key are not to be shown.
pub fn is_secret(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key).to_ascii_lowercase();
    [
        "password",
        "secret",
        "token",
        "credential",
        "api_key",
        "private_key",
    ]
    .iter()
    .any(|word| last.contains(word))
}
