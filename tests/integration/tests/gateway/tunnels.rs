//! What becomes a tunnel: WebSocket on a stream of HTTP/2 (RFC 8441), and CONNECT where a route allows it.

use std::net::SocketAddr;

use axum::body::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::ext::Protocol;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::harness::*;

/// An instance that says everything again.
async fn parrot() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    addr
}

async fn http2(gateway: &Gateway) -> SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(gateway.handle.edge()).await.unwrap();
    let io = TokioIo::new(stream);
    let made = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await;
    let (sender, connection) = made.unwrap();
    tokio::spawn(connection);
    sender
}

fn websocket(path: &str, protocol: &'static str) -> Request<Empty<Bytes>> {
    Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://shop.test{path}"))
        .header("sec-websocket-version", "13")
        .extension(Protocol::from_static(protocol))
        .body(Empty::new())
        .unwrap()
}

/// Waits until the settings of the other side have come: before, extended CONNECT may not be sent.
async fn ask(sender: &mut SendRequest<Empty<Bytes>>, request: Request<Empty<Bytes>>) -> Response<Incoming> {
    let first = Request::get("http://shop.test/hello").body(Empty::new()).unwrap();
    sender.send_request(first).await.unwrap();
    sender.send_request(request).await.unwrap()
}

async fn problem(answer: Response<Incoming>) -> (u16, String) {
    let status = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    let problem: Value = serde_json::from_slice(&bytes).unwrap();
    (status, problem["code"].as_str().unwrap().to_owned())
}

/// A gateway with a page that lets WebSocket through under `/ws` and `/plain`, and not under `/closed`.
async fn page(brick: SocketAddr) -> Gateway {
    let mut table: Vec<Value> = ["/ws", "/plain", "/never", "/closed", "/**"]
        .map(|path| route(path, "storefront", "public"))
        .to_vec();
    for open in &mut table[..3] {
        open["websocket"] = true.into();
    }
    Gateway::start(brick, vec![routes(table), endpoints("storefront", &[brick])]).await
}

#[tokio::test]
async fn websocket_is_spoken_on_streams_of_http2() {
    let brick = Brick::start("storefront").await;
    let gateway = page(brick.addr).await;
    let mut sender = http2(&gateway).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let answer = ask(&mut sender, websocket("/ws", "websocket")).await;
        assert_eq!(answer.status(), 200);
        for gone in ["sec-websocket-accept", "upgrade", "connection"] {
            assert!(!answer.headers().contains_key(gone), "{gone}");
        }
        let stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
        open.push(WebSocketStream::from_raw_socket(stream, Role::Client, None).await);
    }
    // All at once, beside requests, on one connection.
    for (at, socket) in open.iter_mut().enumerate() {
        let large = format!("{at}").repeat(200_000);
        socket.send(Message::text(large.clone())).await.unwrap();
        let plain = Request::get("http://shop.test/hello").body(Empty::new()).unwrap();
        assert_eq!(sender.send_request(plain).await.unwrap().status(), 200);
        let back = socket.next().await.unwrap().unwrap();
        assert_eq!(back.into_text().unwrap().as_str(), large);
    }
    for mut socket in open {
        socket.close(None).await.unwrap();
        let last = socket.next().await;
        assert!(matches!(last, Some(Ok(Message::Close(_)))), "{last:?}");
    }
}

#[tokio::test]
async fn a_stream_that_does_not_become_a_websocket_is_answered() {
    let brick = Brick::start("storefront").await;
    let gateway = page(brick.addr).await;
    let mut sender = http2(&gateway).await;
    for (path, protocol, status, code) in [
        ("/closed", "websocket", 403, "upgrade_refused"),
        ("/plain", "websocket", 502, "upgrade_failed"),
        ("/ws", "connect-udp", 501, "protocol_unknown"),
    ] {
        let answer = ask(&mut sender, websocket(path, protocol)).await;
        assert_eq!(problem(answer).await, (status, code.to_owned()), "{path}");
    }
}

/// A gateway that leads tunnels for `db.test` to the brick, with these resources besides.
async fn database(brick: SocketAddr, auth: &str, besides: Vec<brick_bus::Resource>) -> Gateway {
    let mut led = route("/**", "db", auth);
    (led["host"], led["connect"]) = ("db.test".into(), true.into());
    let mut resources = vec![
        routes(vec![led, route("/**", "storefront", "public")]),
        endpoints("db", &[brick]),
    ];
    resources.extend(besides);
    Gateway::start(brick, resources).await
}

const CONNECT: &str = "CONNECT db.test:5432 HTTP/1.1\r\nHost: db.test:5432\r\n\r\n";

#[tokio::test]
async fn connect_leads_to_an_instance_of_the_brick_of_its_route() {
    let gateway = database(parrot().await, "public", vec![]).await;
    let mut stream = TcpStream::connect(gateway.handle.edge()).await.unwrap();
    // What comes before the answer belongs to the tunnel, whatever it looks like.
    let early = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n\0\u{1}";
    stream
        .write_all(format!("{CONNECT}{early}").as_bytes())
        .await
        .unwrap();
    let back = read_until(&mut stream, early).await;
    let head = back.strip_suffix(early).unwrap();
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    assert!(!head.to_lowercase().contains("content-length"), "{head}");
    stream.write_all(b"again").await.unwrap();
    read_until(&mut stream, "again").await;
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "the end of one side ends the other");

    let mut sender = http2(&gateway).await;
    let request = Request::builder().method(Method::CONNECT).uri("db.test:5432");
    let answer = sender
        .send_request(request.body(Empty::new()).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let mut tunnel: TokioIo<Upgraded> = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    tunnel.write_all(b"hello").await.unwrap();
    let mut back = [0; 5];
    tunnel.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"hello");
}

#[tokio::test]
async fn connect_is_refused_where_its_route_does_not_allow_it() {
    let gateway = database(parrot().await, "jwt", vec![]).await;
    let answer = gateway.edge(CONNECT).await;
    assert_eq!(answer.status, 401);
    let other = CONNECT.replace("db.test", "shop.test");
    let answer = gateway.edge(&other).await;
    assert_eq!((answer.status, &*answer.code()), (405, "method_not_allowed"));
    let body = CONNECT.replacen("\r\n\r\n", "\r\nContent-Length: 3\r\n\r\nabc", 1);
    let answer = gateway.edge(&body).await;
    assert_eq!((answer.status, &*answer.code()), (400, "unexpected_body"));
    let token = gateway.issuer.token(json!({}));
    let shown = CONNECT.replacen(
        "\r\n\r\n",
        &format!("\r\nAuthorization: Bearer {token}\r\n\r\n"),
        1,
    );
    let mut stream = TcpStream::connect(gateway.handle.edge()).await.unwrap();
    stream.write_all(shown.as_bytes()).await.unwrap();
    assert!(
        read_until(&mut stream, "\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 200 ")
    );
}

#[tokio::test]
async fn tunnels_count_in_the_bulkhead_and_end_when_nothing_moves() {
    let limits = resource(
        "limits/edge->db",
        json!({ "timeout_ms": 5_000, "concurrency": { "max": 1 } }),
    );
    let settings = resource(
        "edge/settings",
        json!({ "http2": true, "connections_max": 100, "head_timeout_ms": 5_000, "idle_timeout_ms": 300,
            "access_log": "errors" }),
    );
    let gateway = database(parrot().await, "public", vec![limits, settings]).await;
    let mut first = TcpStream::connect(gateway.handle.edge()).await.unwrap();
    first.write_all(CONNECT.as_bytes()).await.unwrap();
    read_until(&mut first, "\r\n\r\n").await;
    let second = gateway.edge(CONNECT).await;
    assert_eq!((second.status, &*second.code()), (503, "bulkhead_full"));
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(LIMIT, first.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "a tunnel on which nothing moves ends");
    let mut third = TcpStream::connect(gateway.handle.edge()).await.unwrap();
    third.write_all(CONNECT.as_bytes()).await.unwrap();
    assert!(
        read_until(&mut third, "\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 200 ")
    );
}
