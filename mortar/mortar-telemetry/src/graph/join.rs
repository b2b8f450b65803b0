//! Pairs a client span whose callee has no known name with the server span that is its child, whichever comes first.

use std::collections::{HashMap, VecDeque};

use crate::record::{SpanId, TraceId};

use super::{Outcome, Service};

/// Spans that wait for their other half, on each side.
const WAITING_MAX: usize = 4_096;
/// How long a call waits for its server span.
const PATIENCE_S: u64 = 10;

type Key = (TraceId, SpanId);

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
    servers: HashMap<Key, Service>,
    server_order: VecDeque<Key>,
}

impl Join {
    /// A server span: the call that waited for it, else it waits itself.
    pub(super) fn server(&mut self, parent: Key, service: Service) -> Option<Waiting> {
        if let Some(waiting) = self.calls.remove(&parent) {
            return Some(waiting);
        }
        if self.servers.insert(parent, service).is_none() {
            self.server_order.push_back(parent);
        }
        if self.server_order.len() > WAITING_MAX
            && let Some(oldest) = self.server_order.pop_front()
        {
            self.servers.remove(&oldest);
        }
        None
    }

    /// A client span: its callee where the server span came first, else it waits.
    pub(super) fn client(&mut self, own: Key, waiting: Waiting) -> Option<(Service, Waiting)> {
        if let Some(service) = self.servers.get(&own) {
            return Some((*service, waiting));
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
