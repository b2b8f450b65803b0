//! Request smuggling: a corpus sent raw through ours, nginx and haproxy, before an origin that records what arrives.
//!
//! The corpus follows the classes of "HTTP Desync Attacks" (Kettle, 2019), "HTTP/1.1 must die" (2025), RFC 9112 §11.2
//! and the differences that were reported of real proxies since. Each attack hides a request for `/smuggled` and is
//! followed by an honest one for `/marker` on the same connection. What must hold of ours: nothing that arrives has
//! two readings, `/smuggled` is never a request, and what nginx and haproxy both refuse is refused too.

mod corpus;
mod peers;
mod recorder;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::harness::*;
use corpus::{Attack, attacks, honest};
use peers::Peer;
use recorder::{Recorder, Seen};

/// What became of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    /// Status of each answer.
    answers: Vec<u16>,
    /// What the origin saw because of it.
    seen: Vec<Seen>,
}

impl Outcome {
    /// The first request was not passed on.
    fn is_refused(&self) -> bool {
        self.answers
            .first()
            .is_none_or(|status| (400..600).contains(status))
            && self.attack_arrived().is_none()
    }

    fn attack_arrived(&self) -> Option<&Seen> {
        self.seen.iter().find(|seen| !seen.target.starts_with("/marker"))
    }
}

/// Sends the bytes, then reads what comes until the connection is closed or quiet for a moment.
async fn exchange(addr: SocketAddr, bytes: &[u8], recorder: &Recorder) -> Outcome {
    recorder.clear();
    let mut stream = TcpStream::connect(addr).await.unwrap();
    // A refused connection may be closed before all is written.
    let _ = stream.write_all(bytes).await;
    let mut out = Vec::new();
    let mut buffer = [0; 16 * 1024];
    let reading = async {
        // The marker asks for the end of the connection; what never ends is cut by the limit below.
        while let Ok(n @ 1..) = stream.read(&mut buffer).await {
            out.extend_from_slice(&buffer[..n]);
        }
    };
    let ended = tokio::time::timeout(recorder::PATIENCE, reading).await;
    drop(stream);
    let text = String::from_utf8_lossy(&out);
    let answers = text
        .match_indices("HTTP/1.")
        .filter_map(|(at, _)| text.get(at + 9..at + 12)?.parse().ok())
        .collect();
    let _ = ended;
    Outcome {
        answers,
        seen: recorder.seen(),
    }
}

async fn ours(origin: SocketAddr) -> Gateway {
    let resources = vec![
        routes(vec![
            route("/**", "origin", "public"),
            route("/private/**", "origin", "jwt"),
        ]),
        endpoints("origin", &[origin]),
    ];
    // What waits for bytes that do not come is ended soon.
    let change = |options: &mut mortar_gateway::Options| {
        options.head_timeout_ms = 300;
        options.idle_timeout_ms = 300;
    };
    Gateway::with(origin, resources, change).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_attack_of_the_corpus_makes_two_readings_of_one_stream() {
    let recorder = Recorder::start().await;
    let gateway = ours(recorder.addr).await;
    for Attack { name, bytes } in attacks() {
        let outcome = exchange(gateway.handle.edge(), &bytes, &recorder).await;
        for seen in &outcome.seen {
            assert_eq!(
                seen.trouble, None,
                "{name}: what arrived has two readings: {seen:?}"
            );
            assert!(!seen.target.contains("smuggled"), "{name}: smuggled: {outcome:?}");
            assert!(
                !seen.resolves_to("/private"),
                "{name}: a closed route was reached: {seen:?}"
            );
            assert!(
                seen.has("x-brick-identity"),
                "{name}: the gateway's own field was taken away: {seen:?}"
            );
        }
        assert!(
            outcome.answers.len() <= outcome.seen.len() + 1,
            "{name}: more answers than requests: {outcome:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_honest_passes_as_it_does_elsewhere_and_what_others_refuse_is_refused() {
    let recorder = Recorder::start().await;
    let gateway = ours(recorder.addr).await;
    let mut peers = BTreeMap::new();
    for (name, start) in [
        ("nginx", Peer::nginx as fn(SocketAddr) -> _),
        ("haproxy", Peer::haproxy),
    ] {
        match start(recorder.addr) {
            Some(peer) => peers.insert(name, peer),
            None => {
                assert!(
                    std::env::var_os("CI").is_none(),
                    "{name} is not installed; run `cargo xtask setup`"
                );
                println!("SKIPPED: {name} is not installed; run `cargo xtask setup`");
                return;
            }
        };
    }
    for Attack { name, bytes } in honest() {
        let doors = peers
            .values()
            .map(|peer| peer.addr)
            .chain([gateway.handle.edge()]);
        for door in doors {
            let outcome = exchange(door, &bytes, &recorder).await;
            assert_eq!(outcome.answers, [200, 200], "{name} at {door}: {outcome:?}");
            let targets: Vec<&str> = outcome.seen.iter().map(|seen| seen.target.as_str()).collect();
            assert_eq!(targets.len(), 2, "{name}: {outcome:?}");
            assert_eq!(targets[1], "/marker", "{name}: {outcome:?}");
        }
    }
    for Attack { name, bytes } in attacks() {
        let mut refused = Vec::new();
        for peer in peers.values() {
            refused.push(exchange(peer.addr, &bytes, &recorder).await.is_refused());
        }
        if refused.iter().all(|refused| *refused) {
            let outcome = exchange(gateway.handle.edge(), &bytes, &recorder).await;
            assert!(
                outcome.is_refused(),
                "{name}: nginx and haproxy refuse it, ours gave {outcome:?}"
            );
        }
    }
}
