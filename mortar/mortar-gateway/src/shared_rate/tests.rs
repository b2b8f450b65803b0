//! Against a real redis-server; `cargo xtask setup` installs it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use brick_bus::routes;
use brick_telemetry::metrics::Registry;

use super::*;

/// A redis-server of the test's own, on a port of its own, that keeps nothing.
struct Redis {
    process: Child,
    port: u16,
}

impl Redis {
    /// None where none is installed, which is said.
    fn start() -> Option<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let spawned = Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut process) = spawned else {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: redis-server is not installed; run `cargo xtask setup`"
            );
            assert!(std::env::var_os("CI").is_none(), "in CI a skip is a failure");
            return None;
        };
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = lines
            .map_while(Result::ok)
            .any(|line| line.contains("Ready to accept connections"));
        assert!(ready, "redis-server did not start");
        Some(Self { process, port })
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/1", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn limiter() -> Limiter {
    Limiter::new(&routes::Rate {
        per_kilosecond: 100,
        burst: 3,
        by: routes::RateBy::Token,
    })
}

/// A gateway of its own.
fn gateway(url: &str) -> (SharedRate, Registry) {
    let registry = Registry::new();
    let shared = SharedRate::new(Figures::new(&registry));
    shared.replace(Some(url));
    (shared, registry)
}

#[tokio::test]
async fn gateways_count_together_and_everybody_alone() {
    let Some(redis) = Redis::start() else { return };
    let (one, _) = gateway(&redis.url());
    let (other, _) = gateway(&redis.url());
    let limiter = limiter();
    let ask = async |gateway: &SharedRate, who: &str| {
        let asking = gateway.ask("orders", &limiter, &Who::Token(who)).unwrap();
        asking.await.is_ok()
    };
    let first = [ask(&one, "a").await, ask(&other, "a").await, ask(&one, "a").await];
    assert_eq!(first, [true; 3]);
    assert!(!ask(&other, "a").await && !ask(&one, "a").await);
    assert!(ask(&other, "b").await);
    let waits = one.ask("orders", &limiter, &Who::Token("a")).unwrap().await;
    let wait = waits.unwrap_err();
    assert!(
        wait > Duration::from_secs(5) && wait <= Duration::from_secs(10),
        "{wait:?}"
    );
}

#[tokio::test]
async fn a_store_that_is_away_stops_nobody_and_is_left_in_peace() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", free.local_addr().unwrap());
    drop(free);
    let (gateway, registry) = gateway(&url);
    let limiter = limiter();
    let asking = gateway.ask("orders", &limiter, &Who::All).unwrap();
    assert_eq!(asking.await, Ok(()));
    assert!(gateway.ask("orders", &limiter, &Who::All).is_none());
    let figures = registry.encode();
    assert!(
        figures.contains("gateway_rate_store_total{outcome=\"failed\"} 1"),
        "{figures}"
    );
    gateway.replace(None);
    assert!(gateway.ask("orders", &limiter, &Who::All).is_none());
}
