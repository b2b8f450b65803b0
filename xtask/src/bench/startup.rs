//! Start of platform and shop: time to ready, memory of the platform under load, size of the binary.
//!
//! Runs the built `brick` as a user would, on a copy of the shop with free ports, and reads what it says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::Row;

/// Time to ready in seconds: first start, and start with everything in place.
const FIRST_READY_S: f64 = 1.5;
const LATER_READY_S: f64 = 1.0;
/// Resident memory of all platform processes together, under load.
const RESIDENT_MB: f64 = 150.0;
/// Size of the stripped binary.
const BINARY_MB: f64 = 60.0;

/// Clock ticks in a second as `/proc` counts them; Linux has shown 100 to programs on every architecture since 2.6.
const TICKS_PER_S: f64 = 100.0;

const PLATFORM: [&str; 4] = ["control", "gateway", "telemetry", "broker"];

/// A running copy of the shop; dropped, it is stopped and removed.
struct Bench {
    brick: PathBuf,
    target: PathBuf,
    folder: PathBuf,
}

pub(super) fn measure(root: &Path, quick: bool) -> Result<Vec<Row>> {
    let bench = Bench::prepare(root)?;
    let mut rows = vec![Row::at_most(
        "ready, first start",
        "s",
        bench.up()?,
        FIRST_READY_S,
    )];
    let length = if quick { "5s" } else { "30s" };
    let before = bench.cpu_ms("gateway")?;
    let load = bench.json(&["load", "checkout", "--rps", "50", "--for", length])?;
    let spent = bench.cpu_ms("gateway")? - before;
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
        bench.resident_mb()?,
        RESIDENT_MB,
    ));
    bench.down()?;
    rows.push(Row::at_most(
        "ready, later start",
        "s",
        bench.up()?,
        LATER_READY_S,
    ));
    bench.down()?;
    rows.push(Row::at_most(
        "binary, stripped",
        "MB",
        bench.binary_mb()?,
        BINARY_MB,
    ));
    Ok(rows)
}

impl Bench {
    fn prepare(root: &Path) -> Result<Self> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let brick = target.join("release/brick");
        if !brick.is_file() {
            bail!(
                "{} is not built; run `cargo build --release -p brick-cli -p shop`",
                brick.display()
            );
        }
        let folder = std::env::temp_dir().join(format!("brick-bench-{}", std::process::id()));
        copy(&root.join("systems/shop"), &folder)?;
        Ok(Self {
            brick,
            target,
            folder,
        })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.brick);
        command
            .arg("-C")
            .arg(&self.folder)
            .args(args)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Starts all and answers the seconds that `brick up` says it took.
    fn up(&self) -> Result<f64> {
        // What stays running must not hold a pipe that somebody waits on: the output goes to a file.
        let path = self.folder.join("up.log");
        let log = fs::File::create(&path).context("cannot create up.log")?;
        let status = self
            .command(&[
                "up",
                "--no-build",
                "--detach",
                "--edge",
                "127.0.0.1:0",
                "--console",
                "0",
            ])
            .stdout(log.try_clone().context("cannot share up.log")?)
            .stderr(log)
            .status()
            .context("cannot run brick")?;
        let said = fs::read_to_string(&path).context("cannot read up.log")?;
        if !status.success() {
            bail!("`brick up` failed ({status}); it said:\n{said}");
        }
        ready_in(&said).with_context(|| format!("`brick up` did not say `ready in`; it said:\n{said}"))
    }

    fn down(&self) -> Result<()> {
        let output = self.command(&["down"]).output().context("cannot run brick")?;
        succeeded("brick down", &output)
    }

    fn json(&self, args: &[&str]) -> Result<Value> {
        let output = self
            .command(args)
            .args(["--format", "json"])
            .output()
            .context("cannot run brick")?;
        let name = format!("brick {}", args.join(" "));
        succeeded(&name, &output)?;
        serde_json::from_slice(&output.stdout).with_context(|| format!("`{name}` did not print JSON"))
    }

    /// Resident memory of the agent and the platform's processes together.
    fn resident_mb(&self) -> Result<f64> {
        let instances = self.json(&["ps"])?;
        let platform = instances.as_array().into_iter().flatten().filter(|instance| {
            let brick = instance["brick"].as_str().unwrap_or_default();
            PLATFORM.contains(&brick)
        });
        let mut pids: Vec<u64> = platform.filter_map(|instance| instance["pid"].as_u64()).collect();
        if pids.is_empty() {
            bail!("`brick ps` names no process of the platform");
        }
        let status = self.json(&["status"])?;
        let agent = status["agent"]["pid"].as_u64().or(status["agent_pid"].as_u64());
        pids.push(agent.context("`brick status` does not name the agent's pid")?);
        let mut kib = 0;
        for pid in pids {
            let status = fs::read_to_string(format!("/proc/{pid}/status"))
                .with_context(|| format!("process {pid} is gone"))?;
            kib += resident_kib(&status).with_context(|| format!("no VmRSS of process {pid}"))?;
        }
        Ok(kib as f64 * 1024.0 / 1e6)
    }

    /// User and system time that a platform process has spent so far, in milliseconds.
    fn cpu_ms(&self, role: &str) -> Result<f64> {
        let instances = self.json(&["ps"])?;
        let mut instances = instances.as_array().into_iter().flatten();
        let found = instances.find(|instance| instance["brick"] == role);
        let pid = found.and_then(|instance| instance["pid"].as_u64());
        let pid = pid.with_context(|| format!("`brick ps` names no process of {role}"))?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
            .with_context(|| format!("process {pid} is gone"))?;
        let ticks = cpu_ticks(&stat).with_context(|| format!("no times of process {pid}"))?;
        Ok(ticks as f64 * 1_000.0 / TICKS_PER_S)
    }

    fn binary_mb(&self) -> Result<f64> {
        let stripped = self.folder.join("brick-stripped");
        let output = Command::new("strip")
            .arg("-o")
            .args([&stripped, &self.brick])
            .output()
            .context("cannot run strip; Debian: apt-get install binutils")?;
        succeeded("strip", &output)?;
        let bytes = fs::metadata(&stripped).context("strip wrote nothing")?.len();
        Ok(bytes as f64 / 1e6)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Nothing may stay behind after a failed measurement; after a good one this finds nothing to stop.
        let _ = self.command(&["down"]).output();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn succeeded(name: &str, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    bail!(
        "`{name}` failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    )
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

/// `utime` and `stime` of `/proc/PID/stat` (proc_pid_stat(5)); the name before them may hold anything but ends at the
/// last parenthesis.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut times = rest.split(' ').skip(11);
    let mut next = || times.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

/// `VmRSS:     1234 kB` of `/proc/PID/status` (proc_pid_status(5)).
fn resident_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
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

    #[test]
    fn resident_memory_is_read_from_the_kernel() {
        assert_eq!(
            resident_kib("Name:\tbrick\nVmRSS:\t   21344 kB\nThreads:\t4\n"),
            Some(21_344)
        );
        assert_eq!(resident_kib("Name:\tbrick\n"), None);
    }

    #[test]
    fn processor_time_is_read_whatever_the_process_is_called() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 900 0 0 0 12 30 0 0 20 0 5 0 100 1 2";
        assert_eq!(cpu_ticks(stat), Some(42));
        assert_eq!(cpu_ticks("7 (brick) S 1"), None);
    }
}
