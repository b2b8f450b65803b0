//! The system under proof: one of its own in a scratch folder, or the one that runs.

use std::path::PathBuf;
use std::time::Duration;

use brick_model::{Loaded, Model};
use jiff::Timestamp;
use mortar_agent::api::{InstanceState, Killed, Ps, Status};
use mortar_agent::events::Event;
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::plan::raised;
use super::report::Said;
use crate::agent::{Admin, Agent};
use crate::command::scratch::Scratch;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::patience::Patience;

/// How long the system may take to be whole again.
pub(super) const RECOVERY_MAX: Duration = Duration::from_secs(30);
/// How long a process may take to be gone after SIGKILL.
const GONE_WITHIN: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);
/// Limit of a call that changes something at the agent; a roll drains.
pub(super) const CHANGE_MAX: Duration = Duration::from_secs(300);
/// Events of the agent that an experiment keeps.
const EVENTS_MAX: usize = 40;

/// A system that runs.
pub(super) struct System {
    pub(super) agent: Agent,
    /// Its manifest, as it runs.
    pub(super) model: Model,
    /// Base URL of the edge.
    pub(super) edge: String,
    pub(super) output: Output,
    scratch: Option<Scratch>,
}

impl System {
    /// Builds and starts a system like that of the folder, raised to so many instances of each brick.
    pub(super) async fn scratch(
        loaded: &Loaded,
        replicas: u32,
        no_build: bool,
        output: Output,
    ) -> Outcome<Self> {
        let scratch = Scratch::new("brick-prove-", &loaded.dir)?;
        let model = raised(&loaded.model, replicas);
        scratch.mirror()?;
        scratch.write(&model)?;
        output.progress(
            "starting a system of its own in a scratch folder; the one in this folder is left alone",
        );
        let agent = scratch.agent();
        if !scratch.up(no_build).await? {
            scratch.end(false, output).await;
            return Err(
                Failure::failed("the system does not start by itself in a scratch folder")
                    .hint("`brick up` in its own folder says why"),
            );
        }
        let edge = edge(&agent).await?;
        Ok(Self {
            agent,
            model,
            edge,
            output,
            scratch: Some(scratch),
        })
    }

    /// The one that runs in the folder.
    pub(super) async fn here(agent: &Agent, loaded: &Loaded, output: Output) -> Outcome<Self> {
        let edge = edge(agent).await?;
        Ok(Self {
            agent: Agent::of(agent.dir()),
            model: loaded.model.clone(),
            edge,
            output,
            scratch: None,
        })
    }

    /// Whether it is one of its own.
    pub(super) fn is_scratch(&self) -> bool {
        self.scratch.is_some()
    }

    /// Ends it where it is one of its own.
    pub(super) async fn end(self, keep: bool) {
        if let Some(scratch) = self.scratch {
            scratch.end(keep, self.output).await;
        }
    }

    /// The admin listener, also while control or gateway is just coming back.
    pub(super) async fn admin(&self) -> Outcome<Admin> {
        Patience::new(Output {
            quiet: true,
            ..self.output
        })
        .until_there(async || self.agent.admin().await)
        .await
    }

    pub(super) async fn rows(&self) -> Outcome<Vec<Ps>> {
        self.agent.get("/v1/ps").await
    }

    /// The row of an instance; none while the agent is away.
    pub(super) async fn row(&self, slot: &str) -> Option<Ps> {
        let rows = self.rows().await.ok()?;
        rows.into_iter().find(|row| row.instance == slot)
    }

    /// Waits until all that should be is ready, and each of these instances has another process than it had.
    pub(super) async fn whole(&self, replaced: &[(String, u32)]) -> Result<(), String> {
        let deadline = Instant::now() + RECOVERY_MAX;
        loop {
            let status = self.agent.get::<Status>("/v1/status").await;
            let rows = self.rows().await.unwrap_or_default();
            let old = replaced.iter().find(|(slot, pid)| {
                let row = rows.iter().find(|row| row.instance == *slot);
                row.is_none_or(|row| {
                    row.pid.is_none_or(|now| now == *pid) || row.state != InstanceState::Ready
                })
            });
            if status.as_ref().is_ok_and(|status| status.ready) && old.is_none() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let late: Vec<String> = rows
                    .iter()
                    .filter(|row| !matches!(row.state, InstanceState::Ready | InstanceState::Skipped))
                    .map(|row| format!("{} is {}", row.instance, row.state.as_str()))
                    .collect();
                let old = old.map(|(slot, _)| format!("{slot} has no new process"));
                return Err(format!(
                    "not whole again after {} s: {}",
                    RECOVERY_MAX.as_secs(),
                    late.into_iter().chain(old).collect::<Vec<_>>().join(", ")
                ));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Sends a signal to an instance; its process, and when that was gone.
    pub(super) async fn kill(&self, slot: &str, signal: &str) -> Outcome<(u32, Instant)> {
        let pid = self.signal(slot, signal).await?;
        Ok((pid, gone(pid).await?))
    }

    /// Sends a signal to an instance; its process.
    pub(super) async fn signal(&self, slot: &str, signal: &str) -> Outcome<u32> {
        let body = json!({ "instance": slot, "signal": signal });
        let killed: Killed = self
            .agent
            .post("/v1/kill", &body, Duration::from_secs(10))
            .await?;
        Ok(killed.pid)
    }

    /// Kills the agent alone, and starts another that adopts what runs.
    pub(super) async fn replace_agent(&self) -> Outcome<Instant> {
        let status: Status = self.agent.get("/v1/status").await?;
        let Some(scratch) = &self.scratch else {
            return Err(Failure::failed(
                "the agent of a running system is not ours to kill",
            ));
        };
        let pid = i32::try_from(status.agent_pid).ok().and_then(Pid::from_raw);
        let sent = pid.map(|pid| rustix::process::kill_process(pid, Signal::KILL));
        if !matches!(sent, Some(Ok(()))) {
            return Err(Failure::failed(format!(
                "cannot kill the agent, pid {}",
                status.agent_pid
            )));
        }
        let gone = gone(status.agent_pid).await?;
        if !scratch.up(true).await? {
            return Err(Failure::failed("a new agent does not become ready"));
        }
        Ok(gone)
    }

    /// What the agent told since then.
    pub(super) async fn events(&self, since: Timestamp) -> Vec<Said> {
        let mut said = Vec::new();
        let told = self.agent.lines("/v1/events", |line| {
            if let Ok(event) = serde_json::from_str::<Event>(line)
                && event.ts >= since
            {
                said.push(Said {
                    at: event.ts,
                    text: event.msg,
                });
            }
            said.len() < EVENTS_MAX
        });
        // Without an agent there are none; that it is away is told by what else fails.
        let _ = tokio::time::timeout(Duration::from_secs(2), told).await;
        said
    }

    /// Log lines of a trace.
    pub(super) async fn lines(&self, trace: &str, most: usize) -> Vec<Said> {
        let mut said = Vec::new();
        let path = format!("/v1/logs?trace={trace}&limit={most}");
        let told = self.agent.lines(&path, |line| {
            if let Ok(record) = serde_json::from_str::<Value>(line)
                && let Some(at) = record["ts"].as_str().and_then(|at| at.parse().ok())
            {
                let of = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
                said.push(Said {
                    at,
                    text: format!("{} {}: {}", of("instance"), of("level"), of("msg")),
                });
            }
            said.len() < most
        });
        let _ = tokio::time::timeout(Duration::from_secs(2), told).await;
        said
    }

    /// Where the report of a proof is kept: beside the real manifest.
    pub(super) fn proofs(&self) -> PathBuf {
        let real = self.scratch.as_ref().map(|scratch| scratch.real.as_path());
        super::proofs(real.unwrap_or(self.agent.dir()))
    }
}

async fn edge(agent: &Agent) -> Outcome<String> {
    let status: Status = agent.get("/v1/status").await?;
    Ok(status.edge_url)
}

/// Waits until a process is gone; when it was.
pub(super) async fn gone(pid: u32) -> Outcome<Instant> {
    let deadline = Instant::now() + GONE_WITHIN;
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        if state.is_empty() || state.starts_with(['Z', 'X']) {
            return Ok(Instant::now());
        }
        if Instant::now() > deadline {
            let message = format!(
                "process {pid} is still there {} s after its signal",
                GONE_WITHIN.as_secs()
            );
            return Err(Failure::failed(message));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
