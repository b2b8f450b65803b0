//! The service graph, added up as spans arrive: who served and who called whom, in slots of one second (the last three
//! minutes) and of ten seconds (the last quarter of an hour). A query adds up slots and never looks at spans.

mod answer;
mod cell;
mod ends;
mod join;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

use brick_telemetry::context::SYNTHETIC;
use parking_lot::Mutex;

use crate::api;
use crate::record::{Kind, Span, Status, Value};
use crate::store::Synthetic;

use cell::Cell;
use ends::{SETTLED_S, Served, Tally};
use join::{Join, Waiting};

/// Longest window that can be asked for, in seconds.
pub const WINDOW_S_MAX: u64 = 900;
/// The service whose node is the edge.
pub const EDGE: &str = "gateway";

/// Who sent the request, as a server span says it.
const CALLER: &str = "brick.caller";

const FINE_S: u64 = 1;
const FINE_SLOTS: usize = 181;
const COARSE_S: u64 = 10;
const COARSE_SLOTS: usize = 92;
/// Different services; calls of and to what comes beyond are dropped and counted.
const SERVICES_MAX: usize = 512;
/// Different edges in one slot.
const EDGES_MAX: usize = 4_096;

type Service = u16;
/// Caller, callee, and whether a test suite asked.
type Between = (Service, Service, bool);
type Cells = HashMap<Between, Cell>;

/// The graph. Shared by ingest and query.
#[derive(Debug, Default)]
pub struct Graph(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    names: Vec<String>,
    numbers: HashMap<String, Service>,
    senders: HashSet<Service>,
    /// Services whose requests are known by who sent them.
    heard: HashSet<Service>,
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
    called: Cells,
    /// The same calls, as the callee served them.
    heard: Cells,
}

/// What slots add up to.
#[derive(Debug, Default)]
struct Sum {
    served: HashMap<Service, Cell>,
    called: HashMap<(Service, Service), Cell>,
    heard: HashMap<(Service, Service), Cell>,
    /// Of caller and of callee, as far as both had time to tell.
    settled: HashMap<(Service, Service), (Tally, Tally)>,
}

/// One finished call or request.
#[derive(Debug, Clone, Copy)]
struct Outcome {
    end_s: u64,
    micros: u64,
    error: bool,
    /// The caller did not send it at all.
    held: bool,
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
            heard: HashSet::new(),
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
        held: span.kind == Kind::Client && ends::is_held(span),
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
        let served = Served::new(own, span);
        let caller = attribute(span, CALLER).and_then(|name| self.service(name));
        if let Some(from) = caller {
            self.hear(from, served, now_s);
        }
        if span.parent_id == 0 {
            return;
        }
        let parent = (span.trace_id, span.parent_id);
        let joined = match caller {
            None => self.join.caller(parent, served),
            Some(_) => None,
        };
        if let Some(from) = joined {
            self.hear(from, served, now_s);
        }
        let told = caller.is_some() || joined.is_some();
        if let Some(waiting) = self.join.server(parent, served, told) {
            self.call(waiting.from, own, waiting.outcome, now_s);
            if !told {
                self.hear(waiting.from, served, now_s);
            }
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
        let key = (span.trace_id, span.span_id);
        if let Some(said) = said {
            match self.service(said) {
                Some(to) => {
                    self.call(own, to, outcome(span), now_s);
                    if let Some(served) = self.join.answered(key, own, to) {
                        self.hear(own, served, now_s);
                    }
                }
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
        if let Some((served, known, waiting)) = self.join.client(key, waiting) {
            self.call(waiting.from, served.by, waiting.outcome, now_s);
            if !known {
                self.hear(waiting.from, served, now_s);
            }
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
        self.between((from, to, outcome.synthetic), outcome, now_s, |slot| {
            &mut slot.called
        });
    }

    /// A request that came from `from`.
    fn hear(&mut self, from: Service, served: Served, now_s: u64) {
        self.heard.insert(served.by);
        let outcome = served.measured(self.name(from) == EDGE);
        let key = (from, served.by, outcome.synthetic);
        self.between(key, outcome, now_s, |slot| &mut slot.heard);
    }

    fn between(&mut self, key: Between, outcome: Outcome, now_s: u64, of: impl Fn(&mut Slot) -> &mut Cells) {
        let slot = self.fine.slots.get_mut(&outcome.end_s).map(&of);
        if slot.is_some_and(|cells| cells.len() >= EDGES_MAX && !cells.contains_key(&key)) {
            self.dropped += 1;
            return;
        }
        self.add(outcome, now_s, |slot| of(slot).entry(key).or_default());
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
            let cell = cell(slot);
            cell.add(outcome.micros, outcome.error);
            if outcome.held {
                cell.hold();
            }
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
        for (at, slot) in wheel.slots.range(from..) {
            for ((service, made), cell) in &slot.served {
                if synthetic.takes(*made) {
                    sum.served.entry(*service).or_default().merge(cell);
                }
            }
            let settled = (at + 1) * wheel.slot_s + SETTLED_S <= now_s + 1;
            for ((from, to, made), cell) in &slot.called {
                if synthetic.takes(*made) {
                    sum.called.entry((*from, *to)).or_default().merge(cell);
                    if settled {
                        sum.settled.entry((*from, *to)).or_default().0.add(cell);
                    }
                }
            }
            for ((from, to, made), cell) in &slot.heard {
                if synthetic.takes(*made) {
                    sum.heard.entry((*from, *to)).or_default().merge(cell);
                    if settled {
                        sum.settled.entry((*from, *to)).or_default().1.add(cell);
                    }
                }
            }
        }
        sum
    }

    fn name(&self, service: Service) -> &str {
        self.names.get(usize::from(service)).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests;
