//! `brick quarantine`: an instance leaves its pool and runs on.

use serde_json::{Value, json};

use super::ps::text;
use super::segment;
use crate::agent::Agent;
use crate::cli;
use crate::failure::Outcome;
use crate::output::Output;

pub(crate) async fn run(agent: &Agent, quarantine: cli::Quarantine, output: Output) -> Outcome {
    let admin = agent.admin().await?;
    let instance = &quarantine.instance;
    let path = format!("/api/registry/v1/instances/{}/quarantine", segment(instance));
    if quarantine.release {
        admin.delete(&path).await?;
        output.value(&json!({ "instance": instance, "quarantined": null }), || {
            format!("{instance} takes requests again")
        });
        return Ok(());
    }
    let body = json!({ "reason": agent.why().unwrap_or_default() });
    let view: Value = admin.post(&path, &body).await?;
    output.value(&view, || {
        format!(
            "{instance} left its pool and runs on; callers reach it as http://{}.brick; `brick quarantine --release {instance}` takes it back",
            text(&view["own_name"])
        )
    });
    Ok(())
}
