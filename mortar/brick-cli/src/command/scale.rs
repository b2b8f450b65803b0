//! `brick scale`: how many instances of a brick run.

use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::failure::Outcome;
use crate::output::{Output, count};

pub(crate) async fn run(agent: &Agent, brick: &str, replicas: u32, output: Output) -> Outcome {
    let mut body = json!({ "brick": brick, "replicas": replicas });
    if let Some((name, version)) = brick.split_once('@') {
        body = json!({ "brick": name, "version": version, "replicas": replicas });
    }
    let answer: Value = agent.post("/v1/scale", &body, Duration::from_secs(60)).await?;
    output.value(&answer, || {
        format!(
            "{brick} now has {}; see `brick ps`",
            count(replicas as usize, "instance")
        )
    });
    Ok(())
}
