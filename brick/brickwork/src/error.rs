//! Why a brick cannot start or go on.

use std::fmt;
use std::net::SocketAddr;

use brick_wire::Problem;
use http::StatusCode;

/// Why a brick cannot start or go on. The message says what to do. `Debug` is the message too, with its causes, for it
/// is what a `main` that returns the error prints.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A variable of the environment contract cannot be.
    #[error("{name}: expected {expected}, found \"{found}\"")]
    Environment {
        /// The variable.
        name: &'static str,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] brick_config::Errors),
    /// What was decided for all instances cannot be taken here.
    #[error(transparent)]
    Change(#[from] brick_config::Failed),
    /// The database cannot be opened.
    #[error(transparent)]
    State(#[from] brick_state::Error),
    /// No database was given.
    #[error(
        "no database: DATABASE_URL is not set; write state = \"{brick}\" under [brick.{brick}] in brick.toml, or, to run the brick alone, set DATABASE_URL=sqlite:{brick}.db"
    )]
    NoDatabase {
        /// The brick.
        brick: String,
    },
    /// Logs and spans cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] brick_telemetry::Error),
    /// The port cannot be served on.
    #[error("cannot serve on {addr}: is the port taken? set PORT to another, or to 0 for any")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The brick runs alone: there is no control plane to ask.
    #[error("{what} needs the control plane, and the brick runs alone; start it with brick up")]
    Alone {
        /// What was asked for.
        what: &'static str,
    },
    /// No own token is there yet.
    #[error("the process has no token of its own yet (BRICK_TOKEN_FILE); is the agent running?")]
    NoToken,
    /// Control refused, or cannot be reached.
    #[error(transparent)]
    Control(#[from] brick_wire::Error),
}

impl Error {
    pub(crate) fn environment(name: &'static str, expected: &str, found: &str) -> Self {
        // A parser's message may say "expected …, found …" itself.
        let expected = expected.strip_prefix("expected ").unwrap_or(expected);
        let expected = expected.split(", found ").next().unwrap_or(expected);
        Self::Environment {
            name,
            expected: expected.to_owned(),
            found: found.chars().take(100).collect(),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&brick_core::chain(self))
    }
}

/// For handlers that ask control with `?`: what is wrong inside is logged, and the caller is told 503 where control is
/// missing, 500 else.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        tracing::error!(error = %brick_core::chain(&error), "a call to the platform failed");
        match error {
            Error::Control(_) | Error::NoToken | Error::Alone { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "platform_unavailable",
                "the control plane cannot be asked now; try again",
            ),
            _ => Self::internal(),
        }
    }
}
