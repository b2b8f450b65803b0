//! Who picks, and how what was decided is counted.

use std::fmt;

use brick_telemetry::metrics::{Counter, CounterFamily, Registry};

/// Who calls: a brick, or the edge. Cheap to clone.
#[derive(Clone)]
pub struct Caller {
    name: String,
    zone: String,
    decisions: CounterFamily,
}

/// What a balancer counts.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Instances that were left out because they failed.
    pub(crate) ejected: Counter,
    /// Instances that failed and were kept, for too many were left out already.
    pub(crate) kept: Counter,
    /// Picks among all, for too few were well.
    pub(crate) panics: Counter,
    /// Picks of another zone than the caller's, for its own had too little.
    pub(crate) spilled: Counter,
    /// Picks of another instance than the key's, for that had too much to do.
    pub(crate) overflowed: Counter,
    /// Copies of requests for a version that is looked at.
    pub(crate) mirrored: Counter,
    /// Copies that found no room.
    pub(crate) mirror_refused: Counter,
}

impl Caller {
    /// A caller in a zone; what its balancers decide is counted there.
    pub fn new(name: &str, zone: &str, metrics: &Registry) -> Self {
        Self {
            name: name.to_owned(),
            zone: zone.to_owned(),
            decisions: metrics.counter_with(
                "brick_balancer_decisions_total",
                "what balancers decided beside picking an instance",
                &["edge", "decision"],
            ),
        }
    }

    /// Its name in limits: a brick's, or `edge`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The zone that it is in.
    pub fn zone(&self) -> &str {
        &self.zone
    }

    pub(crate) fn figures(&self, edge: &str) -> Figures {
        let of = |decision| self.decisions.with(&[edge, decision]);
        Figures {
            ejected: of("eject"),
            kept: of("eject_refused"),
            panics: of("panic"),
            spilled: of("spill"),
            overflowed: of("overflow"),
            mirrored: of("mirror"),
            mirror_refused: of("mirror_refused"),
        }
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("name", &self.name)
            .field("zone", &self.zone)
            .finish_non_exhaustive()
    }
}
