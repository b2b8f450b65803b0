//! A system that runs for a benchmark: started, asked and stopped by the built `brick`, as a user would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Clock ticks in a second as `/proc` counts them; Linux has shown 100 to programs on every architecture since 2.6.
const TICKS_PER_S: f64 = 100.0;

/// A system in a folder of its own; dropped, it is stopped and the folder removed.
pub(super) struct System {
    pub(super) brick: PathBuf,
    target: PathBuf,
    pub(super) folder: PathBuf,
}

/// The folder that cargo builds into.
pub(super) fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// A new folder for one benchmark.
pub(super) fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("brick-bench-{name}-{}", std::process::id()))
}

impl System {
    /// The system in this folder, which is the caller's to fill, run by the `brick` of this build profile.
    pub(super) fn new(root: &Path, profile: &str, folder: PathBuf) -> Result<Self> {
        let target = target(root);
        let brick = target.join(profile).join("brick");
        if !brick.is_file() {
            bail!(
                "{} is not built; run `cargo build --profile {profile} -p brick-cli`, and `-p shop` where the shop is measured",
                brick.display()
            );
        }
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

    /// Starts all and answers what `brick up` said.
    pub(super) fn up(&self) -> Result<String> {
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
        Ok(said)
    }

    pub(super) fn down(&self) -> Result<()> {
        let output = self.command(&["down"]).output().context("cannot run brick")?;
        succeeded("brick down", &output)
    }

    /// The JSON that a command prints.
    pub(super) fn json(&self, args: &[&str]) -> Result<Value> {
        let output = self
            .command(args)
            .args(["--format", "json"])
            .output()
            .context("cannot run brick")?;
        let name = format!("brick {}", args.join(" "));
        succeeded(&name, &output)?;
        serde_json::from_slice(&output.stdout).with_context(|| format!("`{name}` did not print JSON"))
    }

    /// The rows of `brick ps`.
    pub(super) fn instances(&self) -> Result<Vec<Value>> {
        match self.json(&["ps"])? {
            Value::Array(rows) => Ok(rows),
            _ => bail!("`brick ps` did not print a list"),
        }
    }

    /// Number of the one process of this name.
    pub(super) fn pid(&self, brick: &str) -> Result<u64> {
        let instances = self.instances()?;
        let found = instances.iter().find(|instance| instance["brick"] == brick);
        let pid = found.and_then(|instance| instance["pid"].as_u64());
        pid.with_context(|| format!("`brick ps` names no process of {brick}"))
    }

    /// Number of the agent's process.
    pub(super) fn agent_pid(&self) -> Result<u64> {
        let status = self.json(&["status"])?;
        let agent = status["agent"]["pid"].as_u64().or(status["agent_pid"].as_u64());
        agent.context("`brick status` does not name the agent's pid")
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // Nothing may stay behind after a failed measurement; after a good one this finds nothing to stop.
        let _ = self.command(&["down"]).output();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Builds an example of a member and tells where it is.
pub(super) fn example(root: &Path, profile: &str, package: &str, name: &str) -> Result<PathBuf> {
    let built = Command::new("cargo")
        .args([
            "build",
            "--quiet",
            "--profile",
            profile,
            "-p",
            package,
            "--example",
            name,
        ])
        .current_dir(root)
        .output()
        .context("cannot run cargo")?;
    succeeded("cargo build", &built)?;
    Ok(target(root).join(profile).join("examples").join(name))
}

/// User and system time that a process has spent so far, in milliseconds.
pub(super) fn cpu_ms(pid: u64) -> Result<f64> {
    let stat =
        fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid} is gone"))?;
    let ticks = cpu_ticks(&stat).with_context(|| format!("no times of process {pid}"))?;
    Ok(ticks as f64 * 1_000.0 / TICKS_PER_S)
}

/// Memory of a process that is resident, in bytes.
pub(super) fn resident_bytes(pid: u64) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid} is gone"))?;
    let kib = resident_kib(&status).with_context(|| format!("no VmRSS of process {pid}"))?;
    Ok(kib * 1024)
}

/// An error with what the command said, where it failed.
pub(super) fn succeeded(name: &str, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    bail!(
        "`{name}` failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    )
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
