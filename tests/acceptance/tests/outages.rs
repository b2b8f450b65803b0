//! The control plane is away for a minute, and what it is told of: traffic goes on, what was in force stays, the reason
//! is shown, and afterwards all is as if nothing had been.

mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use acceptance_tests::process::Process;
use acceptance_tests::{Folder, System, brick, eventually, signal};
use brick_wire::Client;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::versions::served;

/// How long control is away.
const AWAY: &str = "60s";

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn pid(system: &System, instance: &str) -> u32 {
    let pid = system.instance(instance)["pid"].as_u64().unwrap();
    u32::try_from(pid).unwrap()
}

/// Orders so many products, each in a line of its own; the answer's status.
async fn order(system: &System, token: &str, lines: usize) -> u16 {
    let url = format!("{}/api/products?limit={lines}", system.edge);
    let page: Value = Client::new().get(url).json().await.unwrap();
    let items = page["items"].as_array().unwrap().iter();
    let lines: Vec<Value> = items
        .map(|item| json!({ "product_id": item["id"], "quantity": 1 }))
        .collect();
    let client = Client::new();
    let call = client.post(format!("{}/api/orders", system.edge));
    let call = call.bearer(token).json_body(&json!({ "lines": lines }));
    call.send().await.unwrap().status.as_u16()
}

/// Whether every instance obeys this limit.
async fn obeys(system: &System, token: &str, limit: usize) -> bool {
    for _ in 0..4 {
        if order(system, token, limit + 1).await != 422 || order(system, token, limit).await != 201 {
            return false;
        }
    }
    true
}

/// Sets the limit, as often as it takes until both instances say that they have it.
async fn set(system: &System, limit: usize) {
    let wish = format!("order.max_lines={limit}");
    let mut number = 0;
    eventually("both instances to have the limit", || {
        number += 1;
        // The same value once more would change nothing, and nobody would be asked.
        let _ = (number > 1).then(|| system.folder().run(&["config", "unset", "order.max_lines"]));
        let told = said(&system.folder().run(&["config", "set", &wish]));
        async move {
            let done = told.contains("applied by 2/2").then_some(());
            if done.is_none() {
                eprintln!("not yet: {told}");
            }
            done
        }
    })
    .await;
}

/// A load over the outage; it serves as its clock as well.
fn load(system: &System, scenario: &str, rps: &str) -> Process {
    let words = ["load", scenario, "--rps", rps, "--for", AWAY, "--format", "json"];
    Process::spawn(brick(system.folder().path(), &words))
}

/// No request of the load failed.
async fn went_well(load: &mut Process) {
    load.wait();
    let told = load.all().await;
    let report: Value =
        serde_json::from_str(&load.stdout()).unwrap_or_else(|error| panic!("{error}: {told}"));
    assert_eq!(report["errors"], 0, "{report:#}");
    assert!(report["rounds"].as_u64() > Some(100), "{report:#}");
}

/// The loads of a system, under way.
async fn loaded(system: &System) -> [Process; 2] {
    let loads = [load(system, "checkout", "4"), load(system, "browse", "2")];
    eventually("the load to be under way", || async {
        (served(&system.instance("payment/1"), "POST").await > 0).then_some(())
    })
    .await;
    loads
}

/// Who looks is told that control is away.
async fn the_reason_is_shown(system: &System) {
    eventually("the status to say that control is away", || async {
        let status = system.folder().run(&["status"]);
        (status.status.code() == Some(6) && said(&status).contains("control/1")).then_some(())
    })
    .await;
    assert_ne!(system.instance("control/1")["state"], "ready");
    for words in [
        &["config", "set", "order.max_lines=1"][..],
        &["config", "get", "order"],
    ] {
        let refused = system.folder().run(words);
        assert!(!refused.status.success(), "{}", said(&refused));
        assert!(said(&refused).contains("control"), "{}", said(&refused));
    }
}

/// All is ready again, no process was replaced but those, and a change is taken by all.
async fn it_converges(system: &System, token: &str, before: &BTreeMap<String, u64>, replaced: &[&str]) {
    eventually("all to be ready", || async {
        let rows = system.ps();
        rows.iter().all(|row| row["state"] == "ready").then_some(())
    })
    .await;
    for (instance, pid) in system.pids() {
        let is_other = before.get(&instance) != Some(&pid);
        assert_eq!(is_other, replaced.contains(&instance.as_str()), "{instance}");
    }
    assert!(system.folder().run(&["status"]).status.success());
    set(system, 2).await;
    assert!(obeys(system, token, 2).await, "the new limit");
}

/// Kills control as often as it comes up, until it is told to stop.
fn killing_control(system: &System) -> (Arc<AtomicBool>, tokio::task::JoinHandle<usize>) {
    let socket = system.folder().path().join(".brickwork/agent.sock");
    let (over, agent) = (Arc::new(AtomicBool::new(false)), Client::unix(socket));
    let is_over = Arc::clone(&over);
    let killing = tokio::spawn(async move {
        let killed = Mutex::new(BTreeSet::new());
        let found = async || {
            let rows: Value = agent.get("http://agent/v1/ps").json().await.unwrap_or_default();
            let mut rows = rows.as_array()?.iter();
            let pid = rows.find(|row| row["brick"] == "control")?["pid"].as_u64()?;
            u32::try_from(pid)
                .ok()
                .filter(|pid| killed.lock().unwrap().insert(*pid))
        };
        while !is_over.load(Ordering::SeqCst) {
            let next = eventually("control to come up again", || async {
                let is_over = is_over.load(Ordering::SeqCst);
                if is_over {
                    Some(None)
                } else {
                    found().await.map(Some)
                }
            });
            if let Some(pid) = next.await {
                signal(pid, Signal::KILL);
            }
        }
        killed.into_inner().unwrap().len()
    });
    (over, killing)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minute_without_control_fails_no_request_and_changes_nothing() {
    let (silent, dead) = (Folder::copy_of("shop").up(), Folder::copy_of("shop").up());
    let (silent_pids, dead_pids) = (silent.pids(), dead.pids());
    let (cora, dora) = (silent.sign_up("cora").await, dead.sign_up("dora").await);
    set(&silent, 3).await;
    set(&dead, 3).await;
    let (mut silent_loads, mut dead_loads) = (loaded(&silent).await, loaded(&dead).await);

    // Connections to it stay open, and nothing comes of them.
    signal(pid(&silent, "control/1"), Signal::STOP);
    let (over, killing) = killing_control(&dead);
    the_reason_is_shown(&silent).await;
    the_reason_is_shown(&dead).await;
    for (system, token) in [(&silent, &cora), (&dead, &dora)] {
        assert!(obeys(system, token, 3).await, "the old limit");
        // What is started meanwhile has what was in force as well.
        let before = pid(system, "order/1");
        signal(before, Signal::KILL);
        eventually("the instance to be there again", || async {
            let now = system.instance("order/1");
            (now["state"] == "ready" && now["pid"] != before).then_some(())
        })
        .await;
        assert!(obeys(system, token, 3).await, "the old limit");
    }
    for load in silent_loads.iter_mut().chain(&mut dead_loads) {
        went_well(load).await;
    }
    assert_ne!(
        silent.instance("control/1")["state"],
        "ready",
        "it was away all the time"
    );

    signal(pid(&silent, "control/1"), Signal::CONT);
    over.store(true, Ordering::SeqCst);
    assert!(killing.await.unwrap() > 3, "control was started again and again");
    it_converges(&silent, &cora, &silent_pids, &["order/1"]).await;
    it_converges(&dead, &dora, &dead_pids, &["order/1", "control/1"]).await;
}
