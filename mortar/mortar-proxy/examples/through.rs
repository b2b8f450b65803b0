//! One worker of the data plane before one address, with everything that the edge has on by itself: routing, balancing,
//! limits, trace context, figures. `through 127.0.0.1:9000` prints where it listens and serves until it is killed, so
//! that processor time of a request can be measured with any load generator.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use brick_auth::OwnToken;
use brick_bus::{Change, Resource};
use brick_core::Incarnation;
use brick_resilience::Edges;
use brick_telemetry::{Identity, LogTarget, Telemetry};
use mortar_proxy::gate::Open;
use mortar_proxy::worker::{self, Socket};
use mortar_proxy::{Compiler, Options, Proxy, Route, Routes, Settings, Side};
use serde_json::json;

const TIMEOUT: Duration = Duration::from_secs(5);
/// As long as a process token of the platform.
const TOKEN_BYTES: usize = 420;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let usage = "expected the address of an HTTP server such as 127.0.0.1:9000";
    let addr: SocketAddr = std::env::args().nth(1).ok_or(usage)?.parse()?;
    let (telemetry, _exporter) = Telemetry::new(brick_telemetry::Options {
        identity: Identity {
            brick: "gateway".to_owned(),
            ..Identity::default()
        },
        log: LogTarget::Stdout,
        ..brick_telemetry::Options::default()
    });
    let instance =
        json!({ "slot": 1, "incarnation": Incarnation::new(), "version": "v1", "zone": "a", "addr": addr });
    let (mut publisher, watch) = brick_bus::watch::channel();
    let pool = Resource {
        name: "endpoints/origin".to_owned(),
        revision: 1,
        value: json!({ "instances": [instance] }),
    };
    publisher.apply(Change::Snapshot(vec![pool]), None);
    let (_trigger, drain) = brick_core::drain::channel();
    let options = Options {
        name: "edge".to_owned(),
        settings: Settings::default(),
        trace: true,
        side: Side::Outside,
    };
    let token = OwnToken::fixed("x".repeat(TOKEN_BYTES));
    let proxy = Proxy::new(options, Open, &telemetry, token, drain.clone());
    proxy.follow(Edges::new("edge", watch.clone(), TIMEOUT, telemetry.metrics()));
    let target = Compiler::new(watch).target("origin", &Default::default());
    proxy.replace(Routes::new(vec![Route::new("/**", target, TIMEOUT, 1 << 20)])?);
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    println!("http://{}", listener.local_addr()?);
    let sockets = vec![Socket { listener, tls: None }];
    let worker = worker::start("edge-0".to_owned(), sockets, &proxy, TIMEOUT, drain)?;
    Ok(worker.ended().await?)
}
