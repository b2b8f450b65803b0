//! Control under a thousand instances of a hundred bricks, each of them a subscriber of ten resources.
//!
//! The system is one of bricks that register themselves, run by `brick up`; the instances are tasks of one driver, whose
//! processor time is told apart from control's.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::Row;
use super::system::{self, System};

const BRICKS: usize = 100;
/// Until every watcher sees a change of endpoints, 99th of 100, in ms.
const ENDPOINTS_MS: f64 = 250.0;
/// Until a change of every brick's configuration is acknowledged by all thousand instances, in ms.
const CONFIG_MS: f64 = 1_000.0;
const RESIDENT_MB: f64 = 150.0;
/// Writes to the registry that are asked for, a second; answered must be nearly all within the time.
const WRITES_PER_S: f64 = 5_000.0;

/// What `brick-bus/examples/control_load.rs` prints.
#[derive(Debug, Deserialize)]
struct Measured {
    instances: f64,
    started_s: f64,
    endpoint_sights: f64,
    endpoint_p50_ms: f64,
    endpoint_p99_ms: f64,
    endpoint_max_ms: f64,
    config_one_p99_ms: f64,
    config_all_ms: f64,
    writes_per_s: f64,
    writes_failed: f64,
    write_p99_ms: f64,
}

pub(super) fn measure(root: &Path, quick: bool) -> Result<Vec<Row>> {
    let system = System::new(root, "release", system::scratch("control"))?;
    fs::create_dir_all(&system.folder).context("cannot make a folder for the system")?;
    fs::write(system.folder.join("brick.toml"), manifest()).context("cannot write the manifest")?;
    let driver = system::example(root, "release", "brick-bus", "control_load")?;
    system.up()?;
    let status = system.json(&["status"])?;
    let port = status["ports"]["control/1"]
        .as_u64()
        .context("`brick status` does not name control's port")?;
    let control = system.pid("control")?;
    let before = system::cpu_ms(control)?;
    let run = Command::new(driver)
        .arg(format!("http://127.0.0.1:{port}"))
        .arg(system.folder.join(".brickwork/keys/bootstrap"))
        .arg(if quick { "1" } else { "5" })
        .output()
        .context("cannot run the driver")?;
    system::succeeded("control_load", &run)?;
    let spent = system::cpu_ms(control)? - before;
    let resident = system::resident_bytes(control)? as f64 / 1e6;
    let measured: Measured = serde_json::from_slice(&run.stdout).context("the driver says no figures")?;
    system.down()?;
    Ok(rows(&measured, spent, resident))
}

/// Bricks that nobody starts here: their instances register themselves.
fn manifest() -> String {
    let mut text = "brickwork = 1\n[system]\nname = \"control-load\"\n".to_owned();
    for brick in 0..BRICKS {
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "\n[brick.b{brick}]\nregisters = true\n\n[config.b{brick}]\nlimit = 1\n"
        );
    }
    text
}

fn rows(measured: &Measured, cpu_ms: f64, resident_mb: f64) -> Vec<Row> {
    let mut writes = Row::plain("registry writes answered", "1/s", measured.writes_per_s);
    writes.goal = Some(WRITES_PER_S);
    // The last of a paced load is answered a moment after it was due.
    writes.met = Some(measured.writes_failed == 0.0 && measured.writes_per_s >= 0.98 * WRITES_PER_S);
    vec![
        Row::plain("instances, each a subscriber", "", measured.instances),
        Row::plain("registered and all seen", "s", measured.started_s),
        Row::plain(
            "endpoint changes seen, by each watcher",
            "",
            measured.endpoint_sights,
        ),
        Row::plain("endpoint change seen, p50", "ms", measured.endpoint_p50_ms),
        Row::at_most(
            "endpoint change seen, p99",
            "ms",
            measured.endpoint_p99_ms,
            ENDPOINTS_MS,
        ),
        Row::plain("endpoint change seen, longest", "ms", measured.endpoint_max_ms),
        Row::plain(
            "config change of one brick, p99",
            "ms",
            measured.config_one_p99_ms,
        ),
        Row::at_most(
            "config change of all bricks, by all instances",
            "ms",
            measured.config_all_ms,
            CONFIG_MS,
        ),
        writes,
        Row::plain("registry writes that failed", "", measured.writes_failed),
        Row::plain(
            "registry write, p99 from when it was due",
            "ms",
            measured.write_p99_ms,
        ),
        Row::plain("control, CPU over all of it", "ms", cpu_ms),
        Row::at_most("control resident", "MB", resident_mb, RESIDENT_MB),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(writes_per_s: f64, writes_failed: f64) -> Measured {
        Measured {
            instances: 1_000.0,
            started_s: 1.0,
            endpoint_sights: 7_000.0,
            endpoint_p50_ms: 3.0,
            endpoint_p99_ms: 20.0,
            endpoint_max_ms: 30.0,
            config_one_p99_ms: 5.0,
            config_all_ms: 1_200.0,
            writes_per_s,
            writes_failed,
            write_p99_ms: 4.0,
        }
    }

    #[test]
    fn a_write_that_failed_or_came_late_misses_the_goal() {
        let met = |measured: &Measured| {
            let rows = rows(measured, 100.0, 60.0);
            let row = rows.iter().find(|row| row.measure == "registry writes answered");
            row.and_then(|row| row.met)
        };
        assert_eq!(met(&measured(4_995.0, 0.0)), Some(true));
        assert_eq!(met(&measured(4_995.0, 1.0)), Some(false));
        assert_eq!(met(&measured(3_000.0, 0.0)), Some(false));
    }

    #[test]
    fn the_manifest_has_every_brick_of_the_driver() {
        let manifest: toml::Table = manifest().parse().unwrap();
        assert_eq!(manifest["brick"].as_table().unwrap().len(), BRICKS);
    }
}
