//! slowhttptest (slow headers, slow bodies, slow readers) against the edge: everybody else is served, memory is bounded.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use acceptance_tests::{Folder, System};
use brick_wire::Client;

use crate::small;

const CONNECTIONS: &str = "1000";
/// Resident at 1,000 connections that have sent nothing but a part of a head, in MiB.
const RESIDENT_MAX: u64 = 60;
/// The same where each has a body under way: what was read of it and what waits to be written.
const RESIDENT_BODIES_MAX: u64 = 256;
/// How long anybody else may wait for an answer meanwhile: attacker, gateway and brick share this machine's cores.
const PATIENCE: Duration = Duration::from_secs(10);

/// In MiB.
fn resident(system: &System) -> u64 {
    let pid = system.instance("gateway/1")["pid"].as_u64().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1024
}

/// Runs one kind of attack for ten seconds; gives the most that was resident.
async fn under(system: &System, kind: &[&str], path: &str) -> u64 {
    let mut command = Command::new("slowhttptest");
    command
        .args(["-c", CONNECTIONS, "-r", "500", "-l", "10", "-p", "5", "-u"])
        .arg(format!("{}{path}", system.edge))
        .args(kind)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut attack = command.spawn().unwrap();
    let (client, mut most, mut asked) = (Client::new(), 0, 0);
    let mut beat = tokio::time::interval(Duration::from_millis(200));
    while attack.try_wait().unwrap().is_none() {
        beat.tick().await;
        let begun = Instant::now();
        let status = loop {
            let request = client.get(format!("{}/x", system.edge));
            let answer = request.timeout(PATIENCE).send().await;
            let status = answer.map(|answer| answer.status.as_u16());
            // On a machine that has no time at all the brick's place may not be free in a second: who asks again is served.
            if !matches!(status, Ok(503)) || begun.elapsed() > PATIENCE {
                break status;
            }
            beat.tick().await;
        };
        let took = begun.elapsed();
        assert!(
            matches!(status, Ok(200)) && took < PATIENCE,
            "under {kind:?}: {status:?} after {took:?}"
        );
        most = most.max(resident(system));
        asked += 1;
    }
    assert!(asked >= 10, "{kind:?} lasted for {asked} requests only");
    most
}

#[tokio::test]
async fn slow_clients_do_not_take_the_gateway_down() {
    if Command::new("slowhttptest").arg("-h").output().is_err() {
        eprintln!(
            "SKIPPED: slowhttptest is not installed; `cargo xtask setup` installs it (Debian: slowhttptest)"
        );
        return;
    }
    let system = Folder::with_manifest(&small::serving("timeout = \"10s\"\n")).up();
    let before = system.instance("gateway/1")["pid"].clone();
    let idle = resident(&system);
    let headers = ["-H", "-i", "2"];
    let body = ["-B", "-i", "2", "-s", "8192"];
    let read = ["-X", "-w", "512", "-y", "1024", "-n", "2", "-z", "32", "-k", "1"];
    for (name, kind, path, max) in [
        ("slow headers", &headers[..], "/x", RESIDENT_MAX),
        ("slow body", &body[..], "/x", RESIDENT_BODIES_MAX),
        ("slow read", &read[..], "/large", RESIDENT_BODIES_MAX),
    ] {
        let most = under(&system, kind, path).await;
        eprintln!("{name}: {most} MiB resident at {CONNECTIONS} connections, {idle} MiB before");
        assert!(most <= max, "{name}: {most} MiB resident");
    }
    assert_eq!(
        system.instance("gateway/1")["pid"],
        before,
        "it is the same process"
    );
}
