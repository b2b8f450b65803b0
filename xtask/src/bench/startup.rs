//! Start of platform and shop: time to ready, memory of the platform under load, size of the binary.
//!
//! Runs the built `brick` as a user would, on a copy of the shop with free ports, and reads what it says.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::Row;
use super::system::{self, System};

/// Time to ready in seconds: first start, and start with everything in place.
const FIRST_READY_S: f64 = 1.5;
const LATER_READY_S: f64 = 1.0;
/// Resident memory of all platform processes together, under load.
const RESIDENT_MB: f64 = 150.0;
/// Size of the stripped binary.
const BINARY_MB: f64 = 60.0;

const PLATFORM: [&str; 4] = ["control", "gateway", "telemetry", "broker"];

pub(super) fn measure(root: &Path, quick: bool) -> Result<Vec<Row>> {
    let system = System::new(root, "release", system::scratch("startup"))?;
    copy(&root.join("systems/shop"), &system.folder)?;
    let mut rows = vec![Row::at_most(
        "ready, first start",
        "s",
        ready(&system)?,
        FIRST_READY_S,
    )];
    let length = if quick { "5s" } else { "30s" };
    let gateway = system.pid("gateway")?;
    let before = system::cpu_ms(gateway)?;
    let load = system.json(&["load", "checkout", "--rps", "50", "--for", length])?;
    let spent = system::cpu_ms(gateway)? - before;
    for (measure, key, unit) in [
        ("load, rate", "rps", "1/s"),
        ("load, errors", "errors", "requests"),
        ("load, p99", "p99_ms", "ms"),
    ] {
        let value = load[key]
            .as_f64()
            .with_context(|| format!("`brick load` says no {key}"))?;
        rows.push(Row::plain(measure, unit, value));
    }
    let requests = load["requests"]
        .as_f64()
        .filter(|requests| *requests > 0.0)
        .context("`brick load` says no requests")?;
    rows.push(Row::plain(
        "gateway, CPU per request",
        "µs",
        spent * 1_000.0 / requests,
    ));
    rows.push(Row::at_most(
        "platform resident under load",
        "MB",
        resident_mb(&system)?,
        RESIDENT_MB,
    ));
    system.down()?;
    rows.push(Row::at_most(
        "ready, later start",
        "s",
        ready(&system)?,
        LATER_READY_S,
    ));
    system.down()?;
    rows.push(Row::at_most(
        "binary, stripped",
        "MB",
        binary_mb(&system)?,
        BINARY_MB,
    ));
    Ok(rows)
}

/// Starts all and answers the seconds that `brick up` says it took.
fn ready(system: &System) -> Result<f64> {
    let said = system.up()?;
    ready_in(&said).with_context(|| format!("`brick up` did not say `ready in`; it said:\n{said}"))
}

/// Resident memory of the agent and the platform's processes together.
fn resident_mb(system: &System) -> Result<f64> {
    let instances = system.instances()?;
    let platform = instances
        .iter()
        .filter(|instance| PLATFORM.contains(&instance["brick"].as_str().unwrap_or_default()));
    let mut pids: Vec<u64> = platform.filter_map(|instance| instance["pid"].as_u64()).collect();
    if pids.is_empty() {
        bail!("`brick ps` names no process of the platform");
    }
    pids.push(system.agent_pid()?);
    let mut bytes = 0;
    for pid in pids {
        bytes += system::resident_bytes(pid)?;
    }
    Ok(bytes as f64 / 1e6)
}

fn binary_mb(system: &System) -> Result<f64> {
    let stripped = system.folder.join("brick-stripped");
    let output = Command::new("strip")
        .arg("-o")
        .args([&stripped, &system.brick])
        .output()
        .context("cannot run strip; Debian: apt-get install binutils")?;
    system::succeeded("strip", &output)?;
    let bytes = fs::metadata(&stripped).context("strip wrote nothing")?.len();
    Ok(bytes as f64 / 1e6)
}

/// Copies a system's folder without what a run left in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            if entry.file_name() != ".brickwork" {
                copy(&entry.path(), &target)?;
            }
        } else {
            fs::copy(entry.path(), &target)
                .with_context(|| format!("cannot copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// Seconds behind the last `ready in`: `812 ms`, `1.24 s`, `1.24s`.
fn ready_in(said: &str) -> Option<f64> {
    let (_, rest) = said.rsplit_once("ready in ")?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    let (number, unit) = rest.split_at(end);
    let number: f64 = number.trim_end_matches('.').parse().ok()?;
    let unit = unit.trim_start();
    if unit.starts_with("ms") {
        Some(number / 1000.0)
    } else if unit.starts_with('s') {
        Some(number)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_ready_is_read_as_it_is_said() {
        for (said, expect) in [
            ("order/1 ready in 0.2 s\nready in 812 ms\nhttp://…", Some(0.812)),
            ("ready in 1.24 s", Some(1.24)),
            ("ready in 1.24s.", Some(1.24)),
            ("ready in a while", None),
            ("ready", None),
        ] {
            assert_eq!(ready_in(said), expect, "{said}");
        }
    }
}
