//! Output of bricks: not a line is lost while the agent is dead, and a full disk stops nobody.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use acceptance_tests::{Folder, System, eventually, target_dir};
use brick_wire::Client;
use serde_json::Value;

use crate::small;

/// How far the counter came, asked of itself: neither agent nor gateway is in the way.
async fn counted(port: &Value) -> u64 {
    let url = format!("http://127.0.0.1:{port}/");
    let answer = Client::new().get(url).send().await.expect("the counter answers");
    String::from_utf8_lossy(&answer.body)
        .parse()
        .expect("the counter answers a number")
}

async fn counts_to(port: &Value, number: u64) -> u64 {
    eventually(&format!("the counter to come to {number}"), || async {
        Some(counted(port).await).filter(|now| *now >= number)
    })
    .await
}

/// How often each number was found.
fn numbers<'a>(messages: impl Iterator<Item = &'a Value>) -> BTreeMap<u64, usize> {
    let mut seen = BTreeMap::new();
    for message in messages {
        let number = message
            .as_str()
            .and_then(|text| text.strip_prefix("counted ")?.parse().ok());
        if let Some(number) = number {
            *seen.entry(number).or_default() += 1;
        }
    }
    seen
}

/// Every number up to `last`, once each; those that are not so, as ranges of numbers that were found so many times.
fn wrong(seen: &BTreeMap<u64, usize>, last: u64) -> Vec<(u64, u64, usize)> {
    let mut ranges: Vec<(u64, u64, usize)> = Vec::new();
    for number in 1..=last {
        let times = seen.get(&number).copied().unwrap_or_default();
        match ranges.last_mut() {
            Some((_, end, same)) if *end + 1 == number && *same == times => *end = number,
            _ => ranges.push((number, number, times)),
        }
    }
    ranges.retain(|(_, _, times)| *times != 1);
    ranges
}

/// All that telemetry has of the counter, page by page.
async fn in_telemetry(system: &System) -> BTreeMap<u64, usize> {
    let mut found: Vec<Value> = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/telemetry/v1/logs?brick=counter&since=1h&limit=1000{cursor}");
        let page = system.admin(&path).await;
        found.extend(page["items"].as_array().into_iter().flatten().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    numbers(found.iter().map(|item| &item["msg"]))
}

#[tokio::test]
async fn no_line_is_lost_while_the_agent_is_dead() {
    let mut system = Folder::with_manifest(&small::counting(1)).up();
    let port = &system.instance("counter/1")["port"];
    let before = system.pids();
    for _ in 0..2 {
        let now = counted(port).await;
        counts_to(port, now + 300).await;
        system.crash_agent();
        let now = counted(port).await;
        counts_to(port, now + 300).await;
        system.restart_agent();
        let after = system.pids();
        assert_eq!(after, before, "not all was adopted:\n{}", system.agent().told());
    }
    let last = counts_to(port, 1500).await;

    let shown = eventually("every line in `brick logs`", || async {
        let lines = system.folder().json(&["logs", "counter", "-n", "1000000"]);
        let seen = numbers(lines.as_array()?.iter().map(|line| &line["msg"]));
        seen.contains_key(&last).then_some(seen)
    })
    .await;
    assert_eq!(
        wrong(&shown, last),
        [],
        "(first, last, times) in `brick logs`, up to {last}"
    );
    let stored = eventually("every line in telemetry", || async {
        let seen = in_telemetry(&system).await;
        seen.contains_key(&last).then_some(seen)
    })
    .await;
    assert_eq!(
        wrong(&stored, last),
        [],
        "(first, last, times) in telemetry, up to {last}; telemetry says {}",
        system.admin("/api/telemetry/v1/stats").await
    );
    assert_eq!(
        system.folder().json(&["status"])["counters"]["log_bytes_dropped"],
        0
    );
}

/// `command` with a small disk of its own at `place`: a tmpfs in a mount namespace that ends with the process.
fn on_small_disk(command: &Command, place: &Path) -> Command {
    let mut alone = Command::new("unshare");
    alone.args(["--mount", "--propagation", "private"]);
    if !rustix::process::geteuid().is_root() {
        alone.args(["--user", "--map-root-user"]);
    }
    let script = "mount -t tmpfs -o size=8m,mode=700 tmpfs \"$0\" && exec \"$@\"";
    alone
        .args(["sh", "-c", script])
        .arg(place)
        .arg(command.get_program())
        .args(command.get_args());
    alone.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    alone
}

/// Writes until nothing goes any more.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("a file can be made on the small disk");
    let mut chunk = 64 * 1024;
    while chunk > 0 {
        if file.write_all(&vec![b'x'; chunk]).is_err() {
            chunk /= 2;
        }
    }
}

#[tokio::test]
async fn a_full_disk_for_logs_is_told_stops_nobody_and_recovers() {
    let shop = target_dir().join("release/shop");
    let product = format!(
        "\n[brick.product]\nrun = \"{} product\"\nstate = \"product\"\n\n[route.product]\nmatch = \"/api/products/**\"\nto = \"product\"\nauth = \"public\"\n",
        shop.display()
    );
    let folder = Folder::with_manifest(&format!("{}{product}", small::counting(5)));
    let logs = folder.path().join(".brickwork/logs");
    std::fs::create_dir_all(&logs).unwrap();
    let command = on_small_disk(&folder.up_command(), &logs);
    let mut system = folder.up_by(command);
    let before = system.ps();
    let port = system.instance("counter/1")["port"].clone();

    let view = PathBuf::from(format!("/proc/{}/root", system.agent().id()));
    let inside = view.join(logs.strip_prefix("/").unwrap());
    let filler = inside.join("filler");
    fill(&filler);
    system.agent().says("is full: bricks go on").await;
    let now = counts_to(&port, 1).await;
    counts_to(&port, now + 200).await;
    let client = Client::new();
    for path in ["/", "/api/products?limit=1"] {
        for _ in 0..20 {
            let answer = client.get(format!("{}{path}", system.edge)).send().await.unwrap();
            assert_eq!(answer.status, 200, "{path} while the disk is full");
        }
    }
    assert_eq!(system.ps(), before, "nobody died, nobody was started again");
    let status = system.folder().json(&["status"]);
    assert_eq!(status["ready"], true, "{status}");

    std::fs::remove_file(&filler).unwrap();
    system.agent().says("there is room again").await;
    let now = counted(&port).await;
    let last = counts_to(&port, now + 20).await;
    eventually("lines after the disk had room again", || async {
        let lines = system.folder().json(&["logs", "counter", "-n", "1000000"]);
        let seen = numbers(lines.as_array()?.iter().map(|line| &line["msg"]));
        (now + 1..=last)
            .all(|number| seen.contains_key(&number))
            .then_some(())
    })
    .await;
    eventually("the same lines in telemetry", || async {
        let seen = in_telemetry(&system).await;
        (now + 1..=last)
            .all(|number| seen.contains_key(&number))
            .then_some(())
    })
    .await;
    assert_eq!(system.ps(), before, "nobody died, nobody was started again");
}
