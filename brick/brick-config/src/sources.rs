//! Where values come from.

use std::fmt;
use std::path::PathBuf;

use serde_json::Value;

/// Everything a configuration is made from but the defaults in code. The composition root reads argv and environment
/// and hands them over; nothing here does.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Defaults that override those in code, as a nested object; null for none. For tests and tools.
    pub defaults: Value,
    /// Files, lowest first: TOML, or JSON where the name ends in `.json`.
    pub files: Vec<PathBuf>,
    /// The environment.
    pub env: Vec<(String, String)>,
    /// Names in it that the agent injected from the manifest (`BRICK_CONFIG_INJECTED`).
    pub injected: Vec<String>,
    /// Arguments; those of the form `--key=value` whose key is known count.
    pub args: Vec<String>,
    /// Name of the brick: live changes arrive as `config/<brick>`.
    pub brick: String,
}

/// Where one value stands, lowest precedence first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The brick's own defaults.
    Default,
    /// `[config.<brick>]` of the manifest, injected by the agent.
    Manifest,
    /// A file.
    File(PathBuf),
    /// The configuration repository that control reads: file and revision.
    Repository(String),
    /// The table `brick_config` of the brick's own database.
    Database,
    /// A live change.
    Bus {
        /// Revision on the bus.
        revision: u64,
    },
    /// The operator's own environment.
    Env {
        /// Name of the variable.
        name: String,
    },
    /// An argument.
    Arg,
}

impl Origin {
    /// Whether it stands above what control says: the operator's own environment and arguments.
    pub fn is_operators(&self) -> bool {
        matches!(self, Self::Env { .. } | Self::Arg)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Manifest => f.write_str("brick.toml"),
            Self::File(path) => path.display().fmt(f),
            Self::Repository(from) => f.write_str(from),
            Self::Database => f.write_str("database"),
            Self::Bus { revision } => write!(f, "live change, revision {revision}"),
            Self::Env { name } => write!(f, "environment variable {name}"),
            Self::Arg => f.write_str("argument"),
        }
    }
}
