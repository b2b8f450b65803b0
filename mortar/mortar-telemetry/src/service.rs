//! The role: two listeners (query API, OTLP) and the scraper around one store.

use std::sync::Arc;

use brick_auth::Verifier;
use brick_bus::Watch;
use brick_core::Drain;
use brick_http::{Access, Server, ServerOptions};
use brick_telemetry::Telemetry;
use brick_telemetry::metrics::{Encoder, Kind};
use tokio::net::TcpListener;

use crate::api;
use crate::http::{AREAS, openapi, otlp, query};
use crate::ingest::{Sink, scrape};
use crate::store::{Memory, Store};

/// Cap of the store unless the options say otherwise: 48 MiB.
pub const BYTES_MAX: usize = 48 * 1024 * 1024;
/// Smallest cap that is taken; a smaller one counts as this.
const BYTES_MIN: usize = 1024 * 1024;

/// What the role needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Cap on the heap bytes of all that is kept; at least 1 MiB.
    pub bytes_max: usize,
    /// What to scrape beside the instances of the registry: control, gateway, this process itself.
    pub scrape: Vec<scrape::Target>,
}

/// The role, not yet running.
pub struct Service {
    options: Options,
    watch: Watch,
    verifier: Verifier,
    telemetry: Telemetry,
    sink: Sink,
}

/// Sees what the role keeps. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    sink: Sink,
}

/// The role cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A part of it ended although nobody asked it to.
    #[error("the {part} of telemetry ended unexpectedly")]
    Ended {
        /// Which part.
        part: &'static str,
        /// What it says.
        #[source]
        source: tokio::task::JoinError,
    },
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bytes_max: BYTES_MAX,
            scrape: Vec::new(),
        }
    }
}

impl Service {
    /// A role with a store in memory.
    pub fn new(options: Options, watch: Watch, verifier: Verifier, telemetry: Telemetry) -> (Self, Handle) {
        let store = Arc::new(Memory::new(options.bytes_max.max(BYTES_MIN)));
        Self::with_store(options, store, watch, verifier, telemetry)
    }

    /// A role with another store; `bytes_max` is then the store's own business.
    pub fn with_store(
        options: Options,
        store: Arc<dyn Store>,
        watch: Watch,
        verifier: Verifier,
        telemetry: Telemetry,
    ) -> (Self, Handle) {
        let sink = Sink::new(store);
        let own = sink.clone();
        telemetry.metrics().collect(move |out| tell(&stats(&own), out));
        let handle = Handle { sink: sink.clone() };
        (
            Self {
                options,
                watch,
                verifier,
                telemetry,
                sink,
            },
            handle,
        )
    }

    /// Serves the query API and OTLP, and scrapes, until the drain is requested and open requests have finished.
    pub async fn run(self, api: TcpListener, otlp: TcpListener, drain: Drain) -> Result<(), Error> {
        let server = |body_bytes_max: Option<usize>| {
            let mut options = ServerOptions::new(self.telemetry.clone(), self.verifier.clone(), "telemetry");
            // The receiver of spans makes none: each export of them would cause the next.
            options.trace = false;
            if let Some(bytes) = body_bytes_max {
                options.body_bytes_max = bytes;
            }
            Server::new(options)
        };
        let app = query::App {
            sink: self.sink.clone(),
            watch: self.watch.clone(),
            drain: drain.clone(),
        };
        let api_access = Access::new()
            .areas(AREAS, query::routes(app))
            .openapi(openapi::document());
        let otlp_access = Access::new().public(otlp::routes(self.sink.clone()));
        let (api_server, otlp_server) = (server(None), server(Some(otlp::BODY_BYTES_MAX)));
        let (api_drain, otlp_drain) = (drain.clone(), drain.clone());
        let api = tokio::spawn(async move { api_server.serve(api, api_access, api_drain).await });
        let otlp = tokio::spawn(async move { otlp_server.serve(otlp, otlp_access, otlp_drain).await });
        let scraper = tokio::spawn(scrape::run(self.watch, self.options.scrape, self.sink, drain));
        self.telemetry.health().set_ready(true);
        for (part, task) in [("query API", api), ("OTLP receiver", otlp), ("scraper", scraper)] {
            task.await.map_err(|source| Error::Ended { part, source })?;
        }
        Ok(())
    }
}

impl Handle {
    /// What is kept, and what the bounds cost.
    pub fn stats(&self) -> api::Stats {
        stats(&self.sink)
    }

    /// Where records go in; for roles that are composed into one process, and for tests.
    pub fn sink(&self) -> &Sink {
        &self.sink
    }
}

pub(crate) fn stats(sink: &Sink) -> api::Stats {
    let usage = sink.store().usage();
    api::Stats {
        spans: usage.spans,
        logs: usage.logs,
        series: usage.series,
        bytes: usage.bytes,
        bytes_max: usage.bytes_max,
        evicted_spans: usage.evicted_spans,
        evicted_logs: usage.evicted_logs,
        evicted_points: usage.evicted_points,
        dropped: sink.tails().dropped() + sink.graph().dropped(),
        refused: usage.refused + sink.refused(),
        duplicates: sink.duplicates(),
    }
}

/// The figures as the process's own metrics.
#[expect(clippy::cast_precision_loss, reason = "metrics are doubles")]
fn tell(stats: &api::Stats, out: &mut Encoder) {
    out.gauge(
        "telemetry_store_bytes",
        "heap bytes of all that is kept",
        stats.bytes as f64,
    );
    out.gauge(
        "telemetry_store_bytes_max",
        "cap on the bytes of all that is kept",
        stats.bytes_max as f64,
    );
    let kinds = |out: &mut Encoder, name: &str, kind: Kind, help: &str, values: &[(&str, u64)]| {
        let mut family = out.family(name, kind, help);
        for (label, value) in values {
            family.sample(&[("kind", label)], *value as f64);
        }
    };
    let kept = [
        ("span", stats.spans),
        ("log", stats.logs),
        ("series", stats.series),
    ];
    kinds(
        out,
        "telemetry_records",
        Kind::Gauge,
        "records that are kept",
        &kept,
    );
    let evicted = [
        ("span", stats.evicted_spans),
        ("log", stats.evicted_logs),
        ("point", stats.evicted_points),
    ];
    kinds(
        out,
        "telemetry_evicted_total",
        Kind::Counter,
        "records evicted to stay under the cap",
        &evicted,
    );
    out.counter("telemetry_refused_total", "records refused", stats.refused as f64);
    out.counter(
        "telemetry_dropped_total",
        "records that slow tails and the graph did not take",
        stats.dropped as f64,
    );
    out.counter(
        "telemetry_duplicates_total",
        "log records that had been sent before",
        stats.duplicates as f64,
    );
}
