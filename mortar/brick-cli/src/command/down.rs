//! `brick down`: stops the system and, if asked, deletes its data.

use std::time::Duration;

use serde_json::Value;

use crate::agent::Agent;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Tone};

/// A system stops within its bricks' grace times; this is the end of patience.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) async fn run(agent: &Agent, volumes: bool, output: Output) -> Outcome {
    let folder = agent.dir().join(".brickwork");
    let question = format!("delete all data, logs and telemetry in {}?", folder.display());
    if volumes && !output.confirm(&question)? {
        output.progress("nothing was done");
        return Ok(());
    }
    let stopped = match agent.tell("/v1/down").await {
        Ok(()) => true,
        Err(failure) => stop_what_a_lost_agent_left(agent, volumes, failure).await?,
    };
    if stopped {
        wait_until_gone(agent).await?;
        output.progress(&output.err(Tone::Good, "stopped"));
    }
    if volumes {
        remove_data(agent, output)?;
    }
    Ok(())
}

/// No agent answers: what an earlier one left running is stopped. Where there is nothing, the failure stands unless
/// only data is to be deleted.
async fn stop_what_a_lost_agent_left(agent: &Agent, volumes: bool, failure: Failure) -> Outcome<bool> {
    if failure.code != brick_core::ExitCode::Unreachable || !agent.dir().join(".brickwork").exists() {
        return Err(failure);
    }
    match mortar_agent::stop_left_behind(agent.dir()).await {
        Ok(0) if volumes => Ok(false),
        Ok(0) => Err(failure),
        Ok(_) => Ok(true),
        Err(error) => Err(Failure::failed(brick_core::chain(&error))),
    }
}

async fn wait_until_gone(agent: &Agent) -> Outcome {
    let deadline = tokio::time::Instant::now() + LIMIT;
    while agent.get::<Value>("/v1/status").await.is_ok() {
        if tokio::time::Instant::now() > deadline {
            let message = format!("the agent still answers after {} s", LIMIT.as_secs());
            return Err(Failure::new(brick_core::ExitCode::Unhealthy, message).hint("see `brick ps`"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Deletes everything the system keeps, and only what is Brickwork's own.
fn remove_data(agent: &Agent, output: Output) -> Outcome {
    let folder = agent.dir().join(".brickwork");
    match std::fs::remove_dir_all(&folder) {
        Ok(()) => output.progress(&format!("removed {}", folder.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(Failure::failed(format!(
                "cannot remove {}: {error}",
                folder.display()
            )));
        }
    }
    Ok(())
}
