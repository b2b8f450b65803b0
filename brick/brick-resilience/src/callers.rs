//! The edges of several callers that one process stands in for: a host proxy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use brick_bus::report::EDGES_MAX;
use brick_bus::{EdgeReport, Watch};
use brick_telemetry::metrics::{CounterFamily, Registry};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::edges::{self, Edges};
use crate::report::Reported;

/// Edges by caller; cheap to clone.
#[derive(Debug, Clone)]
pub struct Callers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    watch: Watch,
    timeout: Duration,
    changed: Arc<Notify>,
    faults: CounterFamily,
    all: Mutex<BTreeMap<String, Edges>>,
}

impl Callers {
    /// Nobody yet. `timeout` is the time limit of calls of which the bus says none.
    pub fn new(watch: Watch, timeout: Duration, metrics: &Registry) -> Self {
        let callers = Self(Arc::new(Inner {
            watch,
            timeout,
            changed: Arc::default(),
            faults: edges::faults_injected(metrics),
            all: Mutex::default(),
        }));
        let weak = Arc::downgrade(&callers.0);
        metrics.collect(move |out| {
            if let Some(inner) = weak.upgrade() {
                edges::encode(&Self(inner).all(), out);
            }
        });
        callers
    }

    /// The edges of this caller.
    pub fn caller(&self, name: &str) -> Edges {
        let mut all = self.0.all.lock();
        let made = all.entry(name.to_owned()).or_insert_with(|| {
            let (changed, faults) = (Arc::clone(&self.0.changed), self.0.faults.clone());
            Edges::unshown(name, self.0.watch.clone(), self.0.timeout, changed, faults)
        });
        made.clone()
    }

    /// Forgets the callers of which this is false.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.0.all.lock().retain(|name, _| keep(name));
    }

    fn all(&self) -> Vec<Edges> {
        self.0.all.lock().values().cloned().collect()
    }
}

impl Reported for Callers {
    fn report(&self) -> Vec<EdgeReport> {
        let all = self.all();
        let reports = all.iter().flat_map(Edges::report);
        reports.take(EDGES_MAX).collect()
    }

    async fn changed(&self) {
        self.0.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_have_edges_of_their_own_and_are_shown_together() {
        let metrics = Registry::default();
        let callers = Callers::new(Watch::fixed(Vec::new()), Duration::from_secs(1), &metrics);
        for (caller, callee) in [("order", "payment"), ("cart", "payment"), ("order", "product")] {
            callers.caller(caller).edge(callee);
        }
        let told: Vec<String> = callers.report().into_iter().map(|report| report.edge).collect();
        assert_eq!(told, ["cart->payment", "order->payment", "order->product"]);
        let text = metrics.encode();
        assert_eq!(text.matches("# TYPE brick_breaker_state gauge").count(), 1);
        for edge in &told {
            assert!(
                text.contains(&format!("brick_breaker_state{{edge=\"{edge}\"}} 0")),
                "{text}"
            );
        }
        callers.retain(|name| name == "cart");
        assert_eq!(callers.report().len(), 1);
    }
}
