use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{DEPTH_MAX, NODES_MAX, read};

fn flag(targeting: Value) -> Result<Flag, Error> {
    let definition = json!({
        "state": "ENABLED", "variants": { "on": 1, "off": 2, "true": 3 }, "defaultVariant": "off", "targeting": targeting,
    });
    Flag::compile("x", &serde_json::from_value(definition).unwrap())
}

/// The variant that a rule leads to.
fn check(targeting: Value, context: Value, expect: &str) {
    let flag = flag(targeting.clone()).unwrap_or_else(|error| panic!("{targeting}: {error}"));
    let found = flag.evaluate(context.as_object().unwrap(), 100);
    let found = found.map_or_else(|failure| failure.to_string(), |found| found.variant.to_owned());
    assert_eq!(found, expect, "{targeting} of {context}");
}

#[test]
fn operators_do_what_flagd_says_they_do() {
    let context = json!({
        "n": 5, "text": "5", "name": "ann", "yes": true, "list": ["a", 1], "a": { "b": [{ "c": "deep" }] }, "v": "1.2.3",
        "e": "", "dotted.name": "found",
    });
    for (condition, holds) in [
        (json!({ "==": [{ "var": "n" }, "5"] }), true),
        (json!({ "===": [{ "var": "n" }, "5"] }), false),
        (json!({ "===": [{ "var": "n" }, 5.0] }), true),
        (json!({ "!=": [{ "var": "name" }, "bob"] }), true),
        (json!({ "!==": [{ "var": "text" }, 5] }), true),
        (json!({ "==": [{ "var": "yes" }, 1] }), true),
        (json!({ "==": [{ "var": "none" }, null] }), true),
        (json!({ "==": [{ "var": "e" }, null] }), false),
        (json!({ "<": [1, { "var": "n" }, 6] }), true),
        (json!({ "<": [1, { "var": "n" }, 5] }), false),
        (json!({ "<=": [5, { "var": "n" }, 5] }), true),
        (json!({ ">": [{ "var": "text" }, 4] }), true),
        (json!({ ">=": [{ "var": "name" }, 4] }), false),
        (json!({ ">": ["b", "a"] }), true),
        (json!({ "in": ["nn", { "var": "name" }] }), true),
        (json!({ "in": [{ "var": "name" }, ["bob", "ann"]] }), true),
        (json!({ "in": [1, { "var": "list" }] }), true),
        (json!({ "in": ["x", { "var": "n" }] }), false),
        (json!({ "and": [{ "var": "yes" }, { "var": "n" }] }), true),
        (json!({ "and": [{ "var": "yes" }, { "var": "e" }] }), false),
        (json!({ "or": [{ "var": "e" }, [], 0, "x"] }), true),
        (json!({ "!": { "var": "e" } }), true),
        (json!({ "!!": [{ "var": "list" }] }), true),
        (json!({ "==": [{ "var": "a.b.0.c" }, "deep"] }), true),
        (json!({ "==": [{ "var": "dotted.name" }, "found"] }), true),
        (json!({ "==": [{ "var": ["none", "else"] }, "else"] }), true),
        (json!({ "starts_with": [{ "var": "name" }, "an"] }), true),
        (json!({ "ends_with": [{ "var": "name" }, "an"] }), false),
        (json!({ "ends_with": [{ "var": "n" }, "5"] }), false),
        (json!({ "sem_ver": [{ "var": "v" }, "^", "1.0.0"] }), true),
        (json!({ "sem_ver": [{ "var": "n" }, "=", "5.0.0"] }), false),
        (
            json!({ "==": [{ "cat": [{ "var": "name" }, "-", { "var": "n" }] }, "ann-5"] }),
            true,
        ),
        (json!({ "==": [{ "var": "$flagd.flagKey" }, "x"] }), true),
        (json!({ ">=": [{ "var": "$flagd.timestamp" }, 100] }), true),
    ] {
        let expect = if holds { "on" } else { "off" };
        check(json!({ "if": [condition, "on", "off"] }), context.clone(), expect);
    }
}

#[test]
fn what_targeting_gives_is_a_variant_the_default_or_a_failure() {
    check(json!({ "if": [false, "on", true, "true"] }), json!({}), "true");
    check(json!({ "if": [{ "var": "x" }, "on"] }), json!({}), "off");
    check(json!({ "==": [1, 1] }), json!({}), "true");
    check(
        json!({ "==": [1, 2] }),
        json!({}),
        "targeting gives \"false\", which is none of the variants",
    );
    check(json!({ "var": "wanted" }), json!({ "wanted": "on" }), "on");
    let list = json!({ "wanted": [1] });
    check(
        json!({ "var": "wanted" }),
        list,
        "targeting gives [1], which is none of the variants",
    );
    let none = Map::new();
    let reason = |targeting: Value| flag(targeting).unwrap().evaluate(&none, 0).unwrap().reason;
    assert_eq!(reason(json!({})), Reason::Static);
    assert_eq!(reason(json!({ "if": [false, "on"] })), Reason::Default);
    assert_eq!(reason(json!({ "if": [true, "on"] })), Reason::TargetingMatch);
    let mut definition = Definition::boolean(true);
    definition.state = State::Disabled;
    let disabled = Flag::compile("x", &definition).unwrap();
    assert_eq!(disabled.evaluate(&none, 0), Err(Failure::Disabled));
}

#[test]
fn a_split_sticks_to_its_key_and_keeps_its_shares() {
    let targeting = json!({ "fractional": [["on", 10], ["off", 90]] });
    let of = |targeting: &Value, key: &str| {
        let flag = flag(targeting.clone()).unwrap();
        let context = json!({ "targetingKey": key });
        let found = flag.evaluate(context.as_object().unwrap(), 0).unwrap();
        found.variant == "on"
    };
    let keys: Vec<String> = (0..10_000).map(|n| format!("user-{n}")).collect();
    let on: Vec<&String> = keys.iter().filter(|key| of(&targeting, key)).collect();
    assert!((900..1_100).contains(&on.len()), "{}", on.len());
    let more = json!({ "fractional": [["on", 20], ["off", 80]] });
    assert!(
        on.iter().all(|key| of(&more, key)),
        "who had it keeps it as the share grows"
    );
    check(targeting, json!({}), "off");
    let by_name = json!({ "fractional": [{ "var": "name" }, ["on"], ["on"]] });
    check(by_name, json!({ "name": "ann" }), "on");
    check(
        json!({ "fractional": [["on", 0], ["off", 0]] }),
        json!({ "targetingKey": "a" }),
        "off",
    );
    // Key of the flag and targeting key are hashed as one text: murmur3("x" + "hello") of flagd.
    let point = (u64::from(crate::murmur::hash(b"xhello")) * 100) >> 32;
    let below = json!({ "fractional": [["on", point + 1], ["off", 99 - point]] });
    assert!(of(&below, "hello"));
    let above = json!({ "fractional": [["on", point], ["off", 100 - point]] });
    assert!(!of(&above, "hello"));
}

#[test]
fn what_cannot_be_a_flag_is_refused_by_its_field() {
    for (targeting, path) in [
        (json!({ "eval": ["x"] }), "targeting"),
        (json!({ "var": "a", "in": [] }), "targeting"),
        (json!({ "if": [true, "onn"] }), "targeting.if[1]"),
        (json!({ "if": [{ "==": [1] }, "on"] }), "targeting.if[0].=="),
        (
            json!({ "fractional": [["on", 1.5], ["off"]] }),
            "targeting.fractional[0]",
        ),
        (
            json!({ "fractional": [["on", 1], ["of", 1]] }),
            "targeting.fractional[1][0]",
        ),
        (
            json!({ "if": [{ "sem_ver": ["1", "==", "1"] }, "on"] }),
            "targeting.if[0].sem_ver[1]",
        ),
        (json!([1]), "targeting"),
    ] {
        assert_eq!(flag(targeting.clone()).unwrap_err().path, path, "{targeting}");
    }
    for (definition, path) in [
        (json!({ "variants": {}, "defaultVariant": "on" }), "variants"),
        (
            json!({ "variants": { "a": 1, "b": "x" }, "defaultVariant": "a" }),
            "variants.b",
        ),
        (
            json!({ "variants": { "a": null }, "defaultVariant": "a" }),
            "variants.a",
        ),
        (
            json!({ "variants": { "a": 1 }, "defaultVariant": "b" }),
            "defaultVariant",
        ),
    ] {
        let definition = serde_json::from_value(definition).unwrap();
        assert_eq!(Flag::compile("x", &definition).unwrap_err().path, path);
    }
    assert_eq!(
        Flag::compile("a/b", &Definition::boolean(true)).unwrap_err().path,
        "key"
    );
}

#[test]
fn targeting_is_bounded() {
    let deep = |levels: usize| (0..levels).fold(json!("on"), |inner, _| json!({ "if": [true, inner] }));
    assert!(flag(deep(DEPTH_MAX - 1)).is_ok());
    assert!(flag(deep(DEPTH_MAX + 1)).is_err());
    let wide = |nodes: usize| json!({ "or": vec![json!("on"); nodes] });
    assert!(flag(wide(NODES_MAX - 2)).is_ok());
    assert!(flag(wide(NODES_MAX + 1)).is_err());
    let large = json!({ "if": [{ "==": [{ "var": "a" }, "x".repeat(40_000)] }, "on"] });
    assert_eq!(flag(large).unwrap_err().path, "definition");
}

#[test]
fn a_file_of_flagd_is_read_with_its_evaluators() {
    let document = json!({
        "$schema": "https://flagd.dev/schema/v0/flags.json",
        "metadata": { "team": "shop" },
        "$evaluators": {
            "staff": { "or": [{ "$ref": "mail" }, { "==": [{ "var": "tenant" }, "own"] }] },
            "mail": { "ends_with": [{ "var": "email" }, "@shop.test"] },
        },
        "flags": {
            "express": {
                "state": "ENABLED", "variants": { "on": true, "off": false }, "defaultVariant": "off",
                "targeting": { "if": [{ "$ref": "staff" }, "on"] }, "metadata": { "since": 3 },
            },
        },
    });
    let flags = read(&document).unwrap();
    assert_eq!(
        json!(flags["express"].metadata),
        json!({ "since": 3, "team": "shop" })
    );
    let flag = Flag::compile("express", &flags["express"]).unwrap();
    let context = json!({ "email": "ann@shop.test" });
    assert_eq!(
        flag.evaluate(context.as_object().unwrap(), 0).unwrap().variant,
        "on"
    );

    let wrong = |edit: fn(&mut Value)| {
        let mut document = document.clone();
        edit(&mut document);
        read(&document).unwrap_err().to_string()
    };
    assert!(
        wrong(|all| all["$evaluators"] = json!({}))
            .starts_with("flags.express.targeting.$ref: $evaluators has no")
    );
    assert!(wrong(|all| all["$evaluators"]["mail"] = json!({ "$ref": "staff" })).contains("deep"));
    assert!(
        wrong(|all| all["flags"]["express"]["stat"] = json!(1))
            .contains("flags.express: unknown field `stat`")
    );
    assert!(wrong(|all| all["flag"] = json!(1)).starts_with("flag: expected flags"));
    assert!(read(&json!([])).is_err());
}

#[test]
fn shares_are_read_back_from_a_split_alone() {
    let shares = [("on".to_owned(), 1), ("off".to_owned(), 3)];
    let mut definition = Definition::boolean(false);
    definition.targeting = Some(Definition::split(
        shares.iter().map(|(name, parts)| (name, parts)),
    ));
    let found = definition.shares().unwrap();
    assert_eq!((found["on"], found["off"]), (25.0, 75.0));
    definition.targeting = Some(json!({ "if": [true, "on"] }));
    assert_eq!(definition.shares(), None);
}

/// Any JSON, and much that looks like targeting.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z.$0-9]{0,6}".prop_map(Value::from),
        prop::sample::select(vec!["on", "off", "targetingKey", "a", "1.2.3", "^", "="]).prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 5, |inner| {
        let operators = vec![
            "var",
            "if",
            "==",
            "===",
            "!=",
            "!==",
            "<",
            "<=",
            ">",
            ">=",
            "in",
            "and",
            "or",
            "!",
            "!!",
            "cat",
            "starts_with",
            "ends_with",
            "sem_ver",
            "fractional",
            "$ref",
            "eval",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            (
                prop::sample::select(operators),
                prop::collection::vec(inner.clone(), 0..5)
            )
                .prop_map(|(operator, values)| json!({ operator: values })),
            prop::collection::btree_map("[a-c]", inner, 0..3)
                .prop_map(|map| map.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_makes_reading_or_evaluating_panic_and_equal_questions_have_equal_answers(
        targeting in anything(), context in anything(), key in "[a-z]{0,4}",
    ) {
        let mut context = context.as_object().cloned().unwrap_or_default();
        context.insert("targetingKey".to_owned(), key.into());
        if let Ok(flag) = flag(targeting.clone()) {
            let found = flag.evaluate(&context, 7);
            prop_assert_eq!(&found, &flag.evaluate(&context, 7));
            if let Ok(found) = found {
                prop_assert!(flag.definition().variants.contains_key(found.variant));
            }
        }
        let _ = read(&json!({ "flags": { "x": { "variants": { "on": true }, "defaultVariant": "on", "targeting": targeting } } }));
    }
}
