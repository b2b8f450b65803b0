//! `brick scale`: how many instances of a brick run.

use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::failure::Outcome;
use crate::output::{Output, count};

pub(crate) async fn run(agent: &Agent, brick: &str, replicas: Option<u32>, output: Output) -> Outcome {
    let mut body = json!({ "brick": brick, "replicas": replicas });
    if let Some((name, version)) = brick.split_once('@') {
        body = json!({ "brick": name, "version": version, "replicas": replicas });
    }
    let answer: Value = agent.post("/v1/scale", &body, Duration::from_secs(60)).await?;
    output.value(&answer, || {
        let number = match replicas {
            Some(replicas) => count(replicas as usize, "instance"),
            None => "as many instances as the manifest says".to_owned(),
        };
        format!("{brick} now has {number}; see `brick ps`")
    });
    Ok(())
}
