//! `brick ps`: the instances.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::agent::Agent;
use crate::failure::Outcome;
use crate::output::{Format, Output, Table, Tone, line, plain};

/// How often the agent is asked while following.
const EVERY: Duration = Duration::from_millis(250);

pub(crate) async fn run(agent: &Agent, follow: bool, output: Output) -> Outcome {
    let rows: Vec<Value> = agent.get("/v1/ps").await?;
    if !follow {
        output.rows(&rows, || table(&rows));
        return Ok(());
    }
    tokio::select! {
        outcome = watch(agent, rows, output) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// A row for each instance, then one for each that changes or goes, until the agent is gone.
async fn watch(agent: &Agent, rows: Vec<Value>, output: Output) -> Outcome {
    let mut seen: BTreeMap<String, Value> = BTreeMap::new();
    let mut head = true;
    let mut next = rows;
    loop {
        let mut news: Vec<Value> = Vec::new();
        let here: BTreeMap<String, Value> = next
            .into_iter()
            .map(|row| (text(&row["instance"]), row))
            .collect();
        news.extend(
            here.iter()
                .filter(|(name, row)| seen.get(*name) != Some(*row))
                .map(|(_, row)| row.clone()),
        );
        for (_, row) in seen.iter().filter(|(name, _)| !here.contains_key(*name)) {
            let mut gone = row.clone();
            gone["state"] = "gone".into();
            gone["pid"] = Value::Null;
            news.push(gone);
        }
        for row in &news {
            if output.format == Format::Table {
                line(&follow_row(row, std::mem::take(&mut head), output));
            } else {
                line(&row.to_string());
            }
        }
        seen = here;
        tokio::time::sleep(EVERY).await;
        next = match agent.get("/v1/ps").await {
            Ok(rows) => rows,
            Err(_) => {
                output.progress("the agent is gone");
                return Ok(());
            }
        };
    }
}

/// A row by itself: fixed widths, for what comes later is not known; with the heads before the first one.
fn follow_row(row: &Value, head: bool, output: Output) -> String {
    let state = state(row);
    let draw = |name: &str, state: &str, tone: Tone, pid: &str, restarts: &str| {
        let state = output.out(tone, &format!("{state:<11}"));
        format!("{:<24} {state} {pid:>8} {restarts:>9}", plain(name))
    };
    let first = if head {
        draw("instance", "state", Tone::Dim, "pid", "restarts") + "\n"
    } else {
        String::new()
    };
    let tone = state_tone(&state);
    first
        + &draw(
            &text(&row["instance"]),
            &plain(&state),
            tone,
            &text(&row["pid"]),
            &text(&row["restarts"]),
        )
}

/// The state in a word; of one that is ready and out of its pool, that.
fn state(row: &Value) -> String {
    match row["quarantined"].as_bool() {
        Some(true) if row["state"] == "ready" => "quarantined".to_owned(),
        _ => text(&row["state"]),
    }
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
        let state = state(row);
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
        "stopped" | "skipped" | "gone" => Tone::Dim,
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
