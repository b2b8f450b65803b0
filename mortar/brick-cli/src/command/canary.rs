//! `brick canary`: a version whose share grows while it does well.

use brick_core::duration::Span;
use serde_json::{Value, json};

use super::ps::text;
use super::segment;
use crate::agent::Agent;
use crate::cli;
use crate::failure::Outcome;
use crate::output::{Output, Table, Tone};

pub(crate) async fn run(agent: &Agent, canary: cli::Canary, output: Output) -> Outcome {
    let admin = agent.admin().await?;
    let path = |brick: &str| format!("/api/canaries/v1/{}", segment(brick));
    let view: Value = match canary {
        cli::Canary::Ls => {
            let answer: Value = admin.get("/api/canaries/v1").await?;
            let items = answer["items"].as_array().cloned().unwrap_or_default();
            if items.is_empty() {
                output.note("there was no canary yet; `brick canary start BRICK VERSION` begins one");
            }
            output.rows(&items, || table(&items));
            return Ok(());
        }
        cli::Canary::Start(start) => {
            let hold_ms = start.hold.map(|hold| hold.0.as_millis() as u64);
            let body = json!({
                "version": start.version, "steps": start.steps, "hold_ms": hold_ms,
                "limits": { "error_rate": start.errors, "p99_times": start.slower, "min_calls": start.min_calls },
            });
            admin.post(&path(&start.brick), &body).await?
        }
        cli::Canary::Promote { brick } => {
            admin
                .post(&format!("{}/promote", path(&brick)), &json!({}))
                .await?
        }
        cli::Canary::Abort { brick } => admin.post(&format!("{}/abort", path(&brick)), &json!({})).await?,
    };
    output.value(&view, || {
        let (brick, version, share) = (text(&view["brick"]), text(&view["version"]), &view["share"]);
        match view["phase"].as_str() {
            Some("running") => format!(
                "{brick}: {version} has {share} %; its steps are {} %, each for {} at least; `brick canary` shows how it does",
                steps(&view),
                Span::from_millis(view["hold_ms"].as_u64().unwrap_or(0)),
            ),
            phase => format!(
                "{brick}: {version} is {}, it has {share} %",
                phase.unwrap_or_default()
            ),
        }
    });
    Ok(())
}

/// Its shares, one after the other.
fn steps(canary: &Value) -> String {
    let steps = canary["steps"].as_array().into_iter().flatten();
    steps.map(Value::to_string).collect::<Vec<_>>().join(",")
}

fn table(items: &[Value]) -> Table {
    let mut table = Table::new(&[
        "brick", "version", "against", "phase", ">share", "steps", "since", "reason",
    ]);
    for item in items {
        let tone = match item["phase"].as_str() {
            Some("aborted") => Tone::Bad,
            Some("promoted") => Tone::Good,
            _ => Tone::Warn,
        };
        table.row(vec![
            (text(&item["brick"]), Tone::Plain),
            (text(&item["version"]), Tone::Plain),
            (text(&item["base"]), Tone::Dim),
            (text(&item["phase"]), tone),
            (format!("{} %", item["share"]), Tone::Plain),
            (steps(item), Tone::Dim),
            (text(&item["stepped"]), Tone::Dim),
            (text(&item["reason"]), Tone::Plain),
        ]);
    }
    table
}
