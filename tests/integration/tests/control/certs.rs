//! Certificates of the edge: put by an operator, told to the gateway alone, with their keys to nobody else.

use http::Method;
use serde_json::{Value, json};

use super::harness::{control, subscribe};

const SHOP: &str = "/api/certs/v1/shop";

fn cert() -> (Value, String) {
    let mut params = rcgen::CertificateParams::new(vec!["shop.test".to_owned()]).unwrap();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "the shop");
    params.not_after = rcgen::date_time_ymd(2041, 2, 3);
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let body =
        json!({ "cert_pem": pem, "key_pem": key.serialize_pem(), "hosts": ["shop.test", "*.shop.test"] });
    (body, key.serialize_pem())
}

#[tokio::test]
async fn a_certificate_reaches_the_gateway_alone_and_its_key_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let first = control(folder.path()).await;
    first.manifest().await;
    let admin = first.agent().await;
    let (body, key) = cert();
    let told = json!({ "name": "shop", "subject": "the shop", "hosts": ["shop.test", "*.shop.test"],
        "not_after": "2041-02-03T00:00:00Z" });
    let (process, _) = first.process("order", &["bus"]);
    assert_eq!(
        first
            .call(Method::PUT, SHOP, &process, Some(body.clone()))
            .await
            .status,
        403
    );
    assert_eq!(first.call(Method::GET, SHOP, &admin, None).await.status, 404);
    let put = first.call(Method::PUT, SHOP, &admin, Some(body.clone())).await;
    assert_eq!(put.status, 200);
    assert_eq!(put.json::<Value>().unwrap(), told);
    first.stop().await;

    let second = control(folder.path()).await;
    let shown = second.call(Method::GET, SHOP, &admin, None).await;
    assert_eq!(shown.json::<Value>().unwrap(), told);
    let list = second.call(Method::GET, "/api/certs/v1", &admin, None).await;
    assert_eq!(list.json::<Value>().unwrap(), json!({ "items": [told] }));
    let secret = key.lines().nth(1).unwrap();
    let mut gateway = subscribe(
        &second.url,
        second.process("gateway", &["bus"]),
        &["certs/*"],
        None,
    );
    let shown =
        |state: &brick_bus::State| Some(state.resources.get("certs/shop")?.value["key_pem"].to_string());
    let is_told = |state: &brick_bus::State| shown(state).is_some_and(|key| key.contains(secret));
    gateway.until("the certificate", is_told).await;
    let mut order = subscribe(
        &second.url,
        second.process("order", &["bus"]),
        &["certs/*", "trust/bundle"],
        None,
    );
    let trusts = |state: &brick_bus::State| state.resources.contains_key("trust/bundle");
    order.until("the bundle", trusts).await;
    assert_eq!(shown(&order.watch.state()), None);

    for _ in 0..2 {
        assert_eq!(second.call(Method::DELETE, SHOP, &admin, None).await.status, 204);
    }
    gateway.until("its removal", |state| shown(state).is_none()).await;
    gateway.stop().await;
    order.stop().await;
}

#[tokio::test]
async fn what_cannot_be_a_certificate_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    let admin = control.agent().await;
    for (path, change, expect) in [
        ("/api/certs/v1/a%20b", json!({}), "expected a name"),
        (
            SHOP,
            json!({ "cert_pem": "none" }),
            "cert_pem: expected a certificate chain",
        ),
        (
            SHOP,
            json!({ "key_pem": "none" }),
            "key_pem: expected a private key",
        ),
        (SHOP, json!({ "hosts": [] }), "hosts: expected 1 to 100 hosts"),
        (SHOP, json!({ "hosts": ["a b"] }), "found \\\"a b\\\""),
        (
            SHOP,
            json!({ "cert_pem": "x".repeat(70_000) }),
            "at most 65536 bytes",
        ),
    ] {
        let (mut body, _) = cert();
        for (key, value) in change.as_object().unwrap() {
            body[key] = value.clone();
        }
        let answer = control.call(Method::PUT, path, &admin, Some(body)).await;
        assert_eq!(answer.status, 422, "{expect}");
        let text = String::from_utf8_lossy(&answer.body);
        assert!(text.contains(expect), "{text}");
    }
}
