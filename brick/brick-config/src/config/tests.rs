//! Precedence, messages, live changes.

use std::path::PathBuf;

use brick_bus::{Change, Publisher};
use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Debug, Serialize, Deserialize)]
struct Settings {
    max_lines: u32,
    currency: String,
    note: Option<String>,
    rate: Option<f64>,
    tags: Vec<String>,
    limits: Limits,
    api_key: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Limits {
    timeout_ms: u64,
    strict: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_lines: 20,
            currency: "EUR".to_owned(),
            note: None,
            rate: None,
            tags: vec![],
            limits: Limits {
                timeout_ms: 1_000,
                strict: false,
            },
            api_key: "none".to_owned(),
        }
    }
}

fn pairs(env: &[(&str, &str)]) -> Vec<(String, String)> {
    env.iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect()
}

fn sources(env: &[(&str, &str)], injected: &[&str], args: &[&str]) -> Sources {
    Sources {
        env: pairs(env),
        injected: injected.iter().map(|&name| name.to_owned()).collect(),
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        brick: "order".to_owned(),
        ..Sources::default()
    }
}

fn live(revision: u64, value: Value) -> Resource {
    Resource {
        name: "config/order".to_owned(),
        revision,
        value,
    }
}

fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn origin<T>(config: &Config<T>, key: &str) -> String {
    let settings = config.origins();
    let setting = settings.iter().find(|setting| setting.key == key).unwrap();
    setting.origin.to_string()
}

#[test]
fn each_layer_overrides_those_below_and_is_named_as_origin() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "order.toml", "max_lines = 2");
    let mut sources = sources(&[], &[], &[]);
    let check = |sources: &Sources, watch: Option<Watch>, expect: (u32, &str)| {
        let config = Config::<Settings>::load(sources.clone(), watch).unwrap();
        let told = origin(&config, "max_lines");
        assert_eq!((config.get().max_lines, told.as_str()), expect);
    };
    check(&sources, None, (20, "default"));
    sources.env = pairs(&[("MAX_LINES", "1")]);
    sources.injected = vec!["MAX_LINES".to_owned()];
    check(&sources, None, (1, "brick.toml"));
    sources.files = vec![path.clone()];
    let told = path.display().to_string();
    check(&sources, None, (2, &told));
    let repeated = Watch::fixed(vec![live(7, json!({ "max_lines": 1, "flag": { "x": true } }))]);
    check(&sources, Some(repeated), (2, &told));
    let changed = Watch::fixed(vec![live(8, json!({ "max_lines": 3 }))]);
    check(&sources, Some(changed.clone()), (3, "live change, revision 8"));
    sources.injected.clear();
    sources.env = pairs(&[("MAX_LINES", "4")]);
    check(
        &sources,
        Some(changed.clone()),
        (4, "environment variable MAX_LINES"),
    );
    sources.args = vec![
        "--max-lines=5".to_owned(),
        "--other=1".to_owned(),
        "order".to_owned(),
    ];
    check(&sources, Some(changed), (5, "argument"));
}

#[test]
fn text_stands_for_what_the_key_wants() {
    let env = [
        ("CURRENCY", "12"),
        ("NOTE", "12"),
        ("RATE", "0.5"),
        ("TAGS", r#"["a"]"#),
        ("LIMITS_STRICT", "true"),
        ("LIMITS_TIMEOUT_MS", "5"),
    ];
    let config = Config::<Settings>::load(sources(&env, &[], &["--limits.timeout_ms=7"]), None).unwrap();
    let settings = config.get();
    assert_eq!(settings.currency, "12");
    assert_eq!(settings.note.as_deref(), Some("12"));
    assert_eq!((settings.rate, &settings.tags[0][..]), (Some(0.5), "a"));
    assert_eq!((settings.limits.strict, settings.limits.timeout_ms), (true, 7));
}

#[test]
fn everything_wrong_is_told_at_once_with_key_origin_expected_and_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(
        &folder,
        "order.toml",
        "max_line = 1\n[limits]\nstrict = \"yes\"\ntimout_ms = 3",
    );
    let missing = folder.path().join("missing.toml");
    let broken = file(&folder, "broken.toml", "max_lines = ");
    let mut sources = sources(
        &[("MAX_LINES", "many")],
        &["MAX_LINES"],
        &["--api_key={}", "--tags=3"],
    );
    sources.files = vec![path.clone(), missing.clone(), broken.clone()];
    let told = Config::<Settings>::load(sources, None).unwrap_err().to_string();
    let path = path.display();
    for expect in [
        "max_lines: expected u32, found \"many\" (brick.toml)".to_owned(),
        format!("max_line: no such key ({path}); did you mean max_lines?"),
        format!("limits.strict: expected a boolean, found \"yes\" ({path})"),
        format!("limits.timout_ms: no such key ({path}); did you mean limits.timeout_ms?"),
        format!("{}: No such file", missing.display()),
        format!("{}: TOML parse error at line 1", broken.display()),
        "tags: expected a sequence, found \"3\" (argument)".to_owned(),
    ] {
        assert!(told.contains(&expect), "expected {expect}\nin {told}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let config = Config::<Settings>::load(sources(&[("API_KEY", "s3cret")], &[], &[]), None).unwrap();
    assert_eq!(config.get().api_key, "s3cret");
    assert!(!format!("{config:?} {:?}", config.origins()).contains("s3cret"));
}

struct Bench {
    publisher: Publisher,
    config: Config<Settings>,
    trigger: brick_core::Trigger,
    following: tokio::task::JoinHandle<Result<(), Failed>>,
}

fn bench() -> Bench {
    let (mut publisher, watch) = brick_bus::watch::channel();
    publisher.apply(Change::Put(live(1, json!({ "max_lines": 30 }))), None);
    let config = Config::<Settings>::load_checked(sources(&[], &[], &[]), Some(watch), |settings| {
        if settings.max_lines > 100 {
            return Err("max_lines: expected at most 100".to_owned());
        }
        Ok(())
    })
    .unwrap();
    let (trigger, drain) = brick_core::drain::channel();
    let follower = config.clone();
    let following = tokio::spawn(async move { follower.follow(drain).await });
    Bench {
        publisher,
        config,
        trigger,
        following,
    }
}

#[tokio::test]
async fn a_live_change_is_swapped_in_and_acknowledged() {
    let mut bench = bench();
    assert_eq!(bench.config.get().max_lines, 30);
    assert_eq!(bench.publisher.acknowledgements().await[0].refused, None);
    bench
        .publisher
        .apply(Change::Put(live(2, json!({ "max_lines": 40 }))), None);
    bench.config.changed().await;
    assert_eq!(bench.config.get().max_lines, 40);
    assert_eq!(bench.publisher.acknowledgements().await[0].revision, 2);
    bench.trigger.drain();
    bench.following.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_live_change_that_does_not_fit_is_refused_and_the_old_values_stay() {
    let mut bench = bench();
    bench.publisher.acknowledgements().await;
    for (revision, value, expect) in [
        (
            2,
            json!({ "max_lines": "x" }),
            "max_lines: expected u32, found \"x\" (live change, revision 2)",
        ),
        (3, json!({ "max_lines": 101 }), "expected at most 100"),
    ] {
        bench.publisher.apply(Change::Put(live(revision, value)), None);
        let acks = bench.publisher.acknowledgements().await;
        assert_eq!(acks[0].revision, revision);
        let refused = acks[0].refused.as_deref().unwrap();
        assert!(refused.contains(expect), "{refused}");
        assert_eq!(bench.config.get().max_lines, 30);
    }
    bench.trigger.drain();
}

#[tokio::test]
async fn a_brick_starts_where_only_the_live_change_is_wrong() {
    let (mut publisher, watch) = brick_bus::watch::channel();
    publisher.apply(Change::Put(live(1, json!({ "max_lines": "x" }))), None);
    let config = Config::<Settings>::load(sources(&[], &[], &[]), Some(watch)).unwrap();
    assert_eq!(config.get().max_lines, 20);
    assert!(publisher.acknowledgements().await[0].refused.is_some());
}
