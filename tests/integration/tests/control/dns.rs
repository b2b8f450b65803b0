//! Names of bricks, asked for by a resolver that others wrote.

use std::net::SocketAddr;

use brick_core::{Drain, Incarnation};
use http::{Method, StatusCode};
use mortar_control::dns::Service;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::process::Command;

use super::harness::{Control, control};

/// The server on a port that is free by UDP and TCP.
async fn names(control: &Control) -> SocketAddr {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    for _ in 0..100 {
        if let Ok(service) = Service::bind(any).await {
            let addr = service.addr().unwrap();
            tokio::spawn(service.run(control.handle.clone(), Drain::never()));
            return addr;
        }
    }
    panic!("no port is free by UDP and TCP");
}

/// What `dig` prints.
async fn dig(at: SocketAddr, arguments: &[&str]) -> String {
    let mut command = Command::new("dig");
    command
        .args([format!("@{}", at.ip()), "-p".to_owned(), at.port().to_string()])
        .args([
            "+noall",
            "+comments",
            "+answer",
            "+authority",
            "+additional",
            "+tries=3",
            "+time=10",
            "+norecurse",
        ])
        .args(arguments)
        .kill_on_drop(true);
    let output = command
        .output()
        .await
        .expect("dig is installed: `cargo xtask setup`");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Records as words, without the lines that explain.
fn records(told: &str) -> Vec<String> {
    let lines = told
        .lines()
        .filter(|line| !line.starts_with(';') && !line.trim().is_empty());
    let mut all: Vec<String> = lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    all.sort();
    all
}

async fn orders(control: &Control, count: u32) {
    control.manifest().await;
    for slot in 1..=count {
        let edit = json!({ "addr": format!("127.0.0.1:{}", 7_000 + slot), "ttl_ms": 600_000 });
        let answer = control.register("order", slot, Incarnation::new(), edit).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_resolver_finds_bricks_and_instances_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    orders(&control, 2).await;
    let at = names(&control).await;
    let told = dig(at, &["Order.brick", "A"]).await;
    assert!(
        told.contains("status: NOERROR") && told.contains("flags: qr aa;"),
        "{told}"
    );
    assert_eq!(records(&told), ["Order.brick. 5 IN A 127.0.0.1"]);
    for transport in ["+notcp", "+tcp"] {
        let told = dig(at, &["order.brick", "SRV", transport]).await;
        let expected = [
            "order-1.order.brick. 5 IN A 127.0.0.1",
            "order-2.order.brick. 5 IN A 127.0.0.1",
            "order.brick. 5 IN SRV 0 100 7001 order-1.order.brick.",
            "order.brick. 5 IN SRV 0 100 7002 order-2.order.brick.",
        ];
        assert_eq!(records(&told), expected, "{told}");
    }
    // One that is in quarantine is there by its own name alone.
    let admin = control.operator(&["admin"]).await;
    let path = "/api/registry/v1/instances/order%2F2/quarantine";
    let body: Value = json!({ "reason": "looked into" });
    control.call(Method::POST, path, &admin, Some(body)).await;
    let told = dig(at, &["_http._tcp.order.brick", "SRV"]).await;
    assert!(told.contains(" 7001 ") && !told.contains(" 7002 "), "{told}");
    let told = dig(at, &["order-2.order.brick", "SRV"]).await;
    assert!(told.contains(" 7002 "), "{told}");
    for (name, kind, status, has_authority) in [
        ("order.brick", "AAAA", "NOERROR", true),
        ("payment.brick", "A", "NOERROR", true),
        ("nobody.brick", "A", "NXDOMAIN", true),
        ("order-7.order.brick", "A", "NXDOMAIN", true),
        ("example.org", "A", "REFUSED", false),
        (".", "NS", "REFUSED", false),
    ] {
        let told = dig(at, &[name, kind]).await;
        assert!(told.contains(&format!("status: {status}")), "{name}: {told}");
        let all = records(&told);
        assert!(
            all.iter().all(|record| record.starts_with("brick. 5 IN SOA ")),
            "{name}: {told}"
        );
        assert_eq!(all.len(), usize::from(has_authority), "{name}: {told}");
    }
    let metrics = control.telemetry.metrics().encode();
    assert!(!metrics.contains("brick_dns_unknown_total 0"), "{metrics}");
}

#[tokio::test]
async fn what_does_not_fit_a_datagram_is_asked_for_by_a_connection() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    orders(&control, 40).await;
    let at = names(&control).await;
    // dig asks again by TCP where the answer says that it was cut short.
    let told = dig(at, &["order.brick", "SRV"]).await;
    assert!(
        told.contains("Truncated") && told.contains("ANSWER: 40,"),
        "{told}"
    );
    let told = dig(at, &["order.brick", "SRV", "+ignore"]).await;
    assert!(told.contains("flags: qr aa tc;"), "{told}");
}

#[tokio::test]
async fn what_is_no_question_neither_ends_the_server_nor_is_answered_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    orders(&control, 1).await;
    let at = names(&control).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for message in [
        &b""[..],
        &[0; 11],
        &[0xFF; 600],
        &[0, 1, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1],
    ] {
        socket.send_to(message, at).await.unwrap();
    }
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(&[0xFF, 0xFF, 1, 2, 3]).await.unwrap();
    assert_eq!(
        stream.read(&mut [0; 16]).await.unwrap_or(0),
        0,
        "too long a message ends its connection"
    );
    let told = dig(at, &["order.brick", "A"]).await;
    assert_eq!(records(&told), ["order.brick. 5 IN A 127.0.0.1"]);
}
