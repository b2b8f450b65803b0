//! The service graph, added up as spans arrive: who served and who called whom, in slots of one second (the last three
//! minutes) and of ten seconds (the last quarter of an hour). A query adds up slots and never looks at spans.

mod cell;
mod join;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

use brick_telemetry::context::SYNTHETIC;
use parking_lot::Mutex;

use crate::api;
use crate::record::{Kind, Span, Status, Value};
use crate::store::Synthetic;

use cell::Cell;
use join::{Join, Waiting};

/// Longest window that can be asked for, in seconds.
pub const WINDOW_S_MAX: u64 = 900;
/// The service whose node is the edge.
pub const EDGE: &str = "gateway";

/// The other processes of the platform.
const PLATFORM: [&str; 2] = ["control", "telemetry"];

const FINE_S: u64 = 1;
const FINE_SLOTS: usize = 181;
const COARSE_S: u64 = 10;
const COARSE_SLOTS: usize = 92;
/// Different services; calls of and to what comes beyond are dropped and counted.
const SERVICES_MAX: usize = 512;
/// Different edges in one slot.
const EDGES_MAX: usize = 4_096;

type Service = u16;

/// The graph. Shared by ingest and query.
#[derive(Debug, Default)]
pub struct Graph(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    names: Vec<String>,
    numbers: HashMap<String, Service>,
    senders: HashSet<Service>,
    fine: Wheel,
    coarse: Wheel,
    join: Join,
    first_s: Option<u64>,
    dropped: u64,
}

#[derive(Debug)]
struct Wheel {
    slot_s: u64,
    slots_max: usize,
    slots: BTreeMap<u64, Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    /// By service, and whether a test suite asked.
    served: HashMap<(Service, bool), Cell>,
    /// By caller and callee, and whether a test suite asked.
    called: HashMap<(Service, Service, bool), Cell>,
}

/// What slots add up to.
#[derive(Debug, Default)]
struct Sum {
    served: HashMap<Service, Cell>,
    called: HashMap<(Service, Service), Cell>,
}

/// One finished call or request.
#[derive(Debug, Clone, Copy)]
struct Outcome {
    end_s: u64,
    micros: u64,
    error: bool,
    synthetic: bool,
}

impl Default for Inner {
    fn default() -> Self {
        let wheel = |slot_s, slots_max| Wheel {
            slot_s,
            slots_max,
            slots: BTreeMap::new(),
        };
        Self {
            names: Vec::new(),
            numbers: HashMap::new(),
            senders: HashSet::new(),
            fine: wheel(FINE_S, FINE_SLOTS),
            coarse: wheel(COARSE_S, COARSE_SLOTS),
            join: Join::default(),
            first_s: None,
            dropped: 0,
        }
    }
}

impl Graph {
    /// Adds spans of one service.
    pub fn observe(&self, service: &str, spans: &[Span]) {
        self.observe_at(service, spans, unix_s());
    }

    /// The graph of the last `window_s` seconds; `instances` is what the registry has of each brick.
    pub fn query(
        &self,
        window_s: u64,
        synthetic: Synthetic,
        instances: &BTreeMap<String, u64>,
    ) -> api::Graph {
        self.query_at(window_s, synthetic, instances, unix_s())
    }

    /// Calls that the bounds left out.
    pub fn dropped(&self) -> u64 {
        self.0.lock().dropped
    }

    fn observe_at(&self, service: &str, spans: &[Span], now_s: u64) {
        let mut inner = self.0.lock();
        let Some(own) = inner.service(service) else {
            inner.dropped += spans.len() as u64;
            return;
        };
        inner.senders.insert(own);
        for span in spans {
            match span.kind {
                Kind::Server => inner.server(own, span, now_s),
                Kind::Client => inner.client(own, span, now_s),
                _ => {}
            }
        }
        inner.give_up(now_s);
    }

    fn query_at(
        &self,
        window_s: u64,
        synthetic: Synthetic,
        instances: &BTreeMap<String, u64>,
        now_s: u64,
    ) -> api::Graph {
        let mut inner = self.0.lock();
        inner.give_up(now_s);
        let window_s = window_s.clamp(1, WINDOW_S_MAX);
        let sum = inner.sum(window_s, synthetic, now_s);
        // A system younger than the window has its rate over its own age.
        let age = inner.first_s.map_or(1, |first| now_s.saturating_sub(first) + 1);
        inner.answer(&sum, window_s, window_s.min(age), instances)
    }
}

fn unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

fn outcome(span: &Span) -> Outcome {
    Outcome {
        end_s: span.end_ns / 1_000_000_000,
        micros: span.end_ns.saturating_sub(span.start_ns) / 1_000,
        error: span.status == Status::Error,
        synthetic: attribute(span, SYNTHETIC).is_some(),
    }
}

fn attribute<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    span.attributes
        .iter()
        .find(|(name, _)| name == key)
        .and_then(|(_, value)| match value {
            Value::Text(text) if !text.is_empty() => Some(text.as_str()),
            _ => None,
        })
}

impl Inner {
    fn service(&mut self, name: &str) -> Option<Service> {
        if let Some(known) = self.numbers.get(name) {
            return Some(*known);
        }
        if self.names.len() >= SERVICES_MAX {
            return None;
        }
        let number = Service::try_from(self.names.len()).ok()?;
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        Some(number)
    }

    fn server(&mut self, own: Service, span: &Span, now_s: u64) {
        let outcome = outcome(span);
        let key = (own, outcome.synthetic);
        self.add(outcome, now_s, |slot| slot.served.entry(key).or_default());
        if span.parent_id != 0
            && let Some(waiting) = self.join.server((span.trace_id, span.parent_id), own)
        {
            self.call(waiting.from, own, waiting.outcome, now_s);
        }
    }

    /// The callee is who the caller says it is; where it says none that is known, the service whose server span is the
    /// call's child; where none comes, the address.
    fn client(&mut self, own: Service, span: &Span, now_s: u64) {
        if attribute(span, "db.system.name")
            .or_else(|| attribute(span, "db.system"))
            .is_some()
        {
            return;
        }
        let address = attribute(span, "server.address");
        let said = attribute(span, "peer.service")
            .or_else(|| address.filter(|address| self.numbers.contains_key(*address)));
        if let Some(said) = said {
            match self.service(said) {
                Some(to) => self.call(own, to, outcome(span), now_s),
                None => self.dropped += 1,
            }
            return;
        }
        let waiting = Waiting {
            from: own,
            outcome: outcome(span),
            address: address.map(str::to_owned),
            since_s: now_s,
        };
        if let Some((to, waiting)) = self.join.client((span.trace_id, span.span_id), waiting) {
            self.call(waiting.from, to, waiting.outcome, now_s);
        }
    }

    fn give_up(&mut self, now_s: u64) {
        while let Some(waiting) = self.join.overdue(now_s) {
            match waiting.address.as_deref().map(|address| self.service(address)) {
                Some(Some(to)) => self.call(waiting.from, to, waiting.outcome, now_s),
                _ => self.dropped += 1,
            }
        }
    }

    fn call(&mut self, from: Service, to: Service, outcome: Outcome, now_s: u64) {
        let key = (from, to, outcome.synthetic);
        let full = |slot: &Slot| slot.called.len() >= EDGES_MAX && !slot.called.contains_key(&key);
        if self.fine.slots.get(&outcome.end_s).is_some_and(full) {
            self.dropped += 1;
            return;
        }
        self.add(outcome, now_s, |slot| slot.called.entry(key).or_default());
    }

    fn add(&mut self, outcome: Outcome, now_s: u64, cell: impl Fn(&mut Slot) -> &mut Cell) {
        // A clock that is off by more than the window says nothing about the window.
        if outcome.end_s > now_s + 5 || outcome.end_s + WINDOW_S_MAX < now_s {
            self.dropped += 1;
            return;
        }
        self.first_s = Some(
            self.first_s
                .map_or(outcome.end_s, |first| first.min(outcome.end_s)),
        );
        for wheel in [&mut self.fine, &mut self.coarse] {
            let slot = wheel.slots.entry(outcome.end_s / wheel.slot_s).or_default();
            cell(slot).add(outcome.micros, outcome.error);
            while wheel.slots.len() > wheel.slots_max {
                wheel.slots.pop_first();
            }
        }
    }

    fn sum(&self, window_s: u64, synthetic: Synthetic, now_s: u64) -> Sum {
        let wheel = if window_s < FINE_SLOTS as u64 {
            &self.fine
        } else {
            &self.coarse
        };
        let from = (now_s + 1).saturating_sub(window_s) / wheel.slot_s;
        let mut sum = Sum::default();
        for (_, slot) in wheel.slots.range(from..) {
            for ((service, made), cell) in &slot.served {
                if synthetic.takes(*made) {
                    sum.served.entry(*service).or_default().merge(cell);
                }
            }
            for ((from, to, made), cell) in &slot.called {
                if synthetic.takes(*made) {
                    sum.called.entry((*from, *to)).or_default().merge(cell);
                }
            }
        }
        sum
    }

    fn name(&self, service: Service) -> &str {
        self.names.get(usize::from(service)).map_or("", String::as_str)
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds and counts are small")]
    fn answer(&self, sum: &Sum, window_s: u64, over_s: u64, instances: &BTreeMap<String, u64>) -> api::Graph {
        let rate = |cell: &Cell| cell.count() as f64 / over_s as f64;
        let mut calls: BTreeMap<Service, Cell> = BTreeMap::new();
        for ((from, to), cell) in &sum.called {
            calls.entry(*from).or_default();
            calls.entry(*to).or_default().merge(cell);
        }
        for (service, cell) in &sum.served {
            // What a service says of itself goes before what its callers say.
            calls.insert(*service, cell.clone());
        }
        let node = |(service, cell): (Service, Cell)| {
            let brick = self.name(service).to_owned();
            let known = self.senders.contains(&service) || instances.contains_key(&brick);
            api::Node {
                kind: match (brick.as_str(), known) {
                    (EDGE, _) => api::NodeKind::Edge,
                    (name, _) if PLATFORM.contains(&name) => api::NodeKind::Platform,
                    (_, true) => api::NodeKind::Brick,
                    (_, false) => api::NodeKind::External,
                },
                instances: instances.get(&brick).copied().unwrap_or(0),
                rate: rate(&cell),
                error_rate: cell.error_rate(),
                p50_ms: cell.quantile_ms(0.50),
                p99_ms: cell.quantile_ms(0.99),
                brick,
            }
        };
        let mut nodes: Vec<_> = calls.into_iter().map(node).collect();
        nodes.sort_by(|a, b| a.brick.cmp(&b.brick));
        let edge = |((from, to), cell): (&(Service, Service), &Cell)| api::Edge {
            from: self.name(*from).to_owned(),
            to: self.name(*to).to_owned(),
            rate: rate(cell),
            error_rate: cell.error_rate(),
            p50_ms: cell.quantile_ms(0.50),
            p99_ms: cell.quantile_ms(0.99),
        };
        let mut edges: Vec<_> = sum.called.iter().map(edge).collect();
        edges.sort_by(|a, b| (&a.from, &a.to).cmp(&(&b.from, &b.to)));
        api::Graph {
            window_s,
            nodes,
            edges,
        }
    }
}

#[cfg(test)]
mod tests;
