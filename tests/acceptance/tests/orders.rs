//! An order instance dies with orders half placed: the other places them under their keys, and nobody notices.

use acceptance_tests::{Folder, System, eventually, signal, workspace};
use brick_wire::Client;
use http::{HeaderName, Method};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::versions::served;

const ORDERS: usize = 4;

/// The shop, in which an order may take a minute.
fn shop() -> System {
    let folder = Folder::copy_of("shop");
    let manifest = std::fs::read_to_string(workspace().join("systems/shop/brick.toml")).unwrap();
    let patient = manifest
        .replace("timeout = \"5s\" ", "timeout = \"60s\" ")
        .replace(
            "[limits.\"order -> payment\"]\ntimeout = \"2s\"",
            "[limits.\"order -> payment\"]\ntimeout = \"60s\"",
        );
    assert_ne!(manifest, patient);
    folder.rewrite(&patient);
    folder.up()
}

async fn orders(system: &System, token: &str) -> Vec<Value> {
    let url = format!("{}/api/orders", system.edge);
    let client = Client::new();
    let page: Value = client.get(url).bearer(token).json().await.unwrap_or_default();
    page["items"].as_array().cloned().unwrap_or_default()
}

async fn quarantine(system: &System, method: Method) {
    let path = "/api/registry/v1/instances/order%2F2/quarantine";
    let why = json!({ "reason": "everything is to go to the other" });
    let body = (method == Method::POST).then_some(&why);
    let answer = system.operator(method, path, body).await;
    assert!(
        answer.status.is_success(),
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
}

#[tokio::test]
async fn orders_whose_instance_is_killed_in_the_middle_are_placed_by_the_other() {
    let system = shop();
    let token = system.sign_up("ann").await;
    let product = system.product().await["id"].clone();
    quarantine(&system, Method::POST).await;
    let second = system.instance("order/2");
    eventually("order/2 to be left alone", || async {
        let before = served(&second, "GET").await;
        for _ in 0..4 {
            orders(&system, &token).await;
        }
        (served(&second, "GET").await == before).then_some(())
    })
    .await;
    let late = ["fault", "set", "order->payment", "--delay", "25s"];
    assert!(system.folder().run(&late).status.success());
    eventually("the fault to be known", || async {
        let edges = system.admin("/api/faults/v1").await;
        (!edges["items"].as_array()?.is_empty()).then_some(())
    })
    .await;
    let url = format!("{}/api/orders", system.edge);
    let wish = json!({ "lines": [{ "product_id": product, "quantity": 1 }] });
    let asked: Vec<_> = (0..ORDERS)
        .map(|number| {
            let (url, wish, token) = (url.clone(), wish.clone(), token.clone());
            tokio::spawn(async move {
                let client = Client::new();
                let key = HeaderName::from_static("idempotency-key");
                let call = client.post(url).bearer(&token).json_body(&wish);
                let call = call.header(key, &format!("key-{number}"));
                call.timeout(acceptance_tests::LIMIT * 2).send().await
            })
        })
        .collect();
    eventually("all to be half placed", || async {
        let all = orders(&system, &token).await;
        let placing = all.iter().filter(|order| order["status"] == "placing");
        (placing.count() == ORDERS).then_some(())
    })
    .await;
    quarantine(&system, Method::DELETE).await;
    assert!(system.folder().run(&["fault", "clear"]).status.success());
    let before = served(&second, "GET").await;
    eventually("order/2 to be called again", || async {
        orders(&system, &token).await;
        (served(&second, "GET").await > before).then_some(())
    })
    .await;
    let pid = system.instance("order/1")["pid"].as_u64().unwrap();
    signal(u32::try_from(pid).unwrap(), Signal::KILL);
    for answer in asked {
        let answer = answer.await.unwrap().expect("an answer");
        let order: Value = answer.json().unwrap_or_default();
        assert_eq!(
            (answer.status.as_u16(), &order["status"]),
            (201, &json!("placed")),
            "{order}"
        );
    }
    let all = orders(&system, &token).await;
    assert_eq!(all.len(), ORDERS, "each once: {all:?}");
    assert!(all.iter().all(|order| order["status"] == "placed"), "{all:?}");
    let metrics = format!("http://127.0.0.1:{}/metrics", second["port"]);
    let metrics = Client::new().get(metrics).send().await.unwrap();
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    let taken = format!("shop_orders_taken_over_total {ORDERS}");
    assert!(metrics.lines().any(|line| line == taken), "{metrics}");
}
