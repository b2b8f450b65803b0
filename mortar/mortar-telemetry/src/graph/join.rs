//! Pairs client spans with the server spans that are their children, whichever comes first: to learn who was called
//! where the caller does not say, and who called where the callee does not.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::record::{SpanId, TraceId};

use super::ends::Served;
use super::{Outcome, Service};

/// Spans that wait for their other half, on each side.
const WAITING_MAX: usize = 4_096;
/// How long a call waits for its server span.
const PATIENCE_S: u64 = 10;

pub(super) type Key = (TraceId, SpanId);

/// A call whose callee is not known yet.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) from: Service,
    pub(super) outcome: Outcome,
    pub(super) address: Option<String>,
    pub(super) since_s: u64,
}

#[derive(Debug, Default)]
pub(super) struct Join {
    calls: HashMap<Key, Waiting>,
    call_order: VecDeque<(u64, Key)>,
    /// Server spans, and whether their caller is known.
    servers: Recent<(Served, bool)>,
    /// Who made a call of which the callee will not say it.
    callers: Recent<Service>,
    /// Services whose spans do not say who called.
    mute: HashSet<Service>,
}

/// The latest ones; the oldest goes where there are too many.
#[derive(Debug)]
struct Recent<V> {
    all: HashMap<Key, V>,
    order: VecDeque<Key>,
}

impl<V> Default for Recent<V> {
    fn default() -> Self {
        Self {
            all: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<V> Recent<V> {
    fn insert(&mut self, key: Key, value: V) {
        if self.all.insert(key, value).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > WAITING_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.all.remove(&oldest);
        }
    }
}

impl Join {
    /// A server span: the call that waited for it, else it waits itself. `told` says that its caller is known.
    pub(super) fn server(&mut self, parent: Key, served: Served, told: bool) -> Option<Waiting> {
        if let Some(waiting) = self.calls.remove(&parent) {
            return Some(waiting);
        }
        self.servers.insert(parent, (served, told));
        None
    }

    /// Who made the call that a span without a caller serves, where that came first.
    pub(super) fn caller(&mut self, parent: Key, served: Served) -> Option<Service> {
        self.mute.insert(served.by);
        self.callers.all.get(&parent).copied()
    }

    /// A client span that says whom it called: the span that served it, where that does not know who called and came
    /// first.
    pub(super) fn answered(&mut self, own: Key, from: Service, to: Service) -> Option<Served> {
        if let Some((served, told)) = self.servers.all.get_mut(&own) {
            let known = std::mem::replace(told, true);
            return (!known && served.by == to).then_some(*served);
        }
        if self.mute.contains(&to) {
            self.callers.insert(own, from);
        }
        None
    }

    /// A client span that does not say whom it called: the span that served it, and whether the caller of that is known
    /// already, where it came first; else the call waits.
    pub(super) fn client(&mut self, own: Key, waiting: Waiting) -> Option<(Served, bool, Waiting)> {
        if let Some((served, told)) = self.servers.all.get_mut(&own) {
            let known = std::mem::replace(told, true);
            return Some((*served, known, waiting));
        }
        self.call_order.push_back((waiting.since_s, own));
        self.calls.insert(own, waiting);
        None
    }

    /// A call that has waited long enough, or that there is no room for.
    pub(super) fn overdue(&mut self, now_s: u64) -> Option<Waiting> {
        loop {
            let (since_s, key) = *self.call_order.front()?;
            if now_s < since_s + PATIENCE_S && self.call_order.len() <= WAITING_MAX {
                return None;
            }
            self.call_order.pop_front();
            if let Some(waiting) = self.calls.remove(&key) {
                return Some(waiting);
            }
        }
    }
}
