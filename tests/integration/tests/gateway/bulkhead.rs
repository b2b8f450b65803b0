//! Places in the bulkhead are for what an instance works on, not for clients that take their time.

use axum::Router;
use axum::routing::get;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::harness::*;

/// More than all buffers between an instance and a client that does not read.
const LARGE: usize = 32 * 1024 * 1024;

#[tokio::test]
async fn a_client_that_does_not_read_keeps_no_place_in_the_bulkhead() {
    let router = Router::new()
        .route("/large", get(|| async { vec![b'x'; LARGE] }))
        .fallback(|| async { "served" });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let resources = vec![
        routes(vec![route("/**", "kiln", "public")]),
        endpoints("kiln", &[addr]),
        resource(
            "limits/edge->kiln",
            json!({ "timeout_ms": 60_000, "concurrency": { "max": 1 } }),
        ),
    ];
    let gateway = Gateway::start(addr, resources).await;
    let mut idle = TcpStream::connect(gateway.handle.edge()).await.unwrap();
    let request = "GET /large HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n";
    idle.write_all(request.as_bytes()).await.unwrap();
    let begun = read_until(&mut idle, "\r\n\r\n").await;
    assert!(begun.starts_with("HTTP/1.1 200 "), "{begun}");

    // The place is given back a moment after the answer began.
    let served = async {
        while gateway.edge("GET /x HTTP/1.1\r\nHost: shop\r\n\r\n").await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    let served = tokio::time::timeout(LIMIT, served).await;
    assert!(served.is_ok(), "a client that does not read keeps everybody out");

    let mut rest = Vec::new();
    let whole = tokio::time::timeout(LIMIT, idle.read_to_end(&mut rest)).await;
    assert!(whole.is_ok_and(|read| read.is_ok()) && rest.len() >= LARGE - begun.len());
}
