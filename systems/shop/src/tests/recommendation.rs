//! The brick in Python, and the other implementation of its contract in Node: both pass the trace on and write it into
//! their plain log lines.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use brickwork::axum::extract::Request;
use brickwork::axum::{self, Json, Router};
use brickwork::serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A product brick with four products of one category; it keeps the `traceparent` of each call.
async fn product(seen: Arc<Mutex<Vec<String>>>) -> SocketAddr {
    let router = Router::new().fallback(async move |request: Request| {
        let parent = request
            .headers()
            .get("traceparent")
            .and_then(|value| value.to_str().ok());
        seen.lock()
            .expect("no panic with the lock")
            .push(parent.unwrap_or_default().to_owned());
        let item = |id: &str| json!({ "id": id, "category": "kitchen" });
        Json(match request.uri().path() {
            "/api/products" => json!({ "items": [item("p1"), item("p2"), item("p3"), item("p4")] }),
            _ => item("p2"),
        })
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a free port");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    addr
}

/// The implementations of the contract.
const ALL: [[&str; 2]; 2] = [["python3", "recommendation.py"], ["node", "recommendation.mjs"]];

/// The brick, its log and its address; none where there is no interpreter.
async fn start(
    [program, file]: [&str; 2],
    product: SocketAddr,
) -> Option<(Child, Lines<BufReader<ChildStdout>>, SocketAddr)> {
    let mut child = Command::new(program)
        .arg(file)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/recommendation"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PORT", "0")
        .env("PRODUCT_URL", format!("http://{product}"))
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .env_remove("BRICK_PROXY_URL")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    let mut log = BufReader::new(child.stdout.take()?).lines();
    let first = log.next_line().await.expect("a log").expect("a first line");
    let port = first
        .strip_prefix("INFO listening on port ")
        .expect("the port")
        .parse()
        .expect("a number");
    Some((child, log, SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
}

async fn get(addr: SocketAddr, path: &str, headers: &str) -> (String, Value) {
    let mut stream = TcpStream::connect(addr).await.expect("a listening brick");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    (
        head.lines().next().unwrap_or_default().to_owned(),
        body.parse().expect("JSON"),
    )
}

#[tokio::test]
async fn it_recommends_within_the_callers_trace_and_says_so_in_its_log() {
    for implementation in ALL {
        recommends(implementation).await;
    }
}

async fn recommends(implementation: [&str; 2]) {
    let seen = Arc::default();
    let started = start(implementation, product(Arc::clone(&seen)).await).await;
    let Some((_child, mut log, addr)) = started else {
        eprintln!(
            "no {} here: the brick is skipped, as brick up would",
            implementation[0]
        );
        return;
    };
    let (status, _) = get(addr, "/health", "").await;
    assert!(status.contains(" 200 "), "{status}");
    let parent = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n");
    let (status, body) = get(addr, "/api/recommendations?product_id=p2", &parent).await;
    assert!(status.contains(" 200 "), "{status} {body}");
    let items = body["items"].as_array().expect("a list");
    assert!(items.len() == 3 && !items.contains(&json!("p2")), "{body}");
    let passed = seen.lock().expect("no panic with the lock").clone();
    assert_eq!(passed.len(), 2);
    for parent in passed {
        assert!(
            parent.starts_with(&format!("00-{TRACE}-")) && !parent.contains("00f067aa0ba902b7"),
            "{parent}"
        );
    }
    let line = log.next_line().await.expect("a log").expect("a line");
    assert!(line.contains(&format!("trace_id={TRACE} ")), "{line}");
    let (status, body) = get(addr, "/api/recommendations", &parent).await;
    assert!(status.contains(" 400 "), "{status}");
    assert_eq!(body["code"], "product_id");
}

#[tokio::test]
async fn both_implementations_give_the_same_answers() {
    let mut answers: Vec<Vec<Value>> = Vec::new();
    for implementation in ALL {
        let Some((_child, _log, addr)) = start(implementation, product(Arc::default()).await).await else {
            continue;
        };
        let mut told = Vec::new();
        for path in [
            "/api/recommendations?product_id=p2",
            "/api/recommendations?product_id=p1%20%C3%A9",
            "/api/recommendations",
            "/nowhere",
        ] {
            let (status, body) = get(addr, path, "").await;
            told.push(json!([status.split(' ').nth(1), body]));
        }
        answers.push(told);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:#?}");
}

#[tokio::test]
async fn a_dead_product_brick_is_a_problem_that_names_the_trace() {
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a free port");
    let addr = nobody.local_addr().expect("an address");
    drop(nobody);
    for implementation in ALL {
        let Some((_child, _log, addr)) = start(implementation, addr).await else {
            continue;
        };
        let parent = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n");
        let (status, body) = get(addr, "/api/recommendations?product_id=p2", &parent).await;
        assert!(status.contains(" 503 "), "{status}");
        assert_eq!(body["trace_id"], TRACE);
    }
}
