//! The gateway against nginx, haproxy and Envoy: processor time of a request, in one run, alternating.
//!
//! Every proxy has core 0 for itself; origin (nginx) and load (wrk, h2load) share core 1. Ours is the gateway of a
//! real system, with routing, metrics, access counters and trace context on; the others proxy and nothing else.
//! Requests a second drift with the machine's neighbours, processor time of the proxy's process much less, so the
//! goals are on that. Medians of the rounds.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::{Row, system};

mod load;
mod ours;
mod peer;
pub(super) mod reload;

use load::{Load, Ran, Wire};
use ours::Ours;
use peer::{Doors, Peer};

const ROUNDS: usize = 5;

/// One way to use a proxy, and what ours may cost compared with each of the others.
struct Case {
    name: &'static str,
    wire: Wire<'static>,
    nginx: Option<f64>,
    haproxy: Option<f64>,
    envoy: Option<f64>,
}

const CASES: [Case; 8] = [
    case(
        "1 KiB, 16 connections",
        Wire::keep_alive(16),
        Some(1.10),
        None,
        Some(0.6),
    ),
    case(
        "1 KiB, 64 connections",
        Wire::keep_alive(64),
        Some(1.20),
        Some(1.10),
        Some(0.6),
    ),
    case(
        "1 KiB, 256 connections",
        Wire::keep_alive(256),
        Some(1.25),
        None,
        Some(0.6),
    ),
    case(
        "64 KiB, 64 connections",
        Wire {
            path: "/64k",
            ..Wire::keep_alive(64)
        },
        Some(1.0),
        None,
        None,
    ),
    case(
        "TLS, 64 connections",
        Wire {
            tls: true,
            ..Wire::keep_alive(64)
        },
        Some(1.0),
        None,
        Some(0.6),
    ),
    case(
        "TLS to the upstream, 64 connections",
        Wire {
            path: "/mtls/1k",
            ..Wire::keep_alive(64)
        },
        Some(1.0),
        None,
        Some(0.6),
    ),
    case(
        "new TLS connection each",
        Wire {
            tls: true,
            close: true,
            ..Wire::keep_alive(16)
        },
        Some(1.0),
        None,
        Some(0.75),
    ),
    case(
        "h2c, 8 × 32 streams",
        Wire {
            http2: true,
            ..Wire::keep_alive(8)
        },
        Some(0.85),
        None,
        Some(0.6),
    ),
];

const fn case(
    name: &'static str,
    wire: Wire<'static>,
    nginx: Option<f64>,
    haproxy: Option<f64>,
    envoy: Option<f64>,
) -> Case {
    Case {
        name,
        wire,
        nginx,
        haproxy,
        envoy,
    }
}

/// A proxy under measurement.
struct Proxy {
    name: String,
    pid: u64,
    doors: Doors,
    /// Most that it may cost ours by comparison, by case.
    goal: fn(&Case) -> Option<f64>,
}

/// What the rounds of one proxy and one case came to.
#[derive(Debug, Default, Clone)]
struct Figures {
    cpu_us: Vec<f64>,
    rate: Vec<f64>,
}

pub(super) fn measure(root: &Path, quick: bool) -> Result<Vec<Row>> {
    let (rounds, length) = if quick {
        (1, Duration::from_secs(2))
    } else {
        (ROUNDS, Duration::from_secs(4))
    };
    let ours = Ours::start(root)?;
    let mut proxies = vec![ours.proxy()?];
    let peers = [Peer::nginx(&ours)?, Peer::haproxy(&ours)?, Peer::envoy(&ours)?];
    for peer in &peers {
        proxies.push(peer.proxy());
    }
    let mut rows = Vec::new();
    for proxy in &proxies {
        rows.push((
            format!("resident, idle: {}", proxy.name),
            system::resident_bytes(proxy.pid)?,
        ));
    }
    let mut rows: Vec<Row> = rows
        .into_iter()
        .map(|(name, bytes)| resident(name, bytes, 20.0))
        .collect();
    for case in &CASES {
        let figures = rounds_of(case, &proxies, rounds, length)?;
        rows.extend(compare(case, &proxies, &figures));
    }
    rows.push(guarded(&ours, &proxies[0], rounds, length)?);
    rows.extend(paced(&proxies, length)?);
    for proxy in &proxies {
        let wire = Wire::keep_alive(1_000);
        let running = Load::start(&wire, proxy.doors.of(&wire)?, length)?;
        std::thread::sleep(length / 2);
        let bytes = system::resident_bytes(proxy.pid)?;
        running.finish()?;
        rows.push(resident(
            format!("resident, 1,000 connections: {}", proxy.name),
            bytes,
            60.0,
        ));
    }
    Ok(rows)
}

/// All proxies in turn, as often as there are rounds, each round beginning with another one.
fn rounds_of(case: &Case, proxies: &[Proxy], rounds: usize, length: Duration) -> Result<Vec<Figures>> {
    let mut figures = vec![Figures::default(); proxies.len()];
    for round in 0..rounds {
        for turn in 0..proxies.len() {
            let at = (round + turn) % proxies.len();
            let proxy = &proxies[at];
            let Ok(door) = proxy.doors.of(&case.wire) else {
                continue;
            };
            let (cpu_us, rate) = round_of(&case.wire, proxy, door, length)
                .with_context(|| format!("{}, {}", proxy.name, case.name))?;
            figures[at].cpu_us.push(cpu_us);
            figures[at].rate.push(rate);
        }
    }
    Ok(figures)
}

/// One round of one proxy: microseconds of processor time a request, and requests a second.
fn round_of(wire: &Wire<'_>, proxy: &Proxy, door: &str, length: Duration) -> Result<(f64, f64)> {
    // The first requests open connections and fill caches.
    Load::start(wire, door, Duration::from_secs(1))?.finish()?;
    let before = system::cpu_ms(proxy.pid)?;
    let ran = Load::start(wire, door, length)?.finish()?;
    let spent_ms = system::cpu_ms(proxy.pid)? - before;
    if ran.failed > 0 {
        bail!("{} requests of {} failed", ran.failed, ran.requests);
    }
    Ok((spent_ms * 1_000.0 / ran.requests as f64, ran.rate))
}

/// What a token (ES256, verified before) and a rate limit add to a request, compared with ours without them.
fn guarded(ours: &Ours, proxy: &Proxy, rounds: usize, length: Duration) -> Result<Row> {
    let token = ours.token()?;
    let open = Wire::keep_alive(64);
    let guarded = Wire {
        path: "/guarded/1k",
        token: Some(&token),
        ..open
    };
    let door = proxy.doors.of(&open)?;
    let mut more = Vec::new();
    for _ in 0..rounds {
        let (without, _) = round_of(&open, proxy, door, length)?;
        let (with, _) = round_of(&guarded, proxy, door, length).context("with a token and a rate limit")?;
        more.push(with - without);
    }
    let more = median(&more).context("no rounds")?;
    let measure = "a token and a rate limit: CPU more per request".to_owned();
    Ok(Row::at_most(measure, "µs", more, 2.0))
}

fn compare(case: &Case, proxies: &[Proxy], figures: &[Figures]) -> Vec<Row> {
    let Some((cost, rate)) = figures
        .first()
        .and_then(|ours| Some((median(&ours.cpu_us)?, median(&ours.rate)?)))
    else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    for (proxy, theirs) in proxies.iter().zip(figures).skip(1) {
        let Some((peer_cost, peer_rate)) = median(&theirs.cpu_us).zip(median(&theirs.rate)) else {
            continue;
        };
        let measure = format!("{}: CPU per request", case.name);
        rows.push(Row::against(
            measure,
            "µs",
            cost,
            &proxy.name,
            peer_cost,
            (proxy.goal)(case),
        ));
        let measure = format!("{}: rate", case.name);
        rows.push(Row::against(measure, "1/s", rate, &proxy.name, peer_rate, None));
    }
    rows
}

/// The slowest of a hundred at half the rate that nginx can do, for nginx and for ours.
fn paced(proxies: &[Proxy], length: Duration) -> Result<Vec<Row>> {
    let wire = Wire::keep_alive(64);
    let nginx = proxies
        .iter()
        .find(|proxy| proxy.name == "nginx")
        .context("nginx was not started")?;
    let most = Load::start(&wire, nginx.doors.of(&wire)?, length)?.finish()?.rate;
    let p99 = |proxy: &Proxy| -> Result<f64> {
        let mut rounds = Vec::new();
        for _ in 0..3 {
            let ran: Ran = load::paced(proxy.doors.of(&wire)?, 64, most / 2.0, length)?;
            rounds.push(ran.p99_ms);
        }
        median(&rounds).context("no rounds")
    };
    let (ours, theirs) = (p99(&proxies[0])?, p99(nginx)?);
    let measure = format!("p99 at {:.0} requests a second", most / 2.0);
    Ok(vec![Row::against(
        measure,
        "ms",
        ours,
        &nginx.name,
        theirs,
        Some(1.0),
    )])
}

fn resident(measure: String, bytes: u64, goal_mb: f64) -> Row {
    let mb = bytes as f64 / 1e6;
    match measure.ends_with("brick") {
        true => Row::at_most(measure, "MB", mb, goal_mb),
        false => Row::plain(measure, "MB", mb),
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}
