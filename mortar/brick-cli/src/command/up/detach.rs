//! `brick up --detach`: the agent in a process of its own; this one waits until all is ready and returns.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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

pub(super) async fn run(dir: &Path, up: &cli::Up, output: Output) -> Outcome {
    let agent = Agent::of(dir);
    if agent.get::<Value>("/v1/status").await.is_ok() {
        return Err(Failure::failed(format!(
            "a system is running in {} already",
            agent.dir().display()
        ))
        .hint("`brick up` without --detach applies what changed in its manifest"));
    }
    let log = agent.dir().join(".brickwork").join("agent.log");
    let mut child = spawn(agent.dir(), up, &log)?;
    wait_for_socket(&agent, &mut child, &log).await?;
    let mut teller = Teller::new(output);
    let mut last = None;
    agent
        .lines("/v1/events?follow=true", |line| {
            let Ok(event) = serde_json::from_str::<Event>(line) else {
                return true;
            };
            teller.tell(&event);
            let decided = event.kind == EventKind::AllReady || is_unhealthy(event.kind);
            if decided {
                last = Some(event);
            }
            !decided
        })
        .await?;
    teller.end();
    match last {
        None => Err(ended(&log)),
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

fn spawn(dir: &Path, up: &cli::Up, log: &Path) -> Outcome<Child> {
    let failed = |what: &str, error: std::io::Error| Failure::failed(format!("cannot {what}: {error}"));
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder).map_err(|error| failed("make .brickwork", error))?;
    }
    let file = OpenOptions::new().create(true).append(true).open(log);
    let file = file.map_err(|error| failed(&format!("write {}", log.display()), error))?;
    let other = file.try_clone().map_err(|error| failed("share the log", error))?;
    let binary = std::env::current_exe().map_err(|error| failed("find this program", error))?;
    let mut command = Command::new(binary);
    command
        .arg("up")
        .arg(dir)
        .args(up.no_build.then_some("--no-build"))
        .args(up.watch.then_some("--watch"));
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
    command.spawn().map_err(|error| failed("start the agent", error))
}

async fn wait_for_socket(agent: &Agent, child: &mut Child, log: &Path) -> Outcome {
    while agent.get::<Value>("/v1/status").await.is_err() {
        if !matches!(child.try_wait(), Ok(None)) {
            return Err(ended(log));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

fn ended(log: &Path) -> Failure {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(12)..].join("\n");
    Failure::new(
        ExitCode::Failed,
        format!("the agent ended before all was ready:\n{last}"),
    )
    .hint(format!("all that it said is in {}", log.display()))
}
