//! Eureka's REST API: what it shows, who may write, and clients that others wrote.

use std::path::Path;

use brick_core::Incarnation;
use http::header::{ACCEPT, AUTHORIZATION};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;

use super::harness::{Control, basic, printed, subscribe};
use super::outsiders::with_stock;

const JSON: &str = "application/json";

impl Control {
    /// The answer to somebody; `body` is its kind and itself.
    async fn eureka(
        &self,
        (method, path): (Method, &str),
        who: &str,
        body: Option<(&'static str, String)>,
    ) -> (u16, String) {
        let url = format!("{}/eureka/{path}", self.url);
        let mut call = self.http.call(method, url).header(ACCEPT, JSON);
        if !who.is_empty() {
            call = call.header(AUTHORIZATION, who);
        }
        if let Some((kind, text)) = body {
            call = call.body(kind, text);
        }
        let answer = call.send().await.unwrap();
        (
            answer.status.as_u16(),
            String::from_utf8(answer.body.to_vec()).unwrap(),
        )
    }

    async fn shown(&self, path: &str, who: &str) -> Value {
        let (status, body) = self.eureka((Method::GET, path), who, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    async fn with_order(&self, addr: &str) {
        let edit = json!({ "addr": addr, "ttl_ms": 600_000 });
        let answer = self.register("order", 1, Incarnation::new(), edit).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
}

fn instance(app: &str, id: &str, port: u16) -> Value {
    json!({ "instance": {
        "app": app, "instanceId": id, "hostName": "stock.example", "ipAddr": "127.0.0.1", "port": { "$": port, "@enabled": "true" },
        "vipAddress": "stock,goods", "status": "UP", "metadata": { "zone": "b", "weight": "50" },
        "dataCenterInfo": { "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn" },
        "leaseInfo": { "durationInSecs": 600 }, "lastDirtyTimestamp": "1000",
    } })
}

/// Statuses of the application `STOCK` by name of the instance.
fn statuses(application: &Value) -> Vec<(String, String)> {
    let text = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
    let all = application["application"]["instance"].as_array().unwrap().iter();
    all.map(|one| (text(one, "instanceId"), text(one, "status")))
        .collect()
}

#[tokio::test]
async fn bricks_are_applications_and_an_outsider_joins_its_brick() {
    let folder = tempfile::tempdir().unwrap();
    let control = with_stock(folder.path()).await;
    control.with_order("127.0.0.1:7999").await;
    let stock = basic(&control.client("stock", &["register:stock"]).await);
    let process = control.process("order", &["bus", "call:stock"]);
    let mut order = subscribe(&control.url, process, &["endpoints/*"], None);
    let shown = control.shown("apps", &stock).await;
    assert_eq!(shown["applications"]["apps__hashcode"], "UP_1_");
    let one = &shown["applications"]["application"][0]["instance"][0];
    assert_eq!(
        (
            &one["instanceId"],
            &one["ipAddr"],
            &one["port"]["$"],
            &one["vipAddress"],
            &one["status"]
        ),
        (
            &json!("order-1"),
            &json!("127.0.0.1"),
            &json!(7999),
            &json!("order"),
            &json!("UP")
        )
    );
    assert_eq!(
        control.shown("instances/order-1", &stock).await["instance"]["app"],
        "ORDER"
    );
    let send = async |method: Method, path: &str, body: Option<(&'static str, String)>| {
        control.eureka((method, path), &stock, body).await.0
    };
    let body = |id: &str, port| Some((JSON, instance("STOCK", id, port).to_string()));
    assert_eq!(
        send(Method::PUT, "apps/STOCK/s-1?status=UP", None).await,
        404,
        "not yet"
    );
    assert_eq!(send(Method::POST, "apps/STOCK", body("s-1", 7001)).await, 204);
    // The same as XML, below the path of Netflix's own clients.
    let xml = "<instance><app>stock</app><instanceId>s:2</instanceId><hostName>h</hostName><ipAddr>127.0.0.1</ipAddr>\
        <port enabled=\"true\">7002</port><status>STARTING</status></instance>";
    assert_eq!(
        send(
            Method::POST,
            "v2/apps/stock",
            Some(("application/xml", xml.to_owned()))
        )
        .await,
        204
    );
    let joined = |port: u16| {
        move |state: &brick_bus::State| {
            let pool = state.resources.get("endpoints/stock");
            let all = pool
                .and_then(|pool| pool.value["instances"].as_array())
                .cloned()
                .unwrap_or_default();
            let addr = format!("127.0.0.1:{port}");
            all.len() == 1 && all[0]["addr"] == addr.as_str()
        }
    };
    order
        .until("one that is up, and one that is not", joined(7001))
        .await;
    let found = statuses(&control.shown("apps/STOCK", &stock).await);
    let expected = |all: &[(&str, &str)]| -> Vec<_> {
        all.iter()
            .map(|(id, status)| ((*id).to_owned(), (*status).to_owned()))
            .collect()
    };
    assert_eq!(found, expected(&[("s-1", "UP"), ("s:2", "STARTING")]));
    assert_eq!(
        send(
            Method::PUT,
            "apps/STOCK/s%3A2?status=UP&lastDirtyTimestamp=0",
            None
        )
        .await,
        200
    );
    assert_eq!(
        send(Method::PUT, "apps/STOCK/s-1/status?value=OUT_OF_SERVICE", None).await,
        200
    );
    order.until("only the other one", joined(7002)).await;
    // What it says itself, and that it registers again, does not count meanwhile.
    assert_eq!(send(Method::PUT, "apps/STOCK/s-1?status=UP", None).await, 200);
    assert_eq!(send(Method::POST, "apps/STOCK", body("s-1", 7001)).await, 204);
    let found = statuses(&control.shown("apps/stock", &stock).await);
    assert_eq!(found, expected(&[("s-1", "OUT_OF_SERVICE"), ("s:2", "UP")]));
    let by_name = control.shown("vips/goods", &stock).await;
    assert_eq!(
        by_name["applications"]["application"][0]["instance"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(send(Method::DELETE, "apps/STOCK/s%3A2", None).await, 200);
    assert_eq!(send(Method::DELETE, "apps/STOCK/s-1/status", None).await, 200);
    order.until("only the first", joined(7001)).await;
    assert_eq!(
        send(Method::PUT, "apps/STOCK/s-1/metadata?team=goods", None).await,
        200
    );
    // One that changed since it registered is asked to register anew.
    assert_eq!(
        send(Method::PUT, "apps/STOCK/s-1?lastDirtyTimestamp=2000", None).await,
        404
    );
    let delta = control.shown("apps/delta", &stock).await;
    let stocks = &delta["applications"]["application"][1]["instance"];
    let kinds: Vec<_> = stocks
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["actionType"])
        .collect();
    assert_eq!(kinds, ["MODIFIED", "DELETED"], "{delta}");
    assert_eq!(
        (&stocks[0]["metadata"]["team"], &stocks[0]["metadata"]["zone"]),
        (&json!("goods"), &json!("b"))
    );
    assert_eq!(delta["applications"]["apps__hashcode"], "UP_2_");
    let listed = control.instances().await;
    let one = listed.iter().find(|one| one["brick"] == "stock").unwrap();
    assert_eq!(
        (
            &one["outsider"],
            &one["joined"],
            &one["ttl_ms"],
            &one["weight"],
            &one["zone"]
        ),
        (
            &json!("s-1"),
            &json!("eureka"),
            &json!(600_000),
            &json!(50),
            &json!("b")
        )
    );
    assert!(one["lease_ends"].as_str().unwrap().ends_with('Z'), "{one}");
    let admin = control.operator(&["admin"]).await;
    let audit = control
        .call(Method::GET, "/api/audit/v1?action=instance.status", &admin, None)
        .await;
    let audit: Value = audit.json().unwrap();
    assert_eq!(
        (&audit["items"][1]["who"], &audit["items"][1]["target"]),
        (&json!("client:stock"), &json!("stock/1"))
    );
    order.stop().await;
}

#[tokio::test]
async fn nobody_writes_without_the_scope_and_nobody_reads_without_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let control = with_stock(folder.path()).await;
    control.with_order("127.0.0.1:7999").await;
    let own = basic(&control.client("own", &["register:stock"]).await);
    let all = basic(&control.client("all", &["register:*"]).await);
    let reads = basic(&control.client("reads", &["registry:read"]).await);
    let other = basic(&control.client("other", &["config:read"]).await);
    let wrong = basic(&("own".to_owned(), "guessed".to_owned()));
    let body = |app: &str| Some((JSON, instance(app, "s-1", 7001).to_string()));
    let check = async |call: (Method, &str), who: &str, body, expected: (u16, &str)| {
        let told = format!("{call:?}");
        let (status, text) = control.eureka(call, who, body).await;
        assert_eq!(status, expected.0, "{told}: {text}");
        assert!(text.contains(expected.1), "{told}: {text}");
    };
    let post = |app: &'static str| (Method::POST, app);
    check(post("apps/STOCK"), "", body("STOCK"), (401, "token_missing")).await;
    check(post("apps/STOCK"), &wrong, body("STOCK"), (401, "client_invalid")).await;
    check(post("apps/STOCK"), &reads, body("STOCK"), (403, "scope_missing")).await;
    check(post("apps/PARCEL"), &own, body("PARCEL"), (403, "scope_missing")).await;
    check(post("apps/ORDER"), &all, body("ORDER"), (409, "not_joinable")).await;
    check(post("apps/STOCK"), &own, body("PARCEL"), (400, "app_mismatch")).await;
    check(
        post("apps/STOCK"),
        &own,
        Some((JSON, "{}".to_owned())),
        (400, "instance_malformed"),
    )
    .await;
    let bomb = "<!DOCTYPE a [<!ENTITY b \"c\">]><instance><app>&b;</app></instance>".to_owned();
    check(
        post("apps/STOCK"),
        &own,
        Some(("application/xml", bomb)),
        (400, "instance_malformed"),
    )
    .await;
    let large = Some((JSON, "x".repeat(70_000)));
    check(post("apps/STOCK"), &own, large, (413, "body_unreadable")).await;
    check(post("apps/STOCK"), &own, body("STOCK"), (204, "")).await;
    for method in [Method::PUT, Method::DELETE] {
        check(
            (method.clone(), "apps/STOCK/s-1"),
            &reads,
            None,
            (403, "scope_missing"),
        )
        .await;
        check(
            (method, "apps/ORDER/order-1"),
            &all,
            None,
            (404, "instance_unknown"),
        )
        .await;
    }
    check(
        (Method::PUT, "apps/STOCK/s-1/status?value=FINE"),
        &own,
        None,
        (400, "status_invalid"),
    )
    .await;
    check((Method::GET, "apps"), "", None, (401, "token_missing")).await;
    check((Method::GET, "apps"), &other, None, (403, "scope_missing")).await;
    check((Method::GET, "apps/NOBODY"), &reads, None, (404, "app_unknown")).await;
    let process = format!("Bearer {}", control.process("order", &["bus"]).0);
    for who in [&reads, &own, &process] {
        check((Method::GET, "apps/STOCK/s-1"), who, None, (200, "UP")).await;
    }
}

/// An application of the system that answers `hello` to everything.
async fn hello() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4_096]).await;
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    addr
}

#[tokio::test]
async fn clients_that_others_wrote_register_find_call_and_leave() {
    let folder = tempfile::tempdir().unwrap();
    let control = with_stock(folder.path()).await;
    control.with_order(&hello().await).await;
    let (id, secret) = control.client("stock", &["register:stock"]).await;
    let url = format!("http://{id}:{secret}@{}/eureka", control.addr());

    let mut node = Command::new("node");
    node.args(["eureka.mjs", &url, "stock", "order"]);
    let found = printed(node).await;
    assert_eq!(found["found"][0][2], "UP", "{found}");
    assert_eq!(
        (&found["both"], &found["left"]),
        (&json!(["js-1", "js-2"]), &json!(["js-1"]))
    );

    let mut python = Command::new("python3");
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/python");
    python.env("PYTHONPATH", packages);
    python.args(["eureka_py.py", &url, "stock", "7003", "order"]);
    let found = printed(python).await;
    let expected = json!([
        ["UP", "UNKNOWN", "goods"],
        ["OUT_OF_SERVICE", "OUT_OF_SERVICE", "goods"],
        ["UP", "UNKNOWN", "goods"],
        ["UP", "UNKNOWN", "goods"],
    ]);
    assert_eq!(
        (&found["answer"], &found["seen"]),
        (&json!("hello"), &expected),
        "{found}"
    );
    assert_eq!((&found["left"], &found["errors"]), (&json!(404), &json!([])));
    assert!(
        control
            .instances()
            .await
            .iter()
            .all(|one| one["brick"] == "order")
    );
}
