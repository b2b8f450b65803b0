//! `brick up --detach`: the agent in a process of its own; this one waits until all is ready and returns.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use brick_core::ExitCode;
use mortar_agent::events::{Event, EventKind};
use serde_json::Value;

use super::tell::Teller;
use super::tell_addresses;
use crate::agent::Agent;
use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// How often the new agent is looked for until its socket is there.
const POLL: Duration = Duration::from_millis(20);
/// How long an agent whose events ended may take to end itself.
const ENDING: Duration = Duration::from_secs(5);
/// Lines of it that are shown where it tells no error of its own.
const LAST_LINES: usize = 12;
/// Lines before its error that are shown: as many as of a build that failed, and what began it.
const BEFORE_LINES: usize = 50;
/// Most that is read of what an agent said before it ended.
const WORDS_BYTES_MAX: u64 = 256 * 1024;

pub(super) async fn run(dir: &Path, up: &cli::Up, output: Output) -> Outcome {
    let agent = Agent::of(dir);
    if agent.get::<Value>("/v1/status").await.is_ok() {
        return Err(Failure::failed(format!(
            "a system is running in {} already",
            agent.dir().display()
        ))
        .hint("`brick up` without --detach applies what changed in its manifest"));
    }
    let mut child = spawn(agent.dir(), up, output.quiet)?;
    wait_for_socket(&agent, &mut child, output).await?;
    let mut teller = Teller::new(output);
    let (mut last, mut heard) = (None, false);
    let followed = agent
        .lines("/v1/events?follow=true", |line| {
            let Ok(event) = serde_json::from_str::<Event>(line) else {
                return true;
            };
            teller.tell(&event);
            heard = true;
            let decided = event.kind == EventKind::AllReady || is_unhealthy(event.kind);
            if decided {
                last = Some(event);
            }
            !decided
        })
        .await;
    teller.end();
    match last {
        None => Err(match child.end().await {
            Some(status) => {
                if !heard {
                    child.tell_before(output);
                }
                teller.shorten(child.failure(status))
            }
            None => followed.err().unwrap_or_else(|| {
                Failure::failed("the agent closed its events before all was ready")
                    .hint("`brick status` says how the system is, `brick down` stops it")
            }),
        }),
        Some(event) if is_unhealthy(event.kind) => Err(unhealthy(&event)),
        Some(_) => tell_addresses(&agent, output).await,
    }
}

/// Whether an instance had its chance and is not ready.
fn is_unhealthy(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::NeverReady | EventKind::CrashLoop | EventKind::Failed
    )
}

/// The system is left running, so that it can be looked at.
fn unhealthy(event: &Event) -> Failure {
    let brick = event.brick.as_ref().map(ToString::to_string).unwrap_or_default();
    let message = format!("not all became ready: {}", event.msg);
    Failure::new(ExitCode::Unhealthy, message).hint(format!(
        "the system goes on: `brick status` and `brick logs {brick}` show how it is, `brick down` stops it"
    ))
}

/// The agent's process, and where in its log it begins to speak.
struct Detached {
    process: Child,
    log: PathBuf,
    begin: u64,
}

fn spawn(dir: &Path, up: &cli::Up, quiet: bool) -> Outcome<Detached> {
    let failed = |what: &str, error: std::io::Error| Failure::failed(format!("cannot {what}: {error}"));
    let folder = dir.join(".brickwork");
    std::fs::create_dir_all(&folder).map_err(|error| failed("make .brickwork", error))?;
    let log = folder.join("agent.log");
    let file = OpenOptions::new().create(true).append(true).open(&log);
    let file = file.map_err(|error| failed(&format!("write {}", log.display()), error))?;
    let begin = file.metadata().map_or(0, |meta| meta.len());
    let other = file.try_clone().map_err(|error| failed("share the log", error))?;
    let binary = std::env::current_exe().map_err(|error| failed("find this program", error))?;
    let mut command = Command::new(binary);
    command
        .arg("up")
        .arg(dir)
        .args(up.no_build.then_some("--no-build"))
        .args(up.watch.then_some("--watch"))
        .args(quiet.then_some("--quiet"));
    command.args(up.only.iter().flat_map(|brick| ["--only", brick]));
    if let Some(edge) = up.edge {
        command.arg("--edge").arg(edge.to_string());
    }
    if let Some(console) = up.console {
        command.arg("--console").arg(console.to_string());
    }
    // A process group of its own, so that Ctrl-C here does not reach it.
    command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(other)
        .process_group(0);
    let process = command
        .spawn()
        .map_err(|error| failed("start the agent", error))?;
    Ok(Detached { process, log, begin })
}

async fn wait_for_socket(agent: &Agent, child: &mut Detached, output: Output) -> Outcome {
    while agent.get::<Value>("/v1/status").await.is_err() {
        match child.process.try_wait() {
            Ok(None) => tokio::time::sleep(POLL).await,
            Ok(Some(status)) => {
                child.tell_before(output);
                return Err(child.failure(status));
            }
            Err(error) => return Err(Failure::failed(format!("cannot watch the agent: {error}"))),
        }
    }
    Ok(())
}

impl Detached {
    /// How the agent ended; none where it goes on.
    async fn end(&mut self) -> Option<ExitStatus> {
        let deadline = Instant::now() + ENDING;
        loop {
            match self.process.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => tokio::time::sleep(POLL).await,
                _ => return None,
            }
        }
    }

    /// Tells the last lines before its error, of an agent whose events nobody heard.
    fn tell_before(&self, output: Output) {
        let said = said(&self.log, self.begin).unwrap_or_default();
        let before = own_error(&said).map_or("", |begin| &said[..begin]);
        if !before.is_empty() {
            output.progress(&last_lines(before, BEFORE_LINES));
        }
    }

    /// Why it ended: its own error and exit code, as it wrote them into its log.
    fn failure(&self, status: ExitStatus) -> Failure {
        let said = said(&self.log, self.begin).unwrap_or_default();
        let all = format!("all that it said is in {}", self.log.display());
        let Some((message, hint)) = last_words(&said) else {
            let last = last_lines(&said, LAST_LINES);
            let message = format!("the agent ended ({status}) before all was ready\n{last}");
            return Failure::failed(message.trim_end()).hint(all);
        };
        Failure::new(exit_code(status), message).hint(hint.map_or(all, str::to_owned))
    }
}

/// What the log holds from there on; of very much the end.
fn said(log: &Path, begin: u64) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    let end = file.metadata()?.len();
    file.seek(SeekFrom::Start(begin.max(end.saturating_sub(WORDS_BYTES_MAX))))?;
    let mut bytes = Vec::new();
    file.take(WORDS_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Where a command's own error begins: what a build writes is indented in the log.
fn own_error(said: &str) -> Option<usize> {
    match said.find("\nerror: ") {
        _ if said.starts_with("error: ") => Some(0),
        found => found.map(|line_feed| line_feed + 1),
    }
}

/// The error and the hint with which a command ended.
fn last_words(said: &str) -> Option<(&str, Option<&str>)> {
    let words = said[own_error(said)?..].trim_end().strip_prefix("error: ")?;
    Some(match words.rsplit_once("\n hint: ") {
        Some((message, hint)) => (message, Some(hint)),
        None => (words, None),
    })
}

/// The agent's exit code is a command's.
fn exit_code(status: ExitStatus) -> ExitCode {
    let codes = [
        ExitCode::Usage,
        ExitCode::Invalid,
        ExitCode::Refused,
        ExitCode::Unreachable,
        ExitCode::Unhealthy,
        ExitCode::Interrupted,
    ];
    let same = |code: &ExitCode| status.code() == Some(*code as i32);
    codes.into_iter().find(same).unwrap_or(ExitCode::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agents_error_is_told_from_what_its_build_wrote() {
        let build = "build    cargo build\n         error: no such thing\n";
        let error = "the build failed with exit code 101\nerror: no such thing\n --> main.rs";
        for (said, expect) in [
            (String::new(), None),
            (build.to_owned(), None),
            (
                format!("{build}error: {error}\n hint: mend it\n"),
                Some((error, Some("mend it"))),
            ),
            ("error: taken\n".to_owned(), Some(("taken", None))),
        ] {
            assert_eq!(last_words(&said), expect, "{said}");
        }
    }
}
