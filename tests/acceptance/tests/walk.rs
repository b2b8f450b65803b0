//! The walk: the shop comes up, a purchase goes through all of it, and everything it left behind is found.

use std::collections::BTreeSet;

use acceptance_tests::{Folder, System, alive, eventually};
use brick_wire::Client;
use serde_json::Value;

async fn purchase_trace(system: &System) -> Value {
    eventually("the trace of the purchase", || async {
        let list = system.folder().json(&[
            "trace",
            "ls",
            "--service",
            "order",
            "--operation",
            "POST /api/orders",
        ]);
        let id = list[0]["trace_id"].as_str()?.to_owned();
        let trace = system.folder().json(&["trace", "show", &id]);
        let services: BTreeSet<&str> = trace["spans"]
            .as_array()?
            .iter()
            .filter_map(|s| s["service"].as_str())
            .collect();
        ["gateway", "order", "customer", "product", "payment", "shipping"]
            .iter()
            .all(|service| services.contains(service))
            .then(|| trace.clone())
    })
    .await
}

#[tokio::test]
async fn one_purchase_is_one_trace_with_its_statements_and_log_lines() {
    let system = Folder::copy_of("shop").up();
    let token = system.sign_up("ada").await;
    let product = system.product().await;
    let order = system
        .order(&token, product["id"].as_str().unwrap())
        .await
        .unwrap();
    assert_eq!(order["status"], "placed");

    let trace = purchase_trace(&system).await;
    let spans = trace["spans"].as_array().unwrap();
    let statements = spans
        .iter()
        .filter(|span| span["attributes"]["db.query.text"].is_string())
        .count();
    assert!(statements >= 5, "only {statements} SQL spans");
    let roots = spans.iter().filter(|span| span["parent_id"].is_null()).count();
    assert_eq!(roots, 1, "one purchase has one root");

    let id = trace["trace_id"].as_str().unwrap().to_owned();
    let lines = eventually("the log lines of the purchase", || async {
        let lines = system.folder().json(&["logs", "--trace", &id]);
        let bricks: BTreeSet<String> = lines
            .as_array()?
            .iter()
            .filter_map(|line| line["brick"].as_str().map(ToOwned::to_owned))
            .collect();
        ["order", "payment", "product", "shipping"]
            .iter()
            .all(|b| bricks.contains(*b))
            .then_some(lines)
    })
    .await;
    assert!(
        lines
            .as_array()
            .unwrap()
            .iter()
            .all(|line| line["trace_id"] == id.as_str())
    );
}

#[tokio::test]
async fn the_python_brick_joins_the_trace_with_its_plain_text_lines() {
    let system = Folder::copy_of("shop").up();
    let product = system.product().await;
    let page = format!("{}/products/{}", system.edge, product["id"].as_str().unwrap());
    let answer = Client::new().get(page).send().await.unwrap();
    assert!(String::from_utf8_lossy(&answer.body).contains("Goes well with it"));
    eventually("a log line of the Python brick in the page's trace", || async {
        let list = system
            .folder()
            .json(&["trace", "ls", "--service", "recommendation"]);
        let id = list[0]["trace_id"].as_str()?.to_owned();
        let lines = system.folder().json(&["logs", "--trace", &id]);
        lines
            .as_array()?
            .iter()
            .any(|line| line["brick"] == "recommendation")
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn down_leaves_no_process_behind() {
    let mut system = Folder::copy_of("shop").up();
    let pids: Vec<u64> = system.ps().iter().filter_map(|row| row["pid"].as_u64()).collect();
    assert!(pids.len() >= 10, "{pids:?}");
    let output = system.folder().run(&["down"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    system.stop();
    let left: Vec<u64> = pids.into_iter().filter(|pid| alive(*pid)).collect();
    assert_eq!(left, Vec::<u64>::new());
}

#[tokio::test]
async fn scale_adds_and_removes_instances() {
    let system = Folder::copy_of("shop").up();
    assert!(system.folder().run(&["scale", "product=3"]).status.success());
    eventually("three ready instances of product", || async {
        let ready = system
            .ps()
            .iter()
            .filter(|row| row["brick"] == "product" && row["state"] == "ready")
            .count();
        (ready == 3).then_some(())
    })
    .await;
    assert!(system.folder().run(&["scale", "product=1"]).status.success());
    eventually("one instance of product", || async {
        let some = system
            .ps()
            .iter()
            .filter(|row| row["brick"] == "product" && row["state"] != "stopped")
            .count();
        (some == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn load_places_real_orders_without_an_error() {
    let system = Folder::copy_of("shop").up();
    let report = system
        .folder()
        .json(&["load", "checkout", "--rps", "20", "--for", "3s"]);
    assert_eq!(report["errors"], 0, "{report}");
    assert_eq!(report["rounds"], 60, "{report}");
}
