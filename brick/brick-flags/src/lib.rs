//! Feature flags as flagd defines them (<https://flagd.dev/reference/flag-definitions/>): what a flag is, and which of
//! its variants somebody gets.
//!
//! One evaluator for whoever asks: bricks in their own process, control for clients that speak the OpenFeature Remote
//! Evaluation Protocol. Targeting is data, not code: a subset of JsonLogic, read once into a tree of bounded depth and
//! size, without loops, so that an evaluation ends and costs what the tree is large.
//!
//! What always holds: equal definition, context and time give the equal variant; a flag that cannot be evaluated says
//! why and never panics.
//!
//! ```
//! use brick_flags::{Definition, Flag, Reason};
//! use serde_json::json;
//!
//! let definition: Definition = serde_json::from_value(json!({
//!     "state": "ENABLED",
//!     "variants": { "on": true, "off": false },
//!     "defaultVariant": "off",
//!     "targeting": { "if": [{ "ends_with": [{ "var": "email" }, "@shop.test"] }, "on"] },
//! }))?;
//! let flag = Flag::compile("express", &definition)?;
//! let context = json!({ "targetingKey": "ann", "email": "ann@shop.test" });
//! let found = flag.evaluate(context.as_object().unwrap(), 1_700_000_000)?;
//! assert_eq!((found.variant, found.reason), ("on", Reason::TargetingMatch));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod definition;
mod document;
mod evaluate;
mod flag;
mod murmur;
mod rule;
mod semver;

pub use definition::{Bundle, Definition, State};
pub use document::read;
pub use flag::{Evaluation, Failure, Flag, Reason};

/// Flags of one source at most.
pub const FLAGS_MAX: usize = 500;
/// Bytes of a flag's key at most.
pub const KEY_BYTES_MAX: usize = 100;
/// Variants of a flag at most.
pub const VARIANTS_MAX: usize = 64;
/// Bytes of a definition as JSON at most.
pub const DEFINITION_BYTES_MAX: usize = 32 << 10;
/// Levels of targeting at most.
pub const DEPTH_MAX: usize = 32;
/// Values and operators of one targeting at most.
pub const NODES_MAX: usize = 1_000;

/// The member of a context that a roll-out sticks to.
pub const TARGETING_KEY: &str = "targetingKey";

/// What is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {what}")]
pub struct Error {
    /// The field, nested by dots: `targeting.if[1]`.
    pub path: String,
    /// What was expected and what was found.
    pub what: String,
}

impl Error {
    pub(crate) fn new(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            what: what.into(),
        }
    }
}

/// Whether a text can be the key of a flag: letters, digits, `_`, `-` and `.`, a letter first.
pub fn is_key(key: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    key.len() <= KEY_BYTES_MAX && key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.bytes().all(word)
}

/// At most 60 characters of a foreign text.
pub(crate) fn short(text: &str) -> String {
    text.chars().take(60).collect()
}
