//! The admin listener: own names and origins, operators only.

use http::Method;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::harness::*;
use crate::control::access::operations;

async fn console() -> (Gateway, Brick, String) {
    let control = Brick::start("control").await;
    let gateway = Gateway::start(control.addr, vec![]).await;
    let host = format!("localhost:{}", gateway.handle.admin().port());
    (gateway, control, host)
}

fn request(method: &str, path: &str, host: &str, fields: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n")
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_refused() {
    let (gateway, control, host) = console().await;
    let port = gateway.handle.admin().port();
    let cookie = format!("Cookie: brick_console={}\r\n", gateway.issuer.operator());
    let origin = |origin: &str| format!("{cookie}Origin: {origin}\r\n");
    for (method, host, fields, status) in [
        ("GET", &*host, cookie.clone(), 200),
        ("GET", &format!("127.0.0.1:{port}"), cookie.clone(), 200),
        ("GET", &format!("[::1]:{port}"), cookie.clone(), 200),
        ("GET", "evil.example", cookie.clone(), 421),
        ("GET", &format!("evil.example:{port}"), cookie.clone(), 421),
        ("GET", "localhost", cookie.clone(), 421),
        ("POST", &host, origin(&format!("http://{host}")), 200),
        ("POST", &host, origin("http://evil.example"), 403),
        ("POST", &host, origin("null"), 403),
        ("POST", &host, origin("http://localhost:8080"), 403),
        ("GET", &host, origin("http://evil.example"), 403),
        (
            "POST",
            &host,
            format!("{cookie}Sec-Fetch-Site: cross-site\r\n"),
            403,
        ),
        (
            "POST",
            &host,
            format!("{cookie}Sec-Fetch-Site: same-site\r\n"),
            403,
        ),
        (
            "POST",
            &host,
            format!("{cookie}Sec-Fetch-Site: same-origin\r\n"),
            200,
        ),
        (
            "GET",
            &host,
            format!("{cookie}Sec-Fetch-Site: cross-site\r\n"),
            200,
        ),
    ] {
        let answer = gateway
            .admin(&request(method, "/api/system/v1", host, &fields))
            .await;
        assert_eq!(answer.status, status, "{method} {host} {fields}: {answer:?}");
    }
    assert_eq!(control.calls(), 6);
}

#[tokio::test]
async fn operators_pass_and_their_cookie_becomes_a_token() {
    let (gateway, _, host) = console().await;
    let operator = gateway.issuer.operator();
    let cookie = format!("Cookie: a=1; brick_console={operator}\r\n");
    let seen = gateway
        .admin(&request("GET", "/api/telemetry/v1/stats", &host, &cookie))
        .await
        .json();
    assert_eq!(seen["headers"]["authorization"], format!("Bearer {operator}"));
    assert_eq!(seen["headers"]["cookie"], "a=1");
    let user = gateway.issuer.token(serde_json::json!({ "scope": "admin" }));
    let brick = gateway
        .issuer
        .token(serde_json::json!({ "aud": "shop:platform", "scope": "bus" }));
    for (fields, status, code) in [
        (String::new(), 401, "token_missing"),
        (format!("Authorization: Bearer {user}\r\n"), 401, "token_audience"),
        (format!("Authorization: Bearer {brick}\r\n"), 403, "scope_missing"),
        ("Cookie: brick_console=x\r\n".to_owned(), 401, "token_malformed"),
    ] {
        let answer = gateway
            .admin(&request("GET", "/api/system/v1", &host, &fields))
            .await;
        assert_eq!((answer.status, &*answer.code()), (status, code), "{fields}");
    }
    let bearer = format!("Authorization: Bearer {operator}\r\n");
    assert_eq!(
        gateway
            .admin(&request("GET", "/api/system/v1", &host, &bearer))
            .await
            .status,
        200
    );
    for public in [
        "/",
        "/login?code=x",
        "/identity/jwks",
        "/health/live",
        "/console/app.js",
    ] {
        let answer = gateway
            .admin(&request("GET", public, &host, "Cookie: brick_console=stale\r\n"))
            .await;
        assert_eq!(answer.status, 200, "{public}");
    }
}

#[tokio::test]
async fn no_operation_of_the_platform_is_reached_by_strangers_or_from_other_pages() {
    let (gateway, control, host) = console().await;
    let cookie = format!("Cookie: brick_console={}\r\n", gateway.issuer.operator());
    let documents = ["control.openapi.json", "telemetry.openapi.json"];
    let documented = documents.into_iter().flat_map(operations);
    let further = ["/metrics", "/info", "/openapi.json"];
    let further = further.map(|path| (Method::GET, path.to_owned(), false));
    for (method, path, is_public) in documented.chain(further) {
        let ask = async |host: &str, fields: &str| {
            let request = request(method.as_str(), &path, host, fields);
            gateway.admin(&request).await.status
        };
        let before = control.calls();
        assert_eq!(ask("evil.example", &cookie).await, 421, "{method} {path}");
        let foreign = format!("{cookie}Origin: http://evil.example\r\n");
        assert_eq!(ask(&host, &foreign).await, 403, "{method} {path}");
        if method != Method::GET {
            let foreign = format!("{cookie}Sec-Fetch-Site: cross-site\r\n");
            assert_eq!(ask(&host, &foreign).await, 403, "{method} {path}");
        }
        // Eureka's clients show a name and secret of their own; control judges them.
        let judged = ["/config/", "/eureka/", "/ofrep/"];
        if !is_public && !judged.iter().any(|below| path.starts_with(below)) {
            assert_eq!(ask(&host, "").await, 401, "{method} {path}");
            let forged = "Cookie: brick_console=a.b.c\r\n";
            assert_eq!(ask(&host, forged).await, 401, "{method} {path}");
        }
        assert_eq!(control.calls(), before, "{method} {path} was passed on");
    }
}

#[tokio::test]
async fn a_websocket_is_tunnelled_to_control() {
    let (gateway, _, host) = console().await;
    let fields = format!(
        "Cookie: brick_console={}\r\nOrigin: http://{host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        gateway.issuer.operator()
    );
    let mut stream = TcpStream::connect(gateway.handle.admin()).await.unwrap();
    stream
        .write_all(request("GET", "/api/console/v1/ws", &host, &fields).as_bytes())
        .await
        .unwrap();
    let head = read_until(&mut stream, "\r\n\r\n").await.to_lowercase();
    assert!(
        head.contains("101 switching") && head.contains("sec-websocket-accept"),
        "{head}"
    );
    for text in ["one", "two"] {
        let mut frame = vec![0x81, 0x83, 0, 0, 0, 0];
        frame.extend_from_slice(text.as_bytes());
        stream.write_all(&frame).await.unwrap();
        read_until(&mut stream, text).await;
    }
}
