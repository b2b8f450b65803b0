//! Changes of configuration in two phases: control with real subscribers that hold real configurations.

use std::time::Duration;

use brick_core::{Incarnation, Trigger};
use brickwork::config::{Config, Failed, Live, Sources};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::harness::{Control, Subscriber, control, control_with, eventually, subscribe};

const ORDER: &str = "/api/config/v1/order";
const PATTERNS: [&str; 4] = ["config/order", "prepare/order", "log/order", "trust/bundle"];

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) max_lines: u32,
    pub(super) pin: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_lines: 20,
            pin: String::new(),
        }
    }
}

/// An instance of order: on the bus, with its configuration.
pub(super) struct Order {
    subscriber: Subscriber,
    pub(super) config: Config<Settings>,
    incarnation: Incarnation,
    following: JoinHandle<Result<(), Failed>>,
    _trigger: Trigger,
}

/// Starts and registers order/N, which takes at most so many lines.
pub(super) async fn order(control: &Control, slot: u32, most: u32, env: &[(&str, &str)]) -> Order {
    let who = control.process("order", &["bus", "call:payment"]);
    let incarnation = who.1;
    let mut subscriber = subscribe(&control.url, who, &PATTERNS, None);
    subscriber
        .until("the configuration", |state| {
            state.resources.contains_key("config/order")
        })
        .await;
    let sources = Sources {
        env: env
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
        brick: "order".to_owned(),
        ..Sources::default()
    };
    let check = move |settings: &Settings| {
        let fits = settings.max_lines <= most;
        fits.then_some(())
            .ok_or_else(|| format!("max_lines: expected at most {most}"))
    };
    let config = Config::load_checked(sources, Some(subscriber.watch.clone()), check).unwrap();
    let live = Live::new(subscriber.watch.clone(), "order");
    live.join(&config);
    let (trigger, drain) = brick_core::drain::channel();
    let following = tokio::spawn(async move { live.follow(drain).await });
    assert!(
        control
            .register("order", slot, incarnation, json!({}))
            .await
            .status
            .is_success()
    );
    Order {
        subscriber,
        config,
        incarnation,
        following,
        _trigger: trigger,
    }
}

impl Control {
    pub(super) async fn order(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let admin = self.operator(&["admin"]).await;
        let answer = self.call(method, &format!("{ORDER}{path}"), &admin, body).await;
        (
            answer.status.as_u16(),
            serde_json::from_slice(&answer.body).unwrap(),
        )
    }

    pub(super) async fn set(&self, values: Value) -> (u16, Value) {
        self.order(
            Method::PATCH,
            "",
            Some(json!({ "values": values, "why": "a test" })),
        )
        .await
    }

    pub(super) async fn history(&self) -> Vec<Value> {
        let (_, view) = self.order(Method::GET, "/history", None).await;
        view["items"].as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn a_change_is_applied_by_all_without_a_restart_and_taken_back_by_a_new_revision() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    control.manifest().await;
    let (one, two) = (
        order(&control, 1, 100, &[]).await,
        order(&control, 2, 100, &[("MAX_LINES", "3")]).await,
    );
    assert_eq!((one.config.get().max_lines, two.config.get().max_lines), (50, 3));

    let (status, told) = control.set(json!({ "max_lines": 7 })).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!((&told["applied"], &told["of"]), (&json!(2), &json!(2)), "{told}");
    assert_eq!(
        told["diff"],
        json!([{ "key": "max_lines", "before": 50, "after": 7 }])
    );
    assert_eq!(told["instances"][1]["instance"], "order/2");
    assert_eq!(
        told["instances"][1]["shadowed"],
        json!({ "max_lines": "environment variable MAX_LINES" })
    );
    assert!(
        told["ms"].as_u64().unwrap() < 1_000 && told["spread_ms"].as_u64() <= told["ms"].as_u64(),
        "{told}"
    );
    assert_eq!((one.config.get().max_lines, two.config.get().max_lines), (7, 3));

    let (_, view) = control.order(Method::GET, "", None).await;
    assert_eq!(
        (&view["values"]["max_lines"], &view["origins"]["max_lines"]),
        (&json!(7), &json!("live"))
    );
    let first = &control.history().await[0];
    assert_eq!(
        (&first["by"], &first["outcome"], &first["why"]),
        (&json!("ann"), &json!("applied"), &json!("a test"))
    );
    assert_eq!(
        (&first["revision"], &first["change"]),
        (&view["revision"], &told["change"])
    );

    let manifest = control.history().await.pop().unwrap();
    assert_eq!(manifest["kind"], "manifest");
    let (status, back) = control
        .order(
            Method::POST,
            "/rollback",
            Some(json!({ "to": manifest["revision"] })),
        )
        .await;
    assert_eq!((status, &back["applied"]), (200, &json!(2)), "{back}");
    assert!(back["revision"].as_u64() > view["revision"].as_u64());
    assert_eq!(one.config.get().max_lines, 50);
    let (_, diff) = control.order(Method::GET, "/diff", None).await;
    assert_eq!(diff["items"], json!([]), "nothing differs from the manifest");
    let (status, same) = control.set(json!({ "max_lines": null })).await;
    assert_eq!(
        (status, &same["change"]),
        (200, &Value::Null),
        "nothing to change"
    );
    control.stop().await;
}

#[tokio::test]
async fn one_refusal_aborts_everywhere_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    control.manifest().await;
    let (one, two) = (
        order(&control, 1, 100, &[]).await,
        order(&control, 2, 60, &[]).await,
    );
    for (value, expect) in [
        (json!(70), "order/2 refuses: max_lines: expected at most 60"),
        (json!("many"), "expected u32, found \"many\""),
    ] {
        let (status, problem) = control.set(json!({ "max_lines": value })).await;
        assert_eq!((status, &problem["code"]), (409, &json!("config_refused")));
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains(expect) && detail.contains("nothing was changed"),
            "{detail}"
        );
        assert_eq!((one.config.get().max_lines, two.config.get().max_lines), (50, 50));
    }
    let refused = &control.history().await[1];
    assert_eq!(
        (&refused["outcome"], &refused["refused"][0]["instance"]),
        (&json!("refused"), &json!("order/2"))
    );
    let (_, view) = control.order(Method::GET, "", None).await;
    assert_eq!(view["values"]["max_lines"], 50);
    for (values, code) in [
        (json!({ "$meta": 1 }), "config_invalid"),
        (json!({ "a": 1, "a.b": 2 }), "config_invalid"),
    ] {
        assert_eq!(control.set(values).await.1["code"], code);
    }
    control.stop().await;
}

#[tokio::test]
async fn silence_is_a_refusal_by_name_and_who_is_gone_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    control.manifest().await;
    let (one, two) = (
        order(&control, 1, 100, &[]).await,
        order(&control, 2, 100, &[]).await,
    );
    two.following.abort();
    let (status, problem) = control.set(json!({ "max_lines": 7 })).await;
    assert_eq!(status, 409);
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("order/2 refuses: no answer within 2 s; nothing was changed"),
        "{detail}"
    );
    assert_eq!(one.config.get().max_lines, 50);

    let agent = control.agent().await;
    let path = format!("/api/registry/v1/instances/{}", two.incarnation);
    let gone = async { control.call(Method::DELETE, &path, &agent, None).await };
    let (_, (status, told)) = tokio::join!(gone, control.set(json!({ "max_lines": 8 })));
    assert_eq!(status, 200, "{told}");
    assert_eq!(one.config.get().max_lines, 8);
    control.stop().await;
}

#[tokio::test]
async fn what_control_was_killed_over_before_it_decided_is_aborted() {
    let folder = tempfile::tempdir().unwrap();
    let first = control(folder.path()).await;
    first.manifest().await;
    let mut one = order(&first, 1, 100, &[]).await;
    one.following.abort();
    let admin = first.operator(&["admin"]).await;
    let (url, http) = (first.url.clone(), first.http.clone());
    let asked = tokio::spawn(async move {
        let body = json!({ "values": { "max_lines": 7 } });
        let call = http.call(Method::PATCH, format!("{url}{ORDER}")).bearer(&admin);
        call.json_body(&body).send().await.is_ok()
    });
    one.subscriber
        .until("the preparation", |state| {
            state.resources.contains_key("prepare/order")
        })
        .await;
    first.kill().await;
    asked.abort();

    let second = control(folder.path()).await;
    let (_, view) = second.order(Method::GET, "", None).await;
    assert_eq!(view["values"]["max_lines"], 50);
    let aborted = &second.history().await[0];
    assert_eq!(
        (&aborted["outcome"], &aborted["by"]),
        (&json!("aborted"), &json!("control"))
    );
    let late = order(&second, 1, 100, &[]).await;
    assert!(
        !late
            .subscriber
            .watch
            .state()
            .resources
            .contains_key("prepare/order")
    );
    let (status, told) = second.set(json!({ "max_lines": 9 })).await;
    assert_eq!((status, &told["applied"]), (200, &json!(1)), "{told}");
    second.stop().await;
}

#[tokio::test]
async fn who_comes_late_reads_what_is_committed_and_a_restart_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = control(folder.path()).await;
    first.manifest().await;
    let one = order(&first, 1, 100, &[]).await;
    assert_eq!(first.set(json!({ "max_lines": 7 })).await.0, 200);
    let late = order(&first, 2, 100, &[]).await;
    assert_eq!((one.config.get().max_lines, late.config.get().max_lines), (7, 7));
    first.stop().await;
    let second = control(folder.path()).await;
    let after = order(&second, 3, 100, &[]).await;
    assert_eq!(after.config.get().max_lines, 7);
    assert_eq!(second.history().await.len(), 2);
    second.stop().await;
}

#[tokio::test]
async fn an_instance_that_does_not_follow_has_it_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    control.manifest().await;
    control.register("order", 1, Incarnation::new(), json!({})).await;
    let (status, told) = control.set(json!({ "max_lines": 7 })).await;
    assert_eq!(
        (status, &told["of"], &told["after_restart"]),
        (200, &json!(0), &json!(["order/1"]))
    );
    control.stop().await;
}

#[tokio::test]
async fn a_secret_is_seen_by_the_brick_and_by_who_has_the_scope() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    let model = json!({
        "brickwork": 1, "system": { "name": "shop" }, "brick": { "order": { "run": "order" } },
        "config": { "order": { "pin": { "value": "hunter2", "secret": true }, "db": { "password": "hunter3" } } },
    });
    let agent = control.agent().await;
    control
        .call(Method::PUT, "/api/system/v1/manifest", &agent, Some(model))
        .await;
    let one = order(&control, 1, 100, &[]).await;
    assert_eq!(one.config.get().pin, "hunter2");
    assert_eq!(control.set(json!({ "pin": "hunter4" })).await.0, 200);
    assert_eq!(one.config.get().pin, "hunter4");
    assert!(!format!("{:?}", one.config.origins()).contains("hunter"));

    let admin = control.operator(&["admin", "bus"]).await;
    for path in ["", "/history", "/diff"] {
        let answer = control
            .call(Method::GET, &format!("{ORDER}{path}"), &admin, None)
            .await;
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(text.contains("•••") && !text.contains("hunter"), "{path}: {text}");
    }
    let secrets = format!("{ORDER}?secrets=true");
    assert_eq!(
        control.call(Method::GET, &secrets, &admin, None).await.status,
        403
    );
    let trusted = control.operator(&["admin", "config:secrets"]).await;
    let view: Value = control
        .call(Method::GET, &secrets, &trusted, None)
        .await
        .json()
        .unwrap();
    assert_eq!(
        (&view["values"]["pin"], &view["values"]["db"]["password"]),
        (&json!("hunter4"), &json!("hunter3"))
    );
    let mut watching = subscribe(&control.url, (admin, Incarnation::new()), &[], None);
    watching
        .until("something", |state| !state.resources.is_empty())
        .await;
    assert!(watching.watch.get("config/order").is_none());
    assert!(!control.telemetry.log_lines().join("\n").contains("hunter"));
    control.stop().await;
}

#[tokio::test]
async fn a_level_of_log_lines_reaches_who_it_is_for_and_ends_by_itself_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = control(folder.path()).await;
    first.manifest().await;
    let one = order(&first, 1, 100, &[]).await;
    let levels = |order: &Order| order.subscriber.watch.typed::<Value>("log/order");
    let wanted = json!({ "level": "debug", "instance": "order/1", "for_s": 2 });
    let (status, told) = first.order(Method::PUT, "/log", Some(wanted)).await;
    assert_eq!(
        (status, &told["instances"]["order/1"]["level"]),
        (200, &json!("debug")),
        "{told}"
    );
    eventually("the level", async || {
        levels(&one).is_some_and(|l| l["instances"]["order/1"]["level"] == "debug")
    })
    .await;
    for (body, code) in [
        (json!({ "level": "order=loud" }), "level_invalid"),
        (
            json!({ "level": "debug", "instance": "order/9" }),
            "instance_unknown",
        ),
    ] {
        assert_eq!(first.order(Method::PUT, "/log", Some(body)).await.1["code"], code);
    }
    first.stop().await;
    let second = control(folder.path()).await;
    let late = order(&second, 1, 100, &[]).await;
    tokio::time::timeout(
        Duration::from_secs(10),
        eventually("the way back", async || levels(&late).is_none()),
    )
    .await
    .unwrap();
    let (_, none) = second.order(Method::GET, "/log", None).await;
    assert_eq!((&none["all"], &none["instances"]), (&Value::Null, &json!({})));
    second.stop().await;
}

#[tokio::test]
async fn an_encrypted_value_reaches_the_brick_and_a_wrong_master_key_keeps_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let with_key = async |digit: &str| {
        let cipher = mortar_control::Cipher::new(&digit.repeat(64)).unwrap();
        let at = "127.0.0.1:0".parse().unwrap();
        control_with(folder.path(), |options| options.cipher = Some(cipher.into()), at).await
    };
    let first = with_key("a").await;
    first.manifest().await;
    let one = order(&first, 1, 100, &[]).await;
    let plain = json!({ "key": "pin", "value": "hunter2" });
    let (status, told) = first.order(Method::POST, "/encrypt", Some(plain)).await;
    assert_eq!(status, 200, "{told}");
    let (status, _) = first.set(json!({ "pin": told["value"] })).await;
    assert_eq!((status, one.config.get().pin.as_str()), (200, "hunter2"));
    let (status, problem) = first.set(json!({ "note": told["value"] })).await;
    assert_eq!(
        (status, &problem["code"]),
        (422, &json!("cipher_invalid")),
        "{problem}"
    );
    assert!(
        problem["detail"].as_str().unwrap().starts_with("note: "),
        "{problem}"
    );
    assert!(!format!("{:?} {:?}", first.history().await, told).contains("hunter"));
    first.stop().await;

    let second = with_key("b").await;
    let late = order(&second, 2, 100, &[]).await;
    assert_eq!(late.config.get().pin, "hunter2", "the old value stays");
    let (_, view) = second.order(Method::GET, "", None).await;
    assert!(
        view["problem"].as_str().unwrap().contains("another master key"),
        "{view}"
    );
    let (status, told) = second.set(json!({ "max_lines": 3 })).await;
    assert_eq!(status, 200, "it stands in no other value's way: {told}");
    let now = late.config.get();
    assert_eq!((now.max_lines, now.pin.as_str()), (3, "hunter2"));
    second.stop().await;
}
