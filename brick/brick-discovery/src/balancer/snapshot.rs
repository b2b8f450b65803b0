//! The instances as they are now, with what is known of each.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use brick_bus::{Endpoint, Endpoints};
use brick_core::{Incarnation, Version};
use tokio::time::Instant;

use super::{Guard, Inner, Pick};
use crate::load::{FIRST_ESTIMATE, Load};

/// Zones that are told apart; those beyond count as one.
const ZONES_MAX: u32 = 64;

/// The instances of one change.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// In order of slot.
    pub(super) tracked: Vec<Tracked>,
    pub(super) known: bool,
}

/// One instance.
#[derive(Debug, Clone)]
pub(super) struct Tracked {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) load: Arc<Load>,
    /// Where it is among the keys of consistent hashing: by its slot, so that a start anew changes nothing.
    pub(super) place: u64,
    /// Number of its zone.
    pub(super) zone: u32,
}

impl Tracked {
    pub(super) fn pick(&self) -> Pick {
        self.load.begin();
        Pick {
            endpoint: Arc::clone(&self.endpoint),
            guard: Guard {
                load: Arc::clone(&self.load),
                aside: false,
            },
        }
    }

    /// Whether requests may go there that do not ask for it by its name.
    pub(super) fn is_open(&self) -> bool {
        self.endpoint.weight > 0 && !self.endpoint.quarantined
    }
}

impl Snapshot {
    /// Whether an instance of the version may be picked.
    pub(super) fn has(&self, version: &Version, tried: &[Incarnation]) -> bool {
        self.tracked.iter().any(|tracked| {
            let endpoint = &tracked.endpoint;
            tracked.is_open() && endpoint.version == *version && !tried.contains(&endpoint.incarnation)
        })
    }

    /// Whose load it is.
    pub(super) fn of(&self, load: &Arc<Load>) -> Option<&Tracked> {
        self.tracked
            .iter()
            .find(|tracked| Arc::ptr_eq(&tracked.load, load))
    }

    /// How many there are, and how many of them are ejected.
    pub(super) fn ejected(&self, now: Instant) -> (u32, u32) {
        let open = self.tracked.iter().filter(|tracked| tracked.is_open());
        open.fold((0, 0), |(all, out), tracked| {
            (all + 1, out + u32::from(tracked.load.is_ejected(now)))
        })
    }

    /// What was learnt of an incarnation stays; a new one starts as well as the best known.
    pub(super) fn next(&self, brick: &str, endpoints: Endpoints, now: Instant, home: &Weak<Inner>) -> Self {
        let old: HashMap<Incarnation, &Tracked> = self
            .tracked
            .iter()
            .map(|tracked| (tracked.endpoint.incarnation, tracked))
            .collect();
        let best = self
            .tracked
            .iter()
            .map(|tracked| tracked.load.estimate_ns(now))
            .min_by(f64::total_cmp);
        let first = best.map_or(FIRST_ESTIMATE, |ns| Duration::from_nanos(ns as u64));
        let joins = !self.tracked.is_empty();
        let mut zones: Vec<String> = Vec::new();
        let mut tracked: Vec<Tracked> = endpoints
            .instances
            .into_iter()
            .map(|endpoint| Tracked {
                load: match old.get(&endpoint.incarnation) {
                    Some(old) => Arc::clone(&old.load),
                    None => Arc::new(Load::new(first, joins, now, Weak::clone(home))),
                },
                place: hash(endpoint.own_name(brick).as_bytes()),
                zone: numbered(&mut zones, &endpoint.zone),
                endpoint: Arc::new(endpoint),
            })
            .collect();
        tracked.sort_by_key(|tracked| tracked.endpoint.slot);
        Self { tracked, known: true }
    }
}

fn numbered(zones: &mut Vec<String>, zone: &str) -> u32 {
    let at = zones.iter().position(|known| known == zone).unwrap_or_else(|| {
        zones.push(zone.to_owned());
        zones.len() - 1
    });
    u32::try_from(at).unwrap_or(u32::MAX).min(ZONES_MAX - 1)
}

/// FNV-1a (64 bit), mixed by the finaliser of MurmurHash3.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mixed(fnv)
}

/// The finaliser of MurmurHash3.
pub(super) fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
