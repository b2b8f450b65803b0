//! `brick kill`: one instance, to see what the others make of it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::failure::Outcome;
use crate::output::Output;

pub(crate) async fn run(agent: &Agent, instance: &str, signal: &str, output: Output) -> Outcome {
    let body = json!({ "instance": instance, "signal": signal });
    let answer: Value = agent.post("/v1/kill", &body, Duration::from_secs(10)).await?;
    output.value(&answer, || {
        format!("sent {signal} to {instance} (pid {})", answer["pid"])
    });
    Ok(())
}
