//! Bodies, versions, failures behind the gateway, drain.

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::harness::*;

async fn pages(addrs: &[std::net::SocketAddr], change: impl FnOnce(&mut mortar_gateway::Options)) -> Gateway {
    let mut quick = route("/never", "storefront", "public");
    quick["timeout_ms"] = json!(100);
    let mut sockets = route("/ws", "storefront", "public");
    sockets["websocket"] = json!(true);
    let list = vec![route("/**", "storefront", "public"), quick, sockets];
    let resources = vec![routes(list), endpoints("storefront", addrs)];
    Gateway::with(addrs[0], resources, change).await
}

#[tokio::test]
async fn bodies_pass_up_to_the_routes_limit() {
    let brick = Brick::start("storefront").await;
    let gateway = pages(&[brick.addr], |_| {}).await;
    let post = |fields: &str, body: &str| format!("POST /echo HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}");
    let fits = "x".repeat(1_000);
    let answer = gateway.edge(&post("Content-Length: 1000\r\n", &fits)).await;
    assert_eq!((answer.status, answer.body), (200, fits));
    let over = gateway
        .edge(&post("Content-Length: 1001\r\n", &"x".repeat(1_001)))
        .await;
    assert_eq!((over.status, &*over.code()), (413, "body_too_large"));
    let chunk = format!("400\r\n{}\r\n0\r\n\r\n", "x".repeat(1_024));
    let streamed = gateway
        .edge(&post("Transfer-Encoding: chunked\r\n", &chunk))
        .await;
    assert_eq!((streamed.status, &*streamed.code()), (413, "body_too_large"));
    let waiting = gateway
        .edge(&post("Content-Length: 2\r\nExpect: 100-continue\r\n", "ok"))
        .await;
    assert_eq!(waiting.status, 100);
    assert!(
        waiting.body.contains("200 OK") && waiting.body.ends_with("ok"),
        "{waiting:?}"
    );
}

#[tokio::test]
async fn old_versions_and_bodiless_answers_are_right() {
    let brick = Brick::start("storefront").await;
    let gateway = pages(&[brick.addr], |_| {}).await;
    let old = gateway.edge("GET /x HTTP/1.0\r\n\r\n").await;
    assert_eq!(
        (old.status, old.json()["brick"].as_str()),
        (200, Some("storefront"))
    );
    assert!(!old.head.contains("transfer-encoding"), "{}", old.head);
    let head = gateway.edge("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((head.status, &*head.body), (200, ""));
    assert!(head.head.contains("content-length: "), "{}", head.head);
    let hop = gateway.edge(&get_with("/hop", "")).await;
    assert!(hop.head.contains("x-kept: 1"), "{}", hop.head);
    assert!(
        !hop.head.contains("x-secret") && !hop.head.contains("keep-alive"),
        "{}",
        hop.head
    );
    let absolute = gateway
        .edge("GET http://other/y?z=1 HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .json();
    assert_eq!(
        (absolute["uri"].as_str(), absolute["headers"]["host"].as_str()),
        (Some("/y?z=1"), Some("other"))
    );
    let connect = gateway.edge("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n").await;
    assert_eq!(connect.status, 405);
}

#[tokio::test]
async fn a_dead_instance_costs_no_request() {
    let (alive, dead) = (
        Brick::start("storefront").await,
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    );
    let dead_addr = dead.local_addr().unwrap();
    drop(dead);
    let gateway = pages(&[alive.addr, dead_addr], |_| {}).await;
    for n in 0..40 {
        let request = if n % 2 == 0 {
            get_with("/x", "")
        } else {
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok".to_owned()
        };
        assert_eq!(gateway.edge(&request).await.status, 200);
    }
}

#[tokio::test]
async fn an_instance_that_dies_with_the_request_is_replaced_where_that_is_safe() {
    let alive = Brick::start("storefront").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rude = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move { read_until(&mut stream, "\r\n\r\n").await });
        }
    });
    let gateway = pages(&[rude, alive.addr], |_| {}).await;
    for _ in 0..20 {
        assert_eq!(gateway.edge(&get_with("/x", "")).await.status, 200);
    }
    let only = pages(&[rude], |_| {}).await;
    let post = only
        .edge("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!((post.status, &*post.code()), (502, "upstream_reset"));
}

#[tokio::test]
async fn a_silent_instance_is_a_timeout_and_a_missing_one_unavailable() {
    let brick = Brick::start("storefront").await;
    let gateway = pages(&[brick.addr], |_| {}).await;
    let late = gateway.edge(&get_with("/never", "")).await;
    assert_eq!((late.status, &*late.code()), (504, "upstream_timeout"));
    let half = "POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf";
    let slow = gateway.edge(half).await;
    assert_eq!((slow.status, &*slow.code()), (408, "body_timeout"));
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = gone.local_addr().unwrap();
    drop(gone);
    let gateway = pages(&[addr], |_| {}).await;
    let nobody = gateway.edge(&get_with("/x", "")).await;
    assert_eq!((nobody.status, &*nobody.code()), (503, "upstream_unreachable"));
}

#[tokio::test]
async fn an_event_stream_arrives_piece_by_piece_and_ends_with_the_drain() {
    let brick = Brick::start("storefront").await;
    let gateway = pages(&[brick.addr], |_| {}).await;
    let mut stream = TcpStream::connect(gateway.handle.edge()).await.unwrap();
    stream
        .write_all(get_with("/events", "").as_bytes())
        .await
        .unwrap();
    read_until(&mut stream, "data: first").await;
    gateway.trigger.drain();
    read_until(&mut stream, "0\r\n\r\n").await;
    tokio::time::timeout(LIMIT, gateway.running)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_drain_finishes_what_is_under_way_and_takes_nothing_new() {
    let brick = Brick::start("storefront").await;
    let gateway = pages(&[brick.addr], |_| {}).await;
    let mut stream = TcpStream::connect(gateway.handle.edge()).await.unwrap();
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf";
    stream.write_all(head.as_bytes()).await.unwrap();
    until(|| brick.calls() == 1).await;
    gateway.trigger.drain();
    until(|| std::net::TcpStream::connect(gateway.handle.edge()).is_err()).await;
    stream.write_all(b"done").await.unwrap();
    let answer = read_until(&mut stream, "halfdone").await.to_lowercase();
    assert!(
        answer.starts_with("http/1.1 200") && answer.contains("connection: close"),
        "{answer}"
    );
    tokio::time::timeout(LIMIT, gateway.running)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn connections_over_the_cap_are_told_so_and_counted() {
    let brick = Brick::start("storefront").await;
    let gateway = pages(&[brick.addr], |options| options.connections_max = 1).await;
    let mut first = TcpStream::connect(gateway.handle.edge()).await.unwrap();
    first.write_all(get_with("/x", "").as_bytes()).await.unwrap();
    read_until(&mut first, "storefront").await;
    let second = gateway.edge(&get_with("/x", "")).await;
    assert_eq!((second.status, &*second.code()), (503, "too_many_connections"));
    let figures = gateway.telemetry.metrics().encode();
    assert!(
        figures.contains("gateway_connections_refused_total{listener=\"edge\"} 1"),
        "{figures}"
    );
}

#[tokio::test]
async fn an_upgrade_passes_only_where_the_route_lets_it() {
    let brick = Brick::start("storefront").await;
    let gateway = pages(&[brick.addr], |_| {}).await;
    let ask = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut stream = TcpStream::connect(gateway.handle.edge()).await.unwrap();
    stream
        .write_all(get_with("/other", ask).as_bytes())
        .await
        .unwrap();
    let refused = read_until(&mut stream, "upgrade_refused").await;
    assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
    // The connection goes on behind an upgrade that was refused.
    stream.write_all(get_with("/ws", ask).as_bytes()).await.unwrap();
    read_until(&mut stream, "101 Switching").await;
    // A masked text frame, "hi" (RFC 6455 section 5.7), comes back unmasked.
    stream
        .write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i'])
        .await
        .unwrap();
    read_until(&mut stream, "hi").await;
    gateway.trigger.drain();
    tokio::time::timeout(LIMIT, gateway.running)
        .await
        .unwrap()
        .unwrap();
}
