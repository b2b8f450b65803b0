//! The handle that holds everything together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tracing::Subscriber;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;

use crate::export::{Exporter, Figures};
use crate::health::Health;
use crate::info::{FlagInfo, Info, Source};
use crate::layer::TelemetryLayer;
use crate::log::Logger;
use crate::metrics::{Encoder, Kind, Registry};
use crate::span::{SpanRecord, SpanSink};
use crate::{Error, Identity, LogTarget, Options};

/// What a process tells; cloneable, clones are one.
#[derive(Debug, Clone)]
pub struct Telemetry {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    info: Source,
    filter: String,
    /// What counts now: shared with every layer.
    filtering: Arc<RwLock<Targets>>,
    metrics: Registry,
    health: Health,
    sink: SpanSink,
    logger: Logger,
}

impl Telemetry {
    /// Sets telemetry up; spans leave while the [`Exporter`] runs. Nothing is installed yet.
    pub fn new(options: Options) -> (Self, Exporter) {
        let keep = options.log == LogTarget::Memory;
        if keep {
            crate::scope::ask_every_thread();
        }
        let (sink, queue) = SpanSink::new(options.otlp_endpoint.is_some(), keep);
        let figures = Arc::new(Figures::default());
        let exporter = Exporter::new(
            &options.identity,
            options.otlp_endpoint,
            queue,
            Arc::clone(&figures),
        );
        let telemetry = Self {
            shared: Arc::new(Shared {
                info: Source::new(options.identity),
                filtering: Arc::new(RwLock::new(options.filter.parse().unwrap_or_else(|_| usual()))),
                filter: options.filter,
                metrics: Registry::new(),
                health: Health::default(),
                sink,
                logger: Logger::new(options.log),
            }),
        };
        telemetry.collect_own(figures);
        (telemetry, exporter)
    }

    /// Makes this the process's tracing subscriber, once, before anything is told.
    pub fn install(&self) -> Result<(), Error> {
        parsed(&self.shared.filter)?;
        tracing::subscriber::set_global_default(self.subscriber()).map_err(|_| Error::Installed)
    }

    /// A subscriber for a scope (`tracing::subscriber::with_default`), for tests. A filter that is none counts as
    /// `info`.
    pub fn subscriber(&self) -> impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync + 'static {
        tracing_subscriber::registry().with(TelemetryLayer {
            sink: self.shared.sink.clone(),
            logger: self.shared.logger.clone(),
            filter: Arc::clone(&self.shared.filtering),
        })
    }

    /// Makes another filter count from the next line on; false where it counts already.
    pub fn set_filter(&self, filter: &str) -> Result<bool, Error> {
        let wanted = parsed(filter)?;
        let mut filtering = self.shared.filtering.write();
        if *filtering == wanted {
            return Ok(false);
        }
        *filtering = wanted;
        drop(filtering);
        // What was asked before is kept with each place that logs.
        tracing::callsite::rebuild_interest_cache();
        Ok(true)
    }

    /// The process's metrics.
    pub fn metrics(&self) -> &Registry {
        &self.shared.metrics
    }

    /// The process's health.
    pub fn health(&self) -> &Health {
        &self.shared.health
    }

    /// Where finished spans go; for the data plane, which records them itself.
    pub fn spans(&self) -> &SpanSink {
        &self.shared.sink
    }

    /// Who the process is.
    pub fn identity(&self) -> &Identity {
        self.shared.info.identity()
    }

    /// Shows these feature flags in `/info`, and no others.
    pub fn show_flags(&self, flags: BTreeMap<String, FlagInfo>) {
        self.shared.info.show_flags(flags);
    }

    /// What `/info` answers.
    pub fn info(&self) -> Info {
        self.shared.info.info()
    }

    /// `/info`, `/health`, `/health/live`, `/health/ready` and `/metrics`.
    pub fn routes(&self) -> axum::Router {
        crate::routes::router(self.clone())
    }

    /// Waits until the spans finished so far have left, at most `limit`; false where they have not. The exporter must
    /// run.
    pub async fn flush(&self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.shared.sink.flush())
            .await
            .is_ok()
    }

    /// The last lines logged, where [`LogTarget::Memory`] keeps them.
    pub fn log_lines(&self) -> Vec<String> {
        self.shared.logger.kept()
    }

    /// The last spans finished, where [`LogTarget::Memory`] keeps them.
    pub fn finished_spans(&self) -> Vec<SpanRecord> {
        self.shared.sink.kept()
    }

    /// Metrics about telemetry itself, and about the process.
    fn collect_own(&self, figures: Arc<Figures>) {
        let (sink, logger) = (self.shared.sink.clone(), self.shared.logger.clone());
        self.metrics().collect(move |out: &mut Encoder| {
            let (exported, given_up) = figures.read();
            out.counter("brick_spans_exported_total", "spans that were sent", exported);
            let mut dropped = out.family(
                "brick_spans_dropped_total",
                Kind::Counter,
                "spans that were dropped: the queue was full, or the receiver could not be reached or refused them",
            );
            dropped.sample(&[("reason", "queue_full")], sink.dropped() as f64);
            dropped.sample(&[("reason", "not_taken")], given_up);
            out.counter(
                "brick_log_lines_lost_total",
                "log lines that could not be written",
                logger.lost() as f64,
            );
        });
        self.metrics().collect_process(self.shared.info.start_unix_s());
    }
}

/// Whether the text is a filter of log lines.
pub fn check_filter(filter: &str) -> Result<(), Error> {
    parsed(filter).map(drop)
}

fn parsed(filter: &str) -> Result<Targets, Error> {
    filter.parse().map_err(|source| Error::Filter {
        filter: filter.chars().take(100).collect(),
        source,
    })
}

fn usual() -> Targets {
    Targets::new().with_default(tracing::Level::INFO)
}

#[cfg(test)]
mod tests;
