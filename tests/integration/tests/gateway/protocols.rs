//! What clients and instances may speak besides plain HTTP/1.1, and what trusted hops may say.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use brick_bus::Change;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::harness::*;

async fn page(brick: SocketAddr) -> Gateway {
    page_with(brick, vec![], false).await
}

/// A gateway before one brick, with these resources besides.
async fn page_with(brick: SocketAddr, mut resources: Vec<brick_bus::Resource>, tls: bool) -> Gateway {
    resources.push(routes(vec![route("/**", "storefront", "public")]));
    resources.push(endpoints("storefront", &[brick]));
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    Gateway::with(brick, resources, |options| options.edge_tls = tls.then_some(any)).await
}

fn settings(change: Value) -> brick_bus::Resource {
    let mut value = json!({ "http2": true, "connections_max": 100, "head_timeout_ms": 5_000,
        "idle_timeout_ms": 5_000, "access_log": "errors" });
    for (key, of) in change.as_object().unwrap() {
        value[key] = of.clone();
    }
    resource("edge/settings", value)
}

async fn http2<S>(stream: S) -> SendRequest<Full<Bytes>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(stream);
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

fn get(path: &str) -> Request<Full<Bytes>> {
    let request = Request::get(format!("http://shop.test{path}"));
    request.body(Full::default()).unwrap()
}

async fn json_of(response: Response<Incoming>) -> Value {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn http2_is_spoken_by_prior_knowledge_on_the_port_of_http1() {
    let brick = Brick::start("storefront").await;
    let gateway = page(brick.addr).await;
    let stream = TcpStream::connect(gateway.handle.edge()).await.unwrap();
    let mut sender = http2(stream).await;
    let mut asked = Vec::new();
    for n in 0..50 {
        let mut request = get(&format!("/n/{n}?q=1"));
        let headers = request.headers_mut();
        headers.append("cookie", HeaderValue::from_static("a=1"));
        headers.append("cookie", HeaderValue::from_static("b=2"));
        asked.push((n, sender.send_request(request)));
    }
    for (n, answer) in asked {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        let seen = json_of(answer).await;
        assert_eq!(seen["uri"], format!("/n/{n}?q=1"));
        assert_eq!(seen["headers"]["host"], "shop.test");
        assert_eq!(seen["headers"]["cookie"], "a=1; b=2");
        assert_eq!(seen["headers"]["x-forwarded-host"], "shop.test");
    }
    assert_eq!(gateway.edge(&get_with("/x", "")).await.status, 200);
}

#[tokio::test]
async fn a_request_body_over_http2_passes_up_to_the_routes_limit() {
    let brick = Brick::start("storefront").await;
    let gateway = page(brick.addr).await;
    let stream = TcpStream::connect(gateway.handle.edge()).await.unwrap();
    let mut sender = http2(stream).await;
    for (bytes, expect) in [(1_000, 200), (1_001, 413)] {
        let body = Full::new(Bytes::from(vec![b'x'; bytes]));
        let request = Request::post("http://shop.test/echo").body(body).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), expect, "{bytes}");
    }
}

/// A server that speaks HTTP/2 alone and ends its answers with trailers, as gRPC does.
async fn grpc() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = hyper::service::service_fn(|request: Request<Incoming>| async move {
                assert_eq!(request.version(), http::Version::HTTP_2);
                let te = request.headers().get("te").cloned();
                let host = request.uri().host().unwrap_or("").to_owned();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                trailers.insert("x-host", host.parse().unwrap());
                trailers.insert("x-te", te.unwrap_or(HeaderValue::from_static("none")));
                let frames = [
                    Ok::<_, Infallible>(Frame::data(body)),
                    Ok(Frame::trailers(trailers)),
                ];
                let body = StreamBody::new(futures_util::stream::iter(frames));
                let answer = Response::builder().header("content-type", "application/grpc");
                Ok::<_, Infallible>(answer.body(body).unwrap())
            });
            let io = TokioIo::new(stream);
            let serving =
                hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service);
            tokio::spawn(serving);
        }
    });
    addr
}

#[tokio::test]
async fn grpc_passes_with_its_trailers() {
    let server = grpc().await;
    let mut pool = endpoints("greeter", &[server]);
    pool.value["instances"][0]["protocol"] = "h2c".into();
    let resources = vec![routes(vec![route("/**", "greeter", "public")]), pool];
    let gateway = Gateway::start(server, resources).await;
    let stream = TcpStream::connect(gateway.handle.edge()).await.unwrap();
    let mut sender = http2(stream).await;
    for _ in 0..3 {
        let request = Request::post("http://greeter.test/hello.Greeter/Hello")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(Bytes::from_static(b"\0\0\0\0\x02hi")))
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/grpc");
        let whole = answer.into_body().collect().await.unwrap();
        let trailers = whole.trailers().unwrap();
        assert_eq!(trailers["grpc-status"], "0");
        assert_eq!(trailers["x-host"], "greeter.test");
        assert_eq!(trailers["x-te"], "trailers");
        assert_eq!(&whole.to_bytes()[..], b"\0\0\0\0\x02hi");
    }
    let metrics = gateway.telemetry.metrics().encode();
    let connects = "gateway_upstream_connects_total{listener=\"edge\"} 1";
    assert!(metrics.contains(connects), "one connection is shared");
    // A client of HTTP/1 gets the same without the trailers, which it did not ask for.
    let answer = gateway.edge(&get_with("/x", "")).await;
    assert_eq!(answer.status, 200);
}

/// A certificate as the bus has it, and what a client has to trust.
fn certificate(revision: u64) -> (brick_bus::Resource, Vec<u8>) {
    let hosts = vec!["shop.test".to_owned()];
    let made = rcgen::generate_simple_self_signed(hosts.clone()).unwrap();
    let value =
        json!({ "cert_pem": made.cert.pem(), "key_pem": made.signing_key.serialize_pem(), "hosts": hosts });
    let mut certificate = resource("certs/shop", value);
    certificate.revision = revision;
    (certificate, made.cert.der().to_vec())
}

async fn secure(addr: SocketAddr, trusted: &[u8], protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.to_vec().into()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(addr).await?;
    let name = ServerName::try_from("shop.test").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[tokio::test]
async fn certificates_of_the_bus_are_shown_and_swapped_without_losing_a_connection() {
    let brick = Brick::start("storefront").await;
    let (first, trusted) = certificate(2);
    let mut gateway = page_with(brick.addr, vec![first], true).await;
    let addr = gateway.handle.edge_tls().unwrap();
    let shown = async |trusted: &[u8], protocol: &'static [u8]| {
        let limit = tokio::time::Instant::now() + LIMIT;
        loop {
            match secure(addr, trusted, protocol).await {
                Ok(stream) => return stream,
                Err(error) => assert!(tokio::time::Instant::now() < limit, "{error}"),
            }
        }
    };
    let stream = shown(&trusted, b"h2").await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let suite = stream.get_ref().1.negotiated_cipher_suite().unwrap().suite();
    let cheap = rustls::CipherSuite::TLS13_AES_128_GCM_SHA256;
    assert_eq!(suite, cheap, "although the client named a longer one first");
    let mut open = http2(stream).await;
    let seen = json_of(open.send_request(get("/a")).await.unwrap()).await;
    assert_eq!(seen["headers"]["x-forwarded-proto"], "https");

    let (second, newly_trusted) = certificate(3);
    gateway.publisher.apply(Change::Put(second), None);
    let stream = shown(&newly_trusted, b"http/1.1").await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(secure(addr, &trusted, b"h2").await.is_err());
    let again = open.send_request(get("/b")).await.unwrap();
    assert_eq!(again.status(), 200, "a connection that was open stays open");
}

#[tokio::test]
async fn a_trusted_hop_says_who_asks_and_nobody_else_does() {
    let brick = Brick::start("storefront").await;
    let gateway = page_with(
        brick.addr,
        vec![settings(json!({ "trusted": ["127.0.0.0/8"] }))],
        false,
    )
    .await;
    let claim = "X-Forwarded-For: 6.6.6.6, 192.0.2.1, 127.0.0.2\r\nX-Forwarded-Proto: https\r\n";
    let seen = gateway.edge(&get_with("/x", claim)).await.json();
    assert_eq!(seen["headers"]["x-forwarded-for"], "192.0.2.1");
    let claim = "Forwarded: for=6.6.6.6, for=192.0.2.2;proto=https\r\n";
    let seen = gateway.edge(&get_with("/x", claim)).await.json();
    assert_eq!(seen["headers"]["x-forwarded-for"], "192.0.2.2");
    assert_eq!(seen["headers"]["x-forwarded-proto"], "https");
    assert!(seen["headers"].get("forwarded").is_none());
}

#[tokio::test]
async fn a_proxy_header_of_a_trusted_hop_names_the_client() {
    let brick = Brick::start("storefront").await;
    let change = json!({ "trusted": ["127.0.0.1"], "proxy_protocol": true });
    let gateway = page_with(brick.addr, vec![settings(change)], false).await;
    let request = "GET /x HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n";
    let v1 = format!("PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n{request}");
    let seen = raw(gateway.handle.edge(), v1.as_bytes()).await;
    assert!(seen.contains("\"x-forwarded-for\":\"192.0.2.7\""), "{seen}");
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    v2.extend([192, 0, 2, 8, 10, 0, 0, 1, 0, 80, 0, 80]);
    v2.extend(request.as_bytes());
    let seen = raw(gateway.handle.edge(), &v2).await;
    assert!(seen.contains("\"x-forwarded-for\":\"192.0.2.8\""), "{seen}");
    // Without it the connection is closed, and counted.
    assert_eq!(raw(gateway.handle.edge(), request.as_bytes()).await, "");
    let metrics = gateway.telemetry.metrics().encode();
    assert!(metrics.contains("gateway_handshakes_failed_total{listener=\"edge\"} 1"));
}
