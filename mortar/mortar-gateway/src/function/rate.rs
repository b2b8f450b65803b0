//! Rate limits: token buckets in the form of the generic cell rate algorithm (ITU-T I.371), one number for each
//! bucket, so that a bucket costs no timer and an idle one can be forgotten.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use brick_bus::routes;
use parking_lot::Mutex;

const SHARDS: usize = 16;
/// Buckets of one shard. Beyond, those that are full again are forgotten; where none is, all newcomers share one.
const BUCKETS_MAX: usize = 4_096;
/// The bucket that newcomers share.
const SHARED: u64 = 0;

/// Whom a bucket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who<'r> {
    /// Everybody.
    All,
    /// A client by its address; of IPv6 the network that one customer gets.
    Client(IpAddr),
    /// A user or an API key.
    Token(&'r str),
}

/// The buckets of one route.
#[derive(Debug)]
pub(crate) struct Limiter {
    told: routes::Rate,
    /// Time that a request takes up.
    cost_ns: u64,
    /// How far ahead a bucket may be.
    burst_ns: u64,
    begun: Instant,
    hasher: RandomState,
    /// For each bucket the time at which it is full again, since `begun`.
    shards: [Mutex<HashMap<u64, u64>>; SHARDS],
}

impl<'r> Who<'r> {
    /// As the rate says.
    pub(crate) fn of(by: routes::RateBy, ip: IpAddr, token: Option<&'r str>) -> Self {
        match (by, token) {
            (routes::RateBy::Route, _) => Self::All,
            (routes::RateBy::Token, Some(token)) => Self::Token(token),
            _ => Self::Client(network(ip)),
        }
    }

    /// As text, for a store that others read too.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::Client(ip) => format!("client:{ip}"),
            Self::Token(token) => format!("token:{token}"),
        }
    }
}

impl Limiter {
    /// With full buckets.
    pub(crate) fn new(told: &routes::Rate) -> Self {
        let cost_ns = 1_000_000_000_000 / told.per_kilosecond.max(1);
        Self {
            told: told.clone(),
            cost_ns,
            burst_ns: cost_ns.saturating_mul(u64::from(told.burst.max(1)) - 1),
            begun: Instant::now(),
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// What it was made from.
    pub(crate) fn told(&self) -> &routes::Rate {
        &self.told
    }

    /// Time that a request takes up, and how far ahead a bucket may be, in microseconds.
    pub(crate) fn micros(&self) -> (u64, u64) {
        (self.cost_ns.div_ceil(1_000), self.burst_ns / 1_000)
    }

    /// Takes one from the bucket, or says when there will be one.
    pub(crate) fn take(&self, who: Who<'_>, now: Instant) -> Result<(), Duration> {
        let now = u64::try_from(now.saturating_duration_since(self.begun).as_nanos()).unwrap_or(u64::MAX);
        let key = self.hasher.hash_one(who).max(1);
        let shard = usize::try_from(key % SHARDS as u64).unwrap_or(0);
        let mut buckets = self.shards[shard].lock();
        let key = match buckets.contains_key(&key) || make_room(&mut buckets, now) {
            true => key,
            false => SHARED,
        };
        let full_at = buckets.entry(key).or_insert(now);
        let ahead = full_at.saturating_sub(now);
        if ahead > self.burst_ns {
            return Err(Duration::from_nanos(ahead - self.burst_ns));
        }
        *full_at = now + ahead + self.cost_ns;
        Ok(())
    }
}

/// Whether one more bucket may be made.
fn make_room(buckets: &mut HashMap<u64, u64>, now: u64) -> bool {
    if buckets.len() >= BUCKETS_MAX {
        buckets.retain(|_, full_at| *full_at > now);
    }
    buckets.len() < BUCKETS_MAX
}

fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::from((u128::from(v6) & (u128::MAX << 64)).to_be_bytes()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(per_second: u64, burst: u32) -> Limiter {
        Limiter::new(&routes::Rate {
            per_kilosecond: per_second * 1_000,
            burst,
            by: routes::RateBy::Client,
        })
    }

    #[test]
    fn a_burst_passes_at_once_and_then_the_rate() {
        let limiter = limiter(10, 3);
        let start = limiter.begun;
        let at = |ms: u64| limiter.take(Who::All, start + Duration::from_millis(ms));
        assert_eq!((at(0), at(0), at(0)), (Ok(()), Ok(()), Ok(())));
        assert_eq!(at(0), Err(Duration::from_millis(100)));
        assert_eq!(at(40), Err(Duration::from_millis(60)));
        assert_eq!(at(100), Ok(()));
        assert!(at(100).is_err());
        // After a rest the whole burst is there again, and no more.
        let later = 60_000;
        assert_eq!((at(later), at(later), at(later)), (Ok(()), Ok(()), Ok(())));
        assert!(at(later).is_err());
    }

    #[test]
    fn everybody_has_a_bucket_of_its_own_and_an_ipv6_network_is_one_client() {
        let limiter = limiter(1, 1);
        let now = limiter.begun;
        let client = |ip: &str| {
            limiter.take(
                Who::of(routes::RateBy::Client, ip.parse().unwrap(), Some("u")),
                now,
            )
        };
        assert!(client("10.0.0.1").is_ok() && client("10.0.0.2").is_ok());
        assert!(client("10.0.0.1").is_err() && client("::ffff:10.0.0.1").is_err());
        assert!(client("2001:db8::1").is_ok() && client("2001:db8::2").is_err());
        assert!(client("2001:db8:0:1::1").is_ok());
        let ip = "10.0.0.1".parse().unwrap();
        assert_eq!(Who::of(routes::RateBy::Token, ip, Some("u")), Who::Token("u"));
        assert_eq!(Who::of(routes::RateBy::Token, ip, None), Who::Client(ip));
    }

    #[test]
    fn buckets_are_bounded_and_those_that_are_full_again_are_forgotten() {
        let limiter = limiter(1, 1);
        let names: Vec<String> = (0..SHARDS * BUCKETS_MAX * 2).map(|n| n.to_string()).collect();
        for name in &names {
            let _ = limiter.take(Who::Token(name), limiter.begun);
        }
        let held = || {
            limiter
                .shards
                .iter()
                .map(|shard| shard.lock().len())
                .sum::<usize>()
        };
        assert!(held() <= SHARDS * (BUCKETS_MAX + 1), "{}", held());
        let later = limiter.begun + Duration::from_secs(2);
        let newcomers: Vec<String> = (0..SHARDS * 64).map(|n| format!("new{n}")).collect();
        for name in &newcomers {
            let _ = limiter.take(Who::Token(name), later);
        }
        assert!(held() < SHARDS * BUCKETS_MAX, "{}", held());
    }
}
