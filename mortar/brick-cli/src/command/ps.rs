//! `brick ps`: the instances, those among them that no agent started.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::failure::Outcome;
use crate::output::{Format, Output, Table, Tone, count, line, plain};

/// How often the agent is asked while following.
const EVERY: Duration = Duration::from_millis(250);
/// How long control may take: without it the instances of this machine are shown all the same.
const REGISTRY_MAX: Duration = Duration::from_secs(1);

pub(crate) async fn run(agent: &Agent, follow: bool, output: Output) -> Outcome {
    let mut rows: Vec<Value> = agent.get("/v1/ps").await?;
    let registry = registry(agent).await;
    rows = with_outsiders(rows, &registry);
    if !follow {
        output.rows(&rows, || table(&rows));
        for note in elastic(&rows) {
            output.note(&note);
        }
        if registry["preserving"] == true {
            let kept = registry["kept"].as_u64().unwrap_or(0);
            output.note(&format!(
                "control lost sight of most instances at once, and keeps {} of which it hears nothing",
                count(usize::try_from(kept).unwrap_or(usize::MAX), "instance")
            ));
        }
        return Ok(());
    }
    tokio::select! {
        outcome = watch(agent, rows, output) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// What control has registered; nothing while it is away.
async fn registry(agent: &Agent) -> Value {
    let asked = tokio::time::timeout(REGISTRY_MAX, agent.get("/v1/registry")).await;
    asked.ok().and_then(Result::ok).unwrap_or_default()
}

/// The rows with one more for each instance that no agent started; those that control keeps unheard say so.
fn with_outsiders(mut rows: Vec<Value>, registry: &Value) -> Vec<Value> {
    for one in registry["items"].as_array().into_iter().flatten() {
        let at = rows
            .iter()
            .position(|row| row["incarnation"] == one["incarnation"]);
        let is_kept = one["state"] == "kept";
        if let Some(row) = at.and_then(|at| rows.get_mut(at)).filter(|_| is_kept) {
            row["kept"] = true.into();
        }
        if one["outsider"].is_null() {
            continue;
        }
        let of = match one["concurrent"] == true {
            true => format!("{}@{}", text(&one["brick"]), text(&one["version"])),
            false => text(&one["brick"]),
        };
        rows.push(json!({
            "brick": one["brick"], "version": one["version"], "instance": format!("{of}/{}", text(&one["slot"])),
            "zone": one["zone"], "state": one["state"], "pid": null, "port": port(&one["addr"]), "restarts": null,
            "incarnation": one["incarnation"], "addr": one["addr"], "outsider": one["outsider"],
            "joined": one["joined"], "lease_ms": one["lease_ms"], "lease_ends": one["lease_ends"],
        }));
    }
    rows
}

/// The port of an address.
fn port(addr: &Value) -> Option<u16> {
    let addr: SocketAddr = addr.as_str()?.parse().ok()?;
    Some(addr.port())
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
            .map(without_figures)
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
            Ok(rows) => with_outsiders(rows, &registry(agent).await),
            Err(_) => {
                output.progress("the agent is gone");
                return Ok(());
            }
        };
    }
}

/// A lease is renewed and requests are counted all the time, which is no news.
fn without_figures(mut row: Value) -> Value {
    if let Some(row) = row.as_object_mut() {
        row.remove("lease_ms");
        row.remove("lease_ends");
        row.remove("elastic");
    }
    row
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
        _ if row["kept"] == true => "kept".to_owned(),
        _ => text(&row["state"]),
    }
}

fn table(rows: &[Value]) -> Table {
    let own = [
        "brick",
        "version",
        "instance",
        "zone",
        "state",
        ">pid",
        ">port",
        ">restarts",
    ];
    // What is said of outsiders alone has columns where there are some.
    let has_outsiders = rows.iter().any(|row| !row["outsider"].is_null());
    let further: &[&str] = if has_outsiders {
        &["outsider", ">lease"]
    } else {
        &[]
    };
    let mut table = Table::new(&[&own[..], further].concat());
    for row in rows {
        let cell = |key: &str| text(&row[key]);
        let state = state(row);
        let tone = state_tone(&state);
        let mut cells = vec![
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
        ];
        if has_outsiders {
            cells.push((cell("outsider"), Tone::Plain));
            let left = row["lease_ms"].as_u64();
            let left = left.map_or_else(String::new, |ms| format!("{} s", ms.div_ceil(1_000)));
            cells.push((left, Tone::Dim));
        }
        table.row(cells);
    }
    table
}

/// A line for each brick whose number of instances follows its requests.
fn elastic(rows: &[Value]) -> Vec<String> {
    let mut lines = BTreeMap::new();
    for row in rows.iter().filter(|row| row["elastic"].is_object()) {
        let (brick, told) = (text(&row["brick"]), &row["elastic"]);
        let seen = match told["rps"].as_u64() {
            Some(rps) => format!("{rps} requests/s at {} for each", told["target_rps"]),
            None => "its requests are not known yet".to_owned(),
        };
        let (replicas, min, max) = (&told["replicas"], &told["min"], &told["max"]);
        let line = match told["by_hand"] == true {
            true => format!(
                "{brick}: {replicas} of {min} to {max} instances, set by hand; {seen}; `brick scale {brick}=auto` ends that"
            ),
            false => format!("{brick}: {replicas} of {min} to {max} instances; {seen}"),
        };
        lines.insert(brick, line);
    }
    lines.into_values().collect()
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
