//! Changes in two phases, as a process takes part in them.

use brick_bus::{Change, Publisher};
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::{Origin, Sources};

#[derive(Debug, Serialize, Deserialize)]
struct Settings {
    max_lines: u32,
    currency: String,
    api_key: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_lines: 20,
            currency: "EUR".to_owned(),
            api_key: String::new(),
        }
    }
}

struct Bench {
    publisher: Publisher,
    config: Config<Settings>,
    _trigger: brick_core::Trigger,
    following: tokio::task::JoinHandle<Result<(), Failed>>,
}

fn bench(args: &[&str]) -> Bench {
    let (publisher, watch) = brick_bus::watch::channel();
    let sources = Sources {
        env: vec![("MAX_LINES".to_owned(), "50".to_owned())],
        injected: vec!["MAX_LINES".to_owned()],
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        brick: "order".to_owned(),
        ..Sources::default()
    };
    let config = Config::<Settings>::load_checked(sources, Some(watch.clone()), |settings| {
        if settings.max_lines > 100 {
            return Err("max_lines: expected at most 100".to_owned());
        }
        Ok(())
    })
    .unwrap();
    let (trigger, drain) = brick_core::drain::channel();
    let live = Live::new(watch, "order");
    live.join(&config);
    Bench {
        publisher,
        config,
        _trigger: trigger,
        following: tokio::spawn(async move { live.follow(drain).await }),
    }
}

impl Bench {
    async fn prepare(&mut self, revision: u64, change: &str, values: Value) -> Option<String> {
        let value = json!({
            "change": change, "values": values, "decide_by": "2026-01-01T00:00:00Z",
            "origins": { "max_lines": "live", "currency": "repository order.yml@a1b2c3d" },
        });
        self.put("prepare/order", revision, value);
        let acks = self.publisher.acknowledgements().await;
        assert_eq!(
            (acks[0].name.as_str(), acks[0].revision),
            ("prepare/order", revision)
        );
        acks[0].refused.clone()
    }

    fn decide(&mut self, revision: u64, change: &str, mut values: Value) {
        values["$meta"] = json!({
            "change": change,
            "origins": { "max_lines": "live", "currency": "repository order.yml@a1b2c3d" },
        });
        self.put("config/order", revision, values);
    }

    fn put(&mut self, name: &str, revision: u64, value: Value) {
        let name = name.to_owned();
        let resource = Resource {
            name,
            revision,
            value,
        };
        self.publisher.apply(Change::Put(resource), None);
    }

    fn origin(&self, key: &str) -> Origin {
        let all = self.config.origins();
        all.into_iter().find(|setting| setting.key == key).unwrap().origin
    }
}

#[tokio::test]
async fn what_was_prepared_counts_only_once_it_is_decided() {
    let mut bench = bench(&[]);
    assert_eq!(
        bench
            .prepare(1, "a", json!({ "max_lines": 7, "currency": "CHF" }))
            .await,
        None
    );
    assert_eq!(bench.config.get().max_lines, 50, "prepared is not decided");
    bench.decide(2, "a", json!({ "max_lines": 7, "currency": "CHF" }));
    let acks = bench.publisher.acknowledgements().await;
    assert_eq!((acks[0].revision, &acks[0].refused), (2, &None));
    let settings = bench.config.get();
    assert_eq!((settings.max_lines, settings.currency.as_str()), (7, "CHF"));
    assert_eq!(bench.origin("max_lines"), Origin::Bus { revision: 2 });
    assert_eq!(
        bench.origin("currency").to_string(),
        "repository order.yml@a1b2c3d"
    );
}

#[tokio::test]
async fn a_wrong_type_and_the_bricks_own_check_refuse_with_the_reason() {
    let mut bench = bench(&[]);
    for (revision, value, expect) in [
        (1, json!("many"), "max_lines: expected u32, found \"many\""),
        (2, json!(101), "expected at most 100"),
    ] {
        let refused = bench.prepare(revision, "a", json!({ "max_lines": value })).await;
        assert!(
            refused.as_deref().is_some_and(|told| told.contains(expect)),
            "{refused:?}"
        );
    }
    assert_eq!(bench.config.get().max_lines, 50);
}

#[tokio::test]
async fn a_value_that_an_argument_overrides_is_told_as_shadowed() {
    let mut bench = bench(&["--max-lines=3"]);
    assert_eq!(bench.prepare(1, "a", json!({ "max_lines": 7 })).await, None);
    bench.decide(2, "a", json!({ "max_lines": 7 }));
    let acks = bench.publisher.acknowledgements().await;
    assert_eq!(
        acks[0].shadowed.get("max_lines").map(String::as_str),
        Some("argument")
    );
    assert_eq!(bench.config.get().max_lines, 3);
}

#[tokio::test]
async fn who_took_no_part_and_cannot_take_what_was_decided_ends() {
    let mut bench = bench(&[]);
    bench.decide(2, "b7", json!({ "max_lines": 101 }));
    let failed = bench.following.await.unwrap().unwrap_err();
    assert_eq!(failed.change, "b7");
    assert!(failed.reason.contains("expected at most 100"), "{failed}");
    let acks = bench.publisher.acknowledgements().await;
    assert!(acks[0].refused.is_some());
    assert_eq!(bench.config.get().max_lines, 50);
}

#[tokio::test]
async fn a_secret_is_told_in_no_refusal() {
    let mut bench = bench(&[]);
    let value = json!({
        "change": "a", "values": { "currency": { "hunter2": "hunter2" } }, "decide_by": "2026-01-01T00:00:00Z",
        "origins": { "currency.hunter2": "live" }, "secrets": ["currency"],
    });
    bench.put("prepare/order", 1, value);
    let acks = bench.publisher.acknowledgements().await;
    let refused = acks[0].refused.clone().unwrap();
    assert!(
        refused.contains("currency") && !refused.contains("hunter2"),
        "{refused}"
    );
}
