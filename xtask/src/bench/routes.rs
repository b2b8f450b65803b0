//! What a match costs among many routes, in a program of `mortar-proxy` that prints nanoseconds.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::Row;

/// What a match among the most routes may cost.
const GOAL_NS: f64 = 1_000.0;

pub(super) fn measure(root: &Path, quick: bool) -> Result<Vec<Row>> {
    let counts: &[usize] = if quick { &[10_000] } else { &[10, 1_000, 10_000] };
    let mut rows = Vec::new();
    for count in counts {
        let measure = format!("match among {count} routes");
        let ns = run(root, *count)?;
        rows.push(match *count {
            10_000 => Row::at_most(measure, "ns", ns, GOAL_NS),
            _ => Row::plain(measure, "ns", ns),
        });
    }
    Ok(rows)
}

fn run(root: &Path, count: usize) -> Result<f64> {
    let output = Command::new("cargo")
        .args([
            "run",
            "--release",
            "-q",
            "-p",
            "mortar-proxy",
            "--example",
            "routes",
            "--",
        ])
        .arg(count.to_string())
        .current_dir(root)
        .output()
        .context("cannot run cargo")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the example failed: {error}");
    text.trim()
        .parse()
        .with_context(|| format!("expected nanoseconds, found {text:?}; {error}"))
}
