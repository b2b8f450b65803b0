//! Scraping real bricks that the registry names.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::get;
use brick_bus::Resource;
use mortar_telemetry::api;
use tokio::net::TcpListener;

use super::harness::{Role, role_with, telemetry, until};

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, router).await });
    addr
}

fn endpoints(brick: &str, addr: SocketAddr) -> Resource {
    Resource {
        name: format!("endpoints/{brick}"),
        revision: 1,
        value: serde_json::json!({"instances": [{"slot": 1, "incarnation": brick_core::Incarnation::new(),
            "version": "v2", "zone": "b", "addr": addr}]}),
    }
}

async fn range(role: &Role, query: &str) -> Vec<api::Series> {
    role.get::<api::Range>(&format!("/metrics/range?{query}"))
        .await
        .series
}

#[tokio::test]
async fn what_a_brick_measures_can_be_asked_for() {
    let (brick, _exporter) = telemetry("order", None);
    brick
        .metrics()
        .counter("shop_orders_placed", "orders placed")
        .add(3);
    let addr = serve(brick.routes()).await;
    let role = role_with(vec![endpoints("order", addr)], Vec::new()).await;
    // The counter is younger than its incarnation, which is young: its three count as an increase.
    let rate = || range(&role, "name=shop_orders_placed_total&fn=rate&step=1s");
    let series = until(rate, |series| !series.is_empty()).await;
    let labels = &series[0].labels;
    for (name, value) in [
        ("service_name", "order"),
        ("instance", "order/1"),
        ("version", "v2"),
        ("zone", "b"),
    ] {
        assert_eq!(labels[name], value);
    }
    assert!(series[0].points.iter().all(|point| point[1] > 0.0), "{series:?}");
    let up = until(|| range(&role, "name=up&step=1s"), |series| !series.is_empty()).await;
    assert_eq!(up[0].points.last().unwrap()[1], 1.0);
    let list: api::Metrics = role.get("/metrics").await;
    let placed = list
        .items
        .iter()
        .find(|metric| metric.name == "shop_orders_placed_total")
        .unwrap();
    assert_eq!(
        (placed.kind.as_str(), placed.help.as_deref(), placed.series),
        ("counter", Some("orders placed"), 1)
    );
}

#[tokio::test]
async fn a_brick_without_metrics_is_asked_once_and_a_bad_answer_counts_as_down() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let handler = move || {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::ready(http::StatusCode::NOT_FOUND)
    };
    let without = serve(Router::new().route("/metrics", get(handler))).await;
    let garbage = serve(Router::new().route("/metrics", get(|| std::future::ready("<html>")))).await;
    let resources = vec![endpoints("legacy", without), endpoints("broken", garbage)];
    let role = role_with(resources, Vec::new()).await;
    let up = || range(&role, "name=up&step=1s");
    let series = until(up, |series| !series.is_empty()).await;
    assert_eq!(series.len(), 1, "404 gives no series: {series:?}");
    assert_eq!(
        (series[0].labels["service_name"].as_str(), series[0].points[0][1]),
        ("broken", 0.0)
    );
    until(|| async { asked.load(Ordering::Relaxed) }, |asked| *asked == 1).await;
}
