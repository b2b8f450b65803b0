//! All edges of a process: made when first used, following the bus, shown in `/metrics`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use brick_bus::report::EDGES_MAX;
use brick_bus::{EdgeReport, Faults, Follower, Limits, Resource, Watch};
use brick_telemetry::metrics::{CounterFamily, Encoder, Kind, Registry};
use http::HeaderMap;
use parking_lot::Mutex;
use serde::Deserialize as _;
use tokio::sync::Notify;

use crate::breaker::State;
use crate::edge::{Decision, Edge};
use crate::fault::{Injection, Rules};
use crate::policy::Policy;

/// The edges of one caller; cheap to clone.
#[derive(Debug, Clone)]
pub struct Edges(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    caller: String,
    /// Time limit where the bus says none.
    timeout: Duration,
    watch: Watch,
    edges: ArcSwap<BTreeMap<String, Arc<Followed>>>,
    /// Held while an edge is made.
    making: Mutex<()>,
    /// A breaker changed.
    changed: Arc<Notify>,
    faults: CounterFamily,
    /// What the caller decided about what it serves itself.
    serving: [AtomicU64; Decision::ALL.len()],
}

/// One edge with what the bus says of it: its limits and its faults.
#[derive(Debug)]
pub struct Followed {
    edge: Arc<Edge>,
    faults: FaultsOf,
    /// Of the limits.
    follower: Follower,
    timeout: Duration,
}

/// What goes wrong on purpose with one edge, or with one route.
#[derive(Debug)]
pub struct FaultsOf {
    name: String,
    rules: ArcSwapOption<Rules>,
    follower: Follower,
    injected: CounterFamily,
}

impl Edges {
    /// The edges of this caller. `timeout` is the time limit of calls of which the bus says none.
    pub fn new(caller: &str, watch: Watch, timeout: Duration, metrics: &Registry) -> Self {
        let edges = Self::unshown(caller, watch, timeout, Arc::default(), faults_injected(metrics));
        let weak = Arc::downgrade(&edges.0);
        metrics.collect(move |out| {
            if let Some(inner) = weak.upgrade() {
                encode(&[Edges(inner)], out);
            }
        });
        edges
    }

    /// The same without metrics of their own.
    pub(crate) fn unshown(
        caller: &str,
        watch: Watch,
        timeout: Duration,
        changed: Arc<Notify>,
        faults: CounterFamily,
    ) -> Self {
        Self(Arc::new(Inner {
            caller: caller.to_owned(),
            timeout,
            watch,
            edges: ArcSwap::default(),
            making: Mutex::default(),
            changed,
            faults,
            serving: Default::default(),
        }))
    }

    /// The edge to this callee. Where it was used before this takes no lock.
    pub fn edge(&self, callee: &str) -> Arc<Followed> {
        if let Some(followed) = self.0.edges.load().get(callee) {
            return Arc::clone(followed);
        }
        let _making = self.0.making.lock();
        let edges = self.0.edges.load();
        if let Some(followed) = edges.get(callee) {
            return Arc::clone(followed);
        }
        let followed = Arc::new(self.make(callee));
        // Names come from programs, not from users; whoever makes more still gets edges that work, but are not told.
        if edges.len() < EDGES_MAX {
            let mut more = BTreeMap::clone(&edges);
            more.insert(callee.to_owned(), Arc::clone(&followed));
            self.0.edges.store(Arc::new(more));
        }
        followed
    }

    /// What goes wrong on purpose with requests of a route of the edge.
    pub fn route_faults(&self, route: &str) -> Arc<FaultsOf> {
        Arc::new(FaultsOf::new(format!("route->{route}"), &self.0))
    }

    fn make(&self, callee: &str) -> Followed {
        let name = format!("{}->{callee}", self.0.caller);
        let policy = Policy::with_timeout(self.0.timeout);
        Followed {
            follower: Follower::new(self.0.watch.clone(), format!("limits/{name}")),
            faults: FaultsOf::new(name.clone(), &self.0),
            edge: Edge::new(name, policy, Arc::clone(&self.0.changed), Instant::now()),
            timeout: self.0.timeout,
        }
    }

    /// Where limits come from.
    pub fn watch(&self) -> &Watch {
        &self.0.watch
    }

    /// Counts what was decided about a request that the caller serves itself, whoever sent it; told to the span.
    pub fn decide_serving(&self, decision: Decision) {
        if let Some(count) = self.0.serving.get(decision as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        decision.tell(&self.serving_name());
    }

    fn serving_name(&self) -> String {
        format!("*->{}", self.0.caller)
    }

    /// What control is told of all of them. Limits that came meanwhile count.
    pub fn report(&self) -> Vec<EdgeReport> {
        let all = self.all();
        let now = Instant::now();
        let reports = all.iter().map(|followed| followed.get().report(now));
        reports.collect()
    }

    /// Resolves when a breaker changed since the last time.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    fn all(&self) -> Vec<Arc<Followed>> {
        self.0.edges.load().values().cloned().collect()
    }

    /// What the caller decided about what it serves itself.
    fn decided_serving(&self) -> Vec<(Decision, u64)> {
        let counts = self.0.serving.iter().map(|count| count.load(Ordering::Relaxed));
        let all = Decision::ALL.into_iter().zip(counts);
        all.filter(|(_, count)| *count > 0).collect()
    }
}

/// What goes wrong on purpose, by edge and kind.
pub(crate) fn faults_injected(metrics: &Registry) -> CounterFamily {
    let name = "brick_faults_injected_total";
    metrics.counter_with(name, "faults on purpose", &["edge", "kind"])
}

/// Shows the edges of all these callers.
pub(crate) fn encode(callers: &[Edges], out: &mut Encoder) {
    let all: Vec<Arc<Followed>> = callers.iter().flat_map(Edges::all).collect();
    let serving: Vec<(String, Decision, u64)> = callers
        .iter()
        .flat_map(|edges| {
            let decided = edges.decided_serving().into_iter();
            decided.map(|(decision, count)| (edges.serving_name(), decision, count))
        })
        .collect();
    if all.is_empty() && serving.is_empty() {
        return;
    }
    let help = "what fault tolerance decided about calls";
    let mut family = out.family("brick_resilience_decisions_total", Kind::Counter, help);
    for followed in &all {
        for decision in Decision::ALL {
            let labels = [("edge", followed.edge.name()), ("decision", decision.as_str())];
            family.sample(&labels, followed.edge.decided(decision) as f64);
        }
    }
    for (name, decision, count) in serving {
        let labels = [("edge", name.as_str()), ("decision", decision.as_str())];
        family.sample(&labels, count as f64);
    }
    let mut gauge = |name: &str, help: &str, value: &dyn Fn(&Edge) -> f64| {
        let mut family = out.family(name, Kind::Gauge, help);
        for followed in &all {
            family.sample(&[("edge", followed.edge.name())], value(&followed.edge));
        }
    };
    let state = "state of the breaker: 0 closed, 1 half open, 2 open";
    gauge("brick_breaker_state", state, &|edge| match edge.state() {
        State::Closed => 0.0,
        State::HalfOpen => 1.0,
        State::Open => 2.0,
    });
    gauge("brick_bulkhead_in_flight", "calls under way", &|edge| {
        f64::from(edge.in_flight())
    });
    let limit = "calls that may be under way";
    gauge("brick_bulkhead_limit", limit, &|edge| f64::from(edge.limit()));
}

impl Followed {
    /// The edge, under the newest limits. One atomic load where nothing changed.
    pub fn get(&self) -> &Arc<Edge> {
        self.follower.refresh(|resource| self.adopt(resource));
        &self.edge
    }

    /// What goes wrong on purpose with a call that carries these headers. Counted, and told to the span.
    pub fn inject(&self, headers: &HeaderMap) -> Option<Injection> {
        self.faults.inject(headers)
    }

    /// Limits that make no sense are refused; the last good ones stay in force.
    fn adopt(&self, resource: Option<&Resource>) {
        let now = Instant::now();
        let Some(resource) = resource else {
            self.edge.apply(Policy::with_timeout(self.timeout), now);
            return;
        };
        let policy = Limits::deserialize(&resource.value)
            .map_err(|error| error.to_string())
            .and_then(|limits| Policy::compile(&limits).map_err(|error| error.to_string()));
        let refused = match policy {
            Ok(policy) => {
                self.edge.apply(policy, now);
                None
            }
            Err(reason) => {
                tracing::warn!(
                    resource = resource.name,
                    revision = resource.revision,
                    reason,
                    "limits are refused, the last good ones stay in force"
                );
                Some(reason)
            }
        };
        let watch = self.follower.watch();
        watch.acknowledge(&resource.name, resource.revision, refused);
    }
}

impl FaultsOf {
    fn new(name: String, of: &Inner) -> Self {
        Self {
            follower: Follower::new(of.watch.clone(), format!("faults/{name}")),
            name,
            rules: ArcSwapOption::empty(),
            injected: of.faults.clone(),
        }
    }

    /// What goes wrong with a request that carries these headers. Counted, and told to the span.
    pub fn inject(&self, headers: &HeaderMap) -> Option<Injection> {
        self.follower.refresh(|resource| self.adopt(resource));
        let rules = self.rules.load();
        let injection = rules.as_ref()?.choose(headers)?;
        let edge = self.name.as_str();
        for kind in injection.kinds() {
            self.injected.with(&[edge, kind]).inc();
            tracing::info!(target: brick_telemetry::SPAN_EVENT, edge, kind, "fault.injected");
        }
        Some(injection)
    }

    fn adopt(&self, resource: Option<&Resource>) {
        let Some(resource) = resource else {
            self.rules.store(None);
            return;
        };
        let rules = Faults::deserialize(&resource.value)
            .map_err(|error| error.to_string())
            .and_then(|faults| Rules::compile(&faults).map_err(|error| error.to_string()));
        let refused = match rules {
            Ok(rules) => {
                self.rules.store(Some(Arc::new(rules)));
                None
            }
            Err(reason) => Some(reason),
        };
        let watch = self.follower.watch();
        watch.acknowledge(&resource.name, resource.revision, refused);
    }
}

#[cfg(test)]
mod tests {
    use brick_bus::{Change, watch};
    use serde_json::{Value, json};

    use super::*;

    fn put(publisher: &mut watch::Publisher, revision: u64, name: &str, value: Value) {
        let name = name.to_owned();
        publisher.apply(
            Change::Put(Resource {
                name,
                revision,
                value,
            }),
            None,
        );
    }

    #[test]
    fn an_edge_follows_its_limits_and_faults_and_keeps_the_last_good_ones() {
        let (mut publisher, watch) = watch::channel();
        let metrics = Registry::default();
        let edges = Edges::new("order", watch, Duration::from_secs(5), &metrics);
        let followed = edges.edge("payment");
        let timeout_ms = || followed.get().policy().timeout.as_millis();
        assert_eq!(timeout_ms(), 5_000);
        put(
            &mut publisher,
            1,
            "limits/order->payment",
            json!({ "timeout_ms": 300 }),
        );
        assert_eq!(timeout_ms(), 300);
        put(
            &mut publisher,
            2,
            "limits/order->payment",
            json!({ "timeout_ms": 0 }),
        );
        assert_eq!(timeout_ms(), 300);
        put(
            &mut publisher,
            3,
            "faults/order->payment",
            json!({ "rules": [{ "abort": 503 }] }),
        );
        followed.get();
        assert_eq!(followed.inject(&HeaderMap::new()).unwrap().abort.unwrap(), 503);
        let forced = json!({ "timeout_ms": 300, "breaker": { "forced": "open" } });
        put(&mut publisher, 4, "limits/order->payment", forced);
        assert_eq!(edges.report()[0].state, State::Open);
        let text = metrics.encode();
        for line in [
            "brick_breaker_state{edge=\"order->payment\"} 2",
            "brick_bulkhead_limit{edge=\"order->payment\"} 1024",
            "brick_faults_injected_total{edge=\"order->payment\",kind=\"abort\"} 1",
            "brick_resilience_decisions_total{edge=\"order->payment\",decision=\"retry\"} 0",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
