//! The gateway without control, and its listeners without the gateway.

use std::time::Duration;

use brick_bus::Watch;
use brick_core::Incarnation;
use serde_json::json;

use super::harness::*;

#[tokio::test]
async fn it_starts_and_serves_from_its_snapshot_while_control_is_down() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.json");
    let brick = Brick::start("storefront").await;
    let issuer = Issuer::new();
    let control = bus(vec![
        routes(vec![route("/**", "storefront", "jwt")]),
        endpoints("storefront", &[brick.addr]),
        issuer.bundle(),
    ])
    .await;
    let follow = |control: std::net::SocketAddr| {
        brick_bus::client::Service::new(brick_bus::client::Options {
            control_url: format!("http://{control}"),
            resources: ["routes/edge", "endpoints/*", "trust/bundle"]
                .map(String::from)
                .to_vec(),
            snapshot: Some(path.clone()),
            token: std::sync::Arc::new(|| Some("t".to_owned())),
            incarnation: Incarnation::new(),
        })
    };
    let (trigger, drain) = brick_core::drain::channel();
    let (service, watch) = follow(control);
    let following = tokio::spawn(service.run(drain));
    until(|| watch.get("routes/edge").is_some()).await;
    trigger.drain();
    following.await.unwrap();

    // Nobody listens there: control is down.
    let nowhere = ([127, 0, 0, 1], 9).into();
    let (service, watch) = follow(nowhere);
    tokio::spawn(service.run(brick_core::Drain::never()));
    let (handle, telemetry, _trigger, _running) = run(nowhere, watch, |_| {});
    until(|| {
        telemetry
            .metrics()
            .encode()
            .contains("gateway_routes{listener=\"edge\"} 1")
    })
    .await;
    let token = format!("Authorization: Bearer {}\r\n", issuer.token(json!({})));
    assert_eq!(send(handle.edge(), &get_with("/x", &token)).await.status, 200);
    assert_eq!(send(handle.edge(), &get_with("/x", "")).await.status, 401);
}

/// A control that sends one snapshot.
async fn bus(resources: Vec<brick_bus::Resource>) -> std::net::SocketAddr {
    let data = json!({ "resources": resources }).to_string();
    let event = brick_wire::sse::encode("e-1", "snapshot", &data);
    let router = axum::Router::new().route(
        "/bus/v1/watch",
        axum::routing::get(move || async move { ([("content-type", "text/event-stream")], event) }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    addr
}

#[tokio::test]
async fn without_routes_it_says_so_and_its_own_listener_answers() {
    let nowhere = ([127, 0, 0, 1], 9).into();
    let (handle, telemetry, trigger, running) = run(nowhere, Watch::fixed(vec![]), |_| {});
    until(|| telemetry.health().is_ready()).await;
    let answer = send(handle.edge(), &get_with("/", "")).await;
    assert_eq!((answer.status, &*answer.code()), (503, "no_routes"));
    for path in ["/health/live", "/health/ready", "/info", "/metrics"] {
        assert_eq!(
            send(handle.own(), &get_with(path, "")).await.status,
            200,
            "{path}"
        );
    }
    trigger.drain();
    tokio::time::timeout(LIMIT, running).await.unwrap().unwrap();
    assert!(!telemetry.health().is_ready());
}

#[tokio::test]
async fn its_listeners_outlive_it_with_whoever_fetched_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("handover.sock");
    let nowhere = ([127, 0, 0, 1], 9).into();
    let (handle, telemetry, trigger, running) = run(nowhere, Watch::fixed(vec![]), |options| {
        options.handover_socket = Some(path.clone())
    });
    until(|| telemetry.health().is_ready()).await;
    let named = brick_wire::handover::fetch(&path, Duration::from_secs(5))
        .await
        .unwrap();
    trigger.drain();
    tokio::time::timeout(LIMIT, running).await.unwrap().unwrap();
    let listeners = mortar_gateway::Listeners::from_named(named);
    assert_eq!(listeners.edge[0].local_addr().unwrap(), handle.edge());
    std::net::TcpStream::connect(handle.admin()).unwrap();
    assert_eq!(listeners.admin.unwrap().local_addr().unwrap(), handle.admin());
}
