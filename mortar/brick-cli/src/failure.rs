//! How a command fails: an exit code, one line of what and why, and what to do about it.

use std::fmt;
use std::path::Path;

use brick_core::ExitCode;

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Exit code of the process.
    pub(crate) code: ExitCode,
    /// What went wrong, in one line or (manifest errors) already rendered.
    pub(crate) message: String,
    /// What to do, where there is something to do.
    pub(crate) hint: Option<String>,
}

/// What commands return.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure with its exit code.
    pub(crate) fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
        }
    }

    /// Exit code 1.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Failed, message)
    }

    /// Exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, message)
    }

    /// Exit code 5: no agent answers for that folder.
    pub(crate) fn no_agent(dir: &Path) -> Self {
        let message = format!("no system is running in {}", dir.display());
        Self::new(ExitCode::Unreachable, message)
            .hint("start it with `brick up`, or name its folder with `-C DIR`")
    }

    /// What to do, of the failure itself or what helps with failures of its kind.
    pub(crate) fn advice(&self) -> &str {
        self.hint.as_deref().unwrap_or(match self.code {
            ExitCode::Usage => "`brick help` lists commands and topics",
            ExitCode::Invalid => {
                "`brick check` shows what is wrong with the manifest, `brick help manifest` what it may hold"
            }
            ExitCode::Unreachable => "`brick up` starts the system, `brick status` says how it is",
            _ => "`-v` tells what was asked, `brick doctor` looks for what is wrong",
        })
    }

    /// Adds what to do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<brick_wire::Error> for Failure {
    fn from(error: brick_wire::Error) -> Self {
        let code = if error.is_unreachable() {
            ExitCode::Unreachable
        } else {
            ExitCode::Failed
        };
        match &error {
            brick_wire::Error::Status { problem, .. } => Self::new(code, problem.summary().to_owned()),
            other => Self::new(code, brick_core::chain(other)),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
