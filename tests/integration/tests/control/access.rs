//! Who may call: every operation of the checked-in document, asked by those who may not.

use std::path::Path;

use http::Method;
use serde_json::{Value, json};

use super::harness::control;
use crate::gateway::harness::send;

/// Method, path with its parameters filled in, and whether the document says that everybody may call.
pub(crate) fn operations(document: &str) -> Vec<(Method, String, bool)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../api")
        .join(document);
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let segments = path.split('/').map(|segment| match segment {
            "{incarnation}" => "01920000-0000-7000-8000-000000000001",
            "{number}" => "1",
            "{file}" => "order-default.json",
            segment if segment.starts_with('{') => "order",
            segment => segment,
        });
        let filled = segments.collect::<Vec<_>>().join("/");
        for (method, operation) in methods.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            let is_public = operation["security"].as_array().is_none_or(Vec::is_empty);
            all.push((method, filled.clone(), is_public));
        }
    }
    assert!(all.len() > 5, "the document describes the API");
    all
}

#[tokio::test]
async fn no_operation_of_control_answers_those_who_may_not_ask() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    control.manifest().await;
    // Not `order`, which may read what is its own.
    let (nothing, _) = control.process("payment", &[]);
    let operator = control.identity.operator_token().unwrap();
    let order = json!({ "subject": "u1", "scopes": ["admin", "agent", "bus"] });
    let ordered = control
        .call(
            Method::POST,
            "/api/identity/v1/tokens",
            operator.token.expose(),
            Some(order),
        )
        .await;
    let ordered: Value = ordered.json().unwrap();
    let user = ordered["token"].as_str().unwrap().to_owned();
    let mut refused = 0;
    for (method, path, is_public) in operations("control.openapi.json") {
        let url = format!("{}{path}", control.url);
        for (who, token, expect) in [
            ("nobody", None, 401),
            ("a forger", Some("a.b.c"), 401),
            ("a user", Some(user.as_str()), 401),
            ("a process without scopes", Some(nothing.as_str()), 403),
        ] {
            let call = control.http.call(method.clone(), &url);
            let call = token.into_iter().fold(call, |call, token| call.bearer(token));
            let answer = call.send().await.unwrap();
            if is_public {
                let status = answer.status.as_u16();
                let problem = answer.json::<Value>().unwrap_or_default();
                assert_ne!(problem["code"], "scope_missing", "{method} {path} for {who}");
                assert_ne!(status, 500, "{method} {path} for {who}");
                continue;
            }
            // To the console everybody but an operator is signed out, and is told how to sign in.
            let expect = if path.starts_with("/api/console/") {
                401
            } else {
                expect
            };
            assert_eq!(answer.status.as_u16(), expect, "{method} {path} for {who}");
            refused += 1;
        }
    }
    assert!(refused > 80, "{refused}");
}

#[tokio::test]
async fn a_name_that_leads_here_from_elsewhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    let token = control
        .identity
        .operator_token()
        .unwrap()
        .token
        .expose()
        .to_owned();
    let bearer = format!("Authorization: Bearer {token}\r\n");
    for (host, fields, expect) in [
        ("127.0.0.1", &*bearer, 200),
        ("localhost", &bearer, 200),
        ("localhost", "", 401),
        ("evil.example", "", 421),
        ("evil.example", &bearer, 421),
        ("127.0.0.1.evil.example", &bearer, 421),
    ] {
        let request = format!("GET /api/system/v1 HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
        let answer = send(control.addr(), &request).await;
        assert_eq!(answer.status, expect, "{host} {fields}");
    }
}
