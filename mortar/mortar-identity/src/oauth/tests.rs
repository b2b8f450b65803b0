//! Identity as its callers see it: requests against the router, on a database in memory.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use axum::body::{Body, to_bytes};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use brick_state::Database;
use http::{Method, Request};
use tower::ServiceExt as _;

use super::*;
use crate::{Handle, Options, Service};

const KEY: &str = "bootstrap-key-of-this-test-0123456789abcdef";
const FORM: &str = "application/x-www-form-urlencoded";

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

async fn database() -> Database {
    Database::open(brick_state::Options::new("sqlite::memory:", &[]))
        .await
        .unwrap()
}

async fn identity_on(db: Database) -> Handle {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bootstrap");
    std::fs::write(&path, KEY).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let mut options = Options::new("shop");
    options.bootstrap_key_file = Some(path);
    Service::open(options, db).await.unwrap().1
}

async fn identity() -> Handle {
    identity_on(database().await).await
}

async fn send(identity: &Handle, request: Request<Body>) -> Reply {
    let response = identity.router().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 1 << 20).await.unwrap();
    Reply {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

async fn form(identity: &Handle, body: &str) -> Reply {
    let request = Request::post("/identity/token")
        .header("content-type", FORM)
        .body(Body::from(body.to_owned()));
    send(identity, request.unwrap()).await
}

async fn get(identity: &Handle, path: &str) -> Reply {
    send(identity, Request::get(path).body(Body::empty()).unwrap()).await
}

async fn call(identity: &Handle, method: Method, path: &str, token: &str, body: Value) -> Reply {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()));
    send(identity, request.unwrap()).await
}

async fn agent_token(identity: &Handle) -> String {
    let body = format!("grant_type=client_credentials&client_id=agent&client_secret={KEY}");
    let reply = form(identity, &body).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.json()["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_token_endpoint_grants_and_refuses_as_the_protocol_says() {
    let identity = identity().await;
    let process = identity.process_token("customer", "i", &["identity:issue".to_owned()]);
    let process = process.unwrap().token.expose().to_owned();
    let plain = identity.process_token("order", "i", &["bus".to_owned()]).unwrap();
    let plain = plain.token.expose();
    let user = identity.0.issuer.user("u", "", Duration::from_secs(60)).unwrap();
    let user = user.token.expose();
    let exchange = format!("grant_type={}", TOKEN.replace(':', "%3A"));
    let credentials = "grant_type=client_credentials";
    let cases: Vec<(String, u16, &str)> = vec![
        (String::new(), 400, "invalid_request"),
        ("grant_type=password".into(), 400, "unsupported_grant_type"),
        (credentials.into(), 401, "invalid_client"),
        (
            format!("{credentials}&client_id=agent&client_secret=wrong"),
            401,
            "invalid_client",
        ),
        (
            format!("{credentials}&client_id=nobody&client_secret={KEY}"),
            401,
            "invalid_client",
        ),
        (
            format!("{credentials}&client_id=agent&client_secret={KEY}"),
            200,
            "",
        ),
        (
            format!("{credentials}&client_id=agent&client_secret={KEY}&scope=bus"),
            200,
            "",
        ),
        (
            format!("{credentials}&client_id=agent&client_secret={KEY}&scope=root"),
            400,
            "invalid_scope",
        ),
        (format!("{credentials}&{credentials}"), 400, "invalid_request"),
        (exchange.clone(), 400, "invalid_request"),
        (
            format!("{exchange}&subject_token=x.y.z&requested_subject=u"),
            400,
            "invalid_grant",
        ),
        (
            format!("{exchange}&subject_token={plain}&requested_subject=u"),
            400,
            "unauthorized_client",
        ),
        (
            format!("{exchange}&subject_token={user}&requested_subject=u"),
            400,
            "invalid_grant",
        ),
        (
            format!("{exchange}&subject_token={process}"),
            400,
            "invalid_request",
        ),
        (
            format!("{exchange}&subject_token={process}&requested_subject=u%0A"),
            400,
            "invalid_request",
        ),
        (
            format!("{exchange}&subject_token={process}&requested_subject=u&scope=%22"),
            400,
            "invalid_scope",
        ),
        (
            format!("{exchange}&subject_token={process}&requested_subject=u&subject_token_type=x"),
            400,
            "invalid_request",
        ),
        (
            format!("{exchange}&subject_token={process}&requested_subject=u&scope=customer"),
            200,
            "",
        ),
    ];
    for (body, status, error) in cases {
        let reply = form(&identity, &body).await;
        let found = (
            reply.status.as_u16(),
            reply.json()["error"].as_str().unwrap_or_default().to_owned(),
        );
        assert_eq!(found, (status, error.to_owned()), "{body}: {}", reply.text);
        assert_eq!(reply.headers["cache-control"], "no-store");
        assert_eq!(reply.headers.contains_key("www-authenticate"), status == 401);
    }
    let json = Request::post("/identity/token").header("content-type", "application/json");
    let reply = send(&identity, json.body(Body::from("{}")).unwrap()).await;
    assert_eq!(reply.json()["error"], "invalid_request");
}

const TOKEN: &str = grant::TOKEN_EXCHANGE;

#[tokio::test]
async fn an_exchanged_token_is_the_users_and_no_platform_token() {
    let identity = identity().await;
    let process = identity
        .process_token("customer", "i", &["identity:issue".to_owned()])
        .unwrap();
    let body = format!(
        "grant_type={TOKEN}&subject_token={}&subject_token_type={}&requested_subject=c-1&scope=customer",
        process.token.expose(),
        grant::ACCESS_TOKEN
    );
    let reply = form(&identity, &body).await.json();
    assert_eq!(reply["issued_token_type"], grant::ACCESS_TOKEN);
    assert_eq!(
        (&reply["token_type"], &reply["expires_in"]),
        (&json!("Bearer"), &json!(900))
    );
    let token = reply["access_token"].as_str().unwrap();
    let claims = identity.verifier().user(token).unwrap();
    assert_eq!((claims.sub.as_str(), claims.scope.as_str()), ("c-1", "customer"));
    assert_eq!(claims.iss, "urn:brickwork:shop");
    assert_eq!(
        identity.verifier().platform(token).unwrap_err().code(),
        "token_audience"
    );
}

#[tokio::test]
async fn the_agent_orders_tokens_for_processes_and_nobody_else_does() {
    let identity = identity().await;
    let agent = agent_token(&identity).await;
    let path = "/api/identity/v1/process-tokens";
    let incarnation = brick_core::Incarnation::new().to_string();
    let body = json!({ "brick": "order", "incarnation": incarnation, "scopes": ["bus", "call:payment"] });
    let reply = call(&identity, Method::POST, path, &agent, body.clone()).await;
    let token = reply.json()["token"].as_str().unwrap().to_owned();
    let claims = identity.verifier().platform(&token).unwrap();
    assert_eq!(
        (claims.sub.as_str(), claims.brick.as_deref()),
        ("brick:order", Some("order"))
    );
    assert_eq!(claims.incarnation, Some(incarnation));
    assert!(claims.has_scope("call:payment") && !claims.has_scope("call:product"));

    let operator = identity.operator_token().unwrap();
    for (token, status) in [
        (token.as_str(), 403),
        (operator.token.expose(), 403),
        ("a.b.c", 401),
    ] {
        let reply = call(&identity, Method::POST, path, token, body.clone()).await;
        assert_eq!(reply.status.as_u16(), status, "{}", reply.text);
    }
    let broken = call(&identity, Method::POST, path, &agent, json!({ "brick": "Order" })).await;
    assert_eq!(
        (broken.status.as_u16(), &broken.json()["code"]),
        (422, &json!("json_invalid"))
    );
}

#[tokio::test]
async fn operators_order_tokens_within_bounds() {
    let identity = identity().await;
    let operator = identity.operator_token().unwrap();
    let order = async |body: Value| {
        let path = "/api/identity/v1/tokens";
        call(&identity, Method::POST, path, operator.token.expose(), body).await
    };
    let user = order(json!({ "subject": "c-1", "scopes": ["customer"], "ttl_s": 5 }))
        .await
        .json();
    assert_eq!(user["expires_in_s"], 5);
    assert!(identity.verifier().user(user["token"].as_str().unwrap()).is_ok());
    let own = order(json!({ "subject": "operator", "scopes": ["admin"] }))
        .await
        .json();
    assert!(
        identity
            .verifier()
            .platform(own["token"].as_str().unwrap())
            .is_ok()
    );
    let platform = order(json!({ "subject": "operator", "scopes": ["admin"], "audience": "platform" }))
        .await
        .json();
    let claims = identity
        .verifier()
        .platform(platform["token"].as_str().unwrap())
        .unwrap();
    assert!(claims.has_scope("admin") && !claims.has_scope("agent"));
    for (body, code) in [
        (
            json!({ "subject": "x", "scopes": ["agent"], "audience": "platform" }),
            "invalid_scope",
        ),
        (json!({ "subject": "", "scopes": [] }), "invalid_subject"),
        (json!({ "subject": "x", "ttl_s": 90_000 }), "invalid_ttl"),
        (json!({ "subject": "x", "extra": 1 }), "json_invalid"),
    ] {
        let reply = order(body).await;
        assert_eq!(
            (reply.status.as_u16(), reply.json()["code"].as_str()),
            (422, Some(code))
        );
    }
}

#[tokio::test]
async fn a_one_time_code_works_once() {
    let identity = identity().await;
    let agent = agent_token(&identity).await;
    let reply = call(
        &identity,
        Method::POST,
        "/api/identity/v1/console-codes",
        &agent,
        json!({}),
    )
    .await
    .json();
    assert_eq!(reply["expires_in_s"], 600);
    let path = format!("/login?code={}", reply["code"].as_str().unwrap());
    let first = get(&identity, &path).await;
    assert_eq!(
        (first.status.as_u16(), &first.headers["location"]),
        (303, &HeaderValue::from_static("/"))
    );
    let cookie = first.headers["set-cookie"].to_str().unwrap();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "HttpOnly; SameSite=Strict; Path=/; Max-Age=43200");
    let token = pair.strip_prefix("brick_console=").unwrap();
    assert!(identity.verifier().platform(token).unwrap().has_scope("admin"));
    for path in [path.as_str(), "/login?code=guess", "/login"] {
        let again = get(&identity, path).await;
        assert_eq!(again.status.as_u16(), 403);
        assert!(again.text.contains("brick open") && !again.headers.contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn an_api_key_is_shown_once_told_as_its_digest_and_gone_when_removed() {
    let identity = identity().await;
    let operator = identity.operator_token().unwrap();
    let operator = operator.token.expose();
    let path = "/api/identity/v1/api-keys";
    let body = json!({ "id": "till", "scopes": ["read"], "ttl_s": 60 });
    let told = identity.api_keys();
    assert!(told.borrow().keys.is_empty());
    let added = call(&identity, Method::POST, path, operator, body.clone()).await;
    assert_eq!(added.status, StatusCode::CREATED, "{}", added.text);
    let key = added.json()["key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("bk_till_") && key.len() > 40, "{key}");
    let keys = told.borrow().keys.clone();
    assert_eq!(
        (keys.len(), &*keys[0].owner, keys[0].sha256.len()),
        (1, "till", 64)
    );
    assert!(keys[0].expires_s.is_some());
    let again = call(&identity, Method::POST, path, operator, body).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let listed = call(&identity, Method::GET, path, operator, json!(null)).await;
    assert!(
        listed.text.contains("till") && !listed.text.contains(&key),
        "{}",
        listed.text
    );
    for wrong in [
        json!({ "id": "a b" }),
        json!({ "id": "a", "ttl_s": 0 }),
        json!({ "id": "a", "scopes": ["x y"] }),
    ] {
        let refused = call(&identity, Method::POST, path, operator, wrong).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let one = format!("{path}/till");
    let gone = call(&identity, Method::DELETE, &one, operator, json!(null)).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert!(told.borrow().keys.is_empty());
    let stranger = call(&identity, Method::GET, path, "x", json!(null)).await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn registered_clients_get_what_they_were_given_and_guessing_is_slowed_down() {
    let identity = identity().await;
    let operator = identity.operator_token().unwrap();
    let operator = operator.token.expose();
    let path = "/api/identity/v1/clients";
    let body = json!({ "id": "ci", "scopes": ["bus", "deploy"] });
    let added = call(&identity, Method::POST, path, operator, body.clone()).await;
    assert_eq!(added.status, StatusCode::CREATED);
    let secret = added.json()["client_secret"].as_str().unwrap().to_owned();
    assert_eq!(
        call(&identity, Method::POST, path, operator, body).await.status,
        StatusCode::CONFLICT
    );
    let listed = call(&identity, Method::GET, path, operator, json!(null)).await;
    assert_eq!(listed.json()["items"][0]["scopes"], json!(["bus", "deploy"]));
    assert!(!listed.text.contains(&secret));

    let basic = async |secret: &str| {
        let request = Request::post("/identity/token")
            .header("content-type", FORM)
            .header(
                "authorization",
                format!("Basic {}", STANDARD.encode(format!("ci:{secret}"))),
            );
        send(
            &identity,
            request.body(Body::from("grant_type=client_credentials")).unwrap(),
        )
        .await
    };
    let token = basic(&secret).await.json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let claims = identity.verifier().platform(&token).unwrap();
    assert_eq!(
        (claims.sub.as_str(), claims.scope.as_str()),
        ("client:ci", "bus deploy")
    );

    for _ in 0..5 {
        assert_eq!(basic("wrong").await.status, StatusCode::UNAUTHORIZED);
    }
    let slowed = basic(&secret).await;
    assert_eq!(
        (slowed.status.as_u16(), &slowed.headers["retry-after"]),
        (429, &HeaderValue::from_static("1"))
    );
    agent_token(&identity).await;
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(basic(&secret).await.status, StatusCode::OK);

    let one = format!("{path}/ci");
    assert_eq!(
        call(&identity, Method::DELETE, &one, operator, json!(null))
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        call(&identity, Method::DELETE, &one, operator, json!(null))
            .await
            .status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(basic(&secret).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_key_pair_survives_a_restart_and_is_told_without_its_private_half() {
    let db = database().await;
    let first = identity_on(db.clone()).await;
    let token = first.operator_token().unwrap();
    let second = identity_on(db).await;
    assert!(second.verifier().platform(token.token.expose()).is_ok());
    assert_eq!(first.trust_bundle(), second.trust_bundle());
    let keys = get(&second, "/identity/jwks").await.json();
    assert_eq!(keys, second.trust_bundle().jwks);
    assert_eq!(
        (&keys["keys"][0]["kty"], keys["keys"][0].get("d")),
        (&json!("EC"), None)
    );
    let discovery = get(&second, "/identity/.well-known/openid-configuration")
        .await
        .json();
    assert_eq!(discovery["issuer"], "urn:brickwork:shop");
    assert!(
        discovery["jwks_uri"]
            .as_str()
            .unwrap()
            .ends_with("/identity/jwks")
    );
}

#[tokio::test]
async fn tokens_of_another_system_are_not_believed() {
    let other = identity().await;
    let token = other.operator_token().unwrap();
    let here = identity().await;
    let reply = call(
        &here,
        Method::GET,
        "/api/identity/v1/clients",
        token.token.expose(),
        json!(null),
    )
    .await;
    assert_eq!(
        (reply.status.as_u16(), &reply.json()["code"]),
        (401, &json!("token_key_unknown"))
    );
}
