//! `brick doctor`: what is wrong with this machine, the manifest and the running system, and what to do about each.

mod machine;
mod system;

use brick_core::ExitCode;
use serde::Serialize;

use crate::agent::Agent;
use crate::failure::{Failure, Outcome};
use crate::output::{Format, Output, Tone, line, plain};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Grade {
    /// As it should be.
    Ok,
    /// Worth knowing; nothing is broken by it.
    Note,
    /// Wrong: the command ends with exit code 6.
    Wrong,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    check: &'static str,
    grade: Grade,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Finding {
    /// As it should be.
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            grade: Grade::Ok,
            found: found.into(),
            fix: None,
        }
    }

    /// Worth knowing, with what can be done.
    pub(super) fn note(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            grade: Grade::Note,
            fix: Some(fix.into()),
            ..Self::ok(check, found)
        }
    }

    /// Wrong, with what to do.
    pub(super) fn wrong(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            grade: Grade::Wrong,
            ..Self::note(check, found, fix)
        }
    }
}

pub(crate) async fn run(agent: &Agent, output: Output) -> Outcome {
    let (model, mut findings) = machine::manifest(agent.dir());
    let running = system::status(agent).await;
    findings.extend(machine::look(agent.dir(), model.as_ref(), running.as_ref()));
    findings.extend(system::look(agent, running.as_ref()).await);
    if output.format == Format::Table {
        for finding in &findings {
            line(&for_people(finding, output));
        }
    } else {
        output.rows(&findings, Default::default);
    }
    let wrong = findings.iter().filter(|f| f.grade == Grade::Wrong).count();
    if wrong > 0 {
        let message = format!("{wrong} of {} checks found something wrong", findings.len());
        return Err(Failure::new(ExitCode::Unhealthy, message).hint("each has its fix beside it, above"));
    }
    Ok(())
}

fn for_people(finding: &Finding, output: Output) -> String {
    let (mark, tone) = match finding.grade {
        Grade::Ok => ("ok   ", Tone::Good),
        Grade::Note => ("note ", Tone::Warn),
        Grade::Wrong => ("wrong", Tone::Bad),
    };
    let found = plain(&finding.found);
    let mut text = format!("{} {:<12} {found}", output.out(tone, mark), finding.check);
    if let Some(fix) = &finding.fix {
        text.push_str(&format!(
            "\n                   {} {}",
            output.out(Tone::Dim, "fix:"),
            plain(fix)
        ));
    }
    text
}
