//! Ingest: foreign protocols in, our records out. [`Sink`] is where all of them end: it feeds the store, the service
//! graph and the tails.

pub mod logs;
pub mod metrics;
pub mod openmetrics;
pub mod scrape;
pub mod status;
pub mod traces;
pub mod wire;

mod convert;
mod naming;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::graph::Graph;
use crate::record::{Log, MetricBatch, Resource, Span};
use crate::store::{Appended, Store};
use crate::tail::Hub;

/// Where ingest ends. Cheap to clone.
#[derive(Clone)]
pub struct Sink(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    graph: Graph,
    tails: Hub,
    offsets: Mutex<logs::Offsets>,
    duplicates: AtomicU64,
    refused: AtomicU64,
}

impl Sink {
    /// A sink in front of a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self(Arc::new(Inner {
            store,
            graph: Graph::default(),
            tails: Hub::default(),
            offsets: Mutex::default(),
            duplicates: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }))
    }

    /// The store behind it.
    pub fn store(&self) -> &dyn Store {
        self.0.store.as_ref()
    }

    /// The service graph that it feeds.
    pub fn graph(&self) -> &Graph {
        &self.0.graph
    }

    /// The tails that it feeds.
    pub fn tails(&self) -> &Hub {
        &self.0.tails
    }

    /// Log records that had come before.
    pub fn duplicates(&self) -> u64 {
        self.0.duplicates.load(Ordering::Relaxed)
    }

    /// Records refused before they reached the store.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn refuse(&self, records: u64) {
        self.0.refused.fetch_add(records, Ordering::Relaxed);
    }

    /// Takes spans of one sender.
    pub fn spans(&self, resource: &Arc<Resource>, spans: &[Span]) -> Appended {
        self.0.graph.observe(&resource.service, spans);
        self.0.tails.served(resource, spans);
        self.0.store.append_spans(resource, spans)
    }

    /// Takes log records of one sender; those that the agent sent before are passed over.
    pub fn logs(&self, resource: &Arc<Resource>, logs: Vec<logs::Located>) -> Appended {
        let sent = logs.len() as u64;
        let fresh: Vec<Log> = {
            let mut offsets = self.0.offsets.lock();
            logs.into_iter()
                .filter(|log| offsets.is_new(resource, log))
                .map(|log| log.log)
                .collect()
        };
        let repeated = sent - fresh.len() as u64;
        self.0.duplicates.fetch_add(repeated, Ordering::Relaxed);
        let mut publication = self.0.tails.publication(resource);
        let mut appended = self
            .0
            .store
            .append_logs(resource, &fresh, &mut |id, log| publication.add(id, log));
        publication.send();
        // To the sender a repeated record is a kept one.
        appended.accepted += repeated;
        appended
    }

    /// Takes metric values.
    pub fn metrics(&self, batch: &MetricBatch) -> Appended {
        self.0.store.append_samples(batch)
    }
}
