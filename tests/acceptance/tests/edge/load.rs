//! Load that forgives nothing: each request is sent once, and whatever is no 200 is a failure with its reason.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use acceptance_tests::eventually;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

/// Failures that are kept of each connection.
const FAILURES_MAX: usize = 5;

pub(super) struct Load {
    served: Arc<AtomicUsize>,
    stopping: Arc<AtomicBool>,
    callers: Vec<JoinHandle<Vec<String>>>,
}

pub(super) struct Report {
    pub(super) served: usize,
    pub(super) failures: Vec<String>,
}

impl Load {
    /// So many requests a second over so many connections that are kept as long as the edge keeps them.
    pub(super) fn start(edge: &str, connections: u32, per_second: u32) -> Self {
        let addr = edge
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let (served, stopping) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let every = Duration::from_secs(1) * connections / per_second;
        let callers = (0..connections).map(|_| {
            let (addr, served, stopping) = (addr.clone(), Arc::clone(&served), Arc::clone(&stopping));
            tokio::spawn(async move {
                let mut beat = tokio::time::interval(every);
                beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
                let (mut kept, mut failures) = (None, Vec::new());
                while !stopping.load(Ordering::Relaxed) {
                    beat.tick().await;
                    let reused = kept.is_some();
                    match request(&addr, kept.take()).await {
                        Ok(next) => kept = next,
                        Err(why) if failures.len() < FAILURES_MAX => {
                            failures.push(format!("{why}, on a kept connection: {reused}"));
                        }
                        Err(_) => {}
                    }
                    served.fetch_add(1, Ordering::Relaxed);
                }
                failures
            })
        });
        Self {
            callers: callers.collect(),
            served,
            stopping,
        }
    }

    /// Waits until so many more were served.
    pub(super) async fn served(&self, more: usize) {
        let from = self.served.load(Ordering::Relaxed);
        eventually("the load", || async {
            (self.served.load(Ordering::Relaxed) >= from + more).then_some(())
        })
        .await;
    }

    pub(super) async fn stop(self) -> Report {
        self.stopping.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for caller in self.callers {
            failures.extend(caller.await.expect("the load does not panic"));
        }
        Report {
            served: self.served.load(Ordering::Relaxed),
            failures,
        }
    }
}

/// One request; the connection where the answer did not say that it was the last.
async fn request(
    addr: &str,
    kept: Option<BufReader<TcpStream>>,
) -> Result<Option<BufReader<TcpStream>>, String> {
    let mut stream = match kept {
        Some(stream) => stream,
        None => BufReader::new(
            TcpStream::connect(addr)
                .await
                .map_err(|error| format!("connect: {error}"))?,
        ),
    };
    let ask = format!("GET /x HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    stream
        .write_all(ask.as_bytes())
        .await
        .map_err(|error| format!("send: {error}"))?;
    let (mut last, mut length, mut status) = (false, 0, String::new());
    loop {
        let mut line = String::new();
        let count = stream.read_line(&mut line).await;
        match count {
            Ok(0) => return Err("closed without an answer".to_owned()),
            Ok(_) => {}
            Err(error) => return Err(format!("read: {error}")),
        }
        let line = line.trim_end().to_ascii_lowercase();
        if status.is_empty() {
            status = line;
        } else if line.is_empty() {
            break;
        } else if let Some(count) = line.strip_prefix("content-length: ") {
            length = count.parse().map_err(|_| format!("content-length {count}"))?;
        } else if line == "connection: close" {
            last = true;
        }
    }
    let mut body = vec![0; length];
    stream
        .read_exact(&mut body)
        .await
        .map_err(|error| format!("body: {error}"))?;
    if status != "http/1.1 200 ok" {
        return Err(format!("{status}: {}", String::from_utf8_lossy(&body)));
    }
    Ok((!last).then_some(stream))
}
