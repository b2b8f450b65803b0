//! Configuration that changes while the shop runs.

use std::process::Output;

use acceptance_tests::{Folder, System, eventually};
use brick_wire::Client;
use serde_json::{Value, json};

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Runs a command that works; what it said.
fn config(system: &System, arguments: &[&str]) -> String {
    let output = system.folder().run(&[&["config"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

/// Orders two products in lines of their own; the answer's status.
async fn order_two_lines(system: &System, token: &str) -> u16 {
    let page: Value = Client::new()
        .get(format!("{}/api/products?limit=2", system.edge))
        .json()
        .await
        .unwrap();
    let line = |at: usize| json!({ "product_id": page["items"][at]["id"], "quantity": 1 });
    let answer = Client::new()
        .post(format!("{}/api/orders", system.edge))
        .bearer(token)
        .json_body(&json!({ "lines": [line(0), line(1)] }))
        .send()
        .await
        .unwrap();
    answer.status.as_u16()
}

#[tokio::test]
async fn orders_obey_a_change_at_once_no_process_restarts_and_a_refusal_changes_nothing() {
    let system = Folder::copy_of("shop").up();
    let pids = system.pids();
    let token = system.sign_up("cora").await;
    assert_eq!(order_two_lines(&system, &token).await, 201);
    let told = config(&system, &["set", "order.max_lines=1", "--why", "a test"]);
    assert!(
        told.contains("applied by 2/2 in ") && told.contains(" ms, spread "),
        "{told}"
    );
    for _ in 0..4 {
        assert_eq!(order_two_lines(&system, &token).await, 422, "both instances obey");
    }
    for (value, reason) in [
        ("order.max_lines=0", "expected at least 1"),
        ("order.max_lines=many", "expected usize, found \"many\""),
    ] {
        let refused = system.folder().run(&["config", "set", value]);
        let told = said(&refused);
        assert_eq!(refused.status.code(), Some(1), "{told}");
        for part in ["order/", " refuses: max_lines: ", reason, "nothing was changed"] {
            assert!(told.contains(part), "no \"{part}\" in: {told}");
        }
    }
    let rows = system.folder().json(&["config", "history", "order"]);
    let rows = rows.as_array().unwrap();
    assert_eq!(
        (&rows[0]["outcome"], &rows[2]["why"]),
        (&json!("refused"), &json!("a test"))
    );
    let manifest = rows.last().unwrap()["change"].as_str().unwrap();
    let told = config(&system, &["rollback", "order", manifest]);
    assert!(told.contains("applied by 2/2"), "{told}");
    assert_eq!(order_two_lines(&system, &token).await, 201);
    assert_eq!(system.pids(), pids, "nothing was restarted");
}

#[tokio::test]
async fn a_brick_without_sdk_has_a_change_after_its_next_start() {
    let system = Folder::copy_of("shop").up();
    let told = config(&system, &["set", "recommendation.volume=11"]);
    assert!(told.contains("after restart: recommendation/1"), "{told}");
    let environment = || {
        let pid = system.instance("recommendation/1")["pid"].as_u64().unwrap();
        let bytes = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', "\n")
    };
    assert!(!environment().contains("VOLUME=11"));
    assert!(
        system
            .folder()
            .run(&["roll", "recommendation", "--no-build"])
            .status
            .success()
    );
    let after = environment();
    assert!(after.contains("VOLUME=11\n"), "{after}");
    assert!(after.contains("BRICK_CONFIG_INJECTED=VOLUME\n"), "{after}");
}

#[tokio::test]
async fn the_volume_of_one_instance_is_turned_up_and_down() {
    let system = Folder::copy_of("shop").up();
    let told = config(&system, &["log", "order/1=debug", "--for", "10m"]);
    assert!(told.contains("order/1 writes debug, until "), "{told}");
    let lines = |instance: &str| said(&system.folder().run(&["logs", instance]));
    eventually("order/1 to write more", || async {
        lines("order/1").contains("at another level").then_some(())
    })
    .await;
    assert!(!lines("order/2").contains("at another level"));
    let told = config(&system, &["log", "order/1", "--reset"]);
    assert!(
        told.contains("order writes the lines that it was started with"),
        "{told}"
    );
}
