//! Reloads and an upgrade of the gateway under all the load that one core of wrk makes: no request may fail.
//!
//! Ten changes of the manifest's routes and ten of an edge's limits, spread over the load, then a new gateway process,
//! which the agent starts from what is on the disk by then. wrk sends nothing twice: a connection that is refused,
//! reset or closed before its answer counts, and so does every answer that is not 2xx.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::load::{Load, Wire};
use super::system::{self, System};
use super::{Row, ours};

const RELOADS: usize = 20;
const UPGRADE_LIMIT: Duration = Duration::from_secs(20);

/// Runs it on the release profile.
pub(in crate::bench) fn measure(root: &Path, quick: bool) -> Result<Vec<Row>> {
    let system = System::new(root, "release", system::scratch("reload"))?;
    fs::create_dir_all(&system.folder)
        .with_context(|| format!("cannot create {}", system.folder.display()))?;
    let kib = "x".repeat(1024);
    let server = format!(
        r#"server {{
    listen 127.0.0.1:@PORT@ backlog=4096;
    location = /health {{ return 200 "up"; }}
    location = /1k {{ return 200 "{kib}"; }}
  }}
"#
    );
    ours::write_origin(&system.folder, &server)?;
    ours::write(&system.folder, "brick.toml", &manifest(0))?;
    system.up()?;
    let status = system.json(&["status"])?;
    let edge = status["edge_url"]
        .as_str()
        .context("`brick status` names no edge")?;
    let length = Duration::from_secs(if quick { 15 } else { 40 });
    let begun = Instant::now();
    let load = Load::start(&Wire::keep_alive(64), edge.trim_end_matches('/'), length)?;
    let pause = (length - Duration::from_secs(10)) / 2 / u32::try_from(RELOADS).unwrap_or(1);
    for round in 1..=RELOADS {
        reload(&system, round)?;
        sleep(pause);
    }
    let upgraded = upgrade(&system)?;
    if begun.elapsed() >= length {
        bail!("the machine is too slow: the load was over before the upgrade");
    }
    let ran = load.finish()?;
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let (requests, failed) = (ran.requests as f64, ran.failed as f64);
    Ok(vec![
        Row::plain("reloads and an upgrade: requests", "requests", requests),
        Row::plain("the same: rate", "1/s", ran.rate),
        Row::at_most(
            "the same: failed requests and connections",
            "requests",
            failed,
            0.0,
        ),
        Row::plain("from SIGTERM to a new gateway that is ready", "s", upgraded),
    ])
}

/// One change of routes, or one of limits.
fn reload(system: &System, round: usize) -> Result<()> {
    if round.is_multiple_of(2) {
        ours::write(&system.folder, "brick.toml", &manifest(round))?;
        apply(&system.folder)?;
    } else {
        let how = if round % 4 == 1 { "close" } else { "auto" };
        system.json(&["breaker", how, "edge->origin"])?;
    }
    Ok(())
}

/// What a second `brick up` does, without staying to watch.
fn apply(folder: &Path) -> Result<()> {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--fail-with-body"])
        .arg("--unix-socket")
        .arg(folder.join(".brickwork/agent.sock"))
        .args([
            "--header",
            "content-type: application/json",
            "--data",
            "{\"no_build\":true}",
        ])
        .arg("http://agent/v1/apply")
        .output()
        .context("cannot run curl; Debian: apt-get install curl")?;
    system::succeeded("the change of the manifest", &output)
}

/// Has the gateway end, and waits for the next; gives how long that took.
fn upgrade(system: &System) -> Result<f64> {
    let old = system.pid("gateway")?;
    let begun = Instant::now();
    system.json(&["kill", "gateway/1", "--signal", "TERM"])?;
    while begun.elapsed() < UPGRADE_LIMIT {
        let instances = system.instances()?;
        let gateway = instances.iter().find(|instance| instance["brick"] == "gateway");
        if gateway.is_some_and(|now| now["state"] == "ready" && now["pid"].as_u64() != Some(old)) {
            return Ok(begun.elapsed().as_secs_f64());
        }
        sleep(Duration::from_millis(20));
    }
    bail!("no new gateway was ready after {UPGRADE_LIMIT:?}")
}

fn manifest(round: usize) -> String {
    format!(
        r#"brickwork = 1

[system]
name = "bench"
console = 0

[edge]
listen = "127.0.0.1:0"
auth = "public"

[brick.origin]
run = "sh origin.sh"
health = {{ path = "/health" }}

[route.all]
match = "/**"
to = "origin"

[route.changing]
match = "/round/{round}/**"
to = "origin"
"#
    )
}
