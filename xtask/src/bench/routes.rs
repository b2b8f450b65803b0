//! What a match costs among many routes, in a program of `mortar-proxy` that prints nanoseconds.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Row;
use super::system;

/// What a match among the most routes may cost.
const GOAL_NS: f64 = 1_000.0;

pub(super) fn measure(root: &Path, quick: bool) -> Result<Vec<Row>> {
    let counts: &[usize] = if quick { &[10_000] } else { &[10, 1_000, 10_000] };
    let program = system::example(root, "release", "mortar-proxy", "routes")?;
    let mut rows = Vec::new();
    for count in counts {
        let measure = format!("match among {count} routes");
        let ns = run(&program, *count)?;
        rows.push(match *count {
            10_000 => Row::at_most(measure, "ns", ns, GOAL_NS),
            _ => Row::plain(measure, "ns", ns),
        });
    }
    Ok(rows)
}

fn run(program: &Path, count: usize) -> Result<f64> {
    let output = Command::new(program)
        .arg(count.to_string())
        .output()
        .context("cannot run the example")?;
    system::succeeded("routes", &output)?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .with_context(|| format!("expected nanoseconds, found {text:?}"))
}
