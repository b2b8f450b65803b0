//! `brick ps`: the instances.

use serde_json::Value;

use crate::agent::Agent;
use crate::failure::Outcome;
use crate::output::{Output, Table, Tone};

pub(crate) async fn run(agent: &Agent, output: Output) -> Outcome {
    let rows: Vec<Value> = agent.get("/v1/ps").await?;
    output.rows(&rows, || table(&rows));
    Ok(())
}

fn table(rows: &[Value]) -> Table {
    let mut table = Table::new(&[
        "brick",
        "version",
        "instance",
        "zone",
        "state",
        ">pid",
        ">port",
        ">restarts",
    ]);
    for row in rows {
        let cell = |key: &str| text(&row[key]);
        let state = cell("state");
        let tone = state_tone(&state);
        table.row(vec![
            (cell("brick"), Tone::Plain),
            (cell("version"), Tone::Dim),
            (cell("instance"), Tone::Plain),
            (cell("zone"), Tone::Dim),
            (state, tone),
            (cell("pid"), Tone::Plain),
            (cell("port"), Tone::Plain),
            (
                cell("restarts"),
                if row["restarts"].as_u64().unwrap_or(0) > 0 {
                    Tone::Warn
                } else {
                    Tone::Dim
                },
            ),
        ]);
    }
    table
}

/// The tone in which a state of an instance is shown.
pub(crate) fn state_tone(state: &str) -> Tone {
    match state {
        "ready" => Tone::Good,
        "failed" | "crash-loop" => Tone::Bad,
        "stopped" | "skipped" => Tone::Dim,
        _ => Tone::Warn,
    }
}

/// A JSON value as a cell: text as it is, nothing for null.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
