//! How a command fails: an exit code, one line of what and why, and what to do about it.

use std::fmt;
use std::io;
use std::path::Path;

use brick_core::ExitCode;
use http::StatusCode;
use serde_json::{Value, json};

use crate::output::{Output, Tone};

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Exit code of the process.
    pub(crate) code: ExitCode,
    /// What went wrong, in one line or (manifest errors) already rendered.
    pub(crate) message: String,
    /// What to do, where there is something to do.
    pub(crate) hint: Option<String>,
    /// Whether it may pass by itself: nobody listens at the moment, or there is nobody behind who answers.
    pub(crate) passes: bool,
    /// Status and code of the problem that the platform answered, where it was that.
    pub(crate) problem: Option<Box<(u16, String)>>,
    /// Everything that is wrong, each with its place, where there is more than one line to say.
    pub(crate) findings: Option<Box<Value>>,
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
            passes: false,
            problem: None,
            findings: None,
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

    /// Tells it on stderr: for people, or as one JSON document on one line, the last one.
    pub(crate) fn tell(&self, output: Output) {
        if output.format.is_data() {
            eprintln!("{}", self.document());
            return;
        }
        eprintln!("{} {self}", output.err(Tone::Bad, "error:"));
        eprintln!("{} {}", output.err(Tone::Dim, " hint:"), self.advice());
    }

    /// The failure as data; `brick help formats` describes it.
    pub(crate) fn document(&self) -> Value {
        let mut error = json!({
            "kind": kind(self.code),
            "message": self.message,
            "hint": self.advice(),
            "exit_code": self.code as u8,
        });
        if let Some((status, code)) = self.problem.as_deref() {
            error["problem"] = json!({ "status": status, "code": code });
        }
        if let Some(findings) = self.findings.as_deref() {
            error["errors"] = findings.clone();
        }
        json!({ "error": error })
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
        let passes = passes(&error);
        let failure = match &error {
            brick_wire::Error::Status { status, problem, .. } => {
                let summary = problem.summary();
                // The agent names what there is behind a name that it does not know.
                let (message, known) = match summary.split_once("; ") {
                    Some((message, known)) if problem.code == "unknown" => (message, Some(known.to_owned())),
                    _ => (summary, None),
                };
                Self {
                    problem: Some(Box::new((status.as_u16(), problem.code.clone()))),
                    hint: known,
                    ..Self::new(code, message)
                }
            }
            other => Self::new(code, brick_core::chain(other)),
        };
        Self { passes, ..failure }
    }
}

/// Whether it may pass by itself.
pub(crate) fn passes(error: &brick_wire::Error) -> bool {
    let refused = matches!(
        error.io_kind(),
        Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
    );
    refused || error.status().is_some_and(is_away)
}

/// Whether a status says that there is nobody behind who answers, for now.
pub(crate) fn is_away(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE)
}

/// An exit code as a word.
fn kind(code: ExitCode) -> &'static str {
    match code {
        ExitCode::Ok => "ok",
        ExitCode::Failed => "failed",
        ExitCode::Usage => "usage",
        ExitCode::Invalid => "invalid",
        ExitCode::Refused => "refused",
        ExitCode::Unreachable => "unreachable",
        ExitCode::Unhealthy => "unhealthy",
        ExitCode::Interrupted => "interrupted",
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
