//! How instances and manifests become resources.

use std::str::FromStr as _;

use proptest::prelude::*;
use serde_json::json;

use super::*;

pub(crate) fn trust() -> TrustBundle {
    TrustBundle {
        issuer: "urn:brickwork:shop".to_owned(),
        system: "shop".to_owned(),
        jwks: json!({ "keys": [] }),
    }
}

pub(crate) fn registered(brick: &str, slot: u32, incarnation: Incarnation) -> Registered {
    Registered {
        instance: Instance {
            brick: BrickName::from_str(brick).unwrap(),
            version: Default::default(),
            slot,
            incarnation,
            zone: "a".to_owned(),
            addr: ([127, 0, 0, 1], 20_000 + u16::try_from(slot).unwrap()).into(),
            concurrent: false,
        },
        ttl_ms: 1_000,
        ready: true,
        supervised: true,
        quarantined: None,
        details: Details::default(),
    }
}

fn manifest() -> Arc<Model> {
    let model = json!({
        "brickwork": 1,
        "system": { "name": "shop" },
        "brick": {
            "order": { "run": "order", "needs": ["payment", "psp"] },
            "payment": { "run": "payment" },
            "psp": { "external": "https://psp.example" },
        },
        "route": { "orders": { "match": "/api/orders/**", "to": "order" } },
        "limits": { "order -> payment": { "timeout": "2s" } },
        "config": { "order": { "max_lines": 50 } },
        "flag": { "express": { "default": true, "bricks": ["order"] } },
    });
    Arc::new(serde_json::from_value(model).unwrap())
}

fn names(changes: &[Published]) -> Vec<(&str, u64)> {
    changes
        .iter()
        .map(|change| (change.name(), change.revision()))
        .collect()
}

#[test]
fn a_manifest_becomes_resources_and_the_same_again_publishes_nothing() {
    let mut state = State::default();
    state.apply(Action::Manifest(manifest()), "shop").unwrap();
    let changes = state.publish(&trust()).unwrap();
    let expected = [
        "config/order",
        "config/payment",
        "edge/settings",
        "endpoints/order",
        "endpoints/payment",
        "flags/order",
        "limits/edge->order",
        "limits/order->payment",
        "limits/order->psp",
        "routes/edge",
        "trust/bundle",
    ];
    assert_eq!(changes.iter().map(Published::name).collect::<Vec<_>>(), expected);
    assert_eq!(state.revision, 11);
    let value = |name: &str| state.resources[name].value.clone();
    assert_eq!(
        value("config/order"),
        json!({
            "max_lines": 50, "flag": { "express": true },
            "$meta": { "origins": { "flag.express": "manifest", "max_lines": "manifest" } },
        })
    );
    assert_eq!(value("limits/order->payment"), json!({ "timeout_ms": 2_000 }));
    assert_eq!(value("routes/edge")["routes"][0]["path"], "/api/orders/**");
    assert_eq!(value("endpoints/payment"), json!({ "instances": [] }));

    state.apply(Action::Manifest(manifest()), "shop").unwrap();
    assert!(state.publish(&trust()).unwrap().is_empty());
    let refused = state.apply(Action::Manifest(manifest()), "other").unwrap_err();
    assert!(matches!(refused, Error::OtherSystem { .. }));
}

#[test]
fn one_change_of_one_instance_changes_one_resource_by_one_revision() {
    let mut state = State::default();
    state.apply(Action::Manifest(manifest()), "shop").unwrap();
    state.publish(&trust()).unwrap();
    let incarnation = Incarnation::new();
    let mut step = |action: Action| {
        state.apply(action, "shop").unwrap();
        let changes = state.publish(&trust()).unwrap();
        names(&changes)
            .into_iter()
            .map(|(name, revision)| (name.to_owned(), revision))
            .collect::<Vec<_>>()
    };
    let order = |revision| vec![("endpoints/order".to_owned(), revision)];
    assert_eq!(
        step(Action::Register(registered("order", 1, incarnation))),
        order(12)
    );
    assert_eq!(step(Action::Ready(vec![(incarnation, true)])), []);
    assert_eq!(step(Action::Ready(vec![(incarnation, false)])), order(13));
    assert_eq!(step(Action::Unsupervised(incarnation)), []);
    assert_eq!(step(Action::Remove(incarnation)), []);
    assert_eq!(step(Action::Ready(vec![(incarnation, true)])), []);
}

#[test]
fn a_brick_in_no_manifest_takes_its_resource_along() {
    let mut state = State::default();
    let incarnation = Incarnation::new();
    state
        .apply(Action::Register(registered("visitor", 1, incarnation)), "shop")
        .unwrap();
    assert_eq!(
        names(&state.publish(&trust()).unwrap()),
        [("endpoints/visitor", 1), ("trust/bundle", 2)]
    );
    state.apply(Action::Remove(incarnation), "shop").unwrap();
    assert_eq!(
        names(&state.publish(&trust()).unwrap()),
        [("endpoints/visitor", 3)]
    );
}

#[test]
fn a_newer_start_replaces_the_older_and_the_older_is_fenced_for_good() {
    let mut state = State::default();
    let (older, newer) = (Incarnation::new(), Incarnation::new());
    let mut register =
        |incarnation| state.apply(Action::Register(registered("order", 1, incarnation)), "shop");
    register(older).unwrap();
    register(newer).unwrap();
    register(newer).unwrap();
    assert!(matches!(register(older), Err(Error::Fenced { newer: found, .. }) if found == newer));
    assert_eq!(state.instances.keys().copied().collect::<Vec<_>>(), [newer]);
    state.apply(Action::Remove(newer), "shop").unwrap();
    let again = state.apply(Action::Register(registered("order", 1, older)), "shop");
    assert!(matches!(again, Err(Error::Fenced { .. })));
    let other_slot = state.apply(Action::Register(registered("order", 2, older)), "shop");
    assert!(other_slot.is_ok());
}

proptest! {
    #[test]
    fn what_is_published_step_by_step_is_what_the_whole_derives(
        steps in proptest::collection::vec((0..3_usize, 1..4_u32, 0..5_u8), 1..30)
    ) {
        let mut state = State::default();
        let mut known = Vec::new();
        for (brick, slot, what) in steps {
            let incarnation = Incarnation::new();
            let of = |at: usize| known.get(at % known.len().max(1)).copied().unwrap_or(incarnation);
            let action = match what {
                0 => Action::Manifest(manifest()),
                1 => Action::Remove(of(brick)),
                2 => Action::Ready(vec![(of(brick + slot as usize), slot == 1)]),
                _ => {
                    known.push(incarnation);
                    Action::Register(registered(["order", "payment", "visitor"][brick], slot, incarnation))
                }
            };
            state.apply(action, "shop").unwrap();
            state.publish(&trust()).unwrap();
            let mut whole = state.clone();
            whole.touched = Touched::All;
            prop_assert_eq!(whole.publish(&trust()).unwrap(), []);
        }
    }
}

#[test]
fn what_operators_set_is_merged_outlives_the_manifest_and_is_taken_back() {
    let mut state = State::default();
    state.apply(Action::Manifest(manifest()), "shop").unwrap();
    state.publish(&trust()).unwrap();
    let set = |state: &mut State, name: &str, value: Option<Value>| {
        state.apply(Action::Set(name.to_owned(), value), "shop").unwrap();
        let changes = state.publish(&trust()).unwrap();
        changes
            .iter()
            .map(|change| change.name().to_owned())
            .collect::<Vec<_>>()
    };
    let limits = "limits/order->payment";
    let open = json!({ "breaker": { "forced": "open" } });
    assert_eq!(set(&mut state, limits, Some(open)), [limits]);
    let expected = json!({ "timeout_ms": 2_000, "breaker": { "forced": "open" } });
    assert_eq!(state.resources[limits].value, expected);
    state.apply(Action::Manifest(manifest()), "shop").unwrap();
    assert!(state.publish(&trust()).unwrap().is_empty());
    let faults = json!({ "rules": [{ "reset": true }] });
    for (name, known) in [
        ("faults/order->payment", true),
        ("faults/route->orders", true),
        ("faults/a->b", false),
    ] {
        assert_eq!(
            set(&mut state, name, Some(faults.clone())).len(),
            usize::from(known),
            "{name}"
        );
    }
    assert_eq!(set(&mut state, limits, None), [limits]);
    assert_eq!(state.resources[limits].value, json!({ "timeout_ms": 2_000 }));
    assert_eq!(
        set(&mut state, "faults/route->orders", None),
        ["faults/route->orders"]
    );
}
