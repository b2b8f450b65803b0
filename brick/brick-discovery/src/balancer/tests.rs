//! How load spreads, with seeded choices, and what changes of the set do.

use std::collections::BTreeMap;

use brick_bus::{Change, Publisher, watch};
use brick_core::Version;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use serde_json::json;

use super::*;

fn endpoint(slot: u32, weight: u32) -> Endpoint {
    Endpoint {
        slot,
        incarnation: Incarnation::new(),
        version: Version::default(),
        zone: "a".to_owned(),
        addr: ([127, 0, 0, 1], 7000 + slot as u16).into(),
        weight,
        concurrent: false,
        protocol: brick_bus::Protocol::default(),
        quarantined: false,
    }
}

fn put(publisher: &mut Publisher, endpoints: &[Endpoint]) {
    let value = json!({ "instances": endpoints });
    let resource = Resource {
        name: "endpoints/product".to_owned(),
        revision: 1,
        value,
    };
    publisher.apply(Change::Put(resource), None);
}

fn balancer(endpoints: &[Endpoint]) -> (Publisher, Balancer) {
    let (mut publisher, watch) = watch::channel();
    put(&mut publisher, endpoints);
    (publisher, Balancer::new(watch, "product"))
}

/// Sends requests one after the other, each slot answering after its latency; how many went to each slot.
fn spread(balancer: &Balancer, requests: u32, latency: impl Fn(u32) -> Duration) -> BTreeMap<u32, u32> {
    let mut rng = SmallRng::seed_from_u64(7);
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        balancer.refresh();
        let (inner, snapshot) = (&*balancer.0, balancer.0.snapshot.load());
        let ask = Ask {
            tried: &[],
            version: None,
            key: None,
            zone: None,
            now: Instant::now(),
        };
        let policy = inner.policy.load();
        let chosen = snapshot.choose(&ask, &policy, &inner.turn, &inner.figures, &mut rng);
        let pick = chosen.map(Tracked::pick).unwrap();
        *counts.entry(pick.endpoint.slot).or_default() += 1;
        let latency = latency(pick.endpoint.slot);
        pick.guard.done(latency, true);
    }
    counts
}

#[tokio::test(start_paused = true)]
async fn load_evens_out_and_a_slow_instance_gets_less() {
    let (_publisher, balancer) = balancer(&[endpoint(1, 100), endpoint(2, 100), endpoint(3, 100)]);
    let even = spread(&balancer, 3_000, |_| Duration::from_millis(2));
    assert!(even.values().all(|n| (850..1_150).contains(n)), "{even:?}");
    let slow = spread(&balancer, 3_000, |slot| {
        Duration::from_millis(if slot == 2 { 40 } else { 2 })
    });
    assert!(slow[&2] < 100, "{slow:?}");
    assert!(slow[&1] > 1_200 && slow[&3] > 1_200, "{slow:?}");
}

#[tokio::test(start_paused = true)]
async fn load_follows_the_weights_and_weight_nought_gets_none() {
    let (_publisher, balancer) = balancer(&[endpoint(1, 100), endpoint(2, 50), endpoint(3, 0)]);
    let counts = spread(&balancer, 3_000, |_| Duration::from_millis(2));
    assert!(!counts.contains_key(&3));
    assert!(counts[&2] < counts[&1] && counts[&2] > 0, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn the_instance_with_fewer_requests_in_flight_is_preferred() {
    let (_publisher, balancer) = balancer(&[endpoint(1, 100), endpoint(2, 100)]);
    let mut held: Vec<Pick> = Vec::new();
    for _ in 0..100 {
        held.push(balancer.pick().unwrap());
    }
    let first = held.iter().filter(|pick| pick.endpoint.slot == 1).count();
    assert!((40..=60).contains(&first), "{first}");
    drop(held);
    assert_eq!(balancer.pick().unwrap().guard.in_flight(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_instances_nothing_is_picked() {
    let (mut publisher, balancer) = balancer(&[]);
    assert!(balancer.pick().is_none() && balancer.is_known());
    assert!(!balancer.wait_ready(Duration::from_secs(1)).await);
    let waiting = tokio::spawn({
        let balancer = balancer.clone();
        async move { balancer.wait_ready(Duration::from_secs(1)).await }
    });
    put(&mut publisher, &[endpoint(1, 100)]);
    assert!(waiting.await.unwrap());
    assert!(!Balancer::new(Watch::fixed(vec![]), "product").is_known());
}

#[tokio::test(start_paused = true)]
async fn a_removed_instance_is_never_picked_and_the_others_keep_what_was_learnt() {
    let (one, two) = (endpoint(1, 100), endpoint(2, 100));
    let (mut publisher, balancer) = balancer(&[one.clone(), two.clone()]);
    let held = balancer.pick_incarnation(two.incarnation).unwrap();
    put(&mut publisher, std::slice::from_ref(&two));
    for _ in 0..50 {
        assert_eq!(balancer.pick().unwrap().endpoint.slot, 2);
    }
    assert!(balancer.pick_incarnation(one.incarnation).is_none());
    assert_eq!(balancer.pick_slot(2).unwrap().guard.in_flight(), 2);
    drop(held);
    let again = endpoint(1, 100);
    put(&mut publisher, &[two, again.clone()]);
    assert_eq!(balancer.endpoints()[0].incarnation, again.incarnation);
    publisher.apply(
        Change::Delete {
            name: "endpoints/product".to_owned(),
            revision: 2,
        },
        None,
    );
    assert!(balancer.pick().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_puts_an_instance_aside_for_a_second_unless_all_are() {
    let (one, two) = (endpoint(1, 100), endpoint(2, 100));
    let (_publisher, balancer) = balancer(&[one.clone(), two.clone()]);
    balancer.pick_slot(1).unwrap().guard.connect_failed();
    for _ in 0..50 {
        assert_eq!(balancer.pick().unwrap().endpoint.slot, 2);
    }
    balancer.pick_slot(2).unwrap().guard.connect_failed();
    assert!(balancer.pick().is_some());
    tokio::time::advance(Duration::from_millis(1_001)).await;
    let slots: std::collections::BTreeSet<u32> =
        (0..50).map(|_| balancer.pick().unwrap().endpoint.slot).collect();
    assert_eq!(slots.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_goes_elsewhere() {
    let (one, two) = (endpoint(1, 100), endpoint(2, 100));
    let (_publisher, balancer) = balancer(&[one.clone(), two.clone()]);
    for _ in 0..20 {
        assert_eq!(
            balancer.pick_excluding(&[one.incarnation]).unwrap().endpoint.slot,
            2
        );
    }
    assert!(
        balancer
            .pick_excluding(&[one.incarnation, two.incarnation])
            .is_none()
    );
}

#[tokio::test]
async fn a_set_that_cannot_be_read_leaves_the_last_good_one() {
    let (mut publisher, balancer) = balancer(&[endpoint(1, 100)]);
    assert!(balancer.pick().is_some());
    let resource = Resource {
        name: "endpoints/product".to_owned(),
        revision: 2,
        value: json!({ "instances": "none" }),
    };
    publisher.apply(Change::Put(resource), None);
    assert!(balancer.pick().is_some());
}
