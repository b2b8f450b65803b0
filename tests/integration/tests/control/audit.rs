//! The audit trail: what was changed, by whom, and that secrets are not in it.

use http::{HeaderValue, Method};
use serde_json::{Value, json};

use super::harness::{Control, basic, control};

async fn trail(control: &Control, query: &str) -> Vec<Value> {
    let admin = control.agent().await;
    let path = format!("/api/audit/v1{query}");
    let answer = control.call(Method::GET, &path, &admin, None).await;
    let answer: Value = answer.json().unwrap();
    answer["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn every_change_is_written_down_with_who_what_and_why_and_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = control(folder.path()).await;
    first.manifest().await;
    first.manifest().await;
    let manifests = trail(&first, "?action=manifest").await;
    assert_eq!(
        manifests.len(),
        1,
        "the same manifest again is no change: {manifests:?}"
    );
    let changed = manifests[0]["after"]["changed"].as_array().unwrap();
    assert!(changed.contains(&json!("brick.order")), "{changed:?}");

    let admin = first.agent().await;
    let order = json!({ "subject": "carol", "scopes": ["admin"], "audience": "platform" });
    let path = "/api/identity/v1/tokens";
    let issued = first.call(Method::POST, path, &admin, Some(order)).await;
    let carol = issued.json::<Value>().unwrap()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let limits = "/api/limits/v1/order/payment";
    let put = first
        .http
        .call(Method::PUT, format!("{}{limits}", first.url))
        .bearer(&carol)
        .header(http::HeaderName::from_static("x-brick-why"), "the bank is slow")
        .header(http::HeaderName::from_static("traceparent"), trace)
        .json_body(&json!({ "timeout_ms": 900 }));
    assert_eq!(put.send().await.unwrap().status, 200);
    let taken = first.call(Method::DELETE, limits, &carol, None).await;
    assert_eq!(taken.status, 204);
    let client = json!({ "id": "reports", "scopes": ["call:order"] });
    let added = first
        .call(Method::POST, "/api/identity/v1/clients", &carol, Some(client))
        .await;
    let secret = added.json::<Value>().unwrap()["client_secret"]
        .as_str()
        .unwrap()
        .to_owned();
    let refused = first
        .call(Method::PUT, limits, &carol, Some(json!({ "timeout_ms": 0 })))
        .await;
    assert_eq!(refused.status, 422);
    first.stop().await;

    let second = control(folder.path()).await;
    let all = trail(&second, "?who=carol").await;
    let told: Vec<(&str, &str)> = all
        .iter()
        .map(|entry| {
            (
                entry["action"].as_str().unwrap(),
                entry["target"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("client.add", "clients/reports"),
            ("limits.reset", "limits/order->payment"),
            ("limits.set", "limits/order->payment"),
        ]
    );
    assert_eq!(all[2]["why"], "the bank is slow");
    assert_eq!(all[2]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(
        (&all[2]["before"], &all[2]["after"]),
        (&Value::Null, &json!({ "timeout_ms": 900 }))
    );
    assert_eq!(
        (&all[1]["before"], &all[1]["after"]),
        (&json!({ "timeout_ms": 900 }), &Value::Null)
    );
    let whole = Value::Array(trail(&second, "").await).to_string();
    assert!(
        !whole.contains(&secret) && !whole.contains(HeaderValue::from_str(&carol).unwrap().to_str().unwrap())
    );
    assert_eq!(trail(&second, "?action=limits&limit=1").await.len(), 1);
    assert_eq!(trail(&second, "?target=order-%3Epay&since=1h").await.len(), 2);
    for (text, expect) in [("BANK", 1), ("4bf92f", 1), ("900", 2), ("carol", 3), ("%25", 0)] {
        let found = trail(&second, &format!("?action=limits&text={text}")).await;
        let clients = trail(&second, &format!("?action=client&text={text}")).await;
        assert_eq!(found.len() + clients.len(), expect, "{text}");
    }
    assert!(
        trail(&second, "?action=limit").await.is_empty(),
        "a group is a whole word"
    );
}

#[tokio::test]
async fn the_trail_goes_on_by_its_cursor_and_is_for_operators_alone() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    let agent = control.agent().await;
    for number in 0..5 {
        let entry = json!({ "action": "scale", "target": format!("order-{number}"), "after": { "replicas": number } });
        let path = "/api/audit/v1/entries";
        let answer = control.call(Method::POST, path, &agent, Some(entry)).await;
        assert_eq!(answer.status, 204);
    }
    let page = control
        .call(Method::GET, "/api/audit/v1?limit=3", &agent, None)
        .await;
    let page: Value = page.json().unwrap();
    let path = format!("/api/audit/v1?limit=3&cursor={}", page["next"]);
    let rest: Value = control
        .call(Method::GET, &path, &agent, None)
        .await
        .json()
        .unwrap();
    let targets = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items
            .map(|item| item["target"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(targets(&page), ["order-4", "order-3", "order-2"]);
    assert_eq!(targets(&rest), ["order-1", "order-0"]);
    assert_eq!(
        (&rest["next"], &rest["items"][0]["who"]),
        (&Value::Null, &json!("operator"))
    );
    let (process, _) = control.process("order", &["bus"]);
    for (method, path) in [
        (Method::GET, "/api/audit/v1"),
        (Method::POST, "/api/audit/v1/entries"),
    ] {
        let body = (method == Method::POST).then(|| json!({ "action": "x", "target": "y" }));
        assert_eq!(
            control.call(method, path, &process, body).await.status,
            403,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_client_acts_within_its_areas_and_its_use_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let first = control(folder.path()).await;
    first.manifest().await;
    let tuner = first.operator(&["limits:write", "audit:read"]).await;
    let limits = "/api/limits/v1/order/payment";
    let set = first
        .call(Method::PUT, limits, &tuner, Some(json!({ "timeout_ms": 900 })))
        .await;
    assert_eq!(set.status, 200, "{set:?}");
    for _ in 0..2 {
        assert_eq!(first.call(Method::GET, limits, &tuner, None).await.status, 200);
    }
    let foreign = [
        (Method::GET, "/api/config/v1/order", "config:read"),
        (Method::PUT, "/api/pools/v1/payment", "routes:write"),
        (Method::POST, "/api/agent/v1/kill", "kill:write"),
        (Method::GET, "/api/system/v1", "system:read"),
    ];
    for (method, path, wanted) in foreign {
        let answer = first.call(method, path, &tuner, Some(json!({}))).await;
        assert_eq!(answer.status, 403, "{path}");
        let problem: Value = serde_json::from_slice(&answer.body).unwrap();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(wanted), "{path}: {detail}");
    }
    let client = first.client("billing", &["config:app:order"]).await;
    let asked = first
        .http
        .get(format!("{}/config/order/default", first.url))
        .header(http::header::AUTHORIZATION, &basic(&client));
    assert_eq!(asked.send().await.unwrap().status, 200);
    first.stop().await;

    let second = control(folder.path()).await;
    let reads = second.operator(&["read"]).await;
    let answer = second.call(Method::GET, "/api/audit/v1/use", &reads, None).await;
    let answer: Value = answer.json().unwrap();
    let of = |client: &str, area: &str| {
        let items = answer["items"].as_array().unwrap();
        let found = items
            .iter()
            .find(|item| item["client"] == client && item["area"] == area);
        found.map(|item| (item["reads"].as_u64().unwrap(), item["writes"].as_u64().unwrap()))
    };
    assert_eq!(of("ann", "limits"), Some((2, 1)), "{answer}");
    assert_eq!(of("client:billing", "config"), Some((1, 0)), "{answer}");
    assert_eq!(of("ann", "config"), None, "what was refused is no use");
    let future = "/api/audit/v1/use?since=2999-01-01T00:00:00Z";
    let none: Value = second
        .call(Method::GET, future, &reads, None)
        .await
        .json()
        .unwrap();
    assert_eq!(none["items"], json!([]));
}
