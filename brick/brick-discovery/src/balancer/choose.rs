//! Which instance: first who may be picked at all, then who is well enough, then where, then which of them.
//!
//! Nothing is allocated; each step is a pass over the instances.

use std::sync::atomic::{AtomicU64, Ordering};

use brick_bus::limits::By;
use brick_core::{Incarnation, Version};
use rand::{Rng, RngExt as _};
use tokio::time::Instant;

use super::policy::Policy;
use super::snapshot::{Snapshot, Tracked, mixed};
use crate::caller::Figures;
use crate::load::WHOLE;

/// The second choice wins only where it costs this much less: within it the two are equal, and the toss decides.
const CLEARLY_BETTER: f64 = 0.7;
/// 2^64 divided by the golden ratio: multiples of it, taken modulo 2^64, are spread evenly (Weyl's sequence).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Counts picks in turn.
#[derive(Debug, Default)]
pub(super) struct Turn(AtomicU64);

/// What is asked for.
pub(super) struct Ask<'a> {
    /// Not these again.
    pub(super) tried: &'a [Incarnation],
    pub(super) version: Option<&'a Version>,
    /// Of consistent hashing.
    pub(super) key: Option<u64>,
    /// The caller's.
    pub(super) zone: Option<&'a str>,
    pub(super) now: Instant,
}

/// How well an instance has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    /// Neither ejected nor away a moment ago.
    Well,
    /// Not away a moment ago.
    There,
    /// However it is.
    Any,
}

/// Where it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    Near,
    Far,
    Anywhere,
}

/// How those are that may be picked.
#[derive(Debug, Default)]
struct Survey {
    open: u32,
    there: u32,
    well: u32,
    weight: u64,
    /// Of those that are well, in the caller's zone and elsewhere.
    near: u64,
    far: u64,
    /// A bit for each zone.
    zones: u64,
}

impl Snapshot {
    /// The instance for one request; none where none may be picked.
    pub(super) fn choose(
        &self,
        ask: &Ask<'_>,
        policy: &Policy,
        turn: &Turn,
        figures: &Figures,
        rng: &mut impl Rng,
    ) -> Option<&Tracked> {
        let survey = self.survey(ask, policy);
        let health = survey.health(policy, figures);
        let place = match health {
            Health::Well => survey.place(ask, policy, figures, rng),
            Health::There | Health::Any => Where::Anywhere,
        };
        let fits = |tracked: &&Tracked| {
            ask.allows(tracked) && health.fits(tracked, ask.now) && ask.is_at(tracked, place)
        };
        let candidates = self.tracked.iter().filter(fits);
        let weight = |tracked: &Tracked| tracked.weight() * tracked.load.ramp(policy.slow_start, ask.now);
        match (policy.by, ask.key) {
            (By::RoundRobin, _) => round_robin(candidates, weight, turn, rng),
            (By::Weighted, _) => weighted(candidates, weight, turn),
            (By::ConsistentHash, Some(key)) => {
                consistent_hash(candidates, weight, key, policy.load_bound, figures)
            }
            (By::PeakEwma, _) | (By::ConsistentHash, None) => two_choices(candidates, weight, ask.now, rng),
        }
    }

    fn survey(&self, ask: &Ask<'_>, policy: &Policy) -> Survey {
        let mut survey = Survey::default();
        for tracked in self.tracked.iter().filter(|tracked| ask.allows(tracked)) {
            survey.open += 1;
            survey.there += u32::from(Health::There.fits(tracked, ask.now));
            let well = Health::Well.fits(tracked, ask.now);
            survey.well += u32::from(well);
            if policy.zone_aware {
                survey.weight += tracked.weight();
                survey.zones |= 1 << tracked.zone;
                let side = match ask.is_at(tracked, Where::Near) {
                    true => &mut survey.near,
                    false => &mut survey.far,
                };
                *side += if well { tracked.weight() } else { 0 };
            }
        }
        survey
    }
}

impl Survey {
    /// How well an instance has to be. Connections that were refused a moment ago are no opinion: who is away is called
    /// only where all are. Failures are one: where too few would be left, those who failed are called all the same.
    fn health(&self, policy: &Policy, figures: &Figures) -> Health {
        let enough = f64::from(self.well) >= f64::from(self.open) * policy.panic;
        if self.well > 0 && (enough || self.well == self.there) {
            return Health::Well;
        }
        if self.well < self.there {
            figures.panics.inc();
        }
        match self.there {
            0 => Health::Any,
            _ => Health::There,
        }
    }

    /// Zones should carry equal shares. A zone that is well can carry as much of its own callers' requests as it has of
    /// such a share; the rest goes to the others.
    fn place(&self, ask: &Ask<'_>, policy: &Policy, figures: &Figures, rng: &mut impl Rng) -> Where {
        let zones = u64::from(self.zones.count_ones());
        let keyed = policy.by == By::ConsistentHash && ask.key.is_some();
        if !policy.zone_aware || zones < 2 || keyed || self.far == 0 {
            return Where::Anywhere;
        }
        let has = self.near.saturating_mul(zones);
        if has >= self.weight || (has > 0 && rng.random_range(0..self.weight) < has) {
            return Where::Near;
        }
        figures.spilled.inc();
        Where::Far
    }
}

impl Ask<'_> {
    fn allows(&self, tracked: &Tracked) -> bool {
        let endpoint = &tracked.endpoint;
        tracked.is_open()
            && !self.tried.contains(&endpoint.incarnation)
            && self.version.is_none_or(|version| endpoint.version == *version)
    }

    fn is_at(&self, tracked: &Tracked, place: Where) -> bool {
        let near = || self.zone == Some(&*tracked.endpoint.zone);
        match place {
            Where::Anywhere => true,
            Where::Near => near(),
            Where::Far => !near(),
        }
    }
}

impl Health {
    fn fits(self, tracked: &Tracked, now: Instant) -> bool {
        let load = &tracked.load;
        match self {
            Self::Well => !load.is_avoided(now) && !load.is_ejected(now),
            Self::There => !load.is_avoided(now),
            Self::Any => true,
        }
    }
}

impl Tracked {
    fn weight(&self) -> u64 {
        u64::from(self.endpoint.weight)
    }

    /// Whether all of its weight counts by now.
    fn has_all(&self, weight: impl Fn(&Tracked) -> u64) -> bool {
        weight(self) == self.weight() * WHOLE
    }
}

/// Draws two by weight and takes the cheaper (Mitzenmacher 2001); the one drawn first where neither is clearly cheaper.
/// One that has not its whole share yet is idle, and would win every comparison: it gets what it is drawn for.
fn two_choices<'a>(
    candidates: impl Iterator<Item = &'a Tracked> + Clone,
    weight: impl Fn(&Tracked) -> u64,
    now: Instant,
    rng: &mut impl Rng,
) -> Option<&'a Tracked> {
    let first = draw(candidates.clone(), &weight, rng)?;
    let others = candidates.filter(|other| !std::ptr::eq(*other, first));
    let Some(second) = draw(others, &weight, rng) else {
        return Some(first);
    };
    if !first.has_all(&weight) || !second.has_all(&weight) {
        return Some(first);
    }
    let cost = |tracked: &Tracked| tracked.load.cost(tracked.weight(), now);
    if cost(second) < cost(first) * CLEARLY_BETTER {
        Some(second)
    } else {
        Some(first)
    }
}

fn draw<'a>(
    candidates: impl Iterator<Item = &'a Tracked> + Clone,
    weight: impl Fn(&Tracked) -> u64,
    rng: &mut impl Rng,
) -> Option<&'a Tracked> {
    let total: u64 = candidates.clone().map(&weight).sum();
    if total == 0 {
        return None;
    }
    at(candidates, weight, rng.random_range(0..total))
}

/// The candidate in whose part of the whole weight this is.
fn at<'a>(
    candidates: impl Iterator<Item = &'a Tracked>,
    weight: impl Fn(&Tracked) -> u64,
    mut left: u64,
) -> Option<&'a Tracked> {
    for candidate in candidates {
        match left.checked_sub(weight(candidate)) {
            Some(rest) => left = rest,
            None => return Some(candidate),
        }
    }
    None
}

/// One after the other. One that has not its whole share yet lets its turn pass accordingly often.
fn round_robin<'a>(
    candidates: impl Iterator<Item = &'a Tracked> + Clone,
    weight: impl Fn(&Tracked) -> u64,
    turn: &Turn,
    rng: &mut impl Rng,
) -> Option<&'a Tracked> {
    let many = candidates.clone().count() as u64;
    let next = turn.0.fetch_add(1, Ordering::Relaxed).checked_rem(many)?;
    let mut from = candidates
        .clone()
        .chain(candidates)
        .skip(usize::try_from(next).ok()?);
    let due = from.next()?;
    let whole = due.weight() * WHOLE;
    if !due.has_all(&weight) && rng.random_range(0..whole) >= weight(due) {
        return from.next();
    }
    Some(due)
}

/// As often as the weights say, spread evenly.
fn weighted<'a>(
    candidates: impl Iterator<Item = &'a Tracked> + Clone,
    weight: impl Fn(&Tracked) -> u64,
    turn: &Turn,
) -> Option<&'a Tracked> {
    let total: u64 = candidates.clone().map(&weight).sum();
    let next = turn.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(GOLDEN);
    let point = (u128::from(next) * u128::from(total)) >> 64;
    at(candidates, weight, u64::try_from(point).ok()?)
}

/// Weighted rendezvous hashing (Thaler and Ravishankar 1998; weights as Schindelhauer and Schomaker 2005), with bounded
/// loads (Mirrokni, Thorup and Zadimoghaddam 2018): of those that have room the one that scores best.
fn consistent_hash<'a>(
    candidates: impl Iterator<Item = &'a Tracked> + Clone,
    weight: impl Fn(&Tracked) -> u64,
    key: u64,
    bound: f64,
    figures: &Figures,
) -> Option<&'a Tracked> {
    let (weights, held) = candidates
        .clone()
        .fold((0_u64, 0_u64), |(weights, held), tracked| {
            let load = u64::from(tracked.load.in_flight());
            (weights + weight(tracked), held + load)
        });
    let mut best: Option<(f64, &Tracked)> = None;
    let mut with_room: Option<(f64, &Tracked)> = None;
    for tracked in candidates {
        let share = weight(tracked) as f64 / weights as f64;
        // The least is the best: exponentially distributed with the weight as rate.
        let uniform = (mixed(tracked.place ^ key) >> 11) as f64 + 0.5;
        let score = -(uniform / (1_u64 << 53) as f64).ln() / share;
        let better = |held: Option<(f64, &Tracked)>| held.is_none_or(|(least, _)| score < least);
        if better(best) {
            best = Some((score, tracked));
        }
        let most = (bound * (held + 1) as f64 * share).ceil();
        if f64::from(tracked.load.in_flight()) < most && better(with_room) {
            with_room = Some((score, tracked));
        }
    }
    let ((_, first), (_, found)) = (best?, with_room.or(best)?);
    if !std::ptr::eq(first, found) {
        figures.overflowed.inc();
    }
    Some(found)
}

#[cfg(test)]
mod tests;
