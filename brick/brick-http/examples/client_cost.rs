//! What a call by the SDK's client costs over bare hyper: processor time of this process per call, as JSON.
//!
//! The callee is a child process, so that its time is not counted. Both clients send the same request over kept
//! connections to it, in alternating rounds. `cargo xtask bench client` runs this; `serve` as argument is the callee.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use brick_auth::OwnToken;
use brick_bus::{Endpoint, Endpoints, Resource, Watch};
use brick_core::Incarnation;
use brick_http::{Client, Clients, ClientsOptions};
use brick_resilience::{Edge, Outcome, Policy};
use brick_telemetry::{LogTarget, Options, Telemetry};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let first = std::env::args().nth(1);
    if first.as_deref() == Some("serve") {
        return serve().await;
    }
    let calls: u32 = first.and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let mut child = Command::new(std::env::current_exe()?)
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let measured = measure(&mut child, calls).await;
    child.kill()?;
    child.wait()?;
    println!("{}", measured?);
    Ok(())
}

async fn measure(child: &mut std::process::Child, calls: u32) -> Result<serde_json::Value, Failure> {
    let mut line = String::new();
    let out = child.stdout.take().ok_or("no output of the callee")?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line)?;
    let addr: SocketAddr = line.trim().parse()?;
    let (telemetry, exporter) = Telemetry::new(Options {
        log: LogTarget::Memory,
        ..Options::default()
    });
    let (_end, ending) = brick_core::drain::channel();
    let _exporting = tokio::spawn(exporter.run(ending));
    telemetry.install()?;
    let client = client(addr, telemetry)?;
    let mut bare = bare(addr).await?;
    // Warm: connections, code, caches.
    sdk_round(&client, calls / 10).await?;
    bare_round(&mut bare, addr, calls / 10).await?;
    let (mut sdk_us, mut bare_us) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        let begun = cpu()?;
        sdk_round(&client, calls).await?;
        sdk_us.push((cpu()? - begun).as_secs_f64() * 1e6 / f64::from(calls));
        let begun = cpu()?;
        bare_round(&mut bare, addr, calls).await?;
        bare_us.push((cpu()? - begun).as_secs_f64() * 1e6 / f64::from(calls));
    }
    Ok(serde_json::json!({
        "sdk_us": median(sdk_us),
        "bare_us": median(bare_us),
        "admit_ns": admission(),
    }))
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Nanoseconds for a call to be let through and its outcome to be taken.
fn admission() -> f64 {
    let policy = Policy::with_timeout(Duration::from_secs(1));
    let edge = Edge::new("a->b", policy, Default::default(), Instant::now());
    let rounds = 1_000_000;
    let begun = Instant::now();
    for _ in 0..rounds {
        let now = Instant::now();
        if let Ok(permit) = edge.admit(now) {
            permit.outcome(&Outcome::Good, Duration::from_millis(1), now);
        }
    }
    begun.elapsed().as_nanos() as f64 / f64::from(rounds)
}

async fn sdk_round(client: &Client, calls: u32) -> Result<(), Failure> {
    for _ in 0..calls {
        let answer = client.get("/api/products/p1").send().await?;
        if answer.body.len() != 2 {
            return Err("unexpected answer".into());
        }
    }
    Ok(())
}

async fn bare_round(
    sender: &mut SendRequest<Full<Bytes>>,
    addr: SocketAddr,
    calls: u32,
) -> Result<(), Failure> {
    for _ in 0..calls {
        let request = http::Request::get("/api/products/p1")
            .header("host", addr.to_string())
            .header("accept", "application/json")
            .body(Full::new(Bytes::new()))?;
        sender.ready().await?;
        let answer = sender.send_request(request).await?;
        if answer.into_body().collect().await?.to_bytes().len() != 2 {
            return Err("unexpected answer".into());
        }
    }
    Ok(())
}

fn client(addr: SocketAddr, telemetry: Telemetry) -> Result<Client, Failure> {
    let endpoint = Endpoint {
        slot: 1,
        incarnation: Incarnation::new(),
        version: Default::default(),
        zone: "a".to_owned(),
        addr,
        weight: 100,
        concurrent: false,
        protocol: Default::default(),
        quarantined: false,
    };
    let endpoints = Endpoints {
        instances: vec![endpoint],
    };
    let clients = Clients::new(ClientsOptions {
        watch: Watch::fixed(vec![Resource {
            name: "endpoints/product".to_owned(),
            revision: 1,
            value: serde_json::to_value(endpoints)?,
        }]),
        // As long as a process token is.
        own_token: OwnToken::fixed("x".repeat(480)),
        telemetry,
        brick: "order".to_owned(),
    });
    Ok(clients.client("product"))
}

async fn bare(addr: SocketAddr) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// The processor time of this process so far.
fn cpu() -> Result<Duration, Failure> {
    // Fields 14 and 15 of proc_pid_stat(5), after the name, in ticks of 10 ms.
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let mut fields = rest.split(' ').skip(11).map(str::parse::<u64>);
    let (user, system) = (
        fields.next().ok_or("no user time")??,
        fields.next().ok_or("no system time")??,
    );
    Ok(Duration::from_millis((user + system) * 10))
}

/// Answers every request alike, until its parent is gone.
async fn serve() -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    tokio::spawn(async {
        let mut nothing = [0; 1];
        let _ = tokio::task::spawn_blocking(move || std::io::Read::read(&mut std::io::stdin(), &mut nothing))
            .await;
        std::process::exit(0);
    });
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let (mut seen, mut piece) = (Vec::new(), [0; 8192]);
            loop {
                match stream.read(&mut piece).await {
                    Ok(0) | Err(_) => return,
                    Ok(n) => seen.extend_from_slice(piece.get(..n).unwrap_or_default()),
                }
                if seen.ends_with(b"\r\n\r\n") {
                    seen.clear();
                    if stream.write_all(ANSWER).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
}
