//! Protocols that the host proxy does not know.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::harness::{Host, call_as, endpoints, free, listen, resource, say, until};

/// Gives back what it gets, and says which it is.
async fn echo(name: &'static str) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.write_all(name.as_bytes()).await.unwrap();
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    addr
}

async fn proxied(
    instances: &[std::net::SocketAddr],
    limits: Value,
    idle_ms: u64,
) -> (Host, std::net::SocketAddr) {
    let host = Host::start(vec![
        endpoints("cache", instances),
        resource("limits/order->cache", limits),
    ])
    .await;
    let mut order = host.caller("order").await;
    let listen = free().await;
    order["tcp"] = json!([{ "to": "cache", "listen": listen, "idle_ms": idle_ms }]);
    host.tell(&[order]).await;
    (host, listen)
}

async fn until_counted(host: &Host, line: &str) {
    until(line, || host.metrics().contains(line)).await;
}

#[tokio::test]
async fn bytes_pass_both_ways_and_connections_are_spread_and_counted() {
    let instances = [echo("one ").await, echo("two ").await];
    let (host, listen) = proxied(&instances, json!({ "timeout_ms": 1_000 }), 60_000).await;
    let mut open = Vec::new();
    let mut greeted = std::collections::BTreeSet::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(listen).await.unwrap();
        greeted.insert(say(&mut stream, "ping", "ping").await);
        open.push(stream);
    }
    assert_eq!(greeted.into_iter().collect::<Vec<_>>(), ["one ping", "two ping"]);
    let metrics = host.metrics();
    for line in [
        "proxy_tcp_opened_total{caller=\"order/1\",callee=\"cache\"} 8",
        "proxy_tcp_connections{caller=\"order/1\",callee=\"cache\"} 8",
        "proxy_tcp_bytes_total{caller=\"order/1\",callee=\"cache\",direction=\"sent\"} 32",
        "proxy_tcp_bytes_total{caller=\"order/1\",callee=\"cache\",direction=\"received\"} 64",
        "brick_bulkhead_in_flight{edge=\"order->cache\"} 8",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    // The end of one direction is passed on, what still comes the other way too.
    let mut last = open.pop().unwrap();
    last.write_all(b"bye").await.unwrap();
    last.shutdown().await.unwrap();
    let mut rest = String::new();
    last.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "bye");
    drop(open);
    until_counted(
        &host,
        "proxy_tcp_connections{caller=\"order/1\",callee=\"cache\"} 0",
    )
    .await;
    until("the span leaves in the caller's name", || {
        host.otlp.hold(&["order/1", "connect", "cache", "tcp"])
    })
    .await;
}

#[tokio::test]
async fn an_instance_that_is_gone_is_passed_over_and_the_bulkhead_bounds_connections() {
    let instances = [free().await, echo("up ").await];
    let (host, listen) = proxied(
        &instances,
        json!({ "timeout_ms": 1_000, "concurrency": { "max": 2 } }),
        60_000,
    )
    .await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(listen).await.unwrap();
        assert_eq!(say(&mut stream, "x", "x").await, "up x");
        open.push(stream);
    }
    let mut third = TcpStream::connect(listen).await.unwrap();
    assert_eq!(third.read(&mut [0; 8]).await.unwrap_or(0), 0);
    until_counted(
        &host,
        "proxy_tcp_refused_total{caller=\"order/1\",callee=\"cache\"} 1",
    )
    .await;
    open.clear();
    until_counted(
        &host,
        "proxy_tcp_connections{caller=\"order/1\",callee=\"cache\"} 0",
    )
    .await;
    let mut again = TcpStream::connect(listen).await.unwrap();
    assert_eq!(say(&mut again, "x", "x").await, "up x");
}

#[tokio::test]
async fn where_nobody_is_up_the_connection_is_closed_and_an_idle_one_too() {
    let (host, listen) = proxied(&[free().await], json!({ "timeout_ms": 1_000 }), 60_000).await;
    let mut stream = TcpStream::connect(listen).await.unwrap();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or(0), 0);
    until_counted(
        &host,
        "proxy_tcp_failed_total{caller=\"order/1\",callee=\"cache\"} 1",
    )
    .await;
    let (_host, listen) = proxied(&[echo("up ").await], json!({ "timeout_ms": 1_000 }), 50).await;
    let mut stream = TcpStream::connect(listen).await.unwrap();
    let mut all = String::new();
    // Nothing moves after the greeting.
    stream.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "up ");
}

#[tokio::test]
async fn connect_leads_to_bricks_that_speak_no_http_and_to_no_others() {
    let cache = echo("up ").await;
    let host = Host::start(vec![
        endpoints("cache", &[cache]),
        endpoints("product", &[cache]),
        resource("limits/order->cache", json!({ "timeout_ms": 1_000 })),
        resource("limits/order->product", json!({ "timeout_ms": 1_000 })),
    ])
    .await;
    let mut order = host.caller("order").await;
    order["tcp"] = json!([{ "to": "cache", "listen": free().await, "idle_ms": 100 }]);
    host.tell(std::slice::from_ref(&order)).await;
    let mut stream = TcpStream::connect(listen(&order)).await.unwrap();
    // order:secret
    let request = "CONNECT cache.brick:6379 HTTP/1.1\r\nHost: cache.brick:6379\r\nProxy-Authorization: Basic b3JkZXI6c2VjcmV0\r\n\r\n";
    let opened = say(&mut stream, request, "up ").await;
    assert!(opened.starts_with("HTTP/1.1 200"), "{opened}");
    assert_eq!(say(&mut stream, "ping", "ping").await, "ping");
    let mut rest = String::new();
    // Nothing moves any more, for longer than the brick's idle timeout.
    stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "");
    for (credential, to, status) in [
        ("order:secret", "product.brick:80", 405),
        ("order:secret", "elsewhere.example:443", 405),
        ("order:wrong", "cache.brick:6379", 407),
    ] {
        let answer = call_as(
            &order,
            credential,
            &format!("CONNECT {to}"),
            &format!("Host: {to}\r\n"),
        )
        .await;
        assert_eq!(answer.status, status, "{to} {answer:?}");
    }
}
