//! `brick logs`: what the bricks said, merged in order of time.

use serde_json::Value;

use super::ps::text;
use crate::agent::{Agent, query};
use crate::cli;
use crate::failure::Outcome;
use crate::output::{Format, Output, Tone, line, plain};

pub(crate) async fn run(agent: &Agent, logs: cli::Logs, output: Output) -> Outcome {
    let path = format!(
        "/v1/logs{}",
        query(&[
            ("brick", logs.brick),
            ("since", logs.since.map(|span| span.to_string())),
            ("grep", logs.grep),
            ("trace", logs.trace),
            ("limit", Some(logs.limit.to_string())),
            ("follow", logs.follow.then(|| "true".to_owned())),
        ])
    );
    if output.format == Format::Json && !logs.follow {
        let mut records: Vec<Value> = Vec::new();
        agent
            .lines(&path, |record| {
                serde_json::from_str(record).map(|r| records.push(r)).is_ok()
            })
            .await?;
        output.value(&records, String::new);
        return Ok(());
    }
    let show = |record: &str| {
        match (output.format, serde_json::from_str::<Value>(record)) {
            (Format::Table, Ok(record)) => line(&for_people(&record, output)),
            _ => line(record),
        }
        true
    };
    tokio::select! {
        outcome = agent.lines(&path, show) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// One record as people read it: time of day, instance, level, message.
pub(crate) fn for_people(record: &Value, output: Output) -> String {
    let ts = text(&record["ts"]);
    let clock = ts.get(11..23).unwrap_or(&ts);
    let level = text(&record["level"]);
    let tone = match level.as_str() {
        "error" => Tone::Bad,
        "warn" => Tone::Warn,
        "debug" | "trace" => Tone::Dim,
        _ => Tone::Plain,
    };
    let who = format!("{:<16}", plain(&text(&record["instance"])));
    format!(
        "{} {} {} {}",
        output.out(Tone::Dim, &plain(clock)),
        output.out(Tone::Good, &who),
        output.out(tone, &format!("{level:<5}")),
        output.out(tone, &plain(&text(&record["msg"]))),
    )
}
