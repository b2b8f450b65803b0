//! What the SDK's client costs a caller over bare hyper: processor time per call, alternating rounds in one process.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::Row;
use super::system;

/// Calls of one round.
const CALLS: u32 = 20_000;
/// Most processor time that a call may cost beside hyper's own, in microseconds.
const COST_US: f64 = 15.0;
/// Most that admission and outcome of a call may cost, in nanoseconds.
const ADMISSION_NS: f64 = 300.0;

/// What `brick-http/examples/client_cost.rs` prints.
#[derive(Debug, Deserialize)]
struct Measured {
    sdk_us: f64,
    bare_us: f64,
    admit_ns: f64,
}

pub(super) fn measure(root: &Path, quick: bool) -> Result<Vec<Row>> {
    let calls = if quick { CALLS / 10 } else { CALLS };
    let program = system::example(root, "dist", "brick-http", "client_cost")?;
    let run = Command::new(program)
        .arg(calls.to_string())
        .output()
        .context("cannot run the benchmark")?;
    system::succeeded("client_cost", &run)?;
    let measured: Measured = serde_json::from_slice(&run.stdout).context("the benchmark says no figures")?;
    Ok(rows(&measured))
}

fn rows(measured: &Measured) -> Vec<Row> {
    let (sdk, bare) = (measured.sdk_us, measured.bare_us);
    let call = Row::against("call cpu".to_owned(), "us", sdk, "hyper", bare, None);
    vec![
        call,
        Row::at_most("call over hyper", "us", sdk - bare, COST_US),
        Row::at_most("admission", "ns", measured.admit_ns, ADMISSION_NS),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_goal_is_about_the_difference() {
        let rows = rows(&Measured {
            sdk_us: 40.0,
            bare_us: 24.0,
            admit_ns: 200.0,
        });
        let met: Vec<_> = rows.iter().map(|row| row.met).collect();
        assert_eq!(met, [None, Some(false), Some(true)]);
    }
}
