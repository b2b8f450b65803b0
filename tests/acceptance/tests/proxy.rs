//! The host proxy in a real system: a brick of Python's standard library alone, which knows nothing but `HTTP_PROXY`.

mod capture;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use acceptance_tests::{Folder, System, eventually, signal};
use brick_wire::Client;
use rustix::process::Signal;
use serde_json::Value;

fn post() -> Folder {
    let folder = Folder::with_manifest(include_str!("proxy/brick.toml"));
    let programs = [
        ("desk.py", include_str!("proxy/desk.py")),
        ("stamp.py", include_str!("proxy/stamp.py")),
        ("vault.py", include_str!("proxy/vault.py")),
    ];
    for (name, program) in programs {
        std::fs::write(folder.path().join(name), program).unwrap();
    }
    folder
}

/// What the edge answers: `desk` asks another and gives its answer on.
async fn ask(system: &System, path: &str) -> (u16, String) {
    let answer = Client::new()
        .get(format!("{}{path}", system.edge))
        .send()
        .await
        .unwrap();
    (
        answer.status.as_u16(),
        String::from_utf8_lossy(&answer.body).into_owned(),
    )
}

async fn stamped(system: &System) -> Value {
    let (status, body) = ask(system, "/letter").await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn kill(system: &System, instance: &str) -> Value {
    let row = system.instance(instance);
    signal(u32::try_from(row["pid"].as_u64().unwrap()).unwrap(), Signal::KILL);
    row
}

#[tokio::test]
async fn a_brick_without_sdk_calls_what_it_needs_and_nothing_else() {
    let system = post().up();
    let seen = stamped(&system).await;
    assert_eq!(seen["path"], "/letter");
    let headers = &seen["headers"];
    for present in ["x-brick-identity", "x-brick-timeout-ms", "traceparent"] {
        assert!(headers.get(present).is_some(), "{present} in {headers}");
    }
    // The slower of two is asked again once what it took is long enough ago.
    let (mut asked, begun) = (BTreeSet::new(), Instant::now());
    while asked.len() < 2 {
        asked.insert(stamped(&system).await["instance"].to_string());
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{asked:?} alone is asked"
        );
    }
    assert_eq!(ask(&system, "/vault/ring").await, (200, "RING\n".to_owned()));
    for (path, status, code) in [
        ("/at/secret.brick/", 403, "not_needed"),
        ("/at/nobody.brick/", 404, "brick_unknown"),
        ("/at/example.org/", 403, "not_a_brick"),
    ] {
        let (found, body) = ask(&system, path).await;
        assert!(found == status && body.contains(code), "{path}: {found} {body}");
    }
    // Whoever else is on this machine is not let through.
    let ports = system.folder().json(&["status"])["ports"].clone();
    let url = format!("http://127.0.0.1:{}/", ports["proxy:desk/1"]);
    let client = Client::new();
    let foreign = client.get(url).header(http::header::HOST, "stamp.brick");
    assert_eq!(foreign.send().await.unwrap().status, 407);
    // The console shows the edges, and the map who calls whom.
    let told = eventually("the edges to be told", || async {
        let edges = system.admin("/api/limits/v1/edges").await;
        let items = edges["items"].as_array()?.clone();
        let calls = |edge: &Value| edge["edge"] == "desk->stamp" && edge["calls"].as_u64() > Some(0);
        items.into_iter().find(calls)
    })
    .await;
    assert_eq!(told["instances"][0]["instance"], "proxy/1");
    eventually("the map to show the calls", || async {
        let graph = system.admin("/api/telemetry/v1/graph").await;
        let edges = graph["edges"].as_array()?.clone();
        let between = |from: &str, to: &str| edges.iter().any(|e| e["from"] == from && e["to"] == to);
        (between("desk", "stamp") && between("desk", "vault")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_brick_behind_the_proxy_is_called_there_by_those_who_may_and_rolls_without_a_gap() {
    let system = post().up();
    let ports = system.folder().json(&["status"])["ports"].clone();
    let instances = system.admin("/api/registry/v1/instances").await;
    let items = instances["items"].as_array().unwrap();
    let ledger = items.iter().find(|one| one["brick"] == "ledger").unwrap();
    let public = format!("127.0.0.1:{}", ports["inbound:ledger/1"]);
    assert_eq!(ledger["addr"], public);
    let client = Client::new();
    let foreign = client.get(format!("http://{public}/page")).send().await.unwrap();
    assert_eq!(foreign.status, 401);
    let metrics = client
        .get(format!("http://{public}/metrics"))
        .send()
        .await
        .unwrap();
    assert_eq!(metrics.status, 200);
    let before = system.instance("ledger/1");
    let rolled = std::thread::scope(|scope| {
        let folder = system.folder();
        let rolling = scope.spawn(|| folder.run(&["roll", "ledger", "--no-build"]));
        let mut asked = 0;
        while !rolling.is_finished() || asked < 50 {
            let url = format!("{}/at/ledger.brick/page", system.edge);
            let output = std::process::Command::new("curl")
                .args(["-s", "-w", "%{http_code}", &url])
                .output();
            let told = String::from_utf8_lossy(&output.unwrap().stdout).into_owned();
            assert!(
                told.ends_with("200") && told.contains("ledger/1"),
                "{asked}: {told}"
            );
            asked += 1;
        }
        rolling.join().unwrap()
    });
    assert!(
        rolled.status.success(),
        "{}",
        String::from_utf8_lossy(&rolled.stderr)
    );
    assert_ne!(system.instance("ledger/1")["pid"], before["pid"]);
    eventually("the map to show what was served", || async {
        let graph = system.admin("/api/telemetry/v1/graph").await;
        let nodes = graph["nodes"].as_array()?.clone();
        let served = |node: &Value| node["brick"] == "ledger" && node["rate"].as_f64() > Some(0.0);
        nodes.iter().any(served).then_some(())
    })
    .await;
}

#[tokio::test]
async fn calls_go_on_without_control_and_the_proxy_comes_back() {
    let mut system = post().up();
    stamped(&system).await;
    let before = kill(&system, "control/1");
    eventually("control to come back", || async {
        stamped(&system).await;
        let now = system.instance("control/1");
        (now["state"] == "ready" && now["pid"] != before["pid"]).then_some(())
    })
    .await;
    let before = kill(&system, "proxy/1");
    let begin = Instant::now();
    eventually("the proxy to take calls again", || async {
        let now = system.instance("proxy/1");
        let is_back = now["state"] == "ready" && now["pid"] != before["pid"];
        (is_back && ask(&system, "/letter").await.0 == 200).then_some(())
    })
    .await;
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    let pids = system.pids();
    system.crash_agent();
    stamped(&system).await;
    system.restart_agent();
    assert_eq!(system.pids(), pids);
    stamped(&system).await;
}
