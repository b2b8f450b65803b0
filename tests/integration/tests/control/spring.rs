//! Spring Cloud Config's API: the shapes that its clients expect, who may read what, and clients that others wrote.

use std::path::Path;

use http::Method;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};
use tokio::process::Command;

use super::harness::{Control, basic, printed};
use super::repository::{Repo, with_repository};

/// What this file's repository holds.
const FILES: [(&str, Option<&str>); 6] = [
    (
        "application.yml",
        Some("max_lines: 1\nshared: all\nurl: http://${host:localhost}/\n"),
    ),
    ("application-eu.yml", Some("max_lines: 2\n")),
    ("order.yml", Some("max_lines: 3\ntags: [a, b]\ndb:\n  host: h\n")),
    ("order-eu.properties", Some("max_lines = 4\n")),
    ("payment.yml", Some("rule: 1\n")),
    ("nginx.conf", Some("limit ${max_lines};\n")),
];

impl Control {
    /// The answer of `/config/…` to somebody.
    async fn config(&self, path: &str, who: Option<&str>) -> (u16, String) {
        let mut call = self.http.call(Method::GET, format!("{}/config/{path}", self.url));
        if let Some(who) = who {
            call = call.header(AUTHORIZATION, who);
        }
        let answer = call.send().await.unwrap();
        (
            answer.status.as_u16(),
            String::from_utf8(answer.body.to_vec()).unwrap(),
        )
    }
}

fn names(environment: &Value) -> Vec<&str> {
    let sources = environment["propertySources"].as_array().unwrap();
    sources.iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_environment_has_springs_shape_and_order() {
    let folder = tempfile::tempdir().unwrap();
    let repo = Repo::new(folder.path());
    let sha = repo.commit(&FILES);
    repo.git(&["checkout", "-q", "-b", "feature/x"]);
    repo.commit(&[("order-eu.properties", Some("max_lines = 5\n"))]);
    let control = with_repository(folder.path(), None, json!({})).await;
    assert_eq!(control.set(json!({ "max_lines": 9 })).await.0, 200);
    let reader = basic(&control.client("reader", &["config:read"]).await);
    let ask = async |path: &str| {
        let (status, body) = control.config(path, Some(&reader)).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    };
    let environment: Value = serde_json::from_str(&ask("order/eu").await).unwrap();
    assert_eq!(
        (
            &environment["name"],
            &environment["profiles"],
            &environment["label"],
            &environment["version"],
            &environment["state"]
        ),
        (
            &json!("order"),
            &json!(["eu"]),
            &Value::Null,
            &json!(sha),
            &Value::Null
        )
    );
    assert_eq!(
        names(&environment),
        [
            "live",
            "config-repo/order-eu.properties",
            "config-repo/application-eu.yml",
            "config-repo/order.yml",
            "config-repo/application.yml",
            "manifest",
        ]
    );
    assert_eq!(
        environment["propertySources"][3]["source"],
        json!({ "max_lines": 3, "tags[0]": "a", "tags[1]": "b", "db.host": "h" })
    );
    let of_branch: Value = serde_json::from_str(&ask("order/eu/feature(_)x").await).unwrap();
    assert_eq!(of_branch["label"], "feature/x");
    assert_eq!(
        of_branch["propertySources"][0]["source"],
        json!({ "max_lines": "5" }),
        "no live values of a branch"
    );
    let other: Value = serde_json::from_str(&ask("mailer/default").await).unwrap();
    assert_eq!(
        names(&other),
        ["config-repo/application.yml"],
        "an application that is no brick"
    );

    assert_eq!(
        ask("mailer-eu.properties").await,
        "max_lines: 2\nshared: all\nurl: http://localhost/\n"
    );
    assert_eq!(
        ask("mailer-eu.yml?resolvePlaceholders=false").await,
        "max_lines: 2\nshared: \"all\"\nurl: \"http://${host:localhost}/\"\n"
    );
    let merged: Value = serde_json::from_str(&ask("main/order-eu.json").await).unwrap();
    assert_eq!(
        (&merged["max_lines"], &merged["db"]["host"]),
        (&json!(9), &json!("h"))
    );
    assert_eq!(ask("mailer/eu/main/nginx.conf").await, "limit 2;\n");
    assert_eq!(ask("mailer/eu/nginx.conf?useDefaultLabel").await, "limit 2;\n");
    for (path, code) in [
        ("order/eu/nowhere", "label_unknown"),
        ("order/eu/main/none.conf", "not_found"),
        ("order.yml", "not_found"),
        ("order/eu/--all", "label_unknown"),
        ("or%20der/eu", "name_invalid"),
    ] {
        let (status, body) = control.config(path, Some(&reader)).await;
        assert!(status >= 400 && body.contains(code), "{path}: {status} {body}");
    }
    control.stop().await;
}

#[tokio::test]
async fn everybody_reads_what_they_may_and_secrets_are_for_those_who_may_see_them() {
    let folder = tempfile::tempdir().unwrap();
    let repo = Repo::new(folder.path());
    repo.commit(&FILES);
    let control = with_repository(folder.path(), Some("a"), json!({})).await;
    let bearer = |token: &str| format!("Bearer {token}");
    let order = bearer(&control.process("order", &["bus"]).0);
    let http = &control.http;
    let post = async |path: &str, body: String| {
        let call = http.call(Method::POST, format!("{}/config/{path}", control.url));
        let call = call.header(AUTHORIZATION, &order).body("text/plain", body);
        let answer = call.send().await.unwrap();
        (
            answer.status.as_u16(),
            String::from_utf8(answer.body.to_vec()).unwrap(),
        )
    };
    let (status, sealed) = post("encrypt/order/pin", "hunter2".to_owned()).await;
    assert_eq!(status, 200, "{sealed}");
    assert_eq!(
        post("decrypt/order/pin", sealed.clone()).await,
        (200, "hunter2".to_owned())
    );
    assert_eq!(
        post("decrypt/order/pan", sealed.clone()).await.0,
        422,
        "bound to its key"
    );
    assert_eq!(post("decrypt/payment/pin", sealed.clone()).await.0, 403);
    assert_eq!(post("encrypt", "hunter2".to_owned()).await.0, 422);
    repo.commit(&[(
        "order.yml",
        Some(&format!("pin: '{{cipher}}{sealed}'\nbad: '{{cipher}}AAAA'\n")),
    )]);
    let admin = control.operator(&["admin"]).await;
    control
        .call(Method::POST, "/api/config-repository/v1/refresh", &admin, None)
        .await;

    let reads = basic(&control.client("reads", &["config:read"]).await);
    let own = basic(&control.client("own", &["config:app:order"]).await);
    let nobody = basic(&control.client("nobody", &["other"]).await);
    let wrong = basic(&("reads".to_owned(), "guessed".to_owned()));
    for (who, status, secret) in [
        (Some(&order), 200, "hunter2"),
        (Some(&own), 200, "hunter2"),
        (Some(&reads), 200, "•••"),
        (Some(&bearer(&admin)), 200, "•••"),
        (Some(&nobody), 403, ""),
        (Some(&wrong), 401, ""),
        (None, 401, ""),
    ] {
        let (found, body) = control.config("order/eu", who.map(String::as_str)).await;
        assert_eq!(found, status, "{body}");
        if status == 200 {
            let body: Value = serde_json::from_str(&body).unwrap();
            let sources = body["propertySources"].as_array().unwrap();
            let of_file = sources
                .iter()
                .find(|one| one["name"] == "config-repo/order.yml")
                .unwrap();
            assert_eq!(of_file["source"]["pin"], secret, "{who:?}");
            if secret == "hunter2" {
                assert_eq!(of_file["source"]["invalid.bad"], "<n/a>");
            }
        }
    }
    for path in [
        "payment/eu",
        "payment-eu.yml",
        "order/eu/main/payment.yml",
        "order/eu/main/nginx.conf",
    ] {
        assert_eq!(control.config(path, Some(&order)).await.0, 403, "{path}");
    }
    control.stop().await;
}

#[tokio::test]
async fn clients_that_others_wrote_read_their_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let repo = Repo::new(folder.path());
    repo.commit(&FILES);
    repo.commit(&[
        ("order/nginx.conf", Some("own ${max_lines};\n")),
        ("nginx.conf", None),
        ("order-eu.yml", Some("pin: '0042'\n")),
    ]);
    let control = with_repository(folder.path(), None, json!({})).await;
    let (id, secret) = control.client("shop-front", &["config:app:order"]).await;
    let address = format!("{}/config", control.url);

    let mut node = Command::new("node");
    node.args(["cloud-config.mjs", &address, "order", "eu", "main", &id, &secret]);
    let found = printed(node).await;
    assert_eq!(
        (&found["max_lines"], &found["pin"], &found["tag"]),
        (&json!("4"), &json!("0042"), &json!("b")),
        "{found}"
    );
    assert_eq!(found["raw"].as_array().unwrap().len(), 6, "{found}");

    let mut python = Command::new("python3");
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/python");
    python.env("PYTHONPATH", packages);
    let tokens = format!("{}/identity/token", control.url);
    python.args([
        "cloud_config.py",
        &address,
        &tokens,
        "order",
        "eu",
        "main",
        &id,
        &secret,
    ]);
    let found = printed(python).await;
    assert_eq!(
        found,
        json!({ "max_lines": "4", "pin": "0042", "file": "own 4;\n" })
    );
    control.stop().await;
}
