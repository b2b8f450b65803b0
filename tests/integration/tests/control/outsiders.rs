//! Instances that register themselves, and what the registry does when it hears of nobody.

use brick_core::Incarnation;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::harness::{Control, control, eventually, subscribe};

const INSTANCES: &str = "/api/registry/v1/instances";

/// Control whose manifest has an order, which needs a stock that registers itself.
pub(super) async fn with_stock(folder: &std::path::Path) -> Control {
    let control = control(folder).await;
    let model = json!({
        "brickwork": 1,
        "system": { "name": "shop" },
        "brick": {
            "order": { "run": "order", "needs": ["stock"] },
            "stock": { "registers": true },
        },
    });
    let agent = control.agent().await;
    let path = "/api/system/v1/manifest";
    let answer = control.call(Method::PUT, path, &agent, Some(model)).await;
    assert_eq!(answer.status, StatusCode::OK);
    control
}

async fn join(control: &Control, token: &str, body: Value) -> (u16, Value) {
    let answer = control.call(Method::POST, INSTANCES, token, Some(body)).await;
    (answer.status.as_u16(), answer.json().unwrap())
}

async fn renew(control: &Control, token: &str, whom: &[&Value]) -> Value {
    let renew: Vec<Value> = whom
        .iter()
        .map(|one| json!({ "incarnation": one["incarnation"], "ready": true }))
        .collect();
    let path = "/api/registry/v1/leases";
    let body = Some(json!({ "renew": renew }));
    let answer = control.call(Method::POST, path, token, body).await;
    answer.json().unwrap()
}

async fn listed(control: &Control) -> Value {
    let agent = control.agent().await;
    let answer = control.call(Method::GET, INSTANCES, &agent, None).await;
    answer.json().unwrap()
}

/// The names of the outsiders that are registered, with their states.
async fn names(control: &Control) -> Vec<(String, String)> {
    let listed = listed(control).await;
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    let items = listed["items"].as_array().unwrap().iter();
    items
        .map(|one| (text(one, "outsider"), text(one, "state")))
        .collect()
}

#[tokio::test]
async fn an_outsider_joins_with_a_scope_of_its_brick_and_its_callers_hear_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let control = with_stock(folder.path()).await;
    let token = control.operator(&["register:stock"]).await;
    let who = control.process("order", &["bus", "call:stock"]);
    let mut order = subscribe(&control.url, who, &["endpoints/*"], None);
    let body = json!({
        "brick": "stock", "version": "v7", "addr": "192.0.2.7:8080", "zone": "b", "name": "stock-a", "weight": 50,
        "api_version": "3.1", "metadata": { "team": "goods" }, "ttl_ms": 60_000,
    });
    let (status, first) = join(&control, &token, body.clone()).await;
    assert_eq!(
        (status, &first["slot"], &first["lease_ms"]),
        (200, &json!("stock/1"), &json!(60_000))
    );
    order
        .until("the outsider", |state| {
            let pool = state.resources.get("endpoints/stock");
            pool.is_some_and(|pool| {
                let one = &pool.value["instances"][0];
                one["addr"] == "192.0.2.7:8080" && one["weight"] == 50 && one["zone"] == "b"
            })
        })
        .await;
    // The same name again is the same instance; another one is another.
    let (_, again) = join(&control, &token, body.clone()).await;
    assert_eq!(again, first);
    let mut other = body.clone();
    other["name"] = json!("stock-b");
    assert_eq!(join(&control, &token, other).await.1["slot"], "stock/2");
    let one = &listed(&control).await["items"][0];
    assert_eq!(
        (&one["api_version"], &one["metadata"]["team"], &one["version"]),
        (&json!("3.1"), &json!("goods"), &json!("v7"))
    );
    assert_eq!(renew(&control, &token, &[&first]).await["unknown"], json!([]));
    let incarnation = first["incarnation"].as_str().unwrap();
    let path = format!("{INSTANCES}/{incarnation}?wait_ms=5000");
    let gone = control.call(Method::DELETE, &path, &token, None).await;
    assert_eq!(gone.json::<Value>().unwrap(), json!({ "let_go": true }));
    assert_eq!(
        names(&control).await,
        [("stock-b".to_owned(), "ready".to_owned())]
    );
    order.stop().await;
}

#[tokio::test]
async fn nobody_joins_without_the_scope_or_what_the_agent_runs() {
    let folder = tempfile::tempdir().unwrap();
    let control = with_stock(folder.path()).await;
    let own = control.operator(&["register:stock"]).await;
    let body = |brick: &str| json!({ "brick": brick, "addr": "192.0.2.7:8080" });
    let (_, one) = join(&control, &own, body("stock")).await;
    for (scopes, brick, status, code) in [
        (vec!["bus"], "stock", 403, "scope_missing"),
        (vec!["admin"], "stock", 403, "scope_missing"),
        (vec!["register:parcel"], "stock", 403, "scope_missing"),
        (vec!["register:*"], "order", 409, "not_joinable"),
    ] {
        let token = control.operator(&scopes).await;
        let (found, problem) = join(&control, &token, body(brick)).await;
        assert_eq!(
            (found, problem["code"].as_str()),
            (status, Some(code)),
            "{scopes:?}"
        );
    }
    let mut claims = body("stock");
    (claims["slot"], claims["incarnation"]) = (json!(1), json!(Incarnation::new()));
    assert_eq!(join(&control, &own, claims).await.1["code"], "slot_not_yours");
    let mut large = body("stock");
    large["metadata"]["key"] = json!("x".repeat(300));
    assert_eq!(join(&control, &own, large).await.1["code"], "invalid_details");
    // Who speaks for another brick renews nothing of this one, and takes nothing away.
    let other = control.operator(&["register:parcel"]).await;
    let unknown = renew(&control, &other, &[&one]).await;
    assert_eq!(unknown["unknown"], json!([one["incarnation"]]));
    let path = format!("{INSTANCES}/{}", one["incarnation"].as_str().unwrap());
    let refused = control.call(Method::DELETE, &path, &other, None).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(names(&control).await.len(), 1);
}

#[tokio::test]
async fn an_outsider_whose_lease_ran_out_stays_while_its_health_answers() {
    let folder = tempfile::tempdir().unwrap();
    let control = with_stock(folder.path()).await;
    let token = control.operator(&["register:*"]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1_024]).await;
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let body = |name: &str, health: Option<&str>| json!({ "brick": "stock", "addr": addr, "name": name, "ttl_ms": 300, "health": health });
    join(&control, &token, body("asked", Some("/health"))).await;
    // That something takes connections there says nothing of one that did not say how it is asked.
    join(&control, &token, body("silent", None)).await;
    let kept = vec![("asked".to_owned(), "unsupervised".to_owned())];
    eventually("the silent one left", async || names(&control).await == kept).await;
    serving.abort();
    eventually("the other one left, too", async || {
        names(&control).await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_registry_that_loses_sight_of_most_keeps_them_until_it_hears_of_them_again() {
    let folder = tempfile::tempdir().unwrap();
    let control = with_stock(folder.path()).await;
    let token = control.operator(&["register:stock"]).await;
    let joined = (0..5).map(|n| {
        let body =
            json!({ "brick": "stock", "addr": "192.0.2.7:1", "name": format!("s{n}"), "ttl_ms": 2_000 });
        join(&control, &token, body)
    });
    let joined = futures_util::future::join_all(joined).await;
    let all: Vec<&Value> = joined.iter().map(|(_, granted)| granted).collect();
    eventually("all are kept", async || {
        let names = names(&control).await;
        names.len() == 5 && names.iter().all(|(_, state)| state == "kept")
    })
    .await;
    assert_eq!(listed(&control).await["preserving"], true);
    let metrics = control.telemetry.metrics().encode();
    assert!(metrics.contains("brick_registry_preserving 1"), "{metrics}");
    assert!(metrics.contains("brick_registry_expired_total 0"), "{metrics}");
    let health = control.telemetry.health().whole().await;
    let health = serde_json::to_string(&health).unwrap();
    assert!(health.contains("lost sight of most instances"), "{health}");
    // What is known to be gone leaves all the same.
    let path = format!("{INSTANCES}/{}", all[0]["incarnation"].as_str().unwrap());
    control.call(Method::DELETE, &path, &token, None).await;
    assert_eq!(names(&control).await.len(), 4);
    // Once most are heard of, the one that is not leaves.
    eventually("the silent one left", async || {
        renew(&control, &token, &all[2..]).await;
        names(&control).await.len() == 3
    })
    .await;
    let listed = listed(&control).await;
    assert_eq!(listed["preserving"], false);
    assert!(
        listed["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["state"] == "ready")
    );
    let metrics = control.telemetry.metrics().encode();
    assert!(metrics.contains("brick_registry_preserving 0"), "{metrics}");
}
