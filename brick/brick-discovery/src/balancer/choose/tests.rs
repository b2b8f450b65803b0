//! Each way to pick, as limits ask for it.

use std::collections::BTreeMap;
use std::time::Duration;

use brick_bus::{Change, Endpoint, Protocol, Publisher, Resource, watch};
use brick_telemetry::metrics::Registry;
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{Balancer, Caller, Pick};

/// A brick `a` in zone `a` that calls `b`.
struct Edge {
    publisher: Publisher,
    registry: Registry,
    balancer: Balancer,
}

impl Edge {
    fn new(endpoints: &[Endpoint], balance: Value) -> Self {
        let (publisher, watch) = watch::channel();
        let registry = Registry::new();
        let balancer = Balancer::of(watch, "b", &Caller::new("a", "a", &registry));
        let mut edge = Self {
            publisher,
            registry,
            balancer,
        };
        edge.balance(balance);
        edge.put(endpoints);
        edge
    }

    fn balance(&mut self, balance: Value) {
        self.set("limits/a->b", json!({ "timeout_ms": 1_000, "balance": balance }));
    }

    fn put(&mut self, endpoints: &[Endpoint]) {
        self.set("endpoints/b", json!({ "instances": endpoints }));
    }

    fn set(&mut self, name: &str, value: Value) {
        let resource = Resource {
            name: name.to_owned(),
            revision: 1,
            value,
        };
        self.publisher.apply(Change::Put(resource), None);
    }

    fn slot(&self) -> u32 {
        self.balancer.pick().unwrap().endpoint.slot
    }

    /// How many of so many picks go where.
    fn counts(&self, picks: u32) -> BTreeMap<u32, u32> {
        let mut counts = BTreeMap::new();
        for _ in 0..picks {
            *counts.entry(self.slot()).or_default() += 1;
        }
        counts
    }

    /// The instance of a key.
    fn keyed(&self, key: &str) -> Pick {
        let mut headers = HeaderMap::new();
        headers.insert("x-cart", HeaderValue::from_str(key).unwrap());
        let lead = self.balancer.lead(&mut headers);
        self.balancer.pick_led(&lead, &[]).unwrap()
    }

    fn fail(&self, slot: u32, times: u32) {
        for _ in 0..times {
            let pick = self.balancer.pick_slot(slot).unwrap();
            pick.guard.done(Duration::from_millis(1), false);
        }
    }

    fn decided(&self, decision: &str) -> u64 {
        let text = self.registry.encode();
        let line = format!("brick_balancer_decisions_total{{edge=\"a->b\",decision=\"{decision}\"}} ");
        let found = text.lines().find_map(|text| text.strip_prefix(&line));
        found.map_or_else(
            || panic!("no {line} in {text}"),
            |value| value.parse::<f64>().unwrap() as u64,
        )
    }
}

fn endpoint(slot: u32, zone: &str, weight: u32) -> Endpoint {
    Endpoint {
        slot,
        incarnation: Incarnation::new(),
        version: Version::default(),
        zone: zone.to_owned(),
        addr: ([127, 0, 0, 1], 7_000).into(),
        weight,
        concurrent: false,
        protocol: Protocol::default(),
        quarantined: false,
    }
}

fn many(n: u32) -> Vec<Endpoint> {
    (1..=n).map(|slot| endpoint(slot, "a", 100)).collect()
}

fn hashed() -> Value {
    json!({ "by": "consistent-hash", "key": "header:x-cart" })
}

#[tokio::test(start_paused = true)]
async fn a_change_of_limits_changes_how_instances_are_picked() {
    let mut edge = Edge::new(&many(3), json!({ "by": "round-robin" }));
    let turns: Vec<u32> = (0..6).map(|_| edge.slot()).collect();
    assert_eq!(turns, [1, 2, 3, 1, 2, 3]);
    edge.balance(json!({ "by": "consistent-hash", "key": "header:x-cart" }));
    let first = edge.keyed("k").endpoint.slot;
    assert!((0..20).all(|_| edge.keyed("k").endpoint.slot == first));
    // What cannot be followed changes nothing.
    edge.balance(json!({ "by": "luck" }));
    assert_eq!(edge.keyed("k").endpoint.slot, first);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_key_goes_to_any() {
    let edge = Edge::new(&many(2), hashed());
    assert_eq!(edge.counts(100).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_fails_again_and_again_is_left_out_for_a_while() {
    let edge = Edge::new(&many(4), json!({ "by": "round-robin" }));
    edge.fail(2, 4);
    assert!(edge.counts(8).contains_key(&2));
    edge.fail(2, 1);
    assert!(!edge.counts(30).contains_key(&2));
    assert_eq!(edge.decided("eject"), 1);
    // By its own name, or for want of others, it is called all the same.
    assert!(edge.balancer.pick_slot(2).is_some());
    tokio::time::advance(Duration::from_millis(10_001)).await;
    assert!(edge.counts(8).contains_key(&2));
    let never = Edge::new(&many(2), json!({ "eject": false }));
    never.fail(1, 50);
    assert_eq!(never.decided("eject"), 0);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_share_is_left_out() {
    let balance = json!({ "by": "round-robin", "eject": { "max_share": 0.5 } });
    let edge = Edge::new(&many(4), balance);
    for slot in 1..=4 {
        edge.fail(slot, 5);
    }
    assert_eq!(edge.counts(40).keys().copied().collect::<Vec<_>>(), [3, 4]);
    assert_eq!((edge.decided("eject"), edge.decided("eject_refused")), (2, 2));
    let alone = Edge::new(&many(1), json!({}));
    alone.fail(1, 5);
    assert_eq!((alone.decided("eject"), alone.slot()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn where_too_few_are_well_all_that_are_there_are_called() {
    let balance = json!({ "by": "round-robin", "eject": { "max_share": 1.0 }, "panic": 0.5 });
    let edge = Edge::new(&many(4), balance);
    edge.fail(1, 5);
    edge.fail(2, 5);
    assert_eq!((edge.counts(40).len(), edge.decided("panic")), (2, 0));
    edge.fail(3, 5);
    assert_eq!(edge.counts(40).len(), 4);
    assert_eq!(edge.decided("panic"), 40);
    // Who took no connection a moment ago is no help.
    edge.balancer.pick_slot(1).unwrap().guard.connect_failed();
    assert!(!edge.counts(40).contains_key(&1));
}

#[tokio::test(start_paused = true)]
async fn the_own_zone_is_preferred_and_spills_what_it_cannot_carry() {
    let balance = json!({ "by": "round-robin", "zone_aware": true });
    let (a1, a2) = (endpoint(1, "a", 100), endpoint(2, "a", 100));
    let (b3, b4) = (endpoint(3, "b", 100), endpoint(4, "b", 100));
    let all = [a1.clone(), a2, b3.clone(), b4.clone()];
    let mut edge = Edge::new(&all, balance);
    assert_eq!(edge.counts(100).keys().copied().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(edge.decided("spill"), 0);
    // One of three carries two thirds of what its zone asks for: then each of the three gets as much.
    edge.put(&[a1, b3.clone(), b4.clone()]);
    let near = edge.counts(3_000)[&1];
    assert!((1_850..2_150).contains(&near), "{near}");
    assert_eq!(edge.decided("spill"), u64::from(3_000 - near));
    edge.put(&[b3, b4]);
    assert_eq!(edge.counts(100).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_fails_takes_capacity_from_its_zone() {
    let balance = json!({ "by": "round-robin", "zone_aware": true });
    let all = [
        endpoint(1, "a", 100),
        endpoint(2, "a", 100),
        endpoint(3, "b", 100),
        endpoint(4, "b", 100),
    ];
    let edge = Edge::new(&all, balance);
    edge.fail(1, 5);
    let counts = edge.counts(2_000);
    assert!(!counts.contains_key(&1), "{counts:?}");
    assert!((850..1_150).contains(&counts[&2]), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_instance_gets_its_share_little_by_little() {
    for by in ["peak-ewma", "round-robin", "weighted"] {
        let balance = json!({ "by": by, "slow_start_ms": 10_000 });
        let old = endpoint(1, "a", 100);
        let mut edge = Edge::new(std::slice::from_ref(&old), balance);
        edge.slot();
        edge.put(&[old, endpoint(2, "a", 100)]);
        let mut shares = Vec::new();
        for _ in 0..3 {
            shares.push(edge.counts(1_000).get(&2).copied().unwrap_or_default());
            tokio::time::advance(Duration::from_secs(5)).await;
        }
        assert!(
            shares[0] < 200 && shares[0] < shares[1] && shares[1] < shares[2],
            "{by}: {shares:?}"
        );
        assert!((430..570).contains(&shares[2]), "{by}: {shares:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_goes_elsewhere_while_its_instance_has_too_much_to_do() {
    let edge = Edge::new(&many(3), hashed());
    let first = edge.keyed("k");
    let second = edge.keyed("k");
    assert_ne!(second.endpoint.slot, first.endpoint.slot);
    assert_eq!(edge.decided("overflow"), 1);
    let slot = first.endpoint.slot;
    drop((first, second));
    assert_eq!(edge.keyed("k").endpoint.slot, slot);
}

proptest! {
    #[test]
    fn turns_are_even(n in 1_u32..12, rounds in 1_u32..8) {
        let edge = Edge::new(&many(n), json!({ "by": "round-robin" }));
        let counts = edge.counts(n * rounds);
        prop_assert!(counts.len() == n as usize && counts.values().all(|count| *count == rounds));
    }

    #[test]
    fn weights_are_kept_to(weights in proptest::collection::vec(0_u32..=300, 1..6)) {
        prop_assume!(weights.iter().sum::<u32>() > 0);
        let endpoints: Vec<Endpoint> =
            (1..).zip(&weights).map(|(slot, weight)| endpoint(slot, "a", *weight)).collect();
        let edge = Edge::new(&endpoints, json!({ "by": "weighted" }));
        let counts = edge.counts(2_000);
        let total = f64::from(weights.iter().sum::<u32>());
        for (slot, weight) in (1..).zip(&weights) {
            let got = f64::from(counts.get(&slot).copied().unwrap_or_default());
            prop_assert!((got - 2_000.0 * f64::from(*weight) / total).abs() < 20.0, "{counts:?}");
        }
    }

    #[test]
    fn one_instance_less_moves_its_own_keys_alone(n in 2_u32..8, keys in proptest::collection::vec("[a-z]{1,8}", 1..40)) {
        let all = many(n);
        let mut edge = Edge::new(&all, hashed());
        let before: Vec<u32> = keys.iter().map(|key| edge.keyed(key).endpoint.slot).collect();
        edge.put(&all[1..]);
        for (key, slot) in keys.iter().zip(&before) {
            let after = edge.keyed(key).endpoint.slot;
            prop_assert!(after == *slot || *slot == 1);
        }
        // A start anew in the same slot has the same keys.
        edge.put(&many(n));
        let again: Vec<u32> = keys.iter().map(|key| edge.keyed(key).endpoint.slot).collect();
        prop_assert_eq!(again, before);
    }

    #[test]
    fn nobody_has_more_than_the_bound(n in 1_u32..8, keys in proptest::collection::vec("[a-c]", 1..120)) {
        let edge = Edge::new(&many(n), hashed());
        let mut held: Vec<Pick> = Vec::new();
        for key in &keys {
            let pick = edge.keyed(key);
            let most = (1.25 * (held.len() + 1) as f64 / f64::from(n)).ceil();
            prop_assert!(f64::from(pick.guard.in_flight()) <= most);
            held.push(pick);
        }
    }

    #[test]
    fn whatever_happens_a_pick_is_one_that_may_be_picked(
        weights in proptest::collection::vec(0_u32..3, 1..6),
        steps in proptest::collection::vec((0_usize..6, 0_u8..4), 0..60),
        by in proptest::sample::select(vec!["peak-ewma", "round-robin", "weighted", "consistent-hash"]),
        zone_aware: bool,
    ) {
        let endpoints: Vec<Endpoint> = (1..).zip(&weights)
            .map(|(slot, weight)| Endpoint {
                quarantined: slot % 4 == 0,
                ..endpoint(slot, if slot % 2 == 0 { "a" } else { "b" }, *weight)
            })
            .collect();
        let balance = json!({ "by": by, "key": "header:x-cart", "zone_aware": zone_aware, "slow_start_ms": 5 });
        let edge = Edge::new(&endpoints, balance);
        let open: Vec<u32> = endpoints.iter()
            .filter(|endpoint| endpoint.weight > 0 && !endpoint.quarantined)
            .map(|endpoint| endpoint.slot)
            .collect();
        for (at, what) in steps {
            let Some(endpoint) = endpoints.get(at % endpoints.len()) else { continue };
            let pick = edge.balancer.pick_incarnation(endpoint.incarnation).unwrap();
            match what {
                0 => pick.guard.connect_failed(),
                what => pick.guard.done(Duration::from_millis(3), what == 1),
            }
            let picked = edge.balancer.pick().map(|pick| pick.endpoint.slot);
            prop_assert_eq!(picked.is_some(), !open.is_empty());
            prop_assert!(picked.is_none_or(|slot| open.contains(&slot)));
        }
    }
}
