//! What the running system says of itself: agent, instances, leases, telemetry.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Finding;
use crate::agent::{Admin, Agent};
use crate::command::ps::text;
use crate::output::count;

/// The agent's status, where one answers.
pub(super) async fn status(agent: &Agent) -> Option<Value> {
    agent.get("/v1/status").await.ok()
}

/// All that is looked at in the running system; one note where none runs.
pub(super) async fn look(agent: &Agent, status: Option<&Value>) -> Vec<Finding> {
    let Some(status) = status else {
        let found = format!("no system is running in {}", agent.dir().display());
        return vec![Finding::note("agent", found, "brick up starts it")];
    };
    let mut findings = vec![version(status)];
    let ps: Vec<Value> = agent.get("/v1/ps").await.unwrap_or_default();
    findings.extend(instances(&ps));
    findings.extend(counters(&status["counters"]));
    match agent.admin().await {
        Ok(admin) => {
            findings.extend(leases(&admin, &ps).await);
            findings.extend(telemetry(&admin).await);
        }
        Err(failure) => findings.push(Finding::wrong(
            "control",
            format!("it gives no token: {failure}"),
            "brick logs control shows what it said; the agent starts it again when it dies",
        )),
    }
    findings
}

fn version(status: &Value) -> Finding {
    const CHECK: &str = "agent";
    let (theirs, ours) = (text(&status["version"]), env!("CARGO_PKG_VERSION"));
    let found = format!("pid {}, version {theirs}", text(&status["agent_pid"]));
    if theirs == ours {
        Finding::ok(CHECK, found)
    } else {
        let fix = "brick down, then brick up with the one you want";
        Finding::note(CHECK, format!("{found}; this command is {ours}"), fix)
    }
}

fn instances(ps: &[Value]) -> Vec<Finding> {
    const CHECK: &str = "instances";
    let mut findings = Vec::new();
    for row in ps {
        let (name, state) = (text(&row["instance"]), text(&row["state"]));
        let problem = row["problem"]
            .as_str()
            .map(|p| format!(": {p}"))
            .unwrap_or_default();
        let logs = format!("brick logs {name} shows its last words");
        match state.as_str() {
            "ready" | "building" | "starting" | "stopping" | "stopped" => {}
            "skipped" => findings.push(Finding::note(
                CHECK,
                format!("{name} is left out{problem}"),
                "install its program, then brick up again; or take the brick out of brick.toml",
            )),
            "crash-loop" => findings.push(Finding::wrong(
                CHECK,
                format!("{name} dies again and again{problem}"),
                format!("{logs}; mend it, then brick roll {}", text(&row["brick"])),
            )),
            "failed" => findings.push(Finding::wrong(
                CHECK,
                format!("{name} cannot be started{problem}"),
                logs,
            )),
            other => findings.push(Finding::wrong(CHECK, format!("{name} is {other}{problem}"), logs)),
        }
        let restarts = row["restarts"].as_u64().unwrap_or(0);
        if restarts > 0 && state == "ready" {
            let times = count(restarts as usize, "time");
            let found = format!("{name} is ready, and was started again {times}");
            findings.push(Finding::note(
                CHECK,
                found,
                format!("brick logs {name} shows why it ended"),
            ));
        }
    }
    if findings.is_empty() {
        let ready = ps.iter().filter(|row| row["state"] == "ready").count();
        findings.push(Finding::ok(CHECK, format!("{ready} of {} are ready", ps.len())));
    }
    findings
}

/// What the agent had to give up.
fn counters(counters: &Value) -> Vec<Finding> {
    let cases = [
        (
            "log_lines_cut",
            "log lines were longer than the limit and were cut",
            "log less in one line",
            false,
        ),
        (
            "log_bytes_dropped",
            "bytes of log never reached telemetry",
            "brick logs telemetry shows why it did not take them",
            true,
        ),
        (
            "state_writes_failed",
            "writes of the agent's state failed",
            "make room on the disk of .brickwork, and see that it is yours",
            true,
        ),
    ];
    let bitten = cases.into_iter().filter_map(|(key, what, fix, wrong)| {
        let count = counters[key].as_u64().filter(|count| *count > 0)?;
        let found = format!("{count} {what}");
        Some(if wrong {
            Finding::wrong("agent", found, fix)
        } else {
            Finding::note("agent", found, fix)
        })
    });
    bitten.collect()
}

/// Ready bricks must be in the registry, with a lease that the agent renews.
async fn leases(admin: &Admin, ps: &[Value]) -> Vec<Finding> {
    const CHECK: &str = "leases";
    let answer: Value = match admin.get("/api/registry/v1/instances").await {
        Ok(answer) => answer,
        Err(failure) => {
            let fix = "brick logs control; the edge goes on with what it knows";
            return vec![Finding::wrong(
                "control",
                format!("the registry does not answer: {failure}"),
                fix,
            )];
        }
    };
    let items = answer["items"].as_array().cloned().unwrap_or_default();
    let known: BTreeSet<String> = items.iter().map(|item| text(&item["incarnation"])).collect();
    let mut findings: Vec<Finding> = Vec::new();
    if answer["preserving"] == true {
        let kept = items.iter().filter(|item| item["state"] == "kept").count();
        findings.push(Finding::wrong(
            CHECK,
            format!(
                "control lost sight of most instances at once, and keeps {} of which it hears nothing",
                count(kept, "instance")
            ),
            "look at the network between them and control; they are heard of again when they renew their leases",
        ));
    }
    for item in &items {
        if item["supervised"] == false {
            findings.push(Finding::wrong(
                CHECK,
                format!(
                    "the lease of {}/{} ran out; control keeps it only because it still answers",
                    text(&item["brick"]),
                    text(&item["slot"])
                ),
                "the agent renews leases: brick up adopts what still runs",
            ));
        }
    }
    let platform = ["control", "gateway", "telemetry", "proxy"];
    for row in ps.iter().filter(|row| row["state"] == "ready") {
        let slot = text(&row["instance"]);
        if !platform.contains(&text(&row["brick"]).as_str()) && !known.contains(&text(&row["incarnation"])) {
            let fix = "it is registered within a second; if not, brick roll replaces it";
            findings.push(Finding::wrong(
                CHECK,
                format!("{slot} is ready but not in the registry"),
                fix,
            ));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            CHECK,
            format!("{} registered", count(items.len(), "instance")),
        ));
    }
    findings
}

/// What telemetry keeps, and what its bounds cost.
async fn telemetry(admin: &Admin) -> Vec<Finding> {
    const CHECK: &str = "telemetry";
    let stats: Value = match admin.get("/api/telemetry/v1/stats").await {
        Ok(stats) => stats,
        Err(failure) => {
            let fix = "brick logs telemetry shows what it said; requests go on without it";
            return vec![Finding::wrong(
                CHECK,
                format!("it does not answer: {failure}"),
                fix,
            )];
        }
    };
    let count = |key: &str| stats[key].as_u64().unwrap_or(0);
    let mb = |key: &str| count(key) as f64 / (1 << 20) as f64;
    let kept = format!(
        "{} spans, {} log records, {} series in {:.1} of {:.0} MiB",
        count("spans"),
        count("logs"),
        count("series"),
        mb("bytes"),
        mb("bytes_max")
    );
    let mut findings = vec![Finding::ok(CHECK, kept)];
    let evicted = count("evicted_spans") + count("evicted_logs");
    if evicted > 0 {
        findings.push(Finding::note(
            CHECK,
            format!("{evicted} old spans and log records made room for new ones"),
            "to keep more, raise telemetry.bytes_max in [mortar]",
        ));
    }
    for (key, what, fix) in [
        (
            "dropped",
            "records were dropped: a reader of a tail was too slow, or the graph was full",
            "read tails faster or filter them",
        ),
        (
            "refused",
            "records were refused: malformed, too large, or too many series",
            "brick logs telemetry names the sender; labels with many values make many series",
        ),
    ] {
        if count(key) > 0 {
            findings.push(Finding::note(CHECK, format!("{} {what}", count(key)), fix));
        }
    }
    findings
}
