use axum::Router;
use axum::routing::get;
use brick_wire::Client;
use http::{HeaderName, StatusCode};

use crate::tests::System;
use crate::{Access, Caller, Problem};

fn route(path: &str) -> Router {
    async fn who(caller: Caller) -> String {
        let name = |claims: Option<&brick_auth::Claims>| claims.map_or("-", |c| c.sub.as_str()).to_owned();
        format!("{} {}", name(caller.user()), name(caller.brick()))
    }
    Router::new().route(path, get(who))
}

fn all_groups() -> Access {
    Access::new()
        .public(route("/public"))
        .users(route("/users"))
        .users_with("seller", route("/sellers"))
        .bricks(route("/bricks"))
        .users_or_bricks(route("/either"))
        .admin(route("/admin"))
}

const IDENTITY: HeaderName = HeaderName::from_static("x-brick-identity");

#[tokio::test]
async fn each_group_lets_its_own_pass_and_nobody_else() {
    let system = System::new();
    let running = system.brick("order").serve(all_groups()).await;
    let foreign = System::new();
    let user = system.user("customer");
    let seller = system.user("customer seller");
    let expired = system.token("shop", "u1", "customer", -600);
    let forged = foreign.user("customer");
    let may = system.process("web", "call:order");
    let may_not = system.process("web", "call:product");
    let late = system.token("shop:platform", "brick:web", "call:order", -600);
    let operator = system.token("shop:platform", "operator", "admin", 600);
    let paths = ["/public", "/users", "/sellers", "/bricks", "/either", "/admin"];
    // Authorization, x-brick-identity, the status of each path.
    let cases: &[(&str, &str, &str, [u16; 6])] = &[
        ("nothing", "", "", [200, 401, 401, 401, 401, 401]),
        ("a user", &user, "", [200, 200, 403, 401, 200, 401]),
        ("a seller", &seller, "", [200, 200, 200, 401, 200, 401]),
        ("an expired user", &expired, "", [200, 401, 401, 401, 401, 401]),
        ("a forged user", &forged, "", [200, 401, 401, 401, 401, 401]),
        ("no token at all", "x", "x", [200, 401, 401, 401, 401, 401]),
        ("a brick that may", "", &may, [200, 401, 401, 200, 200, 403]),
        (
            "a brick that may not",
            "",
            &may_not,
            [200, 401, 401, 403, 403, 403],
        ),
        ("an expired brick", "", &late, [200, 401, 401, 401, 401, 401]),
        ("a user as brick", "", &user, [200, 401, 401, 401, 401, 401]),
        ("a brick as user", &may, "", [200, 401, 401, 401, 401, 403]),
        ("both", &user, &may, [200, 200, 403, 200, 200, 401]),
        (
            "a brick for an expired user",
            &expired,
            &may,
            [200, 401, 401, 401, 401, 401],
        ),
        (
            "a user through an expired brick",
            &user,
            &late,
            [200, 401, 401, 401, 401, 401],
        ),
        ("an operator", &operator, "", [200, 401, 401, 401, 401, 200]),
    ];
    let client = Client::new();
    for (what, authorization, identity, expect) in cases {
        for (path, expect) in paths.iter().zip(expect) {
            let mut call = client.get(running.url(path));
            if !authorization.is_empty() {
                call = call.bearer(authorization);
            }
            if !identity.is_empty() {
                call = call.header(IDENTITY, identity);
            }
            let answer = call.send().await.unwrap();
            assert_eq!(answer.status.as_u16(), *expect, "{what} at {path}");
        }
    }
}

#[tokio::test]
async fn a_refusal_says_why_in_header_and_problem() {
    let system = System::new();
    let running = system.brick("order").serve(all_groups()).await;
    let ask = async |path: &str, token: &str| {
        let client = Client::new();
        let mut call = client.get(running.url(path));
        if !token.is_empty() {
            call = call.bearer(token);
        }
        let answer = call.send().await.unwrap();
        let challenge = answer.headers["www-authenticate"].to_str().unwrap().to_owned();
        (challenge, Problem::from_answer(answer.status, &answer.body))
    };
    let (challenge, problem) = ask("/users", "").await;
    assert_eq!(
        (challenge.as_str(), problem.code.as_str()),
        ("Bearer", "token_missing")
    );
    let (challenge, problem) = ask("/users", &system.token("shop", "u1", "", -600)).await;
    assert!(
        challenge.starts_with("Bearer error=\"invalid_token\", error_description=\"the token expired"),
        "{challenge}"
    );
    assert_eq!(problem.code, "token_expired");
    let (challenge, problem) = ask("/sellers", &system.user("customer")).await;
    assert_eq!(challenge, "Bearer error=\"insufficient_scope\", scope=\"seller\"");
    assert_eq!((problem.status, problem.code.as_str()), (403, "scope_missing"));
}

#[tokio::test]
async fn without_keys_nobody_is_refused_for_good() {
    let system = System::new();
    system.put(brick_auth::TRUST_BUNDLE, serde_json::json!({}));
    let running = system.brick("order").serve(all_groups()).await;
    let client = Client::new();
    let call = client.get(running.url("/users")).bearer(&system.user(""));
    let answer = call.send().await.unwrap();
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers["retry-after"], "1");
}

#[tokio::test]
async fn an_unknown_path_is_not_found_for_everybody_and_a_fallback_is_guarded() {
    let system = System::new();
    let running = system.brick("order").serve(all_groups()).await;
    let answer = Client::new().get(running.url("/nowhere")).send().await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let guarded = route("/users").fallback(|| async { "secret" });
    let access = Access::new().public(route("/public")).users(guarded);
    let running = system.brick("web").serve(access).await;
    let ask = async |path: &str| Client::new().get(running.url(path)).send().await.unwrap().status;
    assert_eq!(ask("/nowhere").await, StatusCode::UNAUTHORIZED);
    assert_eq!(ask("/public").await, StatusCode::OK);
}

const AREAS: crate::access::Areas = &[("/api/flags/{key}/log", "log"), ("/api/flags", "flags")];

#[tokio::test]
async fn operators_pass_within_their_areas() {
    async fn done() {}
    let both = || get(done).put(done);
    let routes = Router::new()
        .route("/api/flags/{key}", both())
        .route("/api/flags/{key}/log", both())
        .route("/api/flagships", both());
    let system = System::new();
    let running = system
        .brick("control")
        .serve(Access::new().areas(AREAS, routes))
        .await;
    let http = Client::new();
    let ask = async |scopes: &str, method: http::Method, path: &str| {
        let token = system.token("shop:platform", "ann", scopes, 600);
        let call = http.call(method, running.url(path));
        call.bearer(&token).send().await.unwrap().status.as_u16()
    };
    // Scopes; to look and to change flags, levels, and what is in no area.
    let cases: &[(&str, [u16; 6])] = &[
        ("admin", [200; 6]),
        ("read", [200, 403, 200, 403, 403, 403]),
        ("flags:read", [200, 403, 403, 403, 403, 403]),
        ("flags:write", [200, 200, 403, 403, 403, 403]),
        ("log:write", [403, 403, 200, 200, 403, 403]),
        ("bus call:*", [403; 6]),
    ];
    for (scopes, expected) in cases {
        let mut found = Vec::new();
        for path in ["/api/flags/a", "/api/flags/a/log", "/api/flagships"] {
            found.push(ask(scopes, http::Method::GET, path).await);
            found.push(ask(scopes, http::Method::PUT, path).await);
        }
        assert_eq!(found, expected, "{scopes}");
    }
}
