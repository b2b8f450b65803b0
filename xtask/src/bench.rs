//! `cargo xtask bench NAME`: the budgets of the design, measured on the machine at hand.
//!
//! Every benchmark gives rows of one shape, so that a table, a dashboard and a gate read the same figures. A row
//! with a goal that is not met makes the command fail. Where a peer was measured in the same run its value and the
//! ratio (ours to theirs) stand beside ours.

use std::path::Path;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;

mod client;
mod control;
mod dataplane;
mod routes;
mod startup;
mod system;

/// What to measure and how to show it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What to measure
    name: Name,
    /// Shorter rounds: enough to see that it works, too short to compare
    #[arg(long)]
    quick: bool,
    /// How to show the rows
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Name {
    /// Platform and shop: time to ready, memory under load, size of the binary
    Startup,
    /// Gateway against nginx, haproxy and Envoy: CPU per request, memory, p99; wants `--profile dist` built
    Dataplane,
    /// Twenty reloads and a new gateway process under load: no request may fail; wants the release profile built
    Reload,
    /// What a match costs among 10, 1,000 and 10,000 routes
    Routes,
    /// The SDK's client over bare hyper: processor time per call
    Client,
    /// Control with a thousand instances and subscribers: spread of changes, registry writes, memory; wants the release
    /// profile built
    Control,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Json,
}

/// One measured figure; less is better for all that have a goal, which is of the ratio where a peer was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    measure: String,
    unit: &'static str,
    ours: f64,
    peer: Option<String>,
    peer_value: Option<f64>,
    ratio: Option<f64>,
    goal: Option<f64>,
    met: Option<bool>,
}

impl Row {
    /// A figure without a peer, with the most that it may be.
    fn at_most(measure: impl Into<String>, unit: &'static str, ours: f64, goal: f64) -> Self {
        Self {
            goal: Some(goal),
            met: Some(ours <= goal),
            ..Self::plain(measure, unit, ours)
        }
    }

    /// A figure beside that of a peer, with the most that the ratio may be.
    fn against(
        measure: String,
        unit: &'static str,
        ours: f64,
        peer: &str,
        peer_value: f64,
        ratio_max: Option<f64>,
    ) -> Self {
        let ratio = ours / peer_value;
        Self {
            peer: Some(peer.to_owned()),
            peer_value: Some(peer_value),
            ratio: Some(ratio),
            goal: ratio_max,
            met: ratio_max.map(|most| ratio <= most),
            ..Self::plain(measure, unit, ours)
        }
    }

    /// A figure without a peer and without a goal.
    fn plain(measure: impl Into<String>, unit: &'static str, ours: f64) -> Self {
        Self {
            measure: measure.into(),
            unit,
            ours,
            peer: None,
            peer_value: None,
            ratio: None,
            goal: None,
            met: None,
        }
    }
}

/// Measures and prints; whether every goal was met.
pub(crate) fn run(root: &Path, options: &Options) -> Result<bool> {
    let rows = match options.name {
        Name::Startup => startup::measure(root, options.quick)?,
        Name::Dataplane => dataplane::measure(root, options.quick)?,
        Name::Reload => dataplane::reload::measure(root, options.quick)?,
        Name::Routes => routes::measure(root, options.quick)?,
        Name::Client => client::measure(root, options.quick)?,
        Name::Control => control::measure(root, options.quick)?,
    };
    match options.format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&rows)?),
        Format::Table => print!("{}", table(&rows)),
    }
    Ok(rows.iter().all(|row| row.met != Some(false)))
}

fn table(rows: &[Row]) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
    let head = [
        "measure",
        "unit",
        "ours",
        "peer",
        "peer_value",
        "ratio",
        "goal",
        "met",
    ]
    .map(str::to_owned);
    let mut lines = vec![head];
    lines.extend(rows.iter().map(|row| {
        [
            row.measure.clone(),
            row.unit.to_owned(),
            number(Some(row.ours)),
            row.peer.clone().unwrap_or_else(|| "-".to_owned()),
            number(row.peer_value),
            number(row.ratio),
            number(row.goal),
            row.met
                .map_or("-", |met| if met { "yes" } else { "NO" })
                .to_owned(),
        ]
    }));
    let mut widths = [0; 8];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.len().max(*width);
        }
    }
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<String> = line
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_or_said_not_to_be() {
        let rows = [
            Row::at_most("ready", "s", 1.2, 1.5),
            Row::at_most("resident", "MB", 200.0, 150.0),
            Row::plain("requests", "1/s", 50.0),
        ];
        assert_eq!(
            table(&rows),
            "measure   unit  ours    peer  peer_value  ratio  goal    met\n\
             ready     s     1.20    -     -           -      1.50    yes\n\
             resident  MB    200.00  -     -           -      150.00  NO\n\
             requests  1/s   50.00   -     -           -      -       -\n"
        );
    }
}
