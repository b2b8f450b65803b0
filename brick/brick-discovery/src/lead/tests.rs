//! Which version a request goes to, and what it carries on.

use brick_bus::{Change, Endpoint, Endpoints, Protocol, Resource, watch};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn put(name: &str, value: Value) -> Change {
    Change::Put(Resource {
        name: name.to_owned(),
        revision: 1,
        value,
    })
}

fn endpoint(version: &str, slot: u32, quarantined: bool) -> Endpoint {
    Endpoint {
        slot,
        incarnation: Incarnation::new(),
        version: Version::new(version).unwrap(),
        zone: "a".to_owned(),
        addr: "127.0.0.1:1".parse().unwrap(),
        weight: 100,
        concurrent: version != "v1",
        protocol: Protocol::Http1,
        quarantined,
    }
}

/// A payment with these instances and this pool.
fn payment(instances: Vec<Endpoint>, pool: Option<Value>) -> (Balancer, Watch) {
    let (mut publisher, watch) = watch::channel();
    let endpoints = serde_json::to_value(Endpoints { instances }).unwrap();
    publisher.apply(put("endpoints/payment", endpoints), None);
    if let Some(pool) = pool {
        publisher.apply(put("pools/payment", pool), None);
    }
    (Balancer::new(watch.clone(), "payment"), watch)
}

fn both() -> Vec<Endpoint> {
    vec![endpoint("v1", 1, false), endpoint("v2", 1, false)]
}

fn fields(fields: &[(&'static str, &str)]) -> HeaderMap {
    let fields = fields.iter().map(|(name, value)| {
        let name = HeaderName::from_static(name);
        (name, HeaderValue::from_str(value).unwrap())
    });
    fields.collect()
}

fn token(user: &str) -> String {
    let claims = URL_SAFE_NO_PAD.encode(json!({ "sub": user }).to_string());
    format!("Bearer e30.{claims}.sig")
}

fn version(lead: &Lead) -> &str {
    match &lead.to {
        To::Version(version) => version.as_str(),
        _ => "",
    }
}

#[test]
fn without_rules_nothing_is_said() {
    let (balancer, _) = payment(both(), None);
    let mut headers = fields(&[("baggage", "a=b")]);
    assert_eq!(balancer.lead(&mut headers), Lead::any());
    assert_eq!(headers["baggage"], "a=b");
}

#[test]
fn what_travels_is_followed_while_its_version_is_up() {
    let pool = json!({ "base": "v1" });
    let (balancer, _) = payment(both(), Some(pool.clone()));
    let mut headers = fields(&[("baggage", "brick.pool=order:v3%3Bpayment:v2")]);
    assert_eq!(version(&balancer.lead(&mut headers)), "v2");
    assert_eq!(headers["baggage"], "brick.pool=order:v3%3Bpayment:v2");

    let (balancer, _) = payment(
        vec![endpoint("v1", 1, false), endpoint("v2", 1, true)],
        Some(pool),
    );
    let mut headers = fields(&[("baggage", "brick.pool=payment:v2")]);
    assert_eq!(version(&balancer.lead(&mut headers)), "v1", "v2 is quarantined");
}

#[test]
fn rules_come_before_shares_and_what_was_picked_is_carried_on() {
    let pool = json!({ "base": "v1", "sticky": "user", "rules": [
        { "when": { "header": { "name": "x-beta", "value": "yes" }, "tenant": "acme" }, "to": "v2" },
        { "when": { "cookie": { "name": "beta", "value": "1" } }, "to": "v2" },
        { "when": { "user": "carol" }, "to": "v2" },
    ] });
    let (balancer, _) = payment(both(), Some(pool));
    let check = |told: &[(&'static str, &str)], expect: &str| {
        let mut headers = fields(told);
        assert_eq!(version(&balancer.lead(&mut headers)), expect, "{told:?}");
        let baggage = headers["baggage"].to_str().unwrap();
        assert!(baggage.contains(&format!("payment:{expect}")), "{baggage}");
    };
    check(&[("x-beta", "yes")], "v1");
    check(&[("x-beta", "yes"), ("baggage", "tenant=acme")], "v2");
    check(&[("cookie", "a=b; beta=1")], "v2");
    check(&[("cookie", "beta=10")], "v1");
    check(&[("authorization", &token("carol"))], "v2");
    check(&[("authorization", "Bearer ???")], "v1");
}

#[test]
fn the_edge_picks_for_every_pool_that_a_request_says_something_of() {
    let (_, watch) = payment(
        both(),
        Some(json!({ "base": "v1", "sticky": "cookie:session", "shares": { "v2": 10000 } })),
    );
    let pools = Pools::new(watch);
    let mut headers = fields(&[("cookie", "session=7")]);
    pools.decide(&mut headers);
    assert_eq!(headers["baggage"], "brick.pool=payment:v2");
    let mut headers = fields(&[]);
    pools.decide(&mut headers);
    assert!(
        !headers.contains_key("baggage"),
        "without the cookie the caller picks"
    );
}

#[test]
fn a_quarantined_instance_is_picked_by_its_own_name_alone() {
    let (balancer, _) = payment(
        vec![
            endpoint("v1", 1, false),
            endpoint("v1", 2, true),
            endpoint("v2", 1, true),
        ],
        None,
    );
    for _ in 0..100 {
        assert_eq!(balancer.pick().unwrap().endpoint.slot, 1);
    }
    let named = |name: &str| {
        let pick = balancer.pick_led(&balancer.named(name), &[]);
        pick.map(|pick| pick.endpoint.slot_name("payment"))
    };
    assert_eq!(named("payment-2").as_deref(), Some("payment/2"));
    assert_eq!(named("payment-v2-1").as_deref(), Some("payment@v2/1"));
    assert_eq!(named("payment-9"), None);
}

proptest! {
    #[test]
    fn a_user_keeps_the_version_over_every_hop_and_a_share_is_kept_to(user in "[a-z]{1,12}", share in 0_u32..=10_000) {
        let pool = json!({ "base": "v1", "sticky": "user", "shares": { "v2": share } });
        let (balancer, watch) = payment(both(), Some(pool));
        let expect = if bucket("payment", &user) < share { "v2" } else { "v1" };
        let token = token(&user);
        let mut edge = fields(&[("authorization", &token)]);
        Pools::new(watch).decide(&mut edge);
        let mut alone = fields(&[("authorization", &token)]);
        let (first, second) = (balancer.lead(&mut edge), balancer.lead(&mut alone));
        prop_assert_eq!((version(&first), version(&second)), (expect, expect));
        // Later hops know the baggage alone.
        let mut later = HeaderMap::new();
        later.insert(BAGGAGE, edge[BAGGAGE].clone());
        let last = balancer.lead(&mut later);
        prop_assert_eq!(version(&last), expect);
    }

    #[test]
    fn no_baggage_makes_the_reader_panic(text in "[ -~]{0,200}") {
        let (balancer, _) = payment(both(), Some(json!({ "base": "v1" })));
        let mut headers = fields(&[("baggage", &format!("brick.pool={text}"))]);
        let _ = balancer.lead(&mut headers);
    }
}
