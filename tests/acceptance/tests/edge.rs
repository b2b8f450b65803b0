//! The edge of a running system: keys, reloads and an upgrade under load, clients that are slow on purpose.

mod load;
mod slow;

use acceptance_tests::{Folder, eventually, signal};
use brick_wire::Client;
use http::{HeaderName, Method};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::small;
use load::Load;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const KEYS: &str = "/api/identity/v1/api-keys";

#[tokio::test]
async fn a_key_opens_its_route_until_it_is_revoked() {
    let guarded = "\n[route.guarded]\nmatch = \"/guarded/**\"\nto = \"kiln\"\nauth = \"api-key\"\n";
    let system = Folder::with_manifest(&small::serving(guarded)).up();
    let client = Client::new();
    let ask = async |key: &str| {
        let call = client.get(format!("{}/guarded/x", system.edge));
        let call = if key.is_empty() {
            call
        } else {
            call.header(API_KEY, key)
        };
        let answer = call.send().await.unwrap();
        let code = answer.json::<Value>().map(|problem| problem["code"].clone());
        (
            answer.status.as_u16(),
            code.ok().and_then(|code| code.as_str().map(str::to_owned)),
        )
    };
    let refused = |code: &str| (401, Some(code.to_owned()));
    assert_eq!(ask("").await, refused("key_missing"));

    let made = json!({ "id": "partner", "owner": "partner-team" });
    let made = system.operator(Method::POST, KEYS, Some(&made)).await;
    assert_eq!(made.status, 201);
    let key = made.json::<Value>().unwrap()["key"].as_str().unwrap().to_owned();
    eventually("the key to open the route", || async {
        (ask(&key).await.0 == 200).then_some(())
    })
    .await;
    let (id, secret) = key.rsplit_once('_').unwrap();
    let wrong: String = secret.chars().rev().collect();
    assert_eq!(ask(&format!("{id}_{wrong}")).await, refused("key_unknown"));
    let listed = system.admin(KEYS).await;
    assert_eq!(listed["items"][0]["id"], "partner");
    assert!(!listed.to_string().contains(secret), "a key is shown once");

    let gone = system
        .operator(Method::DELETE, &format!("{KEYS}/partner"), None)
        .await;
    assert!(gone.status.is_success(), "{}", gone.status);
    eventually("the key to be refused", || async {
        (ask(&key).await == refused("key_unknown")).then_some(())
    })
    .await;
}

/// Twenty changes of routes and limits, then a new gateway process: what an upgrade of its binary is, for the agent
/// starts what is on the disk by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_and_an_upgrade_of_the_gateway_fail_no_request() {
    let manifest = small::serving("");
    let system = Folder::with_manifest(&manifest).up();
    let load = Load::start(&system.edge, 32, 2_000);
    load.served(2_000).await;
    for round in 1..=10 {
        let timeout = 1_000 + round;
        let route = format!("\n[route.more]\nmatch = \"/more/{round}/**\"\nto = \"kiln\"\nauth = \"jwt\"\n");
        system.folder().rewrite(&format!("{manifest}{route}"));
        system.agent_call("/v1/apply", &json!({ "no_build": true })).await;
        let limits = json!({ "timeout_ms": timeout });
        let set = system
            .operator(Method::PUT, "/api/limits/v1/edge/kiln", Some(&limits))
            .await;
        assert_eq!(set.status, 200);
        // The route is there before the next change.
        let probe = format!("{}/more/{round}/x", system.edge);
        eventually("the route", || async {
            let answer = Client::new().get(probe.as_str()).send().await.ok()?;
            (answer.status == 401).then_some(())
        })
        .await;
    }
    load.served(1_000).await;
    let before = system.instance("gateway/1");
    let pid = u32::try_from(before["pid"].as_u64().unwrap()).unwrap();
    signal(pid, Signal::TERM);
    eventually("the new gateway", || async {
        let now = system.instance("gateway/1");
        (now["state"] == "ready" && now["pid"] != before["pid"]).then_some(())
    })
    .await;
    load.served(2_000).await;
    let report = load.stop().await;
    assert_eq!(
        report.failures,
        Vec::<String>::new(),
        "of {} requests",
        report.served
    );
}
