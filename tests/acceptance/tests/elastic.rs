//! A brick whose number of instances follows its requests: up under load, down without a failed request, by hand where
//! somebody says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use acceptance_tests::{Folder, System, eventually};
use brick_wire::Client;
use serde_json::Value;
use tokio::task::JoinHandle;

fn kilns() -> System {
    let program = env!("CARGO_BIN_EXE_acceptance-brick");
    let manifest = format!(
        "brickwork = 1\n[system]\nname = \"small\"\n[route.all]\nmatch = \"/**\"\nto = \"kiln\"\nauth = \"public\"\n\
         [brick.kiln]\nrun = \"{program} measured 0 0\"\nhealth = {{ path = \"/health\" }}\n\
         replicas = {{ min = 1, max = 3, target_rps = 6, up_after = \"1s\", down_after = \"2s\" }}\n"
    );
    Folder::with_manifest(&manifest).up()
}

/// Requests one after the other, or one every so often, until it is stopped.
struct Load {
    stopping: Arc<AtomicBool>,
    failed: Arc<AtomicUsize>,
    callers: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(system: &System, callers: usize, every: Option<Duration>) -> Self {
        let (stopping, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let callers = (0..callers).map(|_| {
            let url = format!("{}/x", system.edge);
            let (stopping, failed) = (Arc::clone(&stopping), Arc::clone(&failed));
            tokio::spawn(async move {
                let client = Client::new();
                let mut pace = every.map(tokio::time::interval);
                while !stopping.load(Ordering::Relaxed) {
                    if let Some(pace) = &mut pace {
                        pace.tick().await;
                    }
                    let answer = client.get(url.as_str()).send().await;
                    let good = answer.is_ok_and(|answer| answer.status.is_success());
                    failed.fetch_add(usize::from(!good), Ordering::Relaxed);
                }
            })
        });
        Self {
            callers: callers.collect(),
            stopping,
            failed,
        }
    }

    async fn stop(self) -> usize {
        self.stopping.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.await.unwrap();
        }
        self.failed.load(Ordering::Relaxed)
    }
}

/// The rows of the brick.
fn rows(system: &System) -> Vec<Value> {
    let all = system.ps().into_iter();
    all.filter(|row| row["brick"] == "kiln").collect()
}

async fn ready(system: &System, number: usize) {
    eventually(&format!("{number} ready instances"), || async {
        let rows = rows(system);
        let ready = rows.iter().filter(|row| row["state"] == "ready").count();
        (rows.len() == number && ready == number).then_some(())
    })
    .await;
}

fn scale(system: &System, target: &str) {
    let output = system.folder().run(&["scale", target]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_come_with_the_load_and_go_without_a_failed_request() {
    let system = kilns();
    ready(&system, 1).await;
    let load = Load::start(&system, 4, None);
    ready(&system, 3).await;
    assert_eq!(load.stop().await, 0, "requests failed while instances came");
    // A few requests go on while two instances leave.
    let load = Load::start(&system, 1, Some(Duration::from_millis(500)));
    ready(&system, 1).await;
    assert_eq!(load.stop().await, 0, "requests failed while instances left");
    let seen = eventually("the audit trail", || async {
        let trail = system.admin("/api/audit/v1?action=scale").await;
        let items = trail["items"].as_array()?.clone();
        (items.len() >= 4).then_some(items)
    })
    .await;
    for entry in &seen {
        assert_eq!(
            (&entry["who"], &entry["target"]),
            (&"agent".into(), &"kiln".into())
        );
        let why = entry["why"].as_str().unwrap_or_default();
        assert!(why.contains("requests/s at 6 for each instance"), "{entry}");
    }
    let steps: Vec<(&Value, &Value)> = seen
        .iter()
        .map(|entry| (&entry["before"]["replicas"], &entry["after"]["replicas"]))
        .collect();
    assert!(steps.contains(&(&1.into(), &2.into())), "{steps:?}");
    assert!(steps.contains(&(&3.into(), &2.into())), "{steps:?}");
}

#[tokio::test]
async fn a_number_set_by_hand_is_kept_until_it_is_given_back() {
    let mut system = kilns();
    ready(&system, 1).await;
    scale(&system, "kiln=2");
    ready(&system, 2).await;
    let told = eventually("its requests to be known", || async {
        let told = rows(&system)[0]["elastic"].clone();
        told["needed"].is_u64().then_some(told)
    })
    .await;
    assert_eq!((&told["by_hand"], &told["needed"]), (&true.into(), &1.into()));
    let output = system.folder().run(&["ps"]);
    let notes = String::from_utf8_lossy(&output.stderr);
    assert!(
        notes.contains("kiln: 2 of 1 to 3 instances, set by hand"),
        "{notes}"
    );
    system.crash_agent();
    system.restart_agent();
    ready(&system, 2).await;
    scale(&system, "kiln=auto");
    ready(&system, 1).await;
    assert_eq!(rows(&system)[0]["elastic"]["by_hand"], false);
}
