//! `brick top`: the bricks as they are now, from telemetry and from the kernel.

mod screen;
mod usage;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use self::screen::Screen;
use self::usage::Usage;
use super::ps::text;
use super::up::stop_requested;
use crate::agent::{Admin, Agent};
use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::output::{Format, Output, Table, Tone, line};

/// Traffic of how long is told.
const WINDOW_S: u32 = 10;
/// Time that the first figures of CPU are told over.
const FIRST: Duration = Duration::from_millis(500);

/// A brick or a process of the platform.
#[derive(Debug, Default, Serialize)]
struct Row {
    brick: String,
    instances: u64,
    ready: u64,
    restarts: u64,
    /// Requests served per second.
    rate: Option<f64>,
    /// Share of them that failed, 0 to 1.
    error_rate: Option<f64>,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    /// Of one core, all instances together.
    cpu_percent: Option<f64>,
    /// Resident, all instances together.
    memory_bytes: Option<u64>,
}

pub(crate) async fn run(agent: &Agent, top: &cli::Top, output: Output) -> Outcome {
    let every = top.every.0;
    if every < Duration::from_millis(100) {
        return Err(Failure::usage(format!(
            "expected --every of 100ms or more, found {}",
            top.every
        )));
    }
    let admin = agent.admin().await?;
    let mut usage = Usage::default();
    let mut ps: Vec<Value> = agent.get("/v1/ps").await?;
    usage.sample(&pids(&ps));
    let drawn = output.is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    let live = !top.once && (drawn || output.format != Format::Table);
    if !live || output.format != Format::Table {
        tokio::time::sleep(FIRST).await;
        loop {
            ps = agent.get("/v1/ps").await?;
            let rows = gather(&admin, &ps, &mut usage).await;
            if !live {
                output.rows(&rows, || table(&rows));
                return Ok(());
            }
            for row in &rows {
                line(&serde_json::to_string(row).unwrap_or_default());
            }
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = stop_requested() => return Ok(()),
            }
        }
    }
    let mut screen = Screen::open()?;
    tokio::time::sleep(FIRST).await;
    loop {
        ps = agent.get("/v1/ps").await?;
        let rows = gather(&admin, &ps, &mut usage).await;
        let head = format!(
            "{}  every {}  q ends\n\n",
            agent.dir().display(),
            brick_core::duration::Span(every)
        );
        screen.draw(output.out(Tone::Dim, &head) + &table(&rows).render(output.color_out));
        if !screen.pause(every).await {
            return Ok(());
        }
    }
}

fn pids(ps: &[Value]) -> Vec<u64> {
    ps.iter().filter_map(|row| row["pid"].as_u64()).collect()
}

/// The agent's rows by brick, with traffic where telemetry answers and usage where the kernel does.
async fn gather(admin: &Admin, ps: &[Value], usage: &mut Usage) -> Vec<Row> {
    usage.sample(&pids(ps));
    let path = format!("/api/telemetry/v1/graph?window={WINDOW_S}s");
    let graph: Value = admin.get(&path).await.unwrap_or(Value::Null);
    let mut traffic: BTreeMap<String, &Value> = BTreeMap::new();
    for node in graph["nodes"].as_array().into_iter().flatten() {
        let edge = node["kind"] == "edge";
        traffic.insert(
            if edge {
                "gateway".to_owned()
            } else {
                text(&node["brick"])
            },
            node,
        );
    }
    let mut rows: Vec<Row> = Vec::new();
    for one in ps {
        let brick = text(&one["brick"]);
        let index = rows.iter().position(|row| row.brick == brick).unwrap_or_else(|| {
            let node = traffic.get(&brick);
            let figure = |key: &str| node.and_then(|node| node[key].as_f64());
            rows.push(Row {
                brick,
                rate: figure("rate"),
                error_rate: figure("error_rate"),
                p50_ms: figure("p50_ms"),
                p99_ms: figure("p99_ms"),
                ..Row::default()
            });
            rows.len() - 1
        });
        let row = &mut rows[index];
        row.instances += 1;
        row.ready += u64::from(one["state"] == "ready");
        row.restarts += one["restarts"].as_u64().unwrap_or(0);
        let Some(pid) = one["pid"].as_u64() else {
            continue;
        };
        if let Some(cpu) = usage.cpu_percent(pid) {
            row.cpu_percent = Some(row.cpu_percent.unwrap_or(0.0) + cpu);
        }
        if let Some(bytes) = usage.memory_bytes(pid) {
            row.memory_bytes = Some(row.memory_bytes.unwrap_or(0) + bytes);
        }
    }
    rows
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "brick",
        ">ready",
        ">restarts",
        ">rate/s",
        ">errors",
        ">p50 ms",
        ">p99 ms",
        ">CPU",
        ">memory",
    ]);
    let cell = |value: Option<String>| (value.unwrap_or_else(|| "–".to_owned()), Tone::Plain);
    for row in rows {
        let whole = row.ready == row.instances;
        let failing = row.error_rate.is_some_and(|share| share > 0.0);
        table.row(vec![
            (row.brick.clone(), Tone::Plain),
            (
                format!("{}/{}", row.ready, row.instances),
                if whole { Tone::Good } else { Tone::Warn },
            ),
            (
                row.restarts.to_string(),
                if row.restarts > 0 { Tone::Warn } else { Tone::Dim },
            ),
            cell(row.rate.map(|rate| format!("{rate:.1}"))),
            (
                row.error_rate
                    .map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", share * 100.0)),
                if failing { Tone::Bad } else { Tone::Plain },
            ),
            cell(row.p50_ms.map(|ms| format!("{ms:.1}"))),
            cell(row.p99_ms.map(|ms| format!("{ms:.1}"))),
            cell(row.cpu_percent.map(|cpu| format!("{cpu:.1} %"))),
            cell(
                row.memory_bytes
                    .map(|bytes| format!("{:.1} MB", bytes as f64 / 1e6)),
            ),
        ]);
    }
    table
}
