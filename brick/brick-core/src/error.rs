//! How errors are told: one line that names every cause once, and the exit codes of the command line.

use std::error::Error;
use std::fmt::Write as _;

/// Exit codes of `brick`, the same for every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// It worked.
    Ok = 0,
    /// It failed.
    Failed = 1,
    /// The command line was wrong.
    Usage = 2,
    /// The manifest or a configuration is invalid.
    Invalid = 3,
    /// A gate refused.
    Refused = 4,
    /// The control plane (or the agent) cannot be reached.
    Unreachable = 5,
    /// Something is unhealthy or timed out.
    Unhealthy = 6,
    /// Interrupted by the user.
    Interrupted = 130,
}

/// The error and its sources in one line, outermost first: `cannot read a.toml: permission denied`.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_chain_names_every_cause_once() {
        assert_eq!(chain(&Outer(std::io::Error::other("inner"))), "outer: inner");
    }
}
