//! What becomes of callers when their callee hangs, resets, drips or fails for long. Real sockets, paused clock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use brick_resilience::Decision;
use brick_resilience::breaker::State;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::Error;
use crate::tests::{Brick, System};

/// How an upstream behaves; it can be told to change.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Mood {
    Well,
    Hangs,
    Resets,
    Drips,
    Fails,
}

const MOODS: [Mood; 5] = [Mood::Well, Mood::Hangs, Mood::Resets, Mood::Drips, Mood::Fails];

/// An upstream that speaks HTTP/1.1 by hand.
#[derive(Clone)]
struct Upstream {
    addr: SocketAddr,
    mood: Arc<AtomicU8>,
    requests: Arc<AtomicU64>,
}

impl Upstream {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Self {
            addr: listener.local_addr().unwrap(),
            mood: Arc::default(),
            requests: Arc::default(),
        };
        let serving = upstream.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        upstream
    }

    async fn serve(self, mut stream: TcpStream) {
        let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            while !seen.ends_with(b"\r\n\r\n") {
                match stream.read(&mut piece).await {
                    Ok(0) | Err(_) => return,
                    Ok(n) => seen.extend_from_slice(&piece[..n]),
                }
            }
            seen.clear();
            self.requests.fetch_add(1, Ordering::Relaxed);
            let mood = MOODS[usize::from(self.mood.load(Ordering::Relaxed))];
            let written = match mood {
                Mood::Well => {
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                        .await
                }
                Mood::Fails => {
                    let answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
                    stream.write_all(answer).await
                }
                Mood::Hangs => std::future::pending().await,
                Mood::Resets => {
                    let _ = stream.set_zero_linger();
                    return;
                }
                Mood::Drips => {
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
                        .await;
                    let mut each = tokio::time::interval(Duration::from_secs(1));
                    loop {
                        each.tick().await;
                        if stream.write_all(b"x").await.is_err() {
                            return;
                        }
                    }
                }
            };
            if written.is_err() {
                return;
            }
        }
    }

    fn turn(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::Relaxed);
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// What callers saw of one edge.
struct Seen {
    took: Vec<Duration>,
    good: usize,
    opened_after: Option<Duration>,
}

impl Seen {
    fn p99(&mut self) -> Duration {
        self.took.sort_unstable();
        self.took[self.took.len() * 99 / 100 - 1]
    }
}

/// One call each 20 ms for so long, whatever became of the others.
async fn load(order: &Brick, callee: &str, lasts: Duration) -> Seen {
    let client = order.clients.client(callee);
    let edge = Arc::clone(client.target.followed.get());
    let (begun, mut opened_after) = (Instant::now(), None);
    let mut calls = Vec::new();
    let mut each = tokio::time::interval(Duration::from_millis(20));
    while begun.elapsed() < lasts {
        each.tick().await;
        if opened_after.is_none() && edge.state() == State::Open {
            opened_after = Some(begun.elapsed());
        }
        let call = client.get("/x").send();
        calls.push(tokio::spawn(async move {
            let begun = Instant::now();
            let good = call.await.is_ok_and(|answer| answer.status.is_success());
            (begun.elapsed(), good)
        }));
    }
    let mut seen = Seen {
        took: Vec::new(),
        good: 0,
        opened_after,
    };
    for call in calls {
        let (took, good) = call.await.unwrap();
        seen.took.push(took);
        seen.good += usize::from(good);
    }
    seen
}

async fn system(limits: serde_json::Value) -> (Brick, Upstream, Upstream) {
    let system = System::new();
    let order = system.brick("order");
    let (sick, well) = (Upstream::start().await, Upstream::start().await);
    system.endpoints("sick", &[sick.addr]);
    system.endpoints("well", &[well.addr]);
    system.limits("order", "sick", limits);
    (order, sick, well)
}

/// For 20 s the upstream is ill: callers stay below their time limit, the breaker opens within its window, retries keep
/// to their budget, another edge notices nothing, and when the upstream is well again the breaker closes.
async fn check(mood: Mood) {
    let timeout = Duration::from_millis(250);
    let (order, sick, well) = system(json!({ "timeout_ms": 250 })).await;
    load(&order, "sick", Duration::from_secs(1)).await;
    sick.turn(mood);
    let before = sick.requests();
    let ill = Duration::from_secs(20);
    let (mut seen, mut other) = tokio::join!(load(&order, "sick", ill), load(&order, "well", ill));
    assert!(
        seen.p99() <= timeout + Duration::from_millis(10),
        "{:?}",
        seen.p99()
    );
    let opened = seen.opened_after.expect("the breaker opens");
    assert!(opened < Duration::from_secs(10), "{opened:?}");
    let edge = Arc::clone(order.clients.client("sick").target.followed.get());
    let tried = sick.requests() - before;
    assert!(
        tried < 150,
        "{tried} requests reached the upstream of {} calls",
        seen.took.len()
    );
    let (retries, calls) = (edge.decided(Decision::Retry), seen.took.len() as u64 + 50);
    assert!(retries <= calls / 5 + 10, "{retries} retries of {calls} calls");
    println!(
        "{} calls, p99 {:?}, open after {opened:?}, {tried} requests reached it, {retries} retries",
        seen.took.len(),
        seen.p99()
    );
    assert_eq!(other.good, other.took.len(), "the other edge notices nothing");
    assert!(other.p99() < Duration::from_millis(50), "{:?}", other.p99());
    assert_eq!(well.requests(), other.took.len() as u64);
    sick.turn(Mood::Well);
    load(&order, "sick", Duration::from_secs(6)).await;
    assert_eq!(edge.state(), State::Closed);
    let after = load(&order, "sick", Duration::from_secs(1)).await;
    assert_eq!(after.good, after.took.len());
    assert_eq!(edge.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_hangs_stays_a_small_event() {
    check(Mood::Hangs).await;
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_resets_stays_a_small_event() {
    check(Mood::Resets).await;
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_drips_a_byte_a_second_stays_a_small_event() {
    check(Mood::Drips).await;
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_fails_for_long_stays_a_small_event() {
    check(Mood::Fails).await;
}

#[tokio::test(start_paused = true)]
async fn a_bulkhead_keeps_a_slow_edge_from_filling_its_caller() {
    let limits = json!({ "timeout_ms": 60_000, "breaker": false,
        "concurrency": { "max": 4, "queue": 2, "wait_ms": 100 } });
    let (order, sick, _well) = system(limits).await;
    sick.turn(Mood::Hangs);
    let client = order.clients.client("sick");
    let calls: Vec<_> = (0..20).map(|_| tokio::spawn(client.get("/x").send())).collect();
    let mut full = 0;
    let mut pending = Vec::new();
    for call in calls {
        let mut call = call;
        match tokio::time::timeout(Duration::from_secs(1), &mut call).await {
            Ok(ended) => {
                assert!(matches!(
                    ended.unwrap(),
                    Err(Error::BulkheadFull { limit: 4, .. })
                ));
                full += 1;
            }
            Err(_) => pending.push(call),
        }
    }
    assert_eq!((full, pending.len(), sick.requests()), (16, 4, 4));
    let other = load(&order, "well", Duration::from_secs(1)).await;
    assert_eq!(other.good, other.took.len());
    for call in pending {
        call.abort();
        let _ = call.await;
    }
    assert_eq!(client.target.followed.get().in_flight(), 0);
}
