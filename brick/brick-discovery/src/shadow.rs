//! Shadow traffic: copies of requests for a version that is only looked at. What it answers is thrown away.
//!
//! One implementation decides for the SDK's client, the host proxy and the edge: whether a request is copied, and what
//! the copy carries. Copied is what changes nothing (safe methods, RFC 9110 §9.2.1, without a body), for a copy happens
//! a second time; never a copy, so that one request is no avalanche. Copies under way are bounded; what finds no room is
//! counted.
//!
//! What always holds: a copy goes to an instance of its version or nowhere, and neither its failures nor its latency
//! change how instances are picked for the requests that somebody waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use brick_bus::pool::BUCKETS;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use rand::RngExt as _;

use crate::lead::{Lead, To};
use crate::{Balancer, lead};

/// Says that a request is a copy, so that whoever gets it can leave out what must not happen twice.
pub const MIRRORED: HeaderName = HeaderName::from_static("x-brick-mirror");
/// Copies of one caller to one brick under way at a time.
const UNDER_WAY_MAX: usize = 64;

/// A copy to be sent, beside its request. It counts as under way until it is dropped.
#[derive(Debug)]
pub struct Shadow {
    /// Its fields.
    pub headers: HeaderMap,
    /// Where it goes.
    pub lead: Lead,
    _room: Room,
}

impl Shadow {
    /// How long it may take.
    pub const TIMEOUT: Duration = Duration::from_secs(5);
    /// Larger answers are not read to their end.
    pub const ANSWER_BYTES_MAX: usize = 1 << 20;
}

#[derive(Debug)]
struct Room(Arc<AtomicUsize>);

impl Drop for Room {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Balancer {
    /// A copy of a request that is led so, where the brick's pool wants one: an instance of the version is up, and the
    /// request does not go there itself. Nearly nothing where no pool has rules.
    pub fn shadow(&self, method: &Method, headers: &HeaderMap, led: &Lead) -> Option<Shadow> {
        let pool = self.pool()?;
        let mirror = pool.mirror.as_ref()?;
        let others = [MIRRORED, UPGRADE, TRANSFER_ENCODING, CONTENT_LENGTH];
        let is_copied = method.is_safe() && !others.iter().any(|name| headers.contains_key(name));
        // Who names an instance wants that one, and looks at it by hand.
        let is_elsewhere = match &led.to {
            To::Any => true,
            To::Version(version) => *version != mirror.version,
            To::Instance(_) | To::Nobody => false,
        };
        if !is_copied || !is_elsewhere || rand::rng().random_range(0..BUCKETS) >= mirror.share {
            return None;
        }
        if !self.is_up(&mirror.version) {
            return None;
        }
        let (under_way, figures) = self.shadows();
        let before = under_way.fetch_add(1, Ordering::AcqRel);
        let room = Room(Arc::clone(under_way));
        if before >= UNDER_WAY_MAX {
            figures.mirror_refused.inc();
            return None;
        }
        figures.mirrored.inc();
        let mut headers = headers.clone();
        headers.insert(MIRRORED, HeaderValue::from_static("1"));
        lead::keep(&mut headers, self.brick(), &mirror.version);
        Some(Shadow {
            headers,
            lead: Lead {
                aside: true,
                ..To::Version(mirror.version.clone()).into()
            },
            _room: room,
        })
    }
}

#[cfg(test)]
mod tests {
    use brick_bus::{Change, Endpoint, Endpoints, Protocol, Resource, watch};
    use brick_core::{Incarnation, Version};
    use serde_json::{Value, json};

    use super::*;

    fn balancer(versions: &[&str], pool: Value) -> Balancer {
        let (mut publisher, watch) = watch::channel();
        let instances = versions.iter().zip(1..).map(|(version, slot)| Endpoint {
            slot,
            incarnation: Incarnation::new(),
            version: Version::new(version).unwrap(),
            zone: "a".to_owned(),
            addr: "127.0.0.1:1".parse().unwrap(),
            weight: 100,
            concurrent: *version != "v1",
            protocol: Protocol::Http1,
            quarantined: false,
        });
        let endpoints = Endpoints {
            instances: instances.collect(),
        };
        for (name, value) in [
            ("endpoints/payment", serde_json::to_value(endpoints).unwrap()),
            ("pools/payment", pool),
        ] {
            let (name, revision) = (name.to_owned(), 1);
            publisher.apply(
                Change::Put(Resource {
                    name,
                    revision,
                    value,
                }),
                None,
            );
        }
        Balancer::new(watch, "payment")
    }

    fn all() -> Value {
        json!({ "base": "v1", "mirror": { "version": "v2", "share": 10_000 } })
    }

    fn shadow(balancer: &Balancer, method: &Method, headers: &HeaderMap) -> Option<Shadow> {
        let mut led = headers.clone();
        let lead = balancer.lead(&mut led);
        balancer.shadow(method, &led, &lead)
    }

    #[test]
    fn a_request_goes_to_its_version_and_its_copy_to_the_one_that_is_looked_at() {
        let balancer = balancer(&["v1", "v2"], all());
        let mut headers = HeaderMap::new();
        let lead = balancer.lead(&mut headers);
        let picked = balancer
            .pick_led(&lead, &[])
            .unwrap()
            .endpoint
            .version
            .to_string();
        let copy = balancer.shadow(&Method::GET, &headers, &lead).unwrap();
        let copied = balancer
            .pick_led(&copy.lead, &[])
            .unwrap()
            .endpoint
            .version
            .to_string();
        assert_eq!((picked.as_str(), copied.as_str()), ("v1", "v2"));
        assert_eq!(copy.headers[MIRRORED], "1");
        assert_eq!(copy.headers["baggage"], "brick.pool=payment:v2");
        assert!(!headers.contains_key(MIRRORED));
    }

    #[test]
    fn what_would_change_something_and_what_is_a_copy_is_not_copied() {
        let balancer = balancer(&["v1", "v2"], all());
        let plain = HeaderMap::new();
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert!(shadow(&balancer, &method, &plain).is_none(), "{method}");
        }
        for name in [MIRRORED, UPGRADE, CONTENT_LENGTH] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static("1"));
            assert!(shadow(&balancer, &Method::GET, &headers).is_none());
        }
        let mut there = HeaderMap::new();
        there.insert("baggage", HeaderValue::from_static("brick.pool=payment:v2"));
        assert!(shadow(&balancer, &Method::GET, &there).is_none());
    }

    #[test]
    fn what_copies_come_to_changes_nothing_for_the_requests() {
        let balancer = balancer(&["v1", "v2"], all());
        let copy = shadow(&balancer, &Method::GET, &HeaderMap::new()).unwrap();
        for _ in 0..50 {
            let pick = balancer.pick_led(&copy.lead, &[]).unwrap();
            pick.guard.done(Duration::from_secs(5), false);
            let pick = balancer.pick_led(&copy.lead, &[]).unwrap();
            pick.guard.connect_failed();
        }
        let mut headers = HeaderMap::new();
        headers.insert("baggage", HeaderValue::from_static("brick.pool=payment:v2"));
        let asked = balancer.lead(&mut headers);
        let pick = balancer.pick_led(&asked, &[]).unwrap();
        assert_eq!(
            pick.endpoint.version.as_str(),
            "v2",
            "it is neither avoided nor left out"
        );
        let (_, figures) = balancer.shadows();
        assert_eq!((figures.ejected.get(), figures.kept.get()), (0, 0));
        let tried = [pick.endpoint.incarnation];
        assert!(
            balancer.pick_led(&copy.lead, &tried).is_none(),
            "nobody else gets it"
        );
        assert!(balancer.pick_led(&asked, &tried).is_some());
    }

    #[test]
    fn who_names_an_instance_gets_no_copy_made() {
        let balancer = balancer(&["v1", "v2"], all());
        let own = balancer.named("payment-1");
        assert!(!own.is_nobody());
        assert!(balancer.shadow(&Method::GET, &HeaderMap::new(), &own).is_none());
    }

    #[test]
    fn a_share_is_kept_to_and_a_version_that_is_not_up_gets_nothing() {
        let tenth = json!({ "base": "v1", "mirror": { "version": "v2", "share": 1_000 } });
        let balancer_of = |versions: &[&str]| balancer(versions, tenth.clone());
        let (up, away) = (balancer_of(&["v1", "v2"]), balancer_of(&["v1"]));
        let copies = |balancer: &Balancer| {
            let asked = (0..5_000).filter(|_| shadow(balancer, &Method::GET, &HeaderMap::new()).is_some());
            asked.count()
        };
        let copied = copies(&up);
        assert!((350..=650).contains(&copied), "{copied}");
        assert_eq!(copies(&away), 0);
    }

    #[test]
    fn copies_under_way_are_bounded() {
        let balancer = balancer(&["v1", "v2"], all());
        let ask = || shadow(&balancer, &Method::GET, &HeaderMap::new());
        let held: Vec<Option<Shadow>> = (0..UNDER_WAY_MAX + 10).map(|_| ask()).collect();
        assert_eq!(held.iter().flatten().count(), UNDER_WAY_MAX);
        drop(held);
        assert!(ask().is_some());
    }
}
