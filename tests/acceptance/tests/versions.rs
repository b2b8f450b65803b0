//! Versions side by side on the real shop: shares that stick, requests that keep their version, quarantine under load.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use acceptance_tests::{Folder, System, eventually, workspace};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brick_bus::pool::bucket;
use brick_wire::Client;
use http::{HeaderName, Method};
use serde_json::{Value, json};

/// The shop with a second version of payment that is as good as the first.
async fn shop() -> System {
    let folder = Folder::copy_of("shop");
    let manifest = std::fs::read_to_string(workspace().join("systems/shop/brick.toml")).unwrap();
    let v3 = "\n[brick.payment.version.v3]\nrun = \"{target}/shop payment\"\nreplicas = 1\n";
    folder.rewrite(&(manifest + v3));
    let system = folder.up();
    eventually("payment@v3", || async {
        (system.instance("payment@v3/1")["state"] == "ready").then_some(())
    })
    .await;
    system
}

/// Payments that each version of payment was asked for.
async fn payments(system: &System) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for row in system.ps() {
        if row["brick"] != "payment" || row["pid"].is_null() {
            continue;
        }
        let count = served(&row, "POST").await;
        *all.entry(row["version"].as_str().unwrap().to_owned())
            .or_insert(0) += count;
    }
    all
}

/// Requests of a method that an instance answered.
pub(crate) async fn served(row: &Value, method: &str) -> u64 {
    let url = format!("http://127.0.0.1:{}/metrics", row["port"]);
    let answer = Client::new().get(url).send().await.unwrap();
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let counts = text.lines().filter(|line| {
        line.starts_with("http_server_request_duration_seconds_count{")
            && line.contains(&format!("http_request_method=\"{method}\""))
            && !["/health", "/metrics", "/info"]
                .iter()
                .any(|own| line.contains(&format!("http_route=\"{own}")))
    });
    counts
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum::<f64>() as u64
}

fn user_of(token: &str) -> String {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["sub"].as_str().unwrap().to_owned()
}

async fn order(system: &System, token: &str, product: &str, field: Option<(&'static str, &str)>) -> u16 {
    let wish = json!({ "lines": [{ "product_id": product, "quantity": 1 }] });
    let client = Client::new();
    let call = client
        .post(format!("{}/api/orders", system.edge))
        .bearer(token)
        .json_body(&wish);
    let call = match field {
        Some((name, value)) => call.header(HeaderName::from_static(name), value),
        None => call,
    };
    call.send().await.unwrap().status.as_u16()
}

#[tokio::test]
async fn a_tenth_of_the_users_has_the_other_version_and_nobody_changes() {
    let system = shop().await;
    let product = system.product().await["id"].as_str().unwrap().to_owned();
    let told = system.folder().json(&["route", "set", "payment", "v3=10"]);
    assert_eq!(told["versions"][0]["share"], 90.0, "{told}");
    let mut expected = BTreeMap::from([("v1".to_owned(), 0), ("v3".to_owned(), 0)]);
    let before = payments(&system).await;
    for number in 0..30 {
        let token = system.sign_up(&format!("user-{number}")).await;
        let version = if bucket("payment", &user_of(&token)) < 1_000 {
            "v3"
        } else {
            "v1"
        };
        // What is said from outside of a version is not heard.
        let forged = [
            None,
            Some(("baggage", "brick.pool=payment:v3")),
            Some(("baggage", "brick.pool=payment:v1")),
        ];
        for field in forged {
            assert!(order(&system, &token, &product, field).await < 300);
            *expected.get_mut(version).unwrap() += 1;
        }
    }
    let since = |now: BTreeMap<String, u64>| -> BTreeMap<String, u64> {
        now.into_iter()
            .map(|(version, count)| {
                let earlier = before.get(&version).copied().unwrap_or(0);
                (version, count - earlier)
            })
            .collect()
    };
    let found = since(payments(&system).await);
    assert_eq!(found.get("v1"), expected.get("v1"), "{found:?}");
    assert_eq!(found.get("v3"), expected.get("v3"), "{found:?}");

    // A header at the edge decides two hops further in, where it does not come.
    let told = system
        .folder()
        .json(&["route", "header", "payment", "x-beta: yes", "v3"]);
    assert_eq!(told["rules"][0]["to"], "v3", "{told}");
    let token = system.sign_up("tester").await;
    let before = payments(&system).await["v3"];
    for _ in 0..5 {
        assert!(order(&system, &token, &product, Some(("x-beta", "yes"))).await < 300);
    }
    assert_eq!(payments(&system).await["v3"], before + 5);
    let told = system.folder().json(&["audit", "--action", "pools"]);
    assert_eq!(
        (&told[0]["who"], told.as_array().unwrap().len()),
        (&json!("operator"), 2),
        "{told}"
    );
}

#[tokio::test]
async fn an_instance_leaves_its_pool_under_load_without_a_failed_request_and_runs_on() {
    let system = shop().await;
    let (stop, failed, done) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let load = Arc::new((stop, failed, done));
    let url = format!("{}/api/orders", system.edge);
    let token = system.sign_up("loaded").await;
    let tasks: Vec<_> = (0..2)
        .map(|_| {
            let (load, url, token) = (Arc::clone(&load), url.clone(), token.clone());
            tokio::spawn(async move {
                let client = Client::new();
                while !load.0.load(Ordering::Relaxed) {
                    let answer = client.get(url.as_str()).bearer(&token).send().await;
                    let good = answer.is_ok_and(|answer| answer.status.is_success());
                    load.1.fetch_add(u64::from(!good), Ordering::Relaxed);
                    load.2.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let done = |more: u64| {
        let load = Arc::clone(&load);
        async move {
            let begun = load.2.load(Ordering::Relaxed);
            eventually("more requests", || async {
                (load.2.load(Ordering::Relaxed) >= begun + more).then_some(())
            })
            .await;
        }
    };
    done(200).await;
    let told = system
        .folder()
        .json(&["--why", "it leaks", "quarantine", "order/2"]);
    assert_eq!(
        (&told["own_name"], &told["told"]),
        (&json!("order-2.order"), &json!(true)),
        "{told}"
    );
    let row = system.instance("order/2");
    done(20).await;
    let before = served(&row, "GET").await;
    done(300).await;
    // Its own health is still asked for; calls of the shop are not.
    let health = |row: &Value| format!("http://127.0.0.1:{}/health/ready", row["port"]);
    assert_eq!(Client::new().get(health(&row)).send().await.unwrap().status, 200);
    assert_eq!(served(&row, "GET").await, before, "no new request came");
    eventually("ps to show it", || async {
        let text = system.folder().run(&["ps"]);
        String::from_utf8_lossy(&text.stdout)
            .contains("quarantined")
            .then_some(())
    })
    .await;
    assert_eq!(system.instance("order/2")["pid"], row["pid"], "it runs on");
    let back = system
        .operator(
            Method::DELETE,
            "/api/registry/v1/instances/order%2F2/quarantine",
            None,
        )
        .await;
    assert_eq!(back.status, 200);
    eventually("it to take requests again", || async {
        (served(&row, "GET").await > before).then_some(())
    })
    .await;
    load.0.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(load.1.load(Ordering::Relaxed), 0, "requests failed");
    let trail = system.admin("/api/audit/v1?action=quarantine").await;
    assert_eq!(trail["items"][1]["why"], "it leaks");
}

/// Copies that an instance's balancer sent to another version of product.
async fn copies(system: &System, instance: &str, caller: &str) -> u64 {
    let row = system.instance(instance);
    let url = format!("http://127.0.0.1:{}/metrics", row["port"]);
    let Ok(answer) = Client::new().get(url).send().await else {
        return 0;
    };
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let own = format!("edge=\"{caller}->product\"");
    let counted = text
        .lines()
        .filter(|line| line.starts_with("brick_balancer_decisions_total{"));
    let counted = counted.filter(|line| line.contains(&own) && line.contains("decision=\"mirror\""));
    counted
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum::<f64>() as u64
}

#[tokio::test]
async fn copies_of_what_changes_nothing_go_to_a_version_whoever_calls_and_nobody_sees_its_answers() {
    let folder = Folder::copy_of("shop");
    let manifest = std::fs::read_to_string(workspace().join("systems/shop/brick.toml")).unwrap();
    let program = env!("CARGO_BIN_EXE_acceptance-brick");
    // It answers every request with 500, and counts them.
    let v2 = format!("\n[brick.product.version.v2]\nrun = \"{program} measured 1 0\"\nreplicas = 1\n");
    folder.rewrite(&(manifest + &v2));
    let weights = json!({ "rules": [], "weights": { "v2": 0 }, "sticky": null });
    let system = folder.up();
    let answer = system
        .operator(Method::PUT, "/api/pools/v1/product", Some(&weights))
        .await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let row = eventually("product@v2", || async {
        Some(system.instance("product@v2/1")).filter(|row| row["state"] == "ready")
    })
    .await;
    assert_eq!(counted(&row).await, 0, "nothing goes there yet");
    let told = system.folder().json(&["route", "mirror", "product", "v2=100"]);
    assert_eq!(
        told["mirror"],
        json!({ "version": "v2", "percent": 100 }),
        "{told}"
    );
    let product = system.product().await["id"].as_str().unwrap().to_owned();
    let python = system.instance("recommendation/1")["state"] == "ready";
    let paths = [
        "/api/products?limit=2".to_owned(),
        format!("/products/{product}"),
        format!("/api/recommendations?product_id={product}"),
    ];
    eventually("copies of the edge, of the SDK and of the host proxy", || async {
        for path in paths.iter().filter(|path| python || !path.contains("recommend")) {
            let answer = Client::new().get(format!("{}{path}", system.edge)).send().await;
            assert_eq!(answer.unwrap().status, 200, "{path}");
        }
        let edge = copies(&system, "gateway/1", "edge").await;
        let sdk = copies(&system, "storefront/1", "storefront").await
            + copies(&system, "storefront/2", "storefront").await;
        let proxy = copies(&system, "proxy/1", "recommendation").await;
        (edge > 0 && sdk > 0 && (proxy > 0 || !python)).then_some(())
    })
    .await;
    eventually("the version to have been asked", || async {
        (counted(&row).await > 0).then_some(())
    })
    .await;
    let ended = system.folder().json(&["route", "mirror", "product", "v2=0"]);
    assert_eq!(ended["mirror"], Value::Null);
}

/// Requests that the acceptance brick counted.
pub(super) async fn counted(row: &Value) -> u64 {
    let url = format!("http://127.0.0.1:{}/metrics", row["port"]);
    let answer = Client::new().get(url).send().await.unwrap();
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let counts = text.lines().filter(|line| line.contains("_count{"));
    counts
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum::<f64>() as u64
}
